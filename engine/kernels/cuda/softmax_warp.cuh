// SPDX-License-Identifier: Apache-2.0
// Softmax attention of one warp: 16 queries against keys and values in shared memory.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/softmax.cuh"
#include "engine/kernels/cuda/warp_mma.cuh"

namespace minimax {

// Keys and values are copied so many tokens at a time: a stage holds the keys, behind them the values.
inline constexpr int softmax_tile = 64;
inline constexpr int softmax_stage_bytes(int width) {
  return 2 * softmax_tile * 2 * width;
}

// Row r, 16-byte column c of keys or values in shared memory: eight rows of one column lie in different
// banks.
template <int width>
__device__ __forceinline__ uint32_t swizzled(int row, int column) {
  return static_cast<uint32_t>(row * 2 * width + ((column ^ (row & 7)) << 4));
}

// A tile of keys and values, and where it begins.
struct KvTile {
  std::byte* const* pages;
  const std::byte* page;  // that the first token lies in
  int head;
  uint32_t first;  // token
  uint32_t left;   // tokens that exist from there on
};

// Starts to copy a tile into a stage; zeros stand for tokens that do not exist. All threads of the block.
// Of a tile that lies in one page the addresses need no page list.
template <int width, int threads>
__device__ __forceinline__ void copy_tile(const PagedKv& kv, const KvTile& tile, uint32_t stage) {
  constexpr int row_bytes = 2 * width, columns = width / 8;
  const int column = static_cast<int>(threadIdx.x) % columns;
  const auto copy_row = [&](int row, const std::byte* key) {
    const bool exists = static_cast<uint32_t>(row) < tile.left;
    const uint32_t to = stage + swizzled<width>(row, column);
    copy_16(to, key + column * 16, exists);
    copy_16(to + softmax_tile * row_bytes, key + column * 16 + kv.plane_bytes, exists);
  };
  const int first_row = static_cast<int>(threadIdx.x) / columns;
  constexpr int rows = threads / columns;
  const size_t place =
      static_cast<size_t>(tile.head) * kv.page_tokens + tile.first % kv.page_tokens;
  const std::byte* const start = tile.page + kv.layer_offset + place * row_bytes;
  if (kv.page_tokens % softmax_tile == 0) {
#pragma unroll
    for (int row = 0; row < softmax_tile; row += rows) {
      copy_row(first_row + row, start + (first_row + row) * row_bytes);
    }
  } else {
#pragma unroll 1
    for (int row = first_row; row < softmax_tile; row += rows) {
      const bool exists = static_cast<uint32_t>(row) < tile.left;
      const uint32_t token = tile.first + static_cast<uint32_t>(row);
      copy_row(row, exists ? kv.key(tile.pages, tile.head, token, 2) : start);
    }
  }
}

// Lane q of every four ends up with what its neighbours 0 .. 3 held in x[q].
__device__ __forceinline__ void transpose_quads(uint32_t (&x)[4]) {
  const int lane = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    const bool upper = (lane & step) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if ((i & step) != 0) continue;
      uint32_t& low = x[i];
      uint32_t& high = x[i + step];
      const uint32_t other = __shfl_xor_sync(0xffffffffu, upper ? low : high, step);
      (upper ? low : high) = other;
    }
  }
}

// Over four lanes that share a row.
__device__ __forceinline__ float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ __forceinline__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

// Queries as kernels read them: those of one key head are packed, by row and in it by head of the group.
struct QueryRows {
  const bfloat16* q;
  int heads, group;  // H, H / G
  float scale;       // times log2(e)
};

// 16 queries. A lane has rows lane / 4 and lane / 4 + 8, and in them columns lane % 4 * 2 and the next one
// of every eight.
template <int width, int tokens>
struct WarpQueries {
  static_assert(width % 16 == 0 && tokens % 16 == 0);
  uint32_t q[width / 16][4];
  float sums[width / 8][4];  // of values, by weight exp2(score - top)
  float top[2];              // the largest score
  float total[2];            // of this lane's weights
  int32_t limit[2];          // tokens that the two rows see

  // Rows of the sequence from first_row on, up to end_row; `first` in their packed order is query 0.
  __device__ void begin(const QueryRows& rows, const DeviceKv& sequence, int kv_head, int first_row,
                        int end_row, int first) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = first + lane / 4 + 8 * half;
      const int row = first_row + query / rows.group;
      const bool exists = row < end_row;
      const int64_t head = static_cast<int64_t>(sequence.first_row + row) * rows.heads +
                           kv_head * rows.group + query % rows.group;
      const bfloat16* const from = rows.q + head * width + lane % 4 * 2;
#pragma unroll
      for (int k = 0; k < width / 16; ++k) {
        q[k][half] = exists ? *reinterpret_cast<const uint32_t*>(from + 16 * k) : 0;
        q[k][half + 2] = exists ? *reinterpret_cast<const uint32_t*>(from + 16 * k + 8) : 0;
      }
      limit[half] = static_cast<int32_t>(sequence.position) + min(row, end_row - 1) + 1;
      top[half] = -INFINITY;
      total[half] = 0;
    }
#pragma unroll
    for (auto& tile : sums) {
#pragma unroll
      for (float& sum : tile) sum = 0;
    }
  }

  // keys, values: where the first of the tokens lies in shared memory. token: its number.
  __device__ void add(uint32_t keys, uint32_t values, int32_t token, float scale) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float scores[tokens / 8][4] = {};
#pragma unroll
    for (int k = 0; k < width / 16; ++k) {
#pragma unroll
      for (int n = 0; n < tokens / 16; ++n) {
        uint32_t b[4];  // k and k + 8 of eight tokens, then of the next eight
        load_matrices(
            b, keys + swizzled<width>(16 * n + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
        multiply(scores[2 * n], q[k], b[0], b[1]);
        multiply(scores[2 * n + 1], q[k], b[2], b[3]);
      }
    }

    const bool all_seen = token + tokens <= min(limit[0], limit[1]);
#pragma unroll
    for (int n = 0; n < tokens / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const bool seen = all_seen || token + 8 * n + lane % 4 * 2 + i % 2 < limit[i / 2];
        scores[n][i] = seen ? scores[n][i] * scale : -INFINITY;
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float highest = top[half];
#pragma unroll
      for (int n = 0; n < tokens / 8; ++n) {
        highest = fmaxf(highest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      }
      highest = quad_max(highest);
      const float base = highest == -INFINITY ? 0.0f : highest;  // nothing seen so far
      const float shrink = fast_exp2(top[half] - base);
      top[half] = highest;
      total[half] *= shrink;
#pragma unroll
      for (int n = 0; n < tokens / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = fast_exp2(scores[n][i] - base);
          total[half] += scores[n][i];
        }
      }
#pragma unroll
      for (auto& tile : sums) {
        tile[2 * half] *= shrink;
        tile[2 * half + 1] *= shrink;
      }
    }

#pragma unroll
    for (int k = 0; k < tokens / 16; ++k) {
      const uint32_t shares[4] = {pack_bf16(scores[2 * k][0], scores[2 * k][1]),
                                  pack_bf16(scores[2 * k][2], scores[2 * k][3]),
                                  pack_bf16(scores[2 * k + 1][0], scores[2 * k + 1][1]),
                                  pack_bf16(scores[2 * k + 1][2], scores[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < width / 16; ++n) {
        uint32_t b[4];  // tokens and tokens + 8 of eight columns, then of the next eight
        load_transposed(b, values + swizzled<width>(16 * k + lane % 16, 2 * n + lane / 16));
        multiply(sums[2 * n], shares, b[0], b[1]);
        multiply(sums[2 * n + 1], shares, b[2], b[3]);
      }
    }
  }
};

// One row of sums [width / 8, 4] in the layout of WarpQueries, divided by its total, as bf16: four lanes
// write 64 bytes at a time.
template <int width>
__device__ __forceinline__ void store_row_of(const float* sums, int half, float lane_total,
                                             bfloat16* to, bool exists) {
  const float inverse = 1.0f / quad_sum(lane_total);
#pragma unroll
  for (int part = 0; part < width / 32; ++part) {
    uint32_t pairs[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* const from = sums + 16 * part + 4 * i + 2 * half;
      pairs[i] = pack_bf16(from[0] * inverse, from[1] * inverse);
    }
    transpose_quads(pairs);
    if (exists) {
      *reinterpret_cast<uint4*>(to + 32 * part + static_cast<int>(threadIdx.x) % 4 * 8) = {
          pairs[0], pairs[1], pairs[2], pairs[3]};
    }
  }
}

}  // namespace minimax
