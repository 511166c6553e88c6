/* SPDX-License-Identifier: Apache-2.0
 * What the C tests begin with. */
#include "abi_fixture.h"

#include <errno.h>
#include <sys/stat.h>

char untouchable;

void check_call(const char* file, int line, const char* call, minimax_status actual,
                minimax_status expected, minimax_status or_expected) {
  const char* sentence = minimax_last_error();
  if (actual != expected && actual != or_expected) {
    fprintf(stderr, "%s:%d: %s\n  returned %d, ", file, line, call, (int)actual);
    fprintf(stderr, "expected %d or %d; sentence: '%s'\n", (int)expected, (int)or_expected,
            sentence);
    exit(1);
  }
  /* BUFFER_TOO_SMALL is an answer as much as an error: it may do without. */
  if (actual == MINIMAX_BUFFER_TOO_SMALL) return;
  if ((actual == MINIMAX_OK) != (sentence[0] == '\0')) {
    fprintf(stderr, "%s:%d: %s\n  returned %d and left the sentence '%s'\n", file, line, call,
            (int)actual, sentence);
    exit(1);
  }
}

void check_says(const char* file, int line, const char* words) {
  if (strstr(minimax_last_error(), words) != NULL) return;
  fprintf(stderr, "%s:%d: '%s' lacks '%s'\n", file, line, minimax_last_error(), words);
  exit(1);
}

minimax_engine* open_demo_with(const minimax_engine_options* options) {
  minimax_engine* engine = NULL;
  CHECK_OK(minimax_engine_open(DEMO_MODEL, options, &engine));
  CHECK(engine != NULL);
  return engine;
}

minimax_engine* open_demo(void) {
  return open_demo_with(NULL);
}

minimax_engine* open_demo_uncached(void) {
  minimax_engine_options options;
  minimax_engine_options_init(&options, sizeof options);
  options.prefix_cache_bytes_limit = -1;
  return open_demo_with(&options);
}

minimax_engine* open_synthetic(void) {
  minimax_engine* engine = NULL;
  minimax_engine_options options;
  minimax_engine_options_init(&options, sizeof options);
  options.weight_source = MINIMAX_WEIGHTS_SYNTHETIC;
  CHECK_OK(minimax_engine_open(DEMO_MODEL "/config.json", &options, &engine));
  CHECK(engine != NULL);
  return engine;
}

minimax_engine* open_text_only(void) {
  minimax_engine* engine = NULL;
  CHECK_OK(minimax_engine_open(TEXT_MODEL, NULL, &engine));
  CHECK(engine != NULL);
  return engine;
}

minimax_session* create_session(minimax_engine* engine) {
  minimax_session* session = NULL;
  CHECK_OK(minimax_session_create(engine, NULL, &session));
  CHECK(session != NULL);
  return session;
}

minimax_prompt* create_question(const minimax_engine* engine) {
  minimax_prompt* prompt = NULL;
  CHECK_OK(minimax_prompt_create(engine, &prompt));
  CHECK_OK(
      minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, DEMO_QUESTION, MINIMAX_TEXT_END));
  CHECK_OK(minimax_prompt_begin_reply(prompt));
  return prompt;
}

minimax_image* create_picture(uint8_t shade) {
  enum { STRIDE = 3 * PICTURE_SIDE };
  static uint8_t rgb[PICTURE_SIDE * STRIDE];
  minimax_image* image = NULL;
  for (size_t i = 0; i < sizeof rgb; ++i) rgb[i] = i % 3 == 0 ? shade : (uint8_t)(i / STRIDE);
  CHECK_OK(minimax_image_from_pixels(rgb, PICTURE_SIDE, PICTURE_SIDE, STRIDE, &image));
  CHECK(image != NULL);
  return image;
}

void add_picture(minimax_prompt* prompt, uint8_t shade) {
  minimax_image* image = create_picture(shade);
  CHECK_OK(minimax_prompt_add_image(prompt, image));
  minimax_image_free(image);
}

minimax_image_cache_stats cache_of(const minimax_engine* engine) {
  minimax_image_cache_stats stats;
  minimax_image_cache_stats_init(&stats, sizeof stats);
  CHECK_OK(minimax_engine_get_image_cache_stats(engine, &stats));
  return stats;
}

minimax_sampler* create_greedy_sampler(const minimax_engine* engine) {
  minimax_sampler* sampler = NULL;
  CHECK_OK(minimax_sampler_create(engine, NULL, &sampler));
  CHECK(sampler != NULL);
  return sampler;
}

void fill_tokens(int32_t* tokens, size_t count) {
  for (size_t i = 0; i < count; ++i) tokens[i] = 1000 + (int32_t)(i % 7000);
}

void take_mark(const minimax_session* session, session_mark* out_mark) {
  const float* logits = NULL;
  size_t count = 0;
  CHECK_OK(minimax_session_position(session, &out_mark->position));
  CHECK_OK(minimax_session_logits(session, &logits, &count));
  CHECK_EQ(count, DEMO_VOCABULARY);
  memcpy(out_mark->logits, logits, sizeof out_mark->logits);
}

void check_unchanged(const char* file, int line, const minimax_session* session,
                     const session_mark* mark) {
  static session_mark now;
  take_mark(session, &now);
  if (now.position == mark->position && !memcmp(now.logits, mark->logits, sizeof now.logits))
    return;
  fprintf(stderr, "%s:%d: a call that failed changed the session: position %lld, was %lld\n", file,
          line, (long long)now.position, (long long)mark->position);
  exit(1);
}

void make_folder(const char* name) {
  CHECK(mkdir(name, 0777) == 0 || errno == EEXIST);
}

void write_file(const char* path, const char* text) {
  FILE* file = fopen(path, "w");
  CHECK(file != NULL);
  CHECK(fputs(text, file) >= 0);
  CHECK(fclose(file) == 0);
}
