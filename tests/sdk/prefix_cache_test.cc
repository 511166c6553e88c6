// SPDX-License-Identifier: Apache-2.0
// The prefix cache: what need not be computed is not, why the rest was is told, and no answer changes.
#include "sdk/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/error.h"
#include "sdk/batch.h"
#include "sdk/generate.h"
#include "sdk/session.h"
#include "tests/support/golden_file.h"

namespace minimax {
namespace {

using Tokens = std::vector<int32_t>;

const std::filesystem::path text_folder = MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l";
const std::filesystem::path picture_folder = MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l";
constexpr int64_t rewind_tokens = 32;
constexpr double tolerance = 1e-10;

EngineOptions options_on(const std::string& device, int64_t cache_bytes = 0) {
  EngineOptions options;
  options.device = device;
  options.thread_count = 2;
  options.kv_type = MINIMAX_TYPE_F32;  // a sum in another order may round to another bf16
  options.prefix_cache_bytes_limit = cache_bytes;
  return options;
}

std::shared_ptr<Model> open_text(const std::string& device = "cpu", int64_t cache_bytes = 0) {
  return Model::load(text_folder, options_on(device, cache_bytes));
}

Tokens random_tokens(std::mt19937& random, size_t count) {
  Tokens tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 500);
  return tokens;
}

Tokens joined(Tokens first, const Tokens& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::vector<float> logits_of(const Session& session) {
  return {session.logits().begin(), session.logits().end()};
}

Tokens tokens_of(const Session& session) {
  const auto tokens = session.timeline().tokens();
  return {tokens.begin(), tokens.end()};
}

Tokens reply(Session& session, int64_t token_count) {
  const size_t before = session.timeline().tokens().size();
  Sampler greedy({}, session.model()->vocabulary_size(), session.model()->suppressed());
  GenerateOptions options;
  options.max_tokens = token_count;
  options.ignore_stop_token = true;
  generate(session, greedy, options);
  const auto said = session.timeline().tokens().subspan(before);
  return {said.begin(), said.end()};
}

// What a session says that has never met a cache.
std::vector<float> logits_without_cache(const std::shared_ptr<Model>& model, const Tokens& tokens) {
  Session session(model, rewind_tokens);
  session.set_cache_policy(CachePolicy::off);
  session.feed(tokens);
  return logits_of(session);
}

FeedCounts set(Session& session, const Tokens& tokens) {
  return session.set_text({tokens, {}});
}

class PrefixCacheTest : public ::testing::Test {
 protected:
  std::mt19937 random_{3};
};

// ---- what is reused, and why not ------------------------------------------------------------------

TEST_F(PrefixCacheTest, TellsWhatItReusedAndWhyNoMore) {
  const auto model = open_text();
  Session session(model, rewind_tokens);
  const Tokens opening = random_tokens(random_, 200);
  const Tokens first = joined(opening, random_tokens(random_, 100));
  const Tokens second = joined(opening, random_tokens(random_, 100));
  const Tokens third = joined(opening, random_tokens(random_, 100));

  FeedCounts counts = set(session, first);
  EXPECT_EQ(counts.token_count, 300u);
  EXPECT_EQ(counts.tokens_reused, 0u);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_NEW);

  counts = set(session, second);  // the states at 200 are gone: they are kept from here on
  EXPECT_EQ(counts.tokens_reused, 0u);
  EXPECT_EQ(counts.diverged_at, 200);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_NO_CHECKPOINT);
  EXPECT_EQ(tokens_of(session), second);

  counts = set(session, third);
  EXPECT_EQ(counts.tokens_reused, 200u);
  EXPECT_EQ(counts.diverged_at, 200);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_DIVERGED);

  Session other(model, rewind_tokens);  // has all of it
  counts = set(other, first);
  EXPECT_EQ(counts.tokens_reused, 300u);
  EXPECT_EQ(counts.prefill_ns, 0u);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_NONE);

  const Tokens longer = joined(first, random_tokens(random_, 20));  // goes on behind it
  Session further(model, rewind_tokens);
  counts = further.feed_text({longer, {}});
  EXPECT_EQ(counts.tokens_reused, 300u);
  EXPECT_EQ(counts.diverged_at, 300);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_NONE);

  const Tokens shorter(first.begin(), first.begin() + 280);  // within what the log can take back
  Session earlier(model, rewind_tokens);
  counts = set(earlier, shorter);
  EXPECT_EQ(counts.tokens_reused, 279u);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_NONE);

  const PrefixCacheStats stats = model->prefixes().stats();
  EXPECT_EQ(stats.lookups, 6u);
  EXPECT_EQ(stats.hits, 4u);
  EXPECT_EQ(stats.reused_tokens, 200u + 300u + 300u + 279u);
}

TEST_F(PrefixCacheTest, PrefersWhatTheSessionHolds) {
  const auto model = open_text();
  Session session(model, rewind_tokens);
  session.set_cache_policy(CachePolicy::off);
  const Tokens start = random_tokens(random_, 120);
  FeedCounts counts = set(session, start);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_DISABLED);
  counts = set(session, start);
  EXPECT_EQ(counts.tokens_reused, 120u);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_NONE);
  const Tokens longer = joined(start, random_tokens(random_, 20));
  counts = set(session, longer);
  EXPECT_EQ(counts.tokens_reused, 120u);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_NONE);
  const Tokens edited = joined(start, random_tokens(random_, 20));  // rewinds
  counts = set(session, edited);
  EXPECT_EQ(counts.tokens_reused, 120u);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_DIVERGED);
  counts = set(session, start);  // without the logits after its last token
  EXPECT_EQ(counts.tokens_reused, 119u);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_NONE);
  const Tokens early(start.begin(), start.begin() + 50);  // too far back
  counts = set(session, early);
  EXPECT_EQ(counts.tokens_reused, 0u);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_DISABLED);
  EXPECT_EQ(tokens_of(session), early);
  EXPECT_EQ(model->prefixes().stats().stored, 0u);
  EXPECT_LE(testing::normalised_error(logits_of(session), logits_without_cache(model, early)),
            tolerance);
}

TEST_F(PrefixCacheTest, PoliciesAndRewindTokensAreKeptApart) {
  const auto model = open_text();
  const Tokens tokens = random_tokens(random_, 100);
  Session reader(model, rewind_tokens);
  reader.set_cache_policy(CachePolicy::use_only);
  set(reader, tokens);
  EXPECT_EQ(model->prefixes().stats().snapshot_count, 0u);
  Session writer(model, rewind_tokens);
  set(writer, tokens);
  EXPECT_EQ(model->prefixes().stats().snapshot_count, 1u);
  Session second(model, rewind_tokens);
  second.set_cache_policy(CachePolicy::use_only);
  EXPECT_EQ(set(second, tokens).tokens_reused, 100u);
  Session wider(model, 64);
  EXPECT_EQ(set(wider, tokens).miss_reason, MINIMAX_MISS_NEW);
  const auto without = open_text("cpu", -1);
  Session plain(without, rewind_tokens);
  EXPECT_EQ(set(plain, tokens).miss_reason, MINIMAX_MISS_DISABLED);
  EXPECT_EQ(without->prefixes().stats().stored, 0u);
}

TEST_F(PrefixCacheTest, SaysWhatWasEvicted) {
  const auto probe = open_text();
  Session session(probe, rewind_tokens);
  const Tokens first = random_tokens(random_, 100);
  set(session, first);
  const auto bytes = static_cast<int64_t>(probe->prefixes().stats().bytes);
  const auto model = open_text("cpu", bytes * 3 / 2);  // room for one
  Session crowded(model, rewind_tokens);
  set(crowded, first);
  set(crowded, random_tokens(random_, 100));
  EXPECT_EQ(model->prefixes().stats().snapshot_count, 1u);
  EXPECT_EQ(model->prefixes().stats().evictions, 1u);
  const FeedCounts counts = set(crowded, joined(first, random_tokens(random_, 10)));
  EXPECT_EQ(counts.tokens_reused, 0u);
  EXPECT_EQ(counts.diverged_at, 100);
  EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_EVICTED);
}

// What saves more arithmetic a byte stays longer; what nobody asks for goes at last.
TEST_F(PrefixCacheTest, KeepsWhatSavesMost) {
  const auto probe = open_text();
  const Tokens precious = random_tokens(random_, 250);
  {
    Session session(probe, rewind_tokens);
    set(session, precious);
  }
  const auto model =
      open_text("cpu", static_cast<int64_t>(probe->prefixes().stats().bytes) * 7 / 2);
  const auto is_there = [&] {
    return model->prefixes().find(prefix_key(precious, {}), rewind_tokens, {}).reusable == 250;
  };
  Session session(model, rewind_tokens);
  set(session, precious);
  for (int i = 0; i < 6; ++i) set(session, random_tokens(random_, 40));
  EXPECT_TRUE(is_there());
  for (int i = 0; i < 100; ++i) set(session, random_tokens(random_, 40));
  EXPECT_FALSE(is_there());
}

// ---- answers do not change ------------------------------------------------------------------------

// Against sessions without a cache that were fed the same pieces. The snapshot stands where the texts part, so
// that nothing is taken back.
TEST_F(PrefixCacheTest, AnswersToTheBitWhereNoFoldLiesBetween) {
  for (const char* device : {"cpu", "cpu:plain"}) {
    const auto model = open_text(device);
    const Tokens opening = random_tokens(random_, 300);
    Session session(model, rewind_tokens);
    for (int i = 0; i < 5; ++i) {
      const Tokens tail = random_tokens(random_, 100);
      const Tokens text = joined(opening, tail);
      EXPECT_EQ(set(session, text).tokens_reused, i > 1 ? 300u : 0u);
      Session straight(model, rewind_tokens);
      straight.set_cache_policy(CachePolicy::off);
      if (i > 0) straight.feed(opening);
      straight.feed(i > 0 ? tail : text);
      EXPECT_EQ(logits_of(session), logits_of(straight)) << device;
      EXPECT_EQ(reply(session, 20), reply(straight, 20));
      EXPECT_EQ(logits_of(session), logits_of(straight)) << device;
      const Tokens all = joined(tokens_of(session), random_tokens(random_, 30));
      straight.feed(std::span(all).last(30));
      Session later(model, rewind_tokens);  // from the end of the reply
      EXPECT_EQ(set(later, all).tokens_reused, 420u);
      EXPECT_EQ(logits_of(later), logits_of(straight)) << device;
    }
  }
}

// Prompts that part anywhere: just before what a snapshot holds, between, with folds in between.
TEST_F(PrefixCacheTest, AnswersAlikeWhereverTextsPart) {
  const auto model = open_text();
  std::vector<Tokens> texts{random_tokens(random_, 600)};
  uint64_t reused = 0;
  for (int i = 0; i < 120; ++i) {
    const Tokens& old = texts[random_() % texts.size()];
    const auto kept = static_cast<std::ptrdiff_t>(random_() % old.size());
    const Tokens text =
        joined(Tokens(old.begin(), old.begin() + kept), random_tokens(random_, 1 + random_() % 80));
    Session session(model, rewind_tokens);
    if (random_() % 2 == 0) session.feed(random_tokens(random_, 70));
    const FeedCounts counts = set(session, text);
    reused += counts.tokens_reused;
    EXPECT_EQ(tokens_of(session), text);
    EXPECT_LE(testing::normalised_error(logits_of(session), logits_without_cache(model, text)),
              tolerance)
        << "round " << i << ", " << counts.tokens_reused << " of " << text.size();
    if (random_() % 2 == 0) reply(session, 10);
    texts.push_back(tokens_of(session));
  }
  EXPECT_GT(reused, 5000u);
}

TEST_F(PrefixCacheTest, EvictionsChangeNoAnswer) {
  const auto probe = open_text();
  Session measured(probe, rewind_tokens);
  set(measured, random_tokens(random_, 300));
  const auto bytes = static_cast<int64_t>(probe->prefixes().stats().bytes);
  for (const int64_t limit : {int64_t{1000}, bytes, 2 * bytes, 5 * bytes}) {
    const auto model = open_text("cpu", limit);
    std::vector<Tokens> texts{random_tokens(random_, 300)};
    for (int i = 0; i < 60; ++i) {
      const Tokens& old = texts[random_() % texts.size()];
      const auto kept = static_cast<std::ptrdiff_t>(random_() % old.size());
      const Tokens text = joined(Tokens(old.begin(), old.begin() + kept),
                                 random_tokens(random_, 1 + random_() % 60));
      Session session(model, rewind_tokens);
      set(session, text);
      EXPECT_LE(testing::normalised_error(logits_of(session), logits_without_cache(model, text)),
                tolerance);
      EXPECT_LE(model->prefixes().stats().bytes, static_cast<uint64_t>(limit));
      texts.push_back(text);
    }
    EXPECT_EQ(model->prefixes().stats().evictions > 0, limit >= bytes);
  }
}

// ---- many conversations ---------------------------------------------------------------------------

// All that was ever computed, token by token.
class Computed {
 public:
  // Tokens of the text that were not there.
  int64_t add(const Tokens& text) {
    int64_t fresh = 0;
    Place* at = &root_;
    for (const int32_t token : text) {
      auto& next = at->next[token];
      if (!next) next = std::make_unique<Place>(), ++fresh;
      at = next.get();
    }
    return fresh;
  }

 private:
  struct Place {
    std::map<int32_t, std::unique_ptr<Place>> next;
  };
  Place root_;
};

// 100 conversations of six turns under one system prompt; each third turn is edited once, and the
// conversation goes on both ways. Every prompt is handed over whole.
TEST_F(PrefixCacheTest, ComputesHardlyMoreThanItMust) {
  const auto model = open_text();
  const Tokens system = random_tokens(random_, 150), header = random_tokens(random_, 4);
  Computed computed;
  int64_t fed = 0, least = 0;
  std::map<int32_t, int> reasons;
  const auto turn = [&](Session& session, const Tokens& before) {
    const Tokens prompt =
        joined(joined(before, header), joined(random_tokens(random_, 10 + random_() % 40), header));
    const FeedCounts counts = set(session, prompt);
    const auto missed = static_cast<int64_t>(counts.token_count - counts.tokens_reused);
    const int64_t must = computed.add(prompt);
    fed += missed;
    least += must;
    ++reasons[counts.miss_reason];
    if (missed > must) {
      EXPECT_TRUE(counts.miss_reason == MINIMAX_MISS_NO_CHECKPOINT) << counts.miss_reason;
    } else {
      EXPECT_TRUE(counts.miss_reason == MINIMAX_MISS_NONE ||
                  counts.miss_reason == MINIMAX_MISS_NEW ||
                  counts.miss_reason == MINIMAX_MISS_DIVERGED)
          << counts.miss_reason;
    }
    reply(session, 6);
    computed.add(tokens_of(session));
    return tokens_of(session);
  };
  for (int conversation = 0; conversation < 100; ++conversation) {
    Session session(model, rewind_tokens);
    const Tokens two_turns = turn(session, turn(session, system));
    for (int branch = 0; branch < 2; ++branch) {
      Tokens text = two_turns;
      for (int i = 2; i < 6; ++i) text = turn(session, text);
    }
  }
  EXPECT_LE(static_cast<double>(fed), 1.05 * static_cast<double>(least));
  EXPECT_EQ(reasons[MINIMAX_MISS_NEW], 1);
  EXPECT_GE(reasons[MINIMAX_MISS_DIVERGED], 100);
  RecordProperty("tokens_computed", std::to_string(fed));
  RecordProperty("tokens_at_least", std::to_string(least));
}

// ---- pictures -------------------------------------------------------------------------------------

std::shared_ptr<const Image> random_image(std::mt19937& random) {
  constexpr int64_t width = 90, height = 60;
  std::vector<uint8_t> pixels(3 * width * height);
  for (uint8_t& byte : pixels) byte = static_cast<uint8_t>(random());
  return std::make_shared<const Image>(Image::from_rgb(pixels.data(), width, height, 3 * width));
}

// A text with a picture at some token.
struct Illustrated {
  Tokens tokens;
  std::vector<TextPicture> pictures;

  FedText text() const { return {tokens, pictures}; }
  void add(const Tokens& more) { tokens.insert(tokens.end(), more.begin(), more.end()); }
  void add(const Model& model, std::shared_ptr<const Image> image) {
    const int64_t count = model.pictures().plan(image->size()).token_count;
    pictures.push_back({static_cast<int64_t>(tokens.size()), {std::move(image), count}});
    tokens.insert(tokens.end(), static_cast<size_t>(count), model.engine().config().image_token);
  }
};

TEST_F(PrefixCacheTest, KnowsPicturesApart) {
  const auto model = Model::load(picture_folder, options_on("cpu"));
  const auto image = random_image(random_), stranger = random_image(random_);
  const Tokens opening = random_tokens(random_, 40), question = random_tokens(random_, 40);
  const auto with = [&](const std::shared_ptr<const Image>& shown, const Tokens& asked) {
    Illustrated text;
    text.add(opening);
    text.add(*model, shown);
    text.add(asked);
    return text;
  };
  const auto without_cache = [&](const Illustrated& text) {
    Session session(model, rewind_tokens);
    session.set_cache_policy(CachePolicy::off);
    session.feed_text(text.text());
    return logits_of(session);
  };
  const Illustrated first = with(image, question);
  Session session(model, rewind_tokens);
  EXPECT_EQ(session.set_text(first.text()).miss_reason, MINIMAX_MISS_NEW);

  Session again(model, rewind_tokens);
  FeedCounts counts = again.set_text(first.text());
  EXPECT_EQ(counts.tokens_reused, first.tokens.size());
  EXPECT_EQ(counts.images_reused, 1u);
  EXPECT_EQ(model->pictures().stats().hits, 0u);  // nobody asked for it
  EXPECT_EQ(logits_of(again), without_cache(first));
  ASSERT_EQ(again.pictures().size(), 1u);
  EXPECT_EQ(again.pictures()[0].position, 40);
  EXPECT_EQ(again.pictures()[0].id, image->id());

  for (int round = 0; round < 2; ++round) {  // the second time from a snapshot where they part
    const Illustrated other = with(round == 0 ? stranger : random_image(random_), question);
    Session fresh(model, rewind_tokens);
    counts = fresh.set_text(other.text());
    EXPECT_EQ(counts.miss_reason, MINIMAX_MISS_IMAGE_DIFFERS);
    EXPECT_EQ(counts.diverged_at, 40);
    EXPECT_EQ(counts.tokens_reused, round == 0 ? 0u : 40u);
    EXPECT_EQ(counts.image_count, 1u);
    EXPECT_LE(testing::normalised_error(logits_of(fresh), without_cache(other)), tolerance);
    ASSERT_EQ(fresh.pictures().size(), 1u);
    EXPECT_EQ(fresh.pictures()[0].token_count, other.pictures[0].picture.token_count);
  }
  // Another question about the picture, then another cut of it: within its rows.
  const Illustrated later = with(image, random_tokens(random_, 40));
  counts = session.set_text(later.text());
  EXPECT_LE(testing::normalised_error(logits_of(session), without_cache(later)), tolerance);
  Illustrated within = with(image, {});
  within.tokens.resize(within.tokens.size() - 3);
  Session cut(model, rewind_tokens);
  cut.set_text(within.text());
  EXPECT_LE(testing::normalised_error(logits_of(cut), without_cache(within)), tolerance);
  counts = cut.set_text(later.text());
  EXPECT_GT(counts.tokens_reused, within.tokens.size() - 2);
  EXPECT_LE(testing::normalised_error(logits_of(cut), without_cache(later)), tolerance);
  ASSERT_EQ(cut.pictures().size(), 1u);
  EXPECT_EQ(cut.pictures()[0].token_count, later.pictures[0].picture.token_count);
}

// ---- memory ---------------------------------------------------------------------------------------

TEST_F(PrefixCacheTest, GivesWayBeforeAnybodyIsRefused) {
  EngineOptions options = options_on("cpu");
  const auto probe = Model::load(text_folder, options);
  options.kv_bytes_limit = 4 * static_cast<int64_t>(probe->engine().kv_page_bytes());
  const auto model = Model::load(text_folder, options);
  for (int i = 0; i < 8; ++i) {  // each leaves a snapshot of three pages
    Session session(model, rewind_tokens);
    EXPECT_NO_THROW(set(session, random_tokens(random_, 600)));
    EXPECT_NO_THROW(reply(session, 3));
  }
  EXPECT_GE(model->prefixes().stats().evictions, 7u);
  Session session(model, rewind_tokens);
  EXPECT_THROW(set(session, random_tokens(random_, 5 * 256)),
               Error);  // never fits: nothing was given up
  EXPECT_GE(model->prefixes().stats().snapshot_count, 1u);
}

TEST_F(PrefixCacheTest, PinnedSnapshotsStay) {
  EngineOptions options = options_on("cpu");
  const auto probe = Model::load(text_folder, options);
  const auto page = static_cast<int64_t>(probe->engine().kv_page_bytes());
  options.kv_bytes_limit = 4 * page;
  const auto model = Model::load(text_folder, options);
  const Tokens opening = random_tokens(random_, 200);
  {
    Session session(model, rewind_tokens);
    set(session, opening);
    session.pin();
  }
  for (int i = 0; i < 8; ++i) {
    Session session(model, rewind_tokens);
    set(session, random_tokens(random_, 600));
    EXPECT_THROW(set(session, random_tokens(random_, 900)), Error);  // its page is not to be had
  }
  Session session(model, rewind_tokens);
  EXPECT_EQ(set(session, joined(opening, random_tokens(random_, 10))).tokens_reused, 200u);
  EXPECT_EQ(model->prefixes().stats().pinned_count, 1u);
  EXPECT_TRUE(model->prefixes().unpin(prefix_key(opening, {}), rewind_tokens));
  EXPECT_FALSE(model->prefixes().unpin(prefix_key(opening, {}), rewind_tokens));
  session.reset();
  EXPECT_NO_THROW(set(session, random_tokens(random_, 900)));
  model->prefixes().clear();
  EXPECT_EQ(model->prefixes().stats().bytes, 0u);
}

TEST_F(PrefixCacheTest, RefusesToPinMoreThanItsLimit) {
  const auto probe = open_text();
  Session measured(probe, rewind_tokens);
  set(measured, random_tokens(random_, 100));
  const auto bytes = static_cast<int64_t>(probe->prefixes().stats().bytes);
  const auto model = open_text("cpu", bytes * 3 / 2);
  Session session(model, rewind_tokens);
  set(session, random_tokens(random_, 100));
  session.pin();
  session.pin();  // once more is no more
  set(session, random_tokens(random_, 100));
  EXPECT_THROW(session.pin(), Error);
  EXPECT_EQ(model->prefixes().stats().snapshot_count, 1u);
  EXPECT_EQ(model->prefixes().stats().pinned_count, 1u);
}

TEST_F(PrefixCacheTest, EndsWithItsModel) {
  Session* last = nullptr;
  {
    const auto model = open_text();
    last = new Session(model, rewind_tokens);
    set(*last, random_tokens(random_, 100));
  }
  reply(*last, 3);
  const std::weak_ptr<Model> model = last->model();
  delete last;
  EXPECT_TRUE(model.expired());
}

// ---- batches and threads --------------------------------------------------------------------------

TEST_F(PrefixCacheTest, BatchesReuseToo) {
  const auto model = open_text();
  BatchOptions options;
  options.session_limit = 8;
  options.step_tokens = 64;
  const auto batch = std::make_shared<Batch>(model, options);
  const Tokens opening = random_tokens(random_, 200);
  std::vector<Tokens> prompts;
  for (int i = 0; i < 4; ++i) prompts.push_back(joined(opening, random_tokens(random_, 60)));
  const auto ask = [&](Session& session, const Tokens& tokens) {
    BatchWish wish;
    wish.tokens = tokens;
    wish.is_prompt = true;
    wish.answer.emplace();
    wish.answer->max_tokens = 5;
    wish.answer->ignore_stop_token = true;
    batch->submit(session, std::move(wish));
    BatchEvent event;
    while (event.kind < MINIMAX_EVENT_FINISHED) {
      batch->step(0);
      for (batch->next_event(event);
           event.kind != MINIMAX_EVENT_NONE && event.kind < MINIMAX_EVENT_FINISHED;) {
        batch->next_event(event);
      }
    }
    EXPECT_EQ(event.kind, MINIMAX_EVENT_FINISHED);
    EXPECT_EQ(event.counts.fed_tokens, tokens.size());
    return event.counts;
  };
  const std::vector<uint64_t> reused{0, 0, 200, 200};
  for (size_t i = 0; i < prompts.size(); ++i) {
    Session session(model, rewind_tokens), alone(model, rewind_tokens);
    const BatchCounts counts = ask(session, prompts[i]);
    EXPECT_EQ(counts.tokens_reused, reused[i]) << i;
    alone.set_cache_policy(CachePolicy::off);
    alone.feed(prompts[i]);
    reply(alone, 5);
    EXPECT_EQ(tokens_of(session), tokens_of(alone));
    EXPECT_LE(testing::normalised_error(logits_of(session), logits_of(alone)), tolerance);
  }
  Session session(model, rewind_tokens);  // all of it, then on from there
  EXPECT_EQ(ask(session, prompts[0]).tokens_reused, 260u);
  EXPECT_EQ(ask(session, random_tokens(random_, 30)).tokens_reused, 0u);
  batch->close();
}

TEST_F(PrefixCacheTest, BatchesTakePagesFromTheCache) {
  EngineOptions options = options_on("cpu");
  const auto probe = Model::load(text_folder, options);
  options.kv_bytes_limit = 3 * static_cast<int64_t>(probe->engine().kv_page_bytes());
  const auto model = Model::load(text_folder, options);
  {
    Session session(model, rewind_tokens);
    set(session, random_tokens(random_, 500));
  }
  const auto batch = std::make_shared<Batch>(model, BatchOptions{BatchStepping::by_callers, 8, 64});
  std::vector<std::unique_ptr<Session>> sessions;
  for (int i = 0; i < 3; ++i) {
    sessions.push_back(std::make_unique<Session>(model, rewind_tokens));
    BatchWish wish;
    wish.tokens = random_tokens(random_, 100);
    wish.is_prompt = true;
    wish.answer.emplace();
    wish.answer->max_tokens = 20;
    wish.answer->ignore_stop_token = true;
    batch->submit(*sessions.back(), std::move(wish));
  }
  batch->step(0);
  EXPECT_EQ(batch->stats().waiting_count, 0u);
  int finished = 0;
  for (int i = 0; i < 200 && finished < 3; ++i) {
    batch->step(0);
    for (BatchEvent event; batch->next_event(event), event.kind != MINIMAX_EVENT_NONE;) {
      EXPECT_LE(event.kind, MINIMAX_EVENT_FINISHED) << event.message;
      finished += event.kind == MINIMAX_EVENT_FINISHED ? 1 : 0;
    }
  }
  EXPECT_EQ(finished, 3);
  batch->close();
}

// Eight sessions in four threads under a small limit, with a fifth that clears, pins and looks.
TEST_F(PrefixCacheTest, ManyThreads) {
  const auto probe = open_text();
  Session measured(probe, rewind_tokens);
  set(measured, random_tokens(random_, 200));
  const auto model = open_text("cpu", 6 * static_cast<int64_t>(probe->prefixes().stats().bytes));
  std::vector<Tokens> openings;
  std::vector<std::vector<float>> expected;
  for (int i = 0; i < 6; ++i) {
    openings.push_back(i < 2 ? random_tokens(random_, 120)
                             : joined(openings[static_cast<size_t>(i) % 2],
                                      random_tokens(random_, 30 + random_() % 40)));
    expected.push_back(logits_without_cache(model, openings.back()));
  }
  std::atomic<bool> is_done{false};
  std::atomic<double> worst_error{0};
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937 random(thread);
      Session first(model, rewind_tokens), second(model, rewind_tokens);
      for (int round = 0; round < 25; ++round) {
        Session& session = random() % 2 ? first : second;
        const size_t which = random() % openings.size();
        set(session, openings[which]);
        const double error = testing::normalised_error(logits_of(session), expected[which]);
        double worst = worst_error;
        while (error > worst && !worst_error.compare_exchange_weak(worst, error)) {
        }
        if (random() % 2) reply(session, 3);
        if (random() % 8 == 0) session.reset();
      }
    });
  }
  std::thread looker([&] {
    Session session(model, rewind_tokens);
    set(session, openings[0]);
    while (!is_done) {
      try {
        session.pin();
      } catch (const Error&) {
      }
      (void)model->prefixes().stats();
      model->prefixes().unpin(prefix_key(openings[0], {}), rewind_tokens);
      model->prefixes().clear();
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  });
  for (std::thread& thread : threads) thread.join();
  is_done = true;
  looker.join();
  EXPECT_LE(worst_error, tolerance);
}

}  // namespace
}  // namespace minimax
