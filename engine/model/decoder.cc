// SPDX-License-Identifier: Apache-2.0
#include "engine/model/decoder.h"

#include <algorithm>

#include "engine/ops/ops.h"

namespace minimax {

Decoder::Decoder(const ModelConfig& config, const TextTensors& tensors, WeightSource& source,
                 Memory& memory)
    : norm_eps_(config.rms_norm_eps),
      mlp_scale_{config.mlp_alpha, config.mlp_beta},
      embeddings_(source.matrix(tensors.embed_tokens)) {
  layers_.reserve(tensors.layers.size());
  for (const LayerTensors& layer : tensors.layers) {
    layers_.push_back(
        load_layer(config, static_cast<int64_t>(layers_.size()), layer, source, memory));
  }
  norm_ = source.vector_f32(tensors.norm);
  lm_head_.values = config.tied_embeddings ? embeddings_ : source.matrix(tensors.lm_head);
}

DecoderLayer Decoder::load_layer(const ModelConfig& config, int64_t layer,
                                 const LayerTensors& tensors, WeightSource& source,
                                 Memory& memory) {
  const bool is_lightning = tensors.kind == LayerKind::lightning;
  DecoderLayer loaded{
      .input_norm = source.vector_f32(tensors.input_norm),
      .lightning = {},
      .softmax = {},
      .attention_scale = is_lightning ? ResidualScale{config.lightning_alpha, config.lightning_beta}
                                      : ResidualScale{config.softmax_alpha, config.softmax_beta},
      .post_norm = source.vector_f32(tensors.post_norm),
      .moe = Moe(config, tensors.moe, source)};
  if (is_lightning) {
    loaded.lightning.emplace(config, layer, lightning_count_++, tensors.lightning, source, memory);
  } else {
    loaded.softmax.emplace(config, softmax_count_++, tensors.softmax, source);
  }
  return loaded;
}

void Decoder::forward(Step& step, const Tensor& ids, const Tensor& hidden) const {
  Backend& backend = step.backend();
  const Arena::Scope scope(step.arena());
  const Tensor u = hidden;  // [T, W] normed input of the next sub-layer, and its residual
  const Tensor branch = step.arena().take(backend.activation_type(), u.shape());

  ops::embed(backend, ids, embeddings_, u);
  for (const Step::Replaced& replaced : step.replaced()) {
    ops::copy(backend, replaced.rows, u.rows(replaced.first_row, replaced.rows.dim(0)));
  }
  if (step.tap()) step.tap()->embedded(u);
  ops::rms_norm(backend, u, layers_.front().input_norm, norm_eps_, u);

  for (size_t l = 0; l < layers_.size(); ++l) {
    const DecoderLayer& layer = layers_[l];
    if (layer.lightning) {
      layer.lightning->forward(step, u, branch);
    } else {
      layer.softmax->forward(step, u, branch);
    }
    ops::residual_rms_norm(backend, u, branch, layer.attention_scale, layer.post_norm, norm_eps_,
                           u);
    layer.moe.forward(step, u, branch);
    if (step.tap()) step.tap()->after_layer(static_cast<int64_t>(l), u, branch, mlp_scale_);
    const Tensor& next_norm = l + 1 < layers_.size() ? layers_[l + 1].input_norm : norm_;
    ops::residual_rms_norm(backend, u, branch, mlp_scale_, next_norm, norm_eps_, u);
  }
}

void Decoder::logits(Backend& backend, const Tensor& hidden, const Tensor& logits) const {
  ops::logits(backend, hidden, lm_head_, logits);
}

size_t Decoder::scratch_bytes(const ModelConfig& config, int64_t tokens, DType activation) {
  const size_t branch =
      Arena::padded(static_cast<size_t>(tokens * config.width) * size_of(activation));
  return branch + std::max({LightningAttention::scratch_bytes(config, tokens, activation),
                            SoftmaxAttention::scratch_bytes(config, tokens, activation),
                            Moe::scratch_bytes(config, tokens)});
}

}  // namespace minimax
