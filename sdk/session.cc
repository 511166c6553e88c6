// SPDX-License-Identifier: Apache-2.0
#include "sdk/session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace minimax {
namespace {

// Keeps the last row.
class LastRow : public LogitsSink {
 public:
  explicit LastRow(std::span<float> to) : to_(to) {}
  void take(int64_t, std::span<const float> row) override {
    std::copy(row.begin(), row.end(), to_.begin());
  }

 private:
  std::span<float> to_;
};

// Keeps every row in the caller's memory, and the last one in the session's.
class EveryRow final : public LastRow {
 public:
  EveryRow(std::span<float> rows, std::span<float> last) : LastRow(last), rows_(rows) {}
  void take(int64_t index, std::span<const float> row) override {
    LastRow::take(index, row);
    std::copy(row.begin(), row.end(),
              rows_.begin() +
                  static_cast<std::ptrdiff_t>(index) * static_cast<std::ptrdiff_t>(row.size()));
  }

 private:
  std::span<float> rows_;
};

float logprob_of(std::span<const float> logits, int32_t token) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit) - top);
  return static_cast<float>(logits[static_cast<size_t>(token)] - top - std::log(total));
}

// Turns the logits after each token into the probability of the next one.
class Scores final : public LastRow {
 public:
  Scores(std::span<const int32_t> tokens, std::span<float> logprobs, std::span<float> last)
      : LastRow(last), tokens_(tokens), logprobs_(logprobs) {}
  void take(int64_t index, std::span<const float> row) override {
    LastRow::take(index, row);
    const size_t next = static_cast<size_t>(index + 1);
    if (next < tokens_.size()) logprobs_[next] = logprob_of(row, tokens_[next]);
  }

 private:
  std::span<const int32_t> tokens_;
  std::span<float> logprobs_;
};

}  // namespace

Session::Session(std::shared_ptr<Model> model, int64_t rewind_tokens)
    : model_(std::move(model)),
      timeline_(model_->engine().new_timeline(rewind_tokens)),
      logits_(static_cast<size_t>(model_->vocabulary_size())) {
  model_->session_began(timeline_->state_bytes());
}

Session::Session(const SessionMark& mark)
    : model_(mark.model),
      timeline_(model_->engine().new_timeline(*mark.timeline)),
      logits_(static_cast<size_t>(model_->vocabulary_size())),
      pictures_(mark.pictures),
      has_logits_(!mark.logits.empty()) {
  std::copy(mark.logits.begin(), mark.logits.end(), logits_.begin());
  model_->session_began(timeline_->state_bytes());
}

Session::Session(SessionParts parts)
    : model_(std::move(parts.model)),
      timeline_(std::move(parts.timeline)),
      logits_(std::move(parts.logits)),
      pictures_(std::move(parts.pictures)),
      has_logits_(!logits_.empty()) {
  logits_.resize(static_cast<size_t>(model_->vocabulary_size()));
  model_->session_began(timeline_->state_bytes());
}

Session::~Session() {
  loan_.withdraw();
  model_->session_ended(timeline_->state_bytes());
}

bool Session::leaves_whole(minimax_status status) {
  return status == MINIMAX_CANCELLED || status == MINIMAX_CONTEXT_FULL ||
         status == MINIMAX_OUT_OF_MEMORY;
}

void Session::require_whole() const {
  if (is_poisoned_) fail(MINIMAX_POISONED, "an earlier error broke this session: free it");
}

void Session::feed(std::span<const int32_t> tokens, std::span<const PlacedPicture> pictures) {
  begin();
  feed_on(tokens, pictures);
}

void Session::feed_on(std::span<const int32_t> tokens, std::span<const PlacedPicture> pictures) {
  LastRow last(logits_);
  run(tokens, LogitsWanted::last, last, pictures);
}

FeedCounts Session::feed_prompt(const Prompt& prompt, size_t first_token) {
  require_whole();
  const std::span<const int32_t> all = prompt.tokens();
  require(!all.empty(), "the prompt is empty");
  require(first_token < all.size(), "first_token is ", first_token, ", the prompt has ", all.size(),
          " tokens");
  begin();
  FeedCounts counts;
  const std::vector<PlacedPicture> pictures = encode(prompt, first_token, counts);
  const auto computed_ns = [&] { return counts_.prefill_ns + counts_.decode_ns; };
  const uint64_t before = computed_ns();
  const std::span<const int32_t> tokens = all.subspan(first_token);
  feed_on(tokens, pictures);
  counts.token_count = tokens.size();
  counts.prefill_ns = computed_ns() - before;
  return counts;
}

std::shared_ptr<const EncodedPicture> encode_picture(const Model& model,
                                                     const PromptPicture& picture,
                                                     const TileProgress& progress,
                                                     bool* was_cached) {
  auto encoded = model.pictures().encoded(*picture.image, progress, was_cached);
  if (encoded->rows.dim(0) != picture.token_count) {
    fail(MINIMAX_INTERNAL_ERROR, "a picture became ", encoded->rows.dim(0), " rows, ",
         picture.token_count, " were planned");
  }
  return encoded;
}

// The pictures of a prompt from a token on, from the cache or made now.
std::vector<PlacedPicture> Session::encode(const Prompt& prompt, size_t first_token,
                                           FeedCounts& counts) {
  std::vector<PlacedPicture> placed;
  const auto start = std::chrono::steady_clock::now();
  for (const RenderedPrompt::Place& place : prompt.rendered().places) {
    const PromptPicture& picture = prompt.picture(place.picture);
    if (place.first + static_cast<size_t>(picture.token_count) <= first_token) continue;
    bool was_cached = false;
    auto encoded = encode_picture(
        *model_, picture, [&](int64_t, int64_t) { return cancelled(); }, &was_cached);
    placed.push_back({static_cast<int64_t>(place.first) - static_cast<int64_t>(first_token),
                      std::move(encoded)});
    counts.image_count += 1;
    counts.images_reused += was_cached ? 1 : 0;
  }
  if (placed.empty()) return placed;
  counts.encode_ns = static_cast<uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
  return placed;
}

void Session::feed_logits(std::span<const int32_t> tokens, std::span<float> logits) {
  const size_t needed = tokens.size() * logits_.size();
  require(logits.size() >= needed, "logits has room for ", logits.size(), " numbers, ", needed,
          " are needed");
  begin();
  EveryRow every(logits, logits_);
  run(tokens, LogitsWanted::all, every);
}

void Session::score(std::span<const int32_t> tokens, std::span<float> logprobs) {
  require_whole();
  model_->check_tokens(tokens);
  require(timeline_->position() == 0 || has_logits_,
          "the last feed was cancelled: there are no logits to score the first token with");
  std::vector<float> scores(tokens.size());
  if (!tokens.empty()) {
    scores[0] = timeline_->position() == 0 ? std::numeric_limits<float>::quiet_NaN()
                                           : logprob_of(logits_, tokens[0]);
  }
  begin();
  Scores sink(tokens, scores, logits_);
  run(tokens, LogitsWanted::all, sink);
  std::copy(scores.begin(), scores.end(), logprobs.begin());
}

void Session::run(std::span<const int32_t> tokens, LogitsWanted wanted, LogitsSink& sink,
                  std::span<const PlacedPicture> pictures) {
  require_whole();
  require(!tokens.empty(), "token_count is 0, expected 1 or more");
  model_->check_tokens(tokens);
  const auto start = std::chrono::steady_clock::now();
  const int64_t before = timeline_->position();
  std::vector<EmbeddedRows> rows;
  for (const PlacedPicture& placed : pictures) rows.push_back({placed.first, placed.picture->rows});
  expect_pictures(pictures.size());
  try {
    model_->engine().feed({timeline_.get(), tokens, wanted, &sink, 0, rows}, cancel_);
    has_logits_ = true;
  } catch (const Error& error) {
    if (timeline_->position() != before) has_logits_ = false;
    remember(pictures, before);
    is_poisoned_ = !leaves_whole(error.status());
    throw;
  } catch (const std::bad_alloc&) {
    throw;  // only reserve() allocates, before anything is computed
  } catch (...) {
    is_poisoned_ = true;
    throw;
  }
  remember(pictures, before);
  const auto ns = static_cast<uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
  (tokens.size() == 1 ? counts_.decode_ns : counts_.prefill_ns) += ns;
  (tokens.size() == 1 ? counts_.decode_tokens : counts_.prefill_tokens) += tokens.size();
}

void Session::stepped(const SharedStep& step) {
  has_logits_ = step.has_logits;
  const bool is_answer = step.part == SharedStep::Part::answer;
  (is_answer ? counts_.decode_ns : counts_.prefill_ns) += step.ns;
  (is_answer ? counts_.decode_tokens : counts_.prefill_tokens) +=
      static_cast<uint64_t>(step.token_count);
}

void Session::remember(std::span<const PlacedPicture> pictures, int64_t before) {
  const int64_t fed = timeline_->position() - before;
  for (const PlacedPicture& placed : pictures) {
    const int64_t count = std::min(placed.picture->rows.dim(0), fed - placed.first);
    if (count <= 0) continue;
    const int64_t start = before + placed.first;
    const bool goes_on = placed.first < 0 && !pictures_.empty() &&
                         pictures_.back().position == start &&
                         pictures_.back().id == placed.picture->id;
    if (goes_on) {
      pictures_.back().token_count = count;
    } else {
      const int64_t cut = std::max<int64_t>(-placed.first, 0);  // by whoever fed from within it
      pictures_.push_back({start + cut, count - cut, placed.picture->id});
    }
  }
}

std::shared_ptr<const SessionMark> Session::mark() const {
  require_whole();
  auto made = std::make_shared<SessionMark>();
  made->model = model_;
  made->timeline = timeline_->mark();
  made->pictures = pictures_;
  if (has_logits_) made->logits = logits_;
  return made;
}

void Session::require_own(const std::shared_ptr<Model>& model_of_mark) const {
  require_whole();
  if (model_of_mark != model_) {
    fail(MINIMAX_WRONG_MODEL, "the mark belongs to another engine than the session");
  }
}

void Session::return_to(SessionParts parts) {
  require_own(parts.model);
  timeline_->require_like(parts.timeline->shape());
  timeline_ = std::move(parts.timeline);
  pictures_ = std::move(parts.pictures);
  has_logits_ = !parts.logits.empty();
  if (has_logits_) logits_ = std::move(parts.logits);
}

void Session::return_to(const SessionMark& mark) {
  require_own(mark.model);
  std::vector<PictureSpan> pictures(mark.pictures);
  timeline_->return_to(*mark.timeline);
  pictures_ = std::move(pictures);
  has_logits_ = !mark.logits.empty();
  if (has_logits_) std::copy(mark.logits.begin(), mark.logits.end(), logits_.begin());
}

void Session::rewind(int64_t token_count) {
  require_whole();
  const int64_t position = timeline_->position(), floor = rewind_floor();
  require(token_count >= 0 && token_count <= position, "token_count is ", token_count,
          ", the session holds ", position);
  if (position - token_count < floor) {
    fail(MINIMAX_NOT_AVAILABLE, "cannot go back ", token_count, " tokens to ",
         position - token_count, ": what lies before ", floor,
         " is folded into the lightning states (rewind_tokens)");
  }
  if (token_count == 0) return;
  timeline_->rewind(position - token_count);
  has_logits_ = false;
  const int64_t end = timeline_->position();
  while (!pictures_.empty() && pictures_.back().position >= end) pictures_.pop_back();
  if (!pictures_.empty()) {
    PictureSpan& last = pictures_.back();
    last.token_count = std::min(last.token_count, end - last.position);
  }
}

void Session::reset() {
  require_whole();
  timeline_->reset();
  pictures_.clear();
  has_logits_ = false;
}

std::span<const float> Session::logits() const {
  require_whole();
  if (!has_logits_) {
    fail(MINIMAX_NOT_AVAILABLE,
         timeline_->position() == 0
             ? "the session is empty: feed it first"
             : "the last feed was cancelled, or tokens were taken back: there are no logits");
  }
  return logits_;
}

}  // namespace minimax
