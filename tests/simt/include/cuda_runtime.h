// SPDX-License-Identifier: Apache-2.0
// Stand-in: what a kernel finds without including anything, on an emulated device.
#pragma once

#include <cuda_runtime_api.h>
#include <math.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "tests/simt/kernel.h"

inline constexpr int warpSize = 32;

// Barriers and fences. Memory is seen at once by all threads, so that only barriers are of consequence.
inline void __syncthreads() {
  simt::block_barrier();
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  simt::warp_barrier(mask);
}
inline void __threadfence() {
}
inline void __threadfence_block() {
}
inline void __threadfence_system() {
}
[[noreturn]] inline void __trap() {
  simt::fail("__trap()");
}

// Warps. Lanes give and get numbers of up to 64 bits.

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return simt::shuffle(simt::Shuffle::index, mask, value, lane, width);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32) {
  return simt::shuffle(simt::Shuffle::up, mask, value, static_cast<int>(lanes), width);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32) {
  return simt::shuffle(simt::Shuffle::down, mask, value, static_cast<int>(lanes), width);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  return simt::shuffle(simt::Shuffle::exclusive_or, mask, value, lanes, width);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return simt::ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
  return simt::ballot(mask, predicate != 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return simt::ballot(mask, predicate == 0) == 0;
}
template <typename T>
unsigned __match_any_sync(unsigned mask, T value) {
  return simt::match(mask, simt::bits_of(value));
}
inline unsigned __activemask() {
  simt::fail("__activemask() depends on how threads happen to be scheduled");
}

template <typename T>
T __reduce_add_sync(unsigned mask, T value) {
  return simt::reduce(mask, value, [](T a, T b) { return static_cast<T>(a + b); });
}
template <typename T>
T __reduce_max_sync(unsigned mask, T value) {
  return simt::reduce(mask, value, [](T a, T b) { return std::max(a, b); });
}
template <typename T>
T __reduce_min_sync(unsigned mask, T value) {
  return simt::reduce(mask, value, [](T a, T b) { return std::min(a, b); });
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value) {
  return simt::reduce(mask, value, [](unsigned a, unsigned b) { return a | b; });
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value) {
  return simt::reduce(mask, value, [](unsigned a, unsigned b) { return a & b; });
}

// Atomic, as one thread runs at a time.

template <typename T>
T atomicAdd(T* place, std::type_identity_t<T> value) {
  const T old = *place;
  *place = old + value;
  return old;
}
template <typename T>
T atomicSub(T* place, std::type_identity_t<T> value) {
  const T old = *place;
  *place = old - value;
  return old;
}
template <typename T>
T atomicMax(T* place, std::type_identity_t<T> value) {
  const T old = *place;
  *place = std::max(old, value);
  return old;
}
template <typename T>
T atomicMin(T* place, std::type_identity_t<T> value) {
  const T old = *place;
  *place = std::min(old, value);
  return old;
}
template <typename T>
T atomicOr(T* place, std::type_identity_t<T> value) {
  const T old = *place;
  *place = old | value;
  return old;
}
template <typename T>
T atomicExch(T* place, std::type_identity_t<T> value) {
  const T old = *place;
  *place = value;
  return old;
}
template <typename T>
T atomicCAS(T* place, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  const T old = *place;
  if (old == expected) *place = value;
  return old;
}
inline unsigned atomicInc(unsigned* place, unsigned limit) {
  const unsigned old = *place;
  *place = old >= limit ? 0 : old + 1;
  return old;
}

// Loads and stores that differ in what the caches keep.

template <typename T>
T __ldg(const T* from) {
  return *from;
}
template <typename T>
T __ldcg(const T* from) {
  return *from;
}
template <typename T>
T __ldca(const T* from) {
  return *from;
}
template <typename T>
T __ldcs(const T* from) {
  return *from;
}
template <typename T>
T __ldcv(const T* from) {
  return *from;
}
template <typename T>
void __stcg(T* to, std::type_identity_t<T> value) {
  *to = value;
}
template <typename T>
void __stcs(T* to, std::type_identity_t<T> value) {
  *to = value;
}
inline size_t __cvta_generic_to_shared(const void* pointer) {
  return simt::shared_address(pointer);
}

// Arithmetic. Quick approximations are exact here: whoever uses one says how far off it may be.

inline float __expf(float x) {
  return expf(x);
}
inline float __logf(float x) {
  return logf(x);
}
inline float __log2f(float x) {
  return log2f(x);
}
inline float __sinf(float x) {
  return sinf(x);
}
inline float __cosf(float x) {
  return cosf(x);
}
inline void __sincosf(float x, float* sine, float* cosine) {
  *sine = sinf(x);
  *cosine = cosf(x);
}
#ifndef __USE_GNU
inline void sincosf(float x, float* sine, float* cosine) {
  __sincosf(x, sine, cosine);
}
inline void sincos(double x, double* sine, double* cosine) {
  *sine = sin(x);
  *cosine = cos(x);
}
#endif
// Of pi x.
inline void sincospif(float x, float* sine, float* cosine) {
  constexpr double pi = 3.14159265358979323846;
  const double turn = pi * fmod(static_cast<double>(x), 2.0);
  *sine = static_cast<float>(sin(turn));
  *cosine = static_cast<float>(cos(turn));
}
inline float __fdividef(float x, float y) {
  return x / y;
}
inline float __fdiv_rn(float x, float y) {
  return x / y;
}
inline float __frcp_rn(float x) {
  return 1.0f / x;
}
inline float __fsqrt_rn(float x) {
  return sqrtf(x);
}
inline float rsqrtf(float x) {
  return 1.0f / sqrtf(x);
}
inline float __frsqrt_rn(float x) {
  return 1.0f / sqrtf(x);
}
inline float __fmul_rn(float x, float y) {
  return x * y;
}
inline float __fadd_rn(float x, float y) {
  return x + y;
}
inline float __fsub_rn(float x, float y) {
  return x - y;
}
inline float __fmaf_rn(float x, float y, float z) {
  return fmaf(x, y, z);
}
inline float __saturatef(float x) {
  return x > 0 ? std::min(x, 1.0f) : 0.0f;
}

inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
  return std::popcount(x);
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1) << (31 - i);
  return reversed;
}
inline int __float2int_rn(float x) {
  return static_cast<int>(rintf(x));
}
inline int __float2int_rd(float x) {
  return static_cast<int>(floorf(x));
}
inline unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>(static_cast<uint64_t>(x) * y >> 32);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const uint64_t both = static_cast<uint64_t>(y) << 32 | x;
  unsigned out = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned chosen = selector >> (4 * i);
    unsigned byte = static_cast<unsigned>(both >> (8 * (chosen & 7))) & 0xff;
    if (chosen & 8) byte = byte & 0x80 ? 0xff : 0;
    out |= byte << (8 * i);
  }
  return out;
}

#define SIMT_MIN_MAX(type)          \
  inline type min(type x, type y) { \
    return x < y ? x : y;           \
  }                                 \
  inline type max(type x, type y) { \
    return x > y ? x : y;           \
  }
SIMT_MIN_MAX(int)
SIMT_MIN_MAX(unsigned)
SIMT_MIN_MAX(long)
SIMT_MIN_MAX(unsigned long)
SIMT_MIN_MAX(long long)
SIMT_MIN_MAX(unsigned long long)
#undef SIMT_MIN_MAX
inline float min(float x, float y) {
  return fminf(x, y);
}
inline float max(float x, float y) {
  return fmaxf(x, y);
}
