// SPDX-License-Identifier: Apache-2.0
// One thread with sessions of its own: does random things with them and knows what each must be.
#pragma once

#include <atomic>
#include <map>
#include <optional>

#include "tests/random/reference.h"
#include "tests/random/story.h"

namespace minimax::testing {

// What a session must be.
struct Expected {
  Tokens tokens;
  bool has_logits = false;
  std::vector<float> logits;  // as they were seen; empty: not yet, or there are none
  int64_t furthest = 0;       // position there was
  int32_t rewind_tokens = 0;

  int64_t position() const { return static_cast<int64_t>(tokens.size()); }
};

struct Mark {
  Mark(SnapshotHandle made, Expected as_expected, int64_t at_floor)
      : snapshot(std::move(made)), expected(std::move(as_expected)), floor(at_floor) {}

  SnapshotHandle snapshot;
  Expected expected;
  int64_t floor;
};

// Marks that all threads give and take.
class MarkShelf {
 public:
  void put(std::shared_ptr<const Mark> mark, Chance& chance);
  std::shared_ptr<const Mark> any(Chance& chance) const;  // nullptr: there are none
  bool drop_one(Chance& chance);
  void clear();

 private:
  static constexpr size_t most_marks = 10;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Mark>> marks_;
};

// What all threads have together.
struct Stage {
  Stage(const RunOptions& run, const SmallModel& small_model);

  const RunOptions& options;
  const SmallModel& model;
  const EngineHandle engine;
  const int64_t page_bytes;
  Desk desk;
  MarkShelf marks;
  std::atomic<bool> is_over{false};  // somebody has found something

  bool is_alone() const { return options.thread_count == 1; }
  bool is_stepped_by_actor() const {
    return is_alone() && options.stepping == Stepping::by_callers;
  }
};

// What the operations came to.
struct Tally {
  std::map<std::string, int64_t> counts;
  int64_t checked_logits = 0;
  double worst = 0;  // difference, or error where sums are rounded to bf16

  void add(const Tally& other);
};

// One thread at a time.
class Actor {
 public:
  Actor(Stage& stage, int64_t thread);
  ~Actor();
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  // One random operation, and a look at what it has and has not changed. Mismatch.
  void act(int64_t operation);
  // Everything is cancelled, looked at once more and freed.
  void finish();

  const Story& story() const { return story_; }
  const Tally& tally() const { return tally_; }

 private:
  struct Slot {
    SessionHandle session;
    SamplerHandle sampler;
    bool is_greedy = false;
    Expected expected;
    std::shared_ptr<Ticket> ticket;  // in the batch
  };
  struct Saved {
    std::string bytes, path;  // one of them
    Expected expected;
    int64_t floor = 0;
    bool has_sampler = false;
    Tokens draws;  // what the sampler drew next
  };
  struct Operation {
    const char* name;
    int64_t weight;
    void (Actor::*run)(Slot& slot);  // of a session that is at home
  };
  static const std::vector<Operation>& operations();

  // The operations.
  void feed_some(Slot& slot);
  void feed_with_logits(Slot& slot);
  void score(Slot& slot);
  void feed_and_cancel(Slot& slot);
  void set_tokens(Slot& slot);
  void sample(Slot& slot);
  void generate(Slot& slot);
  void rewind(Slot& slot);
  void mark(Slot& slot);
  void return_to_mark(Slot& slot);
  void drop_mark(Slot& slot);
  void move_mark(Slot& slot);
  void fork(Slot& slot);
  void save(Slot& slot);
  void load(Slot& slot);
  void load_damaged(Slot& slot);
  void reset(Slot& slot);
  void renew(Slot& slot);
  void submit(Slot& slot);
  void step(Slot& slot);
  void cancel_ticket(Slot& slot);
  void free_lent(Slot& slot);
  void ask_lent(Slot& slot);

  // What they are made of.
  Tokens random_tokens(int64_t count);
  Tokens known_tokens(const Slot& slot);
  int64_t room_of(const Slot& slot) const;
  bool is_full(Slot& slot, int64_t count, minimax_status status);
  void make_room(const Slot& except);
  void fed(Slot& slot, std::span<const int32_t> tokens);
  void new_session(Slot& slot);
  void new_sampler(Slot& slot);
  void put_session(Slot& slot, minimax_session* session, Expected expected);
  Saved saved_of(Slot& slot, bool with_sampler, bool as_file);
  void load_from(Slot& slot, const Saved& saved);
  Tokens draw_some(const Slot& slot);
  Slot* any_home();
  Slot* any_lent();
  void settle();
  void settle(Slot& slot);
  void advance_batch();
  void verify(Slot& slot);
  void compare_logits(Slot& slot, std::span<const float> found);
  void check_row(std::span<const int32_t> tokens, std::span<const float> found);
  void check_untouched(const Slot& slot);
  int64_t floor_of(const Slot& slot) const;

  Stage& stage_;
  const int64_t thread_;
  const bool is_rounded_;  // to bf16
  Reference reference_;
  WorkFolder folder_;
  std::vector<Slot> slots_;
  std::vector<Saved> saved_;
  Story story_;
  Tally tally_;
  Chance chance_{0, 0, 0};
  int64_t file_count_ = 0;
};

}  // namespace minimax::testing
