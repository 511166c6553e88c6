// SPDX-License-Identifier: Apache-2.0
// Many sessions in one step: each says what it would say alone, whatever happens to its neighbours.
#include "sdk/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <thread>

#include "base/error.h"

namespace minimax {
namespace {

using Tokens = std::vector<int32_t>;

const std::filesystem::path text_folder = MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l";
const std::filesystem::path picture_folder = MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l";
constexpr int64_t page_tokens = kv_page_tokens;

EngineOptions options_on(const std::string& device, int64_t chunk_tokens = 64) {
  EngineOptions options;
  options.device = device;
  options.thread_count = 2;
  options.chunk_tokens = chunk_tokens;
  return options;
}

// With room for so many pages of keys and values.
EngineOptions options_with_pages(int64_t pages) {
  EngineOptions options = options_on("cpu");
  const auto probe = Model::load(text_folder, options);
  options.kv_bytes_limit = pages * static_cast<int64_t>(probe->engine().kv_page_bytes());
  return options;
}

Tokens random_tokens(std::mt19937& random, size_t count) {
  Tokens tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 512);
  return tokens;
}

Image random_image(std::mt19937& random) {
  constexpr int64_t width = 90, height = 60;
  std::vector<uint8_t> pixels(3 * width * height);
  for (uint8_t& byte : pixels) byte = static_cast<uint8_t>(random());
  return Image::from_rgb(pixels.data(), width, height, 3 * width);
}

std::vector<float> logits_of(const Session& session) {
  return {session.logits().begin(), session.logits().end()};
}

GenerateOptions up_to(int64_t max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  return options;
}

BatchWish wish(Tokens tokens, int64_t max_tokens) {
  BatchWish made;
  made.tokens = std::move(tokens);
  made.answer = up_to(max_tokens);
  return made;
}

BatchWish only_feeding(Tokens tokens) {
  BatchWish made;
  made.tokens = std::move(tokens);
  return made;
}

// What a session says after a prompt when nobody else is there, token by token.
Tokens answer_alone(Session& session, const Tokens& prompt, GenerateOptions options,
                    const SamplerOptions& sampling = {}) {
  session.feed(prompt);
  Tokens said;
  options.user = &said;
  options.on_token = [](void* user, int32_t token) {
    static_cast<Tokens*>(user)->push_back(token);
    return 0;
  };
  Sampler sampler(sampling, session.model()->vocabulary_size(), session.model()->suppressed());
  generate(session, sampler, options);
  return said;
}

// A batch, and what its events have told of each ticket.
class Host {
 public:
  struct Ticket {
    std::vector<int32_t> kinds;
    Tokens tokens;
    std::string text;
    BatchEvent last;
  };

  explicit Host(std::shared_ptr<Model> model, BatchOptions options = {})
      : batch_(std::make_shared<Batch>(model, filled(*model, options))) {}
  ~Host() { batch_->close(); }

  Batch& batch() { return *batch_; }
  uint64_t submit(Session& session, BatchWish wanted) {
    ++open_;
    return batch_->submit(session, std::move(wanted));
  }
  void step(int64_t timeout_ms = 0) {
    batch_->step(timeout_ms);
    listen();
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) step();
  }
  void finish() {
    while (open_ > 0) step(1000);
  }
  void listen() {
    for (BatchEvent event; batch_->next_event(event), event.kind != MINIMAX_EVENT_NONE;) {
      Ticket& ticket = tickets[event.ticket];
      ticket.kinds.push_back(event.kind);
      ticket.text += event.text;
      if (event.kind == MINIMAX_EVENT_TOKEN) ticket.tokens.push_back(event.token);
      if (event.kind == MINIMAX_EVENT_STARTED) started.push_back(event.ticket);
      if (event.kind >= MINIMAX_EVENT_FINISHED) --open_;
      ticket.last = std::move(event);
    }
  }
  int32_t last_kind(uint64_t ticket) { return tickets[ticket].last.kind; }

  std::map<uint64_t, Ticket> tickets;
  std::vector<uint64_t> started;

 private:
  static BatchOptions filled(const Model& model, BatchOptions options) {
    const int64_t most = model.engine().options().chunk_tokens;
    if (options.step_tokens == 0) options.step_tokens = most;
    if (options.session_limit == 0) {
      options.session_limit = std::min<int64_t>(64, options.step_tokens);
    }
    return options;
  }

  std::shared_ptr<Batch> batch_;
  int open_ = 0;
};

// Prompts of all lengths, which come in while others answer, in steps too small for them.
void expect_solo_texts(const std::string& device, int count, double bound) {
  const auto model = Model::load(text_folder, options_on(device));
  std::mt19937 random(5);
  std::vector<Tokens> prompts, expected;
  std::vector<std::vector<float>> logits;
  for (int i = 0; i < count; ++i) {
    prompts.push_back(random_tokens(random, 1 + random() % 200));
    Session alone(model, 32);
    expected.push_back(answer_alone(alone, prompts.back(), up_to(8 + i * 5)));
    logits.push_back(logits_of(alone));
  }
  std::list<Session> sessions;
  Host host(model, {.session_limit = 8, .step_tokens = 40});
  std::map<uint64_t, int> numbers;
  for (int i = 0; i < count; ++i) {
    sessions.emplace_back(model, 32);
    numbers[host.submit(sessions.back(), wish(prompts[i], 8 + i * 5))] = i;
    host.steps(2);
  }
  host.finish();
  EXPECT_GT(host.batch().stats().most_sessions, 4u);
  for (const auto& [ticket, i] : numbers) {
    EXPECT_EQ(host.tickets[ticket].tokens, expected[i]) << "prompt " << i;
    EXPECT_EQ(host.tickets[ticket].last.stop_reason, MINIMAX_STOP_MAX_TOKENS);
    const auto found = logits_of(*std::next(sessions.begin(), i));
    for (size_t v = 0; v < found.size(); ++v) {
      ASSERT_LE(std::abs(found[v] - logits[i][v]), bound) << "logit " << v << " of prompt " << i;
    }
  }
}

TEST(Batch, GivesEachSessionTheTextOfItsSoloRun) {
  expect_solo_texts("cpu", 12, 1e-4);
}

TEST(Batch, GivesTheVeryLogitsOfSoloRunsOnPlainKernels) {
  expect_solo_texts("cpu:plain", 6, 0);
}

TEST(Batch, DrawsWithEachRequestsOwnSampler) {
  const auto model = Model::load(text_folder, options_on("cpu:plain"));
  std::mt19937 random(6);
  std::list<Session> sessions;
  Host host(model);
  std::map<uint64_t, Tokens> expected;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    SamplerOptions sampling;
    sampling.temperature = 1.5;
    sampling.presence_penalty = 1;
    sampling.seed = seed;
    const Tokens prompt = random_tokens(random, 20);
    Session alone(model, 32);
    const Tokens said = answer_alone(alone, prompt, up_to(20), sampling);
    sessions.emplace_back(model, 32);
    BatchWish wanted = wish(prompt, 20);
    wanted.sampler =
        std::make_shared<LentSampler>(sampling, model->vocabulary_size(), model->suppressed());
    expected[host.submit(sessions.back(), std::move(wanted))] = said;
  }
  host.finish();
  for (const auto& [ticket, said] : expected) EXPECT_EQ(host.tickets[ticket].tokens, said);
}

TEST(Batch, TellsAStoryInItsOrder) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(7);
  Session session(model, 32), fed(model, 32);
  Host host(model);
  const uint64_t ticket = host.submit(session, wish(random_tokens(random, 100), 3));
  const uint64_t feeding = host.submit(fed, only_feeding(random_tokens(random, 30)));
  host.finish();
  EXPECT_EQ(host.tickets[ticket].kinds,
            (std::vector<int32_t>{MINIMAX_EVENT_STARTED, MINIMAX_EVENT_TOKEN, MINIMAX_EVENT_TOKEN,
                                  MINIMAX_EVENT_TOKEN, MINIMAX_EVENT_FINISHED}));
  EXPECT_EQ(host.tickets[feeding].kinds,
            (std::vector<int32_t>{MINIMAX_EVENT_STARTED, MINIMAX_EVENT_FINISHED}));
  const BatchCounts& counts = host.tickets[ticket].last.counts;
  EXPECT_EQ(counts.fed_tokens, 100u);
  EXPECT_EQ(counts.token_count, 3u);
  EXPECT_GT(counts.prefill_ns, 0u);
  EXPECT_GT(counts.decode_ns, 0u);
  EXPECT_EQ(session.timeline().position(), 103);
  EXPECT_EQ(session.counts().prefill_tokens, 100u);
  EXPECT_EQ(session.counts().decode_tokens, 3u);
  // And it goes on from there, without a prompt, as an answer alone does.
  Session alone(*session.mark());
  Sampler greedy({}, model->vocabulary_size(), model->suppressed());
  generate(alone, greedy, up_to(5));
  host.submit(session, wish({}, 5));
  host.finish();
  EXPECT_TRUE(std::ranges::equal(session.timeline().tokens(), alone.timeline().tokens()));
}

// Whatever was cancelled, what was fed counts, and the rest may follow.
void expect_whole(Session& session, const Tokens& all) {
  const auto fed = session.timeline().tokens();
  ASSERT_TRUE(std::ranges::equal(fed, std::span(all).first(fed.size())));
  if (fed.size() < all.size()) session.feed(std::span(all).subspan(fed.size()));
  Session straight(session.model(), 32);
  straight.feed(all);
  const auto found = logits_of(session), expected = logits_of(straight);
  for (size_t v = 0; v < found.size(); ++v) ASSERT_NEAR(found[v], expected[v], 1e-4);
}

TEST(Batch, CancelsAtEveryPhase) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(8);
  const Tokens prompt = random_tokens(random, 200);
  Session alone(model, 32);
  Tokens all = prompt;
  for (const int32_t token : answer_alone(alone, prompt, up_to(40))) all.push_back(token);
  for (int steps = 0; steps < 30; ++steps) {
    Session session(model, 32);
    Host host(model, {.session_limit = 2, .step_tokens = 20});
    const uint64_t ticket = host.submit(session, wish(prompt, 40));
    host.steps(steps);
    host.batch().cancel(ticket);
    host.listen();
    EXPECT_EQ(host.last_kind(ticket), MINIMAX_EVENT_CANCELLED);
    const BatchCounts& counts = host.tickets[ticket].last.counts;
    EXPECT_EQ(counts.fed_tokens + counts.token_count,
              static_cast<uint64_t>(session.timeline().position()));
    EXPECT_EQ(counts.token_count, host.tickets[ticket].tokens.size());
    EXPECT_THROW(host.batch().cancel(ticket), Error);
    expect_whole(session, all);
  }
}

TEST(Batch, CancelsWhenTheSessionIsTold) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(9);
  Session running(model, 32), waiting(model, 32);
  Host host(model, {.session_limit = 1});
  const uint64_t first = host.submit(running, wish(random_tokens(random, 10), 1000));
  const uint64_t second = host.submit(waiting, wish(random_tokens(random, 10), 1000));
  host.steps(5);
  waiting.cancel();
  host.step();
  EXPECT_EQ(host.last_kind(second), MINIMAX_EVENT_CANCELLED);
  running.cancel();
  host.step();
  EXPECT_EQ(host.last_kind(first), MINIMAX_EVENT_CANCELLED);
  EXPECT_EQ(host.batch().stats().cancelled_count, 2u);
}

TEST(Batch, LetsGoOfASessionThatEnds) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(10);
  Host host(model);
  uint64_t ticket = 0;
  {
    Session session(model, 32);
    ticket = host.submit(session, wish(random_tokens(random, 10), 1000));
    host.steps(3);
  }
  host.step();
  EXPECT_EQ(host.last_kind(ticket), MINIMAX_EVENT_CANCELLED);
  EXPECT_EQ(host.batch().stats().answering_count, 0u);
}

TEST(Batch, GivesSessionsBackWhenItEnds) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(11);
  const Tokens prompt = random_tokens(random, 20);
  Session running(model, 32), waiting(model, 32);
  {
    Host host(model, {.session_limit = 1});
    host.submit(running, wish(prompt, 1000));
    host.submit(waiting, wish(prompt, 1000));
    host.steps(3);
    EXPECT_THROW(running.loan().require_home("the session"), Error);
  }
  EXPECT_NO_THROW(running.loan().require_home("the session"));
  EXPECT_EQ(waiting.timeline().position(), 0);
  waiting.feed(prompt);
  const size_t said = running.timeline().tokens().size() - prompt.size();
  EXPECT_GT(said, 0u);
  Sampler greedy({}, model->vocabulary_size(), model->suppressed());
  generate(waiting, greedy, up_to(static_cast<int64_t>(said)));
  EXPECT_TRUE(std::ranges::equal(waiting.timeline().tokens(), running.timeline().tokens()));
}

TEST(Batch, BeginsWithTheHighestPriority) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(12);
  std::list<Session> sessions;
  Host host(model, {.session_limit = 1});
  std::vector<uint64_t> tickets;
  for (const int32_t priority : {0, -3, 5, 0, 7}) {
    sessions.emplace_back(model, 32);
    BatchWish wanted = wish(random_tokens(random, 5), 2);
    wanted.priority = priority;
    tickets.push_back(host.submit(sessions.back(), std::move(wanted)));
  }
  host.finish();
  EXPECT_EQ(host.started,
            (std::vector<uint64_t>{tickets[4], tickets[2], tickets[0], tickets[3], tickets[1]}));
  EXPECT_EQ(host.tickets[tickets[1]].kinds.front(), MINIMAX_EVENT_QUEUED);
}

// More urgent requests never end coming, and yet.
TEST(Batch, LetsNobodyWaitForEver) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(13);
  Session poor(model, 32), rich(model, 32);
  Host host(model, {.session_limit = 1});
  BatchWish humble = wish(random_tokens(random, 5), 2);
  humble.priority = -10;
  const auto urgent = [&] {
    BatchWish wanted = wish(random_tokens(random, 2), 1);
    wanted.priority = 10;
    return host.submit(rich, std::move(wanted));
  };
  uint64_t newest = urgent();
  const uint64_t ticket = host.submit(poor, std::move(humble));
  int count = 0;
  for (; host.last_kind(ticket) != MINIMAX_EVENT_FINISHED && count < 2000; ++count) {
    if (host.last_kind(newest) == MINIMAX_EVENT_FINISHED) {
      rich.reset();
      newest = urgent();
    }
    host.step();
  }
  EXPECT_GE(count, 16 * 20);  // a level in 16 steps
  EXPECT_LT(count, 16 * 22);
}

// Of two prompts the urgent one takes all there is, until the other has waited long enough.
TEST(Batch, FeedsEveryPromptInTheEnd) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(14);
  Session poor(model, 32), rich(model, 32);
  Host host(model, {.session_limit = 2, .step_tokens = 2});
  BatchWish urgent = only_feeding(random_tokens(random, 400));
  urgent.priority = 2;
  const uint64_t first = host.submit(rich, std::move(urgent));
  const uint64_t second = host.submit(poor, only_feeding(random_tokens(random, 4)));
  host.steps(20);
  EXPECT_EQ(host.batch().stats().feeding_count, 2u);
  host.steps(80);  // 48 steps until it goes first with two tokens, twice
  EXPECT_EQ(host.last_kind(second), MINIMAX_EVENT_FINISHED);
  EXPECT_EQ(host.last_kind(first), MINIMAX_EVENT_STARTED);
}

// Answers go on while a long prompt is fed.
TEST(Batch, AnswersInEveryStep) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  std::mt19937 random(15);
  Session talker(model, 32), reader(model, 32);
  Host host(model, {.session_limit = 4, .step_tokens = 8});
  const uint64_t talking = host.submit(talker, wish(random_tokens(random, 4), 1000));
  host.step();
  const uint64_t reading = host.submit(reader, only_feeding(random_tokens(random, 70)));
  host.steps(9);
  EXPECT_EQ(host.tickets[talking].tokens.size(), 9u);
  EXPECT_EQ(host.last_kind(reading), MINIMAX_EVENT_STARTED);
  host.steps(5);
  EXPECT_EQ(host.last_kind(reading), MINIMAX_EVENT_FINISHED);
}

TEST(Batch, QueuesWhatTheMemoryHasNoRoomFor) {
  const auto model = Model::load(text_folder, options_with_pages(4));
  std::mt19937 random(16);
  Session first(model, 32), second(model, 32), small(model, 32);
  Host host(model);
  const uint64_t large = host.submit(first, wish(random_tokens(random, 10), 2 * page_tokens));
  const uint64_t larger = host.submit(second, wish(random_tokens(random, 2 * page_tokens), 100));
  host.steps(3);
  EXPECT_EQ(host.tickets[larger].kinds, std::vector<int32_t>{MINIMAX_EVENT_QUEUED});
  EXPECT_EQ(host.tickets[larger].last.wait_reason, MINIMAX_WAIT_MEMORY);
  EXPECT_EQ(host.tickets[larger].last.message,
            "waits for 3 pages of keys and values, 1 may be taken now");
  EXPECT_EQ(host.batch().stats().waiting_for_memory_count, 1u);
  EXPECT_EQ(host.batch().stats().promised_bytes, 2 * model->engine().kv_page_bytes());
  // Whoever needs less may pass.
  const uint64_t smallest = host.submit(small, wish(random_tokens(random, 3), 3));
  host.steps(6);
  EXPECT_EQ(host.last_kind(smallest), MINIMAX_EVENT_FINISHED);
  host.batch().cancel(large);
  host.steps(2);
  EXPECT_EQ(host.last_kind(larger), MINIMAX_EVENT_QUEUED);  // two pages are still held
  first.reset();
  host.step();
  EXPECT_EQ(host.started.back(), larger);
  host.finish();
  EXPECT_EQ(host.last_kind(larger), MINIMAX_EVENT_FINISHED);
}

// Two small ones take turns, so that there are never pages enough for the large one; but not for ever.
TEST(Batch, StopsOthersFromPassingForEver) {
  const auto model = Model::load(text_folder, options_with_pages(2));
  std::mt19937 random(17);
  Session large(model, 32), small[2]{{model, 32}, {model, 32}};
  Host host(model);
  uint64_t tickets[2]{};
  const uint64_t waiting = [&] {
    tickets[0] = host.submit(small[0], wish(random_tokens(random, 3), 240));
    host.steps(120);
    tickets[1] = host.submit(small[1], wish(random_tokens(random, 3), 240));
    host.step();
    return host.submit(large, wish(random_tokens(random, 300), 5));
  }();
  int count = 0;
  for (; host.started.back() != waiting && count < 1000; ++count) {
    host.step();
    for (int i = 0; i < 2; ++i) {
      if (host.last_kind(tickets[i]) != MINIMAX_EVENT_FINISHED) continue;
      small[i].reset();
      tickets[i] = host.submit(small[i], wish(random_tokens(random, 3), 240));
    }
  }
  EXPECT_GE(count, 256);
  EXPECT_LT(count, 256 + 245);
}

TEST(Batch, KeepsItsPromiseOfMemory) {
  const auto model = Model::load(text_folder, options_with_pages(4));
  std::mt19937 random(18);
  Session bounded(model, 32), endless(model, 32);
  Host host(model, {.session_limit = 2, .step_tokens = 64});
  BatchWish without_end = wish(random_tokens(random, 10), 0);
  without_end.answer->ignore_stop_token = true;
  const uint64_t talking = host.submit(endless, std::move(without_end));
  const uint64_t promised = host.submit(bounded, wish(random_tokens(random, 10), page_tokens));
  host.finish();
  EXPECT_EQ(host.tickets[promised].last.stop_reason, MINIMAX_STOP_MAX_TOKENS);
  EXPECT_EQ(host.tickets[talking].last.stop_reason, MINIMAX_STOP_CONTEXT);
  EXPECT_EQ(bounded.timeline().position(), 10 + page_tokens);
  EXPECT_EQ(endless.timeline().position(), 2 * page_tokens);
}

TEST(Batch, StopsAtTheEndOfTheContext) {
  EngineOptions options = options_on("cpu");
  options.context_limit = 50;
  const auto model = Model::load(text_folder, options);
  std::mt19937 random(19);
  const Tokens prompt = random_tokens(random, 40);
  Session alone(model, 32), session(model, 32);
  const Tokens expected = answer_alone(alone, prompt, up_to(100));
  Host host(model);
  const uint64_t ticket = host.submit(session, wish(prompt, 100));
  host.finish();
  EXPECT_EQ(host.tickets[ticket].last.stop_reason, MINIMAX_STOP_CONTEXT);
  EXPECT_EQ(host.tickets[ticket].tokens, expected);
  EXPECT_EQ(session.timeline().position(), 50);
  try {
    host.submit(session, only_feeding(prompt));
    FAIL() << "more than the context";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_CONTEXT_FULL);
  }
}

TEST(Batch, LetsARequestFailAlone) {
  const auto model = Model::load(text_folder, options_on("cpu:plain"));
  std::mt19937 random(20);
  SamplerOptions forbidding;
  for (int32_t token = 0; token < 512; ++token) forbidding.logit_bias.push_back({token, -INFINITY});
  std::list<Session> sessions;
  std::map<uint64_t, Tokens> expected;
  Host host(model);
  uint64_t bad = 0;
  for (int i = 0; i < 5; ++i) {
    const Tokens prompt = random_tokens(random, 30);
    sessions.emplace_back(model, 32);
    BatchWish wanted = wish(prompt, 12);
    if (i == 2) {
      wanted.sampler =
          std::make_shared<LentSampler>(forbidding, model->vocabulary_size(), model->suppressed());
      bad = host.submit(sessions.back(), std::move(wanted));
      continue;
    }
    Session alone(model, 32);
    const Tokens said = answer_alone(alone, prompt, up_to(12));
    expected[host.submit(sessions.back(), std::move(wanted))] = said;
  }
  host.finish();
  EXPECT_EQ(host.last_kind(bad), MINIMAX_EVENT_FAILED);
  EXPECT_EQ(host.tickets[bad].last.status, MINIMAX_INVALID_ARGUMENT);
  EXPECT_NE(host.tickets[bad].last.message, "");
  EXPECT_EQ(host.batch().stats().failed_count, 1u);
  const Session& failed = *std::next(sessions.begin(), 2);
  EXPECT_EQ(failed.timeline().position(), 30);
  EXPECT_NO_THROW((void)failed.logits());
  for (const auto& [ticket, said] : expected) EXPECT_EQ(host.tickets[ticket].tokens, said);
}

TEST(Batch, RefusesWhatItCannotTake) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  const auto other = Model::load(text_folder, options_on("cpu"));
  Session session(model, 32), stranger(other, 32);
  Host host(model);
  const auto refused = [&](Session& offered, BatchWish wanted) {
    try {
      host.batch().submit(offered, std::move(wanted));
    } catch (const Error& error) {
      return error.status();
    }
    return minimax_status{MINIMAX_OK};
  };
  EXPECT_EQ(refused(stranger, wish({1}, 1)), MINIMAX_WRONG_MODEL);
  EXPECT_EQ(refused(session, wish({}, 1)), MINIMAX_NOT_AVAILABLE);
  EXPECT_EQ(refused(session, wish({1, 512}, 1)), MINIMAX_INVALID_ARGUMENT);
  EXPECT_EQ(refused(session, only_feeding({})), MINIMAX_INVALID_ARGUMENT);
  BatchWish with_strings = wish({1}, 1);
  with_strings.answer->stop_strings = {"end"};
  EXPECT_EQ(refused(session, std::move(with_strings)), MINIMAX_NOT_AVAILABLE);
  BatchWish drawing = wish({1}, 1);
  drawing.sampler = std::make_shared<LentSampler>(SamplerOptions{}, 512, std::span<int32_t>());
  BatchWish with_the_same = drawing;
  Session second(model, 32);
  host.submit(session, std::move(drawing));
  EXPECT_EQ(refused(session, wish({1}, 1)), MINIMAX_NOT_AVAILABLE);
  EXPECT_EQ(refused(second, std::move(with_the_same)), MINIMAX_NOT_AVAILABLE);
  host.finish();
  EXPECT_EQ(refused(second, wish({1}, 1)), MINIMAX_OK);
}

TEST(Batch, FeedsPicturesAmongAnswers) {
  const auto model = Model::load(picture_folder, options_on("cpu"));
  const int32_t image_token = model->engine().config().image_token;
  std::mt19937 random(21);
  std::vector<PlacedPicture> placed;
  BatchWish seeing = wish(random_tokens(random, 7), 10);
  for (int i = 0; i < 3; ++i) {
    const auto image = std::make_shared<Image>(random_image(random));
    const int64_t count = model->pictures().plan(image->size()).token_count;
    const auto first = static_cast<int64_t>(seeing.tokens.size());
    seeing.pictures.push_back({first, {image, count}});
    seeing.tokens.insert(seeing.tokens.end(), static_cast<size_t>(count), image_token);
    seeing.tokens.push_back(5 + i);
    placed.push_back({first, model->pictures().encoded(*image, nullptr, nullptr)});
  }
  Session alone(model, 32);
  alone.feed(seeing.tokens, placed);
  Sampler greedy({}, model->vocabulary_size(), model->suppressed());
  generate(alone, greedy, up_to(10));
  model->pictures().clear_cache();

  Session talker(model, 32), watcher(model, 32), cancelled(model, 32);
  Host host(model, {.session_limit = 4, .step_tokens = 48});
  const uint64_t talking = host.submit(talker, wish(random_tokens(random, 20), 30));
  host.steps(2);
  const size_t before = host.tickets[talking].tokens.size();
  const uint64_t watching = host.submit(watcher, seeing);
  host.steps(3);  // a picture in each
  EXPECT_EQ(host.tickets[talking].tokens.size(), before + 3);
  host.finish();
  EXPECT_EQ(host.tickets[watching].last.counts.image_count, 3u);
  EXPECT_EQ(host.tickets[watching].last.counts.images_reused, 0u);
  EXPECT_TRUE(std::ranges::equal(watcher.timeline().tokens(), alone.timeline().tokens()));
  ASSERT_EQ(watcher.pictures().size(), 3u);
  EXPECT_EQ(watcher.pictures()[1].position, alone.pictures()[1].position);

  // Cancelled between two pictures, and within the tokens of one.
  const uint64_t early = host.submit(cancelled, seeing);
  host.step();
  host.batch().cancel(early);
  EXPECT_EQ(cancelled.timeline().position(), 0);
  EXPECT_EQ(cancelled.pictures().size(), 0u);
  const uint64_t late = host.submit(cancelled, seeing);
  host.steps(4);
  host.batch().cancel(late);
  host.listen();
  const int64_t position = cancelled.timeline().position();
  EXPECT_GT(position, 7);
  EXPECT_EQ(host.tickets[late].last.counts.fed_tokens, static_cast<uint64_t>(position));
  EXPECT_EQ(host.tickets[late].last.counts.images_reused, 3u);
  ASSERT_GE(cancelled.pictures().size(), 1u);
  const PictureSpan& last = cancelled.pictures().back();
  EXPECT_LE(last.position + last.token_count, position);
}

// Three threads hand over, cancel and free while the batch's own thread steps.
TEST(Batch, ServesSeveralThreads) {
  const auto model = Model::load(text_folder, options_on("cpu"));
  const auto batch =
      std::make_shared<Batch>(model, BatchOptions{BatchStepping::by_own_thread, 4, 32});
  constexpr int threads = 3, rounds = 20;
  std::vector<std::thread> clients;
  for (int t = 0; t < threads; ++t) {
    clients.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(100 + t));
      for (int round = 0; round < rounds; ++round) {
        Session session(model, 32);
        const uint64_t ticket =
            batch->submit(session, wish(random_tokens(random, 1 + random() % 60), 10));
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        if (round % 3 == 0) {
          try {
            batch->cancel(ticket);
          } catch (const Error& error) {
            EXPECT_EQ(error.status(), MINIMAX_NOT_FOUND);
          }
        } else if (round % 3 == 1) {
          session.cancel();
        }
        (void)batch->stats();
      }  // frees the session, whether it is done or not
    });
  }
  std::map<uint64_t, int> endings;
  while (endings.size() < threads * rounds) {
    batch->step(1000);
    for (BatchEvent event; batch->next_event(event), event.kind != MINIMAX_EVENT_NONE;) {
      EXPECT_EQ(endings.count(event.ticket), 0u) << "an event after the last";
      if (event.kind >= MINIMAX_EVENT_FINISHED) ++endings[event.ticket];
    }
  }
  for (std::thread& client : clients) client.join();
  const BatchStats stats = batch->stats();
  EXPECT_EQ(stats.submitted_count, static_cast<uint64_t>(threads * rounds));
  EXPECT_EQ(stats.finished_count + stats.cancelled_count, stats.submitted_count);
  EXPECT_EQ(stats.failed_count, 0u);
  batch->close();
}

// Its own thread comes to the same texts.
TEST(Batch, StepsByItself) {
  const auto model = Model::load(text_folder, options_on("cpu:plain"));
  std::mt19937 random(22);
  std::list<Session> sessions;
  std::map<uint64_t, Tokens> expected;
  Host host(model, {.stepping = BatchStepping::by_own_thread});
  for (int i = 0; i < 4; ++i) {
    const Tokens prompt = random_tokens(random, 30);
    Session alone(model, 32);
    const Tokens said = answer_alone(alone, prompt, up_to(12));
    sessions.emplace_back(model, 32);
    expected[host.submit(sessions.back(), wish(prompt, 12))] = said;
  }
  host.finish();
  for (const auto& [ticket, said] : expected) EXPECT_EQ(host.tickets[ticket].tokens, said);
}

}  // namespace
}  // namespace minimax
