// SPDX-License-Identifier: Apache-2.0
// The last step of every ops::moe: a token's experts weighted and summed.
#pragma once

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/launcher.h"
#include "engine/kernels/cuda/moe.h"

namespace minimax {

inline constexpr int most_chosen = 32;

// out[t, w] = sum over e of shares[t, e] * partial[row of slot (t, e), w], ascending experts. The row is the
// slot's number, or places[slot] where there are places. Block x: token, block y: a part of the width.
// vector: numbers a thread handles at once.
template <typename Partial, int vector>
__global__ void __launch_bounds__(256)
    combine_experts(const Partial* partial, const int32_t* places, const int32_t* choices,
                    const float* shares, int chosen, int width, bfloat16* out) {
  __shared__ int order[most_chosen];
  __shared__ int rows[most_chosen];
  wait_for_inputs();
  const int64_t first_slot = static_cast<int64_t>(blockIdx.x) * chosen;
  // Each choice counts those before it.
  for (int e = static_cast<int>(threadIdx.x); e < chosen; e += static_cast<int>(blockDim.x)) {
    const int expert = choices[first_slot + e];
    int place = 0;
    for (int other = 0; other < chosen; ++other) {
      const int number = choices[first_slot + other];
      place += number < expert || (number == expert && other < e);
    }
    order[place] = e;
    rows[place] = static_cast<int>(places ? places[first_slot + e] : first_slot + e);
  }
  __syncthreads();

  struct alignas(sizeof(Partial) * vector) In {
    Partial numbers[vector];
  };
  struct alignas(sizeof(bfloat16) * vector) Out {
    bfloat16 numbers[vector];
  };
  const int step = static_cast<int>(gridDim.y * blockDim.x) * vector;
  const int first = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * vector;
  for (int w = first; w < width; w += step) {
    float sums[vector] = {};
    for (int i = 0; i < chosen; ++i) {
      const int64_t slot = first_slot + order[i];
      const In in =
          *reinterpret_cast<const In*>(partial + static_cast<int64_t>(rows[i]) * width + w);
#pragma unroll
      for (int v = 0; v < vector; ++v) {
        sums[v] += shares[slot] * static_cast<float>(in.numbers[v]);
      }
    }
    Out result;
#pragma unroll
    for (int v = 0; v < vector; ++v) result.numbers[v] = __float2bfloat16(sums[v]);
    *reinterpret_cast<Out*>(out + static_cast<int64_t>(blockIdx.x) * width + w) = result;
  }
}

}  // namespace minimax
