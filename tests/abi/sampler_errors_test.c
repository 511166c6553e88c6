/* SPDX-License-Identifier: Apache-2.0
 * Section 6 of the header: options that no sampler takes, and questions that it cannot answer. */
#include <math.h>

#include "abi_fixture.h"

static minimax_engine* engine;
static minimax_sampler_options options; /* fresh for every check; each changes one field */

static void check_refused(int line) {
  minimax_sampler* sampler = UNTOUCHED;
  check_call(__FILE__, line, "minimax_sampler_create",
             minimax_sampler_create(engine, &options, &sampler), MINIMAX_INVALID_ARGUMENT,
             MINIMAX_INVALID_ARGUMENT);
  CHECK(sampler == UNTOUCHED);
  minimax_sampler_options_init(&options, sizeof options);
}

static void check_taken(int line) {
  minimax_sampler* sampler = NULL;
  check_call(__FILE__, line, "minimax_sampler_create",
             minimax_sampler_create(engine, &options, &sampler), MINIMAX_OK, MINIMAX_OK);
  minimax_sampler_free(sampler);
  minimax_sampler_options_init(&options, sizeof options);
}

#define REFUSES(field, value) (options.field = (value), check_refused(__LINE__))
#define TAKES(field, value) (options.field = (value), check_taken(__LINE__))
#define TAKES_FROM_TO(field, least, most, step)                               \
  (TAKES(field, least), TAKES(field, most), REFUSES(field, (least) - (step)), \
   REFUSES(field, (most) + (step)))
#define REFUSES_NON_NUMBERS(field) \
  (REFUSES(field, NAN), REFUSES(field, INFINITY), REFUSES(field, -INFINITY))

static void ranges_are_kept(void) {
  TAKES_FROM_TO(temperature, 0.0f, 100.0f, 0.25f);
  TAKES_FROM_TO(top_p, 0.0f, 1.0f, 0.25f);
  TAKES_FROM_TO(min_p, 0.0f, 1.0f, 0.25f);
  TAKES_FROM_TO(repetition_penalty, 0.0f, 100.0f, 0.25f);
  TAKES_FROM_TO(presence_penalty, -100.0f, 100.0f, 0.25f);
  TAKES_FROM_TO(frequency_penalty, -100.0f, 100.0f, 0.25f);
  TAKES_FROM_TO(top_logprobs, 0, 256, 1);
  REFUSES(top_k, -1);
  TAKES(top_k, INT32_MAX);
  REFUSES(penalty_window, -1);
  TAKES(penalty_window, INT32_MAX);
}

static void what_is_no_number_is_refused(void) {
  REFUSES_NON_NUMBERS(temperature);
  REFUSES_NON_NUMBERS(top_p);
  REFUSES_NON_NUMBERS(min_p);
  REFUSES_NON_NUMBERS(repetition_penalty);
  REFUSES_NON_NUMBERS(presence_penalty);
  REFUSES_NON_NUMBERS(frequency_penalty);
}

static void check_bias(int line, int32_t token, float bias, int is_good) {
  minimax_logit_bias entries[2] = {{1000, 1.0f}, {0, 0.0f}};
  entries[1].token = token;
  entries[1].bias = bias;
  options.logit_bias = entries;
  options.logit_bias_count = 2;
  is_good ? check_taken(line) : check_refused(line);
}

static void biases_are_checked(void) {
  check_bias(__LINE__, 1001, -INFINITY, 1);
  check_bias(__LINE__, 1001, 3.0f, 1);
  check_bias(__LINE__, 1001, NAN, 0);
  check_bias(__LINE__, -1, 0, 0);
  check_bias(__LINE__, DEMO_VOCABULARY, 0, 0);
  options.logit_bias_count = 1;
  check_refused(__LINE__); /* with no entries */
}

static void null_pointers(minimax_sampler* sampler, const minimax_session* session) {
  const minimax_status invalid = MINIMAX_INVALID_ARGUMENT;
  minimax_sampler* none = UNTOUCHED;
  int32_t token = 777;
  size_t count = 777;
  CHECK_FAILS(minimax_sampler_create(NULL, NULL, &none), invalid);
  CHECK_FAILS(minimax_sampler_create(engine, NULL, NULL), invalid);
  CHECK_FAILS(minimax_sampler_reset(NULL), invalid);
  CHECK_FAILS(minimax_sampler_sample(NULL, session, &token), invalid);
  CHECK_FAILS(minimax_sampler_sample(sampler, NULL, &token), invalid);
  CHECK_FAILS(minimax_sampler_sample(sampler, session, NULL), invalid);
  CHECK_FAILS(minimax_sampler_accept(NULL, 1000), invalid);
  CHECK_FAILS(minimax_sampler_accept(sampler, -1), invalid);
  CHECK_FAILS(minimax_sampler_accept(sampler, DEMO_VOCABULARY), invalid);
  CHECK_FAILS(minimax_sampler_logprobs(NULL, NULL, 0, &count), invalid);
  CHECK_FAILS(minimax_sampler_logprobs(sampler, NULL, 0, NULL), invalid);
  CHECK_FAILS(minimax_sampler_logprobs(sampler, NULL, 4, &count), invalid);
  CHECK(none == UNTOUCHED && token == 777 && count == 777);
}

static void nothing_to_draw_from(minimax_sampler* sampler) {
  minimax_session* empty = create_session(engine);
  int32_t token = 777;
  CHECK_FAILS(minimax_sampler_sample(sampler, empty, &token), MINIMAX_NOT_AVAILABLE);
  CHECK_EQ(token, 777);
  minimax_session_free(empty);
}

static void everything_forbidden(const minimax_session* session) {
  static minimax_logit_bias all[DEMO_VOCABULARY];
  minimax_sampler* sampler = NULL;
  int32_t token = 777;
  for (int32_t i = 0; i < DEMO_VOCABULARY; ++i) {
    all[i].token = i;
    all[i].bias = -INFINITY;
  }
  options.logit_bias = all;
  options.logit_bias_count = DEMO_VOCABULARY;
  CHECK_OK(minimax_sampler_create(engine, &options, &sampler));
  CHECK_FAILS(minimax_sampler_sample(sampler, session, &token), MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(token, 777);
  minimax_sampler_free(sampler);
  minimax_sampler_options_init(&options, sizeof options);
}

static void logprobs_say_how_many(const minimax_session* session) {
  minimax_token_logprob entries[8];
  minimax_sampler* sampler = NULL;
  int32_t token = 0;
  size_t count = 0;
  options.top_logprobs = 3;
  CHECK_OK(minimax_sampler_create(engine, &options, &sampler));
  CHECK_OK(minimax_sampler_sample(sampler, session, &token));
  entries[0].token = -7;
  CHECK_EQ(minimax_sampler_logprobs(sampler, entries, 3, &count), MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(count, 4); /* the drawn one and three */
  CHECK_EQ(entries[0].token, -7);
  CHECK_OK(minimax_sampler_logprobs(sampler, entries, 8, &count));
  CHECK_EQ(count, 4);
  CHECK_EQ(entries[0].token, token);
  CHECK_EQ(entries[1].token, token); /* greedy */
  CHECK(entries[1].logprob >= entries[2].logprob && entries[2].logprob >= entries[3].logprob);
  minimax_sampler_free(sampler);
  minimax_sampler_options_init(&options, sizeof options);
}

int main(void) {
  static session_mark mark;
  static const int32_t tokens[] = {1000, 1001, 1002};
  minimax_session* session;
  minimax_sampler* sampler;
  engine = open_demo();
  session = create_session(engine);
  sampler = create_greedy_sampler(engine);
  minimax_sampler_options_init(&options, sizeof options);
  CHECK_OK(minimax_session_feed(session, tokens, 3));
  take_mark(session, &mark);
  ranges_are_kept();
  what_is_no_number_is_refused();
  biases_are_checked();
  null_pointers(sampler, session);
  nothing_to_draw_from(sampler);
  everything_forbidden(session);
  logprobs_say_how_many(session);
  CHECK_UNCHANGED(session, &mark);
  minimax_sampler_free(sampler);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return 0;
}
