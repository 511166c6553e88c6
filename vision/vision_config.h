// SPDX-License-Identifier: Apache-2.0
// The part of a checkpoint's configuration that speaks of pictures.
#pragma once

#include <cstdint>
#include <filesystem>

#include "vision/tile_plan.h"
#include "vision/tiles.h"

namespace minimax {

// Sizes of the tower and the projector (docs/model.md §7). Letters: VW tower width, W text model width.
struct VisionConfig {
  TileLayout tiles;
  PixelNorm norm;
  int64_t width;         // VW
  int64_t mlp_width;     // of a block
  int64_t head_count;    // width is a multiple
  int64_t block_count;   // that the checkpoint has
  int64_t blocks_used;   // vision_feature_layer says after which one the rows are taken
  int64_t output_width;  // W
  float norm_eps;

  int64_t patches_of_tile() const {
    const int64_t side = tiles.tile_size / tiles.patch_size;
    return side * side;
  }
  int64_t patch_numbers() const { return 3 * tiles.patch_size * tiles.patch_size; }
};

// Reads config.json and, where it is there, preprocessor_config.json of a model's folder; `path` may
// name config.json itself. MINIMAX_UNSUPPORTED when the model takes no pictures, or differs from
// VL-01 in a way that this code cannot follow; MINIMAX_BAD_FILE.
VisionConfig read_vision_config(const std::filesystem::path& path);

}  // namespace minimax
