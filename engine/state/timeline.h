// SPDX-License-Identifier: Apache-2.0
// What one session remembers: its tokens, the keys and values of the softmax layers, and the states of
// the lightning layers with the log of the last tokens beside them. The only thing that changes.
#pragma once

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

// One thread at a time. Between reserve() and advance() a step computes into the views; if it fails the
// timeline is as before as long as nothing had been folded.
class Timeline {
 public:
  // Memory and pool must outlive it. MINIMAX_OUT_OF_MEMORY.
  Timeline(const TimelineShape& shape, int64_t page_tokens, Memory& memory, PagePool& pool);

  int64_t position() const { return static_cast<int64_t>(tokens_.size()); }
  std::span<const int32_t> tokens() const { return tokens_; }

  // Tokens whose lightning states are folded: now, and once `count` more have been fed.
  int64_t committed() const { return committed_; }
  int64_t committed_after(int64_t count) const;

  // Takes all memory that feeding `count` more tokens needs. All or nothing; MINIMAX_CONTEXT_FULL,
  // MINIMAX_OUT_OF_MEMORY.
  void reserve(int64_t count);
  // The tokens have been computed into the views. Needs a reserve() that covered them; cannot fail.
  void advance(std::span<const int32_t> tokens) noexcept;
  // Forgets the tokens from `position` on, which is at least committed(): states and logs stay as they
  // are, and what comes next overwrites what was.
  void rewind(int64_t position) noexcept;
  // Empty again; pages go back to the pool.
  void reset() noexcept;

  // Of lightning layer i, counted among lightning layers.
  Tensor state(int64_t i) const;  // [H, D, D] f32, key dimension first
  Tensor log(int64_t i) const;    // [H, 2, R, D]: keys (0) and values (1) of token j in row j % R
  std::span<std::byte* const> pages() const { return pages_.pages(); }

  size_t state_bytes() const { return states_.size_bytes() + logs_.size_bytes(); }
  size_t kv_bytes() const { return pages_.size_bytes(); }

 private:
  TimelineShape shape_;
  Memory* memory_;
  std::vector<int32_t> tokens_;
  int64_t committed_ = 0;
  KvPages pages_;
  Buffer states_;  // [layers, H, D, D]
  Buffer logs_;    // [layers, H, 2, R, D]
};

}  // namespace minimax
