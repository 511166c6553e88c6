// SPDX-License-Identifier: Apache-2.0
#include "tests/random/reference.h"

#include <algorithm>
#include <cmath>

namespace minimax::testing {
namespace {

constexpr size_t most_runners = 24, most_known = 4096;
// One in so many is computed once more by the plain loops, from its first token on.
constexpr uint64_t plain_every = 101;
constexpr float plain_bound = 1e-4f;

SessionHandle new_session(minimax_engine* engine) {
  minimax_session* session = nullptr;
  expect(minimax_session_create(engine, nullptr, &session), MINIMAX_OK, "minimax_session_create");
  return SessionHandle(session);
}

std::span<const float> feed(minimax_session* session, std::span<const int32_t> tokens) {
  const float* logits = nullptr;
  size_t count = 0;
  expect(minimax_session_feed(session, tokens.data(), tokens.size()), MINIMAX_OK,
         "minimax_session_feed of the reference");
  expect(minimax_session_logits(session, &logits, &count), MINIMAX_OK, "minimax_session_logits");
  return {logits, count};
}

}  // namespace

size_t Reference::HashOfTokens::operator()(const Tokens& tokens) const {
  uint64_t hash = tokens.size();
  for (const int32_t token : tokens) hash = (hash ^ static_cast<uint64_t>(token)) * 0x100000001b3;
  return hash;
}

Reference::Reference(const SmallModel& model)
    : engine_(model.open("cpu", {})), plain_(model.open("cpu:plain", {})) {
}

// The one that is furthest on the way, or one at the beginning.
Reference::Runner& Reference::runner_before(std::span<const int32_t> tokens) {
  Runner* best = nullptr;
  for (Runner& runner : runners_) {
    const bool is_on_the_way =
        runner.tokens.size() < tokens.size() &&
        std::equal(runner.tokens.begin(), runner.tokens.end(), tokens.begin());
    if (is_on_the_way && (!best || runner.tokens.size() > best->tokens.size())) best = &runner;
  }
  if (best) return *best;
  if (runners_.size() < most_runners) return runners_.emplace_back();
  return *std::min_element(runners_.begin(), runners_.end(), [](const Runner& a, const Runner& b) {
    return a.last_used < b.last_used;
  }) = {};
}

std::span<const float> Reference::logits_after(std::span<const int32_t> tokens) {
  Tokens all(tokens.begin(), tokens.end());
  const auto found = known_.find(all);
  if (found != known_.end()) return found->second;
  Runner& runner = runner_before(tokens);
  if (!runner.session) runner.session = new_session(engine_.get());
  const auto logits = feed(runner.session.get(), tokens.subspan(runner.tokens.size()));
  runner.tokens = all;
  runner.last_used = ++time_;
  if (++computed_ % plain_every == 0) check_against_plain(all, logits);
  if (known_.size() >= most_known) known_.clear();
  return known_.emplace(std::move(all), std::vector<float>(logits.begin(), logits.end()))
      .first->second;
}

void Reference::check_against_plain(const Tokens& tokens, std::span<const float> found) {
  const SessionHandle session = new_session(plain_.get());
  const auto expected = feed(session.get(), tokens);
  for (size_t i = 0; i < expected.size(); ++i) {
    check(std::abs(expected[i] - found[i]) <= plain_bound, "the reference itself: after ",
          tokens.size(), " tokens logit ", i, " is ", found[i], ", the plain loops say ",
          expected[i]);
  }
  ++plain_checks_;
}

}  // namespace minimax::testing
