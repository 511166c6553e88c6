// SPDX-License-Identifier: Apache-2.0
// What the library outside this folder calls: which GPUs there are, and one of them opened.
#include "engine/kernels/cuda/cuda_devices.h"

#include "engine/kernels/cuda/cuda_backend.h"

namespace minimax {

std::vector<CudaDescription> cuda_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return {};
  }
  std::vector<CudaDescription> found;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) continue;
    found.push_back(
        {index, properties.name, properties.totalGlobalMem, properties.multiProcessorCount});
  }
  return found;
}

uint64_t cuda_available_bytes(int device) {
  size_t free = 0, total = 0;
  const bool known =
      cudaSetDevice(device) == cudaSuccess && cudaMemGetInfo(&free, &total) == cudaSuccess;
  if (!known) static_cast<void>(cudaGetLastError());
  return known ? free : 0;
}

std::unique_ptr<Backend> open_cuda(int device) {
  return std::make_unique<CudaBackend>(device);
}

}  // namespace minimax
