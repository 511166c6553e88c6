// SPDX-License-Identifier: Apache-2.0
#include "base/file_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/chunk_stream.h"
#include "base/error.h"

namespace minimax {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class FileStream : public ::testing::Test {
 protected:
  FileStream() {
    std::string name = (std::filesystem::temp_directory_path() / "minimax-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FileStream() override { std::filesystem::remove_all(folder_); }

  void write(const char* name, std::string_view text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string content(const char* name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  template <typename Call>
  static minimax_status status_of(const Call& call) {
    try {
      call();
      return MINIMAX_OK;
    } catch (const Error& error) {
      return error.status();
    }
  }

  std::filesystem::path folder_;
};

using Names = std::vector<std::string>;

TEST_F(FileStream, ReplacesAFileOnlyWhenItIsCommitted) {
  write("a", "old");
  {
    FileSink abandoned(folder_ / "a");
    abandoned.write(bytes_of("half"));
    EXPECT_EQ(content("a"), "old");
  }
  EXPECT_EQ(content("a"), "old");
  EXPECT_EQ(names(), Names{"a"});
  FileSink writer(folder_ / "a");
  writer.write(bytes_of("the "));
  writer.write(bytes_of("new one"));
  writer.commit();
  EXPECT_EQ(content("a"), "the new one");
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(FileStream, GivesAFileTheRightsThatAreUsual) {
  const mode_t mask = ::umask(027);
  FileSink(folder_ / "a").commit();
  ::umask(mask);
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(FileStream, ReplacesWhatALinkLeadsTo) {
  write("a", "old");
  std::filesystem::create_symlink("a", folder_ / "link");
  FileSink writer(folder_ / "link");
  writer.write(bytes_of("new"));
  writer.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "link"));
  EXPECT_EQ(content("a"), "new");
}

TEST_F(FileStream, TakesNamesInTheWorkingFolder) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  FileSink("a").commit();
  std::filesystem::current_path(before);
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(FileStream, RemovesWhatKilledProgramsLeft) {
  write("a.17-0.part", "left behind");
  write("a.18-0.part", "being written");
  write("b.17-0.part", "of another file");
  write("a.b.part", "somebody's own");
  write("a.part", "somebody's own");
  const int other = ::open((folder_ / "a.18-0.part").c_str(), O_RDONLY);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  FileSink(folder_ / "a").commit();
  ::close(other);
  EXPECT_EQ(names(), (Names{"a", "a.18-0.part", "a.b.part", "a.part", "b.17-0.part"}));
}

TEST_F(FileStream, RefusesWhatIsNoFile) {
  std::filesystem::create_directory(folder_ / "sub");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  for (const char* name : {"sub", "pipe"}) {
    EXPECT_EQ(status_of([&] { FileSource reader(folder_ / name); }), MINIMAX_IO_ERROR) << name;
    EXPECT_EQ(status_of([&] { FileSink writer(folder_ / name); }), MINIMAX_IO_ERROR) << name;
  }
  EXPECT_EQ(status_of([&] { FileSource reader(folder_ / "no"); }), MINIMAX_NOT_FOUND);
  EXPECT_EQ(status_of([&] { FileSink writer(folder_ / "no/a"); }), MINIMAX_NOT_FOUND);
  EXPECT_EQ(status_of([&] { FileSink writer(folder_ / "sub/"); }), MINIMAX_INVALID_ARGUMENT);
}

TEST_F(FileStream, ReadsToTheEndAndNoFurther) {
  write("a", "0123456789");
  FileSource reader(folder_ / "a");
  EXPECT_EQ(reader.size_bytes(), 10u);
  std::string text(4, ' ');
  reader.read(std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(text, "0123");
  text.resize(7);
  EXPECT_EQ(status_of([&] { reader.read(std::as_writable_bytes(std::span(text))); }),
            MINIMAX_BAD_FILE);
}

TEST_F(FileStream, GivesPartsThatAreReadBesideIt) {
  write("a", "0123456789");
  FileSource whole(folder_ / "a");
  const std::unique_ptr<ByteSource> part = whole.part(7);
  std::string text(3, ' '), beginning(4, ' ');
  whole.read(std::as_writable_bytes(std::span(beginning)));
  part->read(std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(beginning, "0123");
  EXPECT_EQ(text, "789");
  EXPECT_EQ(status_of([&] { part->read(std::as_writable_bytes(std::span(text)).first(1)); }),
            MINIMAX_BAD_FILE);
}

TEST_F(FileStream, ChunksComeBackWholeOrNotAtAll) {
  const std::string long_text(1'000'000, 'x');
  FileSink writer(folder_ / "a");
  ChunkWriter chunks(writer);
  chunks.write(bytes_of("first"));
  chunks.end();
  chunks.write(bytes_of(long_text));
  chunks.write(bytes_of("y"));
  chunks.end();
  chunks.end();  // an empty one
  writer.commit();
  EXPECT_EQ(content("a").size(), 5 + long_text.size() + 1 + 3 * chunk_checksum_bytes);

  FileSource reader(folder_ / "a");
  ChunkReader again(reader);
  std::string first(5, ' '), second(long_text.size() + 1, ' ');
  again.read(std::as_writable_bytes(std::span(first)));
  again.end("the first");
  again.read(std::as_writable_bytes(std::span(second)));
  again.end("the second");
  again.end("the third");
  EXPECT_EQ(first, "first");
  EXPECT_EQ(second, long_text + "y");

  std::string damaged = content("a");
  damaged[3] ^= 1;
  write("a", damaged);
  FileSource damaged_reader(folder_ / "a");
  ChunkReader of_damaged(damaged_reader);
  of_damaged.read(std::as_writable_bytes(std::span(first)));
  try {
    of_damaged.end("the first chunk");
    FAIL() << "a damaged chunk";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_BAD_FILE);
    EXPECT_NE(error.message().find("the first chunk is damaged"), std::string::npos);
  }
}

}  // namespace
}  // namespace minimax
