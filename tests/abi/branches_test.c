/* SPDX-License-Identifier: Apache-2.0
 * Sessions that go back and go two ways: rewind, mark, return and fork. */
#include "abi_fixture.h"

static void expect_same_logits(const minimax_session* a, const minimax_session* b) {
  const float *of_a, *of_b;
  size_t count;
  CHECK_OK(minimax_session_logits(a, &of_a, &count));
  CHECK_OK(minimax_session_logits(b, &of_b, &count));
  CHECK(memcmp(of_a, of_b, count * sizeof *of_a) == 0);
}

static int64_t position_of(const minimax_session* session) {
  int64_t position = -1;
  CHECK_OK(minimax_session_position(session, &position));
  return position;
}

static void rewinds_to_its_floor(minimax_engine* engine) {
  int32_t tokens[100];
  int64_t floor = -1;
  const float* logits = UNTOUCHED;
  minimax_session* session = create_session(engine);
  minimax_session* straight = create_session(engine);
  fill_tokens(tokens, 100);
  CHECK_OK(minimax_session_feed(session, tokens, 100));
  CHECK_OK(minimax_session_rewind_floor(session, &floor));
  CHECK(floor <= 100 - 32);
  CHECK_FAILS(minimax_session_rewind(session, 101 - floor), MINIMAX_NOT_AVAILABLE);
  CHECK_SAYS("cannot go back");
  CHECK_FAILS(minimax_session_rewind(session, -1), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_rewind(session, 101), MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(position_of(session), 100);
  CHECK_OK(minimax_session_rewind(session, 0));
  CHECK_OK(minimax_session_logits(session, &logits, NULL));
  CHECK_OK(minimax_session_rewind(session, 20));
  CHECK_EQ(position_of(session), 80);
  CHECK_FAILS(minimax_session_logits(session, &logits, NULL), MINIMAX_NOT_AVAILABLE);
  CHECK_SAYS("taken back");
  CHECK_OK(minimax_session_feed(session, tokens + 80, 20));
  CHECK_OK(minimax_session_feed(straight, tokens, 80));
  CHECK_OK(minimax_session_feed(straight, tokens + 80, 20));
  CHECK_EQ(position_of(session), 100);
  minimax_session_free(session);
  minimax_session_free(straight);
}

static void returns_and_forks(minimax_engine* engine) {
  int32_t tokens[60];
  minimax_snapshot* snapshot = NULL;
  minimax_session* fork = NULL;
  minimax_snapshot_info info;
  minimax_session* session = create_session(engine);
  fill_tokens(tokens, 60);
  CHECK_OK(minimax_session_feed(session, tokens, 40));
  CHECK_OK(minimax_session_mark(session, &snapshot));
  minimax_snapshot_info_init(&info, sizeof info);
  CHECK_OK(minimax_snapshot_get_info(snapshot, &info));
  CHECK_EQ(info.position, 40);
  CHECK_EQ(info.image_count, 0);
  CHECK(info.state_bytes > 0 && info.kv_bytes > 0);

  CHECK_OK(minimax_session_fork(session, &fork));
  expect_same_logits(session, fork);
  CHECK_OK(minimax_session_feed(fork, tokens + 40, 20));
  CHECK_EQ(position_of(session), 40);
  CHECK_OK(minimax_session_feed(session, tokens, 7));
  CHECK_OK(minimax_session_return_to(session, snapshot));
  CHECK_EQ(position_of(session), 40);
  CHECK_OK(minimax_session_feed(session, tokens + 40, 20));
  expect_same_logits(session, fork);
  minimax_session_free(session);
  CHECK_OK(minimax_session_return_to(fork, snapshot)); /* whose session is gone */
  CHECK_EQ(position_of(fork), 40);
  minimax_session_free(fork);
  minimax_snapshot_free(snapshot);
  minimax_snapshot_free(NULL);
}

static void moves_a_snapshot(minimax_engine* engine) {
  int32_t tokens[60];
  minimax_snapshot* snapshot = NULL;
  minimax_session* fork = NULL;
  minimax_snapshot_info before, info;
  minimax_session* session = create_session(engine);
  fill_tokens(tokens, 60);
  CHECK_OK(minimax_session_feed(session, tokens, 40));
  CHECK_OK(minimax_session_mark(session, &snapshot));
  CHECK_OK(minimax_session_fork(session, &fork));
  minimax_snapshot_info_init(&before, sizeof before);
  minimax_snapshot_info_init(&info, sizeof info);
  CHECK_OK(minimax_snapshot_get_info(snapshot, &before));
  CHECK_EQ(before.home, MINIMAX_HOME_DEVICE);
  CHECK_EQ(before.moved_bytes, 0);

  CHECK_OK(minimax_snapshot_move(snapshot, MINIMAX_HOME_FILE, "."));
  CHECK_OK(minimax_snapshot_get_info(snapshot, &info));
  CHECK_EQ(info.home, MINIMAX_HOME_FILE);
  CHECK_EQ(info.position, 40);
  CHECK(info.moved_bytes > 0 && info.state_bytes == 0 && info.kv_bytes == 0);
  CHECK_FAILS(minimax_snapshot_move(snapshot, MINIMAX_HOME_FILE, "no/such/folder"),
              MINIMAX_NOT_FOUND);
  CHECK_SAYS("no/such/folder");
  CHECK_OK(minimax_session_feed(session, tokens, 7));
  CHECK_OK(minimax_session_return_to(session, snapshot));
  expect_same_logits(session, fork);

  CHECK_OK(minimax_snapshot_move(snapshot, MINIMAX_HOME_HOST, NULL));
  CHECK_OK(minimax_snapshot_get_info(snapshot, &info));
  CHECK_EQ(info.home, MINIMAX_HOME_DEVICE); /* the CPU's memory is the program's */
  CHECK(info.state_bytes == before.state_bytes && info.kv_bytes == before.kv_bytes);

  CHECK_FAILS(minimax_snapshot_move(NULL, MINIMAX_HOME_FILE, "."), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_snapshot_move(snapshot, 3, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_snapshot_move(snapshot, -1, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_snapshot_move(snapshot, MINIMAX_HOME_FILE, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_snapshot_move(snapshot, MINIMAX_HOME_HOST, "."), MINIMAX_INVALID_ARGUMENT);
  minimax_snapshot_free(snapshot);
  minimax_session_free(fork);
  minimax_session_free(session);
}

static void strangers_are_refused(minimax_engine* engine) {
  minimax_engine* other_engine = open_demo();
  minimax_session* session = create_session(engine);
  minimax_session* stranger = create_session(other_engine);
  minimax_session* deeper = NULL;
  minimax_session* out_session = UNTOUCHED;
  minimax_snapshot *snapshot = NULL, *out_snapshot = UNTOUCHED;
  minimax_session_options options;
  minimax_snapshot_info info;
  const int32_t token = 1000;
  minimax_session_options_init(&options, sizeof options);
  minimax_snapshot_info_init(&info, sizeof info);
  options.rewind_tokens = 64;
  CHECK_OK(minimax_session_create(engine, &options, &deeper));
  CHECK_OK(minimax_session_feed(session, &token, 1));
  CHECK_OK(minimax_session_mark(session, &snapshot));
  CHECK_FAILS(minimax_session_return_to(stranger, snapshot), MINIMAX_WRONG_MODEL);
  CHECK_FAILS(minimax_session_return_to(deeper, snapshot), MINIMAX_UNSUPPORTED);
  CHECK_SAYS("rewind_tokens");

  CHECK_FAILS(minimax_session_mark(NULL, &out_snapshot), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_mark(session, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_return_to(NULL, snapshot), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_return_to(session, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_fork(NULL, &out_session), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_fork(session, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_rewind(NULL, 1), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_rewind_floor(session, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_snapshot_get_info(NULL, &info), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_snapshot_get_info(snapshot, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK(out_session == UNTOUCHED && out_snapshot == UNTOUCHED);
  minimax_snapshot_free(snapshot);
  minimax_session_free(session);
  minimax_session_free(stranger);
  minimax_session_free(deeper);
  minimax_engine_free(other_engine);
}

/* A snapshot alone keeps the engine alive, and a fork of a session with a picture knows it. */
static void pictures_and_engines_come_along(void) {
  size_t count = 0;
  minimax_engine* engine = open_demo();
  minimax_session* session = create_session(engine);
  minimax_session* fork = NULL;
  minimax_snapshot* snapshot = NULL;
  minimax_prompt* prompt = NULL;
  CHECK_OK(minimax_prompt_create(engine, &prompt));
  add_picture(prompt, 7);
  CHECK_OK(
      minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "What is it?", MINIMAX_TEXT_END));
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  CHECK_OK(minimax_session_feed_prompt(session, prompt, NULL));
  CHECK_OK(minimax_session_mark(session, &snapshot));
  minimax_prompt_free(prompt);
  minimax_engine_free(engine);
  CHECK_OK(minimax_session_fork(session, &fork));
  CHECK_OK(minimax_session_image_count(fork, &count));
  CHECK_EQ(count, 1);
  CHECK_OK(minimax_session_reset(session));
  CHECK_OK(minimax_session_image_count(session, &count));
  CHECK_EQ(count, 0);
  CHECK_OK(minimax_session_return_to(session, snapshot));
  CHECK_OK(minimax_session_image_count(session, &count));
  CHECK_EQ(count, 1);
  expect_same_logits(session, fork);
  minimax_session_free(session);
  minimax_session_free(fork);
  minimax_snapshot_free(snapshot);
}

int main(void) {
  minimax_engine* engine = open_demo();
  rewinds_to_its_floor(engine);
  returns_and_forks(engine);
  moves_a_snapshot(engine);
  strangers_are_refused(engine);
  minimax_engine_free(engine);
  pictures_and_engines_come_along();
  return 0;
}
