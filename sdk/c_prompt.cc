// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 4: prompts.
#include "minimax.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/structs.h"

using minimax::guard;
using minimax::model_of;
using minimax::require;

namespace {

minimax::Prompt& prompt_of(minimax_prompt* prompt) {
  require(prompt, "prompt is NULL");
  return prompt->prompt;
}

}  // namespace

minimax_status minimax_prompt_create(const minimax_engine* engine, minimax_prompt** out_prompt) {
  return guard([&] {
    const minimax::Model& model = model_of(engine);
    require(out_prompt, "out_prompt is NULL");
    *out_prompt =
        new minimax_prompt{engine->model, minimax::Prompt(model.tokenizer(), model.chat_format(),
                                                          model.vocabulary_size(),
                                                          model.engine().config().image_token)};
  });
}

void minimax_prompt_free(minimax_prompt* prompt) {
  delete prompt;
}

minimax_status minimax_prompt_clear(minimax_prompt* prompt) {
  return guard([&] { prompt_of(prompt).clear(); });
}

minimax_status minimax_prompt_set_format(minimax_prompt* prompt, int32_t format) {
  return guard([&] { prompt_of(prompt).set_format(format); });
}

minimax_status minimax_prompt_add_message(minimax_prompt* prompt, int32_t role, const char* name,
                                          const char* text, size_t size) {
  return guard([&] {
    prompt_of(prompt).add_message(role, name ? name : "", minimax::read_text(text, size, "text"));
  });
}

minimax_status minimax_prompt_add_image(minimax_prompt* prompt, const minimax_image* image) {
  return guard([&] {
    minimax::Prompt& filled = prompt_of(prompt);
    require(image, "image is NULL");
    const minimax::Model& model = *prompt->model;
    filled.add_picture({image->image, model.pictures().plan(image->image->size()).token_count});
  });
}

minimax_status minimax_prompt_add_messages_json(minimax_prompt* prompt, const char* json,
                                                size_t size) {
  return guard([&] {
    require(json, "json is NULL");
    prompt_of(prompt).add_messages_json(minimax::read_text(json, size, "json"));
  });
}

minimax_status minimax_prompt_set_tools_json(minimax_prompt* prompt, const char* json,
                                             size_t size) {
  return guard([&] {
    require(json, "json is NULL");
    prompt_of(prompt).set_tools_json(minimax::read_text(json, size, "json"));
  });
}

minimax_status minimax_prompt_begin_reply(minimax_prompt* prompt) {
  return guard([&] { prompt_of(prompt).begin_reply(); });
}

minimax_status minimax_prompt_end_reply(minimax_prompt* prompt, int32_t stop_reason) {
  return guard([&] { prompt_of(prompt).end_reply(stop_reason); });
}

minimax_status minimax_prompt_add_text(minimax_prompt* prompt, const char* text, size_t size,
                                       int32_t flags) {
  return guard([&] {
    require(flags == MINIMAX_TOKENIZE_DEFAULT || flags == MINIMAX_TOKENIZE_PLAIN, "flags is ",
            flags, ", expected MINIMAX_TOKENIZE_...");
    prompt_of(prompt).add_text(minimax::read_text(text, size, "text"),
                               flags == MINIMAX_TOKENIZE_PLAIN ? minimax::SpecialTokens::plain
                                                               : minimax::SpecialTokens::match);
  });
}

minimax_status minimax_prompt_add_tokens(minimax_prompt* prompt, const int32_t* tokens,
                                         size_t token_count) {
  return guard([&] {
    require(tokens || token_count == 0, "tokens is NULL");
    prompt_of(prompt).add_tokens({tokens, token_count});
  });
}

minimax_status minimax_prompt_tokens(const minimax_prompt* prompt, int32_t* tokens, size_t capacity,
                                     size_t* out_count) {
  return guard([&] {
    require(prompt, "prompt is NULL");
    minimax::write_buffer(prompt->prompt.tokens(), tokens, capacity, out_count);
  });
}

minimax_status minimax_prompt_text(const minimax_prompt* prompt, char* buffer, size_t capacity,
                                   size_t* out_size) {
  return guard([&] {
    require(prompt, "prompt is NULL");
    minimax::write_buffer<char>(prompt->prompt.rendered_text(), buffer, capacity, out_size);
  });
}
