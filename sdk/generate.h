// SPDX-License-Identifier: Apache-2.0
// The loop of an answer: draw, say, feed, until something stops it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "sdk/session.h"

namespace minimax {

struct GenerateOptions {
  int64_t max_tokens = 0;  // 0: until a stop
  std::vector<std::string> stop_strings;
  bool ignore_stop_token = false;
  minimax_text_fn on_text = nullptr;
  minimax_token_fn on_token = nullptr;
  void* user = nullptr;
};

struct GenerateResult {
  int32_t stop_reason = 0;  // MINIMAX_STOP_...
  uint64_t token_count = 0;
  uint64_t decode_ns = 0;
};

// As minimax_session_generate. A cancel is not an error here: it is a reason to stop.
GenerateResult generate(Session& session, Sampler& sampler, const GenerateOptions& options);

}  // namespace minimax
