// SPDX-License-Identifier: Apache-2.0
// The sampler against oracles that sort everything, and its draws against expected frequencies.
#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>

#include "base/error.h"

namespace minimax {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_logits(size_t count, uint32_t seed, float deviation = 2) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> logits(count);
  for (float& x : logits) x = normal(generator);
  return logits;
}

Sampler make(const SamplerOptions& options, const std::vector<float>& logits,
             std::vector<int32_t> suppressed = {}) {
  return Sampler(options, static_cast<int64_t>(logits.size()), suppressed);
}

int32_t greedy(const std::vector<float>& logits, SamplerOptions options = {},
               std::vector<int32_t> suppressed = {}) {
  return make(options, logits, std::move(suppressed)).sample(logits, {});
}

std::vector<int32_t> draws(Sampler& sampler, const std::vector<float>& logits, int count) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(sampler.sample(logits, {}));
  return tokens;
}

std::vector<double> softmax(const std::vector<float>& logits, double temperature = 1) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<double> out;
  for (const float x : logits) out.push_back(std::exp((x - top) / temperature));
  const double total = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& p : out) p /= total;
  return out;
}

// Tokens by probability, the lower id of equals first.
std::vector<int32_t> ranking(const std::vector<double>& probabilities) {
  std::vector<int32_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return probabilities[static_cast<size_t>(a)] > probabilities[static_cast<size_t>(b)];
  });
  return order;
}

// Everything but the first `count` of the ranking becomes 0, the rest sums to 1 again.
std::vector<double> keep_first(const std::vector<double>& probabilities, size_t count) {
  const std::vector<int32_t> order = ranking(probabilities);
  std::vector<double> out(probabilities.size());
  double total = 0;
  for (size_t i = 0; i < std::min(count, order.size()); ++i) {
    const size_t token = static_cast<size_t>(order[i]);
    total += out[token] = probabilities[token];
  }
  for (double& p : out) p /= total;
  return out;
}

// The definitions, one after the other, on a list that is sorted as a whole.
std::vector<double> expected_distribution(const std::vector<float>& logits,
                                          const SamplerOptions& options) {
  std::vector<double> p = softmax(logits, options.temperature);
  if (options.top_k > 0) p = keep_first(p, static_cast<size_t>(options.top_k));
  if (options.top_p < 1) {
    size_t count = 0;
    double mass = 0;
    for (const int32_t token : ranking(p)) {
      if (count > 0 && mass >= options.top_p) break;
      mass += p[static_cast<size_t>(token)];
      ++count;
    }
    p = keep_first(p, count);
  }
  if (options.min_p > 0) {
    const double best = *std::max_element(p.begin(), p.end());
    p = keep_first(p, static_cast<size_t>(std::count_if(p.begin(), p.end(), [&](double x) {
                     return x >= options.min_p * best;
                   })));
  }
  return p;
}

// Pearson's sum over tokens expected five times or more, the rest as one; its mean is the number of
// such classes less one. Tokens of probability 0 must not occur at all.
void expect_frequencies(const std::vector<int32_t>& drawn, const std::vector<double>& expected) {
  std::vector<double> counts(expected.size());
  for (const int32_t token : drawn) ++counts[static_cast<size_t>(token)];
  const double size = static_cast<double>(drawn.size());
  double sum = 0, rare_count = 0, rare_expected = 0, classes = 0;
  const auto add = [&](double count, double mean) {
    sum += (count - mean) * (count - mean) / mean;
    ++classes;
  };
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == 0) {
      EXPECT_EQ(counts[i], 0) << "token " << i << " cannot be drawn";
    } else if (expected[i] * size < 5) {
      rare_count += counts[i];
      rare_expected += expected[i] * size;
    } else {
      add(counts[i], expected[i] * size);
    }
  }
  if (rare_expected >= 5) add(rare_count, rare_expected);
  const double freedom = classes - 1;
  EXPECT_LE(sum, freedom + 5 * std::sqrt(2 * freedom) + 5) << "of " << freedom << " degrees";
}

void expect_draws_follow(const SamplerOptions& options, uint32_t seed) {
  SCOPED_TRACE(text("seed ", seed, ", temperature ", options.temperature, ", top_k ", options.top_k,
                    ", top_p ", options.top_p, ", min_p ", options.min_p));
  const std::vector<float> logits = random_logits(60, seed);
  SamplerOptions seeded = options;
  seeded.seed = seed;
  Sampler sampler = make(seeded, logits);
  expect_frequencies(draws(sampler, logits, 4000), expected_distribution(logits, options));
}

// The sentence of the error that a call ends in.
template <typename Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_INVALID_ARGUMENT);
    return error.message();
  }
  return "no error";
}

TEST(Greedy, TakesTheLargestLogit) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> logits = random_logits(1000, seed);
    const auto largest = std::max_element(logits.begin(), logits.end()) - logits.begin();
    EXPECT_EQ(greedy(logits), largest) << "seed " << seed;
  }
}

TEST(Greedy, TakesTheLowestIdOfEquals) {
  EXPECT_EQ(greedy({1, 3, 2, 3, 3}), 1);
  EXPECT_EQ(greedy({0, 0, 0}), 0);
  EXPECT_EQ(greedy({-infinity, -5, -5}), 1);
  EXPECT_EQ(greedy({1, infinity, std::numeric_limits<float>::max(), infinity}), 1);
}

TEST(Greedy, NeverTakesWhatIsNotANumber) {
  EXPECT_EQ(greedy({not_a_number, 1, not_a_number, 2, not_a_number}), 3);
  EXPECT_EQ(greedy({not_a_number, -infinity, -1e38f}), 2);
}

TEST(Greedy, TakesTheOnlyTokenOfAVocabulary) {
  EXPECT_EQ(greedy({-7}), 0);
}

TEST(NothingLeft, IsRefusedInWords) {
  constexpr auto sentence = "no token is left to draw: all are forbidden or not numbers";
  for (const float temperature : {0.0f, 1.0f}) {
    SamplerOptions options;
    options.temperature = temperature;
    EXPECT_EQ(refusal([&] { greedy({-infinity, -infinity}, options); }), sentence);
    EXPECT_EQ(refusal([&] { greedy({not_a_number, -infinity}, options); }), sentence);
    EXPECT_EQ(refusal([&] { greedy({1, 2}, options, {0, 1}); }), sentence);
    options.logit_bias = {{0, -infinity}, {1, -infinity}};
    EXPECT_EQ(refusal([&] { greedy({1, 2}, options); }), sentence);
  }
}

TEST(NothingLeft, LeavesTheSamplerAsItWas) {
  SamplerOptions options;
  options.temperature = 1;
  options.frequency_penalty = 0.5f;
  options.top_logprobs = 2;
  options.seed = 11;
  const std::vector<float> logits = random_logits(40, 5), none(40, -infinity);
  Sampler refused = make(options, logits), spared = make(options, logits);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(refused.sample(logits, {}), spared.sample(logits, {}));
    EXPECT_THROW(refused.sample(none, {}), Error);
    EXPECT_THROW(refused.sample(std::span(logits).first(39), {}), Error);
    const auto after = refused.logprobs(), expected = spared.logprobs();
    ASSERT_EQ(after.size(), expected.size());
    for (size_t k = 0; k < after.size(); ++k) {
      EXPECT_EQ(after[k].token, expected[k].token);
      EXPECT_EQ(after[k].logprob, expected[k].logprob);
    }
  }
}

TEST(Temperature, NearZeroIsGreedy) {
  for (const float temperature : {1e-30f, 1e-40f, 1e-6f}) {
    SamplerOptions options;
    options.temperature = temperature;
    for (uint32_t seed = 0; seed < 20; ++seed) {
      options.seed = seed;
      const std::vector<float> logits = random_logits(500, seed);
      Sampler sampler = make(options, logits);
      for (const int32_t token : draws(sampler, logits, 50)) {
        ASSERT_EQ(token, greedy(logits)) << "temperature " << temperature << ", seed " << seed;
      }
    }
  }
}

TEST(Temperature, NearZeroSharesOutAmongEquals) {
  SamplerOptions options;
  options.temperature = 1e-30f;
  const std::vector<float> logits{1, 5, 2, 5, 5, 4.9999f};
  Sampler sampler = make(options, logits);
  const double third = 1.0 / 3;
  expect_frequencies(draws(sampler, logits, 3000), {0, third, 0, third, third, 0});
}

TEST(Temperature, OfAHundredIsNearlyUniform) {
  SamplerOptions options;
  options.temperature = 100;
  expect_draws_follow(options, 1);
  const std::vector<float> logits = random_logits(40, 3);
  Sampler sampler = make(options, logits);
  expect_frequencies(draws(sampler, logits, 4000), std::vector<double>(40, 1.0 / 40));
}

TEST(Temperature, StandsLogitsOfAnySize) {
  constexpr float largest = std::numeric_limits<float>::max();
  for (const float temperature : {1e-30f, 1.0f, 100.0f}) {
    SamplerOptions options;
    options.temperature = temperature;
    const std::vector<float> logits{-largest, largest, 0, infinity, -infinity, not_a_number};
    Sampler sampler = make(options, logits);
    expect_frequencies(draws(sampler, logits, 1000), {0, 0.5, 0, 0.5, 0, 0});
  }
}

TEST(Draws, FollowTheSoftmax) {
  for (const float temperature : {0.3f, 0.7f, 1.0f, 1.5f}) {
    SamplerOptions options;
    options.temperature = temperature;
    for (uint32_t seed = 0; seed < 4; ++seed) expect_draws_follow(options, seed);
  }
}

TEST(Draws, FollowTopK) {
  for (const int32_t top_k : {1, 2, 5, 20, 59, 60, 61, 1000000}) {
    SamplerOptions options;
    options.temperature = 1;
    options.top_k = top_k;
    for (uint32_t seed = 0; seed < 3; ++seed) expect_draws_follow(options, seed);
  }
}

TEST(Draws, FollowTopP) {
  for (const float top_p : {0.0f, 1e-5f, 0.1f, 0.5f, 0.9f, 0.95f, 0.999f, 1.0f}) {
    SamplerOptions options;
    options.temperature = 1;
    options.top_p = top_p;
    for (uint32_t seed = 0; seed < 3; ++seed) expect_draws_follow(options, seed);
  }
}

TEST(Draws, FollowMinP) {
  for (const float min_p : {1e-6f, 0.01f, 0.05f, 0.1f, 0.5f, 1.0f}) {
    SamplerOptions options;
    options.temperature = 1;
    options.min_p = min_p;
    for (uint32_t seed = 0; seed < 3; ++seed) expect_draws_follow(options, seed);
  }
}

TEST(Draws, FollowAllOfThemTogether) {
  std::mt19937 generator(4);
  const auto pick = [&](std::vector<float> from) { return from[generator() % from.size()]; };
  for (uint32_t seed = 0; seed < 30; ++seed) {
    SamplerOptions options;
    options.temperature = pick({0.2f, 0.8f, 1.0f, 3.0f});
    options.top_k = static_cast<int32_t>(pick({0, 3, 17, 50}));
    options.top_p = pick({0.3f, 0.8f, 0.98f, 1.0f});
    options.min_p = pick({0, 0.02f, 0.2f});
    expect_draws_follow(options, seed);
  }
}

// More candidates than are sorted at first, and so flat that nearly all of them are needed.
TEST(Draws, FollowTopPOfALargeVocabulary) {
  SamplerOptions options;
  options.temperature = 1;
  for (const float top_p : {0.05f, 0.5f, 0.97f}) {
    options.top_p = top_p;
    const std::vector<float> logits = random_logits(3000, 9, 0.3f);
    const std::vector<double> expected = expected_distribution(logits, options);
    Sampler sampler = make(options, logits);
    for (const int32_t token : draws(sampler, logits, 300)) {
      EXPECT_GT(expected[static_cast<size_t>(token)], 0) << "token " << token;
    }
  }
}

TEST(TopK, KeepsTheLowerIdsOfEquals) {
  SamplerOptions options;
  options.temperature = 1;
  options.top_k = 3;
  const std::vector<float> logits{1, 2, 2, 2, 2, 0};
  Sampler sampler = make(options, logits);
  const double third = 1.0 / 3;
  expect_frequencies(draws(sampler, logits, 3000), {0, third, third, third, 0, 0});
}

TEST(RepetitionPenalty, DividesWhatIsPositiveAndMultipliesWhatIsNot) {
  SamplerOptions options;
  options.repetition_penalty = 2;
  const std::vector<int32_t> session{0, 0, 0, 3};
  EXPECT_EQ(make(options, {4, 1.9f, 0, 0}).sample(std::vector<float>{4, 1.9f, 0, 0}, session), 0);
  EXPECT_EQ(make(options, {4, 2.1f, 0, 0}).sample(std::vector<float>{4, 2.1f, 0, 0}, session), 1);
  EXPECT_EQ(
      make(options, {-1, -1.9f, -3, -1}).sample(std::vector<float>{-1, -1.9f, -3, -1}, session), 1);
  EXPECT_EQ(
      make(options, {-1, -2.1f, -3, -1}).sample(std::vector<float>{-1, -2.1f, -3, -1}, session), 0);
}

// The penalties' formulas, counted by a loop over all tokens for each token.
std::vector<float> penalised(std::vector<float> logits, const SamplerOptions& options,
                             const std::vector<int32_t>& session,
                             const std::vector<int32_t>& accepted) {
  const auto count = [&](const std::vector<int32_t>& all, size_t token) {
    const size_t window = static_cast<size_t>(options.penalty_window);
    const size_t skipped = window == 0 || window > all.size() ? 0 : all.size() - window;
    return static_cast<float>(std::count(all.begin() + static_cast<std::ptrdiff_t>(skipped),
                                         all.end(), static_cast<int32_t>(token)));
  };
  for (size_t i = 0; i < logits.size(); ++i) {
    float& x = logits[i];
    if (count(session, i) > 0) {
      x = x > 0 ? x / options.repetition_penalty : x * options.repetition_penalty;
    }
    if (count(accepted, i) > 0) x -= options.presence_penalty;
    x -= options.frequency_penalty * count(accepted, i);
  }
  return logits;
}

TEST(Penalties, FollowTheFormulas) {
  std::mt19937 generator(1);
  const auto pick = [&](std::vector<float> from) { return from[generator() % from.size()]; };
  for (uint32_t seed = 0; seed < 100; ++seed) {
    SamplerOptions options;
    options.repetition_penalty = pick({0.5f, 1, 1.1f, 3});
    options.presence_penalty = pick({-1, 0, 0.5f, 2});
    options.frequency_penalty = pick({-0.25f, 0, 0.125f, 0.75f});
    options.penalty_window = static_cast<int32_t>(pick({0, 1, 2, 7, 30, 1000}));
    Sampler sampler(options, 20, {});
    std::vector<int32_t> session, accepted;
    for (uint32_t step = 0; step < 60; ++step) {
      const std::vector<float> logits = random_logits(20, seed * 100 + step);
      const auto expected = penalised(logits, options, session, accepted);
      const int32_t token = sampler.sample(logits, session);
      ASSERT_EQ(token, std::max_element(expected.begin(), expected.end()) - expected.begin())
          << "seed " << seed << ", step " << step << ", window " << options.penalty_window;
      accepted.push_back(token);
      session.push_back(token);
      if (step % 5 == 0) session.push_back(static_cast<int32_t>(step % 20));  // fed, not drawn
    }
  }
}

TEST(Penalties, CountTokensThatWereChosenElsewhere) {
  SamplerOptions options;
  options.presence_penalty = 1;
  Sampler sampler(options, 3, {});
  sampler.accept(2);
  EXPECT_EQ(sampler.sample(std::vector<float>{0, 0.5f, 1}, {}), 1);
}

TEST(Penalties, ReturnToZeroWithAReset) {
  SamplerOptions options;
  options.presence_penalty = 1;
  Sampler sampler(options, 2, {});
  EXPECT_EQ(sampler.sample(std::vector<float>{0.5f, 0}, {}), 0);
  EXPECT_EQ(sampler.sample(std::vector<float>{0.5f, 0}, {}), 1);
  sampler.reset();
  EXPECT_EQ(sampler.sample(std::vector<float>{0.5f, 0}, {}), 0);
}

TEST(Penalties, StandForcedTokens) {
  SamplerOptions options;
  options.temperature = 1;
  options.repetition_penalty = 0.01f;
  options.presence_penalty = -100;
  options.logit_bias = {{1, infinity}};
  const std::vector<float> logits{3, 0, 5, 4};
  const std::vector<int32_t> session{1, 2};
  Sampler sampler(options, 4, {});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sampler.sample(logits, session), 1);
}

TEST(Bias, IsAddedBeforeEverythingElse) {
  const std::vector<float> logits{1, 2, 3};
  SamplerOptions options;
  options.logit_bias = {{0, 1.5f}, {0, 1}, {2, -infinity}};
  EXPECT_EQ(greedy(logits, options), 0);
  options.temperature = 1;
  Sampler sampler = make(options, logits);
  expect_frequencies(draws(sampler, logits, 2000), softmax({3.5f, 2, -infinity}));
}

TEST(Bias, CannotBringBackWhatMinusInfinityForbids) {
  SamplerOptions options;
  options.logit_bias = {{2, -infinity}, {2, infinity}};
  EXPECT_EQ(greedy({1, 2, 3}, options), 1);
}

TEST(Suppressed, IsNeverDrawn) {
  const std::vector<float> logits = random_logits(30, 8);
  const std::vector<int32_t> suppressed{0, 7, 29, greedy(logits)};
  for (const float temperature : {0.0f, 1e-30f, 1.0f, 100.0f}) {
    for (const float bias : {0.0f, 100.0f, infinity}) {
      SamplerOptions options;
      options.temperature = temperature;
      options.presence_penalty = -5;
      options.repetition_penalty = 0.5f;
      for (const int32_t token : suppressed) options.logit_bias.push_back({token, bias});
      Sampler sampler = make(options, logits, suppressed);
      for (int i = 0; i < 10000; ++i) {
        const int32_t token = sampler.sample(logits, suppressed);
        ASSERT_EQ(std::count(suppressed.begin(), suppressed.end(), token), 0)
            << "temperature " << temperature << ", bias " << bias << ", draw " << i;
        if (i % 100 == 99) sampler.reset();  // keeps the accepted tokens few
      }
    }
  }
}

TEST(Seed, GivesTheSameDrawsEachTime) {
  const std::vector<float> logits = random_logits(200, 2);
  SamplerOptions options;
  options.temperature = 1;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
    options.seed = seed;
    Sampler a = make(options, logits), b = make(options, logits);
    const auto first = draws(a, logits, 200);
    EXPECT_EQ(first, draws(b, logits, 200));
    EXPECT_NE(first, draws(a, logits, 200));
    a.reset();
    EXPECT_EQ(first, draws(a, logits, 200));
  }
}

TEST(Seed, ThatDiffersGivesOtherDraws) {
  const std::vector<float> logits = random_logits(200, 2);
  std::vector<std::vector<int32_t>> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SamplerOptions options;
    options.temperature = 1;
    options.seed = seed;
    Sampler sampler = make(options, logits);
    seen.push_back(draws(sampler, logits, 30));
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

TEST(Logprobs, AreThoseOfTheModel) {
  SamplerOptions options;
  options.temperature = 3;
  options.top_k = 10;
  options.logit_bias = {{4, 2.5f}};
  options.presence_penalty = 1;
  options.top_logprobs = 256;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> logits = random_logits(256, seed, 5);
    const std::vector<double> expected = softmax(logits);
    const std::vector<int32_t> order = ranking(expected);
    Sampler sampler = make(options, logits);
    const int32_t token = sampler.sample(logits, {});
    const auto found = sampler.logprobs();
    ASSERT_EQ(found.size(), 257u);
    EXPECT_EQ(found[0].token, token);
    double total = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      if (i > 0) {
        EXPECT_EQ(found[i].token, order[i - 1]);
        total += std::exp(double{found[i].logprob});
      }
      const double log_softmax = std::log(expected[static_cast<size_t>(found[i].token)]);
      EXPECT_NEAR(found[i].logprob, log_softmax, 1e-7 * (1 + std::abs(log_softmax)));
    }
    EXPECT_NEAR(total, 1, 1e-6);
  }
}

TEST(Logprobs, LeaveSuppressedTokensOut) {
  SamplerOptions options;
  options.top_logprobs = 2;
  const std::vector<float> logits{5, 1, 0};
  Sampler sampler = make(options, logits, {0});
  EXPECT_EQ(sampler.sample(logits, {}), 1);
  const std::vector<double> expected = softmax({1, 0});
  const auto found = sampler.logprobs();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_NEAR(found[0].logprob, std::log(expected[0]), 1e-6);
  EXPECT_EQ(found[1].token, 1);
  EXPECT_EQ(found[2].token, 2);
  EXPECT_NEAR(found[2].logprob, std::log(expected[1]), 1e-6);
}

TEST(Logprobs, ExistBetweenASampleAndAReset) {
  const std::vector<float> logits{1, 2};
  Sampler sampler = make({}, logits);
  EXPECT_TRUE(sampler.logprobs().empty());
  sampler.accept(0);
  EXPECT_TRUE(sampler.logprobs().empty());
  sampler.sample(logits, {});
  sampler.accept(0);
  ASSERT_EQ(sampler.logprobs().size(), 1u);
  EXPECT_EQ(sampler.logprobs()[0].token, 1);
  sampler.reset();
  EXPECT_TRUE(sampler.logprobs().empty());
}

std::string refused(const std::function<void(SamplerOptions&)>& change) {
  return refusal([&] {
    SamplerOptions options;
    change(options);
    Sampler(options, 10, {});
  });
}

TEST(Options, OutOfRangeAreRefusedInWords) {
  using O = SamplerOptions;
  EXPECT_EQ(refused([](O& o) { o.temperature = -1; }), "temperature is -1, expected 0 to 100");
  EXPECT_EQ(refused([](O& o) { o.temperature = 100.5f; }),
            "temperature is 100.5, expected 0 to 100");
  EXPECT_EQ(refused([](O& o) { o.top_p = 1.5f; }), "top_p is 1.5, expected 0 to 1");
  EXPECT_EQ(refused([](O& o) { o.min_p = -0.5f; }), "min_p is -0.5, expected 0 to 1");
  EXPECT_EQ(refused([](O& o) { o.top_k = -1; }), "top_k is -1, expected 0 or more");
  EXPECT_EQ(refused([](O& o) { o.repetition_penalty = 0; }),
            "repetition_penalty is 0, expected 0.01 to 100");
  EXPECT_EQ(refused([](O& o) { o.presence_penalty = 101; }),
            "presence_penalty is 101, expected -100 to 100");
  EXPECT_EQ(refused([](O& o) { o.frequency_penalty = -infinity; }),
            "frequency_penalty is -inf, expected -100 to 100");
  EXPECT_EQ(refused([](O& o) { o.penalty_window = -3; }),
            "penalty_window is -3, expected 0 or more");
  EXPECT_EQ(refused([](O& o) { o.top_logprobs = 257; }), "top_logprobs is 257, expected 0 to 256");
  EXPECT_EQ(refused([](O& o) { o.top_logprobs = -1; }), "top_logprobs is -1, expected 0 to 256");
  EXPECT_EQ(refused([](O& o) {
              o.logit_bias = {{3, 0}, {10, 1}};
            }),
            "logit_bias of token 10, vocabulary has 10");
  EXPECT_EQ(refused([](O& o) {
              o.logit_bias = {{-1, 1}};
            }),
            "logit_bias of token -1, vocabulary has 10");
  EXPECT_EQ(refused([](O& o) {
              o.logit_bias = {{3, not_a_number}};
            }),
            "logit_bias of token 3 is not a number");
}

TEST(Options, ThatAreNotNumbersAreRefused) {
  using O = SamplerOptions;
  for (float O::*member : {&O::temperature, &O::top_p, &O::min_p, &O::repetition_penalty,
                           &O::presence_penalty, &O::frequency_penalty}) {
    EXPECT_THAT(refused([&](O& o) { o.*member = not_a_number; }), ::testing::HasSubstr(" is nan"));
  }
}

TEST(Options, AtTheirBordersAreTaken) {
  EXPECT_EQ(refused([](SamplerOptions& o) {
              o = {.temperature = 100,
                   .top_p = 0,
                   .min_p = 1,
                   .top_k = std::numeric_limits<int32_t>::max(),
                   .repetition_penalty = 0.01f,
                   .presence_penalty = -100,
                   .frequency_penalty = 100,
                   .penalty_window = std::numeric_limits<int32_t>::max(),
                   .seed = ~uint64_t{0},
                   .logit_bias = {{0, -infinity}, {9, infinity}},
                   .top_logprobs = 256};
            }),
            "no error");
}

TEST(Sampler, RefusesTokensAndLogitsOfAnotherVocabulary) {
  Sampler sampler({}, 10, {});
  EXPECT_EQ(refusal([&] { sampler.accept(10); }), "token 10, vocabulary has 10");
  EXPECT_EQ(refusal([&] { sampler.accept(-1); }), "token -1, vocabulary has 10");
  EXPECT_EQ(refusal([&] { sampler.sample(std::vector<float>(9), {}); }),
            "sampler of 10 tokens got 9 logits");
}

}  // namespace
}  // namespace minimax
