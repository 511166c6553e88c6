// SPDX-License-Identifier: Apache-2.0
// Compiled once for each instruction set: MINIMAX_ISA names the namespace.
#include "vision/resample_kernels.h"

#include <string.h>

#if defined(__AVX2__)
#pragma GCC diagnostic push  // gcc 12 warns of its own _mm512_undefined_epi32
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace minimax::MINIMAX_ISA {
namespace {

constexpr int32_t half = 1 << (weight_bits - 1);

typedef uint8_t Block __attribute__((vector_size(16)));

template <typename Vector>
Vector load(const uint8_t* from) {
  Vector vector;
  memcpy(&vector, from, sizeof vector);
  return vector;
}

template <typename Vector>
void store(uint8_t* to, Vector vector) {
  memcpy(to, &vector, sizeof vector);
}

// Sums of as many neighbouring bytes as a register has lanes: begun with a half, for rounding.
#if defined(__AVX512BW__)
struct Sums {
  static constexpr int lanes = 16;
  __m512i v = _mm512_set1_epi32(half);
  void add(const uint8_t* bytes, int32_t weight) {
    const __m512i wide = _mm512_cvtepu8_epi32(load<__m128i>(bytes));
    v = _mm512_add_epi32(v, _mm512_mullo_epi32(wide, _mm512_set1_epi32(weight)));
  }
  void clip(uint8_t* out) const {
    const __m512i whole = _mm512_srai_epi32(v, weight_bits);
    store(out, _mm512_cvtusepi32_epi8(_mm512_max_epi32(whole, _mm512_setzero_si512())));
  }
};
#elif defined(__AVX2__)
struct Sums {
  static constexpr int lanes = 8;
  __m256i v = _mm256_set1_epi32(half);
  void add(const uint8_t* bytes, int32_t weight) {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)bytes));
    v = _mm256_add_epi32(v, _mm256_mullo_epi32(wide, _mm256_set1_epi32(weight)));
  }
  void clip(uint8_t* out) const {
    const __m256i whole = _mm256_srai_epi32(v, weight_bits);
    const __m128i halves =
        _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i*)out, _mm_packus_epi16(halves, halves));
  }
};
#else
struct Sums {
  static constexpr int lanes = 16;
  int32_t v[lanes];
  Sums() {
    for (int32_t& sum : v) sum = half;
  }
  void add(const uint8_t* bytes, int32_t weight) {
    for (int i = 0; i < lanes; ++i) v[i] += bytes[i] * weight;
  }
  void clip(uint8_t* out) const {
    for (int i = 0; i < lanes; ++i) {
      const int32_t whole = v[i] >> weight_bits;
      out[i] = static_cast<uint8_t>(whole < 0 ? 0 : whole > 255 ? 255 : whole);
    }
  }
};
#endif

// Vectors * lanes bytes of the result.
template <int Vectors>
void weigh_part(const uint8_t* rows, size_t stride, const int32_t* weights, int64_t count,
                uint8_t* out) {
  Sums sums[Vectors];
  for (int64_t k = 0; k < count; ++k, rows += stride) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sums[v].add(rows + v * Sums::lanes, weights[k]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) sums[v].clip(out + v * Sums::lanes);
}

void weigh_byte(const uint8_t* rows, size_t stride, const int32_t* weights, int64_t count,
                uint8_t* out) {
  int32_t sum = half;
  for (int64_t k = 0; k < count; ++k) sum += weights[k] * rows[static_cast<size_t>(k) * stride];
  sum >>= weight_bits;
  *out = static_cast<uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

void weigh_rows(const uint8_t* rows, size_t stride, const int32_t* weights, int64_t count,
                uint8_t* out, size_t size) {
  constexpr size_t lanes = Sums::lanes,
                   wide = 6 * lanes;  // 6 divide a strip's 3 * strip_rows bytes
  size_t i = 0;
  for (; i + wide <= size; i += wide) weigh_part<6>(rows + i, stride, weights, count, out + i);
  for (; i + lanes <= size; i += lanes) weigh_part<1>(rows + i, stride, weights, count, out + i);
  for (; i < size; ++i) weigh_byte(rows + i, stride, weights, count, out + i);
}

// Transposes 16 x 16 bytes: four times over, the first and the second half are shuffled like cards.
void transpose(Block (&block)[16]) {
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    Block shuffled[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      shuffled[2 * i] = __builtin_shufflevector(block[i], block[i + 8], 0, 16, 1, 17, 2, 18, 3, 19,
                                                4, 20, 5, 21, 6, 22, 7, 23);
      shuffled[2 * i + 1] = __builtin_shufflevector(block[i], block[i + 8], 8, 24, 9, 25, 10, 26,
                                                    11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) block[i] = shuffled[i];
  }
}

void to_columns(const uint8_t* rows, size_t stride, int row_count, size_t size, uint8_t* out) {
  for (int first = 0; first < strip_rows && first < row_count; first += 16) {
    const auto row = [&](int r) {
      const int last = row_count - 1;
      return rows + static_cast<size_t>(first + r < last ? first + r : last) * stride;
    };
    uint8_t* columns = out + first;
    size_t i = 0;
    for (; i + 16 <= size; i += 16) {
      Block block[16];
      for (int r = 0; r < 16; ++r) block[r] = load<Block>(row(r) + i);
      transpose(block);
      for (size_t c = 0; c < 16; ++c) store(columns + (i + c) * strip_rows, block[c]);
    }
    for (; i < size; ++i) {
      for (int r = 0; r < 16; ++r) columns[i * strip_rows + static_cast<size_t>(r)] = row(r)[i];
    }
  }
}

void from_columns(const uint8_t* columns, size_t size, uint8_t* rows, size_t stride,
                  int row_count) {
  for (int first = 0; first < strip_rows && first < row_count; first += 16) {
    const int count = row_count - first < 16 ? row_count - first : 16;
    const auto row = [&](int r) { return rows + static_cast<size_t>(first + r) * stride; };
    const uint8_t* from = columns + first;
    size_t i = 0;
    for (; i + 16 <= size; i += 16) {
      Block block[16];
      for (size_t c = 0; c < 16; ++c) block[c] = load<Block>(from + (i + c) * strip_rows);
      transpose(block);
      for (int r = 0; r < count; ++r) store(row(r) + i, block[r]);
    }
    for (; i < size; ++i) {
      for (int r = 0; r < count; ++r) row(r)[i] = from[i * strip_rows + static_cast<size_t>(r)];
    }
  }
}

}  // namespace

extern const ResampleKernels resample_kernels;
const ResampleKernels resample_kernels{weigh_rows, to_columns, from_columns};

}  // namespace minimax::MINIMAX_ISA
