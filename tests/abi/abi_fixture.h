/* SPDX-License-Identifier: Apache-2.0
 * What the C tests begin with: engines, sessions, prompts and pictures on the demo model. */
#ifndef MINIMAX_TESTS_ABI_FIXTURE_H
#define MINIMAX_TESTS_ABI_FIXTURE_H

#include "abi_check.h"

#define DEMO_MODEL MINIMAX_SOURCE_DIR "/models/demo"
#define DEMO_PICTURES DEMO_MODEL "/eval/pictures/"
#define TEXT_MODEL MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l"
#define DEMO_QUESTION "What is the capital of France?"
#define DEMO_ANSWER "The capital of France is Paris."

enum {
  DEMO_VOCABULARY = 8192,
  PICTURE_SIDE = 112,   /* of create_picture */
  PICTURE_TOKENS = 136, /* that it becomes */
  PICTURE_BYTES = PICTURE_TOKENS * 256 * 4
};

minimax_engine* open_demo(void);
/* options: of minimax_engine_options_init and what the test changed. */
minimax_engine* open_demo_with(const minimax_engine_options* options);
/* Without a prefix cache: each prompt is computed. */
minimax_engine* open_demo_uncached(void);
/* Random weights in the demo model's shapes, no tokenizer. */
minimax_engine* open_synthetic(void);
/* Neither tokenizer nor vision tower. */
minimax_engine* open_text_only(void);
minimax_session* create_session(minimax_engine* engine);
/* The demo question, ready for an answer. */
minimax_prompt* create_question(const minimax_engine* engine);
minimax_sampler* create_greedy_sampler(const minimax_engine* engine);

/* A small square; each shade is another picture. */
minimax_image* create_picture(uint8_t shade);
/* For the next message. The handle is gone when this returns: the prompt keeps what it needs. */
void add_picture(minimax_prompt* prompt, uint8_t shade);
minimax_image_cache_stats cache_of(const minimax_engine* engine);

/* count ids from 1000 on, each valid, each another one. */
void fill_tokens(int32_t* tokens, size_t count);

/* What a session must still be after a call that failed. */
typedef struct session_mark {
  int64_t position;
  float logits[DEMO_VOCABULARY];
} session_mark;

void take_mark(const minimax_session* session, session_mark* out_mark);
#define CHECK_UNCHANGED(session, mark) check_unchanged(__FILE__, __LINE__, (session), (mark))
void check_unchanged(const char* file, int line, const minimax_session* session,
                     const session_mark* mark);

/* A folder of that name in the working directory; and a file in it. */
void make_folder(const char* name);
void write_file(const char* path, const char* text);

#endif
