// SPDX-License-Identifier: Apache-2.0
// Messages, tools and plain pieces on their way to become the tokens of a session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"
#include "vision/image.h"

namespace minimax {

// A picture on its way into a prompt, and how many tokens it becomes.
struct PromptPicture {
  std::shared_ptr<const Image> image;
  int64_t token_count;
};

// Tokens, and where among them the rows of pictures belong.
struct RenderedPrompt {
  struct Place {
    size_t first;  // of token_count tokens
    size_t picture;
  };
  std::vector<int32_t> tokens;
  std::vector<Place> places;
};

// One thread at a time, the const functions too: what has been rendered is kept. Borrows the
// tokenizer. After an exception nothing has changed.
//
// A prompt is one conversation. It is rendered when it is asked for, in the order of the calls,
// with two exceptions that the chat format makes:
//   opening   M1's formats begin with <begin_of_document>, the text of all system messages and the
//             tools. All that stands where the first message or begin_reply() does; a piece added
//             before keeps its place before it. Pieces alone, without tools, have no opening.
//   tools     stand behind the last message in the formats of Text-01 and VL-01, before the pieces
//             and begin_reply() that follow it.
// end_reply() without a begin_reply() before it says that the conversation began in the session:
// there is no opening then, and what belongs into one (a system message or tools of M1) is
// MINIMAX_UNSUPPORTED. It comes before the first message. After begin_reply() pieces may follow,
// the beginning of the answer or all of it; end_reply() makes that answer a message like others.
//
// Ordinary text is tokenized as a whole between two special tokens, across messages and pieces, as
// if the rendered text had been tokenized at once; token ids that the caller adds stay as they are.
class Prompt {
 public:
  // image_token: -1 when the model has none.
  // automatic: what MINIMAX_CHAT_AUTO means (detect_chat_format); without it, messages need a
  // set_format(). vocabulary_size: the model's, at least the tokenizer's.
  Prompt(const Tokenizer& tokenizer, std::optional<ChatFormat> automatic, int32_t vocabulary_size,
         int32_t image_token);

  void clear();
  // MINIMAX_CHAT_...
  void set_format(int32_t format);
  // MINIMAX_ROLE_...; name: "" for none.
  // For the message that is added next, or, in messages as JSON, for the next part that is a picture:
  // several are taken in their order.
  void add_picture(PromptPicture picture);
  void add_message(int32_t role, std::string_view name, std::string_view text);
  void add_messages_json(std::string_view json);
  void set_tools_json(std::string_view json);
  void begin_reply();
  // MINIMAX_STOP_...
  void end_reply(int32_t stop_reason);
  void add_text(std::string_view text, SpecialTokens specials);
  void add_tokens(std::span<const int32_t> tokens);

  // Valid until the next call that is not const. MINIMAX_INVALID_ARGUMENT while a picture waits for its
  // message.
  std::span<const int32_t> tokens() const { return rendered().tokens; }
  const RenderedPrompt& rendered() const;
  const PromptPicture& picture(size_t index) const { return pictures_[index]; }
  // Special tokens are written out. Not always UTF-8: texts and tokens may hold any bytes. Refuses as
  // tokens() does.
  std::string rendered_text() const;

 private:
  struct PlainText {
    std::string text;
    SpecialTokens specials;
  };
  struct Tokens {
    std::vector<int32_t> ids;
  };
  struct BeginReply {};
  struct EndReply {
    ReplyEnd end;
  };
  using Piece = std::variant<ChatMessage, PlainText, Tokens, BeginReply, EndReply>;

  enum class Phase {
    before,    // pieces only
    messages,  // messages may follow
    reply      // inside an answer of the assistant
  };

  enum class MessageSource { single, list };  // how errors name a message

  ChatFormat need_format() const;
  ChatPlace next_place() const;
  void add_messages(std::vector<ChatMessage> messages, MessageSource source);
  void require_placed() const;
  size_t place_pictures(ChatMessage& message, std::string_view where, size_t next) const;
  void make_room(size_t count);
  void changed(Phase phase);
  size_t opening_index() const;
  size_t tools_index() const;
  std::vector<ChatSegment> opening() const;
  std::vector<ChatSegment> closing_tools() const;
  std::vector<ChatSegment> segments_of(const Piece& piece) const;
  template <typename Sink>
  void render(Sink& sink) const;

  const Tokenizer& tokenizer_;
  const std::optional<ChatFormat> automatic_;
  const int32_t vocabulary_size_;
  const int32_t image_token_;

  std::optional<ChatFormat> format_;
  std::vector<Piece> pieces_;
  std::vector<std::string> tools_;
  Phase phase_ = Phase::before;
  bool is_continued_ = false;  // the opening was fed before
  bool has_message_ = false;
  std::vector<PromptPicture> pictures_;
  size_t placed_pictures_ = 0;  // by messages; the others wait
  mutable std::optional<RenderedPrompt> rendered_;
};

}  // namespace minimax
