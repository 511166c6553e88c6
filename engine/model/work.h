// SPDX-License-Identifier: Apache-2.0
// How much arithmetic a piece of a text costs: what is saved by not computing it again.
#pragma once

#include <cstdint>

#include "engine/model/config.h"

namespace minimax {

// Floating-point operations of feeding the tokens [from, to) of a text, logits left out: two a weight that a
// token meets, and what attention does beyond its weights. Only the softmax layers look further back the
// later a token comes.
double feeding_work(const ModelConfig& config, int64_t from, int64_t to);

}  // namespace minimax
