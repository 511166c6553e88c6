/* SPDX-License-Identifier: Apache-2.0
 * Asks a model about a picture: what it will cost in tokens, then the answer as it comes. */
#include <minimax.h>
#include <stdio.h>
#include <stdlib.h>

static void check(minimax_status status) {
  if (status == MINIMAX_OK) return;
  fprintf(stderr, "describe_image: %s\n", minimax_last_error());
  exit(EXIT_FAILURE);
}

static int32_t show(void* user, const char* text, size_t size) {
  (void)user;
  fwrite(text, 1, size, stdout);
  return fflush(stdout); /* anything but 0 ends the answer */
}

static void show_plan(const minimax_engine* engine, const minimax_image* image) {
  int64_t width, height;
  minimax_tile_plan plan;
  check(minimax_image_size(image, &width, &height));
  minimax_tile_plan_init(&plan, sizeof plan);
  check(minimax_image_plan(engine, width, height, &plan));
  fprintf(stderr, "%lld x %lld pixels, %lld tiles, %lld tokens\n", (long long)width,
          (long long)height, (long long)plan.tile_count, (long long)plan.token_count);
}

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: %s MODEL PICTURE [QUESTION]\n", argv[0]);
    return 2;
  }
  const char* question = argc == 4 ? argv[3] : "Describe this image.";

  minimax_engine* engine;
  minimax_session* session;
  minimax_prompt* prompt;
  minimax_image* image;
  check(minimax_engine_open(argv[1], NULL, &engine));
  check(minimax_image_from_file(argv[2], &image));
  show_plan(engine, image);

  check(minimax_session_create(engine, NULL, &session));
  check(minimax_prompt_create(engine, &prompt));
  check(minimax_prompt_add_image(prompt, image));
  check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, question, MINIMAX_TEXT_END));
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
  minimax_image_free(image);
  minimax_engine_free(engine);
  return EXIT_SUCCESS;
}
