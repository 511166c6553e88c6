// SPDX-License-Identifier: Apache-2.0
#include "base/file_map.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"

namespace minimax {
namespace {

minimax_status status_of(const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.status();
  }
  return MINIMAX_OK;
}

TEST(FileMap, GivesTheBytes) {
  const auto path = std::filesystem::path(testing::TempDir()) / "file_map_test";
  std::ofstream(path) << "hello";
  const FileMap map = FileMap::open(path);
  ASSERT_EQ(map.bytes().size(), 5u);
  EXPECT_EQ(static_cast<char>(map.bytes()[4]), 'o');
  map.will_need(0, 100);
  EXPECT_EQ(read_text_file(path, 5), "hello");
  EXPECT_EQ(status_of([&] { read_text_file(path, 4); }), MINIMAX_BAD_FILE);
}

TEST(FileMap, AnEmptyFileHasNoBytes) {
  const auto path = std::filesystem::path(testing::TempDir()) / "file_map_empty";
  std::ofstream(path).flush();
  EXPECT_TRUE(FileMap::open(path).bytes().empty());
}

TEST(FileMap, SaysWhatIsWrong) {
  EXPECT_EQ(status_of([] { FileMap::open("/no/such/file"); }), MINIMAX_NOT_FOUND);
  EXPECT_EQ(status_of([] { FileMap::open(testing::TempDir()); }), MINIMAX_IO_ERROR);
}

}  // namespace
}  // namespace minimax
