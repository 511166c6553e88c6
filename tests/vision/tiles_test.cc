// SPDX-License-Identifier: Apache-2.0
// Patches of pictures: against pixel values of the released model's own rules, and at any thread count.
#include "vision/tiles.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/support/golden_file.h"

namespace minimax {
namespace {

const std::filesystem::path golden_folder = MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l";

struct Preprocessing {
  TileLayout layout;
  PixelNorm norm;
};

Preprocessing golden_preprocessing() {
  const auto json =
      nlohmann::json::parse(std::ifstream(golden_folder / "preprocessor_config.json"));
  Preprocessing all{{{}, json["size"]["width"], json["patch_size"]}, {}};
  for (const auto& pair : json["image_grid_pinpoints"]) {
    all.layout.resolutions.push_back({pair[0], pair[1]});
  }
  for (size_t c = 0; c < 3; ++c) {
    all.norm.mean[c] = json["image_mean"][c];
    all.norm.deviation[c] = json["image_std"][c];
  }
  return all;
}

std::vector<float> patches_of(const Image& image, const Preprocessing& how, int thread_count) {
  const TilePlan plan = plan_tiles(image.size(), how.layout);
  const int64_t side = how.layout.tile_size;
  std::vector<float> patches(static_cast<size_t>(plan.tile_count() * side * side * 3), -100.0f);
  ThreadPool threads(thread_count);
  make_patches(image, plan, how.layout, how.norm, threads, patches);
  return patches;
}

// [tiles * (S / P)^2, 3, P, P] as [tiles, 3, S, S].
std::vector<float> tiles_of_patches(const std::vector<float>& patches, const TileLayout& layout) {
  const auto tile = static_cast<size_t>(layout.tile_size);
  const auto patch = static_cast<size_t>(layout.patch_size);
  const size_t across = tile / patch;
  std::vector<float> tiles(patches.size());
  for (size_t i = 0; i < patches.size(); ++i) {
    const size_t x = i % patch, y = i / patch % patch, c = i / (patch * patch) % 3;
    const size_t column = i / (3 * patch * patch) % across;
    const size_t row = i / (3 * patch * patch * across) % across;
    const size_t t = i / (3 * tile * tile);
    tiles[((t * 3 + c) * tile + row * patch + y) * tile + column * patch + x] = patches[i];
  }
  return tiles;
}

class GoldenPicture : public ::testing::TestWithParam<int> {};

// Equal to the last bit but for one number in a thousand, and these within a step of 8 bits.
TEST_P(GoldenPicture, HasTheReferencesPixelValues) {
  const testing::GoldenFile golden(golden_folder / "golden.safetensors");
  const Preprocessing how = golden_preprocessing();
  const Image image = Image::read(golden_folder / ("image_" + std::to_string(GetParam()) + ".png"));
  const auto& expected = golden["pixel_values_" + std::to_string(GetParam())];
  const std::vector<float> ours = tiles_of_patches(patches_of(image, how, 1), how.layout);
  ASSERT_EQ(ours.size(), expected.numbers.size());

  const size_t tile_pixels = ours.size() / static_cast<size_t>(expected.dims[0]) / 3;
  size_t different = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const float step = 1 / 255.0f / how.norm.deviation[i / tile_pixels % 3];
    const float difference = std::abs(ours[i] - expected.numbers[i]);
    ASSERT_LE(difference, 1.001f * step) << "number " << i;
    if (difference > 0) ++different;
  }
  EXPECT_LE(different * 1000, ours.size());
}

INSTANTIATE_TEST_SUITE_P(Vl01, GoldenPicture, ::testing::Range(0, 6));

Image noise(int64_t width, int64_t height) {
  std::mt19937 generator(7);
  std::vector<uint8_t> pixels(static_cast<size_t>(width * height * 3));
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(generator());
  return Image::from_rgb(pixels.data(), width, height, static_cast<size_t>(width) * 3);
}

TEST(MakePatches, GivesTheSameForAnyNumberOfThreads) {
  const Preprocessing how = golden_preprocessing();
  for (const auto& [width, height] : {std::pair{301, 97}, {64, 9}, {33, 333}}) {
    const Image image = noise(width, height);
    const std::vector<float> alone = patches_of(image, how, 1);
    EXPECT_EQ(alone, patches_of(image, how, 2));
    EXPECT_EQ(alone, patches_of(image, how, 5));
  }
}

TEST(MakePatches, WritesEveryNumber) {
  for (const float number : patches_of(noise(100, 13), golden_preprocessing(), 2)) {
    ASSERT_GT(number, -100.0f);
  }
}

TEST(MakePatches, LeavesTheCanvasBlackAroundThePicture) {
  const Preprocessing how = golden_preprocessing();
  const std::vector<uint8_t> white(56 * 28 * 3, 255);
  const Image image = Image::from_rgb(white.data(), 56, 28, 56 * 3);
  const TilePlan plan = plan_tiles(image.size(), how.layout);
  ASSERT_EQ(plan.tile_count(), 2);
  ASSERT_EQ(plan.paste_y, 14);
  const std::vector<float> tiles = tiles_of_patches(patches_of(image, how, 1), how.layout);
  for (size_t i = 0; i < tiles.size(); ++i) {
    const size_t c = i / (56 * 56) % 3, y = i / 56 % 56;
    const bool is_thumbnail = i < tiles.size() / 2;
    const float colour = is_thumbnail || (y >= 14 && y < 42) ? 1.0f : 0.0f;
    ASSERT_FLOAT_EQ(tiles[i], (colour - how.norm.mean[c]) / how.norm.deviation[c])
        << "number " << i;
  }
}

}  // namespace
}  // namespace minimax
