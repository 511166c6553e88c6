// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "tokenizer/byte_hash.h"

namespace minimax {

PairTable::PairTable(size_t pair_count)
    : slots_(std::bit_ceil(2 * pair_count + 1)),
      filter_(std::bit_ceil(pair_count / 8 + 1)),
      seed_(random_seed()) {
}

inline uint64_t PairTable::hash(Symbol left, Symbol right) const {
  const uint64_t key = uint64_t{left} << 32 | right;
  return fold_product(key ^ seed_, hash_factor);
}

// Three bits of a word of the filter.
inline uint64_t PairTable::filter_bits(uint64_t hash) {
  return uint64_t{1} << (hash >> 20 & 63) | uint64_t{1} << (hash >> 26 & 63) |
         uint64_t{1} << (hash >> 32 & 63);
}

bool PairTable::insert(Symbol left, Symbol right, uint32_t rank) {
  const uint64_t mixed = hash(left, right);
  const size_t mask = slots_.size() - 1;
  size_t index = mixed & mask;
  while (slots_[index].rank != no_rank) {
    if (slots_[index].left == left && slots_[index].right == right) return false;
    index = (index + 1) & mask;
  }
  slots_[index] = {left, right, rank};
  filter_[(mixed >> 38) & (filter_.size() - 1)] |= filter_bits(mixed);
  return true;
}

inline uint32_t PairTable::find(Symbol left, Symbol right) const {
  const uint64_t mixed = hash(left, right);
  const uint64_t bits = filter_bits(mixed);
  if ((filter_[(mixed >> 38) & (filter_.size() - 1)] & bits) != bits) return no_rank;
  const size_t mask = slots_.size() - 1;
  for (size_t index = mixed & mask;; index = (index + 1) & mask) {
    const Slot& slot = slots_[index];
    if (slot.rank == no_rank || (slot.left == left && slot.right == right)) return slot.rank;
  }
}

namespace {

constexpr Symbol byte_count = 256;
constexpr Symbol no_symbol = std::numeric_limits<Symbol>::max();
// With longer tokens in the list, every place of a text might have to be looked at so far ahead.
constexpr size_t search_token_limit_bytes = 1024;
// A search that needs more steps is given up; merging is never much slower than this.
constexpr size_t search_steps_base = 1000;
constexpr size_t search_steps_per_byte = 64;

Symbol byte_symbol(char byte) {
  return static_cast<uint8_t>(byte);
}

// Gives symbols to token ids, in the order in which they are asked for.
class Numbering {
 public:
  explicit Numbering(std::vector<int32_t>& ids) : ids_(ids) {}

  Symbol of(int32_t id) {
    const size_t index = static_cast<size_t>(id);
    if (index >= symbols_.size())
      symbols_.resize(std::max(index + 1, 2 * symbols_.size()), no_symbol);
    if (symbols_[index] == no_symbol) {
      symbols_[index] = static_cast<Symbol>(ids_.size());
      ids_.push_back(id);
    }
    return symbols_[index];
  }

 private:
  std::vector<int32_t>& ids_;
  std::vector<Symbol> symbols_;  // by id
};

}  // namespace

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges,
         std::string_view source)
    : ids_(byte_ids.begin(), byte_ids.end()),
      ranks_(merges.size()),
      byte_pair_ranks_(byte_count * byte_count) {
  number_symbols(merges, source);
  for (Symbol pair = 0; pair < byte_pair_ranks_.size(); ++pair) {
    byte_pair_ranks_[pair] = ranks_.find(pair / byte_count, pair % byte_count);
  }
  if (is_orderly_) prepare_search();
}

void Bpe::number_symbols(std::span<const Merge> merges, std::string_view source) {
  std::vector<int32_t> byte_ids;
  byte_ids.swap(ids_);
  Numbering numbering(ids_);
  for (const int32_t id : byte_ids) numbering.of(id);
  is_orderly_ = ids_.size() == byte_count;
  known_.reserve(byte_count + merges.size());
  known_.resize(byte_count);
  for (const Merge& merge : merges) products_.push_back(numbering.of(merge.product));
  for (uint32_t rank = 0; rank < merges.size(); ++rank) {
    const Symbol left = numbering.of(merges[rank].left);
    const Symbol right = numbering.of(merges[rank].right);
    const bool is_new = ranks_.insert(left, right, rank);
    require_file(is_new, source, "[", rank, "] stands there a second time");
    known_.push_back({.left = left, .right = right});
    is_orderly_ &= products_[rank] == byte_count + rank;
    is_orderly_ &= std::max(left, right) < byte_count + rank;
  }
}

void Bpe::prepare_search() {
  StringList bytes;
  std::vector<bool> is_reachable(byte_count, true);
  for (Symbol byte = 0; byte < byte_count; ++byte) {
    const char spelling = static_cast<char>(byte);
    bytes.push_back({&spelling, 1});
  }
  std::string product;
  for (Symbol symbol = byte_count; symbol < known_.size(); ++symbol) {
    Known& known = known_[symbol];
    size_t steps = 0;
    product.assign(bytes[known.left]);
    product += bytes[known.right];
    is_orderly_ = product.size() <= search_token_limit_bytes;
    if (!is_orderly_) return;
    bytes.push_back(product);
    known.size_bytes = static_cast<uint32_t>(product.size());
    is_reachable.push_back(is_reachable[known.left] && is_reachable[known.right] &&
                           stay_apart(known.left, known.right, symbol - byte_count, steps));
  }
  trie_ = TokenTrie(bytes, is_reachable);
  for (Symbol symbol = 0; symbol < known_.size(); ++symbol) {
    known_[symbol].next_shorter = trie_.next_shorter(symbol);
  }
}

inline uint32_t Bpe::byte_pair_rank(char left, char right) const {
  return byte_pair_ranks_[size_t{static_cast<uint8_t>(left)} << 8 | static_cast<uint8_t>(right)];
}

size_t Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (const auto steps = encode_by_search(piece, ids)) return *steps;
  return piece.size() <= short_limit ? encode_short(piece, ids) : encode_by_merging(piece, ids);
}

// Whether no merge of a rank below `limit` joins a symbol that ends where `left` ends with one that
// begins where `right` begins, when the bytes of both are merged. Goes back in time: whichever of the
// two was made later is taken apart, and what then stood at the border must not have been a pair that
// comes before the one just undone. Of equal pairs the left one was merged first, so a merge across
// the border comes before an equal one in `right` and after an equal one in `left`.
inline bool Bpe::stay_apart(Symbol left, Symbol right, uint32_t limit, size_t& steps) const {
  for (;;) {
    ++steps;
    if (ranks_.find(left, right) < limit) return false;
    if (left < byte_count && right < byte_count) return true;
    if (right >= left) {
      limit = right - byte_count + 1;
      right = known_[right].left;
    } else {
      limit = left - byte_count;
      left = known_[left].right;
    }
  }
}

// What stands before a place is the same whichever way leads there, so a place from which no way leads
// on is a dead end for good.
inline std::optional<size_t> Bpe::search(std::string_view piece, std::span<Symbol> found,
                                         std::span<uint64_t> dead_ends, size_t& steps) const {
  const size_t step_limit = search_steps_base + search_steps_per_byte * piece.size();
  const auto is_dead = [&](size_t place) { return dead_ends[place / 64] >> (place % 64) & 1; };
  size_t count = 0;
  size_t at = 0;
  TokenTrie::Match next = trie_.longest(piece);
  const auto take_shorter = [&](Symbol symbol) {
    next.token = known_[symbol].next_shorter;
    if (next.token != TokenTrie::none) next.size_bytes = known_[next.token].size_bytes;
  };
  const auto fits = [&] {
    return !is_dead(at + next.size_bytes) &&
           (count == 0 || stay_apart(found[count - 1], next.token, PairTable::no_rank, steps));
  };
  while (steps < step_limit) {
    while (next.token != TokenTrie::none && !fits()) take_shorter(next.token);
    steps += 1;
    if (next.token != TokenTrie::none) {
      found[count++] = next.token;
      at += next.size_bytes;
      if (at == piece.size()) return count;
      next = trie_.longest(piece.substr(at));
    } else {
      assert(count > 0);
      dead_ends[at / 64] |= uint64_t{1} << (at % 64);
      const Symbol last = found[--count];
      at -= known_[last].size_bytes;
      take_shorter(last);
    }
  }
  return std::nullopt;
}

std::optional<size_t> Bpe::encode_by_search(std::string_view piece,
                                            std::vector<int32_t>& ids) const {
  if (!is_orderly_ || piece.empty()) return std::nullopt;
  size_t steps = 0;
  const auto append = [&](std::span<const Symbol> found, std::optional<size_t> count) {
    if (!count) return;
    for (const Symbol symbol : found.first(*count)) ids.push_back(ids_[symbol]);
  };
  std::optional<size_t> count;
  if (piece.size() <= short_limit) {
    Symbol found[short_limit];
    uint64_t dead_ends[short_limit / 64 + 1] = {};
    count = search(piece, found, dead_ends, steps);
    append(found, count);
  } else {
    std::vector<Symbol> found(piece.size());
    std::vector<uint64_t> dead_ends(piece.size() / 64 + 1);
    count = search(piece, found, dead_ends, steps);
    append(found, count);
  }
  return count ? std::optional(steps) : std::nullopt;
}

// Looks for the best pair from the start each time: for a few dozen symbols nothing is faster.
size_t Bpe::encode_short(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.empty()) return 0;
  Symbol symbols[short_limit];
  uint32_t ranks[short_limit];  // of symbol i and the next; no_rank for the last
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) {
    symbols[i] = byte_symbol(piece[i]);
    ranks[i] = i + 1 < count ? byte_pair_rank(piece[i], piece[i + 1]) : PairTable::no_rank;
  }
  size_t steps = count;
  for (;;) {
    const size_t best = static_cast<size_t>(std::min_element(ranks, ranks + count) - ranks);
    if (ranks[best] == PairTable::no_rank) break;
    symbols[best] = products_[ranks[best]];
    std::copy(symbols + best + 2, symbols + count, symbols + best + 1);
    std::copy(ranks + best + 2, ranks + count, ranks + best + 1);
    --count;
    if (best > 0) ranks[best - 1] = ranks_.find(symbols[best - 1], symbols[best]);
    ranks[best] =
        best + 1 < count ? ranks_.find(symbols[best], symbols[best + 1]) : PairTable::no_rank;
    steps += count;
  }
  for (size_t i = 0; i < count; ++i) ids.push_back(ids_[symbols[i]]);
  return steps;
}

namespace {

// The symbols of a long piece as a linked list, and the pairs among them in a heap. A pair that has
// gone stays in the heap until it comes up.
class MergeQueue {
 public:
  MergeQueue(std::vector<Symbol> symbols, std::vector<uint32_t> ranks)
      : symbols_(std::move(symbols)), ranks_(std::move(ranks)), links_(symbols_.size()) {
    const auto count = static_cast<uint32_t>(symbols_.size());
    for (uint32_t i = 0; i < count; ++i) {
      links_[i] = {i == 0 ? none : i - 1, i + 1 == count ? none : i + 1};
      if (ranks_[i] != PairTable::no_rank) heap_.push_back(entry(i));
    }
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    steps_ = count;
  }

  void run(const PairTable& pairs, std::span<const Symbol> products) {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const uint64_t best = heap_.back();
      heap_.pop_back();
      ++steps_;
      const auto place = static_cast<uint32_t>(best);
      if (ranks_[place] == best >> 32) merge(place, products[ranks_[place]], pairs);
    }
  }

  void append_to(std::vector<int32_t>& ids, std::span<const int32_t> id_of_symbol) const {
    for (uint32_t i = 0; i != none; i = links_[i].next) ids.push_back(id_of_symbol[symbols_[i]]);
  }
  size_t steps() const { return steps_; }

 private:
  static constexpr uint32_t none = std::numeric_limits<uint32_t>::max();
  struct Link {
    uint32_t previous, next;
  };

  // Ordered by rank, then by place.
  uint64_t entry(uint32_t place) const { return uint64_t{ranks_[place]} << 32 | place; }

  void merge(uint32_t place, Symbol product, const PairTable& pairs) {
    const uint32_t gone = links_[place].next;
    const uint32_t next = links_[gone].next;
    symbols_[place] = product;
    ranks_[gone] = PairTable::no_rank;
    links_[place].next = next;
    if (next != none) links_[next].previous = place;
    look_up(place, pairs);
    if (links_[place].previous != none) look_up(links_[place].previous, pairs);
  }

  void look_up(uint32_t place, const PairTable& pairs) {
    const uint32_t next = links_[place].next;
    ranks_[place] = next == none ? PairTable::no_rank : pairs.find(symbols_[place], symbols_[next]);
    ++steps_;
    if (ranks_[place] == PairTable::no_rank) return;
    heap_.push_back(entry(place));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  std::vector<Symbol> symbols_;
  std::vector<uint32_t> ranks_;  // of a symbol and the next; no_rank also for symbols that are gone
  std::vector<Link> links_;
  std::vector<uint64_t> heap_;
  size_t steps_ = 0;
};

}  // namespace

size_t Bpe::encode_by_merging(std::string_view piece, std::vector<int32_t>& ids) const {
  require(piece.size() < std::numeric_limits<uint32_t>::max(), "a word of ", piece.size(),
          " bytes, at most 4 GiB can be encoded");
  if (piece.empty()) return 0;
  std::vector<Symbol> symbols(piece.size());
  std::vector<uint32_t> ranks(piece.size(), PairTable::no_rank);
  for (size_t i = 0; i < piece.size(); ++i) {
    symbols[i] = byte_symbol(piece[i]);
    if (i + 1 < piece.size()) ranks[i] = byte_pair_rank(piece[i], piece[i + 1]);
  }
  MergeQueue queue(std::move(symbols), std::move(ranks));
  queue.run(ranks_, products_);
  queue.append_to(ids, ids_);
  return queue.steps();
}

}  // namespace minimax
