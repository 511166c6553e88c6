// SPDX-License-Identifier: Apache-2.0
// What a picture file says of itself, read from its bytes without decoding any pixel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vision/tile_plan.h"

namespace minimax {

enum class ImageFormat { png, jpeg, webp, bmp };

// How the stored pixels are to be turned, with the numbers of EXIF's Orientation.
enum class Orientation {
  upright = 1,
  mirrored = 2,
  upside_down = 3,
  flipped = 4,               // upside down and mirrored
  transposed = 5,            // rows become columns
  to_turn_right = 6,         // by 90 degrees
  transposed_backwards = 7,  // rows become columns, last ones first
  to_turn_left = 8,
};

struct ImageHeader {
  ImageFormat format;
  PixelSize size;  // as stored, before it is turned
  Orientation orientation = Orientation::upright;
  bool is_grey16 = false;  // one channel of 16 bits and no alpha
};

// Walks through the whole structure of the file, but decodes none of it: time and memory are bounded by
// the file's size. MINIMAX_BAD_FILE when it is none of these formats, ends too soon or contradicts
// itself, MINIMAX_UNSUPPORTED for kinds of pictures that are not decoded (animations, for one). What is
// wrong about EXIF or XMP is passed over: such a picture is upright. `name` is what errors call the file.
ImageHeader read_image_header(std::span<const std::byte> file, std::string_view name);

}  // namespace minimax
