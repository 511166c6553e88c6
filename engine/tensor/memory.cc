// SPDX-License-Identifier: Apache-2.0
#include "engine/tensor/memory.h"

#include <cstring>
#include <new>

#include "base/error.h"
#include "base/large_pages.h"
#include "engine/tensor/buffer.h"

namespace minimax {
namespace {

constexpr std::align_val_t alignment{64};

// One piece a lane is enough: it has arrived when send() returns.
class PlainUpload final : public Upload {
 public:
  PlainUpload(Memory& memory, const UploadSizes& sizes)
      : Upload(sizes),
        memory_(memory),
        pieces_(host_memory(), static_cast<size_t>(sizes.lane_count) * sizes.piece_bytes) {}

  void finish() override {}

 private:
  std::byte* next_piece(int lane) override {
    return static_cast<std::byte*>(pieces_.data()) +
           static_cast<size_t>(lane) * sizes().piece_bytes;
  }
  void send(int lane, void* device, size_t size_bytes) override {
    memory_.copy_from_host(device, next_piece(lane), size_bytes);
  }

  Memory& memory_;
  const Buffer pieces_;
};

class HostMemory final : public Memory {
 public:
  void* allocate(size_t size_bytes) override {
    void* data = ::operator new(size_bytes, alignment, std::nothrow);
    if (!data) fail(MINIMAX_OUT_OF_MEMORY, "cpu: no memory for ", size_bytes, " bytes");
    wish_for_large_pages(data, size_bytes);
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

std::unique_ptr<Upload> Memory::new_upload(const UploadSizes& sizes) {
  return std::make_unique<PlainUpload>(*this, sizes);
}

Memory& host_memory() {
  static HostMemory memory;
  return memory;
}

}  // namespace minimax
