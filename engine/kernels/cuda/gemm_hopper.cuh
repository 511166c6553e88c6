// SPDX-License-Identifier: Apache-2.0
// The persistent wgmma product that linear_hopper and moe_hopper share.
//
// It computes sums[output, token] = weight[output] . x[token]: the weights are wgmma's 64 rows, the tokens
// its 8 to 256 columns, so that a tile wastes few products. Two blocks of a cluster take
// neighbouring outputs of the same tokens and each loads half of these for both. In a block one warp
// loads and two warpgroups multiply 64 outputs each; while one stores its sums the other goes on.
#pragma once

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/hopper.cuh"
#include "engine/ops/views.h"

namespace minimax::gemm {

using namespace hopper;

inline constexpr int group_outputs = 64;
inline constexpr int block_outputs = 2 * group_outputs;
inline constexpr int cluster_outputs = 2 * block_outputs;
inline constexpr int most_tokens = 256;
inline constexpr int token_step = 8;    // one block of the swizzle
inline constexpr int step_inputs = 64;  // 128 bytes, the swizzle's width
inline constexpr int block_threads = 3 * 128;
inline constexpr int most_stages = 12;

inline constexpr uint32_t weight_bytes = block_outputs * step_inputs * sizeof(bfloat16);
inline constexpr uint32_t token_row_bytes = step_inputs * sizeof(bfloat16);

// Sums wait in shared memory, chunk by chunk, to be copied out in boxes of 8 tokens as the copy engine
// wants them: rows of 64 or 128 bytes, swizzled, so that stores of 8 rows meet every bank once.
inline constexpr int box_tokens = 8;
inline constexpr uint32_t chunk_bytes = 4096;
inline constexpr uint32_t chunk_count = 3;

// How many stages of tiles with so many tokens fit, and the shared memory they take.
struct RingShape {
  int stages;
  uint32_t stage_bytes;

  __host__ __device__ static constexpr uint32_t other_bytes() {
    return 1024 + 2 * chunk_count * chunk_bytes + 2 * most_stages * 8;
  }
  static RingShape fit(int tokens, int shared_bytes) {
    const uint32_t stage = weight_bytes + static_cast<uint32_t>(tokens) * token_row_bytes;
    const int fitting =
        static_cast<int>((static_cast<uint32_t>(shared_bytes) - other_bytes()) / stage);
    return {fitting < most_stages ? fitting : most_stages, stage};
  }
  uint32_t shared_bytes() const {
    return other_bytes() + static_cast<uint32_t>(stages) * stage_bytes;
  }
};

// A tile as this block sees it.
struct Tile {
  int output;  // first of this block
  int token;   // first row of the tokens' matrix
  int tokens;  // multiplied, a multiple of Work::step_tokens
  int valid;   // of these, stored
  int expert;
  bool alone;  // the only tile with these weights
};

// The stages between the loading warp and the warpgroups.
struct Ring {
  uint32_t stages_at, barriers_at, chunks_at;
  RingShape shape;

  __device__ explicit Ring(RingShape shape, const void* shared) : shape(shape) {
    stages_at = (shared_address(shared) + 1023) & ~1023u;
    chunks_at = stages_at + static_cast<uint32_t>(shape.stages) * shape.stage_bytes;
    barriers_at = chunks_at + 2 * chunk_count * chunk_bytes;
  }
  __device__ uint32_t stage(int i) const {
    return stages_at + static_cast<uint32_t>(i) * shape.stage_bytes;
  }
  __device__ uint32_t full(int i) const { return barriers_at + static_cast<uint32_t>(i) * 8; }
  __device__ uint32_t empty(int i) const { return full(most_stages + i); }
  // By all threads. A stage is empty when the 8 warps of both blocks have said so.
  __device__ void open() const {
    if (threadIdx.x == 0) {
      for (int i = 0; i < shape.stages; ++i) {
        barrier_init(full(i), 1);
        barrier_init(empty(i), 16);
      }
      fence_barrier_init();
    }
    __syncthreads();
    cluster_sync();
  }
  // By whole warps.
  __device__ void release(int i) const {
    const uint32_t lane = threadIdx.x % 32;
    if (lane < 2) barrier_arrive_at(empty(i), lane);
  }
};

// Where a role stands in the ring.
struct Place {
  int index = 0;
  uint32_t parity = 0;

  __device__ void advance(int stages) {
    if (++index == stages) {
      index = 0;
      parity ^= 1;
    }
  }
};

using Sums = float[most_tokens / 2];

template <int tokens>
__device__ __forceinline__ void multiply(Sums& sums, const Ring& ring, Place& place, int steps,
                                         uint32_t group) {
  int last = 0;
  for (int step = 0; step < steps; ++step) {
    barrier_wait(ring.full(place.index), place.parity);
    const uint32_t stage = ring.stage(place.index);
    const uint64_t weights = tile_descriptor(stage + group * (weight_bytes / 2));
    const uint64_t x = tile_descriptor(stage + weight_bytes);
    products_begin();
#pragma unroll
    for (int k = 0; k < step_inputs / 16; ++k) {
      const uint64_t offset = static_cast<uint64_t>(2 * k);
      Product<tokens>::shared(sums, weights + offset, x + offset, step + k);
    }
    products_commit();
    if (step > 0) {
      products_wait<1>();
      ring.release(last);
    }
    last = place.index;
    place.advance(ring.shape.stages);
  }
  products_wait<0>();
  pin(sums);
  ring.release(last);
}

// sums = weights * tokens over all steps, for as many tokens as the tile has: a multiple of `step_tokens`.
template <int step_tokens, int tokens = step_tokens>
__device__ __forceinline__ void multiply_tile(Sums& sums, const Ring& ring, Place& place, int steps,
                                              uint32_t group, int tile_tokens) {
  if constexpr (tokens < most_tokens) {
    if (tile_tokens > tokens) {
      multiply_tile<step_tokens, tokens + step_tokens>(sums, ring, place, steps, group,
                                                       tile_tokens);
      return;
    }
  }
  multiply<tokens>(sums, ring, place, steps, group);
}

// How many of a tile's tokens the block of this rank loads for both.
__device__ __forceinline__ int loaded_tokens(int tile_tokens, uint32_t rank) {
  const int blocks = tile_tokens / token_step;
  return (rank == 0 ? blocks - blocks / 2 : blocks / 2) * token_step;
}

// silu without the exact division: the result is rounded to bf16, or wanted to some bits less than f32 has.
__device__ __forceinline__ float quick_silu(float x) {
  return __fdividef(x, 1.0f + __expf(-x));
}

// The exact GELU, x / 2 * (1 + erf(x / sqrt 2)) = max(x, 0) - |x| * Q(|x|), where Q(z), the share of a normal
// distribution beyond z, is 2 to the power of a polynomial: within 2.6e-4 of it up to z = 5.5, where it is
// 2e-8, and falling to nothing from there. An eighth of what rounding to bf16 does.
__device__ __forceinline__ float quick_gelu(float x) {
  const float z = fabsf(x);
  float power = fmaf(z, -2.33251281e-4f, 4.86977259e-3f);
  power = fmaf(z, power, -4.45990041e-2f);
  power = fmaf(z, power, -0.469681114f);
  power = fmaf(z, power, -1.14626074f);
  power = fmaf(z, power, -1.00035906f);
  return fmaf(-z, fast_exp2(power), fmaxf(x, 0.0f));
}

template <Activation activation>
__device__ __forceinline__ float quickly(float x) {
  if constexpr (activation == Activation::silu) return quick_silu(x);
  if constexpr (activation == Activation::gelu) return quick_gelu(x);
  return x;
}

// Of the two outputs that a thread has sums of.
struct Biases {
  float near = 0, far = 0;
};

// Ways to bring a group's sums of chunk_tokens tokens into a chunk: `put`, with this thread's sums of those
// tokens. A chunk is boxes of [8 tokens, row_bytes], as many side by side as a row takes.

// bf16 [tokens, 64 outputs], in the place of what is there or added to it
template <Activation activation, bool add = false>
struct PlainRows {
  using Number = bfloat16;
  static constexpr bool adds = add;
  static constexpr int chunk_tokens = 32;
  static constexpr int outputs = group_outputs;
  static constexpr int boxes_beside = 1;
  static constexpr uint32_t row_bytes = 128;

  // Of 16 bytes: the column'th of a row.
  static __device__ uint32_t place(uint32_t row, uint32_t column) {
    return row * row_bytes + ((column ^ row % 8) * 16);
  }
  static __device__ void put(const float* sums, Biases biases, uint32_t chunk) {
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    const uint32_t to = chunk + place(lane / 16 * 8 + lane % 8, warp * 2 + lane / 8 % 2);
#pragma unroll
    for (int t = 0; t < chunk_tokens; t += 16) {
      uint32_t packed[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* two = sums + t / 2 + 2 * i;
        const float bias = i % 2 == 0 ? biases.near : biases.far;
        packed[i] =
            pack_bf16(quickly<activation>(two[0] + bias), quickly<activation>(two[1] + bias));
      }
      store_blocks_transposed(to + static_cast<uint32_t>(t) * row_bytes, packed[0], packed[1],
                              packed[2], packed[3]);
    }
  }
};

// f32 [tokens, 64 outputs], in two boxes of 32 outputs
template <Activation activation>
struct FloatRows {
  using Number = float;
  static constexpr bool adds = false;
  static constexpr int chunk_tokens = 16;
  static constexpr int outputs = group_outputs;
  static constexpr int boxes_beside = 2;
  static constexpr uint32_t row_bytes = 128;

  static __device__ uint32_t place(uint32_t row, uint32_t column) {
    return (row / 8 * boxes_beside + column / 8) * box_tokens * row_bytes + row % 8 * row_bytes +
           ((column % 8 ^ row % 8) * 16);
  }
  static __device__ void put(const float* sums, Biases biases, uint32_t chunk) {
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
#pragma unroll
    for (int i = 0; i < chunk_tokens / 2; ++i) {
      const uint32_t row = static_cast<uint32_t>(i / 4 * 8 + i % 2) + lane % 4 * 2;
      const uint32_t column = warp * 16 + static_cast<uint32_t>(i / 2 % 2 * 8) + lane / 4;
      store_number(chunk + place(row, column / 4) + column % 4 * 4,
                   quickly<activation>(sums[i] + (i % 4 < 2 ? biases.near : biases.far)));
    }
  }
};

// bf16 [tokens, 32]: silu(gate) * up. Of every 16 rows of weights 8 are gates, then 8 their ups; or the
// other way round when up_first.
template <bool up_first>
struct GatedRows {
  using Number = bfloat16;
  static constexpr bool adds = false;
  static constexpr int chunk_tokens = 64;
  static constexpr int outputs = group_outputs / 2;
  static constexpr int boxes_beside = 1;
  static constexpr uint32_t row_bytes = 64;

  static __device__ uint32_t place(uint32_t row, uint32_t column) {
    return row * row_bytes + ((column ^ row / 2 % 4) * 16);
  }
  static __device__ float value(float first, float second) {
    return up_first ? quick_silu(second) * first : quick_silu(first) * second;
  }
  static __device__ void put(const float* sums, Biases, uint32_t chunk) {
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    const uint32_t to = chunk + place(lane, warp);
#pragma unroll
    for (int t = 0; t < chunk_tokens; t += 32) {
      uint32_t packed[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* four = sums + t / 2 + 4 * i;
        packed[i] = pack_bf16(value(four[0], four[2]), value(four[1], four[3]));
      }
      store_blocks_transposed(to + static_cast<uint32_t>(t) * row_bytes, packed[0], packed[1],
                              packed[2], packed[3]);
    }
  }
};

// Where a group's sums wait, and which of its chunks is next: they take turns from tile to tile too.
struct Chunks {
  uint32_t first_at;
  uint32_t next = 0;

  __device__ uint32_t take() {
    const uint32_t chunk = first_at + next * chunk_bytes;
    next = (next + 1) % chunk_count;
    return chunk;
  }
};

// Where a tile's sums go: from this row and column on, of a matrix of so many columns.
template <typename Number>
struct Target {
  const CUtensorMap* map;  // boxes of box_tokens and a row's bytes
  Number* data;
  int64_t stride;
  int columns;
  int row, column;
};

// Copies a group's sums of the valid tokens out. rows_follow: the rows after those are others', so that
// what does not fill a box is copied by hand; otherwise the matrix ends there.
template <typename Rows, bool rows_follow>
__device__ __forceinline__ void store_tile(const Sums& sums, Chunks& chunks, uint32_t group,
                                           int valid, const Target<typename Rows::Number>& target,
                                           Biases biases = {}) {
  using Number = typename Rows::Number;
  static_assert(!(Rows::adds && rows_follow), "what is copied by hand is not added");
  constexpr int boxes = Rows::chunk_tokens / box_tokens * Rows::boxes_beside;
  constexpr int box_outputs = Rows::outputs / Rows::boxes_beside;
  const int thread = static_cast<int>(threadIdx.x % 128);
  const int barrier = static_cast<int>(1 + group);
  const int box_row = thread / Rows::boxes_beside * box_tokens;
  const int box_column = target.column + thread % Rows::boxes_beside * box_outputs;
#pragma unroll
  for (int first = 0; first < most_tokens; first += Rows::chunk_tokens) {
    if (first >= valid) break;
    const uint32_t chunk = chunks.take();
    if (thread < boxes) store_wait_read<chunk_count - 1>();
    named_barrier(barrier, 128);
    Rows::put(sums + first / 2, biases, chunk);
    fence_async();
    named_barrier(barrier, 128);
    if (thread < boxes) {
      const int rows = valid - first - box_row;
      if (rows >= (rows_follow ? box_tokens : 1)) {
        const uint32_t box = chunk + static_cast<uint32_t>(thread) * box_tokens * Rows::row_bytes;
        const int row = target.row + first + box_row;
        if constexpr (Rows::adds) {
          add_2d(target.map, box, box_column, row);
        } else {
          store_2d(target.map, box, box_column, row);
        }
      }
      store_commit();
    }
    if (!rows_follow || valid - first >= Rows::chunk_tokens) continue;
    constexpr int pieces = static_cast<int>(Rows::row_bytes / 16);
    constexpr int piece_numbers = static_cast<int>(16 / sizeof(Number));
    const int row = (valid - first) / box_tokens * box_tokens + thread / pieces;
    const int column = target.column + thread % pieces * piece_numbers;
    if (row < valid - first && column < target.columns) {
      const uint32_t from =
          Rows::place(static_cast<uint32_t>(row), static_cast<uint32_t>(thread % pieces));
      *reinterpret_cast<uint4*>(target.data + (target.row + first + row) * target.stride + column) =
          load_piece(chunk + from);
    }
  }
}

// The whole kernel. Work:
//   int steps() const                                   steps of step_inputs
//   bool find(int index, Tile&)                         ascending indices; false: no more
//   void load_weights(const Tile&, int step, uint32_t to, uint32_t barrier) const
//   const CUtensorMap* token_map(int rows) const        boxes of so many tokens
//   static constexpr int step_tokens                    what tiles' tokens are multiples of
//   void store(const Sums&, Chunks&, const Tile&, uint32_t group) const
//   static constexpr bool weights_are_known             find() needs no inputs
template <typename Work>
__device__ __forceinline__ void run(Work& work, const Ring& ring) {
  const int cluster = static_cast<int>(blockIdx.x) / 2, clusters = static_cast<int>(gridDim.x) / 2;
  const uint32_t rank = cluster_rank();
  const int stages = ring.shape.stages, steps = work.steps();
  const uint32_t role = threadIdx.x / 128;
  if (role == 0) {
    give_registers<40>();
    if (threadIdx.x == 0) {
      Place place;
      Tile tile;
      const auto load_tokens = [&](const Tile& of, int step, int stage) {
        const int rows = loaded_tokens(of.tokens, rank);
        if (rows == 0) return;
        const int first = rank == 0 ? 0 : of.tokens - rows;
        const uint32_t to =
            ring.stage(stage) + weight_bytes + static_cast<uint32_t>(first) * token_row_bytes;
        load_2d_multicast(to, work.token_map(rows), ring.full(stage), step * step_inputs,
                          of.token + first, 3);
      };
      const auto load_weights = [&](const Tile& of, int step, int stage) {
        barrier_expect(ring.full(stage),
                       weight_bytes + static_cast<uint32_t>(of.tokens) * token_row_bytes);
        work.load_weights(of, step, ring.stage(stage), ring.full(stage));
      };
      // The first weights travel while the kernel before this one ends.
      int ahead = 0;
      if constexpr (Work::weights_are_known) {
        if (work.find(cluster, tile)) {
          for (; ahead < min(steps, stages); ++ahead) load_weights(tile, ahead, ahead);
        }
      }
      wait_for_inputs();
      for (int index = cluster; work.find(index, tile); index += clusters) {
        for (int step = 0; step < steps; ++step) {
          if (ahead > 0) {
            --ahead;
          } else {
            barrier_wait(ring.empty(place.index), place.parity ^ 1);
            load_weights(tile, step, place.index);
          }
          load_tokens(tile, step, place.index);
          place.advance(stages);
        }
      }
      let_next_start();
    }
    __syncwarp();
  } else {
    take_registers<232>();
    wait_for_inputs();
    const uint32_t group = role - 1;
    Chunks chunks{ring.chunks_at + group * chunk_count * chunk_bytes};
    Place place;
    Tile tile;
    Sums sums;
    for (int index = cluster; work.find(index, tile); index += clusters) {
      multiply_tile<Work::step_tokens>(sums, ring, place, steps, group, tile.tokens);
      work.store(sums, chunks, tile, group);
    }
    store_wait<0>();
    __syncwarp();
  }
  // Neither block may go while the other still writes to its shared memory.
  cluster_sync();
}

}  // namespace minimax::gemm
