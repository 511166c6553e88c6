// SPDX-License-Identifier: Apache-2.0
// The experts on Hopper, for many tokens: two grouped products and a sum.
//
// Tokens are gathered by expert, so that the products read whole boxes. An expert's down product is rounded
// to bf16 before it is weighted and summed, as the output of ops::linear is.
#include <cstring>

#include <algorithm>

#include "engine/kernels/cuda/gemm_hopper.cuh"
#include "engine/kernels/cuda/moe.h"
#include "engine/kernels/cuda/moe_combine.cuh"
#include "engine/kernels/cuda/tensor_map.h"

namespace minimax {
namespace gemm {

constexpr int most_experts = 256;
inline constexpr int token_maps = most_tokens / 2 / token_step;
// An expert's gate and up as one matrix: 8 rows of one, 8 of the other.
inline constexpr int gate_up_map = 0, down_map = 2, maps_per_expert = 3;

// gathered[place] = x[token of plan.slots[place]], and places[plan.slots[place]] = place
__global__ void __launch_bounds__(256) gather_rows(MoeCall call, uint4* gathered) {
  wait_for_inputs();
  let_next_start();
  const int64_t place = blockIdx.x;
  const int vectors = call.width / 8;
  const int slot = call.plan.slots[place];
  if (threadIdx.x == 0) call.places[slot] = static_cast<int32_t>(place);
  const int64_t token = slot / call.chosen;
  const uint4* __restrict__ from = reinterpret_cast<const uint4*>(call.x) + token * vectors;
  uint4* __restrict__ to = gathered + place * vectors;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < vectors; i += static_cast<int>(blockDim.x)) {
    to[i] = from[i];
  }
}

struct ExpertParameters {
  // The tokens' matrix in boxes of 8, 16, ... 128 rows.
  CUtensorMap tokens[token_maps];
  CUtensorMap out_map;
  MoeCall call;
  int inputs;
  int output_pairs;
  RingShape ring;
};

// The rows of an expert in the order of the plan.
struct ExpertRows {
  int expert, first, count;

  __device__ int token_tiles() const { return (count + most_tokens - 1) / most_tokens; }
};

// In shared memory.
struct SortedExperts {
  ExpertRows rows[most_experts];  // most rows first
  int token_tiles;                // of all
  bool differ;                    // the first has more than twice the mean
};

// The tiles of all experts. Of one expert all tiles of tokens come before the next outputs, so that its
// weights are read from device memory once. Experts with many rows are limited by the tensor cores, those with
// few by memory: where they differ much, half of the clusters begin with the former and half with the latter,
// and each takes them by turns, until they meet.
struct ExpertTiles {
  const ExpertParameters& parameters;
  const SortedExperts& experts;
  // The expert that the last tile from either end was of, and the tiles beyond it.
  int first_place = 0, first_tile = 0;
  int last_place = parameters.call.experts.count - 1, last_tile = 0;

  static constexpr bool weights_are_known = false;
  static constexpr int step_tokens = token_step;

  __device__ int steps() const { return (parameters.inputs + step_inputs - 1) / step_inputs; }
  __device__ const CUtensorMap* token_map(int rows) const {
    return &parameters.tokens[rows / token_step - 1];
  }
  __device__ const CUtensorMap* expert_map(const Tile& tile, int matrix) const {
    return static_cast<const CUtensorMap*>(parameters.call.experts.tensor_maps) +
           tile.expert * maps_per_expert + matrix;
  }
  // tile.output counts in tiles of a block.
  __device__ bool find(int index, Tile& tile) {
    if (index >= experts.token_tiles * parameters.output_pairs) return false;
    if (!experts.differ) {
      find_from_first(index, tile);
      return true;
    }
    const int clusters = static_cast<int>(gridDim.x) / 2;
    const int round = index / clusters, cluster = index % clusters;
    const bool from_first = (round + cluster) % 2 == 0;
    // Of two rounds every cluster has one tile from either end; in the first of them, the even ones
    // from the first.
    const int from_this_end = round / 2 * clusters + cluster / 2 +
                              (round % 2 == 0 ? 0 : (clusters + (from_first ? 1 : 0)) / 2);
    if (from_first) {
      find_from_first(from_this_end, tile);
    } else {
      find_from_last(from_this_end, tile);
    }
    return true;
  }

  __device__ int tiles_of(int place) const {
    return experts.rows[place].token_tiles() * parameters.output_pairs;
  }
  __device__ void find_from_first(int number, Tile& tile) {
    for (; number >= first_tile + tiles_of(first_place); ++first_place) {
      first_tile += tiles_of(first_place);
    }
    set(experts.rows[first_place], number - first_tile, tile);
  }
  __device__ void find_from_last(int number, Tile& tile) {
    for (; number >= last_tile + tiles_of(last_place); --last_place) {
      last_tile += tiles_of(last_place);
    }
    set(experts.rows[last_place], last_tile + tiles_of(last_place) - 1 - number, tile);
  }
  __device__ void set(const ExpertRows& rows, int number, Tile& tile) const {
    const int token_tiles = rows.token_tiles(), token_tile = number % token_tiles;
    const int share = (rows.count + token_tiles - 1) / token_tiles;
    tile.expert = rows.expert;
    tile.alone = token_tiles == 1;
    tile.output = number / token_tiles * 2 + static_cast<int>(cluster_rank());
    tile.tokens = (share + token_step - 1) / token_step * token_step;
    tile.token = rows.first + token_tile * share;
    tile.valid = min(share, rows.count - token_tile * share);
  }
};

struct GateUpWork : ExpertTiles {
  // Gates and ups share a block's outputs.
  static constexpr int columns = block_outputs / 2;

  __device__ void load_weights(const Tile& tile, int step, uint32_t to, uint32_t barrier) const {
    load_4d(to, expert_map(tile, gate_up_map), barrier, step * step_inputs, 0, 0,
            tile.output * columns / 8, tile.alone ? keep_short : keep_normal);
  }
  __device__ void store(const Sums& sums, Chunks& chunks, const Tile& tile, uint32_t group) const {
    const MoeCall& call = parameters.call;
    const Target<bfloat16> target{
        .map = &parameters.out_map,
        .data = call.hidden,
        .stride = call.expert_width,
        .columns = call.expert_width,
        .row = tile.token,
        .column = tile.output * columns + static_cast<int>(group) * columns / 2};
    const bfloat16* const* matrices = call.experts.matrices + tile.expert * maps_per_expert;
    if (matrices[1] < matrices[0]) {
      store_tile<GatedRows<true>, true>(sums, chunks, group, tile.valid, target);
    } else {
      store_tile<GatedRows<false>, true>(sums, chunks, group, tile.valid, target);
    }
  }
};

struct DownWork : ExpertTiles {
  __device__ void load_weights(const Tile& tile, int step, uint32_t to, uint32_t barrier) const {
    load_2d(to, expert_map(tile, down_map), barrier, step * step_inputs,
            tile.output * block_outputs, tile.alone ? keep_short : keep_normal);
  }
  __device__ void store(const Sums& sums, Chunks& chunks, const Tile& tile, uint32_t group) const {
    const MoeCall& call = parameters.call;
    store_tile<PlainRows<Activation::none>, true>(
        sums, chunks, group, tile.valid,
        {.map = &parameters.out_map,
         .data = static_cast<bfloat16*>(call.partial),
         .stride = call.width,
         .columns = call.width,
         .row = tile.token,
         .column = tile.output * block_outputs + static_cast<int>(group) * group_outputs});
  }
};

// By all threads; `sorted` has no tiles yet; a barrier follows.
__device__ inline void sort_experts(const MoeCall& call, SortedExperts& sorted) {
  const int32_t* starts = call.plan.starts;
  for (int x = static_cast<int>(threadIdx.x); x < call.experts.count; x += block_threads) {
    const int count = starts[x + 1] - starts[x];
    int before = 0;
    for (int other = 0; other < call.experts.count; ++other) {
      const int rows = starts[other + 1] - starts[other];
      before += rows > count || (rows == count && other < x);
    }
    sorted.rows[before] = {x, starts[x], count};
    if (before == 0) sorted.differ = count * call.experts.count > 2 * starts[call.experts.count];
    atomicAdd(&sorted.token_tiles, sorted.rows[before].token_tiles());
  }
}

template <typename Work>
__global__ void MINIMAX_CLUSTER_OF_TWO __launch_bounds__(block_threads, 1)
    multiply_experts(const __grid_constant__ ExpertParameters parameters) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(16) unsigned char shared[];
  __shared__ SortedExperts experts;
  const Ring ring(parameters.ring, shared);
  if (threadIdx.x == 0) experts.token_tiles = 0;
  __syncthreads();
  wait_for_inputs();
  sort_experts(parameters.call, experts);
  ring.open();
  Work work{{.parameters = parameters, .experts = experts}};
  run(work, ring);
#endif
}

}  // namespace gemm

namespace {

using gemm::ExpertParameters;

int blocks_of(int count, int block) {
  return (count + block - 1) / block;
}

bool aligned_16(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

bool encode_tokens(const void* rows, int row_count, int inputs, CUtensorMap* maps) {
  for (int i = 0; i < gemm::token_maps; ++i) {
    if (!encode_matrix(rows, row_count, inputs, inputs, (i + 1) * gemm::token_step,
                       gemm::step_inputs, maps + i)) {
      return false;
    }
  }
  return true;
}

// What the experts write: rows [row_count, columns] in boxes as wide as a group's outputs.
bool encode_out(const void* rows, int row_count, int columns, int box_columns, CUtensorMap* map) {
  TiledTensor out{};
  out.data = rows;
  out.rank = 2;
  out.sizes = {static_cast<uint64_t>(columns), static_cast<uint64_t>(row_count)};
  out.stride_bytes = {static_cast<uint64_t>(columns) * sizeof(bfloat16)};
  out.box = {static_cast<uint32_t>(box_columns), gemm::box_tokens};
  if (box_columns == 32) out.swizzle = CU_TENSOR_MAP_SWIZZLE_64B;
  return encode_tiled(out, map);
}

template <typename Work>
void start(const Launcher& launch, const ExpertParameters& parameters) {
  const uint32_t bytes = parameters.ring.shared_bytes();
  launch.allow_shared(gemm::multiply_experts<Work>, bytes);
  launch(gemm::multiply_experts<Work>,
         dim3(static_cast<unsigned>(launch.device().multiprocessors / 2 * 2)),
         dim3(gemm::block_threads), bytes, parameters);
}

}  // namespace

bool encode_expert_maps(const bfloat16* gate, const bfloat16* up, const bfloat16* down, int width,
                        int expert_width, void* maps) {
  if (width % 8 != 0 || expert_width % 8 != 0 || !aligned_16(gate) || !aligned_16(up) ||
      !aligned_16(down)) {
    return false;
  }
  const auto row_bytes = static_cast<uint64_t>(width) * sizeof(bfloat16);
  const int64_t apart = (up - gate) * static_cast<int64_t>(sizeof(bfloat16));
  TiledTensor both{};
  both.data = apart < 0 ? up : gate;
  both.rank = 4;
  both.sizes = {static_cast<uint64_t>(width), 8, 2, static_cast<uint64_t>(expert_width) / 8};
  both.stride_bytes = {row_bytes, static_cast<uint64_t>(apart < 0 ? -apart : apart), 8 * row_bytes};
  both.box = {gemm::step_inputs, 8, 2, gemm::block_outputs / 16};
  CUtensorMap encoded[gemm::maps_per_expert]{};
  if (!encode_tiled(both, &encoded[gemm::gate_up_map]) ||
      !encode_matrix(down, width, expert_width, expert_width, gemm::block_outputs,
                     gemm::step_inputs, &encoded[gemm::down_map])) {
    return false;
  }
  std::memcpy(maps, encoded, sizeof(encoded));
  return true;
}

bool moe_hopper(const Launcher& launch, const MoeCall& call) {
  if (!launch.device().hopper || call.experts.tensor_maps == nullptr || call.width % 8 != 0 ||
      call.expert_width % 8 != 0 || call.experts.count > gemm::most_experts ||
      call.chosen > most_chosen || !aligned_16(call.x) || !aligned_16(call.out) ||
      !aligned_16(call.hidden) || !aligned_16(call.partial)) {
    return false;
  }
  const int slots = call.tokens * call.chosen;
  // The second half of partial: the first is written by the last product.
  void* gathered = static_cast<bfloat16*>(call.partial) + static_cast<int64_t>(slots) * call.width;
  ExpertParameters gate_up{}, down{};
  gate_up.call = down.call = call;
  gate_up.inputs = call.width;
  gate_up.output_pairs = blocks_of(call.expert_width, gemm::cluster_outputs / 2);
  down.inputs = call.expert_width;
  down.output_pairs = blocks_of(call.width, gemm::cluster_outputs);
  gate_up.ring = down.ring =
      gemm::RingShape::fit(gemm::most_tokens, launch.device().shared_bytes_per_block - 4096);
  if (!encode_tokens(gathered, slots, gate_up.inputs, gate_up.tokens) ||
      !encode_tokens(call.hidden, slots, down.inputs, down.tokens) ||
      !encode_out(call.hidden, slots, call.expert_width, gemm::group_outputs / 2,
                  &gate_up.out_map) ||
      !encode_out(call.partial, slots, call.width, gemm::group_outputs, &down.out_map)) {
    return false;
  }
  launch(gemm::gather_rows, dim3(static_cast<unsigned>(slots)), dim3(256), 0, call,
         static_cast<uint4*>(gathered));
  start<gemm::GateUpWork>(launch, gate_up);
  start<gemm::DownWork>(launch, down);
  launch(
      combine_experts<bfloat16, 8>,
      dim3(static_cast<unsigned>(call.tokens), static_cast<unsigned>(blocks_of(call.width, 2048))),
      dim3(256), 0, static_cast<const bfloat16*>(call.partial), call.places, call.choices,
      call.shares, call.chosen, call.width, call.out);
  return true;
}

}  // namespace minimax
