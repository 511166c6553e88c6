// SPDX-License-Identifier: Apache-2.0
// Host memory that counts what is taken, and refuses the next request when told to.
#pragma once

#include <cstddef>
#include <limits>

#include "base/error.h"
#include "engine/tensor/memory.h"

namespace minimax::testing {

class CountingMemory final : public Memory {
 public:
  void* allocate(size_t size_bytes) override {
    if (left == 0) fail(MINIMAX_OUT_OF_MEMORY, "test: no memory for ", size_bytes, " bytes");
    --left;
    ++taken_count;
    taken_bytes += size_bytes;
    return host_memory().allocate(size_bytes);
  }
  void release(void* data, size_t size_bytes) noexcept override {
    --taken_count;
    taken_bytes -= size_bytes;
    host_memory().release(data, size_bytes);
  }
  void copy_from_host(void* device, const void* host, size_t size_bytes) override {
    host_memory().copy_from_host(device, host, size_bytes);
  }
  void copy_to_host(void* host, const void* device, size_t size_bytes) override {
    host_memory().copy_to_host(host, device, size_bytes);
  }
  void copy(void* to, const void* from, size_t size_bytes) override {
    host_memory().copy(to, from, size_bytes);
  }
  void zero(void* device, size_t size_bytes) override { host_memory().zero(device, size_bytes); }
  bool host_addressable() const override { return true; }

  size_t left = std::numeric_limits<size_t>::max();  // requests that are still granted
  size_t taken_count = 0;
  size_t taken_bytes = 0;
};

}  // namespace minimax::testing
