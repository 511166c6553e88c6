// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/chat_json.h"

#include "base/error.h"
#include "tokenizer/python_json.h"

namespace minimax {
namespace {

using Kind = PythonJson::Kind;

constexpr size_t list_limit = 100'000;

[[noreturn]] void fail_member(std::string_view where, std::string_view key, const PythonJson* value,
                              std::string_view expected) {
  fail(MINIMAX_INVALID_ARGUMENT, where, ".", key,
       value ? text(" is ", quoted(*value)) : " is missing", ", expected ", expected);
}

const std::string& string_member(const PythonJson& object, std::string_view key,
                                 std::string_view where) {
  const PythonJson* value = object.find(key);
  if (!value || !value->is(Kind::string)) fail_member(where, key, value, "text");
  return value->text;
}

PythonJson parse_list(std::string_view json, std::string_view source) {
  PythonJson list = parse_python_json(json, source);
  require(list.is(Kind::list), source, " is ", quoted(list), ", expected a list");
  require(list.items.size() <= list_limit, source, " is a list of ", list.items.size(),
          ", at most ", list_limit);
  return list;
}

std::string dump(const PythonJson& value) {
  std::string out;
  dump_python_json(value, out);
  return out;
}

// Reads one message; knows its place for errors, and how many pictures came before.
class MessageReader {
 public:
  ChatMessage read(const PythonJson& json, size_t index) {
    where_ = text("messages[", index, "]");
    require(json.is(Kind::object), where_, " is ", quoted(json), ", expected an object");
    ChatMessage message;
    message.role = read_role(json);
    read_name(json, message);
    read_tool_calls(json, message);
    read_content(json, message);
    return message;
  }

 private:
  ChatRole read_role(const PythonJson& json) const {
    constexpr std::string_view expected = "system, user, assistant, tool or function";
    const PythonJson* value = json.find("role");
    if (!value || !value->is(Kind::string)) fail_member(where_, "role", value, expected);
    const std::string_view role = value->text;
    if (role == "system") return ChatRole::system;
    if (role == "user") return ChatRole::user;
    if (role == "assistant") return ChatRole::assistant;
    if (role == "tool" || role == "function") return ChatRole::tool;
    fail_member(where_, "role", value, expected);
  }

  void read_name(const PythonJson& json, ChatMessage& message) const {
    const PythonJson* name = json.find("name");
    if (!name) return;
    if (!name->is(Kind::string)) fail_member(where_, "name", name, "text");
    if (name->text.empty()) return;
    if (message.role != ChatRole::tool) {
      fail(MINIMAX_UNSUPPORTED, where_, ".name is ", quoted(*name),
           ", no format writes names but those of tools");
    }
    message.name = name->text;
  }

  void read_content(const PythonJson& json, ChatMessage& message) {
    constexpr std::string_view expected = "text or a list of parts";
    const PythonJson* content = json.find("content");
    if (!content) {
      if (message.tool_calls.empty()) fail_member(where_, "content", content, expected);
      return;
    }
    if (content->is(Kind::string)) {
      message.content.emplace_back().text = content->text;
      return;
    }
    if (!content->is(Kind::list)) fail_member(where_, "content", content, expected);
    for (size_t i = 0; i < content->items.size(); ++i) {
      const std::string where = text(where_, ".content[", i, "]");
      message.content.push_back(read_part(content->items[i], message.role, where));
    }
  }

  ContentPart read_part(const PythonJson& json, ChatRole role, std::string_view where) {
    require(json.is(Kind::object), where, " is ", quoted(json), ", expected an object");
    const PythonJson* type = json.find("type");
    ContentPart part;
    if (!type && role == ChatRole::tool) {
      part.kind = ContentPart::Kind::tool_result;
      part.name = string_member(json, "name", where);
      part.text = string_member(json, "text", where);
      return part;
    }
    if (!type || !type->is(Kind::string)) fail_member(where, "type", type, "\"text\"");
    if (type->text == "text") {
      part.text = string_member(json, "text", where);
      if (role == ChatRole::tool && json.find("name")) {
        part.name = string_member(json, "name", where);
      }
      return part;
    }
    if (type->text != "image" && type->text != "image_url") {
      fail(MINIMAX_UNSUPPORTED, where, ".type is ", quoted(*type), ", expected \"text\"");
    }
    part.kind = ContentPart::Kind::image;
    part.image_index = image_count_++;
    return part;
  }

  void read_tool_calls(const PythonJson& json, ChatMessage& message) const {
    if (json.find("function_call")) {
      fail(MINIMAX_UNSUPPORTED, where_, ".function_call: use tool_calls");
    }
    const PythonJson* calls = json.find("tool_calls");
    if (!calls) return;
    if (!calls->is(Kind::list)) fail_member(where_, "tool_calls", calls, "a list");
    require(calls->items.empty() || message.role == ChatRole::assistant, where_,
            ".tool_calls: only messages of the assistant have them");
    for (size_t i = 0; i < calls->items.size(); ++i) {
      const std::string where = text(where_, ".tool_calls[", i, "]");
      message.tool_calls.push_back(read_tool_call(calls->items[i], where));
    }
  }

  static ToolCall read_tool_call(const PythonJson& json, const std::string& where) {
    const PythonJson* function = json.find("function");
    if (!function || !function->is(Kind::object)) {
      fail_member(where, "function", function, "an object");
    }
    const std::string inside = where + ".function";
    return {string_member(*function, "name", inside),
            read_arguments(function->find("arguments"), inside)};
  }

  // OpenAI's API carries JSON as text inside JSON; templates are given the object itself.
  static std::string read_arguments(const PythonJson* value, const std::string& where) {
    if (!value || (value->is(Kind::string) && value->text.empty())) return "{}";
    if (value->is(Kind::object)) return dump(*value);
    constexpr std::string_view expected = "an object, or the text of one";
    if (!value->is(Kind::string)) fail_member(where, "arguments", value, expected);
    const PythonJson inner = parse_python_json(value->text, where + ".arguments");
    if (!inner.is(Kind::object)) fail_member(where, "arguments", value, expected);
    return dump(inner);
  }

  std::string where_;
  size_t image_count_ = 0;
};

}  // namespace

std::vector<ChatMessage> parse_chat_messages(std::string_view json) {
  const PythonJson list = parse_list(json, "messages");
  std::vector<ChatMessage> messages;
  messages.reserve(list.items.size());
  MessageReader reader;
  for (size_t i = 0; i < list.items.size(); ++i) messages.push_back(reader.read(list.items[i], i));
  return messages;
}

std::vector<std::string> parse_chat_tools(std::string_view json) {
  const PythonJson list = parse_list(json, "tools");
  std::vector<std::string> tools;
  tools.reserve(list.items.size());
  for (size_t i = 0; i < list.items.size(); ++i) {
    const PythonJson& tool = list.items[i];
    require(tool.is(Kind::object), "tools[", i, "] is ", quoted(tool), ", expected an object");
    tools.push_back(dump(tool));
  }
  return tools;
}

}  // namespace minimax
