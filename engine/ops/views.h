// SPDX-License-Identifier: Apache-2.0
// What operations that look across tokens must know of the sequences of a step.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "engine/draw.h"
#include "engine/tensor/tensor.h"

namespace minimax {

enum class Activation { none, silu, gelu };  // gelu: the exact one, with erf
enum class RouterPrecision { f32, bf16 };

struct ResidualScale {
  float residual;  // alpha
  float branch;    // beta
};

struct Rope {
  int64_t rotary_dim;
  double theta;
};

// Rows [first_row, first_row + row_count) of a step belong to one sequence, which held `position`
// tokens before: row first_row + i is its token number position + i.
struct SequenceSpan {
  int64_t first_row;
  int64_t row_count;
  int64_t position;
};

// States are folded so many tokens at a time, at absolute multiples of it.
inline constexpr int64_t lightning_block = 32;

// The lightning states of one sequence: in each layer the state after `committed` tokens, and beside it
// the keys and values of the tokens since, un-folded, so that they can be taken back. The layers lie
// one behind the other; the tensors are the first layer's.
struct LightningSequence {
  SequenceSpan span;
  int64_t committed;        // a multiple of lightning_block, at most span.position
  int64_t committed_after;  // likewise, at most span.position + span.row_count, at least committed
  Tensor state;             // [H, D, D] f32  in, out; key dimension first; zero at committed == 0
  Tensor log;  // [H, 2, R, D] act  in, out; keys (0) and values (1) of token j in row j % R,
               // R a multiple of lightning_block; in: tokens committed .. position; out: at
               // least committed_after .. position + row_count. R >= position + row_count -
               // committed_after, and R >= position - committed

  Tensor state_of(int64_t layer) const { return behind(state, layer); }
  Tensor log_of(int64_t layer) const { return behind(log, layer); }

 private:
  static Tensor behind(const Tensor& first, int64_t layer) {
    auto* data =
        static_cast<std::byte*>(first.raw()) + static_cast<size_t>(layer) * first.size_bytes();
    return {data, first.dtype(), first.shape()};
  }
};

// Where a softmax layer keeps keys and values: in pages of page_tokens tokens, at layer_offset bytes
// from a page's start the keys [G, page_tokens, D], behind them the values, both of type dtype.
struct KvLayout {
  DType dtype;
  int64_t page_tokens;
  int64_t kv_head_count;
  int64_t head_dim;
  size_t layer_offset;

  size_t plane_bytes() const {
    return static_cast<size_t>(kv_head_count * page_tokens * head_dim) * size_of(dtype);
  }
};

// pages[i] holds tokens [i * page_tokens, (i + 1) * page_tokens) of the sequence.
struct KvSequence {
  SequenceSpan span;
  std::span<std::byte* const> pages;
};

// What the operations of a step will be told of its sequences. The lists stay where they are, and as
// they are, until the step has been computed.
struct StepSequences {
  std::span<const SequenceSpan> spans;
  std::span<const LightningSequence> lightning;
  std::span<const KvSequence> kv;
};

// What one token is drawn from, and how.
struct LogitsRow {
  Tensor logits;  // [V] f32
  DrawRule rule;
};

// Steps that hand over the same operations.
struct StepKey {
  int64_t tokens;     // T
  int64_t sequences;  // S
  int64_t logits;     // rows of logits at the end
  auto operator<=>(const StepKey&) const = default;
};

// The largest step a backend must be ready for.
struct StepLimits {
  int64_t tokens;             // T
  int64_t widest_input;       // largest K of ops::linear and ops::logits
  int64_t width;              // W
  int64_t head_count;         // H
  int64_t head_dim;           // D
  int64_t expert_count;       // X
  int64_t experts_per_token;  // E
  int64_t expert_width;       // F
  int64_t vocabulary = 0;     // V of ops::sample
  bool operator==(const StepLimits&) const = default;
};

// What is ready for both.
inline StepLimits larger(const StepLimits& a, const StepLimits& b) {
  return {.tokens = std::max(a.tokens, b.tokens),
          .widest_input = std::max(a.widest_input, b.widest_input),
          .width = std::max(a.width, b.width),
          .head_count = std::max(a.head_count, b.head_count),
          .head_dim = std::max(a.head_dim, b.head_dim),
          .expert_count = std::max(a.expert_count, b.expert_count),
          .experts_per_token = std::max(a.experts_per_token, b.experts_per_token),
          .expert_width = std::max(a.expert_width, b.expert_width),
          .vocabulary = std::max(a.vocabulary, b.vocabulary)};
}

}  // namespace minimax
