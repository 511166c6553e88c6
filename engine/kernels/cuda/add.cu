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

// `count` numbers, vector at a time: 8, or 1 where rows are not whole vectors.
template <int vector>
struct alignas(sizeof(bfloat16) * vector) Numbers {
  bfloat16 of[vector];

  static __device__ Numbers load(const bfloat16* from) {
    return *reinterpret_cast<const Numbers*>(from);
  }
  __device__ void store(bfloat16* to) const { *reinterpret_cast<Numbers*>(to) = *this; }
};

template <int vector>
__global__ void __launch_bounds__(block_threads)
    add_bias_kernel(bfloat16* x, int64_t stride, const float* bias, Activation activation,
                    int64_t count, int width) {
  wait_for_inputs();
  let_next_start();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * vector;
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * vector;
       i < count; i += step) {
    const int64_t column = i % width;
    bfloat16* const at = x + i / width * stride + column;
    Numbers<vector> numbers = Numbers<vector>::load(at);
#pragma unroll
    for (int v = 0; v < vector; ++v) {
      numbers.of[v] = __float2bfloat16(
          activated(activation, __bfloat162float(numbers.of[v]) + __ldg(bias + column + v)));
    }
    numbers.store(at);
  }
}

template <int vector>
__global__ void __launch_bounds__(block_threads)
    add_kernel(const bfloat16* x, const bfloat16* y, bfloat16* out, int64_t count, int64_t period) {
  wait_for_inputs();
  let_next_start();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * vector;
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * vector;
       i < count; i += step) {
    Numbers<vector> numbers = Numbers<vector>::load(x + i);
    const Numbers<vector> more = Numbers<vector>::load(y + i % period);
#pragma unroll
    for (int v = 0; v < vector; ++v) {
      numbers.of[v] =
          __float2bfloat16(__bfloat162float(numbers.of[v]) + __bfloat162float(more.of[v]));
    }
    numbers.store(out + i);
  }
}

__device__ __forceinline__ void load_floats(const float* from, float (&to)[8]) {
  const float4 low = __ldg(reinterpret_cast<const float4*>(from));
  const float4 high = __ldg(reinterpret_cast<const float4*>(from) + 1);
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

// A warp has a row at a time, whose numbers stay in its registers as weights and biases do: up to
// 256 * most_vectors of each.
constexpr int most_vectors = 4;

template <int vectors>
__global__ void __launch_bounds__(block_threads)
    layer_norm_warps(const bfloat16* x, const float* weight, const float* bias, float eps,
                     bfloat16* out, int tokens, int width) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float weights[vectors][8] = {}, biases[vectors][8] = {};
#pragma unroll
  for (int v = 0; v < vectors; ++v) {
    const int at = (v * 32 + lane) * 8;
    if (at >= width) break;
    load_floats(weight + at, weights[v]);
    load_floats(bias + at, biases[v]);
  }
  wait_for_inputs();
  let_next_start();
  const int warps = static_cast<int>(gridDim.x * blockDim.x) / 32;
  for (int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / 32; row < tokens;
       row += warps) {
    const bfloat16* from = x + static_cast<int64_t>(row) * width;
    float numbers[vectors][8];
    float total = 0;
#pragma unroll
    for (int v = 0; v < vectors; ++v) {
      const int at = (v * 32 + lane) * 8;
      const bool inside = at < width;
      Numbers<8> loaded{};
      if (inside) loaded = Numbers<8>::load(from + at);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        numbers[v][i] = inside ? __bfloat162float(loaded.of[i]) : 0.0f;
        total += numbers[v][i];
      }
    }
    const float mean = warp_sum(total) / static_cast<float>(width);
    float squares = 0;
#pragma unroll
    for (int v = 0; v < vectors; ++v) {
      if ((v * 32 + lane) * 8 >= width) break;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        numbers[v][i] -= mean;
        squares += numbers[v][i] * numbers[v][i];
      }
    }
    const float scale = rsqrtf(warp_sum(squares) / static_cast<float>(width) + eps);
#pragma unroll
    for (int v = 0; v < vectors; ++v) {
      const int at = (v * 32 + lane) * 8;
      if (at >= width) break;
      Numbers<8> result;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        result.of[i] = __float2bfloat16(fmaf(numbers[v][i] * scale, weights[v][i], biases[v][i]));
      }
      result.store(out + static_cast<int64_t>(row) * width + at);
    }
  }
}

// Rows of any width, a block each.
__global__ void __launch_bounds__(block_threads)
    layer_norm_blocks(const bfloat16* x, const float* weight, const float* bias, float eps,
                      bfloat16* out, int width) {
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

bool aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

dim3 blocks_for(const Launcher& launch, int64_t count, int vector) {
  const int64_t blocks = (count / vector + block_threads - 1) / block_threads;
  return dim3(static_cast<unsigned>(
      std::min<int64_t>(blocks, int64_t{16} * launch.device().multiprocessors)));
}

}  // namespace

void add_bias_rows(const Launcher& launch, bfloat16* x, int64_t stride, const float* bias,
                   Activation activation, int tokens, int width) {
  const int64_t count = static_cast<int64_t>(tokens) * width;
  const bool vectors = width % 8 == 0 && stride % 8 == 0 && aligned(x);
  launch(vectors ? add_bias_kernel<8> : add_bias_kernel<1>,
         blocks_for(launch, count, vectors ? 8 : 1), dim3(block_threads), 0, x, stride, bias,
         activation, count, width);
}

void add_rows(const Launcher& launch, const bfloat16* x, const bfloat16* y, bfloat16* out,
              int tokens, int rows, int width) {
  const int64_t count = static_cast<int64_t>(tokens) * width;
  const bool vectors = width % 8 == 0 && aligned(x) && aligned(y) && aligned(out);
  launch(vectors ? add_kernel<8> : add_kernel<1>, blocks_for(launch, count, vectors ? 8 : 1),
         dim3(block_threads), 0, x, y, out, count, static_cast<int64_t>(rows) * width);
}

void layer_norm_rows(const Launcher& launch, const bfloat16* x, const float* weight,
                     const float* bias, float eps, bfloat16* out, int tokens, int width) {
  if (width % 8 == 0 && width <= 256 * most_vectors && aligned(x) && aligned(out) &&
      aligned(weight) && aligned(bias)) {
    const auto kernel = width <= 256 ? layer_norm_warps<1> : layer_norm_warps<most_vectors>;
    constexpr int rows = block_threads / 32;
    const int blocks = std::min((tokens + rows - 1) / rows, 2 * launch.device().multiprocessors);
    launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(block_threads), 0, x, weight, bias,
           eps, out, tokens, width);
    return;
  }
  launch(layer_norm_blocks, dim3(static_cast<unsigned>(tokens)), dim3(block_threads), 0, x, weight,
         bias, eps, out, width);
}

}  // namespace minimax
