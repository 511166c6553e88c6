// SPDX-License-Identifier: Apache-2.0
// The mixture of experts of a layer: a router, and the experts it chooses for each token.
#pragma once

#include <vector>

#include "engine/model/config.h"
#include "engine/model/step.h"
#include "engine/model/tensor_names.h"
#include "engine/tensor/weight.h"
#include "engine/weights/weight_source.h"

namespace minimax {

// Immutable; borrows its weights from the source.
class Moe {
 public:
  Moe(const ModelConfig& config, const MoeTensors& tensors, WeightSource& source);

  // out = sum over the chosen experts of share * w2(silu(w1(v)) * w3(v))
  //
  //   v    [T, W]  normed input of the block
  //   out  [T, W]
  void forward(Step& step, const Tensor& v, const Tensor& out) const;

  // Scratch that forward takes from the arena for T tokens.
  static size_t scratch_bytes(const ModelConfig& config, int64_t tokens);

 private:
  int64_t experts_per_token_;
  RouterPrecision router_precision_;
  Tensor router_;                       // [X, W] f32
  std::vector<ExpertWeights> experts_;  // X of them
};

}  // namespace minimax
