// SPDX-License-Identifier: Apache-2.0
// What a C++ program wraps around the C handles.
#include "samples/handles.h"

namespace samples {

void check(minimax_status status) {
  if (status == MINIMAX_OK) return;
  // The sentence first: it lives only until the next call of the library.
  const std::string sentence = minimax_last_error();
  throw StatusError(status, sentence.empty() ? minimax_status_name(status) : sentence);
}

EngineHandle open_engine(const std::string& path, const minimax_engine_options& options) {
  minimax_engine* engine = nullptr;
  check(minimax_engine_open(path.c_str(), &options, &engine));
  return EngineHandle(engine);
}

SessionHandle create_session(minimax_engine* engine) {
  minimax_session* session = nullptr;
  check(minimax_session_create(engine, nullptr, &session));
  return SessionHandle(session);
}

PromptHandle create_prompt(const minimax_engine* engine) {
  minimax_prompt* prompt = nullptr;
  check(minimax_prompt_create(engine, &prompt));
  return PromptHandle(prompt);
}

ImageHandle read_image(const std::string& path) {
  minimax_image* image = nullptr;
  check(minimax_image_from_file(path.c_str(), &image));
  return ImageHandle(image);
}

SnapshotHandle mark(const minimax_session* session) {
  minimax_snapshot* snapshot = nullptr;
  check(minimax_session_mark(session, &snapshot));
  return SnapshotHandle(snapshot);
}

SamplerHandle create_sampler(const minimax_engine* engine, const minimax_sampler_options& options) {
  minimax_sampler* sampler = nullptr;
  check(minimax_sampler_create(engine, &options, &sampler));
  return SamplerHandle(sampler);
}

}  // namespace samples
