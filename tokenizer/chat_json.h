// SPDX-License-Identifier: Apache-2.0
// Messages and tools from the JSON of OpenAI's chat API.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_template.h"

namespace minimax {

// A list of at most 100,000 messages: role, content (text, null or a list of parts), and where they
// mean something name and tool_calls. Roles tool and function are one. Pictures are numbered from 0
// in the order of the text. Other members (ids, refusals) are not read. MINIMAX_INVALID_ARGUMENT,
// with the place ("messages[3].content is 5, expected ..."), when the JSON is not that;
// MINIMAX_UNSUPPORTED for parts, calls and names that no format can write.
std::vector<ChatMessage> parse_chat_messages(std::string_view json);

// A list of at most 100,000 objects, each as json.dumps(tool, ensure_ascii=False) writes it.
std::vector<std::string> parse_chat_tools(std::string_view json);

}  // namespace minimax
