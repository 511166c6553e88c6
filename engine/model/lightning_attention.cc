// SPDX-License-Identifier: Apache-2.0
#include "engine/model/lightning_attention.h"

#include "engine/ops/ops.h"

namespace minimax {

LightningAttention::LightningAttention(const ModelConfig& config, int64_t layer, int64_t index,
                                       const LightningTensors& tensors, WeightSource& source,
                                       Memory& memory)
    : head_count_(config.head_count),
      head_dim_(config.head_dim),
      index_(index),
      norm_eps_(config.lightning_norm_eps),
      qkv_proj_{source.matrix(tensors.qkv_proj)},
      output_gate_{source.matrix(tensors.output_gate)},
      out_proj_{source.matrix(tensors.out_proj)},
      norm_(source.vector_f32(tensors.norm)) {
  const std::vector<float> slopes = layer_slopes(config, layer);
  slope_memory_ = Buffer(memory, slopes.size() * sizeof(float));
  memory.copy_from_host(slope_memory_.data(), slopes.data(), slope_memory_.size_bytes());
  slope_ = slope_memory_.tensor(DType::f32, {head_count_});
}

void LightningAttention::forward(Step& step, const Tensor& u, const Tensor& out) const {
  Backend& backend = step.backend();
  const Arena::Scope scope(step.arena());
  const int64_t tokens = u.dim(0), width = head_count_ * head_dim_;
  const DType act = backend.activation_type();

  const Tensor qkv = step.arena().take(act, {tokens, 3 * width});
  ops::linear(backend, u, qkv_proj_, Activation::silu, qkv);

  const Tensor heads = step.arena().take(act, {tokens, width});
  ops::lightning_attention(backend, qkv.reshaped({tokens, head_count_, 3, head_dim_}), slope_,
                           index_, step.lightning(),
                           heads.reshaped({tokens, head_count_, head_dim_}));

  const Tensor gate = step.arena().take(act, {tokens, width});
  ops::linear(backend, u, output_gate_, Activation::none, gate);
  ops::gated_rms_norm(backend, heads, gate, norm_, norm_eps_, heads);
  ops::linear(backend, heads, out_proj_, Activation::none, out);
}

size_t LightningAttention::scratch_bytes(const ModelConfig& config, int64_t tokens,
                                         DType activation) {
  const size_t row =
      static_cast<size_t>(tokens * config.head_count * config.head_dim) * size_of(activation);
  return Arena::padded(3 * row) + 2 * Arena::padded(row);
}

}  // namespace minimax
