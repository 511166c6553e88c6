// SPDX-License-Identifier: Apache-2.0
// What a C++ program wraps around the C handles: owners that free, and an exception for a status.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include "minimax.h"

namespace samples {

struct FreeHandle {
  void operator()(minimax_engine* engine) const { minimax_engine_free(engine); }
  void operator()(minimax_session* session) const { minimax_session_free(session); }
  void operator()(minimax_prompt* prompt) const { minimax_prompt_free(prompt); }
  void operator()(minimax_image* image) const { minimax_image_free(image); }
  void operator()(minimax_snapshot* snapshot) const { minimax_snapshot_free(snapshot); }
  void operator()(minimax_sampler* sampler) const { minimax_sampler_free(sampler); }
  void operator()(minimax_batch* batch) const { minimax_batch_free(batch); }
};
using EngineHandle = std::unique_ptr<minimax_engine, FreeHandle>;
using SessionHandle = std::unique_ptr<minimax_session, FreeHandle>;
using PromptHandle = std::unique_ptr<minimax_prompt, FreeHandle>;
using ImageHandle = std::unique_ptr<minimax_image, FreeHandle>;
using SnapshotHandle = std::unique_ptr<minimax_snapshot, FreeHandle>;
using SamplerHandle = std::unique_ptr<minimax_sampler, FreeHandle>;
using BatchHandle = std::unique_ptr<minimax_batch, FreeHandle>;

class StatusError : public std::runtime_error {
 public:
  StatusError(minimax_status status, const std::string& sentence)
      : std::runtime_error(sentence), status_(status) {}
  minimax_status status() const { return status_; }

 private:
  minimax_status status_;
};

// Throws StatusError with the library's sentence unless `status` is MINIMAX_OK.
void check(minimax_status status);

EngineHandle open_engine(const std::string& path, const minimax_engine_options& options);
SessionHandle create_session(minimax_engine* engine);
PromptHandle create_prompt(const minimax_engine* engine);
ImageHandle read_image(const std::string& path);
SnapshotHandle mark(const minimax_session* session);
SamplerHandle create_sampler(const minimax_engine* engine, const minimax_sampler_options& options);

}  // namespace samples
