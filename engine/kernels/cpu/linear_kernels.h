// SPDX-License-Identifier: Apache-2.0
// Inner loops of matrix products: dot products for a few rows of x, tiles for many.
//
// Dot products read weights where they lie, each once, and sum along K in vectors. Tiles want both
// sides transposed into words first: a word is one f32, or a pair of bf16 that follow each other in
// K.
#pragma once

#include <stdint.h>

#include "base/dtype.h"

namespace minimax {

// So many rows of x share one pass over the weights.
inline constexpr int dot_row_limit = 8;

// Outputs at a time: fastest when N is a multiple.
inline constexpr int dot_output_step = 24;

// Of any instruction set.
inline constexpr int tile_row_limit = 16;

struct DotRows {
  int count;                      // T, 1 to dot_row_limit
  const float* x[dot_row_limit];  // [K] each
  float* out[dot_row_limit];      // [N] each
};

// More rows than a DotRows, rounded to bf16: sixteen products of four rows of x and four of the weight
// are summed at a time.
inline constexpr int pair_row_limit = 16;

struct PairRows {
  int count;                      // T, 1 to pair_row_limit
  const bf16* x[pair_row_limit];  // [K] each
  float* out[pair_row_limit];     // [N] each
};

// out[m, n] = f(sum over words of x[word, m] * weight[word, n]), added to out if a part of K was
// there before.
struct Tile {
  const float* x;       // [words, rows]
  const float* weight;  // [words, tile_columns], columns beyond the last are read, not used
  int64_t words;
  int rows;     // 1 to tile_rows
  int columns;  // 1 to tile_columns
  float* out;   // rows out_stride numbers apart
  int64_t out_stride;
  bool adds_to_out;
  bool ends_in_silu;
  // Memory that will be wanted next, asked for a line with each word: so many lines, then as many
  // again ahead_skip bytes behind them.
  const void* ahead;
  int64_t ahead_lines;
  int64_t ahead_skip;
};

// How numbers of one type are multiplied in tiles.
struct TileKernels {
  int inputs_per_word;  // 1 f32 or 2 bf16; an odd last input is paired with zero

  // words[w, row] of x[row][k], rows from 1 to tile_rows; no space between w and w + 1.
  void (*pack_x)(const float* const* x, int rows, int64_t inputs, float* words);
  // words[w, row] of weight[row * stride + k], tile_columns apart, up to tile_columns rows.
  void (*pack_weight)(const void* weight, int64_t stride, int rows, int64_t inputs, float* words);
  void (*multiply)(const Tile& tile);
};

struct LinearKernels {
  int tile_rows;  // at most tile_row_limit
  int tile_columns;

  // out[t][n] = sum over k of x[t][k] * weight[n * K + k] for n in [0, N). A result has the same
  // bits whatever T, N and n are.
  void (*dot_f32)(const DotRows& rows, const void* weight, int64_t outputs, int64_t inputs);
  void (*dot_bf16)(const DotRows& rows, const void* weight, int64_t outputs, int64_t inputs);

  // The same for bf16 weights and x rounded to bf16. Null where no instruction does it.
  void (*dot_pairs)(const PairRows& rows, const bf16* weight, int64_t outputs, int64_t inputs);
  void (*round)(const float* x, bf16* out, int64_t count);  // to bf16

  TileKernels f32_tiles;   // f32 weights
  TileKernels bf16_tiles;  // bf16 weights, widened to f32
  TileKernels bf16_pairs;  // bf16 weights, x rounded to bf16; all null where no instruction does it

  void (*silu)(float* x, int64_t count);                                        // in place
  void (*gate)(const float* gate, const float* up, float* out, int64_t count);  // silu(gate) * up
  void (*add_scaled)(const float* x, float scale, float* out, int64_t count);   // out += scale * x
};

}  // namespace minimax
