// SPDX-License-Identifier: Apache-2.0
#include "sdk/session_logits.h"

#include <algorithm>
#include <utility>

namespace minimax {

SessionLogits::SessionLogits(Engine& engine, std::vector<float> numbers)
    : engine_(&engine), on_host_(std::move(numbers)) {
  if (!on_host_.empty()) place_ = Place::host;
  on_host_.resize(static_cast<size_t>(engine.config().vocabulary_size));
  if (engine.memory_is_host()) return;
  buffer_ = engine.new_logits_room();
  on_device_ = buffer_.tensor(DType::f32, {engine.config().vocabulary_size});
}

void SessionLogits::take(int64_t, std::span<const float> row) {
  set(row);
}

void SessionLogits::arrived() {
  if (!on_device_.empty()) place_ = Place::device;
}

std::span<const float> SessionLogits::read() const {
  if (place_ == Place::device) {
    engine_->read_logits(on_device_, on_host_);
    place_ = Place::both;
  }
  return on_host_;
}

std::vector<float> SessionLogits::copy() const {
  if (!are_there()) return {};
  const std::span<const float> numbers = read();
  return {numbers.begin(), numbers.end()};
}

void SessionLogits::set(std::span<const float> numbers) {
  place_ = numbers.empty() ? Place::nowhere : Place::host;
  std::copy(numbers.begin(), numbers.end(), on_host_.begin());
}

}  // namespace minimax
