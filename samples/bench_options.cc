// SPDX-License-Identifier: Apache-2.0
// The command line of minimax-bench.
#include "samples/bench_options.h"

// Lists are split here, not there: a comma also stands inside -pg 512,128.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#include <charconv>
#include <cxxopts.hpp>
#include <limits>
#include <string_view>

#include "minimax.h"

namespace samples {
namespace {

using Texts = std::vector<std::string>;
using Numbers = std::vector<int64_t>;

[[noreturn]] void refuse(const std::string& flag, std::string_view text, const char* expected) {
  throw cxxopts::exceptions::exception("--" + flag + " is '" + std::string(text) + "', expected " +
                                       expected);
}

Texts split(std::string_view text, char at) {
  Texts parts;
  for (size_t end; (end = text.find(at)) != text.npos; text.remove_prefix(end + 1)) {
    parts.emplace_back(text.substr(0, end));
  }
  parts.emplace_back(text);
  return parts;
}

// Takes a number of 0 or more off the front of `text`.
bool take_number(std::string_view& text, int64_t& out_number) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out_number);
  if (error != std::errc() || out_number < 0) return false;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return true;
}

// "512", "0-4096+1024" or "8-64*2"
Numbers range(const std::string& flag, const std::string& text) {
  constexpr char kExpected[] = "numbers like 512,1024 or ranges like 0-4096+1024 or 8-64*2";
  std::string_view left = text;
  int64_t first = 0, step = 1;
  if (!take_number(left, first)) refuse(flag, text, kExpected);
  int64_t last = first;
  bool multiplies = false;
  if (left.starts_with('-')) {
    left.remove_prefix(1);
    if (!take_number(left, last)) refuse(flag, text, kExpected);
    if (!left.empty()) {
      multiplies = left.front() == '*';
      if (!multiplies && left.front() != '+') refuse(flag, text, kExpected);
      left.remove_prefix(1);
      if (!take_number(left, step)) refuse(flag, text, kExpected);
    }
  }
  const bool goes_on = multiplies ? step > 1 && first > 0 : step > 0;
  constexpr int64_t kLargest = int64_t{1} << 40;
  if (!left.empty() || !goes_on || last < first || last > kLargest || step > kLargest) {
    refuse(flag, text, kExpected);
  }
  Numbers numbers;
  for (int64_t n = first; n <= last; n = multiplies ? n * step : n + step) numbers.push_back(n);
  return numbers;
}

class Flags {
 public:
  explicit Flags(const cxxopts::ParseResult& parsed) : parsed_(parsed) {}

  bool has(const std::string& flag) const { return parsed_.count(flag) > 0; }

  Texts texts(const std::string& flag) const {
    Texts all;
    for (const std::string& given : parsed_[flag].as<Texts>()) {
      for (std::string& part : split(given, ',')) all.push_back(std::move(part));
    }
    return all;
  }

  Numbers numbers(const std::string& flag) const {
    Numbers all;
    for (const std::string& text : texts(flag)) {
      for (const int64_t number : range(flag, text)) all.push_back(number);
    }
    return all;
  }

  // None when the flag is not there; each 1 or more.
  Numbers counts(const std::string& flag) const {
    if (!has(flag)) return {};
    Numbers all = numbers(flag);
    for (const int64_t number : all) {
      if (number == 0) refuse(flag, "0", "1 or more");
    }
    return all;
  }

  // f32, bf16 or auto
  std::vector<int32_t> types(const std::string& flag) const {
    std::vector<int32_t> all;
    for (const std::string& text : texts(flag)) {
      if (text == "auto") {
        all.push_back(MINIMAX_TYPE_AUTO);
      } else if (text == "f32") {
        all.push_back(MINIMAX_TYPE_F32);
      } else if (text == "bf16") {
        all.push_back(MINIMAX_TYPE_BF16);
      } else {
        refuse(flag, text, "f32, bf16 or auto");
      }
    }
    return all;
  }

 private:
  const cxxopts::ParseResult& parsed_;
};

cxxopts::Options describe() {
  cxxopts::Options options("minimax-bench",
                           "Times a MiniMax-01 model: a prompt in one go (pp), tokens one by one "
                           "(tg), both\n(-pg), each at depths (-d). Lists, ranges and repeats of a "
                           "flag make a matrix.\n");
  const auto list = [](const char* initial) {
    return cxxopts::value<Texts>()->default_value(initial);
  };
  auto add = options.add_options("");
  add("m,model", "folders of models (default: models/demo)", cxxopts::value<Texts>());
  add("synthetic", "config.json of models to fill with random weights", cxxopts::value<Texts>());
  add("p,n-prompt", "tokens fed in one go; 0: not this test", list("512"));
  add("n,n-gen", "tokens fed one by one; 0: not this test", list("128"));
  add("pg", "P,N: both in a row (also -pg)", cxxopts::value<Texts>());
  add("d,n-depth", "tokens the session holds already", list("0"));
  add("ttft", "time to the first token after prompts of so many", cxxopts::value<Texts>());
  add("hit", "time to set a prompt whose last so many tokens are new, the depth before them cached",
      cxxopts::value<Texts>());
  add("sessions", "so many sessions answer -n tokens together", cxxopts::value<Texts>());
  add("cancel", "time to cancel one of so many that answer, worst of 100", cxxopts::value<Texts>());
  add("file",
      "time to save the session at each depth to this file, and to restore it, beside a plain "
      "write and read of as many bytes",
      cxxopts::value<std::string>());
  add("branches",
      "time to fork and to mark the session at each depth, to return to a mark, and to take 8 "
      "tokens back");
  add("load", "time to open the model, first and again");
  add("b,batch-size", "tokens handed to the library at once", list("2048"));
  add("ubatch-size", "tokens it computes at once (also -ub)", list("512"));
  add("t,threads", "CPU threads; 0: one a core", list("0"));
  add("device", "devices; one model over several: cuda:0/cuda:1", list("cpu"));
  add("compute", "type of matrix inputs: f32, bf16, auto", list("auto"));
  add("kv", "type of stored keys and values: f32, bf16, auto", list("auto"));
  add("r,repetitions", "runs of each test", cxxopts::value<int>()->default_value("5"));
  add("no-warmup", "no untimed run before them");
  add("seed", "of the random tokens and weights", cxxopts::value<uint64_t>()->default_value("1"));
  add("o,output", "md, csv, json, jsonl, sql", cxxopts::value<std::string>()->default_value("md"));
  add("bandwidth", "measure how fast memory is read, and put tg against it");
  add("serve", "one JSON request a line on standard input, one answer a line");
  add("logits", "write the logits after each token of --tokens to this file, raw f32",
      cxxopts::value<std::string>());
  add("tokens", "file of token ids, raw i32", cxxopts::value<std::string>());
  add("version", "print the library's version");
  add("h,help", "print this");
  return options;
}

// -pg and -ub are two letters behind one dash, as llama-bench's readers write them.
Texts with_long_names(int argc, char** argv) {
  Texts words(argv, argv + argc);
  for (std::string& word : words) {
    if (word == "-pg") word = "--pg";
    if (word == "-ub") word = "--ubatch-size";
  }
  return words;
}

std::vector<ModelChoice> models_of(const Flags& flags) {
  std::vector<ModelChoice> models;
  if (flags.has("model")) {
    for (std::string& path : flags.texts("model")) models.push_back({std::move(path), false});
  }
  if (flags.has("synthetic")) {
    for (std::string& path : flags.texts("synthetic")) models.push_back({std::move(path), true});
  }
  if (models.empty()) models.push_back({"models/demo", false});
  return models;
}

std::vector<int32_t> thread_counts_of(const Flags& flags) {
  std::vector<int32_t> counts;
  for (const int64_t count : flags.numbers("threads")) {
    if (count > std::numeric_limits<int32_t>::max()) {
      refuse("threads", std::to_string(count), "fewer");
    }
    counts.push_back(static_cast<int32_t>(count));
  }
  return counts;
}

std::vector<Texts> devices_of(const Flags& flags) {
  std::vector<Texts> devices;
  for (const std::string& together : flags.texts("device")) {
    devices.push_back(split(together, '/'));
  }
  return devices;
}

// Each setup once with each of the values.
template <typename Value>
void vary(std::vector<Setup>& setups, Value Setup::*member, const std::vector<Value>& values) {
  std::vector<Setup> more;
  for (const Setup& setup : setups) {
    for (const Value& value : values) {
      more.push_back(setup);
      more.back().*member = value;
    }
  }
  setups = std::move(more);
}

std::vector<Setup> setups_of(const Flags& flags) {
  std::vector<Setup> setups(1);
  vary(setups, &Setup::model, models_of(flags));
  vary(setups, &Setup::devices, devices_of(flags));
  vary(setups, &Setup::compute_type, flags.types("compute"));
  vary(setups, &Setup::kv_type, flags.types("kv"));
  vary(setups, &Setup::chunk_tokens, flags.numbers("ubatch-size"));
  vary(setups, &Setup::thread_count, thread_counts_of(flags));
  return setups;
}

std::vector<std::pair<int64_t, int64_t>> prompts_and_gens(const Flags& flags) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (const int64_t n_prompt : flags.numbers("n-prompt")) pairs.emplace_back(n_prompt, 0);
  for (const int64_t n_gen : flags.numbers("n-gen")) pairs.emplace_back(0, n_gen);
  if (!flags.has("pg")) return pairs;
  const Numbers both = flags.numbers("pg");
  if (both.size() % 2 != 0) refuse("pg", std::to_string(both.back()), "pairs like 512,128");
  for (size_t i = 0; i < both.size(); i += 2) pairs.emplace_back(both[i], both[i + 1]);
  return pairs;
}

std::vector<BenchTest> file_tests(const std::string& path, int64_t n_depth, int64_t n_batch) {
  if (path.empty()) refuse("file", "", "a path");
  std::vector<BenchTest> tests;
  for (const Measure measure : {Measure::save, Measure::write, Measure::restore, Measure::read}) {
    tests.push_back({measure, 0, 0, n_depth, n_batch, 0, path});
  }
  return tests;
}

std::vector<BenchTest> branch_tests(int64_t n_depth, int64_t n_batch) {
  std::vector<BenchTest> tests;
  for (const Measure measure :
       {Measure::fork, Measure::mark, Measure::return_to_mark, Measure::rewind}) {
    tests.push_back({measure, 0, 0, n_depth, n_batch});
  }
  return tests;
}

std::vector<BenchTest> tests_of(const Flags& flags, const std::string& path) {
  std::vector<BenchTest> tests;
  for (const int64_t n_batch : flags.numbers("batch-size")) {
    if (n_batch == 0) refuse("batch-size", "0", "1 or more");
    for (const int64_t n_depth : flags.numbers("n-depth")) {
      for (const auto& [n_prompt, n_gen] : prompts_and_gens(flags)) {
        if (n_prompt + n_gen == 0) continue;
        tests.push_back({Measure::throughput, n_prompt, n_gen, n_depth, n_batch});
      }
      if (flags.has("branches")) {
        for (BenchTest& test : branch_tests(n_depth, n_batch)) tests.push_back(std::move(test));
      }
      if (flags.has("file")) {
        for (BenchTest& test : file_tests(path, n_depth, n_batch)) tests.push_back(std::move(test));
      }
      for (const int64_t n_prompt : flags.counts("ttft")) {
        tests.push_back({Measure::first_token, n_prompt, 0, n_depth, n_batch});
      }
      for (const int64_t n_prompt : flags.counts("hit")) {
        if (n_depth == 0) refuse("hit", "at depth 0", "a -d of 1 or more");
        tests.push_back({Measure::hit, n_prompt, 0, n_depth, n_batch});
      }
      for (const int64_t n_sessions : flags.counts("sessions")) {
        for (const int64_t n_gen : flags.numbers("n-gen")) {
          if (n_gen == 0) refuse("sessions", "with -n 0", "an -n of 1 or more");
          tests.push_back({Measure::throughput, 0, n_gen, n_depth, n_batch, n_sessions});
        }
      }
      for (const int64_t n_sessions : flags.counts("cancel")) {
        tests.push_back({Measure::cancel, 0, 0, n_depth, n_batch, n_sessions});
      }
    }
  }
  return tests;
}

Format format_of(const std::string& name) {
  constexpr std::pair<std::string_view, Format> kFormats[] = {{"md", Format::md},
                                                              {"csv", Format::csv},
                                                              {"json", Format::json},
                                                              {"jsonl", Format::jsonl},
                                                              {"sql", Format::sql}};
  for (const auto& [known, format] : kFormats) {
    if (name == known) return format;
  }
  refuse("output", name, "md, csv, json, jsonl or sql");
}

Texts varied_of(const Flags& flags) {
  const std::pair<const char*, Texts> columns[] = {{"device", {"cpu"}},
                                                   {"compute", {"auto"}},
                                                   {"kv", {"auto"}},
                                                   {"batch-size", {"2048"}},
                                                   {"ubatch-size", {"512"}}};
  Texts varied;
  for (const auto& [flag, usual] : columns) {
    if (flags.texts(flag) != usual) varied.push_back(flag);
  }
  return varied;
}

std::string version_text() {
  return std::string("minimax-bench ") + minimax_version_string() + " (" + minimax_source_id() +
         ")\n";
}

Mode mode_of(const Flags& flags) {
  if (flags.has("logits") != flags.has("tokens")) {
    throw cxxopts::exceptions::exception("--logits and --tokens need each other");
  }
  if (flags.has("logits") && flags.has("serve")) {
    throw cxxopts::exceptions::exception("--serve and --logits exclude each other");
  }
  if (flags.has("logits")) return Mode::logits;
  return flags.has("serve") ? Mode::serve : Mode::bench;
}

const char* beginning_of(const BenchTest& test) {
  switch (test.measure) {
    case Measure::save:
      return "save";
    case Measure::restore:
      return "restore";
    case Measure::write:
      return "write";
    case Measure::read:
      return "read";
    case Measure::fork:
      return "fork";
    case Measure::mark:
      return "mark";
    case Measure::return_to_mark:
      return "return";
    case Measure::rewind:
      return "rewind8";
    case Measure::first_token:
      return "ttft";
    case Measure::hit:
      return "hit";
    case Measure::cancel:
      return "cancel";
    default:
      return test.n_sessions > 0 ? "sessions" : test.n_prompt > 0 ? "pp" : "";
  }
}

}  // namespace

std::string BenchTest::name() const {
  if (measure == Measure::load_cold) return "load cold";
  if (measure == Measure::load_warm) return "load warm";
  std::string name = beginning_of(*this);
  if (n_sessions > 0) {
    name += std::to_string(n_sessions);
    if (n_gen > 0) name += " ";
  }
  if (n_prompt > 0) name += std::to_string(n_prompt);
  if (n_prompt > 0 && n_gen > 0) name += "+";
  if (n_gen > 0) name += "tg" + std::to_string(n_gen);
  if (n_depth > 0) name += " @ d" + std::to_string(n_depth);
  return name;
}

BenchOptions parse_bench_options(int argc, char** argv) {
  cxxopts::Options description = describe();
  const Texts words = with_long_names(argc, argv);
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  const cxxopts::ParseResult parsed =
      description.parse(static_cast<int>(pointers.size()), pointers.data());
  if (!parsed.unmatched().empty()) {
    throw cxxopts::exceptions::exception("'" + parsed.unmatched().front() +
                                         "' belongs to no option");
  }

  const Flags flags(parsed);
  BenchOptions options;
  if (flags.has("help")) options.notice = description.help();
  if (flags.has("version")) options.notice = version_text();
  options.setups = setups_of(flags);
  const std::string path = flags.has("file") ? parsed["file"].as<std::string>() : "";
  options.tests = tests_of(flags, path);
  options.repetitions = parsed["repetitions"].as<int>();
  if (options.repetitions < 1)
    refuse("repetitions", std::to_string(options.repetitions), "1 or more");
  options.seed = parsed["seed"].as<uint64_t>();
  options.warms_up = !flags.has("no-warmup");
  options.times_loading = flags.has("load");
  options.measures_bandwidth = flags.has("bandwidth");
  options.format = format_of(parsed["output"].as<std::string>());
  options.varied = varied_of(flags);
  options.mode = mode_of(flags);
  if (options.mode != Mode::logits) return options;
  options.logits_path = parsed["logits"].as<std::string>();
  options.tokens_path = parsed["tokens"].as<std::string>();
  return options;
}

}  // namespace samples
