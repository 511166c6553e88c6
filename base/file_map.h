// SPDX-License-Identifier: Apache-2.0
// A file's bytes: mapped read-only, or read part by part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace minimax {

// Throws what errno says of a file: MINIMAX_NOT_FOUND when there is none, else MINIMAX_IO_ERROR.
[[noreturn]] void fail_errno(const std::filesystem::path& path, int error);

// Which file a path named when it was opened.
struct FileIdentity {
  std::filesystem::path path;
  uint64_t device = 0, serial = 0;  // together one file of this machine, whatever its name
  size_t size_bytes = 0;
};

// A regular file that is open for reading parts of it. Immutable after construction; any thread. Costs less than
// the first look at a mapping, which the system must first join page by page to the memory it keeps of a
// file, and a file that has become shorter is an error here.
class FileReader {
 public:
  // Errors as FileMap::open.
  static FileReader open(const std::filesystem::path& path);
  // Of an open file, which is closed with the object even when this fails; `path` is what errors call it.
  // MINIMAX_IO_ERROR.
  static FileReader take(int descriptor, const std::filesystem::path& path);

  FileReader(FileReader&& other) noexcept;
  FileReader& operator=(FileReader&& other) noexcept;
  ~FileReader();

  // All of these bytes. MINIMAX_IO_ERROR when they cannot be read or the file ends before them.
  void read(size_t offset, std::span<std::byte> to) const;
  // How many of these bytes there were: fewer than wanted only at the end of the file. MINIMAX_IO_ERROR.
  size_t read_some(size_t offset, std::span<std::byte> to) const;
  const FileIdentity& identity() const { return file_; }

 private:
  friend class FileMap;

  FileReader() = default;

  int descriptor_ = -1;
  FileIdentity file_;
};

// Immutable after construction; any thread. The mapping ends with the object. A file that is made
// shorter by somebody else while it is mapped must not be read past its new end (the system raises
// SIGBUS); sizes are taken once, when the file is opened.
class FileMap {
 public:
  // MINIMAX_NOT_FOUND when there is no such file, MINIMAX_IO_ERROR when it cannot be read or mapped.
  static FileMap open(const std::filesystem::path& path);

  FileMap() = default;
  FileMap(FileMap&& other) noexcept;
  FileMap& operator=(FileMap&& other) noexcept;
  ~FileMap();

  std::span<const std::byte> bytes() const { return {data_, file_.size_bytes}; }
  // Asks the system to bring these bytes into memory soon. Never fails.
  void will_need(size_t offset, size_t size) const;
  // The mapped file, opened once more under its name. MINIMAX_IO_ERROR when that names another file by
  // now.
  FileReader reader() const;

 private:
  const std::byte* data_ = nullptr;
  FileIdentity file_;
};

// False only when there is nothing. What cannot be looked at is there: opening it says why.
bool is_there(const std::filesystem::path& path);

// The names in a folder, in order; none when it cannot be read. MINIMAX_OUT_OF_MEMORY.
std::vector<std::string> names_in(const std::filesystem::path& folder);

// The whole of a small file as text. MINIMAX_BAD_FILE when it is larger than limit_bytes;
// MINIMAX_NOT_FOUND or MINIMAX_IO_ERROR as above.
std::string read_text_file(const std::filesystem::path& path, size_t limit_bytes);

}  // namespace minimax
