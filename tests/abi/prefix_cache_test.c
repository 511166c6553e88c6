/* SPDX-License-Identifier: Apache-2.0
 * The prefix cache from outside: prompts handed over whole, what is told of them, pins and limits. */
#include "abi_fixture.h"

enum { COUNT = 90 };

static minimax_prefix_cache_stats stats_of(const minimax_engine* engine) {
  minimax_prefix_cache_stats stats;
  minimax_prefix_cache_stats_init(&stats, sizeof stats);
  CHECK_OK(minimax_engine_get_prefix_cache_stats(engine, &stats));
  return stats;
}

static minimax_feed_report set_prompt(minimax_session* session, const minimax_prompt* prompt) {
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  CHECK_OK(minimax_session_set_prompt(session, prompt, &report));
  return report;
}

static int64_t position_of(const minimax_session* session) {
  int64_t position = -1;
  CHECK_OK(minimax_session_position(session, &position));
  return position;
}

static void answer(minimax_session* session) {
  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 8;
  CHECK_OK(minimax_session_generate(session, NULL, &options, NULL));
}

/* A dialogue whose whole prompt is handed over each turn, asked again, and edited. */
static void a_dialogue(minimax_engine* engine) {
  minimax_prompt* prompt = create_question(engine);
  minimax_session *session = create_session(engine), *other = create_session(engine);
  minimax_feed_report report = set_prompt(session, prompt);
  const uint64_t count = report.token_count;
  CHECK_EQ(report.tokens_reused, 0);
  CHECK_EQ(report.miss_reason, MINIMAX_MISS_NEW);
  session_mark before;
  take_mark(session, &before);
  answer(session);

  report = set_prompt(session, prompt); /* once more */
  CHECK_EQ(report.tokens_reused, count);
  CHECK_EQ(report.miss_reason, MINIMAX_MISS_NONE);
  CHECK_UNCHANGED(session, &before);
  report = set_prompt(other, prompt); /* by somebody else */
  CHECK_EQ(report.tokens_reused, count);
  CHECK_EQ(report.prefill_ns, 0);
  CHECK_UNCHANGED(other, &before);
  CHECK_OK(minimax_session_reset(other));
  minimax_feed_report_init(&report, sizeof report);
  CHECK_OK(minimax_session_feed_prompt(other, prompt, &report)); /* likewise */
  CHECK_EQ(report.tokens_reused, count);
  CHECK_UNCHANGED(other, &before);

  answer(session);
  CHECK_OK(minimax_prompt_clear(prompt));
  CHECK_OK(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "What is red?",
                                      MINIMAX_TEXT_END));
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  report = set_prompt(session, prompt); /* edited */
  CHECK_EQ(report.miss_reason, MINIMAX_MISS_DIVERGED);
  CHECK(report.diverged_at > 0 && report.tokens_reused == (uint64_t)report.diverged_at);
  CHECK_EQ(position_of(session), (int64_t)report.token_count);
  minimax_session_free(other);
  minimax_session_free(session);
  minimax_prompt_free(prompt);
}

static void tokens_of_the_caller(minimax_engine* engine) {
  int32_t tokens[COUNT];
  minimax_feed_report report;
  minimax_session* session = create_session(engine);
  fill_tokens(tokens, COUNT);
  minimax_feed_report_init(&report, sizeof report);
  CHECK_OK(minimax_session_set_tokens(session, tokens, COUNT, NULL));
  tokens[COUNT - 1] += 1;
  CHECK_OK(minimax_session_set_tokens(session, tokens, COUNT, &report));
  CHECK_EQ(report.token_count, COUNT);
  CHECK_EQ(report.tokens_reused, COUNT - 1);
  CHECK_EQ(report.diverged_at, COUNT - 1);
  session_mark before;
  take_mark(session, &before);
  tokens[3] = -1;
  CHECK_FAILS(minimax_session_set_tokens(session, tokens, COUNT, &report),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_set_tokens(session, tokens, 0, &report), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_set_tokens(session, NULL, COUNT, &report), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_set_tokens(NULL, tokens, COUNT, &report), MINIMAX_INVALID_ARGUMENT);
  CHECK_UNCHANGED(session, &before);
  minimax_session_free(session);
}

static void pins(minimax_engine* engine) {
  minimax_prompt* prompt = create_question(engine);
  minimax_feed_report report;
  minimax_session_options options;
  minimax_session_options_init(&options, sizeof options);
  minimax_feed_report_init(&report, sizeof report);
  CHECK_OK(minimax_engine_clear_prefix_cache(engine));
  CHECK_EQ(stats_of(engine).snapshot_count, 0);
  CHECK_EQ(stats_of(engine).bytes, 0);
  CHECK_FAILS(minimax_engine_unpin_prefix(engine, prompt, NULL), MINIMAX_NOT_FOUND);
  CHECK_OK(minimax_engine_pin_prefix(engine, prompt, NULL, &report));
  CHECK_EQ(report.miss_reason, MINIMAX_MISS_NEW);
  CHECK_EQ(stats_of(engine).pinned_count, 1);
  CHECK_OK(minimax_engine_pin_prefix(engine, prompt, NULL, &report));
  CHECK_EQ(report.tokens_reused, report.token_count);
  CHECK_EQ(stats_of(engine).pinned_count, 1);
  options.rewind_tokens = 64;
  CHECK_FAILS(minimax_engine_unpin_prefix(engine, prompt, &options), MINIMAX_NOT_FOUND);
  CHECK_OK(minimax_engine_unpin_prefix(engine, prompt, NULL));
  CHECK_EQ(stats_of(engine).pinned_count, 0);
  CHECK_EQ(stats_of(engine).snapshot_count, 1);
  options.cache_policy = MINIMAX_CACHE_NO_STORE;
  CHECK_FAILS(minimax_engine_pin_prefix(engine, prompt, &options, NULL), MINIMAX_UNSUPPORTED);
  CHECK_FAILS(minimax_engine_pin_prefix(NULL, prompt, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_pin_prefix(engine, NULL, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_unpin_prefix(NULL, prompt, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_unpin_prefix(engine, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_clear_prefix_cache(NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_get_prefix_cache_stats(engine, NULL), MINIMAX_INVALID_ARGUMENT);
  minimax_prompt_free(prompt);
}

static void policies(minimax_engine* engine) {
  minimax_session_options options;
  minimax_session* session = NULL;
  minimax_session_options_init(&options, sizeof options);
  options.cache_policy = 3;
  CHECK_FAILS(minimax_session_create(engine, &options, &session), MINIMAX_INVALID_ARGUMENT);
  options.cache_policy = MINIMAX_CACHE_OFF;
  CHECK_OK(minimax_session_create(engine, &options, &session));
  minimax_prompt* prompt = create_question(engine);
  const uint64_t looked = stats_of(engine).lookup_count;
  CHECK_EQ(set_prompt(session, prompt).miss_reason, MINIMAX_MISS_DISABLED);
  minimax_session* fork = NULL; /* has the same policy */
  CHECK_OK(minimax_session_fork(session, &fork));
  CHECK_EQ(set_prompt(fork, prompt).miss_reason, MINIMAX_MISS_NONE);
  CHECK_EQ(stats_of(engine).lookup_count, looked);
  minimax_prompt_free(prompt);
  minimax_session_free(fork);
  minimax_session_free(session);
}

static void other_engines(minimax_engine* engine) {
  minimax_engine_options options;
  minimax_engine_options_init(&options, sizeof options);
  options.prefix_cache_bytes_limit = -2;
  minimax_engine* without = NULL;
  CHECK_FAILS(minimax_engine_open(DEMO_MODEL, &options, &without), MINIMAX_INVALID_ARGUMENT);
  options.prefix_cache_bytes_limit = -1;
  without = open_demo_with(&options);
  minimax_prompt *prompt = create_question(without), *foreign = create_question(engine);
  minimax_session* session = create_session(without);
  CHECK_EQ(set_prompt(session, prompt).miss_reason, MINIMAX_MISS_DISABLED);
  CHECK_EQ(stats_of(without).limit_bytes, 0);
  CHECK_FAILS(minimax_engine_pin_prefix(without, prompt, NULL, NULL), MINIMAX_NOT_AVAILABLE);
  CHECK_FAILS(minimax_engine_pin_prefix(without, foreign, NULL, NULL), MINIMAX_WRONG_MODEL);
  CHECK_FAILS(minimax_engine_unpin_prefix(without, foreign, NULL), MINIMAX_WRONG_MODEL);
  CHECK_FAILS(minimax_session_set_prompt(session, foreign, NULL), MINIMAX_WRONG_MODEL);
  CHECK_FAILS(minimax_session_set_prompt(session, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_set_prompt(NULL, prompt, NULL), MINIMAX_INVALID_ARGUMENT);
  minimax_prompt_free(foreign);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(without);
}

static void memory_is_reported(minimax_engine* engine) {
  minimax_engine_memory memory;
  minimax_engine_memory_init(&memory, sizeof memory);
  CHECK_OK(minimax_engine_get_memory(engine, &memory));
  const minimax_prefix_cache_stats stats = stats_of(engine);
  CHECK(stats.bytes > 0 && stats.bytes <= stats.limit_bytes);
  CHECK_EQ(memory.prefix_cache_bytes, stats.bytes - stats.kv_bytes);
  CHECK_EQ(memory.kv_bytes, stats.kv_bytes); /* there is no session */
  CHECK_EQ(memory.session_bytes, 0);
}

int main(void) {
  minimax_engine* engine = open_demo();
  a_dialogue(engine);
  tokens_of_the_caller(engine);
  memory_is_reported(engine);
  pins(engine);
  policies(engine);
  other_engines(engine);
  minimax_engine_free(engine);
  return 0;
}
