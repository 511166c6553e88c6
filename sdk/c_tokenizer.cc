// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 3: text to tokens, tokens to text, text streams.
#include <algorithm>
#include <cstring>

#include "minimax.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/structs.h"

namespace minimax {
namespace {

int32_t kind_number(TokenKind kind) {
  switch (kind) {
    case TokenKind::text:
      return MINIMAX_TOKEN_TEXT;
    case TokenKind::special:
      return MINIMAX_TOKEN_SPECIAL;
    case TokenKind::undefined:
      return MINIMAX_TOKEN_UNDEFINED;
  }
  return MINIMAX_TOKEN_UNDEFINED;
}

minimax_token_info describe(const Model& model, int32_t token) {
  const std::string_view bytes = model.tokenizer().token_bytes(token);
  minimax_token_info info;
  init_struct(&info);
  info.kind = kind_number(model.tokenizer().token_kind(token));
  info.is_stop = model.is_stop(token) ? 1 : 0;
  info.is_suppressed = model.is_suppressed(token) ? 1 : 0;
  info.size = std::min(bytes.size(), sizeof info.bytes);
  std::memcpy(info.bytes, bytes.data(), info.size);
  return info;
}

SpecialTokens specials_of(int32_t flags) {
  require(flags == MINIMAX_TOKENIZE_DEFAULT || flags == MINIMAX_TOKENIZE_PLAIN, "flags is ", flags,
          ", expected MINIMAX_TOKENIZE_...");
  return flags == MINIMAX_TOKENIZE_PLAIN ? SpecialTokens::plain : SpecialTokens::match;
}

}  // namespace
}  // namespace minimax

using minimax::guard;
using minimax::model_of;
using minimax::require;

minimax_status minimax_engine_tokenize(const minimax_engine* engine, const char* text, size_t size,
                                       int32_t flags, int32_t* tokens, size_t capacity,
                                       size_t* out_count) {
  return guard([&] {
    const minimax::Tokenizer& tokenizer = model_of(engine).tokenizer();
    std::vector<int32_t> ids;
    tokenizer.encode(minimax::read_text(text, size, "text"), minimax::specials_of(flags), ids);
    minimax::write_buffer<int32_t>(ids, tokens, capacity, out_count);
  });
}

minimax_status minimax_engine_detokenize(const minimax_engine* engine, const int32_t* tokens,
                                         size_t token_count, int32_t flags, char* text,
                                         size_t capacity, size_t* out_size) {
  return guard([&] {
    const minimax::Model& model = model_of(engine);
    require(tokens || token_count == 0, "tokens is NULL");
    require(flags == MINIMAX_DETOKENIZE_DEFAULT || flags == MINIMAX_DETOKENIZE_SPECIAL, "flags is ",
            flags, ", expected MINIMAX_DETOKENIZE_...");
    const std::span<const int32_t> ids(tokens, token_count);
    const minimax::Tokenizer& tokenizer = model.tokenizer();
    model.check_tokens(ids);
    std::string decoded;
    tokenizer.decode(ids, flags == MINIMAX_DETOKENIZE_SPECIAL, decoded);
    minimax::write_buffer<char>(decoded, text, capacity, out_size);
  });
}

size_t minimax_token_info_init(minimax_token_info* info, size_t struct_size) {
  return minimax::init_struct(info, struct_size);
}

minimax_status minimax_engine_token_info(const minimax_engine* engine, int32_t token,
                                         minimax_token_info* out_info) {
  return guard([&] {
    const minimax::Model& model = model_of(engine);
    require(out_info, "out_info is NULL");
    model.check_tokens({&token, 1});
    minimax::write_struct(minimax::describe(model, token), out_info, "out_info");
  });
}

minimax_status minimax_text_stream_create(const minimax_engine* engine,
                                          const char* const* stop_strings, size_t stop_count,
                                          minimax_text_stream** out_stream) {
  return guard([&] {
    const minimax::Tokenizer& tokenizer = model_of(engine).tokenizer();
    require(out_stream, "out_stream is NULL");
    const auto stops = minimax::read_strings(stop_strings, stop_count, "stop_strings");
    *out_stream = new minimax_text_stream{engine->model, minimax::TextStream(tokenizer, stops)};
  });
}

void minimax_text_stream_free(minimax_text_stream* stream) {
  delete stream;
}

minimax_status minimax_text_stream_push(minimax_text_stream* stream, int32_t token,
                                        const char** out_text, size_t* out_size,
                                        int32_t* out_stopped) {
  return guard([&] {
    require(stream, "stream is NULL");
    require(out_text && out_size && out_stopped, "out_text, out_size or out_stopped is NULL");
    stream->model->check_tokens({&token, 1});
    const minimax::TextStream::Piece piece = stream->stream.push(token);
    *out_text = piece.text.data();
    *out_size = piece.text.size();
    *out_stopped = piece.stopped ? 1 : 0;
  });
}

minimax_status minimax_text_stream_flush(minimax_text_stream* stream, const char** out_text,
                                         size_t* out_size) {
  return guard([&] {
    require(stream, "stream is NULL");
    require(out_text && out_size, "out_text or out_size is NULL");
    const std::string_view rest = stream->stream.flush();
    *out_text = rest.data();
    *out_size = rest.size();
  });
}
