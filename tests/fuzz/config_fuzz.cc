// SPDX-License-Identifier: Apache-2.0
// Any text as config.json: what is accepted can be listed and planned without overflow.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "engine/model/memory_plan.h"
#include "engine/model/tensor_names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const minimax::ModelConfig config = minimax::parse_config(text, "fuzz");
    const auto tensors = minimax::text_tensors(config, minimax::released_naming(config));
    const auto totals = minimax::total_weights(config, minimax::list_tensors(tensors), nullptr);
    if (totals.parameter_count == 0) std::abort();
    minimax::session_sizes(config, minimax::DType::f32, minimax::DType::f32, 4096);
    minimax::layer_decays(config, config.layer_count - 1);
  } catch (const minimax::Error& error) {
    const minimax_status status = error.status();
    if (status != MINIMAX_BAD_FILE && status != MINIMAX_UNSUPPORTED) std::abort();
  }
  return 0;
}
