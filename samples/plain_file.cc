// SPDX-License-Identifier: Apache-2.0
// What a disk takes for the bytes of a file alone.
#include "samples/plain_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "samples/stopwatch.h"

namespace samples {
namespace {

constexpr size_t kPieceBytes = size_t{256} << 10;

// Closed with the object.
class OpenFile {
 public:
  OpenFile(const std::string& path, int flags)
      : path_(path), number_(::open(path.c_str(), flags, 0600)) {
    require(number_ >= 0);
  }
  ~OpenFile() { ::close(number_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int number() const { return number_; }
  void require(bool condition) const {
    if (!condition) throw std::runtime_error(path_ + ": cannot be read or written");
  }

 private:
  const std::string path_;
  const int number_;
};

}  // namespace

uint64_t time_plain_write(const std::string& path) {
  const size_t size = std::filesystem::file_size(path);
  const std::string beside = path + ".plain";
  // Of ones: what a file system may leave out are zeros.
  const std::unique_ptr<char[]> bytes(new char[size]);
  std::fill_n(bytes.get(), size, '\1');
  uint64_t ns = 0;
  for (int round = 0; round < 2;
       ++round) {  // the second goes over the first, as a save goes over a file
    const Stopwatch stopwatch;
    const OpenFile file(beside, O_CREAT | O_TRUNC | O_WRONLY);
    for (size_t at = 0; at < size;) {
      const ssize_t count =
          ::write(file.number(), bytes.get() + at, std::min(kPieceBytes, size - at));
      file.require(count > 0);
      at += static_cast<size_t>(count);
    }
    file.require(::fsync(file.number()) == 0);
    ns = stopwatch.ns();
  }
  ::unlink(beside.c_str());
  return ns;
}

uint64_t time_plain_read(const std::string& path) {
  const size_t size = std::filesystem::file_size(path);
  const std::unique_ptr<char[]> bytes(new char[size]);
  std::fill_n(bytes.get(), size, '\1');  // the system makes memory when it is written first
  const Stopwatch stopwatch;
  const OpenFile file(path, O_RDONLY);
  for (size_t at = 0; at < size;) {
    const ssize_t count = ::read(file.number(), bytes.get() + at, std::min(kPieceBytes, size - at));
    file.require(count > 0);
    at += static_cast<size_t>(count);
  }
  return stopwatch.ns();
}

}  // namespace samples
