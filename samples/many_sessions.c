/* SPDX-License-Identifier: Apache-2.0
 * Several conversations at once: each question is answered in a session of its own, all in the same steps,
 * and the answers are printed as they come. */
#include <minimax.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_ROOM = 8192, MOST_QUESTIONS = 64 };

typedef struct conversation {
  int number;
  minimax_session* session;
  char text[TEXT_ROOM]; /* of the answer, up to the end of a line */
  size_t size;
} conversation;

static void check(minimax_status status) {
  if (status == MINIMAX_OK) return;
  fprintf(stderr, "many_sessions: %s\n", minimax_last_error());
  exit(EXIT_FAILURE);
}

/* What of the answer has not been shown yet. */
static void show(conversation* c) {
  if (c->size == 0) return;
  printf("%d: %.*s\n", c->number, (int)c->size, c->text);
  fflush(stdout);
  c->size = 0;
}

/* Lines of several answers may come in turns, words of them may not. */
static void hear(conversation* c, const char* text, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (text[i] == '\n' || c->size == TEXT_ROOM) show(c);
    if (text[i] != '\n') c->text[c->size++] = text[i];
  }
}

static void ask(minimax_engine* engine, minimax_batch* batch, conversation* c,
                const char* question) {
  minimax_prompt* prompt;
  minimax_generate_options generate;
  minimax_batch_request request;
  uint64_t ticket;
  check(minimax_session_create(engine, NULL, &c->session));
  check(minimax_prompt_create(engine, &prompt));
  check(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, question, MINIMAX_TEXT_END));
  check(minimax_prompt_begin_reply(prompt));
  minimax_generate_options_init(&generate, sizeof generate);
  generate.max_tokens = 512;
  minimax_batch_request_init(&request, sizeof request);
  request.prompt = prompt;
  request.generate = &generate;
  request.user = c;
  check(minimax_batch_submit(batch, c->session, &request, &ticket));
  minimax_prompt_free(prompt); /* the batch has what it needs */
}

/* Shows what has happened; how many conversations have ended. */
static int listen(minimax_batch* batch) {
  int ended = 0;
  minimax_batch_event event;
  minimax_batch_event_init(&event, sizeof event);
  while (1) {
    check(minimax_batch_next_event(batch, &event));
    if (event.kind == MINIMAX_EVENT_NONE) return ended;
    conversation* c = event.user;
    hear(c, event.text, event.text_size);
    if (event.kind == MINIMAX_EVENT_FAILED) {
      fprintf(stderr, "many_sessions: %d: %s\n", c->number, event.message);
    }
    if (event.kind >= MINIMAX_EVENT_FINISHED) {
      show(c);
      ++ended;
    }
  }
}

int main(int argc, char** argv) {
  static conversation conversations[MOST_QUESTIONS];
  minimax_engine* engine;
  minimax_batch* batch;
  minimax_batch_stats stats;
  const int count = argc - 2;
  if (count < 1 || count > MOST_QUESTIONS) {
    fprintf(stderr, "usage: %s MODEL QUESTION...\n", argv[0]);
    return 2;
  }

  check(minimax_engine_open(argv[1], NULL, &engine));
  check(minimax_batch_create(engine, NULL, &batch));
  for (int i = 0; i < count; ++i) {
    conversations[i].number = i + 1;
    ask(engine, batch, &conversations[i], argv[i + 2]);
  }
  for (int open_count = count; open_count > 0; open_count -= listen(batch)) {
    check(minimax_batch_step(batch, -1));
  }

  minimax_batch_stats_init(&stats, sizeof stats);
  check(minimax_batch_get_stats(batch, &stats));
  fprintf(stderr, "%d answers, %d tokens in %d steps\n", count, (int)stats.decode_tokens,
          (int)stats.step_count);
  minimax_batch_free(batch);
  for (int i = 0; i < count; ++i) minimax_session_free(conversations[i].session);
  minimax_engine_free(engine);
  return stats.failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
