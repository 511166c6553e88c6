// SPDX-License-Identifier: Apache-2.0
// Tiles and tokens of pictures, against numbers worked out from the released model's own rules.
#include "vision/tile_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>

#include "base/error.h"

namespace minimax {
namespace {

// The 28 candidates of MiniMax-VL-01.
TileLayout released_layout() {
  TileLayout layout{{}, 336, 14};
  for (int64_t a = 1; a <= 6; ++a) {
    const int64_t most = a <= 3 ? 6 : a == 4 ? 4 : 3;
    for (int64_t b = 1; b <= most; ++b) layout.resolutions.push_back({336 * a, 336 * b});
  }
  return layout;
}

struct Example {
  PixelSize picture, resolution;
  int64_t tile_count;
  PixelSize resized;
  int64_t paste_x, paste_y, kept_columns, kept_rows, token_count;
};

void PrintTo(const Example& example, std::ostream* out) {
  *out << example.picture.width << " x " << example.picture.height;
}

class TilePlanExample : public ::testing::TestWithParam<Example> {};

TEST_P(TilePlanExample, IsPlannedAsTheReleasedModelDoes) {
  const Example& expected = GetParam();
  const TilePlan plan = plan_tiles(expected.picture, released_layout());
  EXPECT_EQ(plan.resolution, expected.resolution);
  EXPECT_EQ(plan.tile_count(), expected.tile_count);
  EXPECT_EQ(plan.resized, expected.resized);
  EXPECT_EQ(plan.paste_x, expected.paste_x);
  EXPECT_EQ(plan.paste_y, expected.paste_y);
  EXPECT_EQ(plan.kept_columns, expected.kept_columns);
  EXPECT_EQ(plan.kept_rows, expected.kept_rows);
  EXPECT_EQ(plan.token_count, expected.token_count);
}

INSTANTIATE_TEST_SUITE_P(
    Released, TilePlanExample,
    ::testing::Values(Example{{336, 336}, {336, 336}, 2, {336, 336}, 0, 0, 24, 24, 1176},
                      Example{{1000, 500}, {1008, 672}, 7, {1008, 504}, 0, 84, 72, 36, 3204},
                      Example{{2016, 2016}, {1344, 1344}, 17, {1344, 1344}, 0, 0, 96, 96, 9888},
                      Example{{100, 2000}, {336, 2016}, 7, {100, 2016}, 118, 0, 8, 144, 1872},
                      Example{{500, 1000}, {672, 1008}, 7, {504, 1008}, 84, 0, 36, 72, 3240},
                      Example{{640, 480}, {672, 672}, 5, {672, 504}, 0, 84, 48, 36, 2340},
                      Example{{1024, 1024}, {1344, 1344}, 17, {1344, 1344}, 0, 0, 96, 96, 9888},
                      Example{{1920, 1080}, {2016, 1008}, 19, {1792, 1008}, 112, 0, 128, 72, 9864},
                      Example{{4000, 3000}, {1344, 1008}, 13, {1344, 1008}, 0, 0, 96, 72, 7560},
                      Example{{3000, 300}, {2016, 336}, 7, {2016, 201}, 0, 67, 144, 14, 2606}));

TEST(TilePlan, OfTheLongerListUsesLargerCanvases) {
  TileLayout layout{{}, 336, 14};
  for (int64_t a = 1; a <= 6; ++a) {
    for (int64_t b = 1; b <= 6; ++b) layout.resolutions.push_back({336 * a, 336 * b});
  }
  const TilePlan plan = plan_tiles({2016, 2016}, layout);
  EXPECT_EQ(plan.tile_count(), 37);
  EXPECT_EQ(plan.token_count, 21456);
}

// 1377 * (1008 / 1377) is 1007 and a fraction in doubles: the canvas of 1008 x 1680 then shows no more
// of the picture than the smaller one.
TEST(TilePlan, ChoosesWithTheRoundingOfDoubles) {
  EXPECT_EQ(plan_tiles({1377, 1837}, released_layout()).resolution, (PixelSize{1008, 1344}));
  EXPECT_EQ(plan_tiles({4571, 3428}, released_layout()).resolution, (PixelSize{1344, 1008}));
  EXPECT_EQ(plan_tiles({2861, 4771}, released_layout()).resolution, (PixelSize{1008, 1680}));
}

TEST(TilePlan, OfATinyPictureIsAThumbnailAndATile) {
  const TilePlan plan = plan_tiles({1, 1}, released_layout());
  EXPECT_EQ(plan.tile_count(), 2);
  EXPECT_EQ(plan.token_count, 1176);
}

TEST(TilePlan, HoldsTogetherForRandomSizes) {
  const TileLayout layout = released_layout();
  TileLayout backwards = layout;
  std::reverse(backwards.resolutions.begin(), backwards.resolutions.end());
  std::mt19937 generator(1);
  std::uniform_int_distribution<int64_t> side(1, 5000);
  for (int i = 0; i < 20000; ++i) {
    const PixelSize picture{side(generator), side(generator)};
    SCOPED_TRACE(text("picture ", picture.width, " x ", picture.height));
    if (std::max(picture.width, picture.height) > 20 * std::min(picture.width, picture.height)) {
      continue;
    }
    const TilePlan plan = plan_tiles(picture, layout);
    EXPECT_EQ(plan.resolution, plan_tiles(picture, backwards).resolution);
    ASSERT_LE(plan.paste_x + plan.resized.width, plan.resolution.width);
    ASSERT_LE(plan.paste_y + plan.resized.height, plan.resolution.height);
    ASSERT_TRUE(plan.resized.width == plan.resolution.width ||
                plan.resized.height == plan.resolution.height);
    // Kept patches hold the whole picture but for what falls short of a patch at either end.
    ASSERT_GE(plan.kept_columns * 14 + 28, plan.resized.width);
    ASSERT_GE(plan.kept_rows * 14 + 28, plan.resized.height);
    ASSERT_LE(plan.kept_columns, plan.resolution.width / 14);
    ASSERT_LE(plan.kept_rows, plan.resolution.height / 14);
    ASSERT_GE(plan.token_count, 576 + 2);
    ASSERT_LE(plan.token_count, 11088);
  }
}

std::string refusal(PixelSize picture, const TileLayout& layout, minimax_status status) {
  try {
    plan_tiles(picture, layout);
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status);
    return error.message();
  }
  return "no error";
}

TEST(TilePlan, RefusesPicturesOfWhichNothingWouldRemain) {
  EXPECT_EQ(
      refusal({10000, 10}, released_layout(), MINIMAX_INVALID_ARGUMENT),
      "picture of 10000 x 10 pixels is too narrow: less than a patch remains of it at 2016 x 336");
  EXPECT_EQ(
      refusal({1, 1000}, released_layout(), MINIMAX_INVALID_ARGUMENT),
      "picture of 1 x 1000 pixels is too narrow: less than a patch remains of it at 336 x 1008");
  EXPECT_EQ(
      refusal({1 << 20, 1}, released_layout(), MINIMAX_INVALID_ARGUMENT),
      "picture of 1048576 x 1 pixels is too narrow: less than a patch remains of it at 336 x 336");
}

TEST(TilePlan, TakesTheNarrowestPictureOfWhichAPatchRemains) {
  const TilePlan plan = plan_tiles({10080, 70}, released_layout());
  EXPECT_EQ(plan.resized, (PixelSize{2016, 14}));
  EXPECT_EQ(plan.kept_columns, 144);
  EXPECT_EQ(plan.kept_rows, 2);
  EXPECT_THROW(plan_tiles({10081, 70}, released_layout()), Error);
}

TEST(TilePlan, RefusesSidesOutOfBounds) {
  constexpr int64_t huge = std::numeric_limits<int64_t>::max();
  for (const PixelSize picture : {PixelSize{0, 100},
                                  {100, 0},
                                  {0, 0},
                                  {-5, 100},
                                  {100, huge},
                                  {huge, huge},
                                  {(1 << 20) + 1, 1 << 20}}) {
    EXPECT_EQ(refusal(picture, released_layout(), MINIMAX_INVALID_ARGUMENT),
              text("picture has ", picture.width, " x ", picture.height,
                   " pixels, expected 1 to 1048576 each way"));
  }
  EXPECT_EQ(plan_tiles({1 << 20, 1 << 20}, released_layout()).token_count, 9888);
}

TEST(TilePlan, RefusesLayoutsThatDoNotFitTogether) {
  const auto refused = [](const TileLayout& layout) {
    return refusal({100, 100}, layout, MINIMAX_BAD_FILE);
  };
  constexpr auto not_tiles = " is not made of tiles of 336 pixels (image_grid_pinpoints)";
  EXPECT_EQ(refused({{}, 336, 14}), "no resolutions to choose from (image_grid_pinpoints)");
  EXPECT_EQ(refused({{{336, 336}}, 336, 15}),
            "tiles of 336 pixels in patches of 15, expected a whole number of patches");
  EXPECT_EQ(refused({{{336, 336}}, 0, 14}),
            "tiles of 0 pixels in patches of 14, expected a whole number of patches");
  EXPECT_EQ(refused({{{336, 336}}, 336, 0}),
            "tiles of 336 pixels in patches of 0, expected a whole number of patches");
  EXPECT_EQ(refused({{{336, 336}, {336, 500}}, 336, 14}), text("resolution 336 x 500", not_tiles));
  EXPECT_EQ(refused({{{0, 336}}, 336, 14}), text("resolution 0 x 336", not_tiles));
  EXPECT_EQ(refused({{{336, int64_t{336} << 40}}, 336, 14}),
            text("resolution 336 x ", int64_t{336} << 40, not_tiles));
}

}  // namespace
}  // namespace minimax
