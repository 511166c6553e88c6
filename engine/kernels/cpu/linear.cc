// SPDX-License-Identifier: Apache-2.0
// Products with a weight. A few rows of x share one pass over the weight, in f32 and with the same
// bits for a row whoever its neighbours are; many rows are packed and multiplied in tiles.
//
// linear_scratch_: one panel of weights for each thread from the back, packed x [T, K] at the
// front.
#include "engine/kernels/cpu/linear.h"

#include <cassert>

#include "engine/kernels/cpu/share_out.h"

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

// Longer rows would come from a farther cache for each four rows of the weight; tiles take them in
// parts.
bool suits_pairs(const LinearKernels& kernels, const Tensor& x, const Tensor& weight) {
  constexpr int64_t stays_near_bytes = 32 << 10;
  const int64_t rounded_bytes = x.dim(0) * x.dim(1) * static_cast<int64_t>(sizeof(bf16));
  return kernels.dot_pairs && weight.dtype() == DType::bf16 && x.dim(0) <= pair_row_limit &&
         rounded_bytes <= stays_near_bytes;
}

// Sixteen rows and fewer in bf16: weights are multiplied where they lie, as packing them is shared by
// too few rows.
void multiply_pairs(ThreadPool& threads, const LinearKernels& kernels, const Tensor& x,
                    const Tensor& weight, Activation activation, const Tensor& out,
                    const Buffer& scratch) {
  const int64_t outputs = weight.dim(0), inputs = weight.dim(1);
  auto* const rounded = static_cast<bf16*>(scratch.data());
  PairRows all{.count = static_cast<int>(x.dim(0)), .x = {}, .out = {}};
  for (int t = 0; t < all.count; ++t) {
    all.x[t] = rounded + t * inputs;
    all.out[t] = out.row<float>(t);
  }
  share_out(threads, all.count, all.count * inputs,
            [&](int64_t t, int) { kernels.round(x.row<float>(t), rounded + t * inputs, inputs); });
  const int64_t block = dot_block(weight, outputs, threads.thread_count());
  threads.for_each(ceil_div(outputs, block), [&](int64_t index) {
    const int64_t first = index * block, count = std::min(block, outputs - first);
    PairRows rows = all;
    for (int t = 0; t < rows.count; ++t) rows.out[t] += first;
    kernels.dot_pairs(rows, weight.row<bf16>(first), count, inputs);
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
    multiply_blocks(kernels, packed, {&weight, first, std::min(block, outputs - first)},
                    {out.data<float>() + first, out.stride(0), activation},
                    thread_panel(scratch, thread));
  });
}

// K in equal parts of whole vectors; their number depends on K alone, and with it the order of
// sums.
class Parts {
 public:
  explicit Parts(int64_t all_words)
      : count(std::max<int64_t>(1, ceil_div(all_words, panel_words))),
        all_words_(all_words),
        step_(ceil_div(ceil_div(all_words, count), 16) * 16) {}

  int64_t first(int64_t part) const { return part * step_; }
  int64_t words(int64_t part) const { return std::min(step_, all_words_ - first(part)); }

  const int64_t count;

 private:
  int64_t all_words_;
  int64_t step_;
};

// One part of the inputs of some rows of a weight, maybe of none.
struct WeightPart {
  WeightPart(const WeightBlock& block, const PackedRows& x, int64_t part) : rows(block.count) {
    if (rows == 0) return;
    const Parts parts(x.words_per_row);
    const int64_t per_word = x.tiles.inputs_per_word, first = parts.first(part) * per_word;
    number_bytes = static_cast<int64_t>(size_of(block.values->dtype()));
    data = weight_row(*block.values, block.first) + first * number_bytes;
    stride = block.values->stride(0);
    inputs = std::min(parts.words(part) * per_word, x.inputs - first);
  }

  const std::byte* row(int64_t i) const { return data + i * stride * number_bytes; }

  int64_t rows;
  const std::byte* data = nullptr;
  int64_t stride = 0;  // in numbers
  int64_t inputs = 0;
  int64_t number_bytes = 0;
};

void pack_panel(const LinearKernels& kernels, const TileKernels& tiles, const WeightPart& weight,
                int64_t words, float* panel) {
  for (int64_t column = 0; column < weight.rows; column += kernels.tile_columns) {
    const int64_t columns = std::min<int64_t>(kernels.tile_columns, weight.rows - column);
    tiles.pack_weight(weight.row(column), weight.stride, static_cast<int>(columns), weight.inputs,
                      panel + column * words);
  }
}

// Shares out the rows of a part among the tiles that are multiplied before it: each asks for some. A
// tile that gets none keeps what it asked for before.
class Ahead {
 public:
  Ahead(const WeightPart& part, int64_t tile_count)
      : part_(part),
        tile_count_(tile_count),
        lines_(ceil_div(part.inputs * part.number_bytes, 64)),
        skip_(part.stride * part.number_bytes - lines_ * 64) {}

  void ask_in(Tile& tile) {
    const int64_t first = row_;
    row_ = part_.rows * ++tile_index_ / tile_count_;
    if (first == row_) return;
    tile.ahead = part_.row(first);
    tile.ahead_lines = lines_;
    tile.ahead_skip = skip_;
  }

 private:
  WeightPart part_;
  int64_t tile_count_;
  int64_t lines_;
  int64_t skip_;
  int64_t tile_index_ = 0;
  int64_t row_ = 0;
};

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
  constexpr int64_t most_panels = 4;
  const int64_t share = outputs / task_count;
  if (share < panel_columns)
    return std::max<int64_t>(1, share / kernels.tile_columns) * kernels.tile_columns;
  return std::min(share / panel_columns, most_panels) * panel_columns;
}

void multiply_block(const LinearKernels& kernels, const PackedRows& x, const WeightBlock& weight,
                    const WeightBlock& next, const OutputBlock& out, float* panel) {
  const int64_t tile_columns = kernels.tile_columns;
  const Parts parts(x.words_per_row);
  const int64_t tile_count = x.block_count * ceil_div(weight.count, tile_columns);
  for (int64_t part = 0; part < parts.count; ++part) {
    const bool last = part == parts.count - 1;
    const int64_t words = parts.words(part);
    pack_panel(kernels, x.tiles, WeightPart(weight, x, part), words, panel);
    Ahead ahead(last ? WeightPart(next, x, 0) : WeightPart(weight, x, part + 1), tile_count);
    for (int64_t block = 0; block < x.block_count; ++block) {
      Tile tile{.x = x.at(block, parts.first(part)),
                .weight = panel,
                .words = words,
                .rows = x.rows_in(block),
                .columns = 0,
                .out = out.data + x.first_row(block) * out.stride,
                .out_stride = out.stride,
                .adds_to_out = part > 0,
                .ends_in_silu = last && out.activation == Activation::silu,
                .ahead = panel,
                .ahead_lines = words,
                .ahead_skip = 0};
      for (int64_t column = 0; column < weight.count; column += tile_columns) {
        tile.columns = static_cast<int>(std::min(tile_columns, weight.count - column));
        ahead.ask_in(tile);
        x.tiles.multiply(tile);
        tile.weight += tile_columns * words;
        tile.out += tile_columns;
      }
    }
  }
}

void multiply_blocks(const LinearKernels& kernels, const PackedRows& x, const WeightBlock& weight,
                     const OutputBlock& out, float* panel) {
  for (int64_t column = 0; column < weight.count; column += panel_columns) {
    multiply_block(kernels, x, weight.panel(column), weight.panel(column + panel_columns),
                   {out.data + column, out.stride, out.activation}, panel);
  }
}

void CpuBackend::linear(const Tensor& x, const Weight& weight, Activation activation,
                        const Tensor& out) {
  assert(x.dim(0) <= limits_.tokens && x.dim(1) <= limits_.widest_input);
  const LinearKernels& kernels = kernels_.linear;
  if (x.dim(0) <= dot_row_limit) {
    multiply_few(threads_, kernels, x, weight.values, activation, out);
  } else if (compute_ == CpuCompute::bf16 && suits_pairs(kernels, x, weight.values)) {
    multiply_pairs(threads_, kernels, x, weight.values, activation, out, linear_scratch_);
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
