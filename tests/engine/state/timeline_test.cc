// SPDX-License-Identifier: Apache-2.0
// Timelines: when states move on, what a refused reserve leaves, and where views lie.
#include "engine/state/timeline.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "tests/engine/state/counting_memory.h"

namespace minimax {
namespace {

using testing::CountingMemory;

constexpr int64_t page_tokens = 16;
constexpr size_t page_bytes = 256;

TimelineShape shape(int64_t rewind_tokens, int64_t log_rows = 64) {
  return {.lightning_layer_count = 3,
          .head_count = 2,
          .head_dim = 4,
          .log_rows = log_rows,
          .fold_tokens = 32,
          .rewind_tokens = rewind_tokens,
          .log_type = DType::f32};
}

class TimelineTest : public ::testing::Test {
 protected:
  Timeline make(int64_t rewind_tokens) {
    return Timeline(shape(rewind_tokens), page_tokens, memory, pool);
  }
  static void feed(Timeline& timeline, int64_t count, int32_t token = 0) {
    timeline.reserve(count);
    timeline.advance(std::vector<int32_t>(static_cast<size_t>(count), token));
  }

  CountingMemory memory;
  PagePool pool{memory, page_bytes, 10 * page_bytes};
};

TEST_F(TimelineTest, FoldsAllButTheTokensItMayTakeBack) {
  for (const int64_t rewind : {0, 1, 31, 32, 33, 100}) {
    Timeline timeline = make(rewind);
    for (const int64_t end : {0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 128, 132, 133, 160}) {
      const int64_t count = end - timeline.position();
      const int64_t expected = std::max<int64_t>(0, end - rewind) / 32 * 32;
      EXPECT_EQ(timeline.committed_after(count), expected) << "rewind " << rewind << ", " << end;
      feed(timeline, count);
      EXPECT_EQ(timeline.committed(), expected);
      EXPECT_EQ(timeline.committed_after(0), expected);
    }
  }
}

TEST_F(TimelineTest, RemembersItsTokens) {
  Timeline timeline = make(32);
  EXPECT_EQ(timeline.position(), 0);
  feed(timeline, 3, 7);
  feed(timeline, 2, 9);
  EXPECT_EQ(timeline.position(), 5);
  const std::vector<int32_t> expected{7, 7, 7, 9, 9};
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), timeline.tokens().begin(),
                         timeline.tokens().end()));
}

TEST_F(TimelineTest, BeginsWithStatesOfZeros) {
  for (int round = 0; round < 3; ++round) {  // memory that somebody has used before
    Timeline timeline = make(32);
    for (int64_t i = 0; i < 3; ++i) {
      float* state = timeline.state(i).data<float>();
      EXPECT_EQ(std::count(state, state + 2 * 4 * 4, 0.0f), 2 * 4 * 4) << "layer " << i;
      std::fill_n(state, 2 * 4 * 4, 5.0f);
    }
  }
}

TEST_F(TimelineTest, LaysViewsSideBySide) {
  Timeline timeline = make(32);
  const size_t state_floats = 2 * 4 * 4, log_floats = 2 * 2 * 64 * 4;
  EXPECT_EQ(timeline.state_bytes(), 3 * (state_floats + log_floats) * sizeof(float));
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(timeline.state(i).shape(), (Shape{2, 4, 4}));
    EXPECT_EQ(timeline.log(i).shape(), (Shape{2, 2, 64, 4}));
    const size_t n = static_cast<size_t>(i);
    EXPECT_EQ(timeline.state(i).data<float>(), timeline.state(0).data<float>() + n * state_floats);
    EXPECT_EQ(timeline.log(i).data<float>(), timeline.log(0).data<float>() + n * log_floats);
  }
}

TEST_F(TimelineTest, KeepsViewsWhereTheyAre) {
  Timeline timeline = make(0);
  const float *state = timeline.state(2).data<float>(), *log = timeline.log(2).data<float>();
  feed(timeline, 20);
  std::byte* const first_page = timeline.pages()[0];
  feed(timeline, 100);
  EXPECT_EQ(timeline.pages()[0], first_page);
  timeline.reset();
  EXPECT_EQ(timeline.state(2).data<float>(), state);
  EXPECT_EQ(timeline.log(2).data<float>(), log);
}

TEST_F(TimelineTest, IsAsBeforeWhenAReserveIsRefused) {
  Timeline timeline = make(0);
  feed(timeline, 40, 3);
  const std::vector<std::byte*> pages(timeline.pages().begin(), timeline.pages().end());
  try {
    timeline.reserve(121);  // 161 tokens are 11 pages
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_CONTEXT_FULL);
    EXPECT_EQ(error.message(), "keys and values: 2816 bytes needed, limit 2560 (kv_bytes_limit)");
  }
  memory.left = 1;
  try {
    timeline.reserve(120);
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_OUT_OF_MEMORY);
  }
  EXPECT_EQ(timeline.position(), 40);
  EXPECT_EQ(timeline.committed(), 32);
  EXPECT_EQ(pool.used_bytes(), 3 * page_bytes);
  EXPECT_TRUE(
      std::equal(pages.begin(), pages.end(), timeline.pages().begin(), timeline.pages().end()));
  memory.left = 100;
  feed(timeline, 120);
  EXPECT_EQ(timeline.position(), 160);
}

TEST_F(TimelineTest, ReservesOnceForManyFeeds) {
  Timeline timeline = make(0);
  timeline.reserve(100);
  const size_t pages = timeline.pages().size(), taken = memory.taken_count;
  for (int i = 0; i < 100; ++i) timeline.advance(std::vector<int32_t>{1});
  EXPECT_EQ(timeline.pages().size(), pages);
  EXPECT_EQ(memory.taken_count, taken);
  EXPECT_EQ(timeline.kv_bytes(), pages * page_bytes);
}

TEST_F(TimelineTest, IsEmptyAfterAReset) {
  Timeline timeline = make(0);
  feed(timeline, 100);
  std::fill_n(timeline.state(1).data<float>(), 2 * 4 * 4, 3.0f);
  timeline.reset();
  EXPECT_EQ(timeline.position(), 0);
  EXPECT_EQ(timeline.committed(), 0);
  EXPECT_TRUE(timeline.pages().empty());
  EXPECT_EQ(timeline.kv_bytes(), 0u);
  EXPECT_EQ(pool.used_bytes(), 0u);
  timeline.reserve(1);
  const float* state = timeline.state(1).data<float>();
  EXPECT_EQ(std::count(state, state + 2 * 4 * 4, 0.0f), 2 * 4 * 4);
}

TEST_F(TimelineTest, UsesPagesThatAnotherGaveBack) {
  Timeline a = make(0), b = make(0);
  feed(a, 160);
  const std::vector<std::byte*> pages(a.pages().begin(), a.pages().end());
  EXPECT_THROW(b.reserve(1), Error);
  a.reset();
  b.reserve(160);
  EXPECT_TRUE(std::is_permutation(pages.begin(), pages.end(), b.pages().begin(), b.pages().end()));
  EXPECT_THROW(a.reserve(1), Error);
}

TEST_F(TimelineTest, SharesNothingWithAnother) {
  Timeline a = make(0), b = make(0);
  feed(a, 40, 1);
  feed(b, 70, 2);
  for (std::byte* page : a.pages()) {
    EXPECT_EQ(std::count(b.pages().begin(), b.pages().end(), page), 0);
  }
  std::fill_n(a.state(0).data<float>(), 3 * 2 * 4 * 4, 1.0f);
  std::fill_n(a.log(0).data<float>(), 3 * 2 * 2 * 64 * 4, 1.0f);
  const float *state = b.state(0).data<float>(), *log = b.log(0).data<float>();
  EXPECT_EQ(std::count(state, state + 3 * 2 * 4 * 4, 0.0f), 3 * 2 * 4 * 4);
  EXPECT_EQ(std::count(log, log + 3 * 2 * 2 * 64 * 4, 0.0f), 3 * 2 * 2 * 64 * 4);
  a.reset();
  EXPECT_EQ(b.position(), 70);
  EXPECT_EQ(b.committed(), 64);
  EXPECT_EQ(b.tokens()[69], 2);
  EXPECT_EQ(pool.used_bytes(), 5 * page_bytes);
}

TEST_F(TimelineTest, ReturnsAllMemoryAtItsEnd) {
  {
    const Timeline timeline = make(32);
    EXPECT_EQ(memory.taken_bytes, timeline.state_bytes());
  }
  EXPECT_EQ(memory.taken_bytes, 0u);
}

TEST_F(TimelineTest, TakesNothingWhenMemoryEndsHalfway) {
  memory.left = 1;  // the states, not the log
  EXPECT_THROW(make(32), Error);
  EXPECT_EQ(memory.taken_count, 0u);
}

TEST_F(TimelineTest, MarksCopyNothingUntilSomebodyGoesOn) {
  Timeline timeline = make(0);
  feed(timeline, 40);
  std::fill_n(timeline.state(0).data<float>(), 3 * 2 * 4 * 4, 3.0f);
  std::fill_n(timeline.pages()[2], page_bytes, std::byte{7});
  const size_t bytes = memory.taken_bytes;
  const auto mark = timeline.mark();
  Timeline fork(*mark, memory);
  EXPECT_EQ(memory.taken_bytes, bytes);
  EXPECT_EQ(fork.position(), 40);
  EXPECT_EQ(fork.state(1).raw(), timeline.state(1).raw());
  EXPECT_EQ(fork.pages()[2], timeline.pages()[2]);
  EXPECT_EQ(pool.used_bytes(), 3 * page_bytes);

  fork.reserve(1);  // 40 = 2 * 16 + 8: states and the third page become its own
  EXPECT_NE(fork.state(1).raw(), timeline.state(1).raw());
  EXPECT_EQ(fork.state(1).data<float>()[5], 3.0f);
  EXPECT_EQ(fork.pages()[1], timeline.pages()[1]);
  EXPECT_NE(fork.pages()[2], timeline.pages()[2]);
  EXPECT_EQ(fork.pages()[2][9], std::byte{7});
  EXPECT_EQ(memory.taken_bytes, bytes + timeline.state_bytes() + page_bytes);

  timeline.reset();  // the mark still holds what it was
  EXPECT_EQ(mark->lightning->states.tensor(DType::f32, {3, 2, 4, 4}).data<float>()[0], 3.0f);
  timeline.return_to(*mark);
  EXPECT_EQ(timeline.position(), 40);
  EXPECT_EQ(timeline.state(0).data<float>()[0], 3.0f);
}

TEST_F(TimelineTest, StatesBeginAtZeroAfterASharedReset) {
  Timeline timeline = make(0);
  feed(timeline, 40);
  std::fill_n(timeline.state(0).data<float>(), 3 * 2 * 4 * 4, 3.0f);
  const auto mark = timeline.mark();
  timeline.reset();
  timeline.reserve(5);
  EXPECT_EQ(std::count(timeline.state(0).data<float>(), timeline.state(0).data<float>() + 96, 0.0f),
            96);
}

// The states that were shared become its own when the others have gone, with what they hold.
TEST_F(TimelineTest, StatesBeginAtZeroWhenTheOtherOwnersHaveGone) {
  Timeline timeline = make(0);
  feed(timeline, 40);
  std::fill_n(timeline.state(0).data<float>(), 3 * 2 * 4 * 4, 3.0f);
  auto mark = timeline.mark();
  timeline.reset();
  auto empty_mark = timeline.mark();
  Timeline fork(*empty_mark, memory);
  mark.reset();
  fork.reserve(5);
  empty_mark.reset();
  timeline.reserve(5);
  for (const Timeline* empty : {&timeline, &fork}) {
    const float* const states = empty->state(0).data<float>();
    EXPECT_EQ(std::count(states, states + 96, 0.0f), 96);
  }
}

TEST_F(TimelineTest, PagesComeBackWithTheLastOwner) {
  Timeline timeline = make(0);
  feed(timeline, 64);
  auto mark = timeline.mark();
  timeline.reset();
  EXPECT_EQ(pool.used_bytes(), 4 * page_bytes);
  {
    Timeline fork(*mark, memory);
    mark.reset();
    EXPECT_EQ(pool.used_bytes(), 4 * page_bytes);
    fork.rewind(33 > fork.committed() ? 33 : fork.committed());
  }
  EXPECT_EQ(pool.used_bytes(), 0u);
}

}  // namespace
}  // namespace minimax
