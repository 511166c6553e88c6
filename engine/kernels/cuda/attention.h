// SPDX-License-Identifier: Apache-2.0
// Kernels behind ops::lightning_attention, ops::softmax_attention and ops::store_kv, best first.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/launcher.h"
#include "engine/kernels/cuda/step_tables.h"

namespace minimax {

struct LightningCall {
  const bfloat16* qkv;  // [T, H, 3, D]
  int tokens, heads, width;
  const float* slope;  // [H]
  int64_t layer;
  DeviceTable<DeviceLightning> sequences;
  bfloat16* out;  // [T, H, D]
};

// D = 128 (lightning_few.cu): all sequences of the call have up to lightning_few_rows rows. The host
// looks at row counts alone; positions and commitments are read on the device.
inline constexpr int lightning_few_rows = 8;
bool lightning_few(const Launcher& launch, const LightningCall& call);
// D = 128 on Hopper (lightning_hopper.cu): any mix of rows.
bool lightning_hopper(const Launcher& launch, const LightningCall& call);
// Any shape, any device from sm_80 on (lightning_any.cu).
void lightning_any(const Launcher& launch, const LightningCall& call);

struct SoftmaxCall {
  const bfloat16* q;  // [T, H, D]
  int tokens, heads, width;
  float scale;
  // Nullptr: in the pages, of which a token sees those up to its own. Otherwise [T, G, D]: all that the
  // tokens of a sequence, at position 0, see of it (softmax_hopper alone).
  const bfloat16 *k = nullptr, *v = nullptr;
  bool causal =
      true;  // else a token sees all of its sequence (softmax_any, and softmax_hopper with k)
  KvLayout layout;
  DeviceTable<DeviceKv> sequences;
  const std::byte* lowest_page;  // of all pages of all sequences: where TMA counts rows from
  bfloat16* out;                 // [T, H, D]
  float* partial;                // scratch of softmax_scratch_bytes()
};

// D = 128, bf16 pages (softmax_few.cu): every sequence has up to softmax_few_rows rows. The host looks at
// row counts alone; lengths are read on the device.
inline constexpr int softmax_few_rows = 8;
bool softmax_few(const Launcher& launch, const SoftmaxCall& call);
// D = 64 or 128, bf16 pages of whole blocks of 128 tokens or no pages, on Hopper (softmax_hopper.cu).
bool softmax_hopper(const Launcher& launch, const SoftmaxCall& call);
// Any shape, f32 or bf16 pages, any device from sm_80 on (softmax_any.cu).
void softmax_any(const Launcher& launch, const SoftmaxCall& call);
size_t softmax_scratch_bytes(const StepLimits& limits, int multiprocessors);

}  // namespace minimax
