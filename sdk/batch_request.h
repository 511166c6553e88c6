// SPDX-License-Identifier: Apache-2.0
// One request of a batch: its pictures, its prompt piece by piece, then its answer token by token.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "sdk/generate.h"
#include "sdk/loan.h"
#include "sdk/session.h"
#include "tokenizer/text_stream.h"

namespace minimax {

// A sampler that a batch may have.
struct LentSampler {
  LentSampler(SamplerOptions options, int64_t vocabulary_size, std::span<const int32_t> suppressed)
      : sampler(std::move(options), vocabulary_size, suppressed) {}
  Sampler sampler;
  Loan loan;
};

// minimax_batch_request, checked and copied.
struct BatchWish {
  std::vector<int32_t> tokens;  // fed first
  std::vector<TextPicture> pictures;
  bool is_prompt = false;  // what of the tokens the prefix cache holds is not computed
  std::shared_ptr<LentSampler> sampler;   // nullptr: greedy
  std::optional<GenerateOptions> answer;  // none: feeds only. Its callbacks are not called
  int32_t priority = 0;
  void* user = nullptr;
};

// What a request has come to.
struct BatchCounts {
  uint64_t fed_tokens = 0, tokens_reused = 0, token_count = 0;
  uint64_t image_count = 0, images_reused = 0;
  uint64_t wait_ns = 0, encode_ns = 0, prefill_ns = 0, decode_ns = 0;
  int64_t diverged_at = 0;
  int32_t miss_reason = MINIMAX_MISS_NONE;
};

// minimax_batch_event
struct BatchEvent {
  int32_t kind = MINIMAX_EVENT_NONE;
  uint64_t ticket = 0;
  void* user = nullptr;
  int32_t token = -1;
  std::string text;
  int32_t stop_reason = 0;
  minimax_status status = MINIMAX_OK;
  std::string message;
  int32_t wait_reason = 0;
  BatchCounts counts;
};
// Moved from list to list, so that telling what has happened needs no memory.
using BatchEvents = std::list<BatchEvent>;

// One thread at a time, but cancel() and cancelled(). After an exception the session is whole.
class BatchRequest {
 public:
  enum class Phase { waiting, beginning, encoding, feeding, answering, ended };

  // Checks everything that can be checked before, and takes the session and the sampler: errors as of
  // minimax_batch_submit, with both where they were.
  BatchRequest(Session& session, BatchWish wish, uint64_t ticket, std::weak_ptr<Borrower> borrower);
  ~BatchRequest() { give_back(); }
  BatchRequest(const BatchRequest&) = delete;
  BatchRequest& operator=(const BatchRequest&) = delete;

  uint64_t ticket() const { return ticket_; }
  Phase phase() const { return phase_; }
  bool is_answering() const { return phase_ == Phase::answering; }
  // Whoever waited longer rises.
  int64_t rank() const { return wish_.priority + passed_over_ / steps_to_rise; }
  int64_t passed_over() const { return passed_over_; }
  void pass_over() { ++passed_over_; }

  // Pages that it will still take at most; of these, those that its prompt needs.
  int64_t pages_needed() const;
  int64_t pages_to_feed() const;
  // More than was foreseen, as the answer has no end.
  bool outgrows_promise() const;
  void promise_more(int64_t token_count) { foreseen_end_ += token_count; }

  // Steps of its life. Each tells the events that belong to it, once.
  // MINIMAX_WAIT_...: for one of so many sessions, or for pages beyond so many.
  void wait(int32_t reason, int64_t count, BatchEvents& events) noexcept;
  void start(BatchEvents& events) noexcept;
  void begin();  // takes over what is known of its prompt, and room for the rest
  void encode_next();
  // What the next token is drawn from together with others'; none: draw() does it alone.
  std::optional<LogitsRow> row_to_draw_from() const;
  // The token that the next step feeds, which may have been drawn with others'.
  void draw(const std::optional<DrawnToken>& drawn, BatchEvents& events);
  void reserve_drawn();  // room for it, or the end
  // Its part in the next step: up to so many tokens of its prompt, or the one that was drawn.
  StepEntry take_part(int64_t most_tokens, int64_t chunk_tokens);
  int64_t part_tokens() const { return part_tokens_; }
  void stepped(uint64_t ns);
  void step_failed(minimax_status status) { session_->step_failed(status); }

  // Ends: what comes first counts.
  void finish(int32_t stop_reason) noexcept;
  void fail_with(minimax_status status, const char* message) noexcept;
  void end_cancelled() noexcept;
  // The last event, and everything is its owner's again.
  int32_t give_back(BatchEvents& events) noexcept;

  void cancel() { cancel_.store(true, std::memory_order_relaxed); }  // any thread
  bool cancelled() const {
    return cancel_.load(std::memory_order_relaxed) || session_->cancelled();
  }
  int32_t wait_reason() const { return wait_reason_; }

 private:
  using Clock = std::chrono::steady_clock;
  // A level more for each so many steps that others went first.
  static constexpr int64_t steps_to_rise = 16;

  void check(const Session& session) const;
  void foresee();
  BatchEvent describe(int32_t kind) const;
  bool end(int32_t kind) noexcept;
  int64_t tokens_left() const;
  int64_t tokens_to_branch() const;
  void take_over();
  void fed_all();
  void give_back() noexcept;

  Session* session_;
  const Model& model_;
  BatchWish wish_;
  const uint64_t ticket_;
  std::shared_ptr<LentSampler> sampler_;  // of the answer
  std::optional<TextStream> stream_;      // says the answer
  std::vector<PlacedPicture> pictures_;   // encoded
  std::vector<EmbeddedRows> rows_;        // of these
  std::vector<int64_t> branches_;         // positions at which a snapshot is left, those to come
  const int64_t first_position_;
  int64_t foreseen_end_ = 0;  // position at most, as far as pages are promised

  Phase phase_ = Phase::waiting;
  int64_t passed_over_ = 0;
  int32_t wait_reason_ = 0;
  int64_t part_tokens_ = 0;  // in the step that is computed
  int32_t drawn_ = -1;
  int32_t reason_after_drawn_ = 0;  // MINIMAX_STOP_...
  BatchCounts counts_;
  Clock::time_point submitted_ = Clock::now(), started_ = submitted_, fed_ = submitted_;
  std::atomic<bool> cancel_{false};
  bool is_given_back_ = false;

  // One event each, made beforehand.
  BatchEvents queued_, begun_, ended_;
};

}  // namespace minimax
