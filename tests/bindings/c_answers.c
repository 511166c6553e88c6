/* SPDX-License-Identifier: Apache-2.0
 * What the C interface answers about a text and a picture, as files for the bindings to compare with:
 *   NAME.txt      the greedy answer
 *   NAME.logits   f32 after the prompt, and after the answer
 *   c.session     the dialogue, and in c.next what is answered when it goes on */
#include <minimax.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_ROOM = 4096, MOST_TOKENS = 40 };

static const char* folder;

static void check(minimax_status status) {
  if (status == MINIMAX_OK) return;
  fprintf(stderr, "c_answers: %s\n", minimax_last_error());
  exit(EXIT_FAILURE);
}

static const char* path_of(const char* name, const char* ending) {
  static char path[PATH_ROOM];
  snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
  return path;
}

static FILE* create(const char* name, const char* ending) {
  FILE* file = fopen(path_of(name, ending), "wb");
  if (file) return file;
  perror(path_of(name, ending));
  exit(EXIT_FAILURE);
}

static void write_logits(const minimax_session* session, FILE* file) {
  const float* logits;
  size_t count;
  check(minimax_session_logits(session, &logits, &count));
  if (fwrite(logits, sizeof *logits, count, file) != count) exit(EXIT_FAILURE);
}

static int32_t write_text(void* user, const char* text, size_t size) {
  return fwrite(text, 1, size, user) != size;
}

static void answer(minimax_session* session, const char* name, const char* ending) {
  FILE* file = create(name, ending);
  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = MOST_TOKENS;
  options.on_text = write_text;
  options.user = file;
  check(minimax_session_generate(session, NULL, &options, NULL));
  fclose(file);
}

/* image: NULL for none. */
static minimax_session* ask(minimax_engine* engine, const minimax_image* image,
                            const char* question, const char* name) {
  minimax_session* session;
  minimax_prompt* prompt;
  FILE* file = create(name, "logits");
  minimax_session_options options;
  minimax_session_options_init(&options, sizeof options);
  options.cache_policy = MINIMAX_CACHE_OFF; /* the same bits, whatever was asked before */
  check(minimax_session_create(engine, &options, &session));
  check(minimax_prompt_create(engine, &prompt));
  if (image) check(minimax_prompt_add_image(prompt, image));
  check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, question, MINIMAX_TEXT_END));
  check(minimax_prompt_begin_reply(prompt));
  check(minimax_session_feed_prompt(session, prompt, NULL));
  write_logits(session, file);
  answer(session, name, "txt");
  write_logits(session, file);
  fclose(file);
  minimax_prompt_free(prompt);
  return session;
}

static void go_on(minimax_engine* engine, minimax_session* session) {
  minimax_prompt* prompt;
  check(minimax_prompt_create(engine, &prompt));
  check(minimax_prompt_end_reply(prompt, MINIMAX_STOP_TOKEN));
  check(
      minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "Thank you!", MINIMAX_TEXT_END));
  check(minimax_prompt_begin_reply(prompt));
  check(minimax_session_feed_prompt(session, prompt, NULL));
  answer(session, "c", "next");
  minimax_prompt_free(prompt);
}

int main(int argc, char** argv) {
  minimax_engine* engine;
  minimax_image* image;
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL PICTURE FOLDER\n", argv[0]);
    return 2;
  }
  folder = argv[3];
  check(minimax_engine_open(argv[1], NULL, &engine));
  check(minimax_image_from_file(argv[2], &image));
  minimax_session* text = ask(engine, NULL, "What is the capital of France?", "text");
  minimax_session* picture = ask(engine, image, "What do you see?", "picture");
  check(minimax_session_save(picture, path_of("c", "session"), NULL));
  go_on(engine, picture);
  minimax_session_free(text);
  minimax_session_free(picture);
  minimax_image_free(image);
  minimax_engine_free(engine);
  return EXIT_SUCCESS;
}
