// SPDX-License-Identifier: Apache-2.0
// How much scratch memory rope and the two attentions need on the CPU.
#pragma once

#include <cstddef>

#include "engine/ops/views.h"

namespace minimax {

// For steps up to these limits, whatever the length of a context.
size_t attention_scratch_bytes(const StepLimits& limits, int thread_count);
// The part of it that softmax attention needs.
size_t softmax_walk_scratch_bytes(const StepLimits& limits, int thread_count);

}  // namespace minimax
