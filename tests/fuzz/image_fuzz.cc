// SPDX-License-Identifier: Apache-2.0
// Any bytes as a picture file: what is decoded has the size its header says, all else is an Error.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "vision/image.h"
#include "vision/image_header.h"

namespace {

constexpr minimax::ImageLimits small{
    .file_bytes = size_t{1} << 20, .pixels = int64_t{1} << 20, .side = int64_t{1} << 14};

void check(std::span<const std::byte> file) {
  const minimax::Image image = minimax::Image::decode(file, "fuzz", small);
  const minimax::ImageHeader header = minimax::read_image_header(file, "fuzz");
  const auto [width, height] = header.size;
  const minimax::PixelSize size = image.size();
  const bool is_upright = size == header.size;
  const bool is_turned = size.width == height && size.height == width;
  if (!is_upright && !is_turned) std::abort();
  if (image.pixels().size() != static_cast<size_t>(width * height * 3)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    check({reinterpret_cast<const std::byte*>(data), size});
  } catch (const minimax::Error& error) {
    const bool is_expected =
        error.status() == MINIMAX_BAD_FILE || error.status() == MINIMAX_UNSUPPORTED;
    if (!is_expected || error.message().size() > 500) std::abort();
  }
  return 0;
}
