// SPDX-License-Identifier: Apache-2.0
// Byte pair encoding: bytes to tokens by merging neighbours in the order of a list.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace minimax {

struct Merge {
  int32_t left;
  int32_t right;
  int32_t product;
};

// The rank of a pair of tokens, in a flat table. Immutable after the last insert; any thread.
class PairTable {
 public:
  static constexpr uint32_t no_rank = 0xffffffffu;

  explicit PairTable(size_t pair_count);
  // False when the pair is there already.
  bool insert(int32_t left, int32_t right, uint32_t rank);
  uint32_t find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    int32_t left, right;
    uint32_t rank = no_rank;
  };
  uint64_t hash(int32_t left, int32_t right) const;

  std::vector<Slot> slots_;
  std::vector<uint64_t> filter_;  // one bit a pair: most pairs asked for are not there
  uint64_t seed_;
};

// As long as there is a pair of neighbours in the list of merges, the one that stands first in the
// list (the leftmost of equals) becomes its product. Immutable; any thread.
class Bpe {
 public:
  // byte_ids[b] is the token of byte b; merges in the order of the list. MINIMAX_BAD_FILE, beginning
  // with `source`, when a pair stands there twice.
  Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges,
      std::string_view source);

  // Appends the tokens of a piece of less than 4 GiB. Returns how many pairs were looked up and
  // queued: it grows as n log n. Pieces up to `short_limit` bytes allocate nothing but the ids.
  size_t encode(std::string_view piece, std::vector<int32_t>& ids) const;

  static constexpr size_t short_limit = 128;

 private:
  uint32_t byte_pair_rank(char left, char right) const;
  size_t encode_short(std::string_view piece, std::vector<int32_t>& ids) const;
  size_t encode_long(std::string_view piece, std::vector<int32_t>& ids) const;

  std::array<int32_t, 256> byte_ids_;
  PairTable ranks_;
  std::vector<int32_t> products_;          // by rank
  std::vector<uint32_t> byte_pair_ranks_;  // [256 * 256]: where every piece begins
};

}  // namespace minimax
