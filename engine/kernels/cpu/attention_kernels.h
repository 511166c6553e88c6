// SPDX-License-Identifier: Apache-2.0
// Inner loops of both attentions: small matrix products between queries, keys, values and states.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "engine/kernels/cpu/kernel_table.h"

namespace minimax {

// Memory that is needed soon: a product asks for it line by line while it computes. All at once it
// would hold up what is needed now.
struct Ahead {
  const char* at;  // the next line
  const char* end;
};

// out[i, n] = keep[i] * out[i, n] + sum over k of a[i, k] * b[k, n], k ascending in one sum
template <typename Right>
struct Product {
  const float* a;  // a[i, k] at a[i * a_step + k]; for product_of_columns at a[k * a_step + i]
  int64_t a_step;
  const Right* b;  // b[k, n] at b[k * b_step + n]
  int64_t b_step;
  float* out;  // out[i, n] at out[i * out_step + n]
  int64_t out_step;
  const float* keep;  // [rows], or null: out is not read
  int64_t rows;
  int64_t inner;
  int64_t columns;
  Ahead* ahead = nullptr;  // in, out; may be null
};

// out[i, j] = queries[i] . keys[j]; meant for few queries
template <typename Key>
struct Dots {
  const float* queries;
  int64_t query_step;
  int64_t query_count;
  const Key* keys;
  int64_t key_step;
  int64_t key_count;
  int64_t width;
  float* out;
  int64_t out_step;
};

// out[d * out_step + j] = keys[j * key_step + d]
template <typename Key>
struct Transposition {
  const Key* keys;
  int64_t key_step;
  int64_t key_count;
  int64_t width;
  float* out;
  int64_t out_step;
};

// A block of scores enters a running softmax. Row i sees the first visible + i / rows_per_token:
//
//   largest' = max(largest, scores);  keep = exp(largest - largest')
//   scores   = exp(scores - largest'), 0 where it does not see;  sum = keep * sum + sum of scores
struct SoftmaxBlock {
  float* scores;  // [rows, keys]
  int64_t score_step;
  int64_t rows;
  int64_t keys;
  int64_t visible;
  int64_t rows_per_token;
  float* largest;  // [rows], softmax_nothing_seen before the first block
  float* sum;      // [rows], 0 before the first block
  float* keep;     // [rows], out
};
inline constexpr float softmax_nothing_seen = -3e38f;

// Products with keys or values of one type.
template <typename Kv>
struct KvKernels {
  void (*product)(const Product<Kv>& product);
  void (*dots)(const Dots<Kv>& dots);
  void (*transpose)(const Transposition<Kv>& transposition);
};

struct AttentionKernels {
  KvKernels<float> f32_kv;
  KvKernels<bf16> bf16_kv;
  void (*product_of_columns)(const Product<float>& product);
  void (*softmax_block)(const SoftmaxBlock& block);
  // scores[j] = scores[j] * factor * factors[j] for j < visible, 0 for the others below count
  void (*decay_scores)(float* scores, float factor, const float* factors, int64_t visible,
                       int64_t count);
  // rows[j, :] = factors[j] * rows[j, :], contiguous
  void (*scale_rows)(float* rows, const float* factors, int64_t row_count, int64_t width);
  void (*round_to_bf16)(const float* from, bf16* to, int64_t count);
};

}  // namespace minimax
