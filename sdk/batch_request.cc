// SPDX-License-Identifier: Apache-2.0
#include "sdk/batch_request.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace minimax {
namespace {

uint64_t ns_between(std::chrono::steady_clock::time_point from,
                    std::chrono::steady_clock::time_point to) {
  return static_cast<uint64_t>(std::chrono::nanoseconds(to - from).count());
}

int64_t position_at_home(const Session& session) {
  session.loan().require_home("the session");
  return session.timeline().position();
}

int64_t sum_at_most(int64_t a, int64_t b) {
  return a > std::numeric_limits<int64_t>::max() - b ? std::numeric_limits<int64_t>::max() : a + b;
}

}  // namespace

BatchRequest::BatchRequest(Session& session, BatchWish wish, uint64_t ticket,
                           std::weak_ptr<Borrower> borrower)
    : session_(&session),
      model_(*session.model()),
      wish_(std::move(wish)),
      ticket_(ticket),
      sampler_(wish_.sampler),
      first_position_(position_at_home(session)),
      queued_(1),
      begun_(1),
      ended_(1) {
  check(session);
  if (wish_.answer) {
    if (!sampler_) {
      sampler_ = std::make_shared<LentSampler>(SamplerOptions{}, model_.vocabulary_size(),
                                               model_.suppressed());
    }
    if (model_.has_tokenizer() || !wish_.answer->stop_strings.empty()) {
      stream_.emplace(model_.tokenizer(), wish_.answer->stop_strings);
    }
  }
  foresee();
  session.expect_pictures(wish_.pictures.size());
  pictures_.reserve(wish_.pictures.size());
  rows_.reserve(wish_.pictures.size());
  session.loan().lend("the session", ticket, borrower);
  try {
    if (sampler_) sampler_->loan.lend("the sampler", ticket, borrower);
  } catch (...) {
    session.loan().give_back();
    throw;
  }
  session.begin();
}

void BatchRequest::check(const Session& session) const {
  session.require_whole();
  if (wish_.tokens.empty()) {
    require(wish_.answer.has_value(), "feeds_only is set, and there is nothing to feed");
    session.require_logits();  // refuses an empty session
    return;
  }
  model_.check_tokens(wish_.tokens);
  const auto count = static_cast<int64_t>(wish_.tokens.size());
  model_.engine().check_length(first_position_, count);
  model_.engine().check_pages(Engine::kv_pages_for(first_position_ + count));
}

// An answer without an end is foreseen to fill a page, and goes on as long as there are others.
void BatchRequest::foresee() {
  foreseen_end_ = sum_at_most(first_position_, static_cast<int64_t>(wish_.tokens.size()));
  if (!wish_.answer) return;
  const int64_t answer = wish_.answer->max_tokens;
  foreseen_end_ = sum_at_most(foreseen_end_, answer > 0 ? answer : kv_page_tokens);
  const int64_t limit = model_.engine().options().context_limit;
  if (limit > 0) foreseen_end_ = std::min(foreseen_end_, limit);
}

int64_t BatchRequest::pages_needed() const {
  const Timeline& timeline = session_->timeline();
  const int64_t tokens = std::max<int64_t>(foreseen_end_ - timeline.position(), 0);
  const auto held = static_cast<int64_t>(timeline.pages().size());
  const int64_t most = std::max<int64_t>(model_.engine().kv_pages_at_most() - held, 0);
  return std::min(timeline.pages_needed(tokens), most);
}

int64_t BatchRequest::pages_to_feed() const {
  return session_->timeline().pages_needed(tokens_left());
}

bool BatchRequest::outgrows_promise() const {
  const Timeline& timeline = session_->timeline();
  return timeline.position() + 1 > foreseen_end_ && timeline.pages_needed(1) > 0;
}

BatchEvent BatchRequest::describe(int32_t kind) const {
  BatchEvent event;
  event.kind = kind;
  event.ticket = ticket_;
  event.user = wish_.user;
  event.counts = counts_;
  return event;
}

void BatchRequest::wait(int32_t reason, int64_t count, BatchEvents& events) noexcept {
  wait_reason_ = reason;
  if (queued_.empty()) return;
  BatchEvent& event = queued_.front();
  event = describe(MINIMAX_EVENT_QUEUED);
  event.wait_reason = reason;
  try {
    event.message = reason == MINIMAX_WAIT_SESSIONS
                        ? text("waits for one of ", count, " sessions (session_limit)")
                        : text("waits for ", pages_needed(), " pages of keys and values, ", count,
                               " may be taken now");
  } catch (const std::bad_alloc&) {  // the reason is told
  }
  events.splice(events.end(), queued_);
}

void BatchRequest::start(BatchEvents& events) noexcept {
  started_ = fed_ = Clock::now();
  counts_.wait_ns = ns_between(submitted_, started_);
  wait_reason_ = 0;
  passed_over_ = 0;
  begun_.front() = describe(MINIMAX_EVENT_STARTED);
  events.splice(events.end(), begun_);
  phase_ = wish_.tokens.empty() ? Phase::answering : Phase::beginning;
}

void BatchRequest::begin() {
  if (wish_.is_prompt) {
    take_over();
  } else {
    session_->reserve(tokens_left());
  }
  if (tokens_left() == 0) {
    fed_all();
  } else {
    phase_ = wish_.pictures.empty() ? Phase::feeding : Phase::encoding;
  }
}

// Pictures that are known to the end need not be encoded.
void BatchRequest::take_over() {
  PrefixFound found = session_->look_up(FedText{wish_.tokens, wish_.pictures});
  session_->take_over(found, first_position_ + static_cast<int64_t>(wish_.tokens.size()));
  const int64_t reused = found.reusable - first_position_;
  counts_.image_count = counts_.images_reused =
      std::erase_if(wish_.pictures, [&](const TextPicture& placed) {
        return placed.first + placed.picture.token_count <= reused;
      });
  branches_ = std::move(found.branches);
  counts_.fed_tokens = counts_.tokens_reused = static_cast<uint64_t>(reused);
  counts_.diverged_at = std::max<int64_t>(found.known - first_position_, 0);
  counts_.miss_reason = found.miss_reason;
}

void BatchRequest::encode_next() {
  const TextPicture& next = wish_.pictures[pictures_.size()];
  const auto start = Clock::now();
  bool was_cached = false;
  auto encoded = encode_picture(
      model_, next.picture, [&](int64_t, int64_t) { return cancelled(); }, &was_cached);
  rows_.push_back({next.first, encoded->rows});
  pictures_.push_back({next.first, std::move(encoded)});
  counts_.image_count += 1;
  counts_.images_reused += was_cached ? 1 : 0;
  counts_.encode_ns += ns_between(start, Clock::now());
  if (pictures_.size() < wish_.pictures.size()) return;
  phase_ = Phase::feeding;
}

std::optional<LogitsRow> BatchRequest::row_to_draw_from() const {
  return session_->row_to_draw_from(sampler_->sampler);
}

void BatchRequest::draw(const std::optional<DrawnToken>& drawn, BatchEvents& events) {
  BatchEvents made(1);
  Sampler& sampler = sampler_->sampler;
  drawn_ = drawn ? session_->take_drawn(*drawn, sampler) : session_->draw(sampler);
  const bool is_end = model_.is_stop(drawn_) && !wish_.answer->ignore_stop_token;
  reason_after_drawn_ = is_end ? MINIMAX_STOP_TOKEN : 0;
  BatchEvent& event = made.front();
  event = describe(MINIMAX_EVENT_TOKEN);
  event.token = drawn_;
  if (!is_end && stream_) {
    const TextStream::Piece piece = stream_->push(drawn_);
    event.text = piece.text;
    if (piece.stopped) reason_after_drawn_ = MINIMAX_STOP_STRING;
  }
  events.splice(events.end(), made);
}

void BatchRequest::reserve_drawn() {
  try {
    session_->reserve(1);
  } catch (const Error& error) {
    if (error.status() != MINIMAX_CONTEXT_FULL) throw;
    finish(MINIMAX_STOP_CONTEXT);
  }
}

int64_t BatchRequest::tokens_left() const {
  return static_cast<int64_t>(wish_.tokens.size()) - static_cast<int64_t>(counts_.fed_tokens);
}

int64_t BatchRequest::tokens_to_branch() const {
  if (branches_.empty()) return tokens_left();
  return branches_.front() - session_->timeline().position();
}

// Pieces of a prompt end where those of a feed alone do, or within these at the end of a fold: what is
// summed up together depends little on who shares the step.
StepEntry BatchRequest::take_part(int64_t most_tokens, int64_t chunk_tokens) {
  passed_over_ = 0;
  if (is_answering()) {
    part_tokens_ = 1;
    return {&session_->timeline_to_step(),
            {&drawn_, 1},
            LogitsWanted::last,
            &session_->logits_sink(),
            0};
  }
  const int64_t position = session_->timeline().position();
  const int64_t piece = std::min(tokens_to_branch(), chunk_tokens - position % chunk_tokens);
  part_tokens_ = std::min(piece, most_tokens);
  if (part_tokens_ < piece) {
    const int64_t end = (position + part_tokens_) / lightning_fold_tokens * lightning_fold_tokens;
    if (end > position) part_tokens_ = end - position;
  }
  const auto first = static_cast<size_t>(counts_.fed_tokens);
  const auto tokens = std::span(wish_.tokens).subspan(first, static_cast<size_t>(part_tokens_));
  LogitsSink* const sink = part_tokens_ == tokens_left() ? &session_->logits_sink() : nullptr;
  return {&session_->timeline_to_step(), tokens, LogitsWanted::last, sink,
          static_cast<int64_t>(first),   rows_};
}

void BatchRequest::stepped(uint64_t ns) {
  if (is_answering()) {
    session_->stepped({SharedStep::Part::answer, 1, true, ns});
    counts_.token_count += 1;
    const auto most = static_cast<uint64_t>(wish_.answer->max_tokens);
    if (reason_after_drawn_ != 0) {
      finish(reason_after_drawn_);
    } else if (most > 0 && counts_.token_count >= most) {
      finish(MINIMAX_STOP_MAX_TOKENS);
    }
  } else {
    const bool is_last = part_tokens_ == tokens_left();
    session_->stepped({SharedStep::Part::prompt, part_tokens_, is_last, ns});
    counts_.fed_tokens += static_cast<uint64_t>(part_tokens_);
    if (!branches_.empty() && tokens_to_branch() == 0) {
      branches_.erase(branches_.begin());
      session_->remember(pictures_, first_position_);
      session_->keep_branch(tokens_left());
    }
    if (is_last) fed_all();
  }
  part_tokens_ = 0;
}

void BatchRequest::fed_all() {
  fed_ = Clock::now();
  counts_.prefill_ns = ns_between(started_, fed_) - counts_.encode_ns;
  session_->remember(pictures_, first_position_);
  pictures_.clear();
  rows_.clear();
  if (wish_.is_prompt) session_->keep();
  if (!wish_.answer) {
    finish(0);
  } else {
    phase_ = Phase::answering;
  }
}

bool BatchRequest::end(int32_t kind) noexcept {
  if (phase_ == Phase::ended) return false;
  const auto now = Clock::now();
  if (phase_ == Phase::answering) {
    counts_.decode_ns = ns_between(fed_, now);
  } else if (phase_ == Phase::waiting) {
    counts_.wait_ns = ns_between(submitted_, now);
  } else {
    counts_.prefill_ns = ns_between(started_, now) - counts_.encode_ns;
  }
  phase_ = Phase::ended;
  session_->remember(pictures_, first_position_);
  pictures_.clear();
  rows_.clear();
  BatchEvent& event = ended_.front();
  event = describe(kind);
  try {
    if (stream_) event.text = stream_->flush();
  } catch (const std::bad_alloc&) {  // at most the beginning of a stop string is not told
  }
  return true;
}

void BatchRequest::finish(int32_t stop_reason) noexcept {
  if (!end(MINIMAX_EVENT_FINISHED)) return;
  ended_.front().stop_reason = stop_reason;
  if (counts_.token_count > 0) session_->keep();
}

void BatchRequest::fail_with(minimax_status status, const char* message) noexcept {
  if (!end(MINIMAX_EVENT_FAILED)) return;
  ended_.front().status = status;
  try {
    ended_.front().message = message;
  } catch (const std::bad_alloc&) {  // the status is told
  }
}

void BatchRequest::end_cancelled() noexcept {
  end(MINIMAX_EVENT_CANCELLED);
}

int32_t BatchRequest::give_back(BatchEvents& events) noexcept {
  const int32_t kind = ended_.front().kind;
  events.splice(events.end(), ended_);
  give_back();
  return kind;
}

void BatchRequest::give_back() noexcept {
  if (is_given_back_) return;
  is_given_back_ = true;
  if (sampler_) sampler_->loan.give_back();
  session_->loan().give_back();
}

}  // namespace minimax
