// SPDX-License-Identifier: Apache-2.0
// What every refusal must be: a status, one sentence, nothing printed and nothing changed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "minimax.h"
#include "tiny_model.h"

namespace minimax::testing {

using Statuses = std::vector<minimax_status>;
using Words = std::vector<std::string>;

// Pointers that output parameters hold before a call, and must hold after a refusal.
inline char untouchable;
template <typename Handle>
Handle* untouched() {
  return reinterpret_cast<Handle*>(&untouchable);
}

// Makes the call with standard output and error sent elsewhere; expects nothing to arrive there.
minimax_status call_quietly(const std::function<minimax_status()>& call);

// The status is one of those allowed, and the calling thread's sentence is one line of UTF-8,
// begins in no space, ends in no full stop and holds all the words.
void expect_refused(minimax_status status, const Statuses& allowed, const Words& words);

// A session on a whole tiny model that lives through all cases; one that changes it is found.
class Witness {
 public:
  static Witness& get();

  minimax_engine* engine() const { return engine_; }
  minimax_session* session() const { return session_; }
  // Position, tokens, logits and memory are as they were when the witness was made.
  void expect_unchanged();
  // Goes on as a session does that has seen no refusal; the witness is then used up.
  void expect_to_go_on();

 private:
  Witness();

  minimax_engine* engine_ = nullptr;
  minimax_session* session_ = nullptr;
  std::vector<float> logits_;
  minimax_engine_memory memory_{};
};

// The demo model, which takes pictures, with a session that stands after one.
class Viewer {
 public:
  static const Viewer& get();
  ~Viewer();
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;

  minimax_engine* engine() const { return engine_; }
  minimax_session* session() const { return session_; }
  const minimax_image* image() const { return image_; }

 private:
  Viewer();

  minimax_engine* engine_ = nullptr;
  minimax_session* session_ = nullptr;
  minimax_image* image_ = nullptr;
};

// The tokens that the tests feed: the same ones again and again, none of them special.
std::vector<int32_t> some_tokens(size_t count);
std::vector<float> logits_of(const minimax_session* session);

// One damaged folder.
struct FileCase {
  std::string name;
  std::function<std::filesystem::path(const std::filesystem::path& scratch)> make;  // its path
  Statuses statuses;
  Words words;
};

// One mistaken call.
struct CallCase {
  std::string name;
  std::function<minimax_status()> call;
  Statuses statuses;
  Words words;
};

// What GoogleTest shows of a case.
inline void PrintTo(const FileCase& one, std::ostream* out) {
  *out << one.name;
}
inline void PrintTo(const CallCase& one, std::ostream* out) {
  *out << one.name;
}

std::vector<FileCase> weight_file_cases();
std::vector<FileCase> shard_cases();
std::vector<FileCase> config_cases();
std::vector<FileCase> tokenizer_cases();
std::vector<FileCase> folder_cases();
std::vector<CallCase> null_cases();
std::vector<CallCase> option_cases();
std::vector<CallCase> struct_size_cases();
std::vector<CallCase> text_cases();
std::vector<CallCase> session_cases();
std::vector<CallCase> lasting_session_cases();
std::vector<CallCase> picture_cases();

}  // namespace minimax::testing
