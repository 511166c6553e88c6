// SPDX-License-Identifier: Apache-2.0
// What one session remembers: its tokens, the keys and values of the softmax layers, and the states of
// the lightning layers with the log of the last tokens beside them. The only thing that changes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/state/kv_pages.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/memory.h"

namespace minimax {

// Sizes of a timeline, the same for all sessions of an engine but log_rows.
struct TimelineShape {
  int64_t lightning_layer_count;
  int64_t head_count;     // H
  int64_t head_dim;       // D
  int64_t log_rows;       // R: rows of (k, v) kept beside each state, a multiple of the fold
  int64_t fold_tokens;    // states move on so many tokens at a time, at multiples of it
  int64_t rewind_tokens;  // so many last tokens are never folded
  DType log_type;         // type of activations
};

// Lightning states and logs of all layers.
struct LightningMemory {
  Buffer states;           // [layers, H, D, D]
  Buffer logs;             // [layers, H, 2, R, D]
  bool has_folds = false;  // whoever is empty must zero the states first
  std::atomic<int64_t> owner_count{0};
};

// One of the owners of lightning memory, which timelines have together that have not gone on since. The
// last one left may write: whatever others did with it has happened then, which shared_ptr's use_count()
// does not promise.
class LightningShare {
 public:
  explicit LightningShare(std::shared_ptr<LightningMemory> memory) : memory_(std::move(memory)) {
    memory_->owner_count.fetch_add(1, std::memory_order_relaxed);
  }
  LightningShare(const LightningShare& other) : LightningShare(other.memory_) {}
  LightningShare& operator=(LightningShare other) noexcept {
    memory_.swap(other.memory_);
    return *this;
  }
  ~LightningShare() { memory_->owner_count.fetch_sub(1, std::memory_order_release); }

  bool is_last_owner() const { return memory_->owner_count.load(std::memory_order_acquire) == 1; }
  LightningMemory* operator->() const { return memory_.get(); }

 private:
  std::shared_ptr<LightningMemory> memory_;  // never empty; freed by its last owner, on any thread
};

// A timeline as it was at some moment; takes no memory of states and pages of its own until somebody
// goes on. Immutable; any thread. The pool must outlive it.
struct TimelineMark {
  TimelineShape shape;
  std::vector<int32_t> tokens;
  int64_t committed;
  LightningShare lightning;
  KvPages pages;
};

enum class InitialState { zero, undefined };

// One thread at a time. Between reserve() and advance() a step computes into the views; if it fails the
// timeline is as before as long as nothing had been folded.
class Timeline {
 public:
  // Memory and pool must outlive it. States and logs that are undefined must be filled in, all of them,
  // before they are used. MINIMAX_OUT_OF_MEMORY.
  Timeline(const TimelineShape& shape, int64_t page_tokens, Memory& memory, PagePool& pool,
           InitialState initial = InitialState::zero);

  // The timeline that the mark holds, at no cost.
  Timeline(const TimelineMark& mark, Memory& memory);

  int64_t position() const { return static_cast<int64_t>(tokens_.size()); }
  std::span<const int32_t> tokens() const { return tokens_; }

  // Tokens whose lightning states are folded: now, and once `count` more have been fed.
  int64_t committed() const { return committed_; }
  int64_t committed_after(int64_t count) const;

  // Pages that reserve(count) would take from the pool.
  int64_t pages_needed(int64_t count) const { return pages_.needed(position(), count); }
  // Takes all memory that feeding `count` more tokens needs, and copies what it shares with others and
  // would change. All or nothing; MINIMAX_CONTEXT_FULL, MINIMAX_OUT_OF_MEMORY.
  void reserve(int64_t count);
  // The tokens have been computed into the views. Needs a reserve() that covered them; cannot fail.
  void advance(std::span<const int32_t> tokens) noexcept;
  // Shares what there is with a mark, and with whoever returns to it. MINIMAX_OUT_OF_MEMORY.
  std::unique_ptr<TimelineMark> mark() const;
  // MINIMAX_UNSUPPORTED when a mark is of a timeline with another rewind_tokens.
  void require_like(const TimelineShape& of_mark) const;
  // Becomes what the mark holds. Errors as require_like(), MINIMAX_OUT_OF_MEMORY. All or nothing.
  void return_to(const TimelineMark& mark);
  // Forgets the tokens from `position` on, which is at least committed(): states and logs stay as they
  // are, and what comes next overwrites what was.
  void rewind(int64_t position) noexcept;
  // An empty timeline, whose states, log and reserved pages have been filled in from elsewhere, holds
  // these tokens now.
  void restore(std::vector<int32_t> tokens, int64_t committed) noexcept;
  // Empty again; pages go back to the pool.
  void reset() noexcept;

  // Of lightning layer i, counted among lightning layers.
  Tensor state(int64_t i) const;  // [H, D, D] f32, key dimension first
  Tensor log(int64_t i) const;    // [H, 2, R, D]: keys (0) and values (1) of token j in row j % R
  std::span<std::byte* const> pages() const { return pages_.pages(); }
  const TimelineShape& shape() const { return shape_; }

  size_t state_bytes() const;
  size_t kv_bytes() const { return pages_.size_bytes(); }

 private:
  LightningShare new_lightning() const;
  void own_lightning();

  TimelineShape shape_;
  Memory* memory_;
  std::vector<int32_t> tokens_;
  int64_t committed_ = 0;
  KvPages pages_;
  LightningShare lightning_;
};

}  // namespace minimax
