// SPDX-License-Identifier: Apache-2.0
// Pictures to rows, against what public implementations compute from the same pictures
// (tests/golden/README.md), on every kind of kernel this machine can run.
#include "vision/vision_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/plain/plain_backend.h"
#include "tests/support/golden_file.h"

namespace minimax {
namespace {

using testing::GoldenFile;
using testing::largest_difference;

constexpr double feature_bound = 1e-4;

struct Encoder {
  Encoder(const std::filesystem::path& folder, Backend& backend)
      : backend(backend),
        config(read_vision_config(folder)),
        source(Checkpoint::open(folder), backend.memory(), {}),
        encoder(config, source, backend) {
    backend.reserve(VisionEncoder::step_limits(config, backend));
  }

  std::vector<float> rows(const Image& image, const TileProgress& progress = nullptr) {
    const TilePlan plan = plan_tiles(image.size(), config.tiles);
    std::vector<float> out(static_cast<size_t>(plan.token_count * config.output_width), -7.0f);
    encoder.encode(image, plan, threads, progress,
                   Tensor(out.data(), DType::f32, {plan.token_count, config.output_width}));
    return out;
  }

  Backend& backend;
  VisionConfig config;
  CheckpointSource source;
  VisionEncoder encoder;
  ThreadPool threads{2};
};

void expect_features(Backend& backend, const std::string& label) {
  const std::filesystem::path folder = MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l";
  const GoldenFile golden(folder / "golden.safetensors");
  Encoder encoder(folder, backend);
  for (int i = 0; i < 6; ++i) {
    const Image image = Image::read(folder / text("image_", i, ".png"));
    const std::vector<float> rows = encoder.rows(image);
    const auto& expected = golden[text("image_features_", i)];
    EXPECT_LE(largest_difference(rows, expected.numbers), feature_bound)
        << "picture " << i << ", " << label;
  }
}

TEST(VisionEncoder, FeaturesOfTheGoldenPictures) {
  PlainBackend plain;
  expect_features(plain, "plain");
  for (const Isa isa : supported_isas()) {
    CpuBackend backend(2, CpuCompute::f32, isa);
    expect_features(backend, std::string(name_of(isa)));
  }
}

// The trained demo model's: bf16 weights, computed in f32. Its rows are large, up to 2,300, where the last
// digit of an f32 is 2.4e-4: what counts is the difference beside the largest.
TEST(VisionEncoder, RowsOfTheDemoModelsPictures) {
  const std::filesystem::path folder = MINIMAX_SOURCE_DIR "/models/demo";
  const GoldenFile golden(folder / "eval/golden.safetensors");
  CpuBackend backend(2, CpuCompute::f32);
  Encoder encoder(folder, backend);
  for (const int number : {0, 7, 40, 100, 102, 103}) {
    char prefix[8];
    std::snprintf(prefix, sizeof prefix, "%03d_", number);
    std::filesystem::path file;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "eval/pictures")) {
      if (entry.path().filename().string().starts_with(prefix)) file = entry.path();
    }
    const std::vector<float> rows = encoder.rows(Image::read(file));
    const auto& expected = golden[text("picture_", number, "_rows")];
    float largest = 0;
    for (const float x : expected.numbers) largest = std::max(largest, std::abs(x));
    EXPECT_LE(largest_difference(rows, expected.numbers), 2e-6 * largest) << file;
  }
}

TEST(VisionEncoder, StopsBetweenTiles) {
  const std::filesystem::path folder = MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l";
  CpuBackend backend(2, CpuCompute::f32);
  Encoder encoder(folder, backend);
  const Image image = Image::read(folder / "image_2.png");
  std::vector<int64_t> told;
  try {
    encoder.rows(image, [&](int64_t done, int64_t total) {
      EXPECT_EQ(total, 7);
      told.push_back(done);
      return true;
    });
    FAIL() << "was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_CANCELLED);
    EXPECT_EQ(error.message(), "cancelled after 4 of 7 tiles");
  }
  EXPECT_EQ(told, std::vector<int64_t>{4});
}

}  // namespace
}  // namespace minimax
