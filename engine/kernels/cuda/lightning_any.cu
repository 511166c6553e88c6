// SPDX-License-Identifier: Apache-2.0
// Lightning attention of any shape on any GPU: blocks of 32 tokens, f32 products and sums.

#include <algorithm>

#include "engine/kernels/cuda/attention.h"

namespace minimax {
namespace {

constexpr int block_tokens = 32;  // lightning_block
constexpr int slice_columns = 32;
constexpr int warps = 8;
constexpr int widest = 256;
constexpr int rows_per_warp = block_tokens / warps;
static_assert(block_tokens == lightning_block);

// Numbers from one row of queries or keys to the next: an odd count of 4-byte words, so that the 32 rows
// of a block lie in 32 banks.
__host__ __device__ constexpr int row_stride(int width) {
  return ((width + 1) / 2 | 1) * 2;
}

constexpr size_t shared_bytes(int width) {
  return sizeof(float) * (static_cast<size_t>(width) * slice_columns +
                          2 * block_tokens * slice_columns + block_tokens + 1) +
         sizeof(bfloat16) * 2 * block_tokens * static_cast<size_t>(row_stride(width));
}

// One slice of value columns of one head of one sequence, in shared memory.
struct Slice {
  float* state;   // [D, 32] after `first` tokens
  float* values;  // [32 tokens, 32]
  float* scores;  // [32 queries, 32 keys], decayed
  float* decay;   // [33] exp(-slope * n)
  bfloat16* q;    // [32, row_stride]
  bfloat16* k;    // [32, row_stride]
};

// Tokens first .. first + 32: old ones from the log, new ones from the step, zeros behind the end.
__device__ void load_block(const LightningCall& call, const DeviceLightning& sequence,
                           const bfloat16* log, int head, int first_column, int64_t first,
                           const Slice& slice) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, width = call.width;
  const int stride = row_stride(width);
  const int64_t end = sequence.position + sequence.row_count;
  for (int i = warp; i < block_tokens; i += warps) {
    const int64_t token = first + i;
    const bool is_new = token >= sequence.position && token < end;
    const bfloat16 *q = nullptr, *k = nullptr, *v = nullptr;
    if (is_new) {
      const int64_t row = sequence.first_row + (token - sequence.position);
      q = call.qkv + (row * call.heads + head) * 3 * width;
      k = q + width;
      v = k + width;
    } else if (token < sequence.position) {
      k = log + token % sequence.log_rows * width;
      v = k + sequence.log_rows * width;
    }
    const bfloat16 zero = __float2bfloat16(0.0f);
    for (int d = lane; d < width; d += 32) {
      slice.q[i * stride + d] = q != nullptr ? q[d] : zero;
      slice.k[i * stride + d] = k != nullptr ? k[d] : zero;
    }
    const int column = first_column + lane;
    slice.values[i * slice_columns + lane] =
        v != nullptr && column < width ? __bfloat162float(v[column]) : 0.0f;
  }
}

// scores[i, j] = exp(-slope (i - j)) q_i . k_j for j <= i, otherwise 0. Warp w has queries w + 8 r.
__device__ void score(const Slice& slice, int width) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, stride = row_stride(width);
  float sums[rows_per_warp] = {};
  for (int d = 0; d < width; ++d) {
    const float key = __bfloat162float(slice.k[lane * stride + d]);
#pragma unroll
    for (int r = 0; r < rows_per_warp; ++r) {
      sums[r] += __bfloat162float(slice.q[(warp + warps * r) * stride + d]) * key;
    }
  }
#pragma unroll
  for (int r = 0; r < rows_per_warp; ++r) {
    const int i = warp + warps * r;
    slice.scores[i * block_tokens + lane] = lane <= i ? slice.decay[i - lane] * sums[r] : 0.0f;
  }
}

// out[i, column] for the new tokens among the 32.
__device__ void read(const LightningCall& call, const DeviceLightning& sequence, int head,
                     int first_column, int64_t first, const Slice& slice) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, width = call.width;
  const int stride = row_stride(width), column = first_column + lane;
  float sums[rows_per_warp] = {};
  for (int d = 0; d < width; ++d) {
    const float state = slice.state[d * slice_columns + lane];
#pragma unroll
    for (int r = 0; r < rows_per_warp; ++r) {
      sums[r] += __bfloat162float(slice.q[(warp + warps * r) * stride + d]) * state;
    }
  }
#pragma unroll
  for (int r = 0; r < rows_per_warp; ++r) {
    const int i = warp + warps * r;
    float sum = slice.decay[i + 1] * sums[r];
    for (int j = 0; j <= i; ++j) {
      sum += slice.scores[i * block_tokens + j] * slice.values[j * slice_columns + lane];
    }
    const int64_t row = first + i - sequence.position;
    if (row >= 0 && row < sequence.row_count && column < width) {
      call.out[((sequence.first_row + row) * call.heads + head) * width + column] =
          __float2bfloat16(sum);
    }
  }
}

// The state after 32 tokens more.
__device__ void fold(const Slice& slice, int width) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, stride = row_stride(width);
  float values[block_tokens];
#pragma unroll
  for (int j = 0; j < block_tokens; ++j) {
    values[j] = slice.decay[block_tokens - 1 - j] * slice.values[j * slice_columns + lane];
  }
  for (int d = warp; d < width; d += warps) {
    float sum = slice.decay[block_tokens] * slice.state[d * slice_columns + lane];
#pragma unroll
    for (int j = 0; j < block_tokens; ++j) {
      sum += __bfloat162float(slice.k[j * stride + d]) * values[j];
    }
    slice.state[d * slice_columns + lane] = sum;
  }
}

// Block (sequence, head, slice of value columns).
__global__ void __launch_bounds__(warps * 32) lightning_any_kernel(LightningCall call) {
  extern __shared__ __align__(16) unsigned char bytes[];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, width = call.width;
  const int head = blockIdx.y, column = blockIdx.z * slice_columns + lane;

  Slice slice{};
  slice.state = reinterpret_cast<float*>(bytes);
  slice.values = slice.state + width * slice_columns;
  slice.scores = slice.values + block_tokens * slice_columns;
  slice.q = reinterpret_cast<bfloat16*>(slice.scores + block_tokens * block_tokens);
  slice.k = slice.q + block_tokens * row_stride(width);
  slice.decay = reinterpret_cast<float*>(slice.k + block_tokens * row_stride(width));

  wait_for_inputs();
  const DeviceLightning sequence = call.sequences.entries[blockIdx.x];
  const int64_t matrix = static_cast<int64_t>(width) * width;
  float* state = sequence.states + (call.layer * call.heads + head) * matrix;
  const bfloat16* log = static_cast<const bfloat16*>(sequence.logs) +
                        (call.layer * call.heads + head) * 2 * sequence.log_rows * width;

  const float slope = call.slope[head];
  for (int n = threadIdx.x; n <= block_tokens; n += blockDim.x) {
    slice.decay[n] = expf(-slope * static_cast<float>(n));
  }
  for (int d = warp; d < width; d += warps) {
    slice.state[d * slice_columns + lane] = column < width ? state[d * width + column] : 0.0f;
  }

  const int64_t end = sequence.position + sequence.row_count;
  for (int64_t first = sequence.committed; first < end; first += block_tokens) {
    __syncthreads();
    load_block(call, sequence, log, head, blockIdx.z * slice_columns, first, slice);
    __syncthreads();
    if (first + block_tokens > sequence.position) {
      score(slice, width);
      __syncthreads();
      read(call, sequence, head, blockIdx.z * slice_columns, first, slice);
      __syncthreads();
    }
    fold(slice, width);
    if (first + block_tokens == sequence.committed_after) {
      // Each thread writes what it has folded itself.
      for (int d = warp; d < width && column < width; d += warps) {
        state[d * width + column] = slice.state[d * slice_columns + lane];
      }
    }
  }
}

// Keys and values of the tokens from committed_after on enter the log. A launch of its own: before, the
// rows may hold tokens that the slices of a head still have to fold.
__global__ void lightning_log_kernel(LightningCall call) {
  wait_for_inputs();
  const int row = blockIdx.x, head = blockIdx.y, width = call.width;
  const DeviceLightning& sequence = call.sequences.entries[call.sequences.row_sequence[row]];
  const int64_t token = sequence.position + (row - sequence.first_row);
  if (token < sequence.committed_after) return;
  const bfloat16* k = call.qkv + ((static_cast<int64_t>(row) * call.heads + head) * 3 + 1) * width;
  bfloat16* log =
      static_cast<bfloat16*>(sequence.logs) +
      ((call.layer * call.heads + head) * 2 * sequence.log_rows + token % sequence.log_rows) *
          width;
  for (int d = threadIdx.x; d < width; d += blockDim.x) {
    log[d] = k[d];
    log[sequence.log_rows * width + d] = k[width + d];
  }
}

}  // namespace

void lightning_any(const Launcher& launch, const LightningCall& call) {
  if (call.tokens == 0 || call.sequences.host.empty()) return;
  require(call.width >= 1 && call.width <= widest, launch.operation(), ": head width ", call.width,
          " is above ", widest);
  const auto sequences = static_cast<unsigned>(call.sequences.host.size());
  const auto heads = static_cast<unsigned>(call.heads);
  const auto slices = static_cast<unsigned>((call.width + slice_columns - 1) / slice_columns);
  launch.allow_shared(lightning_any_kernel, shared_bytes(call.width));
  launch(lightning_any_kernel, dim3(sequences, heads, slices), dim3(warps * 32),
         shared_bytes(call.width), call);
  launch(lightning_log_kernel, dim3(static_cast<unsigned>(call.tokens), heads), dim3(64), 0, call);
}

}  // namespace minimax
