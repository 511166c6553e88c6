/* SPDX-License-Identifier: Apache-2.0
 * Section 7 of the header: every way an answer ends, and what generate refuses. */
#include "abi_fixture.h"

static minimax_engine* engine;
static minimax_session* session;
static minimax_prompt* question;

typedef struct answer {
  char text[1024];
  size_t size;
  int token_count;
  int tokens_wanted; /* then the callback says stop; 0: never */
} answer;

static int32_t take_text(void* user, const char* text, size_t size) {
  answer* to = user;
  CHECK(size > 0 && to->size + size < sizeof to->text);
  memcpy(to->text + to->size, text, size);
  to->size += size;
  to->text[to->size] = '\0';
  return 0;
}

static int32_t take_token(void* user, int32_t token) {
  answer* to = user;
  CHECK(token >= 0 && token < DEMO_VOCABULARY);
  return ++to->token_count == to->tokens_wanted;
}

/* Asks the demo question with these options and gives how the answer ended. */
static minimax_generate_result ask(minimax_generate_options* options, answer* out_answer) {
  minimax_generate_result result;
  minimax_generate_result_init(&result, sizeof result);
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed_prompt(session, question, NULL));
  options->on_text = take_text;
  options->on_token = take_token;
  options->user = out_answer;
  CHECK_OK(minimax_session_generate(session, NULL, options, &result));
  return result;
}

static int64_t position_of_session(void) {
  int64_t position = -1;
  CHECK_OK(minimax_session_position(session, &position));
  return position;
}

static int64_t question_size(void) {
  size_t count = 0;
  CHECK_EQ(minimax_prompt_tokens(question, NULL, 0, &count), MINIMAX_BUFFER_TOO_SMALL);
  return (int64_t)count;
}

static void the_model_ends_its_answer(void) {
  minimax_generate_options options;
  minimax_generate_result result;
  answer got = {0};
  minimax_generate_options_init(&options, sizeof options);
  result = ask(&options, &got);
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_TOKEN);
  CHECK_TEXT(got.text, DEMO_ANSWER);
  CHECK_EQ(result.token_count, got.token_count);
  CHECK_EQ(position_of_session(), question_size() + (int64_t)result.token_count);
  CHECK(result.decode_ns > 0);
}

static void it_ends_after_so_many_tokens(void) {
  minimax_generate_options options;
  minimax_generate_result result;
  answer got = {0};
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 3;
  result = ask(&options, &got);
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_MAX_TOKENS);
  CHECK_EQ(result.token_count, 3);
  CHECK_EQ(position_of_session(), question_size() + 3);
  CHECK(strncmp(got.text, DEMO_ANSWER, got.size) == 0);
}

static void it_ends_before_a_stop_string(void) {
  static const char* const stops[] = {"nowhere to be found", "France is"};
  minimax_generate_options options;
  minimax_generate_result result;
  answer got = {0};
  minimax_generate_options_init(&options, sizeof options);
  options.stop_strings = stops;
  options.stop_string_count = 2;
  result = ask(&options, &got);
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_STRING);
  CHECK_TEXT(got.text, "The capital of ");
}

static void a_callback_ends_it(void) {
  minimax_generate_options options;
  minimax_generate_result result;
  answer got = {0};
  minimax_generate_options_init(&options, sizeof options);
  got.tokens_wanted = 2;
  result = ask(&options, &got);
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_CALLBACK);
  CHECK_EQ(got.token_count, 2);
  CHECK(result.token_count <= 2);
  CHECK_EQ(position_of_session(), question_size() + (int64_t)result.token_count);
}

static void the_stop_token_may_be_ignored(void) {
  minimax_generate_options options;
  minimax_generate_result result;
  answer got = {0};
  minimax_generate_options_init(&options, sizeof options);
  options.ignore_stop_token = 1;
  options.max_tokens = 24;
  result = ask(&options, &got);
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_MAX_TOKENS);
  CHECK_EQ(result.token_count, 24);
}

static void a_full_context_ends_it(void) {
  minimax_engine_options engine_options;
  minimax_generate_result result;
  minimax_engine* small;
  minimax_session* cramped;
  minimax_prompt* prompt;
  minimax_generate_result_init(&result, sizeof result);
  minimax_engine_options_init(&engine_options, sizeof engine_options);
  engine_options.context_limit = question_size() + 2;
  small = open_demo_with(&engine_options);
  cramped = create_session(small);
  prompt = create_question(small);
  CHECK_OK(minimax_session_feed_prompt(cramped, prompt, NULL));
  CHECK_OK(minimax_session_generate(cramped, NULL, NULL, &result));
  CHECK_EQ(result.stop_reason, MINIMAX_STOP_CONTEXT);
  CHECK_EQ(result.token_count, 2);
  minimax_prompt_free(prompt);
  minimax_session_free(cramped);
  minimax_engine_free(small);
}

static void check_refused(int line, const minimax_generate_options* options,
                          const session_mark* mark) {
  minimax_generate_result result;
  minimax_generate_result_init(&result, sizeof result);
  check_call(__FILE__, line, "minimax_session_generate",
             minimax_session_generate(session, NULL, options, &result), MINIMAX_INVALID_ARGUMENT,
             MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(result.stop_reason, 0);
  CHECK_UNCHANGED(session, mark);
}

static void options_are_refused(void) {
  static session_mark mark;
  const char* many[65];
  const char* const bad[] = {"", NULL};
  minimax_generate_options options;
  for (size_t i = 0; i < 65; ++i) many[i] = "stop";
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_feed_prompt(session, question, NULL));
  take_mark(session, &mark);
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = -1;
  check_refused(__LINE__, &options, &mark);
  options.max_tokens = 1;
  options.stop_string_count = 1;
  check_refused(__LINE__, &options, &mark); /* without strings */
  options.stop_strings = bad;
  check_refused(__LINE__, &options, &mark); /* an empty one */
  options.stop_strings = bad + 1;
  check_refused(__LINE__, &options, &mark); /* NULL */
  options.stop_strings = many;
  options.stop_string_count = 65;
  check_refused(__LINE__, &options, &mark);
  options.stop_string_count = 0;
  options.stop_strings = NULL;
  options.ignore_stop_token = 2;
  check_refused(__LINE__, &options, &mark);
  CHECK_FAILS(minimax_session_generate(NULL, NULL, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
}

static void it_needs_logits(void) {
  minimax_generate_result result;
  minimax_generate_result_init(&result, sizeof result);
  CHECK_OK(minimax_session_reset(session));
  CHECK_FAILS(minimax_session_generate(session, NULL, NULL, &result), MINIMAX_NOT_AVAILABLE);
  CHECK_EQ(result.stop_reason, 0);
  CHECK_EQ(position_of_session(), 0);
}

int main(void) {
  engine = open_demo();
  session = create_session(engine);
  question = create_question(engine);
  the_model_ends_its_answer();
  it_ends_after_so_many_tokens();
  it_ends_before_a_stop_string();
  a_callback_ends_it();
  the_stop_token_may_be_ignored();
  a_full_context_ends_it();
  options_are_refused();
  it_needs_logits();
  minimax_prompt_free(question);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return 0;
}
