// SPDX-License-Identifier: Apache-2.0
// What sessions on a GPU say when tokens are drawn there, against what they say when the host draws. Skipped where
// there is no GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "engine/kernels/open_backend.h"
#include "sdk/batch.h"
#include "sdk/generate.h"

namespace minimax {
namespace {

using Tokens = std::vector<int32_t>;

constexpr int64_t answer_tokens = 6;
const Tokens prompt{17, 4, 301, 42, 5};

std::vector<SamplerOptions> samplings() {
  std::vector<SamplerOptions> all(4);
  for (size_t i = 1; i < all.size(); ++i) {
    all[i].temperature = 0.8f;
    all[i].seed = 20 + i;
  }
  all[2].top_p = 0.9f;
  all[3].top_k = 30;
  return all;
}

class DeviceDraw : public ::testing::Test {
 protected:
  void SetUp() override {
    if (devices().size() < 2) GTEST_SKIP() << "no GPU";
    EngineOptions options;
    options.device = "cuda:0";
    options.thread_count = 2;
    options.chunk_tokens = 64;
    const std::filesystem::path folder = "tests/golden/vendor_text_8l";
    const std::filesystem::path at_home = MINIMAX_SOURCE_DIR / folder;
    model_ = Model::load(std::filesystem::exists(at_home) ? at_home : folder, options);
  }
  Sampler sampler(const SamplerOptions& options) const {
    return {options, model_->vocabulary_size(), model_->suppressed()};
  }
  // Whoever asks for alternatives gets tokens that the host draws.
  static SamplerOptions on_host(SamplerOptions options) {
    options.top_logprobs = 1;
    return options;
  }
  Tokens answer(Session& session, const SamplerOptions& options) const {
    Tokens said;
    GenerateOptions generating;
    generating.max_tokens = answer_tokens;
    generating.ignore_stop_token = true;
    generating.user = &said;
    generating.on_token = [](void* user, int32_t token) {
      static_cast<Tokens*>(user)->push_back(token);
      return 0;
    };
    Sampler drawing = sampler(options);
    generate(session, drawing, generating);
    return said;
  }

  std::shared_ptr<Model> model_;
};

TEST_F(DeviceDraw, SaysWhatItSaysWhenTheHostDraws) {
  Session fed(model_, 32);
  fed.feed(prompt);
  const auto mark = fed.mark();
  for (const SamplerOptions& options : samplings()) {
    Session here(*mark), there(*mark);
    EXPECT_TRUE(sampler(options).draws_from_logits_alone());
    EXPECT_FALSE(sampler(on_host(options)).draws_from_logits_alone());
    EXPECT_EQ(answer(there, options), answer(here, on_host(options)))
        << "temperature " << options.temperature;
  }
}

TEST_F(DeviceDraw, LeavesLogitsAndProbabilitiesAsTheyAreOnTheHost) {
  Session session(model_, 32);
  session.feed(prompt);
  ASSERT_TRUE(session.row_to_draw_from(sampler({})).has_value());
  Sampler there = sampler(samplings()[1]), here = sampler(on_host(samplings()[1]));
  const int32_t token = session.draw(there);
  const std::span<const float> shown = session.logits();
  EXPECT_EQ(session.draw(here), token);
  ASSERT_EQ(there.logprobs().size(), 1u);
  EXPECT_EQ(there.logprobs()[0].token, token);
  EXPECT_NEAR(there.logprobs()[0].logprob, here.logprobs()[0].logprob, 1e-5);
  EXPECT_EQ(there.state().random_state, here.state().random_state);
  const std::vector<float> before(shown.begin(), shown.end());

  const auto mark = session.mark();
  EXPECT_EQ(mark->logits, before);
  session.feed({&token, 1});
  EXPECT_EQ(session.logits().data(), shown.data());
  EXPECT_FALSE(std::equal(shown.begin(), shown.end(), before.begin()));
  session.return_to(*mark);
  EXPECT_TRUE(std::equal(shown.begin(), shown.end(), before.begin()));
  EXPECT_FALSE(session.row_to_draw_from(there).has_value());  // the mark's are the host's
  session.rewind(1);
  EXPECT_FALSE(session.has_logits());
}

TEST_F(DeviceDraw, SaysInABatchWhatItSaysAlone) {
  const auto batch =
      std::make_shared<Batch>(model_, BatchOptions{.session_limit = 8, .step_tokens = 64});
  Session fed(model_, 32);
  fed.feed(prompt);
  const auto mark = fed.mark();
  std::vector<Tokens> expected, found;
  std::vector<std::unique_ptr<Session>> sessions;
  // The last one's tokens are the host's, in the same steps.
  std::vector<SamplerOptions> wanted = samplings();
  wanted.push_back(on_host(wanted[1]));
  for (const SamplerOptions& options : wanted) {
    Session alone(*mark);
    expected.push_back(answer(alone, options));
    sessions.push_back(std::make_unique<Session>(*mark));
    BatchWish wish;
    wish.answer.emplace();
    wish.answer->max_tokens = answer_tokens;
    wish.answer->ignore_stop_token = true;
    wish.sampler =
        std::make_shared<LentSampler>(options, model_->vocabulary_size(), model_->suppressed());
    wish.user = reinterpret_cast<void*>(sessions.size() - 1);
    batch->submit(*sessions.back(), std::move(wish));
  }
  found.resize(wanted.size());
  for (size_t open = wanted.size(); open > 0;) {
    batch->step(0);
    BatchEvent event;
    while (batch->next_event(event), event.kind != MINIMAX_EVENT_NONE) {
      const auto number = reinterpret_cast<size_t>(event.user);
      if (event.kind == MINIMAX_EVENT_TOKEN) found[number].push_back(event.token);
      if (event.kind >= MINIMAX_EVENT_FINISHED) --open;
      EXPECT_NE(event.kind, MINIMAX_EVENT_FAILED) << event.message;
    }
  }
  batch->close();
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace minimax
