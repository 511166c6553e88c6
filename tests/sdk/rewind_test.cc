// SPDX-License-Identifier: Apache-2.0
// Tokens taken back: what follows must be as if they had never been fed.
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "sdk/session.h"
#include "tests/support/golden_file.h"

namespace minimax {
namespace {

constexpr int64_t rewind_tokens = 32;

class Rewind : public ::testing::Test {
 protected:
  static std::shared_ptr<Model> open(int32_t kv_type = MINIMAX_TYPE_AUTO) {
    EngineOptions options;
    options.thread_count = 2;
    options.kv_type = kv_type;
    return Model::load(MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l", options);
  }
  std::vector<int32_t> random_tokens(size_t count) {
    std::vector<int32_t> tokens(count);
    for (int32_t& token : tokens) token = static_cast<int32_t>(random_() % 512);
    return tokens;
  }
  static std::vector<float> logits_of(const Session& session) {
    return {session.logits().begin(), session.logits().end()};
  }

  std::mt19937 random_{7};
};

// Both sessions hold the same tokens; one of them went further and came back. Where that made it fold
// more of them into its states, sums are in another order.
TEST_F(Rewind, GoesOnAsIfItHadNeverGoneFurther) {
  const auto model = open();
  int exact = 0, folded = 0;
  for (int round = 0; round < 50; ++round) {
    const auto start = static_cast<size_t>(random_() % 300 + 1);
    const auto tokens = random_tokens(start + 64), detour = random_tokens(rewind_tokens);
    const auto back = static_cast<int64_t>(random_() % rewind_tokens + 1);
    Session straight(model, rewind_tokens), strayed(model, rewind_tokens);
    const std::span<const int32_t> all(tokens);
    straight.feed(all.first(start));
    strayed.feed(all.first(start));
    const int64_t floor_before = strayed.rewind_floor();
    strayed.feed(std::span(detour).first(static_cast<size_t>(back)));
    strayed.rewind(back);
    EXPECT_EQ(strayed.timeline().position(), static_cast<int64_t>(start));
    for (size_t at = start; at < start + 64;) {  // some tokens at once, then one by one
      const size_t count = at == start ? 40 : 1;
      straight.feed(all.subspan(at, count));
      strayed.feed(all.subspan(at, count));
      at += count;
      const auto expected = logits_of(straight), found = logits_of(strayed);
      if (strayed.rewind_floor() == straight.rewind_floor() &&
          floor_before == straight.rewind_floor()) {
        ++exact;
        EXPECT_EQ(found, expected) << "from " << start << " back " << back << " at " << at;
      } else {
        ++folded;
        EXPECT_LE(testing::normalised_error(found, expected), 1e-10)
            << "from " << start << " back " << back << " at " << at;
      }
    }
  }
  EXPECT_GT(exact, 0);
  EXPECT_GT(folded, 0);
}

// Every distance, at places around folds and a page's border. Keys and values are f32 here: a sum in
// another order now and then rounds to the other bf16, which is 5e-10 of a logit.
TEST_F(Rewind, AllDistances) {
  const auto model = open(MINIMAX_TYPE_F32);
  const auto tokens = random_tokens(600);
  for (const size_t end : {33, 64, 65, 96, 255, 256, 257, 300, 511, 513}) {
    Session strayed(model, rewind_tokens);
    strayed.feed(std::span(tokens).first(end));
    for (int64_t back = 1; back <= rewind_tokens; ++back) {
      EXPECT_GE(static_cast<int64_t>(end) - strayed.rewind_floor(), rewind_tokens);
      strayed.rewind(back);
      const auto place = end - static_cast<size_t>(back);
      strayed.feed(std::span(tokens).subspan(place, static_cast<size_t>(back)));
      Session straight(model, rewind_tokens);
      straight.feed(std::span(tokens).first(end));
      EXPECT_LE(testing::normalised_error(logits_of(strayed), logits_of(straight)), 1e-10)
          << end << " back " << back;
    }
  }
}

TEST_F(Rewind, HasAFloor) {
  const auto model = open();
  Session session(model, rewind_tokens);
  session.feed(random_tokens(100));
  EXPECT_EQ(session.rewind_floor(), 64);
  const auto refused = [&](int64_t count, minimax_status status) {
    try {
      session.rewind(count);
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), status);
      return error.message();
    }
    return std::string("no error");
  };
  EXPECT_EQ(refused(37, MINIMAX_NOT_AVAILABLE),
            "cannot go back 37 tokens to 63: what lies before 64 is folded into the lightning "
            "states (rewind_tokens)");
  EXPECT_EQ(refused(-1, MINIMAX_INVALID_ARGUMENT), "token_count is -1, the session holds 100");
  EXPECT_EQ(refused(101, MINIMAX_INVALID_ARGUMENT), "token_count is 101, the session holds 100");
  EXPECT_EQ(session.timeline().position(), 100);
  session.rewind(0);
  EXPECT_EQ(session.logits().size(), 512u);
  session.rewind(36);
  EXPECT_EQ(session.timeline().position(), 64);
  EXPECT_THROW(session.logits(), Error);
  Session young(model, rewind_tokens);
  young.feed(random_tokens(20));
  young.rewind(20);
  EXPECT_EQ(young.timeline().position(), 0);
}

}  // namespace
}  // namespace minimax
