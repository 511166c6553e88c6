// SPDX-License-Identifier: Apache-2.0
// Lightning attention for many new tokens on Hopper: chunks of 64 tokens through wgmma and TMA.
//
// A cluster of two blocks has one head of one sequence, each block one half of the value columns. In a
// block one warpgroup brings chunks of q, k and v into shared memory, one holds the state in its
// registers and folds chunks into it, and one computes the outputs of a chunk from the state
// before it (rounded to bf16) and from the chunk's own keys and values.

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/hopper.cuh"
#include "engine/kernels/cuda/lightning.cuh"
#include "engine/kernels/cuda/lightning_instructions.cuh"
#include "engine/kernels/cuda/tensor_map.h"
#include "engine/kernels/cuda/warp_mma.cuh"

namespace minimax {
namespace {

constexpr int width = 128;   // D
constexpr int columns = 64;  // of the values, in a block
constexpr int chunk_tokens = 64;
constexpr int group_threads = 128;  // of each of the three warpgroups
constexpr int threads = 3 * group_threads;

// A box is 64 rows of 64 numbers of bf16, with 128-byte swizzle. A stage: q (2 boxes), k (2), v (1).
constexpr uint32_t box_bytes = 64 * 64 * sizeof(bfloat16);
constexpr uint32_t stage_boxes = 5;

// Shared memory of a block, by address.
template <int stages, int state_buffers>
struct Shared {
  static constexpr uint32_t state_at = stages * stage_boxes * box_bytes;
  static constexpr uint32_t out_at = state_at + state_buffers * 2 * box_bytes;
  static constexpr uint32_t barriers_at = out_at + box_bytes;
  static constexpr uint32_t bytes = barriers_at + (stages + state_buffers) * 2 * 8;

  const unsigned char* memory;
  uint32_t base;  // its address

  __device__ uint32_t box(int stage, uint32_t box) const {
    return base + (stage * stage_boxes + box) * box_bytes;
  }
  // The state before a chunk, bf16: [64 values, 128 keys] in two boxes.
  __device__ uint32_t state(int buffer) const { return base + state_at + buffer * 2 * box_bytes; }
  __device__ uint32_t out() const { return base + out_at; }
  __device__ uint32_t full(int stage) const { return base + barriers_at + stage * 8; }
  __device__ uint32_t empty(int stage) const { return full(stages + stage); }
  __device__ uint32_t state_full(int buffer) const { return full(2 * stages + buffer); }
  __device__ uint32_t state_empty(int buffer) const {
    return full(2 * stages + state_buffers + buffer);
  }
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr uint32_t key_box = 2, value_box = 4;

__device__ __forceinline__ uint32_t box_offset(int row, int piece) {
  return static_cast<uint32_t>(row * 128 + (piece ^ row % 8) * 16);
}

// Which of `count` places in a ring is next, and the parity of its barriers' phase.
template <int count>
struct Ring {
  int index = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void advance() {
    if (++index == count) {
      index = 0;
      parity ^= 1;
    }
  }
};

struct Work {
  const LightningCall& call;
  const DeviceLightning sequence;
  const LightningHead memory;
  const int head, first_column;
  const float slope;
  const int64_t end = sequence.position + sequence.row_count;

  __device__ __forceinline__ Work(const LightningCall& call)
      : call(call),
        sequence(call.sequences.entries[blockIdx.z]),
        memory(call, this->sequence, blockIdx.y),
        head(blockIdx.y),
        first_column(blockIdx.x * columns),
        slope(call.slope[blockIdx.y]) {}

  // Chunks begin at `committed`; one ends where the log ends and one where the state is to be kept.
  __device__ __forceinline__ int64_t chunk_end(int64_t first) const {
    int64_t last = first < sequence.position ? sequence.position : end;
    if (first < sequence.committed_after) last = min(last, sequence.committed_after);
    return min(last, first + chunk_tokens);
  }
  __device__ __forceinline__ int64_t row_of(int64_t token) const {
    return sequence.first_row + (token - sequence.position);
  }
  // token % log_rows
  __device__ __forceinline__ int log_row_of(int64_t token) const {
    return static_cast<int>(static_cast<uint32_t>(token) %
                            static_cast<uint32_t>(sequence.log_rows));
  }
  // Queries (0), keys (1) or values (2) of a new token.
  __device__ __forceinline__ const bfloat16* new_row(int64_t token, int which) const {
    return call.qkv + ((row_of(token) * call.heads + head) * 3 + which) * width;
  }
};

// The chunk into a stage by the threads of the warpgroup, rows behind its end zero. Complete on return, but
// for other threads only after a barrier.
__device__ __forceinline__ void copy_chunk(const Work& work, int64_t first, int count,
                                           uint32_t stage) {
  const int thread = static_cast<int>(threadIdx.x) % group_threads;
  const bool is_new = first >= work.sequence.position;
  const int log_rows = static_cast<int>(work.sequence.log_rows);
  const int log_row = work.log_row_of(first);
  // Row r of queries (0), keys (1) or values (2).
  const auto source = [&](int r, int which) -> const bfloat16* {
    if (r >= count) return work.call.qkv;
    if (is_new) return work.new_row(first + r, which);
    const int row = log_row + r < log_rows ? log_row + r : log_row + r - log_rows;
    return (which == 1 ? work.memory.keys : work.memory.values) + row * width;
  };
  for (int which = is_new ? 0 : 1; which < 2; ++which) {
    const uint32_t to = stage + which * 2 * box_bytes;
    const int piece = thread % 16;
#pragma unroll 4
    for (int r = thread / 16; r < chunk_tokens; r += group_threads / 16) {
      copy_16(to + piece / 8 * box_bytes + box_offset(r, piece % 8), source(r, which) + 8 * piece,
              r < count);
    }
  }
  const int piece = thread % 8;
#pragma unroll
  for (int r = thread / 8; r < chunk_tokens; r += group_threads / 8) {
    copy_16(stage + value_box * box_bytes + box_offset(r, piece),
            source(r, 2) + (r < count ? work.first_column : 0) + 8 * piece, r < count);
  }
  end_copy_group();
  wait_for_copies<0>();
  hopper::fence_async();
}

// Keys and values of the tokens that stay un-folded enter the log: of both the columns of this block.
__device__ __forceinline__ void append(const Work& work) {
  const int thread = static_cast<int>(threadIdx.x) % group_threads;
  const int which = thread / 8 % 2, column = work.first_column + thread % 8 * 8;
  const int64_t from = max(work.sequence.position, work.sequence.committed_after);
  bfloat16* log = which == 0 ? work.memory.keys : work.memory.values;
#pragma unroll 4
  for (int64_t token = from + thread / 16; token < work.end; token += group_threads / 16) {
    *reinterpret_cast<uint4*>(log + work.log_row_of(token) * width + column) =
        *reinterpret_cast<const uint4*>(work.new_row(token, 1 + which) + column);
  }
}

// The warpgroup that brings the chunks: by TMA, or row by row where a box would not fit.
template <int stages, int state_buffers>
__device__ __forceinline__ void produce(const Work& work,
                                        const Shared<stages, state_buffers>& shared,
                                        const CUtensorMap& map) {
  const bool is_first = threadIdx.x % group_threads == 0;
  const int64_t rows_end = work.sequence.first_row + work.sequence.row_count;
  Ring<stages> ring;
  bool log_is_read = false;
  int64_t last = 0;
  for (int64_t first = work.sequence.committed; first < work.end; first = last) {
    last = work.chunk_end(first);
    const uint32_t stage = shared.box(ring.index, 0), full = shared.full(ring.index);
    const int64_t row = work.row_of(first);
    if (first >= work.sequence.position && !log_is_read) {
      cluster_arrive();
      wait_for_inputs();
      log_is_read = true;
    }
    hopper::barrier_wait(shared.empty(ring.index), ring.parity ^ 1);
    // A box has 64 rows: they must be this sequence's, or lie behind all.
    if (log_is_read && (row + chunk_tokens <= rows_end || rows_end == work.call.tokens)) {
      if (is_first) {
        hopper::barrier_expect(full, stage_boxes * box_bytes);
        const int x = work.head * 3 * width, y = static_cast<int>(row);
#pragma unroll
        for (int box = 0; box < 4; ++box) {
          hopper::load_2d(stage + box * box_bytes, &map, full, x + box * 64, y);
        }
        hopper::load_2d(stage + value_box * box_bytes, &map, full,
                        x + 2 * width + work.first_column, y);
      } else {
        hopper::barrier_arrive(full);
      }
    } else {
      copy_chunk(work, first, static_cast<int>(last - first), stage);
      hopper::barrier_arrive(full);
    }
    __syncwarp();
    ring.advance();
  }
  if (!log_is_read) {
    cluster_arrive();
    wait_for_inputs();
  }
  cluster_wait();
  append(work);
}

// The warpgroup that holds the state: transposed, [64 values, 128 keys].
template <int stages, int state_buffers>
__device__ __forceinline__ void keep_state(const Work& work,
                                           const Shared<stages, state_buffers>& shared) {
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  const DeviceLightning& sequence = work.sequence;
  // Sum 4 g + 2 r + e: value row_value + 8 r, key 8 g + first_key + e.
  const int first_key = lane % 4 * 2;
  float* place = work.memory.state + first_key * width + work.first_column + warp * 16 + lane / 4;
  float state[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) {
    const int offset = (i / 4 * 8 + i % 2) * width + i / 2 % 2 * 8;
    state[i] = sequence.committed > 0 ? place[offset] : 0.0f;
  }
  // Weights of the chunk's tokens 16 s + first_key + 0, 1, 8, 9 at its end, if it has 64.
  float weights[16];
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const int token = i / 4 * 16 + i / 2 % 2 * 8 + first_key + i % 2;
    weights[i] = lightning_decay(work.slope, chunk_tokens - 1 - token);
  }
  const float whole_decay = lightning_decay(work.slope, chunk_tokens);
  wait_for_inputs();

  Ring<stages> ring;
  Ring<state_buffers> buffers;
  int64_t last = 0;
  for (int64_t first = sequence.committed; first < work.end; first = last) {
    last = work.chunk_end(first);
    const int count = static_cast<int>(last - first);

    if (first >= sequence.position) {  // what the outputs of this chunk read
      hopper::barrier_wait(shared.state_empty(buffers.index), buffers.parity ^ 1);
      const int row = warp * 16 + lane % 16;
      const uint32_t to = shared.state(buffers.index);
#pragma unroll
      for (int g = 0; g < 16; g += 2) {
        const int piece = g + lane / 16;
        hopper::store_blocks(to + piece / 8 * box_bytes + box_offset(row, piece % 8),
                             pack_bf16(state[4 * g], state[4 * g + 1]),
                             pack_bf16(state[4 * g + 2], state[4 * g + 3]),
                             pack_bf16(state[4 * g + 4], state[4 * g + 5]),
                             pack_bf16(state[4 * g + 6], state[4 * g + 7]));
      }
      hopper::fence_async();
      hopper::barrier_arrive(shared.state_full(buffers.index));
      buffers.advance();
    }

    hopper::barrier_wait(shared.full(ring.index), ring.parity);
    if (last < work.end || last == sequence.committed_after) {
      // The decayed values, transposed, as two numbers of bf16 each: their sum has 16 bits.
      const uint32_t values = shared.box(ring.index, value_box);
      const float rest =
          count < chunk_tokens ? expf(work.slope * static_cast<float>(chunk_tokens - count)) : 1.0f;
      uint32_t high[4][4], low[4][4];
#pragma unroll
      for (int s = 0; s < 4; ++s) {
        const int token = s * 16 + lane / 16 * 8 + lane % 8, piece = warp * 2 + lane / 8 % 2;
        load_transposed(high[s], values + box_offset(token, piece));
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int at = s * 16 + i / 2 * 8 + first_key;
          const float w0 = at < count ? rest * weights[4 * s + i / 2 * 2] : 0.0f;
          const float w1 = at + 1 < count ? rest * weights[4 * s + i / 2 * 2 + 1] : 0.0f;
          const float x0 = w0 * low_half(high[s][i]), x1 = w1 * high_half(high[s][i]);
          high[s][i] = pack_bf16(x0, x1);
          low[s][i] = pack_bf16(x0 - low_half(high[s][i]), x1 - high_half(high[s][i]));
        }
      }
      // sums = values^T keys; state = decay * state + sums. Not summed by wgmma: it does not round.
      float sums[64];
      const uint64_t keys =
          hopper::tile_descriptor(shared.box(ring.index, key_box), 1024, box_bytes);
      hopper::products_begin();
#pragma unroll
      for (int s = 0; s < 4; ++s) {
        hopper::Product<128>::registers<1>(sums, high[s], keys + s * 128, s > 0);
        hopper::Product<128>::registers<1>(sums, low[s], keys + s * 128, 1);
      }
      hopper::products_commit();
      hopper::products_wait<0>();
      hopper::pin(sums);
      hopper::barrier_arrive(shared.empty(ring.index));
      const float decay = count < chunk_tokens ? lightning_decay(work.slope, count) : whole_decay;
#pragma unroll
      for (int i = 0; i < 64; ++i) state[i] = decay * state[i] + sums[i];
    } else {
      hopper::barrier_arrive(shared.empty(ring.index));
    }
    ring.advance();

    if (last == sequence.committed_after) {
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        place[(i / 4 * 8 + i % 2) * width + i / 2 % 2 * 8] = state[i];
      }
    }
  }
}

// The warpgroup that computes outputs: warp w those of tokens 16 w .. 16 w + 16 of a chunk.
template <int stages, int state_buffers>
__device__ __forceinline__ void compute_outputs(const Work& work,
                                                const Shared<stages, state_buffers>& shared) {
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  const int first_key = lane % 4 * 2;            // keys 8 g + first_key + 0, 1
  const int first_query = warp * 16 + lane / 4;  // and 8 more
  // exp(-slope (i - j)) as a product, both factors within exp(+-slope * 32).
  constexpr int middle = chunk_tokens / 2;
  float key_weights[16], query_weights[2], state_weights[2];
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    key_weights[i] = lightning_decay(work.slope, middle - (i / 2 * 8 + first_key + i % 2));
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    query_weights[r] = lightning_decay(work.slope, first_query + 8 * r - middle);
    state_weights[r] = lightning_decay(work.slope, first_query + 8 * r + 1);
  }
  wait_for_inputs();

  Ring<stages> ring;
  Ring<state_buffers> buffers;
  int64_t last = 0;
  for (int64_t first = work.sequence.committed; first < work.end; first = last) {
    last = work.chunk_end(first);
    const int count = static_cast<int>(last - first);
    hopper::barrier_wait(shared.full(ring.index), ring.parity);
    if (first < work.sequence.position) {
      hopper::barrier_arrive(shared.empty(ring.index));
      ring.advance();
      continue;
    }

    // scores = q k^T
    float scores[32], sums[32];
    const uint64_t q = hopper::tile_descriptor(shared.box(ring.index, 0));
    const uint64_t k = hopper::tile_descriptor(shared.box(ring.index, key_box));
    hopper::products_begin();
#pragma unroll
    for (int s = 0; s < 8; ++s) {
      const int step = s / 4 * (box_bytes / 16) + s % 4 * 2;
      hopper::Product<64>::shared(scores, q + step, k + step, s > 0);
    }
    hopper::products_commit();

    // sums = q state
    hopper::barrier_wait(shared.state_full(buffers.index), buffers.parity);
    const uint64_t state = hopper::tile_descriptor(shared.state(buffers.index));
    hopper::products_begin();
#pragma unroll
    for (int s = 0; s < 8; ++s) {
      const int step = s / 4 * (box_bytes / 16) + s % 4 * 2;
      hopper::Product<64>::shared(sums, q + step, state + step, s > 0);
    }
    hopper::products_commit();

    hopper::products_wait<1>();
    hopper::pin(scores);
    uint32_t weights[4][4];
#pragma unroll
    for (int i = 0; i < 16; ++i) {  // key pair i / 2, query row i % 2
      const int key = i / 2 * 8 + first_key, query = first_query + i % 2 * 8;
      const float* x = &scores[2 * i];
      const float w0 = x[0] * key_weights[i / 2 * 2] * query_weights[i % 2];
      const float w1 = x[1] * key_weights[i / 2 * 2 + 1] * query_weights[i % 2];
      weights[i / 4][i % 4] = pack_bf16(key <= query ? w0 : 0.0f, key + 1 <= query ? w1 : 0.0f);
    }

    // sums = decayed sums + weights v
    hopper::products_wait<0>();
    hopper::pin(sums);
    hopper::barrier_arrive(shared.state_empty(buffers.index));
    buffers.advance();
#pragma unroll
    for (int i = 0; i < 32; ++i) sums[i] *= state_weights[i / 2 % 2];
    const uint64_t v = hopper::tile_descriptor(shared.box(ring.index, value_box), 1024, box_bytes);
    hopper::products_begin();
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      hopper::Product<64>::registers<1>(sums, weights[s], v + s * 128, 1);
    }
    hopper::products_commit();
    hopper::products_wait<0>();
    hopper::pin(sums);
    hopper::barrier_arrive(shared.empty(ring.index));
    ring.advance();

    // Out through shared memory, so that 8 threads write 128 bytes of a row.
#pragma unroll
    for (int g = 0; g < 8; g += 2) {
      hopper::store_blocks(
          shared.out() + box_offset(warp * 16 + lane % 16, g + lane / 16),
          pack_bf16(sums[4 * g], sums[4 * g + 1]), pack_bf16(sums[4 * g + 2], sums[4 * g + 3]),
          pack_bf16(sums[4 * g + 4], sums[4 * g + 5]), pack_bf16(sums[4 * g + 6], sums[4 * g + 7]));
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = warp * 16 + i * 4 + lane / 8;
      const auto packed = *reinterpret_cast<const uint4*>(shared.memory + shared.out_at +
                                                          box_offset(row, lane % 8));
      if (row < count) {
        bfloat16* to = work.call.out +
                       ((work.row_of(first) + row) * work.call.heads + work.head) * width +
                       work.first_column + lane % 8 * 8;
        *reinterpret_cast<uint4*>(to) = packed;
      }
    }
    __syncwarp();
  }
}

#endif

// Block (half of the value columns, head, sequence).
template <int stages, int state_buffers>
__global__ void MINIMAX_CLUSTER(width / columns) __launch_bounds__(threads, 1)
    lightning_hopper_kernel(const __grid_constant__ LightningCall call,
                            const __grid_constant__ CUtensorMap map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) unsigned char bytes[];
  const Shared<stages, state_buffers> shared{bytes, shared_address(bytes)};
  // Every thread arrives for itself: that orders what it has read and written.
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < stages; ++stage) {
      hopper::barrier_init(shared.full(stage), group_threads);
      hopper::barrier_init(shared.empty(stage), 2 * group_threads);
    }
    for (int buffer = 0; buffer < state_buffers; ++buffer) {
      hopper::barrier_init(shared.state_full(buffer), group_threads);
      hopper::barrier_init(shared.state_empty(buffer), group_threads);
    }
    hopper::fence_barrier_init();
  }
  __syncthreads();
  let_next_start();
  const Work work(call);
  const int group = threadIdx.x / group_threads;
  if (group == 0) {
    hopper::give_registers<88>();
    produce(work, shared, map);
  } else if (group == 1) {
    hopper::take_registers<176>();
    cluster_arrive();
    compute_outputs(work, shared);
    cluster_wait();
  } else {
    hopper::take_registers<240>();
    cluster_arrive();
    keep_state(work, shared);
    cluster_wait();
  }
#endif
}

}  // namespace

bool lightning_hopper(const Launcher& launch, const LightningCall& call) {
  if (!launch.device().hopper || call.width != width) return false;
  if (call.tokens == 0) return true;
  CUtensorMap map{};
  const int64_t row_numbers = static_cast<int64_t>(call.heads) * 3 * width;
  if (!encode_matrix(call.qkv, call.tokens, row_numbers, row_numbers, chunk_tokens, 64, &map)) {
    return false;
  }
  constexpr int stages = 4, state_buffers = 2;
  constexpr size_t shared_bytes = Shared<stages, state_buffers>::bytes;
  const dim3 grid(width / columns, static_cast<unsigned>(call.heads),
                  static_cast<unsigned>(call.sequences.host.size()));
  launch.allow_shared(lightning_hopper_kernel<stages, state_buffers>, shared_bytes);
  launch(lightning_hopper_kernel<stages, state_buffers>, grid, dim3(threads), shared_bytes, call,
         map);
  return true;
}

}  // namespace minimax
