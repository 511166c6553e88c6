// SPDX-License-Identifier: Apache-2.0
// The experts on Hopper, for many tokens: two grouped products and a sum.
#include <cstring>

#include <algorithm>

#include "engine/kernels/cuda/gemm_hopper.cuh"
#include "engine/kernels/cuda/moe.h"
#include "engine/kernels/cuda/moe_combine.cuh"
#include "engine/kernels/cuda/tensor_map.h"

namespace minimax {
namespace {

using hopper::Ring;
using hopper::RingShape;
using hopper::Sums;
using hopper::Tile;

constexpr int most_experts = 256;
constexpr int token_maps = hopper::most_tokens / hopper::token_step;
// An expert's gate and up as one matrix: 8 rows of one, 8 of the other.
constexpr int gate_up_map = 0, down_map = 2, maps_per_expert = 3;

// gathered[place] = x[token of plan.slots[place]]
__global__ void __launch_bounds__(256) gather_rows(MoeCall call, uint4* gathered) {
  wait_for_inputs();
  let_next_start();
  const int64_t place = blockIdx.x;
  const int vectors = call.width / 8;
  const int64_t token = call.plan.slots[place] / call.chosen;
  const uint4* from = reinterpret_cast<const uint4*>(call.x) + token * vectors;
  uint4* to = gathered + place * vectors;
  for (int i = static_cast<int>(threadIdx.x); i < vectors; i += static_cast<int>(blockDim.x)) {
    to[i] = from[i];
  }
}

struct ExpertParameters {
  // The tokens' matrix in boxes of 8, 16, ... 128 rows.
  CUtensorMap tokens[token_maps];
  MoeCall call;
  int inputs;
  int output_pairs;
  RingShape ring;
};

// The tiles of all experts in ascending order. Of one expert all tiles of tokens come before the next
// outputs, so that its weights are read from device memory once.
struct ExpertTiles {
  const ExpertParameters& parameters;
  const int* starts;  // in shared memory
  int expert = 0, expert_tile = 0;

  __device__ int steps() const {
    return (parameters.inputs + hopper::step_inputs - 1) / hopper::step_inputs;
  }
  __device__ const CUtensorMap* token_map(const Tile& tile) const {
    return &parameters.tokens[tile.tokens / hopper::token_step - 1];
  }
  __device__ const CUtensorMap* expert_map(const Tile& tile, int matrix) const {
    return static_cast<const CUtensorMap*>(parameters.call.experts.tensor_maps) +
           tile.expert * maps_per_expert + matrix;
  }
  // tile.output counts in tiles of a block.
  __device__ bool find(int index, Tile& tile) {
    for (; expert < parameters.call.experts.count; ++expert) {
      const int first = starts[expert], rows = starts[expert + 1] - first;
      const int token_tiles = (rows + hopper::most_tokens - 1) / hopper::most_tokens;
      const int tiles = token_tiles * parameters.output_pairs;
      if (index >= expert_tile + tiles) {
        expert_tile += tiles;
        continue;
      }
      const int token_tile = (index - expert_tile) % token_tiles;
      const int share = (rows + token_tiles - 1) / token_tiles;
      tile.expert = expert;
      tile.output = (index - expert_tile) / token_tiles * 2 + static_cast<int>(hopper::cluster_rank());
      tile.tokens = (share + hopper::token_step - 1) / hopper::token_step * hopper::token_step;
      tile.token = first + token_tile * share;
      tile.valid = min(share, rows - token_tile * share);
      return true;
    }
    return false;
  }
};

struct GateUpWork : ExpertTiles {
  static constexpr bool weights_are_known = false;
  // Gates and ups share a block's outputs.
  static constexpr int columns = hopper::block_outputs / 2;

  __device__ void load_weights(const Tile& tile, int step, uint32_t to, uint32_t barrier) const {
    hopper::load_4d(to, expert_map(tile, gate_up_map), barrier, step * hopper::step_inputs, 0, 0,
                    tile.output * columns / 8);
  }
  __device__ void store(const Sums& sums, const Ring& ring, const Tile& tile, uint32_t group) const {
    const MoeCall& call = parameters.call;
    const int column = tile.output * columns + static_cast<int>(group) * columns / 2;
    bfloat16* out = call.hidden + static_cast<int64_t>(tile.token) * call.expert_width + column;
    const auto row = [&](int token) {
      return out + static_cast<int64_t>(token) * call.expert_width;
    };
    const bfloat16* const* matrices = call.experts.matrices + tile.expert * maps_per_expert;
    if (matrices[1] < matrices[0]) {
      hopper::store_tile<hopper::GatedRows<true>>(sums, ring, group, tile.valid,
                                                  call.expert_width - column, row);
    } else {
      hopper::store_tile<hopper::GatedRows<false>>(sums, ring, group, tile.valid,
                                                   call.expert_width - column, row);
    }
  }
};

struct DownWork : ExpertTiles {
  static constexpr bool weights_are_known = false;

  __device__ void load_weights(const Tile& tile, int step, uint32_t to, uint32_t barrier) const {
    hopper::load_2d(to, expert_map(tile, down_map), barrier, step * hopper::step_inputs,
                    tile.output * hopper::block_outputs);
  }
  __device__ void store(const Sums& sums, const Ring& ring, const Tile& tile, uint32_t group) const {
    const MoeCall& call = parameters.call;
    const int column =
        tile.output * hopper::block_outputs + static_cast<int>(group) * hopper::group_outputs;
    auto* partial = static_cast<bfloat16*>(call.partial) + column;
    hopper::store_tile<hopper::PlainRows<false>>(
        sums, ring, group, tile.valid, call.width - column, [&](int token) {
          return partial + static_cast<int64_t>(call.plan.slots[tile.token + token]) * call.width;
        });
  }
};

template <typename Work>
__global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(hopper::block_threads, 1)
    multiply_experts(const __grid_constant__ ExpertParameters parameters) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t shared[];
  __shared__ int starts[most_experts + 1];
  const Ring ring(parameters.ring, shared);
  wait_for_inputs();
  for (int x = static_cast<int>(threadIdx.x); x <= parameters.call.experts.count;
       x += hopper::block_threads) {
    starts[x] = parameters.call.plan.starts[x];
  }
  ring.open();
  Work work{{parameters, starts}};
  hopper::run(work, ring);
#endif
}

int blocks_of(int count, int block) {
  return (count + block - 1) / block;
}

bool aligned_16(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

bool encode_tokens(const void* rows, int row_count, int inputs, CUtensorMap* maps) {
  for (int i = 0; i < token_maps; ++i) {
    if (!encode_matrix(rows, row_count, inputs, inputs, (i + 1) * hopper::token_step / 2,
                       hopper::step_inputs, maps + i)) {
      return false;
    }
  }
  return true;
}

template <typename Work>
void start(const Launcher& launch, const ExpertParameters& parameters) {
  const uint32_t bytes = parameters.ring.shared_bytes();
  launch.allow_shared(multiply_experts<Work>, bytes);
  launch(multiply_experts<Work>, dim3(static_cast<unsigned>(launch.device().multiprocessors / 2 * 2)),
         dim3(hopper::block_threads), bytes, parameters);
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
  both.box = {hopper::step_inputs, 8, 2, hopper::block_outputs / 16};
  CUtensorMap encoded[maps_per_expert]{};
  if (!encode_tiled(both, &encoded[gate_up_map]) ||
      !encode_matrix(down, width, expert_width, expert_width, hopper::block_outputs,
                     hopper::step_inputs, &encoded[down_map])) {
    return false;
  }
  std::memcpy(maps, encoded, sizeof(encoded));
  return true;
}

bool moe_hopper(const Launcher& launch, const MoeCall& call) {
  if (!launch.device().hopper || call.experts.tensor_maps == nullptr || call.width % 8 != 0 ||
      call.expert_width % 8 != 0 || call.experts.count > most_experts || call.chosen > most_chosen ||
      !aligned_16(call.x) || !aligned_16(call.out) || !aligned_16(call.hidden) ||
      !aligned_16(call.partial)) {
    return false;
  }
  const int slots = call.tokens * call.chosen;
  // The second half of partial: the first is written by the last product.
  void* gathered =
      static_cast<bfloat16*>(call.partial) + static_cast<int64_t>(slots) * call.width;
  ExpertParameters gate_up{}, down{};
  gate_up.call = down.call = call;
  gate_up.inputs = call.width;
  gate_up.output_pairs = blocks_of(call.expert_width, hopper::cluster_outputs / 2);
  down.inputs = call.expert_width;
  down.output_pairs = blocks_of(call.width, hopper::cluster_outputs);
  gate_up.ring = down.ring =
      RingShape::fit(hopper::most_tokens, launch.device().shared_bytes_per_block - 2048);
  if (!encode_tokens(gathered, slots, gate_up.inputs, gate_up.tokens) ||
      !encode_tokens(call.hidden, slots, down.inputs, down.tokens)) {
    return false;
  }
  launch(gather_rows, dim3(static_cast<unsigned>(slots)), dim3(256), 0, call,
         static_cast<uint4*>(gathered));
  start<GateUpWork>(launch, gate_up);
  start<DownWork>(launch, down);
  launch(combine_experts<bfloat16, 8>,
         dim3(static_cast<unsigned>(call.tokens), static_cast<unsigned>(blocks_of(call.width, 2048))),
         dim3(256), 0, static_cast<const bfloat16*>(call.partial), call.choices, call.shares,
         call.chosen, call.width, call.out);
  return true;
}

}  // namespace minimax
