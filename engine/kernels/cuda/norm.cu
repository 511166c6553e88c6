// SPDX-License-Identifier: Apache-2.0
// RMS norm of rows, with the residual sum before it and the gate behind it.
#include <algorithm>

#include "engine/kernels/cuda/few.cuh"
#include "engine/kernels/cuda/rows.h"

namespace minimax {
namespace {

// What stands beside x: nothing, the branch to add, or the gate.
enum class Beside { nothing, branch, gate };

// A block takes rows blockIdx.x, + gridDim.x, ... and keeps a row in registers: `Vectors` times 8
// neighbouring numbers a thread. The next row is on its way while this one is summed.
template <int Vectors, int MostThreads, Beside Kind>
__global__ void __launch_bounds__(MostThreads, 1024 / MostThreads) norm_vectors(NormCall call) {
  __shared__ float scratch[2][32];
  let_next_start();
  const int vectors = call.width / 8;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  float weight[Vectors][8];
#pragma unroll
  for (int v = 0; v < Vectors; ++v) {
    const int place = thread + v * threads;
    if (place >= vectors) continue;
    const float4* from = reinterpret_cast<const float4*>(call.weight) + 2 * place;
    const float4 low = __ldg(from), high = __ldg(from + 1);
    weight[v][0] = low.x, weight[v][1] = low.y, weight[v][2] = low.z, weight[v][3] = low.w;
    weight[v][4] = high.x, weight[v][5] = high.y, weight[v][6] = high.z, weight[v][7] = high.w;
  }
  wait_for_inputs();

  const uint4* beside_rows =
      reinterpret_cast<const uint4*>(Kind == Beside::branch ? call.y : call.gate);
  uint4 x[Vectors], beside[Vectors];
  const auto load = [&](const uint4* rows, int row, uint4(&into)[Vectors]) {
    const int64_t first = static_cast<int64_t>(row) * vectors;
#pragma unroll
    for (int v = 0; v < Vectors; ++v) {
      const int place = thread + v * threads;
      into[v] = uint4{0, 0, 0, 0};
      if (place < vectors) into[v] = rows[first + place];
    }
  };
  const uint4* x_rows = reinterpret_cast<const uint4*>(call.x);
  load(x_rows, static_cast<int>(blockIdx.x), x);
  if (Kind != Beside::nothing) load(beside_rows, static_cast<int>(blockIdx.x), beside);
  int turn = 0;
  for (int row = static_cast<int>(blockIdx.x); row < call.tokens;
       row += static_cast<int>(gridDim.x), turn ^= 1) {
    const int next_row = row + static_cast<int>(gridDim.x);
    float values[Vectors][8];
    float squares = 0;
#pragma unroll
    for (int v = 0; v < Vectors; ++v) {
      unpack(x[v], values[v]);
      float branch[8] = {};
      if (Kind == Beside::branch) unpack(beside[v], branch);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        values[v][i] *= call.residual;
        if (Kind == Beside::branch) values[v][i] += call.branch * branch[i];
        squares += values[v][i] * values[v][i];
      }
    }
    // Another row: out may be x or y, but rows do not meet.
    if (next_row < call.tokens) {
      load(x_rows, next_row, x);
      if (Kind == Beside::branch) load(beside_rows, next_row, beside);
    }
    const float mean = block_sum(squares, scratch[turn]) / static_cast<float>(call.width);
    const float scale = 1.0f / sqrtf(mean + call.eps);
    uint4* out = reinterpret_cast<uint4*>(call.out) + static_cast<int64_t>(row) * vectors;
#pragma unroll
    for (int v = 0; v < Vectors; ++v) {
      const int place = thread + v * threads;
      if (place >= vectors) continue;
#pragma unroll
      for (int i = 0; i < 8; ++i) values[v][i] *= scale * weight[v][i];
      if (Kind == Beside::gate) {
        float open[8];
        unpack(beside[v], open);
#pragma unroll
        for (int i = 0; i < 8; ++i) values[v][i] *= sigmoid(open[i]);
      }
      out[place] = pack(values[v]);
    }
    if (Kind == Beside::gate && next_row < call.tokens) load(beside_rows, next_row, beside);
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

template <int Vectors, int MostThreads>
void launch_vectors(const Launcher& launch, const NormCall& call) {
  const int threads = ((call.width / 8 + Vectors - 1) / Vectors + 31) / 32 * 32;
  const int resident = launch.device().multiprocessors * (1024 / threads);
  const dim3 grid(static_cast<unsigned>(std::min(call.tokens, resident)));
  const dim3 block(static_cast<unsigned>(threads));
  if (call.y != nullptr) {
    launch(norm_vectors<Vectors, MostThreads, Beside::branch>, grid, block, 0, call);
  } else if (call.gate != nullptr) {
    launch(norm_vectors<Vectors, MostThreads, Beside::gate>, grid, block, 0, call);
  } else {
    launch(norm_vectors<Vectors, MostThreads, Beside::nothing>, grid, block, 0, call);
  }
}

}  // namespace

void norm_rows(const Launcher& launch, const NormCall& call) {
  if (call.tokens == 0) return;
  const bool vectors = call.width % 8 == 0 && (call.y == nullptr || call.gate == nullptr) &&
                       aligned(call.x) && aligned(call.y) && aligned(call.gate) &&
                       aligned(call.weight) && aligned(call.out);
  const int vector_count = call.width / 8;
  if (vectors && vector_count <= 1024 &&
      (call.tokens <= launch.device().multiprocessors || vector_count <= 256)) {
    launch_vectors<1, 1024>(launch, call);  // the shortest way for a single row
  } else if (vectors && vector_count <= 1024) {
    launch_vectors<2, 512>(launch, call);
  } else {
    launch(norm_any, dim3(static_cast<unsigned>(call.tokens)), dim3(256), 0, call);
  }
}

}  // namespace minimax
