// SPDX-License-Identifier: Apache-2.0
// Single machine instructions that the lightning attention kernels need beside warp_mma.cuh and hopper.cuh.
#pragma once

#include <cuda_runtime.h>

// So many blocks beside each other in x run at the same time, where the device knows clusters.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define MINIMAX_CLUSTER(blocks) __cluster_dims__(blocks, 1, 1)
#else
#define MINIMAX_CLUSTER(blocks)
#endif

namespace minimax {

// 16 bytes of device memory that are read once; stays where it is among waits.
__device__ __forceinline__ float4 load_once(const float* from) {
  float4 x;
  asm volatile("ld.global.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w)
               : "l"(from)
               : "memory");
  return x;
}

// The two halves of a barrier among all threads of a cluster, each once for every thread; nothing where
// there are no clusters.
__device__ __forceinline__ void cluster_arrive() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

}  // namespace minimax
