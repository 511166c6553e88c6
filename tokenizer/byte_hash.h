// SPDX-License-Identifier: Apache-2.0
// A fast hash of short strings for tables that live in memory; its values differ from run to run.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace minimax {

// Half of a product of 128 bits folded onto the other: every bit of both factors counts.
inline uint64_t fold_product(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

constexpr uint64_t hash_factor = 0x9e3779b97f4a7c15u;  // 2^64 over the golden ratio, odd

// Drawn anew for each table, so that no file can be written to make all its keys collide.
inline uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// The bytes of a string of at most 8 as a number: equal only for equal strings of that size.
inline uint64_t short_key(std::string_view bytes) {
  const auto byte = [&](size_t i) { return uint64_t{static_cast<uint8_t>(bytes[i])}; };
  const size_t size = bytes.size();
  if (size >= 4) {
    uint32_t head = 0, tail = 0;
    std::memcpy(&head, bytes.data(), 4);
    std::memcpy(&tail, bytes.data() + size - 4, 4);
    return uint64_t{tail} << 32 | head;
  }
  return size == 0 ? 0 : byte(size - 1) << 16 | byte(size / 2) << 8 | byte(0);
}

inline uint64_t hash_bytes(std::string_view bytes, uint64_t seed) {
  uint64_t state = seed ^ bytes.size();
  while (bytes.size() > 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    state = fold_product(state ^ word, hash_factor) + seed;
    bytes.remove_prefix(8);
  }
  return fold_product(state ^ short_key(bytes), hash_factor ^ (seed << 1));
}

}  // namespace minimax
