// SPDX-License-Identifier: Apache-2.0
// The experts of few tokens: every chosen expert's weights are read once.
#include <algorithm>

#include "engine/kernels/cuda/few.cuh"
#include "engine/kernels/cuda/moe.h"

namespace minimax {
namespace {

// The plan in shared memory, and the experts that have tokens.
struct ActivePlan {
  int32_t* starts;  // [X + 1]
  int32_t* active;  // [X]
  int32_t* slots;   // [T * E]
  int count;        // of active experts

  static size_t bytes(const MoeCall& call) {
    return sizeof(int32_t) * (2 * static_cast<size_t>(call.experts.count) + 2 +
                              static_cast<size_t>(call.tokens) * static_cast<size_t>(call.chosen));
  }
};

// All threads of the block.
__device__ ActivePlan read_plan(const MoeCall& call, int32_t* memory) {
  const int experts = call.experts.count, slots = call.tokens * call.chosen;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  ActivePlan plan{memory, memory + experts + 1, memory + 2 * experts + 2, 0};
  int32_t* count = memory + 2 * experts + 1;
  for (int i = thread; i <= experts; i += threads) plan.starts[i] = __ldcg(call.plan.starts + i);
  for (int i = thread; i < slots; i += threads) plan.slots[i] = __ldcg(call.plan.slots + i);
  __syncthreads();
  if (thread < 32) {
    int found = 0;
    for (int begin = 0; begin < experts; begin += 32) {
      const int expert = begin + thread;
      const bool has = expert < experts && plan.starts[expert] < plan.starts[expert + 1];
      const uint32_t all = __ballot_sync(0xffffffffu, has);
      if (has) plan.active[found + __popc(all & ((1u << thread) - 1))] = expert;
      found += __popc(all);
    }
    if (thread == 0) *count = found;
  }
  __syncthreads();
  plan.count = *count;
  return plan;
}

// hidden[slot, f] = silu(gate[f] . x) * (up[f] . x). A row tile is 8 rows of gate and the same 8 of up;
// the tiles of all active experts are dealt out evenly, a job is a few of one expert.
template <int Rows>
struct GateUpWork {
  static constexpr int most_tiles = Rows / 16;
  const MoeCall& call;
  const ActivePlan& plan;
  int first, last;  // this block's tiles, counted through the active experts
  int tiles;        // of an expert
  int job_count;

  struct Job {
    int rows, tokens, expert, column, start;
  };
  __device__ GateUpWork(const MoeCall& the_call, const ActivePlan& the_plan)
      : call(the_call), plan(the_plan), tiles(the_call.expert_width / 8), job_count(0) {
    const int64_t all = static_cast<int64_t>(tiles) * plan.count;
    first = static_cast<int>(all * blockIdx.x / gridDim.x);
    last = static_cast<int>(all * (blockIdx.x + 1) / gridDim.x);
    for (int from = first; from < last; from = end_of(from)) job_count += jobs_from(from);
  }
  // Where the expert of a tile ends, or this block's share.
  __device__ int end_of(int tile) const { return min(last, (tile / tiles + 1) * tiles); }
  __device__ int jobs_from(int tile) const {
    return (end_of(tile) - tile + most_tiles - 1) / most_tiles;
  }
  __device__ int jobs() const { return job_count; }
  __device__ int inputs() const { return call.width; }
  __device__ Job job(int i) const {
    int from = first;
    for (int here = jobs_from(from); i >= here; here = jobs_from(from)) {
      i -= here;
      from = end_of(from);
    }
    const int tile = from + i * most_tiles, expert = plan.active[tile / tiles];
    const int start = plan.starts[expert];
    return {16 * min(most_tiles, end_of(from) - tile), plan.starts[expert + 1] - start, expert,
            8 * (tile % tiles), start};
  }
  __device__ const bfloat16* weight_row(const Job& job, int row) const {
    const bfloat16* matrix = call.experts.matrices[3 * job.expert + (row / 8) % 2];
    return matrix + static_cast<int64_t>(job.column + row / 16 * 8 + row % 8) * call.width;
  }
  __device__ const bfloat16* token_row(const Job& job, int token) const {
    const int row = plan.slots[job.start + token] / call.chosen;
    return call.x + static_cast<int64_t>(row) * call.width;
  }
  __device__ const bfloat16* somewhere() const { return call.x; }

  template <typename Sum>
  __device__ void finish(const Job& job, int first_token, const Sum& sum) const {
    for (int i = static_cast<int>(threadIdx.x); i < 4 * Rows; i += static_cast<int>(blockDim.x)) {
      const int column = i % (Rows / 2), token = i / (Rows / 2);
      if (2 * column >= job.rows || first_token + token >= job.tokens) continue;
      const int row = column / 8 * 16 + column % 8;
      const float value = silu(sum(row, token)) * sum(row + 8, token);
      const int64_t slot = plan.slots[job.start + first_token + token];
      call.hidden[slot * call.expert_width + job.column + column] = __float2bfloat16(value);
    }
  }
};

// out[t] = sum over the token's experts, ascending, of share * down . hidden[slot]. A block owns rows of
// the down matrices and goes through the active experts, so the sum stays in its shared memory.
template <int Rows>
struct DownWork {
  const MoeCall& call;
  const ActivePlan& plan;
  float* combined;  // [T, Rows]
  int first, last;  // columns of out
  int job_count;

  struct Job {
    int rows, tokens, expert, column, start;
    bool ends;  // the last expert of these columns
  };
  __device__ DownWork(const MoeCall& the_call, const ActivePlan& the_plan, float* memory)
      : call(the_call), plan(the_plan), combined(memory) {
    const int64_t units = call.width / 8;
    first = static_cast<int>(8 * (units * blockIdx.x / gridDim.x));
    last = static_cast<int>(8 * (units * (blockIdx.x + 1) / gridDim.x));
    job_count = (last - first + Rows - 1) / Rows * plan.count;
    for (int i = static_cast<int>(threadIdx.x); i < call.tokens * Rows;
         i += static_cast<int>(blockDim.x)) {
      combined[i] = 0;
    }
  }
  __device__ int jobs() const { return job_count; }
  __device__ int inputs() const { return call.expert_width; }
  __device__ Job job(int i) const {
    const int turn = i % plan.count, column = first + i / plan.count * Rows;
    const int expert = plan.active[turn], start = plan.starts[expert];
    return {min(Rows, last - column), plan.starts[expert + 1] - start, expert, column, start,
            turn == plan.count - 1};
  }
  __device__ const bfloat16* weight_row(const Job& job, int row) const {
    return call.experts.matrices[3 * job.expert + 2] +
           static_cast<int64_t>(job.column + row) * call.expert_width;
  }
  __device__ const bfloat16* token_row(const Job& job, int token) const {
    return call.hidden + static_cast<int64_t>(plan.slots[job.start + token]) * call.expert_width;
  }
  __device__ const bfloat16* somewhere() const { return call.experts.matrices[2]; }

  template <typename Sum>
  __device__ void finish(const Job& job, int first_token, const Sum& sum) const {
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    for (int i = thread; i < 8 * Rows; i += threads) {
      const int row = i % Rows, token = first_token + i / Rows;
      if (row >= job.rows || token >= job.tokens) continue;
      const int slot = plan.slots[job.start + token];
      combined[slot / call.chosen * Rows + row] += call.shares[slot] * sum(row, i / Rows);
    }
    if (!job.ends || first_token + 8 < job.tokens) return;
    __syncthreads();
    for (int i = thread; i < call.tokens * Rows; i += threads) {
      const int row = i % Rows;
      if (row < job.rows) {
        call.out[static_cast<int64_t>(i / Rows) * call.width + job.column + row] =
            __float2bfloat16(combined[i]);
      }
      combined[i] = 0;
    }
  }
};

template <typename Stream>
__global__ void __launch_bounds__(Stream::threads, 1)
    moe_gate_up(const __grid_constant__ MoeCall call) {
  extern __shared__ __align__(128) unsigned char memory[];
  wait_for_inputs();
  let_next_start();  // only now: moe_down reads the plan early
  const ActivePlan plan =
      read_plan(call, reinterpret_cast<int32_t*>(memory + Stream::shared_bytes(call.tokens)));
  const GateUpWork<Stream::rows> work(call, plan);
  Stream::template run<false>(work, memory, call.tokens);
}

// Reads the plan and the weights before wait_for_inputs(): moe_gate_up, which comes right before, has
// waited for the plan before it let this kernel start.
template <typename Stream>
__global__ void __launch_bounds__(Stream::threads, 1) moe_down(const __grid_constant__ MoeCall call) {
  extern __shared__ __align__(128) unsigned char memory[];
  let_next_start();
  float* combined = reinterpret_cast<float*>(memory + Stream::shared_bytes(call.tokens));
  const ActivePlan plan =
      read_plan(call, reinterpret_cast<int32_t*>(combined + call.tokens * Stream::rows));
  const DownWork<Stream::rows> work(call, plan, combined);
  Stream::template run<true>(work, memory, call.tokens);
}

template <typename Stream>
void launch_stages(const Launcher& launch, const MoeCall& call) {
  const int multiprocessors = launch.device().multiprocessors;
  const size_t stream_bytes = Stream::shared_bytes(call.tokens);
  const size_t plan_bytes = ActivePlan::bytes(call);
  const size_t combined_bytes = sizeof(float) * static_cast<size_t>(call.tokens) * Stream::rows;
  launch.allow_shared(moe_gate_up<Stream>, stream_bytes + plan_bytes);
  launch(moe_gate_up<Stream>, dim3(static_cast<unsigned>(multiprocessors)), dim3(Stream::threads),
         stream_bytes + plan_bytes, call);
  const int blocks = std::min(call.width / 8, multiprocessors);
  launch.allow_shared(moe_down<Stream>, stream_bytes + combined_bytes + plan_bytes);
  launch(moe_down<Stream>, dim3(static_cast<unsigned>(blocks)), dim3(Stream::threads),
         stream_bytes + combined_bytes + plan_bytes, call);
}

}  // namespace

bool moe_few(const Launcher& launch, const MoeCall& call) {
  if (call.tokens < 1 || call.tokens > moe_few_tokens || call.width < 8 || call.width % 8 != 0 ||
      call.expert_width < 8 || call.expert_width % 8 != 0 || !aligned(call.x) ||
      !aligned(call.hidden)) {
    return false;
  }
  if (call.tokens <= 8) {
    launch_stages<WeightStream<64, 128, 1, 5>>(launch, call);
  } else if (call.tokens <= 16) {
    launch_stages<WeightStream<64, 128, 2, 5>>(launch, call);
  } else if (call.tokens <= 32) {
    launch_stages<WeightStream<64, 128, 4, 4>>(launch, call);
  } else {
    launch_stages<WeightStream<64, 128, 8, 4>>(launch, call);
  }
  return true;
}

}  // namespace minimax
