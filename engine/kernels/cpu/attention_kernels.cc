// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/cpu/attention_kernels.h"

#include "engine/kernels/cpu/simd.h"

namespace minimax::MINIMAX_ISA {
namespace {

constexpr int most_rows = lanes == 16 ? 8 : 4;      // rows of out held in registers
constexpr int accumulators = lanes == 16 ? 16 : 8;  // enough to cover the latency of fma
constexpr int vectors_beside(int rows) {
  return accumulators / rows < 8 ? accumulators / rows : 8;
}

enum class Layout { rows, columns };  // of a
enum class Width { whole, part };     // of the last vector

// The last line is asked for again and again when there are no more.
void ask_for_line(Ahead& ahead) {
  constexpr int64_t line_bytes = 64;
  __builtin_prefetch(ahead.at);
  if (ahead.end - ahead.at > line_bytes) ahead.at += line_bytes;
}

// out[row .. row + R, column .. column + C vectors)
template <int R, int C, Layout layout, Width width, typename Right>
void product_tile(const Product<Right>& p, int64_t row, int64_t column) {
  static_assert(width == Width::whole || C == 1);
  const int64_t count = p.columns - column;
  float* const out = p.out + row * p.out_step + column;
  F32 sum[R][C];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) {
      if (!p.keep) {
        sum[i][c] = broadcast(0);
      } else {
        const float* const at = out + i * p.out_step + c * lanes;
        const F32 old = width == Width::whole ? load(at) : load_part(at, count);
        sum[i][c] = broadcast(p.keep[row + i]) * old;
      }
    }
  }
  const float* a = layout == Layout::rows ? p.a + row * p.a_step : p.a + row;
  const Right* b = p.b + column;
  const auto add_next = [&] {
    F32 right[C];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) {
      right[c] = width == Width::whole ? load(b + c * lanes) : load_part(b, count);
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const F32 left = broadcast(layout == Layout::rows ? a[i * p.a_step] : a[i]);
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) sum[i][c] = fma(left, right[c], sum[i][c]);
    }
    a += layout == Layout::rows ? 1 : p.a_step;
    b += p.b_step;
  };
  if (R == most_rows && p.ahead) {
    Ahead ahead = *p.ahead;
    for (int64_t k = 0; k < p.inner; ++k) {
      ask_for_line(ahead);
      add_next();
    }
    *p.ahead = ahead;
  } else {
    for (int64_t k = 0; k < p.inner; ++k) add_next();
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) {
      float* const at = out + i * p.out_step + c * lanes;
      if (width == Width::whole) {
        store(at, sum[i][c]);
      } else {
        store_part(at, sum[i][c], count);
      }
    }
  }
}

// All rows from `row` on, R at a time and then fewer, of one panel of columns, which stays in the
// cache.
template <int R, int C, Layout layout, Width width, typename Right>
void product_panel(const Product<Right>& p, int64_t row, int64_t column) {
  for (; row + R <= p.rows; row += R) product_tile<R, C, layout, width>(p, row, column);
  if constexpr (R > 1) {
    if (row < p.rows) product_panel<R / 2, C, layout, width>(p, row, column);
  }
}

template <int R, int C, Layout layout, typename Right>
void product_panels(const Product<Right>& p, int64_t column) {
  for (; column + C * lanes <= p.columns; column += C * lanes) {
    product_panel<R, C, layout, Width::whole>(p, 0, column);
  }
  if (column == p.columns) return;
  if constexpr (C > 1) {
    product_panels<R, C / 2, layout>(p, column);
  } else {
    product_panel<R, 1, layout, Width::part>(p, 0, column);
  }
}

template <int R, Layout layout, typename Right>
void product_by_rows(const Product<Right>& p) {
  if constexpr (R > 1) {
    if (p.rows < R) return product_by_rows<R / 2, layout>(p);
  }
  product_panels<R, vectors_beside(R), layout>(p, 0);
}

template <typename Right>
void product(const Product<Right>& p) {
  product_by_rows<most_rows, Layout::rows>(p);
}

void product_of_columns(const Product<float>& p) {
  product_by_rows<most_rows, Layout::columns>(p);
}

// out[query .. query + Q, key .. key + lanes / Q): one vector of sums. Keys past the last are read
// as the last and forgotten.
template <int Q, typename Key>
void dots_tile(const Dots<Key>& d, int64_t query, int64_t key) {
  constexpr int K = lanes / Q;
  const float* queries[Q];
  const Key* keys[K];
  for (int i = 0; i < Q; ++i) queries[i] = d.queries + (query + i) * d.query_step;
  for (int j = 0; j < K; ++j) {
    const int64_t index = key + j < d.key_count ? key + j : d.key_count - 1;
    keys[j] = d.keys + index * d.key_step;
  }
  F32 sum[lanes];
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) sum[i] = broadcast(0);
  int64_t at = 0;
  for (; at + lanes <= d.width; at += lanes) {
    F32 right[K];
#pragma GCC unroll 16
    for (int j = 0; j < K; ++j) right[j] = load(keys[j] + at);
#pragma GCC unroll 16
    for (int i = 0; i < Q; ++i) {
      const F32 left = load(queries[i] + at);
#pragma GCC unroll 16
      for (int j = 0; j < K; ++j) sum[i * K + j] = fma(left, right[j], sum[i * K + j]);
    }
  }
  if (at < d.width) {
    for (int i = 0; i < Q; ++i) {
      const F32 left = load_part(queries[i] + at, d.width - at);
      for (int j = 0; j < K; ++j) {
        sum[i * K + j] = fma(left, load_part(keys[j] + at, d.width - at), sum[i * K + j]);
      }
    }
  }
  float all[lanes];
  store(all, sums(sum));
  float* const out = d.out + query * d.out_step + key;
  if (key + K <= d.key_count) {
#pragma GCC unroll 16
    for (int i = 0; i < Q; ++i) memcpy(out + i * d.out_step, all + i * K, K * sizeof(float));
    return;
  }
  for (int i = 0; i < Q; ++i) {
    for (int64_t j = 0; key + j < d.key_count; ++j) out[i * d.out_step + j] = all[i * K + j];
  }
}

template <int Q, typename Key>
void dots_from(const Dots<Key>& d, int64_t query) {
  for (; query + Q <= d.query_count; query += Q) {
    for (int64_t key = 0; key < d.key_count; key += lanes / Q) dots_tile<Q>(d, query, key);
  }
  if constexpr (Q > 1) {
    if (query < d.query_count) dots_from<Q / 2>(d, query);
  }
}

template <typename Key>
void dots(const Dots<Key>& d) {
  dots_from<most_rows>(d, 0);
}

// A square of `keys` by `count` numbers, at its largest lanes by lanes.
template <typename Key>
void transpose_square(const Key* from, int64_t step, int64_t keys, int64_t count, float* to,
                      int64_t to_step) {
  F32 square[lanes];
  if (keys == lanes && count == lanes) {
#pragma GCC unroll 16
    for (int j = 0; j < lanes; ++j) square[j] = load(from + j * step);
    transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) store(to + i * to_step, square[i]);
    return;
  }
  for (int j = 0; j < lanes; ++j) {
    square[j] = j < keys ? load_part(from + j * step, count) : broadcast(0);
  }
  transpose(square);
  for (int i = 0; i < count; ++i) store_part(to + i * to_step, square[i], keys);
}

// Whole squares from the left as far as they go; returns how many numbers of each key are done.
int64_t transpose_whole(const float*, int64_t, int64_t, float*, int64_t) {
  return 0;
}

// bf16 move in pairs: half the work.
int64_t transpose_whole(const bf16* from, int64_t step, int64_t width, float* to, int64_t to_step) {
  int64_t at = 0;
  for (; at + 2 * lanes <= width; at += 2 * lanes) {
    F32 square[lanes];
#pragma GCC unroll 16
    for (int j = 0; j < lanes; ++j) square[j] = load_pairs(from + at + j * step);
    transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) {
      store(to + (at + 2 * i) * to_step, first_of(square[i]));
      store(to + (at + 2 * i + 1) * to_step, second_of(square[i]));
    }
  }
  return at;
}

template <typename Key>
void transpose_keys(const Transposition<Key>& t) {
  for (int64_t key = 0; key < t.key_count; key += lanes) {
    const int64_t keys = t.key_count - key < lanes ? t.key_count - key : lanes;
    const Key* const from = t.keys + key * t.key_step;
    float* const to = t.out + key;
    int64_t at = keys == lanes ? transpose_whole(from, t.key_step, t.width, to, t.out_step) : 0;
    for (; at < t.width; at += lanes) {
      const int64_t count = t.width - at < lanes ? t.width - at : lanes;
      transpose_square(from + at, t.key_step, keys, count, to + at * t.out_step, t.out_step);
    }
  }
}

F32 load_up_to(const float* p, int64_t count) {
  return count >= lanes ? load(p) : load_part(p, count);
}

void store_up_to(float* p, F32 x, int64_t count) {
  if (count >= lanes) {
    store(p, x);
  } else {
    store_part(p, x, count);
  }
}

void softmax_row(float* scores, int64_t visible, int64_t keys, float& largest_so_far,
                 float& sum_so_far, float& keep) {
  F32 top = broadcast(largest_so_far);
  int64_t j = 0;
  for (; j + lanes <= visible; j += lanes) top = max(top, load(scores + j));
  float highest = largest(top);
  // One by one: the zeros that fill a partial vector would raise the maximum.
  for (; j < visible; ++j) highest = scores[j] > highest ? scores[j] : highest;

  const F32 shift = broadcast(highest);
  F32 total = broadcast(0);
  for (j = 0; j + lanes <= visible; j += lanes) {
    const F32 weight = exp(load(scores + j) - shift);
    total = total + weight;
    store(scores + j, weight);
  }
  if (j < visible) {
    store_part(scores + j, exp(load_part(scores + j, visible - j) - shift), visible - j);
    total = total + load_part(scores + j, visible - j);
  }
  for (j = visible; j < keys; ++j) scores[j] = 0;

  float factor[lanes];
  store(factor, exp(broadcast(largest_so_far) - shift));
  keep = factor[0];
  sum_so_far = keep * sum_so_far + sum(total);
  largest_so_far = highest;
}

void softmax_block(const SoftmaxBlock& s) {
  for (int64_t i = 0; i < s.rows; ++i) {
    int64_t visible = s.visible + i / s.rows_per_token;
    if (visible < 0) visible = 0;
    if (visible > s.keys) visible = s.keys;
    softmax_row(s.scores + i * s.score_step, visible, s.keys, s.largest[i], s.sum[i], s.keep[i]);
  }
}

void decay_scores(float* scores, float factor, const float* factors, int64_t visible,
                  int64_t count) {
  int64_t j = 0;
  for (; j < visible; j += lanes) {
    const F32 kept = load_up_to(scores + j, visible - j) * load_up_to(factors + j, visible - j) *
                     broadcast(factor);
    store_up_to(scores + j, kept, visible - j);
  }
  for (j = visible; j < count; j += lanes) store_up_to(scores + j, broadcast(0), count - j);
}

void scale_rows(float* rows, const float* factors, int64_t row_count, int64_t width) {
  for (int64_t i = 0; i < row_count; ++i, rows += width) {
    const F32 factor = broadcast(factors[i]);
    for (int64_t at = 0; at < width; at += lanes) {
      store_up_to(rows + at, factor * load_up_to(rows + at, width - at), width - at);
    }
  }
}

void round_to_bf16(const float* from, bf16* to, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
  if (i < count) store_part(to + i, load_part(from + i, count - i), count - i);
}

}  // namespace

extern const AttentionKernels attention_kernels;
const AttentionKernels attention_kernels = {
    .f32_kv = {product<float>, dots<float>, transpose_keys<float>},
    .bf16_kv = {product<bf16>, dots<bf16>, transpose_keys<bf16>},
    .product_of_columns = product_of_columns,
    .softmax_block = softmax_block,
    .decay_scores = decay_scores,
    .scale_rows = scale_rows,
    .round_to_bf16 = round_to_bf16,
};

}  // namespace minimax::MINIMAX_ISA
