// SPDX-License-Identifier: Apache-2.0
// What stands behind the opaque handles of minimax.h. Each keeps its model alive.
#pragma once

#include <memory>
#include <vector>

#include "engine/sampler.h"
#include "sdk/batch.h"
#include "sdk/generate.h"
#include "sdk/model.h"
#include "sdk/prompt.h"
#include "sdk/session.h"
#include "sdk/snapshot.h"
#include "tokenizer/text_stream.h"

struct minimax_engine {
  std::shared_ptr<minimax::Model> model;
};

struct minimax_session : minimax::Session {
  using Session::Session;
};

struct minimax_snapshot {
  minimax::Snapshot snapshot;
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
  std::shared_ptr<minimax::LentSampler> lent;  // also a batch's while it draws with it
};

struct minimax_batch {
  std::shared_ptr<minimax::Batch> batch;  // also of sessions that are withdrawn from it
  minimax::BatchEvent event;              // taken last: its text is the caller's until the next
};

namespace minimax {

struct SessionOptions {
  int64_t rewind_tokens;  // 0: none
  CachePolicy cache_policy;
};

inline const Model& model_of(const minimax_engine* engine) {
  require(engine, "engine is NULL");
  return *engine->model;
}

// At home, not in a batch.
inline Sampler& sampler_of(const minimax_sampler* sampler) {
  require(sampler, "sampler is NULL");
  sampler->lent->loan.require_home("the sampler");
  return sampler->lent->sampler;
}

// The C options, checked and filled with defaults.
EngineOptions read_engine_options(const minimax_engine_options* given);
SamplerOptions read_sampler_options(const minimax_sampler_options* given);
GenerateOptions read_generate_options(const minimax_generate_options* given);
SessionOptions read_session_options(const minimax_session_options* given);

// The report, if it is asked for.
void tell(const FeedCounts& counts, minimax_feed_report* out_report);

}  // namespace minimax
