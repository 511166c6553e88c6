// SPDX-License-Identifier: Apache-2.0
// Pairs of bf16 in registers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace simt {

inline float from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// The lower half to `to`, the upper `step` numbers further.
inline void put_pair(uint32_t pair, float* to, size_t step) {
  to[0] = from_bf16(static_cast<uint16_t>(pair));
  to[step] = from_bf16(static_cast<uint16_t>(pair >> 16));
}

}  // namespace simt
