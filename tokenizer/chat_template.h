// SPDX-License-Identifier: Apache-2.0
// Messages to the text that a MiniMax-01 model was trained on, with a mark where each picture goes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace minimax {

enum class ChatFormat {
  text_01,
  vl_01,
  m1,      // the template of the checkpoint
  m1_vllm  // the template that vLLM replaces it with
};

// "Text-01", as it stands in errors.
std::string_view name_of(ChatFormat format);

// The format of a checkpoint: by the Jinja source of its template, which is not run but recognised,
// or by the model's name ("MiniMax-M1") when the source is empty. Nothing when it is a source of
// another family: no format would then be the right one.
std::optional<ChatFormat> detect_chat_format(std::string_view chat_template,
                                             std::string_view model_name);

enum class ChatRole { system, user, assistant, tool };

struct ContentPart {
  enum class Kind {
    text,
    tool_result,  // text that brings the name of its tool
    image
  };
  Kind kind = Kind::text;
  std::string text;
  std::string name;  // of the tool; "": the message's
  size_t image_index = 0;
};

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON, as json.dumps writes it
};

struct ChatMessage {
  ChatRole role = ChatRole::user;
  std::string name;  // of the tool, when role is tool
  std::vector<ContentPart> content;
  std::vector<ToolCall> tool_calls;  // of the assistant
};

// A piece of a rendered prompt. A marker stands for the special token of that name, if the
// tokenizer has one; the text of a message is never a marker, whatever it spells.
struct ChatSegment {
  enum class Kind { marker, text, image };
  Kind kind = Kind::text;
  std::string text;  // of an image: how a template writes it
  size_t image_index = 0;
};

// Where a message stands: behind an opening that is rendered with it, or in a conversation whose
// opening has been fed to the model before.
enum class ChatPlace { first, later, continued };

// Refuses a message that the format would drop or cut, as MINIMAX_UNSUPPORTED; a tool's result
// without the name that the format writes is MINIMAX_INVALID_ARGUMENT. `where` begins the sentence:
// "messages[3]".
void check_message(ChatFormat format, const ChatMessage& message, ChatPlace place,
                   std::string_view where);
// Refuses tools where the format writes them into an opening that has been fed.
void check_tools(ChatFormat format, ChatPlace place);

// Each of the following appends to `out`; together, in this order, they render a conversation. The
// messages have passed check_message. tools: JSON objects as json.dumps writes them.

// What stands before the first message: the system's text and the tools in M1's formats.
void render_opening(ChatFormat format, std::span<const ChatMessage* const> messages,
                    std::span<const std::string> tools, std::vector<ChatSegment>& out);
void render_message(ChatFormat format, const ChatMessage& message, std::vector<ChatSegment>& out);
// What stands behind the last message: the tools in the formats of Text-01 and VL-01.
void render_tools(ChatFormat format, std::span<const std::string> tools,
                  std::vector<ChatSegment>& out);
void render_reply_header(ChatFormat format, std::vector<ChatSegment>& out);

// The stop token belongs to what the format puts behind an answer, but a model that was not cut
// short has written it itself.
enum class ReplyEnd { with_stop_token, without_stop_token };
void render_reply_end(ReplyEnd end, std::vector<ChatSegment>& out);

}  // namespace minimax
