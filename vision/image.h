// SPDX-License-Identifier: Apache-2.0
// A picture in memory: decoded from a file's bytes or taken from the caller's pixels, 8-bit RGB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "vision/tile_plan.h"

namespace minimax {

// Names a picture by its pixels: equal pictures have equal ids, whatever file they came from. Not meant
// to withstand people who look for collisions.
using ImageId = std::array<std::byte, 32>;

// What is refused before anything is decoded, from the file's header alone.
struct ImageLimits {
  size_t file_bytes = size_t{256} << 20;
  int64_t pixels = int64_t{100} << 20;
  int64_t side = int64_t{1} << 16;
};

// Immutable; any thread.
class Image {
 public:
  // PNG, JPEG, WebP or BMP, turned upright as its EXIF orientation says; grey, palette, 16-bit and alpha
  // become RGB as PIL's convert("RGB") makes them: alpha is dropped, 16-bit colours keep their upper 8
  // bits, and 16-bit grey is cut off at 255. `name` is what errors call it. MINIMAX_BAD_FILE when it is
  // damaged or none of these formats, MINIMAX_UNSUPPORTED beyond the limits and for animated WebP,
  // MINIMAX_OUT_OF_MEMORY.
  static Image decode(std::span<const std::byte> file, std::string_view name,
                      const ImageLimits& limits = {});
  // Reads the file first. MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR.
  static Image read(const std::filesystem::path& path, const ImageLimits& limits = {});
  // Copies 8-bit RGB: rows `stride` bytes apart, at least 3 * width. MINIMAX_INVALID_ARGUMENT.
  static Image from_rgb(const uint8_t* pixels, int64_t width, int64_t height, size_t stride,
                        const ImageLimits& limits = {});

  PixelSize size() const { return size_; }
  std::span<const uint8_t> pixels() const { return pixels_; }  // [height, width, 3] without gaps
  const ImageId& id() const { return id_; }

 private:
  Image(PixelSize size, std::vector<uint8_t> pixels);

  PixelSize size_;
  std::vector<uint8_t> pixels_;
  ImageId id_;
};

}  // namespace minimax
