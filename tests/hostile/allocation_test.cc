// SPDX-License-Identifier: Apache-2.0
// Memory that runs out at every place in turn: OUT_OF_MEMORY, nothing lost, nothing half done.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>

#include "failing_allocations.h"
#include "minimax.h"
#include "tiny_model.h"

namespace minimax::testing {
namespace {

constexpr int64_t every_one_until = 2000;

// What a program gets from the library, to be compared with what another run of it got.
struct Answers {
  std::vector<int32_t> tokens;
  std::vector<float> numbers;
  std::string text;

  bool operator==(const Answers&) const = default;
};

// Says what is wrong in a way that does not depend on the memory that is left.
void expect(bool condition, const char* what, int64_t k) {
  if (condition) return;
  ADD_FAILURE() << what << " (failure " << k << "): " << minimax_last_error();
}

// One run of a program with one planned failure.
class Attempt {
 public:
  explicit Attempt(int64_t k) : k_(k) {}

  // The call succeeds, or it is out of memory and succeeds when it is made again.
  void must(
      const char* what, const std::function<minimax_status()>& call,
      const std::function<bool()>& is_untouched = [] { return true; }) {
    const bool had_failed = has_failed();
    minimax_status status = armed(call);
    if (status == MINIMAX_OUT_OF_MEMORY) {
      expect(has_failed() && !had_failed, "out of memory without a reason", k_);
      expect(*minimax_last_error() != '\0', "no sentence", k_);
      expect(is_untouched(), what, k_);
      status = armed(call);
    }
    expect(status == MINIMAX_OK, what, k_);
  }

  int64_t k() const { return k_; }

  static minimax_status armed(const std::function<minimax_status()>& call) {
    const Armed armed;
    return call();
  }

 private:
  int64_t k_;
};

using Program = std::function<Answers(Attempt& attempt)>;

// Runs the program with the first, the second, ... allocation failing, until none is left to fail.
void run_out_of_memory(const Program& program, Failing failing) {
  plan_failure(0, failing);
  Attempt first(0);
  program(first);  // what is made once stays
  plan_failure(0, failing);
  Attempt second(0);
  const Answers expected = program(second);
  const int64_t total = counted_allocations();
  // A prime step passes by all places sooner or later.
  const int64_t step = std::max<int64_t>(1, (total - every_one_until) / 997 * 2 + 1);
  int64_t run_count = 0;
  for (int64_t k = 1; k <= total; k += k < every_one_until ? 1 : step, ++run_count) {
    const int64_t before = live_allocations();
    bool is_same = false;
    {
      plan_failure(k, failing);
      Attempt attempt(k);
      is_same = program(attempt) == expected;
    }
    const int64_t after = live_allocations();
    plan_failure(0, failing);
    expect(is_same, "other answers than an undisturbed run", k);
    if (::testing::Test::HasFailure()) return;
    ASSERT_EQ(after - before, 0) << "allocations left behind by failure " << k;
  }
  std::printf("%lld runs, one for each of %lld allocations\n", static_cast<long long>(run_count),
              static_cast<long long>(total));
}

minimax_engine* untouched_engine() {
  static char place;
  return reinterpret_cast<minimax_engine*>(&place);
}

void open_model(Attempt& attempt, const std::string& path, minimax_engine** out_engine) {
  *out_engine = untouched_engine();
  minimax_engine_options options;
  minimax_engine_options_init(&options, sizeof options);
  options.thread_count = 1;
  attempt.must(
      "minimax_engine_open",
      [&] { return minimax_engine_open(path.c_str(), &options, out_engine); },
      [&] { return *out_engine == untouched_engine(); });
}

// Opened whole, for programs that begin with an engine.
class Opened {
 public:
  Opened() {
    TinyModel().write(folder_.path());
    Attempt attempt(0);
    open_model(attempt, folder_.path().string(), &engine_);
  }
  ~Opened() { minimax_engine_free(engine_); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  minimax_engine* engine() const { return engine_; }
  // Of sessions, batches and marks: the prefix cache is emptied.
  uint64_t kv_bytes() const {
    EXPECT_EQ(minimax_engine_clear_prefix_cache(engine_), MINIMAX_OK);
    minimax_engine_memory memory;
    minimax_engine_memory_init(&memory, sizeof memory);
    EXPECT_EQ(minimax_engine_get_memory(engine_, &memory), MINIMAX_OK);
    return memory.kv_bytes;
  }

 private:
  ScratchFolder folder_;
  minimax_engine* engine_ = nullptr;
};

std::vector<int32_t> some_tokens(size_t count) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(i * 7 % 250));
  return tokens;
}

int64_t position_of(const minimax_session* session) {
  int64_t position = -1;
  EXPECT_EQ(minimax_session_position(session, &position), MINIMAX_OK);
  return position;
}

void create_session(Attempt& attempt, minimax_engine* engine, minimax_session** out_session) {
  *out_session = nullptr;
  attempt.must(
      "minimax_session_create",
      [&] { return minimax_session_create(engine, nullptr, out_session); },
      [&] { return *out_session == nullptr; });
}

void feed(Attempt& attempt, minimax_session* session, const std::vector<int32_t>& tokens) {
  const int64_t before = position_of(session);
  attempt.must(
      "minimax_session_feed",
      [&] { return minimax_session_feed(session, tokens.data(), tokens.size()); },
      [&] { return position_of(session) == before; });
}

void append_state(Attempt& attempt, minimax_session* session, Answers& answers) {
  const float* logits = nullptr;
  size_t count = 0;
  attempt.must("minimax_session_logits",
               [&] { return minimax_session_logits(session, &logits, &count); });
  answers.numbers.insert(answers.numbers.end(), logits, logits + count);
  std::vector<int32_t> tokens(static_cast<size_t>(position_of(session)));
  attempt.must("minimax_session_tokens", [&] {
    return minimax_session_tokens(session, 0, tokens.data(), tokens.size(), &count);
  });
  answers.tokens.insert(answers.tokens.end(), tokens.begin(), tokens.end());
}

void run_both_ways(const Program& program) {
  run_out_of_memory(program, Failing::once);
  if (!::testing::Test::HasFailure()) run_out_of_memory(program, Failing::until_disarmed);
}

// Once: with no memory at all, the JSON parser's own destructors end the program.
TEST(Allocation, MayFailAnywhereInAnOpen) {
  const ScratchFolder folder;
  TinyModel().write(folder.path());
  const std::string path = folder.path().string();
  run_out_of_memory(
      [&](Attempt& attempt) {
        minimax_engine* engine = nullptr;
        open_model(attempt, path, &engine);
        minimax_engine_free(engine);
        return Answers();
      },
      Failing::once);
}

// With a tokenizer.json: to look for a *.model, std::filesystem lists the folder, and its iterator
// ends the program when it has no memory.
TEST(Allocation, MayFailAnywhereInAnOpenOfShards) {
  const ScratchFolder folder;
  TinyModel().write_shards(folder.path());
  std::filesystem::remove(folder.path() / "tokenizer.json");  // so that *.model is looked for
  const std::string path = folder.path().string();
  run_out_of_memory(
      [&](Attempt& attempt) {
        minimax_engine* engine = nullptr;
        open_model(attempt, path, &engine);
        minimax_engine_free(engine);
        return Answers();
      },
      Failing::once);
}

TEST(Allocation, MayFailAnywhereInAPlan) {
  const ScratchFolder folder;
  TinyModel().write(folder.path());
  const std::string path = folder.path().string();
  run_out_of_memory(
      [&](Attempt& attempt) {
        minimax_memory_plan plan;
        minimax_memory_plan_init(&plan, sizeof plan);
        attempt.must(
            "minimax_plan", [&] { return minimax_plan(path.c_str(), nullptr, &plan); },
            [&] { return plan.weight_bytes == 0; });
        return Answers{{static_cast<int32_t>(plan.weight_bytes)}, {}, {}};
      },
      Failing::once);
}

TEST(Allocation, MayFailAnywhereInAPrompt) {
  const Opened opened;
  run_both_ways([&](Attempt& attempt) {
    Answers answers;
    minimax_prompt* prompt = nullptr;
    attempt.must("minimax_prompt_create",
                 [&] { return minimax_prompt_create(opened.engine(), &prompt); });
    const char* const messages = R"([{"role": "system", "content": "short answers"},
      {"role": "user", "content": [{"type": "text", "text": "what is abcd?"}]}])";
    attempt.must("minimax_prompt_add_messages_json", [&] {
      return minimax_prompt_add_messages_json(prompt, messages, MINIMAX_TEXT_END);
    });
    attempt.must("minimax_prompt_add_message", [&] {
      return minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, nullptr,
                                        "and a text that is longer than a short string",
                                        MINIMAX_TEXT_END);
    });
    attempt.must("minimax_prompt_begin_reply", [&] { return minimax_prompt_begin_reply(prompt); });
    attempt.must("minimax_prompt_add_text", [&] {
      return minimax_prompt_add_text(prompt, "abc<end_of_sentence>\xff def 1234567",
                                     MINIMAX_TEXT_END, MINIMAX_TOKENIZE_DEFAULT);
    });
    const std::vector<int32_t> tokens = some_tokens(9);
    attempt.must("minimax_prompt_add_tokens",
                 [&] { return minimax_prompt_add_tokens(prompt, tokens.data(), tokens.size()); });
    size_t count = 0;
    answers.tokens.resize(4000);
    attempt.must("minimax_prompt_tokens", [&] {
      return minimax_prompt_tokens(prompt, answers.tokens.data(), answers.tokens.size(), &count);
    });
    answers.tokens.resize(count);
    answers.text.resize(4000);
    attempt.must("minimax_prompt_text", [&] {
      return minimax_prompt_text(prompt, answers.text.data(), answers.text.size(), &count);
    });
    answers.text.resize(count);
    minimax_prompt_free(prompt);
    return answers;
  });
}

TEST(Allocation, MayFailAnywhereInTokenizing) {
  const Opened opened;
  run_both_ways([&](Attempt& attempt) {
    Answers answers;
    const char* const text = "abcd abc <end_of_sentence> 12345 \xe4\xbd\xa0 \xff\xfe dcba";
    size_t count = 0;
    answers.tokens.resize(200);
    attempt.must("minimax_engine_tokenize", [&] {
      return minimax_engine_tokenize(opened.engine(), text, MINIMAX_TEXT_END, 0,
                                     answers.tokens.data(), answers.tokens.size(), &count);
    });
    answers.tokens.resize(count);
    std::vector<char> bytes(400);
    attempt.must("minimax_engine_detokenize", [&] {
      return minimax_engine_detokenize(opened.engine(), answers.tokens.data(),
                                       answers.tokens.size(), MINIMAX_DETOKENIZE_SPECIAL,
                                       bytes.data(), bytes.size(), &count);
    });
    answers.text.assign(bytes.data(), count);

    minimax_text_stream* stream = nullptr;
    const char* const stops[] = {"dcb", "\xe4\xbd\xa0\xe4\xbd\xa0"};
    attempt.must("minimax_text_stream_create",
                 [&] { return minimax_text_stream_create(opened.engine(), stops, 2, &stream); });
    const char* piece = nullptr;
    int32_t stopped = 0;
    for (const int32_t token : answers.tokens) {
      attempt.must("minimax_text_stream_push", [&] {
        return minimax_text_stream_push(stream, token, &piece, &count, &stopped);
      });
      answers.text.append(piece, count);
    }
    attempt.must("minimax_text_stream_flush",
                 [&] { return minimax_text_stream_flush(stream, &piece, &count); });
    answers.text.append(piece, count);
    minimax_text_stream_free(stream);
    return answers;
  });
}

TEST(Allocation, MayFailAnywhereInASaveAndALoad) {
  const Opened opened;
  const ScratchFolder folder;
  const std::string path = (folder.path() / "one.session").string();
  const std::vector<int32_t> tokens = some_tokens(300);
  minimax_session* session = nullptr;
  minimax_sampler* sampler = nullptr;
  ASSERT_EQ(minimax_session_create(opened.engine(), nullptr, &session), MINIMAX_OK);
  ASSERT_EQ(minimax_session_feed(session, tokens.data(), tokens.size()), MINIMAX_OK);
  ASSERT_EQ(minimax_sampler_create(opened.engine(), nullptr, &sampler), MINIMAX_OK);
  ASSERT_EQ(minimax_sampler_accept(sampler, 5), MINIMAX_OK);
  minimax_session_save_options save;
  minimax_session_save_options_init(&save, sizeof save);
  save.sampler = sampler;
  ASSERT_EQ(minimax_session_save(session, path.c_str(), &save), MINIMAX_OK);
  const std::string whole = read_file(path);
  run_out_of_memory(
      [&](Attempt& attempt) {
        attempt.must(
            "minimax_session_save",
            [&] { return minimax_session_save(session, path.c_str(), &save); },
            [&] { return read_file(path) == whole; });
        minimax_session_file_info info;
        minimax_session_file_info_init(&info, sizeof info);
        attempt.must("minimax_get_session_file_info",
                     [&] { return minimax_get_session_file_info(path.c_str(), &info); });
        Answers answers;
        minimax_session* loaded = nullptr;
        minimax_session_load_options load;
        minimax_session_load_options_init(&load, sizeof load);
        load.sampler = sampler;
        const uint64_t kv_bytes = opened.kv_bytes();
        attempt.must(
            "minimax_session_load",
            [&] { return minimax_session_load(opened.engine(), path.c_str(), &load, &loaded); },
            [&] { return loaded == nullptr && opened.kv_bytes() == kv_bytes; });
        append_state(attempt, loaded, answers);
        minimax_session_free(loaded);
        return answers;
      },
      Failing::once);
  EXPECT_TRUE(read_file(path) == whole);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  minimax_session_free(session);
  minimax_sampler_free(sampler);
}

// Room that is there before memory ends.
struct SavedBytes {
  std::vector<char> room = std::vector<char>(400'000);
  size_t size = 0, at = 0;

  static int32_t write(void* user, const void* bytes, size_t size) {
    auto& saved = *static_cast<SavedBytes*>(user);
    if (size > saved.room.size() - saved.size) return 1;
    std::memcpy(saved.room.data() + saved.size, bytes, size);
    saved.size += size;
    return 0;
  }
  static int32_t read(void* user, void* bytes, size_t size, size_t* out_size) {
    auto& saved = *static_cast<SavedBytes*>(user);
    *out_size = std::min(size, saved.size - saved.at);
    std::memcpy(bytes, saved.room.data() + saved.at, *out_size);
    saved.at += *out_size;
    return 0;
  }
};

TEST(Allocation, MayFailAnywhereInASaveAndALoadByCallbacks) {
  const Opened opened;
  const std::vector<int32_t> tokens = some_tokens(300);
  minimax_session* session = nullptr;
  ASSERT_EQ(minimax_session_create(opened.engine(), nullptr, &session), MINIMAX_OK);
  ASSERT_EQ(minimax_session_feed(session, tokens.data(), tokens.size()), MINIMAX_OK);
  SavedBytes saved;
  run_both_ways([&](Attempt& attempt) {
    Answers answers;
    attempt.must("minimax_session_save_to", [&] {
      saved.size = 0;
      return minimax_session_save_to(session, &SavedBytes::write, &saved, nullptr);
    });
    minimax_session* loaded = nullptr;
    attempt.must(
        "minimax_session_load_from",
        [&] {
          saved.at = 0;
          return minimax_session_load_from(opened.engine(), &SavedBytes::read, &saved, nullptr,
                                           &loaded);
        },
        [&] { return loaded == nullptr; });
    append_state(attempt, loaded, answers);
    minimax_session_free(loaded);
    return answers;
  });
  minimax_session_free(session);
  EXPECT_EQ(opened.kv_bytes(), 0u);
}

TEST(Allocation, MayFailAnywhereInMarksAndForks) {
  const Opened opened;
  run_both_ways([&](Attempt& attempt) {
    Answers answers;
    minimax_session *session = nullptr, *fork = nullptr;
    minimax_snapshot* mark = nullptr;
    create_session(attempt, opened.engine(), &session);
    feed(attempt, session, some_tokens(300));
    attempt.must(
        "minimax_session_mark", [&] { return minimax_session_mark(session, &mark); },
        [&] { return mark == nullptr; });
    attempt.must(
        "minimax_session_fork", [&] { return minimax_session_fork(session, &fork); },
        [&] { return fork == nullptr; });
    feed(attempt, fork, {1, 2, 3});     // copies what it shares
    feed(attempt, session, {4, 5, 6});  // likewise
    append_state(attempt, fork, answers);
    append_state(attempt, session, answers);
    attempt.must(
        "minimax_session_return_to", [&] { return minimax_session_return_to(session, mark); },
        [&] { return position_of(session) == 303; });
    append_state(attempt, session, answers);
    feed(attempt, session, {1, 2, 3});
    append_state(attempt, session, answers);
    minimax_snapshot_free(mark);
    minimax_session_free(session);
    minimax_session_free(fork);
    return answers;
  });
  EXPECT_EQ(opened.kv_bytes(), 0u);
}

// One session's part in a batch: what memory ended in is asked for again, as far as it did not get.
struct Part {
  minimax_session* session = nullptr;
  std::vector<int32_t> prompt;
  int64_t wanted = 6;  // tokens of the answer
  bool is_done = false;

  void submit(Attempt& attempt, minimax_batch* batch) {
    minimax_generate_options generate;
    minimax_generate_options_init(&generate, sizeof generate);
    generate.max_tokens = wanted;
    generate.ignore_stop_token = 1;
    minimax_batch_request request;
    minimax_batch_request_init(&request, sizeof request);
    request.tokens = prompt.empty() ? nullptr : prompt.data();
    request.token_count = prompt.size();
    request.generate = &generate;
    request.user = this;
    uint64_t ticket = 0;
    attempt.must(
        "minimax_batch_submit",
        [&] { return minimax_batch_submit(batch, session, &request, &ticket); },
        [&] { return ticket == 0; });
  }
  void take(Attempt& attempt, minimax_batch* batch, const minimax_batch_event& event) {
    if (event.kind == MINIMAX_EVENT_FINISHED) is_done = true;
    if (event.kind != MINIMAX_EVENT_FAILED) return;
    expect(event.status == MINIMAX_OUT_OF_MEMORY && has_failed(), "a request failed", attempt.k());
    prompt.erase(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(event.fed_tokens));
    wanted -= static_cast<int64_t>(event.token_count);
    if (wanted == 0) {
      is_done = true;
    } else {
      submit(attempt, batch);
    }
  }
};

TEST(Allocation, MayFailAnywhereInABatch) {
  const Opened opened;
  run_both_ways([&](Attempt& attempt) {
    Part parts[2];
    parts[0].prompt = some_tokens(40);
    parts[1].prompt = some_tokens(300);
    minimax_batch* batch = nullptr;
    attempt.must(
        "minimax_batch_create",
        [&] { return minimax_batch_create(opened.engine(), nullptr, &batch); },
        [&] { return batch == nullptr; });
    for (Part& part : parts) {
      create_session(attempt, opened.engine(), &part.session);
      part.submit(attempt, batch);
    }
    minimax_batch_event event;
    minimax_batch_event_init(&event, sizeof event);
    for (int step = 0; step < 50 && !(parts[0].is_done && parts[1].is_done); ++step) {
      attempt.must("minimax_batch_step", [&] { return minimax_batch_step(batch, 0); });
      do {
        attempt.must("minimax_batch_next_event",
                     [&] { return minimax_batch_next_event(batch, &event); });
        if (event.user) static_cast<Part*>(event.user)->take(attempt, batch, event);
      } while (event.kind != MINIMAX_EVENT_NONE);
    }
    Answers answers;
    for (Part& part : parts) {
      expect(part.is_done, "a request that never ended", attempt.k());
      if (part.is_done) append_state(attempt, part.session, answers);
    }
    answers.numbers.clear();  // depend on who shared a step
    minimax_batch_free(batch);
    for (const Part& part : parts) minimax_session_free(part.session);
    return answers;
  });
  EXPECT_EQ(opened.kv_bytes(), 0u);
}

TEST(Allocation, MayFailAnywhereInASession) {
  const Opened opened;
  const std::vector<int32_t> tokens = some_tokens(300);  // more than a page of keys and values
  run_both_ways([&](Attempt& attempt) {
    Answers answers;
    minimax_session* session = nullptr;
    create_session(attempt, opened.engine(), &session);
    feed(attempt, session, {1, 2, 3});
    feed(attempt, session, tokens);
    append_state(attempt, session, answers);
    std::vector<float> rows(4 * TinyModel::vocabulary_size);
    attempt.must("minimax_session_feed_logits", [&] {
      return minimax_session_feed_logits(session, tokens.data(), 4, rows.data(), rows.size());
    });
    answers.numbers.insert(answers.numbers.end(), rows.begin(), rows.end());
    rows.assign(5, -7);
    attempt.must(
        "minimax_session_score",
        [&] { return minimax_session_score(session, tokens.data(), 5, rows.data()); },
        [&] { return rows == std::vector<float>(5, -7) && position_of(session) == 307; });
    answers.numbers.insert(answers.numbers.end(), rows.begin(), rows.end());
    attempt.must("minimax_session_reset", [&] { return minimax_session_reset(session); });
    feed(attempt, session, tokens);
    append_state(attempt, session, answers);
    minimax_session_free(session);
    return answers;
  });
  EXPECT_EQ(opened.kv_bytes(), 0u);
}

TEST(Allocation, MayFailAnywhereInASampler) {
  const Opened opened;
  minimax_session* session = nullptr;
  ASSERT_EQ(minimax_session_create(opened.engine(), nullptr, &session), MINIMAX_OK);
  ASSERT_EQ(minimax_session_feed(session, some_tokens(9).data(), 9), MINIMAX_OK);
  run_both_ways([&](Attempt& attempt) {
    Answers answers;
    const minimax_logit_bias bias = {7, 1.5f};
    minimax_sampler_options options;
    minimax_sampler_options_init(&options, sizeof options);
    options.temperature = 1;
    options.top_p = 0.9f;
    options.repetition_penalty = 1.1f;
    options.frequency_penalty = 0.1f;
    options.seed = 42;
    options.logit_bias = &bias;
    options.logit_bias_count = 1;
    options.top_logprobs = 3;
    minimax_sampler* sampler = nullptr;
    attempt.must("minimax_sampler_create",
                 [&] { return minimax_sampler_create(opened.engine(), &options, &sampler); });
    for (int i = 0; i < 70; ++i) {
      int32_t token = -7;
      attempt.must(
          "minimax_sampler_sample",
          [&] { return minimax_sampler_sample(sampler, session, &token); },
          [&] { return token == -7; });
      answers.tokens.push_back(token);
      attempt.must("minimax_sampler_accept", [&] { return minimax_sampler_accept(sampler, 9); });
    }
    minimax_token_logprob entries[4];
    size_t count = 0;
    attempt.must("minimax_sampler_logprobs",
                 [&] { return minimax_sampler_logprobs(sampler, entries, 4, &count); });
    for (size_t i = 0; i < count; ++i) {
      answers.tokens.push_back(entries[i].token);
      answers.numbers.push_back(entries[i].logprob);
    }
    minimax_sampler_free(sampler);
    return answers;
  });
  minimax_session_free(session);
}

// What was generated before the memory ran out stays, and the answer goes on from there.
TEST(Allocation, MayFailAnywhereInAnAnswer) {
  const Opened opened;
  run_both_ways([&](Attempt& attempt) {
    constexpr int64_t prompt_tokens = 9, wanted = 80;
    Answers answers;
    minimax_session* session = nullptr;
    create_session(attempt, opened.engine(), &session);
    feed(attempt, session, some_tokens(prompt_tokens));
    const char* const stops[] = {"a string that never comes"};
    minimax_generate_options options;
    minimax_generate_options_init(&options, sizeof options);
    options.ignore_stop_token = 1;
    options.stop_strings = stops;
    options.stop_string_count = 1;
    options.on_text = [](void*, const char*, size_t) { return 0; };
    options.on_token = [](void*, int32_t) { return 0; };
    attempt.must("minimax_session_generate", [&] {
      options.max_tokens = prompt_tokens + wanted - position_of(session);
      return minimax_session_generate(session, nullptr, &options, nullptr);
    });
    append_state(attempt, session, answers);
    minimax_session_free(session);
    return answers;
  });
  EXPECT_EQ(opened.kv_bytes(), 0u);
}

minimax_image* picture_of(uint8_t shade) {
  const std::vector<uint8_t> rgb(20 * 30 * 3, shade);
  minimax_image* image = nullptr;
  EXPECT_EQ(minimax_image_from_pixels(rgb.data(), 20, 30, 60, &image), MINIMAX_OK);
  return image;
}

minimax_image_cache_stats cache_of(const minimax_engine* engine) {
  minimax_image_cache_stats stats;
  minimax_image_cache_stats_init(&stats, sizeof stats);
  EXPECT_EQ(minimax_engine_get_image_cache_stats(engine, &stats), MINIMAX_OK);
  return stats;
}

// A model with eyes, opened while memory lasts.
class Seeing {
 public:
  explicit Seeing(const char* path) {
    minimax_engine_options options;
    minimax_engine_options_init(&options, sizeof options);
    options.thread_count = 1;
    EXPECT_EQ(minimax_engine_open(path, &options, &engine_), MINIMAX_OK) << minimax_last_error();
  }
  ~Seeing() { minimax_engine_free(engine_); }
  Seeing(const Seeing&) = delete;
  Seeing& operator=(const Seeing&) = delete;

  minimax_engine* engine() const { return engine_; }

 private:
  minimax_engine* engine_ = nullptr;
};

TEST(Allocation, MayFailAnywhereInAPicturesPixels) {
  const std::vector<uint8_t> rgb(20 * 30 * 3, 7);
  run_both_ways([&](Attempt& attempt) {
    Answers answers;
    minimax_image* image = nullptr;
    attempt.must(
        "minimax_image_from_pixels",
        [&] { return minimax_image_from_pixels(rgb.data(), 20, 30, 60, &image); },
        [&] { return image == nullptr; });
    answers.text.resize(32);
    attempt.must("minimax_image_id", [&] {
      return minimax_image_id(image, reinterpret_cast<uint8_t*>(answers.text.data()));
    });
    minimax_image_free(image);
    return answers;
  });
}

// Not so with the other formats: their decoders call lost memory a damaged file.
TEST(Allocation, MayFailAnywhereInABitmap) {
  run_both_ways([&](Attempt& attempt) {
    Answers answers;
    minimax_image* image = nullptr;
    attempt.must(
        "minimax_image_from_file",
        [&] {
          return minimax_image_from_file(MINIMAX_SOURCE_DIR "/tests/golden/pil/files/rgb.bmp",
                                         &image);
        },
        [&] { return image == nullptr; });
    answers.text.resize(32);
    attempt.must("minimax_image_id", [&] {
      return minimax_image_id(image, reinterpret_cast<uint8_t*>(answers.text.data()));
    });
    minimax_image_free(image);
    return answers;
  });
}

// The first picture of an engine: its tower is loaded too.
TEST(Allocation, MayFailAnywhereInTheFirstPicture) {
  minimax_image* const image = picture_of(7);
  run_out_of_memory(
      [&](Attempt& attempt) {
        const Seeing seeing(MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l");
        minimax_tile_plan plan;
        minimax_tile_plan_init(&plan, sizeof plan);
        attempt.must(
            "minimax_image_plan",
            [&] { return minimax_image_plan(seeing.engine(), 20, 30, &plan); },
            [&] { return plan.token_count == 0; });
        attempt.must(
            "minimax_engine_encode_image",
            [&] { return minimax_engine_encode_image(seeing.engine(), image, nullptr, nullptr); },
            [&] { return cache_of(seeing.engine()).image_count == 0; });
        const minimax_image_cache_stats stats = cache_of(seeing.engine());
        return Answers{{static_cast<int32_t>(plan.token_count),
                        static_cast<int32_t>(stats.image_count), static_cast<int32_t>(stats.bytes)},
                       {},
                       {}};
      },
      Failing::once);
  minimax_image_free(image);
}

TEST(Allocation, MayFailAnywhereInFurtherPictures) {
  const Seeing seeing(MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l");
  minimax_image *const one = picture_of(1), *const other = picture_of(2);
  run_both_ways([&](Attempt& attempt) {
    EXPECT_EQ(minimax_engine_clear_image_cache(seeing.engine()), MINIMAX_OK);
    for (const minimax_image* const image : {one, other, one}) {
      attempt.must("minimax_engine_encode_image", [&] {
        return minimax_engine_encode_image(seeing.engine(), image, nullptr, nullptr);
      });
    }
    const minimax_image_cache_stats stats = cache_of(seeing.engine());
    EXPECT_EQ(minimax_engine_clear_image_cache(seeing.engine()), MINIMAX_OK);
    return Answers{
        {static_cast<int32_t>(stats.image_count), static_cast<int32_t>(stats.bytes)}, {}, {}};
  });
  minimax_image_free(one);
  minimax_image_free(other);
}

TEST(Allocation, MayFailAnywhereInAPromptWithPictures) {
  const Seeing seeing(MINIMAX_SOURCE_DIR "/models/demo");
  minimax_image* const image = picture_of(7);
  run_out_of_memory(
      [&](Attempt& attempt) {
        Answers answers;
        minimax_session* session = nullptr;
        minimax_prompt* prompt = nullptr;
        size_t count = 0;
        EXPECT_EQ(minimax_prompt_create(seeing.engine(), &prompt), MINIMAX_OK);
        create_session(attempt, seeing.engine(), &session);
        for (int i = 0; i < 2; ++i) {
          attempt.must("minimax_prompt_add_image",
                       [&] { return minimax_prompt_add_image(prompt, image); });
        }
        const char* const messages =
            R"([{"role": "user", "content": [{"type": "image"}, {"type": "image"}]}])";
        attempt.must("minimax_prompt_add_messages_json", [&] {
          return minimax_prompt_add_messages_json(prompt, messages, MINIMAX_TEXT_END);
        });
        attempt.must(
            "minimax_session_feed_prompt",
            [&] { return minimax_session_feed_prompt(session, prompt, nullptr); },
            [&] { return position_of(session) == 0; });
        append_state(attempt, session, answers);
        attempt.must("minimax_session_image_count",
                     [&] { return minimax_session_image_count(session, &count); });
        answers.tokens.push_back(static_cast<int32_t>(count));
        minimax_session_free(session);
        minimax_prompt_free(prompt);
        EXPECT_EQ(minimax_engine_clear_image_cache(seeing.engine()), MINIMAX_OK);
        return answers;
      },
      Failing::once);
  minimax_image_free(image);
}

}  // namespace
}  // namespace minimax::testing
