// SPDX-License-Identifier: Apache-2.0
#include "vision/image.h"

#include <xxhash.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <new>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <utility>

#include "base/error.h"
#include "base/file_map.h"
#include "vision/bmp.h"
#include "vision/image_header.h"
#include "vision/quiet_thread.h"

namespace minimax {
namespace {

void check_limits(PixelSize size, std::string_view name, const ImageLimits& limits) {
  if (size.width > limits.side || size.height > limits.side) {
    fail(MINIMAX_UNSUPPORTED, name, ": picture has ", size.width, " x ", size.height,
         " pixels, limit is ", limits.side, " each way");
  }
  if (size.width > limits.pixels / size.height) {
    fail(MINIMAX_UNSUPPORTED, name, ": picture has ", size.width, " x ", size.height,
         " pixels, limit is ", limits.pixels, " together");
  }
}

std::string_view name_of(ImageFormat format) {
  switch (format) {
    case ImageFormat::png:
      return "PNG";
    case ImageFormat::jpeg:
      return "JPEG";
    case ImageFormat::webp:
      return "WebP";
    case ImageFormat::bmp:
      return "BMP";
  }
  return "picture";
}

// As stored: neither turned nor freed of alpha. Empty when the file is damaged.
cv::Mat decode_stored(std::span<const std::byte> file) {
  const cv::Mat bytes(1, static_cast<int>(file.size()), CV_8UC1,
                      const_cast<std::byte*>(file.data()));
  cv::Mat stored;
  try {
    run_quietly([&] { stored = cv::imdecode(bytes, cv::IMREAD_UNCHANGED); });
  } catch (const cv::Exception& error) {
    if (error.code == cv::Error::StsNoMem) throw std::bad_alloc();
    return {};
  }
  return stored;
}

void check_stored(const cv::Mat& stored, const ImageHeader& header, std::string_view name) {
  require_file(!stored.empty(), name, ": ", name_of(header.format), " is damaged");
  const bool has_known_pixels = (stored.depth() == CV_8U || stored.depth() == CV_16U) &&
                                (stored.channels() == 1 || stored.channels() >= 3);
  require_file(has_known_pixels, name, ": ", name_of(header.format), " of ", stored.channels(),
               " channels of ", stored.elemSize1() * 8, " bits, expected 1, 3 or 4 of 8 or 16");
  require_file(stored.cols == header.size.width && stored.rows == header.size.height, name,
               ": decoded to ", stored.cols, " x ", stored.rows, " pixels, header says ",
               header.size.width, " x ", header.size.height);
}

// Where stored pixel (x, y) goes: to first + x * right + y * down, in pixels.
struct Turn {
  PixelSize size;  // upright
  int64_t first, right, down;
};

Turn turn_of(Orientation orientation, PixelSize stored) {
  const int64_t w = stored.width, h = stored.height, last = w * h - 1;
  switch (orientation) {
    case Orientation::upright:
      break;
    case Orientation::mirrored:
      return {{w, h}, w - 1, -1, w};
    case Orientation::upside_down:
      return {{w, h}, last, -1, -w};
    case Orientation::flipped:
      return {{w, h}, w * (h - 1), 1, -w};
    case Orientation::transposed:
      return {{h, w}, 0, h, 1};
    case Orientation::to_turn_right:
      return {{h, w}, h - 1, h, -1};
    case Orientation::transposed_backwards:
      return {{h, w}, last, -h, -1};
    case Orientation::to_turn_left:
      return {{h, w}, h * (w - 1), -h, 1};
  }
  return {{w, h}, 0, 1, w};
}

// to_byte makes 8 bits of a stored number. Stored colours are blue, green, red and perhaps alpha.
template <typename Number, typename ToByte>
void convert_pixels(const cv::Mat& stored, const Turn& turn, const ToByte& to_byte, uint8_t* out) {
  const int channels = stored.channels();
  const int red = channels == 1 ? 0 : 2, green = channels == 1 ? 0 : 1;
  for (int y = 0; y < stored.rows; ++y) {
    const Number* from = stored.ptr<Number>(y);
    uint8_t* to = out + (turn.first + y * turn.down) * 3;
    for (int x = 0; x < stored.cols; ++x, from += channels, to += turn.right * 3) {
      to[0] = to_byte(from[red]);
      to[1] = to_byte(from[green]);
      to[2] = to_byte(from[0]);
    }
  }
}

// 16-bit colours keep their upper half. 16-bit grey is cut off at 255 instead: that is what
// convert("RGB") gives, and what the model was shown.
std::vector<uint8_t> upright_rgb(const cv::Mat& stored, const Turn& turn, bool is_grey16) {
  std::vector<uint8_t> pixels(static_cast<size_t>(turn.size.width * turn.size.height) * 3);
  uint8_t* out = pixels.data();
  if (stored.depth() == CV_8U) {
    convert_pixels<uint8_t>(
        stored, turn, [](uint8_t x) { return x; }, out);
  } else if (is_grey16) {
    const auto cut_off = [](uint16_t x) { return static_cast<uint8_t>(x < 255 ? x : 255); };
    convert_pixels<uint16_t>(stored, turn, cut_off, out);
  } else {
    const auto upper = [](uint16_t x) { return static_cast<uint8_t>(x >> 8); };
    convert_pixels<uint16_t>(stored, turn, upper, out);
  }
  return pixels;
}

ImageId id_of(PixelSize size, std::span<const uint8_t> pixels) {
  ImageId id;
  for (size_t i = 0; i < 2; ++i) {
    const uint64_t seed =
        static_cast<uint64_t>(size.width) << 32 | static_cast<uint64_t>(size.height) << 1 | i;
    XXH128_canonical_t half;
    XXH128_canonicalFromHash(&half, XXH3_128bits_withSeed(pixels.data(), pixels.size(), seed));
    std::memcpy(id.data() + i * sizeof half, &half, sizeof half);
  }
  return id;
}

}  // namespace

Image::Image(PixelSize size, std::vector<uint8_t> pixels)
    : size_(size), pixels_(std::move(pixels)), id_(id_of(size_, pixels_)) {
}

Image Image::decode(std::span<const std::byte> file, std::string_view name,
                    const ImageLimits& limits) {
  if (file.size() > std::min(limits.file_bytes, size_t{INT_MAX})) {
    fail(MINIMAX_UNSUPPORTED, name, ": file has ", file.size(), " bytes, limit is ",
         std::min(limits.file_bytes, size_t{INT_MAX}));
  }
  const ImageHeader header = read_image_header(file, name);
  check_limits(header.size, name, limits);
  try {
    if (header.format == ImageFormat::bmp) {
      return Image(header.size, decode_bmp(file, header.size, name));
    }
    const cv::Mat stored = decode_stored(file);
    check_stored(stored, header, name);
    const Turn turn = turn_of(header.orientation, header.size);
    return Image(turn.size, upright_rgb(stored, turn, header.is_grey16));
  } catch (const std::bad_alloc&) {
    fail(MINIMAX_OUT_OF_MEMORY, name, ": no memory for ", header.size.width, " x ",
         header.size.height, " pixels");
  }
}

Image Image::read(const std::filesystem::path& path, const ImageLimits& limits) {
  const FileMap map = FileMap::open(path);
  return decode(map.bytes(), path.string(), limits);
}

Image Image::from_rgb(const uint8_t* pixels, int64_t width, int64_t height, size_t stride,
                      const ImageLimits& limits) {
  require(pixels != nullptr, "pixels is NULL");
  require(width >= 1 && height >= 1, "picture has ", width, " x ", height,
          " pixels, expected 1 or more each way");
  check_limits({width, height}, "pixels", limits);
  const size_t row_bytes = static_cast<size_t>(width) * 3;
  require(stride >= row_bytes, "stride is ", stride, " bytes, expected ", row_bytes,
          " or more for ", width, " pixels");
  std::vector<uint8_t> copy(row_bytes * static_cast<size_t>(height));
  for (size_t y = 0; y < static_cast<size_t>(height); ++y) {
    std::memcpy(copy.data() + y * row_bytes, pixels + y * stride, row_bytes);
  }
  return Image({width, height}, std::move(copy));
}

}  // namespace minimax
