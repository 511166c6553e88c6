// SPDX-License-Identifier: Apache-2.0
// The inner loops of linear_kernels.h, once for each instruction set.
#include "engine/kernels/cpu/linear_kernels.h"

#include "engine/kernels/cpu/simd.h"

namespace minimax::MINIMAX_ISA {
namespace {

// Accumulators of a tile: as many as leave registers for one broadcast and the weights.
#if defined(__AVX512F__)
constexpr int tile_rows = 14, tile_vectors = 2, dot_accumulators = 24;
#elif defined(__AVX2__)
constexpr int tile_rows = 6, tile_vectors = 2, dot_accumulators = 8;
#else
constexpr int tile_rows = 4, tile_vectors = 2, dot_accumulators = 8;
#endif
constexpr int tile_columns = tile_vectors * lanes;

// --- dot products ---

// Results of `outputs` rows of the weight, which lie at `weight`; rows at `next` will be wanted
// soon. One accumulator for each result, so that neither T nor the number of outputs at a time
// shows.
//
// One row at a time streams at the speed of memory, if x stays in L1; where it does not, reading x
// for several rows at once saves more than their streams, which have to be asked for, lose.
template <typename W, int T, int outputs>
void dot_outputs(const DotRows& rows, const W* weight, const W* next, int64_t inputs,
                 int64_t first) {
  constexpr int steps = lanes * sizeof(W) < 64 ? 2 : 1;  // about a line of memory
  F32 sums[T][outputs];
  for (int t = 0; t < T; ++t) {
    for (int n = 0; n < outputs; ++n) sums[t][n] = broadcast(0);
  }
  int64_t k = 0;
  for (; k + steps * lanes <= inputs; k += steps * lanes) {
#pragma GCC unroll 8
    for (int n = 0; n < outputs; ++n) {
      if constexpr (outputs > 1) __builtin_prefetch(next + n * inputs + k, 0, 2);
    }
#pragma GCC unroll 2
    for (int step = 0; step < steps; ++step) {
      const int64_t at = k + step * lanes;
      F32 w[outputs];
#pragma GCC unroll 8
      for (int n = 0; n < outputs; ++n) w[n] = load(weight + n * inputs + at);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const F32 x = load(rows.x[t] + at);
#pragma GCC unroll 8
        for (int n = 0; n < outputs; ++n) sums[t][n] = fma(x, w[n], sums[t][n]);
      }
    }
  }
  for (; k < inputs; k += lanes) {
    const int64_t left = inputs - k, count = left < lanes ? left : lanes;
#pragma GCC unroll 8
    for (int n = 0; n < outputs; ++n) {
      const F32 w = load_part(weight + n * inputs + k, count);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        sums[t][n] = fma(load_part(rows.x[t] + k, count), w, sums[t][n]);
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int n = 0; n < outputs; ++n) rows.out[t][first + n] = sum(sums[t][n]);
  }
}

template <typename W, int T, int at_once>
void dot_all(const DotRows& rows, const W* weight, int64_t outputs, int64_t inputs) {
  int64_t n = 0;
  for (; n + at_once <= outputs; n += at_once) {
    const W* here = weight + n * inputs;
    const W* next = n + 2 * at_once <= outputs ? here + at_once * inputs : here;
    dot_outputs<W, T, at_once>(rows, here, next, inputs, n);
  }
  for (; n < outputs; ++n) {
    const W* here = weight + n * inputs;
    dot_outputs<W, T, 1>(rows, here, here, inputs, n);
  }
}

template <typename W, int T>
void dot_rows(const DotRows& rows, const W* weight, int64_t outputs, int64_t inputs) {
  constexpr int64_t stays_in_l1 = 12 << 10;  // beside a stream, of 32 KiB
  constexpr int at_once = T * 8 <= dot_accumulators ? 8 : dot_accumulators / T;
  if (T == 1 && inputs * static_cast<int64_t>(sizeof(float)) <= stays_in_l1) {
    dot_all<W, T, 1>(rows, weight, outputs, inputs);
  } else {
    dot_all<W, T, at_once>(rows, weight, outputs, inputs);
  }
}

template <typename W>
void dot(const DotRows& rows, const void* weight, int64_t outputs, int64_t inputs) {
  const W* numbers = static_cast<const W*>(weight);
  switch (rows.count) {
    case 1:
      return dot_rows<W, 1>(rows, numbers, outputs, inputs);
    case 2:
      return dot_rows<W, 2>(rows, numbers, outputs, inputs);
    case 3:
      return dot_rows<W, 3>(rows, numbers, outputs, inputs);
    case 4:
      return dot_rows<W, 4>(rows, numbers, outputs, inputs);
    case 5:
      return dot_rows<W, 5>(rows, numbers, outputs, inputs);
    case 6:
      return dot_rows<W, 6>(rows, numbers, outputs, inputs);
    case 7:
      return dot_rows<W, 7>(rows, numbers, outputs, inputs);
    case 8:
      return dot_rows<W, 8>(rows, numbers, outputs, inputs);
  }
}

// --- transposition into words ---

// What a row holds, and how `lanes` words of it are read; read_part reads `count` inputs and leaves
// zeros behind them.
template <typename W>
struct Words {
  static constexpr int inputs = 1;
  static F32 read(const W* row) { return load(row); }
  static F32 read_part(const W* row, int64_t count) { return load_part(row, count); }
};

#if defined(__AVX512BF16__)
struct WeightPairs {
  static constexpr int inputs = 2;
  static F32 read(const bf16* row) { return {_mm512_loadu_ps(row)}; }
  static F32 read_part(const bf16* row, int64_t count) {
    const __mmask32 present = static_cast<__mmask32>((uint64_t{1} << count) - 1);
    return {_mm512_castsi512_ps(_mm512_maskz_loadu_epi16(present, row))};
  }
};

struct RoundedPairs {
  static constexpr int inputs = 2;
  static F32 round(F32 low, F32 high) { return {(__m512)_mm512_cvtne2ps_pbh(high.v, low.v)}; }
  static F32 read(const float* row) { return round(load(row), load(row + lanes)); }
  static F32 read_part(const float* row, int64_t count) {
    if (count <= lanes) return round(load_part(row, count), broadcast(0));
    return round(load(row), load_part(row + lanes, count - lanes));
  }
};
#endif

// to[w * width + row] of rows[row][w], for the first `kept` rows. Bits are only moved, so that a
// word may be a pair of bf16. The first `head` inputs, less than a step, go first.
template <typename Read, typename N>
void transpose_rows(const N* const (&rows)[lanes], int64_t head, int64_t inputs, float* to,
                    int64_t width, int kept) {
  constexpr int64_t step = lanes * Read::inputs;
  int64_t count = head > 0 ? head : step;
  for (int64_t k = 0; k < inputs; k += count, count = step) {
    if (inputs - k < count) count = inputs - k;
    F32 square[lanes];
    if (count == step) {
#pragma GCC unroll 16
      for (int row = 0; row < lanes; ++row) square[row] = Read::read(rows[row] + k);
    } else {
      for (int row = 0; row < lanes; ++row) square[row] = Read::read_part(rows[row] + k, count);
    }
    transpose(square);
    if (count == step && kept == lanes) {
#pragma GCC unroll 16
      for (int word = 0; word < lanes; ++word) store(to + word * width, square[word]);
      to += lanes * width;
    } else {
      const int64_t words = (count + Read::inputs - 1) / Read::inputs;
      for (int64_t word = 0; word < words; ++word, to += width) store_part(to, square[word], kept);
    }
  }
}

// Inputs before the first that begins a line of memory, if that is so in every row. Rows whose
// distance is a multiple of a large power of two share few places in a cache, and a line that is
// read in two pieces would be fetched twice.
template <typename Read, typename W>
int64_t inputs_before_line(const W* weight, int64_t stride) {
  constexpr int64_t line = 64, step = lanes * Read::inputs;
  if (stride * static_cast<int64_t>(sizeof(W)) % line != 0) return 0;
  const auto offset = static_cast<int64_t>(reinterpret_cast<uintptr_t>(weight) % line);
  const int64_t inputs = (line - offset) / static_cast<int64_t>(sizeof(W)) % step;
  return inputs % Read::inputs == 0 ? inputs : 0;
}

template <typename Read>
void pack_x(const float* const* x, int rows, int64_t inputs, float* words) {
  for (int first = 0; first < rows; first += lanes) {
    const int count = rows - first < lanes ? rows - first : lanes;
    const float* block[lanes];  // the last row stands in for those that are not there
    for (int i = 0; i < lanes; ++i) block[i] = x[first + (i < count ? i : count - 1)];
    transpose_rows<Read>(block, 0, inputs, words + first, rows, count);
  }
}

template <typename Read, typename W>
void pack_weight(const void* weight, int64_t stride, int rows, int64_t inputs, float* words) {
  for (int first = 0; first < rows; first += lanes) {
    const W* block[lanes];
    for (int i = 0; i < lanes; ++i) {
      const int row = first + i < rows ? first + i : rows - 1;
      block[i] = static_cast<const W*>(weight) + row * stride;
    }
    transpose_rows<Read>(block, inputs_before_line<Read>(block[0], stride), inputs, words + first,
                         tile_columns, lanes);
  }
}

// --- dot products of pairs ---

#if defined(__AVX512BF16__)
struct MultiplyPairs {
  static F32 add(F32 x, F32 weight, F32 sum) {
    return {_mm512_dpbf16_ps(sum.v, (__m512bh)x.v, (__m512bh)weight.v)};
  }
};

constexpr int pair_side = 4;  // rows of x and of the weight at a time
static_assert(pair_side * pair_side == lanes);

// Products of the rows x[i] with the rows weight[j], in lane pair_side * i + j. The weight's rows are
// side by side in memory; requests for `lines` of what follows them, up to `end`, go with each step.
template <int lines>
F32 dot_square(const bf16* const (&x)[pair_side], const bf16* const (&weight)[pair_side],
               int64_t inputs, const char*& ahead, const char* end) {
  constexpr int64_t step = lanes * WeightPairs::inputs, line_bytes = 64;
  F32 products[lanes];
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) products[i] = broadcast(0);
  int64_t k = 0;
  for (; k + step <= inputs; k += step) {
#pragma GCC unroll 4
    for (int i = 0; i < lines; ++i) {
      __builtin_prefetch(ahead);
      ahead = end - ahead > line_bytes ? ahead + line_bytes : ahead;
    }
    F32 w[pair_side];
#pragma GCC unroll 4
    for (int j = 0; j < pair_side; ++j) w[j] = WeightPairs::read(weight[j] + k);
#pragma GCC unroll 4
    for (int i = 0; i < pair_side; ++i) {
      const F32 row = WeightPairs::read(x[i] + k);
#pragma GCC unroll 4
      for (int j = 0; j < pair_side; ++j) {
        F32& product = products[pair_side * i + j];
        product = MultiplyPairs::add(row, w[j], product);
      }
    }
  }
  if (k < inputs) {
#pragma GCC unroll 4
    for (int i = 0; i < pair_side; ++i) {
      const F32 row = WeightPairs::read_part(x[i] + k, inputs - k);
#pragma GCC unroll 4
      for (int j = 0; j < pair_side; ++j) {
        F32& product = products[pair_side * i + j];
        product =
            MultiplyPairs::add(row, WeightPairs::read_part(weight[j] + k, inputs - k), product);
      }
    }
  }
  return sums(products);
}

// Four rows of the weight come from memory with the first four of x, and from the cache with the
// others; what is asked for meanwhile is so far ahead.
template <int squares>
void dot_squares(const PairRows& rows, const bf16* weight, int64_t outputs, int64_t inputs) {
  constexpr int lines = (pair_side + squares - 1) / squares;
  constexpr int64_t ahead_bytes = 8 << 10;
  const auto* const begin = reinterpret_cast<const char*>(weight);
  const char* const end = begin + outputs * inputs * static_cast<int64_t>(sizeof(bf16));
  const char* ahead = begin;
  for (; ahead < end && ahead < begin + ahead_bytes; ahead += 64) __builtin_prefetch(ahead);
  for (int64_t n = 0; n < outputs; n += pair_side) {
    const int64_t behind = (outputs - n - pair_side) * inputs * static_cast<int64_t>(sizeof(bf16));
    const char* const stop = behind > ahead_bytes ? end - behind + ahead_bytes : end;
    const bf16* w[pair_side];  // the last row stands in for those that are not there, as for x
    for (int j = 0; j < pair_side; ++j) {
      w[j] = weight + (n + j < outputs ? n + j : outputs - 1) * inputs;
    }
    const int64_t left = outputs - n, count = left < pair_side ? left : pair_side;
    for (int first = 0; first < rows.count; first += pair_side) {
      const bf16* x[pair_side];
      for (int i = 0; i < pair_side; ++i) {
        x[i] = rows.x[first + i < rows.count ? first + i : rows.count - 1];
      }
      float products[lanes];
      store(products, dot_square<lines>(x, w, inputs, ahead, stop));
      for (int i = 0; i < pair_side && first + i < rows.count; ++i) {
        float* const out = rows.out[first + i] + n;
        if (count == pair_side) {
          memcpy(out, products + pair_side * i, sizeof(float) * pair_side);
        } else {
          for (int64_t j = 0; j < count; ++j) out[j] = products[pair_side * i + j];
        }
      }
    }
  }
}

void dot_pairs(const PairRows& rows, const bf16* weight, int64_t outputs, int64_t inputs) {
  switch ((rows.count + pair_side - 1) / pair_side) {
    case 1:
      return dot_squares<1>(rows, weight, outputs, inputs);
    case 2:
      return dot_squares<2>(rows, weight, outputs, inputs);
    case 3:
      return dot_squares<3>(rows, weight, outputs, inputs);
    case 4:
      return dot_squares<4>(rows, weight, outputs, inputs);
  }
}

void round_to_bf16(const float* x, bf16* out, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, load(x + i));
  if (i < count) store_part(out + i, load_part(x + i, count - i), count - i);
}
#endif

// --- tiles ---

void silu_in_place(float* x, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(x + i, silu(load(x + i)));
  if (i < count) store_part(x + i, silu(load_part(x + i, count - i)), count - i);
}

// The last columns of a weight: less than a tile.
__attribute__((noinline)) void store_columns(const Tile& tile, const F32 (&sums)[tile_vectors],
                                             float* out) {
  for (int column = 0; column < tile.columns; column += lanes) {
    const int left = tile.columns - column;
    const int count = left < lanes ? left : lanes;
    const F32 before = tile.adds_to_out ? load_part(out + column, count) : broadcast(0);
    store_part(out + column, sums[column / lanes] + before, count);
  }
}

struct MultiplyF32 {
  static F32 add(F32 x, F32 weight, F32 sum) { return fma(x, weight, sum); }
};

// Words of x asked for beforehand: blocks of x stream from L3, a page of which prefetchers do not
// leave.
constexpr int64_t x_ahead = 512;

template <typename Multiply, int rows>
void multiply_rows(const Tile& tile) {
  F32 sums[rows][tile_vectors];
#pragma GCC unroll 16
  for (int row = 0; row < rows; ++row) {
    for (int v = 0; v < tile_vectors; ++v) sums[row][v] = broadcast(0);
  }
  for (int row = 0; row < rows; ++row) {  // here long before the sums are ready
    for (int v = 0; v < tile_vectors; ++v) {
      __builtin_prefetch(tile.out + row * tile.out_stride + v * lanes, 1);
    }
  }
  const float* x = tile.x;
  const float* weight = tile.weight;
  const char* ahead = static_cast<const char*>(tile.ahead);
  for (int64_t word = 0; word < tile.words; ahead += tile.ahead_skip) {
    const int64_t left = tile.words - word;
    const int64_t end = word + (left < tile.ahead_lines ? left : tile.ahead_lines);
    for (; word < end; ++word) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += 64;
      __builtin_prefetch(x + x_ahead);
      F32 w[tile_vectors];
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; ++v) w[v] = load(weight + v * lanes);
#pragma GCC unroll 16
      for (int row = 0; row < rows; ++row) {
        const F32 number = broadcast(x[row]);
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; ++v) {
          sums[row][v] = Multiply::add(number, w[v], sums[row][v]);
        }
      }
      x += rows;
      weight += tile_columns;
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < rows; ++row) {
    float* out = tile.out + row * tile.out_stride;
    if (tile.columns == tile_columns) {
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; ++v) {
        const F32 before = tile.adds_to_out ? load(out + v * lanes) : broadcast(0);
        store(out + v * lanes, sums[row][v] + before);
      }
    } else {
      F32 row_sums[tile_vectors];  // a copy, so that the sums themselves stay in registers
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; ++v) row_sums[v] = sums[row][v];
      store_columns(tile, row_sums, out);
    }
  }
  if (tile.ends_in_silu) {
    for (int row = 0; row < rows; ++row) {
      silu_in_place(tile.out + row * tile.out_stride, tile.columns);
    }
  }
}

template <typename Multiply>
void multiply(const Tile& tile) {
  switch (tile.rows) {
#define MINIMAX_ROWS(n) \
  case n:               \
    return multiply_rows<Multiply, (n <= tile_rows ? n : 1)>(tile);
    MINIMAX_ROWS(1)
    MINIMAX_ROWS(2)
    MINIMAX_ROWS(3)
    MINIMAX_ROWS(4)
    MINIMAX_ROWS(5)
    MINIMAX_ROWS(6)
    MINIMAX_ROWS(7)
    MINIMAX_ROWS(8)
    MINIMAX_ROWS(9)
    MINIMAX_ROWS(10)
    MINIMAX_ROWS(11)
    MINIMAX_ROWS(12)
    MINIMAX_ROWS(13)
    MINIMAX_ROWS(14)
#undef MINIMAX_ROWS
  }
}

// --- elementwise ---

void gate_up(const float* gate, const float* up, float* out, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, silu(load(gate + i)) * load(up + i));
  if (i < count) {
    const int64_t left = count - i;
    store_part(out + i, silu(load_part(gate + i, left)) * load_part(up + i, left), left);
  }
}

void add_scaled(const float* x, float scale, float* out, int64_t count) {
  const F32 factor = broadcast(scale);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, fma(load(x + i), factor, load(out + i)));
  if (i < count) {
    const int64_t left = count - i;
    store_part(out + i, fma(load_part(x + i, left), factor, load_part(out + i, left)), left);
  }
}

}  // namespace

extern const LinearKernels linear_kernels;
const LinearKernels linear_kernels = {
    .tile_rows = tile_rows,
    .tile_columns = tile_columns,
    .dot_f32 = dot<float>,
    .dot_bf16 = dot<bf16>,
#if defined(__AVX512BF16__)
    .dot_pairs = dot_pairs,
    .round = round_to_bf16,
#else
    .dot_pairs = nullptr,
    .round = nullptr,
#endif
    .f32_tiles = {1, pack_x<Words<float>>, pack_weight<Words<float>, float>, multiply<MultiplyF32>},
    .bf16_tiles = {1, pack_x<Words<float>>, pack_weight<Words<bf16>, bf16>, multiply<MultiplyF32>},
#if defined(__AVX512BF16__)
    .bf16_pairs = {2, pack_x<RoundedPairs>, pack_weight<WeightPairs, bf16>,
                   multiply<MultiplyPairs>},
#else
    .bf16_pairs = {2, nullptr, nullptr, nullptr},
#endif
    .silu = silu_in_place,
    .gate = gate_up,
    .add_scaled = add_scaled,
};

}  // namespace minimax::MINIMAX_ISA
