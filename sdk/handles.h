// SPDX-License-Identifier: Apache-2.0
// What stands behind the opaque handles of minimax.h. Each keeps its model alive.
#pragma once

#include <memory>
#include <vector>

#include "engine/sampler.h"
#include "sdk/model.h"
#include "sdk/prompt.h"
#include "sdk/session.h"
#include "tokenizer/text_stream.h"

struct minimax_engine {
  std::shared_ptr<minimax::Model> model;
};

struct minimax_session : minimax::Session {
  using Session::Session;
};

struct minimax_snapshot {
  std::shared_ptr<const minimax::SessionMark> mark;
};

struct minimax_prompt {
  std::shared_ptr<minimax::Model> model;
  minimax::Prompt prompt;
};

struct minimax_image {
  std::shared_ptr<const minimax::Image> image;
};

struct minimax_text_stream {
  std::shared_ptr<minimax::Model> model;
  minimax::TextStream stream;
};

struct minimax_sampler {
  std::shared_ptr<minimax::Model> model;
  minimax::Sampler sampler;
};

namespace minimax {

inline const Model& model_of(const minimax_engine* engine) {
  require(engine, "engine is NULL");
  return *engine->model;
}

// The C options, checked and filled with defaults.
EngineOptions read_engine_options(const minimax_engine_options* given);
SamplerOptions read_sampler_options(const minimax_sampler_options* given);

}  // namespace minimax
