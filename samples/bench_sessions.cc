// SPDX-License-Identifier: Apache-2.0
// Many sessions of one engine under the stopwatch.
#include "samples/bench_sessions.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "samples/stopwatch.h"

namespace samples {
namespace {

constexpr int kCancels = 100;

std::vector<int32_t> draw(std::mt19937_64& random, int64_t count, int32_t vocabulary_size) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary_size));
  }
  return tokens;
}

}  // namespace

BenchSessions::BenchSessions(minimax_engine* engine, const BenchTest& test, std::mt19937_64& random)
    : engine_(engine), test_(test), random_(random) {
  minimax_engine_info info;
  minimax_engine_info_init(&info, sizeof info);
  check(minimax_engine_get_info(engine, &info));
  minimax_sampler_options options;
  minimax_sampler_options_init(&options, sizeof options);
  options.temperature = 1;
  for (int64_t i = 0; i < test.n_sessions; ++i) {
    sessions_.push_back(create_session(engine));
    const auto tokens = draw(random, std::max<int64_t>(test.n_depth, 1), info.vocabulary_size);
    check(minimax_session_feed(sessions_.back().get(), tokens.data(), tokens.size()));
    options.seed = random();
    samplers_.push_back(create_sampler(engine, options));
  }
}

void BenchSessions::open_batch(Stepping stepping) {
  minimax_batch_options options;
  minimax_batch_options_init(&options, sizeof options);
  options.own_thread = stepping == Stepping::by_library ? 1 : 0;
  options.session_limit = static_cast<int32_t>(test_.n_sessions);
  minimax_batch* batch = nullptr;
  check(minimax_batch_create(engine_, &options, &batch));
  batch_.reset(batch);
}

uint64_t BenchSessions::submit(size_t index, int64_t token_count) {
  minimax_generate_options generate;
  minimax_generate_options_init(&generate, sizeof generate);
  generate.max_tokens = token_count;
  generate.ignore_stop_token = 1;
  minimax_batch_request request;
  minimax_batch_request_init(&request, sizeof request);
  request.generate = &generate;
  request.sampler = samplers_[index].get();
  uint64_t ticket = 0;
  check(minimax_batch_submit(batch_.get(), sessions_[index].get(), &request, &ticket));
  ++open_count_;
  return ticket;
}

uint64_t BenchSessions::next_end() {
  minimax_batch_event event;
  minimax_batch_event_init(&event, sizeof event);
  while (true) {
    check(minimax_batch_next_event(batch_.get(), &event));
    if (event.kind == MINIMAX_EVENT_NONE) check(minimax_batch_step(batch_.get(), -1));
    if (event.kind == MINIMAX_EVENT_FAILED) throw StatusError(event.status, event.message);
    if (event.kind < MINIMAX_EVENT_FINISHED) continue;
    --open_count_;
    return event.ticket;
  }
}

uint64_t BenchSessions::time_answers() {
  open_batch(Stepping::here);
  for (size_t i = 0; i < sessions_.size(); ++i) submit(i, test_.n_gen);
  const Stopwatch stopwatch;
  while (open_count_ > 0) next_end();
  return stopwatch.ns();
}

uint64_t BenchSessions::time_cancels() {
  open_batch(Stepping::by_library);
  std::vector<uint64_t> tickets;
  for (size_t i = 0; i < sessions_.size(); ++i) tickets.push_back(submit(i, 0));
  uint64_t longest_ns = 0;
  for (int i = 0; i < kCancels; ++i) {
    const size_t index = random_() % sessions_.size();
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % 20000));
    const Stopwatch stopwatch;
    check(minimax_batch_cancel(batch_.get(), tickets[index]));
    while (next_end() != tickets[index]) {
    }
    longest_ns = std::max(longest_ns, stopwatch.ns());
    tickets[index] = submit(index, 0);
  }
  batch_.reset();
  open_count_ = 0;
  return longest_ns;
}

uint64_t BenchSessions::session_bytes() const {
  uint64_t bytes = 0;
  for (const SessionHandle& session : sessions_) {
    minimax_session_stats stats;
    minimax_session_stats_init(&stats, sizeof stats);
    check(minimax_session_get_stats(session.get(), &stats));
    bytes += stats.state_bytes + stats.kv_bytes;
  }
  return bytes;
}

}  // namespace samples
