// SPDX-License-Identifier: Apache-2.0
// Chooses each token's experts, and groups the tokens by expert.
#include <algorithm>

#include "engine/kernels/cuda/few.cuh"
#include "engine/kernels/cuda/moe.h"

namespace minimax {
namespace {

constexpr int most_experts = 1024;
constexpr int one_launch_tokens = 256;
constexpr int threads = 256;
constexpr int warps = threads / 32;

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

// Any shape: one block a token. With `plan_too`, the block that ends last groups the slots.
__global__ void __launch_bounds__(threads) route_any(RouteCall call, bool plan_too) {
  extern __shared__ int32_t table[];
  __shared__ float logits[most_experts];
  __shared__ bool last;
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

  if (warp == 0) {
    __threadfence();
    __syncwarp();
    if (lane == 0) {
      last = atomicAdd(call.counters, 1) == static_cast<int>(gridDim.x) - 1;
      if (last) *call.counters = 0;
      __threadfence();
    }
  }
  __syncthreads();
  if (last) {
    group_slots(call.choices, call.tokens * call.chosen, call.experts, call.plan, table);
  }
}

// One block an expert: counts the choices of lower experts, then writes its own slots.
__global__ void __launch_bounds__(1024)
    plan_any(const int32_t* choices, int slots, int experts, RoutingPlan plan) {
  __shared__ int32_t lower[32], own[32];
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

}  // namespace

void plan_routing(const Launcher& launch, const int32_t* choices, int tokens, int chosen,
                  int experts, RoutingPlan plan) {
  launch(plan_any, dim3(static_cast<unsigned>(experts)), dim3(1024), 0, choices, tokens * chosen,
         experts, plan);
}

void route(const Launcher& launch, const RouteCall& call) {
  if (call.tokens == 0) return;
  const bool plan_too = call.tokens <= one_launch_tokens;
  const size_t table_bytes =
      plan_too ? sizeof(int32_t) * warps * static_cast<size_t>(call.experts) : 0;
  launch(route_any, dim3(static_cast<unsigned>(call.tokens)), dim3(threads), table_bytes, call,
         plan_too);
  if (!plan_too) {
    plan_routing(launch, call.choices, call.tokens, call.chosen, call.experts, call.plan);
  }
}

}  // namespace minimax
