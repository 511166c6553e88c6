// SPDX-License-Identifier: Apache-2.0
// Inner loops of operations that look at one row at a time: embedding, biases, norms, rotary
// embedding.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "engine/kernels/cpu/kernel_table.h"
#include "engine/ops/views.h"

namespace minimax {

struct RowKernels {
  void (*widen)(const bf16* from, float* to, int64_t count);
  // The formulas of ops.h for one row of `width` numbers; out may be x or y.
  void (*add_bias)(const float* x, const float* bias, Activation activation, float* out,
                   int64_t width);
  void (*add)(const float* x, const float* y, float* out, int64_t width);
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, float* out,
                     int64_t width);
  void (*rms_norm)(const float* x, const float* weight, float eps, float* out, int64_t width);
  void (*residual_rms_norm)(const float* x, float residual, const float* y, float branch,
                            const float* weight, float eps, float* out, int64_t width);
  void (*gated_rms_norm)(const float* x, const float* gate, const float* weight, float eps,
                         float* out, int64_t width);
  // x[j], x[j + half] = x[j] cos[j] - x[j + half] sin[j],  x[j + half] cos[j] + x[j] sin[j]
  void (*rotate)(float* x, const float* cos, const float* sin, int64_t half);
};

}  // namespace minimax
