// SPDX-License-Identifier: Apache-2.0
#include "engine/state/timeline.h"

#include <algorithm>
#include <cassert>

#include "base/error.h"

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

Timeline::Timeline(const TimelineShape& shape, int64_t page_tokens, Memory& memory, PagePool& pool,
                   InitialState initial)
    : shape_(shape), memory_(&memory), pages_(pool, page_tokens), lightning_(new_lightning()) {
  if (initial == InitialState::undefined) return;
  memory_->zero(lightning_->states.data(), lightning_->states.size_bytes());
  memory_->zero(lightning_->logs.data(), lightning_->logs.size_bytes());
}

Timeline::Timeline(const TimelineMark& mark, Memory& memory)
    : shape_(mark.shape),
      memory_(&memory),
      tokens_(mark.tokens),
      committed_(mark.committed),
      pages_(KvPages::like(mark.pages)),
      lightning_(mark.lightning) {
  pages_.share(mark.pages, position());
}

std::shared_ptr<LightningMemory> Timeline::new_lightning() const {
  const auto layers = static_cast<size_t>(shape_.lightning_layer_count);
  auto fresh = std::make_shared<LightningMemory>();
  fresh->states = Buffer(*memory_, layers * state_size(shape_));
  fresh->logs = Buffer(*memory_, layers * log_size(shape_));
  return fresh;
}

// Nothing is copied of an empty timeline: its states are zero.
void Timeline::own_lightning() {
  if (lightning_.use_count() == 1) return;
  const std::shared_ptr<LightningMemory> own = new_lightning();
  if (committed_ == 0) {
    memory_->zero(own->states.data(), own->states.size_bytes());
  } else {
    memory_->copy(own->states.data(), lightning_->states.data(), own->states.size_bytes());
  }
  memory_->copy(own->logs.data(), lightning_->logs.data(), own->logs.size_bytes());
  lightning_ = own;
}

std::unique_ptr<TimelineMark> Timeline::mark() const {
  std::unique_ptr<TimelineMark> made(
      new TimelineMark{shape_, tokens_, committed_, lightning_, KvPages::like(pages_)});
  made->pages.share(pages_, position());
  return made;
}

void Timeline::return_to(const TimelineMark& mark) {
  if (mark.shape.log_rows != shape_.log_rows || mark.shape.rewind_tokens != shape_.rewind_tokens) {
    fail(MINIMAX_UNSUPPORTED, "the mark is of a session with rewind_tokens ",
         mark.shape.rewind_tokens, ", this one has ", shape_.rewind_tokens);
  }
  std::vector<int32_t> tokens(mark.tokens);
  pages_.share(mark.pages, static_cast<int64_t>(tokens.size()));
  tokens_ = std::move(tokens);
  committed_ = mark.committed;
  lightning_ = mark.lightning;
}

size_t Timeline::state_bytes() const {
  return lightning_->states.size_bytes() + lightning_->logs.size_bytes();
}

int64_t Timeline::committed_after(int64_t count) const {
  const int64_t folded = position() + count - shape_.rewind_tokens;
  return std::max(committed_, folded / shape_.fold_tokens * shape_.fold_tokens);
}

void Timeline::reserve(int64_t count) {
  const size_t needed = tokens_.size() + static_cast<size_t>(count);
  if (needed > tokens_.capacity()) tokens_.reserve(std::max(needed, tokens_.capacity() * 2));
  own_lightning();
  pages_.own_next(position(), *memory_);
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

void Timeline::restore(std::vector<int32_t> tokens, int64_t committed) noexcept {
  assert(tokens_.empty() && committed >= 0 && committed % shape_.fold_tokens == 0);
  [[maybe_unused]] const auto position = static_cast<int64_t>(tokens.size());
  assert(committed <= position && position - committed <= shape_.log_rows);
  assert(static_cast<int64_t>(pages_.pages().size()) * pages_.page_tokens() >= position);
  tokens_ = std::move(tokens);
  committed_ = committed;
}

void Timeline::reset() noexcept {
  tokens_.clear();
  committed_ = 0;
  pages_.clear();
  // Shared states stay as they are: reserve() takes others, which begin at zero.
  if (lightning_.use_count() > 1) return;
  memory_->zero(lightning_->states.data(), lightning_->states.size_bytes());
}

Tensor Timeline::state(int64_t i) const {
  const int64_t width = shape_.head_dim;
  auto* data = static_cast<std::byte*>(lightning_->states.data()) +
               static_cast<size_t>(i) * state_size(shape_);
  return {data, DType::f32, {shape_.head_count, width, width}};
}

Tensor Timeline::log(int64_t i) const {
  auto* data =
      static_cast<std::byte*>(lightning_->logs.data()) + static_cast<size_t>(i) * log_size(shape_);
  return {data, shape_.log_type, {shape_.head_count, 2, shape_.log_rows, shape_.head_dim}};
}

}  // namespace minimax
