// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/cuda/cuda_memory.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/cuda/cuda_check.h"

namespace minimax {
namespace {

constexpr size_t staging_bytes = size_t{8} << 20;

// Pinned host memory.
void* pinned(const std::string& name, size_t size_bytes) {
  void* data = nullptr;
  check_cuda(cudaHostAlloc(&data, std::max<size_t>(size_bytes, 1), cudaHostAllocDefault), name,
             ": pinned host memory of ", size_bytes, " bytes");
  return data;
}

class CudaUpload final : public Upload {
 public:
  CudaUpload(std::string name, cudaStream_t stream, size_t half_bytes)
      : name_(std::move(name)), stream_(stream), half_bytes_(half_bytes) {
    for (Half& half : halves_) {
      check_cuda(cudaEventCreateWithFlags(&half.arrived, cudaEventDisableTiming), name_);
      half.data = pinned(name_, half_bytes);
    }
  }
  ~CudaUpload() override {
    static_cast<void>(cudaStreamSynchronize(stream_));
    for (const Half& half : halves_) {
      if (half.arrived) cudaEventDestroy(half.arrived);
      cudaFreeHost(half.data);
    }
  }

  size_t half_bytes() const override { return half_bytes_; }
  std::byte* next_half() override {
    at_ = 1 - at_;
    check_cuda(cudaEventSynchronize(halves_[at_].arrived), name_, ": copy from the host");
    return static_cast<std::byte*>(halves_[at_].data);
  }
  void send(void* device, size_t size_bytes) override {
    const Half& half = halves_[at_];
    check_cuda(cudaMemcpyAsync(device, half.data, size_bytes, cudaMemcpyHostToDevice, stream_),
               name_, ": copy from the host");
    check_cuda(cudaEventRecord(half.arrived, stream_), name_, ": copy from the host");
  }
  void finish() override {
    check_cuda(cudaStreamSynchronize(stream_), name_, ": copy from the host");
  }

 private:
  struct Half {
    void* data = nullptr;
    cudaEvent_t arrived = nullptr;
  };
  std::string name_;
  cudaStream_t stream_;
  size_t half_bytes_;
  Half halves_[2];
  size_t at_ = 0;
};

}  // namespace

CudaMemory::CudaMemory(int device, cudaStream_t stream)
    : device_(device), stream_(stream), name_(text("cuda:", device)) {
  upload_ = new_upload(staging_bytes);
  download_ = pinned(name_, staging_bytes);
}

CudaMemory::~CudaMemory() {
  cudaFreeHost(download_);
}

std::unique_ptr<Upload> CudaMemory::new_upload(size_t half_bytes) {
  use();
  return std::make_unique<CudaUpload>(name_, stream_, half_bytes);
}

void CudaMemory::use() const {
  check_cuda(cudaSetDevice(device_), name_);
}

void* CudaMemory::allocate(size_t size_bytes) {
  use();
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, std::max<size_t>(size_bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // not sticky: what follows must not meet it again
    size_t free = 0, total = 0;
    static_cast<void>(cudaMemGetInfo(&free, &total));
    fail(MINIMAX_OUT_OF_MEMORY, name_, ": no memory for ", size_bytes, " bytes, ", free, " free");
  }
  check_cuda(status, name_, ": memory of ", size_bytes, " bytes");
  return data;
}

void CudaMemory::release(void* data, size_t) noexcept {
  static_cast<void>(cudaSetDevice(device_));
  static_cast<void>(cudaFree(data));  // waits until nothing uses it any more
}

void CudaMemory::copy_from_host(void* device, const void* host, size_t size_bytes) {
  const std::lock_guard lock(mutex_);
  use();
  auto* to = static_cast<std::byte*>(device);
  const auto* from = static_cast<const std::byte*>(host);
  for (size_t done = 0; done < size_bytes; done += upload_->half_bytes()) {
    const size_t part = std::min(upload_->half_bytes(), size_bytes - done);
    std::memcpy(upload_->next_half(), from + done, part);
    upload_->send(to + done, part);
  }
  upload_->finish();
}

void CudaMemory::copy_to_host(void* host, const void* device, size_t size_bytes) {
  const std::lock_guard lock(mutex_);
  use();
  auto* to = static_cast<std::byte*>(host);
  const auto* from = static_cast<const std::byte*>(device);
  for (size_t done = 0; done < size_bytes; done += staging_bytes) {
    const size_t part = std::min(staging_bytes, size_bytes - done);
    check_cuda(cudaMemcpyAsync(download_, from + done, part, cudaMemcpyDeviceToHost, stream_),
               name_, ": copy to the host");
    check_cuda(cudaStreamSynchronize(stream_), name_, ": copy to the host");
    std::memcpy(to + done, download_, part);
  }
}

void CudaMemory::copy(void* to, const void* from, size_t size_bytes) {
  use();
  check_cuda(cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDeviceToDevice, stream_), name_,
             ": copy");
  check_cuda(cudaStreamSynchronize(stream_), name_, ": copy");
}

void CudaMemory::zero(void* device, size_t size_bytes) {
  use();
  check_cuda(cudaMemsetAsync(device, 0, size_bytes, stream_), name_, ": clearing memory");
  check_cuda(cudaStreamSynchronize(stream_), name_, ": clearing memory");
}

}  // namespace minimax
