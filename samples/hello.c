/* SPDX-License-Identifier: Apache-2.0
 * The shortest whole program: opens a model, asks it a question, shows the answer as it comes. */
#include <minimax.h>
#include <stdio.h>
#include <stdlib.h>

static void check(minimax_status status) {
  if (status == MINIMAX_OK) return;
  fprintf(stderr, "hello: %s\n", minimax_last_error());
  exit(EXIT_FAILURE);
}

static int32_t show(void* user, const char* text, size_t size) {
  (void)user;
  fwrite(text, 1, size, stdout);
  return fflush(stdout); /* anything but 0 ends the answer */
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL QUESTION\n", argv[0]);
    return 2;
  }

  minimax_engine* engine;
  minimax_session* session;
  minimax_prompt* prompt;
  check(minimax_engine_open(argv[1], NULL, &engine));
  check(minimax_session_create(engine, NULL, &session));
  check(minimax_prompt_create(engine, &prompt));

  check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, argv[2], MINIMAX_TEXT_END));
  check(minimax_prompt_begin_reply(prompt));
  check(minimax_session_feed_prompt(session, prompt, NULL));

  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 512;
  options.on_text = show;
  check(minimax_session_generate(session, NULL, &options, NULL));
  putchar('\n');

  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return EXIT_SUCCESS;
}
