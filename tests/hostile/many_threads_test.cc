// SPDX-License-Identifier: Apache-2.0
// Many threads on one engine: what each gets is what it would have got alone, bit for bit.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "minimax.h"
#include "tiny_model.h"

namespace minimax::testing {
namespace {

constexpr int thread_count = 4;
constexpr int64_t chunk_tokens = 16;

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<float> logits;
  std::string text;

  bool operator==(const Answer&) const = default;
};

void expect_ok(minimax_status status) {
  EXPECT_EQ(status, MINIMAX_OK) << minimax_last_error();
}

class Engine {
 public:
  Engine() {
    TinyModel().write(folder_.path());
    minimax_engine_options options;
    minimax_engine_options_init(&options, sizeof options);
    options.thread_count = 2;
    options.chunk_tokens = chunk_tokens;
    expect_ok(minimax_engine_open(path().c_str(), &options, &engine_));
  }
  ~Engine() { free(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  operator minimax_engine*() const { return engine_; }
  std::string path() const { return folder_.path().string(); }
  void free() {
    minimax_engine_free(engine_);
    engine_ = nullptr;
  }

 private:
  ScratchFolder folder_;
  minimax_engine* engine_ = nullptr;
};

void on_all_threads(const std::function<void(int thread)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < thread_count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

// Different for each thread.
std::vector<int32_t> tokens_of(int thread, size_t count) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>((i * 7 + static_cast<size_t>(thread) * 31) % 250));
  }
  return tokens;
}

void append_text(std::string& text, const char* piece, size_t size) {
  text.append(piece, size);
}

Answer state_of(minimax_session* session) {
  Answer answer;
  const float* logits = nullptr;
  size_t count = 0;
  expect_ok(minimax_session_logits(session, &logits, &count));
  answer.logits.assign(logits, logits + count);
  int64_t position = 0;
  expect_ok(minimax_session_position(session, &position));
  answer.tokens.resize(static_cast<size_t>(position));
  expect_ok(minimax_session_tokens(session, 0, answer.tokens.data(), answer.tokens.size(), &count));
  return answer;
}

// A prompt of one thread's own is fed, and an answer is drawn with chance.
Answer answer_of(minimax_engine* engine, int thread) {
  minimax_session* session = nullptr;
  minimax_sampler* sampler = nullptr;
  minimax_sampler_options sampling;
  minimax_sampler_options_init(&sampling, sizeof sampling);
  sampling.temperature = 1;
  sampling.seed = static_cast<uint64_t>(thread);
  expect_ok(minimax_session_create(engine, nullptr, &session));
  expect_ok(minimax_sampler_create(engine, &sampling, &sampler));
  const std::vector<int32_t> tokens = tokens_of(thread, 75);
  expect_ok(minimax_session_feed(session, tokens.data(), tokens.size()));
  std::string text;
  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 20;
  options.ignore_stop_token = 1;
  options.user = &text;
  options.on_text = [](void* user, const char* piece, size_t size) {
    append_text(*static_cast<std::string*>(user), piece, size);
    return 0;
  };
  expect_ok(minimax_session_generate(session, sampler, &options, nullptr));
  Answer answer = state_of(session);
  answer.text = std::move(text);
  minimax_sampler_free(sampler);
  minimax_session_free(session);
  return answer;
}

Answer tokenized(minimax_engine* engine, int thread) {
  std::string text = "abcd 12345 <end_of_sentence> \xe4\xbd\xa0\xff ";
  for (int i = 0; i < 5 * (thread + 1); ++i) text += "dcba abc " + std::to_string(i * thread);
  Answer answer;
  answer.tokens.resize(text.size());
  size_t count = 0;
  expect_ok(minimax_engine_tokenize(engine, text.data(), text.size(), 0, answer.tokens.data(),
                                    answer.tokens.size(), &count));
  answer.tokens.resize(count);
  answer.text.resize(2 * text.size());
  expect_ok(minimax_engine_detokenize(engine, answer.tokens.data(), count,
                                      MINIMAX_DETOKENIZE_SPECIAL, answer.text.data(),
                                      answer.text.size(), &count));
  answer.text.resize(count);
  EXPECT_EQ(answer.text, text);
  return answer;
}

TEST(Threads, TokenizeWithOneEngine) {
  const Engine engine;
  std::vector<Answer> alone;
  for (int i = 0; i < thread_count; ++i) alone.push_back(tokenized(engine, i));
  on_all_threads([&](int thread) {
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(tokenized(engine, thread), alone[static_cast<size_t>(thread)]);
    }
  });
}

TEST(Threads, FeedAndAnswerOnOneEngine) {
  const Engine engine;
  std::vector<Answer> alone;
  for (int i = 0; i < thread_count; ++i) alone.push_back(answer_of(engine, i));
  on_all_threads([&](int thread) {
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(answer_of(engine, thread), alone[static_cast<size_t>(thread)]);
    }
  });
  expect_ok(minimax_engine_clear_prefix_cache(engine));
  minimax_engine_memory memory;
  minimax_engine_memory_init(&memory, sizeof memory);
  expect_ok(minimax_engine_get_memory(engine, &memory));
  EXPECT_EQ(memory.session_count, 0u);
  EXPECT_EQ(memory.kv_bytes, 0u);
}

// Chunks end at the same places whether a feed is cancelled between them or not.
TEST(Threads, CancelOthersFeedsWhichThenGoOn) {
  const Engine engine;
  const std::vector<int32_t> tokens = tokens_of(0, 2000);
  minimax_session *alone = nullptr, *session = nullptr;
  expect_ok(minimax_session_create(engine, nullptr, &alone));
  expect_ok(minimax_session_feed(alone, tokens.data(), tokens.size()));
  expect_ok(minimax_session_create(engine, nullptr, &session));
  std::atomic<bool> has_ended{false};
  std::thread canceller([&] {
    for (int i = 0; i < 50 && !has_ended; ++i) {
      minimax_session_cancel(session);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  int64_t position = 0;
  while (position < static_cast<int64_t>(tokens.size())) {
    const auto done = static_cast<size_t>(position);
    const minimax_status status =
        minimax_session_feed(session, tokens.data() + done, tokens.size() - done);
    EXPECT_TRUE(status == MINIMAX_OK || status == MINIMAX_CANCELLED) << minimax_last_error();
    expect_ok(minimax_session_position(session, &position));
    EXPECT_TRUE(status == MINIMAX_OK || position % chunk_tokens == 0) << position;
  }
  has_ended = true;
  canceller.join();
  EXPECT_EQ(state_of(session), state_of(alone));
  minimax_session_free(session);
  minimax_session_free(alone);
}

// Messages of others' opens arrive one at a time, and none after the callback was taken back.
TEST(Threads, SetTheLogWhileOthersOpen) {
  struct Listener {
    std::atomic<int> inside{0};
    std::atomic<bool> is_set{true};
    std::atomic<int> mistakes{0};
  };
  const Engine engine;
  const std::string path = engine.path();
  on_all_threads([&](int thread) {
    for (int i = 0; i < 10; ++i) {
      if (thread > 0) {
        minimax_engine* opened = nullptr;
        expect_ok(minimax_engine_open(path.c_str(), nullptr, &opened));
        minimax_engine_free(opened);
        continue;
      }
      Listener listener;
      const minimax_log_fn listen = [](void* user, int32_t, const char*, size_t) {
        auto& to = *static_cast<Listener*>(user);
        if (to.inside++ != 0 || !to.is_set) ++to.mistakes;
        std::this_thread::yield();
        --to.inside;
      };
      expect_ok(minimax_set_log(listen, &listener, MINIMAX_LOG_DEBUG));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      expect_ok(minimax_set_log(nullptr, nullptr, MINIMAX_LOG_ERROR));
      listener.is_set = false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      EXPECT_EQ(listener.inside, 0);
      EXPECT_EQ(listener.mistakes, 0);
    }
  });
}

TEST(Threads, EndAnEngineByTheLastOfItsSessions) {
  Engine engine;
  std::vector<Answer> alone;
  for (int i = 0; i < thread_count; ++i) alone.push_back(answer_of(engine, i));
  std::vector<minimax_session*> sessions(thread_count);
  for (minimax_session*& session : sessions) {
    expect_ok(minimax_session_create(engine, nullptr, &session));
  }
  engine.free();
  on_all_threads([&](int thread) {
    minimax_session* session = sessions[static_cast<size_t>(thread)];
    const std::vector<int32_t>& all = alone[static_cast<size_t>(thread)].tokens;
    expect_ok(minimax_session_feed(session, all.data(), 75));
    for (size_t i = 75; i < all.size(); ++i) expect_ok(minimax_session_feed(session, &all[i], 1));
    const Answer answer = state_of(session);
    EXPECT_EQ(answer.logits, alone[static_cast<size_t>(thread)].logits);
    minimax_session_free(session);
  });
}

TEST(Threads, KeepTheirOwnSentences) {
  const Engine engine;
  on_all_threads([&](int thread) {
    const std::string number = std::to_string(1000 + thread);
    for (int i = 0; i < 200; ++i) {
      minimax_token_info info;
      minimax_token_info_init(&info, sizeof info);
      EXPECT_EQ(minimax_engine_token_info(engine, 1000 + thread, &info), MINIMAX_INVALID_ARGUMENT);
      std::this_thread::yield();
      EXPECT_NE(std::string(minimax_last_error()).find(number), std::string::npos);
    }
  });
}

}  // namespace
}  // namespace minimax::testing
