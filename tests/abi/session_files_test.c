/* SPDX-License-Identifier: Apache-2.0
 * Sessions as files: saved, looked at and loaded, through a path and through callbacks. */
#include <sys/stat.h>

#include "abi_fixture.h"

#define PATH "session_files_test.session"

/* Bytes in memory; gives up after so many, and gives them out so many at a time. */
typedef struct memory_file {
  unsigned char* bytes;
  size_t size, capacity, at;
  size_t end;   /* write: no more than these; read: no more are there */
  size_t piece; /* read: at most so many at once */
} memory_file;

static memory_file empty_file(void) {
  memory_file file = {0};
  file.capacity = 16 << 20;
  file.end = file.capacity;
  file.piece = 1000;
  file.bytes = malloc(file.capacity);
  CHECK(file.bytes != NULL);
  return file;
}

static int32_t write_memory(void* user, const void* bytes, size_t size) {
  memory_file* file = user;
  if (file->size + size > file->end) return 28;
  memcpy(file->bytes + file->size, bytes, size);
  file->size += size;
  return 0;
}

static int32_t read_memory(void* user, void* bytes, size_t size, size_t* out_size) {
  memory_file* file = user;
  size_t count = file->size < file->end ? file->size - file->at : file->end - file->at;
  if (count > size) count = size;
  if (count > file->piece) count = file->piece;
  memcpy(bytes, file->bytes + file->at, count);
  file->at += count;
  *out_size = count;
  return 0;
}

static int32_t give_up(void* user, void* bytes, size_t size, size_t* out_size) {
  (void)user, (void)bytes, (void)size, (void)out_size;
  return -3;
}

static int32_t give_too_much(void* user, void* bytes, size_t size, size_t* out_size) {
  (void)user, (void)bytes;
  *out_size = size + 1;
  return 0;
}

static void expect_same_logits(const minimax_session* a, const minimax_session* b) {
  const float *of_a, *of_b;
  size_t count;
  CHECK_OK(minimax_session_logits(a, &of_a, &count));
  CHECK_OK(minimax_session_logits(b, &of_b, NULL));
  CHECK(memcmp(of_a, of_b, count * sizeof *of_a) == 0);
}

static void expect_to_go_on_alike(minimax_session* a, minimax_session* b) {
  int32_t tokens[40];
  fill_tokens(tokens, 40);
  for (size_t i = 0; i < 40; ++i) {
    CHECK_OK(minimax_session_feed(a, tokens + i, 1));
    CHECK_OK(minimax_session_feed(b, tokens + i, 1));
    expect_same_logits(a, b);
  }
}

/* A question with a picture, and the beginning of its answer. */
static minimax_session* begin_talk(minimax_engine* engine, minimax_sampler* sampler) {
  minimax_session* session = create_session(engine);
  minimax_prompt* prompt = NULL;
  minimax_generate_options options;
  CHECK_OK(minimax_prompt_create(engine, &prompt));
  add_picture(prompt, 9);
  CHECK_OK(
      minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "What is it?", MINIMAX_TEXT_END));
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  CHECK_OK(minimax_session_feed_prompt(session, prompt, NULL));
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 5;
  options.ignore_stop_token = 1;
  CHECK_OK(minimax_session_generate(session, sampler, &options, NULL));
  minimax_prompt_free(prompt);
  return session;
}

static minimax_sampler* create_warm_sampler(const minimax_engine* engine, uint64_t seed) {
  minimax_sampler* sampler = NULL;
  minimax_sampler_options options;
  minimax_sampler_options_init(&options, sizeof options);
  options.temperature = 1.5f;
  options.frequency_penalty = 0.5f;
  options.seed = seed;
  CHECK_OK(minimax_sampler_create(engine, &options, &sampler));
  return sampler;
}

static void a_file_brings_session_and_sampler_back(minimax_engine* engine) {
  minimax_sampler* sampler = create_warm_sampler(engine, 4);
  minimax_sampler* other = create_greedy_sampler(engine);
  minimax_session* session = begin_talk(engine, sampler);
  minimax_session *again = NULL, *without = NULL;
  minimax_session_save_options save;
  minimax_session_load_options load;
  minimax_session_file_info info;
  minimax_image_span span, span_again;
  struct stat on_disk;
  int64_t position = 0;

  minimax_session_save_options_init(&save, sizeof save);
  save.sampler = sampler;
  CHECK_OK(minimax_session_save(session, PATH, &save));
  CHECK_OK(minimax_session_save(session, PATH, &save)); /* over itself */

  minimax_session_file_info_init(&info, sizeof info);
  CHECK_OK(minimax_get_session_file_info(PATH, &info));
  CHECK_OK(minimax_session_position(session, &position));
  CHECK(stat(PATH, &on_disk) == 0);
  CHECK_EQ(info.file_bytes, on_disk.st_size);
  CHECK_EQ(info.position, position);
  CHECK_EQ(info.image_count, 1);
  CHECK_EQ(info.format_version, 1);
  CHECK_EQ(info.rewind_tokens, 32);
  CHECK_EQ(info.has_logits, 1);
  CHECK_EQ(info.has_sampler, 1);
  CHECK_TEXT(info.library_version, minimax_version_string());
  CHECK(strstr(info.model_name, "MiniMax") == info.model_name);

  minimax_session_load_options_init(&load, sizeof load);
  load.sampler = other;
  CHECK_OK(minimax_session_load(engine, PATH, &load, &again));
  CHECK_OK(minimax_session_load(engine, PATH, NULL, &without));
  expect_same_logits(session, again);
  expect_same_logits(session, without);
  minimax_image_span_init(&span, sizeof span);
  minimax_image_span_init(&span_again, sizeof span_again);
  CHECK_OK(minimax_session_get_image_span(session, 0, &span));
  CHECK_OK(minimax_session_get_image_span(again, 0, &span_again));
  CHECK(memcmp(&span, &span_again, sizeof span) == 0);
  for (int i = 0; i < 20; ++i) {
    int32_t token = -1, token_again = -2;
    CHECK_OK(minimax_sampler_sample(sampler, session, &token));
    CHECK_OK(minimax_sampler_sample(other, again, &token_again));
    CHECK_EQ(token, token_again);
    CHECK_OK(minimax_session_feed(session, &token, 1));
    CHECK_OK(minimax_session_feed(again, &token, 1));
  }
  expect_to_go_on_alike(session, again);
  minimax_session_free(session);
  minimax_session_free(again);
  minimax_session_free(without);
  minimax_sampler_free(sampler);
  minimax_sampler_free(other);
}

static void callbacks_carry_the_same_bytes(minimax_engine* engine) {
  memory_file file = empty_file();
  minimax_session* session = begin_talk(engine, NULL);
  minimax_session *again = NULL, *out_session = UNTOUCHED;
  CHECK_OK(minimax_session_save_to(session, write_memory, &file, NULL));
  memset(file.bytes + file.size, 0xA5, 100);
  const size_t size = file.size;
  file.size += 100; /* something of somebody else's behind it */
  CHECK_OK(minimax_session_load_from(engine, read_memory, &file, NULL, &again));
  CHECK_EQ(file.at, size);
  expect_to_go_on_alike(session, again);

  file.end = size - 9;
  file.at = 0;
  CHECK_FAILS(minimax_session_load_from(engine, read_memory, &file, NULL, &out_session),
              MINIMAX_BAD_FILE);
  CHECK_SAYS("ends after");
  CHECK_FAILS(minimax_session_load_from(engine, give_up, NULL, NULL, &out_session),
              MINIMAX_IO_ERROR);
  CHECK_SAYS("-3");
  CHECK_FAILS(minimax_session_load_from(engine, give_too_much, NULL, NULL, &out_session),
              MINIMAX_INVALID_ARGUMENT);
  for (file.end = 0; file.end < size; file.end += size / 7) {
    file.size = 0;
    CHECK_FAILS(minimax_session_save_to(session, write_memory, &file, NULL), MINIMAX_IO_ERROR);
    CHECK_SAYS("28");
  }
  CHECK(out_session == UNTOUCHED);
  expect_to_go_on_alike(session, again);
  minimax_session_free(session);
  minimax_session_free(again);
  free(file.bytes);
}

static void what_cannot_be_is_refused(minimax_engine* engine) {
  minimax_engine* text_only = open_text_only();
  minimax_session* session = begin_talk(engine, NULL);
  minimax_session* out_session = UNTOUCHED;
  minimax_sampler* stranger = create_greedy_sampler(text_only);
  minimax_sampler* sampler = create_warm_sampler(engine, 4);
  minimax_session_save_options save;
  minimax_session_load_options load;
  minimax_session_file_info info, before;
  memory_file file = empty_file();
  minimax_session_save_options_init(&save, sizeof save);
  minimax_session_load_options_init(&load, sizeof load);
  minimax_session_file_info_init(&info, sizeof info);
  info.position = 77;
  before = info;

  CHECK_FAILS(minimax_session_save(NULL, PATH, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_save(session, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_save(session, "", NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_save(session, "no/such/folder/one.session", NULL), MINIMAX_NOT_FOUND);
  CHECK_SAYS("no/such/folder/one.session");
  make_folder("session_files_test.folder");
  CHECK_FAILS(minimax_session_save(session, "session_files_test.folder", NULL), MINIMAX_IO_ERROR);
  CHECK_SAYS("not a regular file");
  CHECK_FAILS(minimax_session_load(engine, "session_files_test.folder", NULL, &out_session),
              MINIMAX_IO_ERROR);
  CHECK_FAILS(minimax_session_save_to(NULL, write_memory, &file, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_save_to(session, NULL, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  save.sampler = stranger;
  CHECK_FAILS(minimax_session_save_to(session, write_memory, &file, &save), MINIMAX_WRONG_MODEL);
  CHECK_EQ(file.size, 0);

  CHECK_OK(minimax_session_save(session, PATH, NULL));
  save.sampler = stranger;
  CHECK_FAILS(minimax_session_save(session, PATH, &save), MINIMAX_WRONG_MODEL);
  CHECK_OK(minimax_get_session_file_info(PATH, &info));
  CHECK_EQ(info.has_sampler, 0);
  CHECK_FAILS(minimax_session_load(NULL, PATH, NULL, &out_session), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_load(engine, NULL, NULL, &out_session), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_load(engine, PATH, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_load(engine, "no.session", NULL, &out_session), MINIMAX_NOT_FOUND);
  CHECK_FAILS(minimax_session_load(text_only, PATH, NULL, &out_session), MINIMAX_WRONG_MODEL);
  load.sampler = stranger;
  CHECK_FAILS(minimax_session_load(engine, PATH, &load, &out_session), MINIMAX_WRONG_MODEL);
  load.sampler = sampler;
  CHECK_FAILS(minimax_session_load(engine, PATH, &load, &out_session), MINIMAX_NOT_AVAILABLE);
  CHECK_FAILS(minimax_session_load_from(engine, NULL, NULL, NULL, &out_session),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_session_load_from(engine, read_memory, &file, NULL, NULL),
              MINIMAX_INVALID_ARGUMENT);

  info = before;
  write_file(PATH, "What people write into a file of that name, and longer than any header.");
  CHECK_FAILS(minimax_session_load(engine, PATH, NULL, &out_session), MINIMAX_BAD_FILE);
  CHECK_SAYS("no saved session");
  CHECK_FAILS(minimax_get_session_file_info(PATH, &info), MINIMAX_BAD_FILE);
  CHECK_FAILS(minimax_get_session_file_info("no.session", &info), MINIMAX_NOT_FOUND);
  CHECK_FAILS(minimax_get_session_file_info(NULL, &info), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_get_session_file_info(PATH, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK(memcmp(&info, &before, sizeof info) == 0);
  CHECK(out_session == UNTOUCHED);
  CHECK(remove(PATH) == 0);
  minimax_session_free(session);
  minimax_sampler_free(stranger);
  minimax_sampler_free(sampler);
  minimax_engine_free(text_only);
  free(file.bytes);
}

static void loaded_sessions_keep_their_engine(void) {
  minimax_engine* engine = open_demo();
  minimax_session *session = begin_talk(engine, NULL), *again = NULL;
  CHECK_OK(minimax_session_save(session, PATH, NULL));
  CHECK_OK(minimax_session_load(engine, PATH, NULL, &again));
  minimax_session_free(session);
  minimax_engine_free(engine);
  CHECK_OK(minimax_session_save(again, PATH, NULL));
  minimax_session_free(again);
  CHECK(remove(PATH) == 0);
}

int main(void) {
  minimax_engine* engine = open_demo();
  a_file_brings_session_and_sampler_back(engine);
  callbacks_carry_the_same_bytes(engine);
  what_cannot_be_is_refused(engine);
  minimax_engine_free(engine);
  loaded_sessions_keep_their_engine();
  return 0;
}
