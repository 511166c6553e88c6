// SPDX-License-Identifier: Apache-2.0
// Single machine instructions that the lightning attention kernels are made of.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

// So many blocks beside each other in x run at the same time, where the device knows clusters.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define MINIMAX_CLUSTER(blocks) __cluster_dims__(blocks, 1, 1)
#else
#define MINIMAX_CLUSTER(blocks)
#endif

namespace minimax {

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// 16 bytes that are read once. Not moved across waits by the compiler.
__device__ __forceinline__ float4 load_once(const float* from) {
  float4 x;
  asm volatile("ld.global.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w)
               : "l"(from)
               : "memory");
  return x;
}

// 16 bytes from global to shared memory, complete after copies_done.
__device__ __forceinline__ void copy_16(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from)
               : "memory");
}
// The same, or zeros.
__device__ __forceinline__ void copy_16_or_zero(void* to, const void* from, bool copy) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(copy ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void end_copy_group() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits until at most so many of this thread's groups are under way.
template <int groups>
__device__ __forceinline__ void copies_done() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

// All threads of the cluster.
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
