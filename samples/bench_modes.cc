// SPDX-License-Identifier: Apache-2.0
// minimax-bench for programs.
#include "samples/bench_modes.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "samples/bench_engine.h"

namespace samples {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kPieceTokens = 512;  // a piece of logits must fit in memory beside the model

const Setup& only_setup(const BenchOptions& options) {
  if (options.setups.size() == 1) return options.setups.front();
  throw std::invalid_argument("this mode takes one model and one value of each flag");
}

int64_t count_of(const Json& request, const char* key) {
  const int64_t count = request.value(key, int64_t{0});
  if (count < 0) throw std::invalid_argument(std::string(key) + " is below 0");
  return count;
}

Json answer(BenchEngine& engine, const std::string& line, int64_t n_batch) {
  const Json request = Json::parse(line);
  BenchTest test;
  test.n_prompt = count_of(request, "n_prompt");
  test.n_gen = count_of(request, "n_gen");
  test.n_depth = count_of(request, "n_depth");
  test.n_batch = n_batch;
  const uint64_t ns = engine.run(test);
  return {
      {"n_prompt", test.n_prompt}, {"n_gen", test.n_gen}, {"n_depth", test.n_depth}, {"ns", ns}};
}

std::vector<int32_t> read_tokens(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  const auto size_bytes = static_cast<size_t>(file.tellg());
  if (size_bytes % sizeof(int32_t) != 0) throw std::runtime_error(path + ": is no row of i32");
  std::vector<int32_t> tokens(size_bytes / sizeof(int32_t));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(tokens.data()), static_cast<std::streamsize>(size_bytes));
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return tokens;
}

void print_line(const Json& json) {
  printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  fflush(stdout);
}

}  // namespace

void serve_runs(const BenchOptions& options) {
  BenchEngine engine(only_setup(options), options.seed);
  const int64_t n_batch = options.tests.empty() ? 2048 : options.tests.front().n_batch;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      print_line(answer(engine, line, n_batch));
    } catch (const std::exception& error) {
      print_line({{"error", error.what()}});
    }
  }
}

void write_logits(const BenchOptions& options) {
  const std::vector<int32_t> tokens = read_tokens(options.tokens_path);
  BenchEngine engine(only_setup(options), options.seed);
  std::ofstream file(options.logits_path, std::ios::binary);
  std::vector<float> logits;  // [piece, V]
  for (size_t at = 0; at < tokens.size(); at += kPieceTokens) {
    const size_t end = std::min(at + kPieceTokens, tokens.size());
    engine.feed_logits({tokens.begin() + static_cast<std::ptrdiff_t>(at),
                        tokens.begin() + static_cast<std::ptrdiff_t>(end)},
                       logits);
    file.write(reinterpret_cast<const char*>(logits.data()),
               static_cast<std::streamsize>(logits.size() * sizeof(float)));
  }
  file.close();
  if (!file) throw std::runtime_error(options.logits_path + ": cannot be written");
  print_line({{"count", tokens.size()}, {"n_vocab", engine.info().vocabulary_size}});
}

}  // namespace samples
