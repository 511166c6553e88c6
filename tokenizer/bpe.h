// SPDX-License-Identifier: Apache-2.0
// Byte pair encoding: bytes to tokens by merging neighbours in the order of a list.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/large_pages.h"
#include "tokenizer/string_list.h"
#include "tokenizer/token_trie.h"

namespace minimax {

struct Merge {
  int32_t left;
  int32_t right;
  int32_t product;
};

// Symbols number the tokens of a list of merges: 0 to 255 are the bytes, then come the products in the
// order of the list, then parts that nothing makes.
using Symbol = uint32_t;

// The rank of a pair of symbols, in a flat table. Immutable after the last insert; any thread.
class PairTable {
 public:
  static constexpr uint32_t no_rank = 0xffffffffu;

  explicit PairTable(size_t pair_count);
  // False when the pair is there already.
  bool insert(Symbol left, Symbol right, uint32_t rank);
  uint32_t find(Symbol left, Symbol right) const;

 private:
  struct Slot {
    Symbol left, right;
    uint32_t rank = no_rank;
  };
  uint64_t hash(Symbol left, Symbol right) const;
  static uint64_t filter_bits(uint64_t hash);

  LargeVector<Slot> slots_;
  std::vector<uint64_t> filter_;  // three bits a pair: most pairs asked for are not there
  uint64_t seed_;
};

// As long as there is a pair of neighbours in the list of merges, the one that stands first in the
// list (the leftmost of equals) becomes its product. Immutable; any thread.
//
// Three ways lead to the same tokens. encode_by_merging does what the definition says, with a queue.
// encode_short does so by looking for the best pair again and again. encode_by_search merges nothing:
// in an orderly list, where every token is made by one merge and from tokens of earlier ones, a
// sequence of tokens is the result if and only if each two neighbours, merged alone, stay as they are
// (were a merge to cross a border in the whole text, the first one to do so would see the same
// symbols on both sides in the text of the two tokens alone). So it takes the longest token that can
// stand after the last one, and steps back when there is none.
class Bpe {
 public:
  // byte_ids[b] is the token of byte b, merges in the order of the list. MINIMAX_BAD_FILE, beginning
  // with `source`, when a pair stands there twice.
  Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges,
      std::string_view source);

  // Appends the tokens of a piece of less than 4 GiB, by the fastest way. Pieces of up to short_limit
  // bytes allocate nothing but the ids. Returns the steps taken (symbols, pairs looked up, pairs
  // queued): they grow as n log n.
  size_t encode(std::string_view piece, std::vector<int32_t>& ids) const;

  static constexpr size_t short_limit = 128;
  // For pieces of up to short_limit bytes.
  size_t encode_short(std::string_view piece, std::vector<int32_t>& ids) const;
  size_t encode_by_merging(std::string_view piece, std::vector<int32_t>& ids) const;
  // nullopt, with ids unchanged, when the list is not orderly or makes tokens of more than 1 KiB, and
  // when the search takes too many steps.
  std::optional<size_t> encode_by_search(std::string_view piece, std::vector<int32_t>& ids) const;

 private:
  void number_symbols(std::span<const Merge> merges, std::string_view source);
  void prepare_search();
  uint32_t byte_pair_rank(char left, char right) const;
  bool stay_apart(Symbol left, Symbol right, uint32_t limit, size_t& steps) const;
  std::optional<size_t> search(std::string_view piece, std::span<Symbol> found,
                               std::span<uint64_t> dead_ends, size_t& steps) const;

  std::vector<int32_t> ids_;  // by symbol
  PairTable ranks_;
  std::vector<Symbol> products_;           // by rank
  std::vector<uint32_t> byte_pair_ranks_;  // [256 * 256]: where every piece begins

  // For the search in orderly lists. What it asks about a symbol lies together, as each first question
  // is a cache miss.
  struct Known {
    Symbol left = 0, right = 0;  // parts of a product
    uint32_t size_bytes = 1;
    Symbol next_shorter = TokenTrie::none;  // as TokenTrie::next_shorter
  };
  bool is_orderly_ = false;
  LargeVector<Known> known_;  // by symbol
  TokenTrie trie_;            // of the symbols that merging their own bytes leads to
};

}  // namespace minimax
