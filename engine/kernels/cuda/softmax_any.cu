// SPDX-License-Identifier: Apache-2.0
// Softmax attention for any shape and any device: a block for each row and head.
#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/softmax.cuh"

namespace minimax {
namespace {

constexpr int warp_count = 4;
constexpr int block_threads = 32 * warp_count;
constexpr int max_width = 256;
constexpr int lane_numbers = max_width / 32;  // numbers of a head in one lane, 32 apart

struct AnyRows {
  const bfloat16* q;
  bfloat16* out;
  int heads;
  float scale;  // times log2(e)
  PagedKv kv;
};

__device__ __forceinline__ float number(bfloat16 x) {
  return __bfloat162float(x);
}
__device__ __forceinline__ float number(float x) {
  return x;
}

// What softmax over some of the tokens gave: values weighted by exp2(score - top), and the weights' sum.
struct Partial {
  float top = -INFINITY;
  float total = 0;
  float values[lane_numbers] = {};
};

template <typename Stored>
__device__ __forceinline__ float score_of(const Stored* key, const float* query, int width) {
  float sum = 0;
  int d = 0;
  constexpr int numbers = 16 / sizeof(Stored);
  if (reinterpret_cast<uintptr_t>(key) % 16 == 0) {
    for (; d + numbers <= width; d += numbers) {
      union {
        uint4 bits;
        Stored numbers[16 / sizeof(Stored)];
      } chunk;
      chunk.bits = *reinterpret_cast<const uint4*>(key + d);
#pragma unroll
      for (int i = 0; i < numbers; ++i) sum += query[d + i] * number(chunk.numbers[i]);
    }
  }
  for (; d < width; ++d) sum += query[d] * number(key[d]);
  return sum;
}

// 32 tokens, one a lane; those from `length` on do not exist.
template <typename Stored>
__device__ __forceinline__ void add_tokens(Partial& partial, const PagedKv& kv,
                                           std::byte* const* pages, int head, uint32_t first,
                                           uint32_t length, const float* query) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const uint32_t token = first + static_cast<uint32_t>(lane);
  const std::byte* key = nullptr;
  float score = -INFINITY;
  if (token < length) {
    key = kv.key(pages, head, token, sizeof(Stored));
    score = score_of(reinterpret_cast<const Stored*>(key), query, kv.width);
  }

  const float top = fmaxf(partial.top, warp_max(score));
  const float shrink = exp2f(partial.top - top);
  const float share = exp2f(score - top);
  partial.top = top;
  partial.total = partial.total * shrink + warp_sum(share);
#pragma unroll
  for (float& value : partial.values) value *= shrink;

  const int count = static_cast<int>(min(length - first, 32u));
  for (int i = 0; i < count; ++i) {
    const auto address = __shfl_sync(0xffffffffu, reinterpret_cast<unsigned long long>(key), i);
    const float weight = __shfl_sync(0xffffffffu, share, i);
    const auto* const value = reinterpret_cast<const Stored*>(address + kv.plane_bytes);
#pragma unroll
    for (int n = 0; n < lane_numbers; ++n) {
      const int d = lane + 32 * n;
      if (d < kv.width) partial.values[n] += weight * number(value[d]);
    }
  }
}

template <typename Stored>
__global__ void __launch_bounds__(block_threads) softmax_any_kernel(AnyRows rows) {
  __shared__ float query[max_width];
  __shared__ float tops[warp_count], totals[warp_count];
  __shared__ float values[warp_count][max_width];
  wait_for_inputs();
  let_next_start();

  const int width = rows.kv.width;
  const int row = static_cast<int>(blockIdx.x) / rows.heads;
  const int head = static_cast<int>(blockIdx.x) % rows.heads;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int64_t offset = static_cast<int64_t>(blockIdx.x) * width;
  for (int d = thread; d < width; d += block_threads) {
    query[d] = rows.scale * __bfloat162float(rows.q[offset + d]);
  }
  __syncthreads();

  // Each warp takes every fourth stretch of 32 tokens.
  const DeviceKv sequence = rows.kv.entries[rows.kv.row_sequence[row]];
  const auto length = static_cast<uint32_t>(sequence.position + row - sequence.first_row + 1);
  const int kv_head = head / (rows.heads / rows.kv.heads);
  Partial partial;
  for (uint32_t first = 32u * static_cast<uint32_t>(warp); first < length; first += block_threads) {
    add_tokens<Stored>(partial, rows.kv, sequence.pages, kv_head, first, length, query);
  }

  if (lane == 0) {
    tops[warp] = partial.top;
    totals[warp] = partial.total;
  }
#pragma unroll
  for (int n = 0; n < lane_numbers; ++n) values[warp][lane + 32 * n] = partial.values[n];
  __syncthreads();

  // Warp 0 always had a token, so the top of all is finite.
  float top = tops[0], total = 0;
  for (int w = 1; w < warp_count; ++w) top = fmaxf(top, tops[w]);
  for (int w = 0; w < warp_count; ++w) total += exp2f(tops[w] - top) * totals[w];
  for (int d = thread; d < width; d += block_threads) {
    float sum = 0;
    for (int w = 0; w < warp_count; ++w) sum += exp2f(tops[w] - top) * values[w][d];
    rows.out[offset + d] = __float2bfloat16_rn(sum / total);
  }
}

}  // namespace

void softmax_any(const Launcher& launch, const SoftmaxCall& call) {
  if (call.tokens == 0) return;
  if (call.width > max_width) {
    fail(MINIMAX_UNSUPPORTED, launch.operation(), ": heads are ", call.width, " wide, at most ",
         max_width, " on a GPU");
  }
  const AnyRows rows{call.q, call.out, call.heads, call.scale * 1.44269504f,
                     PagedKv::of(call.layout, call.sequences)};
  const auto kernel =
      call.layout.dtype == DType::bf16 ? softmax_any_kernel<bfloat16> : softmax_any_kernel<float>;
  launch(kernel, static_cast<unsigned>(call.tokens * call.heads), block_threads, 0, rows);
}

}  // namespace minimax
