/* SPDX-License-Identifier: Apache-2.0
 * Pictures in prompts and sessions: where they stand, what they cost, and what is refused. */
#include "abi_fixture.h"

enum { ROOM = 2048, LOOK_SIZE = 5 };
#define LOOK "Look!"
#define ONE_IMAGE "{\"type\": \"image\"}"
#define LOOK_PART "{\"type\": \"text\", \"text\": \"" LOOK "\"}"

static minimax_engine* engine;
static minimax_session* session;
static minimax_prompt* prompt; /* cleared before every test */
static int32_t image_token;

static void add_message(const char* text) {
  CHECK_OK(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, text, MINIMAX_TEXT_END));
}

static minimax_status add_json(const char* json) {
  return minimax_prompt_add_messages_json(prompt, json, MINIMAX_TEXT_END);
}

static size_t tokens_of_prompt(int32_t* tokens) {
  size_t count = 0;
  CHECK_OK(minimax_prompt_tokens(prompt, tokens, ROOM, &count));
  return count;
}

static size_t image_tokens(const int32_t* tokens, size_t count) {
  size_t found = 0;
  for (size_t i = 0; i < count; ++i) found += tokens[i] == image_token ? 1 : 0;
  return found;
}

static minimax_feed_report feed_from(size_t first) {
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  CHECK_OK(minimax_session_feed_prompt_from(session, prompt, first, &report));
  return report;
}

static minimax_feed_report feed(void) {
  CHECK_OK(minimax_session_reset(session));
  return feed_from(0);
}

static size_t spans_of_session(void) {
  size_t count = 777;
  CHECK_OK(minimax_session_image_count(session, &count));
  return count;
}

/* The span lies where the session's tokens are a picture's, and names the picture of that shade. */
static minimax_image_span check_span(size_t index, uint8_t shade) {
  static int32_t tokens[ROOM];
  size_t count = 0;
  uint8_t id[32];
  minimax_image_span span;
  minimax_image* image = create_picture(shade);
  minimax_image_span_init(&span, sizeof span);
  CHECK_OK(minimax_session_get_image_span(session, index, &span));
  CHECK_OK(minimax_image_id(image, id));
  CHECK(memcmp(span.image_id, id, sizeof id) == 0);
  CHECK_EQ(span.token_count, PICTURE_TOKENS);
  CHECK_OK(minimax_session_tokens(session, span.position, tokens, ROOM, &count));
  CHECK_EQ(image_tokens(tokens, PICTURE_TOKENS), PICTURE_TOKENS);
  minimax_image_free(image);
  return span;
}

static void check_waiting(void) {
  int32_t tokens[1];
  size_t count = 777;
  minimax_feed_report report;
  minimax_feed_report_init(&report, sizeof report);
  CHECK_OK(minimax_session_reset(session));
  CHECK_FAILS(minimax_prompt_tokens(prompt, tokens, 1, &count), MINIMAX_INVALID_ARGUMENT);
  CHECK_SAYS("wait for a message");
  CHECK_FAILS(minimax_session_feed_prompt(session, prompt, &report), MINIMAX_INVALID_ARGUMENT);
  CHECK_SAYS("wait for a message");
  CHECK(count == 777 && report.token_count == 0 && spans_of_session() == 0);
}

static void null_pointers(void) {
  const minimax_status invalid = MINIMAX_INVALID_ARGUMENT;
  minimax_image* image = create_picture(1);
  minimax_image_span span;
  minimax_image_span_init(&span, sizeof span);
  CHECK_FAILS(minimax_prompt_add_image(NULL, image), invalid);
  CHECK_SAYS("prompt is NULL");
  CHECK_FAILS(minimax_prompt_add_image(prompt, NULL), invalid);
  CHECK_SAYS("image is NULL");
  CHECK_FAILS(minimax_session_feed_prompt_from(NULL, prompt, 0, NULL), invalid);
  CHECK_FAILS(minimax_session_feed_prompt_from(session, NULL, 0, NULL), invalid);
  CHECK_FAILS(minimax_session_image_count(NULL, (size_t*)UNTOUCHED), invalid);
  CHECK_FAILS(minimax_session_image_count(session, NULL), invalid);
  CHECK_FAILS(minimax_session_get_image_span(NULL, 0, &span), invalid);
  CHECK_FAILS(minimax_session_get_image_span(session, 0, NULL), invalid);
  CHECK_EQ(span.token_count, 0);
  add_message(LOOK); /* no picture was taken */
  CHECK_EQ(feed().image_count, 0);
  minimax_image_free(image);
}

/* Pictures stand in front of the text, in their order, and cost what the plan says. */
static void two_pictures_in_a_message(void) {
  static int32_t tokens[ROOM], without[ROOM];
  add_message(LOOK);
  const size_t text_count = tokens_of_prompt(without);
  CHECK_OK(minimax_prompt_clear(prompt));
  add_picture(prompt, 1);
  add_picture(prompt, 2);
  add_message(LOOK);
  const size_t count = tokens_of_prompt(tokens);
  CHECK_EQ(count, text_count + 2 * PICTURE_TOKENS);
  CHECK_EQ(image_tokens(tokens, count), 2 * PICTURE_TOKENS);
  const minimax_feed_report report = feed();
  CHECK_EQ(report.token_count, count);
  CHECK_EQ(report.image_count, 2);
  CHECK_EQ(spans_of_session(), 2);
  const minimax_image_span first = check_span(0, 1), second = check_span(1, 2);
  CHECK_EQ(second.position, first.position + first.token_count);
}

static void a_picture_in_each_of_two_messages(void) {
  size_t size = 0;
  char text[ROOM];
  add_picture(prompt, 1);
  add_message(LOOK);
  add_picture(prompt, 2);
  add_message("And here?");
  CHECK_EQ(feed().image_count, 2);
  CHECK_EQ(spans_of_session(), 2);
  const minimax_image_span first = check_span(0, 1), second = check_span(1, 2);
  CHECK(second.position > first.position + first.token_count);
  CHECK_OK(minimax_prompt_text(prompt, text, ROOM - 1, &size));
  text[size] = '\0';
  CHECK(strstr(text, "<image>" LOOK) != NULL && strstr(text, "<image>And here?") != NULL);
}

static void json_says_where_pictures_stand(void) {
  static int32_t from_calls[ROOM], from_json[ROOM];
  add_picture(prompt, 1);
  add_picture(prompt, 2);
  add_message(LOOK);
  const size_t count = tokens_of_prompt(from_calls);
  CHECK_OK(minimax_prompt_clear(prompt));
  add_picture(prompt, 1);
  add_picture(prompt, 2);
  CHECK_OK(add_json("[{\"role\": \"user\", \"content\": [" ONE_IMAGE ", " ONE_IMAGE ", " LOOK_PART
                    "]}]"));
  CHECK_EQ(tokens_of_prompt(from_json), count);
  CHECK(memcmp(from_calls, from_json, count * sizeof *from_json) == 0);
}

static void json_takes_pictures_in_their_order(void) {
  add_picture(prompt, 1);
  add_picture(prompt, 2);
  add_picture(prompt, 3);
  CHECK_OK(add_json("[{\"role\": \"user\", \"content\": [" LOOK_PART ", " ONE_IMAGE ", " LOOK_PART
                    ", {\"type\": \"image_url\", \"image_url\": {\"url\": \"http://nowhere\"}}]},"
                    " {\"role\": \"assistant\", \"content\": \"I see.\"},"
                    " {\"role\": \"user\", \"content\": [" ONE_IMAGE "]}]"));
  CHECK_EQ(feed().image_count, 3);
  const minimax_image_span first = check_span(0, 1), second = check_span(1, 2);
  check_span(2, 3);
  CHECK(second.position > first.position + first.token_count); /* the text between them */
}

static void json_needs_its_pictures(void) {
  add_picture(prompt, 1);
  CHECK_FAILS(add_json("[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"user\","
                       " \"content\": [" ONE_IMAGE ", " ONE_IMAGE "]}]"),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_SAYS("messages[1].content[1] is a picture, 1 were added");
  check_waiting(); /* nothing was taken */
  CHECK_OK(add_json("[{\"role\": \"user\", \"content\": [" ONE_IMAGE "]}]"));
  CHECK_EQ(feed().image_count, 1);
  CHECK_FAILS(add_json("[{\"role\": \"user\", \"content\": [" ONE_IMAGE "]}]"),
              MINIMAX_INVALID_ARGUMENT);
  add_picture(prompt, 2);
  CHECK_OK(add_json("[{\"role\": \"user\", \"content\": \"without\"}]"));
  check_waiting(); /* a list takes only what it names */
}

static void a_picture_waits_for_its_message(void) {
  add_message(LOOK);
  add_picture(prompt, 1);
  check_waiting();
  add_message(LOOK);
  CHECK_EQ(feed().image_count, 1);
  add_picture(prompt, 2);
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  check_waiting();
  CHECK_OK(minimax_prompt_clear(prompt));
  add_message(LOOK);
  CHECK_EQ(feed().image_count, 0);
}

static void no_picture_within_a_reply(void) {
  minimax_image* image = create_picture(1);
  add_message(LOOK);
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  CHECK_FAILS(minimax_prompt_add_image(prompt, image), MINIMAX_INVALID_ARGUMENT);
  CHECK_SAYS("begin_reply");
  CHECK_EQ(feed().image_count, 0);
  CHECK_OK(minimax_prompt_add_text(prompt, "I see.", MINIMAX_TEXT_END, 0));
  CHECK_OK(minimax_prompt_end_reply(prompt, MINIMAX_STOP_CALLBACK));
  CHECK_OK(minimax_prompt_add_image(prompt, image));
  add_message(LOOK);
  CHECK_EQ(feed().image_count, 1);
  check_span(0, 1);
  minimax_image_free(image);
}

static void formats_of_text_take_no_pictures(void) {
  static const int32_t formats[] = {MINIMAX_CHAT_TEXT_01, MINIMAX_CHAT_M1, MINIMAX_CHAT_M1_VLLM};
  for (size_t i = 0; i < sizeof formats / sizeof *formats; ++i) {
    CHECK_OK(minimax_prompt_clear(prompt));
    CHECK_OK(minimax_prompt_set_format(prompt, formats[i]));
    add_picture(prompt, 1);
    CHECK_FAILS(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, LOOK, LOOK_SIZE),
                MINIMAX_UNSUPPORTED);
    check_waiting();
  }
  CHECK_OK(minimax_prompt_clear(prompt));
  CHECK_OK(minimax_prompt_set_format(prompt, MINIMAX_CHAT_AUTO));
  add_picture(prompt, 1);
  CHECK_FAILS(minimax_prompt_add_message(prompt, MINIMAX_ROLE_TOOL, "eye", LOOK, LOOK_SIZE),
              MINIMAX_UNSUPPORTED);
  add_message(LOOK); /* the picture still waited */
  CHECK_EQ(feed().image_count, 1);
}

static void the_same_picture_is_encoded_once(void) {
  CHECK_OK(minimax_engine_clear_image_cache(engine));
  const minimax_image_cache_stats before = cache_of(engine);
  add_picture(prompt, 9);
  add_message(LOOK);
  add_picture(prompt, 9);
  add_message(LOOK);
  minimax_feed_report report = feed();
  CHECK(report.image_count == 2 && report.images_reused == 1);
  CHECK(report.encode_ns > 0 && report.prefill_ns > 0);
  CHECK_EQ(spans_of_session(), 2);
  check_span(0, 9);
  check_span(1, 9);
  report = feed();
  CHECK(report.image_count == 2 && report.images_reused == 2);
  CHECK_EQ(cache_of(engine).hits - before.hits, 3);
  CHECK_EQ(cache_of(engine).misses - before.misses, 1);
}

static void what_was_encoded_ahead_is_reused(void) {
  minimax_image* image = create_picture(10);
  CHECK_OK(minimax_engine_encode_image(engine, image, NULL, NULL));
  minimax_image_free(image);
  add_picture(prompt, 10);
  add_message(LOOK);
  CHECK_EQ(feed().images_reused, 1);
}

static void clearing_the_cache_changes_no_answer(void) {
  static session_mark mark, other;
  add_picture(prompt, 1);
  add_message(LOOK);
  feed();
  take_mark(session, &mark);
  CHECK_OK(minimax_engine_clear_image_cache(engine));
  CHECK_UNCHANGED(session, &mark);
  CHECK_EQ(feed().images_reused, 0);
  CHECK_UNCHANGED(session, &mark);
  CHECK_EQ(feed().images_reused, 1);
  CHECK_UNCHANGED(session, &mark);
  CHECK_OK(minimax_prompt_clear(prompt));
  add_picture(prompt, 2);
  add_message(LOOK);
  feed();
  take_mark(session, &other);
  CHECK(memcmp(mark.logits, other.logits, sizeof mark.logits) != 0);
}

static void a_cache_without_room_serves_all_the_same(void) {
  minimax_engine_options options;
  minimax_engine* tiny;
  minimax_session* blind;
  minimax_prompt* two = NULL;
  minimax_feed_report report;
  size_t count = 0;
  minimax_engine_options_init(&options, sizeof options);
  options.prefix_cache_bytes_limit = -1; /* each prompt is computed */
  minimax_feed_report_init(&report, sizeof report);
  options.image_cache_bytes_limit = PICTURE_BYTES;
  tiny = open_demo_with(&options);
  blind = create_session(tiny);
  CHECK_OK(minimax_prompt_create(tiny, &two));
  add_picture(two, 1);
  add_picture(two, 2);
  CHECK_OK(minimax_prompt_add_message(two, MINIMAX_ROLE_USER, NULL, LOOK, LOOK_SIZE));
  for (int round = 0; round < 2; ++round) {
    CHECK_OK(minimax_session_reset(blind));
    CHECK_OK(minimax_session_feed_prompt(blind, two, &report));
    CHECK(report.image_count == 2 && report.images_reused == 0);
  }
  CHECK_OK(minimax_session_image_count(blind, &count));
  CHECK_EQ(count, 2);
  CHECK(cache_of(tiny).image_count == 1 && cache_of(tiny).evictions == 3);
  minimax_prompt_free(two);
  minimax_session_free(blind);
  minimax_engine_free(tiny);
}

static void spans_are_part_of_the_history(void) {
  minimax_generate_options options;
  minimax_image_span span;
  minimax_image_span_init(&span, sizeof span);
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 2;
  add_picture(prompt, 1);
  add_message(LOOK);
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  feed();
  CHECK_OK(minimax_session_generate(session, NULL, &options, NULL));
  CHECK_OK(minimax_prompt_clear(prompt));
  CHECK_OK(minimax_prompt_end_reply(prompt, MINIMAX_STOP_MAX_TOKENS));
  add_picture(prompt, 2);
  add_message(LOOK);
  CHECK_EQ(feed_from(0).image_count, 1); /* of this prompt; the session has two */
  CHECK_EQ(spans_of_session(), 2);
  check_span(0, 1);
  check_span(1, 2);
  CHECK_FAILS(minimax_session_get_image_span(session, 2, &span), MINIMAX_INVALID_ARGUMENT);
  CHECK_SAYS("index is 2, the session has 2 pictures");
  CHECK_FAILS(minimax_session_get_image_span(session, (size_t)-1, &span), MINIMAX_INVALID_ARGUMENT);
  CHECK_OK(minimax_session_reset(session));
  CHECK_EQ(spans_of_session(), 0);
  CHECK_FAILS(minimax_session_get_image_span(session, 0, &span), MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(span.token_count, 0);
}

/* A prompt that has been fed grows by another picture: the rest follows. */
static void a_prompt_is_fed_on(void) {
  static int32_t whole[ROOM], fed[ROOM];
  size_t fed_count = 0;
  add_picture(prompt, 1);
  add_message(LOOK);
  const size_t first = (size_t)feed().token_count;
  CHECK_FAILS(minimax_session_feed_prompt_from(session, prompt, first, NULL),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_SAYS("first_token");
  CHECK_FAILS(minimax_session_feed_prompt_from(session, prompt, (size_t)-1, NULL),
              MINIMAX_INVALID_ARGUMENT);
  add_picture(prompt, 2);
  add_message("And here?");
  const size_t count = tokens_of_prompt(whole);
  const minimax_feed_report report = feed_from(first);
  CHECK_EQ(report.token_count, count - first);
  CHECK_EQ(report.image_count, 1);
  CHECK_OK(minimax_session_tokens(session, 0, fed, ROOM, &fed_count));
  CHECK_EQ(fed_count, count);
  CHECK(memcmp(whole, fed, count * sizeof *fed) == 0);
  CHECK_EQ(spans_of_session(), 2);
  check_span(0, 1);
  check_span(1, 2);
}

static void a_picture_needs_its_room(void) {
  minimax_engine_options options;
  minimax_engine* small;
  minimax_session* full;
  minimax_prompt* look = NULL;
  int64_t position = -1;
  size_t count = 777;
  minimax_engine_options_init(&options, sizeof options);
  options.prefix_cache_bytes_limit = -1; /* each prompt is computed */
  options.context_limit = PICTURE_TOKENS;
  small = open_demo_with(&options);
  full = create_session(small);
  CHECK_OK(minimax_prompt_create(small, &look));
  add_picture(look, 1);
  CHECK_OK(minimax_prompt_add_message(look, MINIMAX_ROLE_USER, NULL, LOOK, LOOK_SIZE));
  CHECK_FAILS(minimax_session_feed_prompt(full, look, NULL), MINIMAX_CONTEXT_FULL);
  CHECK_OK(minimax_session_position(full, &position));
  CHECK_OK(minimax_session_image_count(full, &count));
  CHECK(position == 0 && count == 0);
  minimax_prompt_free(look);
  minimax_session_free(full);
  minimax_engine_free(small);
}

static void fresh(void (*test)(void)) {
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_prompt_clear(prompt));
  test();
}

int main(void) {
  minimax_engine_info info;
  minimax_engine_info_init(&info, sizeof info);
  engine = open_demo_uncached();
  session = create_session(engine);
  CHECK_OK(minimax_prompt_create(engine, &prompt));
  CHECK_OK(minimax_engine_get_info(engine, &info));
  image_token = info.image_token;
  fresh(null_pointers);
  fresh(two_pictures_in_a_message);
  fresh(a_picture_in_each_of_two_messages);
  fresh(json_says_where_pictures_stand);
  fresh(json_takes_pictures_in_their_order);
  fresh(json_needs_its_pictures);
  fresh(a_picture_waits_for_its_message);
  fresh(no_picture_within_a_reply);
  fresh(formats_of_text_take_no_pictures);
  fresh(the_same_picture_is_encoded_once);
  fresh(what_was_encoded_ahead_is_reused);
  fresh(clearing_the_cache_changes_no_answer);
  fresh(a_cache_without_room_serves_all_the_same);
  fresh(spans_are_part_of_the_history);
  fresh(a_prompt_is_fed_on);
  fresh(a_picture_needs_its_room);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return 0;
}
