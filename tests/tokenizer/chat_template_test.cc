// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "tests/tokenizer/chat_golden.h"
#include "tokenizer/chat_json.h"

namespace minimax {
namespace {

constexpr ChatFormat every_format[] = {ChatFormat::text_01, ChatFormat::vl_01, ChatFormat::m1,
                                       ChatFormat::m1_vllm};

// A whole conversation, as segments.
std::vector<ChatSegment> render(ChatFormat format, const std::vector<ChatMessage>& messages,
                                const std::vector<std::string>& tools, bool reply) {
  std::vector<const ChatMessage*> pointers;
  for (size_t i = 0; i < messages.size(); ++i) {
    check_message(format, messages[i], i == 0 ? ChatPlace::first : ChatPlace::later,
                  text("messages[", i, "]"));
    pointers.push_back(&messages[i]);
  }
  std::vector<ChatSegment> out;
  render_opening(format, pointers, tools, out);
  for (const ChatMessage& message : messages) render_message(format, message, out);
  render_tools(format, tools, out);
  if (reply) render_reply_header(format, out);
  return out;
}

std::string spelled(const std::vector<ChatSegment>& segments) {
  std::string out;
  for (const ChatSegment& segment : segments) out += segment.text;
  return out;
}

std::string rendered(ChatFormat format, std::string_view messages_json,
                     std::string_view tools_json = "[]", bool reply = true) {
  return spelled(
      render(format, parse_chat_messages(messages_json), parse_chat_tools(tools_json), reply));
}

// The sentence of the Error that the body throws, whose status is checked.
std::string sentence_of(minimax_status status, const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.message();
    return error.message();
  }
  return "no error";
}

std::string refusal(ChatFormat format, std::string_view messages_json) {
  return sentence_of(MINIMAX_UNSUPPORTED, [&] { rendered(format, messages_json); });
}

void expect_goldens(const char* file, ChatFormat format, size_t least_count) {
  const std::vector<ChatGolden> goldens = load_chat_goldens(file);
  EXPECT_GE(goldens.size(), least_count);
  for (const ChatGolden& golden : goldens) {
    EXPECT_EQ(rendered(format, golden.messages_json, golden.tools_json, golden.reply), golden.text)
        << file << ": " << golden.name;
  }
}

TEST(ChatTemplate, RendersM1AsItsCheckpointDoes) {
  expect_goldens("m1.jsonl", ChatFormat::m1, 30);
}

TEST(ChatTemplate, RendersTheDemoModelAsItsCheckpointDoes) {
  expect_goldens("demo.jsonl", ChatFormat::vl_01, 30);
}

TEST(ChatTemplate, RendersVL01AsItsCheckpointDoes) {
  expect_goldens("vl01.jsonl", ChatFormat::vl_01, 30);
}

TEST(ChatTemplate, RendersM1AsVllmDoes) {
  expect_goldens("m1_vllm.jsonl", ChatFormat::m1_vllm, 30);
}

TEST(ChatTemplate, RendersText01) {
  EXPECT_EQ(rendered(ChatFormat::text_01, R"([
      {"role": "system", "content": "You are a helpful assistant."},
      {"role": "user", "content": "Hello!"},
      {"role": "assistant", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}]},
      {"role": "function", "name": "f", "content": "{\"x\": 1}"}])",
                     R"([{"b": 1, "a": 2.50}])"),
            "<beginning_of_sentence>system ai_setting=assistant\n"
            "You are a helpful assistant.<end_of_sentence>\n"
            "<beginning_of_sentence>user name=user\nHello!<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=assistant\nHi!<end_of_sentence>\n"
            "<beginning_of_sentence>system function_response=functions\n"
            "{\"name\": \"f\", \"response\": {\"x\": 1}}<end_of_sentence>\n"
            "<beginning_of_sentence>system function_setting=functions\n"
            "{\"b\": 1, \"a\": 2.5}<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=assistant\n");
}

TEST(ChatTemplate, RendersText01LikeVL01WhereBothTakeText) {
  size_t count = 0;
  for (const ChatGolden& golden : load_chat_goldens("vl01.jsonl")) {
    try {
      const std::string text =
          rendered(ChatFormat::text_01, golden.messages_json, golden.tools_json, golden.reply);
      EXPECT_EQ(text, golden.text) << golden.name;
      ++count;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), MINIMAX_UNSUPPORTED) << golden.name;
    }
  }
  EXPECT_GE(count, 30u);
}

TEST(ChatTemplate, KeepsMarkersApartFromTheTextOfMessages) {
  for (const ChatFormat format : every_format) {
    const auto segments =
        render(format, parse_chat_messages(R"([{"role": "user", "content": "<end_of_sentence>"}])"),
               {}, true);
    for (size_t i = 0; i < segments.size(); ++i) {
      const bool is_marker = segments[i].kind == ChatSegment::Kind::marker;
      EXPECT_EQ(is_marker, segments[i].text.find('\n') == std::string::npos) << segments[i].text;
    }
    EXPECT_NE(spelled(segments).find("user name=user\n<end_of_sentence><end_of_sentence>\n"),
              std::string::npos);
  }
}

TEST(ChatTemplate, JoinsOrdinaryText) {
  for (const ChatFormat format : every_format) {
    const auto segments = render(format, parse_chat_messages(R"([{"role": "user", "content": "a"},
                                               {"role": "assistant", "content": "b"}])"),
                                 {"{}", "{}"}, true);
    for (size_t i = 1; i < segments.size(); ++i) {
      EXPECT_FALSE(segments[i - 1].kind == ChatSegment::Kind::text &&
                   segments[i].kind == ChatSegment::Kind::text);
    }
  }
}

TEST(ChatTemplate, NumbersPicturesInOrder) {
  const auto segments = render(ChatFormat::vl_01, parse_chat_messages(R"([
      {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"},
                                   {"type": "image_url", "image_url": {"url": "y"}}]},
      {"role": "user", "content": [{"type": "image"}]}])"),
                               {}, false);
  std::vector<size_t> indices;
  for (const ChatSegment& segment : segments) {
    if (segment.kind == ChatSegment::Kind::image) indices.push_back(segment.image_index);
  }
  EXPECT_EQ(indices, (std::vector<size_t>{0, 1, 2}));
}

TEST(ChatTemplate, EndsAReplyWithTheStopTokenIfItIsMissing) {
  std::vector<ChatSegment> whole, cut;
  render_reply_end(ReplyEnd::without_stop_token, whole);
  render_reply_end(ReplyEnd::with_stop_token, cut);
  EXPECT_EQ(spelled(whole), "\n");
  EXPECT_EQ(spelled(cut), "<end_of_sentence>\n");
  EXPECT_EQ(cut.front().kind, ChatSegment::Kind::marker);
}

TEST(ChatTemplate, RefusesWhatAFormatWouldDrop) {
  const char* const two_parts = R"([{"role": "user", "content": [
      {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])";
  EXPECT_EQ(refusal(ChatFormat::m1, two_parts),
            "messages[0].content has 2 parts, the M1 format takes one in user messages");
  EXPECT_EQ(refusal(ChatFormat::text_01, two_parts),
            "messages[0].content has 2 parts, the Text-01 format takes one in user messages");
  EXPECT_EQ(refusal(ChatFormat::vl_01, two_parts), "no error");
  EXPECT_EQ(refusal(ChatFormat::m1_vllm, two_parts), "no error");
  EXPECT_EQ(refusal(ChatFormat::m1_vllm, R"([{"role": "user", "content": "a"},
                                             {"role": "system", "content": "b"}])"),
            "messages[1]: the M1-vLLM format takes a system message as the first message only");
  EXPECT_EQ(refusal(ChatFormat::m1_vllm,
                    R"([{"role": "assistant", "content": "a", "tool_calls": [
                         {"function": {"name": "f", "arguments": "{}"}}]}])"),
            "messages[0] has content and tool_calls, the M1-vLLM format writes one of them");
}

TEST(ChatTemplate, RefusesPicturesButInVL01) {
  const char* const picture = R"([{"role": "user", "content": [{"type": "image"}]}])";
  EXPECT_EQ(refusal(ChatFormat::m1, picture),
            "messages[0].content[0] is a picture, the M1 format takes none in user messages");
  EXPECT_NE(refusal(ChatFormat::text_01, picture), "no error");
  EXPECT_NE(refusal(ChatFormat::m1_vllm, picture), "no error");
  EXPECT_EQ(refusal(ChatFormat::vl_01, picture), "no error");
  EXPECT_EQ(refusal(ChatFormat::vl_01,
                    R"([{"role": "tool", "name": "f", "content": [{"type": "image"}]}])"),
            "messages[0].content[0] is a picture, the VL-01 format takes none in tool results");
}

TEST(ChatTemplate, RefusesToolCallsButInM1OfVllm) {
  const char* const calls = R"([{"role": "assistant", "content": null,
      "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}])";
  for (const ChatFormat format : {ChatFormat::text_01, ChatFormat::vl_01, ChatFormat::m1}) {
    EXPECT_EQ(refusal(format, calls),
              text("messages[0].tool_calls: the ", name_of(format),
                   " format cannot write them; put the model's own text into content"));
  }
  EXPECT_EQ(refusal(ChatFormat::m1_vllm, calls), "no error");
}

TEST(ChatTemplate, NeedsTheNameOfATool) {
  const auto sentence = [](ChatFormat format, const char* messages_json) {
    return sentence_of(MINIMAX_INVALID_ARGUMENT, [&] { rendered(format, messages_json); });
  };
  const char* const nameless = R"([{"role": "tool", "tool_call_id": "7", "content": "r"}])";
  EXPECT_EQ(sentence(ChatFormat::m1, nameless),
            "messages[0].name is missing, the M1 format writes the name of the tool");
  EXPECT_NE(sentence(ChatFormat::vl_01, nameless), "no error");
  EXPECT_NE(sentence(ChatFormat::text_01, R"([{"role": "tool", "content": []}])"), "no error");
  EXPECT_EQ(sentence(ChatFormat::m1_vllm, nameless), "no error");
  EXPECT_EQ(sentence(ChatFormat::m1, R"([{"role": "tool", "name": "f", "content": "r"}])"),
            "no error");
}

TEST(ChatTemplate, RefusesAnOpeningThatHasBeenFed) {
  ChatMessage system;
  system.role = ChatRole::system;
  const auto sentence = [&](ChatFormat format) {
    return sentence_of(MINIMAX_UNSUPPORTED,
                       [&] { check_message(format, system, ChatPlace::continued, "message"); });
  };
  EXPECT_EQ(sentence(ChatFormat::m1),
            "message: the M1 format writes system messages at the start of the conversation, which "
            "goes on here");
  EXPECT_NE(sentence(ChatFormat::m1_vllm), "no error");
  EXPECT_EQ(sentence(ChatFormat::text_01), "no error");
  EXPECT_EQ(sentence(ChatFormat::vl_01), "no error");
}

// The checkpoint's own template source, from its tokenizer_config.json.
std::string template_of(const std::string& path) {
  const Json config = parse_json_file(path, 1 << 20);
  return JsonObject(config, path).string("chat_template");
}

TEST(ChatTemplate, RecognisesTheFormatOfATemplate) {
  const std::string demo = MINIMAX_SOURCE_DIR "/models/demo/tokenizer_config.json";
  if (std::filesystem::exists(demo)) {
    EXPECT_EQ(detect_chat_format(template_of(demo), "MiniMax-VL-01"), ChatFormat::vl_01);
  }
  const std::string m1 =
      std::string(MINIMAX_SHARED_DIR) + "/checkpoints/minimax-m1/tokenizer_config.json";
  if (std::filesystem::exists(m1)) {
    EXPECT_EQ(detect_chat_format(template_of(m1), "MiniMax-M1"), ChatFormat::m1);
  }
  const std::string sentence = "{{ '<beginning_of_sentence>ai name=";
  const std::string document = "{{ '<begin_of_document>' -}}" + sentence;
  EXPECT_EQ(detect_chat_format(sentence + "assistant", "MiniMax-Text-01"), ChatFormat::text_01);
  EXPECT_EQ(detect_chat_format(sentence + "assistant", "MiniMax-VL-01"), ChatFormat::vl_01);
  EXPECT_EQ(detect_chat_format(sentence + "<image>", "MiniMax-Text-01"), ChatFormat::vl_01);
  EXPECT_EQ(detect_chat_format(document + "assistant", "MiniMax-Text-01"), ChatFormat::m1);
  EXPECT_EQ(detect_chat_format(document + "MiniMax AI", "MiniMax-M1"), ChatFormat::m1_vllm);
}

TEST(ChatTemplate, GoesByTheNameOfAModelWithoutTemplate) {
  EXPECT_EQ(detect_chat_format("", "MiniMax-Text-01"), ChatFormat::text_01);
  EXPECT_EQ(detect_chat_format("", "MiniMax-VL-01"), ChatFormat::vl_01);
  EXPECT_EQ(detect_chat_format("", "MiniMax-M1"), ChatFormat::m1);
}

TEST(ChatTemplate, KnowsNoFormatForATemplateOfAnotherFamily) {
  EXPECT_EQ(detect_chat_format("{{ '<|im_start|>' }}", "MiniMax-Text-01"), std::nullopt);
}

}  // namespace
}  // namespace minimax
