// SPDX-License-Identifier: Apache-2.0
// What the kernels for few tokens share: packed bf16, and weights streamed past a handful of tokens.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/warp_mma.cuh"

namespace minimax {

inline bool aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

__device__ __forceinline__ float low_of(uint32_t pair) {
  return __uint_as_float(pair << 16);
}
__device__ __forceinline__ float high_of(uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000u);
}
__device__ __forceinline__ void unpack(uint4 packed, float (&values)[8]) {
  values[0] = low_of(packed.x), values[1] = high_of(packed.x);
  values[2] = low_of(packed.y), values[3] = high_of(packed.y);
  values[4] = low_of(packed.z), values[5] = high_of(packed.z);
  values[6] = low_of(packed.w), values[7] = high_of(packed.w);
}
__device__ __forceinline__ uint4 pack(const float (&values)[8]) {
  return {pack_bf16(values[0], values[1]), pack_bf16(values[2], values[3]),
          pack_bf16(values[4], values[5]), pack_bf16(values[6], values[7])};
}

// A stretch of whole numbers, and how it is dealt out evenly.
struct Stretch {
  int first, last;

  __device__ int size() const { return last - first; }
  __device__ Stretch part(int index, int parts) const {
    const int64_t all = size();
    return {first + static_cast<int>(all * index / parts),
            first + static_cast<int>(all * (index + 1) / parts)};
  }
};

__device__ __forceinline__ int ceiling(int a, int b) {
  return (a + b - 1) / b;
}

// Weight rows are streamed once through a ring of shared memory and multiplied by the few token rows
// that lie beside them, on the tensor cores: weight rows are the 16 rows of a product, tokens its 8
// columns. Inputs may be summed in any order if both sides agree, so a lane takes 16 neighbouring
// bytes of a row for two products. All sums are in an order that does not depend on the tokens.
//
// Rows: weight rows of a job, 8 or a multiple of 16; Inputs: how many of them a stage of the ring
// holds; TokenTiles: tiles of 8 tokens; Stages: of the ring.
template <int Rows, int Inputs, int TokenTiles, int Stages>
struct WeightStream {
  static constexpr int threads = 256;
  static constexpr int rows = Rows, stages = Stages, tokens = 8 * TokenTiles;
  static constexpr int pieces = Inputs / 8;  // of 16 bytes, in a row
  static constexpr int row_bytes = Inputs * 2;
  static constexpr int rows_at_once = threads / pieces;
  static constexpr int row_turns = (Rows + rows_at_once - 1) / rows_at_once;
  static constexpr int token_turns = (tokens + rows_at_once - 1) / rows_at_once;
  static constexpr int row_tiles = (Rows + 15) / 16;
  static constexpr int input_groups = Inputs / 32;
  static constexpr int input_warps =
      input_groups < 8 ? input_groups : 8;  // warps beside each other
  static constexpr int row_warps = 8 / input_warps;
  static constexpr int input_turns = input_groups / input_warps;
  static constexpr int tile_turns = (row_tiles + row_warps - 1) / row_warps;
  static constexpr int sum_pitch = Rows + 4;
  static constexpr int sum_floats = input_warps * 8 * sum_pitch;
  static_assert(pieces >= 8 && threads % pieces == 0);

  // Shared memory for steps of `token_rows` tokens at most.
  static constexpr size_t stage_bytes(int token_rows) {
    return static_cast<size_t>(Rows + token_rows) * row_bytes;
  }
  static constexpr size_t shared_bytes(int token_rows) {
    return stage_bytes(token_rows) * Stages + sum_floats * sizeof(float);
  }

  // Odd rows swap their halves of 64 bytes, so that lanes which read neighbouring rows meet no bank
  // twice.
  static __device__ __forceinline__ uint32_t place(int row, int piece) {
    return static_cast<uint32_t>(row * row_bytes + ((piece ^ ((row & 1) << 2)) << 4));
  }

  // Where a thread's next copies come from.
  template <typename Work>
  struct Loader {
    const Work& work;
    const int piece, first_row;
    const bfloat16* row_from[row_turns] = {};
    const bfloat16* token_from[token_turns] = {};
    int job = -1, chunk = 0, token_count = 0;

    __device__ Loader(const Work& the_work, int chunks_of_job)
        : work(the_work),
          piece(static_cast<int>(threadIdx.x) % pieces),
          first_row(static_cast<int>(threadIdx.x) / pieces),
          chunk(chunks_of_job - 1) {}

    // On to the next chunk; false behind the last.
    __device__ __forceinline__ bool advance(int chunks_of_job) {
      if (++chunk < chunks_of_job) return true;
      chunk = 0;
      if (++job >= work.jobs()) return false;
      const auto about = work.job(job);
      token_count = about.tokens;
#pragma unroll
      for (int i = 0; i < row_turns; ++i) {
        const int row = first_row + i * rows_at_once;
        row_from[i] = row < about.rows ? work.weight_row(about, row) + 8 * piece : nullptr;
      }
#pragma unroll
      for (int i = 0; i < token_turns; ++i) {
        const int token = first_row + i * rows_at_once;
        token_from[i] = token < about.tokens ? work.token_row(about, token) + 8 * piece : nullptr;
      }
      return true;
    }
    __device__ __forceinline__ void copy_weights(uint32_t stage) const {
      const bool inside = chunk * Inputs + 8 * piece < work.inputs();
#pragma unroll
      for (int i = 0; i < row_turns; ++i) {
        const int row = first_row + i * rows_at_once;
        if (Rows % rows_at_once != 0 && row >= Rows) break;
        const bool real = inside && row_from[i] != nullptr;
        const bfloat16* from = real ? row_from[i] + chunk * Inputs : work.somewhere();
        copy_16(stage + place(row, piece), from, real);
      }
    }
    __device__ __forceinline__ void copy_tokens(uint32_t stage) const {
      const bool inside = chunk * Inputs + 8 * piece < work.inputs();
#pragma unroll
      for (int i = 0; i < token_turns; ++i) {
        if (token_from[i] == nullptr) break;
        const bfloat16* from = inside ? token_from[i] + chunk * Inputs : work.somewhere();
        copy_16(stage + place(Rows + first_row + i * rows_at_once, piece), from, inside);
      }
    }
    // The same, at once.
    __device__ __forceinline__ void store_tokens(unsigned char* stage) const {
      const bool inside = chunk * Inputs + 8 * piece < work.inputs();
#pragma unroll
      for (int i = 0; i < token_turns; ++i) {
        if (token_from[i] == nullptr) break;
        uint4 values{0, 0, 0, 0};
        if (inside) {
          values = __ldcg(reinterpret_cast<const uint4*>(token_from[i] + chunk * Inputs));
        }
        *reinterpret_cast<uint4*>(stage + place(Rows + first_row + i * rows_at_once, piece)) =
            values;
      }
    }
  };

  // Work: jobs(), inputs(), job(i) with .rows and .tokens (0 < both, as many as fit), weight_row(job,
  // row), token_row(job, token), somewhere() in global memory, and finish(job, first_token, sum), which
  // all threads call for every 8 tokens: sum(row, token of the 8) is the finished product.
  // KnownEarly: the work list and the weights may be read before wait_for_inputs(), which is then called
  // here. memory: shared, aligned to 16 bytes; token_rows as in shared_bytes.
  template <bool KnownEarly, typename Work>
  static __device__ void run(const Work& work, unsigned char* memory, int token_rows) {
    const uint32_t stage_size = static_cast<uint32_t>((Rows + token_rows) * row_bytes);
    const uint32_t ring = shared_address(memory);
    float* sums = reinterpret_cast<float*>(memory + stage_size * Stages);
    const int chunks_of_job = (work.inputs() + Inputs - 1) / Inputs;
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int group = lane / 4, quad = lane % 4;
    const int input_warp = warp % input_warps, row_warp = warp / input_warps;

    // The ring is filled; tokens come at once when weights did not wait for them.
    Loader<Work> loader(work, chunks_of_job);
    bool more = true;
    for (int s = 0; s < Stages - 1; ++s) {
      more = more && loader.advance(chunks_of_job);
      if (more) {
        loader.copy_weights(ring + static_cast<uint32_t>(s) * stage_size);
        if (!KnownEarly) loader.copy_tokens(ring + static_cast<uint32_t>(s) * stage_size);
      }
      end_copy_group();
    }
    if (KnownEarly) {
      wait_for_inputs();
      Loader<Work> again(work, chunks_of_job);
      for (int s = 0; s < Stages - 1 && again.advance(chunks_of_job); ++s) {
        again.store_tokens(memory + static_cast<uint32_t>(s) * stage_size);
      }
    }

    int slot = 0, next_slot = Stages - 1;
    for (int j = 0; j < work.jobs(); ++j) {
      const auto about = work.job(j);
      float acc[tile_turns][TokenTiles][4] = {};
      for (int c = 0; c < chunks_of_job; ++c) {
        wait_for_copies<Stages - 2>();
        __syncthreads();
        more = more && loader.advance(chunks_of_job);
        if (more) {
          const uint32_t to = ring + static_cast<uint32_t>(next_slot) * stage_size;
          loader.copy_weights(to);
          loader.copy_tokens(to);
        }
        end_copy_group();
        next_slot = next_slot + 1 == Stages ? 0 : next_slot + 1;

        // Products of the oldest stage.
        const unsigned char* stage = memory + static_cast<uint32_t>(slot) * stage_size;
        slot = slot + 1 == Stages ? 0 : slot + 1;
#pragma unroll
        for (int i = 0; i < input_turns; ++i) {
          const int piece = (input_warp + i * input_warps) * 4 + quad;
          uint4 b[TokenTiles];
#pragma unroll
          for (int n = 0; n < TokenTiles; ++n) {
            b[n] = uint4{0, 0, 0, 0};
            if (8 * n + group < about.tokens) {
              b[n] = *reinterpret_cast<const uint4*>(stage + place(Rows + 8 * n + group, piece));
            }
          }
#pragma unroll
          for (int m = 0; m < tile_turns; ++m) {
            const int row = 16 * (row_warp + m * row_warps) + group;
            if (row - group >= about.rows) break;
            const uint4 a = *reinterpret_cast<const uint4*>(stage + place(row, piece));
            uint4 a8{0, 0, 0, 0};
            if (Rows > 8) a8 = *reinterpret_cast<const uint4*>(stage + place(row + 8, piece));
#pragma unroll
            for (int n = 0; n < TokenTiles; ++n) {
              if (n > 0 && 8 * n >= about.tokens) break;
              multiply(acc[m][n], {a.x, a8.x, a.y, a8.y}, b[n].x, b[n].y);
              multiply(acc[m][n], {a.z, a8.z, a.w, a8.w}, b[n].z, b[n].w);
            }
          }
        }
      }

      // The warps beside each other add up, 8 tokens at a time.
#pragma unroll
      for (int n = 0; n < TokenTiles; ++n) {
        if (8 * n >= about.tokens) break;
        if (n > 0) __syncthreads();
#pragma unroll
        for (int m = 0; m < tile_turns; ++m) {
          const int row = 16 * (row_warp + m * row_warps) + group;
          if (row - group >= Rows) break;
          float* to = sums + (input_warp * 8 + 2 * quad) * sum_pitch + row;
          to[0] = acc[m][n][0];
          to[sum_pitch] = acc[m][n][1];
          if (Rows > 8) {
            to[8] = acc[m][n][2];
            to[sum_pitch + 8] = acc[m][n][3];
          }
        }
        __syncthreads();
        work.finish(about, 8 * n, [&](int row, int token) {
          float sum = 0;
#pragma unroll
          for (int w = 0; w < input_warps; ++w) sum += sums[(w * 8 + token) * sum_pitch + row];
          return sum;
        });
      }
    }
    wait_for_copies<0>();
  }
};

}  // namespace minimax
