// SPDX-License-Identifier: Apache-2.0
// Sessions saved on one device that go on on another, within the bounds of bf16. Skipped where there is no
// GPU. Carried to another machine, it is started where tests/golden lies.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "tests/sdk/saved_bytes.h"
#include "tests/support/golden_file.h"

namespace minimax {
namespace {

using testing::loaded;
using testing::saved;

constexpr double bf16_error = 1e-3;  // normalised squared

std::vector<int32_t> tokens_from(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 500);
  return tokens;
}

using Rows = std::vector<std::vector<float>>;

Rows go_on(Session& session, std::span<const int32_t> tokens) {
  Rows rows;
  for (const int32_t& token : tokens) {
    session.feed({&token, 1});
    rows.emplace_back(session.logits().begin(), session.logits().end());
  }
  return rows;
}

// A random model's router now and then stands between two experts, and rounding tips it over: the bound is
// held by half of the tokens at least.
double median_error(const Rows& found, const Rows& expected) {
  std::vector<double> errors;
  for (size_t i = 0; i < found.size(); ++i) {
    errors.push_back(testing::normalised_error(found[i], expected[i]));
  }
  std::sort(errors.begin(), errors.end());
  return errors[errors.size() / 2];
}

class SessionTravels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (devices().size() < 2) GTEST_SKIP() << "no GPU";
    cpu_ = open("cpu");
    gpu_ = open("cuda:0");
  }
  static std::shared_ptr<Model> open(const char* device) {
    EngineOptions options;
    options.device = device;
    options.thread_count = 2;
    const std::filesystem::path folder = "tests/golden/vendor_text_8l";
    const std::filesystem::path at_home = MINIMAX_SOURCE_DIR / folder;
    return Model::load(std::filesystem::exists(at_home) ? at_home : folder, options);
  }

  const std::vector<int32_t> prompt_ = tokens_from(1, 270), road_ = tokens_from(2, 8);
  std::shared_ptr<Model> cpu_, gpu_;
};

TEST_F(SessionTravels, FromTheCpuToAGpuAndBack) {
  Session session(cpu_, 32);
  session.feed(prompt_);
  Session there = loaded(gpu_, saved(session));
  Session back = loaded(cpu_, saved(there));
  const Rows expected = go_on(session, road_);
  const double of_there = median_error(go_on(there, road_), expected);
  const double of_back = median_error(go_on(back, road_), expected);
  std::printf("median error on the GPU %.1e, back on the CPU %.1e\n", of_there, of_back);
  EXPECT_LE(of_there, bf16_error);
  EXPECT_LE(of_back, bf16_error);
}

TEST_F(SessionTravels, FromAGpuToItselfToTheBit) {
  Session session(gpu_, 32);
  session.feed(std::span(prompt_).first(75));
  const std::vector<std::byte> bytes = saved(session);
  Session twin = loaded(gpu_, bytes);
  EXPECT_EQ(saved(twin), bytes);
  Session on_cpu = loaded(cpu_, bytes);
  const Rows expected = go_on(session, road_);
  EXPECT_EQ(go_on(twin, road_), expected);
  EXPECT_LE(median_error(go_on(on_cpu, road_), expected), bf16_error);
}

}  // namespace
}  // namespace minimax
