// SPDX-License-Identifier: Apache-2.0
#include "engine/model/step.h"

#include <cassert>

namespace minimax {

Step::Step(Backend& backend, Arena& arena, const ModelConfig& config, DType kv_type,
           int64_t page_tokens, size_t most_sequences)
    : backend_(backend),
      arena_(arena),
      kv_layout_{kv_type, page_tokens, config.kv_head_count, config.head_dim, 0} {
  spans_.reserve(most_sequences);
  lightning_.reserve(most_sequences);
  kv_.reserve(most_sequences);
  replaced_.reserve(most_sequences);
}

void Step::begin(LayerTap* tap) {
  tap_ = tap;
  token_count_ = 0;
  spans_.clear();
  lightning_.clear();
  kv_.clear();
  replaced_.clear();
}

void Step::add(const Timeline& timeline, int64_t count) {
  assert(spans_.size() < spans_.capacity());
  const SequenceSpan span{token_count_, count, timeline.position()};
  spans_.push_back(span);
  lightning_.push_back({span, timeline.committed(), timeline.committed_after(count),
                        timeline.state(0), timeline.log(0)});
  kv_.push_back({span, timeline.pages()});
  token_count_ += count;
}

KvLayout Step::kv_layout(int64_t i) const {
  KvLayout layout = kv_layout_;
  layout.layer_offset = static_cast<size_t>(2 * i) * layout.plane_bytes();
  return layout;
}

size_t Step::page_bytes(const ModelConfig& config, DType kv_type, int64_t page_tokens) {
  const KvLayout layout{kv_type, page_tokens, config.kv_head_count, config.head_dim, 0};
  return static_cast<size_t>(2 * config.softmax_layer_count()) * layout.plane_bytes();
}

}  // namespace minimax
