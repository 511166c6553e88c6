// SPDX-License-Identifier: Apache-2.0
#include "engine/model/softmax_attention.h"

#include <cmath>

#include "engine/ops/ops.h"

namespace minimax {

SoftmaxAttention::SoftmaxAttention(const ModelConfig& config, int64_t index,
                                   const SoftmaxTensors& tensors, WeightSource& source)
    : head_count_(config.head_count),
      kv_head_count_(config.kv_head_count),
      head_dim_(config.head_dim),
      index_(index),
      rope_{config.rotary_dim, config.rope_theta},
      q_proj_{source.matrix(tensors.q_proj)},
      k_proj_{source.matrix(tensors.k_proj)},
      v_proj_{source.matrix(tensors.v_proj)},
      o_proj_{source.matrix(tensors.o_proj)} {
}

void SoftmaxAttention::forward(Step& step, const Tensor& u, const Tensor& out) const {
  Backend& backend = step.backend();
  const Arena::Scope scope(step.arena());
  const int64_t tokens = u.dim(0);
  const int64_t q_width = head_count_ * head_dim_, kv_width = kv_head_count_ * head_dim_;
  const DType act = backend.activation_type();

  const Tensor q = step.arena().take(act, {tokens, q_width});
  const Tensor k = step.arena().take(act, {tokens, kv_width});
  const Tensor v = step.arena().take(act, {tokens, kv_width});
  ops::linear(backend, u, q_proj_, Activation::none, q);
  ops::linear(backend, u, k_proj_, Activation::none, k);
  ops::linear(backend, u, v_proj_, Activation::none, v);

  const Tensor queries = q.reshaped({tokens, head_count_, head_dim_});
  const Tensor keys = k.reshaped({tokens, kv_head_count_, head_dim_});
  const Tensor values = v.reshaped({tokens, kv_head_count_, head_dim_});
  ops::rope(backend, queries, step.spans(), rope_);
  ops::rope(backend, keys, step.spans(), rope_);

  const KvLayout layout = step.kv_layout(index_);
  ops::store_kv(backend, keys, values, layout, step.kv());

  const Tensor heads = step.arena().take(act, {tokens, q_width});
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim_));
  ops::softmax_attention(backend, queries, scale, layout, step.kv(),
                         heads.reshaped({tokens, head_count_, head_dim_}));
  ops::linear(backend, heads, o_proj_, Activation::none, out);
}

size_t SoftmaxAttention::scratch_bytes(const ModelConfig& config, int64_t tokens,
                                       DType activation) {
  const size_t head = static_cast<size_t>(tokens * config.head_dim) * size_of(activation);
  return 2 * Arena::padded(static_cast<size_t>(config.head_count) * head) +
         2 * Arena::padded(static_cast<size_t>(config.kv_head_count) * head);
}

}  // namespace minimax
