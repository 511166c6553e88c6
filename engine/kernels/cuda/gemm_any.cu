// SPDX-License-Identifier: Apache-2.0
// Matrix products and experts of any shape, on any device from sm_80 on.
#include <algorithm>

#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/moe.h"
#include "engine/kernels/cuda/moe_combine.cuh"
#include "engine/kernels/cuda/warp_mma.cuh"

namespace minimax {
namespace {

// A block multiplies tile_rows rows by twice half_columns columns, tile_depth inputs at a time. The two
// halves of the columns are so far apart that a thread holds a number of each: gate and up of the
// experts, or just 64 columns more.
constexpr int tile_rows = 128;
constexpr int half_columns = 64;
constexpr int tile_depth = 32;
constexpr int threads = 256;
constexpr int stages = 4;
// 80 bytes a row: ldmatrix meets every bank once.
constexpr int row_pitch = tile_depth + 8;
constexpr int operand_numbers = tile_rows * row_pitch;
constexpr size_t shared_bytes = size_t{2} * stages * operand_numbers * sizeof(bfloat16);
static_assert(tile_rows == 2 * half_columns);

// What is multiplied: rows [0, row_count) and columns, all `inputs` long; null where there is none.

struct LinearJob {
  LinearCall call;
  int inputs;
  int first_row, first_column;

  __device__ bool open() {
    first_row = static_cast<int>(blockIdx.y) * tile_rows;
    first_column = static_cast<int>(blockIdx.x) * 2 * half_columns;
    return true;
  }
  __device__ const bfloat16* row(int i) const {
    return first_row + i < call.tokens ? call.x + (first_row + i) * call.x_stride : nullptr;
  }
  __device__ const bfloat16* column(int j) const {
    return first_column + j < call.outputs
               ? call.weight + static_cast<int64_t>(first_column + j) * inputs
               : nullptr;
  }
  __device__ void put(int i, int j, float sum) const {
    if (first_row + i >= call.tokens || first_column + j >= call.outputs) return;
    const float value = call.activation == Activation::silu ? silu(sum) : sum;
    const int64_t place = (first_row + i) * call.out_stride + first_column + j;
    if (call.out_f32) {
      static_cast<float*>(call.out)[place] = value;
    } else {
      static_cast<bfloat16*>(call.out)[place] = __float2bfloat16(value);
    }
  }
  __device__ void store(int i, int j, float first, float second) const {
    put(i, j, first);
    put(i, half_columns + j, second);
  }
};

// The rows of one expert that a block multiplies: places [first, end) of the plan's slots.
struct ExpertRows {
  int expert, first, end;

  __device__ bool find(const MoeCall& call, int block) {
    for (expert = 0; expert < call.experts.count; ++expert) {
      first = call.plan.starts[expert];
      end = call.plan.starts[expert + 1];
      const int blocks = (end - first + tile_rows - 1) / tile_rows;
      if (block < blocks) {
        first += block * tile_rows;
        return true;
      }
      block -= blocks;
    }
    return false;
  }
};

// hidden[place] = silu(gate(x)) * up(x), places in the order of the plan's slots
struct GateUpJob {
  MoeCall call;
  int inputs;
  ExpertRows rows;
  int first_column;

  __device__ bool open() {
    first_column = static_cast<int>(blockIdx.x) * half_columns;
    return rows.find(call, static_cast<int>(blockIdx.y));
  }
  __device__ const bfloat16* row(int i) const {
    if (rows.first + i >= rows.end) return nullptr;
    const int token = call.plan.slots[rows.first + i] / call.chosen;
    return call.x + static_cast<int64_t>(token) * inputs;
  }
  __device__ const bfloat16* column(int j) const {
    const int column = first_column + j % half_columns;
    const bfloat16* matrix = call.experts.matrices[rows.expert * 3 + j / half_columns];
    return column < call.expert_width ? matrix + static_cast<int64_t>(column) * inputs : nullptr;
  }
  __device__ void store(int i, int j, float gate, float up) const {
    if (rows.first + i >= rows.end || first_column + j >= call.expert_width) return;
    call.hidden[static_cast<int64_t>(rows.first + i) * call.expert_width + first_column + j] =
        __float2bfloat16(silu(gate) * up);
  }
};

// partial[slot] = down(hidden[place])
struct DownJob {
  MoeCall call;
  int inputs;
  ExpertRows rows;
  int first_column;

  __device__ bool open() {
    first_column = static_cast<int>(blockIdx.x) * 2 * half_columns;
    return rows.find(call, static_cast<int>(blockIdx.y));
  }
  __device__ const bfloat16* row(int i) const {
    return rows.first + i < rows.end ? call.hidden + static_cast<int64_t>(rows.first + i) * inputs
                                     : nullptr;
  }
  __device__ const bfloat16* column(int j) const {
    const bfloat16* matrix = call.experts.matrices[rows.expert * 3 + 2];
    return first_column + j < call.width ? matrix + static_cast<int64_t>(first_column + j) * inputs
                                         : nullptr;
  }
  __device__ void put(int i, int j, float sum) const {
    if (rows.first + i >= rows.end || first_column + j >= call.width) return;
    const int64_t slot = call.plan.slots[rows.first + i];
    static_cast<float*>(call.partial)[slot * call.width + first_column + j] = sum;
  }
  __device__ void store(int i, int j, float first, float second) const {
    put(i, j, first);
    put(i, half_columns + j, second);
  }
};

// Numbers [k, k + 8) of a row into shared memory, zeros where there are none.
template <bool aligned>
__device__ __forceinline__ void load_piece(bfloat16* to, const bfloat16* row, int k, int inputs,
                                           const bfloat16* anything) {
  if constexpr (aligned) {
    const bool there = row != nullptr && k < inputs;
    const bfloat16* from = there ? row + k : anything;
    copy_16(shared_address(to), from, there);
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      to[i] = row != nullptr && k + i < inputs ? row[k + i] : bfloat16(0.0f);
    }
  }
}

// Two by four warps of 64 rows by 16 columns of each half.
using Sums = float[4][4][4];

__device__ __forceinline__ void multiply_stage(Sums& sums, const bfloat16* rows,
                                               const bfloat16* columns) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int warp_row = warp / 4 * 64, warp_column = warp % 4 * 16;
#pragma unroll
  for (int k = 0; k < tile_depth; k += 16) {
    uint32_t b[2][4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int column = half * half_columns + warp_column + lane / 16 * 8 + lane % 8;
      load_matrices(b[half], shared_address(columns + column * row_pitch + k + lane / 8 % 2 * 8));
    }
#pragma unroll
    for (int m = 0; m < 4; ++m) {
      uint32_t a[4];
      const int row = warp_row + 16 * m + lane % 16;
      load_matrices(a, shared_address(rows + row * row_pitch + k + lane / 16 * 8));
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        multiply(sums[m][n], a, b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
      }
    }
  }
}

template <typename Job, bool aligned>
__global__ void __launch_bounds__(threads, 1) multiply_any(Job job) {
  extern __shared__ __align__(16) unsigned char shared[];
  auto* const operands = reinterpret_cast<bfloat16*>(shared);
  wait_for_inputs();
  if (!job.open()) return;

  // Every thread brings the same two pieces of rows and of columns for each depth.
  const int piece_row = static_cast<int>(threadIdx.x) / 4;
  const int piece = static_cast<int>(threadIdx.x) % 4 * 8;
  const bfloat16* rows[2] = {job.row(piece_row), job.row(piece_row + 64)};
  const bfloat16* columns[2] = {job.column(piece_row), job.column(piece_row + 64)};
  const auto load = [&](int step) {
    bfloat16* to = operands + step % stages * 2 * operand_numbers + piece_row * row_pitch + piece;
    const int k = step * tile_depth + piece;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      bfloat16* place = to + i * 64 * row_pitch;
      load_piece<aligned>(place, rows[i], k, job.inputs, job.call.x);
      load_piece<aligned>(place + operand_numbers, columns[i], k, job.inputs, job.call.x);
    }
  };

  Sums sums{};
  const int steps = (job.inputs + tile_depth - 1) / tile_depth;
  for (int step = 0; step < stages - 1; ++step) {
    if (step < steps) load(step);
    end_copy_group();
  }
  for (int step = 0; step < steps; ++step) {
    wait_for_copies<stages - 2>();
    __syncthreads();
    if (step + stages - 1 < steps) load(step + stages - 1);
    end_copy_group();
    const bfloat16* stage = operands + step % stages * 2 * operand_numbers;
    multiply_stage(sums, stage, stage + operand_numbers);
  }

  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < 4; ++m) {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = warp / 4 * 64 + 16 * m + lane / 4 + i / 2 * 8;
        const int column = warp % 4 * 16 + 8 * n + lane % 4 * 2 + i % 2;
        job.store(row, column, sums[m][n][i], sums[m][n + 2][i]);
      }
    }
  }
}

template <typename Job>
void start(const Launcher& launch, bool aligned, int row_blocks, int column_blocks,
           const Job& job) {
  const auto kernel = aligned ? multiply_any<Job, true> : multiply_any<Job, false>;
  launch.allow_shared(kernel, shared_bytes);
  launch(kernel, dim3(static_cast<unsigned>(column_blocks), static_cast<unsigned>(row_blocks)),
         dim3(threads), shared_bytes, job);
}

int blocks_of(int count, int block) {
  return (count + block - 1) / block;
}

bool aligned_16(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

}  // namespace

void linear_any(const Launcher& launch, const LinearCall& call) {
  // A grid has at most 65535 rows of blocks.
  constexpr int most_tokens = 65535 * tile_rows;
  for (int first = 0; first < call.tokens; first += most_tokens) {
    LinearCall part = call;
    part.x += first * call.x_stride;
    part.tokens = std::min(call.tokens - first, most_tokens);
    const int64_t skipped = first * call.out_stride;
    part.out = call.out_f32 ? static_cast<void*>(static_cast<float*>(call.out) + skipped)
                            : static_cast<void*>(static_cast<bfloat16*>(call.out) + skipped);
    const bool aligned = call.inputs % 8 == 0 && call.x_stride % 8 == 0 && aligned_16(call.x) &&
                         aligned_16(call.weight);
    start(launch, aligned, blocks_of(part.tokens, tile_rows),
          blocks_of(part.outputs, 2 * half_columns), LinearJob{part, part.inputs, 0, 0});
  }
}

void moe_any(const Launcher& launch, const MoeCall& call) {
  // Each expert's last block of rows may be cut short.
  const int slots = call.tokens * call.chosen;
  const int row_blocks = slots / tile_rows + std::min(call.experts.count, slots);
  const bool gate_aligned = call.width % 8 == 0 && aligned_16(call.x);
  const bool down_aligned = call.expert_width % 8 == 0 && aligned_16(call.hidden);
  start(launch, gate_aligned, row_blocks, blocks_of(call.expert_width, half_columns),
        GateUpJob{call, call.width, {}, 0});
  start(launch, down_aligned, row_blocks, blocks_of(call.width, 2 * half_columns),
        DownJob{call, call.expert_width, {}, 0});
  const bool vectors = call.width % 4 == 0 && aligned_16(call.partial) && aligned_16(call.out);
  const int width_blocks = blocks_of(call.width, vectors ? 1024 : 256);
  launch(vectors ? combine_experts<float, 4> : combine_experts<float, 1>,
         dim3(static_cast<unsigned>(call.tokens), static_cast<unsigned>(width_blocks)), dim3(256),
         0, static_cast<const float*>(call.partial), nullptr, call.choices, call.shares,
         call.chosen, call.width, call.out);
}

}  // namespace minimax
