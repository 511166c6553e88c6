/* SPDX-License-Identifier: Apache-2.0
 * Handles are freed in any order, and an engine lives as long as anything that was made from it. */
#include "abi_fixture.h"

typedef struct family {
  minimax_engine* engine;
  minimax_session* session;
  minimax_prompt* prompt;
  minimax_sampler* sampler;
  minimax_text_stream* stream;
  minimax_image* image;
} family;

enum { MEMBERS = 6 };

static family create_family(void) {
  family f;
  f.engine = open_demo();
  f.session = create_session(f.engine);
  f.prompt = create_question(f.engine);
  f.sampler = create_greedy_sampler(f.engine);
  CHECK_OK(minimax_text_stream_create(f.engine, NULL, 0, &f.stream));
  f.image = create_picture(1);
  return f;
}

static void free_member(family* f, int member) {
  if (member == 0) minimax_engine_free(f->engine);
  if (member == 1) minimax_session_free(f->session);
  if (member == 2) minimax_prompt_free(f->prompt);
  if (member == 3) minimax_sampler_free(f->sampler);
  if (member == 4) minimax_text_stream_free(f->stream);
  if (member == 5) minimax_image_free(f->image);
}

static void null_is_freed(void) {
  family nobody = {NULL, NULL, NULL, NULL, NULL, NULL};
  for (int member = 0; member < MEMBERS; ++member) free_member(&nobody, member);
}

static void any_order_will_do(void) {
  for (int first = 0; first < MEMBERS; ++first) {
    family f = create_family();
    for (int i = 0; i < MEMBERS; ++i) free_member(&f, (first + i) % MEMBERS);
  }
}

/* Everything still works when the caller has let go of the engine. */
static void the_engine_outlives_its_handle(void) {
  minimax_generate_result result;
  const char* text;
  size_t size;
  int32_t token, stopped;
  family f = create_family();
  minimax_engine_free(f.engine);
  minimax_generate_result_init(&result, sizeof result);
  CHECK_OK(minimax_session_feed_prompt(f.session, f.prompt, NULL));
  CHECK_OK(minimax_sampler_sample(f.sampler, f.session, &token));
  CHECK_OK(minimax_text_stream_push(f.stream, token, &text, &size, &stopped));
  CHECK_OK(minimax_session_feed(f.session, &token, 1));
  CHECK_OK(minimax_session_generate(f.session, f.sampler, NULL, &result));
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_TOKEN);
  for (int member = 1; member < MEMBERS; ++member) free_member(&f, member);
}

/* A picture belongs to no engine; a prompt that was given it keeps it, and loads what it needs. */
static void a_picture_outlives_its_handle(void) {
  size_t count = 0;
  family f = create_family();
  CHECK_OK(minimax_prompt_clear(f.prompt));
  CHECK_OK(minimax_prompt_add_image(f.prompt, f.image));
  CHECK_OK(minimax_prompt_add_message(f.prompt, MINIMAX_ROLE_USER, NULL, "a", 1));
  minimax_image_free(f.image);
  minimax_engine_free(f.engine);
  CHECK_OK(minimax_session_feed_prompt(f.session, f.prompt, NULL));
  CHECK_OK(minimax_session_image_count(f.session, &count));
  CHECK_EQ(count, 1);
  for (int member = 1; member < 5; ++member) free_member(&f, member);
}

static void a_picture_outlives_all_engines(void) {
  int64_t width = 0;
  family f = create_family();
  CHECK_OK(minimax_engine_encode_image(f.engine, f.image, NULL, NULL));
  for (int member = 0; member < 5; ++member) free_member(&f, member);
  CHECK_OK(minimax_image_size(f.image, &width, NULL));
  CHECK_EQ(width, PICTURE_SIDE);
  minimax_image_free(f.image);
}

/* What was counted for a session is given back. */
static void memory_is_given_back(void) {
  static const int32_t tokens[] = {1000, 1001, 1002};
  minimax_engine* engine = open_demo();
  minimax_engine_memory before, during, after;
  minimax_session* session;
  minimax_engine_memory_init(&before, sizeof before);
  minimax_engine_memory_init(&during, sizeof during);
  minimax_engine_memory_init(&after, sizeof after);
  CHECK_OK(minimax_engine_get_memory(engine, &before));
  CHECK_EQ(before.session_count, 0);
  session = create_session(engine);
  CHECK_OK(minimax_session_feed(session, tokens, 3));
  CHECK_OK(minimax_engine_get_memory(engine, &during));
  CHECK_EQ(during.session_count, 1);
  CHECK(during.session_bytes > 0 && during.kv_bytes > 0);
  minimax_session_free(session);
  CHECK_OK(minimax_engine_get_memory(engine, &after));
  CHECK_EQ(after.session_count, 0);
  CHECK_EQ(after.session_bytes, before.session_bytes);
  CHECK_EQ(after.kv_bytes, before.kv_bytes);
  minimax_engine_free(engine);
}

/* Who looks at logits too long sees those of later. */
static void logits_stay_where_they_are(void) {
  static const int32_t tokens[] = {1000, 1001, 1002};
  const float *first, *now;
  float old;
  minimax_snapshot* snapshot;
  family f = create_family();
  CHECK_OK(minimax_session_feed(f.session, tokens, 3));
  CHECK_OK(minimax_session_logits(f.session, &first, NULL));
  CHECK_OK(minimax_session_mark(f.session, &snapshot));
  old = first[0];
  CHECK_OK(minimax_session_feed(f.session, tokens, 2));
  CHECK_OK(minimax_session_logits(f.session, &now, NULL));
  CHECK(now == first && first[0] != old);
  CHECK_OK(minimax_session_reset(f.session));
  CHECK_OK(minimax_session_return_to(f.session, snapshot));
  CHECK_OK(minimax_session_logits(f.session, &now, NULL));
  CHECK(now == first && first[0] == old);
  minimax_snapshot_free(snapshot);
  for (int member = 0; member < MEMBERS; ++member) free_member(&f, member);
}

int main(void) {
  null_is_freed();
  any_order_will_do();
  the_engine_outlives_its_handle();
  a_picture_outlives_its_handle();
  a_picture_outlives_all_engines();
  memory_is_given_back();
  logits_stay_where_they_are();
  return 0;
}
