// SPDX-License-Identifier: Apache-2.0
// Lightning attention for a few new tokens: the state is read once, and written only when it is folded.

#include <algorithm>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/lightning.cuh"
#include "engine/kernels/cuda/lightning_instructions.cuh"
#include "engine/kernels/cuda/warp_mma.cuh"

namespace minimax {
namespace {

constexpr int width = 128;        // D
constexpr int chunk_tokens = 64;  // of the log, at a time in shared memory
constexpr int row_groups = 8;     // each holds 16 rows of the state
constexpr int group_rows = width / row_groups;

// What a block of 2 * columns threads works with. rows: queries at a time.
template <int columns, int rows>
struct Memory {
  alignas(16) bfloat16 keys[chunk_tokens][width];
  alignas(16) bfloat16 values[chunk_tokens][columns];
  alignas(16) float queries[rows][width];
  float weights[rows][chunk_tokens];
  alignas(16) float partial[row_groups][rows][columns];
};

// A slice of value columns of one head of one sequence. Each thread holds 16 rows x 4 columns of the state.
template <int columns, int rows>
struct Slice {
  static constexpr int threads = 2 * columns;
  static constexpr int quads = columns / 4;  // threads beside each other in a row of the state
  using Shared = Memory<columns, rows>;

  const LightningCall& call;
  const DeviceLightning sequence;
  const LightningHead memory;
  Shared& shared;
  const int head, first_column;
  const int quad = static_cast<int>(threadIdx.x) % quads;
  const int group = static_cast<int>(threadIdx.x) / quads;
  const int64_t end = sequence.position + sequence.row_count;
  const int log_rows = static_cast<int>(sequence.log_rows);
  const int committed_row = log_row_of(sequence.committed);
  const float slope;
  float4 state[group_rows];

  __device__ Slice(const LightningCall& call, Shared& shared, int sequence, int head, int slice)
      : call(call),
        sequence(call.sequences.entries[sequence]),
        memory(call, this->sequence, head),
        shared(shared),
        head(head),
        first_column(slice * columns),
        slope(call.slope[head]) {}

  __device__ float* state_row(int i) const {
    return memory.state + (group * group_rows + i) * width + first_column + 4 * quad;
  }

  // Queries (0), keys (1) or values (2) of a new token.
  __device__ const bfloat16* row_of(int64_t token, int which) const {
    const int64_t row = sequence.first_row + (token - sequence.position);
    return call.qkv + ((row * call.heads + head) * 3 + which) * width;
  }

  // token % log_rows
  __device__ int log_row_of(int64_t token) const {
    return static_cast<int>(static_cast<uint32_t>(token) %
                            static_cast<uint32_t>(sequence.log_rows));
  }

  // Keys (1) or values (2) of any token since the committed state: old ones lie in the log.
  __device__ const bfloat16* token_row(int64_t token, int which) const {
    if (token >= sequence.position) return row_of(token, which);
    const int row = committed_row + static_cast<int>(token - sequence.committed);
    return (which == 1 ? memory.keys : memory.values) +
           (row < log_rows ? row : row - log_rows) * width;
  }

  __device__ void load_state() {
#pragma unroll
    for (int i = 0; i < group_rows; ++i) {
      state[i] = sequence.committed > 0 ? load_once(state_row(i)) : float4{};
    }
  }

  // Starts to copy tokens [from, to) of the chunk that begins at `first`.
  __device__ void copy_tokens(int64_t first, int64_t from, int64_t to) {
    constexpr int key_pieces = width / 8, value_pieces = columns / 8;
    const int begin = static_cast<int>(from - first), count = static_cast<int>(to - first);
    const int thread = static_cast<int>(threadIdx.x);
    for (int j = begin + thread / key_pieces; j < count; j += threads / key_pieces) {
      const int column = thread % key_pieces * 8;
      copy_16(shared_address(&shared.keys[j][column]), token_row(first + j, 1) + column, true);
    }
    for (int j = begin + thread / value_pieces; j < count; j += threads / value_pieces) {
      const int column = thread % value_pieces * 8;
      copy_16(shared_address(&shared.values[j][column]),
              token_row(first + j, 2) + first_column + column, true);
    }
  }

  __device__ int64_t chunk_end(int64_t first) const {
    return first + chunk_tokens < end ? first + chunk_tokens : end;
  }

  // Brings the chunk that begins at `first` into shared memory, unless it is there.
  __device__ void need(int64_t first, int64_t& present) {
    if (present == first) return;
    __syncthreads();
    copy_tokens(first, first, chunk_end(first));
    end_copy_group();
    wait_for_copies<0>();
    __syncthreads();
    present = first;
  }

  __device__ void load_queries(int first_row) {
    for (int i = threadIdx.x; i < rows * width; i += threads) {
      const int row = first_row + i / width;
      shared.queries[i / width][i % width] =
          row < sequence.row_count ? __bfloat162float(row_of(sequence.position + row, 0)[i % width])
                                   : 0.0f;
    }
  }

  // sums[i] = exp(..) q_i S of this thread's part of the state.
  __device__ void read_state(int first_row, float4 (&sums)[rows]) const {
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      const float decay =
          lightning_decay(slope, sequence.position - sequence.committed + first_row + i + 1);
      float4 sum{};
#pragma unroll
      for (int k = 0; k < group_rows; k += 4) {
        const float4 q =
            *reinterpret_cast<const float4*>(&shared.queries[i][group * group_rows + k]);
        const float factors[] = {q.x, q.y, q.z, q.w};
#pragma unroll
        for (int m = 0; m < 4; ++m) add(sum, factors[m], state[k + m]);
      }
      sums[i] = {decay * sum.x, decay * sum.y, decay * sum.z, decay * sum.w};
    }
  }

  static __device__ __forceinline__ void add(float4& sum, float factor, float4 x) {
    sum.x += factor * x.x;
    sum.y += factor * x.y;
    sum.z += factor * x.z;
    sum.w += factor * x.w;
  }

  static __device__ __forceinline__ void widen(uint4 packed, float (&x)[8]) {
    const uint32_t words[] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      x[2 * i] = low_half(words[i]);
      x[2 * i + 1] = high_half(words[i]);
    }
  }

  // weights[i, j] = exp(-slope (i - j)) q_i . k_j, 0 for later tokens. A warp takes pairs of tokens, 16
  // threads a token: several pairs at a time where the registers allow it.
  __device__ void weigh(int64_t first, int first_row) const {
    constexpr int pairs = rows == 1 ? 4 : 1;
    const int lane = threadIdx.x % 32, place = lane % 16, half = lane / 16;
    const int count = static_cast<int>(chunk_end(first) - first);
    for (int begin = threadIdx.x / 32 * 2 * pairs; begin < count; begin += threads / 16 * pairs) {
      float keys[pairs][8];
#pragma unroll
      for (int p = 0; p < pairs;
           ++p) {  // behind the last lie stale numbers, whose sums are dropped
        widen(*reinterpret_cast<const uint4*>(&shared.keys[begin + 2 * p + half][8 * place]),
              keys[p]);
      }
#pragma unroll
      for (int i = 0; i < rows; ++i) {
        const float4 a = *reinterpret_cast<const float4*>(&shared.queries[i][8 * place]);
        const float4 b = *reinterpret_cast<const float4*>(&shared.queries[i][8 * place + 4]);
#pragma unroll
        for (int p = 0; p < pairs; ++p) {
          const float* k = keys[p];
          float sum = a.x * k[0] + a.y * k[1] + a.z * k[2] + a.w * k[3] + b.x * k[4] + b.y * k[5] +
                      b.z * k[6] + b.w * k[7];
#pragma unroll
          for (int lanes = 8; lanes > 0; lanes /= 2) {
            sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
          }
          const int j = begin + 2 * p + half;
          const int64_t steps = sequence.position + first_row + i - (first + j);
          if (place == p && j < count) {
            shared.weights[i][j] = steps >= 0 ? lightning_decay(slope, steps) * sum : 0.0f;
          }
        }
      }
    }
  }

  __device__ float4 value(int j) const {
    const uint2 packed = *reinterpret_cast<const uint2*>(&shared.values[j][4 * quad]);
    return {low_half(packed.x), high_half(packed.x), low_half(packed.y), high_half(packed.y)};
  }

  // sums[i] += weights[i, j] v_j over every eighth token.
  __device__ void read_values(int64_t first, float4 (&sums)[rows]) const {
    const int count = static_cast<int>(chunk_end(first) - first);
    for (int j = group; j < count; j += row_groups) {
      const float4 v = value(j);
#pragma unroll
      for (int i = 0; i < rows; ++i) add(sums[i], shared.weights[i][j], v);
    }
  }

  // out = the sums of all groups of rows.
  __device__ void write_out(int first_row, const float4 (&sums)[rows]) const {
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      *reinterpret_cast<float4*>(&shared.partial[group][i][4 * quad]) = sums[i];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < rows * columns; i += threads) {
      const int row = first_row + i / columns, column = i % columns;
      if (row >= sequence.row_count) break;
      float sum = 0;
#pragma unroll
      for (int g = 0; g < row_groups; ++g) sum += shared.partial[g][i / columns][column];
      call.out[(static_cast<int64_t>(sequence.first_row + row) * call.heads + head) * width +
               first_column + column] = __float2bfloat16(sum);
    }
  }

  // The state after committed_after tokens.
  __device__ void fold(int64_t& present) {
    const int64_t after = sequence.committed_after;
    const float decay = lightning_decay(slope, after - sequence.committed);
#pragma unroll
    for (int i = 0; i < group_rows; ++i) {
      state[i] = {decay * state[i].x, decay * state[i].y, decay * state[i].z, decay * state[i].w};
    }
    for (int64_t first = sequence.committed; first < after; first += chunk_tokens) {
      need(first, present);
      const int count = static_cast<int>(min(after - first, static_cast<int64_t>(chunk_tokens)));
      for (int j = 0; j < count; ++j) {
        const float weight = lightning_decay(slope, after - 1 - (first + j));
        float4 v = value(j);
        v = {weight * v.x, weight * v.y, weight * v.z, weight * v.w};
#pragma unroll
        for (int k = 0; k < group_rows; k += 8) {
          float key[8];
          widen(*reinterpret_cast<const uint4*>(&shared.keys[j][group * group_rows + k]), key);
#pragma unroll
          for (int m = 0; m < 8; ++m) add(state[k + m], key[m], v);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < group_rows; ++i) *reinterpret_cast<float4*>(state_row(i)) = state[i];
  }

  // Keys and values of the new tokens enter the log, of both the columns of this slice. A row may hold
  // an old token that another slice has not read: then the slices wait for each other.
  __device__ void append() const {
    if (columns < width && end - sequence.committed > sequence.log_rows) {
      cluster_arrive();
      cluster_wait();
    } else {
      __syncthreads();
    }
    constexpr int pieces = columns / 8;
    const int64_t from = max(sequence.position, sequence.committed_after);
    for (int64_t token = from + threadIdx.x / (2 * pieces); token < end;
         token += threads / (2 * pieces)) {
      const int which = threadIdx.x / pieces % 2;
      const int column = first_column + threadIdx.x % pieces * 8;
      bfloat16* row = (which == 0 ? memory.keys : memory.values) + log_row_of(token) * width;
      *reinterpret_cast<uint4*>(row + column) =
          *reinterpret_cast<const uint4*>(row_of(token, 1 + which) + column);
    }
  }
};

// Block (slice of value columns, head, sequence). What the sequences are, their states and their logs were
// written before this step: they are read while the kernel before this one may still run.
template <int columns, int rows>
__global__ void MINIMAX_CLUSTER(width / columns)
    __launch_bounds__(2 * columns, rows > 4 ? 128 / columns : 256 / columns)
        lightning_few_kernel(const __grid_constant__ LightningCall call) {
  extern __shared__ __align__(16) unsigned char bytes[];
  auto& shared = *reinterpret_cast<Memory<columns, rows>*>(bytes);
  let_next_start();
  Slice<columns, rows> slice(call, shared, blockIdx.z, blockIdx.y, blockIdx.x);
  const DeviceLightning& sequence = slice.sequence;
  const int64_t first = sequence.committed;
  const int64_t present_end = slice.chunk_end(first);
  const int64_t old_end = min(sequence.position, present_end);

  slice.load_state();
  slice.copy_tokens(first, first, old_end);

  wait_for_inputs();
  slice.copy_tokens(first, old_end, present_end);
  end_copy_group();
  slice.load_queries(0);
  wait_for_copies<0>();
  __syncthreads();

  int64_t present = first;
  for (int row = 0; row < sequence.row_count; row += rows) {
    if (row > 0) {
      __syncthreads();
      slice.load_queries(row);
      __syncthreads();
    }
    float4 sums[rows];
    slice.read_state(row, sums);
    const int64_t last = min(sequence.position + row + rows, slice.end);
    for (int64_t chunk = first; chunk < last; chunk += chunk_tokens) {
      slice.need(chunk, present);
      slice.weigh(chunk, row);
      __syncthreads();
      slice.read_values(chunk, sums);
    }
    slice.write_out(row, sums);
  }
  if (sequence.committed_after > sequence.committed) slice.fold(present);
  slice.append();
}

template <int columns, int rows>
void start(const Launcher& launch, const LightningCall& call) {
  const dim3 grid(width / columns, static_cast<unsigned>(call.heads),
                  static_cast<unsigned>(call.sequences.host.size()));
  constexpr size_t shared_bytes = sizeof(Memory<columns, rows>);
  launch.allow_shared(lightning_few_kernel<columns, rows>, shared_bytes);
  launch(lightning_few_kernel<columns, rows>, grid, dim3(2 * columns), shared_bytes, call);
}

template <int columns>
void start_rows(const Launcher& launch, const LightningCall& call) {
  // Each sequence has a row: what is left may all belong to one. The kernels take any number of rows.
  const int most = call.tokens - static_cast<int>(call.sequences.host.size()) + 1;
  if (most <= 1) return start<columns, 1>(launch, call);
  if (most <= 2) return start<columns, 2>(launch, call);
  if (most <= 4) return start<columns, 4>(launch, call);
  start<columns, 8>(launch, call);
}

}  // namespace

bool lightning_few(const Launcher& launch, const LightningCall& call) {
  if (call.width != width) return false;
  if (call.tokens == 0) return true;
  // Small steps need more blocks than heads; slices of a head wait for each other as clusters do.
  const int pairs = call.heads * static_cast<int>(call.sequences.host.size());
  if (!launch.device().hopper || pairs > 2 * launch.device().multiprocessors) {
    start_rows<128>(launch, call);
  } else if (pairs > launch.device().multiprocessors) {
    start_rows<64>(launch, call);
  } else {
    start_rows<32>(launch, call);
  }
  return true;
}

}  // namespace minimax
