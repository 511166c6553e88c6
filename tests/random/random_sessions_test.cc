// SPDX-License-Identifier: Apache-2.0
// Random operations on sessions, marks, files and a batch, held against what the same tokens give in a
// session that did nothing else; tests/random/README.md tells how to run it.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <thread>

#include "tests/random/actor.h"

namespace minimax::testing {
namespace {

constexpr const char* usage =
    "usage: random_sessions_test [--operations=20000] [--seed=1] [--sessions=8] [--threads=1]\n"
    "                            [--device=cpu] [--own-thread]\n";

int64_t read_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    throw std::invalid_argument(std::string(text) + " is no number");
  }
  return number;
}

RunOptions read_options(int count, char** arguments) {
  RunOptions options;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    const auto value_of = [&](std::string_view name) -> std::string_view {
      if (!argument.starts_with(name)) return {};
      return argument.substr(name.size());
    };
    if (const auto value = value_of("--operations="); !value.empty()) {
      options.operation_count = read_number(value);
    } else if (const auto seed = value_of("--seed="); !seed.empty()) {
      options.seed = static_cast<uint64_t>(read_number(seed));
    } else if (const auto sessions = value_of("--sessions="); !sessions.empty()) {
      options.session_count = read_number(sessions);
    } else if (const auto threads = value_of("--threads="); !threads.empty()) {
      options.thread_count = read_number(threads);
    } else if (const auto device = value_of("--device="); !device.empty()) {
      options.device = device;
    } else if (argument == "--own-thread") {
      options.stepping = Stepping::by_own_thread;
    } else {
      throw std::invalid_argument(std::string(argument) + " is unknown");
    }
  }
  if (options.thread_count < 1 || options.session_count < 2 * options.thread_count) {
    throw std::invalid_argument("expected at least one thread, and two sessions for each");
  }
  return options;
}

// What a thread has found, with its last operations.
class Findings {
 public:
  void add(const std::exception& error, const Story& story) {
    const std::lock_guard lock(mutex_);
    if (is_any_) return;  // the others stop because of it
    is_any_ = true;
    std::cout << "the last operations:\n";
    story.print(std::cout);
    std::cout << "FOUND: " << error.what() << std::endl;
  }
  bool is_any() const { return is_any_; }

 private:
  std::mutex mutex_;
  bool is_any_ = false;
};

void run_actor(Actor& actor, Stage& stage, Findings& findings) {
  try {
    const int64_t count = stage.options.operation_count / stage.options.thread_count;
    for (int64_t i = 0; i < count && !stage.is_over; ++i) actor.act(i);
    if (!stage.is_over) actor.finish();
  } catch (const std::exception& error) {
    findings.add(error, actor.story());
    stage.is_over = true;
  }
}

// Steps, where nobody else does, and sorts events until all actors have gone.
void run_batch(Stage& stage, Findings& findings, const std::atomic<bool>& is_done) {
  try {
    while (!is_done && !stage.is_over) {
      stage.desk.step(2);
      stage.desk.take_events();
    }
  } catch (const std::exception& error) {
    findings.add(error, Story());
    stage.is_over = true;
  }
}

void run_actors(std::vector<std::unique_ptr<Actor>>& actors, Stage& stage, Findings& findings) {
  if (stage.is_alone()) return run_actor(*actors[0], stage, findings);
  std::atomic<bool> is_done{false};
  std::thread stepper([&] { run_batch(stage, findings, is_done); });
  std::vector<std::thread> threads;
  for (const auto& actor : actors) {
    threads.emplace_back([&, acting = actor.get()] { run_actor(*acting, stage, findings); });
  }
  for (std::thread& thread : threads) thread.join();
  is_done = true;
  stepper.join();
}

void check_nothing_is_left(minimax_engine* engine) {
  expect(minimax_engine_clear_prefix_cache(engine), MINIMAX_OK,
         "minimax_engine_clear_prefix_cache");
  minimax_engine_memory memory;
  minimax_engine_memory_init(&memory, sizeof memory);
  expect(minimax_engine_get_memory(engine, &memory), MINIMAX_OK, "minimax_engine_get_memory");
  check(memory.session_count == 0 && memory.session_bytes == 0 && memory.kv_bytes == 0,
        "left behind: ", memory.session_count, " sessions of ", memory.session_bytes,
        " bytes, and ", memory.kv_bytes, " bytes of keys and values");
}

void print(const Tally& tally, const minimax_batch_stats& stats) {
  for (const auto& [name, count] : tally.counts) {
    std::printf("%s %lld  ", name.c_str(), static_cast<long long>(count));
  }
  std::printf(
      "\n%lld rows of logits compared, the worst is off by %.1e; %llu steps of up to %llu "
      "sessions\n",
      static_cast<long long>(tally.checked_logits), tally.worst,
      static_cast<unsigned long long>(stats.step_count),
      static_cast<unsigned long long>(stats.most_sessions));
}

bool run(const RunOptions& options) {
  const SmallModel model;
  Stage stage(options, model);
  Findings findings;
  Tally tally;
  std::vector<std::unique_ptr<Actor>> actors;
  for (int64_t i = 0; i < options.thread_count; ++i) {
    actors.push_back(std::make_unique<Actor>(stage, i));
  }
  run_actors(actors, stage, findings);
  for (const auto& actor : actors) tally.add(actor->tally());
  actors.clear();
  stage.marks.clear();
  print(tally, stage.desk.stats());
  if (!findings.is_any()) check_nothing_is_left(stage.engine.get());
  return !findings.is_any();
}

}  // namespace
}  // namespace minimax::testing

int main(int count, char** arguments) {
  using namespace minimax::testing;
  RunOptions options;
  try {
    options = read_options(count, arguments);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n' << usage;
    return 2;
  }
  std::printf("seed %llu, %lld operations, %lld threads, %s\n",
              static_cast<unsigned long long>(options.seed),
              static_cast<long long>(options.operation_count),
              static_cast<long long>(options.thread_count), options.device.c_str());
  std::fflush(stdout);
  try {
    if (run(options)) return 0;
  } catch (const std::exception& error) {
    std::cout << "FOUND: " << error.what() << std::endl;
  }
  std::cout << "again with --seed=" << options.seed << " --operations=" << options.operation_count
            << " --sessions=" << options.session_count << " --threads=" << options.thread_count
            << " --device=" << options.device
            << (options.stepping == Stepping::by_own_thread ? " --own-thread" : "") << std::endl;
  return 1;
}
