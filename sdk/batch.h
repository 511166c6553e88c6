// SPDX-License-Identifier: Apache-2.0
// Requests of many sessions, computed together: who begins, what shares a step, and what is told of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "sdk/batch_request.h"

namespace minimax {

enum class BatchStepping { by_callers, by_own_thread };

// minimax_batch_options with every default filled in.
struct BatchOptions {
  BatchStepping stepping = BatchStepping::by_callers;
  int64_t session_limit = 0;  // 1 to step_tokens
  int64_t step_tokens = 0;    // 1 to chunk_tokens of the engine
};

struct BatchStats {
  uint64_t waiting_count = 0, waiting_for_memory_count = 0, feeding_count = 0, answering_count = 0;
  uint64_t event_count = 0;
  uint64_t submitted_count = 0, finished_count = 0, failed_count = 0, cancelled_count = 0;
  uint64_t step_count = 0, step_ns = 0, prefill_tokens = 0, decode_tokens = 0, most_sessions = 0;
  uint64_t promised_bytes = 0;
};

// Any thread, but close(). Must be owned by a shared_ptr: sessions find their way back through it.
//
// Whoever steps holds step_mutex_, and has the running requests to itself while is_stepping_; everything
// else is guarded by mutex_, which is never held while something is computed.
class Batch final : public Borrower, public std::enable_shared_from_this<Batch> {
 public:
  Batch(std::shared_ptr<Model> model, const BatchOptions& options);
  ~Batch() override { close(); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  const std::shared_ptr<Model>& model() const { return model_; }
  // The ticket. Errors as of minimax_batch_submit.
  uint64_t submit(Session& session, BatchWish wish);
  // As minimax_batch_step.
  void step(int64_t timeout_ms);
  // The oldest event into `out`; without one its kind is MINIMAX_EVENT_NONE.
  void next_event(BatchEvent& out);
  // MINIMAX_NOT_FOUND.
  void cancel(uint64_t ticket);
  void withdraw(uint64_t ticket) noexcept override;
  BatchStats stats() const;
  // Gives everything back without a word; no other call may be running or follow.
  void close() noexcept;

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Requests = std::list<BatchRequest>;

  static bool goes_first(const BatchRequest& a, const BatchRequest& b);
  void run() noexcept;
  bool step_once(Lock& lock) noexcept;
  void admit();
  int64_t unpromised_pages() const;
  bool has_pages(const BatchRequest& request, int64_t& pages_left) const;
  int64_t promised_pages() const;
  bool compute() noexcept;
  void begin_prompts();
  void encode_one();
  void draw_tokens();
  void draw_together();
  void make_room(BatchRequest& request);
  void tell();
  void plan_step();
  void add_part(BatchRequest& request, int64_t& budget);
  void compute_step();
  void settle() noexcept;
  Requests::iterator end(Requests& requests, Requests::iterator request) noexcept;
  struct Place {
    Requests* in;  // nullptr: nowhere
    Requests::iterator at;
  };
  Place find(uint64_t ticket) noexcept;
  bool cancel_found(uint64_t ticket) noexcept;
  template <typename Body>
  static void attempt(BatchRequest& request, const Body& body) noexcept;

  const std::shared_ptr<Model> model_;
  const BatchOptions options_;
  std::atomic<uint64_t> next_ticket_{1};
  std::thread thread_;  // by_own_thread, from the first request on

  std::mutex step_mutex_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Requests waiting_, running_;
  BatchEvents events_;
  BatchStats stats_;
  bool is_stepping_ = false;
  bool is_closed_ = false;

  // Of whoever steps; taken once.
  std::vector<BatchRequest*> parts_;  // whose entries_ are
  std::vector<StepEntry> entries_;
  std::vector<BatchRequest*> drawing_;  // whose rows_ are
  std::vector<LogitsRow> rows_;
  std::vector<DrawnToken> drawn_;
  BatchEvents told_;  // not yet in events_
};

}  // namespace minimax
