/* SPDX-License-Identifier: Apache-2.0
 * Section 3 of the header: refusals of the tokenizer and of text streams, and their buffers. */
#include "abi_fixture.h"

static const char text[] = "Hello, world";
enum { TEXT_SIZE = sizeof text - 1, UNKNOWN_FLAG = 64 };

static minimax_engine* engine;

static void tokenize_refuses(void) {
  int32_t tokens[16] = {-7};
  size_t count = 777;
  CHECK_FAILS(minimax_engine_tokenize(NULL, text, TEXT_SIZE, 0, tokens, 16, &count),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_tokenize(engine, NULL, 3, 0, tokens, 16, &count),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_tokenize(engine, NULL, MINIMAX_TEXT_END, 0, tokens, 16, &count),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_tokenize(engine, text, TEXT_SIZE, 0, NULL, 16, &count),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_tokenize(engine, text, TEXT_SIZE, 0, tokens, 16, NULL),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_REFUSED(minimax_engine_tokenize(engine, text, TEXT_SIZE, UNKNOWN_FLAG, tokens, 16, &count));
  CHECK_REFUSED(minimax_engine_tokenize(engine, text, TEXT_SIZE, -1, tokens, 16, &count));
  CHECK_EQ(tokens[0], -7);
  CHECK_EQ(count, 777);
}

static void tokenize_says_how_much(void) {
  int32_t tokens[TEXT_SIZE];
  size_t count = 0, again = 0;
  memset(tokens, -1, sizeof tokens);
  CHECK_EQ(minimax_engine_tokenize(engine, text, TEXT_SIZE, 0, NULL, 0, &count),
           MINIMAX_BUFFER_TOO_SMALL);
  CHECK(count > 1 && count <= TEXT_SIZE);
  CHECK_EQ(minimax_engine_tokenize(engine, text, TEXT_SIZE, 0, tokens, count - 1, &again),
           MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(again, count);
  CHECK_EQ(tokens[0], -1);
  CHECK_OK(minimax_engine_tokenize(engine, text, MINIMAX_TEXT_END, 0, tokens, count, &again));
  CHECK_EQ(again, count);
  CHECK_OK(minimax_engine_tokenize(engine, text, 0, 0, NULL, 0, &again));
  CHECK_EQ(again, 0);
}

static void detokenize_refuses(void) {
  static const int32_t below[] = {1000, -1}, above[] = {1000, DEMO_VOCABULARY}, good[] = {1000};
  char buffer[64] = "#";
  size_t size = 777;
  CHECK_FAILS(minimax_engine_detokenize(NULL, good, 1, 0, buffer, 64, &size),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_detokenize(engine, NULL, 1, 0, buffer, 64, &size),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_detokenize(engine, good, 1, 0, NULL, 64, &size),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_detokenize(engine, good, 1, 0, buffer, 64, NULL),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_detokenize(engine, below, 2, 0, buffer, 64, &size),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_detokenize(engine, above, 2, 0, buffer, 64, &size),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_REFUSED(minimax_engine_detokenize(engine, good, 1, UNKNOWN_FLAG, buffer, 64, &size));
  CHECK_TEXT(buffer, "#");
  CHECK_EQ(size, 777);
}

static void detokenize_says_how_much(void) {
  static const int32_t tokens[] = {1000, 1001, 1002};
  char buffer[256] = "#";
  size_t size = 0, again = 0;
  CHECK_EQ(minimax_engine_detokenize(engine, tokens, 3, 0, NULL, 0, &size),
           MINIMAX_BUFFER_TOO_SMALL);
  CHECK(size > 0 && size < sizeof buffer);
  CHECK_EQ(minimax_engine_detokenize(engine, tokens, 3, 0, buffer, size - 1, &again),
           MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(again, size);
  CHECK_TEXT(buffer, "#");
  memset(buffer, '#', sizeof buffer);
  CHECK_OK(minimax_engine_detokenize(engine, tokens, 3, 0, buffer, size, &again));
  CHECK_EQ(buffer[size], '#'); /* no terminating zero */
}

static void token_info_refuses(void) {
  minimax_token_info info, before;
  minimax_token_info_init(&info, sizeof info);
  info.kind = 55;
  before = info;
  CHECK_FAILS(minimax_engine_token_info(NULL, 1, &info), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_token_info(engine, 1, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_token_info(engine, -1, &info), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_token_info(engine, DEMO_VOCABULARY, &info), MINIMAX_INVALID_ARGUMENT);
  CHECK(memcmp(&info, &before, sizeof info) == 0);
}

static void streams_refuse_stop_strings(void) {
  const char* many[65];
  const char* const null_string[] = {"a", NULL};
  const char* const empty_string[] = {"a", ""};
  minimax_text_stream* stream = UNTOUCHED;
  for (size_t i = 0; i < 65; ++i) many[i] = "stop";
  CHECK_FAILS(minimax_text_stream_create(NULL, NULL, 0, &stream), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_create(engine, NULL, 0, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_create(engine, NULL, 1, &stream), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_create(engine, many, 65, &stream), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_create(engine, null_string, 2, &stream),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_create(engine, empty_string, 2, &stream),
              MINIMAX_INVALID_ARGUMENT);
  CHECK(stream == UNTOUCHED);
  CHECK_OK(minimax_text_stream_create(engine, many, 64, &stream));
  minimax_text_stream_free(stream);
}

static void streams_refuse_tokens(void) {
  minimax_text_stream* stream = NULL;
  const char* piece = UNTOUCHED;
  size_t size = 777;
  int32_t stopped = 77;
  CHECK_OK(minimax_text_stream_create(engine, NULL, 0, &stream));
  CHECK_FAILS(minimax_text_stream_push(NULL, 1000, &piece, &size, &stopped),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_push(stream, 1000, NULL, &size, &stopped),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_push(stream, 1000, &piece, NULL, &stopped),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_push(stream, 1000, &piece, &size, NULL),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_push(stream, -1, &piece, &size, &stopped),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_push(stream, DEMO_VOCABULARY, &piece, &size, &stopped),
              MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_flush(NULL, &piece, &size), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_flush(stream, NULL, &size), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_text_stream_flush(stream, &piece, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK(piece == UNTOUCHED && size == 777 && stopped == 77);
  CHECK_OK(minimax_text_stream_flush(stream, &piece, &size));
  CHECK_EQ(size, 0); /* nothing of the refused tokens is in it */
  minimax_text_stream_free(stream);
}

int main(void) {
  engine = open_demo();
  tokenize_refuses();
  tokenize_says_how_much();
  detokenize_refuses();
  detokenize_says_how_much();
  token_info_refuses();
  streams_refuse_stop_strings();
  streams_refuse_tokens();
  minimax_engine_free(engine);
  return 0;
}
