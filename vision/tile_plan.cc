// SPDX-License-Identifier: Apache-2.0
#include "vision/tile_plan.h"

#include <algorithm>

#include "base/error.h"

namespace minimax {
namespace {

constexpr int64_t largest_side = int64_t{1} << 20;  // products of three sides still fit

void check_layout(const TileLayout& layout) {
  const int64_t tile = layout.tile_size, patch = layout.patch_size;
  require_file(tile >= 1 && tile <= largest_side && patch >= 1 && tile % patch == 0, "tiles of ",
               tile, " pixels in patches of ", patch, ", expected a whole number of patches");
  require_file(!layout.resolutions.empty(), "no resolutions to choose from (image_grid_pinpoints)");
  for (const PixelSize& size : layout.resolutions) {
    const auto fits = [&](int64_t side) {
      return side >= tile && side <= largest_side && side % tile == 0;
    };
    require_file(fits(size.width) && fits(size.height), "resolution ", size.width, " x ",
                 size.height, " is not made of tiles of ", tile, " pixels (image_grid_pinpoints)");
  }
}

void check_picture(PixelSize picture) {
  const auto fits = [](int64_t side) { return side >= 1 && side <= largest_side; };
  require(fits(picture.width) && fits(picture.height), "picture has ", picture.width, " x ",
          picture.height, " pixels, expected 1 to ", largest_side, " each way");
}

bool is_wider(PixelSize a, PixelSize b) {
  return a.width * b.height > b.width * a.height;
}

// The largest size of the picture's ratio within a frame, in whole pixels.
PixelSize fitted(PixelSize picture, PixelSize frame) {
  if (is_wider(picture, frame)) return {frame.width, picture.height * frame.width / picture.width};
  return {picture.width * frame.height / picture.height, frame.height};
}

// Pixels of the picture that a candidate shows; enlarging a picture adds none. Computed as the released
// image processor does: its scale is a rounded double, so that a side may come out a pixel short, which
// decides between candidates for one picture in ten thousand.
int64_t kept_pixels(PixelSize picture, PixelSize candidate) {
  const double width = static_cast<double>(picture.width);
  const double height = static_cast<double>(picture.height);
  const double scale = std::min(static_cast<double>(candidate.width) / width,
                                static_cast<double>(candidate.height) / height);
  const int64_t shown = static_cast<int64_t>(width * scale) * static_cast<int64_t>(height * scale);
  return std::min(shown, picture.width * picture.height);
}

PixelSize choose_resolution(PixelSize picture, const std::vector<PixelSize>& candidates) {
  PixelSize best = candidates.front();
  int64_t best_kept = -1, best_waste = 0;
  for (const PixelSize& candidate : candidates) {
    const int64_t kept = kept_pixels(picture, candidate);
    const int64_t waste = candidate.width * candidate.height - kept;
    if (kept > best_kept || (kept == best_kept && waste < best_waste)) {
      best = candidate;
      best_kept = kept;
      best_waste = waste;
    }
  }
  return best;
}

// Of `all` patches in a row or column, those that remain when as many are cut off either end as leave
// room for `needed`.
int64_t kept_of(int64_t all, int64_t needed) {
  return all - (all - needed) / 2 * 2;
}

}  // namespace

TilePlan plan_tiles(PixelSize picture, const TileLayout& layout) {
  check_layout(layout);
  check_picture(picture);
  TilePlan plan{};
  plan.resolution = choose_resolution(picture, layout.resolutions);
  plan.tile_columns = plan.resolution.width / layout.tile_size;
  plan.tile_rows = plan.resolution.height / layout.tile_size;
  plan.resized = fitted(picture, plan.resolution);
  plan.paste_x = (plan.resolution.width - plan.resized.width) / 2;
  plan.paste_y = (plan.resolution.height - plan.resized.height) / 2;

  // Counted from the picture's own size, not from the resized one: that would round twice.
  const PixelSize patches{plan.resolution.width / layout.patch_size,
                          plan.resolution.height / layout.patch_size};
  const PixelSize needed = fitted(picture, patches);
  plan.kept_columns = kept_of(patches.width, needed.width);
  plan.kept_rows = kept_of(patches.height, needed.height);
  require(needed.width > 0 && needed.height > 0, "picture of ", picture.width, " x ",
          picture.height, " pixels is too narrow: less than a patch remains of it at ",
          plan.resolution.width, " x ", plan.resolution.height);
  const int64_t tile_patches = layout.tile_size / layout.patch_size;
  plan.token_count = tile_patches * tile_patches + (plan.kept_columns + 1) * plan.kept_rows;
  return plan;
}

}  // namespace minimax
