// SPDX-License-Identifier: Apache-2.0
// minimax-chat: asks a model once, or talks with it. Answers go to stdout, all else to stderr.
#include <cstdio>
#include <cxxopts.hpp>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "samples/chat_options.h"
#include "samples/conversation.h"
#include "samples/terminal.h"

namespace samples {
namespace {

enum ExitCode { kDone = 0, kFailed = 1, kWrongUsage = 2, kInterrupted = 130 };

constexpr char kCommands[] =
    "/reset         forget the dialogue\n"
    "/system TEXT   forget the dialogue, and begin anew under this system message\n"
    "/image FILE    a picture for the next message; several are seen in their order\n"
    "/undo          take the last message and its answer back\n"
    "/retry         the same, and say that message once more\n"
    "/save FILE     keep the dialogue in a file\n"
    "/load FILE     go on with the dialogue of a file\n"
    "/branch        the branches of the dialogue\n"
    "/branch NAME   go on in that branch; a new one begins here\n"
    "/tokens        what the dialogue holds: tokens, pictures, how far it can go back\n"
    "/quit          leave (so do ctrl-D, and ctrl-C twice)\n"
    "/help          this list\n"
    "ctrl-C         ends an answer; the dialogue goes on\n";

int32_t show_progress(void* user, uint64_t done_bytes, uint64_t total_bytes) {
  static_cast<ProgressBar*>(user)->show(done_bytes, total_bytes);
  return interrupt::is_pending() ? 1 : 0;
}

int32_t give_up_when_interrupted(void*, uint64_t, uint64_t) {
  return interrupt::is_pending() ? 1 : 0;
}

EngineHandle load(const ChatOptions& options) {
  std::vector<const char*> devices;
  for (const std::string& device : options.devices) devices.push_back(device.c_str());
  ProgressBar bar("loading " + options.model);
  minimax_engine_options engine;
  minimax_engine_options_init(&engine, sizeof engine);
  engine.devices = devices.data();
  engine.device_count = devices.size();
  engine.thread_count = options.thread_count;
  engine.context_limit = options.context_limit;
  engine.progress = options.quiet ? give_up_when_interrupted : show_progress;
  engine.progress_user = &bar;
  struct Remove {
    ProgressBar& bar;
    ~Remove() { bar.done(); }
  } remove{bar};
  return open_engine(options.model, engine);
}

// False when nobody reads any more.
bool show_text(std::string_view text) {
  fwrite(text.data(), 1, text.size(), stdout);
  return fflush(stdout) == 0;
}

double per_second(uint64_t count, uint64_t ns) {
  return ns == 0 ? 0 : static_cast<double>(count) * 1e9 / static_cast<double>(ns);
}

void show_speeds(const Answer& answer) {
  const uint64_t computed = answer.prompt_tokens - answer.reused_tokens;
  if (answer.reused_tokens > 0) {
    fprintf(stderr, "[%llu tokens of the prompt were known]\n",
            static_cast<unsigned long long>(answer.reused_tokens));
  }
  fprintf(stderr, "[prefill %llu tokens, %.1f t/s; decode %llu tokens, %.1f t/s]\n",
          static_cast<unsigned long long>(computed), per_second(computed, answer.prompt_ns),
          static_cast<unsigned long long>(answer.answer_tokens),
          per_second(answer.answer_tokens, answer.answer_ns));
}

void show_reason(int32_t stop_reason) {
  if (stop_reason == MINIMAX_STOP_CANCELLED) fputs("[interrupted]\n", stderr);
  if (stop_reason == MINIMAX_STOP_MAX_TOKENS) fputs("[cut at --max-tokens]\n", stderr);
  if (stop_reason == MINIMAX_STOP_CONTEXT) fputs("[the context is full]\n", stderr);
}

void show_end(const Answer& answer, bool quiet) {
  show_text("\n");
  if (ferror(stdout)) throw std::runtime_error("standard output cannot be written");
  show_reason(answer.stop_reason);
  if (!quiet) show_speeds(answer);
}

Answer ask(Conversation& conversation, const std::string& message, bool quiet) {
  const Answer answer = conversation.ask(message, show_text);
  show_end(answer, quiet);
  return answer;
}

void complain(const std::exception& error) {
  fprintf(stderr, "minimax-chat: %s\n", error.what());
}

// On one line, as it could be typed.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || c == '\'') {
      out += {'\\', c};
    } else {
      out += c;
    }
  }
  return out + "'";
}

void show_extent(const Extent& extent) {
  const auto number = [](auto value) { return static_cast<long long>(value); };
  if (extent.read > 0) {
    fprintf(stderr, "the last message found %lld tokens and brought %lld\n", number(extent.reused),
            number(extent.read));
  }
  fprintf(stderr, "can go back: the last %lld tokens one by one",
          number(extent.position - extent.rewind_floor));
  for (size_t i = 0; i < extent.turns.size(); ++i) {
    fprintf(stderr, "%s%lld", i == 0 ? ", /undo to " : ", ", number(extent.turns[i]));
  }
  fputs("\n", stderr);
  for (const minimax_image_span& picture : extent.pictures) {
    fprintf(stderr, "picture: tokens %lld to %lld\n", number(picture.position),
            number(picture.position + picture.token_count - 1));
  }
  if (extent.last_tokens.empty()) return;
  fputs("last tokens:", stderr);
  for (const std::string& token : extent.last_tokens) fprintf(stderr, " %s", quoted(token).c_str());
  fputs("\n", stderr);
}

void show_size(const Conversation& conversation) {
  const minimax_session_stats stats = conversation.stats();
  fprintf(stderr, "%lld tokens: %.2f MiB of lightning states, %.2f MiB of keys and values\n",
          static_cast<long long>(stats.position),
          static_cast<double>(stats.state_bytes) / (1 << 20),
          static_cast<double>(stats.kv_bytes) / (1 << 20));
  show_extent(conversation.extent());
}

// With a bar while the picture is encoded.
void add_picture(Conversation& conversation, const std::string& path, bool quiet) {
  ProgressBar bar("looking at " + path);
  struct Remove {
    ProgressBar& bar;
    ~Remove() { bar.done(); }
  } remove{bar};
  conversation.add_picture(path, quiet ? give_up_when_interrupted : show_progress, &bar);
}

// What a person types, or a pipe brings, until it ends.
class Dialogue {
 public:
  Dialogue(std::unique_ptr<Conversation> conversation, bool quiet) : quiet_(quiet) {
    branches_[branch_] = std::move(conversation);
  }

  int run() {
    if (interactive_) fputs("/help shows the commands\n", stderr);
    while (!leaving_) {
      if (interactive_) fputs("> ", stderr);
      std::string line;
      const Input input = reader_.next(line);
      if (input == Input::end) break;
      if (input == Input::interrupted) {
        take_interrupt();
      } else {
        take_line(line);
      }
    }
    if (interactive_) fputs("\n", stderr);
    return exit_code_;
  }

 private:
  void leave(int exit_code) {
    leaving_ = true;
    exit_code_ = exit_code;
  }

  // The first ctrl-C may have been meant for an answer that had just ended.
  void take_interrupt() {
    interrupt::clear();
    if (!interactive_ || ++interrupts_in_a_row_ >= 2) return leave(kInterrupted);
    fputs("\n[ctrl-C again leaves]\n", stderr);
  }

  void take_line(const std::string& line) {
    interrupts_in_a_row_ = 0;
    if (line.find_first_not_of(" \t") == std::string::npos) return;
    try {
      if (line.front() == '/') return take_command(line);
      take_message(line);
    } catch (const StatusError& error) {
      complain(error);
      if (error.status() == MINIMAX_CONTEXT_FULL) fputs("[/reset makes room]\n", stderr);
      if (!interactive_) leave(kFailed);
    }
  }

  void take_message(const std::string& message) { take_end(ask(conversation(), message, quiet_)); }

  void take_end(const Answer& answer) {
    if (answer.stop_reason != MINIMAX_STOP_CANCELLED) return;
    interrupts_in_a_row_ = 1;
    interrupt::clear();
    if (!interactive_) leave(kInterrupted);
  }

  void retry() {
    const std::optional<Answer> answer = conversation().retry(show_text);
    if (!answer) {
      fputs("there is nothing to say once more\n", stderr);
      return;
    }
    show_end(*answer, quiet_);
    take_end(*answer);
  }

  Conversation& conversation() { return *branches_.at(branch_); }

  void show_branches() const {
    for (const auto& [name, conversation] : branches_) {
      fprintf(stderr, "%c %s: %lld tokens\n", name == branch_ ? '*' : ' ', name.c_str(),
              static_cast<long long>(conversation->stats().position));
    }
  }

  void take_branch(const std::string& name) {
    if (!branches_.contains(name)) {
      std::unique_ptr<Conversation> forked = conversation().branch();
      if (!forked) {
        fputs("the last message is still unread: say more\n", stderr);
        return;
      }
      branches_[name] = std::move(forked);
    }
    branch_ = name;
  }

  void take_command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string command = line.substr(0, space);
    const std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
    if (command == "/quit" || command == "/exit") return leave(kDone);
    if (command == "/help") {
      fputs(kCommands, stderr);
    } else if (command == "/reset") {
      conversation().reset();
    } else if (command == "/system") {
      conversation().set_system(argument);
    } else if (command == "/undo") {
      if (!conversation().undo()) fputs("there is nothing to take back\n", stderr);
    } else if (command == "/retry") {
      retry();
    } else if (command == "/image") {
      add_picture(conversation(), argument, quiet_);
    } else if (command == "/save") {
      if (!conversation().save(argument))
        fputs("the last message is still unread: say more\n", stderr);
    } else if (command == "/load") {
      conversation().load(argument);
    } else if (command == "/branch" && argument.empty()) {
      show_branches();
    } else if (command == "/branch") {
      take_branch(argument);
    } else if (command == "/tokens") {
      show_size(conversation());
    } else {
      fprintf(stderr, "%s is no command; /help shows them\n", command.c_str());
    }
  }

  // Each branch is a conversation of its own.
  std::map<std::string, std::unique_ptr<Conversation>> branches_;
  std::string branch_ = "main";  // the one that goes on
  LineReader reader_;
  const bool quiet_;
  const bool interactive_ = is_terminal(0);
  int interrupts_in_a_row_ = 0;
  bool leaving_ = false;
  int exit_code_ = kDone;
};

int answer_once(Conversation& conversation, const std::string& prompt, bool quiet) {
  const std::string message = prompt == "-" ? LineReader().rest() : prompt;
  if (interrupt::is_pending()) return kInterrupted;
  const Answer answer = ask(conversation, message, quiet);
  return answer.stop_reason == MINIMAX_STOP_CANCELLED ? kInterrupted : kDone;
}

int chat(const ChatOptions& options) {
  interrupt::install();
  const EngineHandle engine = load(options);
  auto conversation = std::make_unique<Conversation>(engine.get(), options.conversation);
  for (const std::string& image : options.images) {
    add_picture(*conversation, image, options.quiet);
  }
  if (options.prompt) return answer_once(*conversation, *options.prompt, options.quiet);
  return Dialogue(std::move(conversation), options.quiet).run();
}

int run(int argc, char** argv) {
  try {
    const ChatOptions options = parse_chat_options(argc, argv);
    if (!options.notice) return chat(options);
    fputs(options.notice->c_str(), stdout);
    return kDone;
  } catch (const cxxopts::exceptions::exception& error) {
    complain(error);
    fputs("minimax-chat --help shows the options\n", stderr);
    return kWrongUsage;
  } catch (const StatusError& error) {
    complain(error);
    return error.status() == MINIMAX_CANCELLED ? kInterrupted : kFailed;
  } catch (const std::exception& error) {
    complain(error);
    return kFailed;
  }
}

}  // namespace
}  // namespace samples

int main(int argc, char** argv) {
  return samples::run(argc, argv);
}
