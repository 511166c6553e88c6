// SPDX-License-Identifier: Apache-2.0
// The command line of minimax-chat.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "samples/conversation.h"

namespace samples {

struct ChatOptions {
  std::string model;
  std::vector<std::string> devices;
  int32_t thread_count = 0;
  int64_t context_limit = 0;
  std::optional<std::string> prompt;  // one question; without it, a dialogue
  std::vector<std::string> images;    // for the first message
  ConversationOptions conversation;
  bool quiet = false;
  std::optional<std::string> notice;  // print this and leave: --help, --version
};

// Throws cxxopts::exceptions::exception for what it does not understand.
ChatOptions parse_chat_options(int argc, char** argv);

}  // namespace samples
