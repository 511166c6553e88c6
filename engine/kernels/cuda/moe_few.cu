// SPDX-License-Identifier: Apache-2.0
// The experts of few tokens: every chosen expert's weights are read once.
#include <algorithm>

#include "engine/kernels/cuda/few.cuh"
#include "engine/kernels/cuda/moe.h"

namespace minimax {
namespace {

// The experts' addresses and the plan in shared memory, and the experts that have tokens.
struct ActivePlan {
  const bfloat16** matrices;  // [X, 3]
  int32_t* starts;            // [X + 1]
  int32_t* active;            // [X]
  int32_t* slots;             // [T * E]
  int count = 0;              // of active experts

  static size_t bytes(const MoeCall& call) {
    const auto experts = static_cast<size_t>(call.experts.count);
    const size_t slots = static_cast<size_t>(call.tokens) * static_cast<size_t>(call.chosen);
    return sizeof(void*) * 3 * experts + sizeof(int32_t) * (2 * experts + 2 + slots);
  }
  __device__ ActivePlan(const MoeCall& call, unsigned char* memory)
      : matrices(reinterpret_cast<const bfloat16**>(memory)),
        starts(reinterpret_cast<int32_t*>(matrices + 3 * call.experts.count)),
        active(starts + call.experts.count + 1),
        slots(active + call.experts.count + 1) {}
};

// All threads of the block.
__device__ void read_matrices(const MoeCall& call, const ActivePlan& plan) {
  for (int i = static_cast<int>(threadIdx.x); i < 3 * call.experts.count;
       i += static_cast<int>(blockDim.x)) {
    plan.matrices[i] = call.experts.matrices[i];
  }
}

// All threads of the block.
__device__ void read_plan(const MoeCall& call, ActivePlan& plan) {
  const int experts = call.experts.count, slots = call.tokens * call.chosen;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  int32_t* count = plan.active + experts;
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
}

// hidden[slot, f] = silu(gate[f] . x) * (up[f] . x). A row tile is 8 rows of gate and the same 8 of up;
// the tiles of all active experts are dealt out evenly, a job is a few of one expert.
template <int Rows>
struct GateUpWork {
  static constexpr int most_tiles = Rows / 16;
  const MoeCall& call;
  const ActivePlan& plan;
  const int expert_tiles;
  Stretch share;  // this block's tiles, counted through the active experts
  int job_count = 0;

  struct Job {
    int rows, tokens, expert, column, start;
  };
  __device__ GateUpWork(const MoeCall& the_call, const ActivePlan& the_plan)
      : call(the_call), plan(the_plan), expert_tiles(the_call.expert_width / 8) {
    const Stretch all{0, expert_tiles * plan.count};
    share = all.part(static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
    for (int from = share.first; from < share.last; from = same_expert(from).last) {
      job_count += jobs_of(same_expert(from));
    }
  }
  // The tiles of this block from a first one on that belong to its expert.
  __device__ Stretch same_expert(int from) const {
    return {from, min(share.last, (from / expert_tiles + 1) * expert_tiles)};
  }
  __device__ static int jobs_of(Stretch tiles) { return ceiling(tiles.size(), most_tiles); }
  __device__ int jobs() const { return job_count; }
  __device__ int inputs() const { return call.width; }
  __device__ Job job(int i) const {
    Stretch tiles = same_expert(share.first);
    for (; i >= jobs_of(tiles); tiles = same_expert(tiles.last)) i -= jobs_of(tiles);
    const Stretch part = tiles.part(i, jobs_of(tiles));
    const int expert = plan.active[part.first / expert_tiles], start = plan.starts[expert];
    return {16 * part.size(), plan.starts[expert + 1] - start, expert,
            8 * (part.first % expert_tiles), start};
  }
  __device__ const bfloat16* weight_row(const Job& job, int row) const {
    const bfloat16* matrix = plan.matrices[3 * job.expert + (row / 8) % 2];
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
  Stretch share;    // of this block: units of 8 columns of out
  int job_count;

  struct Job {
    int rows, tokens, expert, column, start;
    bool ends;  // the last expert of these columns
  };
  __device__ DownWork(const MoeCall& the_call, const ActivePlan& the_plan, float* memory)
      : call(the_call), plan(the_plan), combined(memory) {
    const Stretch all{0, call.width / 8};
    share = all.part(static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
    job_count = parts() * plan.count;
    for (int i = static_cast<int>(threadIdx.x); i < call.tokens * Rows;
         i += static_cast<int>(blockDim.x)) {
      combined[i] = 0;
    }
  }
  __device__ int parts() const { return ceiling(share.size(), Rows / 8); }
  __device__ int jobs() const { return job_count; }
  __device__ int inputs() const { return call.expert_width; }
  __device__ Job job(int i) const {
    const Stretch columns = share.part(i / plan.count, parts());
    const int turn = i % plan.count, expert = plan.active[turn], start = plan.starts[expert];
    return {
        8 * columns.size(),    plan.starts[expert + 1] - start, expert, 8 * columns.first, start,
        turn == plan.count - 1};
  }
  __device__ const bfloat16* weight_row(const Job& job, int row) const {
    return plan.matrices[3 * job.expert + 2] +
           static_cast<int64_t>(job.column + row) * call.expert_width;
  }
  __device__ const bfloat16* token_row(const Job& job, int token) const {
    return call.hidden + static_cast<int64_t>(plan.slots[job.start + token]) * call.expert_width;
  }
  __device__ const bfloat16* somewhere() const { return plan.matrices[2]; }

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
  extern __shared__ __align__(128) unsigned char shared[];
  ActivePlan plan(call, shared + Stream::shared_bytes(call.tokens));
  read_matrices(call, plan);
  wait_for_inputs();
  let_next_start();  // only now: moe_down reads the plan early
  read_plan(call, plan);
  const GateUpWork<Stream::rows> work(call, plan);
  Stream::template run<false>(work, shared, call.tokens);
}

// Reads the plan and the weights before wait_for_inputs(): moe_gate_up, which comes right before, has
// waited for the plan before it let this kernel start.
template <typename Stream>
__global__ void __launch_bounds__(Stream::threads, 1)
    moe_down(const __grid_constant__ MoeCall call) {
  extern __shared__ __align__(128) unsigned char shared[];
  let_next_start();
  ActivePlan plan(call, shared + Stream::shared_bytes(call.tokens));
  float* combined = reinterpret_cast<float*>(plan.slots + call.tokens * call.chosen);
  read_matrices(call, plan);
  read_plan(call, plan);
  const DownWork<Stream::rows> work(call, plan, combined);
  Stream::template run<true>(work, shared, call.tokens);
}

// False when a block's shared memory does not hold it.
template <typename GateUpStream, typename DownStream>
bool launch_stages(const Launcher& launch, const MoeCall& call) {
  const int multiprocessors = launch.device().multiprocessors;
  const size_t combined_bytes = sizeof(float) * static_cast<size_t>(call.tokens) * DownStream::rows;
  const size_t plan_bytes = ActivePlan::bytes(call);
  const size_t gate_up_bytes = GateUpStream::shared_bytes(call.tokens) + plan_bytes;
  const size_t down_bytes = DownStream::shared_bytes(call.tokens) + plan_bytes + combined_bytes;
  const auto most_bytes = static_cast<size_t>(launch.device().shared_bytes_per_block);
  if (std::max(gate_up_bytes, down_bytes) > most_bytes) return false;
  launch.allow_shared(moe_gate_up<GateUpStream>, gate_up_bytes);
  launch(moe_gate_up<GateUpStream>, dim3(static_cast<unsigned>(multiprocessors)),
         dim3(GateUpStream::threads), gate_up_bytes, call);
  const int blocks = std::min(call.width / 8, multiprocessors);
  launch.allow_shared(moe_down<DownStream>, down_bytes);
  launch(moe_down<DownStream>, dim3(static_cast<unsigned>(blocks)), dim3(DownStream::threads),
         down_bytes, call);
  return true;
}

// A block's share of W = 6144 on 132 multiprocessors is 48 rows of the down matrices.
template <int TokenTiles, int GateUpStages, int DownStages>
bool launch_tiles(const Launcher& launch, const MoeCall& call) {
  return launch_stages<WeightStream<64, 128, TokenTiles, GateUpStages>,
                       WeightStream<48, 128, TokenTiles, DownStages>>(launch, call);
}

}  // namespace

bool moe_few(const Launcher& launch, const MoeCall& call) {
  if (call.tokens < 1 || call.tokens > moe_few_tokens || call.width < 8 || call.width % 8 != 0 ||
      call.expert_width < 8 || call.expert_width % 8 != 0 || !aligned(call.x) ||
      !aligned(call.hidden)) {
    return false;
  }
  if (call.tokens <= 8) return launch_tiles<1, 5, 6>(launch, call);
  if (call.tokens <= 16) return launch_tiles<2, 5, 6>(launch, call);
  if (call.tokens <= 32) return launch_tiles<4, 5, 6>(launch, call);
  return launch_tiles<8, 4, 5>(launch, call);
}

}  // namespace minimax
