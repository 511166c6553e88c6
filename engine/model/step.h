// SPDX-License-Identifier: Apache-2.0
// One step: the tokens of some sequences on their way through the layers, with what each layer needs to
// know of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/config.h"
#include "engine/ops/backend.h"
#include "engine/state/timeline.h"
#include "engine/tensor/buffer.h"

namespace minimax {

// Sees what passes between layers, which nobody else needs. For tests.
class LayerTap {
 public:
  virtual ~LayerTap() = default;
  // hidden [T, W]
  virtual void embedded(const Tensor& hidden) = 0;
  // The hidden state after a layer is scale.residual * residual + scale.branch * branch, both [T, W].
  virtual void after_layer(int64_t layer, const Tensor& residual, const Tensor& branch,
                           ResidualScale scale) = 0;
};

// T tokens of S sequences; made anew for each step from memory that was taken beforehand. One thread.
class Step {
 public:
  // Room for steps of up to so many sequences.
  Step(Backend& backend, Arena& arena, const ModelConfig& config, DType kv_type,
       int64_t page_tokens, size_t most_sequences);

  // Begins a step: none of its sequences yet. tap may be nullptr.
  void begin(LayerTap* tap);
  // `count` more tokens of a timeline that has reserved room for them.
  void add(const Timeline& timeline, int64_t count);

  // Rows [n, W] act that stand in place of the embeddings of the step's rows from first_row on.
  void replace(int64_t first_row, const Tensor& rows) { replaced_.push_back({first_row, rows}); }

  struct Replaced {
    int64_t first_row;
    Tensor rows;
  };
  std::span<const Replaced> replaced() const { return replaced_; }

  Backend& backend() const { return backend_; }
  Arena& arena() const { return arena_; }
  LayerTap* tap() const { return tap_; }
  int64_t token_count() const { return token_count_; }  // T

  std::span<const SequenceSpan> spans() const { return spans_; }
  // States and logs of all lightning layers.
  std::span<const LightningSequence> lightning() const { return lightning_; }
  // Pages, and where in them the i-th softmax layer keeps its keys and values.
  std::span<const KvSequence> kv() const { return kv_; }
  KvLayout kv_layout(int64_t i) const;

  StepSequences sequences() const { return {spans_, lightning_, kv_}; }

  // Bytes of a page that holds all softmax layers.
  static size_t page_bytes(const ModelConfig& config, DType kv_type, int64_t page_tokens);

 private:
  Backend& backend_;
  Arena& arena_;
  KvLayout kv_layout_;
  LayerTap* tap_ = nullptr;
  int64_t token_count_ = 0;
  std::vector<SequenceSpan> spans_;
  std::vector<LightningSequence> lightning_;
  std::vector<KvSequence> kv_;
  std::vector<Replaced> replaced_;
};

}  // namespace minimax
