// SPDX-License-Identifier: Apache-2.0
// What vision towers need beside the text model's operations: biases, GELU, sums, layer norm.
#include <algorithm>

#include "engine/kernels/cuda/rows.h"

namespace minimax {
namespace {

constexpr int block_threads = 256;

__device__ float activated(Activation activation, float x) {
  switch (activation) {
    case Activation::none:
      break;
    case Activation::silu:
      return silu(x);
    case Activation::gelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678f));
  }
  return x;
}

__global__ void add_bias_kernel(const bfloat16* x, const float* bias, Activation activation,
                                bfloat16* out, int64_t count, int width) {
  wait_for_inputs();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    out[i] = __float2bfloat16(activated(activation, __bfloat162float(x[i]) + bias[i % width]));
  }
}

__global__ void add_kernel(const bfloat16* x, const bfloat16* y, bfloat16* out, int64_t count,
                           int64_t period) {
  wait_for_inputs();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    out[i] = __float2bfloat16(__bfloat162float(x[i]) + __bfloat162float(y[i % period]));
  }
}

__global__ void layer_norm_kernel(const bfloat16* x, const float* weight, const float* bias,
                                  float eps, bfloat16* out, int width) {
  __shared__ float sums[32];
  wait_for_inputs();
  const bfloat16* from = x + static_cast<int64_t>(blockIdx.x) * width;
  bfloat16* to = out + static_cast<int64_t>(blockIdx.x) * width;
  const int first = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  float total = 0;
  for (int i = first; i < width; i += step) total += __bfloat162float(from[i]);
  const float mean = block_sum(total, sums) / static_cast<float>(width);
  __syncthreads();
  float squares = 0;
  for (int i = first; i < width; i += step) {
    const float centred = __bfloat162float(from[i]) - mean;
    squares += centred * centred;
  }
  const float variance = block_sum(squares, sums) / static_cast<float>(width);
  const float scale = rsqrtf(variance + eps);
  for (int i = first; i < width; i += step) {
    to[i] = __float2bfloat16((__bfloat162float(from[i]) - mean) * scale * weight[i] + bias[i]);
  }
}

dim3 blocks_for(const Launcher& launch, int64_t count) {
  const int64_t blocks = (count + block_threads - 1) / block_threads;
  return dim3(static_cast<unsigned>(
      std::min<int64_t>(blocks, int64_t{16} * launch.device().multiprocessors)));
}

}  // namespace

void add_bias_rows(const Launcher& launch, const bfloat16* x, const float* bias,
                   Activation activation, bfloat16* out, int tokens, int width) {
  const int64_t count = static_cast<int64_t>(tokens) * width;
  launch(add_bias_kernel, blocks_for(launch, count), dim3(block_threads), 0, x, bias, activation,
         out, count, width);
}

void add_rows(const Launcher& launch, const bfloat16* x, const bfloat16* y, bfloat16* out,
              int tokens, int rows, int width) {
  const int64_t count = static_cast<int64_t>(tokens) * width;
  launch(add_kernel, blocks_for(launch, count), dim3(block_threads), 0, x, y, out, count,
         static_cast<int64_t>(rows) * width);
}

void layer_norm_rows(const Launcher& launch, const bfloat16* x, const float* weight,
                     const float* bias, float eps, bfloat16* out, int tokens, int width) {
  launch(layer_norm_kernel, dim3(static_cast<unsigned>(tokens)), dim3(block_threads), 0, x, weight,
         bias, eps, out, width);
}

}  // namespace minimax
