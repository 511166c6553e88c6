// SPDX-License-Identifier: Apache-2.0
// Files read and written from front to back; a written one takes its name only when it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/byte_stream.h"
#include "base/file_map.h"

namespace minimax {

// A regular file. Its size is taken once, when it is opened.
class FileSource final : public ByteSource {
 public:
  // MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR.
  explicit FileSource(const std::filesystem::path& path);
  FileSource(FileReader file, std::string name);

  void read(std::span<std::byte> to) override;
  std::optional<uint64_t> size_bytes() const override { return file_->identity().size_bytes; }
  const std::string& name() const override { return name_; }
  std::unique_ptr<ByteSource> part(uint64_t offset) const override;

 private:
  std::shared_ptr<const FileReader> file_;  // also of its parts
  std::string name_;
  size_t done_bytes_ = 0;
};

// A file without a name in some folder: nobody else sees it, and it is gone with its last reader, even when
// the program is killed. One thread at a time.
class NamelessSink final : public ByteSink {
 public:
  // MINIMAX_NOT_FOUND when there is no such folder, MINIMAX_IO_ERROR.
  explicit NamelessSink(const std::filesystem::path& folder);
  ~NamelessSink() override;
  NamelessSink(const NamelessSink&) = delete;
  NamelessSink& operator=(const NamelessSink&) = delete;

  void write(std::span<const std::byte> bytes) override;
  // What was written, to be read from its beginning. Nothing can be written any more.
  std::unique_ptr<ByteSource> read_back();

 private:
  const std::filesystem::path folder_;
  int descriptor_ = -1;
};

// A file that is written beside the one of that name and takes its place in commit(): at every moment
// there is the old one or the new one, whole. Without commit() it is as if it had never been. A killed
// program may leave a file behind whose name ends in ".part"; the next writer of the same name removes it.
class FileSink final : public ByteSink {
 public:
  // MINIMAX_NOT_FOUND when there is no such folder, MINIMAX_IO_ERROR.
  explicit FileSink(const std::filesystem::path& path);
  ~FileSink() override;
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  void write(std::span<const std::byte> bytes) override;
  // Everything has reached the disk, under its name, when this returns. MINIMAX_IO_ERROR: nothing has
  // changed, or, when the folder alone could not be synced, the new file is there and may be the old one
  // again after a power cut.
  void commit();

 private:
  void open_part();
  void name_part();
  void require_done(int result) const;
  void begin_to_sync();

  std::filesystem::path path_;
  std::filesystem::path folder_;
  std::filesystem::path part_;  // its name until it takes the other; empty: it has none
  int descriptor_ = -1;
  uint64_t done_bytes_ = 0;
  uint64_t syncing_bytes_ = 0;  // of these, on their way to the disk
};

}  // namespace minimax
