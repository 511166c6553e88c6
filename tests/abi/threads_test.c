/* SPDX-License-Identifier: Apache-2.0
 * What the header says of threads: whose sentence an error is, who may cancel, who may share. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "abi_fixture.h"

enum { LONG = 8000, CHUNK = 16 };

static minimax_engine* engine;

static void* fail_elsewhere(void* out_sentence) {
  char* sentence = out_sentence;
  CHECK_TEXT(minimax_last_error(), ""); /* this thread has not failed yet */
  CHECK_FAILS(minimax_engine_open("no_such_model", NULL, (minimax_engine**)UNTOUCHED),
              MINIMAX_NOT_FOUND);
  snprintf(sentence, 256, "%s", minimax_last_error());
  return NULL;
}

static void each_thread_has_its_own_sentence(void) {
  char here[256], there[256];
  pthread_t thread;
  CHECK_FAILS(minimax_device_count(NULL), MINIMAX_INVALID_ARGUMENT);
  snprintf(here, sizeof here, "%s", minimax_last_error());
  CHECK(pthread_create(&thread, NULL, fail_elsewhere, there) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_TEXT(minimax_last_error(), here);
  CHECK(strcmp(here, there) != 0);
}

/* Cancels every millisecond until told that the work has ended. */
typedef struct canceller {
  pthread_t thread;
  pthread_mutex_t lock;
  minimax_session* session;
  int has_ended;
} canceller;

static int has_ended(canceller* c) {
  pthread_mutex_lock(&c->lock);
  const int ended = c->has_ended;
  pthread_mutex_unlock(&c->lock);
  return ended;
}

static void* keep_cancelling(void* user) {
  canceller* c = user;
  const struct timespec moment = {0, 1000000};
  while (!has_ended(c)) {
    nanosleep(&moment, NULL);
    CHECK_OK(minimax_session_cancel(c->session));
  }
  return NULL;
}

static void start_cancelling(canceller* c, minimax_session* session) {
  c->session = session;
  c->has_ended = 0;
  pthread_mutex_init(&c->lock, NULL);
  CHECK(pthread_create(&c->thread, NULL, keep_cancelling, c) == 0);
}

static void end_cancelling(canceller* c) {
  pthread_mutex_lock(&c->lock);
  c->has_ended = 1;
  pthread_mutex_unlock(&c->lock);
  CHECK(pthread_join(c->thread, NULL) == 0);
}

static int64_t position_of(const minimax_session* session) {
  int64_t position = -1;
  CHECK_OK(minimax_session_position(session, &position));
  return position;
}

static void a_feed_is_cancelled_between_chunks(minimax_session* session, const int32_t* tokens) {
  canceller c;
  const float* logits = NULL;
  start_cancelling(&c, session);
  CHECK_FAILS(minimax_session_feed(session, tokens, LONG), MINIMAX_CANCELLED);
  end_cancelling(&c);
  const int64_t position = position_of(session);
  CHECK(position < LONG);
  CHECK_EQ(position % CHUNK, 0);
  CHECK_FAILS(minimax_session_logits(session, &logits, NULL), MINIMAX_NOT_AVAILABLE);
}

static void logits_at(minimax_session* session, float* out_logits) {
  const float* logits = NULL;
  CHECK_OK(minimax_session_logits(session, &logits, NULL));
  memcpy(out_logits, logits, DEMO_VOCABULARY * sizeof(float));
}

/* The half that was fed counts: the rest may follow, as if nothing had happened. */
static void a_cancelled_feed_goes_on(minimax_session* session, const int32_t* tokens) {
  static float resumed[DEMO_VOCABULARY], expected[DEMO_VOCABULARY];
  const size_t position = (size_t)position_of(session), end = position + 5 * CHUNK;
  CHECK_OK(minimax_session_cancel(session)); /* nothing runs: nothing happens */
  CHECK_OK(minimax_session_feed(session, tokens + position, end - position));
  logits_at(session, resumed);
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed(session, tokens, end));
  logits_at(session, expected);
  for (size_t i = 0; i < DEMO_VOCABULARY; ++i) {
    const float difference = resumed[i] - expected[i];
    CHECK(difference < 1e-3f && difference > -1e-3f);
  }
}

static void an_answer_is_cancelled_with_what_there_is(minimax_session* session,
                                                      const int32_t* tokens) {
  canceller c;
  minimax_generate_options options;
  minimax_generate_result result;
  minimax_generate_options_init(&options, sizeof options);
  minimax_generate_result_init(&result, sizeof result);
  options.ignore_stop_token = 1;
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed(session, tokens, CHUNK));
  start_cancelling(&c, session);
  CHECK_FAILS(minimax_session_generate(session, NULL, &options, &result), MINIMAX_CANCELLED);
  end_cancelling(&c);
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_CANCELLED);
  CHECK_EQ(position_of(session), CHUNK + (int64_t)result.token_count);
}

static minimax_session* interrupted_session;

static void on_alarm(int number) {
  (void)number;
  minimax_session_cancel(interrupted_session);
}

static void a_signal_handler_may_cancel(minimax_session* session, const int32_t* tokens) {
  const struct itimerspec soon = {{0, 5000000}, {0, 5000000}}, never = {{0, 0}, {0, 0}};
  struct sigaction action;
  timer_t timer;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  interrupted_session = session;
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  CHECK(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
  CHECK_OK(minimax_session_reset(session));
  CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
  CHECK_FAILS(minimax_session_feed(session, tokens, LONG), MINIMAX_CANCELLED);
  CHECK(timer_settime(timer, 0, &never, NULL) == 0);
  CHECK(timer_delete(timer) == 0);
  CHECK(position_of(session) < LONG);
}

/* Pictures and their question, in a prompt of several chunks. */
static minimax_prompt* create_picture_prompt(const minimax_engine* of, uint8_t shade) {
  minimax_prompt* prompt = NULL;
  CHECK_OK(minimax_prompt_create(of, &prompt));
  add_picture(prompt, shade);
  add_picture(prompt, (uint8_t)(shade + 1));
  CHECK_OK(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "Look!", 5));
  return prompt;
}

/* Whether it came while a picture was encoded or later, what was fed counts, and the rest may follow. */
static void a_cancelled_picture_goes_on(minimax_session* session, const minimax_prompt* prompt) {
  static session_mark expected;
  canceller c;
  size_t count = 0;
  minimax_image_span span;
  minimax_image_span_init(&span, sizeof span);
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed_prompt(session, prompt, NULL));
  take_mark(session, &expected);
  CHECK_OK(minimax_session_reset(session));
  int cancels = 0;
  start_cancelling(&c, session);
  while (position_of(session) < expected.position && cancels < 3) {
    const size_t first = (size_t)position_of(session);
    const minimax_status status = minimax_session_feed_prompt_from(session, prompt, first, NULL);
    CHECK(status == MINIMAX_OK || status == MINIMAX_CANCELLED);
    cancels += status == MINIMAX_CANCELLED ? 1 : 0;
    CHECK(position_of(session) == expected.position || position_of(session) % CHUNK == 0);
  }
  end_cancelling(&c);
  const size_t first = (size_t)position_of(session);
  CHECK(cancels > 0);
  if ((int64_t)first < expected.position) {
    CHECK_OK(minimax_session_feed_prompt_from(session, prompt, first, NULL));
  }
  CHECK_UNCHANGED(session, &expected);
  CHECK_OK(minimax_session_image_count(session, &count));
  CHECK_EQ(count, 2);
  for (size_t i = 0; i < count; ++i) {
    CHECK_OK(minimax_session_get_image_span(session, i, &span));
    CHECK_EQ(span.token_count, PICTURE_TOKENS);
  }
}

static void cancelling_works(void) {
  static int32_t tokens[LONG];
  minimax_engine_options options;
  minimax_engine* careful;
  minimax_session* session;
  minimax_prompt* prompt;
  minimax_engine_options_init(&options, sizeof options);
  options.prefix_cache_bytes_limit = -1; /* each prompt is computed */
  options.chunk_tokens = CHUNK;
  careful = open_demo_with(&options);
  session = create_session(careful);
  fill_tokens(tokens, LONG);
  a_feed_is_cancelled_between_chunks(session, tokens);
  a_cancelled_feed_goes_on(session, tokens);
  an_answer_is_cancelled_with_what_there_is(session, tokens);
  a_signal_handler_may_cancel(session, tokens);
  prompt = create_picture_prompt(careful, 1);
  a_cancelled_picture_goes_on(session, prompt);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(careful);
}

typedef struct guest {
  pthread_t thread;
  int clears;
  float logits[DEMO_VOCABULARY];
} guest;

static void* use_shared_engine(void* user) {
  guest* g = user;
  int32_t ids[4];
  size_t count = 0;
  minimax_session* session = create_session(engine);
  for (int round = 0; round < 3; ++round) {
    CHECK_OK(minimax_engine_tokenize(engine, "Hello", MINIMAX_TEXT_END, 0, ids, 4, &count));
    CHECK_OK(minimax_session_reset(session));
    CHECK_OK(minimax_session_feed(session, ids, count));
  }
  logits_at(session, g->logits);
  minimax_session_free(session);
  return NULL;
}

static void threads_share_an_engine(void* (*use)(void* guest)) {
  static guest guests[4];
  guests[3].clears = 1;
  for (size_t i = 0; i < 4; ++i) {
    CHECK(pthread_create(&guests[i].thread, NULL, use, &guests[i]) == 0);
  }
  for (size_t i = 0; i < 4; ++i) CHECK(pthread_join(guests[i].thread, NULL) == 0);
  for (size_t i = 1; i < 4; ++i) {
    CHECK(memcmp(guests[0].logits, guests[i].logits, sizeof guests[0].logits) == 0);
  }
}

/* The same pictures from several threads, with one of them clearing the cache. */
static void* look_at_pictures(void* user) {
  guest* g = user;
  minimax_session* session = create_session(engine);
  for (int round = 0; round < 3; ++round) {
    minimax_prompt* prompt = create_picture_prompt(engine, 40);
    CHECK_OK(minimax_session_reset(session));
    CHECK_OK(minimax_session_feed_prompt(session, prompt, NULL));
    if (g->clears) CHECK_OK(minimax_engine_clear_image_cache(engine));
    minimax_prompt_free(prompt);
  }
  logits_at(session, g->logits);
  minimax_session_free(session);
  return NULL;
}

int main(void) {
  engine = open_demo_uncached();
  each_thread_has_its_own_sentence();
  cancelling_works();
  threads_share_an_engine(use_shared_engine);
  threads_share_an_engine(look_at_pictures);
  minimax_engine_free(engine);
  return 0;
}
