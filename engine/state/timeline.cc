// SPDX-License-Identifier: Apache-2.0
#include "engine/state/timeline.h"

#include <algorithm>
#include <cassert>

namespace minimax {
namespace {

size_t state_size(const TimelineShape& shape) {
  return static_cast<size_t>(shape.head_count * shape.head_dim * shape.head_dim) * sizeof(float);
}

size_t log_size(const TimelineShape& shape) {
  return static_cast<size_t>(shape.head_count * 2 * shape.log_rows * shape.head_dim) *
         size_of(shape.log_type);
}

}  // namespace

Timeline::Timeline(const TimelineShape& shape, int64_t page_tokens, Memory& memory, PagePool& pool)
    : shape_(shape),
      memory_(&memory),
      pages_(pool, page_tokens),
      states_(memory, static_cast<size_t>(shape.lightning_layer_count) * state_size(shape)),
      logs_(memory, static_cast<size_t>(shape.lightning_layer_count) * log_size(shape)) {
  memory_->zero(states_.data(), states_.size_bytes());
  memory_->zero(logs_.data(), logs_.size_bytes());
}

int64_t Timeline::committed_after(int64_t count) const {
  const int64_t folded = position() + count - shape_.rewind_tokens;
  return std::max(committed_, folded / shape_.fold_tokens * shape_.fold_tokens);
}

void Timeline::reserve(int64_t count) {
  const size_t needed = tokens_.size() + static_cast<size_t>(count);
  if (needed > tokens_.capacity()) tokens_.reserve(std::max(needed, tokens_.capacity() * 2));
  pages_.reserve(position() + count);
}

void Timeline::advance(std::span<const int32_t> tokens) noexcept {
  committed_ = committed_after(static_cast<int64_t>(tokens.size()));
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

void Timeline::rewind(int64_t position) noexcept {
  assert(position >= committed_ && position <= this->position());
  tokens_.resize(static_cast<size_t>(position));
  pages_.shrink(position);
}

void Timeline::reset() noexcept {
  tokens_.clear();
  committed_ = 0;
  pages_.clear();
  memory_->zero(states_.data(), states_.size_bytes());
}

Tensor Timeline::state(int64_t i) const {
  const int64_t width = shape_.head_dim;
  auto* data =
      static_cast<std::byte*>(states_.data()) + static_cast<size_t>(i) * state_size(shape_);
  return {data, DType::f32, {shape_.head_count, width, width}};
}

Tensor Timeline::log(int64_t i) const {
  auto* data = static_cast<std::byte*>(logs_.data()) + static_cast<size_t>(i) * log_size(shape_);
  return {data, shape_.log_type, {shape_.head_count, 2, shape_.log_rows, shape_.head_dim}};
}

}  // namespace minimax
