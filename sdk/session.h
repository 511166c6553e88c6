// SPDX-License-Identifier: Apache-2.0
// One timeline on a model, with the logits after it, a cancel flag, and counts of what it did.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "sdk/loan.h"
#include "sdk/model.h"
#include "sdk/prompt.h"
#include "sdk/session_logits.h"

namespace minimax {

// A picture among the tokens of a feed: its rows stand in place of those from `first` on; below 0 when
// some of them have been fed before.
struct PlacedPicture {
  int64_t first;
  std::shared_ptr<const EncodedPicture> picture;
};

// A picture of a text that is fed: `first` of its tokens, below 0 when some of them have been fed before.
struct TextPicture {
  int64_t first;
  PromptPicture picture;
};

// What is fed. Borrows the tokens.
struct FedText {
  std::span<const int32_t> tokens;
  std::vector<TextPicture> pictures;  // ascending
};

// The prompt from a token on. MINIMAX_INVALID_ARGUMENT when nothing of it is left.
FedText text_of(const Prompt& prompt, size_t first_token, std::string_view name_of_first_token);

// Of a text that follows another.
PrefixKey key_behind(PrefixKey key, const FedText& text);

// What feeding a prompt came to.
struct FeedCounts {
  uint64_t token_count = 0, tokens_reused = 0;
  uint64_t restore_ns = 0, prefill_ns = 0;
  uint64_t image_count = 0, images_reused = 0, encode_ns = 0;
  int64_t diverged_at = 0;
  int32_t miss_reason = MINIMAX_MISS_NONE;
};

// What a session has to do with the prefix cache of its model.
enum class CachePolicy { use, use_only, off };

struct SessionCounts {
  uint64_t prefill_ns = 0, prefill_tokens = 0;  // of feeds of several tokens
  uint64_t decode_ns = 0, decode_tokens = 0;    // of feeds of one
};

// A session as it was at some moment. Immutable; any thread.
struct SessionMark {
  std::shared_ptr<Model> model;
  std::unique_ptr<TimelineMark> timeline;
  std::vector<PictureSpan> pictures;
  std::vector<float> logits;  // empty: there were none
};

// What a session's part in a step that it shared with others came to.
struct SharedStep {
  enum class Part { prompt, answer };
  Part part;
  int64_t token_count;
  bool has_logits;  // Session::logits_sink() got them
  uint64_t ns;      // of the whole step
};

// A picture of a prompt, from the cache or made now. was_cached may be nullptr. MINIMAX_CANCELLED when
// progress says so.
std::shared_ptr<const EncodedPicture> encode_picture(const Model& model,
                                                     const PromptPicture& picture,
                                                     const TileProgress& progress,
                                                     bool* was_cached);

// What a session is made of.
struct SessionParts {
  std::shared_ptr<Model> model;
  std::unique_ptr<Timeline> timeline;
  std::vector<PictureSpan> pictures;
  std::vector<float> logits;  // [V]; empty: there are none
};

// One thread at a time, but cancel(). While it is lent to a batch only that may use it.
class Session {
 public:
  // rewind_tokens 0 or more.
  Session(std::shared_ptr<Model> model, int64_t rewind_tokens);
  // The session that the mark holds.
  explicit Session(const SessionMark& mark);
  explicit Session(SessionParts parts);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // As minimax_session_feed; several feeds within one begin() and end can be cancelled together.
  void feed(std::span<const int32_t> tokens, std::span<const PlacedPicture> pictures = {});
  // As minimax_session_feed_prompt.
  FeedCounts feed_text(const FedText& text);
  // As minimax_session_set_prompt.
  FeedCounts set_text(const FedText& text);
  void feed_logits(std::span<const int32_t> tokens, std::span<float> logits);
  void score(std::span<const int32_t> tokens, std::span<float> logprobs);

  // A cancel from here on stops what begins now. feed() and its like begin by themselves.
  void begin() { cancel_.store(false, std::memory_order_relaxed); }
  void cancel() { cancel_.store(true, std::memory_order_relaxed); }  // any thread, signal handlers
  bool cancelled() const { return cancel_.load(std::memory_order_relaxed); }
  // feed() within something that has begun.
  void feed_on(std::span<const int32_t> tokens, std::span<const PlacedPicture> pictures = {});

  // In place of feed(), for a batch, which computes steps of several sessions together. reserve() takes
  // room for the tokens of all steps that follow; errors as of Engine::reserve, nothing has changed then.
  void reserve(int64_t token_count) { model_->engine().reserve(*timeline_, token_count); }
  Timeline& timeline_to_step() { return *timeline_; }
  LogitsSink& logits_sink() { return logits_; }  // for those after the last token
  void stepped(const SharedStep& step);
  void step_failed(minimax_status status) { is_poisoned_ = !leaves_whole(status); }
  // What of the pictures has been fed since the position was `before`; takes no memory that was not
  // taken by expect_pictures().
  void expect_pictures(size_t count) { pictures_.reserve(pictures_.size() + count); }
  void remember(std::span<const PlacedPicture> pictures, int64_t before);
  // How to get to the end of a text that follows what there is; nothing has changed yet.
  PrefixFound look_up(const FedText& text) const;
  // Stands at the token that computing begins at, with room for all up to `end`. Errors as reserve(): nothing
  // has changed then, if there is a snapshot.
  void take_over(const PrefixFound& found, int64_t end);
  // Leaves a snapshot in the cache, as far as memory allows: where texts branch and `rest` tokens follow, for
  // which room was reserved; or at the end of a turn.
  void keep_branch(int64_t rest) noexcept;
  void keep() noexcept;
  // MINIMAX_OUT_OF_MEMORY when the cache has no room for it.
  void pin() { model_->prefixes().store(key(), snapshot(), Keeping::pinned); }
  CachePolicy cache_policy() const { return cache_policy_; }
  void set_cache_policy(CachePolicy policy) { cache_policy_ = policy; }
  Loan& loan() { return loan_; }
  const Loan& loan() const { return loan_; }

  std::shared_ptr<const SessionMark> mark() const;
  // MINIMAX_WRONG_MODEL, MINIMAX_UNSUPPORTED as Timeline::return_to; all or nothing.
  void return_to(const SessionMark& mark);
  // Becomes what these parts would make. Errors likewise.
  void return_to(SessionParts parts);
  // Takes back the last tokens. MINIMAX_NOT_AVAILABLE beyond rewind_floor().
  void rewind(int64_t token_count);
  int64_t rewind_floor() const { return timeline_->committed(); }
  void reset();

  const std::shared_ptr<Model>& model() const { return model_; }
  const Timeline& timeline() const { return *timeline_; }
  // [V]; MINIMAX_NOT_AVAILABLE when there are none.
  std::span<const float> logits() const;
  bool has_logits() const { return logits_.are_there(); }
  // MINIMAX_NOT_AVAILABLE when there are none.
  void require_logits() const;
  // Draws the token that follows, and the sampler accepts it: on the device where the logits are there and decide
  // alone. Errors of Sampler::sample and logits().
  int32_t draw(Sampler& sampler) const;
  // The same in two halves, for whoever draws for several sessions at once (Engine::sample); no row: it is for draw()
  // alone, as the sampler looks at more than the logits, or they do not lie where the device can read them.
  std::optional<LogitsRow> row_to_draw_from(const Sampler& sampler) const;
  int32_t take_drawn(const DrawnToken& drawn, Sampler& sampler) const;
  // In order of their positions.
  std::span<const PictureSpan> pictures() const { return pictures_; }
  const SessionCounts& counts() const { return counts_; }
  bool is_poisoned() const { return is_poisoned_; }
  void require_whole() const;
  // MINIMAX_WRONG_MODEL when a mark is of another engine; errors as require_whole().
  void require_own(const std::shared_ptr<Model>& model_of_mark) const;
  // MINIMAX_UNSUPPORTED when it is of a session with other rewind_tokens.
  void require_like(const TimelineShape& of_mark) const { timeline_->require_like(of_mark); }

 private:
  void run(std::span<const int32_t> tokens, LogitsWanted wanted, LogitsSink* sink,
           std::span<const PlacedPicture> pictures = {});
  void check_text(const FedText& text) const;
  PrefixKey key() const { return prefix_key(timeline_->tokens(), pictures_); }
  PrefixStanding standing_in(const PrefixKey& wanted) const;
  PrefixFound look_up(const PrefixKey& wanted, const PrefixStanding& standing) const;
  FeedCounts carry_out(const PrefixFound& found, const FedText& text, int64_t base);
  void feed_pieces(const PrefixFound& found, std::span<const int32_t> tokens,
                   std::span<const PlacedPicture> pictures);
  std::vector<PlacedPicture> encode(const FedText& text, int64_t first_token, FeedCounts& counts);
  std::shared_ptr<const PrefixSnapshot> snapshot() const;
  void cut_pictures() noexcept;
  // A status after which the timeline is as it was (Engine::feed).
  static bool leaves_whole(minimax_status status);

  Loan loan_;
  std::shared_ptr<Model> model_;
  std::unique_ptr<Timeline> timeline_;
  SessionLogits logits_;
  std::vector<PictureSpan> pictures_;
  bool is_poisoned_ = false;
  CachePolicy cache_policy_ = CachePolicy::use;
  std::atomic<bool> cancel_{false};
  SessionCounts counts_;
};

}  // namespace minimax
