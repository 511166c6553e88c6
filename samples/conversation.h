// SPDX-License-Identifier: Apache-2.0
// One dialogue on one session: text in, answers out, and what the session is still owed in between.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "samples/handles.h"

namespace samples {

using SharedImage = std::shared_ptr<minimax_image>;

struct ConversationOptions {
  minimax_sampler_options sampler;
  int64_t max_tokens = 0;  // of one answer; 0: until the model ends it
  std::string system;      // empty: no system message
};

struct Answer {
  int32_t stop_reason = MINIMAX_STOP_CANCELLED;
  uint64_t prompt_tokens = 0, answer_tokens = 0;
  uint64_t reused_tokens = 0;  // of the prompt, not computed
  uint64_t prompt_ns = 0, answer_ns = 0;
};

// What a conversation holds, token by token.
struct Extent {
  int64_t position = 0;
  int64_t rewind_floor = 0;     // tokens behind it can be taken back singly
  std::vector<int64_t> turns;   // positions that undo() goes back to, the earliest first
  size_t reused = 0, read = 0;  // tokens that the last message found there, and that it brought
  std::vector<minimax_image_span> pictures;
  std::vector<std::string> last_tokens;  // as text, special ones written out
};

// A piece of the answer, whole characters. False ends the answer.
using ShowText = std::function<bool(std::string_view text)>;

class Conversation {
 public:
  // The engine must outlive the conversation.
  Conversation(minimax_engine* engine, const ConversationOptions& options);

  // For the next message, in front of its text; several in their order. Encodes the picture at once:
  // `progress` counts tiles, and not 0 gives up.
  void add_picture(const std::string& path, minimax_progress_fn progress, void* user);

  // Says `message` and streams the answer. ctrl-C (samples/terminal.h) ends it early, with
  // MINIMAX_STOP_CANCELLED. After an exception the conversation stands where it stood, or, when the
  // session broke, begins anew.
  Answer ask(std::string_view message, const ShowText& show);

  // Takes the last message and its answer back; false when there is none, or it is too long ago.
  bool undo();
  // The same, and says that message once more; nothing when there is none.
  std::optional<Answer> retry(const ShowText& show);

  // The dialogue so far as a file, with the sampler's place in its random numbers. False when the last
  // message was interrupted before the session had all of it.
  bool save(const std::string& path) const;
  // Goes on with the dialogue of a file, which cannot be undone into.
  void load(const std::string& path);

  void reset();
  // Begins anew under this system message.
  void set_system(std::string system);

  // Another conversation that stands where this one does, and can undo as much; it draws from the seed on.
  // nullptr when the last message was interrupted before the session had all of it.
  std::unique_ptr<Conversation> branch() const;

  minimax_session_stats stats() const;
  Extent extent() const;

 private:
  // The dialogue before a message, and that message. Branches share what they have in common.
  struct Turn {
    std::shared_ptr<minimax_snapshot> before;
    int32_t last_stop;
    std::string message;
    std::vector<SharedImage> pictures;
  };

  void begin_turn(std::string_view message);
  void write_turn(std::string_view message);
  bool feed(Answer& answer);
  void generate(const ShowText& show, Answer& answer);
  void replace_session(SessionHandle session);

  minimax_engine* engine_;
  ConversationOptions options_;
  SessionHandle session_;
  PromptHandle prompt_;
  SamplerHandle sampler_;
  std::vector<SharedImage> pictures_;  // for the next message
  // Of the prompt: tokens that the session has got. ctrl-C may have kept the rest from it; the next
  // turn is then written behind it.
  size_t fed_ = 0;
  bool has_debt_ = false;
  std::vector<Turn> turns_;       // the last few
  int32_t last_stop_ = 0;         // how the last answer ended; 0 before the first turn
  size_t reused_ = 0, read_ = 0;  // tokens that the last message found there, and that it brought
};

}  // namespace samples
