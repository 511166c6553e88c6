// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/chat_template.h"

#include "base/error.h"

namespace minimax {
namespace {

using Kind = ChatSegment::Kind;
using PartKind = ContentPart::Kind;

constexpr std::string_view begin_document = "<begin_of_document>";
constexpr std::string_view begin_sentence = "<beginning_of_sentence>";
constexpr std::string_view end_sentence = "<end_of_sentence>";
constexpr std::string_view vllm_system_text =
    "You are a helpful assistant created by Minimax based on MiniMax-M1 model.";

// Segments under construction: text that adjoins becomes one segment.
class Writer {
 public:
  explicit Writer(std::vector<ChatSegment>& out) : out_(out) {}

  Writer& marker(std::string_view name) { return add(Kind::marker, name, 0); }
  Writer& image(size_t index) { return add(Kind::image, "<image>", index); }
  Writer& text(std::string_view text) {
    if (text.empty()) return *this;
    if (out_.empty() || out_.back().kind != Kind::text) return add(Kind::text, text, 0);
    out_.back().text += text;
    return *this;
  }
  // The frame of every message: <beginning_of_sentence>{header}\n ... <end_of_sentence>\n
  Writer& begin(std::string_view header) { return marker(begin_sentence).text(header).text("\n"); }
  Writer& end() { return marker(end_sentence).text("\n"); }

 private:
  Writer& add(Kind kind, std::string_view text, size_t image_index) {
    out_.push_back({kind, std::string(text), image_index});
    return *this;
  }
  std::vector<ChatSegment>& out_;
};

// Length of the white space, as Python's str.strip() knows it, that text begins with at `at`; or 0.
size_t white_space_at(std::string_view text, size_t at) {
  const unsigned char byte = static_cast<unsigned char>(text[at]);
  if ((byte >= 0x09 && byte <= 0x0d) || (byte >= 0x1c && byte <= 0x20)) return 1;
  const std::string_view two = text.substr(at, 2), three = text.substr(at, 3);
  if (two == "\u0085" || two == "\u00a0") return 2;
  for (const std::string_view space :
       {"\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007",
        "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
    if (three == space) return 3;
  }
  return 0;
}

std::string_view trimmed(std::string_view text) {
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t length = white_space_at(text, begin);
    if (length == 0) break;
    begin += length;
  }
  text.remove_prefix(begin);
  for (size_t length = 1; length <= 3 && length <= text.size();) {
    if (white_space_at(text, text.size() - length) == length) {
      text.remove_suffix(length);
      length = 1;
    } else {
      ++length;
    }
  }
  return text;
}

bool is_m1(ChatFormat format) {
  return format == ChatFormat::m1 || format == ChatFormat::m1_vllm;
}

std::string_view plural_name_of(ChatRole role) {
  switch (role) {
    case ChatRole::system:
      return "system messages";
    case ChatRole::user:
      return "user messages";
    case ChatRole::assistant:
      return "assistant messages";
    case ChatRole::tool:
      return "tool results";
  }
  return "messages";
}

// Whether the format writes the first part of such a message and drops the others.
bool takes_one_part(ChatFormat format, ChatRole role) {
  switch (role) {
    case ChatRole::system:
      return format != ChatFormat::vl_01;
    case ChatRole::user:
      return format == ChatFormat::text_01 || format == ChatFormat::m1;
    case ChatRole::tool:
      return !is_m1(format);
    case ChatRole::assistant:
      return false;
  }
  return false;
}

std::string_view assistant_header(ChatFormat format) {
  return format == ChatFormat::m1_vllm ? "ai name=MiniMax AI" : "ai name=assistant";
}

std::string_view header_of(ChatFormat format, ChatRole role) {
  switch (role) {
    case ChatRole::system:
      return "system ai_setting=assistant";
    case ChatRole::user:
      return "user name=user";
    case ChatRole::assistant:
      return assistant_header(format);
    case ChatRole::tool:
      return is_m1(format) ? "tool name=tools" : "system function_response=functions";
  }
  return "";
}

std::string_view tool_name(const ChatMessage& message, const ContentPart& part) {
  return part.name.empty() ? message.name : part.name;
}

std::string_view first_text(const ChatMessage& message) {
  return message.content.empty() ? std::string_view() : message.content.front().text;
}

void check_parts(ChatFormat format, const ChatMessage& message, std::string_view where) {
  if (message.content.size() > 1 && takes_one_part(format, message.role)) {
    fail(MINIMAX_UNSUPPORTED, where, ".content has ", message.content.size(), " parts, the ",
         name_of(format), " format takes one in ", plural_name_of(message.role));
  }
  for (size_t i = 0; i < message.content.size(); ++i) {
    if (message.content[i].kind != PartKind::image) continue;
    if (format == ChatFormat::vl_01 && message.role != ChatRole::tool) continue;
    fail(MINIMAX_UNSUPPORTED, where, ".content[", i, "] is a picture, the ", name_of(format),
         " format takes none in ", plural_name_of(message.role));
  }
}

void check_tool_calls(ChatFormat format, const ChatMessage& message, std::string_view where) {
  if (message.tool_calls.empty()) return;
  if (format != ChatFormat::m1_vllm) {
    fail(MINIMAX_UNSUPPORTED, where, ".tool_calls: the ", name_of(format),
         " format cannot write them; put the model's own text into content");
  }
  for (const ContentPart& part : message.content) {
    if (trimmed(part.text).empty()) continue;
    fail(MINIMAX_UNSUPPORTED, where, " has content and tool_calls, the ", name_of(format),
         " format writes one of them");
  }
}

void check_system(ChatFormat format, ChatPlace place, std::string_view where) {
  if (is_m1(format) && place == ChatPlace::continued) {
    fail(MINIMAX_UNSUPPORTED, where, ": the ", name_of(format),
         " format writes system messages at the start of the conversation, which goes on here");
  }
  if (format == ChatFormat::m1_vllm && place == ChatPlace::later) {
    fail(MINIMAX_UNSUPPORTED, where, ": the ", name_of(format),
         " format takes a system message as the first message only");
  }
}

void check_tool_result(ChatFormat format, const ChatMessage& message, std::string_view where) {
  if (format == ChatFormat::m1_vllm) return;
  // Where M1 writes a name for each part, the others write one in any case.
  bool is_named = format == ChatFormat::m1 || !message.name.empty() || !message.content.empty();
  for (const ContentPart& part : message.content) is_named &= !tool_name(message, part).empty();
  require(is_named, where, ".name is missing, the ", name_of(format),
          " format writes the name of the tool");
}

// What vLLM's template does with a call: the name as it is, between quotes.
void write_tool_calls(const std::vector<ToolCall>& calls, Writer& write) {
  write.marker("<tool_calls>").text("\n");
  for (const ToolCall& call : calls) {
    write.text("{\"name\": \"").text(call.name).text("\", \"arguments\": ");
    write.text(call.arguments).text("}\n");
  }
  write.marker("</tool_calls>");
}

void write_m1_tool_results(ChatFormat format, const ChatMessage& message, Writer& write) {
  for (const ContentPart& part : message.content) {
    if (format == ChatFormat::m1 || part.kind == PartKind::tool_result) {
      write.text("tool name: ").text(tool_name(message, part)).text("\n");
    }
    write.text("tool result: ").text(part.text).text("\n\n");
  }
}

void write_function_response(const ChatMessage& message, Writer& write) {
  const ContentPart none;
  const ContentPart& part = message.content.empty() ? none : message.content.front();
  write.text("{\"name\": \"").text(tool_name(message, part)).text("\", \"response\": ");
  write.text(part.text).text("}");
}

void write_parts(ChatFormat format, const ChatMessage& message, Writer& write) {
  for (const ContentPart& part : message.content) {
    if (part.kind == PartKind::image) {
      write.image(part.image_index);
    } else {
      write.text(format == ChatFormat::m1_vllm ? trimmed(part.text) : part.text);
    }
  }
}

std::string system_text(ChatFormat format, std::span<const ChatMessage* const> messages) {
  if (format == ChatFormat::m1_vllm) {
    const bool is_given = !messages.empty() && messages.front()->role == ChatRole::system;
    return std::string(is_given ? trimmed(first_text(*messages.front())) : vllm_system_text);
  }
  std::string all;
  for (const ChatMessage* message : messages) {
    if (message->role == ChatRole::system) all += first_text(*message);
  }
  return all;
}

// The names in angle brackets are ordinary text in the tokenizers that were seen; as markers they
// are right too in one that has tokens for them.
void write_m1_tools(ChatFormat format, std::span<const std::string> tools, Writer& write) {
  write.begin("system tool_setting=tools").text("You are provided with these tools:\n");
  write.marker("<tools>").text("\n");
  for (const std::string& tool : tools) write.text(tool).text("\n");
  write.marker("</tools>").text("\n\nIf you need to call tools, please respond with ");
  write.marker("<tool_calls>").marker("</tool_calls>");
  write.text(" XML tags, and provide tool-name and json-object of arguments, following the format ")
      .text("below:\n");
  write.marker("<tool_calls>");
  // M1's own template loses the quotes: Jinja joins string literals that adjoin.
  write.text(format == ChatFormat::m1
                 ? "\n{name: <tool-name-1>, arguments: <args-json-object-1>}\n...\n"
                 : "\n{\"name\": <tool-name>, \"arguments\": <args-json-object>}\n...\n");
  write.marker("</tool_calls>").end();
}

}  // namespace

std::string_view name_of(ChatFormat format) {
  switch (format) {
    case ChatFormat::text_01:
      return "Text-01";
    case ChatFormat::vl_01:
      return "VL-01";
    case ChatFormat::m1:
      return "M1";
    case ChatFormat::m1_vllm:
      return "M1-vLLM";
  }
  return "unknown";
}

std::optional<ChatFormat> detect_chat_format(std::string_view chat_template,
                                             std::string_view model_name) {
  const auto has = [&](std::string_view words) {
    return chat_template.find(words) != std::string_view::npos;
  };
  if (chat_template.empty()) {
    if (model_name == "MiniMax-M1") return ChatFormat::m1;
    return model_name == "MiniMax-VL-01" ? ChatFormat::vl_01 : ChatFormat::text_01;
  }
  if (!has(begin_sentence)) return std::nullopt;
  if (has(begin_document)) return has("MiniMax AI") ? ChatFormat::m1_vllm : ChatFormat::m1;
  // A text-only template of VL-01 renders what the one with pictures does, for texts.
  const bool has_pictures = has("<image>") || model_name == "MiniMax-VL-01";
  return has_pictures ? ChatFormat::vl_01 : ChatFormat::text_01;
}

void check_message(ChatFormat format, const ChatMessage& message, ChatPlace place,
                   std::string_view where) {
  check_parts(format, message, where);
  check_tool_calls(format, message, where);
  if (message.role == ChatRole::system) check_system(format, place, where);
  if (message.role == ChatRole::tool) check_tool_result(format, message, where);
}

void check_tools(ChatFormat format, ChatPlace place) {
  if (!is_m1(format) || place != ChatPlace::continued) return;
  fail(MINIMAX_UNSUPPORTED, "tools: the ", name_of(format),
       " format writes them at the start of the conversation, which goes on here");
}

void render_opening(ChatFormat format, std::span<const ChatMessage* const> messages,
                    std::span<const std::string> tools, std::vector<ChatSegment>& out) {
  if (!is_m1(format)) return;
  Writer write(out);
  write.marker(begin_document);
  const std::string system = system_text(format, messages);
  if (!system.empty()) {
    const bool is_vllm = format == ChatFormat::m1_vllm;
    write.begin(is_vllm ? "system ai_setting=MiniMax AI" : "system ai_setting=assistant");
    write.text(system).end();
  }
  if (!tools.empty()) write_m1_tools(format, tools, write);
}

void render_message(ChatFormat format, const ChatMessage& message, std::vector<ChatSegment>& out) {
  if (is_m1(format) && message.role == ChatRole::system) return;  // stands in the opening
  Writer write(out);
  write.begin(header_of(format, message.role));
  if (!message.tool_calls.empty()) {
    write_tool_calls(message.tool_calls, write);
  } else if (message.role != ChatRole::tool) {
    write_parts(format, message, write);
  } else if (is_m1(format)) {
    write_m1_tool_results(format, message, write);
  } else {
    write_function_response(message, write);
  }
  write.end();
}

void render_tools(ChatFormat format, std::span<const std::string> tools,
                  std::vector<ChatSegment>& out) {
  if (is_m1(format)) return;
  Writer write(out);
  for (const std::string& tool : tools) {
    write.begin("system function_setting=functions").text(tool).end();
  }
}

void render_reply_header(ChatFormat format, std::vector<ChatSegment>& out) {
  Writer(out).begin(assistant_header(format));
}

void render_reply_end(ReplyEnd end, std::vector<ChatSegment>& out) {
  Writer write(out);
  if (end == ReplyEnd::with_stop_token) write.marker(end_sentence);
  write.text("\n");
}

}  // namespace minimax
