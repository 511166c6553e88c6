// SPDX-License-Identifier: Apache-2.0
// The lightning attention of a layer: projections, the scan, norm and gate (docs/model.md §4).
#pragma once

#include "engine/model/config.h"
#include "engine/model/step.h"
#include "engine/model/tensor_names.h"
#include "engine/tensor/weight.h"
#include "engine/weights/weight_source.h"

namespace minimax {

// Immutable; borrows its weights from the source.
class LightningAttention {
 public:
  // layer: counted among all layers; index: among lightning layers.
  LightningAttention(const ModelConfig& config, int64_t layer, int64_t index,
                     const LightningTensors& tensors, WeightSource& source, Memory& memory);

  // out = out_proj(norm(scan(silu(qkv_proj(u)))) * sigmoid(output_gate(u)))
  //
  //   u    [T, W]  normed input of the layer
  //   out  [T, W]
  void forward(Step& step, const Tensor& u, const Tensor& out) const;

  // Scratch that forward takes from the arena for T tokens.
  static size_t scratch_bytes(const ModelConfig& config, int64_t tokens, DType activation);

 private:
  int64_t head_count_, head_dim_, index_;
  float norm_eps_;
  Weight qkv_proj_;     // [H * 3 * D, W], rows by head: q, k, v of head 0, then of head 1, ...
  Weight output_gate_;  // [H * D, W]
  Weight out_proj_;     // [W, H * D]
  Tensor norm_;         // [H * D] f32
  Buffer slope_memory_;
  Tensor slope_;  // [H] f32
};

}  // namespace minimax
