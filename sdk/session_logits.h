// SPDX-License-Identifier: Apache-2.0
// The logits after a session's last token: they stay where they were made until somebody asks to see them.
#pragma once

#include <span>
#include <vector>

#include "engine/engine.h"

namespace minimax {

// One thread at a time; read() counts as a change. As the sink of a step that makes one row it keeps that row: on a
// device with memory of its own there, which whoever computed the step tells by arrived(); else on the host.
class SessionLogits final : public LogitsSink {
 public:
  // The engine must outlive it. numbers: [V], or empty. MINIMAX_OUT_OF_MEMORY.
  explicit SessionLogits(Engine& engine, std::vector<float> numbers = {});

  void take(int64_t index, std::span<const float> row) override;
  Tensor room_on_device() override { return on_device_; }
  void arrived();

  bool are_there() const { return place_ != Place::nowhere; }
  bool are_on_device() const { return place_ == Place::device || place_ == Place::both; }
  void clear() { place_ = Place::nowhere; }
  // [V] on the host, always at the same address; copied from the device when they are asked for first. What is there
  // without logits is not said.
  std::span<const float> read() const;
  // [V] f32 of are_on_device().
  const Tensor& on_device() const { return on_device_; }
  // As a mark keeps them: empty when there are none.
  std::vector<float> copy() const;
  // What copy() gave.
  void set(std::span<const float> numbers);

 private:
  enum class Place { nowhere, host, device, both };

  Engine* engine_;
  Buffer buffer_;  // none where the host's memory is the device's
  Tensor on_device_;
  mutable std::vector<float> on_host_;  // [V]
  mutable Place place_ = Place::nowhere;
};

}  // namespace minimax
