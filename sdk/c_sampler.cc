// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 6: sampling.
#include <cmath>

#include "minimax.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/structs.h"

namespace minimax {

SamplerOptions read_sampler_options(const minimax_sampler_options* given) {
  const minimax_sampler_options read = read_struct(given, "options");
  require(read.logit_bias || read.logit_bias_count == 0, "logit_bias is NULL with count ",
          read.logit_bias_count);
  SamplerOptions options;
  options.temperature = read.temperature;
  options.top_p = read.top_p == 0 ? 1 : read.top_p;
  options.min_p = read.min_p;
  options.top_k = read.top_k;
  options.repetition_penalty = read.repetition_penalty == 0 ? 1 : read.repetition_penalty;
  options.presence_penalty = read.presence_penalty;
  options.frequency_penalty = read.frequency_penalty;
  options.penalty_window = read.penalty_window;
  options.seed = read.seed;
  for (size_t i = 0; i < read.logit_bias_count; ++i) {
    options.logit_bias.push_back({read.logit_bias[i].token, read.logit_bias[i].bias});
  }
  options.top_logprobs = read.top_logprobs;
  return options;
}

}  // namespace minimax

using minimax::guard;
using minimax::require;
using minimax::sampler_of;

size_t minimax_sampler_options_init(minimax_sampler_options* options, size_t struct_size) {
  return minimax::init_struct(options, struct_size);
}

minimax_status minimax_sampler_create(const minimax_engine* engine,
                                      const minimax_sampler_options* options,
                                      minimax_sampler** out_sampler) {
  return guard([&] {
    const minimax::Model& model = minimax::model_of(engine);
    require(out_sampler, "out_sampler is NULL");
    *out_sampler = new minimax_sampler{
        engine->model,
        std::make_shared<minimax::LentSampler>(minimax::read_sampler_options(options),
                                               model.vocabulary_size(), model.suppressed())};
  });
}

void minimax_sampler_free(minimax_sampler* sampler) {
  delete sampler;
}

minimax_status minimax_sampler_reset(minimax_sampler* sampler) {
  return guard([&] { sampler_of(sampler).reset(); });
}

minimax_status minimax_sampler_sample(minimax_sampler* sampler, const minimax_session* session,
                                      int32_t* out_token) {
  return guard([&] {
    minimax::Sampler& drawing = sampler_of(sampler);
    require(session, "session is NULL");
    require(out_token, "out_token is NULL");
    if (sampler->model != session->model()) {
      minimax::fail(MINIMAX_WRONG_MODEL, "the sampler belongs to another engine than the session");
    }
    session->loan().require_home("the session");
    *out_token = session->draw(drawing);
  });
}

minimax_status minimax_sampler_accept(minimax_sampler* sampler, int32_t token) {
  return guard([&] { sampler_of(sampler).accept(token); });
}

minimax_status minimax_sampler_logprobs(const minimax_sampler* sampler,
                                        minimax_token_logprob* entries, size_t capacity,
                                        size_t* out_count) {
  return guard([&] {
    std::vector<minimax_token_logprob> out;
    for (const minimax::TokenLogprob& entry : sampler_of(sampler).logprobs()) {
      out.push_back({entry.token, entry.logprob});
    }
    minimax::write_buffer<minimax_token_logprob>(out, entries, capacity, out_count);
  });
}
