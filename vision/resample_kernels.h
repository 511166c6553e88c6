// SPDX-License-Identifier: Apache-2.0
// Inner loops of resizing: weighted sums of rows of bytes, and transposing strips of a picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace minimax {

constexpr int weight_bits = 22;  // of the fraction of a fixed-point weight

// Rows that are transposed together. In columns, byte i of each of them lies side by side.
constexpr int strip_rows = 32;

// One instruction set's loops. Immutable; any thread.
struct ResampleKernels {
  // Rows `stride` bytes apart, weighted and added up, rounded and cut to 8 bits:
  //
  //   out[i] = clip((sum over k of weights[k] * rows[k * stride + i]) / 2^weight_bits)    i < size
  void (*weigh_rows)(const uint8_t* rows, size_t stride, const int32_t* weights, int64_t count,
                     uint8_t* out, size_t size);
  // out [size, strip_rows] from row_count rows of `size` bytes; what lies beyond row_count is arbitrary.
  void (*to_columns)(const uint8_t* rows, size_t stride, int row_count, size_t size, uint8_t* out);
  // The way back: row_count rows of `size` bytes from columns [size, strip_rows].
  void (*from_columns)(const uint8_t* columns, size_t size, uint8_t* rows, size_t stride,
                       int row_count);
};

// Those that this processor runs, the fastest last.
std::vector<const ResampleKernels*> supported_resample_kernels();

}  // namespace minimax
