// SPDX-License-Identifier: Apache-2.0
// What a device must offer before anything can be computed on it: memory, and ways in and out.
#pragma once

#include <cstddef>
#include <memory>

#include "engine/tensor/upload.h"

namespace minimax {

// Any thread.
class Memory {
 public:
  virtual ~Memory() = default;

  // 64-byte aligned or better, contents undefined. MINIMAX_OUT_OF_MEMORY with the number of bytes.
  // size_bytes 0 is allowed and gives an address that must be released like any other.
  virtual void* allocate(size_t size_bytes) = 0;
  virtual void release(void* data, size_t size_bytes) noexcept = 0;

  // Synchronous: the bytes have arrived when the call returns.
  virtual void copy_from_host(void* device, const void* host, size_t size_bytes) = 0;
  // The way for weights and other large amounts; it must not outlive the memory. By default one that
  // copies at once. MINIMAX_OUT_OF_MEMORY.
  virtual std::unique_ptr<Upload> new_upload(const UploadSizes& sizes);
  virtual void copy_to_host(void* host, const void* device, size_t size_bytes) = 0;
  virtual void copy(void* to, const void* from, size_t size_bytes) = 0;
  virtual void zero(void* device, size_t size_bytes) = 0;

  // True when the host may read the device's addresses: weights then stay in the file map.
  virtual bool host_addressable() const = 0;
};

// Ordinary host memory. Lives as long as the program.
Memory& host_memory();

}  // namespace minimax
