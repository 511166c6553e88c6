/* SPDX-License-Identifier: Apache-2.0
 * A dialogue that outlives the program: each run answers one message and goes on where the last run
 * stopped, without computing again what was said. */
#include <minimax.h>
#include <stdio.h>
#include <stdlib.h>

static void check(minimax_status status) {
  if (status == MINIMAX_OK) return;
  fprintf(stderr, "save_and_resume: %s\n", minimax_last_error());
  exit(EXIT_FAILURE);
}

static int32_t show(void* user, const char* text, size_t size) {
  (void)user;
  fwrite(text, 1, size, stdout);
  return fflush(stdout); /* anything but 0 ends the answer */
}

/* The session of the file, or a new one when there is no such file. */
static minimax_session* resume(minimax_engine* engine, const char* path) {
  minimax_session* session = NULL;
  minimax_status status = minimax_session_load(engine, path, NULL, &session);
  if (status == MINIMAX_NOT_FOUND) status = minimax_session_create(engine, NULL, &session);
  check(status);
  return session;
}

/* What minimax_prompt_end_reply wants to know of the answer that the session ends with. */
static int32_t how_it_ended(const minimax_engine* engine, const minimax_session* session,
                            int64_t position) {
  int32_t last;
  size_t count;
  minimax_token_info info;
  minimax_token_info_init(&info, sizeof info);
  check(minimax_session_tokens(session, position - 1, &last, 1, &count));
  check(minimax_engine_token_info(engine, last, &info));
  return info.is_stop ? MINIMAX_STOP_TOKEN : MINIMAX_STOP_MAX_TOKENS;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL FILE MESSAGE\n", argv[0]);
    return 2;
  }

  minimax_engine* engine;
  minimax_prompt* prompt;
  int64_t position;
  check(minimax_engine_open(argv[1], NULL, &engine));
  check(minimax_prompt_create(engine, &prompt));
  minimax_session* session = resume(engine, argv[2]);
  check(minimax_session_position(session, &position));
  fprintf(stderr, "%lld tokens so far\n", (long long)position);

  if (position > 0) {
    check(minimax_prompt_end_reply(prompt, how_it_ended(engine, session, position)));
  }
  check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, argv[3], MINIMAX_TEXT_END));
  check(minimax_prompt_begin_reply(prompt));
  check(minimax_session_feed_prompt(session, prompt, NULL));

  minimax_generate_options options;
  minimax_generate_options_init(&options, sizeof options);
  options.max_tokens = 512;
  options.on_text = show;
  check(minimax_session_generate(session, NULL, &options, NULL));
  putchar('\n');
  check(minimax_session_save(session, argv[2], NULL));

  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return EXIT_SUCCESS;
}
