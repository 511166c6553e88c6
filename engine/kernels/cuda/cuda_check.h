// SPDX-License-Identifier: Apache-2.0
// Turns a status of the CUDA runtime into the library's exception.
#pragma once

#include <cuda_runtime_api.h>

#include "base/error.h"

namespace minimax {

// what: the operation or the memory concerned, "cuda:0: linear".
template <typename... What>
void check_cuda(cudaError_t status, const What&... what) {
  if (status == cudaSuccess) return;
  const minimax_status kind =
      status == cudaErrorMemoryAllocation ? MINIMAX_OUT_OF_MEMORY : MINIMAX_DEVICE_ERROR;
  fail(kind, what..., ": ", cudaGetErrorString(status));
}

}  // namespace minimax
