// SPDX-License-Identifier: Apache-2.0
// Engines with a small model of random weights, made on the fly: both kinds of layers, several heads and
// experts, and a stop token.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/random/handles.h"

namespace minimax::testing {

using Tokens = std::vector<int32_t>;

// A folder of the program's own, removed with everything in it.
class WorkFolder {
 public:
  WorkFolder();
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// The config.json of the model, in a folder of its own. Every token goes to all experts: rounding moves
// their shares a little, and never sends a token elsewhere, so that a bound can hold for all logits.
class SmallModel {
 public:
  static constexpr int32_t vocabulary_size = 96;
  static constexpr int32_t stop_token = 3;
  static constexpr int64_t page_tokens = 256;

  SmallModel();

  // Limits of engines; 0: none.
  struct Limits {
    int64_t pages = 0, context_tokens = 0, chunk_tokens = 0;
  };
  EngineHandle open(const std::string& device, const Limits& limits) const;
  // What a page of keys and values takes there.
  int64_t page_bytes(const std::string& device) const;

 private:
  WorkFolder folder_;
};

}  // namespace minimax::testing
