/* SPDX-License-Identifier: Apache-2.0
 * Streams a long answer and prints tokens a second: what the bindings' own benches are compared with. */
#include <minimax.h>
#include <stdio.h>
#include <stdlib.h>

static void check(minimax_status status) {
  if (status == MINIMAX_OK) return;
  fprintf(stderr, "c_streaming: %s\n", minimax_last_error());
  exit(EXIT_FAILURE);
}

static int32_t write_text(void* user, const char* text, size_t size) {
  return fwrite(text, 1, size, user) != size || fflush(user) != 0;
}

int main(int argc, char** argv) {
  minimax_engine* engine;
  minimax_session* session;
  minimax_prompt* prompt;
  minimax_generate_options options;
  minimax_generate_result result;
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL TOKENS\n", argv[0]);
    return 2;
  }
  check(minimax_engine_open(argv[1], NULL, &engine));
  check(minimax_session_create(engine, NULL, &session));
  check(minimax_prompt_create(engine, &prompt));
  check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "Tell me a story.",
                                   MINIMAX_TEXT_END));
  check(minimax_prompt_begin_reply(prompt));
  check(minimax_session_feed_prompt(session, prompt, NULL));
  minimax_generate_options_init(&options, sizeof options);
  minimax_generate_result_init(&result, sizeof result);
  options.max_tokens = atoll(argv[2]);
  options.ignore_stop_token = 1;
  options.on_text = write_text;
  options.user = fopen("/dev/null", "w");
  check(minimax_session_generate(session, NULL, &options, &result));
  printf("%.2f\n", (double)result.token_count * 1e9 / (double)result.decode_ns);
  fclose(options.user);
  minimax_prompt_free(prompt);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return EXIT_SUCCESS;
}
