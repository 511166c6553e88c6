// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/cuda/cuda_memory.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "engine/kernels/cuda/cuda_check.h"

namespace minimax {
namespace {

constexpr size_t download_bytes = size_t{8} << 20;

// Pinned host memory.
void* pinned(const std::string& name, size_t size_bytes) {
  void* data = nullptr;
  check_cuda(cudaHostAlloc(&data, std::max<size_t>(size_bytes, 1), cudaHostAllocDefault), name,
             ": pinned host memory of ", size_bytes, " bytes");
  return data;
}

class CudaUpload final : public Upload {
 public:
  CudaUpload(int device, cudaStream_t stream, const UploadSizes& sizes)
      : Upload(sizes),
        device_(device),
        stream_(stream),
        name_(text("cuda:", device)),
        lanes_(static_cast<size_t>(sizes.lane_count)) {
    try {
      memory_ = static_cast<std::byte*>(pinned(name_, 2 * lanes_.size() * sizes.piece_bytes));
      for (Lane& lane : lanes_) {
        for (cudaEvent_t& arrived : lane.arrived) {
          check_cuda(cudaEventCreateWithFlags(&arrived, cudaEventDisableTiming), name_);
        }
      }
    } catch (...) {
      release();
      throw;
    }
  }
  ~CudaUpload() override {
    static_cast<void>(cudaStreamSynchronize(stream_));
    release();
  }

  void finish() override {
    check_cuda(cudaStreamSynchronize(stream_), name_, ": copy from the host");
  }

 private:
  // Two pieces that take turns.
  struct Lane {
    std::array<cudaEvent_t, 2> arrived{};
    size_t at = 0;  // the piece that was given last
  };

  std::byte* piece(int lane) const {
    const size_t at = lanes_[static_cast<size_t>(lane)].at;
    return memory_ + (2 * static_cast<size_t>(lane) + at) * sizes().piece_bytes;
  }
  // CUDA may meet the calling thread for the first time.
  std::byte* next_piece(int lane) override {
    check_cuda(cudaSetDevice(device_), name_);
    Lane& its = lanes_[static_cast<size_t>(lane)];
    its.at = 1 - its.at;
    check_cuda(cudaEventSynchronize(its.arrived[its.at]), name_, ": copy from the host");
    return piece(lane);
  }
  void send(int lane, void* device, size_t size_bytes) override {
    const Lane& its = lanes_[static_cast<size_t>(lane)];
    check_cuda(cudaMemcpyAsync(device, piece(lane), size_bytes, cudaMemcpyHostToDevice, stream_),
               name_, ": copy from the host");
    check_cuda(cudaEventRecord(its.arrived[its.at], stream_), name_, ": copy from the host");
  }
  void release() noexcept {
    for (const Lane& lane : lanes_) {
      for (const cudaEvent_t arrived : lane.arrived) {
        if (arrived) cudaEventDestroy(arrived);
      }
    }
    cudaFreeHost(memory_);
  }

  int device_;
  cudaStream_t stream_;
  std::string name_;
  std::vector<Lane> lanes_;
  std::byte* memory_ = nullptr;  // pinned: the pieces of all lanes
};

}  // namespace

CudaMemory::CudaMemory(int device, cudaStream_t stream)
    : device_(device), stream_(stream), name_(text("cuda:", device)) {
  upload_ = new_upload({});
  download_ = pinned(name_, download_bytes);
}

CudaMemory::~CudaMemory() {
  cudaFreeHost(download_);
}

std::unique_ptr<Upload> CudaMemory::new_upload(const UploadSizes& sizes) {
  use();
  return std::make_unique<CudaUpload>(device_, stream_, sizes);
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
  const auto* from = static_cast<const std::byte*>(host);
  upload_->fill(device, size_bytes, nullptr, [from](size_t offset, std::span<std::byte> to) {
    std::memcpy(to.data(), from + offset, to.size());
  });
  upload_->finish();
}

void CudaMemory::copy_to_host(void* host, const void* device, size_t size_bytes) {
  const std::lock_guard lock(mutex_);
  use();
  auto* to = static_cast<std::byte*>(host);
  const auto* from = static_cast<const std::byte*>(device);
  for (size_t done = 0; done < size_bytes; done += download_bytes) {
    const size_t part = std::min(download_bytes, size_bytes - done);
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
