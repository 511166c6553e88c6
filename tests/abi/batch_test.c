/* SPDX-License-Identifier: Apache-2.0
 * Many sessions in one step: what the header says of requests, events, cancels, refusals and threads. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <time.h>

#include "abi_fixture.h"

enum { TEXT_ROOM = 4096, SESSIONS = 5 };

/* What the events of one request told; its `user`. */
typedef struct heard {
  int32_t last_kind, stop_reason, event_count, token_count;
  minimax_status status;
  uint64_t ticket;
  char text[TEXT_ROOM];
  size_t size;
} heard;

static minimax_engine* engine;

static minimax_batch* create_batch(int32_t own_thread, int32_t session_limit) {
  minimax_batch* batch = NULL;
  minimax_batch_options options;
  minimax_batch_options_init(&options, sizeof options);
  options.own_thread = own_thread;
  options.session_limit = session_limit;
  CHECK_OK(minimax_batch_create(engine, &options, &batch));
  CHECK(batch != NULL);
  return batch;
}

static uint64_t submit_prompt(minimax_batch* batch, minimax_session* session,
                              const minimax_prompt* prompt, heard* user) {
  uint64_t ticket = 0;
  minimax_batch_request request;
  minimax_batch_request_init(&request, sizeof request);
  request.prompt = prompt;
  request.user = user;
  CHECK_OK(minimax_batch_submit(batch, session, &request, &ticket));
  CHECK(ticket > 0);
  return ticket;
}

/* 1 when a ticket has ended, 0 when there is no event, else -1. */
static int listen_once(minimax_batch* batch) {
  minimax_batch_event event;
  minimax_batch_event_init(&event, sizeof event);
  CHECK_OK(minimax_batch_next_event(batch, &event));
  if (event.kind == MINIMAX_EVENT_NONE) return 0;
  heard* h = event.user;
  CHECK(h->last_kind < MINIMAX_EVENT_FINISHED); /* none comes after the last */
  CHECK(h->ticket == 0 || h->ticket == event.ticket);
  CHECK((event.kind == MINIMAX_EVENT_TOKEN) == (event.token >= 0));
  CHECK(strlen(event.message) == event.message_size);
  CHECK(h->size + event.text_size < TEXT_ROOM);
  memcpy(h->text + h->size, event.text, event.text_size);
  h->size += event.text_size;
  h->ticket = event.ticket;
  h->last_kind = event.kind;
  h->stop_reason = event.stop_reason;
  h->status = event.status;
  h->event_count += 1;
  h->token_count += event.kind == MINIMAX_EVENT_TOKEN ? 1 : 0;
  return event.kind >= MINIMAX_EVENT_FINISHED ? 1 : -1;
}

static void finish(minimax_batch* batch, int open_count) {
  while (open_count > 0) {
    const int found = listen_once(batch);
    if (found == 0) CHECK_OK(minimax_batch_step(batch, 1000));
    if (found == 1) --open_count;
  }
}

static void texts_are_those_of_solo_runs(int32_t own_thread) {
  static const char* const questions[SESSIONS] = {DEMO_QUESTION, "What is the capital of Peru?",
                                                  "Hello!", "What is 2 + 3?", "Who are you?"};
  static heard alone[SESSIONS], together[SESSIONS];
  minimax_session* sessions[SESSIONS];
  minimax_batch* batch = create_batch(own_thread, 3);
  memset(alone, 0, sizeof alone);
  memset(together, 0, sizeof together);
  for (int i = 0; i < SESSIONS; ++i) {
    minimax_prompt* prompt = NULL;
    minimax_batch* of_one = create_batch(0, 0);
    CHECK_OK(minimax_prompt_create(engine, &prompt));
    CHECK_OK(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, questions[i],
                                        MINIMAX_TEXT_END));
    CHECK_OK(minimax_prompt_begin_reply(prompt));
    sessions[i] = create_session(engine);
    submit_prompt(of_one, sessions[i], prompt, &alone[i]);
    finish(of_one, 1);
    minimax_batch_free(of_one);
    CHECK_OK(minimax_session_reset(sessions[i]));
    submit_prompt(batch, sessions[i], prompt, &together[i]);
    minimax_prompt_free(prompt);
  }
  finish(batch, SESSIONS);
  for (int i = 0; i < SESSIONS; ++i) {
    CHECK_TEXT(together[i].text, alone[i].text);
    CHECK_EQ(together[i].token_count, alone[i].token_count);
    CHECK_EQ(together[i].stop_reason, MINIMAX_STOP_TOKEN);
    minimax_session_free(sessions[i]);
  }
  CHECK_TEXT(together[0].text, DEMO_ANSWER);
  minimax_batch_free(batch);
}

/* Every other call with the session, named with the ticket; nothing of it is touched. */
static void a_session_in_a_batch_is_refused(void) {
  static heard told;
  minimax_batch* batch = create_batch(0, 0);
  minimax_batch* other = create_batch(0, 0);
  minimax_session* session = create_session(engine);
  minimax_session* out_session = UNTOUCHED;
  minimax_snapshot* out_snapshot = UNTOUCHED;
  minimax_sampler* sampler = create_greedy_sampler(engine);
  minimax_prompt* prompt = create_question(engine);
  minimax_batch_request request;
  minimax_session_stats stats;
  const float* logits = UNTOUCHED;
  int32_t token = 1000, tokens[4];
  int64_t position = 7;
  size_t count = 7;
  uint64_t ticket = 0, second = 7;
  minimax_session_stats_init(&stats, sizeof stats);
  minimax_batch_request_init(&request, sizeof request);
  request.prompt = prompt;
  request.sampler = sampler;
  request.user = &told;
  CHECK_OK(minimax_batch_submit(batch, session, &request, &ticket));
  CHECK_OK(minimax_batch_step(batch, 0));
#define CHECK_LENT(call)                          \
  do {                                            \
    CHECK_FAILS(call, MINIMAX_NOT_AVAILABLE);     \
    CHECK_SAYS("in a batch until ticket 1 ends"); \
  } while (0)
  CHECK_LENT(minimax_session_feed(session, &token, 1));
  CHECK_LENT(minimax_session_feed_prompt(session, prompt, NULL));
  CHECK_LENT(minimax_session_rewind(session, 1));
  CHECK_LENT(minimax_session_reset(session));
  CHECK_LENT(minimax_session_mark(session, &out_snapshot));
  CHECK_LENT(minimax_session_fork(session, &out_session));
  CHECK_LENT(minimax_session_position(session, &position));
  CHECK_LENT(minimax_session_tokens(session, 0, tokens, 4, &count));
  CHECK_LENT(minimax_session_logits(session, &logits, NULL));
  CHECK_LENT(minimax_session_get_stats(session, &stats));
  CHECK_LENT(minimax_session_image_count(session, &count));
  CHECK_LENT(minimax_session_generate(session, NULL, NULL, NULL));
  CHECK_LENT(minimax_sampler_reset(sampler));
  CHECK_LENT(minimax_sampler_accept(sampler, token));
  CHECK_LENT(minimax_sampler_sample(sampler, session, &token));
  CHECK_LENT(minimax_batch_submit(batch, session, &request, &second));
  CHECK_LENT(minimax_batch_submit(other, session, &request, &second));
  CHECK(out_session == UNTOUCHED && out_snapshot == UNTOUCHED && logits == UNTOUCHED);
  CHECK(position == 7 && count == 7 && second == 7 && token == 1000);
  finish(batch, 1);
  CHECK_TEXT(told.text, DEMO_ANSWER);
  CHECK_OK(minimax_session_position(session, &position));
  CHECK_OK(minimax_sampler_reset(sampler));
  minimax_batch_free(other);
  minimax_batch_free(batch);
  minimax_sampler_free(sampler);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
}

/* In any order, in the middle of an answer. */
static void handles_may_be_freed_meanwhile(void) {
  static heard told[2];
  minimax_engine* own = open_demo_uncached();
  minimax_session* session = create_session(own);
  minimax_session* freed = create_session(own);
  minimax_sampler* sampler = create_greedy_sampler(own);
  minimax_prompt* prompt = create_question(own);
  minimax_batch* batch = NULL;
  minimax_batch_request request;
  uint64_t tickets[2];
  int64_t position = 0;
  CHECK_OK(minimax_batch_create(own, NULL, &batch));
  minimax_engine_free(own);
  minimax_batch_request_init(&request, sizeof request);
  request.prompt = prompt;
  request.sampler = sampler;
  request.user = &told[0];
  CHECK_OK(minimax_batch_submit(batch, session, &request, &tickets[0]));
  request.sampler = NULL;
  request.user = &told[1];
  CHECK_OK(minimax_batch_submit(batch, freed, &request, &tickets[1]));
  CHECK_OK(minimax_batch_step(batch, 0));
  CHECK_OK(minimax_batch_step(batch, 0));
  minimax_sampler_free(sampler);
  minimax_prompt_free(prompt);
  minimax_session_free(freed);
  CHECK_FAILS(minimax_batch_cancel(batch, tickets[1]), MINIMAX_NOT_FOUND);
  finish(batch, 2);
  CHECK_EQ(told[1].last_kind, MINIMAX_EVENT_CANCELLED);
  CHECK_TEXT(told[0].text, DEMO_ANSWER);
  CHECK_OK(minimax_batch_submit(
      batch, session, &(minimax_batch_request){.struct_size = sizeof request}, &tickets[0]));
  CHECK_OK(minimax_batch_step(batch, 0));
  minimax_batch_free(batch); /* gives the session back */
  CHECK_OK(minimax_session_position(session, &position));
  minimax_session_free(session);
  minimax_batch_free(NULL);
}

static void stop_strings_and_limits_end_answers(void) {
  static heard told[3];
  static const char* const stops[] = {" France"};
  minimax_batch* batch = create_batch(0, 0);
  minimax_prompt* prompt = create_question(engine);
  minimax_session* sessions[3];
  minimax_generate_options generate;
  minimax_batch_request request;
  uint64_t ticket = 0;
  for (int i = 0; i < 3; ++i) {
    sessions[i] = create_session(engine);
    minimax_generate_options_init(&generate, sizeof generate);
    minimax_batch_request_init(&request, sizeof request);
    if (i == 0) {
      generate.stop_strings = stops;
      generate.stop_string_count = 1;
    }
    if (i == 1) generate.max_tokens = 3;
    request.prompt = prompt;
    request.generate = i == 2 ? NULL : &generate;
    request.feeds_only = i == 2;
    request.user = &told[i];
    CHECK_OK(minimax_batch_submit(batch, sessions[i], &request, &ticket));
  }
  finish(batch, 3);
  CHECK_EQ(told[0].stop_reason, MINIMAX_STOP_STRING);
  CHECK_TEXT(told[0].text, "The capital of");
  CHECK_EQ(told[1].stop_reason, MINIMAX_STOP_MAX_TOKENS);
  CHECK_EQ(told[1].token_count, 3);
  CHECK_EQ(told[2].event_count, 2); /* started, finished */
  CHECK_EQ(told[2].stop_reason, 0);
  for (int i = 0; i < 3; ++i) minimax_session_free(sessions[i]);
  minimax_prompt_free(prompt);
  minimax_batch_free(batch);
}

/* The picture's answer alone and beside others, and the half of a cancelled prompt that was fed. */
static void pictures_come_along(void) {
  static heard told[3];
  minimax_engine_options options;
  minimax_prompt* prompt = NULL;
  minimax_session* sessions[3];
  minimax_batch* batch = NULL;
  minimax_batch_request request;
  minimax_batch_event event;
  uint64_t ticket = 0;
  size_t count = 0;
  minimax_engine_options_init(&options, sizeof options);
  options.prefix_cache_bytes_limit = -1; /* each prompt is computed */
  options.chunk_tokens = 64;
  minimax_engine* careful = open_demo_with(&options);
  CHECK_OK(minimax_prompt_create(careful, &prompt));
  add_picture(prompt, 9);
  CHECK_OK(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "What do you see?",
                                      MINIMAX_TEXT_END));
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  CHECK_OK(minimax_batch_create(careful, NULL, &batch));
  for (int i = 0; i < 3; ++i) sessions[i] = create_session(careful);
  submit_prompt(batch, sessions[0], prompt, &told[0]);
  finish(batch, 1);

  ticket = submit_prompt(batch, sessions[1], prompt, &told[1]);
  for (int i = 0; i < 2; ++i) CHECK_OK(minimax_batch_step(batch, 0)); /* the picture; two chunks */
  CHECK_OK(minimax_batch_cancel(batch, ticket));
  minimax_batch_event_init(&event, sizeof event);
  do CHECK_OK(minimax_batch_next_event(batch, &event));
  while (event.kind != MINIMAX_EVENT_CANCELLED);
  CHECK(event.fed_tokens > 0 && event.fed_tokens < PICTURE_TOKENS);
  CHECK_EQ(event.images_reused, 1);
  CHECK_EQ(event.token_count, 0);

  minimax_batch_request_init(&request, sizeof request);
  request.prompt = prompt;
  request.prompt_first_token = (size_t)event.fed_tokens;
  request.user = &told[2];
  CHECK_OK(minimax_batch_submit(batch, sessions[1], &request, &ticket));
  finish(batch, 1);
  CHECK_TEXT(told[2].text, told[0].text);
  CHECK_OK(minimax_session_image_count(sessions[1], &count));
  CHECK_EQ(count, 1);
  for (int i = 0; i < 3; ++i) minimax_session_free(sessions[i]);
  minimax_batch_free(batch);
  minimax_prompt_free(prompt);
  minimax_engine_free(careful);
}

static void requests_fail_alone(void) {
  static heard told[2];
  minimax_logit_bias bias[DEMO_VOCABULARY];
  minimax_sampler_options options;
  minimax_sampler* forbidding = NULL;
  minimax_batch* batch = create_batch(0, 0);
  minimax_session* sessions[2] = {create_session(engine), create_session(engine)};
  minimax_prompt* prompt = create_question(engine);
  minimax_batch_request request;
  minimax_batch_stats stats;
  uint64_t ticket = 0;
  int64_t position = 0;
  for (int32_t i = 0; i < DEMO_VOCABULARY; ++i) {
    bias[i].token = i;
    bias[i].bias = -1.0f / 0.0f;
  }
  minimax_sampler_options_init(&options, sizeof options);
  options.logit_bias = bias;
  options.logit_bias_count = DEMO_VOCABULARY;
  CHECK_OK(minimax_sampler_create(engine, &options, &forbidding));
  minimax_batch_request_init(&request, sizeof request);
  request.prompt = prompt;
  request.sampler = forbidding;
  request.user = &told[0];
  CHECK_OK(minimax_batch_submit(batch, sessions[0], &request, &ticket));
  submit_prompt(batch, sessions[1], prompt, &told[1]);
  finish(batch, 2);
  CHECK_EQ(told[0].last_kind, MINIMAX_EVENT_FAILED);
  CHECK_EQ(told[0].status, MINIMAX_INVALID_ARGUMENT);
  CHECK_TEXT(told[1].text, DEMO_ANSWER);
  CHECK_OK(minimax_session_position(sessions[0], &position));
  CHECK(position > 0);
  minimax_batch_stats_init(&stats, sizeof stats);
  CHECK_OK(minimax_batch_get_stats(batch, &stats));
  CHECK_EQ(stats.submitted_count, 2);
  CHECK_EQ(stats.failed_count, 1);
  CHECK_EQ(stats.finished_count, 1);
  CHECK_EQ(stats.waiting_count + stats.feeding_count + stats.answering_count, 0);
  CHECK_EQ(stats.most_sessions, 2);
  minimax_batch_free(batch);
  minimax_sampler_free(forbidding);
  minimax_prompt_free(prompt);
  for (int i = 0; i < 2; ++i) minimax_session_free(sessions[i]);
}

static int32_t never_called(void* user, int32_t token) {
  (void)user;
  (void)token;
  CHECK(0);
  return 1;
}

static void mistakes_are_refused(void) {
  minimax_batch* batch = create_batch(0, 0);
  minimax_batch* out_batch = UNTOUCHED;
  minimax_session* session = create_session(engine);
  minimax_prompt* prompt = create_question(engine);
  minimax_engine* other_engine = open_demo_uncached();
  minimax_session* stranger = create_session(other_engine);
  minimax_sampler* strange_sampler = create_greedy_sampler(other_engine);
  minimax_prompt* strange_prompt = create_question(other_engine);
  minimax_batch_options options;
  minimax_batch_request request;
  minimax_batch_event event;
  minimax_batch_stats stats;
  minimax_generate_options generate;
  const int32_t token = 1000, impossible = DEMO_VOCABULARY;
  uint64_t ticket = 7;
  minimax_batch_event_init(&event, sizeof event);
  minimax_batch_stats_init(&stats, sizeof stats);
  minimax_generate_options_init(&generate, sizeof generate);

  CHECK_FAILS(minimax_batch_create(NULL, NULL, &out_batch), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_create(engine, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
#define CHECK_OPTION(field, value)                                                             \
  do {                                                                                         \
    minimax_batch_options_init(&options, sizeof options);                                      \
    options.field = (value);                                                                   \
    CHECK_FAILS(minimax_batch_create(engine, &options, &out_batch), MINIMAX_INVALID_ARGUMENT); \
    CHECK_SAYS(#field);                                                                        \
  } while (0)
  CHECK_OPTION(own_thread, 2);
  CHECK_OPTION(session_limit, -1);
  CHECK_OPTION(session_limit, 100000);
  CHECK_OPTION(step_tokens, -1);
  CHECK_OPTION(step_tokens, 100000);
  CHECK(out_batch == UNTOUCHED);

  minimax_batch_request_init(&request, sizeof request);
  request.prompt = prompt;
  CHECK_FAILS(minimax_batch_submit(NULL, session, &request, &ticket), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_submit(batch, NULL, &request, &ticket), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_submit(batch, session, NULL, &ticket), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_submit(batch, session, &request, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_submit(batch, stranger, &request, &ticket), MINIMAX_WRONG_MODEL);
#define CHECK_REQUEST(status, ...)                                                \
  do {                                                                            \
    minimax_batch_request_init(&request, sizeof request);                         \
    __VA_ARGS__;                                                                  \
    CHECK_FAILS(minimax_batch_submit(batch, session, &request, &ticket), status); \
  } while (0)
  CHECK_REQUEST(MINIMAX_NOT_AVAILABLE, (void)0);
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.feeds_only = 1);
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.prompt = prompt; request.feeds_only = 2);
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.prompt = prompt; request.feeds_only = 1;
                request.generate = &generate);
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.prompt = prompt; request.tokens = &token;
                request.token_count = 1);
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.token_count = 1);
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.tokens = &impossible; request.token_count = 1);
  CHECK_SAYS("tokens[0] is 8192");
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.prompt = prompt;
                request.prompt_first_token = 100000);
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.tokens = &token; request.token_count = 1;
                request.prompt_first_token = 1);
  CHECK_REQUEST(MINIMAX_INVALID_ARGUMENT, request.prompt = prompt; request.priority = 101);
  CHECK_REQUEST(MINIMAX_WRONG_MODEL, request.prompt = strange_prompt);
  CHECK_REQUEST(MINIMAX_WRONG_MODEL, request.prompt = prompt; request.sampler = strange_sampler);
  generate.on_token = never_called;
  CHECK_REQUEST(MINIMAX_UNSUPPORTED, request.prompt = prompt; request.generate = &generate);
  CHECK_SAYS("on_token");
  CHECK_EQ(ticket, 7);

  CHECK_FAILS(minimax_batch_step(NULL, 0), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_step(batch, -2), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_next_event(NULL, &event), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_next_event(batch, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_cancel(NULL, 1), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_cancel(batch, 1), MINIMAX_NOT_FOUND);
  CHECK_FAILS(minimax_batch_get_stats(NULL, &stats), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_batch_get_stats(batch, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_OK(minimax_batch_step(batch, 1)); /* nothing to do */
  CHECK_OK(minimax_batch_next_event(batch, &event));
  CHECK_EQ(event.kind, MINIMAX_EVENT_NONE);
  CHECK_OK(minimax_session_feed(session, &token, 1)); /* nobody has kept it */

  minimax_session_free(session);
  minimax_session_free(stranger);
  minimax_prompt_free(prompt);
  minimax_prompt_free(strange_prompt);
  minimax_sampler_free(strange_sampler);
  minimax_engine_free(other_engine);
  minimax_batch_free(batch);
}

typedef struct client {
  pthread_t thread;
  minimax_batch* batch;
  heard told[8];
} client;

/* Hands over, cancels and frees from another thread than the one that listens. */
static void* use_batch(void* user) {
  client* c = user;
  const struct timespec moment = {0, 3000000};
  minimax_prompt* prompt = create_question(engine);
  for (int round = 0; round < 8; ++round) {
    minimax_session* session = create_session(engine);
    const uint64_t ticket = submit_prompt(c->batch, session, prompt, &c->told[round]);
    nanosleep(&moment, NULL);
    if (round % 4 == 1) {
      const minimax_status status = minimax_batch_cancel(c->batch, ticket);
      CHECK(status == MINIMAX_OK || status == MINIMAX_NOT_FOUND);
    }
    if (round % 4 == 2) CHECK_OK(minimax_session_cancel(session));
    if (round % 4 == 3) {
      int64_t position = 0;
      while (minimax_session_position(session, &position) == MINIMAX_NOT_AVAILABLE) {
        nanosleep(&moment, NULL);
      }
    }
    minimax_session_free(session);
  }
  minimax_prompt_free(prompt);
  return NULL;
}

static void several_threads_share_a_batch(void) {
  static client clients[3];
  minimax_batch* batch = create_batch(1, 4);
  for (int i = 0; i < 3; ++i) {
    clients[i].batch = batch;
    CHECK(pthread_create(&clients[i].thread, NULL, use_batch, &clients[i]) == 0);
  }
  finish(batch, 3 * 8);
  for (int i = 0; i < 3; ++i) {
    CHECK(pthread_join(clients[i].thread, NULL) == 0);
    for (int round = 0; round < 8; ++round) {
      const heard* told = &clients[i].told[round];
      CHECK(told->last_kind >= MINIMAX_EVENT_FINISHED && told->last_kind != MINIMAX_EVENT_FAILED);
      CHECK(strncmp(told->text, DEMO_ANSWER, told->size) == 0);
      if (round % 4 == 3) CHECK_TEXT(told->text, DEMO_ANSWER);
    }
  }
  minimax_batch_free(batch);
}

int main(void) {
  engine = open_demo_uncached();
  texts_are_those_of_solo_runs(0);
  texts_are_those_of_solo_runs(1);
  a_session_in_a_batch_is_refused();
  handles_may_be_freed_meanwhile();
  stop_strings_and_limits_end_answers();
  pictures_come_along();
  requests_fail_alone();
  mistakes_are_refused();
  several_threads_share_a_batch();
  minimax_engine_free(engine);
  return 0;
}
