// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 8: many sessions at once.
#include <algorithm>
#include <span>

#include "minimax.h"
#include "sdk/batch.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/structs.h"

namespace minimax {
namespace {

constexpr int64_t most_sessions = 1024;
constexpr int64_t default_sessions = 64;

Batch& batch_of(const minimax_batch* batch) {
  require(batch, "batch is NULL");
  return *batch->batch;
}

bool read_flag(int32_t flag, std::string_view name) {
  require(flag == 0 || flag == 1, name, " is ", flag, ", expected 0 or 1");
  return flag == 1;
}

BatchOptions read_batch_options(const minimax_batch_options* given, int64_t chunk_tokens) {
  const minimax_batch_options read = read_struct(given, "options");
  BatchOptions options;
  options.stepping = read_flag(read.own_thread, "own_thread") ? BatchStepping::by_own_thread
                                                              : BatchStepping::by_callers;
  require(read.step_tokens >= 0 && read.step_tokens <= chunk_tokens, "step_tokens is ",
          read.step_tokens, ", expected 0 to ", chunk_tokens, " (chunk_tokens of the engine)");
  options.step_tokens = read.step_tokens > 0 ? read.step_tokens : chunk_tokens;
  const int64_t most = std::min(most_sessions, options.step_tokens);
  require(read.session_limit >= 0 && read.session_limit <= most, "session_limit is ",
          read.session_limit, ", expected 0 to ", most);
  options.session_limit =
      read.session_limit > 0 ? read.session_limit : std::min(default_sessions, most);
  return options;
}

// The prompt from first_token on.
void read_prompt(const minimax_prompt& prompt, const Model& model, size_t first_token,
                 BatchWish& wish) {
  if (prompt.model.get() != &model) {
    fail(MINIMAX_WRONG_MODEL, "the prompt belongs to another engine than the batch");
  }
  FedText text = text_of(prompt.prompt, first_token, "prompt_first_token");
  wish.tokens.assign(text.tokens.begin(), text.tokens.end());
  wish.pictures = std::move(text.pictures);
  wish.is_prompt = true;
}

// Returned by value: prompts and samplers are looked at during the call only.
BatchWish read_request(const minimax_batch_request* given, const Model& model) {
  require(given, "request is NULL");
  const minimax_batch_request read = read_struct(given, "request");
  BatchWish wish;
  require(!read.prompt || (!read.tokens && read.token_count == 0),
          "both prompt and tokens are set, expected one of them");
  require(read.prompt || read.prompt_first_token == 0, "prompt_first_token is ",
          read.prompt_first_token, " without a prompt");
  require(read.tokens || read.token_count == 0, "tokens is NULL with count ", read.token_count);
  if (read.prompt) read_prompt(*read.prompt, model, read.prompt_first_token, wish);
  if (read.tokens) wish.tokens.assign(read.tokens, read.tokens + read.token_count);
  if (read_flag(read.feeds_only, "feeds_only")) {
    require(!read.sampler && !read.generate, "feeds_only is set, and so is ",
            read.sampler ? "sampler" : "generate");
  } else {
    wish.answer = read_generate_options(read.generate);
    if (wish.answer->on_text || wish.answer->on_token) {
      fail(MINIMAX_UNSUPPORTED, "generate.", wish.answer->on_text ? "on_text" : "on_token",
           " is set: a batch calls nobody, its events tell");
    }
  }
  if (read.sampler) {
    if (read.sampler->model.get() != &model) {
      fail(MINIMAX_WRONG_MODEL, "the sampler belongs to another engine than the batch");
    }
    wish.sampler = read.sampler->lent;
  }
  require(read.priority >= MINIMAX_PRIORITY_LOWEST && read.priority <= MINIMAX_PRIORITY_HIGHEST,
          "priority is ", read.priority, ", expected ", int32_t{MINIMAX_PRIORITY_LOWEST}, " to ",
          int32_t{MINIMAX_PRIORITY_HIGHEST});
  wish.priority = read.priority;
  wish.user = read.user;
  return wish;
}

// Borrows the texts.
minimax_batch_event describe(const BatchEvent& event) {
  minimax_batch_event told;
  init_struct(&told);
  told.kind = event.kind;
  told.ticket = event.ticket;
  told.user = event.user;
  told.token = event.token;
  told.text = event.text.c_str();
  told.text_size = event.text.size();
  told.stop_reason = event.stop_reason;
  told.status = event.status;
  told.message = event.message.c_str();
  told.message_size = event.message.size();
  told.wait_reason = event.wait_reason;
  told.fed_tokens = event.counts.fed_tokens;
  told.tokens_reused = event.counts.tokens_reused;
  told.token_count = event.counts.token_count;
  told.image_count = event.counts.image_count;
  told.images_reused = event.counts.images_reused;
  told.wait_ns = event.counts.wait_ns;
  told.encode_ns = event.counts.encode_ns;
  told.prefill_ns = event.counts.prefill_ns;
  told.decode_ns = event.counts.decode_ns;
  told.diverged_at = event.counts.diverged_at;
  told.miss_reason = event.counts.miss_reason;
  return told;
}

minimax_batch_stats describe(const BatchStats& stats) {
  minimax_batch_stats told;
  init_struct(&told);
  told.waiting_count = stats.waiting_count;
  told.waiting_for_memory_count = stats.waiting_for_memory_count;
  told.feeding_count = stats.feeding_count;
  told.answering_count = stats.answering_count;
  told.event_count = stats.event_count;
  told.submitted_count = stats.submitted_count;
  told.finished_count = stats.finished_count;
  told.failed_count = stats.failed_count;
  told.cancelled_count = stats.cancelled_count;
  told.step_count = stats.step_count;
  told.step_ns = stats.step_ns;
  told.prefill_tokens = stats.prefill_tokens;
  told.decode_tokens = stats.decode_tokens;
  told.most_sessions = stats.most_sessions;
  told.promised_bytes = stats.promised_bytes;
  return told;
}

}  // namespace
}  // namespace minimax

using minimax::batch_of;
using minimax::guard;
using minimax::require;

size_t minimax_batch_options_init(minimax_batch_options* options, size_t struct_size) {
  return minimax::init_struct(options, struct_size);
}
size_t minimax_batch_request_init(minimax_batch_request* request, size_t struct_size) {
  return minimax::init_struct(request, struct_size);
}
size_t minimax_batch_event_init(minimax_batch_event* event, size_t struct_size) {
  return minimax::init_struct(event, struct_size);
}
size_t minimax_batch_stats_init(minimax_batch_stats* stats, size_t struct_size) {
  return minimax::init_struct(stats, struct_size);
}

minimax_status minimax_batch_create(minimax_engine* engine, const minimax_batch_options* options,
                                    minimax_batch** out_batch) {
  return guard([&] {
    const minimax::Model& model = minimax::model_of(engine);
    require(out_batch, "out_batch is NULL");
    const minimax::BatchOptions read =
        minimax::read_batch_options(options, model.engine().options().chunk_tokens);
    *out_batch = new minimax_batch{std::make_shared<minimax::Batch>(engine->model, read), {}};
  });
}

void minimax_batch_free(minimax_batch* batch) {
  if (!batch) return;
  batch->batch->close();  // while sessions can still find it
  delete batch;
}

minimax_status minimax_batch_submit(minimax_batch* batch, minimax_session* session,
                                    const minimax_batch_request* request, uint64_t* out_ticket) {
  return guard([&] {
    minimax::Batch& taking = batch_of(batch);
    require(session, "session is NULL");
    require(out_ticket, "out_ticket is NULL");
    *out_ticket = taking.submit(*session, minimax::read_request(request, *taking.model()));
  });
}

minimax_status minimax_batch_step(minimax_batch* batch, int64_t timeout_ms) {
  return guard([&] {
    minimax::Batch& stepping = batch_of(batch);
    require(timeout_ms >= -1, "timeout_ms is ", timeout_ms, ", expected -1 or more");
    stepping.step(timeout_ms);
  });
}

minimax_status minimax_batch_next_event(minimax_batch* batch, minimax_batch_event* out_event) {
  return guard([&] {
    minimax::Batch& telling = batch_of(batch);
    require(out_event, "out_event is NULL");
    minimax::check_struct_size(out_event, "out_event");
    telling.next_event(batch->event);
    minimax::write_struct(minimax::describe(batch->event), out_event, "out_event");
  });
}

minimax_status minimax_batch_cancel(minimax_batch* batch, uint64_t ticket) {
  return guard([&] { batch_of(batch).cancel(ticket); });
}

minimax_status minimax_batch_get_stats(const minimax_batch* batch, minimax_batch_stats* out_stats) {
  return guard([&] {
    const minimax::Batch& asked = batch_of(batch);
    require(out_stats, "out_stats is NULL");
    minimax::write_struct(minimax::describe(asked.stats()), out_stats, "out_stats");
  });
}
