// SPDX-License-Identifier: Apache-2.0
// Kernels behind ops::moe, and the routing plan they share with ops::route.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/launcher.h"
#include "engine/ops/views.h"

namespace minimax {

// Which tokens go to which expert. Slot t * E + e is the e-th choice of token t; the slots of expert x
// are slots[starts[x]] .. slots[starts[x + 1]], ascending. Device memory.
struct RoutingPlan {
  int32_t* starts;  // [X + 1]
  int32_t* slots;   // [T * E]
};

// The experts of one layer. Device memory, made once per layer; contents never change.
struct ExpertSet {
  int count;                        // X
  const bfloat16* const* matrices;  // [X, 3]: gate [F, W], up [F, W], down [W, F]
  const void* tensor_maps;          // [X, 3] CUtensorMap of the same, or nullptr when not Hopper
};

struct MoeCall {
  const bfloat16* x;  // [T, W] contiguous
  int tokens;         // T, 1 or more
  int width;          // W
  int expert_width;   // F
  int chosen;         // E
  ExpertSet experts;
  const int32_t* choices;  // [T, E]
  const float* shares;     // [T, E]
  RoutingPlan plan;
  bfloat16* out;     // [T, W]
  bfloat16* hidden;  // scratch [T * E, F]
  void* partial;     // scratch of T * E * W * 4 bytes
  int32_t* places;   // scratch [T * E]
};

// Few tokens: every chosen expert's weights are read once (moe_few.cu). Up to moe_few_tokens, widths
// multiples of 8.
inline constexpr int moe_few_tokens = 64;
bool moe_few(const Launcher& launch, const MoeCall& call);
// Grouped wgmma products (moe_hopper.cu): widths multiples of 8.
bool moe_hopper(const Launcher& launch, const MoeCall& call);
// Any shape, any device from sm_80 on (gemm_any.cu).
void moe_any(const Launcher& launch, const MoeCall& call);

// Tensor maps of an expert's matrices for moe_hopper, written to host memory as [3] CUtensorMap of 128
// bytes. False when the shapes are not for it.
bool encode_expert_maps(const bfloat16* gate, const bfloat16* up, const bfloat16* down, int width,
                        int expert_width, void* maps);

struct RouteCall {
  const bfloat16* x;   // [T, W]
  const void* weight;  // [X, W] f32, or bf16 if weight_bf16
  bool weight_bf16;
  bool round_logits;  // to bf16
  int tokens, width, experts, chosen;
  int32_t* choices;  // [T, E] out
  float* shares;     // [T, E] out
  RoutingPlan plan;  // out
  // scratch: zero between calls, and left zero
  int32_t* counters;  // [X + 2]
};
// One launch up to 256 tokens (route.cu). Any shape with experts <= 1024 and chosen <= 16.
void route(const Launcher& launch, const RouteCall& call);
// The plan alone, for choices that route() did not make.
void plan_routing(const Launcher& launch, const int32_t* choices, int tokens, int chosen,
                  int experts, RoutingPlan plan);

}  // namespace minimax
