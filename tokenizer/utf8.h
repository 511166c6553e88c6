// SPDX-License-Identifier: Apache-2.0
// One code point from bytes that may be anything.
#pragma once

#include <cstdint>

namespace minimax {

// What bytes that are no UTF-8 decode to; above every code point.
constexpr uint32_t not_a_character = 0xffffffffu;

struct CodePoint {
  uint32_t value;  // not_a_character for a byte that belongs to no valid sequence
  uint32_t size;   // bytes, 1 to 4; 1 for not_a_character
};

// The first code point of [at, end), which is not empty. Strict: overlong forms, surrogates and values
// above U+10FFFF are not UTF-8. Never reads at or after end.
inline CodePoint decode_utf8(const char* at, const char* end) {
  constexpr CodePoint invalid = {not_a_character, 1};
  const auto byte = [at](int i) { return uint32_t{static_cast<uint8_t>(at[i])}; };
  const auto continues = [&](int i) { return (byte(i) & 0xc0) == 0x80; };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xc2 || lead > 0xf4) return invalid;
  const auto available = end - at;
  if (lead < 0xe0) {
    if (available < 2 || !continues(1)) return invalid;
    return {(lead & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  }
  if (lead < 0xf0) {
    if (available < 3 || !continues(1) || !continues(2)) return invalid;
    const uint32_t value = (lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    if (value < 0x800 || (value >= 0xd800 && value < 0xe000)) return invalid;
    return {value, 3};
  }
  if (available < 4 || !continues(1) || !continues(2) || !continues(3)) return invalid;
  const uint32_t value =
      (lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
  if (value < 0x10000 || value > 0x10ffff) return invalid;
  return {value, 4};
}

}  // namespace minimax
