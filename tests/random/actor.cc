// SPDX-License-Identifier: Apache-2.0
#include "tests/random/actor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

namespace minimax::testing {
namespace {

// Small, so that pages, chunks and sessions end often.
constexpr int64_t context_limit = 600, pages_limit = 14, chunk_tokens = 48;
constexpr float bound = 1e-4f;          // of any logit
constexpr double rounded_bound = 1e-3;  // where sums are rounded to bf16: squared, of all together
constexpr float logprob_bound = 2e-4f, rounded_logprob_bound = 0.2f;
constexpr size_t most_saved = 4;

int64_t pages_of(int64_t token_count) {
  return (token_count + SmallModel::page_tokens - 1) / SmallModel::page_tokens;
}

uint64_t kv_bytes_of(const minimax_engine* engine) {
  minimax_engine_memory memory;
  minimax_engine_memory_init(&memory, sizeof memory);
  expect(minimax_engine_get_memory(engine, &memory), MINIMAX_OK, "minimax_engine_get_memory");
  return memory.kv_bytes;
}

bool has_logits(const minimax_session* session, std::span<const float>& logits) {
  const float* row = nullptr;
  size_t count = 0;
  const minimax_status status = minimax_session_logits(session, &row, &count);
  if (status == MINIMAX_NOT_AVAILABLE) return false;
  expect(status, MINIMAX_OK, "minimax_session_logits");
  check(count == static_cast<size_t>(SmallModel::vocabulary_size), count, " logits");
  logits = {row, count};
  return true;
}

double squared_error(std::span<const float> found, std::span<const float> expected) {
  double error = 0, total = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = static_cast<double>(found[i]) - expected[i];
    error += difference * difference;
    total += static_cast<double>(expected[i]) * expected[i];
  }
  return error / total;
}

double largest_difference(std::span<const float> found, std::span<const float> expected) {
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - expected[i]);
    // One that is no number is worse than all.
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

float logprob_of(std::span<const float> logits, int32_t token) {
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  return static_cast<float>(logits[static_cast<size_t>(token)] - std::log(total));
}

// Writes to `bytes` until a limit is reached.
struct Sink {
  std::string bytes;
  size_t limit = SIZE_MAX;

  static int32_t write(void* user, const void* more, size_t size) {
    auto& sink = *static_cast<Sink*>(user);
    if (sink.bytes.size() + size > sink.limit) return 7;
    sink.bytes.append(static_cast<const char*>(more), size);
    return 0;
  }
};

// Gives pieces of any size.
struct Source {
  std::string_view left;
  Chance chance;

  static int32_t read(void* user, void* bytes, size_t size, size_t* out_size) {
    auto& source = *static_cast<Source*>(user);
    size = std::min(size, source.left.size());
    if (size > 1 && source.chance.percent(30)) {
      size = static_cast<size_t>(source.chance.between(1, static_cast<int64_t>(size)));
    }
    std::memcpy(bytes, source.left.data(), size);
    source.left.remove_prefix(size);
    *out_size = size;
    return 0;
  }
};

minimax_session* untouched() {
  static char place;
  return reinterpret_cast<minimax_session*>(&place);
}

int64_t position_of(const minimax_session* session) {
  int64_t position = -1;
  expect(minimax_session_position(session, &position), MINIMAX_OK, "minimax_session_position");
  return position;
}

int64_t rewind_tokens_of(int32_t option) {
  return option == 0 ? 32 : std::max(option, 0);
}

}  // namespace

void MarkShelf::put(std::shared_ptr<const Mark> mark, Chance& chance) {
  const std::lock_guard lock(mutex_);
  if (marks_.size() < most_marks) {
    marks_.push_back(std::move(mark));
  } else {
    marks_[static_cast<size_t>(chance.below(most_marks))].swap(mark);
  }
}

std::shared_ptr<const Mark> MarkShelf::any(Chance& chance) const {
  const std::lock_guard lock(mutex_);
  if (marks_.empty()) return nullptr;
  return marks_[static_cast<size_t>(chance.below(static_cast<int64_t>(marks_.size())))];
}

bool MarkShelf::drop_one(Chance& chance) {
  const std::lock_guard lock(mutex_);
  if (marks_.empty()) return false;
  marks_.erase(marks_.begin() + chance.below(static_cast<int64_t>(marks_.size())));
  return true;
}

void MarkShelf::clear() {
  const std::lock_guard lock(mutex_);
  marks_.clear();
}

Stage::Stage(const RunOptions& run, const SmallModel& small_model)
    : options(run),
      model(small_model),
      engine(model.open(
          run.device,
          {.pages = pages_limit, .context_tokens = context_limit, .chunk_tokens = chunk_tokens})),
      page_bytes(model.page_bytes(run.device)),
      desk(engine.get(), run.stepping) {
}

void Tally::add(const Tally& other) {
  for (const auto& [name, count] : other.counts) counts[name] += count;
  checked_logits += other.checked_logits;
  worst = std::max(worst, other.worst);
}

Actor::Actor(Stage& stage, int64_t thread)
    : stage_(stage),
      thread_(thread),
      is_rounded_(!stage.options.device.starts_with("cpu")),
      reference_(stage.model),
      slots_(static_cast<size_t>(stage.options.session_count / stage.options.thread_count)) {
  chance_ = Chance(stage_.options.seed, static_cast<uint64_t>(thread), ~0ull);
  for (Slot& slot : slots_) {
    new_session(slot);
    new_sampler(slot);
  }
}

Actor::~Actor() = default;

// One more is a line here and a function.
const std::vector<Actor::Operation>& Actor::operations() {
  static const std::vector<Operation> all{
      {"feed", 24, &Actor::feed_some},
      {"feed_logits", 3, &Actor::feed_with_logits},
      {"score", 3, &Actor::score},
      {"feed_and_cancel", 2, &Actor::feed_and_cancel},
      {"set_tokens", 6, &Actor::set_tokens},
      {"sample", 8, &Actor::sample},
      {"generate", 5, &Actor::generate},
      {"rewind", 12, &Actor::rewind},
      {"mark", 6, &Actor::mark},
      {"return", 6, &Actor::return_to_mark},
      {"drop_mark", 2, &Actor::drop_mark},
      {"move_mark", 3, &Actor::move_mark},
      {"fork", 4, &Actor::fork},
      {"save", 4, &Actor::save},
      {"load", 4, &Actor::load},
      {"load_damaged", 1, &Actor::load_damaged},
      {"reset", 3, &Actor::reset},
      {"renew", 2, &Actor::renew},
      {"submit", 8, &Actor::submit},
      {"step", 16, &Actor::step},
      {"cancel_ticket", 2, &Actor::cancel_ticket},
      {"free_lent", 1, &Actor::free_lent},
      {"ask_lent", 2, &Actor::ask_lent},
  };
  return all;
}

void Actor::act(int64_t operation) {
  chance_ =
      Chance(stage_.options.seed, static_cast<uint64_t>(thread_), static_cast<uint64_t>(operation));
  settle();
  while (!any_home()) advance_batch();
  Slot& slot = *any_home();
  const auto& all = operations();
  int64_t total = 0;
  for (const Operation& one : all) total += one.weight;
  int64_t drawn = chance_.below(total);
  const Operation* chosen = all.data();
  while (drawn >= chosen->weight) drawn -= chosen++->weight;
  story_.tell(operation, ": ", chosen->name, " of session ", &slot - slots_.data(), " at ",
              slot.expected.position());
  ++tally_.counts[chosen->name];
  (this->*chosen->run)(slot);
  if (!slot.ticket) verify(slot);
  if (const Slot* other = any_home()) check_untouched(*other);
}

Actor::Slot* Actor::any_home() {
  std::vector<Slot*> home;
  for (Slot& slot : slots_) {
    if (!slot.ticket) home.push_back(&slot);
  }
  if (home.empty()) return nullptr;
  return home[static_cast<size_t>(chance_.below(static_cast<int64_t>(home.size())))];
}

Actor::Slot* Actor::any_lent() {
  std::vector<Slot*> lent;
  for (Slot& slot : slots_) {
    if (slot.ticket) lent.push_back(&slot);
  }
  if (lent.empty()) return nullptr;
  return lent[static_cast<size_t>(chance_.below(static_cast<int64_t>(lent.size())))];
}

Tokens Actor::random_tokens(int64_t count) {
  Tokens tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(chance_.below(SmallModel::vocabulary_size));
  }
  return tokens;
}

int64_t Actor::room_of(const Slot& slot) const {
  return context_limit - slot.expected.position();
}

// Whether tokens were refused for want of room, as it must be where there is none.
bool Actor::is_full(Slot& slot, int64_t count, minimax_status status) {
  const int64_t position = slot.expected.position();
  if (count > room_of(slot)) {
    expect(status, MINIMAX_CONTEXT_FULL, "feeding more than context_limit");
    story_.add(", context full");
    return true;
  }
  if (status != MINIMAX_CONTEXT_FULL) return false;
  story_.add(", no pages");
  ++tally_.counts["(no pages)"];
  if (stage_.is_stepped_by_actor()) {
    const int64_t needed = pages_of(position + count) - pages_of(position) + 1;
    const uint64_t used = kv_bytes_of(stage_.engine.get());
    check(used + static_cast<uint64_t>(needed * stage_.page_bytes) >
              static_cast<uint64_t>(pages_limit * stage_.page_bytes),
          "no room for ", needed, " pages beside ", used, " bytes: ", minimax_last_error());
  }
  make_room(slot);
  return true;
}

// Marks go first, then a session goes to memory.
void Actor::make_room(const Slot& except) {
  if (stage_.marks.drop_one(chance_)) {
    stage_.marks.drop_one(chance_);
    return;
  }
  Slot* const slot = any_home();
  if (slot == &except) return;
  verify(*slot);
  story_.add(", session ", slot - slots_.data(), " is put away");
  Saved saved = saved_of(*slot, true, false);
  if (saved_.size() < most_saved) saved_.emplace_back();
  saved_[static_cast<size_t>(chance_.below(static_cast<int64_t>(saved_.size())))] =
      std::move(saved);
  reset(*slot);
}

void Actor::fed(Slot& slot, std::span<const int32_t> tokens) {
  Expected& expected = slot.expected;
  expected.tokens.insert(expected.tokens.end(), tokens.begin(), tokens.end());
  expected.has_logits = true;
  expected.logits.clear();
  expected.furthest = std::max(expected.furthest, expected.position());
}

void Actor::put_session(Slot& slot, minimax_session* session, Expected expected) {
  slot.session.reset(session);
  slot.expected = std::move(expected);
}

void Actor::new_session(Slot& slot) {
  constexpr int32_t others[] = {-1, 8, 32, 70};
  minimax_session_options options;
  minimax_session_options_init(&options, sizeof options);
  if (chance_.percent(30)) options.rewind_tokens = others[chance_.below(4)];
  minimax_session* session = nullptr;
  expect(minimax_session_create(stage_.engine.get(), &options, &session), MINIMAX_OK,
         "minimax_session_create");
  Expected expected;
  expected.rewind_tokens = static_cast<int32_t>(rewind_tokens_of(options.rewind_tokens));
  put_session(slot, session, std::move(expected));
}

void Actor::new_sampler(Slot& slot) {
  minimax_sampler_options options;
  minimax_sampler_options_init(&options, sizeof options);
  slot.is_greedy = chance_.percent(40);
  if (!slot.is_greedy) {
    options.temperature = static_cast<float>(chance_.between(3, 20)) / 10;
    options.top_p = chance_.percent(50) ? 0.9f : 0.0f;
    options.top_k = static_cast<int32_t>(chance_.below(3) * 8);
    options.repetition_penalty = chance_.percent(30) ? 1.2f : 0.0f;
    options.frequency_penalty = chance_.percent(30) ? 0.3f : 0.0f;
    options.seed = chance_.next();
  }
  minimax_sampler* sampler = nullptr;
  expect(minimax_sampler_create(stage_.engine.get(), &options, &sampler), MINIMAX_OK,
         "minimax_sampler_create");
  slot.sampler.reset(sampler);
}

void Actor::feed_some(Slot& slot) {
  const int64_t share = chance_.below(100);
  const int64_t count = share < 45   ? 1
                        : share < 85 ? chance_.between(2, 40)
                                     : chance_.between(41, 300);
  const Tokens tokens = random_tokens(count);
  story_.add(", ", count, " tokens");
  const minimax_status status =
      minimax_session_feed(slot.session.get(), tokens.data(), tokens.size());
  if (is_full(slot, count, status)) return;
  expect(status, MINIMAX_OK, "minimax_session_feed");
  fed(slot, tokens);
}

// Of this session, or of one that was marked or saved.
Tokens Actor::known_tokens(const Slot& slot) {
  const std::shared_ptr<const Mark> mark = stage_.marks.any(chance_);
  if (mark && chance_.percent(40)) return mark->expected.tokens;
  if (!saved_.empty() && chance_.percent(30)) {
    return saved_[static_cast<size_t>(chance_.below(static_cast<int64_t>(saved_.size())))]
        .expected.tokens;
  }
  return slot.expected.tokens;
}

// A beginning of something known, often nearly all of it, and something new.
void Actor::set_tokens(Slot& slot) {
  Tokens wanted = known_tokens(slot);
  const auto size = static_cast<int64_t>(wanted.size());
  const int64_t kept = chance_.percent(60) ? std::max<int64_t>(0, size - chance_.below(80))
                                           : chance_.below(size + 1);
  wanted.resize(static_cast<size_t>(kept));
  const Tokens more =
      random_tokens(std::min(chance_.between(kept == 0 ? 1 : 0, 60), context_limit - kept));
  wanted.insert(wanted.end(), more.begin(), more.end());
  story_.add(" to ", kept, " known tokens and ", more.size(), " more");
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  const minimax_status status =
      minimax_session_set_tokens(slot.session.get(), wanted.data(), wanted.size(), &report);

  Expected& expected = slot.expected;
  if (status == MINIMAX_CONTEXT_FULL) {  // no pages: it is as it was, or at a beginning
    story_.add(", no pages");
    const int64_t position = position_of(slot.session.get());
    std::span<const float> logits;
    Tokens found(static_cast<size_t>(position));
    size_t count = 0;
    expect(minimax_session_tokens(slot.session.get(), 0, found.data(), found.size(), &count),
           MINIMAX_OK, "minimax_session_tokens");
    if (found != expected.tokens) {
      check(found.size() <= wanted.size() && std::equal(found.begin(), found.end(), wanted.begin()),
            "cut short, it holds neither what it held nor a beginning of the prompt");
      expected.has_logits = has_logits(slot.session.get(), logits);
      expected.tokens = std::move(found);
      expected.logits.clear();
    } else if (!has_logits(slot.session.get(), logits)) {
      expected.has_logits = false;
    }
    expected.furthest = std::max(expected.furthest, position + expected.rewind_tokens);
    return make_room(slot);
  }
  expect(status, MINIMAX_OK, "minimax_session_set_tokens");
  check(report.token_count == wanted.size() && report.tokens_reused <= wanted.size(),
        report.tokens_reused, " tokens reused of ", report.token_count);
  ++tally_.counts["(miss reason " + std::to_string(report.miss_reason) + ")"];
  tally_.counts["(tokens reused)"] += static_cast<int64_t>(report.tokens_reused);
  expected.tokens = std::move(wanted);
  expected.has_logits = true;
  expected.logits.clear();
  // What came from the cache may have been further on.
  expected.furthest = std::max(expected.furthest, expected.position() + expected.rewind_tokens);
}

void Actor::feed_with_logits(Slot& slot) {
  const int64_t count = chance_.between(1, 24);
  const Tokens tokens = random_tokens(count);
  story_.add(", ", count, " tokens");
  constexpr auto width = static_cast<size_t>(SmallModel::vocabulary_size);
  std::vector<float> rows(tokens.size() * width);
  const minimax_status status = minimax_session_feed_logits(
      slot.session.get(), tokens.data(), tokens.size(), rows.data(), rows.size());
  if (is_full(slot, count, status)) return;
  expect(status, MINIMAX_OK, "minimax_session_feed_logits");
  const auto before = static_cast<size_t>(slot.expected.position());
  fed(slot, tokens);
  const auto row = static_cast<size_t>(chance_.below(count));
  check_row(std::span(slot.expected.tokens).first(before + row + 1),
            std::span(rows).subspan(row * width, width));
}

void Actor::score(Slot& slot) {
  const int64_t count = chance_.between(1, 24);
  const Tokens tokens = random_tokens(count);
  story_.add(", ", count, " tokens");
  std::vector<float> logprobs(tokens.size(), 7);
  const minimax_status status =
      minimax_session_score(slot.session.get(), tokens.data(), tokens.size(), logprobs.data());
  const auto before = static_cast<size_t>(slot.expected.position());
  if (before > 0 && !slot.expected.has_logits) {
    expect(status, MINIMAX_INVALID_ARGUMENT, "minimax_session_score without logits");
    return;
  }
  if (is_full(slot, count, status)) return;
  expect(status, MINIMAX_OK, "minimax_session_score");
  fed(slot, tokens);
  const auto chosen = static_cast<size_t>(chance_.below(count));
  if (before + chosen == 0) {
    check(std::isnan(logprobs[0]), "the first token of all has logprob ", logprobs[0]);
    return;
  }
  const auto row = reference_.logits_after(std::span(slot.expected.tokens).first(before + chosen));
  const float expected = logprob_of(row, tokens[chosen]);
  check(std::abs(logprobs[chosen] - expected) <=
            (is_rounded_ ? rounded_logprob_bound : logprob_bound),
        "logprob ", chosen, " of ", count, " is ", logprobs[chosen], ", expected ", expected);
}

// By another thread. Whatever it meets, the rest is fed then: where the cancel came has no influence on
// what follows.
void Actor::feed_and_cancel(Slot& slot) {
  const int64_t count = chance_.between(50, 400);
  const Tokens tokens = random_tokens(count);
  story_.add(", ", count, " tokens");
  const int64_t before = slot.expected.position();
  std::atomic<bool> begins{false};
  const std::chrono::microseconds delay(chance_.below(is_rounded_ ? 100'000 : 1000));
  std::thread canceller([&, session = slot.session.get()] {
    while (!begins) std::this_thread::yield();
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < delay) std::this_thread::yield();
    minimax_session_cancel(session);
  });
  begins = true;
  const minimax_status status =
      minimax_session_feed(slot.session.get(), tokens.data(), tokens.size());
  canceller.join();
  if (is_full(slot, count, status)) return;
  if (status == MINIMAX_OK) return fed(slot, tokens);
  expect(status, MINIMAX_CANCELLED, "minimax_session_feed");
  const int64_t position = position_of(slot.session.get());
  const int64_t done = position - before;
  story_.add(", cancelled after ", done);
  ++tally_.counts["(cancelled feeds)"];
  check(done >= 0 && done < count && (done == 0 || position % chunk_tokens == 0),
        "cancelled after ", done, " of ", count, " tokens, at position ", position);
  if (done > 0) {
    fed(slot, std::span(tokens).first(static_cast<size_t>(done)));
    slot.expected.has_logits = false;
  }
  verify(slot);
  const auto rest = std::span(tokens).subspan(static_cast<size_t>(done));
  expect(minimax_session_feed(slot.session.get(), rest.data(), rest.size()), MINIMAX_OK,
         "minimax_session_feed of the rest");
  fed(slot, rest);
}

void Actor::sample(Slot& slot) {
  int32_t token = -1;
  const minimax_status status =
      minimax_sampler_sample(slot.sampler.get(), slot.session.get(), &token);
  if (!slot.expected.has_logits) {
    expect(status, MINIMAX_NOT_AVAILABLE, "minimax_sampler_sample without logits");
    return;
  }
  expect(status, MINIMAX_OK, "minimax_sampler_sample");
  check(token >= 0 && token < SmallModel::vocabulary_size, "token ", token, " was drawn");
  const std::vector<float>& logits = slot.expected.logits;
  if (slot.is_greedy) {
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    check(token == best, "token ", token, " was drawn, ", best, " is the most probable");
  }
  if (chance_.percent(30)) return;
  const minimax_status fed_status = minimax_session_feed(slot.session.get(), &token, 1);
  if (is_full(slot, 1, fed_status)) return;
  expect(fed_status, MINIMAX_OK, "minimax_session_feed");
  fed(slot, {&token, 1});
}

void Actor::generate(Slot& slot) {
  struct Listener {
    minimax_session* session;
    Tokens drawn;
    int64_t stop_at, cancel_at;  // as which token; -1: never

    static int32_t hear(void* user, int32_t token) {
      auto& listener = *static_cast<Listener*>(user);
      const auto index = static_cast<int64_t>(listener.drawn.size());
      listener.drawn.push_back(token);
      if (index == listener.cancel_at) minimax_session_cancel(listener.session);
      return index == listener.stop_at ? 1 : 0;
    }
  };
  Listener listener{slot.session.get(), {}, -1, -1};
  if (chance_.percent(20)) listener.stop_at = chance_.below(8);
  if (chance_.percent(30)) listener.cancel_at = chance_.below(8);
  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = chance_.between(1, 12);
  options.ignore_stop_token = chance_.percent(50) ? 1 : 0;
  options.on_token = &Listener::hear;
  options.user = &listener;
  minimax_generate_result result;
  minimax_generate_result_init(&result, sizeof result);
  minimax_sampler* const sampler = chance_.percent(80) ? slot.sampler.get() : nullptr;
  story_.add(", up to ", options.max_tokens, " tokens, stop at ", listener.stop_at, ", cancel at ",
             listener.cancel_at);
  const minimax_status status =
      minimax_session_generate(slot.session.get(), sampler, &options, &result);
  if (!slot.expected.has_logits) {
    expect(status, MINIMAX_NOT_AVAILABLE, "minimax_session_generate without logits");
    return;
  }
  const auto count = static_cast<int64_t>(result.token_count);
  const auto drawn = static_cast<int64_t>(listener.drawn.size());
  check(drawn == count || drawn == count + 1, drawn, " tokens drawn, ", count, " fed");
  if (status != MINIMAX_CANCELLED) expect(status, MINIMAX_OK, "minimax_session_generate");
  const int32_t reason = result.stop_reason;
  const bool is_right =
      reason == MINIMAX_STOP_CANCELLED ? status == MINIMAX_CANCELLED && count == listener.cancel_at
      : status == MINIMAX_CANCELLED    ? false
      : reason == MINIMAX_STOP_TOKEN   ? listener.drawn.back() == SmallModel::stop_token
      : reason == MINIMAX_STOP_MAX_TOKENS ? count == options.max_tokens
      : reason == MINIMAX_STOP_CALLBACK   ? count == listener.stop_at + 1
                                          : reason == MINIMAX_STOP_CONTEXT && drawn == count + 1;
  check(is_right, "an answer of ", count, " tokens ended by reason ", reason, " and status ",
        minimax_status_name(status));
  if (count > 0) fed(slot, std::span(listener.drawn).first(static_cast<size_t>(count)));
  if (reason == MINIMAX_STOP_CONTEXT) is_full(slot, 1, MINIMAX_CONTEXT_FULL);
}

void Actor::rewind(Slot& slot) {
  const int64_t position = slot.expected.position(), floor = floor_of(slot);
  const int64_t most = std::min<int64_t>(position, slot.expected.rewind_tokens + 40);
  const int64_t count = chance_.percent(3) ? position + 1 : chance_.below(most + 1);
  story_.add(" by ", count, ", floor ", floor);
  const minimax_status status = minimax_session_rewind(slot.session.get(), count);
  if (count > position) {
    expect(status, MINIMAX_INVALID_ARGUMENT, "minimax_session_rewind of more than there is");
    return;
  }
  if (position - count < floor) {
    expect(status, MINIMAX_NOT_AVAILABLE, "minimax_session_rewind before the floor");
    return;
  }
  expect(status, MINIMAX_OK, "minimax_session_rewind");
  if (count == 0) return;
  slot.expected.tokens.resize(static_cast<size_t>(position - count));
  slot.expected.has_logits = false;
  slot.expected.logits.clear();
}

void Actor::mark(Slot& slot) {
  minimax_snapshot* snapshot = nullptr;
  expect(minimax_session_mark(slot.session.get(), &snapshot), MINIMAX_OK, "minimax_session_mark");
  auto mark = std::make_shared<Mark>(SnapshotHandle(snapshot), slot.expected, floor_of(slot));
  minimax_snapshot_info info;
  minimax_snapshot_info_init(&info, sizeof info);
  expect(minimax_snapshot_get_info(snapshot, &info), MINIMAX_OK, "minimax_snapshot_get_info");
  check(info.position == slot.expected.position(), "the mark is at ", info.position);
  stage_.marks.put(std::move(mark), chance_);
}

void Actor::return_to_mark(Slot& slot) {
  const std::shared_ptr<const Mark> mark = stage_.marks.any(chance_);
  if (!mark) return;
  story_.add(" to ", mark->expected.position());
  const minimax_status status = minimax_session_return_to(slot.session.get(), mark->snapshot.get());
  if (mark->expected.rewind_tokens != slot.expected.rewind_tokens) {
    expect(status, MINIMAX_UNSUPPORTED, "minimax_session_return_to with other rewind_tokens");
    return;
  }
  // One that was moved needs pages of its own.
  if (status == MINIMAX_CONTEXT_FULL) return make_room(slot);
  expect(status, MINIMAX_OK, "minimax_session_return_to");
  slot.expected = mark->expected;
  check(floor_of(slot) == mark->floor, "the floor is ", floor_of(slot), ", the mark's was ",
        mark->floor);
}

void Actor::drop_mark(Slot&) {
  stage_.marks.drop_one(chance_);
}

void Actor::move_mark(Slot& slot) {
  const std::shared_ptr<const Mark> mark = stage_.marks.any(chance_);
  if (!mark) return;
  const auto home = static_cast<int32_t>(chance_.below(3));
  story_.add(", one at ", mark->expected.position(), " to home ", home);
  const std::string folder = folder_.file("");
  const minimax_status status = minimax_snapshot_move(
      mark->snapshot.get(), home, home == MINIMAX_HOME_FILE ? folder.c_str() : nullptr);
  // On the CPU host memory is the engine's own.
  if (status == MINIMAX_CONTEXT_FULL && home != MINIMAX_HOME_FILE) return make_room(slot);
  expect(status, MINIMAX_OK, "minimax_snapshot_move");
}

void Actor::fork(Slot& slot) {
  Slot* const to = any_home();
  minimax_session* forked = nullptr;
  expect(minimax_session_fork(slot.session.get(), &forked), MINIMAX_OK, "minimax_session_fork");
  const int64_t floor = floor_of(slot);
  story_.add(" into session ", to - slots_.data());
  Expected expected = slot.expected;
  put_session(*to, forked, std::move(expected));  // perhaps in its own place
  check(floor_of(*to) == floor, "the fork's floor is ", floor_of(*to), ", expected ", floor);
  verify(*to);
}

// Five tokens that follow one another here, not fed.
Tokens Actor::draw_some(const Slot& slot) {
  Tokens drawn;
  for (int i = 0; i < 5 && slot.expected.has_logits; ++i) {
    int32_t token = -1;
    expect(minimax_sampler_sample(slot.sampler.get(), slot.session.get(), &token), MINIMAX_OK,
           "minimax_sampler_sample");
    drawn.push_back(token);
  }
  return drawn;
}

Actor::Saved Actor::saved_of(Slot& slot, bool with_sampler, bool as_file) {
  minimax_session_save_options options;
  minimax_session_save_options_init(&options, sizeof options);
  options.sampler = with_sampler ? slot.sampler.get() : nullptr;
  Saved saved{{}, {}, slot.expected, floor_of(slot), with_sampler, {}};
  if (as_file) {
    saved.path = folder_.file(std::to_string(file_count_++ % 6) + ".session");
    for (Saved& other : saved_) {
      if (other.path == saved.path) other = {};  // is replaced
    }
    expect(minimax_session_save(slot.session.get(), saved.path.c_str(), &options), MINIMAX_OK,
           "minimax_session_save");
    minimax_session_file_info info;
    minimax_session_file_info_init(&info, sizeof info);
    expect(minimax_get_session_file_info(saved.path.c_str(), &info), MINIMAX_OK,
           "minimax_get_session_file_info");
    check(info.position == slot.expected.position() &&
              (info.has_logits == 1) == slot.expected.has_logits &&
              info.rewind_tokens == slot.expected.rewind_tokens &&
              (info.has_sampler == 1) == with_sampler,
          "the file says position ", info.position, ", logits ", info.has_logits,
          ", rewind_tokens ", info.rewind_tokens, ", sampler ", info.has_sampler);
  } else {
    Sink sink;
    expect(minimax_session_save_to(slot.session.get(), &Sink::write, &sink, &options), MINIMAX_OK,
           "minimax_session_save_to");
    saved.bytes = std::move(sink.bytes);
  }
  if (with_sampler) saved.draws = draw_some(slot);
  return saved;
}

void Actor::save(Slot& slot) {
  if (chance_.percent(15)) {
    Sink sink;
    sink.limit = static_cast<size_t>(chance_.below(40000));
    const minimax_status status =
        minimax_session_save_to(slot.session.get(), &Sink::write, &sink, nullptr);
    story_.add(", into ", sink.limit, " bytes");
    if (status != MINIMAX_OK) expect(status, MINIMAX_IO_ERROR, "minimax_session_save_to");
    return;
  }
  Saved saved = saved_of(slot, chance_.percent(60), chance_.percent(25));
  story_.add(saved.path.empty() ? " to memory" : " to a file",
             saved.has_sampler ? " with its sampler" : "");
  if (saved_.size() < most_saved) {
    saved_.push_back(std::move(saved));
  } else {
    saved_[static_cast<size_t>(chance_.below(most_saved))] = std::move(saved);
  }
}

void Actor::load(Slot& slot) {
  if (saved_.empty()) return;
  const Saved& saved =
      saved_[static_cast<size_t>(chance_.below(static_cast<int64_t>(saved_.size())))];
  if (saved.bytes.empty() && saved.path.empty()) return;
  load_from(slot, saved);
}

void Actor::load_from(Slot& slot, const Saved& saved) {
  const bool with_sampler = chance_.percent(50);
  story_.add(" at ", saved.expected.position(), with_sampler ? " with a sampler" : "");
  minimax_session_load_options options;
  minimax_session_load_options_init(&options, sizeof options);
  options.sampler = with_sampler ? slot.sampler.get() : nullptr;
  minimax_session* loaded = untouched();
  Source source{saved.bytes, Chance(chance_.next(), 0, 0)};
  const minimax_status status =
      saved.path.empty()
          ? minimax_session_load_from(stage_.engine.get(), &Source::read, &source, &options,
                                      &loaded)
          : minimax_session_load(stage_.engine.get(), saved.path.c_str(), &options, &loaded);
  check(status == MINIMAX_OK || loaded == untouched(), "a session after ",
        minimax_status_name(status));
  if (with_sampler && !saved.has_sampler) {
    expect(status, MINIMAX_NOT_AVAILABLE, "minimax_session_load of a sampler that was not saved");
    return;
  }
  if (status == MINIMAX_CONTEXT_FULL) {
    story_.add(", no pages");
    return make_room(slot);
  }
  expect(status, MINIMAX_OK, "minimax_session_load");
  put_session(slot, loaded, saved.expected);
  check(floor_of(slot) == saved.floor, "the floor is ", floor_of(slot), ", it was ", saved.floor);
  if (!with_sampler) return;
  slot.is_greedy = false;
  check(draw_some(slot) == saved.draws, "the loaded sampler draws other tokens");
}

void Actor::load_damaged(Slot&) {
  if (saved_.empty()) return;
  std::string bytes =
      saved_[static_cast<size_t>(chance_.below(static_cast<int64_t>(saved_.size())))].bytes;
  if (bytes.empty()) return;
  const auto size = static_cast<int64_t>(bytes.size());
  if (chance_.percent(30)) {
    bytes.resize(static_cast<size_t>(chance_.below(size)));
    story_.add(", cut to ", bytes.size());
  } else {
    const int64_t bit = chance_.below(8 * size);
    bytes[static_cast<size_t>(bit / 8)] =
        static_cast<char>(bytes[static_cast<size_t>(bit / 8)] ^ 1 << bit % 8);
    story_.add(", bit ", bit, " flipped");
  }
  Source source{bytes, Chance(chance_.next(), 0, 0)};
  minimax_session* loaded = untouched();
  const minimax_status status =
      minimax_session_load_from(stage_.engine.get(), &Source::read, &source, nullptr, &loaded);
  // A later version's, or no pages for what comes before the damage.
  if (status != MINIMAX_UNSUPPORTED && status != MINIMAX_CONTEXT_FULL) {
    expect(status, MINIMAX_BAD_FILE, "minimax_session_load_from of damaged bytes");
  }
  check(loaded == untouched(), "a session of damaged bytes");
}

void Actor::reset(Slot& slot) {
  expect(minimax_session_reset(slot.session.get()), MINIMAX_OK, "minimax_session_reset");
  const int32_t rewind_tokens = slot.expected.rewind_tokens;
  slot.expected = {};
  slot.expected.rewind_tokens = rewind_tokens;
  if (chance_.percent(50)) expect(minimax_sampler_reset(slot.sampler.get()), MINIMAX_OK, "reset");
}

void Actor::renew(Slot& slot) {
  new_session(slot);
  new_sampler(slot);
}

void Actor::submit(Slot& slot) {
  Ticket wish;
  wish.session = slot.session.get();
  const bool goes_on = slot.expected.has_logits ? chance_.percent(40) : chance_.percent(5);
  if (!goes_on) wish.prompt = random_tokens(chance_.percent(30) ? 1 : chance_.between(2, 150));
  wish.feeds_only = chance_.percent(20);
  wish.max_tokens = chance_.percent(4) ? 0 : chance_.between(1, 16);
  wish.ignores_stop = chance_.percent(50);
  const auto count = static_cast<int64_t>(wish.prompt.size());
  const bool has_nothing = count == 0 && wish.feeds_only;
  story_.add(", ", count, " tokens, answer of ", wish.feeds_only ? -1 : wish.max_tokens);
  minimax_sampler* const sampler = chance_.percent(70) ? slot.sampler.get() : nullptr;
  minimax_status status = MINIMAX_OK;
  auto ticket = stage_.desk.submit(std::move(wish), sampler,
                                   static_cast<int32_t>(chance_.between(-2, 2)), status);
  if (has_nothing) {
    expect(status, MINIMAX_INVALID_ARGUMENT, "minimax_batch_submit of nothing");
  } else if (count == 0 && !slot.expected.has_logits) {
    expect(status, MINIMAX_NOT_AVAILABLE, "minimax_batch_submit without logits");
  } else if (count > room_of(slot)) {
    expect(status, MINIMAX_CONTEXT_FULL, "minimax_batch_submit of more than context_limit");
  } else {
    expect(status, MINIMAX_OK, "minimax_batch_submit");
    story_.add(", ticket ", ticket->number);
    slot.ticket = std::move(ticket);
  }
}

void Actor::step(Slot&) {
  const int64_t count = chance_.between(1, 4);
  for (int64_t i = 0; i < count; ++i) {
    if (stage_.is_stepped_by_actor()) stage_.desk.step(0);
    if (stage_.is_alone()) stage_.desk.take_events();
  }
  if (!stage_.is_alone()) std::this_thread::yield();
  settle();
}

// When all of this actor's sessions are in the batch.
void Actor::advance_batch() {
  check(!stage_.is_over, "another thread has found something");
  if (stage_.is_alone()) {
    stage_.desk.step(stage_.is_stepped_by_actor() ? 0 : 1);
    stage_.desk.take_events();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  settle();
  if (!chance_.percent(10)) return;
  // They may wait for pages that marks hold, or for each other.
  stage_.marks.drop_one(chance_);
  Slot* const lent = any_lent();
  if (!lent || !chance_.percent(10)) return;
  lent->ticket->was_cancelled = true;
  const minimax_status status = stage_.desk.cancel(*lent->ticket);
  if (status != MINIMAX_NOT_FOUND) expect(status, MINIMAX_OK, "minimax_batch_cancel");
}

void Actor::settle() {
  for (Slot& slot : slots_) {
    if (slot.ticket && stage_.desk.has_ended(*slot.ticket)) settle(slot);
  }
}

// The session is at home again, after as much as the batch says.
void Actor::settle(Slot& slot) {
  const std::shared_ptr<Ticket> ticket = std::move(slot.ticket);
  slot.ticket = nullptr;
  const size_t prompt_count = ticket->prompt.size();
  story_.tell("   ticket ", ticket->number, " of session ", &slot - slots_.data(), " ended, kind ",
              ticket->kind, ", reason ", ticket->stop_reason, ", ", ticket->fed_count, " of ",
              prompt_count, " fed, ", ticket->drawn_count, " of ", ticket->drawn.size(), " drawn");
  check(ticket->fed_count <= prompt_count && ticket->drawn_count <= ticket->drawn.size() &&
            ticket->drawn.size() <= ticket->drawn_count + 1,
        "its counts contradict its tokens");
  const bool fed_all = ticket->fed_count == prompt_count;
  switch (ticket->kind) {
    case MINIMAX_EVENT_FINISHED: {
      const int32_t reason = ticket->stop_reason;
      const bool is_right = ticket->feeds_only ? reason == 0
                            : reason == MINIMAX_STOP_TOKEN
                                ? ticket->drawn.back() == SmallModel::stop_token
                            : reason == MINIMAX_STOP_MAX_TOKENS
                                ? static_cast<int64_t>(ticket->drawn_count) == ticket->max_tokens
                                : reason == MINIMAX_STOP_CONTEXT;
      check(is_right && fed_all, "it finished for no reason");
      break;
    }
    case MINIMAX_EVENT_CANCELLED:
      check(ticket->was_cancelled, "nobody has cancelled it");
      break;
    default:  // sessions outside the batch took its pages
      check(ticket->kind == MINIMAX_EVENT_FAILED && ticket->status == MINIMAX_CONTEXT_FULL,
            "it failed: ", ticket->message);
  }
  ++tally_.counts[ticket->kind == MINIMAX_EVENT_FINISHED    ? "(tickets finished)"
                  : ticket->kind == MINIMAX_EVENT_CANCELLED ? "(tickets cancelled)"
                                                            : "(tickets failed)"];
  if (ticket->fed_count + ticket->drawn_count > 0) {
    fed(slot, std::span(ticket->prompt).first(ticket->fed_count));
    fed(slot, std::span(ticket->drawn).first(ticket->drawn_count));
    slot.expected.has_logits = fed_all;
  }
  verify(slot);
}

void Actor::cancel_ticket(Slot&) {
  Slot* const lent = any_lent();
  if (!lent) return;
  lent->ticket->was_cancelled = true;
  const bool by_session = chance_.percent(40);
  story_.add(", ticket ", lent->ticket->number, by_session ? " by its session" : "");
  if (by_session) {
    expect(minimax_session_cancel(lent->session.get()), MINIMAX_OK, "minimax_session_cancel");
    return;
  }
  const minimax_status status = stage_.desk.cancel(*lent->ticket);
  if (status != MINIMAX_NOT_FOUND || stage_.is_stepped_by_actor()) {
    expect(status, MINIMAX_OK, "minimax_batch_cancel");
  }
  if (stage_.is_alone()) stage_.desk.take_events();
  settle();
}

void Actor::free_lent(Slot&) {
  Slot* const lent = any_lent();
  if (!lent) return;
  story_.add(", ticket ", lent->ticket->number);
  lent->session.reset();
  lent->ticket = nullptr;
  renew(*lent);
}

void Actor::ask_lent(Slot&) {
  Slot* const lent = any_lent();
  if (!lent) return;
  story_.add(", ticket ", lent->ticket->number);
  minimax_session* const session = lent->session.get();
  const int32_t token = 5;
  int64_t position = -1;
  minimax_snapshot* snapshot = nullptr;
  // Those that change nothing, as the ticket may have just ended elsewhere.
  const minimax_status status = minimax_session_position(session, &position);
  if (status == MINIMAX_OK && !stage_.is_stepped_by_actor()) return;
  expect(status, MINIMAX_NOT_AVAILABLE, "minimax_session_position in a batch");
  if (!stage_.is_stepped_by_actor()) return;
  Sink sink;
  minimax_status status_of_submit = MINIMAX_OK;
  Ticket wish;
  wish.session = session;
  wish.prompt = {1, 2};
  stage_.desk.submit(std::move(wish), nullptr, 0, status_of_submit);
  const minimax_status others[] = {minimax_session_feed(session, &token, 1),
                                   minimax_session_rewind(session, 0),
                                   minimax_session_reset(session),
                                   minimax_session_mark(session, &snapshot),
                                   minimax_session_save_to(session, &Sink::write, &sink, nullptr),
                                   minimax_session_generate(session, nullptr, nullptr, nullptr),
                                   status_of_submit};
  for (const minimax_status other : others) {
    expect(other, MINIMAX_NOT_AVAILABLE, "a call with a session in a batch");
  }
}

int64_t Actor::floor_of(const Slot& slot) const {
  int64_t floor = -1;
  expect(minimax_session_rewind_floor(slot.session.get(), &floor), MINIMAX_OK,
         "minimax_session_rewind_floor");
  return floor;
}

// Position, tokens, logits and how far it can go back.
void Actor::verify(Slot& slot) {
  const Expected& expected = slot.expected;
  const minimax_session* const session = slot.session.get();
  const int64_t position = position_of(session);
  check(position == expected.position(), "position is ", position, ", expected ",
        expected.position());
  Tokens tokens(expected.tokens.size());
  size_t count = 0;
  expect(minimax_session_tokens(session, 0, tokens.data(), tokens.size(), &count), MINIMAX_OK,
         "minimax_session_tokens");
  check(tokens == expected.tokens, "other tokens than were fed");
  const int64_t floor = floor_of(slot);
  check(floor >= 0 && floor <= std::max<int64_t>(expected.furthest - expected.rewind_tokens, 0),
        "the floor is ", floor, " after position ", expected.furthest);
  std::span<const float> logits;
  const bool there_are = has_logits(session, logits);
  check(there_are == expected.has_logits, there_are ? "there are logits" : "there are no logits");
  if (there_are) compare_logits(slot, logits);
}

void Actor::compare_logits(Slot& slot, std::span<const float> found) {
  std::vector<float>& seen = slot.expected.logits;
  if (seen.empty()) {
    check_row(slot.expected.tokens, found);
    seen.assign(found.begin(), found.end());
  } else {
    check(std::equal(found.begin(), found.end(), seen.begin()),
          "its logits are no longer what they were, by ", largest_difference(found, seen));
  }
}

void Actor::check_row(std::span<const int32_t> tokens, std::span<const float> found) {
  const auto expected = reference_.logits_after(tokens);
  const double error =
      is_rounded_ ? squared_error(found, expected) : largest_difference(found, expected);
  ++tally_.checked_logits;
  check(error <= (is_rounded_ ? rounded_bound : static_cast<double>(bound)), "after ",
        tokens.size(), " tokens the logits are off by ", error);
  tally_.worst = std::max(tally_.worst, error);
}

// What one session does is nothing to the others.
void Actor::check_untouched(const Slot& slot) {
  const int64_t position = position_of(slot.session.get());
  check(position == slot.expected.position(), "session ", &slot - slots_.data(), " is at ",
        position, ", expected ", slot.expected.position());
  std::span<const float> logits;
  if (!has_logits(slot.session.get(), logits) || slot.expected.logits.empty()) return;
  check(std::equal(logits.begin(), logits.end(), slot.expected.logits.begin()), "session ",
        &slot - slots_.data(), " has other logits, and nobody has fed it");
}

void Actor::finish() {
  story_.tell("the end");
  for (Slot& slot : slots_) {
    if (!slot.ticket) continue;
    slot.ticket->was_cancelled = true;
    const minimax_status status = stage_.desk.cancel(*slot.ticket);
    if (status != MINIMAX_NOT_FOUND) expect(status, MINIMAX_OK, "minimax_batch_cancel");
  }
  while (any_lent()) advance_batch();
  for (Slot& slot : slots_) verify(slot);
  slots_.clear();
}

}  // namespace minimax::testing
