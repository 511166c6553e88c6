// SPDX-License-Identifier: Apache-2.0
// An engine under the stopwatch: opens it, feeds it random tokens, and says how long that took.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "samples/bench_model.h"
#include "samples/bench_options.h"
#include "samples/handles.h"

namespace samples {

class BenchEngine {
 public:
  // Opens the engine and one session.
  BenchEngine(const Setup& setup, uint64_t seed);

  // What the constructor waited for, in nanoseconds.
  uint64_t load_ns() const { return load_ns_; }
  minimax_engine* engine() const { return engine_.get(); }
  const minimax_engine_info& info() const { return info_; }
  const BenchModel& model() const { return model_; }

  // Nanoseconds of one run of a test but of loading. The session, or sessions of their own, are filled
  // to the depth, and the tokens are drawn, before the clock starts.
  uint64_t run(const BenchTest& test);
  // States, keys and values of the sessions as the last run left them.
  uint64_t session_bytes() const { return session_bytes_; }

  // Logits after each of the tokens, [token_count, V]; the session holds the tokens from then on.
  void feed_logits(const std::vector<int32_t>& tokens, std::vector<float>& out_logits);

 private:
  std::vector<int32_t> draw(int64_t count);
  void feed(const std::vector<int32_t>& tokens, int64_t n_batch);
  uint64_t run_sessions(const BenchTest& test);
  uint64_t run_hit(const BenchTest& test);
  void feed_one_by_one(const std::vector<int32_t>& tokens);
  void stand_at_depth(const BenchTest& test);
  uint64_t run_branch_test(const BenchTest& test);
  uint64_t run_file_test(const BenchTest& test);

  uint64_t load_ns_ = 0;
  EngineHandle engine_;
  minimax_engine_info info_;
  BenchModel model_;
  SessionHandle session_;
  SamplerHandle sampler_;
  std::mt19937_64 random_;
  uint64_t session_bytes_ = 0;
};

}  // namespace samples
