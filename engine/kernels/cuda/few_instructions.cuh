// SPDX-License-Identifier: Apache-2.0
// Single machine instructions that the kernels for few tokens need beside the common ones.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

// A kernel's blocks run in clusters of eight; compilers for older devices do not know the attribute.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define MINIMAX_CLUSTER_OF_EIGHT
#else
#define MINIMAX_CLUSTER_OF_EIGHT __cluster_dims__(8, 1, 1)
#endif

namespace minimax::hopper {

// Writes to the same shared address in block `rank` of the cluster. All its blocks must have started;
// seen there after the next cluster_sync().
__device__ __forceinline__ void store_at(uint32_t address, uint32_t rank, float value) {
  asm volatile(
      "{\n .reg .b32 remote;\n"
      " mapa.shared::cluster.u32 remote, %0, %1;\n"
      " st.shared::cluster.f32 [remote], %2;\n}" ::"r"(address),
      "r"(rank), "f"(value)
      : "memory");
}

}  // namespace minimax::hopper
