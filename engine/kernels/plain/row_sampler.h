// SPDX-License-Identifier: Apache-2.0
// ops::sample for one row in the host's memory, which the plain loops and the CPU have in common.
#pragma once

#include <vector>

#include "engine/draw.h"
#include "engine/ops/views.h"

namespace minimax {

// One thread at a time.
class RowSampler {
 public:
  int32_t draw(const LogitsRow& row, const Tensor& suppressed);
  float logprob(int32_t token) const;  // in the row that was drawn from; not said of -1

 private:
  std::vector<float> logits_;  // [V] those that may be drawn
  Drawer drawer_;
};

}  // namespace minimax
