// SPDX-License-Identifier: Apache-2.0
// Resizes pictures by bicubic interpolation, to the very numbers that PIL gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "vision/tile_plan.h"

namespace minimax {

// A part of an 8-bit RGB picture in memory.
struct RgbView {
  uint8_t* pixels;
  PixelSize size;
  size_t stride;  // bytes from row to row
};

struct ConstRgbView {
  const uint8_t* pixels;
  PixelSize size;
  size_t stride;
};

// Fills `to` with the whole of `from`: bicubic with a = -0.5, its support widened when shrinking
// (antialiasing), fixed-point weights, 8-bit rounding between the two passes. Widths come first, unless
// a picture over 100 times as high as wide shrinks. Every number is that of Pillow up to version 12, as
// the models were trained; Pillow 13 begins with the heights wherever more than twice as many rows as
// columns are lost. Sizes 1 or more. Rows are shared out over the threads. `from` and `to` have no byte
// in common.
void resize_bicubic(const ConstRgbView& from, const RgbView& to, ThreadPool& threads);

}  // namespace minimax
