// SPDX-License-Identifier: Apache-2.0
// One dialogue on one session.
#include "samples/conversation.h"

#include <algorithm>
#include <chrono>

#include "samples/terminal.h"

namespace samples {
namespace {

constexpr size_t most_turns = 8;  // that can be undone
constexpr int64_t shown_tokens = 8;

// ctrl-C reaches the session while this lives.
class Watch {
 public:
  explicit Watch(minimax_session* session) { interrupt::watch(session); }
  ~Watch() { interrupt::watch(nullptr); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

uint64_t now_ns() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                               std::chrono::nanoseconds(1));
}

size_t position_of(const minimax_session* session) {
  int64_t position = 0;
  check(minimax_session_position(session, &position));
  return static_cast<size_t>(position);
}

size_t token_count_of(const minimax_prompt* prompt) {
  size_t count = 0;
  const minimax_status status = minimax_prompt_tokens(prompt, nullptr, 0, &count);
  if (status != MINIMAX_BUFFER_TOO_SMALL) check(status);
  return count;
}

int32_t pass_text(void* user, const char* text, size_t size) {
  return (*static_cast<const ShowText*>(user))({text, size}) ? 0 : 1;
}

// For a ctrl-C that came when nothing was running that could be cancelled.
int32_t stop_when_interrupted(void*, int32_t) {
  return interrupt::is_pending() ? 1 : 0;
}

// How the last answer ended, as far as a session tells.
int32_t stop_of_last_token(const minimax_engine* engine, const minimax_session* session) {
  const size_t position = position_of(session);
  if (position == 0) return 0;
  int32_t token = 0;
  size_t count = 0;
  check(minimax_session_tokens(session, static_cast<int64_t>(position) - 1, &token, 1, &count));
  minimax_token_info info;
  minimax_token_info_init(&info, sizeof info);
  check(minimax_engine_token_info(engine, token, &info));
  return info.is_stop ? MINIMAX_STOP_TOKEN : MINIMAX_STOP_CANCELLED;
}

std::string text_of(const minimax_engine* engine, int32_t token) {
  char text[256];
  size_t size = 0;
  check(minimax_engine_detokenize(engine, &token, 1, MINIMAX_DETOKENIZE_SPECIAL, text, sizeof text,
                                  &size));
  return {text, size};
}

int64_t position_of(const minimax_snapshot* snapshot) {
  minimax_snapshot_info info;
  minimax_snapshot_info_init(&info, sizeof info);
  check(minimax_snapshot_get_info(snapshot, &info));
  return info.position;
}

bool breaks_session(minimax_status status) {
  return status == MINIMAX_DEVICE_ERROR || status == MINIMAX_INTERNAL_ERROR ||
         status == MINIMAX_POISONED;
}

}  // namespace

Conversation::Conversation(minimax_engine* engine, const ConversationOptions& options)
    : engine_(engine),
      options_(options),
      session_(create_session(engine)),
      prompt_(create_prompt(engine)),
      sampler_(create_sampler(engine, options.sampler)) {
}

void Conversation::add_picture(const std::string& path, minimax_progress_fn progress, void* user) {
  ImageHandle image = read_image(path);
  check(minimax_engine_encode_image(engine_, image.get(), progress, user));
  pictures_.push_back(std::move(image));
}

Answer Conversation::ask(std::string_view message, const ShowText& show) {
  const Watch watch(session_.get());
  Answer answer;
  begin_turn(message);
  try {
    write_turn(message);
    if (feed(answer)) generate(show, answer);
  } catch (const StatusError& error) {
    pictures_ = std::move(turns_.back().pictures);
    turns_.pop_back();
    if (breaks_session(error.status())) replace_session(create_session(engine_));
    throw;
  }
  return answer;
}

// A mark is cheap while the dialogue stands there; behind it, it keeps states of its own.
void Conversation::begin_turn(std::string_view message) {
  if (turns_.size() == most_turns) turns_.erase(turns_.begin());
  turns_.push_back({mark(session_.get()), last_stop_, std::string(message), {}});
}

bool Conversation::undo() {
  if (turns_.empty()) return false;
  const Turn& turn = turns_.back();
  check(minimax_session_return_to(session_.get(), turn.before.get()));
  last_stop_ = turn.last_stop;
  has_debt_ = false;
  turns_.pop_back();
  return true;
}

std::optional<Answer> Conversation::retry(const ShowText& show) {
  if (turns_.empty()) return std::nullopt;
  const std::string message = turns_.back().message;
  std::vector<SharedImage> pictures = std::move(turns_.back().pictures);
  undo();
  pictures_ = std::move(pictures);
  return ask(message, show);
}

// Into the prompt: what the session must be fed before it can answer `message`.
void Conversation::write_turn(std::string_view message) {
  minimax_prompt* prompt = prompt_.get();
  if (!has_debt_) {
    check(minimax_prompt_clear(prompt));
    fed_ = 0;
  }
  if (last_stop_ != 0) {
    check(minimax_prompt_end_reply(prompt, last_stop_));
  } else if (!options_.system.empty()) {
    check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_SYSTEM, nullptr, options_.system.data(),
                                     options_.system.size()));
  }
  for (const SharedImage& picture : pictures_) {
    check(minimax_prompt_add_image(prompt, picture.get()));
  }
  check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, nullptr, message.data(),
                                   message.size()));
  check(minimax_prompt_begin_reply(prompt));
  turns_.back().pictures = std::move(pictures_);
  pictures_.clear();
}

// False when ctrl-C came first: what the session did not get is then owed to it.
bool Conversation::feed(Answer& answer) {
  const size_t before = position_of(session_.get());
  const uint64_t start_ns = now_ns();
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  const minimax_status status =
      interrupt::is_pending()
          ? MINIMAX_CANCELLED
          : minimax_session_feed_prompt_from(session_.get(), prompt_.get(), fed_, &report);
  if (status != MINIMAX_CANCELLED) check(status);
  const size_t fed = position_of(session_.get()) - before;
  answer.prompt_ns += now_ns() - start_ns;
  answer.prompt_tokens += fed;
  answer.reused_tokens += report.tokens_reused;
  reused_ = before;
  read_ = fed;
  fed_ += fed;
  has_debt_ = fed_ < token_count_of(prompt_.get());
  last_stop_ = MINIMAX_STOP_CANCELLED;  // until an answer ends otherwise
  return !has_debt_;
}

void Conversation::generate(const ShowText& show, Answer& answer) {
  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = options_.max_tokens;
  options.on_text = pass_text;
  options.on_token = stop_when_interrupted;
  options.user = const_cast<ShowText*>(&show);
  minimax_generate_result result;
  minimax_generate_result_init(&result, sizeof result);
  const minimax_status status =
      minimax_session_generate(session_.get(), sampler_.get(), &options, &result);
  if (status != MINIMAX_CANCELLED) check(status);
  last_stop_ = result.stop_reason;
  answer.stop_reason = interrupt::is_pending() ? MINIMAX_STOP_CANCELLED : result.stop_reason;
  answer.answer_tokens = result.token_count;
  answer.answer_ns = result.decode_ns;
}

bool Conversation::save(const std::string& path) const {
  if (has_debt_) return false;
  minimax_session_save_options options;
  minimax_session_save_options_init(&options, sizeof options);
  options.sampler = sampler_.get();
  check(minimax_session_save(session_.get(), path.c_str(), &options));
  return true;
}

void Conversation::load(const std::string& path) {
  minimax_session_file_info info;
  minimax_session_file_info_init(&info, sizeof info);
  check(minimax_get_session_file_info(path.c_str(), &info));
  minimax_session_load_options options;
  minimax_session_load_options_init(&options, sizeof options);
  if (info.has_sampler) options.sampler = sampler_.get();
  minimax_session* loaded = nullptr;
  check(minimax_session_load(engine_, path.c_str(), &options, &loaded));
  replace_session(SessionHandle(loaded));
  last_stop_ = stop_of_last_token(engine_, session_.get());
}

void Conversation::reset() {
  check(minimax_session_reset(session_.get()));
  check(minimax_sampler_reset(sampler_.get()));
  turns_.clear();
  has_debt_ = false;
  pictures_.clear();
  last_stop_ = 0;
  reused_ = read_ = 0;
}

void Conversation::set_system(std::string system) {
  reset();
  options_.system = std::move(system);
}

std::unique_ptr<Conversation> Conversation::branch() const {
  if (has_debt_) return nullptr;
  minimax_session* forked = nullptr;
  check(minimax_session_fork(session_.get(), &forked));
  SessionHandle session(forked);
  auto other = std::make_unique<Conversation>(engine_, options_);
  other->replace_session(std::move(session));
  other->pictures_ = pictures_;
  other->turns_ = turns_;
  other->last_stop_ = last_stop_;
  other->reused_ = reused_;
  other->read_ = read_;
  return other;
}

Extent Conversation::extent() const {
  const minimax_session* session = session_.get();
  Extent extent;
  extent.position = static_cast<int64_t>(position_of(session));
  check(minimax_session_rewind_floor(session, &extent.rewind_floor));
  for (const Turn& turn : turns_) extent.turns.push_back(position_of(turn.before.get()));
  extent.reused = reused_;
  extent.read = read_;
  size_t picture_count = 0;
  check(minimax_session_image_count(session, &picture_count));
  for (size_t i = 0; i < picture_count; ++i) {
    minimax_image_span span;
    minimax_image_span_init(&span, sizeof span);
    check(minimax_session_get_image_span(session, i, &span));
    extent.pictures.push_back(span);
  }
  int32_t tokens[shown_tokens];
  const int64_t count = std::min(shown_tokens, extent.position);
  size_t found = 0;
  if (count > 0) {
    check(minimax_session_tokens(session, extent.position - count, tokens, shown_tokens, &found));
  }
  for (size_t i = 0; i < found; ++i) extent.last_tokens.push_back(text_of(engine_, tokens[i]));
  return extent;
}

minimax_session_stats Conversation::stats() const {
  minimax_session_stats stats;
  minimax_session_stats_init(&stats, sizeof stats);
  check(minimax_session_get_stats(session_.get(), &stats));
  return stats;
}

void Conversation::replace_session(SessionHandle session) {
  interrupt::watch(nullptr);
  session_ = std::move(session);
  turns_.clear();
  has_debt_ = false;
  pictures_.clear();
  last_stop_ = 0;
  reused_ = read_ = 0;
}

}  // namespace samples
