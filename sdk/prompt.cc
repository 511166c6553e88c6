// SPDX-License-Identifier: Apache-2.0
#include "sdk/prompt.h"

#include <algorithm>

#include "base/error.h"
#include "minimax.h"
#include "tokenizer/chat_json.h"

namespace minimax {
namespace {

// Gathers token ids. Ordinary text waits until a special token or ids of the caller end it: only
// then is its tokenization known.
class TokenSink {
 public:
  TokenSink(const Tokenizer& tokenizer, std::span<const PromptPicture> pictures,
            int32_t image_token)
      : tokenizer_(tokenizer), pictures_(pictures), image_token_(image_token) {}

  void segment(const ChatSegment& segment) {
    if (segment.kind == ChatSegment::Kind::image) return picture(segment.image_index);
    const bool is_text = segment.kind == ChatSegment::Kind::text;
    const auto id = is_text ? std::nullopt : tokenizer_.find_token(segment.text);
    if (!id) return text(segment.text, SpecialTokens::plain);
    tokens({&*id, 1});
  }

  // Special tokens part the text; what stands around them may adjoin other ordinary text.
  void text(std::string_view text, SpecialTokens specials) {
    if (specials == SpecialTokens::plain) {
      pending_ += text;
      return;
    }
    std::vector<int32_t> ids;
    tokenizer_.encode(text, SpecialTokens::match, ids);
    if (!spells(ids, text)) return tokens(ids);
    for (const int32_t id : ids) {
      const std::string_view bytes = tokenizer_.token_bytes(id);
      if (tokenizer_.find_token(bytes) == id) {
        tokens({&id, 1});
      } else {
        pending_ += bytes;
      }
    }
  }

  void tokens(std::span<const int32_t> ids) {
    end_text();
    out_.tokens.insert(out_.tokens.end(), ids.begin(), ids.end());
  }

  RenderedPrompt take() {
    end_text();
    return std::move(out_);
  }

 private:
  void picture(size_t index) {
    end_text();
    out_.places.push_back({out_.tokens.size(), index});
    out_.tokens.insert(out_.tokens.end(), static_cast<size_t>(pictures_[index].token_count),
                       image_token_);
  }

  // Not so with tokenizers that put a space before a text.
  bool spells(std::span<const int32_t> ids, std::string_view text) const {
    for (const int32_t id : ids) {
      const std::string_view bytes = tokenizer_.token_bytes(id);
      if (!text.starts_with(bytes)) return false;
      text.remove_prefix(bytes.size());
    }
    return text.empty();
  }

  void end_text() {
    if (!pending_.empty()) tokenizer_.encode(pending_, SpecialTokens::plain, out_.tokens);
    pending_.clear();
  }

  const Tokenizer& tokenizer_;
  std::span<const PromptPicture> pictures_;
  int32_t image_token_;
  RenderedPrompt out_;
  std::string pending_;
};

class TextSink {
 public:
  explicit TextSink(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  void segment(const ChatSegment& segment) { out_ += segment.text; }
  void text(std::string_view text, SpecialTokens) { out_ += text; }
  void tokens(std::span<const int32_t> ids) {
    for (const int32_t id : ids) out_ += tokenizer_.token_bytes(id);
  }
  std::string take() { return std::move(out_); }

 private:
  const Tokenizer& tokenizer_;
  std::string out_;
};

ChatRole role_of(int32_t role) {
  switch (role) {
    case MINIMAX_ROLE_SYSTEM:
      return ChatRole::system;
    case MINIMAX_ROLE_USER:
      return ChatRole::user;
    case MINIMAX_ROLE_ASSISTANT:
      return ChatRole::assistant;
    case MINIMAX_ROLE_TOOL:
      return ChatRole::tool;
  }
  fail(MINIMAX_INVALID_ARGUMENT, "role is ", role,
       ", expected MINIMAX_ROLE_SYSTEM (1) to MINIMAX_ROLE_TOOL (4)");
}

}  // namespace

Prompt::Prompt(const Tokenizer& tokenizer, std::optional<ChatFormat> automatic,
               int32_t vocabulary_size, int32_t image_token)
    : tokenizer_(tokenizer),
      automatic_(automatic),
      vocabulary_size_(vocabulary_size),
      image_token_(image_token),
      format_(automatic) {
}

void Prompt::clear() {
  pieces_.clear();
  tools_.clear();
  pictures_.clear();
  placed_pictures_ = 0;
  phase_ = Phase::before;
  is_continued_ = false;
  has_message_ = false;
  rendered_.reset();
}

void Prompt::set_format(int32_t format) {
  require(format >= MINIMAX_CHAT_AUTO && format <= MINIMAX_CHAT_M1_VLLM, "format is ", format,
          ", expected MINIMAX_CHAT_AUTO (0) to MINIMAX_CHAT_M1_VLLM (4)");
  require(pieces_.empty() && tools_.empty() && pictures_.empty(),
          "the prompt is not empty; set the format first");
  switch (format) {
    case MINIMAX_CHAT_TEXT_01:
      format_ = ChatFormat::text_01;
      break;
    case MINIMAX_CHAT_VL_01:
      format_ = ChatFormat::vl_01;
      break;
    case MINIMAX_CHAT_M1:
      format_ = ChatFormat::m1;
      break;
    case MINIMAX_CHAT_M1_VLLM:
      format_ = ChatFormat::m1_vllm;
      break;
    default:
      format_ = automatic_;
  }
}

void Prompt::add_picture(PromptPicture picture) {
  if (image_token_ < 0) fail(MINIMAX_UNSUPPORTED, "this model takes no pictures");
  require(phase_ != Phase::reply, "a picture after begin_reply; end_reply comes first");
  pictures_.push_back(std::move(picture));
  changed(phase_);
}

// Numbers the message's pictures from `next` on among those that were added.
size_t Prompt::place_pictures(ChatMessage& message, std::string_view where, size_t next) const {
  for (size_t i = 0; i < message.content.size(); ++i) {
    ContentPart& part = message.content[i];
    if (part.kind != ContentPart::Kind::image) continue;
    require(next < pictures_.size(), where, ".content[", i, "] is a picture, ", pictures_.size(),
            " were added before (minimax_prompt_add_image)");
    part.image_index = next++;
  }
  return next;
}

void Prompt::add_message(int32_t role, std::string_view name, std::string_view text) {
  ChatMessage message;
  message.role = role_of(role);
  require(name.empty() || message.role == ChatRole::tool, "name is \"", name,
          "\", only results of tools have one");
  message.name = name;
  for (size_t i = placed_pictures_; i < pictures_.size(); ++i) {
    message.content.emplace_back().kind = ContentPart::Kind::image;
  }
  message.content.emplace_back().text = text;
  std::vector<ChatMessage> messages;
  messages.push_back(std::move(message));
  add_messages(std::move(messages), MessageSource::single);
}

void Prompt::add_messages_json(std::string_view json) {
  add_messages(parse_chat_messages(json), MessageSource::list);
}

void Prompt::add_messages(std::vector<ChatMessage> messages, MessageSource source) {
  const ChatFormat format = need_format();
  require(phase_ != Phase::reply, "a message after begin_reply; end_reply comes first");
  size_t next_picture = placed_pictures_;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string where =
        source == MessageSource::list ? text("messages[", i, "]") : std::string("message");
    const ChatPlace place = i > 0 && !is_continued_ ? ChatPlace::later : next_place();
    check_message(format, messages[i], place, where);
    next_picture = place_pictures(messages[i], where, next_picture);
  }
  if (messages.empty()) return;
  make_room(messages.size());
  for (ChatMessage& message : messages) pieces_.emplace_back(std::move(message));
  has_message_ = true;
  placed_pictures_ = next_picture;
  changed(Phase::messages);
}

void Prompt::set_tools_json(std::string_view json) {
  std::vector<std::string> tools = parse_chat_tools(json);
  if (!tools.empty()) check_tools(need_format(), next_place());
  tools_ = std::move(tools);
  changed(phase_);
}

void Prompt::begin_reply() {
  need_format();
  require(phase_ != Phase::reply, "begin_reply after begin_reply; end_reply comes first");
  pieces_.emplace_back(BeginReply{});
  has_message_ = true;
  changed(Phase::reply);
}

void Prompt::end_reply(int32_t stop_reason) {
  const ChatFormat format = need_format();
  require(stop_reason >= MINIMAX_STOP_TOKEN && stop_reason <= MINIMAX_STOP_CANCELLED,
          "stop_reason is ", stop_reason,
          ", expected MINIMAX_STOP_TOKEN (1) to MINIMAX_STOP_CANCELLED (6)");
  require(phase_ != Phase::messages, "end_reply after a message; it comes first, or ends a reply");
  const bool is_continued = phase_ == Phase::before;
  if (is_continued && !tools_.empty()) check_tools(format, ChatPlace::continued);
  const bool is_ended = stop_reason == MINIMAX_STOP_TOKEN;
  pieces_.emplace_back(
      EndReply{is_ended ? ReplyEnd::without_stop_token : ReplyEnd::with_stop_token});
  is_continued_ |= is_continued;
  changed(Phase::messages);
}

void Prompt::add_text(std::string_view text, SpecialTokens specials) {
  pieces_.emplace_back(PlainText{std::string(text), specials});
  changed(phase_);
}

void Prompt::add_tokens(std::span<const int32_t> tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    require(tokens[i] >= 0 && tokens[i] < vocabulary_size_, "tokens[", i, "] is ", tokens[i],
            ", vocabulary has ", vocabulary_size_);
  }
  pieces_.emplace_back(Tokens{{tokens.begin(), tokens.end()}});
  changed(phase_);
}

void Prompt::require_placed() const {
  require(placed_pictures_ == pictures_.size(), pictures_.size() - placed_pictures_,
          " pictures wait for a message to belong to");
}

const RenderedPrompt& Prompt::rendered() const {
  require_placed();
  if (!rendered_) {
    TokenSink sink(tokenizer_, pictures_, image_token_);
    render(sink);
    rendered_ = sink.take();
  }
  return *rendered_;
}

std::string Prompt::rendered_text() const {
  require_placed();
  TextSink sink(tokenizer_);
  render(sink);
  return sink.take();
}

ChatFormat Prompt::need_format() const {
  if (format_) return *format_;
  fail(MINIMAX_UNSUPPORTED,
       "the model's chat_template is of no known format; name one with minimax_prompt_set_format");
}

ChatPlace Prompt::next_place() const {
  if (is_continued_) return ChatPlace::continued;
  return has_message_ ? ChatPlace::later : ChatPlace::first;
}

// Makes adding so many pieces unable to fail; grows by doubling.
void Prompt::make_room(size_t count) {
  if (pieces_.capacity() - pieces_.size() >= count) return;
  pieces_.reserve(std::max(pieces_.size() + count, pieces_.size() * 2));
}

void Prompt::changed(Phase phase) {
  phase_ = phase;
  rendered_.reset();
}

// Index of the piece before which the opening stands.
size_t Prompt::opening_index() const {
  const auto first = std::find_if(pieces_.begin(), pieces_.end(), [](const Piece& piece) {
    return std::holds_alternative<ChatMessage>(piece) || std::holds_alternative<BeginReply>(piece);
  });
  return static_cast<size_t>(first - pieces_.begin());
}

// Index of the piece before which the tools stand: behind the last message or ended reply.
size_t Prompt::tools_index() const {
  for (size_t i = pieces_.size(); i > 0; --i) {
    const Piece& piece = pieces_[i - 1];
    if (std::holds_alternative<ChatMessage>(piece) || std::holds_alternative<EndReply>(piece)) {
      return i;
    }
  }
  return opening_index();
}

std::vector<ChatSegment> Prompt::opening() const {
  std::vector<ChatSegment> out;
  if (is_continued_ || (!has_message_ && tools_.empty())) return out;
  std::vector<const ChatMessage*> messages;
  for (const Piece& piece : pieces_) {
    if (const auto* message = std::get_if<ChatMessage>(&piece)) messages.push_back(message);
  }
  render_opening(*format_, messages, tools_, out);
  return out;
}

std::vector<ChatSegment> Prompt::closing_tools() const {
  std::vector<ChatSegment> out;
  if (!tools_.empty()) render_tools(*format_, tools_, out);
  return out;
}

// Of what the format writes, which plain pieces are not.
std::vector<ChatSegment> Prompt::segments_of(const Piece& piece) const {
  std::vector<ChatSegment> out;
  if (const auto* message = std::get_if<ChatMessage>(&piece)) {
    render_message(*format_, *message, out);
  } else if (const auto* end_reply = std::get_if<EndReply>(&piece)) {
    render_reply_end(end_reply->end, out);
  } else if (std::holds_alternative<BeginReply>(piece)) {
    render_reply_header(*format_, out);
  }
  return out;
}

template <typename Sink>
void Prompt::render(Sink& sink) const {
  const auto write = [&](const std::vector<ChatSegment>& segments) {
    for (const ChatSegment& segment : segments) sink.segment(segment);
  };
  const size_t opening_at = opening_index(), tools_at = tools_index();
  for (size_t i = 0; i <= pieces_.size(); ++i) {
    if (i == opening_at) write(opening());
    if (i == tools_at) write(closing_tools());
    if (i == pieces_.size()) break;
    if (const auto* plain = std::get_if<PlainText>(&pieces_[i])) {
      sink.text(plain->text, plain->specials);
    } else if (const auto* tokens = std::get_if<Tokens>(&pieces_[i])) {
      sink.tokens(tokens->ids);
    } else {
      write(segments_of(pieces_[i]));
    }
  }
}

}  // namespace minimax
