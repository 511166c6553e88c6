// SPDX-License-Identifier: Apache-2.0
// What the lightning attention kernels share: where a head's state and log lie, and its decay.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/device.cuh"

namespace minimax {

// One head of one sequence in the call's layer.
struct LightningHead {
  float* state;      // [D, D]
  bfloat16* keys;    // [log_rows, D]
  bfloat16* values;  // [log_rows, D]

  __device__ __forceinline__ LightningHead(const LightningCall& call,
                                           const DeviceLightning& sequence, int head) {
    const int64_t plane = call.layer * call.heads + head;
    state = sequence.states + plane * call.width * call.width;
    keys = static_cast<bfloat16*>(sequence.logs) + plane * 2 * sequence.log_rows * call.width;
    values = keys + sequence.log_rows * call.width;
  }
};

// exp(-slope * steps). Exact steps, so that no error grows with the text.
__device__ __forceinline__ float lightning_decay(float slope, int64_t steps) {
  return expf(-slope * static_cast<float>(steps));
}

// The two numbers of a pair of bf16.
__device__ __forceinline__ float low_half(uint32_t pair) {
  return __uint_as_float(pair << 16);
}
__device__ __forceinline__ float high_half(uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000u);
}

}  // namespace minimax
