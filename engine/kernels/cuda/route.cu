// SPDX-License-Identifier: Apache-2.0
// Chooses each token's experts, and groups the tokens by expert.
#include <algorithm>

#include "engine/kernels/cuda/few.cuh"
#include "engine/kernels/cuda/few_instructions.cuh"
#include "engine/kernels/cuda/hopper.cuh"
#include "engine/kernels/cuda/moe.h"

namespace minimax {
namespace {

constexpr int most_experts = 1024;
constexpr int one_launch_tokens = 256;  // always; more where it is fast
constexpr int cluster_tokens = 1024;
constexpr int one_block_slots = 4096;  // that one block groups soon enough
constexpr int threads = 256;
constexpr int warps = threads / 32;

// The fast kernels compute the logits on the tensor cores: 32 experts are two tiles of 16 rows, tokens
// the 8 columns. An f32 weight is the sum of three bf16 numbers (3 * 8 bits hold its 24), so products are
// exact and sums are f32.
constexpr int tile_experts = 32;
constexpr int logit_pitch =
    tile_experts + 4;  // keeps the lanes of a product out of each other's banks

__device__ __forceinline__ float weight_at(const void* weight, bool is_bf16, int64_t index) {
  return is_bf16 ? __bfloat162float(static_cast<const bfloat16*>(weight)[index])
                 : static_cast<const float*>(weight)[index];
}

// Larger logits first, the lower index among equals; NaN counts as the smallest.
__device__ __forceinline__ bool before(float a, int a_index, float b, int b_index) {
  return a > b || (a == b && a_index < b_index);
}

// One warp: the choices and shares of one token. logits [experts] in shared memory, spoilt.
__device__ void choose(float* logits, int experts, int chosen, int32_t* choices, float* shares) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float nothing = -INFINITY;
  float top = 0, total = 0, own = 0;
  uint32_t taken = 0;  // bit i: expert lane + 32 * i
  for (int e = 0; e < chosen; ++e) {
    float best = nothing;
    int best_index = most_experts;
    for (int i = 0; lane + 32 * i < experts; ++i) {
      if (taken >> i & 1) continue;
      const float logit = logits[lane + 32 * i];
      const float key = isnan(logit) ? nothing : logit;
      if (best_index == most_experts || key > best) best = key, best_index = lane + 32 * i;
    }
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) {
      const float other = __shfl_xor_sync(0xffffffffu, best, lanes);
      const int other_index = __shfl_xor_sync(0xffffffffu, best_index, lanes);
      if (before(other, other_index, best, best_index)) best = other, best_index = other_index;
    }
    if (best_index % 32 == lane) taken |= 1u << (best_index / 32);
    const float logit = logits[best_index];
    if (e == 0) top = logit;
    const float share = expf(logit - top);
    total += share;
    if (lane == e) {
      own = share;
      choices[e] = best_index;
    }
  }
  if (lane < chosen) shares[lane] = own / total;
}

// The same by one thread, for up to tile_experts.
__device__ void choose_alone(const float* logits, int experts, int chosen, int32_t* choices,
                             float* shares) {
  float top = 0, total = 0;
  uint32_t taken = 0;
  for (int e = 0; e < chosen; ++e) {
    float best = -INFINITY;
    int best_index = -1;
    for (int i = 0; i < experts; ++i) {
      if (taken >> i & 1) continue;
      const float key = isnan(logits[i]) ? -INFINITY : logits[i];
      if (best_index < 0 || key > best) best = key, best_index = i;
    }
    taken |= 1u << best_index;
    if (e == 0) top = logits[best_index];
    choices[e] = best_index;
    total += expf(logits[best_index] - top);
  }
  for (int e = 0; e < chosen; ++e) shares[e] = expf(logits[choices[e]] - top) / total;
}

// Three pairs of bf16 numbers whose sums are a and b.
__device__ __forceinline__ void split(float a, float b, uint32_t& high, uint32_t& middle,
                                      uint32_t& low) {
  high = pack_bf16(a, b);
  a -= low_of(high), b -= high_of(high);
  middle = pack_bf16(a, b);
  low = pack_bf16(a - low_of(middle), b - high_of(middle));
}

// What a lane knows of 16 experts for two products: 8 neighbouring inputs (as pairs) of expert lane / 4,
// and of expert lane / 4 + 8, split. One plane does for bf16 weights.
struct SplitWeights {
  uint32_t planes[3][2][4];  // [plane, product, register of the product]

  // near: the 8 weights of expert lane / 4, far: of expert lane / 4 + 8.
  __device__ __forceinline__ void set(const float (&near)[8], const float (&far)[8]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int product = i / 2, half = i % 2 * 2;
      split(near[2 * i], near[2 * i + 1], planes[0][product][half], planes[1][product][half],
            planes[2][product][half]);
      split(far[2 * i], far[2 * i + 1], planes[0][product][half + 1], planes[1][product][half + 1],
            planes[2][product][half + 1]);
    }
  }
  // x: 8 inputs of token lane / 4.
  __device__ __forceinline__ void multiply_with(uint4 x, int plane_count, float (&sums)[4]) const {
#pragma unroll
    for (int plane = 2; plane >= 0; --plane) {
      if (plane >= plane_count) continue;
      multiply(sums, planes[plane][0], x.x, x.y);
      multiply(sums, planes[plane][1], x.z, x.w);
    }
  }
};

// 8 weights from `index` on.
[[maybe_unused]] __device__ __forceinline__ void load_weights(const void* weight, bool is_bf16,
                                                              int64_t index, float (&values)[8]) {
  if (is_bf16) {
    unpack(__ldg(reinterpret_cast<const uint4*>(static_cast<const bfloat16*>(weight) + index)),
           values);
    return;
  }
  const float4* from = reinterpret_cast<const float4*>(static_cast<const float*>(weight) + index);
  const float4 low = __ldg(from), high = __ldg(from + 1);
  values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
  values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
}

// A product's sums [16 experts, 8 tokens] to `logits` [token, logit_pitch].
__device__ __forceinline__ void store_logits(const float (&sums)[4], float* logits) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float* to = logits + 2 * (lane % 4) * logit_pitch + lane / 4;
  to[0] = sums[0];
  to[logit_pitch] = sums[1];
  to[8] = sums[2];
  to[logit_pitch + 8] = sums[3];
}

// One block: groups up to a few thousand slots by expert. Each warp has a stretch of slots, and counts
// its slots of each expert in its row of `table` [warps, experts].
__device__ void group_slots(const int32_t* choices, int slots, int experts, RoutingPlan plan,
                            int32_t* table) {
  __shared__ int32_t warp_totals[warps];
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int stretch = (slots + threads - 1) / threads * 32;
  const int first = warp * stretch, last = min(slots, first + stretch);
  int32_t* mine = table + warp * experts;
  for (int i = lane; i < experts; i += 32) mine[i] = 0;
  __syncwarp();
  for (int begin = first; begin < last; begin += 32) {
    const bool inside = begin + lane < last;
    const int expert = inside ? __ldcg(choices + begin + lane) : most_experts;
    const uint32_t same = __match_any_sync(0xffffffffu, expert);
    if (inside && lane == __ffs(static_cast<int>(same)) - 1) mine[expert] += __popc(same);
    __syncwarp();
  }
  __syncthreads();

  // Counts become first places: experts ascending, within an expert warps ascending.
  int32_t carry = 0;
  for (int begin = 0; begin < experts; begin += threads) {
    const int expert = begin + static_cast<int>(threadIdx.x);
    int32_t count = 0;
    if (expert < experts) {
      for (int w = 0; w < warps; ++w) count += table[w * experts + expert];
    }
    int32_t running = count;
#pragma unroll
    for (int lanes = 1; lanes < 32; lanes *= 2) {
      const int32_t left = __shfl_up_sync(0xffffffffu, running, lanes);
      if (lane >= lanes) running += left;
    }
    if (lane == 31) warp_totals[warp] = running;
    __syncthreads();
    int32_t place = carry + running - count;
    for (int w = 0; w < warps; ++w) {
      if (w < warp) place += warp_totals[w];
      carry += warp_totals[w];
    }
    if (expert < experts) {
      plan.starts[expert] = place;
      for (int w = 0; w < warps; ++w) {
        const int32_t here = table[w * experts + expert];
        table[w * experts + expert] = place;
        place += here;
      }
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) plan.starts[experts] = carry;

  for (int begin = first; begin < last; begin += 32) {
    const bool inside = begin + lane < last;
    const int expert = inside ? __ldcg(choices + begin + lane) : most_experts;
    const uint32_t same = __match_any_sync(0xffffffffu, expert);
    const int rank = __popc(same & ((1u << lane) - 1));
    const int32_t place = inside ? mine[expert] : 0;
    __syncwarp();
    if (inside) {
      plan.slots[place + rank] = begin + lane;
      if (rank == 0) mine[expert] = place + __popc(same);
    }
    __syncwarp();
  }
}

// All threads, after the block has written its choices: true in the block that does so last. Leaves the
// counter zero.
__device__ bool is_last_block(int32_t* counter, int blocks) {
  __shared__ int32_t earlier[1];
  __threadfence();
  __syncthreads();
  if (blocks == 1) return true;
  if (threadIdx.x == 0) {
    earlier[0] = atomicAdd(counter, 1);
    if (earlier[0] == blocks - 1) *counter = 0;
    __threadfence();
  }
  __syncthreads();
  return earlier[0] == blocks - 1;
}

// Some hundred tokens in one launch on Hopper, up to tile_experts experts. A cluster takes 8 tokens for each
// token tile; its 64 warps divide the inputs and keep their weights in registers, read before the
// tokens are there. Block r of the cluster chooses for tokens r, r + 8, ...; the block that ends last
// makes the plan.
constexpr int cluster_blocks = 8;
constexpr int cluster_warps = cluster_blocks * warps;
constexpr int most_token_tiles = 4;
constexpr int group_inputs = 32;  // a warp's share of the inputs goes in groups

template <int Groups, int TokenTiles>
__global__ void MINIMAX_CLUSTER_OF_EIGHT __launch_bounds__(threads, 1)
    route_cluster(RouteCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  __shared__ float partial[warps][8 * TokenTiles][logit_pitch];         // of this block's warps
  __shared__ float gathered[cluster_blocks][TokenTiles][tile_experts];  // of the cluster's blocks
  __shared__ float logits[TokenTiles][tile_experts];
  __shared__ int32_t table[warps * tile_experts];
  let_next_start();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int rank = static_cast<int>(hopper::cluster_rank());
  const int cluster = static_cast<int>(blockIdx.x) / cluster_blocks;
  const int first_token = cluster * 8 * TokenTiles;
  const int plane_count = call.weight_bf16 ? 1 : 3;

  // Weights.
  SplitWeights weights[Groups][2];
#pragma unroll
  for (int i = 0; i < Groups; ++i) {
    const int input = group_inputs * (rank * warps + warp + i * cluster_warps) + lane % 4 * 8;
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      float near[8] = {}, far[8] = {};
      const int expert = 16 * m + lane / 4;
      const int64_t at = static_cast<int64_t>(expert) * call.width + input;
      if (input < call.width && expert < call.experts) {
        load_weights(call.weight, call.weight_bf16, at, near);
      }
      if (input < call.width && expert + 8 < call.experts) {
        load_weights(call.weight, call.weight_bf16, at + 8 * static_cast<int64_t>(call.width), far);
      }
      weights[i][m].set(near, far);
    }
  }
  hopper::cluster_sync();  // every block has started, so that its shared memory may be written
  wait_for_inputs();

  // Logits of this warp's inputs.
  float sums[TokenTiles][2][4] = {};
#pragma unroll
  for (int i = 0; i < Groups; ++i) {
    const int input = group_inputs * (rank * warps + warp + i * cluster_warps) + lane % 4 * 8;
#pragma unroll
    for (int n = 0; n < TokenTiles; ++n) {
      const int token = first_token + 8 * n + lane / 4;
      uint4 x{0, 0, 0, 0};
      if (input < call.width && token < call.tokens) {
        x = *reinterpret_cast<const uint4*>(call.x + static_cast<int64_t>(token) * call.width +
                                            input);
      }
      weights[i][0].multiply_with(x, plane_count, sums[n][0]);
      weights[i][1].multiply_with(x, plane_count, sums[n][1]);
    }
  }
#pragma unroll
  for (int n = 0; n < TokenTiles; ++n) {
    store_logits(sums[n][0], &partial[warp][8 * n][0]);
    store_logits(sums[n][1], &partial[warp][8 * n][16]);
  }
  __syncthreads();

  // Of this block's inputs: warp w sends token w of each tile to block w.
#pragma unroll
  for (int n = 0; n < TokenTiles; ++n) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < warps; ++w) sum += partial[w][8 * n + warp][lane];
    hopper::store_at(shared_address(&gathered[rank][n][lane]), static_cast<uint32_t>(warp), sum);
  }
  hopper::cluster_sync();

  // Choices.
  const int token = first_token + 8 * warp + rank;
  if (warp < TokenTiles && token < call.tokens) {
    float logit = 0;
#pragma unroll
    for (int b = 0; b < cluster_blocks; ++b) logit += gathered[b][warp][lane];
    if (call.round_logits) logit = __bfloat162float(__float2bfloat16(logit));
    logits[warp][lane] = logit;
    __syncwarp();
    const int64_t first = static_cast<int64_t>(token) * call.chosen;
    choose(logits[warp], call.experts, call.chosen, call.choices + first, call.shares + first);
  }

  // The plan.
  if (first_token + rank >= call.tokens) return;
  const int clusters = static_cast<int>(gridDim.x) / cluster_blocks;
  const int in_last_cluster = call.tokens - (clusters - 1) * 8 * TokenTiles;
  const int with_tokens = (clusters - 1) * cluster_blocks + min(cluster_blocks, in_last_cluster);
  if (is_last_block(call.counters, with_tokens)) {
    group_slots(call.choices, call.tokens * call.chosen, call.experts, call.plan, table);
  }
#endif
}

// Many tokens, up to tile_experts experts: a block takes 8 * TokenTiles of them, its warps divide the
// inputs of a stage.
template <int TokenTiles>
struct RouteTile {
  static constexpr int tile_threads = 128, tile_warps = 4, stages = 3;
  static constexpr int tokens = 8 * TokenTiles;
  static constexpr int inputs = group_inputs * tile_warps;                   // of a stage
  static constexpr int token_bytes = inputs * 2, weight_bytes = inputs * 4;  // of a row
  static constexpr int stage_bytes = tokens * token_bytes + tile_experts * weight_bytes;
  static constexpr int shared_bytes = stages * stage_bytes;
  static_assert(tile_warps * tokens * logit_pitch * 4 <= shared_bytes);

  // Places of 16 bytes, such that lanes of neighbouring rows meet no bank twice.
  static __device__ __forceinline__ int token_place(int row, int piece) {
    return row * token_bytes + ((piece ^ ((row & 1) << 2)) << 4);
  }
  static __device__ __forceinline__ int weight_place(int row, int piece) {
    return tokens * token_bytes + row * weight_bytes + ((piece ^ (row & 1)) << 4);
  }

  static __device__ __forceinline__ void copy(const RouteCall& call, int first_token, int chunk,
                                              uint32_t stage) {
    const int thread = static_cast<int>(threadIdx.x);
    const char* weight = static_cast<const char*>(call.weight);
    const int size = call.weight_bf16 ? 2 : 4;          // of a weight
    const int weight_pieces = inputs * size / 16;       // of a row
    const int row_step = tile_threads / weight_pieces;  // rows that the threads take at once
    for (int row = thread / weight_pieces; row < tile_experts; row += row_step) {
      const int piece = thread % weight_pieces;
      const int input = chunk * inputs + piece * 16 / size;
      const bool exists = row < call.experts && input < call.width;
      const int64_t at = (static_cast<int64_t>(row) * call.width + input) * size;
      copy_16(stage + static_cast<uint32_t>(weight_place(row, piece)), weight + (exists ? at : 0),
              exists);
    }
    const int piece = thread % 16, input = chunk * inputs + piece * 8;
#pragma unroll
    for (int row = thread / 16; row < tokens; row += tile_threads / 16) {
      const bool exists = first_token + row < call.tokens && input < call.width;
      const int64_t at = static_cast<int64_t>(first_token + row) * call.width + input;
      copy_16(stage + static_cast<uint32_t>(token_place(row, piece)), call.x + (exists ? at : 0),
              exists);
    }
  }

  static __device__ __forceinline__ void weights_of(const RouteCall& call,
                                                    const unsigned char* stage, int row, int warp,
                                                    int quad, float (&values)[8]) {
    if (call.weight_bf16) {
      unpack(*reinterpret_cast<const uint4*>(stage + weight_place(row, 4 * warp + quad)), values);
      return;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int place = weight_place(row, 8 * warp + 2 * quad + half);
      const float4 part = *reinterpret_cast<const float4*>(stage + place);
      values[4 * half] = part.x, values[4 * half + 1] = part.y;
      values[4 * half + 2] = part.z, values[4 * half + 3] = part.w;
    }
  }
};

template <int TokenTiles>
__global__ void __launch_bounds__(128) route_tiles(RouteCall call) {
  extern __shared__ __align__(128) unsigned char shared[];
  using Tile = RouteTile<TokenTiles>;
  let_next_start();
  wait_for_inputs();
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int first_token = static_cast<int>(blockIdx.x) * Tile::tokens;
  const int plane_count = call.weight_bf16 ? 1 : 3;
  const int chunks = (call.width + Tile::inputs - 1) / Tile::inputs;
  const uint32_t ring = shared_address(shared);

  for (int s = 0; s < Tile::stages - 1; ++s) {
    if (s < chunks) Tile::copy(call, first_token, s, ring + s * Tile::stage_bytes);
    end_copy_group();
  }
  float sums[TokenTiles][2][4] = {};
  int slot = 0, next_slot = Tile::stages - 1;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    wait_for_copies<Tile::stages - 2>();
    __syncthreads();
    const int next = chunk + Tile::stages - 1;
    if (next < chunks) Tile::copy(call, first_token, next, ring + next_slot * Tile::stage_bytes);
    end_copy_group();
    next_slot = next_slot + 1 == Tile::stages ? 0 : next_slot + 1;

    const unsigned char* stage = shared + slot * Tile::stage_bytes;
    slot = slot + 1 == Tile::stages ? 0 : slot + 1;
    SplitWeights weights[2];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      float near[8], far[8];
      Tile::weights_of(call, stage, 16 * m + lane / 4, warp, lane % 4, near);
      Tile::weights_of(call, stage, 16 * m + lane / 4 + 8, warp, lane % 4, far);
      weights[m].set(near, far);
    }
#pragma unroll
    for (int n = 0; n < TokenTiles; ++n) {
      const int place = Tile::token_place(8 * n + lane / 4, 4 * warp + lane % 4);
      const uint4 x = *reinterpret_cast<const uint4*>(stage + place);
      weights[0].multiply_with(x, plane_count, sums[n][0]);
      weights[1].multiply_with(x, plane_count, sums[n][1]);
    }
  }
  wait_for_copies<0>();
  __syncthreads();

  // The warps' sums, then one thread a token.
  float* partial = reinterpret_cast<float*>(shared);  // [warps, tokens, logit_pitch]
#pragma unroll
  for (int n = 0; n < TokenTiles; ++n) {
    store_logits(sums[n][0], partial + (warp * Tile::tokens + 8 * n) * logit_pitch);
    store_logits(sums[n][1], partial + (warp * Tile::tokens + 8 * n) * logit_pitch + 16);
  }
  __syncthreads();
  for (int i = thread; i < Tile::tokens * tile_experts; i += Tile::tile_threads) {
    float* to = partial + i / tile_experts * logit_pitch + i % tile_experts;
    float sum = to[0];
#pragma unroll
    for (int w = 1; w < Tile::tile_warps; ++w) sum += to[w * Tile::tokens * logit_pitch];
    *to = call.round_logits ? __bfloat162float(__float2bfloat16(sum)) : sum;
  }
  __syncthreads();
  if (thread < Tile::tokens && first_token + thread < call.tokens) {
    const int64_t first = static_cast<int64_t>(first_token + thread) * call.chosen;
    choose_alone(partial + thread * logit_pitch, call.experts, call.chosen, call.choices + first,
                 call.shares + first);
  }
}

// Any shape: one block a token. With `plan_too`, the block that ends last groups the slots.
__global__ void __launch_bounds__(threads) route_any(RouteCall call, bool plan_too) {
  extern __shared__ __align__(128) unsigned char shared[];
  __shared__ float logits[most_experts];
  let_next_start();
  wait_for_inputs();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const bfloat16* x = call.x + static_cast<int64_t>(blockIdx.x) * call.width;
  for (int e = warp; e < call.experts; e += warps) {
    float sum = 0;
    const int64_t row = static_cast<int64_t>(e) * call.width;
    for (int k = lane; k < call.width; k += 32) {
      sum += __bfloat162float(x[k]) * weight_at(call.weight, call.weight_bf16, row + k);
    }
    sum = warp_sum(sum);
    if (call.round_logits) sum = __bfloat162float(__float2bfloat16(sum));
    if (lane == 0) logits[e] = sum;
  }
  __syncthreads();
  if (warp == 0) {
    const int64_t first = static_cast<int64_t>(blockIdx.x) * call.chosen;
    choose(logits, call.experts, call.chosen, call.choices + first, call.shares + first);
  }
  if (!plan_too) return;
  if (is_last_block(call.counters, static_cast<int>(gridDim.x))) {
    group_slots(call.choices, call.tokens * call.chosen, call.experts, call.plan,
                reinterpret_cast<int32_t*>(shared));
  }
}

// One block an expert: counts the choices of lower experts, then writes its own slots.
__global__ void __launch_bounds__(1024)
    plan_any(const int32_t* choices, int slots, int experts, RoutingPlan plan) {
  __shared__ int32_t lower[32];
  __shared__ int32_t own[32];
  let_next_start();
  wait_for_inputs();
  const int expert = static_cast<int>(blockIdx.x);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int stretch = (slots + 1023) / 1024 * 32;
  const int first = min(slots, warp * stretch), last = min(slots, first + stretch);
  int32_t lower_count = 0, own_count = 0;
  for (int i = first + lane; i < last; i += 32) {
    lower_count += choices[i] < expert;
    own_count += choices[i] == expert;
  }
  lower_count = __reduce_add_sync(0xffffffffu, lower_count);
  own_count = __reduce_add_sync(0xffffffffu, own_count);
  if (lane == 0) lower[warp] = lower_count, own[warp] = own_count;
  __syncthreads();
  int32_t start = __reduce_add_sync(0xffffffffu, lower[lane]);
  const int32_t total = __reduce_add_sync(0xffffffffu, own[lane]);
  const int32_t here = __reduce_add_sync(0xffffffffu, lane < warp ? own[lane] : 0);
  if (threadIdx.x == 0) {
    plan.starts[expert] = start;
    if (expert == experts - 1) plan.starts[experts] = start + total;
  }
  int32_t place = start + here;
  for (int begin = first; begin < last; begin += 32) {
    const bool match = begin + lane < last && choices[begin + lane] == expert;
    const uint32_t matches = __ballot_sync(0xffffffffu, match);
    if (match) plan.slots[place + __popc(matches & ((1u << lane) - 1))] = begin + lane;
    place += __popc(matches);
  }
}

// More tiles a cluster where fewer would leave clusters waiting for room. A quarter of the multiprocessors
// is not counted on: they come in groups that do not all hold whole clusters.
template <int Groups, int TokenTiles = 1>
void launch_cluster(const Launcher& launch, const RouteCall& call) {
  const int clusters = (call.tokens + 8 * TokenTiles - 1) / (8 * TokenTiles);
  if constexpr (TokenTiles < most_token_tiles) {
    if (clusters > launch.device().multiprocessors * 3 / 4 / cluster_blocks) {
      launch_cluster<Groups, 2 * TokenTiles>(launch, call);
      return;
    }
  }
  launch(route_cluster<Groups, TokenTiles>, dim3(static_cast<unsigned>(clusters * cluster_blocks)),
         dim3(threads), 0, call);
}

// False when the shape is not for it.
bool route_in_one_launch(const Launcher& launch, const RouteCall& call) {
  const int groups =
      (call.width + group_inputs * cluster_warps - 1) / (group_inputs * cluster_warps);
  if (!launch.device().hopper || groups > 4) return false;
  if (groups == 1) {
    launch_cluster<1>(launch, call);
  } else if (groups <= 3) {
    launch_cluster<3>(launch, call);
  } else {
    launch_cluster<4>(launch, call);
  }
  return true;
}

template <int TokenTiles>
void launch_tiles(const Launcher& launch, const RouteCall& call) {
  using Tile = RouteTile<TokenTiles>;
  launch.allow_shared(route_tiles<TokenTiles>, Tile::shared_bytes);
  const int blocks = (call.tokens + Tile::tokens - 1) / Tile::tokens;
  launch(route_tiles<TokenTiles>, dim3(static_cast<unsigned>(blocks)), dim3(Tile::tile_threads),
         Tile::shared_bytes, call);
}

void launch_any(const Launcher& launch, const RouteCall& call, bool plan_too) {
  const size_t table_bytes = sizeof(int32_t) * warps * static_cast<size_t>(call.experts);
  launch(route_any, dim3(static_cast<unsigned>(call.tokens)), dim3(threads),
         plan_too ? table_bytes : 0, call, plan_too);
}

}  // namespace

void plan_routing(const Launcher& launch, const int32_t* choices, int tokens, int chosen,
                  int experts, RoutingPlan plan) {
  launch(plan_any, dim3(static_cast<unsigned>(experts)), dim3(1024), 0, choices, tokens * chosen,
         experts, plan);
}

void route(const Launcher& launch, const RouteCall& call) {
  if (call.tokens == 0) return;
  const bool fast = call.experts <= tile_experts && call.width % 8 == 0 && aligned(call.x) &&
                    aligned(call.weight);
  if (fast && call.tokens <= cluster_tokens && call.tokens * call.chosen <= one_block_slots &&
      route_in_one_launch(launch, call)) {
    return;
  }
  const bool plan_too = call.tokens <= one_launch_tokens;
  if (plan_too || !fast) {
    launch_any(launch, call, plan_too);
  } else if (call.tokens <= 32 * launch.device().multiprocessors) {
    launch_tiles<4>(launch, call);
  } else {
    launch_tiles<8>(launch, call);
  }
  if (plan_too) return;
  plan_routing(launch, call.choices, call.tokens, call.chosen, call.experts, call.plan);
}

}  // namespace minimax
