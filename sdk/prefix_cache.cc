// SPDX-License-Identifier: Apache-2.0
#include "sdk/prefix_cache.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/error.h"
#include "engine/model/work.h"

namespace minimax {
namespace {

constexpr PrefixSymbol picture_bit = PrefixSymbol{1} << 63;
// Nearer to the last one a snapshot is not worth its bytes.
constexpr int64_t least_distance = lightning_fold_tokens;
// Texts whose snapshots were given up are remembered while all texts take less than this part of the limit.
constexpr size_t part_for_texts = 8;

bool is_picture(PrefixSymbol symbol) {
  return (symbol & picture_bit) != 0;
}

// Ids are digests: a part of one names a picture well enough.
PrefixSymbol picture_symbol(const ImageId& id, int64_t row) {
  PrefixSymbol digest = 0;
  std::memcpy(&digest, id.data(), sizeof digest);
  constexpr PrefixSymbol odd = 0x9E3779B97F4A7C15;
  return (digest + static_cast<PrefixSymbol>(row) * odd) | picture_bit;
}

size_t own_bytes_of(const PrefixSnapshot& snapshot) {
  const TimelineMark& timeline = *snapshot.timeline;
  return timeline.lightning->states.size_bytes() + timeline.lightning->logs.size_bytes() +
         timeline.tokens.size() * sizeof(int32_t) + snapshot.logits.size() * sizeof(float) +
         snapshot.pictures.size() * sizeof(PictureSpan);
}

// Why computing begins at found.reusable, when the text of `end` tokens may part from what is known at
// found.known.
struct Parting {
  bool is_at_end = false;   // what was known ends there
  bool at_picture = false;  // there is another picture instead
  bool has_lost = false;    // a snapshot nearer to it was given up
  bool may_look = true;     // into the cache
};

int32_t reason_of(const PrefixFound& found, int64_t end, const Parting& parting) {
  if (found.reusable == end) return MINIMAX_MISS_NONE;
  if (parting.at_picture) return MINIMAX_MISS_IMAGE_DIFFERS;
  // With no text behind it, the last token of a known one is computed again for its logits.
  const bool is_all_reused = found.reusable >= std::min(found.known, end - 1);
  if (!parting.may_look && (found.known == 0 || !is_all_reused)) return MINIMAX_MISS_DISABLED;
  if (!is_all_reused) return parting.has_lost ? MINIMAX_MISS_EVICTED : MINIMAX_MISS_NO_CHECKPOINT;
  if (found.known == 0) return MINIMAX_MISS_NEW;
  if (parting.is_at_end || found.known == end) return MINIMAX_MISS_NONE;
  return MINIMAX_MISS_DIVERGED;
}

// What whoever asks knows himself.
Parting parting_of(const PrefixKey& key, const PrefixStanding& standing) {
  const auto at = static_cast<size_t>(standing.common);
  return {.is_at_end = !standing.next && standing.common > 0,
          .at_picture = standing.next && at < key.size() && is_picture(key[at]) &&
                        is_picture(*standing.next)};
}

}  // namespace

PrefixKey prefix_key(std::span<const int32_t> tokens, std::span<const PictureSpan> pictures) {
  PrefixKey key(tokens.size());
  std::transform(tokens.begin(), tokens.end(), key.begin(),
                 [](int32_t token) { return static_cast<PrefixSymbol>(token); });
  for (const PictureSpan& picture : pictures) {
    for (int64_t row = 0; row < picture.token_count; ++row) {
      key[static_cast<size_t>(picture.position + row)] =
          picture_symbol(picture.id, picture.first_row + row);
    }
  }
  return key;
}

PrefixCache::PrefixCache(const Engine& engine, size_t limit_bytes)
    : engine_(engine), limit_bytes_(limit_bytes) {
}

PrefixFound PrefixCache::without_cache(const PrefixKey& key, const PrefixStanding& standing) {
  PrefixFound found;
  found.reusable = standing.reachable;
  found.known = standing.common;
  Parting parting = parting_of(key, standing);
  parting.may_look = false;
  found.miss_reason = reason_of(found, static_cast<int64_t>(key.size()), parting);
  return found;
}

// A snapshot of the text or of its beginning: what lies nearest to its end.
PrefixCache::Usable PrefixCache::best_of(const Tree::Match& match, int64_t end) {
  Usable best;
  for (Node* node = match.node; node && best.length == 0; node = node->parent) {
    if (!node->value.entry) continue;
    const PrefixSnapshot& snapshot = *node->value.entry->snapshot;
    const bool lacks_logits = node->length == end && snapshot.logits.empty();
    if (!lacks_logits) {
      best = {node, node->length};
    } else if (snapshot.timeline->committed < end) {
      best = {node, end - 1};
    }
  }
  const int64_t target = std::min(match.length, end - 1);
  if (best.length >= target) return best;
  Node* const beyond = behind(match.next ? *match.next : *match.node, target);
  return beyond ? Usable{beyond, target} : best;
}

// A node from here on whose snapshot can be taken back to so many tokens.
PrefixCache::Node* PrefixCache::behind(Node& node, int64_t target) {
  if (node.value.entry && node.length >= target) {
    const TimelineMark& timeline = *node.value.entry->snapshot->timeline;
    if (timeline.committed <= target) return &node;
    if (node.length - target > timeline.shape.log_rows) return nullptr;
  }
  for (const auto& [symbol, child] : node.children) {
    if (Node* const found = behind(*child, target)) return found;
  }
  return nullptr;
}

// Where the text parts from others, for the first time or again, and no snapshot stands.
std::vector<int64_t> PrefixCache::branches_of(const Tree::Match& match, int64_t begin, int64_t end,
                                              int64_t rewind_tokens) {
  std::vector<int64_t> all;
  const bool parts = match.length < end;
  for (const Node* node = match.node; node->length > begin; node = node->parent) {
    const size_t more = node == match.node && !match.next && parts ? 1 : 0;
    if (!node->value.entry && node->children.size() + more >= 2) all.push_back(node->length);
  }
  std::reverse(all.begin(), all.end());
  if (match.next && parts && match.length > begin) all.push_back(match.length);
  // The snapshot at the end can be taken back to those that lie just before it.
  const int64_t covered = (end - rewind_tokens) / lightning_fold_tokens * lightning_fold_tokens;
  std::vector<int64_t> worth;
  for (const int64_t position : all) {
    const int64_t last = worth.empty() ? begin : worth.back();
    if (position - last >= least_distance && position < covered) worth.push_back(position);
  }
  return worth;
}

PrefixFound PrefixCache::find(const PrefixKey& key, int64_t rewind_tokens,
                              const PrefixStanding& standing) {
  if (!is_on()) return without_cache(key, standing);
  const auto end = static_cast<int64_t>(key.size());
  const std::lock_guard lock(mutex_);
  const Tree::Match match = trees_[rewind_tokens].find(key);
  PrefixFound found;
  found.reusable = standing.reachable;
  found.known = std::max(match.length, standing.common);
  const Usable best = best_of(match, end);
  ++stats_.lookups;
  if (best.length > standing.reachable) {
    Entry& entry = *best.node->value.entry;
    entry.last_use = clock_;
    found.snapshot = entry.snapshot;
    found.reusable = best.length;
    ++stats_.hits;
    stats_.reused_tokens += static_cast<uint64_t>(best.length - standing.reachable);
  }
  Parting parting;
  if (standing.common == found.known) parting = parting_of(key, standing);
  if (match.length == found.known && match.length < end) {
    const Node& node = *match.node;
    const bool shows_picture = is_picture(key[static_cast<size_t>(match.length)]);
    const auto is_other = [&](PrefixSymbol symbol) { return shows_picture && is_picture(symbol); };
    if (match.next) {
      const auto at = static_cast<size_t>(match.length - node.length);
      parting.at_picture = parting.at_picture || is_other(match.next->edge[at]);
    } else {
      for (const auto& [symbol, child] : node.children) {
        parting.at_picture = parting.at_picture || is_other(symbol);
      }
      parting.is_at_end = parting.is_at_end || node.value.is_turn;
    }
  }
  for (const Node* node = match.node; node->length > found.reusable; node = node->parent) {
    parting.has_lost = parting.has_lost || node->value.has_lost_entry;
  }
  found.miss_reason = reason_of(found, end, parting);
  found.branches = branches_of(match, found.reusable, end, rewind_tokens);
  return found;
}

void PrefixCache::hold_pages(const Entry& entry) {
  const auto pages = entry.snapshot->timeline->pages.pages();
  size_t done = 0;
  try {
    for (; done < pages.size(); ++done) ++page_holders_[pages[done]].count;
  } catch (...) {
    release_pages(entry, done);
    throw;
  }
}

void PrefixCache::release_pages(const Entry& entry, size_t count) noexcept {
  for (std::byte* page : entry.snapshot->timeline->pages.pages().first(count)) {
    const auto holders = page_holders_.find(page);
    if (--holders->second.count == 0) page_holders_.erase(holders);
  }
}

void PrefixCache::set_pinned(Entry& entry, bool is_pinned) noexcept {
  if (entry.is_pinned == is_pinned) return;
  entry.is_pinned = is_pinned;
  for (std::byte* page : entry.snapshot->timeline->pages.pages()) {
    size_t& count = page_holders_.find(page)->second.pinned_count;
    is_pinned ? ++count : --count;
  }
  is_pinned ? ++stats_.pinned_count : --stats_.pinned_count;
}

size_t PrefixCache::text_bytes() const {
  int64_t symbol_count = 0;
  for (const auto& [rewind_tokens, tree] : trees_) symbol_count += tree.symbol_count();
  return static_cast<size_t>(symbol_count) * sizeof(PrefixSymbol);
}

size_t PrefixCache::bytes() const {
  return own_bytes_ + page_holders_.size() * engine_.kv_page_bytes() + text_bytes();
}

// Pages that other entries hold too stay.
size_t PrefixCache::freed_bytes(const Entry& entry) const {
  size_t pages = 0;
  for (std::byte* page : entry.snapshot->timeline->pages.pages()) {
    pages += page_holders_.find(page)->second.count == 1 ? 1 : 0;
  }
  return entry.own_bytes + pages * engine_.kv_page_bytes();
}

// What the others that are pinned hold at most, and this.
bool PrefixCache::has_room_to_pin(const Entry& entry) const {
  size_t needed = 0;
  const auto add = [&](const Entry& pinned) {
    needed += pinned.own_bytes + pinned.snapshot->timeline->pages.size_bytes();
  };
  add(entry);
  for (const NodeOfTree& at : entries_) {
    const Entry& other = *at.node->value.entry;
    if (other.is_pinned) add(other);
  }
  return needed <= limit_bytes_;
}

// Pages that nobody holds but entries that may be given up.
size_t PrefixCache::pages_to_gain() const {
  return static_cast<size_t>(
      std::count_if(page_holders_.begin(), page_holders_.end(), [&](const auto& page) {
        const auto& [address, holders] = page;
        return holders.pinned_count == 0 && engine_.kv_page_owners(address) == holders.count;
      }));
}

// Saved arithmetic a byte, on top of what that was worth of the last one given up when this was last used:
// the longer ago, the less it counts.
double PrefixCache::usefulness(const Node& node) const {
  const Node* before = node.parent;
  while (before->parent && !before->value.entry) before = before->parent;
  const Entry& entry = *node.value.entry;
  const auto bytes = static_cast<double>(std::max<size_t>(freed_bytes(entry), 1));
  return entry.last_use + feeding_work(engine_.config(), before->length, node.length) / bytes;
}

std::optional<size_t> PrefixCache::least_useful() const {
  std::optional<size_t> least;
  double least_value = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].node->value.entry->is_pinned) continue;
    const double value = usefulness(*entries_[i].node);
    if (least && value >= least_value) continue;
    least = i;
    least_value = value;
  }
  return least;
}

void PrefixCache::end_holding(Entry& entry) noexcept {
  set_pinned(entry, false);
  release_pages(entry, entry.snapshot->timeline->pages.pages().size());
  own_bytes_ -= entry.own_bytes;
}

// The text stays known for a while.
void PrefixCache::forget_entry(size_t index) noexcept {
  const NodeOfTree at = entries_[index];
  end_holding(*at.node->value.entry);
  entries_[index] = entries_.back();
  entries_.pop_back();
  at.node->value.entry.reset();
  try {
    losses_.push_back(at);
    at.node->value.has_lost_entry = true;
  } catch (const std::bad_alloc&) {
    at.tree->prune(*at.node);
  }
}

bool PrefixCache::drop_one() noexcept {
  const std::optional<size_t> least = least_useful();
  if (!least) return false;
  clock_ = std::max(clock_, usefulness(*entries_[*least].node));
  forget_entry(*least);
  ++stats_.evictions;
  return true;
}

void PrefixCache::forget_old_losses() noexcept {
  while (!losses_.empty() && text_bytes() > limit_bytes_ / part_for_texts) {
    const NodeOfTree oldest = losses_.front();
    losses_.pop_front();
    oldest.node->value.has_lost_entry = false;
    oldest.tree->prune(*oldest.node);
  }
}

// Whether what is there is as good.
bool PrefixCache::refresh(std::optional<Entry>& entry, const PrefixSnapshot& snapshot,
                          Keeping keeping) noexcept {
  if (!entry || (entry->snapshot->logits.empty() && !snapshot.logits.empty())) return false;
  entry->last_use = clock_;
  if (keeping == Keeping::pinned) set_pinned(*entry, true);
  return true;
}

void PrefixCache::store(const PrefixKey& key, std::shared_ptr<const PrefixSnapshot> snapshot,
                        Keeping keeping) {
  if (!is_on() || key.empty()) return;
  Entry entry{snapshot, own_bytes_of(*snapshot)};
  const std::lock_guard lock(mutex_);
  const size_t needed = entry.own_bytes + snapshot->timeline->pages.size_bytes();
  if (needed > limit_bytes_ && keeping != Keeping::pinned) return;
  Tree& tree = trees_[snapshot->timeline->shape.rewind_tokens];
  Node& node = tree.insert(key);
  std::optional<Entry>& place = node.value.entry;
  const bool was_pinned = place && place->is_pinned;
  try {
    if (keeping == Keeping::pinned && !was_pinned && !has_room_to_pin(entry)) {
      fail(MINIMAX_OUT_OF_MEMORY, "the prefix cache has no room to pin ", needed,
           " bytes beside what is pinned, its limit is ", limit_bytes_,
           " (prefix_cache_bytes_limit)");
    }
    if (refresh(place, *snapshot, keeping)) return;
    entries_.reserve(entries_.size() + 1);
    hold_pages(entry);
  } catch (...) {
    tree.prune(node);
    throw;
  }
  if (place) {
    end_holding(*place);
  } else {
    entries_.push_back({&tree, &node});
  }
  entry.last_use = clock_;
  own_bytes_ += entry.own_bytes;
  place = std::move(entry);
  node.value.is_turn = !place->snapshot->logits.empty();
  set_pinned(*place, was_pinned || keeping == Keeping::pinned);
  if (node.value.has_lost_entry) {
    node.value.has_lost_entry = false;
    std::erase_if(losses_, [&](const NodeOfTree& loss) { return loss.node == &node; });
  }
  ++stats_.stored;
  forget_old_losses();
  while (bytes() > limit_bytes_ && drop_one()) forget_old_losses();
}

bool PrefixCache::unpin(const PrefixKey& key, int64_t rewind_tokens) noexcept {
  const std::lock_guard lock(mutex_);
  const auto tree = trees_.find(rewind_tokens);
  if (tree == trees_.end()) return false;
  const Tree::Match match = tree->second.find(key);
  const bool is_whole = !match.next && match.length == static_cast<int64_t>(key.size());
  if (!is_whole || !match.node->value.entry || !match.node->value.entry->is_pinned) return false;
  set_pinned(*match.node->value.entry, false);
  return true;
}

void PrefixCache::clear() noexcept {
  const std::lock_guard lock(mutex_);
  entries_.clear();
  losses_.clear();
  page_holders_.clear();
  trees_.clear();
  own_bytes_ = 0;
  clock_ = 0;
  stats_.pinned_count = 0;
}

bool PrefixCache::give_up_one() noexcept {
  const std::lock_guard lock(mutex_);
  return drop_one();
}

bool PrefixCache::free_pages(int64_t count) noexcept {
  if (engine_.kv_pages_left() >= count) return true;
  if (engine_.kv_pages_at_most() < INT64_MAX) {
    const std::lock_guard lock(mutex_);
    if (engine_.kv_pages_left() + static_cast<int64_t>(pages_to_gain()) < count) return false;
  }
  while (engine_.kv_pages_left() < count) {
    if (!give_up_one()) return false;
  }
  return true;
}

PrefixCacheStats PrefixCache::stats() const {
  const std::lock_guard lock(mutex_);
  PrefixCacheStats stats = stats_;
  stats.snapshot_count = entries_.size();
  stats.bytes = bytes();
  stats.kv_bytes = page_holders_.size() * engine_.kv_page_bytes();
  return stats;
}

}  // namespace minimax
