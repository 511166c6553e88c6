// SPDX-License-Identifier: Apache-2.0
// The text model: tokens to hidden states to logits, layer by layer.
#pragma once

#include <optional>
#include <vector>

#include "engine/model/config.h"
#include "engine/model/lightning_attention.h"
#include "engine/model/moe.h"
#include "engine/model/softmax_attention.h"
#include "engine/model/step.h"
#include "engine/model/tensor_names.h"
#include "engine/weights/weight_source.h"

namespace minimax {

// One layer. Immutable; borrows its weights from the source. Exactly one of the two attentions is there.
struct DecoderLayer {
  Tensor input_norm;  // [W] f32
  std::optional<LightningAttention> lightning;
  std::optional<SoftmaxAttention> softmax;
  ResidualScale attention_scale;
  Tensor post_norm;  // [W] f32
  Moe moe;
};

// Immutable after construction; borrows its weights from the source, which must outlive it.
class Decoder {
 public:
  Decoder(const ModelConfig& config, const TextTensors& tensors, WeightSource& source,
          Memory& memory);

  // Runs all layers on the step's tokens, and moves nothing but the timelines' views.
  //
  //   ids     [T]     i32
  //   hidden  [T, W]  act   out: after the final norm, what logits are made of
  // Residuals follow DeepNorm (docs/model.md §2): what is added is the normed input u of a sub-layer,
  // scaled; the sum is needed only through the next norm, so the two are one operation.
  void forward(Step& step, const Tensor& ids, const Tensor& hidden) const;

  // logits [R, V] f32 of some rows of hidden [R, W].
  void logits(Backend& backend, const Tensor& hidden, const Tensor& logits) const;

  const Tensor& embeddings() const { return embeddings_; }  // [V, W] as stored

  // Scratch that forward takes from the arena for T tokens.
  static size_t scratch_bytes(const ModelConfig& config, int64_t tokens, DType activation);

 private:
  DecoderLayer load_layer(const ModelConfig& config, int64_t layer, const LayerTensors& tensors,
                          WeightSource& source, Memory& memory);

  int64_t lightning_count_ = 0, softmax_count_ = 0;  // so far, while loading
  float norm_eps_;
  ResidualScale mlp_scale_;
  Tensor embeddings_;  // [V, W]
  std::vector<DecoderLayer> layers_;
  Tensor norm_;     // [W] f32
  Weight lm_head_;  // [V, W]
};

}  // namespace minimax
