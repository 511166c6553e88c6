// SPDX-License-Identifier: Apache-2.0
// The engine's promises about feeding: chunks, cancels, limits, steps of several timelines, memory.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "tests/support/golden_file.h"

namespace minimax {
namespace {

using testing::GoldenFile;
using testing::largest_difference;

const std::filesystem::path folder = MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l";
// Sums of f32 in another order.
constexpr double logits_bound = 1e-4;

const std::atomic<bool> never{false};

const std::vector<int32_t>& golden_ids() {
  static const std::vector<int32_t> ids =
      GoldenFile(folder / "golden.safetensors")["input_ids"].ids;
  return ids;
}

std::span<const int32_t> ids(size_t first, size_t count) {
  return std::span(golden_ids()).subspan(first, count);
}

EngineOptions exact_options() {
  EngineOptions options;
  options.thread_count = 2;
  options.kv_type = MINIMAX_TYPE_F32;
  options.chunk_tokens = 64;
  return options;
}

std::unique_ptr<Engine> load(const EngineOptions& options) {
  return Engine::load(folder, options);
}

// Rows of logits by the index the sink was told; raises a flag when it takes a certain one.
class Rows final : public LogitsSink {
 public:
  void take(int64_t index, std::span<const float> row) override {
    EXPECT_TRUE(rows.emplace(index, std::vector<float>(row.begin(), row.end())).second)
        << "row " << index << " twice";
    if (index == cancel_at) cancel = true;
  }
  std::vector<float> joined() const {
    std::vector<float> all;
    for (const auto& [index, row] : rows) all.insert(all.end(), row.begin(), row.end());
    return all;
  }

  std::map<int64_t, std::vector<float>> rows;
  int64_t cancel_at = -1;
  std::atomic<bool> cancel{false};
};

std::vector<float> feed_all(Engine& engine, Timeline& timeline, std::span<const int32_t> tokens) {
  Rows rows;
  engine.feed({&timeline, tokens, LogitsWanted::all, &rows, 0}, never);
  EXPECT_EQ(rows.rows.size(), tokens.size());
  return rows.joined();
}

std::vector<float> feed_last(Engine& engine, Timeline& timeline, std::span<const int32_t> tokens) {
  Rows rows;
  engine.feed({&timeline, tokens, LogitsWanted::last, &rows, 0}, never);
  EXPECT_EQ(rows.rows.size(), 1u);
  EXPECT_EQ(rows.rows.begin()->first, static_cast<int64_t>(tokens.size()) - 1);
  return rows.joined();
}

void feed(Engine& engine, Timeline& timeline, std::span<const int32_t> tokens) {
  engine.feed({&timeline, tokens, LogitsWanted::last, nullptr, 0}, never);
}

struct Refusal {
  minimax_status status = MINIMAX_OK;
  std::string message;
};

template <typename Call>
Refusal refusal(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.status(), error.message()};
  }
  return {};
}

TEST(Feed, TellsTheSinkTheLastRowOrAll) {
  const auto engine = load(exact_options());
  const auto a = engine->new_timeline(32), b = engine->new_timeline(32);
  const std::vector<float> all = feed_all(*engine, *a, ids(0, 150));
  const std::vector<float> last = feed_last(*engine, *b, ids(0, 150));
  EXPECT_TRUE(std::equal(last.begin(), last.end(), all.end() - static_cast<int64_t>(last.size())));
}

TEST(Feed, CountsRowsFromTheFirstIndex) {
  const auto engine = load(exact_options());
  const auto timeline = engine->new_timeline(32);
  Rows rows;
  engine->feed({timeline.get(), ids(0, 100), LogitsWanted::all, &rows, 1000}, never);
  EXPECT_EQ(rows.rows.size(), 100u);
  EXPECT_EQ(rows.rows.begin()->first, 1000);
  EXPECT_EQ(rows.rows.rbegin()->first, 1099);
}

TEST(Feed, ThatIsCancelledStandsAtABorder) {
  const auto engine = load(exact_options());
  const auto whole = engine->new_timeline(32);
  feed(*engine, *whole, ids(0, 10));
  const std::vector<float> expected = feed_all(*engine, *whole, ids(10, 250));
  const size_t width = expected.size() / 250;

  for (const int64_t cancel_at : {0, 53, 54, 117, 118, 240}) {
    const auto timeline = engine->new_timeline(32);
    feed(*engine, *timeline, ids(0, 10));
    Rows rows;
    rows.cancel_at = cancel_at;
    const auto refused = refusal([&] {
      engine->feed({timeline.get(), ids(10, 250), LogitsWanted::all, &rows, 0}, rows.cancel);
    });
    // Chunks end at multiples of 64; the one that holds the token is finished.
    const int64_t border = (10 + cancel_at) / 64 * 64 + 64;
    if (border > 260) {
      EXPECT_EQ(refused.status, MINIMAX_OK) << "nothing was left to cancel";
      EXPECT_EQ(timeline->position(), 260);
      continue;
    }
    EXPECT_EQ(refused.status, MINIMAX_CANCELLED);
    EXPECT_EQ(refused.message, text("cancelled after ", border - 10, " of 250 tokens"));
    EXPECT_EQ(timeline->position(), border);
    ASSERT_EQ(rows.rows.size(), static_cast<size_t>(border - 10));
    const auto rest = ids(static_cast<size_t>(border), static_cast<size_t>(260 - border));
    std::vector<float> found = rows.joined();
    const std::vector<float> continued = feed_all(*engine, *timeline, rest);
    found.insert(found.end(), continued.begin(), continued.end());
    EXPECT_EQ(found.size(), 250 * width);
    EXPECT_TRUE(found == expected) << "bits differ after a cancel at " << cancel_at;
  }
}

TEST(Feed, ThatIsCancelledAtOnceHasDoneNothing) {
  const auto engine = load(exact_options());
  const auto timeline = engine->new_timeline(32), other = engine->new_timeline(32);
  feed(*engine, *timeline, ids(0, 70));
  feed(*engine, *other, ids(0, 70));
  const std::atomic<bool> now{true};
  const auto refused = refusal([&] {
    engine->feed({timeline.get(), ids(70, 200), LogitsWanted::last, nullptr, 0}, now);
  });
  EXPECT_EQ(refused.status, MINIMAX_CANCELLED);
  EXPECT_EQ(timeline->position(), 70);
  EXPECT_TRUE(feed_all(*engine, *timeline, ids(70, 30)) == feed_all(*engine, *other, ids(70, 30)));
}

TEST(ContextLimit, RefusesAWholeFeedAndLeavesAllAsItWas) {
  EngineOptions options = exact_options();
  options.context_limit = 100;
  const auto engine = load(options);
  const auto timeline = engine->new_timeline(32), other = engine->new_timeline(32);
  feed(*engine, *timeline, ids(0, 80));
  feed(*engine, *other, ids(0, 80));
  const size_t bytes = engine->kv_bytes();
  const auto refused = refusal([&] { feed(*engine, *timeline, ids(80, 21)); });
  EXPECT_EQ(refused.status, MINIMAX_CONTEXT_FULL);
  EXPECT_EQ(refused.message,
            "session holds at most 100 tokens, 80 used, 21 more do not fit (context_limit)");
  EXPECT_EQ(timeline->position(), 80);
  EXPECT_EQ(engine->kv_bytes(), bytes);
  EXPECT_TRUE(feed_all(*engine, *timeline, ids(80, 20)) == feed_all(*engine, *other, ids(80, 20)));
  EXPECT_EQ(refusal([&] { feed(*engine, *timeline, ids(0, 1)); }).status, MINIMAX_CONTEXT_FULL);
}

TEST(KvBytesLimit, RefusesAWholeFeedAndLeavesAllAsItWas) {
  EngineOptions options = exact_options();
  const size_t page = Step::page_bytes(load(options)->config(), DType::f32, kv_page_tokens);
  options.kv_bytes_limit = static_cast<int64_t>(3 * page - 1);  // two pages
  const auto engine = load(options);
  const auto timeline = engine->new_timeline(32);
  feed(*engine, *timeline, ids(0, 250));
  EXPECT_EQ(engine->kv_bytes(), page);
  {
    const auto other = engine->new_timeline(32);
    feed(*engine, *other, ids(0, 250));
    const auto refused = refusal([&] { feed(*engine, *timeline, ids(0, 7)); });
    EXPECT_EQ(refused.status, MINIMAX_CONTEXT_FULL);
    EXPECT_EQ(refused.message, text("keys and values: ", 3 * page, " bytes needed, limit ",
                                    3 * page - 1, " (kv_bytes_limit)"));
    EXPECT_EQ(timeline->position(), 250);
    EXPECT_EQ(engine->kv_bytes(), 2 * page);
    EXPECT_TRUE(feed_all(*engine, *timeline, ids(250, 6)) ==
                feed_all(*engine, *other, ids(250, 6)));
  }
  EXPECT_EQ(engine->kv_bytes(), page);
  feed(*engine, *timeline, ids(0, 7));
  EXPECT_EQ(timeline->position(), 263);
  EXPECT_EQ(engine->kv_bytes(), 2 * page);
}

TEST(ChunkTokens, MakeNoDifference) {
  std::vector<float> expected;
  for (const int64_t chunk_tokens : {512, 64, 7, 1}) {
    EngineOptions options = exact_options();
    options.chunk_tokens = chunk_tokens;
    const auto engine = load(options);
    const auto timeline = engine->new_timeline(32);
    const std::vector<float> logits = feed_all(*engine, *timeline, golden_ids());
    if (expected.empty()) expected = logits;
    EXPECT_LE(largest_difference(logits, expected), logits_bound) << chunk_tokens << " a chunk";
  }
}

TEST(RewindTokens, MakeNoDifference) {
  const auto engine = load(exact_options());
  std::vector<float> expected;
  for (const int64_t rewind_tokens : {32, 0, 1, 100}) {
    const auto timeline = engine->new_timeline(rewind_tokens);
    std::vector<float> logits = feed_all(*engine, *timeline, ids(0, 200));
    for (size_t t = 200; t < 235; ++t) {  // one by one over a fold
      const std::vector<float> row = feed_all(*engine, *timeline, ids(t, 1));
      logits.insert(logits.end(), row.begin(), row.end());
    }
    EXPECT_EQ(timeline->committed(),
              std::max<int64_t>(0, timeline->position() - rewind_tokens) / 32 * 32);
    if (expected.empty()) expected = logits;
    EXPECT_LE(largest_difference(logits, expected), logits_bound) << "rewind " << rewind_tokens;
  }
}

// What one timeline does in a step, and what it has been fed before.
struct Part {
  size_t before;
  size_t count;
  LogitsWanted wanted;
};

constexpr Part parts[] = {{100, 1, LogitsWanted::last},  // decodes
                          {0, 37, LogitsWanted::all},    // begins
                          {61, 20, LogitsWanted::last},
                          {255, 1, LogitsWanted::last}};

std::vector<std::vector<float>> step_parts(Engine& engine, std::span<const Part> together) {
  std::vector<std::unique_ptr<Timeline>> timelines;
  std::vector<Rows> rows(together.size());
  std::vector<StepEntry> entries;
  for (size_t i = 0; i < together.size(); ++i) {
    const Part& part = together[i];
    timelines.push_back(engine.new_timeline(32));
    if (part.before > 0) feed(engine, *timelines[i], ids(0, part.before));
    timelines[i]->reserve(static_cast<int64_t>(part.count));
    entries.push_back({timelines[i].get(), ids(part.before, part.count), part.wanted, &rows[i], 0});
  }
  engine.step(entries);
  std::vector<std::vector<float>> logits;
  for (size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(timelines[i]->position(),
              static_cast<int64_t>(together[i].before + together[i].count));
    logits.push_back(rows[i].joined());
    // And one token more, which tells whether what is remembered is right as well.
    const std::vector<float> next = feed_all(engine, *timelines[i], ids(40, 1));
    logits.back().insert(logits.back().end(), next.begin(), next.end());
  }
  return logits;
}

// Vector kernels add in an order that depends on how many rows they have; plain loops do not.
TEST(Step, OfSeveralTimelinesEqualsStepsOfEach) {
  for (const std::string device : {"cpu", "cpu:portable", "cpu:plain"}) {
    EngineOptions options = exact_options();
    options.device = device;
    const auto engine = load(options);
    const auto together = step_parts(*engine, parts);
    for (size_t i = 0; i < std::size(parts); ++i) {
      const auto alone = step_parts(*engine, {&parts[i], 1});
      const double difference = largest_difference(together[i], alone[0]);
      EXPECT_LE(difference, device == "cpu:plain" ? 0 : logits_bound) << device << ", part " << i;
    }
  }
}

TEST(Memory, OfTheWorkspaceDoesNotGrowWithThePrompt) {
  const auto engine = load(exact_options());
  const size_t before = engine->workspace_bytes();
  const auto timeline = engine->new_timeline(32);
  const size_t state = timeline->state_bytes();
  for (int i = 0; i < 4; ++i) feed_all(*engine, *timeline, golden_ids());
  EXPECT_EQ(engine->workspace_bytes(), before);
  EXPECT_EQ(timeline->state_bytes(), state);
}

TEST(Memory, IsWhatThePlanSays) {
  for (const int64_t chunk_tokens : {1, 64, 512}) {
    for (const int32_t kv_type : {MINIMAX_TYPE_F32, MINIMAX_TYPE_BF16, MINIMAX_TYPE_AUTO}) {
      EngineOptions options = exact_options();
      options.chunk_tokens = chunk_tokens;
      options.kv_type = kv_type;
      const minimax_memory_plan plan = Engine::plan(folder, options);
      const auto engine = load(options);
      EXPECT_EQ(plan.workspace_bytes, engine->workspace_bytes());
      EXPECT_EQ(plan.parameter_count, engine->weights().parameter_count);
      EXPECT_EQ(plan.tensor_count, engine->weights().tensor_count);
      EXPECT_EQ(plan.weight_bytes, engine->weights().weight_bytes);
      const auto timeline = engine->new_timeline(default_rewind_tokens);
      EXPECT_EQ(plan.lightning_state_bytes + plan.lightning_log_bytes, timeline->state_bytes());
      feed(*engine, *timeline, ids(0, 3));
      EXPECT_EQ(plan.kv_page_tokens * plan.bytes_per_token, engine->kv_bytes());
      EXPECT_EQ(timeline->kv_bytes(), engine->kv_bytes());
    }
  }
}

TEST(SyntheticWeights, AreTheSameForTheSameSeed) {
  EngineOptions options = exact_options();
  options.weights = WeightOrigin::synthetic;
  const auto logits = [&](uint64_t seed, int thread_count) {
    options.synthetic_seed = seed;
    options.thread_count = thread_count;
    const auto engine = load(options);
    return feed_all(*engine, *engine->new_timeline(32), ids(0, 40));
  };
  const std::vector<float> first = logits(7, 2);
  EXPECT_TRUE(logits(7, 2) == first) << "bits differ";
  EXPECT_LE(largest_difference(logits(7, 1), first), logits_bound);
  EXPECT_GT(largest_difference(logits(8, 2), first), 1e-2);
  EXPECT_TRUE(std::all_of(first.begin(), first.end(), [](float x) { return std::isfinite(x); }));
}

TEST(SyntheticWeights, AreCountedLikeThoseOfFiles) {
  EngineOptions options = exact_options();
  const auto files = load(options);
  options.weights = WeightOrigin::synthetic;
  const auto synthetic = load(options);
  EXPECT_EQ(synthetic->weights().parameter_count, files->weights().parameter_count);
  EXPECT_EQ(synthetic->workspace_bytes(), files->workspace_bytes());
  EXPECT_EQ(Engine::plan(folder, options).weight_bytes, synthetic->weights().weight_bytes);
}

}  // namespace
}  // namespace minimax
