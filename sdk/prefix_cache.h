// SPDX-License-Identifier: Apache-2.0
// Snapshots of sessions, shared by all sessions of an engine: found by the tokens and pictures that a text
// begins with, and given up again where they save the least arithmetic a byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"
#include "sdk/pictures.h"
#include "sdk/prefix_tree.h"

namespace minimax {

// A text as the cache knows it: its tokens, and for rows of pictures which row of which picture.
PrefixKey prefix_key(std::span<const int32_t> tokens, std::span<const PictureSpan> pictures);

// A session as it was at some moment, shared with sessions that have not gone on since. Immutable; must not
// outlive the engine.
struct PrefixSnapshot {
  std::unique_ptr<const TimelineMark> timeline;
  std::vector<PictureSpan> pictures;
  std::vector<float> logits;  // empty: there were none
};

// How far whoever asks gets into a text on his own.
struct PrefixStanding {
  int64_t reachable = 0;                  // tokens that he holds already, or can go back to
  int64_t common = 0;                     // tokens that his text and the one he asks for begin with
  std::optional<PrefixSymbol> next = {};  // what his text goes on with there, if it does
};

struct PrefixFound {
  std::shared_ptr<const PrefixSnapshot> snapshot;  // none that goes further than he does: nullptr
  int64_t reusable = 0;  // tokens that need not be computed: of the snapshot, or his own
  int64_t known = 0;     // tokens of the text that were met before
  int32_t miss_reason = MINIMAX_MISS_NONE;
  std::vector<int64_t>
      branches;  // ascending: where a snapshot is worth taking on the way to the end
};

struct PrefixCacheStats {
  uint64_t snapshot_count = 0, pinned_count = 0;
  uint64_t bytes = 0, kv_bytes = 0;  // of all; of that, pages of keys and values
  uint64_t lookups = 0, hits = 0, reused_tokens = 0, stored = 0, evictions = 0;
};

enum class Keeping { while_useful, pinned };

// Any thread. Must be gone before the engine.
//
// Texts of sessions with different rewind_tokens are kept apart: their logs differ in size. A snapshot serves
// every text that begins like its own up to somewhere behind the tokens folded into its states.
class PrefixCache {
 public:
  // limit_bytes 0: keeps nothing.
  PrefixCache(const Engine& engine, size_t limit_bytes);
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  bool is_on() const { return limit_bytes_ > 0; }
  size_t limit_bytes() const { return limit_bytes_; }

  // The best place to begin a text at, which is not empty.
  PrefixFound find(const PrefixKey& key, int64_t rewind_tokens, const PrefixStanding& standing);
  // The same for those who may not look into the cache.
  static PrefixFound without_cache(const PrefixKey& key, const PrefixStanding& standing);

  // Keeps the snapshot of a text, unless there is one as good, and gives up others for it. Too large a one
  // is not kept: MINIMAX_OUT_OF_MEMORY when it was to be pinned, else nothing. std::bad_alloc.
  void store(const PrefixKey& key, std::shared_ptr<const PrefixSnapshot> snapshot,
             Keeping keeping = Keeping::while_useful);
  // Whether there was a pinned snapshot of just this text, which may be given up from here on.
  bool unpin(const PrefixKey& key, int64_t rewind_tokens) noexcept;
  void clear() noexcept;

  // Gives the least useful snapshot up; false when there is none that may be.
  bool give_up_one() noexcept;
  // Gives snapshots up until so many pages of keys and values can be taken from the engine. Nothing happens
  // when a limit on these cannot be met so; false then.
  bool free_pages(int64_t count) noexcept;

  PrefixCacheStats stats() const;

 private:
  struct Entry {
    std::shared_ptr<const PrefixSnapshot> snapshot;
    size_t own_bytes = 0;  // without pages
    double last_use = 0;   // what clock_ was
    bool is_pinned = false;
  };
  struct Place {
    std::optional<Entry> entry;
    bool has_lost_entry = false;  // remembered for a while, to say so
    bool is_turn = false;         // a prompt or a reply ended here: texts do not only part
    bool is_empty() const { return !entry && !has_lost_entry; }
  };
  using Tree = PrefixTree<Place>;
  using Node = Tree::Node;
  struct NodeOfTree {
    Tree* tree;
    Node* node;
  };

  struct Usable {
    Node* node = nullptr;
    int64_t length = 0;  // tokens of the text that the node's snapshot serves
  };

  static Usable best_of(const Tree::Match& match, int64_t end);
  static Node* behind(Node& node, int64_t target);
  static std::vector<int64_t> branches_of(const Tree::Match& match, int64_t begin, int64_t end,
                                          int64_t rewind_tokens);
  void hold_pages(const Entry& entry);
  void release_pages(const Entry& entry, size_t count) noexcept;
  void set_pinned(Entry& entry, bool is_pinned) noexcept;
  size_t freed_bytes(const Entry& entry) const;
  bool has_room_to_pin(const Entry& entry) const;
  size_t pages_to_gain() const;
  double usefulness(const Node& node) const;
  size_t text_bytes() const;
  size_t bytes() const;
  std::optional<size_t> least_useful() const;
  bool refresh(std::optional<Entry>& entry, const PrefixSnapshot& snapshot,
               Keeping keeping) noexcept;
  void end_holding(Entry& entry) noexcept;
  void forget_entry(size_t index) noexcept;
  bool drop_one() noexcept;
  void forget_old_losses() noexcept;

  const Engine& engine_;
  const size_t limit_bytes_;

  mutable std::mutex mutex_;         // guards what follows
  std::map<int64_t, Tree> trees_;    // by rewind_tokens
  std::vector<NodeOfTree> entries_;  // all nodes with an entry
  std::deque<NodeOfTree> losses_;    // nodes that have lost theirs, in that order
  struct Holders {
    size_t count = 0, pinned_count = 0;
  };
  std::unordered_map<std::byte*, Holders> page_holders_;  // of each page: entries
  size_t own_bytes_ = 0;                                  // of all entries
  double clock_ = 0;
  PrefixCacheStats stats_;
};

}  // namespace minimax
