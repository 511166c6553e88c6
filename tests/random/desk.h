// SPDX-License-Identifier: Apache-2.0
// A batch whose events are sorted by request, for several threads that submit and one that steps.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "tests/random/small_engine.h"

namespace minimax::testing {

// One request, and what the batch has told of it.
struct Ticket {
  minimax_session* session;
  Tokens prompt;
  int64_t max_tokens = 0;
  bool feeds_only = false, ignores_stop = false;
  uint64_t number = 0;
  bool was_cancelled = false;  // by its owner, who alone looks at this

  // Guarded by the desk until has_ended is seen through it.
  bool was_queued = false, has_started = false, has_ended = false;
  Tokens drawn;
  int32_t kind = MINIMAX_EVENT_NONE, stop_reason = 0;
  minimax_status status = MINIMAX_OK;
  std::string message;
  uint64_t fed_count = 0, drawn_count = 0;  // of these, in the session
};

enum class Stepping { by_callers, by_own_thread };

// Any thread; take_events() from one at a time.
class Desk {
 public:
  Desk(minimax_engine* engine, Stepping stepping);

  // The ticket, or nullptr and why.
  std::shared_ptr<Ticket> submit(Ticket wish, minimax_sampler* sampler, int32_t priority,
                                 minimax_status& status);
  void step(int64_t timeout_ms);
  // Sorts what there is. Whether there was anything.
  bool take_events();
  minimax_status cancel(const Ticket& ticket);
  bool has_ended(const Ticket& ticket) const;
  minimax_batch_stats stats() const;

 private:
  void take(Ticket& ticket, const minimax_batch_event& event);

  BatchHandle batch_;
  mutable std::mutex mutex_;
  std::map<const void*, std::shared_ptr<Ticket>> open_;
};

}  // namespace minimax::testing
