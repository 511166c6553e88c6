// SPDX-License-Identifier: Apache-2.0
// Rotary embedding on the CPU.
#include <cassert>
#include <cmath>

#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/cpu/row_kernels.h"
#include "engine/kernels/cpu/share_out.h"

namespace minimax {

void CpuBackend::rope(const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope) {
  const int64_t half = rope.rotary_dim / 2;
  const auto half_bytes = static_cast<size_t>(half) * sizeof(double);
  assert(attention_scratch_.size_bytes() >=
         half_bytes * static_cast<size_t>(threads_.thread_count() + 1));

  // Angles in double: at position 4,000,000 an f32 would be wrong by a quarter of a turn.
  auto* const frequencies = static_cast<double*>(attention_scratch_.data());
  for (int64_t j = 0; j < half; ++j) {
    frequencies[j] =
        std::pow(rope.theta, static_cast<double>(-2 * j) / static_cast<double>(rope.rotary_dim));
  }
  for (const SequenceSpan& span : sequences) {
    const int64_t cost = span.row_count * x.dim(1) * rope.rotary_dim;
    share_out(threads_, span.row_count, cost, [&](int64_t i, int thread) {
      auto* const cos =
          reinterpret_cast<float*>(static_cast<std::byte*>(attention_scratch_.data()) +
                                   half_bytes * static_cast<size_t>(thread + 1));
      float* const sin = cos + half;
      const auto position = static_cast<double>(span.position + i);
      for (int64_t j = 0; j < half; ++j) {
        cos[j] = static_cast<float>(std::cos(position * frequencies[j]));
        sin[j] = static_cast<float>(std::sin(position * frequencies[j]));
      }
      float* const row = x.row<float>(span.first_row + i);
      for (int64_t h = 0; h < x.dim(1); ++h) {
        kernels_.rows.rotate(row + h * x.stride(1), cos, sin, half);
      }
    });
  }
}

}  // namespace minimax
