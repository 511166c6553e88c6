// SPDX-License-Identifier: Apache-2.0
// Decodes BMP files, whose pixels lie in them as they are or as runs, to the very numbers PIL gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vision/tile_plan.h"

namespace minimax {

// RGB [height, width, 3], upper row first. `size` is what read_image_header() says of the file, `name`
// what errors call it. MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED for embedded JPEG or PNG and for colours of
// more than 8 bits.
std::vector<uint8_t> decode_bmp(std::span<const std::byte> file, PixelSize size,
                                std::string_view name);

}  // namespace minimax
