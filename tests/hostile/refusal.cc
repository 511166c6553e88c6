// SPDX-License-Identifier: Apache-2.0
#include "refusal.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace minimax::testing {
namespace {

constexpr size_t witness_tokens = 40;

bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(Json(text).dump());  // strict
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

bool is_one_line(const std::string& sentence) {
  return std::none_of(sentence.begin(), sentence.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// Standard output and error go into a file in memory while the object lives.
class Redirection {
 public:
  Redirection() : file_(memfd_create("output", 0)) {
    std::fflush(nullptr);
    for (int i = 0; i < 2; ++i) {
      saved_[i] = dup(i + 1);
      dup2(file_, i + 1);
    }
  }
  ~Redirection() {
    std::fflush(nullptr);
    for (int i = 0; i < 2; ++i) {
      dup2(saved_[i], i + 1);
      close(saved_[i]);
    }
    close(file_);
  }
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;

  off_t byte_count() const {
    std::fflush(nullptr);
    return lseek(file_, 0, SEEK_END);
  }

 private:
  int file_;
  int saved_[2];
};

}  // namespace

minimax_status call_quietly(const std::function<minimax_status()>& call) {
  minimax_status status = MINIMAX_OK;
  off_t printed = 0;
  {
    const Redirection redirection;
    status = call();
    printed = redirection.byte_count();
  }
  EXPECT_EQ(printed, 0) << "bytes were printed";
  return status;
}

void expect_refused(minimax_status status, const Statuses& allowed, const Words& words) {
  const std::string sentence = minimax_last_error();
  EXPECT_TRUE(std::find(allowed.begin(), allowed.end(), status) != allowed.end())
      << minimax_status_name(status) << ": " << sentence;
  ASSERT_FALSE(sentence.empty()) << minimax_status_name(status);
  EXPECT_TRUE(is_one_line(sentence)) << sentence;
  EXPECT_TRUE(is_utf8(sentence)) << sentence;
  EXPECT_NE(sentence.front(), ' ') << sentence;
  EXPECT_TRUE(sentence.back() != '.' || sentence.ends_with("...")) << sentence;
  for (const std::string& word : words) {
    EXPECT_NE(sentence.find(word), std::string::npos) << sentence << "\nlacks: " << word;
  }
}

std::vector<int32_t> some_tokens(size_t count) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(i * 7 % 250));
  return tokens;
}

std::vector<float> logits_of(const minimax_session* session) {
  const float* logits = nullptr;
  size_t count = 0;
  EXPECT_EQ(minimax_session_logits(session, &logits, &count), MINIMAX_OK) << minimax_last_error();
  return {logits, logits + count};
}

const Viewer& Viewer::get() {
  static const Viewer viewer;
  return viewer;
}

Viewer::Viewer() {
  const std::vector<uint8_t> grey(64 * 64 * 3, 128);
  minimax_prompt* prompt = nullptr;
  const bool has_seen =
      minimax_engine_open(MINIMAX_SOURCE_DIR "/models/demo", nullptr, &engine_) == MINIMAX_OK &&
      minimax_session_create(engine_, nullptr, &session_) == MINIMAX_OK &&
      minimax_prompt_create(engine_, &prompt) == MINIMAX_OK &&
      minimax_image_from_pixels(grey.data(), 64, 64, 3 * 64, &image_) == MINIMAX_OK &&
      minimax_prompt_add_image(prompt, image_) == MINIMAX_OK &&
      minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, nullptr, "a", 1) == MINIMAX_OK &&
      minimax_session_feed_prompt(session_, prompt, nullptr) == MINIMAX_OK;
  const std::string sentence = minimax_last_error();
  minimax_prompt_free(prompt);
  if (!has_seen) throw std::runtime_error(sentence);
}

Viewer::~Viewer() {
  minimax_image_free(image_);
  minimax_session_free(session_);
  minimax_engine_free(engine_);
}

Witness& Witness::get() {
  static Witness witness;
  return witness;
}

// The folder goes at once: what is mapped stays.
Witness::Witness() {
  const ScratchFolder folder;
  TinyModel().write(folder.path());
  const std::vector<int32_t> tokens = some_tokens(witness_tokens);
  if (minimax_engine_open(folder.path().c_str(), nullptr, &engine_) != MINIMAX_OK ||
      minimax_session_create(engine_, nullptr, &session_) != MINIMAX_OK ||
      minimax_session_feed(session_, tokens.data(), tokens.size()) != MINIMAX_OK) {
    throw std::runtime_error(minimax_last_error());
  }
  logits_ = logits_of(session_);
  minimax_engine_clear_prefix_cache(engine_);
  minimax_engine_memory_init(&memory_, sizeof memory_);
  minimax_engine_get_memory(engine_, &memory_);
}

void Witness::expect_unchanged() {
  if (!session_) return;
  std::vector<int32_t> tokens(witness_tokens);
  size_t count = 0;
  ASSERT_EQ(minimax_session_tokens(session_, 0, tokens.data(), tokens.size(), &count), MINIMAX_OK)
      << minimax_last_error();
  EXPECT_EQ(count, witness_tokens);
  EXPECT_EQ(tokens, some_tokens(witness_tokens));
  const std::vector<float> now = logits_of(session_);
  ASSERT_EQ(now.size(), logits_.size());
  EXPECT_EQ(std::memcmp(now.data(), logits_.data(), now.size() * sizeof(float)), 0);
  // Calls that were not mistaken may have left snapshots.
  ASSERT_EQ(minimax_engine_clear_prefix_cache(engine_), MINIMAX_OK) << minimax_last_error();
  minimax_engine_memory memory;
  minimax_engine_memory_init(&memory, sizeof memory);
  ASSERT_EQ(minimax_engine_get_memory(engine_, &memory), MINIMAX_OK) << minimax_last_error();
  EXPECT_EQ(std::memcmp(&memory, &memory_, sizeof memory), 0) << "memory of the engine";
}

void Witness::expect_to_go_on() {
  const std::vector<int32_t> all = some_tokens(witness_tokens + 9);
  const std::vector<int32_t> more(all.begin() + witness_tokens, all.end());
  minimax_session* fresh = nullptr;
  ASSERT_EQ(minimax_session_create(engine_, nullptr, &fresh), MINIMAX_OK);
  ASSERT_EQ(minimax_session_feed(fresh, all.data(), witness_tokens), MINIMAX_OK);
  ASSERT_EQ(minimax_session_feed(fresh, more.data(), more.size()), MINIMAX_OK);
  ASSERT_EQ(minimax_session_feed(session_, more.data(), more.size()), MINIMAX_OK);
  EXPECT_EQ(logits_of(session_), logits_of(fresh));
  minimax_session_free(fresh);
  minimax_session_free(session_);
  minimax_engine_free(engine_);
  session_ = nullptr;
  engine_ = nullptr;
}

}  // namespace minimax::testing
