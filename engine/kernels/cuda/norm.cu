// SPDX-License-Identifier: Apache-2.0
// RMS norm of rows, with the residual sum before it and the gate behind it.
#include <algorithm>

#include "engine/kernels/cuda/few.cuh"
#include "engine/kernels/cuda/rows.h"

namespace minimax {
namespace {

// A block takes rows blockIdx.x, + gridDim.x, ... and keeps a row in registers: each thread has
// `Vectors` times 8 neighbouring numbers.
template <int Vectors>
__global__ void __launch_bounds__(1024) norm_vectors(NormCall call) {
  __shared__ float scratch[2][32];
  let_next_start();
  const int vectors = call.width / 8;
  float weight[Vectors][8];
#pragma unroll
  for (int v = 0; v < Vectors; ++v) {
    const int place = static_cast<int>(threadIdx.x) + v * static_cast<int>(blockDim.x);
    if (place >= vectors) continue;
    const float4* from = reinterpret_cast<const float4*>(call.weight) + 2 * place;
    const float4 low = __ldg(from), high = __ldg(from + 1);
    weight[v][0] = low.x, weight[v][1] = low.y, weight[v][2] = low.z, weight[v][3] = low.w;
    weight[v][4] = high.x, weight[v][5] = high.y, weight[v][6] = high.z, weight[v][7] = high.w;
  }
  wait_for_inputs();
  int turn = 0;
  for (int row = static_cast<int>(blockIdx.x); row < call.tokens;
       row += static_cast<int>(gridDim.x), turn ^= 1) {
    const int64_t first = static_cast<int64_t>(row) * vectors;
    const uint4* x = reinterpret_cast<const uint4*>(call.x) + first;
    const uint4* y = reinterpret_cast<const uint4*>(call.y) + first;
    const uint4* gate = reinterpret_cast<const uint4*>(call.gate) + first;
    uint4* out = reinterpret_cast<uint4*>(call.out) + first;

    uint4 main[Vectors], second[Vectors];  // x, and y or the gate
#pragma unroll
    for (int v = 0; v < Vectors; ++v) {
      const int place = static_cast<int>(threadIdx.x) + v * static_cast<int>(blockDim.x);
      main[v] = second[v] = uint4{0, 0, 0, 0};
      if (place >= vectors) continue;
      main[v] = x[place];
      if (call.y != nullptr) {
        second[v] = y[place];
      } else if (call.gate != nullptr) {
        second[v] = gate[place];
      }
    }
    float values[Vectors][8];
    float squares = 0;
#pragma unroll
    for (int v = 0; v < Vectors; ++v) {
      unpack(main[v], values[v]);
      if (call.y != nullptr) {
        float other[8];
        unpack(second[v], other);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          values[v][i] = call.residual * values[v][i] + call.branch * other[i];
        }
      } else if (call.residual != 1.0f) {
#pragma unroll
        for (int i = 0; i < 8; ++i) values[v][i] *= call.residual;
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) squares += values[v][i] * values[v][i];
    }
    const float mean = block_sum(squares, scratch[turn]) / static_cast<float>(call.width);
    const float scale = 1.0f / sqrtf(mean + call.eps);
#pragma unroll
    for (int v = 0; v < Vectors; ++v) {
      const int place = static_cast<int>(threadIdx.x) + v * static_cast<int>(blockDim.x);
      if (place >= vectors) continue;
#pragma unroll
      for (int i = 0; i < 8; ++i) values[v][i] *= scale * weight[v][i];
      if (call.gate != nullptr) {
        if (call.y != nullptr) second[v] = gate[place];
        float open[8];
        unpack(second[v], open);
#pragma unroll
        for (int i = 0; i < 8; ++i) values[v][i] *= sigmoid(open[i]);
      }
      out[place] = pack(values[v]);
    }
  }
}

// Any width and alignment.
__global__ void __launch_bounds__(256) norm_any(NormCall call) {
  __shared__ float scratch[32];
  let_next_start();
  wait_for_inputs();
  const int64_t first = static_cast<int64_t>(blockIdx.x) * call.width;
  const auto sum_at = [&](int i) {
    const float x = call.residual * __bfloat162float(call.x[first + i]);
    return call.y == nullptr ? x : x + call.branch * __bfloat162float(call.y[first + i]);
  };
  float squares = 0;
  for (int i = static_cast<int>(threadIdx.x); i < call.width; i += 256) {
    const float value = sum_at(i);
    squares += value * value;
  }
  const float mean = block_sum(squares, scratch) / static_cast<float>(call.width);
  const float scale = 1.0f / sqrtf(mean + call.eps);
  for (int i = static_cast<int>(threadIdx.x); i < call.width; i += 256) {
    float value = sum_at(i) * scale * call.weight[i];
    if (call.gate != nullptr) value *= sigmoid(__bfloat162float(call.gate[first + i]));
    call.out[first + i] = __float2bfloat16(value);
  }
}

template <int Vectors>
void launch_vectors(const Launcher& launch, const NormCall& call) {
  const int threads = ((call.width / 8 + Vectors - 1) / Vectors + 31) / 32 * 32;
  const int resident = launch.device().multiprocessors * std::max(1, 1024 / threads);
  launch(norm_vectors<Vectors>, dim3(static_cast<unsigned>(std::min(call.tokens, resident))),
         dim3(static_cast<unsigned>(threads)), 0, call);
}

}  // namespace

void norm_rows(const Launcher& launch, const NormCall& call) {
  if (call.tokens == 0) return;
  const bool vectors = call.width % 8 == 0 && call.width <= 2 * 8 * 1024 && aligned(call.x) &&
                       aligned(call.y) && aligned(call.gate) && aligned(call.weight) &&
                       aligned(call.out);
  if (!vectors) {
    launch(norm_any, dim3(static_cast<unsigned>(call.tokens)), dim3(256), 0, call);
  } else if (call.tokens <= launch.device().multiprocessors && call.width <= 8 * 1024) {
    launch_vectors<1>(launch, call);  // the shortest way for a single row
  } else {
    launch_vectors<2>(launch, call);
  }
}

}  // namespace minimax
