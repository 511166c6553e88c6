// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

#include "base/error.h"
#include "tokenizer/byte_hash.h"

namespace minimax {

PairTable::PairTable(size_t pair_count)
    : slots_(std::bit_ceil(2 * pair_count + 1)),
      filter_(std::bit_ceil(pair_count / 8 + 1)),
      seed_(random_seed()) {
}

inline uint64_t PairTable::hash(int32_t left, int32_t right) const {
  const uint64_t key = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  return fold_product(key ^ seed_, hash_factor);
}

bool PairTable::insert(int32_t left, int32_t right, uint32_t rank) {
  const uint64_t mixed = hash(left, right);
  const size_t mask = slots_.size() - 1;
  size_t index = mixed & mask;
  while (slots_[index].rank != no_rank) {
    if (slots_[index].left == left && slots_[index].right == right) return false;
    index = (index + 1) & mask;
  }
  slots_[index] = {left, right, rank};
  filter_[(mixed >> 38) & (filter_.size() - 1)] |= uint64_t{1} << (mixed >> 32 & 63);
  return true;
}

inline uint32_t PairTable::find(int32_t left, int32_t right) const {
  const uint64_t mixed = hash(left, right);
  const uint64_t bits = filter_[(mixed >> 38) & (filter_.size() - 1)];
  if (!(bits >> (mixed >> 32 & 63) & 1)) return no_rank;
  const size_t mask = slots_.size() - 1;
  for (size_t index = mixed & mask;; index = (index + 1) & mask) {
    const Slot& slot = slots_[index];
    if (slot.rank == no_rank || (slot.left == left && slot.right == right)) return slot.rank;
  }
}

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges,
         std::string_view source)
    : byte_ids_(byte_ids), ranks_(merges.size()), byte_pair_ranks_(256 * 256) {
  products_.reserve(merges.size());
  for (const Merge& merge : merges) {
    const bool is_new =
        ranks_.insert(merge.left, merge.right, static_cast<uint32_t>(products_.size()));
    require_file(is_new, source, "[", products_.size(), "] stands there a second time");
    products_.push_back(merge.product);
  }
  for (size_t pair = 0; pair < byte_pair_ranks_.size(); ++pair) {
    byte_pair_ranks_[pair] = ranks_.find(byte_ids_[pair >> 8], byte_ids_[pair & 0xff]);
  }
}

inline uint32_t Bpe::byte_pair_rank(char left, char right) const {
  return byte_pair_ranks_[size_t{static_cast<uint8_t>(left)} << 8 | static_cast<uint8_t>(right)];
}

size_t Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.size() <= short_limit) return encode_short(piece, ids);
  return encode_long(piece, ids);
}

// Looks for the best pair from the start each time: for a few dozen symbols nothing is faster.
size_t Bpe::encode_short(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.empty()) return 0;
  int32_t symbols[short_limit];
  uint32_t ranks[short_limit];  // of symbol i and the next; no_rank for the last
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) {
    symbols[i] = byte_ids_[static_cast<uint8_t>(piece[i])];
    ranks[i] = i + 1 < count ? byte_pair_rank(piece[i], piece[i + 1]) : PairTable::no_rank;
  }
  size_t work = count;
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
    work += count;
  }
  ids.insert(ids.end(), symbols, symbols + count);
  return work;
}

namespace {

// The symbols of a long piece as a linked list, and the pairs among them in a heap. A pair that has
// gone stays in the heap until it comes up.
class MergeQueue {
 public:
  MergeQueue(std::vector<int32_t> symbols, std::vector<uint32_t> ranks)
      : symbols_(std::move(symbols)), ranks_(std::move(ranks)), links_(symbols_.size()) {
    const auto count = static_cast<uint32_t>(symbols_.size());
    for (uint32_t i = 0; i < count; ++i) {
      links_[i] = {i == 0 ? none : i - 1, i + 1 == count ? none : i + 1};
      if (ranks_[i] != PairTable::no_rank) heap_.push_back(entry(i));
    }
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    work_ = count;
  }

  void run(const PairTable& pairs, std::span<const int32_t> products) {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const uint64_t best = heap_.back();
      heap_.pop_back();
      ++work_;
      const auto place = static_cast<uint32_t>(best);
      if (ranks_[place] == best >> 32) merge(place, products[ranks_[place]], pairs);
    }
  }

  void append_to(std::vector<int32_t>& ids) const {
    for (uint32_t i = 0; i != none; i = links_[i].next) ids.push_back(symbols_[i]);
  }
  size_t work() const { return work_; }

 private:
  static constexpr uint32_t none = std::numeric_limits<uint32_t>::max();
  struct Link {
    uint32_t previous, next;
  };

  // Ordered by rank, then by place.
  uint64_t entry(uint32_t place) const { return uint64_t{ranks_[place]} << 32 | place; }

  void merge(uint32_t place, int32_t product, const PairTable& pairs) {
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
    ++work_;
    if (ranks_[place] == PairTable::no_rank) return;
    heap_.push_back(entry(place));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  std::vector<int32_t> symbols_;
  std::vector<uint32_t> ranks_;  // of a symbol and the next; no_rank also for symbols that are gone
  std::vector<Link> links_;
  std::vector<uint64_t> heap_;
  size_t work_ = 0;
};

}  // namespace

size_t Bpe::encode_long(std::string_view piece, std::vector<int32_t>& ids) const {
  require(piece.size() < std::numeric_limits<uint32_t>::max(), "a word of ", piece.size(),
          " bytes, at most 4 GiB can be encoded");
  std::vector<int32_t> symbols(piece.size());
  std::vector<uint32_t> ranks(piece.size(), PairTable::no_rank);
  for (size_t i = 0; i < piece.size(); ++i) {
    symbols[i] = byte_ids_[static_cast<uint8_t>(piece[i])];
    if (i + 1 < piece.size()) ranks[i] = byte_pair_rank(piece[i], piece[i + 1]);
  }
  MergeQueue queue(std::move(symbols), std::move(ranks));
  queue.run(ranks_, products_);
  queue.append_to(ids);
  return queue.work();
}

}  // namespace minimax
