// SPDX-License-Identifier: Apache-2.0
// The command line of minimax-bench: lists and repeats of a flag make a matrix.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace samples {

struct ModelChoice {
  std::string path;
  bool is_synthetic = false;
  bool operator==(const ModelChoice&) const = default;
};

// What an engine is opened with.
struct Setup {
  ModelChoice model;
  std::vector<std::string> devices;
  int32_t compute_type = 0, kv_type = 0;  // MINIMAX_TYPE_...
  int32_t thread_count = 0;               // 0: one a core
  int64_t chunk_tokens = 0;               // -ub
};

// hit: a prompt of the depth, which the prefix cache holds, and n_prompt tokens more is set. save and restore:
// of a session at the depth; write and read: of as many bytes, plainly. fork and the three after it: one call
// each.
enum class Measure {
  throughput,
  load_cold,
  load_warm,
  first_token,
  cancel,
  hit,
  save,
  restore,
  write,
  read,
  fork,
  mark,
  return_to_mark,
  rewind
};

struct BenchTest {
  Measure measure = Measure::throughput;
  int64_t n_prompt = 0, n_gen = 0, n_depth = 0;
  int64_t n_batch = 0;     // tokens handed to one feed
  int64_t n_sessions = 0;  // that answer together, n_gen tokens each; 0: one, without a batch
  std::string path = {};   // of the session's file

  std::string name() const;  // "pp512", "tg128 @ d4096", "sessions16 tg128"
};

enum class Format { md, csv, json, jsonl, sql };
enum class Mode { bench, serve, logits };

struct BenchOptions {
  std::vector<Setup> setups;
  std::vector<BenchTest> tests;  // of each setup
  int repetitions = 5;
  uint64_t seed = 1;
  bool warms_up = true;
  bool times_loading = false;
  bool measures_bandwidth = false;
  Format format = Format::md;
  Mode mode = Mode::bench;
  std::string logits_path, tokens_path;
  std::vector<std::string> varied;    // columns that differ from row to row, or from the default
  std::optional<std::string> notice;  // print this and leave: --help, --version
};

// Throws cxxopts::exceptions::exception for what it does not understand.
BenchOptions parse_bench_options(int argc, char** argv);

}  // namespace samples
