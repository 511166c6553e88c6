// SPDX-License-Identifier: Apache-2.0
// Kernels of operations that work row by row: embed, biases, sums, norms, rope, store_kv.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/launcher.h"
#include "engine/kernels/cuda/step_tables.h"

namespace minimax {

// out[t] = table[ids[t]]  (embed.cu)
void embed_rows(const Launcher& launch, const int32_t* ids, const bfloat16* table, bfloat16* out,
                int tokens, int width);

// x = f(x + bias); x [T, N], rows `stride` numbers apart  (add.cu)
void add_bias_rows(const Launcher& launch, bfloat16* x, int64_t stride, const float* bias,
                   Activation activation, int tokens, int width);

// out[t] = x[t] + y[t mod rows]; x, out [T, W], y [rows, W]  (add.cu)
void add_rows(const Launcher& launch, const bfloat16* x, const bfloat16* y, bfloat16* out,
              int tokens, int rows, int width);

// One block a row; out may be x  (add.cu)
void layer_norm_rows(const Launcher& launch, const bfloat16* x, const float* weight,
                     const float* bias, float eps, bfloat16* out, int tokens, int width);

// out = rms_norm(residual * x + branch * y, weight, eps) * sigmoid(gate)  (norm.cu); all [T, W]
// contiguous; out may be x or y.
struct NormCall {
  const bfloat16* x;
  const bfloat16* y = nullptr;  // nullptr: x alone
  float residual = 1, branch = 1;
  const bfloat16* gate = nullptr;  // nullptr: no gate
  const float* weight;             // [W]
  float eps;
  bfloat16* out;
  int tokens, width;
};
void norm_rows(const Launcher& launch, const NormCall& call);

// Rotates x [T, heads, D] in place; positions [T]  (rope.cu)
void rope_rows(const Launcher& launch, bfloat16* x, const int32_t* positions, int tokens, int heads,
               int width, Rope rope);

// k, v [T, G, D] into their pages  (rope.cu)
void store_kv_rows(const Launcher& launch, const bfloat16* k, const bfloat16* v, int tokens,
                   const KvLayout& layout, const DeviceTable<DeviceKv>& sequences);

}  // namespace minimax
