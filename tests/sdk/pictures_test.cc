// SPDX-License-Identifier: Apache-2.0
// Pictures on their way through prompt, tower, cache and text model, against what public implementations
// compute (tests/golden/README.md) and against themselves.
#include "sdk/pictures.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "engine/sampler.h"
#include "sdk/model.h"
#include "sdk/prompt.h"
#include "sdk/session.h"
#include "tests/support/golden_file.h"

namespace minimax {
namespace {

using testing::GoldenFile;
using testing::largest_difference;

const std::filesystem::path tiny_folder = MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l";
const std::filesystem::path demo_folder = MINIMAX_SOURCE_DIR "/models/demo";
const std::atomic<bool> never{false};

EngineOptions options_of(int64_t chunk_tokens = 512, int64_t cache_bytes = 0) {
  EngineOptions options;
  options.thread_count = 2;
  options.kv_type = MINIMAX_TYPE_F32;
  options.chunk_tokens = chunk_tokens;
  options.image_cache_bytes_limit = cache_bytes;
  return options;
}

class Rows final : public LogitsSink {
 public:
  void take(int64_t, std::span<const float> row) override {
    numbers.insert(numbers.end(), row.begin(), row.end());
  }
  std::vector<float> numbers;
};

std::filesystem::path demo_picture(int number) {
  char prefix[8];
  std::snprintf(prefix, sizeof prefix, "%03d_", number);
  for (const auto& entry : std::filesystem::directory_iterator(demo_folder / "eval/pictures")) {
    if (entry.path().filename().string().starts_with(prefix)) return entry.path();
  }
  return {};
}

int64_t first_of(std::span<const int32_t> ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) - ids.begin();
}

TEST(Pictures, LogitsOfTheGoldenPictures) {
  const GoldenFile golden(tiny_folder / "golden.safetensors");
  const auto model = Model::load(tiny_folder, options_of());
  for (int i = 0; i < 6; ++i) {
    const Image image = Image::read(tiny_folder / text("image_", i, ".png"));
    const auto encoded = model->pictures().encoded(image, nullptr, nullptr);
    const std::span<const int32_t> ids = golden[text("input_ids_", i)].ids;
    const int32_t image_token = model->engine().config().image_token;
    ASSERT_EQ(std::count(ids.begin(), ids.end(), image_token), encoded->rows.dim(0));
    const EmbeddedRows rows{first_of(ids, image_token), encoded->rows};
    Rows logits;
    const auto timeline = model->engine().new_timeline(32);
    model->engine().feed({timeline.get(), ids, LogitsWanted::all, &logits, 0, {&rows, 1}}, never);
    const auto& expected = golden[text("logits_tail_", i)].numbers;
    const auto tail = std::span(logits.numbers).last(expected.size());
    EXPECT_LE(largest_difference(tail, expected), 2e-4) << "picture " << i;
  }
}

// The trained model: the prompt as its template renders it, the first logits and the whole answer.
TEST(Pictures, AnswersOfTheDemoModel) {
  const GoldenFile golden(demo_folder / "eval/golden.safetensors");
  const auto model = Model::load(demo_folder, options_of());
  const std::vector<int32_t> image_token{model->engine().config().image_token};
  for (const int number : {0, 7, 40, 100, 102, 103}) {
    const std::string name = text("picture_", number);
    const std::span<const int32_t> ids = golden[name + "_ids"].ids;
    const Image image = Image::read(demo_picture(number));
    const auto encoded = model->pictures().encoded(image, nullptr, nullptr);
    Session session(model, 32);
    const PlacedPicture placed{first_of(ids, image_token[0]), encoded};
    session.feed(ids, {&placed, 1});
    Sampler greedy({}, model->engine().config().vocabulary_size, image_token);
    const auto& logits = golden[name + "_logits"];
    const auto& expected = golden[name + "_greedy"].ids;
    for (size_t i = 0; i < expected.size(); ++i) {
      if (i < static_cast<size_t>(logits.dims[0])) {
        EXPECT_LE(largest_difference(session.logits(), logits.row(i)), 2e-3)
            << name << ", step " << i;
      }
      const int32_t token = greedy.sample(session.logits(), session.timeline().tokens());
      ASSERT_EQ(token, expected[i]) << name << ", step " << i;
      session.feed({&token, 1});
    }
    ASSERT_EQ(session.pictures().size(), 1u);
    EXPECT_EQ(session.pictures()[0].position, placed.first);
    EXPECT_EQ(session.pictures()[0].token_count, encoded->rows.dim(0));
    EXPECT_EQ(session.pictures()[0].id, image.id());
  }
}

Prompt two_pictures(const Model& model) {
  Prompt prompt(model.tokenizer(), model.chat_format(), model.vocabulary_size(),
                model.engine().config().image_token);
  for (const int number : {40, 100}) {
    auto image = std::make_shared<const Image>(Image::read(demo_picture(number)));
    const int64_t count = model.pictures().plan(image->size()).token_count;
    prompt.add_picture({std::move(image), count});
    prompt.add_message(MINIMAX_ROLE_USER, "", "What is in this picture?");
    prompt.begin_reply();
    prompt.add_text("I see.", SpecialTokens::plain);
    prompt.end_reply(MINIMAX_STOP_CANCELLED);
  }
  prompt.add_message(MINIMAX_ROLE_USER, "", "What color is it?");
  prompt.begin_reply();
  return prompt;
}

std::vector<PlacedPicture> placed(const Model& model, const Prompt& prompt, int* hits) {
  std::vector<PlacedPicture> out;
  for (const RenderedPrompt::Place& place : prompt.rendered().places) {
    bool was_cached = false;
    out.push_back(
        {static_cast<int64_t>(place.first),
         model.pictures().encoded(*prompt.picture(place.picture).image, nullptr, &was_cached)});
    *hits += was_cached ? 1 : 0;
  }
  return out;
}

std::vector<float> logits_of(Session& session) {
  return {session.logits().begin(), session.logits().end()};
}

TEST(Pictures, TheSameHoweverAConversationIsFed) {
  const auto model = Model::load(demo_folder, options_of());
  const Prompt prompt = two_pictures(*model);
  const std::span<const int32_t> ids = prompt.tokens();
  int hits = 0;
  Session session(model, 32);
  session.feed(ids, placed(*model, prompt, &hits));
  EXPECT_EQ(hits, 0);
  const std::vector<float> at_once = logits_of(session);

  session.reset();
  EXPECT_TRUE(session.pictures().empty());
  session.feed(ids, placed(*model, prompt, &hits));
  EXPECT_EQ(hits, 2);
  EXPECT_EQ(logits_of(session), at_once);
  EXPECT_EQ(session.pictures().size(), 2u);

  const auto in_chunks = Model::load(demo_folder, options_of(64));
  Session chunked(in_chunks, 32);
  chunked.feed(ids, placed(*in_chunks, prompt, &hits));
  EXPECT_LE(largest_difference(logits_of(chunked), at_once), 1e-4);

  // Cut in the middle of the second picture, and gone on with from there.
  const auto pictures = placed(*model, prompt, &hits);
  const auto cut = static_cast<size_t>(pictures[1].first + 17);
  Session cut_session(model, 32);
  cut_session.feed(ids.first(cut), pictures);
  std::vector<PlacedPicture> rest(pictures);
  for (PlacedPicture& picture : rest) picture.first -= static_cast<int64_t>(cut);
  cut_session.feed(ids.subspan(cut), {&rest[1], 1});
  EXPECT_LE(largest_difference(logits_of(cut_session), at_once), 1e-4);
  ASSERT_EQ(cut_session.pictures().size(), 2u);
  EXPECT_EQ(cut_session.pictures()[1].position, pictures[1].first);
  EXPECT_EQ(cut_session.pictures()[1].token_count, pictures[1].picture->rows.dim(0));
}

TEST(Pictures, CacheKeepsTheLastUsed) {
  const int64_t row_bytes = 64 * 4;
  const auto model = Model::load(tiny_folder, options_of(512, 130 * row_bytes));
  Pictures& pictures = model->pictures();
  const auto encode = [&](int i) {
    bool was_cached = false;
    const Image image = Image::read(tiny_folder / text("image_", i, ".png"));
    pictures.encoded(image, nullptr, &was_cached);
    return was_cached;
  };
  EXPECT_FALSE(encode(0));  // 36 rows
  EXPECT_FALSE(encode(1));  // 52
  EXPECT_TRUE(encode(0));
  EXPECT_FALSE(encode(3));  // 42: all three fit
  EXPECT_TRUE(encode(1));
  EXPECT_FALSE(encode(5));  // 36: 0 has not been used for longest
  EXPECT_FALSE(encode(0));  // now 3
  EXPECT_TRUE(encode(1));
  const PictureCacheStats stats = pictures.stats();
  EXPECT_EQ(stats.hits, 3u);
  EXPECT_EQ(stats.misses, 5u);
  EXPECT_EQ(stats.evictions, 2u);
  EXPECT_EQ(stats.entry_count, 3u);
  EXPECT_EQ(stats.bytes, static_cast<uint64_t>((52 + 36 + 36) * row_bytes));
  pictures.clear_cache();
  EXPECT_EQ(pictures.stats().bytes, 0u);
  EXPECT_FALSE(encode(1));
}

TEST(Pictures, ATextModelTakesNone) {
  const auto model = Model::load(MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l", options_of());
  try {
    model->pictures().plan({10, 10});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_UNSUPPORTED);
    EXPECT_NE(error.message().find("takes no pictures"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace minimax
