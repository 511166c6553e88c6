// SPDX-License-Identifier: Apache-2.0
// Tokens drawn on every device, against a rule that sorts everything, and against expected frequencies.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/open_backend.h"
#include "engine/kernels/plain/plain_backend.h"
#include "engine/ops/ops.h"
#include "engine/sampler.h"
#include "tests/parity/far_backend.h"

namespace minimax {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
// Where a sum comes so close to what is drawn, relative to all weights, f32 weights may decide otherwise.
constexpr double rounding = 1e-6;
constexpr StepLimits limits{.tokens = 1,
                            .widest_input = 8,
                            .width = 8,
                            .head_count = 1,
                            .head_dim = 8,
                            .expert_count = 1,
                            .experts_per_token = 1,
                            .expert_width = 8,
                            .vocabulary = 200064};

struct Device {
  std::string name;
  std::unique_ptr<Backend> backend;
  bool is_far;
};

const std::vector<Device>& all_devices() {
  static const std::vector<Device> all = [] {
    std::vector<Device> devices;
    devices.push_back({"plain", std::make_unique<PlainBackend>(), false});
    devices.push_back({"cpu", std::make_unique<CpuBackend>(2, CpuCompute::f32), false});
    for (const DeviceDescription& device : minimax::devices()) {
      if (!device.name.starts_with("cuda:")) continue;
      auto far = std::make_unique<FarBackend>(open_backend(device.name, Compute::automatic, 1));
      devices.push_back({device.name, std::move(far), true});
    }
    for (const Device& device : devices) device.backend->reserve(limits);
    return devices;
  }();
  return all;
}

struct Logits {
  std::string name;
  std::vector<float> numbers;
  std::vector<int32_t> suppressed = {};

  int64_t size() const { return static_cast<int64_t>(numbers.size()); }
  Tensor tensor() const { return {numbers.data(), DType::f32, {size()}}; }
  std::vector<int32_t> words() const {
    std::vector<int32_t> out(static_cast<size_t>(ops::suppressed_words(size())));
    for (const int32_t token : suppressed) {
      const auto at = static_cast<size_t>(token);
      out[at / 32] = static_cast<int32_t>(static_cast<uint32_t>(out[at / 32]) | 1u << (at % 32));
    }
    return out;
  }
};

struct Drawn {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
};

Drawn sample(Backend& backend, const Logits& logits, const std::vector<DrawRule>& rules) {
  const auto count = static_cast<int64_t>(rules.size());
  std::vector<LogitsRow> rows;
  for (const DrawRule& rule : rules) rows.push_back({logits.tensor(), rule});
  const std::vector<int32_t> words = logits.words();
  Drawn drawn{std::vector<int32_t>(rules.size(), -2), std::vector<float>(rules.size(), 7)};
  ops::sample(backend, rows, {words.data(), DType::i32, {static_cast<int64_t>(words.size())}},
              {drawn.tokens.data(), DType::i32, {count}},
              {drawn.logprobs.data(), DType::f32, {count}});
  return drawn;
}

// All that may be drawn, in the order in which sums are made, and how many of them are kept: the definitions one
// after the other, on a list that is sorted as a whole.
class Ranking {
 public:
  Ranking(const Logits& logits, const DrawRule& rule) : uniform_(rule.uniform) {
    std::vector<float> numbers;
    for (const float logit : logits.numbers) {
      numbers.push_back(std::isnan(logit) ? -infinity
                                          : std::min(logit, std::numeric_limits<float>::max()));
    }
    for (const int32_t token : logits.suppressed) numbers[static_cast<size_t>(token)] = -infinity;
    top_ = *std::max_element(numbers.begin(), numbers.end());
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] == -infinity) continue;
      plain_total_ += std::exp(double{numbers[i]} - double{top_});
      entries_.push_back({(numbers[i] - top_) / rule.temperature, static_cast<int32_t>(i)});
    }
    numbers_ = std::move(numbers);
    if (entries_.empty()) return;
    const auto top_k = static_cast<size_t>(rule.top_k);
    const bool cuts = top_k > 0 && top_k < entries_.size();
    if (cuts || rule.top_p < 1 || rule.min_p > 0 || rule.temperature == 0) {
      std::stable_sort(entries_.begin(), entries_.end(),
                       [](const Entry& a, const Entry& b) { return a.x > b.x; });
    }
    if (rule.temperature == 0) return;
    for (const Entry& entry : entries_) {
      sums_.push_back((sums_.empty() ? 0 : sums_.back()) + std::exp(double{entry.x}));
    }
    kept_ = cuts ? top_k : entries_.size();
    const double total = sums_[kept_ - 1];
    size_t end = 1;
    while (end < kept_ && !(rule.top_p < 1 && sums_[end - 1] >= double{rule.top_p} * total) &&
           !(std::exp(double{entries_[end].x}) < rule.min_p)) {
      ++end;
    }
    kept_ = end;
  }

  bool is_empty() const { return entries_.empty(); }
  // What is drawn when nothing is rounded but f64.
  int32_t token() const {
    if (sums_.empty()) return most_probable();
    const double drawn = uniform_ * sums_[kept_ - 1];
    for (size_t i = 0; i < kept_; ++i) {
      if (sums_[i] >= drawn && std::exp(double{entries_[i].x}) > 0) return entries_[i].token;
    }
    return entries_[kept_ - 1].token;
  }
  // Whether rounding may draw it.
  bool is_near(int32_t token) const {
    for (size_t i = 0; i < kept_; ++i) {
      if (entries_[i].token != token) continue;
      const double total = sums_[kept_ - 1], drawn = uniform_ * total;
      return sums_[i] >= drawn - rounding * total &&
             (i == 0 || sums_[i - 1] <= drawn + rounding * total);
    }
    return false;
  }
  double logprob(int32_t token) const {
    return double{numbers_[static_cast<size_t>(token)]} - double{top_} - std::log(plain_total_);
  }

 private:
  struct Entry {
    float x;
    int32_t token;
  };
  int32_t most_probable() const {
    return static_cast<int32_t>(std::find(numbers_.begin(), numbers_.end(), top_) -
                                numbers_.begin());
  }

  std::vector<float> numbers_;
  std::vector<Entry> entries_;
  std::vector<double> sums_;
  size_t kept_ = 0;
  double uniform_, plain_total_ = 0;
  float top_ = 0;
};

struct Tally {
  int64_t draws = 0;
  int64_t rounded = 0;  // another token than without rounding
};

// Every device draws what the rule draws.
void expect_rule(const Logits& logits, const std::vector<DrawRule>& rules, Tally* tally = nullptr) {
  std::vector<Ranking> rankings;
  for (const DrawRule& rule : rules) rankings.emplace_back(logits, rule);
  for (const Device& device : all_devices()) {
    const Drawn drawn = sample(*device.backend, logits, rules);
    for (size_t r = 0; r < rules.size(); ++r) {
      const DrawRule& rule = rules[r];
      const std::string label =
          text(device.name, " of ", logits.size(), " ", logits.name, ": temperature ",
               rule.temperature, ", top_k ", rule.top_k, ", top_p ", rule.top_p, ", min_p ",
               rule.min_p, ", uniform ", rule.uniform);
      const int32_t token = drawn.tokens[r];
      if (rankings[r].is_empty()) {
        EXPECT_EQ(token, -1) << label;
        continue;
      }
      const int32_t expected = rankings[r].token();
      if (token != expected) {
        EXPECT_TRUE(rule.temperature > 0 && rankings[r].is_near(token))
            << label << ": token " << token << ", expected " << expected;
      }
      if (tally && device.is_far) {
        tally->draws += 1;
        tally->rounded += token != expected ? 1 : 0;
      }
      if (token < 0 || token >= logits.size()) continue;
      const double logprob = rankings[r].logprob(token);
      EXPECT_NEAR(drawn.logprobs[r], logprob, 2e-6 * std::max(1.0, std::abs(logprob))) << label;
    }
  }
}

std::vector<float> normal(int64_t count, uint32_t seed, float deviation = 3) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> numbers(0, deviation);
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = numbers(generator);
  return out;
}

std::vector<Logits> awkward(int64_t count) {
  const auto size = static_cast<size_t>(count);
  std::vector<Logits> all{{"normal", normal(count, 1)}, {"equals", std::vector<float>(size, 1.5f)}};
  Logits ties{"ties", normal(count, 2)};
  for (float& x : ties.numbers) x = std::round(x);
  ties.suppressed = {static_cast<int32_t>(count / 2), static_cast<int32_t>(count - 1)};
  all.push_back(ties);
  Logits odd{"odd numbers", normal(count, 3, 40)};
  for (size_t i = 0; i < size; ++i) {
    if (i % 3 == 1) odd.numbers[i] = not_a_number;
    if (i % 5 == 2) odd.numbers[i] = -infinity;
    if (i % 97 == 5) odd.numbers[i] = infinity;
    if (i % 89 == 6) odd.numbers[i] = -std::numeric_limits<float>::max();
  }
  all.push_back(odd);
  Logits none{"forbidden", normal(count, 4)};
  for (int32_t i = 0; i < count; ++i) none.suppressed.push_back(i);
  all.push_back(none);
  all.push_back({"no numbers", std::vector<float>(size, not_a_number)});
  Logits one{"but one forbidden", std::vector<float>(size, -infinity)};
  one.numbers[size / 3] = -4;
  all.push_back(one);
  return all;
}

// Filters alone and together, what switches them off, and both ends of their ranges.
std::vector<DrawRule> filters(int32_t count) {
  return {{},
          {.top_k = 1},
          {.top_k = 7},
          {.top_k = 50},
          {.top_k = count},
          {.top_k = count + 5},
          {.top_p = 0},
          {.top_p = 0.5f},
          {.top_p = 0.9f},
          {.top_p = 0.999f},
          {.min_p = 0.05f},
          {.min_p = 1},
          {.min_p = 1e-30f},
          {.top_p = 0.8f, .top_k = 20},
          {.min_p = 0.1f, .top_k = 20},
          {.top_p = 0.9f, .min_p = 0.02f},
          {.top_p = 0.7f, .min_p = 0.01f, .top_k = 100}};
}

std::vector<DrawRule> with_temperatures(const std::vector<DrawRule>& rules,
                                        const std::vector<float>& temperatures) {
  std::vector<DrawRule> out;
  std::mt19937 generator(5);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (const float temperature : temperatures) {
    for (DrawRule rule : rules) {
      rule.temperature = temperature;
      rule.uniform = uniform(generator);
      out.push_back(rule);
    }
  }
  return out;
}

TEST(Sample, DrawsByTheRuleFromAwkwardRows) {
  for (const int64_t count : {1, 2, 31, 255, 256, 257, 1000}) {
    std::vector<DrawRule> rules =
        with_temperatures(filters(static_cast<int32_t>(count)), {0, 1e-40f, 0.7f, 100});
    for (const double uniform : {0.0, 1 - 0x1p-53}) {
      for (DrawRule rule : with_temperatures(filters(static_cast<int32_t>(count)), {1})) {
        rule.uniform = uniform;
        rules.push_back(rule);
      }
    }
    for (const Logits& logits : awkward(count)) expect_rule(logits, rules);
  }
}

TEST(Sample, DrawsByTheRuleFromMoreThanFitsAList) {
  for (const int64_t count : {8192, 9001}) {
    std::vector<DrawRule> rules = filters(static_cast<int32_t>(count));
    for (const DrawRule& more : {DrawRule{.top_k = 3000},
                                 {.top_k = 8000},
                                 {.top_p = 0.9f, .top_k = 5000},
                                 {.min_p = 1e-4f, .top_k = 5000},
                                 {.top_p = 0.95f, .min_p = 1e-6f, .top_k = 4000}}) {
      rules.push_back(more);
    }
    for (const Logits& logits : awkward(count)) {
      expect_rule(logits, with_temperatures(rules, {0, 0.8f, 5}));
    }
  }
}

TEST(Sample, DrawsByTheRuleFromAWholeVocabulary) {
  constexpr int32_t count = 200064;
  Logits logits{"normal", normal(count, 6)};
  for (int32_t i = 200000; i < count; ++i) logits.suppressed.push_back(i);
  const std::vector<DrawRule> some{
      {}, {.top_k = 50}, {.top_p = 0.9f}, {.min_p = 0.05f}, {.top_p = 0.9f, .top_k = 1000}};
  expect_rule(logits, with_temperatures(some, {0, 0.5f, 1}));
  const Logits equals{"equals", std::vector<float>(count, -2)};
  expect_rule(equals, with_temperatures({{}, {.top_p = 0.999f}, {.top_k = 150000}}, {1}));
}

// Few enough on the emulated device to be drawn within seconds.
TEST(Sample, DrawsWhatTheSamplerDrawsButForRounding) {
  const Logits logits{"normal", normal(1000, 7)};
  Tally tally;
  for (const DrawRule& filter : {DrawRule{}, {.top_k = 40}, {.top_p = 0.9f}, {.min_p = 0.02f}}) {
    SamplerOptions options;
    options.temperature = 0.9f;
    options.top_p = filter.top_p;
    options.min_p = filter.min_p;
    options.top_k = filter.top_k;
    options.seed = 8;
    Sampler by_host(options, logits.size(), {}), by_halves(options, logits.size(), {});
    std::vector<DrawRule> rules;
    for (int i = 0; i < 500; ++i) {
      rules.push_back(by_halves.next_rule());
      const int32_t token = by_host.sample(logits.numbers, {});
      EXPECT_EQ(by_halves.take({Ranking(logits, rules.back()).token(), 0}), token);
    }
    expect_rule(logits, rules, &tally);
  }
  RecordProperty("draws", std::to_string(tally.draws));
  RecordProperty("rounded", std::to_string(tally.rounded));
  EXPECT_LE(tally.rounded, tally.draws / 1000);
}

TEST(Sample, DrawsTokensAsOftenAsTheirProbabilitiesSay) {
  const Logits logits{"normal", normal(40, 9, 1)};
  std::mt19937_64 generator(10);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<DrawRule> rules(2000, DrawRule{.temperature = 1});
  for (DrawRule& rule : rules) rule.uniform = uniform(generator);
  std::vector<double> expected;
  for (const float logit : logits.numbers) expected.push_back(std::exp(double{logit}));
  const double total = std::accumulate(expected.begin(), expected.end(), 0.0);
  for (const Device& device : all_devices()) {
    std::vector<double> found(expected.size());
    for (const int32_t token : sample(*device.backend, logits, rules).tokens) {
      found.at(static_cast<size_t>(token)) += 1;
    }
    double chi_square = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      const double often = expected[i] / total * static_cast<double>(rules.size());
      chi_square += (found[i] - often) * (found[i] - often) / often;
    }
    // 39 degrees of freedom: more than 73 once in a thousand seeds.
    EXPECT_LT(chi_square, 73) << device.name;
  }
}

// Also where blocks come to the sums in another order.
TEST(Sample, DrawsTheSameEachTime) {
  const Logits logits{"normal", normal(9001, 11)};
  const std::vector<DrawRule> rules =
      with_temperatures({{}, {.top_k = 4000}, {.top_p = 0.99f}, {.min_p = 0.001f}}, {1, 4});
  for (const Device& device : all_devices()) {
    const Drawn first = sample(*device.backend, logits, rules);
    const Drawn second = sample(*device.backend, logits, rules);
    EXPECT_EQ(first.tokens, second.tokens) << device.name;
    EXPECT_EQ(first.logprobs, second.logprobs) << device.name;
  }
}

TEST(Sample, TakesNoRowsAndManyRows) {
  const Logits logits{"normal", normal(33, 12)};
  for (const Device& device : all_devices()) {
    EXPECT_TRUE(sample(*device.backend, logits, {}).tokens.empty());
  }
  expect_rule(logits, std::vector<DrawRule>(150, {.temperature = 1, .uniform = 0.3}));
}

}  // namespace
}  // namespace minimax
