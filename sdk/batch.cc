// SPDX-License-Identifier: Apache-2.0
#include "sdk/batch.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "base/error.h"
#include "sdk/guard.h"

namespace minimax {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t most_events = 65536;
// So long may those that need less memory pass one that waits for it.
constexpr int64_t most_steps_passed = 256;
// Pages come back without a word when sessions outside are freed.
constexpr std::chrono::milliseconds memory_poll{5};
constexpr int64_t longest_wait_ms = int64_t{1000} * 60 * 60 * 24 * 365;

}  // namespace

// Runs what may fail for one request only, and lets it fail alone. The guard's sentence is the
// request's, not the calling thread's.
template <typename Body>
void Batch::attempt(BatchRequest& request, const Body& body) noexcept {
  const minimax_status status = guard(body);
  if (status == MINIMAX_OK) return;
  if (status == MINIMAX_CANCELLED && request.cancelled()) {
    request.end_cancelled();
  } else {
    request.fail_with(status, last_error());
  }
  set_last_error("");
}

Batch::Batch(std::shared_ptr<Model> model, const BatchOptions& options)
    : model_(std::move(model)), options_(options) {
  parts_.reserve(static_cast<size_t>(options_.session_limit));
  entries_.reserve(static_cast<size_t>(options_.session_limit));
  drawing_.reserve(static_cast<size_t>(options_.session_limit));
  rows_.reserve(static_cast<size_t>(options_.session_limit));
  drawn_.reserve(static_cast<size_t>(options_.session_limit));
}

uint64_t Batch::submit(Session& session, BatchWish wish) {
  if (session.model() != model_) {
    fail(MINIMAX_WRONG_MODEL, "the session belongs to another engine than the batch");
  }
  const uint64_t ticket = next_ticket_.fetch_add(1);
  Requests one;
  one.emplace_back(session, std::move(wish), ticket, weak_from_this());
  const std::lock_guard lock(mutex_);
  if (options_.stepping == BatchStepping::by_own_thread && !thread_.joinable()) {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      fail(MINIMAX_OUT_OF_MEMORY, "the batch's thread: ", error.what());
    }
  }
  waiting_.splice(waiting_.end(), one);
  ++stats_.submitted_count;
  changed_.notify_all();
  return ticket;
}

void Batch::step(int64_t timeout_ms) {
  const auto wait = std::chrono::milliseconds(std::min(timeout_ms, longest_wait_ms));
  const Clock::time_point deadline =
      Clock::now() + (timeout_ms < 0 ? std::chrono::milliseconds(longest_wait_ms) : wait);
  if (options_.stepping == BatchStepping::by_own_thread) {
    Lock lock(mutex_);
    changed_.wait_until(lock, deadline, [&] { return !events_.empty(); });
    return;
  }
  const std::lock_guard stepping(step_mutex_);
  Lock lock(mutex_);
  while (!step_once(lock) && Clock::now() < deadline) {
    const bool polls = !waiting_.empty();
    changed_.wait_until(lock, polls ? std::min(deadline, Clock::now() + memory_poll) : deadline);
  }
}

// Of the library's own thread.
void Batch::run() noexcept {
  Lock lock(mutex_);
  while (!is_closed_) {
    if (step_once(lock)) continue;
    if (waiting_.empty()) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, memory_poll);
    }
  }
}

// Whether anything happened.
bool Batch::step_once(Lock& lock) noexcept {
  const size_t events_before = events_.size();
  settle();  // whom minimax_session_cancel met while nothing was computed
  const bool has_room = events_before < most_events;
  if (has_room) admit();
  if (events_.size() != events_before) changed_.notify_all();
  if (running_.empty() || !has_room) return events_.size() != events_before;
  for (BatchRequest& request : waiting_) request.pass_over();
  is_stepping_ = true;
  lock.unlock();
  const auto start = Clock::now();
  const bool has_computed = compute();
  const auto ns = std::chrono::nanoseconds(Clock::now() - start).count();
  lock.lock();
  is_stepping_ = false;
  stats_.step_ns += static_cast<uint64_t>(ns);
  stats_.step_count += has_computed ? 1 : 0;
  settle();
  changed_.notify_all();
  return true;
}

bool Batch::goes_first(const BatchRequest& a, const BatchRequest& b) {
  return a.rank() != b.rank() ? a.rank() > b.rank() : a.ticket() < b.ticket();
}

int64_t Batch::promised_pages() const {
  int64_t pages = 0;
  for (const BatchRequest& request : running_) pages += request.pages_needed();
  return pages;
}

// Those that may begin do so, in the order of their ranks.
void Batch::admit() {
  if (waiting_.empty()) return;
  waiting_.sort(goes_first);
  int64_t pages_left = unpromised_pages();
  bool is_barred = false;  // somebody has been passed too often
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto request = next++;
    if (static_cast<int64_t>(running_.size()) >= options_.session_limit) {
      request->wait(MINIMAX_WAIT_SESSIONS, options_.session_limit, events_);
    } else if (!is_barred && has_pages(*request, pages_left)) {
      pages_left -= request->pages_needed();
      running_.splice(running_.end(), waiting_, request);
      request->start(events_);
    } else {
      request->wait(MINIMAX_WAIT_MEMORY, std::max<int64_t>(pages_left, 0), events_);
      is_barred = is_barred || request->passed_over() >= most_steps_passed;
    }
  }
}

int64_t Batch::unpromised_pages() const {
  return model_->engine().kv_pages_left() - promised_pages();
}

// Without a limit there is nobody to wait for when it runs alone. Pages that only the prefix cache holds are
// there for whoever needs them.
bool Batch::has_pages(const BatchRequest& request, int64_t& pages_left) const {
  const bool is_alone = model_->engine().options().kv_bytes_limit == 0 && running_.empty();
  const int64_t needed = is_alone ? request.pages_to_feed() : request.pages_needed();
  if (needed <= pages_left) return true;
  if (!model_->prefixes().free_pages(promised_pages() + needed)) return false;
  pages_left = unpromised_pages();
  return needed <= pages_left;
}

// Everything between two looks at the lists. Whether there was a step.
bool Batch::compute() noexcept {
  begin_prompts();
  encode_one();
  draw_tokens();
  tell();
  plan_step();
  if (entries_.empty()) return false;
  compute_step();
  return true;
}

// Tokens are told before they are computed.
void Batch::tell() {
  if (told_.empty()) return;
  const std::lock_guard lock(mutex_);
  events_.splice(events_.end(), told_);
  changed_.notify_all();
}

void Batch::begin_prompts() {
  for (BatchRequest& request : running_) {
    if (request.phase() == BatchRequest::Phase::beginning)
      attempt(request, [&] { request.begin(); });
  }
}

// One picture a step, so that those that answer go on in between.
void Batch::encode_one() {
  for (BatchRequest& request : running_) {
    if (request.phase() != BatchRequest::Phase::encoding) continue;
    attempt(request, [&] { request.encode_next(); });
    return;
  }
}

void Batch::draw_tokens() {
  draw_together();
  size_t next = 0;  // of drawing_, which is in the order of running_
  for (BatchRequest& request : running_) {
    const bool is_drawn = next < drawing_.size() && drawing_[next] == &request;
    const size_t place = is_drawn ? next++ : 0;
    if (!request.is_answering()) continue;
    attempt(request, [&] {
      request.draw(is_drawn ? std::optional(drawn_[place]) : std::nullopt, told_);
      make_room(request);
    });
  }
}

// With one call for all whose logits decide alone: on a GPU they stay there, a CPU draws on all threads.
void Batch::draw_together() {
  drawing_.clear();
  rows_.clear();
  for (BatchRequest& request : running_) {
    if (!request.is_answering()) continue;
    attempt(request, [&] {
      if (const std::optional<LogitsRow> row = request.row_to_draw_from()) {
        drawing_.push_back(&request);
        rows_.push_back(*row);
      }
    });
  }
  if (rows_.empty()) return;
  drawn_.resize(rows_.size());
  const minimax_status status = guard([&] { model_->engine().sample(rows_, drawn_); });
  if (status == MINIMAX_OK) return;
  for (BatchRequest* request : drawing_) request->fail_with(status, last_error());
  drawing_.clear();
  set_last_error("");
}

// An answer without an end goes on as long as there are pages that nobody was promised.
void Batch::make_room(BatchRequest& request) {
  if (request.outgrows_promise()) {
    if (!model_->prefixes().free_pages(promised_pages() + 1)) {
      request.finish(MINIMAX_STOP_CONTEXT);
      return;
    }
    request.promise_more(kv_page_tokens);
  }
  request.reserve_drawn();
}

// First a token of each answer, then prompts with what is left of the step. There is always something
// left: somebody who feeds is one of session_limit, which is at most step_tokens.
void Batch::plan_step() {
  parts_.clear();
  entries_.clear();
  int64_t budget = options_.step_tokens;
  for (BatchRequest& request : running_) {
    if (request.is_answering()) add_part(request, budget);
  }
  for (BatchRequest& request : running_) {
    if (request.phase() != BatchRequest::Phase::feeding) continue;
    if (budget > 0) {
      add_part(request, budget);
    } else {
      request.pass_over();
    }
  }
}

void Batch::add_part(BatchRequest& request, int64_t& budget) {
  attempt(request, [&] {
    entries_.push_back(request.take_part(budget, model_->engine().options().chunk_tokens));
    parts_.push_back(&request);
    budget -= request.part_tokens();
  });
}

void Batch::compute_step() {
  const auto start = Clock::now();
  const minimax_status status = guard([&] { model_->engine().step(entries_); });
  const auto ns = static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now() - start).count());
  if (status != MINIMAX_OK) {
    for (BatchRequest* request : parts_) {
      request->step_failed(status);
      request->fail_with(status, last_error());
    }
    set_last_error("");
    return;
  }
  uint64_t prefill_tokens = 0, decode_tokens = 0;
  for (BatchRequest* request : parts_) {
    (request->is_answering() ? decode_tokens : prefill_tokens) +=
        static_cast<uint64_t>(request->part_tokens());
    request->stepped(ns);
  }
  const std::lock_guard lock(mutex_);
  stats_.prefill_tokens += prefill_tokens;
  stats_.decode_tokens += decode_tokens;
  stats_.most_sessions = std::max(stats_.most_sessions, static_cast<uint64_t>(parts_.size()));
}

// Lets go of those that have ended, and puts the others in the order of the next step.
void Batch::settle() noexcept {
  for (Requests* requests : {&running_, &waiting_}) {
    for (auto request = requests->begin(); request != requests->end();) {
      if (request->cancelled()) request->end_cancelled();
      const bool has_ended = request->phase() == BatchRequest::Phase::ended;
      request = has_ended ? end(*requests, request) : std::next(request);
    }
  }
  running_.sort(goes_first);
  stats_.answering_count = static_cast<uint64_t>(
      std::count_if(running_.begin(), running_.end(),
                    [](const BatchRequest& request) { return request.is_answering(); }));
  stats_.feeding_count = running_.size() - stats_.answering_count;
  stats_.promised_bytes =
      static_cast<uint64_t>(promised_pages()) * model_->engine().kv_page_bytes();
}

Batch::Requests::iterator Batch::end(Requests& requests, Requests::iterator request) noexcept {
  switch (request->give_back(events_)) {
    case MINIMAX_EVENT_FINISHED:
      ++stats_.finished_count;
      break;
    case MINIMAX_EVENT_FAILED:
      ++stats_.failed_count;
      break;
    default:
      ++stats_.cancelled_count;
  }
  return requests.erase(request);
}

void Batch::next_event(BatchEvent& out) {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) {
    out = {};
    return;
  }
  out = std::move(events_.front());
  events_.pop_front();
  if (events_.size() == most_events - 1) changed_.notify_all();
}

void Batch::cancel(uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  if (!cancel_found(ticket)) {
    fail(MINIMAX_NOT_FOUND, "no ticket ", ticket, " is open: it was never given, or has ended");
  }
}

void Batch::withdraw(uint64_t ticket) noexcept {
  Lock lock(mutex_);
  if (cancel_found(ticket)) changed_.wait(lock, [&] { return !find(ticket).in; });
}

Batch::Place Batch::find(uint64_t ticket) noexcept {
  for (Requests* requests : {&running_, &waiting_}) {
    const auto at =
        std::find_if(requests->begin(), requests->end(),
                     [&](const BatchRequest& request) { return request.ticket() == ticket; });
    if (at != requests->end()) return {requests, at};
  }
  return {nullptr, {}};
}

// Ends it now, or after the step that computes it. Whether it was still open.
bool Batch::cancel_found(uint64_t ticket) noexcept {
  const Place place = find(ticket);
  if (!place.in) return false;
  place.at->cancel();
  if (place.in == &running_ && is_stepping_) return true;
  place.at->end_cancelled();
  end(*place.in, place.at);
  changed_.notify_all();
  return true;
}

BatchStats Batch::stats() const {
  const std::lock_guard lock(mutex_);
  BatchStats stats = stats_;
  stats.waiting_count = waiting_.size();
  stats.waiting_for_memory_count = static_cast<uint64_t>(std::count_if(
      waiting_.begin(), waiting_.end(),
      [](const BatchRequest& request) { return request.wait_reason() == MINIMAX_WAIT_MEMORY; }));
  stats.event_count = events_.size();
  return stats;
}

void Batch::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    for (BatchRequest& request : running_) request.cancel();
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  const std::lock_guard lock(mutex_);
  settle();
  waiting_.clear();
}

}  // namespace minimax
