// SPDX-License-Identifier: Apache-2.0
#include "engine/tensor/memory.h"

#include <cstring>
#include <new>

#include "base/error.h"
#include "engine/tensor/buffer.h"

namespace minimax {
namespace {

constexpr std::align_val_t alignment{64};

class PlainUpload final : public Upload {
 public:
  PlainUpload(Memory& memory, size_t half_bytes)
      : memory_(memory), half_(host_memory(), half_bytes) {}

  size_t half_bytes() const override { return half_.size_bytes(); }
  std::byte* next_half() override { return static_cast<std::byte*>(half_.data()); }
  void send(void* device, size_t size_bytes) override {
    memory_.copy_from_host(device, half_.data(), size_bytes);
  }
  void finish() override {}

 private:
  Memory& memory_;
  const Buffer half_;
};

class HostMemory final : public Memory {
 public:
  void* allocate(size_t size_bytes) override {
    void* data = ::operator new(size_bytes, alignment, std::nothrow);
    if (!data) fail(MINIMAX_OUT_OF_MEMORY, "cpu: no memory for ", size_bytes, " bytes");
    return data;
  }
  void release(void* data, size_t) noexcept override { ::operator delete(data, alignment); }
  void copy_from_host(void* device, const void* host, size_t size_bytes) override {
    if (size_bytes) std::memcpy(device, host, size_bytes);
  }
  void copy_to_host(void* host, const void* device, size_t size_bytes) override {
    if (size_bytes) std::memcpy(host, device, size_bytes);
  }
  void copy(void* to, const void* from, size_t size_bytes) override {
    if (size_bytes) std::memcpy(to, from, size_bytes);
  }
  void zero(void* device, size_t size_bytes) override {
    if (size_bytes) std::memset(device, 0, size_bytes);
  }
  bool host_addressable() const override { return true; }
};

}  // namespace

std::unique_ptr<Upload> Memory::new_upload(size_t half_bytes) {
  return std::make_unique<PlainUpload>(*this, half_bytes);
}

Memory& host_memory() {
  static HostMemory memory;
  return memory;
}

}  // namespace minimax
