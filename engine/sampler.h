// SPDX-License-Identifier: Apache-2.0
// Logits to a token: bias, penalties, temperature, top-k, top-p, min-p, draw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/draw.h"

namespace minimax {

struct LogitBias {
  int32_t token;
  float bias;
};

struct TokenLogprob {
  int32_t token;
  float logprob;
};

// minimax_sampler_options with every "off" written out.
struct SamplerOptions {
  float temperature = 0;  // 0: greedy
  float top_p = 1;
  float min_p = 0;
  int32_t top_k = 0;             // 0: all
  float repetition_penalty = 1;  // 1: off
  float presence_penalty = 0;
  float frequency_penalty = 0;
  int32_t penalty_window = 0;  // 0: everything
  uint64_t seed = 0;
  std::vector<LogitBias> logit_bias;
  int32_t top_logprobs = 0;
};

// What a sampler is between two draws, but for the tokens that it never draws.
struct SamplerState {
  SamplerOptions options;
  uint64_t random_state = 0;
  std::vector<int32_t> accepted;
};

// One thread at a time. The same options, logits and tokens give the same draws on every machine that
// computes the same exponentials.
class Sampler {
 public:
  // suppressed: ids that are never drawn. MINIMAX_INVALID_ARGUMENT for a value out of range, not a
  // number, or a biased id that does not exist.
  Sampler(SamplerOptions options, int64_t vocabulary_size, std::span<const int32_t> suppressed);
  // The sampler of that state; as above, and for accepted ids that do not exist.
  static Sampler restored(SamplerState state, int64_t vocabulary_size,
                          std::span<const int32_t> suppressed);

  // Draws, and accepts what it drew. session_tokens: all tokens of the session, for the repetition
  // penalty. MINIMAX_INVALID_ARGUMENT when no token is left; nothing has changed then.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> session_tokens);
  // The same in two halves, for whoever draws from logits that lie elsewhere: only the logits of the model
  // decide, and nobody asks for alternatives. Suppressed tokens are left to whoever draws.
  bool draws_from_logits_alone() const;
  DrawRule next_rule() const;
  int32_t take(const DrawnToken& drawn);                       // errors as sample()
  int32_t take(int32_t token, std::span<const float> logits);  // of logits that can be read
  void accept(int32_t token);
  void reset();

  // Of the last sample: the drawn token, then the most probable ones. Empty before the first.
  std::vector<TokenLogprob> logprobs() const;
  SamplerState state() const { return {options_, random_state_, accepted_}; }

 private:
  void mask(std::span<const float> logits, std::vector<float>& masked) const;
  void apply_bias();
  void apply_penalties(std::span<const int32_t> session_tokens);
  // logit = penalty(logit, count) of each token that occurs, once.
  template <typename Penalty>
  void penalize(std::span<const int32_t> tokens, const Penalty& penalty);
  int32_t keep_drawn(int32_t token);

  SamplerOptions options_;
  std::vector<int32_t> suppressed_;
  std::vector<int32_t> accepted_;
  uint64_t random_state_;
  int32_t drawn_ = -1;
  float drawn_logprob_ = 0;  // when it was drawn elsewhere
  bool drawn_elsewhere_ = false;

  // Taken once, used by every sample.
  std::vector<float> model_logits_;  // [V] of the last sample, suppressed ones at -infinity
  std::vector<float> logits_;        // [V] with bias and penalties
  std::vector<int32_t> counts_;      // [V] all zero between samples
  Drawer drawer_;
};

}  // namespace minimax
