// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/plain/row_sampler.h"

#include <limits>

namespace minimax {

int32_t RowSampler::draw(const LogitsRow& row, const Tensor& suppressed) {
  const auto count = static_cast<size_t>(row.logits.dim(0));
  const float* const logits = row.logits.data<float>();
  const int32_t* const words = suppressed.data<int32_t>();
  logits_.resize(count);
  for (size_t v = 0; v < count; ++v) {
    const bool is_suppressed = (static_cast<uint32_t>(words[v / 32]) >> (v % 32) & 1) != 0;
    logits_[v] = is_suppressed ? -std::numeric_limits<float>::infinity() : drawable(logits[v]);
  }
  return drawer_.draw(logits_, row.rule);
}

float RowSampler::logprob(int32_t token) const {
  return token < 0 ? 0 : logprob_of(logits_, token);
}

}  // namespace minimax
