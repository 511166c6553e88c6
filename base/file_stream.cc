// SPDX-License-Identifier: Apache-2.0
#include "base/file_stream.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace minimax {
namespace {

// Where a link leads is where its file is replaced.
std::filesystem::path behind_links(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_symlink(path, ignored)) return path;
  const std::filesystem::path target = std::filesystem::weakly_canonical(path, ignored);
  return target.empty() ? path : target;
}

void require_replaceable(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return;
  fail(MINIMAX_IO_ERROR, path.string(), ": not a regular file");
}

constexpr std::string_view part_ending = ".part";

// Tries names beside `path` until `make` makes one that was not there; -1 with errno when it cannot. Other
// writers, and killed programs, may have taken some.
template <typename Make>
int make_part(const std::filesystem::path& path, const Make& make,
              std::filesystem::path& out_part) {
  for (int i = 0;; ++i) {
    std::filesystem::path part = path.string() + text('.', ::getpid(), '-', i, part_ending);
    const int result = make(part.c_str());
    if (result >= 0) out_part = std::move(part);
    if (result >= 0 || errno != EEXIST) return result;
  }
}

// Whoever writes a part holds it locked, and loses it when the program ends.
bool lock(int descriptor) {
  return ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
}

// Whether make_part() names parts like that.
bool is_part_of(std::string_view beginning, std::string_view name) {
  if (!name.starts_with(beginning) || !name.ends_with(part_ending)) return false;
  if (name.size() < beginning.size() + part_ending.size()) return false;
  name.remove_prefix(beginning.size());
  name.remove_suffix(part_ending.size());
  return !name.empty() && name.find_first_not_of("0123456789-") == name.npos;
}

// Parts of `path` that killed programs have left.
void remove_abandoned(const std::filesystem::path& folder, const std::filesystem::path& path) {
  const std::string beginning = path.filename().string() + '.';
  for (const std::string& name : names_in(folder)) {
    if (!is_part_of(beginning, name)) continue;
    const std::filesystem::path part = folder / name;
    const int descriptor = ::open(part.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (descriptor < 0) continue;
    if (lock(descriptor)) ::unlink(part.c_str());
    ::close(descriptor);
  }
}

void write_all(int descriptor, std::span<const std::byte> bytes,
               const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      fail(MINIMAX_IO_ERROR, path.string(), ": ", std::generic_category().message(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

// Where files must have names, this one has it for a moment.
int open_nameless(const std::filesystem::path& folder) {
  constexpr int flags = O_RDWR | O_CLOEXEC;
  constexpr mode_t own = 0600;
  const int descriptor = ::open(folder.c_str(), O_TMPFILE | flags, own);
  if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return descriptor;
  std::filesystem::path part;
  const auto make = [](const char* name) { return ::open(name, O_CREAT | O_EXCL | flags, own); };
  const int named = make_part(folder / "nameless", make, part);
  if (named >= 0) ::unlink(part.c_str());
  return named;
}

constexpr mode_t as_umask_allows = 0666;
constexpr uint64_t sync_bytes = uint64_t{8} << 20;

}  // namespace

FileSource::FileSource(const std::filesystem::path& path)
    : file_(std::make_shared<FileReader>(FileReader::open(path))), name_(path.string()) {
}

FileSource::FileSource(FileReader file, std::string name)
    : file_(std::make_shared<FileReader>(std::move(file))), name_(std::move(name)) {
}

std::unique_ptr<ByteSource> FileSource::part(uint64_t offset) const {
  auto part = std::make_unique<FileSource>(*this);
  part->done_bytes_ = static_cast<size_t>(offset);
  return part;
}

void FileSource::read(std::span<std::byte> to) {
  const size_t count = file_->read_some(done_bytes_, to);
  done_bytes_ += count;
  require_file(count == to.size(), name_, ": ends after ", done_bytes_, " bytes, ",
               to.size() - count, " more are expected there");
}

NamelessSink::NamelessSink(const std::filesystem::path& folder)
    : folder_(folder), descriptor_(open_nameless(folder)) {
  if (descriptor_ < 0) fail_errno(folder_, errno);
}

NamelessSink::~NamelessSink() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void NamelessSink::write(std::span<const std::byte> bytes) {
  write_all(descriptor_, bytes, folder_);
}

std::unique_ptr<ByteSource> NamelessSink::read_back() {
  return std::make_unique<FileSource>(FileReader::take(std::exchange(descriptor_, -1), folder_),
                                      "a file in " + folder_.string());
}

FileSink::FileSink(const std::filesystem::path& path)
    : path_(behind_links(path)), folder_(path_.parent_path()) {
  require(path_.has_filename(), "path \"", path.string(), "\" names no file");
  if (folder_.empty()) folder_ = ".";
  require_replaceable(path_);
  remove_abandoned(folder_, path_);
  descriptor_ = ::open(folder_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, as_umask_allows);
  // Without /proc a file without a name cannot be given one.
  if (descriptor_ >= 0 && ::access("/proc/self/fd", X_OK) != 0) {
    ::close(descriptor_);
    descriptor_ = -1;
  }
  if (descriptor_ < 0) open_part();
  static_cast<void>(
      lock(descriptor_));  // where files cannot be locked, parts are not removed either
}

void FileSink::open_part() {
  const auto make = [](const char* part) {
    return ::open(part, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, as_umask_allows);
  };
  descriptor_ = make_part(path_, make, part_);
  if (descriptor_ < 0) fail_errno(path_, errno);
}

FileSink::~FileSink() {
  ::close(descriptor_);
  if (!part_.empty()) ::unlink(part_.c_str());
}

void FileSink::require_done(int result) const {
  if (result < 0)
    fail(MINIMAX_IO_ERROR, path_.string(), ": ", std::generic_category().message(errno));
}

void FileSink::write(std::span<const std::byte> bytes) {
  write_all(descriptor_, bytes, path_);
  done_bytes_ += bytes.size();
  begin_to_sync();
}

// The disk works while the rest is being written: commit() has less to wait for. Only a hint.
void FileSink::begin_to_sync() {
  if (done_bytes_ - syncing_bytes_ < sync_bytes) return;
  static_cast<void>(::sync_file_range(descriptor_, static_cast<off_t>(syncing_bytes_),
                                      static_cast<off_t>(done_bytes_ - syncing_bytes_),
                                      SYNC_FILE_RANGE_WRITE));
  syncing_bytes_ = done_bytes_;
}

// A link cannot replace a file, a renaming can.
void FileSink::name_part() {
  const std::string own = text("/proc/self/fd/", descriptor_);
  const auto make = [&](const char* part) {
    return ::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, part, AT_SYMLINK_FOLLOW);
  };
  require_done(make_part(path_, make, part_));
}

void FileSink::commit() {
  require_done(::fsync(descriptor_));
  if (part_.empty()) name_part();
  require_done(::rename(part_.c_str(), path_.c_str()));
  part_.clear();
  const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  require_done(folder);
  const int result = ::fsync(folder), error = errno;
  ::close(folder);
  errno = error;
  // Some file systems have nothing to sync of a folder.
  if (result != 0 && errno != EINVAL && errno != EROFS) require_done(result);
}

}  // namespace minimax
