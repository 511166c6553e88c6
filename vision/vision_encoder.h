// SPDX-License-Identifier: Apache-2.0
// Picture in, rows for the text model out: tiles through the tower, patches through the projector, laid
// out as the text model expects them.
#pragma once

#include <atomic>
#include <functional>

#include "base/thread_pool.h"
#include "vision/image.h"
#include "vision/vision_tower.h"

namespace minimax {

// Told of finished tiles; true: stop.
using TileProgress = std::function<bool(int64_t done, int64_t total)>;

// One thread at a time. Weights are borrowed from the source, which must outlive it.
class VisionEncoder {
 public:
  VisionEncoder(const VisionConfig& config, WeightSource& source, Backend& backend);

  const VisionConfig& config() const { return config_; }
  // The largest step that the tower hands to the backend.
  static StepLimits step_limits(const VisionConfig& config, const Backend& backend);
  // Memory for one picture at a time, whatever its size: plus pixels, and the rows of all its tiles.
  static size_t workspace_bytes(const VisionConfig& config, const Backend& backend);

  // rows [plan.token_count, W] act: the thumbnail's patches, then the kept rows of the canvas with a
  // newline behind each. MINIMAX_CANCELLED when progress says so; MINIMAX_OUT_OF_MEMORY.
  void encode(const Image& image, const TilePlan& plan, ThreadPool& threads,
              const TileProgress& progress, const Tensor& rows);

 private:
  void run_tower(const Tensor& patches, const TileProgress& progress, const Tensor& tower_rows);
  void project(const TilePlan& plan, const Tensor& tower_rows, const Tensor& rows);

  VisionConfig config_;
  Backend& backend_;
  const VisionNaming naming_;
  VisionTower tower_;
  BiasedWeight linear_1_;  // [W, VW]
  BiasedWeight linear_2_;  // [W, W]
  Tensor newline_;         // [1, W] act
  Arena arena_;
};

}  // namespace minimax
