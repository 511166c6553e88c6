// SPDX-License-Identifier: Apache-2.0
// Dense matrix products on Hopper.
#include "engine/kernels/cuda/gemm_hopper.cuh"

#include <algorithm>

#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/tensor_map.h"

namespace minimax {
namespace gemm {

// Tiles that run at the same time should share weights and tokens: so many tiles of tokens pass before
// the next weights.
inline constexpr int tiles_together = 8;

struct LinearShape {
  int tokens, outputs, inputs;
  int tile_tokens;
  int token_tiles, output_pairs;
  RingShape ring;
};

struct LinearParameters {
  CUtensorMap weight, x, out_map;
  LinearShape shape;
  const float* bias;  // or nullptr
  void* out;
  int64_t out_stride;
};

template <typename Rows>
struct LinearWork {
  const LinearParameters& parameters;
  static constexpr bool weights_are_known = true;
  // Both blocks load as much: one map does for them.
  static constexpr int step_tokens = 2 * token_step;

  __device__ int steps() const { return (parameters.shape.inputs + step_inputs - 1) / step_inputs; }
  __device__ bool find(int index, Tile& tile) const {
    const LinearShape& shape = parameters.shape;
    if (index >= shape.token_tiles * shape.output_pairs) return false;
    const int together = index / (tiles_together * shape.output_pairs);
    const int first = together * tiles_together;
    const int width = min(tiles_together, shape.token_tiles - first);
    const int rest = index - first * shape.output_pairs;
    tile.output = rest / width * cluster_outputs + static_cast<int>(cluster_rank()) * block_outputs;
    tile.token = (first + rest % width) * shape.tile_tokens;
    tile.tokens = shape.tile_tokens;
    tile.valid = min(shape.tile_tokens, shape.tokens - tile.token);
    tile.expert = 0;
    tile.alone = shape.token_tiles == 1;
    return true;
  }
  __device__ void load_weights(const Tile& tile, int step, uint32_t to, uint32_t barrier) const {
    load_2d(to, &parameters.weight, barrier, step * step_inputs, tile.output,
            tile.alone ? keep_short : keep_normal);
  }
  __device__ const CUtensorMap* token_map(int) const { return &parameters.x; }
  __device__ Biases biases(int output) const {
    if (parameters.bias == nullptr) return {};
    output += static_cast<int>(threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4);
    const int outputs = parameters.shape.outputs;
    return {.near = output < outputs ? __ldg(parameters.bias + output) : 0.0f,
            .far = output + 8 < outputs ? __ldg(parameters.bias + output + 8) : 0.0f};
  }
  __device__ void store(const Sums& sums, Chunks& chunks, const Tile& tile, uint32_t group) const {
    const int output = tile.output + static_cast<int>(group) * group_outputs;
    store_tile<Rows, false>(sums, chunks, group, tile.valid,
                            {.map = &parameters.out_map,
                             .data = static_cast<typename Rows::Number*>(parameters.out),
                             .stride = parameters.out_stride,
                             .columns = parameters.shape.outputs,
                             .row = tile.token,
                             .column = output},
                            biases(output));
  }
};

template <typename Rows>
__global__ void MINIMAX_CLUSTER_OF_TWO __launch_bounds__(block_threads, 1)
    multiply_linear(const __grid_constant__ LinearParameters parameters) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(16) unsigned char shared[];
  const Ring ring(parameters.shape.ring, shared);
  if (threadIdx.x == 0) {
    prefetch_map(&parameters.weight);
    prefetch_map(&parameters.x);
    prefetch_map(&parameters.out_map);
  }
  ring.open();
  LinearWork<Rows> work{parameters};
  run(work, ring);
#endif
}

}  // namespace gemm

namespace {

using gemm::LinearParameters;
using gemm::LinearShape;

int blocks_of(int count, int block) {
  return (count + block - 1) / block;
}

// Tiles with so many tokens that the last round of clusters is as full, and the tile as large, as can be.
int choose_tile_tokens(int tokens, int output_pairs, int clusters) {
  const int fewest = blocks_of(tokens, gemm::most_tokens);
  int best = 0;
  int64_t best_cost = 0;
  constexpr int step = 2 * gemm::token_step;
  for (int tiles = fewest; tiles <= fewest + 8 + fewest / 4; ++tiles) {
    const int size = blocks_of(blocks_of(tokens, tiles), step) * step;
    const int64_t rounds = blocks_of(blocks_of(tokens, size) * output_pairs, clusters);
    // Below some 128 tokens loading takes longer than multiplying; of wider tiles it takes a smaller part.
    const int64_t cost = rounds * (std::max(size, 128) + 24);
    if (best == 0 || cost < best_cost) {
      best = size;
      best_cost = cost;
    }
  }
  return best;
}

bool aligned_16(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

bool encode_out(const LinearCall& call, CUtensorMap* map) {
  if (!call.out_f32) {
    return encode_matrix(call.out, call.tokens, call.outputs, call.out_stride, gemm::box_tokens,
                         gemm::group_outputs, map);
  }
  TiledTensor out{};
  out.data = call.out;
  out.rank = 2;
  out.sizes = {static_cast<uint64_t>(call.outputs), static_cast<uint64_t>(call.tokens)};
  out.stride_bytes = {static_cast<uint64_t>(call.out_stride) * sizeof(float)};
  out.box = {gemm::group_outputs / 2, gemm::box_tokens};
  out.type = CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  return encode_tiled(out, map);
}

template <typename Rows>
void start(const Launcher& launch, const LinearParameters& parameters, int clusters) {
  const uint32_t bytes = parameters.shape.ring.shared_bytes();
  launch.allow_shared(gemm::multiply_linear<Rows>, bytes);
  launch(gemm::multiply_linear<Rows>, dim3(static_cast<unsigned>(clusters) * 2),
         dim3(gemm::block_threads), bytes, parameters);
}

template <Activation activation>
void start_rows(const Launcher& launch, const LinearParameters& parameters, bool f32,
                int clusters) {
  if (f32) {
    start<gemm::FloatRows<activation>>(launch, parameters, clusters);
  } else {
    start<gemm::PlainRows<activation>>(launch, parameters, clusters);
  }
}

}  // namespace

bool linear_hopper(const Launcher& launch, const LinearCall& call) {
  const int64_t number_bytes = call.out_f32 ? 4 : 2;
  if (call.adds && (call.out_f32 || call.activation != Activation::none)) return false;
  if (!launch.device().hopper || call.inputs % 8 != 0 || call.x_stride % 8 != 0 ||
      !aligned_16(call.x) || !aligned_16(call.weight) || !aligned_16(call.out) ||
      call.outputs * number_bytes % 16 != 0 || call.out_stride * number_bytes % 16 != 0) {
    return false;
  }
  const int clusters = launch.device().multiprocessors / 2;
  LinearParameters parameters{};
  LinearShape& shape = parameters.shape;
  shape.tokens = call.tokens;
  shape.outputs = call.outputs;
  shape.inputs = call.inputs;
  shape.output_pairs = blocks_of(call.outputs, gemm::cluster_outputs);
  shape.tile_tokens = choose_tile_tokens(call.tokens, shape.output_pairs, clusters);
  shape.token_tiles = blocks_of(call.tokens, shape.tile_tokens);
  shape.ring = gemm::RingShape::fit(shape.tile_tokens, launch.device().shared_bytes_per_block);
  parameters.bias = call.bias;
  parameters.out = call.out;
  parameters.out_stride = call.out_stride;
  if (!encode_matrix(call.weight, call.outputs, call.inputs, call.inputs, gemm::block_outputs,
                     gemm::step_inputs, &parameters.weight) ||
      !encode_matrix(call.x, call.tokens, call.inputs, call.x_stride, shape.tile_tokens / 2,
                     gemm::step_inputs, &parameters.x) ||
      !encode_out(call, &parameters.out_map)) {
    return false;
  }
  const int used = std::min(clusters, shape.token_tiles * shape.output_pairs);
  if (call.adds) {
    start<gemm::PlainRows<Activation::none, true>>(launch, parameters, used);
    return true;
  }
  switch (call.activation) {
    case Activation::none:
      start_rows<Activation::none>(launch, parameters, call.out_f32, used);
      break;
    case Activation::silu:
      start_rows<Activation::silu>(launch, parameters, call.out_f32, used);
      break;
    case Activation::gelu:
      start_rows<Activation::gelu>(launch, parameters, call.out_f32, used);
      break;
  }
  return true;
}

}  // namespace minimax
