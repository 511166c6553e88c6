// SPDX-License-Identifier: Apache-2.0
// Vectors of f32 for the instruction set a kernel file is compiled for. Only *_kernels.cc include it.
//
// MINIMAX_ISA (portable, avx2 or avx512) names the namespace; lanes is the width of a vector. Partial
// loads read nothing beyond count and fill with zero; partial stores write count numbers.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/dtype.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#pragma GCC diagnostic push  // gcc 12 warns of its own _mm512_undefined_ps
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace minimax::MINIMAX_ISA {

#if defined(__AVX512F__)

constexpr int lanes = 16;
struct F32 {
  __m512 v;
};
inline F32 broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
inline F32 load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline void store(float* p, F32 x) {
  _mm512_storeu_ps(p, x.v);
}
inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1u);
}
inline F32 load_part(const float* p, int64_t count) {
  return {_mm512_maskz_loadu_ps(first_lanes(count), p)};
}
inline void store_part(float* p, F32 x, int64_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), x.v);
}
inline F32 widen(__m256i halves) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))};
}
inline F32 load(const bf16* p) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline F32 load_part(const bf16* p, int64_t count) {
  return widen(_mm256_maskz_loadu_epi16(first_lanes(count), p));
}
inline void store(bf16* p, F32 x) {
  const __m256bh halves = _mm512_cvtneps_pbh(x.v);
  memcpy(p, &halves, sizeof halves);
}
inline void store_part(bf16* p, F32 x, int64_t count) {
  const __m256bh halves = _mm512_cvtneps_pbh(x.v);
  __m256i bits;
  memcpy(&bits, &halves, sizeof bits);
  _mm256_mask_storeu_epi16(p, first_lanes(count), bits);
}
// Pairs of bf16 as they lie in memory, one pair a lane, and the first and second of each.
inline F32 load_pairs(const bf16* p) {
  return {_mm512_loadu_ps(p)};
}
inline F32 first_of(F32 pairs) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs.v), 16))};
}
inline F32 second_of(F32 pairs) {
  return {_mm512_and_ps(pairs.v, _mm512_castsi512_ps(_mm512_set1_epi32(-0x10000)))};
}
inline F32 operator+(F32 a, F32 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline F32 operator-(F32 a, F32 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline F32 operator*(F32 a, F32 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline F32 operator/(F32 a, F32 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline F32 fma(F32 a, F32 b, F32 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline F32 max(F32 a, F32 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline F32 min(F32 a, F32 b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline float sum(F32 a) {
  return _mm512_reduce_add_ps(a.v);
}
inline float largest(F32 a) {
  return _mm512_reduce_max_ps(a.v);
}
inline F32 round_to_integer(F32 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// 2^n for integral n in [-126, 127]
inline F32 power_of_two(F32 n) {
  const __m512i bits = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 23))};
}
// lane i of the result is sum(x[i])
inline F32 sums(const F32 (&x)[lanes]) {
  __m512 four[4];  // four[g]: in each quarter, that quarter's sums of x[4 * g] .. x[4 * g + 3]
  for (int g = 0; g < 4; ++g) {
    const __m512 a = x[4 * g].v, b = x[4 * g + 1].v, c = x[4 * g + 2].v, d = x[4 * g + 3].v;
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    four[g] = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  }
  const __m512 low = _mm512_add_ps(_mm512_shuffle_f32x4(four[0], four[1], 0x44),
                                   _mm512_shuffle_f32x4(four[0], four[1], 0xee));
  const __m512 high = _mm512_add_ps(_mm512_shuffle_f32x4(four[2], four[3], 0x44),
                                    _mm512_shuffle_f32x4(four[2], four[3], 0xee));
  return {
      _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd))};
}
// Swaps rows and columns of a square.
inline void transpose(F32 (&x)[lanes]) {
  __m512 pairs[lanes], fours[lanes];
  for (int i = 0; i < lanes; i += 2) {
    pairs[i] = _mm512_unpacklo_ps(x[i].v, x[i + 1].v);
    pairs[i + 1] = _mm512_unpackhi_ps(x[i].v, x[i + 1].v);
  }
  for (int i = 0; i < lanes;
       i += 4) {  // fours[i + j]: quarter q holds column 4 * q + j of rows i .. i + 3
    fours[i] = _mm512_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm512_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm512_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm512_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    const __m512 even_low = _mm512_shuffle_f32x4(fours[j], fours[j + 4], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(fours[j], fours[j + 4], 0xdd);
    const __m512 even_high = _mm512_shuffle_f32x4(fours[j + 8], fours[j + 12], 0x88);
    const __m512 odd_high = _mm512_shuffle_f32x4(fours[j + 8], fours[j + 12], 0xdd);
    x[j].v = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    x[j + 4].v = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    x[j + 8].v = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
    x[j + 12].v = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
  }
}

#elif defined(__AVX2__)

constexpr int lanes = 8;
struct F32 {
  __m256 v;
};
inline F32 broadcast(float x) {
  return {_mm256_set1_ps(x)};
}
inline F32 load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
inline void store(float* p, F32 x) {
  _mm256_storeu_ps(p, x.v);
}
inline __m256i first_lanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline F32 load_part(const float* p, int64_t count) {
  return {_mm256_maskload_ps(p, first_lanes(count))};
}
inline void store_part(float* p, F32 x, int64_t count) {
  _mm256_maskstore_ps(p, first_lanes(count), x.v);
}
inline F32 load(const bf16* p) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16))};
}
inline F32 load_part(const bf16* p, int64_t count) {
  bf16 whole[lanes] = {};
  memcpy(whole, p, static_cast<size_t>(count) * sizeof(bf16));
  return load(whole);
}
inline void store(bf16* p, F32 x) {
  const __m256i bits = _mm256_castps_si256(x.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x40));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q));
  const __m256i halves = _mm256_blendv_epi8(rounded, quiet, is_nan);
  const __m128i packed =
      _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
}
inline void store_part(bf16* p, F32 x, int64_t count) {
  bf16 whole[lanes];
  store(whole, x);
  memcpy(p, whole, static_cast<size_t>(count) * sizeof(bf16));
}
inline F32 load_pairs(const bf16* p) {
  return {_mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline F32 first_of(F32 pairs) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pairs.v), 16))};
}
inline F32 second_of(F32 pairs) {
  return {_mm256_and_ps(pairs.v, _mm256_castsi256_ps(_mm256_set1_epi32(-0x10000)))};
}
inline F32 operator+(F32 a, F32 b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline F32 operator-(F32 a, F32 b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline F32 operator*(F32 a, F32 b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline F32 operator/(F32 a, F32 b) {
  return {_mm256_div_ps(a.v, b.v)};
}
inline F32 fma(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline F32 max(F32 a, F32 b) {
  return {_mm256_max_ps(a.v, b.v)};
}
inline F32 min(F32 a, F32 b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline float sum(F32 a) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float largest(F32 a) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline F32 round_to_integer(F32 a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline F32 power_of_two(F32 n) {
  const __m256i bits = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(bits, 23))};
}
inline F32 sums(const F32 (&x)[lanes]) {
  __m256 four[2];
  for (int g = 0; g < 2; ++g) {
    four[g] = _mm256_hadd_ps(_mm256_hadd_ps(x[4 * g].v, x[4 * g + 1].v),
                             _mm256_hadd_ps(x[4 * g + 2].v, x[4 * g + 3].v));
  }
  return {_mm256_add_ps(_mm256_permute2f128_ps(four[0], four[1], 0x20),
                        _mm256_permute2f128_ps(four[0], four[1], 0x31))};
}
inline void transpose(F32 (&x)[lanes]) {
  __m256 pairs[lanes], fours[lanes];
  for (int i = 0; i < lanes; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(x[i].v, x[i + 1].v);
    pairs[i + 1] = _mm256_unpackhi_ps(x[i].v, x[i + 1].v);
  }
  for (int i = 0; i < lanes; i += 4) {
    fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    x[j].v = _mm256_permute2f128_ps(fours[j], fours[j + 4], 0x20);
    x[j + 4].v = _mm256_permute2f128_ps(fours[j], fours[j + 4], 0x31);
  }
}

#else

// Four lanes in the compiler's own vectors: SSE2, NEON or plain code, as the machine has it.
constexpr int lanes = 4;
typedef float FourFloats __attribute__((vector_size(16)));
struct F32 {
  FourFloats v;
};
inline F32 broadcast(float x) {
  return {FourFloats{x, x, x, x}};
}
inline F32 load(const float* p) {
  F32 x;
  memcpy(&x.v, p, sizeof x.v);
  return x;
}
inline void store(float* p, F32 x) {
  memcpy(p, &x.v, sizeof x.v);
}
inline F32 load_part(const float* p, int64_t count) {
  F32 x = broadcast(0);
  memcpy(&x.v, p, static_cast<size_t>(count) * sizeof(float));
  return x;
}
inline void store_part(float* p, F32 x, int64_t count) {
  memcpy(p, &x.v, static_cast<size_t>(count) * sizeof(float));
}
inline F32 load(const bf16* p) {
  return {FourFloats{to_f32(p[0]), to_f32(p[1]), to_f32(p[2]), to_f32(p[3])}};
}
inline F32 load_part(const bf16* p, int64_t count) {
  bf16 whole[lanes] = {};
  memcpy(whole, p, static_cast<size_t>(count) * sizeof(bf16));
  return load(whole);
}
inline void store(bf16* p, F32 x) {
  for (int i = 0; i < lanes; ++i) p[i] = to_bf16(x.v[i]);
}
inline void store_part(bf16* p, F32 x, int64_t count) {
  for (int i = 0; i < count; ++i) p[i] = to_bf16(x.v[i]);
}
inline F32 load_pairs(const bf16* p) {
  F32 x;
  memcpy(&x.v, p, sizeof x.v);
  return x;
}
inline F32 first_of(F32 pairs) {
  bf16 halves[2 * lanes];
  memcpy(halves, &pairs.v, sizeof halves);
  F32 x;
  for (int i = 0; i < lanes; ++i) x.v[i] = to_f32(halves[2 * i]);
  return x;
}
inline F32 second_of(F32 pairs) {
  bf16 halves[2 * lanes];
  memcpy(halves, &pairs.v, sizeof halves);
  F32 x;
  for (int i = 0; i < lanes; ++i) x.v[i] = to_f32(halves[2 * i + 1]);
  return x;
}
inline F32 operator+(F32 a, F32 b) {
  return {a.v + b.v};
}
inline F32 operator-(F32 a, F32 b) {
  return {a.v - b.v};
}
inline F32 operator*(F32 a, F32 b) {
  return {a.v * b.v};
}
inline F32 operator/(F32 a, F32 b) {
  return {a.v / b.v};
}
inline F32 fma(F32 a, F32 b, F32 c) {
  return {a.v * b.v + c.v};
}
inline F32 max(F32 a, F32 b) {
  return {a.v > b.v ? a.v : b.v};
}
inline F32 min(F32 a, F32 b) {
  return {a.v < b.v ? a.v : b.v};
}
inline float sum(F32 a) {
  return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
}
inline float largest(F32 a) {
  const float x = a.v[0] > a.v[1] ? a.v[0] : a.v[1], y = a.v[2] > a.v[3] ? a.v[2] : a.v[3];
  return x > y ? x : y;
}
inline F32 round_to_integer(F32 a) {
  const F32 magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it leaves no bits for fractions
  return (a + magic) - magic;
}
inline F32 power_of_two(F32 n) {
  F32 out;
  for (int i = 0; i < lanes; ++i) {
    const int32_t exponent = n.v[i] >= -126 && n.v[i] <= 127 ? static_cast<int32_t>(n.v[i]) : 0;
    out.v[i] = __builtin_bit_cast(float, (exponent + 127) << 23);
  }
  return out;
}
inline F32 sums(const F32 (&x)[lanes]) {
  return {FourFloats{sum(x[0]), sum(x[1]), sum(x[2]), sum(x[3])}};
}
inline void transpose(F32 (&x)[lanes]) {
  F32 out[lanes];
  for (int i = 0; i < lanes; ++i) out[i].v = FourFloats{x[0].v[i], x[1].v[i], x[2].v[i], x[3].v[i]};
  for (int i = 0; i < lanes; ++i) x[i] = out[i];
}

#endif

// e^x with a relative error below 2e-7 for x in [-87, 88]; smaller x give e^-87, larger e^88, NaN gives
// NaN (min and max give their second argument when one is NaN).
inline F32 exp(F32 x) {
  x = min(broadcast(88.0f), max(broadcast(-87.0f), x));
  const F32 n = round_to_integer(x * broadcast(1.44269504f));
  // x - n ln 2, with ln 2 in two parts so that no digit is lost
  const F32 r = fma(n, broadcast(-1.42860677e-6f), fma(n, broadcast(-0.693145752f), x));
  F32 p = broadcast(1.98412698e-4f);  // Taylor's terms to r^7: |r| <= 0.3466
  p = fma(p, r, broadcast(1.38888889e-3f));
  p = fma(p, r, broadcast(8.33333333e-3f));
  p = fma(p, r, broadcast(4.16666667e-2f));
  p = fma(p, r, broadcast(1.66666667e-1f));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p, r, broadcast(1.0f));
  p = fma(p, r, broadcast(1.0f));
  return p * power_of_two(n);
}

inline F32 sigmoid(F32 x) {
  return broadcast(1.0f) / (broadcast(1.0f) + exp(broadcast(0.0f) - x));
}
inline F32 silu(F32 x) {
  return x * sigmoid(x);
}

// x (1 + erf(x / sqrt 2)) / 2, off by at most 1e-7 |x|: with z = |x| / sqrt 2 it is
// max(x, 0) - |x| erfc(z) / 2, and erfc(z) a polynomial in 1 / (1 + 0.3275911 z) times e^(-z^2)
// (Abramowitz and Stegun, 7.1.26).
inline F32 gelu(F32 x) {
  const F32 zero = broadcast(0.0f), one = broadcast(1.0f);
  const F32 size = max(x, zero - x);
  const F32 z = size * broadcast(0.707106781f);
  const F32 t = one / fma(z, broadcast(0.3275911f), one);
  F32 p = broadcast(1.061405429f);
  p = fma(p, t, broadcast(-1.453152027f));
  p = fma(p, t, broadcast(1.421413741f));
  p = fma(p, t, broadcast(-0.284496736f));
  p = fma(p, t, broadcast(0.254829592f));
  const F32 erfc = p * t * exp(zero - z * z);
  return max(x, zero) - broadcast(0.5f) * size * erfc;
}

}  // namespace minimax::MINIMAX_ISA
