// SPDX-License-Identifier: Apache-2.0
// Products with a weight. A few rows of x share one pass over the weight, in f32 and with the same
// bits for a row whoever its neighbours are; many rows are packed and multiplied in tiles.
//
// linear_scratch_: one panel of weights for each thread from the back, packed x [T, K] at the front.
#include "engine/kernels/cpu/linear.h"

#include <cassert>

namespace minimax {
namespace {

constexpr int64_t tasks_per_thread = 4;

void multiply_few(ThreadPool& threads, const LinearKernels& kernels, const Tensor& x,
                  const Tensor& weight, Activation activation, const Tensor& out) {
  const int64_t outputs = weight.dim(0);
  const int64_t block = dot_block(weight, outputs, threads.thread_count());
  threads.for_each(ceil_div(outputs, block), [&](int64_t index) {
    const int64_t first = index * block, count = std::min(block, outputs - first);
    DotRows rows{.count = static_cast<int>(x.dim(0)), .x = {}, .out = {}};
    for (int t = 0; t < rows.count; ++t) {
      rows.x[t] = x.row<float>(t);
      rows.out[t] = out.row<float>(t) + first;
    }
    dot(kernels, rows, weight, first, count);
    if (activation == Activation::none) return;
    for (int t = 0; t < rows.count; ++t) kernels.silu(rows.out[t], count);
  });
}

void pack_rows(ThreadPool& threads, const Tensor& x, const PackedRows& packed) {
  threads.for_each(packed.block_count, [&](int64_t block) {
    const float* rows[tile_row_limit];
    const int64_t first = packed.first_row(block);
    const int count = packed.rows_in(block);
    for (int i = 0; i < count; ++i) rows[i] = x.row<float>(first + i);
    packed.tiles.pack_x(rows, count, packed.inputs, packed.at(block, 0));
  });
}

void multiply_many(ThreadPool& threads, const LinearKernels& kernels, const TileKernels& tiles,
                   const Tensor& x, const Tensor& weight, Activation activation, const Tensor& out,
                   const Buffer& scratch) {
  const PackedRows packed(kernels, tiles, static_cast<float*>(scratch.data()), x.dim(0),
                          weight.dim(1));
  pack_rows(threads, x, packed);
  const int64_t outputs = weight.dim(0);
  const int64_t block = block_columns(kernels, outputs, threads.thread_count() * tasks_per_thread);
  threads.for_each(ceil_div(outputs, block), [&](int64_t index, int thread) {
    const int64_t first = index * block;
    multiply_block(kernels, packed, weight, first, std::min(block, outputs - first),
                   {out.data<float>() + first, out.stride(0), activation},
                   thread_panel(scratch, thread));
  });
}

}  // namespace

size_t linear_scratch_bytes(const StepLimits& limits, int thread_count) {
  const int64_t words = checked_product(limits.tokens, limits.widest_input);
  return Arena::padded(static_cast<size_t>(words) * sizeof(float)) +
         static_cast<size_t>(thread_count) * panel_bytes;
}

float* thread_panel(const Buffer& linear_scratch, int thread) {
  auto* end = static_cast<std::byte*>(linear_scratch.data()) + linear_scratch.size_bytes();
  return reinterpret_cast<float*>(end - static_cast<size_t>(thread + 1) * panel_bytes);
}

int64_t dot_block(const Tensor& weight, int64_t outputs, int thread_count) {
  constexpr int64_t smallest_bytes = 16 << 10, largest_bytes = 256 << 10, blocks_per_thread = 16;
  const int64_t row_bytes =
      std::max<int64_t>(1, weight.dim(1) * static_cast<int64_t>(size_of(weight.dtype())));
  const int64_t share_bytes = outputs * row_bytes / (thread_count * blocks_per_thread);
  const int64_t rows = ceil_div(std::clamp(share_bytes, smallest_bytes, largest_bytes), row_bytes);
  return ceil_div(rows, dot_output_step) * dot_output_step;
}

int64_t block_columns(const LinearKernels& kernels, int64_t outputs, int64_t task_count) {
  const int64_t tile = kernels.tile_columns;
  return std::clamp(outputs / (task_count * tile), int64_t{1}, panel_columns / tile) * tile;
}

void multiply_block(const LinearKernels& kernels, const PackedRows& x, const Tensor& weight,
                    int64_t first, int64_t count, const OutputBlock& out, float* panel) {
  const int64_t tile_columns = kernels.tile_columns, per_word = x.tiles.inputs_per_word;
  // Equal parts of K, in whole vectors: their number depends on K alone, and with it the sums' order.
  const int64_t parts = std::max<int64_t>(1, ceil_div(x.words_per_row, panel_words));
  const int64_t part_words = ceil_div(ceil_div(x.words_per_row, parts), 16) * 16;
  const auto numbers_bytes = static_cast<int64_t>(size_of(weight.dtype()));
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t word = part * part_words;
    const int64_t words = std::min(part_words, x.words_per_row - word);
    const int64_t inputs = std::min(words * per_word, x.inputs - word * per_word);
    for (int64_t column = 0; column < count; column += tile_columns) {
      const int columns = static_cast<int>(std::min(tile_columns, count - column));
      x.tiles.pack_weight(weight_row(weight, first + column) + word * per_word * numbers_bytes,
                          weight.stride(0), columns, inputs, panel + column * words);
    }
    for (int64_t block = 0; block < x.block_count; ++block) {
      for (int64_t column = 0; column < count; column += tile_columns) {
        x.tiles.multiply({.x = x.at(block, word),
                          .weight = panel + column * words,
                          .words = words,
                          .rows = x.rows_in(block),
                          .columns = static_cast<int>(std::min(tile_columns, count - column)),
                          .out = out.data + x.first_row(block) * out.stride + column,
                          .out_stride = out.stride,
                          .adds_to_out = part > 0,
                          .ends_in_silu = part == parts - 1 && out.activation == Activation::silu});
      }
    }
  }
}

void CpuBackend::linear(const Tensor& x, const Weight& weight, Activation activation,
                        const Tensor& out) {
  assert(x.dim(0) <= limits_.tokens && x.dim(1) <= limits_.widest_input);
  const LinearKernels& kernels = kernels_.linear;
  if (x.dim(0) <= dot_row_limit) {
    multiply_few(threads_, kernels, x, weight.values, activation, out);
  } else {
    multiply_many(threads_, kernels, tile_kernels(kernels, weight.values.dtype(), compute_), x,
                  weight.values, activation, out, linear_scratch_);
  }
}

void CpuBackend::logits(const Tensor& x, const Weight& weight, const Tensor& logits) {
  assert(x.dim(0) <= limits_.tokens && x.dim(1) <= limits_.widest_input);
  const LinearKernels& kernels = kernels_.linear;
  if (x.dim(0) <= dot_row_limit) {
    multiply_few(threads_, kernels, x, weight.values, Activation::none, logits);
  } else {
    multiply_many(threads_, kernels, tile_kernels(kernels, weight.values.dtype(), CpuCompute::f32),
                  x, weight.values, Activation::none, logits, linear_scratch_);
  }
}

}  // namespace minimax
