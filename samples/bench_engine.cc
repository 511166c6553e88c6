// SPDX-License-Identifier: Apache-2.0
// An engine under the stopwatch.
#include "samples/bench_engine.h"

#include <algorithm>
#include <stdexcept>

#include "samples/bench_sessions.h"
#include "samples/plain_file.h"
#include "samples/stopwatch.h"

namespace samples {
namespace {

EngineHandle open_setup(const Setup& setup, uint64_t seed) {
  std::vector<const char*> devices;
  for (const std::string& device : setup.devices) devices.push_back(device.c_str());
  minimax_engine_options options;
  minimax_engine_options_init(&options, sizeof options);
  options.devices = devices.data();
  options.device_count = devices.size();
  options.thread_count = setup.thread_count;
  options.compute_type = setup.compute_type;
  options.kv_type = setup.kv_type;
  options.chunk_tokens = setup.chunk_tokens;
  options.weight_source =
      setup.model.is_synthetic ? MINIMAX_WEIGHTS_SYNTHETIC : MINIMAX_WEIGHTS_FROM_FILES;
  options.synthetic_seed = seed;
  return open_engine(setup.model.path, options);
}

EngineHandle open_timed(const Setup& setup, uint64_t seed, uint64_t& out_ns) {
  const Stopwatch stopwatch;
  EngineHandle engine = open_setup(setup, seed);
  out_ns = stopwatch.ns();
  return engine;
}

constexpr int64_t rewound_tokens = 8;

bool is_branch_test(Measure measure) {
  return measure == Measure::fork || measure == Measure::mark ||
         measure == Measure::return_to_mark || measure == Measure::rewind;
}

SamplerHandle create_greedy_sampler(const minimax_engine* engine) {
  minimax_sampler_options options;
  minimax_sampler_options_init(&options, sizeof options);
  return create_sampler(engine, options);
}

}  // namespace

BenchEngine::BenchEngine(const Setup& setup, uint64_t seed)
    : engine_(open_timed(setup, seed, load_ns_)),
      info_(engine_info(engine_.get())),
      model_(describe_model(engine_.get())),
      session_(create_session(engine_.get())),
      sampler_(create_greedy_sampler(engine_.get())),
      random_(seed) {
}

std::vector<int32_t> BenchEngine::draw(int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(random_() % static_cast<uint64_t>(info_.vocabulary_size));
  }
  return tokens;
}

void BenchEngine::feed(const std::vector<int32_t>& tokens, int64_t n_batch) {
  for (size_t at = 0; at < tokens.size(); at += static_cast<size_t>(n_batch)) {
    const size_t count = std::min(tokens.size() - at, static_cast<size_t>(n_batch));
    check(minimax_session_feed(session_.get(), tokens.data() + at, count));
  }
}

void BenchEngine::feed_one_by_one(const std::vector<int32_t>& tokens) {
  for (const int32_t& token : tokens) check(minimax_session_feed(session_.get(), &token, 1));
}

// The session stays as it is from one test that begins so to the next.
void BenchEngine::stand_at_depth(const BenchTest& test) {
  int64_t position = 0;
  check(minimax_session_position(session_.get(), &position));
  if (position == test.n_depth) return;
  check(minimax_session_reset(session_.get()));
  feed(draw(test.n_depth), test.n_batch);
}

uint64_t BenchEngine::run_branch_test(const BenchTest& test) {
  stand_at_depth(test);
  SnapshotHandle before;
  if (test.measure == Measure::return_to_mark) {
    before = mark(session_.get());
    feed_one_by_one(draw(1));  // else there is nothing to return from
  }
  if (test.measure == Measure::rewind) feed_one_by_one(draw(rewound_tokens));
  minimax_session* forked = nullptr;
  minimax_snapshot* marked = nullptr;
  const Stopwatch stopwatch;
  switch (test.measure) {
    case Measure::fork:
      check(minimax_session_fork(session_.get(), &forked));
      break;
    case Measure::mark:
      check(minimax_session_mark(session_.get(), &marked));
      break;
    case Measure::return_to_mark:
      check(minimax_session_return_to(session_.get(), before.get()));
      break;
    default:
      check(minimax_session_rewind(session_.get(), rewound_tokens));
  }
  const uint64_t ns = stopwatch.ns();
  minimax_session_free(forked);
  minimax_snapshot_free(marked);
  return ns;
}

uint64_t BenchEngine::run_file_test(const BenchTest& test) {
  stand_at_depth(test);
  if (test.measure == Measure::write) return time_plain_write(test.path);
  if (test.measure == Measure::save) {
    const Stopwatch stopwatch;
    check(minimax_session_save(session_.get(), test.path.c_str(), nullptr));
    return stopwatch.ns();
  }
  check(minimax_session_save(session_.get(), test.path.c_str(), nullptr));
  if (test.measure == Measure::read) return time_plain_read(test.path);
  const Stopwatch stopwatch;
  minimax_session* restored = nullptr;
  check(minimax_session_load(engine_.get(), test.path.c_str(), nullptr, &restored));
  const uint64_t ns = stopwatch.ns();
  minimax_session_free(restored);
  return ns;
}

uint64_t BenchEngine::run(const BenchTest& test) {
  if (test.n_sessions > 0) return run_sessions(test);
  if (!test.path.empty()) return run_file_test(test);
  if (test.measure == Measure::hit) return run_hit(test);
  if (is_branch_test(test.measure)) return run_branch_test(test);
  check(minimax_session_reset(session_.get()));
  feed(draw(test.n_depth), test.n_batch);
  const std::vector<int32_t> prompt = draw(test.n_prompt);
  const std::vector<int32_t> reply = draw(test.n_gen);

  const Stopwatch stopwatch;
  feed(prompt, test.n_batch);
  feed_one_by_one(reply);
  if (test.measure == Measure::first_token) {
    int32_t token;
    check(minimax_sampler_sample(sampler_.get(), session_.get(), &token));
  }
  const uint64_t ns = stopwatch.ns();
  minimax_session_stats stats;
  minimax_session_stats_init(&stats, sizeof stats);
  check(minimax_session_get_stats(session_.get(), &stats));
  session_bytes_ = stats.state_bytes + stats.kv_bytes;
  return ns;
}

uint64_t BenchEngine::run_sessions(const BenchTest& test) {
  BenchSessions sessions(engine_.get(), test, random_);
  const bool cancels = test.measure == Measure::cancel;
  const uint64_t ns = cancels ? sessions.time_cancels() : sessions.time_answers();
  session_bytes_ = sessions.session_bytes();
  return ns;
}

// Another session has left the depth in the cache.
uint64_t BenchEngine::run_hit(const BenchTest& test) {
  std::vector<int32_t> tokens = draw(test.n_depth);
  const SessionHandle earlier = create_session(engine_.get());
  check(minimax_session_set_tokens(earlier.get(), tokens.data(), tokens.size(), nullptr));
  const std::vector<int32_t> turn = draw(test.n_prompt);
  tokens.insert(tokens.end(), turn.begin(), turn.end());
  check(minimax_session_reset(session_.get()));
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  const Stopwatch stopwatch;
  check(minimax_session_set_tokens(session_.get(), tokens.data(), tokens.size(), &report));
  const uint64_t ns = stopwatch.ns();
  if (report.tokens_reused < static_cast<uint64_t>(test.n_depth)) {
    throw std::runtime_error("the prefix cache has no room for a session at this depth");
  }
  return ns;
}

void BenchEngine::feed_logits(const std::vector<int32_t>& tokens, std::vector<float>& out_logits) {
  out_logits.resize(tokens.size() * static_cast<size_t>(info_.vocabulary_size));
  check(minimax_session_feed_logits(session_.get(), tokens.data(), tokens.size(), out_logits.data(),
                                    out_logits.size()));
}

}  // namespace samples
