// SPDX-License-Identifier: Apache-2.0
// Compiled once for each instruction set: MINIMAX_ISA names the namespace.
#include "vision/resample_kernels.h"

#include <string.h>

namespace minimax::MINIMAX_ISA {
namespace {

#if defined(__AVX512BW__)
constexpr int lanes = 16;
#elif defined(__AVX2__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
typedef int32_t Sums __attribute__((vector_size(4 * lanes)));
typedef uint8_t Bytes __attribute__((vector_size(lanes)));
typedef uint8_t Block __attribute__((vector_size(16)));

constexpr int32_t half = 1 << (weight_bits - 1);

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

Bytes clip(Sums sums) {
  const Sums zero{};
  const Sums all = zero + 255;
  sums >>= weight_bits;
  sums = sums < zero ? zero : sums;
  sums = sums > all ? all : sums;
  return __builtin_convertvector(sums, Bytes);
}

// Vectors * lanes bytes of the result.
template <int Vectors>
void weigh_part(const uint8_t* rows, size_t stride, const int32_t* weights, int64_t count,
                uint8_t* out) {
  Sums sums[Vectors];
  for (int v = 0; v < Vectors; ++v) sums[v] = Sums{} + half;
  for (int64_t k = 0; k < count; ++k, rows += stride) {
    const Sums weight = Sums{} + weights[k];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      sums[v] += __builtin_convertvector(load<Bytes>(rows + v * lanes), Sums) * weight;
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) store(out + v * lanes, clip(sums[v]));
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
  constexpr int wide = 6;  // a strip's pixel is 3 * strip_rows bytes
  size_t i = 0;
  for (; i + wide * lanes <= size; i += wide * lanes) {
    weigh_part<wide>(rows + i, stride, weights, count, out + i);
  }
  for (; i + lanes <= size; i += lanes) weigh_part<1>(rows + i, stride, weights, count, out + i);
  for (; i < size; ++i) weigh_byte(rows + i, stride, weights, count, out + i);
}

// Transposes 16 x 16 bytes: four times over, the first and the second half are shuffled like cards.
void transpose(Block (&block)[16]) {
  const Block low{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  const Block high = low + 8;
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    Block shuffled[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      shuffled[2 * i] = __builtin_shuffle(block[i], block[i + 8], low);
      shuffled[2 * i + 1] = __builtin_shuffle(block[i], block[i + 8], high);
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
