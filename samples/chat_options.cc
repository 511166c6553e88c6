// SPDX-License-Identifier: Apache-2.0
// The command line of minimax-chat.
#include "samples/chat_options.h"

#include <cxxopts.hpp>
#include <random>

namespace samples {
namespace {

cxxopts::Options describe() {
  cxxopts::Options options("minimax-chat",
                           "Talks with a MiniMax-01 model. With a prompt it answers once; without "
                           "one it reads\nmessages from standard input, a line each.\n");
  options.positional_help("[PROMPT]").show_positional_help();
  auto add = options.add_options("");
  add("m,model", "folder of the model",
      cxxopts::value<std::string>()->default_value("models/demo"));
  add("p,prompt", "answer this and leave; - reads it from standard input",
      cxxopts::value<std::string>());
  add("image", "picture for the first message; may be given again", cxxopts::value<std::string>());
  add("system", "system message", cxxopts::value<std::string>()->default_value(""));
  add("device", "device, or several with commas between",
      cxxopts::value<std::vector<std::string>>()->default_value("cpu"));
  add("threads", "CPU threads; 0: one a core", cxxopts::value<int32_t>()->default_value("0"));
  add("context", "tokens the dialogue may hold; 0: as many as fit",
      cxxopts::value<int64_t>()->default_value("0"));
  add("max-tokens", "longest answer; 0: until the model ends it",
      cxxopts::value<int64_t>()->default_value("2048"));
  add("temp", "temperature; 0: always the most probable token",
      cxxopts::value<float>()->default_value("0"));
  add("top-k", "draw from the k most probable tokens; 0: off",
      cxxopts::value<int32_t>()->default_value("0"));
  add("top-p", "draw from the smallest set of this probability; 0: off",
      cxxopts::value<float>()->default_value("0"));
  add("min-p", "draw from tokens of this share of the best one's probability; 0: off",
      cxxopts::value<float>()->default_value("0"));
  add("repeat-penalty", "divides logits of tokens already there; 0: off",
      cxxopts::value<float>()->default_value("0"));
  add("seed", "of the draws; without it another one each time", cxxopts::value<uint64_t>());
  add("q,quiet", "no progress, no speeds");
  add("version", "print the library's version");
  add("h,help", "print this");
  options.parse_positional({"prompt"});
  return options;
}

std::string version_text() {
  return std::string("minimax-chat ") + minimax_version_string() + " (" + minimax_source_id() +
         ")\n";
}

// Words that no quotes hold together are one prompt all the same.
std::optional<std::string> prompt_of(const cxxopts::ParseResult& parsed) {
  if (parsed.count("prompt") == 0) return std::nullopt;
  std::string prompt = parsed["prompt"].as<std::string>();
  for (const std::string& word : parsed.unmatched()) prompt += " " + word;
  return prompt;
}

minimax_sampler_options sampler_of(const cxxopts::ParseResult& parsed) {
  minimax_sampler_options options;
  minimax_sampler_options_init(&options, sizeof options);
  options.temperature = parsed["temp"].as<float>();
  options.top_k = parsed["top-k"].as<int32_t>();
  options.top_p = parsed["top-p"].as<float>();
  options.min_p = parsed["min-p"].as<float>();
  options.repetition_penalty = parsed["repeat-penalty"].as<float>();
  options.seed = parsed.count("seed") ? parsed["seed"].as<uint64_t>() : std::random_device()();
  return options;
}

}  // namespace

ChatOptions parse_chat_options(int argc, char** argv) {
  cxxopts::Options description = describe();
  const cxxopts::ParseResult parsed = description.parse(argc, argv);
  ChatOptions options;
  if (parsed.count("help")) options.notice = description.help();
  if (parsed.count("version")) options.notice = version_text();
  options.model = parsed["model"].as<std::string>();
  options.devices = parsed["device"].as<std::vector<std::string>>();
  options.thread_count = parsed["threads"].as<int32_t>();
  options.context_limit = parsed["context"].as<int64_t>();
  options.prompt = prompt_of(parsed);
  for (const cxxopts::KeyValue& argument : parsed.arguments()) {
    if (argument.key() == "image") options.images.push_back(argument.value());
  }
  options.conversation.sampler = sampler_of(parsed);
  options.conversation.max_tokens = parsed["max-tokens"].as<int64_t>();
  options.conversation.system = parsed["system"].as<std::string>();
  options.quiet = parsed.count("quiet") > 0;
  return options;
}

}  // namespace samples
