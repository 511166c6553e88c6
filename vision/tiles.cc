// SPDX-License-Identifier: Apache-2.0
#include "vision/tiles.h"

#include <array>
#include <cassert>
#include <cstring>
#include <memory>

#include "vision/resample.h"

namespace minimax {
namespace {

// What each byte of a channel becomes.
using ByteTable = std::array<float, 256>;
using ByteTables = std::array<ByteTable, 3>;

ByteTables make_tables(const PixelNorm& norm) {
  ByteTables tables;
  for (size_t c = 0; c < 3; ++c) {
    for (size_t x = 0; x < 256; ++x) {
      tables[c][x] = (static_cast<float>(x) / 255 - norm.mean[c]) / norm.deviation[c];
    }
  }
  return tables;
}

// A black picture of its own.
struct Canvas {
  explicit Canvas(PixelSize size)
      : pixels(new_pixels(size)), view{pixels.get(), size, static_cast<size_t>(size.width) * 3} {}

  static std::unique_ptr<uint8_t[]> new_pixels(PixelSize size) {
    return std::make_unique<uint8_t[]>(static_cast<size_t>(size.width * size.height) * 3);
  }

  RgbView part(int64_t x, int64_t y, PixelSize size) const {
    return {view.pixels + static_cast<size_t>(y) * view.stride + static_cast<size_t>(x) * 3, size,
            view.stride};
  }

  std::unique_ptr<uint8_t[]> pixels;
  RgbView view;
};

// A row of patches that begins at `pixels`: out [patch_count, 3, patch, patch].
void write_patches(const uint8_t* pixels, size_t stride, int64_t patch, int64_t patch_count,
                   const ByteTables& tables, float* out) {
  for (int64_t p = 0; p < patch_count; ++p) {
    const uint8_t* corner = pixels + p * patch * 3;
    for (size_t c = 0; c < 3; ++c) {
      const float* table = tables[c].data();
      for (int64_t y = 0; y < patch; ++y) {
        const uint8_t* row = corner + static_cast<size_t>(y) * stride + c;
        for (int64_t x = 0; x < patch; ++x) *out++ = table[row[3 * x]];
      }
    }
  }
}

}  // namespace

void make_patches(const Image& image, const TilePlan& plan, const TileLayout& layout,
                  const PixelNorm& norm, ThreadPool& threads, std::span<float> out) {
  const int64_t tile = layout.tile_size, patch = layout.patch_size;
  const int64_t across = tile / patch;
  assert(static_cast<int64_t>(out.size()) == plan.tile_count() * tile * tile * 3);
  const ConstRgbView picture{image.pixels().data(), image.size(),
                             static_cast<size_t>(image.size().width) * 3};
  const Canvas thumbnail({tile, tile});
  const Canvas canvas(plan.resolution);
  resize_bicubic(picture, thumbnail.view, threads);
  resize_bicubic(picture, canvas.part(plan.paste_x, plan.paste_y, plan.resized), threads);

  const ByteTables tables = make_tables(norm);
  threads.for_each(plan.tile_count() * across, [&](int64_t index) {
    const int64_t which = index / across, y = index % across * patch;
    const int64_t on_canvas = which - 1;  // the thumbnail is tile 0
    const RgbView row = which == 0
                            ? thumbnail.part(0, y, {tile, patch})
                            : canvas.part(on_canvas % plan.tile_columns * tile,
                                          on_canvas / plan.tile_columns * tile + y, {tile, patch});
    write_patches(row.pixels, row.stride, patch, across, tables,
                  out.data() + index * tile * patch * 3);
  });
}

}  // namespace minimax
