// SPDX-License-Identifier: Apache-2.0
// Which GPUs there are, and how to open one: all that the library outside this folder knows of CUDA.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/ops/backend.h"

namespace minimax {

struct CudaDescription {
  int index;
  std::string name;  // "NVIDIA H100 80GB HBM3"
  uint64_t memory_bytes;
  int32_t multiprocessors;
};

// None when the machine has no GPU or no driver.
std::vector<CudaDescription> cuda_devices();
// Free memory of one of them now; 0 when it cannot be asked.
uint64_t cuda_available_bytes(int device);
// MINIMAX_NOT_AVAILABLE when there is no such GPU, or it is older than compute capability 8.0.
std::unique_ptr<Backend> open_cuda(int device);

}  // namespace minimax
