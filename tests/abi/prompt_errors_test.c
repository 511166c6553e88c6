/* SPDX-License-Identifier: Apache-2.0
 * Section 4 of the header: what a prompt refuses, and that it is then as it was. */
#include "abi_fixture.h"

enum { ROOM = 4096, UNKNOWN_FLAG = 64 };

static minimax_engine* engine;
static minimax_prompt* prompt;

/* Runs `call`, which must fail, and finds the prompt's text as it was. */
#define CHECK_LEAVES_PROMPT(check)                  \
  do {                                              \
    char before[ROOM], after[ROOM];                 \
    const size_t size_before = read_text(before);   \
    check;                                          \
    CHECK_EQ(read_text(after), size_before);        \
    CHECK(memcmp(before, after, size_before) == 0); \
  } while (0)

static size_t read_text(char* buffer) {
  size_t size = 0;
  CHECK_OK(minimax_prompt_text(prompt, buffer, ROOM, &size));
  return size;
}

static void create_refuses(void) {
  minimax_prompt* none = UNTOUCHED;
  CHECK_FAILS(minimax_prompt_create(NULL, &none), MINIMAX_INVALID_ARGUMENT);
  CHECK(none == UNTOUCHED);
  CHECK_FAILS(minimax_prompt_create(engine, NULL), MINIMAX_INVALID_ARGUMENT);
}

static void null_prompts(void) {
  static const int32_t token = 1000;
  size_t count = 777;
  CHECK_FAILS(minimax_prompt_clear(NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_set_format(NULL, MINIMAX_CHAT_AUTO), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_add_message(NULL, MINIMAX_ROLE_USER, NULL, "a", 1),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_add_messages_json(NULL, "[]", 2), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_set_tools_json(NULL, "[]", 2), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_begin_reply(NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_end_reply(NULL, MINIMAX_STOP_TOKEN), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_add_text(NULL, "a", 1, 0), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_add_tokens(NULL, &token, 1), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_tokens(NULL, NULL, 0, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_text(NULL, NULL, 0, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(count, 777);
}

static void messages_are_refused(void) {
  CHECK_LEAVES_PROMPT(
      CHECK_FAILS(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, NULL, 1),
                  MINIMAX_INVALID_ARGUMENT));
  CHECK_LEAVES_PROMPT(CHECK_REFUSED(minimax_prompt_add_message(prompt, 0, NULL, "a", 1)));
  CHECK_LEAVES_PROMPT(CHECK_REFUSED(minimax_prompt_add_message(prompt, 5, NULL, "a", 1)));
  CHECK_LEAVES_PROMPT(CHECK_REFUSED(minimax_prompt_add_message(prompt, -1, NULL, "a", 1)));
  CHECK_LEAVES_PROMPT(
      CHECK_REFUSED(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, "name", "a", 1)));
  CHECK_LEAVES_PROMPT(CHECK_REFUSED(minimax_prompt_set_format(prompt, MINIMAX_CHAT_AUTO)));
}

static void formats_are_refused(void) {
  minimax_prompt* empty = NULL;
  CHECK_OK(minimax_prompt_create(engine, &empty));
  CHECK_REFUSED(minimax_prompt_set_format(empty, MINIMAX_CHAT_M1_VLLM + 1));
  CHECK_REFUSED(minimax_prompt_set_format(empty, -1));
  CHECK_OK(minimax_prompt_set_format(empty, MINIMAX_CHAT_VL_01));
  minimax_prompt_free(empty);
}

static void check_json(const char* json, minimax_status status, minimax_status or_status) {
  CHECK_LEAVES_PROMPT(check_call(__FILE__, __LINE__, json,
                                 minimax_prompt_add_messages_json(prompt, json, strlen(json)),
                                 status, or_status));
}

static void json_is_refused(void) {
  const minimax_status invalid = MINIMAX_INVALID_ARGUMENT, unsupported = MINIMAX_UNSUPPORTED;
  CHECK_LEAVES_PROMPT(CHECK_FAILS(minimax_prompt_add_messages_json(prompt, NULL, 2), invalid));
  CHECK_LEAVES_PROMPT(CHECK_FAILS(minimax_prompt_set_tools_json(prompt, NULL, 2), invalid));
  CHECK_LEAVES_PROMPT(CHECK_FAILS(minimax_prompt_set_tools_json(prompt, "[{", 2), invalid));
  CHECK_LEAVES_PROMPT(CHECK_FAILS(minimax_prompt_set_tools_json(prompt, "7", 1), invalid));
  check_json("", invalid, invalid);
  check_json("[{\"role\": \"user\"", invalid, invalid);
  check_json("{\"role\": \"user\", \"content\": \"not a list\"}", invalid, invalid);
  check_json("[{\"content\": \"without a role\"}]", invalid, invalid);
  check_json("[{\"role\": \"emperor\", \"content\": \"a\"}]", invalid, unsupported);
  check_json("[{\"role\": \"user\", \"content\": 7}]", invalid, unsupported);
  check_json(
      "[{\"role\": \"user\", \"content\": \"fine\"}, {\"role\": \"user\", \"content\": "
      "[{\"type\": \"smell\"}]}]",
      invalid, unsupported);
}

static void pieces_are_refused(void) {
  static const int32_t below[] = {1000, -1}, above[] = {1000, DEMO_VOCABULARY};
  const minimax_status invalid = MINIMAX_INVALID_ARGUMENT;
  CHECK_LEAVES_PROMPT(CHECK_FAILS(minimax_prompt_add_text(prompt, NULL, 1, 0), invalid));
  CHECK_LEAVES_PROMPT(CHECK_REFUSED(minimax_prompt_add_text(prompt, "a", 1, UNKNOWN_FLAG)));
  CHECK_LEAVES_PROMPT(CHECK_FAILS(minimax_prompt_add_tokens(prompt, NULL, 1), invalid));
  CHECK_LEAVES_PROMPT(CHECK_FAILS(minimax_prompt_add_tokens(prompt, below, 2), invalid));
  CHECK_LEAVES_PROMPT(CHECK_FAILS(minimax_prompt_add_tokens(prompt, above, 2), invalid));
}

static void replies_are_refused(void) {
  minimax_prompt* fresh = NULL;
  CHECK_OK(minimax_prompt_create(engine, &fresh));
  CHECK_REFUSED(minimax_prompt_end_reply(fresh, 0));
  CHECK_REFUSED(minimax_prompt_end_reply(fresh, MINIMAX_STOP_CANCELLED + 1));
  CHECK_OK(minimax_prompt_end_reply(fresh, MINIMAX_STOP_CANCELLED));
  minimax_prompt_free(fresh);
}

static void buffers_say_how_much(void) {
  int32_t tokens[ROOM] = {-7};
  char text[ROOM] = "#";
  size_t count = 0, again = 777;
  CHECK_FAILS(minimax_prompt_tokens(prompt, NULL, 5, &again), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_tokens(prompt, tokens, ROOM, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_text(prompt, NULL, 5, &again), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_prompt_text(prompt, text, ROOM, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(again, 777);
  CHECK_EQ(minimax_prompt_tokens(prompt, NULL, 0, &count), MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(minimax_prompt_tokens(prompt, tokens, count - 1, &again), MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(again, count);
  CHECK_EQ(tokens[0], -7);
  CHECK_OK(minimax_prompt_tokens(prompt, tokens, count, &again));
  CHECK_EQ(minimax_prompt_text(prompt, NULL, 0, &count), MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(minimax_prompt_text(prompt, text, count - 1, &again), MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(again, count);
  CHECK_TEXT(text, "#");
  CHECK_OK(minimax_prompt_text(prompt, text, count, &again));
}

int main(void) {
  engine = open_demo();
  CHECK_OK(minimax_prompt_create(engine, &prompt));
  CHECK_OK(
      minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, DEMO_QUESTION, MINIMAX_TEXT_END));
  create_refuses();
  null_prompts();
  messages_are_refused();
  formats_are_refused();
  json_is_refused();
  pieces_are_refused();
  replies_are_refused();
  buffers_say_how_much();
  minimax_prompt_free(prompt);
  minimax_engine_free(engine);
  return 0;
}
