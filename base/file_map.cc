// SPDX-License-Identifier: Apache-2.0
#include "base/file_map.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace minimax {

void fail_errno(const std::filesystem::path& path, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR;
  fail(missing ? MINIMAX_NOT_FOUND : MINIMAX_IO_ERROR, path.string(), ": ",
       std::generic_category().message(error));
}

// Does not wait for the other end of a pipe, which is refused.
FileReader FileReader::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_errno(path, errno);
  return take(descriptor, path);
}

FileReader FileReader::take(int descriptor, const std::filesystem::path& path) {
  FileReader file;
  file.file_.path = path;
  file.descriptor_ = descriptor;
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) fail_errno(path, errno);
  if (!S_ISREG(info.st_mode)) fail(MINIMAX_IO_ERROR, path.string(), ": not a regular file");
  file.file_.device = info.st_dev;
  file.file_.serial = info.st_ino;
  file.file_.size_bytes = static_cast<size_t>(info.st_size);
  return file;
}

FileReader::FileReader(FileReader&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), file_(std::exchange(other.file_, {})) {
}

FileReader& FileReader::operator=(FileReader&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(file_, other.file_);
  return *this;
}

FileReader::~FileReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

size_t FileReader::read_some(size_t offset, std::span<std::byte> to) const {
  size_t done = 0;
  while (done < to.size()) {
    const ssize_t count =
        ::pread(descriptor_, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno(file_.path, errno);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

// First what the system has in memory. The rest is asked for at once: left to itself, the system guesses
// from one read to the next, and is led astray by threads that read at several places.
void FileReader::read(size_t offset, std::span<std::byte> to) const {
  const iovec whole{to.data(), to.size()};
  const ssize_t at_hand = ::preadv2(descriptor_, &whole, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  const size_t done = at_hand > 0 ? static_cast<size_t>(at_hand) : 0;
  if (done == to.size()) return;
  const size_t rest = to.size() - done;
  static_cast<void>(::posix_fadvise(descriptor_, static_cast<off_t>(offset + done),
                                    static_cast<off_t>(rest), POSIX_FADV_WILLNEED));
  const size_t end = offset + done + read_some(offset + done, to.subspan(done));
  if (end < offset + to.size()) {
    fail(MINIMAX_IO_ERROR, file_.path.string(), ": ends at byte ", end, ", expected at least ",
         offset + to.size(), ": it has become shorter");
  }
}

FileMap FileMap::open(const std::filesystem::path& path) {
  const FileReader file = FileReader::open(path);
  const size_t size = file.file_.size_bytes;
  FileMap map;
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor_, 0);
    if (data == MAP_FAILED) fail_errno(path, errno);
    map.data_ = static_cast<const std::byte*>(data);
  }
  map.file_ = file.file_;
  return map;
}

FileReader FileMap::reader() const {
  FileReader file = FileReader::open(file_.path);
  if (file.file_.device != file_.device || file.file_.serial != file_.serial) {
    fail(MINIMAX_IO_ERROR, file_.path.string(), ": another file has taken its place");
  }
  return file;
}

FileMap::FileMap(FileMap&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), file_(std::exchange(other.file_, {})) {
}

FileMap& FileMap::operator=(FileMap&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(file_, other.file_);
  return *this;
}

FileMap::~FileMap() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), file_.size_bytes);
}

void FileMap::will_need(size_t offset, size_t size) const {
  if (!data_ || offset >= file_.size_bytes) return;
  const size_t page = 4096, start = offset / page * page;
  const size_t end = offset + std::min(size, file_.size_bytes - offset);
  ::madvise(const_cast<std::byte*>(data_) + start, end - start, MADV_WILLNEED);
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::status(path, ignored).type() != std::filesystem::file_type::not_found;
}

// Not std::filesystem::directory_iterator: it ends the program when memory runs out within it.
std::vector<std::string> names_in(const std::filesystem::path& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  if (!open && errno == ENOMEM) throw std::bad_alloc();
  std::vector<std::string> names;
  while (const dirent* entry = open ? ::readdir(open.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_text_file(const std::filesystem::path& path, size_t limit_bytes) {
  const FileReader file = FileReader::open(path);
  const size_t size = file.identity().size_bytes;
  require_file(size <= limit_bytes, path.string(), ": ", size, " bytes, at most ", limit_bytes,
               " are read");
  std::string out(size, '\0');
  out.resize(file.read_some(0, std::as_writable_bytes(std::span(out))));
  return out;
}

}  // namespace minimax
