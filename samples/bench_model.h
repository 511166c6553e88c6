// SPDX-License-Identifier: Apache-2.0
// What a bench must know of a model beyond its speed: its name in tables, and the weights a token
// reads.
#pragma once

#include <cstdint>
#include <string>

#include "samples/handles.h"

namespace samples {

struct BenchModel {
  std::string type;                // "minimax-01 456B.A45.9B BF16"
  uint64_t active_parameters = 0;  // multiplied once for every token that is decoded
  uint64_t active_bytes = 0;       // the same in bytes as the engine keeps them
};

minimax_engine_info engine_info(const minimax_engine* engine);

// From the engine's info and its config.json.
BenchModel describe_model(const minimax_engine* engine);

}  // namespace samples
