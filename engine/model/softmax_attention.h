// SPDX-License-Identifier: Apache-2.0
// The softmax attention of every eighth layer: grouped queries, partial rope, paged keys and values.
#pragma once

#include "engine/model/config.h"
#include "engine/model/step.h"
#include "engine/model/tensor_names.h"
#include "engine/tensor/weight.h"
#include "engine/weights/weight_source.h"

namespace minimax {

// Immutable; borrows its weights from the source.
class SoftmaxAttention {
 public:
  // index: counted among softmax layers.
  SoftmaxAttention(const ModelConfig& config, int64_t index, const SoftmaxTensors& tensors,
                   WeightSource& source);

  // out = o_proj(attention(rope(q_proj(u)), rope(k_proj(u)), v_proj(u)))
  //
  //   u    [T, W]  normed input of the layer
  //   out  [T, W]
  void forward(Step& step, const Tensor& u, const Tensor& out) const;

  // Scratch that forward takes from the arena for T tokens.
  static size_t scratch_bytes(const ModelConfig& config, int64_t tokens, DType activation);

 private:
  int64_t head_count_, kv_head_count_, head_dim_, index_;
  Rope rope_;
  Weight q_proj_;  // [H * D, W]
  Weight k_proj_;  // [G * D, W]
  Weight v_proj_;  // [G * D, W]
  Weight o_proj_;  // [W, H * D]
};

}  // namespace minimax
