// SPDX-License-Identifier: Apache-2.0
// Marks and forks: whoever comes back, or goes another way, goes on as if nothing else had happened.
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "sdk/session.h"

namespace minimax {
namespace {

class Mark : public ::testing::Test {
 protected:
  Mark() {
    EngineOptions options;
    options.thread_count = 2;
    model_ = Model::load(MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l", options);
  }
  std::vector<int32_t> random_tokens(size_t count) {
    std::vector<int32_t> tokens(count);
    for (int32_t& token : tokens) token = static_cast<int32_t>(random_() % 512);
    return tokens;
  }
  // Logits after some tokens at once, then some one by one.
  static std::vector<std::vector<float>> go_on(Session& session, std::span<const int32_t> tokens) {
    std::vector<std::vector<float>> all;
    for (size_t at = 0; at < tokens.size();) {
      const size_t count = at == 0 ? tokens.size() / 2 : 1;
      session.feed(tokens.subspan(at, count));
      all.emplace_back(session.logits().begin(), session.logits().end());
      at += count;
    }
    return all;
  }

  std::mt19937 random_{11};
  std::shared_ptr<Model> model_;
};

TEST_F(Mark, ReturnsToTheBit) {
  for (const size_t start : {0, 1, 31, 32, 64, 97, 255, 256, 257, 300}) {
    Session session(model_, 32);
    const auto prompt = random_tokens(start), road = random_tokens(70);
    if (start > 0) session.feed(prompt);
    const auto mark = session.mark();
    const auto expected = go_on(session, road);
    for (int round = 0; round < 2; ++round) {
      go_on(session, random_tokens(90));
      session.return_to(*mark);
      EXPECT_EQ(session.timeline().position(), static_cast<int64_t>(start));
      EXPECT_EQ(go_on(session, road), expected) << "from " << start;
    }
    session.reset();
    session.return_to(*mark);
    EXPECT_EQ(go_on(session, road), expected) << "after a reset, from " << start;
  }
}

TEST_F(Mark, ForksGoTheirOwnWays) {
  const auto prompt = random_tokens(270);
  const auto left = random_tokens(80), right = random_tokens(80);
  Session whole(model_, 32), other(model_, 32);
  whole.feed(prompt);
  other.feed(prompt);
  const auto expected_left = go_on(whole, left), expected_right = go_on(other, right);

  Session trunk(model_, 32);
  trunk.feed(prompt);
  Session branch(*trunk.mark());
  EXPECT_EQ(std::vector<float>(branch.logits().begin(), branch.logits().end()),
            std::vector<float>(trunk.logits().begin(), trunk.logits().end()));
  for (size_t i = 0; i < left.size(); ++i) {  // in turns
    trunk.feed({&left[i], 1});
    branch.feed({&right[i], 1});
  }
  Session straight_left(model_, 32), straight_right(model_, 32);
  straight_left.feed(prompt);
  straight_right.feed(prompt);
  for (size_t i = 0; i < left.size(); ++i) {
    straight_left.feed({&left[i], 1});
    straight_right.feed({&right[i], 1});
  }
  EXPECT_TRUE(
      std::equal(trunk.logits().begin(), trunk.logits().end(), straight_left.logits().begin()));
  EXPECT_TRUE(
      std::equal(branch.logits().begin(), branch.logits().end(), straight_right.logits().begin()));
}

// Also when one of them takes tokens back first.
TEST_F(Mark, ForkRewindAndReturn) {
  const auto prompt = random_tokens(260), road = random_tokens(60);
  Session trunk(model_, 32);
  trunk.feed(prompt);
  const auto mark = trunk.mark();
  Session branch(*mark);
  branch.rewind(20);
  const auto branch_logits = go_on(branch, road);
  Session straight(model_, 32);
  straight.feed(std::span(prompt));
  straight.rewind(20);
  EXPECT_EQ(go_on(straight, road), branch_logits);
  const auto trunk_logits = go_on(trunk, road);
  branch.return_to(*mark);
  EXPECT_EQ(go_on(branch, road), trunk_logits);
}

TEST_F(Mark, OutlivesItsSession) {
  const auto prompt = random_tokens(100), road = random_tokens(40);
  std::shared_ptr<const SessionMark> mark;
  std::vector<std::vector<float>> expected;
  {
    Session session(model_, 32);
    session.feed(prompt);
    mark = session.mark();
    expected = go_on(session, road);
  }
  Session later(*mark);
  EXPECT_EQ(go_on(later, road), expected);
}

// What a mark shared is the session's alone when the mark ends after a reset.
TEST_F(Mark, EndsAfterAReset) {
  const auto prompt = random_tokens(100), road = random_tokens(40);
  Session straight(model_, 32);
  const auto expected = go_on(straight, road);
  Session session(model_, 32);
  session.feed(prompt);
  auto mark = session.mark();
  session.reset();
  mark.reset();
  EXPECT_EQ(go_on(session, road), expected);
  mark = session.mark();
  session.reset();
  auto empty = session.mark();  // of states that are not its own
  mark.reset();
  Session other(*empty);
  empty.reset();
  session.feed(prompt);
  EXPECT_EQ(go_on(other, road), expected);
}

TEST_F(Mark, RefusesWhatDoesNotFit) {
  Session session(model_, 32), other(model_, 64);
  session.feed(random_tokens(10));
  const auto mark = session.mark();
  EXPECT_THROW(other.return_to(*mark), Error);
  EngineOptions options;
  options.thread_count = 1;
  const auto twin = Model::load(MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l", options);
  Session stranger(twin, 32);
  try {
    stranger.return_to(*mark);
    FAIL() << "another engine's mark";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_WRONG_MODEL);
  }
}

}  // namespace
}  // namespace minimax
