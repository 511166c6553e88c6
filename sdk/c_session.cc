// SPDX-License-Identifier: Apache-2.0
// minimax.h, sections 5 and 7: sessions and generating.
#include <algorithm>
#include <cstring>
#include <memory>

#include "minimax.h"
#include "sdk/generate.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/structs.h"

namespace minimax {
namespace {

Session& session_of(minimax_session* session) {
  require(session, "session is NULL");
  session->loan().require_home("the session");
  return *session;
}

const Session& session_of(const minimax_session* session) {
  require(session, "session is NULL");
  session->loan().require_home("the session");
  return *session;
}

std::span<const int32_t> read_tokens(const int32_t* tokens, size_t token_count) {
  require(tokens, "tokens is NULL");
  require(token_count > 0, "token_count is 0, expected 1 or more");
  return {tokens, token_count};
}

minimax_feed_report describe(const FeedCounts& counts) {
  minimax_feed_report report;
  init_struct(&report);
  report.token_count = counts.token_count;
  report.tokens_reused = counts.tokens_reused;
  report.restore_ns = counts.restore_ns;
  report.prefill_ns = counts.prefill_ns;
  report.image_count = counts.image_count;
  report.images_reused = counts.images_reused;
  report.encode_ns = counts.encode_ns;
  report.diverged_at = counts.diverged_at;
  report.miss_reason = counts.miss_reason;
  return report;
}

minimax_session_stats describe(const Session& session) {
  const SessionCounts& counts = session.counts();
  minimax_session_stats stats;
  init_struct(&stats);
  stats.position = session.timeline().position();
  stats.fed_tokens = counts.prefill_tokens + counts.decode_tokens;
  stats.prefill_ns = counts.prefill_ns;
  stats.prefill_tokens = counts.prefill_tokens;
  stats.decode_ns = counts.decode_ns;
  stats.decode_tokens = counts.decode_tokens;
  stats.state_bytes = session.timeline().state_bytes();
  stats.kv_bytes = session.timeline().kv_bytes();
  stats.is_poisoned = session.is_poisoned() ? 1 : 0;
  return stats;
}

void require_own_prompt(const minimax_prompt* prompt, const Session& session) {
  require(prompt, "prompt is NULL");
  if (prompt->model != session.model()) {
    fail(MINIMAX_WRONG_MODEL, "the prompt belongs to another engine than the session");
  }
}

CachePolicy read_cache_policy(int32_t policy) {
  switch (policy) {
    case MINIMAX_CACHE_AUTO:
      return CachePolicy::use;
    case MINIMAX_CACHE_NO_STORE:
      return CachePolicy::use_only;
    case MINIMAX_CACHE_OFF:
      return CachePolicy::off;
  }
  fail(MINIMAX_INVALID_ARGUMENT, "cache_policy is ", policy, ", expected MINIMAX_CACHE_...");
}

}  // namespace

SessionOptions read_session_options(const minimax_session_options* given) {
  const minimax_session_options read = read_struct(given, "options");
  constexpr int32_t most_rewind_tokens = 4096;
  require(read.rewind_tokens >= -1 && read.rewind_tokens <= most_rewind_tokens, "rewind_tokens is ",
          read.rewind_tokens, ", expected -1 to ", most_rewind_tokens);
  const int32_t wanted = read.rewind_tokens == 0 ? default_rewind_tokens : read.rewind_tokens;
  return {std::max(wanted, 0), read_cache_policy(read.cache_policy)};
}

void tell(const FeedCounts& counts, minimax_feed_report* out_report) {
  if (out_report) write_struct(describe(counts), out_report, "out_report");
}

GenerateOptions read_generate_options(const minimax_generate_options* given) {
  const minimax_generate_options read = read_struct(given, "options");
  require(read.max_tokens >= 0, "max_tokens is ", read.max_tokens, ", expected 0 or more");
  require(read.ignore_stop_token == 0 || read.ignore_stop_token == 1, "ignore_stop_token is ",
          read.ignore_stop_token, ", expected 0 or 1");
  return {read.max_tokens,
          read_strings(read.stop_strings, read.stop_string_count, "stop_strings"),
          read.ignore_stop_token == 1,
          read.on_text,
          read.on_token,
          read.user};
}

}  // namespace minimax

using minimax::guard;
using minimax::require;
using minimax::session_of;

size_t minimax_session_options_init(minimax_session_options* options, size_t struct_size) {
  return minimax::init_struct(options, struct_size);
}
size_t minimax_feed_report_init(minimax_feed_report* report, size_t struct_size) {
  return minimax::init_struct(report, struct_size);
}
size_t minimax_session_stats_init(minimax_session_stats* stats, size_t struct_size) {
  return minimax::init_struct(stats, struct_size);
}

minimax_status minimax_session_create(minimax_engine* engine,
                                      const minimax_session_options* options,
                                      minimax_session** out_session) {
  return guard([&] {
    (void)minimax::model_of(engine);
    require(out_session, "out_session is NULL");
    const minimax::SessionOptions wanted = minimax::read_session_options(options);
    auto created = std::make_unique<minimax_session>(engine->model, wanted.rewind_tokens);
    created->set_cache_policy(wanted.cache_policy);
    *out_session = created.release();
  });
}

void minimax_session_free(minimax_session* session) {
  delete session;
}

minimax_status minimax_session_feed(minimax_session* session, const int32_t* tokens,
                                    size_t token_count) {
  return guard([&] { session_of(session).feed(minimax::read_tokens(tokens, token_count)); });
}

minimax_status minimax_session_feed_prompt(minimax_session* session, const minimax_prompt* prompt,
                                           minimax_feed_report* out_report) {
  return minimax_session_feed_prompt_from(session, prompt, 0, out_report);
}

minimax_status minimax_session_feed_prompt_from(minimax_session* session,
                                                const minimax_prompt* prompt, size_t first_token,
                                                minimax_feed_report* out_report) {
  return guard([&] {
    minimax::Session& fed = session_of(session);
    minimax::require_own_prompt(prompt, fed);
    if (out_report) minimax::check_struct_size(out_report, "out_report");
    minimax::FeedCounts counts =
        fed.feed_text(minimax::text_of(prompt->prompt, first_token, "first_token"));
    counts.diverged_at += static_cast<int64_t>(first_token);
    minimax::tell(counts, out_report);
  });
}

minimax_status minimax_session_set_prompt(minimax_session* session, const minimax_prompt* prompt,
                                          minimax_feed_report* out_report) {
  return guard([&] {
    minimax::Session& set = session_of(session);
    minimax::require_own_prompt(prompt, set);
    if (out_report) minimax::check_struct_size(out_report, "out_report");
    minimax::tell(set.set_text(minimax::text_of(prompt->prompt, 0, "first_token")), out_report);
  });
}

minimax_status minimax_session_set_tokens(minimax_session* session, const int32_t* tokens,
                                          size_t token_count, minimax_feed_report* out_report) {
  return guard([&] {
    minimax::Session& set = session_of(session);
    const auto ids = minimax::read_tokens(tokens, token_count);
    if (out_report) minimax::check_struct_size(out_report, "out_report");
    minimax::tell(set.set_text({ids, {}}), out_report);
  });
}

minimax_status minimax_session_feed_logits(minimax_session* session, const int32_t* tokens,
                                           size_t token_count, float* logits, size_t capacity) {
  return guard([&] {
    minimax::Session& fed = session_of(session);
    const auto ids = minimax::read_tokens(tokens, token_count);
    require(logits, "logits is NULL");
    fed.feed_logits(ids, {logits, capacity});
  });
}

minimax_status minimax_session_score(minimax_session* session, const int32_t* tokens,
                                     size_t token_count, float* logprobs) {
  return guard([&] {
    minimax::Session& fed = session_of(session);
    const auto ids = minimax::read_tokens(tokens, token_count);
    require(logprobs, "logprobs is NULL");
    fed.score(ids, {logprobs, token_count});
  });
}

minimax_status minimax_session_position(const minimax_session* session, int64_t* out_position) {
  return guard([&] {
    const minimax::Session& asked = session_of(session);
    require(out_position, "out_position is NULL");
    asked.require_whole();
    *out_position = asked.timeline().position();
  });
}

minimax_status minimax_session_tokens(const minimax_session* session, int64_t first,
                                      int32_t* tokens, size_t capacity, size_t* out_count) {
  return guard([&] {
    const minimax::Session& asked = session_of(session);
    asked.require_whole();
    const auto all = asked.timeline().tokens();
    require(first >= 0 && static_cast<size_t>(first) <= all.size(), "first is ", first,
            ", the session holds ", all.size(), " tokens");
    minimax::write_buffer(all.subspan(static_cast<size_t>(first)), tokens, capacity, out_count);
  });
}

minimax_status minimax_session_logits(const minimax_session* session, const float** out_logits,
                                      size_t* out_count) {
  return guard([&] {
    const minimax::Session& asked = session_of(session);
    require(out_logits, "out_logits is NULL");
    const std::span<const float> logits = asked.logits();
    *out_logits = logits.data();
    if (out_count) *out_count = logits.size();
  });
}

minimax_status minimax_session_cancel(minimax_session* session) {
  if (!session) return MINIMAX_INVALID_ARGUMENT;  // no guard: safe in signal handlers
  session->cancel();
  return MINIMAX_OK;
}

minimax_status minimax_session_reset(minimax_session* session) {
  return guard([&] { session_of(session).reset(); });
}

minimax_status minimax_session_get_stats(const minimax_session* session,
                                         minimax_session_stats* out_stats) {
  return guard([&] {
    const minimax::Session& asked = session_of(session);
    require(out_stats, "out_stats is NULL");
    minimax::write_struct(minimax::describe(asked), out_stats, "out_stats");
  });
}

size_t minimax_generate_options_init(minimax_generate_options* options, size_t struct_size) {
  return minimax::init_struct(options, struct_size);
}
size_t minimax_generate_result_init(minimax_generate_result* result, size_t struct_size) {
  return minimax::init_struct(result, struct_size);
}

minimax_status minimax_session_generate(minimax_session* session, minimax_sampler* sampler,
                                        const minimax_generate_options* options,
                                        minimax_generate_result* out_result) {
  return guard([&] {
    minimax::Session& speaking = session_of(session);
    const minimax::GenerateOptions wanted = minimax::read_generate_options(options);
    if (out_result) minimax::check_struct_size(out_result, "out_result");
    if (sampler && sampler->model != speaking.model()) {
      minimax::fail(MINIMAX_WRONG_MODEL, "the sampler belongs to another engine than the session");
    }
    const auto generate_with = [&](minimax::Sampler& drawing) {
      const minimax::GenerateResult made = minimax::generate(speaking, drawing, wanted);
      if (out_result) {
        minimax_generate_result result;
        minimax::init_struct(&result);
        result.stop_reason = made.stop_reason;
        result.token_count = made.token_count;
        result.decode_ns = made.decode_ns;
        minimax::write_struct(result, out_result, "out_result");
      }
      if (made.stop_reason == MINIMAX_STOP_CANCELLED) {
        minimax::fail(MINIMAX_CANCELLED, "cancelled after ", made.token_count, " tokens");
      }
    };
    if (sampler) {
      generate_with(minimax::sampler_of(sampler));
    } else {
      minimax::Sampler greedy({}, speaking.model()->vocabulary_size(),
                              speaking.model()->suppressed());
      generate_with(greedy);
    }
  });
}

minimax_status minimax_session_rewind(minimax_session* session, int64_t token_count) {
  return guard([&] { session_of(session).rewind(token_count); });
}

minimax_status minimax_session_rewind_floor(const minimax_session* session, int64_t* out_position) {
  return guard([&] {
    const minimax::Session& asked = session_of(session);
    require(out_position, "out_position is NULL");
    *out_position = asked.rewind_floor();
  });
}

minimax_status minimax_session_mark(const minimax_session* session,
                                    minimax_snapshot** out_snapshot) {
  return guard([&] {
    const minimax::Session& marked = session_of(session);
    require(out_snapshot, "out_snapshot is NULL");
    *out_snapshot = new minimax_snapshot{minimax::Snapshot(marked.mark())};
  });
}

minimax_status minimax_session_return_to(minimax_session* session,
                                         const minimax_snapshot* snapshot) {
  return guard([&] {
    minimax::Session& returning = session_of(session);
    require(snapshot, "snapshot is NULL");
    snapshot->snapshot.give_to(returning);
  });
}

minimax_status minimax_session_fork(const minimax_session* session, minimax_session** out_session) {
  return guard([&] {
    const minimax::Session& forked = session_of(session);
    require(out_session, "out_session is NULL");
    auto created = std::make_unique<minimax_session>(*forked.mark());
    created->set_cache_policy(forked.cache_policy());
    *out_session = created.release();
  });
}

minimax_status minimax_snapshot_get_info(const minimax_snapshot* snapshot,
                                         minimax_snapshot_info* out_info) {
  return guard([&] {
    require(snapshot, "snapshot is NULL");
    require(out_info, "out_info is NULL");
    const minimax::SnapshotFacts facts = snapshot->snapshot.facts();
    minimax_snapshot_info info;
    minimax::init_struct(&info);
    info.position = facts.position;
    info.image_count = facts.image_count;
    info.state_bytes = facts.state_bytes;
    info.kv_bytes = facts.kv_bytes;
    info.home = static_cast<int32_t>(facts.home);
    info.moved_bytes = facts.moved_bytes;
    minimax::write_struct(info, out_info, "out_info");
  });
}

minimax_status minimax_snapshot_move(minimax_snapshot* snapshot, int32_t home, const char* folder) {
  return guard([&] {
    require(snapshot, "snapshot is NULL");
    require(home >= MINIMAX_HOME_DEVICE && home <= MINIMAX_HOME_FILE, "home is ", home,
            ", expected ", MINIMAX_HOME_DEVICE, " to ", MINIMAX_HOME_FILE);
    require(home != MINIMAX_HOME_FILE || folder, "folder is NULL");
    require(home == MINIMAX_HOME_FILE || !folder, "folder is given, home is not MINIMAX_HOME_FILE");
    snapshot->snapshot.move(static_cast<minimax::SnapshotHome>(home), folder ? folder : "");
  });
}

size_t minimax_snapshot_info_init(minimax_snapshot_info* info, size_t struct_size) {
  return minimax::init_struct(info, struct_size);
}

void minimax_snapshot_free(minimax_snapshot* snapshot) {
  delete snapshot;
}

minimax_status minimax_session_image_count(const minimax_session* session, size_t* out_count) {
  return guard([&] {
    require(out_count, "out_count is NULL");
    *out_count = session_of(session).pictures().size();
  });
}

minimax_status minimax_session_get_image_span(const minimax_session* session, size_t index,
                                              minimax_image_span* out_span) {
  return guard([&] {
    const std::span<const minimax::PictureSpan> pictures = session_of(session).pictures();
    require(out_span, "out_span is NULL");
    require(index < pictures.size(), "index is ", index, ", the session has ", pictures.size(),
            " pictures");
    minimax_image_span span;
    minimax::init_struct(&span);
    span.position = pictures[index].position;
    span.token_count = pictures[index].token_count;
    std::memcpy(span.image_id, pictures[index].id.data(), sizeof span.image_id);
    minimax::write_struct(span, out_span, "out_span");
  });
}
