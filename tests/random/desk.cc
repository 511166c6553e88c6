// SPDX-License-Identifier: Apache-2.0
#include "tests/random/desk.h"

namespace minimax::testing {

Desk::Desk(minimax_engine* engine, Stepping stepping) {
  minimax_batch_options options;
  minimax_batch_options_init(&options, sizeof options);
  options.session_limit = 4;
  options.step_tokens = 40;  // no multiple of a fold, and less than a chunk
  options.own_thread = stepping == Stepping::by_own_thread ? 1 : 0;
  minimax_batch* batch = nullptr;
  expect(minimax_batch_create(engine, &options, &batch), MINIMAX_OK, "minimax_batch_create");
  batch_.reset(batch);
}

std::shared_ptr<Ticket> Desk::submit(Ticket wish, minimax_sampler* sampler, int32_t priority,
                                     minimax_status& status) {
  const auto ticket = std::make_shared<Ticket>(std::move(wish));
  minimax_generate_options generate;
  minimax_generate_options_init(&generate, sizeof generate);
  generate.max_tokens = ticket->max_tokens;
  generate.ignore_stop_token = ticket->ignores_stop ? 1 : 0;
  minimax_batch_request request;
  minimax_batch_request_init(&request, sizeof request);
  request.tokens = ticket->prompt.empty() ? nullptr : ticket->prompt.data();
  request.token_count = ticket->prompt.size();
  request.feeds_only = ticket->feeds_only ? 1 : 0;
  if (!ticket->feeds_only) {
    request.sampler = sampler;
    request.generate = &generate;
  }
  request.priority = priority;
  request.user = ticket.get();
  {
    const std::lock_guard lock(mutex_);
    open_.emplace(ticket.get(), ticket);
  }
  uint64_t number = 0;
  status = minimax_batch_submit(batch_.get(), ticket->session, &request, &number);
  const std::lock_guard lock(mutex_);
  if (status != MINIMAX_OK) {
    open_.erase(ticket.get());
    return nullptr;
  }
  ticket->number = number;
  return ticket;
}

void Desk::step(int64_t timeout_ms) {
  expect(minimax_batch_step(batch_.get(), timeout_ms), MINIMAX_OK, "minimax_batch_step");
}

bool Desk::take_events() {
  bool was_any = false;
  for (;; was_any = true) {
    minimax_batch_event event;
    minimax_batch_event_init(&event, sizeof event);
    expect(minimax_batch_next_event(batch_.get(), &event), MINIMAX_OK, "minimax_batch_next_event");
    if (event.kind == MINIMAX_EVENT_NONE) return was_any;
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(event.user);
    check(found != open_.end(), "an event of kind ", event.kind, " of ticket ", event.ticket,
          ", which has ended or was never submitted");
    take(*found->second, event);
    if (found->second->has_ended) open_.erase(found);
  }
}

void Desk::take(Ticket& ticket, const minimax_batch_event& event) {
  check(ticket.number == 0 || ticket.number == event.ticket, "an event of ticket ", event.ticket,
        " for ticket ", ticket.number);
  switch (event.kind) {
    case MINIMAX_EVENT_QUEUED:
      check(!ticket.was_queued && !ticket.has_started, "queued twice, or after it had begun");
      ticket.was_queued = true;
      return;
    case MINIMAX_EVENT_STARTED:
      check(!ticket.has_started, "begun twice");
      ticket.has_started = true;
      return;
    case MINIMAX_EVENT_TOKEN:
      check(ticket.has_started && !ticket.feeds_only, "a token of who draws none");
      check(event.fed_tokens == ticket.prompt.size(), "a token after ", event.fed_tokens, " of ",
            ticket.prompt.size(), " tokens of the prompt");
      check(event.token_count == ticket.drawn.size(), "token_count ", event.token_count, " after ",
            ticket.drawn.size(), " tokens");
      ticket.drawn.push_back(event.token);
      return;
    default:
      ticket.kind = event.kind;
      ticket.stop_reason = event.stop_reason;
      ticket.status = event.status;
      ticket.message.assign(event.message, event.message_size);
      ticket.fed_count = event.fed_tokens;
      ticket.drawn_count = event.token_count;
      ticket.has_ended = true;
  }
}

minimax_status Desk::cancel(const Ticket& ticket) {
  return minimax_batch_cancel(batch_.get(), ticket.number);
}

bool Desk::has_ended(const Ticket& ticket) const {
  const std::lock_guard lock(mutex_);
  return ticket.has_ended;
}

minimax_batch_stats Desk::stats() const {
  minimax_batch_stats stats;
  minimax_batch_stats_init(&stats, sizeof stats);
  expect(minimax_batch_get_stats(batch_.get(), &stats), MINIMAX_OK, "minimax_batch_get_stats");
  return stats;
}

}  // namespace minimax::testing
