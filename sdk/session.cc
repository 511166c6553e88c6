// SPDX-License-Identifier: Apache-2.0
#include "sdk/session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace minimax {
namespace {

// Keeps every row in the caller's memory, and the last one in the session's.
class EveryRow final : public LogitsSink {
 public:
  EveryRow(std::span<float> rows, SessionLogits& last) : rows_(rows), last_(last) {}
  void take(int64_t index, std::span<const float> row) override {
    last_.take(index, row);
    std::copy(row.begin(), row.end(),
              rows_.begin() +
                  static_cast<std::ptrdiff_t>(index) * static_cast<std::ptrdiff_t>(row.size()));
  }

 private:
  std::span<float> rows_;
  SessionLogits& last_;
};

// Turns the logits after each token into the probability of the next one.
class Scores final : public LogitsSink {
 public:
  Scores(std::span<const int32_t> tokens, std::span<float> logprobs, SessionLogits& last)
      : tokens_(tokens), logprobs_(logprobs), last_(last) {}
  void take(int64_t index, std::span<const float> row) override {
    last_.take(index, row);
    const size_t next = static_cast<size_t>(index + 1);
    if (next < tokens_.size()) logprobs_[next] = logprob_of(row, tokens_[next]);
  }

 private:
  std::span<const int32_t> tokens_;
  std::span<float> logprobs_;
  SessionLogits& last_;
};

}  // namespace

Session::Session(std::shared_ptr<Model> model, int64_t rewind_tokens)
    : model_(std::move(model)),
      timeline_(model_->engine().new_timeline(rewind_tokens)),
      logits_(model_->engine()) {
  model_->session_began(timeline_->state_bytes());
}

Session::Session(const SessionMark& mark)
    : model_(mark.model),
      timeline_(model_->engine().new_timeline(*mark.timeline)),
      logits_(model_->engine(), mark.logits),
      pictures_(mark.pictures) {
  model_->session_began(timeline_->state_bytes());
}

Session::Session(SessionParts parts)
    : model_(std::move(parts.model)),
      timeline_(std::move(parts.timeline)),
      logits_(model_->engine(), std::move(parts.logits)),
      pictures_(std::move(parts.pictures)) {
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
  run(tokens, LogitsWanted::last, &logits_, pictures);
}

PrefixKey key_behind(PrefixKey key, const FedText& text) {
  const auto end = static_cast<int64_t>(text.tokens.size());
  std::vector<PictureSpan> pictures;
  for (const TextPicture& placed : text.pictures) {
    const int64_t first = std::max<int64_t>(placed.first, 0), cut = first - placed.first;
    const int64_t count = std::min(placed.picture.token_count - cut, end - first);
    pictures.push_back({first, count, placed.picture.image->id(), cut});
  }
  const PrefixKey more = prefix_key(text.tokens, pictures);
  key.insert(key.end(), more.begin(), more.end());
  return key;
}

FedText text_of(const Prompt& prompt, size_t first_token, std::string_view name_of_first_token) {
  const RenderedPrompt& rendered = prompt.rendered();
  require(!rendered.tokens.empty(), "the prompt is empty");
  require(first_token < rendered.tokens.size(), name_of_first_token, " is ", first_token,
          ", the prompt has ", rendered.tokens.size(), " tokens");
  FedText text{std::span(rendered.tokens).subspan(first_token), {}};
  for (const RenderedPrompt::Place& place : rendered.places) {
    const PromptPicture& picture = prompt.picture(place.picture);
    if (place.first + static_cast<size_t>(picture.token_count) <= first_token) continue;
    text.pictures.push_back(
        {static_cast<int64_t>(place.first) - static_cast<int64_t>(first_token), picture});
  }
  return text;
}

void Session::check_text(const FedText& text) const {
  require_whole();
  require(!text.tokens.empty(), "token_count is 0, expected 1 or more");
  model_->check_tokens(text.tokens);
}

FeedCounts Session::feed_text(const FedText& text) {
  check_text(text);
  begin();
  return carry_out(look_up(text), text, timeline_->position());
}

FeedCounts Session::set_text(const FedText& text) {
  check_text(text);
  const auto count = static_cast<int64_t>(text.tokens.size());
  model_->engine().check_length(0, count);
  model_->engine().check_pages(Engine::kv_pages_for(count));
  begin();
  const PrefixKey wanted = key_behind({}, text);
  return carry_out(look_up(wanted, standing_in(wanted)), text, 0);
}

PrefixFound Session::look_up(const FedText& text) const {
  const int64_t position = timeline_->position();
  return look_up(key_behind(key(), text), {position, position});
}

// A session that has just the text stays where it is; for a shorter one it goes back before the last token,
// whose logits are gone.
PrefixStanding Session::standing_in(const PrefixKey& wanted) const {
  const PrefixKey own = key();
  const auto differs = std::mismatch(own.begin(), own.end(), wanted.begin(), wanted.end());
  PrefixStanding standing;
  standing.common = differs.first - own.begin();
  if (differs.first != own.end()) standing.next = *differs.first;
  const auto end = static_cast<int64_t>(wanted.size());
  const bool is_there = standing.common == end && !standing.next && has_logits();
  const int64_t reachable = is_there ? end : std::min(standing.common, end - 1);
  standing.reachable = reachable >= rewind_floor() ? reachable : 0;
  return standing;
}

PrefixFound Session::look_up(const PrefixKey& wanted, const PrefixStanding& standing) const {
  if (cache_policy_ == CachePolicy::off) return PrefixCache::without_cache(wanted, standing);
  PrefixFound found = model_->prefixes().find(wanted, timeline_->shape().rewind_tokens, standing);
  if (cache_policy_ == CachePolicy::use_only) found.branches.clear();
  return found;
}

void Session::take_over(const PrefixFound& found, int64_t end) {
  const Engine& engine = model_->engine();
  const int64_t rest = end - found.reusable;
  if (found.snapshot) {
    auto timeline = model_->engine().new_timeline(*found.snapshot->timeline);
    if (found.reusable < timeline->position()) timeline->rewind(found.reusable);
    if (rest > 0) engine.reserve(*timeline, rest);
    std::vector<PictureSpan> pictures(found.snapshot->pictures);
    timeline_ = std::move(timeline);
    pictures_ = std::move(pictures);
    const std::vector<float>& logits = found.snapshot->logits;
    logits_.clear();
    if (found.reusable == end) logits_.set(logits);
    cut_pictures();
    return;
  }
  if (found.reusable < rewind_floor()) {
    reset();
  } else if (found.reusable < timeline_->position()) {
    rewind(timeline_->position() - found.reusable);
  }
  if (rest > 0) engine.reserve(*timeline_, rest);
}

// The text from found.reusable on, of what begins at `base`.
FeedCounts Session::carry_out(const PrefixFound& found, const FedText& text, int64_t base) {
  FeedCounts counts;
  const int64_t reused = found.reusable - base;
  const std::vector<PlacedPicture> pictures = encode(text, reused, counts);
  const auto start = std::chrono::steady_clock::now();
  take_over(found, base + static_cast<int64_t>(text.tokens.size()));
  counts.restore_ns = static_cast<uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
  const auto computed_ns = [&] { return counts_.prefill_ns + counts_.decode_ns; };
  const uint64_t before = computed_ns();
  feed_pieces(found, text.tokens.subspan(static_cast<size_t>(reused)), pictures);
  keep();
  counts.token_count = text.tokens.size();
  counts.tokens_reused = static_cast<uint64_t>(reused);
  counts.prefill_ns = computed_ns() - before;
  counts.diverged_at = std::max<int64_t>(found.known - base, 0);
  counts.miss_reason = found.miss_reason;
  return counts;
}

// What is left of a text, in pieces that end where snapshots are taken.
void Session::feed_pieces(const PrefixFound& found, std::span<const int32_t> tokens,
                          std::span<const PlacedPicture> pictures) {
  const auto end = static_cast<int64_t>(tokens.size());
  int64_t done = 0;
  const auto feed_up_to = [&](int64_t place, LogitsSink* sink) {
    std::vector<PlacedPicture> shifted(pictures.begin(), pictures.end());
    for (PlacedPicture& picture : shifted) picture.first -= done;
    run(tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(place - done)),
        LogitsWanted::last, sink, shifted);
    done = place;
  };
  for (const int64_t branch : found.branches) {
    feed_up_to(branch - found.reusable, nullptr);
    keep_branch(end - done);
  }
  if (done < end) feed_up_to(end, &logits_);
}

std::shared_ptr<const PrefixSnapshot> Session::snapshot() const {
  auto made = std::make_shared<PrefixSnapshot>();
  made->timeline = timeline_->mark();
  made->pictures = pictures_;
  made->logits = logits_.copy();
  return made;
}

void Session::keep_branch(int64_t rest) noexcept {
  try {
    auto taken = snapshot();
    model_->engine().reserve(*timeline_, rest);  // what it shares with the snapshot now
    model_->prefixes().store(key(), std::move(taken));
  } catch (const std::exception&) {  // nobody needs it: the session is as it was
  }
}

void Session::keep() noexcept {
  if (cache_policy_ != CachePolicy::use || !model_->prefixes().is_on()) return;
  try {
    model_->prefixes().store(key(), snapshot());
  } catch (const std::exception&) {
  }
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

// The pictures of a text from a token on, from the cache or made now.
std::vector<PlacedPicture> Session::encode(const FedText& text, int64_t first_token,
                                           FeedCounts& counts) {
  std::vector<PlacedPicture> placed;
  const auto start = std::chrono::steady_clock::now();
  for (const TextPicture& place : text.pictures) {
    counts.image_count += 1;
    if (place.first + place.picture.token_count <= first_token) {
      counts.images_reused += 1;
      continue;
    }
    bool was_cached = false;
    auto encoded = encode_picture(
        *model_, place.picture, [&](int64_t, int64_t) { return cancelled(); }, &was_cached);
    placed.push_back({place.first - first_token, std::move(encoded)});
    counts.images_reused += was_cached ? 1 : 0;
  }
  if (placed.empty()) return placed;
  counts.encode_ns = static_cast<uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
  return placed;
}

void Session::feed_logits(std::span<const int32_t> tokens, std::span<float> logits) {
  const size_t needed = tokens.size() * static_cast<size_t>(model_->vocabulary_size());
  require(logits.size() >= needed, "logits has room for ", logits.size(), " numbers, ", needed,
          " are needed");
  begin();
  EveryRow every(logits, logits_);
  run(tokens, LogitsWanted::all, &every);
}

void Session::score(std::span<const int32_t> tokens, std::span<float> logprobs) {
  require_whole();
  model_->check_tokens(tokens);
  require(timeline_->position() == 0 || has_logits(),
          "the last feed was cancelled: there are no logits to score the first token with");
  std::vector<float> scores(tokens.size());
  if (!tokens.empty()) {
    scores[0] = timeline_->position() == 0 ? std::numeric_limits<float>::quiet_NaN()
                                           : logprob_of(logits_.read(), tokens[0]);
  }
  begin();
  Scores sink(tokens, scores, logits_);
  run(tokens, LogitsWanted::all, &sink);
  std::copy(scores.begin(), scores.end(), logprobs.begin());
}

void Session::run(std::span<const int32_t> tokens, LogitsWanted wanted, LogitsSink* sink,
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
    model_->engine().feed({timeline_.get(), tokens, wanted, sink, 0, rows}, cancel_);
    if (!sink) logits_.clear();
    if (sink == &logits_) logits_.arrived();
  } catch (const Error& error) {
    if (timeline_->position() != before) logits_.clear();
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
  if (step.has_logits) {
    logits_.arrived();
  } else {
    logits_.clear();
  }
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
    const auto begun =
        std::find_if(pictures_.rbegin(), pictures_.rend(), [&](const PictureSpan& span) {
          return span.position - span.first_row == start && span.id == placed.picture->id;
        });
    if (begun != pictures_.rend()) {
      begun->token_count = count - begun->first_row;
    } else {
      const int64_t cut = std::max<int64_t>(-placed.first, 0);  // by whoever fed from within it
      pictures_.push_back({start + cut, count - cut, placed.picture->id, cut});
    }
  }
}

std::shared_ptr<const SessionMark> Session::mark() const {
  require_whole();
  auto made = std::make_shared<SessionMark>();
  made->model = model_;
  made->timeline = timeline_->mark();
  made->pictures = pictures_;
  made->logits = logits_.copy();
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
  logits_.set(parts.logits);
}

void Session::return_to(const SessionMark& mark) {
  require_own(mark.model);
  std::vector<PictureSpan> pictures(mark.pictures);
  timeline_->return_to(*mark.timeline);
  pictures_ = std::move(pictures);
  logits_.set(mark.logits);
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
  logits_.clear();
  cut_pictures();
}

// Those behind the end, or the part of one.
void Session::cut_pictures() noexcept {
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
  logits_.clear();
}

void Session::require_logits() const {
  require_whole();
  if (!has_logits()) {
    fail(MINIMAX_NOT_AVAILABLE,
         timeline_->position() == 0
             ? "the session is empty: feed it first"
             : "the last feed was cancelled, or tokens were taken back: there are no logits");
  }
}

std::span<const float> Session::logits() const {
  require_logits();
  return logits_.read();
}

std::optional<LogitsRow> Session::row_to_draw_from(const Sampler& sampler) const {
  require_logits();
  if (!sampler.draws_from_logits_alone()) return std::nullopt;
  if (logits_.are_on_device()) return LogitsRow{logits_.on_device(), sampler.next_rule()};
  if (!model_->engine().memory_is_host()) return std::nullopt;
  return LogitsRow{Tensor(logits_.read().data(), DType::f32, {model_->vocabulary_size()}),
                   sampler.next_rule()};
}

int32_t Session::take_drawn(const DrawnToken& drawn, Sampler& sampler) const {
  const bool is_readable = model_->engine().memory_is_host();
  return is_readable ? sampler.take(drawn.token, logits_.read()) : sampler.take(drawn);
}

int32_t Session::draw(Sampler& sampler) const {
  const std::optional<LogitsRow> row = row_to_draw_from(sampler);
  if (!row || model_->engine().memory_is_host()) {
    return sampler.sample(logits(), timeline_->tokens());
  }
  DrawnToken drawn{};
  model_->engine().sample({&*row, 1}, {&drawn, 1});
  return sampler.take(drawn);
}

}  // namespace minimax
