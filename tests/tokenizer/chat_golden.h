// SPDX-License-Identifier: Apache-2.0
// The conversations of tests/golden/chat, which Jinja has rendered.
#pragma once

#include <string>
#include <vector>

#include "base/file_map.h"
#include "tokenizer/python_json.h"

namespace minimax {

struct ChatGolden {
  std::string name;
  std::string messages_json;
  std::string tools_json;
  bool reply = false;
  std::string text;
};

inline ChatGolden parse_chat_golden(std::string_view line) {
  const PythonJson json = parse_python_json(line, "golden");
  ChatGolden golden;
  golden.name = json.find("name")->text;
  dump_python_json(*json.find("messages"), golden.messages_json);
  golden.tools_json = json.find("tools_json")->text;
  golden.reply = json.find("reply")->text == "true";
  golden.text = json.find("text")->text;
  return golden;
}

// file: "m1.jsonl"
inline std::vector<ChatGolden> load_chat_goldens(const std::string& file) {
  const std::string content =
      read_text_file(std::string(MINIMAX_SOURCE_DIR "/tests/golden/chat/") + file, 16 << 20);
  std::vector<ChatGolden> goldens;
  for (size_t at = 0; at < content.size();) {
    const size_t end = content.find('\n', at);
    goldens.push_back(parse_chat_golden(std::string_view(content).substr(at, end - at)));
    at = end + 1;
  }
  return goldens;
}

}  // namespace minimax
