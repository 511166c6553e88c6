// SPDX-License-Identifier: Apache-2.0
// A picture cut into tiles and these into patches: the numbers that a vision tower begins with.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "vision/image.h"
#include "vision/tile_plan.h"

namespace minimax {

// Numbers become (x / 255 - mean) / deviation, channel by channel (red, green, blue).
struct PixelNorm {
  float mean[3];
  float deviation[3];
};

// Patches of all tiles, thumbnail first, tiles and patches row by row (docs/model.md §7.1):
//
//   out  [tile_count * (S / P)^2, 3, P, P] f32    S = layout.tile_size, P = layout.patch_size
//
// so that a row of 3 * P * P numbers lies as a row of the tower's convolution weights does.
void make_patches(const Image& image, const TilePlan& plan, const TileLayout& layout,
                  const PixelNorm& norm, ThreadPool& threads, std::span<float> out);

}  // namespace minimax
