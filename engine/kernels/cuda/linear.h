// SPDX-License-Identifier: Apache-2.0
// Kernels behind ops::linear and ops::logits, best first; each says which shapes it takes.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/launcher.h"
#include "engine/ops/views.h"

namespace minimax {

// out[t, n] = f(x[t] . weight[n] + bias[n]), or that much more
struct LinearCall {
  const bfloat16* x;  // [T, K], rows x_stride numbers apart
  int64_t x_stride;
  const bfloat16* weight;  // [N, K] contiguous
  int tokens;              // T, 1 or more
  int outputs;             // N
  int inputs;              // K
  Activation activation;   // GELU with a bias only
  const float* bias;       // [N], or nullptr: linear_hopper alone takes one
  void* out;               // [T, N] bf16, or f32 if out_f32; rows out_stride numbers apart
  bool out_f32;
  bool adds = false;  // out += ...: linear_hopper alone does, bf16 without activation
  int64_t out_stride;
};

// Few tokens, bound by reading the weights (linear_few.cu): up to few_tokens, inputs a multiple of 8.
inline constexpr int few_tokens = 16;
bool linear_few(const Launcher& launch, const LinearCall& call);
// Hopper's wgmma and TMA (gemm_hopper.cu): inputs a multiple of 8, 16-byte aligned rows.
bool linear_hopper(const Launcher& launch, const LinearCall& call);
// Any shape, any device from sm_80 on (gemm_any.cu).
void linear_any(const Launcher& launch, const LinearCall& call);

}  // namespace minimax
