// SPDX-License-Identifier: Apache-2.0
#include "base/file_map.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
namespace {

class Descriptor {
 public:
  // Does not wait for the other end of a pipe, which is refused later.
  explicit Descriptor(const std::filesystem::path& path)
      : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void fail_errno(const std::filesystem::path& path, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR;
  fail(missing ? MINIMAX_NOT_FOUND : MINIMAX_IO_ERROR, path.string(), ": ",
       std::generic_category().message(error));
}

size_t regular_file_size(const std::filesystem::path& path, const Descriptor& file) {
  struct stat info {};
  if (file.number() < 0 || ::fstat(file.number(), &info) != 0) fail_errno(path, errno);
  if (!S_ISREG(info.st_mode)) fail(MINIMAX_IO_ERROR, path.string(), ": not a regular file");
  return static_cast<size_t>(info.st_size);
}

}  // namespace

FileMap FileMap::open(const std::filesystem::path& path) {
  const Descriptor file(path);
  FileMap map;
  const size_t size = regular_file_size(path, file);
  if (size == 0) return map;
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (data == MAP_FAILED) fail_errno(path, errno);
  map.data_ = static_cast<const std::byte*>(data);
  map.size_ = size;
  return map;
}

FileMap::FileMap(FileMap&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {
}

FileMap& FileMap::operator=(FileMap&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

FileMap::~FileMap() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

void FileMap::will_need(size_t offset, size_t size) const {
  if (!data_ || offset >= size_) return;
  const size_t page = 4096, start = offset / page * page;
  const size_t end = offset + std::min(size, size_ - offset);
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
  const Descriptor file(path);
  const size_t size = regular_file_size(path, file);
  require_file(size <= limit_bytes, path.string(), ": ", size, " bytes, at most ", limit_bytes,
               " are read");
  std::string out(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(file.number(), out.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno(path, errno);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  out.resize(done);
  return out;
}

}  // namespace minimax
