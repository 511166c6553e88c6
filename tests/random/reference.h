// SPDX-License-Identifier: Apache-2.0
// What the logits after any tokens are, from sessions that did nothing but feed them.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "tests/random/small_engine.h"

namespace minimax::testing {

// One thread at a time.
class Reference {
 public:
  explicit Reference(const SmallModel& model);

  // [vocabulary_size], valid until the next call. tokens: 1 or more.
  std::span<const float> logits_after(std::span<const int32_t> tokens);
  uint64_t plain_checks() const { return plain_checks_; }

 private:
  // A session that has only ever been fed; it goes on when somebody asks for more of the same.
  struct Runner {
    SessionHandle session;
    Tokens tokens;
    uint64_t last_used = 0;
  };
  struct HashOfTokens {
    size_t operator()(const Tokens& tokens) const;
  };

  Runner& runner_before(std::span<const int32_t> tokens);
  void check_against_plain(const Tokens& tokens, std::span<const float> found);

  EngineHandle engine_, plain_;
  std::vector<Runner> runners_;
  std::unordered_map<Tokens, std::vector<float>, HashOfTokens> known_;
  uint64_t time_ = 0, computed_ = 0, plain_checks_ = 0;
};

}  // namespace minimax::testing
