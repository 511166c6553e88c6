// SPDX-License-Identifier: Apache-2.0
// Owned device memory: one block, and the scratch arena of a step.
#pragma once

#include <cstddef>
#include <utility>

#include "engine/tensor/memory.h"
#include "engine/tensor/tensor.h"

namespace minimax {

// One block of a device's memory. Move-only. The Memory must outlive it.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Memory& memory, size_t size_bytes)
      : memory_(&memory), data_(memory.allocate(size_bytes)), size_bytes_(size_bytes) {}
  Buffer(Buffer&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
  }
  ~Buffer() {
    if (data_) memory_->release(data_, size_bytes_);
  }

  void* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }
  Tensor tensor(DType dtype, const Shape& shape) const {
    const Tensor view(data_, dtype, shape);
    assert(view.size_bytes() <= size_bytes_);
    return view;
  }

 private:
  Memory* memory_ = nullptr;
  void* data_ = nullptr;
  size_t size_bytes_ = 0;
};

// Scratch of one step: allocated once, handed out front to back, taken back at the end of a Scope. The
// order of requests is the same in every step of the same size, so addresses are too. One thread at a
// time.
class Arena {
 public:
  Arena(Memory& memory, size_t size_bytes) : block_(memory, size_bytes) {}

  // Asserts that it fits: the caller sized the arena for its largest step.
  Tensor take(DType dtype, const Shape& shape) {
    const size_t at = used_;
    const Tensor view(static_cast<std::byte*>(block_.data()) + at, dtype, shape);
    used_ += padded(view.size_bytes());
    assert(used_ <= block_.size_bytes());
    return view;
  }
  size_t size_bytes() const { return block_.size_bytes(); }

  // What was taken within a scope is free again at its end.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), used_(arena.used_) {}
    ~Scope() { arena_.used_ = used_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    size_t used_;
  };

  // What take() uses for so many bytes. Rows of 256 bytes, the longest that kernels count pages in, stay
  // aligned on a GPU, where the block is.
  static constexpr size_t padded(size_t size_bytes) { return (size_bytes + 255) / 256 * 256; }

 private:
  Buffer block_;
  size_t used_ = 0;
};

}  // namespace minimax
