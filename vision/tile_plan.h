// SPDX-License-Identifier: Apache-2.0
// How a picture of any resolution becomes tiles, and how many tokens these become: computed from its
// size alone, before any pixel is touched.
#pragma once

#include <cstdint>
#include <vector>

namespace minimax {

struct PixelSize {
  int64_t width;
  int64_t height;
  bool operator==(const PixelSize&) const = default;
};

// What a checkpoint says of its pictures.
struct TileLayout {
  std::vector<PixelSize> resolutions;  // candidates, each of whole tiles
  int64_t tile_size;                   // 336: a tile is a square of so many pixels
  int64_t patch_size;                  // 14: a patch likewise, and an embedding row
};

// One picture (docs/model.md §7.1, §7.2).
struct TilePlan {
  PixelSize resolution;  // one of the candidates: the canvas
  int64_t tile_columns, tile_rows;
  PixelSize resized;         // the picture on the canvas, its ratio kept
  int64_t paste_x, paste_y;  // where its upper left corner lies; around it the canvas is black
  int64_t kept_columns, kept_rows;  // patches of the canvas that hold some of the picture
  int64_t token_count;  // the thumbnail's patches, then the kept rows, each with a newline

  // The thumbnail included, which comes first.
  int64_t tile_count() const { return tile_columns * tile_rows + 1; }
};

// Chooses the candidate that keeps most of the picture's pixels, then wastes least of its own, then
// comes first. MINIMAX_INVALID_ARGUMENT for a picture without pixels, with a side above 2^20, or so
// narrow that no patch would remain; MINIMAX_BAD_FILE for a layout that does not fit together.
TilePlan plan_tiles(PixelSize picture, const TileLayout& layout);

}  // namespace minimax
