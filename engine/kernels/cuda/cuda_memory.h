// SPDX-License-Identifier: Apache-2.0
// The memory of one GPU, and the pinned way into it.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <string>

#include "engine/tensor/memory.h"

namespace minimax {

// Any thread. Copies are synchronous, and ordered behind what the stream was given before.
class CudaMemory final : public Memory {
 public:
  CudaMemory(int device, cudaStream_t stream);
  ~CudaMemory() override;

  void* allocate(size_t size_bytes) override;
  void release(void* data, size_t size_bytes) noexcept override;
  std::unique_ptr<Upload> new_upload(const UploadSizes& sizes) override;
  void copy_from_host(void* device, const void* host, size_t size_bytes) override;
  void copy_to_host(void* host, const void* device, size_t size_bytes) override;
  void copy(void* to, const void* from, size_t size_bytes) override;
  void zero(void* device, size_t size_bytes) override;
  bool host_addressable() const override { return false; }

 private:
  void use() const;

  int device_;
  cudaStream_t stream_;
  std::string name_;
  std::mutex mutex_;  // guards the staging memory
  std::unique_ptr<Upload> upload_;
  void* download_ = nullptr;  // pinned
};

}  // namespace minimax
