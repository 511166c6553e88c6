// SPDX-License-Identifier: Apache-2.0
// A matrix of a linear layer in whatever format it is kept.
#pragma once

#include "engine/tensor/tensor.h"

namespace minimax {

// A value type; borrows its numbers from the WeightSource that made it. Layers never ask for the
// format: they hand the Weight to ops::linear or ops::moe.
struct Weight {
  Tensor values;  // [N, K] bf16 or f32, row n holds the inputs of output n

  int64_t output_width() const { return values.dim(0); }
  int64_t input_width() const { return values.dim(1); }
};

// One expert: down(silu(gate(x)) * up(x)).
struct ExpertWeights {
  Weight gate;  // [F, W]
  Weight up;    // [F, W]
  Weight down;  // [W, F]
};

}  // namespace minimax
