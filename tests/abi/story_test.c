/* SPDX-License-Identifier: Apache-2.0
 * The whole way of a program through the header: open, ask, score, feed by hand, go on, begin anew. */
#include <math.h>

#include "abi_fixture.h"

enum { ROOM = 4096 };

static minimax_engine* engine;
static minimax_session* session;

static void the_plan_comes_before_the_engine(void) {
  minimax_memory_plan plan;
  minimax_engine_info info;
  minimax_memory_plan_init(&plan, sizeof plan);
  minimax_engine_info_init(&info, sizeof info);
  CHECK_OK(minimax_plan(DEMO_MODEL, NULL, &plan));
  CHECK_OK(minimax_engine_get_info(engine, &info));
  CHECK_EQ(plan.parameter_count, info.parameter_count);
  CHECK_EQ(plan.weight_bytes, info.weight_bytes);
  CHECK(plan.tensor_count > 0 && plan.bytes_per_session > 0 && plan.bytes_per_token > 0);
  CHECK(plan.kv_page_tokens > 0 && plan.tokens_that_fit > 0 && plan.sessions_that_fit > 0);
  CHECK(plan.lightning_state_bytes + plan.lightning_log_bytes <= plan.bytes_per_session);
}

static void the_engine_says_what_it_is(void) {
  minimax_engine_info info;
  minimax_engine_info_init(&info, sizeof info);
  CHECK_OK(minimax_engine_get_info(engine, &info));
  CHECK_TEXT(info.model_name, "MiniMax-VL-01");
  CHECK_TEXT(info.device, "cpu");
  CHECK_EQ(info.declared_context, 8192);
  CHECK_EQ(info.layer_count, 8);
  CHECK_EQ(info.lightning_layer_count, 7);
  CHECK_EQ(info.hidden_size, 256);
  CHECK_EQ(info.vocabulary_size, DEMO_VOCABULARY);
  CHECK_EQ(info.expert_count, 8);
  CHECK_EQ(info.has_tokenizer, 1);
  CHECK_EQ(info.has_vision, 1);
  CHECK_EQ(info.image_token, 8190);
  CHECK(info.stop_token >= 0 && info.thread_count >= 1);
}

static size_t tokenize(const char* text, size_t size, int32_t flags, int32_t* tokens) {
  size_t count = 0;
  CHECK_OK(minimax_engine_tokenize(engine, text, size, flags, tokens, ROOM, &count));
  return count;
}

static void text_comes_back_as_it_was(void) {
  static const char* const texts[] = {"Hello, world!", " two  spaces\n\ttab",
                                      "Grüße, 世界 🦙", "no UTF-8: \xff\xfe\xc3",
                                      "<image> is a marker"};
  int32_t tokens[ROOM];
  char back[ROOM];
  size_t size = 0;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
    const size_t count = tokenize(texts[i], strlen(texts[i]), MINIMAX_TOKENIZE_PLAIN, tokens);
    CHECK_OK(minimax_engine_detokenize(engine, tokens, count, 0, back, ROOM, &size));
    CHECK(size == strlen(texts[i]) && memcmp(back, texts[i], size) == 0);
  }
}

static void markers_are_markers_only_when_asked(void) {
  int32_t tokens[ROOM];
  minimax_token_info info;
  minimax_token_info_init(&info, sizeof info);
  CHECK_EQ(tokenize("<image>", 7, MINIMAX_TOKENIZE_DEFAULT, tokens), 1);
  CHECK_EQ(tokens[0], 8190);
  CHECK_OK(minimax_engine_token_info(engine, tokens[0], &info));
  CHECK_EQ(info.kind, MINIMAX_TOKEN_SPECIAL);
  CHECK(info.size == 7 && memcmp(info.bytes, "<image>", 7) == 0);
  CHECK(tokenize("<image>", 7, MINIMAX_TOKENIZE_PLAIN, tokens) > 1);
}

static void the_stop_token_is_a_token_that_stops(void) {
  minimax_engine_info info;
  minimax_token_info token;
  minimax_engine_info_init(&info, sizeof info);
  minimax_token_info_init(&token, sizeof token);
  CHECK_OK(minimax_engine_get_info(engine, &info));
  CHECK_OK(minimax_engine_token_info(engine, info.stop_token, &token));
  CHECK_EQ(token.is_stop, 1);
  CHECK_EQ(token.kind, MINIMAX_TOKEN_SPECIAL);
}

static int32_t collect(void* user, const char* text, size_t size) {
  strncat(user, text, size);
  return 0;
}

/* Generates an answer into `out_text`. */
static minimax_generate_result answer(char* out_text) {
  minimax_generate_options options;
  minimax_generate_result result;
  minimax_generate_options_init(&options, sizeof options);
  minimax_generate_result_init(&result, sizeof result);
  options.max_tokens = 100;
  options.on_text = collect;
  options.user = out_text;
  out_text[0] = '\0';
  CHECK_OK(minimax_session_generate(session, NULL, &options, &result));
  return result;
}

static void a_question_gets_its_answer(minimax_prompt* prompt) {
  char text[ROOM];
  size_t count = 0;
  int64_t position = 0;
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  CHECK_EQ(minimax_prompt_tokens(prompt, NULL, 0, &count), MINIMAX_BUFFER_TOO_SMALL);
  CHECK_OK(minimax_session_feed_prompt(session, prompt, &report));
  CHECK_EQ(report.token_count, count);
  CHECK(report.prefill_ns > 0);
  CHECK_OK(minimax_session_position(session, &position));
  CHECK_EQ(position, count);
  CHECK_EQ(answer(text).stop_reason, MINIMAX_STOP_TOKEN);
  CHECK_TEXT(text, DEMO_ANSWER);
}

/* Two turns in one session hold the tokens of one prompt with both of them. */
static void a_second_turn_follows(minimax_prompt* prompt) {
  static int32_t in_session[ROOM], at_once[ROOM];
  char text[ROOM];
  size_t session_count = 0, prompt_count = 0;
  minimax_prompt* whole = create_question(engine);
  CHECK_OK(minimax_prompt_clear(prompt));
  CHECK_OK(minimax_prompt_end_reply(prompt, MINIMAX_STOP_TOKEN));
  CHECK_OK(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "Thank you!", 10));
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  CHECK_OK(minimax_session_feed_prompt(session, prompt, NULL));

  CHECK_OK(minimax_prompt_clear(whole));
  CHECK_OK(
      minimax_prompt_add_message(whole, MINIMAX_ROLE_USER, NULL, DEMO_QUESTION, MINIMAX_TEXT_END));
  CHECK_OK(minimax_prompt_add_message(whole, MINIMAX_ROLE_ASSISTANT, NULL, DEMO_ANSWER,
                                      MINIMAX_TEXT_END));
  CHECK_OK(
      minimax_prompt_add_message(whole, MINIMAX_ROLE_USER, NULL, "Thank you!", MINIMAX_TEXT_END));
  CHECK_OK(minimax_prompt_begin_reply(whole));
  CHECK_OK(minimax_prompt_tokens(whole, at_once, ROOM, &prompt_count));
  CHECK_OK(minimax_session_tokens(session, 0, in_session, ROOM, &session_count));
  CHECK_EQ(session_count, prompt_count);
  CHECK(memcmp(in_session, at_once, session_count * sizeof *at_once) == 0);
  answer(text);
  CHECK(text[0] != '\0');
  minimax_prompt_free(whole);
}

static double log_sum_exp(const float* logits) {
  double largest = logits[0], sum = 0;
  for (size_t i = 1; i < DEMO_VOCABULARY; ++i) largest = fmax(largest, logits[i]);
  for (size_t i = 0; i < DEMO_VOCABULARY; ++i) sum += exp(logits[i] - largest);
  return largest + log(sum);
}

static void check_near(double actual, double expected, double bound) {
  if (fabs(actual - expected) <= bound) return;
  fprintf(stderr, "%g is not within %g of %g\n", actual, bound, expected);
  exit(1);
}

/* feed, feed one by one, feed_logits and score are four views of one computation. */
static void four_ways_of_feeding_agree(void) {
  enum { COUNT = 20 };
  static float rows[COUNT * DEMO_VOCABULARY];
  int32_t tokens[COUNT];
  float logprobs[COUNT];
  session_mark* at_once = malloc(sizeof *at_once);
  session_mark* one_by_one = malloc(sizeof *one_by_one);
  CHECK(at_once && one_by_one);
  fill_tokens(tokens, COUNT);
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed(session, tokens, COUNT));
  take_mark(session, at_once);
  CHECK_OK(minimax_session_reset(session));
  for (size_t i = 0; i < COUNT; ++i) CHECK_OK(minimax_session_feed(session, tokens + i, 1));
  take_mark(session, one_by_one);
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed_logits(session, tokens, COUNT, rows, COUNT * DEMO_VOCABULARY));
  CHECK_UNCHANGED(session, at_once);
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_score(session, tokens, COUNT, logprobs));
  CHECK_UNCHANGED(session, at_once);

  for (size_t i = 0; i < DEMO_VOCABULARY; ++i) {
    /* Sums in another order: f32 rounding, through 8 layers. */
    check_near(one_by_one->logits[i], at_once->logits[i], 2e-3);
    check_near(rows[(COUNT - 1) * DEMO_VOCABULARY + i], at_once->logits[i], 1e-4);
  }
  CHECK(isnan(logprobs[0]));
  for (size_t i = 1; i < COUNT; ++i) {
    const float* row = rows + (i - 1) * DEMO_VOCABULARY;
    check_near(logprobs[i], row[tokens[i]] - log_sum_exp(row), 1e-3);
  }
  free(at_once);
  free(one_by_one);
}

static void greedy_draws_the_largest_logit(void) {
  const float* logits = NULL;
  minimax_sampler* sampler = create_greedy_sampler(engine);
  minimax_prompt* prompt = create_question(engine);
  int32_t token = -1, largest = 0;
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed_prompt(session, prompt, NULL));
  CHECK_OK(minimax_session_logits(session, &logits, NULL));
  for (int32_t i = 1; i < DEMO_VOCABULARY; ++i) {
    if (logits[i] > logits[largest]) largest = i;
  }
  CHECK_OK(minimax_sampler_sample(sampler, session, &token));
  CHECK_EQ(token, largest);
  minimax_prompt_free(prompt);
  minimax_sampler_free(sampler);
}

/* Draws ten tokens by hand with a temperature. */
static void draw_ten(uint64_t seed, int32_t* out_tokens) {
  minimax_sampler* sampler = NULL;
  minimax_sampler_options options;
  minimax_prompt* prompt = create_question(engine);
  minimax_sampler_options_init(&options, sizeof options);
  options.temperature = 1.5f;
  options.seed = seed;
  CHECK_OK(minimax_sampler_create(engine, &options, &sampler));
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed_prompt(session, prompt, NULL));
  for (int i = 0; i < 10; ++i) {
    CHECK_OK(minimax_sampler_sample(sampler, session, &out_tokens[i]));
    CHECK_OK(minimax_session_feed(session, &out_tokens[i], 1));
  }
  minimax_prompt_free(prompt);
  minimax_sampler_free(sampler);
}

static void the_seed_decides_the_draws(void) {
  int32_t once[10], again[10], other[10];
  draw_ten(7, once);
  draw_ten(7, again);
  draw_ten(8, other);
  CHECK(memcmp(once, again, sizeof once) == 0);
  CHECK(memcmp(once, other, sizeof once) != 0);
}

static void pieces_of_text_are_whole_characters(void) {
  static const char text[] = "Grüße, 世界 🦙!";
  int32_t tokens[ROOM], stopped = 0;
  char all[ROOM] = "";
  const char* piece = NULL;
  size_t size = 0;
  minimax_text_stream* stream = NULL;
  const size_t count = tokenize(text, sizeof text - 1, 0, tokens);
  CHECK_OK(minimax_text_stream_create(engine, NULL, 0, &stream));
  for (size_t i = 0; i < count; ++i) {
    CHECK_OK(minimax_text_stream_push(stream, tokens[i], &piece, &size, &stopped));
    CHECK(size == 0 || ((unsigned char)piece[0] & 0xC0) != 0x80);
    strncat(all, piece, size);
  }
  CHECK_OK(minimax_text_stream_flush(stream, &piece, &size));
  strncat(all, piece, size);
  CHECK_TEXT(all, text);
  minimax_text_stream_free(stream);
}

static void the_session_keeps_count(void) {
  static const int32_t tokens[] = {1000, 1001, 1002};
  minimax_session_stats before, after;
  minimax_session_stats_init(&before, sizeof before);
  minimax_session_stats_init(&after, sizeof after);
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_get_stats(session, &before));
  CHECK_OK(minimax_session_feed(session, tokens, 3));
  CHECK_OK(minimax_session_feed(session, tokens, 1));
  CHECK_OK(minimax_session_get_stats(session, &after));
  CHECK_EQ(after.position, 4);
  CHECK_EQ(after.fed_tokens - before.fed_tokens, 4);
  CHECK_EQ(after.prefill_tokens - before.prefill_tokens, 3);
  CHECK_EQ(after.decode_tokens - before.decode_tokens, 1);
  CHECK(after.prefill_ns > before.prefill_ns && after.decode_ns > before.decode_ns);
  CHECK(after.state_bytes > 0 && after.kv_bytes > 0);
  CHECK_EQ(after.is_poisoned, 0);
}

int main(void) {
  minimax_prompt* prompt;
  engine = open_demo();
  session = create_session(engine);
  prompt = create_question(engine);
  the_plan_comes_before_the_engine();
  the_engine_says_what_it_is();
  text_comes_back_as_it_was();
  markers_are_markers_only_when_asked();
  the_stop_token_is_a_token_that_stops();
  a_question_gets_its_answer(prompt);
  a_second_turn_follows(prompt);
  four_ways_of_feeding_agree();
  greedy_draws_the_largest_logit();
  the_seed_decides_the_draws();
  pieces_of_text_are_whole_characters();
  the_session_keeps_count();
  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return 0;
}
