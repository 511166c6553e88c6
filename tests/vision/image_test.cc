// SPDX-License-Identifier: Apache-2.0
// Decoded pictures, pixel by pixel as PIL's, and what their headers say.
#include "vision/image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "vision/image_header.h"

namespace minimax {
namespace {

const std::filesystem::path golden_folder = MINIMAX_SOURCE_DIR "/tests/golden/pil";

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Decoded {
  std::string name;
  PixelSize size;
  int difference;  // that another decoder may have
  size_t offset;   // in decoded.rgb
};

void PrintTo(const Decoded& decoded, std::ostream* out) {
  *out << decoded.name;
}

std::vector<Decoded> decoded_files() {
  std::ifstream lines(golden_folder / "decoded.txt");
  std::vector<Decoded> all;
  for (Decoded one;
       lines >> one.name >> one.size.width >> one.size.height >> one.difference >> one.offset;) {
    all.push_back(one);
  }
  return all;
}

std::string test_name(const testing::TestParamInfo<Decoded>& info) {
  std::string name = info.param.name;
  std::ranges::replace(name, '.', '_');
  return name;
}

class DecodedFile : public ::testing::TestWithParam<Decoded> {};

TEST_P(DecodedFile, HasThePixelsThatPilGives) {
  const Decoded& expected = GetParam();
  static const std::string all = bytes_of(golden_folder / "decoded.rgb");
  const Image image = Image::read(golden_folder / "files" / expected.name);
  ASSERT_EQ(image.size(), expected.size);
  for (size_t i = 0; i < image.pixels().size(); ++i) {
    const int theirs = static_cast<uint8_t>(all.at(expected.offset + i));
    ASSERT_LE(std::abs(image.pixels()[i] - theirs), expected.difference) << "byte " << i;
  }
}

TEST_P(DecodedFile, HasTheSizeThatItsHeaderSays) {
  const std::string file = bytes_of(golden_folder / "files" / GetParam().name);
  const ImageHeader header = read_image_header(std::as_bytes(std::span(file)), "file");
  const bool is_on_its_side = header.orientation >= Orientation::transposed;
  const PixelSize upright =
      is_on_its_side ? PixelSize{header.size.height, header.size.width} : header.size;
  EXPECT_EQ(upright, GetParam().size);
}

INSTANTIATE_TEST_SUITE_P(Pil, DecodedFile, ::testing::ValuesIn(decoded_files()), test_name);

Error error_of(const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return Error(MINIMAX_OK, "no error");
}

TEST(Image, OfAFileThatIsNotThere) {
  EXPECT_EQ(error_of([] { Image::read("/no/such/picture.png"); }).status(), MINIMAX_NOT_FOUND);
  EXPECT_EQ(error_of([] { Image::read(testing::TempDir()); }).status(), MINIMAX_IO_ERROR);
}

TEST(Image, BeyondALimitIsRefusedWithBothNumbers) {
  const std::string file = bytes_of(golden_folder / "files/rgb.png");  // 19 x 11
  const auto refusal = [&](const ImageLimits& limits) {
    const Error error =
        error_of([&] { Image::decode(std::as_bytes(std::span(file)), "rgb.png", limits); });
    EXPECT_EQ(error.status(), MINIMAX_UNSUPPORTED);
    return error.message();
  };
  EXPECT_EQ(refusal({.file_bytes = 100}),
            text("rgb.png: file has ", file.size(), " bytes, limit is 100"));
  EXPECT_EQ(refusal({.pixels = 208}), "rgb.png: picture has 19 x 11 pixels, limit is 208 together");
  EXPECT_EQ(refusal({.side = 18}), "rgb.png: picture has 19 x 11 pixels, limit is 18 each way");
  const ImageLimits just_enough{.file_bytes = file.size(), .pixels = 209, .side = 19};
  EXPECT_EQ(Image::decode(std::as_bytes(std::span(file)), "rgb.png", just_enough).size(),
            (PixelSize{19, 11}));
}

TEST(Image, OfPixelsLeavesOutWhatLiesBetweenRows) {
  const std::vector<uint8_t> pixels{1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12};
  const Image image = Image::from_rgb(pixels.data(), 2, 2, 8);
  EXPECT_EQ(std::vector<uint8_t>(image.pixels().begin(), image.pixels().end()),
            (std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
}

TEST(Image, OfPixelsRefusesWhatCannotBe) {
  const std::vector<uint8_t> pixels(12);
  const auto refusal = [&](const uint8_t* at, int64_t width, int64_t height, size_t stride) {
    const Error error = error_of([&] { Image::from_rgb(at, width, height, stride); });
    EXPECT_EQ(error.status(), MINIMAX_INVALID_ARGUMENT);
    return error.message();
  };
  EXPECT_EQ(refusal(nullptr, 2, 2, 6), "pixels is NULL");
  EXPECT_EQ(refusal(pixels.data(), 2, 2, 5), "stride is 5 bytes, expected 6 or more for 2 pixels");
  EXPECT_EQ(refusal(pixels.data(), 0, 2, 6),
            "picture has 0 x 2 pixels, expected 1 or more each way");
  EXPECT_EQ(refusal(pixels.data(), 2, std::numeric_limits<int64_t>::min(), 6),
            text("picture has 2 x ", std::numeric_limits<int64_t>::min(),
                 " pixels, expected 1 or more each way"));
}

TEST(ImageId, IsThatOfThePixelsWhateverTheirFile) {
  const Image png = Image::read(golden_folder / "files/turn_1.png");
  EXPECT_EQ(png.id(), Image::read(golden_folder / "files/turn_1.webp").id());
  EXPECT_EQ(png.id(), Image::read(golden_folder / "files/rgb.bmp").id());
  const Image copy = Image::from_rgb(png.pixels().data(), png.size().width, png.size().height,
                                     static_cast<size_t>(png.size().width) * 3);
  EXPECT_EQ(png.id(), copy.id());
}

TEST(ImageId, ChangesWithEveryPixelAndWithTheSize) {
  std::vector<uint8_t> pixels(6 * 4 * 3, 9);
  std::vector<ImageId> ids{Image::from_rgb(pixels.data(), 6, 4, 18).id(),
                           Image::from_rgb(pixels.data(), 4, 6, 12).id(),
                           Image::from_rgb(pixels.data(), 24, 1, 72).id()};
  for (uint8_t& pixel : pixels) {
    pixel = 10;
    ids.push_back(Image::from_rgb(pixels.data(), 6, 4, 18).id());
    pixel = 9;
  }
  std::ranges::sort(ids);
  EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
}

}  // namespace
}  // namespace minimax
