// SPDX-License-Identifier: Apache-2.0
// Many sessions of one engine under the stopwatch: how fast they answer together, how soon one is cancelled.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "samples/bench_options.h"
#include "samples/handles.h"

namespace samples {

// Sessions that hold random tokens, each others, and the batch that they answer in.
class BenchSessions {
 public:
  // test: n_sessions of at least one token, n_depth if that is more.
  BenchSessions(minimax_engine* engine, const BenchTest& test, std::mt19937_64& random);

  // Nanoseconds until each has answered test.n_gen tokens, drawing them included.
  uint64_t time_answers();
  // The longest of 100 waits for the end of an answer that was cancelled while all answer.
  uint64_t time_cancels();
  // States, keys and values of all of them.
  uint64_t session_bytes() const;

 private:
  enum class Stepping { here, by_library };
  void open_batch(Stepping stepping);
  uint64_t submit(size_t index, int64_t token_count);
  // Takes events until one is the last of a ticket, whose number it is.
  uint64_t next_end();

  minimax_engine* engine_;
  const BenchTest test_;
  std::mt19937_64& random_;
  std::vector<SessionHandle> sessions_;
  std::vector<SamplerHandle> samplers_;
  BatchHandle batch_;  // gone before the others
  size_t open_count_ = 0;
};

}  // namespace samples
