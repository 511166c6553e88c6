// SPDX-License-Identifier: Apache-2.0
// Rotary embedding, and keys and values on their way into pages.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/kernels/cuda/rows.h"
#include "engine/kernels/cuda/softmax.cuh"

namespace minimax {
namespace {

constexpr int block_threads = 256;

bool is_aligned(const void* address, size_t bytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

struct RopeRows {
  bfloat16* x;
  const int32_t* positions;
  int tokens, heads, width, half;
  int block_tokens;  // tokens of one block
  double log2_step;  // frequency j is exp2(-j * log2_step)
};

// Rotates a pair of numbers that lie half a rotary width apart.
__device__ __forceinline__ void rotate(float& a, float& b, float2 turn) {
  const float x = a, y = b;
  a = x * turn.x - y * turn.y;
  b = y * turn.x + x * turn.y;
}

__device__ __forceinline__ void rotate_pair(__nv_bfloat162& a, __nv_bfloat162& b, float2 first,
                                            float2 second) {
  float2 x = __bfloat1622float2(a), y = __bfloat1622float2(b);
  rotate(x.x, y.x, first);
  rotate(x.y, y.y, second);
  a = __float22bfloat162_rn(x);
  b = __float22bfloat162_rn(y);
}

// Eight numbers in 16 bytes.
union Eight {
  uint4 bits;
  __nv_bfloat162 pairs[4];
};

// vectors: half and width are multiples of eight and x is aligned.
template <bool vectors>
__global__ void __launch_bounds__(block_threads) rope_kernel(RopeRows rows) {
  extern __shared__ __align__(16) unsigned char shared[];
  double* const frequencies = reinterpret_cast<double*>(shared);  // [half], in turns a token
  float2* const turns =
      reinterpret_cast<float2*>(frequencies + rows.half);  // [tokens, half]: cos, sin

  for (int j = static_cast<int>(threadIdx.x); j < rows.half; j += block_threads) {
    frequencies[j] = exp2(-j * rows.log2_step) * (0.5 * std::numbers::inv_pi);
  }
  __syncthreads();
  wait_for_inputs();
  let_next_start();

  // Turns are counted and cut in double: at position 4,000,000 an f32 would be wrong by a quarter.
  const int first = static_cast<int>(blockIdx.x) * rows.block_tokens;
  const int count = min(rows.block_tokens, rows.tokens - first);
  for (int i = static_cast<int>(threadIdx.x); i < count * rows.half; i += block_threads) {
    const int token = i / rows.half, j = i % rows.half;
    const double turn = rows.positions[first + token] * frequencies[j];
    float sin, cos;
    sincospif(2 * static_cast<float>(turn - rint(turn)), &sin, &cos);
    turns[i] = {cos, sin};
  }
  __syncthreads();

  constexpr int step = vectors ? 8 : 1;
  const int head_items = rows.half / step, token_items = rows.heads * head_items;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < count * token_items; i += block_threads) {
    const int token = i / token_items, rest = i % token_items;
    const int head = rest / head_items, j = rest % head_items * step;
    const float2* const turn = turns + token * rows.half + j;
    const int64_t row = static_cast<int64_t>(first + token) * rows.heads + head;
    bfloat16* const low = rows.x + row * rows.width + j;
    bfloat16* const high = low + rows.half;
    if constexpr (vectors) {
      Eight a, b;
      a.bits = *reinterpret_cast<const uint4*>(low);
      b.bits = *reinterpret_cast<const uint4*>(high);
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
        rotate_pair(a.pairs[pair], b.pairs[pair], turn[2 * pair], turn[2 * pair + 1]);
      }
      *reinterpret_cast<uint4*>(low) = a.bits;
      *reinterpret_cast<uint4*>(high) = b.bits;
    } else {
      float a = __bfloat162float(*low), b = __bfloat162float(*high);
      rotate(a, b, *turn);
      *low = __float2bfloat16_rn(a);
      *high = __float2bfloat16_rn(b);
    }
  }
}

struct KvRows {
  const bfloat16* k;
  const bfloat16* v;
  int tokens;
  PagedKv kv;
};

__device__ __forceinline__ void store_one(bfloat16* to, bfloat16 from) {
  *to = from;
}
__device__ __forceinline__ void store_one(float* to, bfloat16 from) {
  *to = __bfloat162float(from);
}
__device__ __forceinline__ void store_one(uint4* to, uint4 from) {
  *to = from;
}

// Copies items of type From into pages that hold them as To: numbers, or eight numbers at once.
template <typename From, typename To>
__global__ void __launch_bounds__(block_threads) store_kv_kernel(KvRows rows) {
  constexpr int numbers = sizeof(From) / sizeof(bfloat16);
  constexpr size_t number_bytes = sizeof(To) / numbers;
  wait_for_inputs();
  let_next_start();

  const uint32_t head_items = static_cast<uint32_t>(rows.kv.width / numbers);
  const uint32_t row_items = static_cast<uint32_t>(rows.kv.heads) * head_items;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * block_threads + threadIdx.x;
  const int64_t row = i / row_items;
  if (row >= rows.tokens) return;
  const uint32_t item = static_cast<uint32_t>(i - row * row_items);
  const uint32_t head = item / head_items, place = item % head_items;

  const From key = reinterpret_cast<const From*>(rows.k)[i];
  const From value = reinterpret_cast<const From*>(rows.v)[i];
  const DeviceKv& sequence = rows.kv.entries[rows.kv.row_sequence[row]];
  const uint32_t token = static_cast<uint32_t>(sequence.position + row - sequence.first_row);
  std::byte* const at =
      rows.kv.key(sequence.pages, static_cast<int>(head), token, number_bytes) + place * sizeof(To);
  store_one(reinterpret_cast<To*>(at), key);
  store_one(reinterpret_cast<To*>(at + rows.kv.plane_bytes), value);
}

}  // namespace

void rope_rows(const Launcher& launch, bfloat16* x, const int32_t* positions, int tokens, int heads,
               int width, Rope rope) {
  const int half = static_cast<int>(rope.rotary_dim / 2);
  if (tokens == 0 || half == 0) return;
  // Few tokens go one to a block; of many, several share what a block costs to begin.
  const int block_tokens = std::clamp(tokens / (4 * launch.device().multiprocessors), 1, 4);
  const RopeRows rows{x,
                      positions,
                      tokens,
                      heads,
                      width,
                      half,
                      block_tokens,
                      2 * std::log2(rope.theta) / static_cast<double>(rope.rotary_dim)};
  const bool vectors = half % 8 == 0 && width % 8 == 0 && is_aligned(x, 16);
  const auto blocks = static_cast<unsigned>((tokens + block_tokens - 1) / block_tokens);
  const size_t shared =
      static_cast<size_t>(half) * (sizeof(double) + block_tokens * sizeof(float2));
  launch(vectors ? rope_kernel<true> : rope_kernel<false>, blocks, block_threads, shared, rows);
}

void store_kv_rows(const Launcher& launch, const bfloat16* k, const bfloat16* v, int tokens,
                   const KvLayout& layout, const DeviceTable<DeviceKv>& sequences) {
  if (tokens == 0) return;
  const KvRows rows{k, v, tokens, PagedKv::of(layout, sequences)};
  const bool vectors = layout.dtype == DType::bf16 && layout.head_dim % 8 == 0 &&
                       layout.layer_offset % 16 == 0 && is_aligned(k, 16) && is_aligned(v, 16);
  const int64_t items = tokens * layout.kv_head_count * layout.head_dim / (vectors ? 8 : 1);
  const auto blocks = static_cast<unsigned>((items + block_threads - 1) / block_threads);
  const auto kernel = vectors                       ? store_kv_kernel<uint4, uint4>
                      : layout.dtype == DType::bf16 ? store_kv_kernel<bfloat16, bfloat16>
                                                    : store_kv_kernel<bfloat16, float>;
  launch(kernel, blocks, block_threads, 0, rows);
}

}  // namespace minimax
