// SPDX-License-Identifier: Apache-2.0
// Where bytes go to and come from, front to back: a file, or callbacks of the host program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace minimax {

// One thread at a time.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
};

// One thread at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills all of it; MINIMAX_BAD_FILE when the bytes end before that.
  virtual void read(std::span<std::byte> to) = 0;
  // All there are, from the first to the last, where that is known before they are read.
  virtual std::optional<uint64_t> size_bytes() const = 0;
  virtual const std::string& name() const = 0;  // what errors call it
  // The same bytes once more, from `offset` on, to be read beside this one and by any thread; nullptr where
  // bytes come from front to back only.
  virtual std::unique_ptr<ByteSource> part(uint64_t) const { return nullptr; }
};

}  // namespace minimax
