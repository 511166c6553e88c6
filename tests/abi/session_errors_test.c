/* SPDX-License-Identifier: Apache-2.0
 * Section 5 of the header: what a session refuses, and that position and logits are then as they were. */
#include "abi_fixture.h"

enum { LONG = 1500 }; /* several chunks */

static minimax_engine* engine;
static minimax_session* session; /* stands after a few tokens */
static session_mark mark;
static int32_t tokens[LONG];

static void create_refuses(void) {
  minimax_session* none = UNTOUCHED;
  minimax_session_options options;
  minimax_session_options_init(&options, sizeof options);
  CHECK_FAILS(minimax_session_create(NULL, NULL, &none), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_create(engine, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  options.rewind_tokens = -2;
  CHECK_FAILS(minimax_session_create(engine, &options, &none), MINIMAX_INVALID_ARGUMENT);
  options.rewind_tokens = 4097;
  CHECK_FAILS(minimax_session_create(engine, &options, &none), MINIMAX_INVALID_ARGUMENT);
  CHECK(none == UNTOUCHED);
  for (int32_t rewind = -1; rewind <= 4096; rewind += 4097) {
    options.rewind_tokens = rewind;
    CHECK_OK(minimax_session_create(engine, &options, &none));
    minimax_session_free(none);
  }
}

static void check_feeds_refuse(const int32_t* ids, size_t count) {
  static float logits[DEMO_VOCABULARY * 4], logprobs[LONG];
  logits[0] = logprobs[0] = 7777;
  CHECK_FAILS(minimax_session_feed(session, ids, count), MINIMAX_INVALID_ARGUMENT);
  CHECK_UNCHANGED(session, &mark);
  CHECK_FAILS(minimax_session_score(session, ids, count, logprobs), MINIMAX_INVALID_ARGUMENT);
  CHECK_UNCHANGED(session, &mark);
  if (count <= 4) {
    CHECK_FAILS(minimax_session_feed_logits(session, ids, count, logits, DEMO_VOCABULARY * 4),
                MINIMAX_INVALID_ARGUMENT);
    CHECK_UNCHANGED(session, &mark);
  }
  CHECK(logits[0] == 7777 && logprobs[0] == 7777);
}

static void feeds_refuse_tokens(void) {
  check_feeds_refuse(NULL, 1);
  check_feeds_refuse(tokens, 0);
  tokens[1] = -1;
  check_feeds_refuse(tokens, 4);
  tokens[1] = DEMO_VOCABULARY;
  check_feeds_refuse(tokens, 4);
  tokens[1] = INT32_MIN;
  check_feeds_refuse(tokens, 4);
  fill_tokens(tokens, LONG);
  tokens[LONG - 1] = DEMO_VOCABULARY; /* far behind the first chunk */
  check_feeds_refuse(tokens, LONG);
  fill_tokens(tokens, LONG);
}

static void feeds_refuse_null(void) {
  float logits[1] = {7777};
  CHECK_FAILS(minimax_session_feed(NULL, tokens, 1), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_score(NULL, tokens, 1, logits), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_score(session, tokens, 1, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_feed_logits(NULL, tokens, 1, logits, 1), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_feed_logits(session, tokens, 1, NULL, DEMO_VOCABULARY),
              MINIMAX_INVALID_ARGUMENT);
  CHECK(logits[0] == 7777);
  CHECK_UNCHANGED(session, &mark);
}

static void logits_need_their_room(void) {
  static float logits[DEMO_VOCABULARY * 2];
  logits[0] = 7777;
  CHECK_FAILS(minimax_session_feed_logits(session, tokens, 2, logits, 2 * DEMO_VOCABULARY - 1),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_feed_logits(session, tokens, 1, logits, 0), MINIMAX_INVALID_ARGUMENT);
  CHECK(logits[0] == 7777);
  CHECK_UNCHANGED(session, &mark);
}

static void prompts_are_refused(void) {
  minimax_prompt* prompt = NULL;
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  CHECK_OK(minimax_prompt_create(engine, &prompt));
  CHECK_FAILS(minimax_session_feed_prompt(session, prompt, &report), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_feed_prompt(session, NULL, &report), MINIMAX_INVALID_ARGUMENT);
  CHECK_OK(minimax_prompt_add_text(prompt, "a", 1, 0));
  CHECK_FAILS(minimax_session_feed_prompt(NULL, prompt, &report), MINIMAX_INVALID_ARGUMENT);
  report.struct_size = 0;
  CHECK_FAILS(minimax_session_feed_prompt(session, prompt, &report), MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(report.token_count, 0);
  CHECK_UNCHANGED(session, &mark);
  minimax_prompt_free(prompt);
}

static void questions_refuse(void) {
  int64_t position = 777;
  const float* logits = UNTOUCHED;
  size_t count = 777;
  minimax_session_stats stats;
  minimax_session_stats_init(&stats, sizeof stats);
  CHECK_FAILS(minimax_session_position(NULL, &position), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_position(session, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_logits(NULL, &logits, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_logits(session, NULL, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_get_stats(NULL, &stats), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_get_stats(session, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_cancel(NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_reset(NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK(position == 777 && (const void*)logits == UNTOUCHED && count == 777 && stats.position == 0);
  CHECK_UNCHANGED(session, &mark);
}

static void tokens_come_in_a_buffer(void) {
  int32_t fed[8] = {-7};
  size_t count = 777;
  CHECK_FAILS(minimax_session_tokens(NULL, 0, fed, 8, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_tokens(session, 0, NULL, 8, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_tokens(session, 0, fed, 8, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_tokens(session, -1, fed, 8, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_tokens(session, 6, fed, 8, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(count, 777);
  CHECK_EQ(minimax_session_tokens(session, 1, fed, 3, &count), MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(count, 4);
  CHECK_EQ(fed[0], -7);
  CHECK_OK(minimax_session_tokens(session, 1, fed, 4, &count));
  CHECK(count == 4 && memcmp(fed, tokens + 1, 4 * sizeof *fed) == 0);
  CHECK_OK(minimax_session_tokens(session, 5, NULL, 0, &count));
  CHECK_EQ(count, 0);
}

static void an_empty_session_has_no_logits(void) {
  minimax_session* empty = create_session(engine);
  const float* logits = UNTOUCHED;
  CHECK_FAILS(minimax_session_logits(empty, &logits, NULL), MINIMAX_NOT_AVAILABLE);
  CHECK((const void*)logits == UNTOUCHED);
  CHECK_OK(minimax_session_feed(empty, tokens, 1));
  CHECK_OK(minimax_session_logits(empty, &logits, NULL));
  CHECK_OK(minimax_session_reset(empty));
  CHECK_FAILS(minimax_session_logits(empty, &logits, NULL), MINIMAX_NOT_AVAILABLE);
  minimax_session_free(empty);
}

static void a_full_context_takes_no_more(void) {
  minimax_engine_options options;
  minimax_engine* small;
  minimax_session* full;
  static session_mark full_mark;
  int64_t position = 0;
  minimax_engine_options_init(&options, sizeof options);
  options.context_limit = 8;
  small = open_demo_with(&options);
  full = create_session(small);
  CHECK_FAILS(minimax_session_feed(full, tokens, 9), MINIMAX_CONTEXT_FULL);
  CHECK_OK(minimax_session_position(full, &position));
  CHECK_EQ(position, 0);
  CHECK_OK(minimax_session_feed(full, tokens, 8));
  take_mark(full, &full_mark);
  CHECK_FAILS(minimax_session_feed(full, tokens, 1), MINIMAX_CONTEXT_FULL);
  CHECK_UNCHANGED(full, &full_mark);
  CHECK_OK(minimax_session_reset(full));
  CHECK_OK(minimax_session_feed(full, tokens, 8));
  CHECK_UNCHANGED(full, &full_mark);
  minimax_session_free(full);
  minimax_engine_free(small);
}

static void a_limit_of_keys_and_values_holds(void) {
  minimax_engine_options options;
  minimax_engine* small;
  minimax_session* starved;
  int64_t position = 777;
  minimax_engine_options_init(&options, sizeof options);
  options.kv_bytes_limit = 1;
  small = open_demo_with(&options);
  starved = create_session(small);
  CHECK_FAILS(minimax_session_feed(starved, tokens, 1), MINIMAX_CONTEXT_FULL);
  CHECK_OK(minimax_session_position(starved, &position));
  CHECK_EQ(position, 0);
  minimax_session_free(starved);
  minimax_engine_free(small);
}

int main(void) {
  engine = open_demo();
  session = create_session(engine);
  fill_tokens(tokens, LONG);
  CHECK_OK(minimax_session_feed(session, tokens, 5));
  take_mark(session, &mark);
  create_refuses();
  feeds_refuse_tokens();
  feeds_refuse_null();
  logits_need_their_room();
  prompts_are_refused();
  questions_refuse();
  tokens_come_in_a_buffer();
  an_empty_session_has_no_logits();
  a_full_context_takes_no_more();
  a_limit_of_keys_and_values_holds();
  CHECK_UNCHANGED(session, &mark);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return 0;
}
