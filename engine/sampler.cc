// SPDX-License-Identifier: Apache-2.0
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace minimax {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();
constexpr float largest_float = std::numeric_limits<float>::max();

void check_range(const char* name, float value, float low, float high) {
  require(value >= low && value <= high, name, " is ", value, ", expected ", low, " to ", high);
}

void check_options(const SamplerOptions& options, int64_t vocabulary_size) {
  check_range("temperature", options.temperature, 0, 100);
  check_range("top_p", options.top_p, 0, 1);
  check_range("min_p", options.min_p, 0, 1);
  check_range("repetition_penalty", options.repetition_penalty, 0.01f, 100);
  check_range("presence_penalty", options.presence_penalty, -100, 100);
  check_range("frequency_penalty", options.frequency_penalty, -100, 100);
  require(options.top_k >= 0, "top_k is ", options.top_k, ", expected 0 or more");
  require(options.penalty_window >= 0, "penalty_window is ", options.penalty_window,
          ", expected 0 or more");
  require(options.top_logprobs >= 0 && options.top_logprobs <= 256, "top_logprobs is ",
          options.top_logprobs, ", expected 0 to 256");
  for (const LogitBias& bias : options.logit_bias) {
    require(bias.token >= 0 && bias.token < vocabulary_size, "logit_bias of token ", bias.token,
            ", vocabulary has ", vocabulary_size);
    require(!std::isnan(bias.bias), "logit_bias of token ", bias.token, " is not a number");
  }
}

template <typename T>
std::span<const T> last_of(std::span<const T> all, int32_t window) {
  if (window == 0 || all.size() <= static_cast<size_t>(window)) return all;
  return all.last(static_cast<size_t>(window));
}

bool better(float a_logit, int32_t a_token, float b_logit, int32_t b_token) {
  return a_logit != b_logit ? a_logit > b_logit : a_token < b_token;
}

void require_drawn(int32_t token) {
  require(token >= 0, "no token is left to draw: all are forbidden or not numbers");
}

// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, which go on by a step; the upper 53 bits of a draw.
constexpr uint64_t random_step = 0x9e3779b97f4a7c15u;

double uniform_of(uint64_t state) {
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

}  // namespace

Sampler::Sampler(SamplerOptions options, int64_t vocabulary_size,
                 std::span<const int32_t> suppressed)
    : options_(std::move(options)),
      suppressed_(suppressed.begin(), suppressed.end()),
      random_state_(options_.seed) {
  check_options(options_, vocabulary_size);
  const size_t size = static_cast<size_t>(vocabulary_size);
  model_logits_.resize(size);
  logits_.resize(size);
  counts_.resize(size);
}

Sampler Sampler::restored(SamplerState state, int64_t vocabulary_size,
                          std::span<const int32_t> suppressed) {
  Sampler sampler(std::move(state.options), vocabulary_size, suppressed);
  for (const int32_t token : state.accepted) sampler.accept(token);
  sampler.random_state_ = state.random_state;
  return sampler;
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> session_tokens) {
  require(logits.size() == logits_.size(), "sampler of ", logits_.size(), " tokens got ",
          logits.size(), " logits");
  if (accepted_.size() == accepted_.capacity()) accepted_.reserve(accepted_.size() * 2 + 64);
  mask(logits, logits_);
  apply_bias();
  apply_penalties(session_tokens);
  const int32_t token = drawer_.draw(logits_, next_rule());
  require_drawn(token);
  mask(logits, model_logits_);
  drawn_elsewhere_ = false;
  return keep_drawn(token);
}

bool Sampler::draws_from_logits_alone() const {
  return options_.repetition_penalty == 1 && options_.presence_penalty == 0 &&
         options_.frequency_penalty == 0 && options_.logit_bias.empty() &&
         options_.top_logprobs == 0;
}

DrawRule Sampler::next_rule() const {
  return {.temperature = options_.temperature,
          .top_p = options_.top_p,
          .min_p = options_.min_p,
          .top_k = options_.top_k,
          .uniform = uniform_of(random_state_ + random_step)};
}

int32_t Sampler::take(const DrawnToken& drawn) {
  require_drawn(drawn.token);
  if (accepted_.size() == accepted_.capacity()) accepted_.reserve(accepted_.size() * 2 + 64);
  drawn_elsewhere_ = true;
  drawn_logprob_ = drawn.logprob;
  return keep_drawn(drawn.token);
}

int32_t Sampler::take(int32_t token, std::span<const float> logits) {
  take({token, 0});
  mask(logits, model_logits_);
  drawn_elsewhere_ = false;
  return token;
}

// Only a draw at a temperature uses up a random number.
int32_t Sampler::keep_drawn(int32_t token) {
  if (options_.temperature > 0) random_state_ += random_step;
  drawn_ = token;
  accept(token);
  return token;
}

void Sampler::accept(int32_t token) {
  require(token >= 0 && static_cast<size_t>(token) < logits_.size(), "token ", token,
          ", vocabulary has ", logits_.size());
  accepted_.push_back(token);
}

void Sampler::reset() {
  accepted_.clear();
  random_state_ = options_.seed;
  drawn_ = -1;
}

void Sampler::mask(std::span<const float> logits, std::vector<float>& masked) const {
  for (size_t i = 0; i < logits.size(); ++i) masked[i] = drawable(logits[i]);
  for (const int32_t token : suppressed_) masked[static_cast<size_t>(token)] = minus_infinity;
}

void Sampler::apply_bias() {
  for (const LogitBias& bias : options_.logit_bias) {
    float& logit = logits_[static_cast<size_t>(bias.token)];
    // -infinity stays: a suppressed token cannot be brought back by a bias.
    if (logit != minus_infinity) logit = std::min(logit + bias.bias, largest_float);
  }
}

template <typename Penalty>
void Sampler::penalize(std::span<const int32_t> tokens, const Penalty& penalty) {
  for (const int32_t token : tokens) ++counts_[static_cast<size_t>(token)];
  for (const int32_t token : tokens) {
    int32_t& count = counts_[static_cast<size_t>(token)];
    if (count == 0) continue;
    float& logit = logits_[static_cast<size_t>(token)];
    logit = std::min(penalty(logit, count), largest_float);
    count = 0;
  }
}

// Repetition: once for each token of the session, as its paper has it (arXiv 1909.05858 §4.1).
// Presence and frequency: for what this sampler has accepted, as OpenAI's API has them.
void Sampler::apply_penalties(std::span<const int32_t> session_tokens) {
  const SamplerOptions& o = options_;
  if (o.repetition_penalty != 1) {
    penalize(last_of(session_tokens, o.penalty_window), [&](float logit, int32_t) {
      return logit > 0 ? logit / o.repetition_penalty : logit * o.repetition_penalty;
    });
  }
  if (o.presence_penalty != 0 || o.frequency_penalty != 0) {
    penalize(last_of(std::span<const int32_t>(accepted_), o.penalty_window),
             [&](float logit, int32_t count) {
               return logit - o.presence_penalty - o.frequency_penalty * static_cast<float>(count);
             });
  }
}

std::vector<TokenLogprob> Sampler::logprobs() const {
  if (drawn_ < 0) return {};
  if (drawn_elsewhere_) return {{drawn_, drawn_logprob_}};
  const double top = *std::max_element(model_logits_.begin(), model_logits_.end());
  double total = 0;
  for (const float logit : model_logits_) total += std::exp(logit - top);
  const auto logprob = [&](int32_t token) {
    const double logit = model_logits_[static_cast<size_t>(token)];
    return TokenLogprob{token, static_cast<float>(logit - top - std::log(total))};
  };
  std::vector<TokenLogprob> out{logprob(drawn_)};
  std::vector<int32_t> order(model_logits_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const size_t count = std::min(order.size(), static_cast<size_t>(options_.top_logprobs));
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](int32_t a, int32_t b) {
                      return better(model_logits_[static_cast<size_t>(a)], a,
                                    model_logits_[static_cast<size_t>(b)], b);
                    });
  for (size_t i = 0; i < count; ++i) out.push_back(logprob(order[i]));
  return out;
}

}  // namespace minimax
