// SPDX-License-Identifier: Apache-2.0
// What linear.cc and moe.cc share: products of packed rows with blocks of weights, and their
// scratch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/shape.h"
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/cpu/linear_kernels.h"
#include "engine/ops/views.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/weight.h"

namespace minimax {

// Columns (rows of a weight), and words of K, that lie transposed in a thread's scratch at a time,
// and in its L2.
inline constexpr int64_t panel_columns = 64;
inline constexpr int64_t panel_words = 768;
inline constexpr size_t panel_bytes = panel_columns * panel_words * sizeof(float);

size_t linear_scratch_bytes(const StepLimits& limits, int thread_count);
size_t moe_scratch_bytes(const StepLimits& limits, int thread_count);

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The panel of a thread in linear_scratch_, panel_bytes large.
float* thread_panel(const Buffer& linear_scratch, int thread);

// How many rows of a weight a thread takes at a time where `outputs` such rows are read once: a
// piece of memory large enough to be worth a visit, small enough that all threads end together.
int64_t dot_block(const Tensor& weight, int64_t outputs, int thread_count);

// How many columns a task takes so that there are about `task_count` tasks: some panels, as the
// weights of all but the first are asked for while the one before is multiplied.
int64_t block_columns(const LinearKernels& kernels, int64_t outputs, int64_t task_count);

inline const std::byte* weight_row(const Tensor& values, int64_t row) {
  return static_cast<const std::byte*>(values.raw()) +
         static_cast<size_t>(row * values.stride(0)) * size_of(values.dtype());
}

inline void dot(const LinearKernels& kernels, const DotRows& rows, const Tensor& weight,
                int64_t first, int64_t count) {
  const auto function = weight.dtype() == DType::bf16 ? kernels.dot_bf16 : kernels.dot_f32;
  function(rows, weight_row(weight, first), count, weight.dim(1));
}

inline const TileKernels& tile_kernels(const LinearKernels& kernels, DType weights,
                                       CpuCompute compute) {
  if (weights == DType::f32) return kernels.f32_tiles;
  if (compute == CpuCompute::bf16 && kernels.bf16_pairs.multiply) return kernels.bf16_pairs;
  return kernels.bf16_tiles;
}

// Rows of x as tiles want them: equal blocks of up to tile_rows rows, behind each other, each
// [words, rows of the block]. Any part of K of a block is contiguous too.
struct PackedRows {
  PackedRows(const LinearKernels& linear, const TileKernels& tile, float* to, int64_t row_count,
             int64_t input_count)
      : tiles(tile),
        words(to),
        rows(row_count),
        inputs(input_count),
        words_per_row(ceil_div(inputs, tile.inputs_per_word)),
        block_count(ceil_div(rows, linear.tile_rows)) {}

  int64_t first_row(int64_t block) const { return rows * block / block_count; }
  int rows_in(int64_t block) const {
    return static_cast<int>(first_row(block + 1) - first_row(block));
  }
  float* at(int64_t block, int64_t word) const {
    return words + first_row(block) * words_per_row + word * rows_in(block);
  }

  const TileKernels& tiles;
  float* words;
  int64_t rows;
  int64_t inputs;
  int64_t words_per_row;
  int64_t block_count;
};

// Rows [first, first + count) of a weight.
struct WeightBlock {
  // Rows [from, from + panel_columns) of these, as far as there are so many.
  WeightBlock panel(int64_t from) const {
    return {values, first + from, std::clamp(count - from, int64_t{0}, panel_columns)};
  }

  const Tensor* values = nullptr;
  int64_t first = 0;
  int64_t count = 0;
};

struct OutputBlock {
  float* data;  // [rows, count], the first column of the block
  int64_t stride;
  Activation activation;
};

// out[m, n] = f(x[m] . weight[first + n]) for n in [0, count), count up to panel_columns. next:
// rows of the same length that the thread multiplies with then, if any. panel: panel_bytes of the
// thread's own.
void multiply_block(const LinearKernels& kernels, const PackedRows& x, const WeightBlock& weight,
                    const WeightBlock& next, const OutputBlock& out, float* panel);

// The same for any count.
void multiply_blocks(const LinearKernels& kernels, const PackedRows& x, const WeightBlock& weight,
                     const OutputBlock& out, float* panel);

}  // namespace minimax
