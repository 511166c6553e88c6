// SPDX-License-Identifier: Apache-2.0
// Resized pictures, number by number as PIL's, whatever the size, the instruction set and the threads.
#include "vision/resample.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "vision/resample_kernels.h"

namespace minimax {
namespace {

struct Picture {
  explicit Picture(PixelSize size)
      : size(size), pixels(static_cast<size_t>(size.width * size.height) * 3) {}
  RgbView view() { return {pixels.data(), size, static_cast<size_t>(size.width) * 3}; }
  ConstRgbView view() const { return {pixels.data(), size, static_cast<size_t>(size.width) * 3}; }

  PixelSize size;
  std::vector<uint8_t> pixels;
};

// As make_goldens.py does: noise, black and white noise, or slopes.
Picture made(PixelSize size, uint32_t seed) {
  Picture picture(size);
  for (size_t i = 0; i < picture.pixels.size(); ++i) {
    if (seed % 3 == 2) {
      const auto c = static_cast<uint32_t>(i % 3), pixel = static_cast<uint32_t>(i / 3);
      const auto width = static_cast<uint32_t>(size.width);
      const uint32_t x = pixel % width, y = pixel / width;
      picture.pixels[i] = static_cast<uint8_t>((x * (seed % 7 + c) + y * (seed % 5 + 1)) / 3 % 256);
      continue;
    }
    uint32_t mixed = static_cast<uint32_t>(i) * 2654435761u + seed * 40503u;
    mixed ^= mixed >> 15;
    mixed *= 2246822519u;
    const uint32_t noise = mixed >> 24;
    picture.pixels[i] = static_cast<uint8_t>(seed % 3 == 0 ? noise : (noise >> 7) * 255);
  }
  return picture;
}

Picture resized(const Picture& from, PixelSize size, int thread_count) {
  Picture to(size);
  ThreadPool threads(thread_count);
  resize_bicubic(from.view(), to.view(), threads);
  return to;
}

std::string hash_of(const Picture& picture) {
  char digits[17];
  std::snprintf(
      digits, sizeof digits, "%016llx",
      static_cast<unsigned long long>(XXH3_64bits(picture.pixels.data(), picture.pixels.size())));
  return digits;
}

TEST(ResizeBicubic, GivesEveryNumberOfPilsForThreeHundredSizes) {
  std::ifstream lines(MINIMAX_SOURCE_DIR "/tests/golden/pil/resize.txt");
  int count = 0;
  PixelSize from, to;
  uint32_t seed;
  for (std::string hash;
       lines >> from.width >> from.height >> to.width >> to.height >> seed >> hash; ++count) {
    const int thread_count = 1 + count % 3;
    EXPECT_EQ(hash_of(resized(made(from, seed), to, thread_count)), hash)
        << from.width << " x " << from.height << " to " << to.width << " x " << to.height;
  }
  EXPECT_EQ(count, 300);
}

TEST(ResizeBicubic, LeavesAPictureOfTheSameSizeAsItIs) {
  const Picture picture = made({57, 31}, 0);
  EXPECT_EQ(resized(picture, picture.size, 1).pixels, picture.pixels);
}

TEST(ResizeBicubic, KeepsOneColourWhateverTheSize) {
  Picture picture({40, 30});
  for (size_t i = 0; i < picture.pixels.size(); ++i) {
    picture.pixels[i] = static_cast<uint8_t>(i % 3 * 100);
  }
  for (const PixelSize size : {PixelSize{1, 1}, {7, 90}, {333, 2}, {100, 100}}) {
    const Picture result = resized(picture, size, 1);
    for (size_t i = 0; i < result.pixels.size(); ++i) ASSERT_EQ(result.pixels[i], i % 3 * 100);
  }
}

TEST(ResizeBicubic, WritesNothingBesideThePartItFills) {
  const Picture from = made({31, 17}, 0);
  Picture canvas({50, 40});
  ThreadPool threads(2);
  const RgbView part{canvas.pixels.data() + (5 * 50 + 9) * 3, {33, 20}, 50 * 3};
  resize_bicubic(from.view(), part, threads);
  const Picture alone = resized(from, {33, 20}, 1);
  for (int64_t y = 0; y < 40; ++y) {
    for (int64_t x = 0; x < 50; ++x) {
      const bool is_inside = x >= 9 && x < 42 && y >= 5 && y < 25;
      for (int64_t c = 0; c < 3; ++c) {
        const int expected =
            is_inside ? alone.pixels[static_cast<size_t>(((y - 5) * 33 + x - 9) * 3 + c)] : 0;
        ASSERT_EQ(canvas.pixels[static_cast<size_t>((y * 50 + x) * 3 + c)], expected);
      }
    }
  }
}

class KernelsOfAnIsa : public ::testing::TestWithParam<const ResampleKernels*> {};

// The plain twin: the equation of resample_kernels.h, byte by byte.
uint8_t weighed(const std::vector<uint8_t>& rows, size_t stride, size_t i,
                const std::vector<int32_t>& weights) {
  int64_t sum = 1 << (weight_bits - 1);
  for (size_t k = 0; k < weights.size(); ++k) sum += int64_t{weights[k]} * rows[k * stride + i];
  return static_cast<uint8_t>(std::clamp<int64_t>(sum >> weight_bits, 0, 255));
}

TEST_P(KernelsOfAnIsa, WeighRowsOfAnySizeLikeTheEquation) {
  const std::vector<uint8_t> rows = made({400, 9}, 0).pixels;
  const std::vector<int32_t> weights{-300000, 5, 1 << 22, 900000, -1, -700000, 12345, -300000, 0};
  for (const size_t size : {1, 7, 8, 16, 31, 47, 48, 96, 97, 300, 1199}) {
    std::vector<uint8_t> out(size + 1, 77);
    GetParam()->weigh_rows(rows.data(), 1200, weights.data(), 9, out.data(), size);
    for (size_t i = 0; i < size; ++i) ASSERT_EQ(out[i], weighed(rows, 1200, i, weights));
    ASSERT_EQ(out[size], 77) << "written beyond " << size;
  }
}

TEST_P(KernelsOfAnIsa, TransposeStripsThereAndBack) {
  for (const int rows : {1, 15, 16, 17, 31, 32}) {
    for (const int64_t width : {1, 5, 16, 21}) {
      const auto count = static_cast<size_t>(rows), size = static_cast<size_t>(width) * 3;
      const std::vector<uint8_t> from = made({width, rows}, 0).pixels;
      std::vector<uint8_t> columns(size * strip_rows), back(from.size() + 1, 77);
      GetParam()->to_columns(from.data(), size, rows, size, columns.data());
      for (size_t r = 0; r < count; ++r) {
        for (size_t i = 0; i < size; ++i) {
          ASSERT_EQ(columns[i * strip_rows + r], from[r * size + i]);
        }
      }
      GetParam()->from_columns(columns.data(), size, back.data(), size, rows);
      ASSERT_EQ(back.back(), 77);
      back.pop_back();
      ASSERT_EQ(back, from);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Supported, KernelsOfAnIsa,
                         ::testing::ValuesIn(supported_resample_kernels()));

}  // namespace
}  // namespace minimax
