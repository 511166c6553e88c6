/* SPDX-License-Identifier: Apache-2.0
 * Handles that do not belong together, and engines without a tokenizer or eyes. */
#include "abi_fixture.h"

static minimax_engine *engine, *other; /* `other`: the same shapes, random weights, no tokenizer */
static minimax_engine* text_only;      /* no tokenizer and no vision tower */

static void a_prompt_of_another_engine(void) {
  static session_mark mark;
  static const int32_t token = 1000;
  minimax_session* session = create_session(other);
  minimax_prompt* prompt = create_question(engine);
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  CHECK_OK(minimax_session_feed(session, &token, 1));
  take_mark(session, &mark);
  CHECK_FAILS(minimax_session_feed_prompt(session, prompt, &report), MINIMAX_WRONG_MODEL);
  CHECK_EQ(report.token_count, 0);
  CHECK_UNCHANGED(session, &mark);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
}

static void the_same_model_opened_twice_is_another_engine(void) {
  minimax_engine* again = open_demo();
  minimax_session* session = create_session(again);
  minimax_prompt* prompt = create_question(engine);
  CHECK_FAILS(minimax_session_feed_prompt(session, prompt, NULL), MINIMAX_WRONG_MODEL);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(again);
}

/* Each engine encodes a picture for itself and keeps its own. */
static void a_picture_is_at_home_on_every_engine(void) {
  minimax_engine* const engines[] = {engine, other};
  minimax_image* image = create_picture(5);
  for (size_t i = 0; i < 2; ++i) {
    CHECK_OK(minimax_engine_encode_image(engines[i], image, NULL, NULL));
    CHECK(cache_of(engines[i]).image_count == 1 && cache_of(engines[i]).misses == 1);
  }
  CHECK_FAILS(minimax_engine_encode_image(text_only, image, NULL, NULL), MINIMAX_UNSUPPORTED);
  CHECK_OK(minimax_engine_clear_image_cache(other));
  CHECK_EQ(cache_of(engine).image_count, 1);
  minimax_image_free(image);
}

/* Nothing is encoded for a prompt that is refused. */
static void a_picture_in_a_prompt_of_another_engine(void) {
  minimax_session* session = create_session(other);
  minimax_prompt* prompt = NULL;
  const uint64_t misses = cache_of(engine).misses + cache_of(other).misses;
  size_t count = 777;
  CHECK_OK(minimax_prompt_create(engine, &prompt));
  add_picture(prompt, 6);
  CHECK_OK(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "a", 1));
  CHECK_FAILS(minimax_session_feed_prompt(session, prompt, NULL), MINIMAX_WRONG_MODEL);
  CHECK_FAILS(minimax_session_feed_prompt_from(session, prompt, 1, NULL), MINIMAX_WRONG_MODEL);
  CHECK_OK(minimax_session_image_count(session, &count));
  CHECK_EQ(count, 0);
  CHECK_EQ(cache_of(engine).misses + cache_of(other).misses, misses);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
}

static void a_sampler_of_another_engine(void) {
  static session_mark mark;
  static const int32_t token = 1000;
  int32_t drawn = 777;
  minimax_session* session = create_session(other);
  minimax_sampler* sampler = create_greedy_sampler(engine);
  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 1;
  CHECK_OK(minimax_session_feed(session, &token, 1));
  take_mark(session, &mark);
  CHECK_FAILS(minimax_sampler_sample(sampler, session, &drawn), MINIMAX_WRONG_MODEL);
  CHECK_EQ(drawn, 777);
  CHECK_FAILS(minimax_session_generate(session, sampler, &options, NULL), MINIMAX_WRONG_MODEL);
  CHECK_UNCHANGED(session, &mark);
  minimax_sampler_free(sampler);
  minimax_session_free(session);
}

static void without_a_tokenizer_there_is_no_text(void) {
  static const int32_t token = 1000;
  minimax_engine_info info;
  minimax_token_info token_info;
  minimax_prompt* prompt = UNTOUCHED;
  minimax_text_stream* stream = UNTOUCHED;
  int32_t tokens[4];
  char text[64];
  size_t count = 777;
  minimax_engine_info_init(&info, sizeof info);
  minimax_token_info_init(&token_info, sizeof token_info);
  CHECK_OK(minimax_engine_get_info(other, &info));
  CHECK_EQ(info.has_tokenizer, 0);
  CHECK_EQ(info.stop_token, -1);
  CHECK_FAILS(minimax_engine_tokenize(other, "a", 1, 0, tokens, 4, &count), MINIMAX_NOT_AVAILABLE);
  CHECK_FAILS(minimax_engine_detokenize(other, &token, 1, 0, text, 64, &count),
              MINIMAX_NOT_AVAILABLE);
  CHECK_FAILS(minimax_engine_token_info(other, 1000, &token_info), MINIMAX_NOT_AVAILABLE);
  CHECK_FAILS(minimax_text_stream_create(other, NULL, 0, &stream), MINIMAX_NOT_AVAILABLE);
  CHECK(count == 777 && stream == UNTOUCHED);
  if (minimax_prompt_create(other, &prompt) != MINIMAX_OK) {
    CHECK(prompt == UNTOUCHED);
    return;
  }
  CHECK_FAILS(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "a", 1),
              MINIMAX_NOT_AVAILABLE);
  minimax_prompt_free(prompt);
}

static int32_t ignore_text(void* user, const char* text, size_t size) {
  (void)user, (void)text, (void)size;
  return 0;
}

static void without_a_tokenizer_tokens_still_flow(void) {
  static session_mark mark;
  static const int32_t tokens[] = {1, 2, 3};
  minimax_session* session = create_session(other);
  minimax_generate_options options;
  minimax_generate_result result;
  minimax_generate_options_init(&options, sizeof options);
  minimax_generate_result_init(&result, sizeof result);
  CHECK_OK(minimax_session_feed(session, tokens, 3));
  take_mark(session, &mark);
  options.max_tokens = 4;
  options.on_text = ignore_text;
  CHECK_FAILS(minimax_session_generate(session, NULL, &options, &result), MINIMAX_NOT_AVAILABLE);
  CHECK_UNCHANGED(session, &mark);
  options.on_text = NULL;
  CHECK_OK(minimax_session_generate(session, NULL, &options, &result));
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_MAX_TOKENS);
  CHECK_EQ(result.token_count, 4);
  minimax_session_free(session);
}

int main(void) {
  engine = open_demo();
  other = open_synthetic();
  text_only = open_text_only();
  a_prompt_of_another_engine();
  the_same_model_opened_twice_is_another_engine();
  a_picture_is_at_home_on_every_engine();
  a_picture_in_a_prompt_of_another_engine();
  a_sampler_of_another_engine();
  without_a_tokenizer_there_is_no_text();
  without_a_tokenizer_tokens_still_flow();
  minimax_engine_free(text_only);
  minimax_engine_free(other);
  minimax_engine_free(engine);
  return 0;
}
