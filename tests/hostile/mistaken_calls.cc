// SPDX-License-Identifier: Apache-2.0
// Calls that are mistakes: NULLs, options out of range, hostile text and pictures, tokens that do not
// exist.
#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <cstring>
#include <limits>

#include "refusal.h"

namespace minimax::testing {
namespace {

const Statuses invalid = {MINIMAX_INVALID_ARGUMENT};
const Statuses unsupported = {MINIMAX_UNSUPPORTED};
const Statuses invalid_or_unsupported = {MINIMAX_INVALID_ARGUMENT, MINIMAX_UNSUPPORTED};

// Places for a call to write to, which it must not.
struct Outputs {
  minimax_engine* engine = untouched<minimax_engine>();
  minimax_session* session = untouched<minimax_session>();
  minimax_prompt* prompt = untouched<minimax_prompt>();
  minimax_sampler* sampler = untouched<minimax_sampler>();
  minimax_text_stream* stream = untouched<minimax_text_stream>();
  minimax_image* image = untouched<minimax_image>();
  const char* text = &untouchable;
  const float* logits = nullptr;
  size_t count = 777;
  int32_t token = -777;
  int32_t stopped = -777;
  int64_t position = -777;
  int32_t tokens[4] = {-7, -7, -7, -7};
  char bytes[4] = {'#', '#', '#', '#'};
  float numbers[272] = {-7};

  ~Outputs() {
    EXPECT_EQ(engine, untouched<minimax_engine>());
    EXPECT_EQ(session, untouched<minimax_session>());
    EXPECT_EQ(prompt, untouched<minimax_prompt>());
    EXPECT_EQ(sampler, untouched<minimax_sampler>());
    EXPECT_EQ(stream, untouched<minimax_text_stream>());
    EXPECT_EQ(image, untouched<minimax_image>());
    EXPECT_EQ(text, &untouchable);
    EXPECT_EQ(logits, nullptr);
    EXPECT_EQ(count, 777u);
    EXPECT_EQ(token, -777);
    EXPECT_EQ(stopped, -777);
    EXPECT_EQ(position, -777);
    for (const int32_t untouched_token : tokens) EXPECT_EQ(untouched_token, -7);
    for (const char byte : bytes) EXPECT_EQ(byte, '#');
    EXPECT_EQ(numbers[0], -7);
  }
};

minimax_engine* engine() {
  return Witness::get().engine();
}
minimax_session* session() {
  return Witness::get().session();
}

// Other handles on the witness's engine, made for one call.
class Handles {
 public:
  Handles() {
    EXPECT_EQ(minimax_prompt_create(engine(), &prompt), MINIMAX_OK);
    EXPECT_EQ(minimax_sampler_create(engine(), nullptr, &sampler), MINIMAX_OK);
    EXPECT_EQ(minimax_text_stream_create(engine(), nullptr, 0, &stream), MINIMAX_OK);
  }
  ~Handles() {
    minimax_prompt_free(prompt);
    minimax_sampler_free(sampler);
    minimax_text_stream_free(stream);
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  minimax_prompt* prompt = nullptr;
  minimax_sampler* sampler = nullptr;
  minimax_text_stream* stream = nullptr;
};

CallCase with_outputs(std::string name, std::function<minimax_status(Outputs& out)> call,
                      Words words = {}, Statuses statuses = invalid) {
  return {std::move(name),
          [call] {
            Outputs out;
            return call(out);
          },
          std::move(statuses), std::move(words)};
}

// The sentence of the call outlives the end of the handles: _free sets none.
CallCase with_handles(std::string name,
                      std::function<minimax_status(Handles& handles, Outputs& out)> call,
                      Words words = {}, Statuses statuses = invalid) {
  return {std::move(name),
          [call] {
            Handles handles;
            Outputs out;
            return call(handles, out);
          },
          std::move(statuses), std::move(words)};
}

template <typename Field>
CallCase with_engine_option(std::string name, Field minimax_engine_options::*field, Field value,
                            Words words, Statuses statuses = invalid) {
  return with_outputs(
      std::move(name),
      [=](Outputs& out) {
        const ScratchFolder folder;
        TinyModel().write(folder.path());
        minimax_engine_options options;
        minimax_engine_options_init(&options, sizeof options);
        options.*field = value;
        return minimax_engine_open(folder.path().c_str(), &options, &out.engine);
      },
      std::move(words), std::move(statuses));
}

template <typename Field>
CallCase with_sampler_option(std::string name, Field minimax_sampler_options::*field, Field value,
                             Words words) {
  return with_outputs(
      std::move(name),
      [=](Outputs& out) {
        minimax_sampler_options options;
        minimax_sampler_options_init(&options, sizeof options);
        options.*field = value;
        return minimax_sampler_create(engine(), &options, &out.sampler);
      },
      std::move(words));
}

CallCase with_bias(std::string name, int32_t token, float bias, Words words) {
  return with_outputs(
      std::move(name),
      [=](Outputs& out) {
        const minimax_logit_bias entry = {token, bias};
        minimax_sampler_options options;
        minimax_sampler_options_init(&options, sizeof options);
        options.logit_bias = &entry;
        options.logit_bias_count = 1;
        return minimax_sampler_create(engine(), &options, &out.sampler);
      },
      std::move(words));
}

CallCase with_generate_options(std::string name,
                               std::function<void(minimax_generate_options& options)> change,
                               Words words) {
  return with_outputs(
      std::move(name),
      [=](Outputs&) {
        minimax_generate_options options;
        minimax_generate_options_init(&options, sizeof options);
        options.max_tokens = 1;
        change(options);
        minimax_generate_result result, before;
        minimax_generate_result_init(&result, sizeof result);
        before = result;
        const minimax_status status =
            minimax_session_generate(session(), nullptr, &options, &result);
        EXPECT_EQ(std::memcmp(&result, &before, sizeof result), 0);
        return status;
      },
      std::move(words));
}

CallCase with_stop_strings(std::string name, std::vector<std::string> strings, Words words) {
  return with_outputs(
      std::move(name),
      [=](Outputs& out) {
        std::vector<const char*> pointers;
        for (const std::string& string : strings) pointers.push_back(string.c_str());
        return minimax_text_stream_create(engine(), pointers.data(), pointers.size(), &out.stream);
      },
      std::move(words));
}

CallCase with_messages(std::string name, std::string json, Statuses statuses = invalid) {
  return with_handles(
      std::move(name),
      [=](Handles& handles, Outputs&) {
        const minimax_status status =
            minimax_prompt_add_messages_json(handles.prompt, json.data(), json.size());
        const std::string sentence = minimax_last_error();
        size_t count = 1;
        EXPECT_EQ(minimax_prompt_tokens(handles.prompt, nullptr, 0, &count), MINIMAX_OK);
        EXPECT_EQ(count, 0u);
        // Once more, for the sentence.
        return minimax_prompt_add_messages_json(handles.prompt, json.data(), json.size()) == status
                   ? status
                   : MINIMAX_OK;
      },
      {}, std::move(statuses));
}

CallCase with_tools(std::string name, std::string json, Statuses statuses = invalid) {
  return with_handles(
      std::move(name),
      [=](Handles& handles, Outputs&) {
        return minimax_prompt_set_tools_json(handles.prompt, json.data(), json.size());
      },
      {}, std::move(statuses));
}

CallCase with_pixels(std::string name, int64_t width, int64_t height, size_t stride, Words words,
                     Statuses statuses = invalid) {
  return with_outputs(
      std::move(name),
      [=](Outputs& out) {
        static const uint8_t few[48] = {};
        return minimax_image_from_pixels(few, width, height, stride, &out.image);
      },
      std::move(words), std::move(statuses));
}

CallCase with_picture_file(std::string name, std::string path, Words words, Statuses statuses) {
  return with_outputs(
      std::move(name),
      [=](Outputs& out) { return minimax_image_from_file(path.c_str(), &out.image); },
      std::move(words), std::move(statuses));
}

CallCase with_picture_bytes(std::string name, std::string bytes) {
  return with_outputs(std::move(name),
                      [=](Outputs& out) {
                        return minimax_image_from_memory(bytes.data(), bytes.size(), &out.image);
                      },
                      {"picture"}, {MINIMAX_BAD_FILE});
}

CallCase with_picture_size(std::string name, int64_t width, int64_t height, Words words) {
  return with_outputs(
      std::move(name),
      [=](Outputs&) {
        minimax_tile_plan plan;
        minimax_tile_plan_init(&plan, sizeof plan);
        const minimax_status status =
            minimax_image_plan(Viewer::get().engine(), width, height, &plan);
        EXPECT_EQ(plan.token_count, 0);
        return status;
      },
      std::move(words));
}

// An engine whose folder is still there: its config is read again when it is asked about pictures.
CallCase with_model_of_text(std::string name,
                            std::function<minimax_status(minimax_engine* blind)> call) {
  return with_outputs(
      std::move(name),
      [=](Outputs&) {
        const ScratchFolder folder;
        TinyModel().write(folder.path());
        minimax_engine* blind = nullptr;
        EXPECT_EQ(minimax_engine_open(folder.path().c_str(), nullptr, &blind), MINIMAX_OK);
        const minimax_status status = call(blind);
        minimax_engine_free(blind);
        return status;
      },
      {"takes no pictures"}, unsupported);
}

// A prompt of the demo model with a picture that waits for its message.
CallCase with_waiting_picture(std::string name,
                              std::function<minimax_status(minimax_prompt* prompt)> call,
                              Words words, Statuses statuses = invalid) {
  return with_outputs(
      std::move(name),
      [=](Outputs&) {
        const Viewer& viewer = Viewer::get();
        minimax_prompt* prompt = nullptr;
        EXPECT_EQ(minimax_prompt_create(viewer.engine(), &prompt), MINIMAX_OK);
        EXPECT_EQ(minimax_prompt_add_image(prompt, viewer.image()), MINIMAX_OK);
        const minimax_status status = call(prompt);
        minimax_prompt_free(prompt);
        return status;
      },
      std::move(words), std::move(statuses));
}

CallCase with_fed(std::string name, std::vector<int32_t> tokens, Words words) {
  return with_outputs(
      std::move(name),
      [=](Outputs&) { return minimax_session_feed(session(), tokens.data(), tokens.size()); },
      std::move(words));
}

}  // namespace

std::vector<CallCase> null_cases() {
  static const int32_t token = 65;
  return {
      with_outputs("DeviceCountNull", [](Outputs&) { return minimax_device_count(nullptr); },
                   {"out_count"}),
      with_outputs("DeviceInfoNull", [](Outputs&) { return minimax_get_device_info(0, nullptr); },
                   {"out_info"}),
      with_outputs("PlanPathNull",
                   [](Outputs&) {
                     minimax_memory_plan plan;
                     minimax_memory_plan_init(&plan, sizeof plan);
                     return minimax_plan(nullptr, nullptr, &plan);
                   },
                   {"path"}),
      with_outputs("PlanOutNull", [](Outputs&) { return minimax_plan("m", nullptr, nullptr); },
                   {"out_plan"}),
      with_outputs("OpenPathNull",
                   [](Outputs& out) { return minimax_engine_open(nullptr, nullptr, &out.engine); },
                   {"path"}),
      with_outputs("OpenOutNull",
                   [](Outputs&) { return minimax_engine_open("m", nullptr, nullptr); },
                   {"out_engine"}),
      with_outputs("EngineInfoEngineNull",
                   [](Outputs&) {
                     minimax_engine_info info;
                     minimax_engine_info_init(&info, sizeof info);
                     return minimax_engine_get_info(nullptr, &info);
                   },
                   {"engine"}),
      with_outputs("EngineInfoOutNull",
                   [](Outputs&) { return minimax_engine_get_info(engine(), nullptr); },
                   {"out_info"}),
      with_outputs("EngineMemoryOutNull",
                   [](Outputs&) { return minimax_engine_get_memory(engine(), nullptr); },
                   {"out_memory"}),
      with_outputs("ConfigEngineNull",
                   [](Outputs& out) {
                     return minimax_engine_config_json(nullptr, out.bytes, 4, &out.count);
                   },
                   {"engine"}),
      with_outputs(
          "ConfigBufferNull",
          [](Outputs& out) { return minimax_engine_config_json(engine(), nullptr, 4, &out.count); },
          {"buffer", "4"}),
      with_outputs(
          "ConfigOutNull",
          [](Outputs& out) { return minimax_engine_config_json(engine(), out.bytes, 4, nullptr); },
          {"out_"}),
      with_outputs("TokenizeEngineNull",
                   [](Outputs& out) {
                     return minimax_engine_tokenize(nullptr, "a", 1, 0, out.tokens, 4, &out.count);
                   },
                   {"engine"}),
      with_outputs("TokenizeTextNull",
                   [](Outputs& out) {
                     return minimax_engine_tokenize(engine(), nullptr, 1, 0, out.tokens, 4,
                                                    &out.count);
                   },
                   {"text"}),
      with_outputs("TokenizeTextNullToItsEnd",
                   [](Outputs& out) {
                     return minimax_engine_tokenize(engine(), nullptr, MINIMAX_TEXT_END, 0,
                                                    out.tokens, 4, &out.count);
                   },
                   {"text"}),
      with_outputs("TokenizeBufferNull",
                   [](Outputs& out) {
                     return minimax_engine_tokenize(engine(), "a", 1, 0, nullptr, 4, &out.count);
                   },
                   {"buffer"}),
      with_outputs("TokenizeOutNull",
                   [](Outputs& out) {
                     return minimax_engine_tokenize(engine(), "a", 1, 0, out.tokens, 4, nullptr);
                   },
                   {"out_count"}),
      with_outputs("DetokenizeTokensNull",
                   [](Outputs& out) {
                     return minimax_engine_detokenize(engine(), nullptr, 1, 0, out.bytes, 4,
                                                      &out.count);
                   },
                   {"tokens"}),
      with_outputs("DetokenizeOutNull",
                   [](Outputs& out) {
                     return minimax_engine_detokenize(engine(), &token, 1, 0, out.bytes, 4,
                                                      nullptr);
                   },
                   {"out_"}),
      with_outputs("TokenInfoOutNull",
                   [](Outputs&) { return minimax_engine_token_info(engine(), 65, nullptr); },
                   {"out_info"}),
      with_outputs(
          "StreamEngineNull",
          [](Outputs& out) { return minimax_text_stream_create(nullptr, nullptr, 0, &out.stream); },
          {"engine"}),
      with_outputs("StreamStringsNull",
                   [](Outputs& out) {
                     return minimax_text_stream_create(engine(), nullptr, 1, &out.stream);
                   },
                   {"stop_strings"}),
      with_outputs("StreamStringNull",
                   [](Outputs& out) {
                     const char* const strings[] = {"a", nullptr};
                     return minimax_text_stream_create(engine(), strings, 2, &out.stream);
                   },
                   {"stop_strings[1]"}),
      with_outputs(
          "StreamOutNull",
          [](Outputs&) { return minimax_text_stream_create(engine(), nullptr, 0, nullptr); },
          {"out_stream"}),
      with_outputs("PushStreamNull",
                   [](Outputs& out) {
                     return minimax_text_stream_push(nullptr, 65, &out.text, &out.count,
                                                     &out.stopped);
                   },
                   {"stream"}),
      with_handles("PushTextNull",
                   [](Handles& handles, Outputs& out) {
                     return minimax_text_stream_push(handles.stream, 65, nullptr, &out.count,
                                                     &out.stopped);
                   },
                   {"out_text"}),
      with_handles("PushSizeNull",
                   [](Handles& handles, Outputs& out) {
                     return minimax_text_stream_push(handles.stream, 65, &out.text, nullptr,
                                                     &out.stopped);
                   },
                   {"out_size"}),
      with_handles("PushStoppedNull",
                   [](Handles& handles, Outputs& out) {
                     return minimax_text_stream_push(handles.stream, 65, &out.text, &out.count,
                                                     nullptr);
                   },
                   {"out_stopped"}),
      with_outputs(
          "FlushStreamNull",
          [](Outputs& out) { return minimax_text_stream_flush(nullptr, &out.text, &out.count); },
          {"stream"}),
      with_handles("FlushTextNull",
                   [](Handles& handles, Outputs& out) {
                     return minimax_text_stream_flush(handles.stream, nullptr, &out.count);
                   },
                   {"out_text"}),
      with_outputs("PromptEngineNull",
                   [](Outputs& out) { return minimax_prompt_create(nullptr, &out.prompt); },
                   {"engine"}),
      with_outputs("PromptOutNull",
                   [](Outputs&) { return minimax_prompt_create(engine(), nullptr); },
                   {"out_prompt"}),
      with_outputs("PromptClearNull", [](Outputs&) { return minimax_prompt_clear(nullptr); },
                   {"prompt"}),
      with_outputs("PromptFormatNull",
                   [](Outputs&) { return minimax_prompt_set_format(nullptr, 0); }, {"prompt"}),
      with_outputs("PromptMessageNull",
                   [](Outputs&) { return minimax_prompt_add_message(nullptr, 2, nullptr, "a", 1); },
                   {"prompt"}),
      with_handles("PromptMessageTextNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_prompt_add_message(handles.prompt, 2, nullptr, nullptr, 1);
                   },
                   {"text"}),
      with_handles("PromptMessagesNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_prompt_add_messages_json(handles.prompt, nullptr, 0);
                   },
                   {"json"}),
      with_handles("PromptToolsNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_prompt_set_tools_json(handles.prompt, nullptr, 0);
                   },
                   {"json"}),
      with_outputs("PromptReplyNull", [](Outputs&) { return minimax_prompt_begin_reply(nullptr); },
                   {"prompt"}),
      with_outputs("PromptEndNull", [](Outputs&) { return minimax_prompt_end_reply(nullptr, 1); },
                   {"prompt"}),
      with_handles("PromptTextNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_prompt_add_text(handles.prompt, nullptr, 5, 0);
                   },
                   {"text"}),
      with_handles("PromptTokensNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_prompt_add_tokens(handles.prompt, nullptr, 5);
                   },
                   {"tokens"}),
      with_outputs(
          "TokensOfPromptNull",
          [](Outputs& out) { return minimax_prompt_tokens(nullptr, out.tokens, 4, &out.count); },
          {"prompt"}),
      with_handles("TokensOfPromptOutNull",
                   [](Handles& handles, Outputs& out) {
                     return minimax_prompt_tokens(handles.prompt, out.tokens, 4, nullptr);
                   },
                   {"out_count"}),
      with_outputs(
          "TextOfPromptNull",
          [](Outputs& out) { return minimax_prompt_text(nullptr, out.bytes, 4, &out.count); },
          {"prompt"}),
      with_outputs(
          "SessionEngineNull",
          [](Outputs& out) { return minimax_session_create(nullptr, nullptr, &out.session); },
          {"engine"}),
      with_outputs("SessionOutNull",
                   [](Outputs&) { return minimax_session_create(engine(), nullptr, nullptr); },
                   {"out_session"}),
      with_outputs("FeedSessionNull",
                   [](Outputs&) { return minimax_session_feed(nullptr, &token, 1); }, {"session"}),
      with_outputs("FeedTokensNull",
                   [](Outputs&) { return minimax_session_feed(session(), nullptr, 1); },
                   {"tokens"}),
      with_outputs("FeedOfNoTokens",
                   [](Outputs&) { return minimax_session_feed(session(), &token, 0); },
                   {"token_count"}),
      with_handles("FeedPromptSessionNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_session_feed_prompt(nullptr, handles.prompt, nullptr);
                   },
                   {"session"}),
      with_outputs(
          "FeedPromptNull",
          [](Outputs&) { return minimax_session_feed_prompt(session(), nullptr, nullptr); },
          {"prompt"}),
      with_handles("FeedPromptEmpty",
                   [](Handles& handles, Outputs&) {
                     return minimax_session_feed_prompt(session(), handles.prompt, nullptr);
                   },
                   {"empty"}),
      with_outputs(
          "FeedLogitsNull",
          [](Outputs&) { return minimax_session_feed_logits(session(), &token, 1, nullptr, 272); },
          {"logits"}),
      with_outputs("FeedLogitsOfTooLittleRoom",
                   [](Outputs& out) {
                     return minimax_session_feed_logits(session(), &token, 1, out.numbers, 271);
                   },
                   {"271", "272"}),
      with_outputs("ScoreNull",
                   [](Outputs&) { return minimax_session_score(session(), &token, 1, nullptr); },
                   {"logprobs"}),
      with_outputs("PositionSessionNull",
                   [](Outputs& out) { return minimax_session_position(nullptr, &out.position); },
                   {"session"}),
      with_outputs("PositionOutNull",
                   [](Outputs&) { return minimax_session_position(session(), nullptr); },
                   {"out_position"}),
      with_outputs("TokensOfSessionNull",
                   [](Outputs& out) {
                     return minimax_session_tokens(nullptr, 0, out.tokens, 4, &out.count);
                   },
                   {"session"}),
      with_outputs(
          "TokensOfSessionOutNull",
          [](Outputs& out) { return minimax_session_tokens(session(), 0, out.tokens, 4, nullptr); },
          {"out_count"}),
      with_outputs(
          "LogitsSessionNull",
          [](Outputs& out) { return minimax_session_logits(nullptr, &out.logits, &out.count); },
          {"session"}),
      with_outputs(
          "LogitsOutNull",
          [](Outputs& out) { return minimax_session_logits(session(), nullptr, &out.count); },
          {"out_logits"}),
      with_outputs("ResetNull", [](Outputs&) { return minimax_session_reset(nullptr); },
                   {"session"}),
      with_outputs("StatsOutNull",
                   [](Outputs&) { return minimax_session_get_stats(session(), nullptr); },
                   {"out_stats"}),
      with_outputs(
          "SamplerEngineNull",
          [](Outputs& out) { return minimax_sampler_create(nullptr, nullptr, &out.sampler); },
          {"engine"}),
      with_outputs("SamplerOutNull",
                   [](Outputs&) { return minimax_sampler_create(engine(), nullptr, nullptr); },
                   {"out_sampler"}),
      with_outputs("SamplerResetNull", [](Outputs&) { return minimax_sampler_reset(nullptr); },
                   {"sampler"}),
      with_outputs(
          "SampleSamplerNull",
          [](Outputs& out) { return minimax_sampler_sample(nullptr, session(), &out.token); },
          {"sampler"}),
      with_handles("SampleSessionNull",
                   [](Handles& handles, Outputs& out) {
                     return minimax_sampler_sample(handles.sampler, nullptr, &out.token);
                   },
                   {"session"}),
      with_handles("SampleOutNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_sampler_sample(handles.sampler, session(), nullptr);
                   },
                   {"out_token"}),
      with_outputs("AcceptNull", [](Outputs&) { return minimax_sampler_accept(nullptr, 1); },
                   {"sampler"}),
      with_handles("LogprobsOutNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_sampler_logprobs(handles.sampler, nullptr, 0, nullptr);
                   },
                   {"out_count"}),
      with_outputs(
          "GenerateSessionNull",
          [](Outputs&) { return minimax_session_generate(nullptr, nullptr, nullptr, nullptr); },
          {"session"}),
      with_outputs("ImagePlanEngineNull",
                   [](Outputs&) {
                     minimax_tile_plan plan;
                     minimax_tile_plan_init(&plan, sizeof plan);
                     return minimax_image_plan(nullptr, 1, 1, &plan);
                   },
                   {"engine"}),
      with_outputs("ImagePlanOutNull",
                   [](Outputs&) { return minimax_image_plan(engine(), 1, 1, nullptr); },
                   {"out_plan"}),
      with_outputs("ImageFileNull",
                   [](Outputs& out) { return minimax_image_from_file(nullptr, &out.image); },
                   {"path"}),
      with_outputs("ImageFileOutNull",
                   [](Outputs&) { return minimax_image_from_file("a.png", nullptr); },
                   {"out_image"}),
      with_outputs("ImageMemoryNull",
                   [](Outputs& out) { return minimax_image_from_memory(nullptr, 5, &out.image); },
                   {"bytes", "5"}),
      with_outputs("ImageMemoryOutNull",
                   [](Outputs&) { return minimax_image_from_memory("a", 1, nullptr); },
                   {"out_image"}),
      with_outputs(
          "ImagePixelsNull",
          [](Outputs& out) { return minimax_image_from_pixels(nullptr, 1, 1, 3, &out.image); },
          {"rgb"}),
      with_outputs("ImagePixelsOutNull",
                   [](Outputs&) {
                     const uint8_t rgb[3] = {};
                     return minimax_image_from_pixels(rgb, 1, 1, 3, nullptr);
                   },
                   {"out_image"}),
      with_outputs(
          "ImageSizeNull",
          [](Outputs& out) { return minimax_image_size(nullptr, &out.position, &out.position); },
          {"image"}),
      with_outputs("ImageIdNull",
                   [](Outputs&) {
                     uint8_t id[32];
                     return minimax_image_id(nullptr, id);
                   },
                   {"image"}),
      with_outputs("ImageIdOutNull",
                   [](Outputs&) { return minimax_image_id(Viewer::get().image(), nullptr); },
                   {"out_id"}),
      with_outputs("EncodeEngineNull",
                   [](Outputs&) {
                     return minimax_engine_encode_image(nullptr, Viewer::get().image(), nullptr,
                                                        nullptr);
                   },
                   {"engine"}),
      with_outputs("EncodeImageNull",
                   [](Outputs&) {
                     return minimax_engine_encode_image(Viewer::get().engine(), nullptr, nullptr,
                                                        nullptr);
                   },
                   {"image"}),
      with_outputs("ImageCacheEngineNull",
                   [](Outputs&) {
                     minimax_image_cache_stats stats;
                     minimax_image_cache_stats_init(&stats, sizeof stats);
                     return minimax_engine_get_image_cache_stats(nullptr, &stats);
                   },
                   {"engine"}),
      with_outputs("ImageCacheOutNull",
                   [](Outputs&) { return minimax_engine_get_image_cache_stats(engine(), nullptr); },
                   {"out_stats"}),
      with_outputs("ImageCacheClearNull",
                   [](Outputs&) { return minimax_engine_clear_image_cache(nullptr); }, {"engine"}),
      with_outputs(
          "PromptImagePromptNull",
          [](Outputs&) { return minimax_prompt_add_image(nullptr, Viewer::get().image()); },
          {"prompt"}),
      with_handles("PromptImageNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_prompt_add_image(handles.prompt, nullptr);
                   },
                   {"image"}),
      with_handles("FeedFromSessionNull",
                   [](Handles& handles, Outputs&) {
                     return minimax_session_feed_prompt_from(nullptr, handles.prompt, 0, nullptr);
                   },
                   {"session"}),
      with_outputs(
          "FeedFromPromptNull",
          [](Outputs&) { return minimax_session_feed_prompt_from(session(), nullptr, 0, nullptr); },
          {"prompt"}),
      with_outputs("ImageCountSessionNull",
                   [](Outputs& out) { return minimax_session_image_count(nullptr, &out.count); },
                   {"session"}),
      with_outputs("ImageCountOutNull",
                   [](Outputs&) { return minimax_session_image_count(session(), nullptr); },
                   {"out_count"}),
      with_outputs("ImageSpanSessionNull",
                   [](Outputs&) {
                     minimax_image_span span;
                     minimax_image_span_init(&span, sizeof span);
                     return minimax_session_get_image_span(nullptr, 0, &span);
                   },
                   {"session"}),
      with_outputs("ImageSpanOutNull",
                   [](Outputs&) {
                     return minimax_session_get_image_span(Viewer::get().session(), 0, nullptr);
                   },
                   {"out_span"}),
      with_generate_options(
          "GenerateStopStringsNull",
          [](minimax_generate_options& options) { options.stop_string_count = 3; },
          {"stop_strings"}),
  };
}

std::vector<CallCase> option_cases() {
  using Engine = minimax_engine_options;
  using Sampler = minimax_sampler_options;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  static const char* const two_devices[] = {"cpu", "cpu"};
  static const char* const no_device[] = {nullptr};
  std::vector<CallCase> cases = {
      with_engine_option("ThreadsNegative", &Engine::thread_count, -1, {"thread_count", "-1"}),
      with_engine_option("ThreadsTooMany", &Engine::thread_count, 1025, {"thread_count", "1025"}),
      with_engine_option("ThreadsAsManyAsCanBe", &Engine::thread_count, INT32_MAX,
                         {"thread_count"}),
      with_engine_option("ThreadsAsFewAsCanBe", &Engine::thread_count, INT32_MIN, {"thread_count"}),
      with_engine_option("WeightTypeUnknown", &Engine::weight_type, 99, {"weight_type", "99"}),
      with_engine_option("WeightTypeConverted", &Engine::weight_type, int32_t{MINIMAX_TYPE_BF16},
                         {"weight_type"}, unsupported),
      with_engine_option("ComputeTypeUnknown", &Engine::compute_type, -1, {"compute_type", "-1"}),
      with_engine_option("ComputeTypeHalf", &Engine::compute_type, int32_t{MINIMAX_TYPE_F16},
                         {"compute_type"}, unsupported),
      with_engine_option("KvTypeUnknown", &Engine::kv_type, 4, {"kv_type", "4"}),
      with_engine_option("KvTypeHalf", &Engine::kv_type, int32_t{MINIMAX_TYPE_F16}, {"kv_type"},
                         unsupported),
      with_engine_option("StateTypeUnknown", &Engine::state_type, INT32_MIN, {"state_type"}),
      with_engine_option("StateTypeShort", &Engine::state_type, int32_t{MINIMAX_TYPE_BF16},
                         {"state_type"}, unsupported),
      with_engine_option("WeightSourceUnknown", &Engine::weight_source, 2, {"weight_source", "2"}),
      with_engine_option("ContextNegative", &Engine::context_limit, int64_t{-1},
                         {"context_limit", "-1"}),
      with_engine_option("KvBytesNegative", &Engine::kv_bytes_limit, int64_t{INT64_MIN},
                         {"kv_bytes_limit"}),
      with_engine_option("ImageCacheNegative", &Engine::image_cache_bytes_limit, int64_t{-1},
                         {"image_cache_bytes_limit", "-1"}),
      with_engine_option("ImageCacheAsSmallAsCanBe", &Engine::image_cache_bytes_limit,
                         int64_t{INT64_MIN}, {"image_cache_bytes_limit"}),
      with_engine_option("PrefixCacheBelowNone", &Engine::prefix_cache_bytes_limit, int64_t{-2},
                         {"prefix_cache_bytes_limit", "-2"}),
      with_engine_option("ChunkNegative", &Engine::chunk_tokens, int64_t{-1}, {"chunk_tokens"}),
      with_engine_option("ChunkTooLong", &Engine::chunk_tokens, int64_t{8193},
                         {"chunk_tokens", "8193"}),
      with_engine_option("ChunkAsLongAsCanBe", &Engine::chunk_tokens, int64_t{INT64_MAX},
                         {"chunk_tokens"}),
      with_engine_option("HostAllocator", &Engine::host_allocator,
                         static_cast<const void*>(&untouchable), {"host_allocator"}, unsupported),
      with_engine_option("DeviceStream", &Engine::device_stream,
                         static_cast<const void*>(&untouchable), {"device_stream"}, unsupported),
      with_engine_option("DevicesNull", &Engine::device_count, size_t{1}, {"devices"}),
      with_sampler_option("TemperatureNaN", &Sampler::temperature, nan, {"temperature", "nan"}),
      with_sampler_option("TemperatureInfinite", &Sampler::temperature, infinity,
                          {"temperature", "inf"}),
      with_sampler_option("TemperatureNegative", &Sampler::temperature, -0.5f,
                          {"temperature", "-0.5"}),
      with_sampler_option("TemperatureTooHigh", &Sampler::temperature, 100.5f, {"temperature"}),
      with_sampler_option("TopPNaN", &Sampler::top_p, nan, {"top_p"}),
      with_sampler_option("TopPNegative", &Sampler::top_p, -0.1f, {"top_p"}),
      with_sampler_option("TopPAboveOne", &Sampler::top_p, 1.5f, {"top_p", "1.5"}),
      with_sampler_option("MinPNaN", &Sampler::min_p, nan, {"min_p"}),
      with_sampler_option("MinPAboveOne", &Sampler::min_p, infinity, {"min_p"}),
      with_sampler_option("TopKNegative", &Sampler::top_k, -1, {"top_k", "-1"}),
      with_sampler_option("RepetitionNaN", &Sampler::repetition_penalty, nan,
                          {"repetition_penalty"}),
      with_sampler_option("RepetitionNegative", &Sampler::repetition_penalty, -1.0f,
                          {"repetition_penalty"}),
      with_sampler_option("RepetitionTiny", &Sampler::repetition_penalty, 1e-30f,
                          {"repetition_penalty"}),
      with_sampler_option("PresenceNaN", &Sampler::presence_penalty, nan, {"presence_penalty"}),
      with_sampler_option("PresenceInfinite", &Sampler::presence_penalty, -infinity,
                          {"presence_penalty"}),
      with_sampler_option("FrequencyNaN", &Sampler::frequency_penalty, nan, {"frequency_penalty"}),
      with_sampler_option("FrequencyTooHigh", &Sampler::frequency_penalty, 101.0f,
                          {"frequency_penalty"}),
      with_sampler_option("WindowNegative", &Sampler::penalty_window, -1, {"penalty_window"}),
      with_sampler_option("LogprobsNegative", &Sampler::top_logprobs, -1, {"top_logprobs"}),
      with_sampler_option("LogprobsTooMany", &Sampler::top_logprobs, 257, {"top_logprobs", "257"}),
      with_sampler_option("BiasNull", &Sampler::logit_bias_count, size_t{1}, {"logit_bias"}),
      with_bias("BiasNaN", 1, nan, {"logit_bias"}),
      with_bias("BiasOfANegativeToken", -1, 1, {"logit_bias", "-1"}),
      with_bias("BiasPastTheVocabulary", 272, 1, {"logit_bias", "272"}),
      with_generate_options("MaxTokensNegative",
                            [](minimax_generate_options& o) { o.max_tokens = -1; },
                            {"max_tokens", "-1"}),
      with_generate_options("IgnoreStopTokenIsTwo",
                            [](minimax_generate_options& o) { o.ignore_stop_token = 2; },
                            {"ignore_stop_token", "2"}),
      with_generate_options("StopStringsPastTheLimit",
                            [](minimax_generate_options& o) {
                              static const std::vector<const char*> strings(65, "a");
                              o.stop_strings = strings.data();
                              o.stop_string_count = strings.size();
                            },
                            {"stop_strings", "65"}),
      with_generate_options("StopStringIsEmpty",
                            [](minimax_generate_options& o) {
                              static const char* const strings[] = {"a", ""};
                              o.stop_strings = strings;
                              o.stop_string_count = 2;
                            },
                            {"stop_strings[1]"}),
      with_generate_options("StopStringIsNotUtf8",
                            [](minimax_generate_options& o) {
                              static const char* const strings[] = {"\xff\xfe"};
                              o.stop_strings = strings;
                              o.stop_string_count = 1;
                            },
                            {"stop_strings[0]"}),
      with_outputs("LogLevelNegative",
                   [](Outputs&) { return minimax_set_log(nullptr, nullptr, -1); }, {"level"}),
      with_outputs("LogLevelUnknown", [](Outputs&) { return minimax_set_log(nullptr, nullptr, 4); },
                   {"level"}),
      with_outputs("DevicePastTheCount",
                   [](Outputs&) {
                     minimax_device_info info;
                     minimax_device_info_init(&info, sizeof info);
                     return minimax_get_device_info(SIZE_MAX, &info);
                   },
                   {"18446744073709551615"}, {MINIMAX_NOT_FOUND}),
  };
  for (const int32_t rewind : {-2, 4097, INT32_MAX, INT32_MIN}) {
    cases.push_back(with_outputs("RewindTokens" + std::string(rewind < 0 ? "Below" : "Above") +
                                     std::to_string(std::abs(static_cast<int64_t>(rewind))),
                                 [=](Outputs& out) {
                                   minimax_session_options options;
                                   minimax_session_options_init(&options, sizeof options);
                                   options.rewind_tokens = rewind;
                                   return minimax_session_create(engine(), &options, &out.session);
                                 },
                                 {"rewind_tokens"}));
  }
  const auto with_devices = [](std::string name, const char* const* devices, size_t count,
                               Statuses statuses) {
    return with_outputs(
        std::move(name),
        [=](Outputs& out) {
          minimax_engine_options options;
          minimax_engine_options_init(&options, sizeof options);
          options.devices = devices;
          options.device_count = count;
          const ScratchFolder folder;
          TinyModel().write(folder.path());
          return minimax_engine_open(folder.path().c_str(), &options, &out.engine);
        },
        {"device"}, std::move(statuses));
  };
  cases.push_back(with_devices("DevicesTwo", two_devices, 2, unsupported));
  cases.push_back(with_devices("DevicesAsManyAsCanBe", two_devices, SIZE_MAX, unsupported));
  cases.push_back(with_devices("DeviceNull", no_device, 1, invalid));
  static const std::string long_name(100000, 'd');
  static const char* const odd_names[] = {"",         "CPU",        "cpu:",           "cpu:avx9",
                                          "cpu\n",    "cuda:99",    "cuda:",          "cuda:-1",
                                          "\xff\xfe", "cpu:plain ", long_name.c_str()};
  for (size_t i = 0; i < std::size(odd_names); ++i) {
    cases.push_back(with_devices("DeviceOdd" + std::to_string(i), &odd_names[i], 1,
                                 {MINIMAX_NOT_FOUND, MINIMAX_NOT_AVAILABLE}));
  }
  return cases;
}

std::vector<CallCase> text_cases() {
  std::vector<CallCase> cases;
  for (const int32_t flags : {-1, 2, INT32_MAX}) {
    const std::string suffix = flags < 0 ? "Negative" : std::to_string(flags);
    cases.push_back(with_outputs("TokenizeFlags" + suffix,
                                 [=](Outputs& out) {
                                   return minimax_engine_tokenize(engine(), "a", 1, flags,
                                                                  out.tokens, 4, &out.count);
                                 },
                                 {"flags"}));
    cases.push_back(with_outputs("DetokenizeFlags" + suffix,
                                 [=](Outputs& out) {
                                   const int32_t token = 65;
                                   return minimax_engine_detokenize(engine(), &token, 1, flags,
                                                                    out.bytes, 4, &out.count);
                                 },
                                 {"flags"}));
    cases.push_back(with_handles("PromptTextFlags" + suffix,
                                 [=](Handles& handles, Outputs&) {
                                   return minimax_prompt_add_text(handles.prompt, "a", 1, flags);
                                 },
                                 {"flags"}));
  }
  for (const int32_t token : {-1, 272, INT32_MAX, INT32_MIN}) {
    const std::string suffix =
        std::string(token < 0 ? "Below" : "Above") + std::to_string(std::abs(int64_t{token}));
    const Words words = {std::to_string(token)};
    cases.push_back(with_outputs(
        "DetokenizeToken" + suffix,
        [=](Outputs& out) {
          return minimax_engine_detokenize(engine(), &token, 1, 0, out.bytes, 4, &out.count);
        },
        words));
    cases.push_back(with_outputs(
        "InfoOfToken" + suffix,
        [=](Outputs&) {
          minimax_token_info info;
          minimax_token_info_init(&info, sizeof info);
          info.kind = 77;
          const minimax_status status = minimax_engine_token_info(engine(), token, &info);
          EXPECT_EQ(info.kind, 77);
          return status;
        },
        words));
    cases.push_back(with_handles(
        "PushToken" + suffix,
        [=](Handles& handles, Outputs& out) {
          return minimax_text_stream_push(handles.stream, token, &out.text, &out.count,
                                          &out.stopped);
        },
        words));
    cases.push_back(with_handles(
        "AcceptToken" + suffix,
        [=](Handles& handles, Outputs&) { return minimax_sampler_accept(handles.sampler, token); },
        words));
    cases.push_back(with_handles("PromptToken" + suffix,
                                 [=](Handles& handles, Outputs&) {
                                   const int32_t tokens[] = {1, token};
                                   return minimax_prompt_add_tokens(handles.prompt, tokens, 2);
                                 },
                                 {"tokens[1]", std::to_string(token)}));
  }
  cases.push_back(
      with_stop_strings("StreamStringsPastTheLimit", std::vector<std::string>(65, "a"), {"65"}));
  cases.push_back(with_stop_strings("StreamStringIsEmpty", {"a", "b", ""}, {"stop_strings[2]"}));
  cases.push_back(
      with_stop_strings("StreamStringIsNotUtf8", {"a", "\xc3\x28"}, {"stop_strings[1]"}));
  cases.push_back(
      with_stop_strings("StreamStringEndsWithinACharacter", {"\xe4\xbd"}, {"stop_strings[0]"}));
  cases.push_back(
      with_stop_strings("StreamStringIsASurrogate", {"\xed\xa0\x80"}, {"stop_strings[0]"}));
  cases.push_back(
      with_stop_strings("StreamStringOfMegabytes", {std::string(3 << 20, 's')}, {"1048576"}));
  cases.push_back(with_stop_strings("StreamStringsOfMegabytes",
                                    std::vector<std::string>(64, std::string(40000, 's')),
                                    {"1048576"}));
  for (const int32_t role : {0, 5, -1, INT32_MAX}) {
    cases.push_back(with_handles("Role" + std::string(role < 0 ? "Negative" : std::to_string(role)),
                                 [=](Handles& handles, Outputs&) {
                                   return minimax_prompt_add_message(handles.prompt, role, nullptr,
                                                                     "a", 1);
                                 },
                                 {"role", std::to_string(role)}));
    cases.push_back(with_handles(
        "Format" + std::string(role < 0 ? "Negative" : std::to_string(role == 0 ? 99 : role)),
        [=](Handles& handles, Outputs&) {
          return minimax_prompt_set_format(handles.prompt, role == 0 ? 99 : role);
        },
        {"format"}));
  }
  for (const int32_t reason : {0, 7, INT32_MIN}) {
    cases.push_back(
        with_handles("StopReason" + std::string(reason < 0 ? "Negative" : std::to_string(reason)),
                     [=](Handles& handles, Outputs&) {
                       return minimax_prompt_end_reply(handles.prompt, reason);
                     },
                     {"stop_reason", std::to_string(reason)}));
  }
  cases.push_back(with_handles("NameOfAUser",
                               [](Handles& handles, Outputs&) {
                                 return minimax_prompt_add_message(
                                     handles.prompt, MINIMAX_ROLE_USER, "n\xff\n", "a", 1);
                               },
                               {"name"}));
  cases.push_back(with_handles("ReplyWithinAReply",
                               [](Handles& handles, Outputs&) {
                                 EXPECT_EQ(minimax_prompt_begin_reply(handles.prompt), MINIMAX_OK);
                                 return minimax_prompt_begin_reply(handles.prompt);
                               },
                               {"begin_reply"}));
  cases.push_back(with_handles("MessageWithinAReply",
                               [](Handles& handles, Outputs&) {
                                 EXPECT_EQ(minimax_prompt_begin_reply(handles.prompt), MINIMAX_OK);
                                 return minimax_prompt_add_message(
                                     handles.prompt, MINIMAX_ROLE_USER, nullptr, "a", 1);
                               },
                               {"begin_reply"}));
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"content\":";
  const std::vector<std::pair<const char*, std::string>> lists = {
      {"Empty", ""},
      {"Null", "null"},
      {"Object", "{}"},
      {"Torn", "[{"},
      {"NestsLists", std::string(1000000, '[')},
      {"NestsObjects", "[" + objects},
      {"NotUtf8", "[{\"role\": \"user\", \"content\": \"\xff\"}]"},
      {"ZeroByte", std::string("[]\0", 3)},
      {"OfNumbers", "[1, 2]"},
      {"OfNulls", "[null]"},
      {"HalfASurrogate", R"([{"role": "user", "content": "\ud83d"}])"},
      {"TwoValues", "[] []"}};
  for (const auto& [name, json] : lists) {
    cases.push_back(with_messages(std::string("Messages") + name, json));
    cases.push_back(with_tools(std::string("Tools") + name, json));
  }
  const std::vector<std::pair<const char*, std::string>> messages = {
      {"WithoutARole", R"([{"content": "a"}])"},
      {"OfANumberedRole", R"([{"role": 1, "content": "a"}])"},
      {"OfAnUnknownRole", R"([{"role": "wizard", "content": "a"}])"},
      {"WithNumbersAsContent", R"([{"role": "user", "content": 1}])"},
      {"WithOddParts", R"([{"role": "user", "content": [{"type": "smell", "smell": "a"}]}])"},
      {"WithAPicture", R"([{"role": "user", "content": [{"type": "image"}]}])"},
      {"OfWhichTheLastIsBad",
       R"([{"role": "user", "content": "a"}, {"role": "user", "content": {}}])"}};
  for (const auto& [name, json] : messages) {
    cases.push_back(with_messages(std::string("Messages") + name, json, invalid_or_unsupported));
  }
  return cases;
}

std::vector<CallCase> session_cases() {
  std::vector<CallCase> cases = {
      with_fed("FedANegativeToken", {1, 2, -1}, {"tokens[2]", "-1"}),
      with_fed("FedATokenPastTheVocabulary", {272}, {"tokens[0]", "272"}),
      with_fed("FedTheLargestNumber", {1, INT32_MAX}, {"tokens[1]", "2147483647"}),
      with_fed("FedTheSmallestNumber", {INT32_MIN}, {"tokens[0]", "-2147483648"}),
      with_outputs("ScoredATokenPastTheVocabulary",
                   [](Outputs& out) {
                     const int32_t tokens[] = {1, 272};
                     return minimax_session_score(session(), tokens, 2, out.numbers);
                   },
                   {"tokens[1]"}),
      with_outputs("LogitsOfATokenPastTheVocabulary",
                   [](Outputs& out) {
                     const int32_t token = 272;
                     return minimax_session_feed_logits(session(), &token, 1, out.numbers, 272);
                   },
                   {"tokens[0]"}),
      with_outputs("LogitsOfManyTokensInLittleRoom",
                   [](Outputs& out) {
                     const std::vector<int32_t> tokens = some_tokens(1000);
                     return minimax_session_feed_logits(session(), tokens.data(), tokens.size(),
                                                        out.numbers, 272);
                   },
                   {"272000"}),
      with_outputs("TokensFromANegativePlace",
                   [](Outputs& out) {
                     return minimax_session_tokens(session(), -1, out.tokens, 4, &out.count);
                   },
                   {"first", "-1"}),
      with_outputs("TokensFromPastTheEnd",
                   [](Outputs& out) {
                     return minimax_session_tokens(session(), 41, out.tokens, 4, &out.count);
                   },
                   {"first", "41"}),
      with_outputs("TokensFromFarPastTheEnd",
                   [](Outputs& out) {
                     return minimax_session_tokens(session(), INT64_MAX, out.tokens, 4, &out.count);
                   },
                   {"first"}),
      with_outputs("LogitsOfAnEmptySession",
                   [](Outputs& out) {
                     minimax_session* empty = nullptr;
                     EXPECT_EQ(minimax_session_create(engine(), nullptr, &empty), MINIMAX_OK);
                     const minimax_status status =
                         minimax_session_logits(empty, &out.logits, &out.count);
                     minimax_session_free(empty);
                     return status;
                   },
                   {"empty"}, {MINIMAX_NOT_AVAILABLE}),
      with_outputs("GenerateFromAnEmptySession",
                   [](Outputs&) {
                     minimax_session* empty = nullptr;
                     EXPECT_EQ(minimax_session_create(engine(), nullptr, &empty), MINIMAX_OK);
                     const minimax_status status =
                         minimax_session_generate(empty, nullptr, nullptr, nullptr);
                     minimax_session_free(empty);
                     return status;
                   },
                   {"empty"}, {MINIMAX_NOT_AVAILABLE}),
      with_outputs("NoTokenLeftToDraw",
                   [](Outputs& out) {
                     std::vector<minimax_logit_bias> forbidden;
                     for (int32_t i = 0; i < TinyModel::vocabulary_size; ++i) {
                       forbidden.push_back({i, -std::numeric_limits<float>::infinity()});
                     }
                     minimax_sampler_options options;
                     minimax_sampler_options_init(&options, sizeof options);
                     options.logit_bias = forbidden.data();
                     options.logit_bias_count = forbidden.size();
                     minimax_sampler* sampler = nullptr;
                     EXPECT_EQ(minimax_sampler_create(engine(), &options, &sampler), MINIMAX_OK);
                     const minimax_status status =
                         minimax_sampler_sample(sampler, session(), &out.token);
                     minimax_sampler_free(sampler);
                     return status;
                   },
                   {"no token"}),
  };
  return cases;
}

std::vector<CallCase> picture_cases() {
  std::vector<CallCase> cases = {
      with_pixels("PixelsOfNoWidth", 0, 4, 12, {"0 x 4"}),
      with_pixels("PixelsOfNoHeight", 4, 0, 12, {"4 x 0"}),
      with_pixels("PixelsOfNegativeWidth", -4, 4, 12, {"-4 x 4"}),
      with_pixels("PixelsOfTheSmallestHeight", 4, INT64_MIN, 12, {"4 x -9223372036854775808"}),
      with_pixels("PixelsWithoutAStride", 4, 4, 0, {"stride is 0", "12"}),
      with_pixels("PixelsOfAStrideTooSmall", 4, 4, 11, {"stride is 11", "12"}),
      with_pixels("PixelsTooWide", 65537, 1, SIZE_MAX, {"65537 x 1", "65536"}, unsupported),
      with_pixels("PixelsAsHighAsCanBe", 4, INT64_MAX, 12, {"9223372036854775807"}, unsupported),
      with_pixels("PixelsThatOverflow", INT64_MAX, INT64_MAX, 12, {"65536"}, unsupported),
      with_pixels("PixelsTooMany", 65536, 65536, 196608, {"65536 x 65536", "104857600"},
                  unsupported),
      with_picture_file("PictureFileThatIsNotThere", "no/such\npicture\xff.png", {"no/such"},
                        {MINIMAX_NOT_FOUND}),
      with_picture_file("PictureFileWithoutAName", "", {}, {MINIMAX_NOT_FOUND}),
      with_picture_file("PictureFileOfALongName", std::string(100000, 'p'), {"ppp"},
                        {MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR}),
      with_picture_file("PictureFileThatIsAFolder", "/", {"/"},
                        {MINIMAX_IO_ERROR, MINIMAX_BAD_FILE}),
      with_picture_file("PictureFileThatNeverEnds", "/dev/zero", {"/dev/zero"},
                        {MINIMAX_IO_ERROR, MINIMAX_BAD_FILE}),
      with_picture_bytes("PictureOfNoBytes", ""),
      with_picture_bytes("PictureOfText", "a picture, honestly"),
      with_picture_bytes("PictureOfItsMagicAlone", "\x89PNG\r\n\x1a\n"),
      with_picture_bytes("PictureOfZeros", std::string(100000, '\0')),
      with_picture_size("PictureOfNoSize", 0, 0, {"0 x 0"}),
      with_picture_size("PictureOfNegativeWidth", -1, 5, {"-1 x 5"}),
      with_picture_size("PictureOfExtremeSides", INT64_MIN, INT64_MAX, {"1048576"}),
      with_picture_size("PictureTooWide", int64_t{1} << 21, 1 << 20, {"2097152 x 1048576"}),
      with_picture_size("PictureTooNarrow", 10000, 10, {"10000 x 10", "narrow"}),
      with_model_of_text("PictureForAModelOfText",
                         [](minimax_engine* blind) {
                           minimax_tile_plan plan;
                           minimax_tile_plan_init(&plan, sizeof plan);
                           return minimax_image_plan(blind, 100, 100, &plan);
                         }),
      with_model_of_text("EncodeForAModelOfText",
                         [](minimax_engine* blind) {
                           return minimax_engine_encode_image(blind, Viewer::get().image(), nullptr,
                                                              nullptr);
                         }),
      with_model_of_text("PromptOfAModelOfTextWithAPicture",
                         [](minimax_engine* blind) {
                           minimax_prompt* prompt = nullptr;
                           EXPECT_EQ(minimax_prompt_create(blind, &prompt), MINIMAX_OK);
                           const minimax_status status =
                               minimax_prompt_add_image(prompt, Viewer::get().image());
                           minimax_prompt_free(prompt);
                           return status;
                         }),
      with_outputs("EncodeGivenUp",
                   [](Outputs&) {
                     const uint8_t other[3] = {1, 2, 3};
                     minimax_image* image = nullptr;
                     EXPECT_EQ(minimax_image_from_pixels(other, 1, 1, 3, &image), MINIMAX_OK);
                     const minimax_status status = minimax_engine_encode_image(
                         Viewer::get().engine(), image, [](void*, uint64_t, uint64_t) { return 1; },
                         nullptr);
                     minimax_image_free(image);
                     return status;
                   },
                   {"cancelled", "tiles"}, {MINIMAX_CANCELLED}),
      with_waiting_picture("TokensOfAPictureThatWaits",
                           [](minimax_prompt* prompt) {
                             size_t count = 777;
                             const minimax_status status =
                                 minimax_prompt_tokens(prompt, nullptr, 0, &count);
                             EXPECT_EQ(count, 777u);
                             return status;
                           },
                           {"message"}),
      with_waiting_picture("FeedOfAPictureThatWaits",
                           [](minimax_prompt* prompt) {
                             return minimax_session_feed_prompt(Viewer::get().session(), prompt,
                                                                nullptr);
                           },
                           {"message"}),
      with_waiting_picture("FeedOfAPictureToAnotherEngine",
                           [](minimax_prompt* prompt) {
                             EXPECT_EQ(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER,
                                                                  nullptr, "a", 1),
                                       MINIMAX_OK);
                             return minimax_session_feed_prompt(session(), prompt, nullptr);
                           },
                           {"another engine"}, {MINIMAX_WRONG_MODEL}),
      with_waiting_picture(
          "PictureForATool",
          [](minimax_prompt* prompt) {
            return minimax_prompt_add_message(prompt, MINIMAX_ROLE_TOOL, "eye", "a", 1);
          },
          {"tool results"}, unsupported),
      with_waiting_picture("PictureWithinAReply",
                           [](minimax_prompt* prompt) {
                             EXPECT_EQ(minimax_prompt_begin_reply(prompt), MINIMAX_OK);
                             return minimax_prompt_add_image(prompt, Viewer::get().image());
                           },
                           {"begin_reply"}),
      with_waiting_picture("MorePicturesNamedThanAdded",
                           [](minimax_prompt* prompt) {
                             return minimax_prompt_add_messages_json(
                                 prompt,
                                 R"([{"role": "user", "content": [{"type": "image"},
                                      {"type": "image_url", "image_url": null}]}])",
                                 MINIMAX_TEXT_END);
                           },
                           {"messages[0].content[1]", "1 were added"}),
  };
  for (const size_t index : {size_t{1}, SIZE_MAX}) {
    cases.push_back(
        with_outputs("ImageSpan" + std::string(index == 1 ? "Past" : "FarPast") + "TheEnd",
                     [=](Outputs&) {
                       minimax_image_span span;
                       minimax_image_span_init(&span, sizeof span);
                       return minimax_session_get_image_span(Viewer::get().session(), index, &span);
                     },
                     {"index", std::to_string(index), "1 pictures"}));
  }
  for (const size_t first : {size_t{3}, SIZE_MAX}) {
    cases.push_back(with_handles(
        "FeedFrom" + std::string(first == 3 ? "" : "Far") + "PastTheEnd",
        [=](Handles& handles, Outputs&) {
          EXPECT_EQ(minimax_prompt_add_text(handles.prompt, "abc", 3, 0), MINIMAX_OK);
          return minimax_session_feed_prompt_from(session(), handles.prompt, first, nullptr);
        },
        {"first_token", std::to_string(first)}));
  }
  return cases;
}

}  // namespace minimax::testing
