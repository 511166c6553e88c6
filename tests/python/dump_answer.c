/* SPDX-License-Identifier: Apache-2.0
 * Answers a question, greedily, and writes the logits after it, the tokens and the text: what a binding must
 * give to the bit.
 *   dump_answer MODEL PICTURE QUESTION LOGITS    PICTURE "-": none. Text to stdout, floats to LOGITS */
#include <minimax.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(minimax_status status) {
  if (status == MINIMAX_OK) return;
  fprintf(stderr, "dump_answer: %s\n", minimax_last_error());
  exit(EXIT_FAILURE);
}

static int32_t show(void* user, const char* text, size_t size) {
  return fwrite(text, 1, size, user) == size ? 0 : 1;
}

static void add_picture(minimax_prompt* prompt, const char* path) {
  minimax_image* image;
  check(minimax_image_from_file(path, &image));
  check(minimax_prompt_add_image(prompt, image));
  minimax_image_free(image);
}

static void write_logits(const minimax_session* session, const char* path) {
  const float* logits;
  size_t count;
  FILE* file = fopen(path, "wb");
  check(minimax_session_logits(session, &logits, &count));
  if (!file || fwrite(logits, sizeof *logits, count, file) != count || fclose(file) != 0) {
    fprintf(stderr, "dump_answer: %s cannot be written\n", path);
    exit(EXIT_FAILURE);
  }
}

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: %s MODEL PICTURE QUESTION LOGITS\n", argv[0]);
    return 2;
  }
  minimax_engine* engine;
  minimax_session* session;
  minimax_prompt* prompt;
  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 200;
  options.on_text = show;
  options.user = stdout;
  check(minimax_engine_open(argv[1], NULL, &engine));
  check(minimax_session_create(engine, NULL, &session));
  check(minimax_prompt_create(engine, &prompt));
  if (strcmp(argv[2], "-") != 0) add_picture(prompt, argv[2]);
  check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, argv[3], MINIMAX_TEXT_END));
  check(minimax_prompt_begin_reply(prompt));
  check(minimax_session_feed_prompt(session, prompt, NULL));
  check(minimax_session_generate(session, NULL, &options, NULL));
  write_logits(session, argv[4]);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return EXIT_SUCCESS;
}
