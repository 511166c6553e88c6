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

std::string text_of(const FileReader& file, size_t offset, size_t size_bytes) {
  std::string text(size_bytes, '?');
  file.read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(FileReader, GivesPartsOfTheMappedFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "file_reader_test";
  std::ofstream(path) << "hello world";
  const FileReader file = FileMap::open(path).reader();
  EXPECT_EQ(text_of(file, 0, 11), "hello world");
  EXPECT_EQ(text_of(file, 4, 3), "o w");
  EXPECT_EQ(text_of(file, 11, 0), "");
}

TEST(FileReader, AShorterFileIsAnError) {
  const auto path = std::filesystem::path(testing::TempDir()) / "file_reader_shorter";
  std::ofstream(path) << std::string(20000, 'x');
  const FileReader file = FileMap::open(path).reader();
  std::filesystem::resize_file(path, 10000);
  EXPECT_EQ(text_of(file, 9000, 1000), std::string(1000, 'x'));
  try {
    text_of(file, 9000, 1001);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_IO_ERROR);
    EXPECT_EQ(error.message(), path.string() +
                                   ": ends at byte 10000, expected at least 10001: it has become "
                                   "shorter");
  }
}

TEST(FileReader, AnotherFileOfTheNameIsAnError) {
  const auto path = std::filesystem::path(testing::TempDir()) / "file_reader_replaced";
  std::ofstream(path) << "one";
  const FileMap map = FileMap::open(path);
  std::ofstream(path.string() + "2") << "two";
  std::filesystem::rename(path.string() + "2", path);
  EXPECT_EQ(status_of([&] { map.reader(); }), MINIMAX_IO_ERROR);
  std::filesystem::remove(path);
  EXPECT_EQ(status_of([&] { map.reader(); }), MINIMAX_NOT_FOUND);
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
