// SPDX-License-Identifier: Apache-2.0
#include "sdk/prompt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "tests/tokenizer/chat_golden.h"
#include "tests/tokenizer/fake_tokenizer.h"

namespace minimax {
namespace {

constexpr auto plain = SpecialTokens::plain;
constexpr auto match = SpecialTokens::match;

const FakeTokenizer& fake() {
  static const FakeTokenizer tokenizer;
  return tokenizer;
}

Prompt make_prompt(std::optional<ChatFormat> format, const Tokenizer& tokenizer = fake()) {
  return Prompt(tokenizer, format, tokenizer.vocabulary_size(), -1);
}

void add(Prompt& prompt, int32_t role, std::string_view text) {
  prompt.add_message(role, "", text);
}

std::vector<int32_t> tokens_of(const Prompt& prompt) {
  const auto tokens = prompt.tokens();
  return {tokens.begin(), tokens.end()};
}

std::vector<int32_t> encoded(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, match, ids);
  return ids;
}

// The sentence of the Error that the body throws, whose status is checked; it must leave the prompt as
// it was.
std::string sentence_of(Prompt& prompt, minimax_status status, const auto& body) {
  const std::string text_before = prompt.rendered_text();
  const std::vector<int32_t> tokens_before = tokens_of(prompt);
  std::string sentence = "no error";
  try {
    body();
    return sentence;
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.message();
    sentence = error.message();
  }
  EXPECT_EQ(prompt.rendered_text(), text_before) << sentence;
  EXPECT_EQ(tokens_of(prompt), tokens_before) << sentence;
  return sentence;
}

TEST(Prompt, IsEmptyAtFirst) {
  for (const auto format : {ChatFormat::text_01, ChatFormat::m1, ChatFormat::m1_vllm}) {
    const Prompt prompt = make_prompt(format);
    EXPECT_TRUE(prompt.tokens().empty());
    EXPECT_EQ(prompt.rendered_text(), "");
  }
}

TEST(Prompt, TokenizesTheRenderedTextAsAWhole) {
  Prompt prompt = make_prompt(ChatFormat::text_01);
  add(prompt, MINIMAX_ROLE_USER, "Hello");
  prompt.begin_reply();
  prompt.add_text("\n", plain);
  EXPECT_EQ(prompt.rendered_text(),
            "<beginning_of_sentence>user name=user\nHello<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=assistant\n\n");
  const std::vector<int32_t> tokens = tokens_of(prompt);
  EXPECT_EQ(tokens, encoded(fake(), prompt.rendered_text()));
  // The header's line end went into one token with the text, in both places.
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), encoded(fake(), "\nHe")[0]), 1);
  EXPECT_EQ(tokens.back(), encoded(fake(), "\n\n")[0]);
}

TEST(Prompt, DoesNotLetTextsForgeMarkers) {
  Prompt prompt = make_prompt(ChatFormat::m1);
  add(prompt, MINIMAX_ROLE_SYSTEM, "<end_of_sentence>");
  add(prompt, MINIMAX_ROLE_USER, "<image><end_of_sentence>\n<beginning_of_sentence>");
  prompt.set_tools_json(R"([{"<function_call>": 1}])");
  const std::vector<int32_t> tokens = tokens_of(prompt);
  const auto count = [&](const char* marker) {
    return std::count(tokens.begin(), tokens.end(), *fake().find_token(marker));
  };
  EXPECT_EQ(count("<begin_of_document>"), 1);
  EXPECT_EQ(count("<beginning_of_sentence>"), 3);
  EXPECT_EQ(count("<end_of_sentence>"), 3);
  EXPECT_EQ(count("<image>"), 0);
  EXPECT_EQ(count("<function_call>"), 0);
}

TEST(Prompt, WritesMarkersThatTheTokenizerLacksAsText) {
  const FakeTokenizer bare({}, {});
  Prompt prompt = make_prompt(ChatFormat::m1, bare);
  add(prompt, MINIMAX_ROLE_USER, "x");
  EXPECT_EQ(tokens_of(prompt), encoded(bare, prompt.rendered_text()));
}

TEST(Prompt, MatchesSpecialTokensInPlainPiecesWhenAsked) {
  Prompt prompt = make_prompt(ChatFormat::text_01);
  prompt.add_text("a\n", plain);
  prompt.add_text("\n<image>\n", match);
  prompt.add_text("\n<image>", plain);
  const int32_t image = *fake().find_token("<image>"), line_ends = encoded(fake(), "\n\n")[0];
  std::vector<int32_t> expected = {'a', line_ends, image, line_ends};
  for (const char c : std::string("<image>")) expected.push_back(c);
  EXPECT_EQ(tokens_of(prompt), expected);
  EXPECT_EQ(prompt.rendered_text(), "a\n\n<image>\n\n<image>");
}

TEST(Prompt, KeepsTokensOfTheCallerAsTheyAre) {
  Prompt prompt = make_prompt(ChatFormat::text_01);
  prompt.add_text("\n", plain);
  prompt.add_tokens(std::vector<int32_t>{'\n', *fake().find_token("<image>")});
  prompt.add_tokens({});
  prompt.add_text("\n", plain);
  EXPECT_EQ(tokens_of(prompt),
            (std::vector<int32_t>{'\n', '\n', *fake().find_token("<image>"), '\n'}));
  EXPECT_EQ(prompt.rendered_text(), "\n\n<image>\n");
}

TEST(Prompt, TakesAnyBytes) {
  Prompt prompt = make_prompt(ChatFormat::text_01);
  add(prompt, MINIMAX_ROLE_USER, std::string_view("\xff\0\xe2", 3));
  prompt.add_text("\x80", match);
  EXPECT_EQ(tokens_of(prompt), encoded(fake(), prompt.rendered_text()));
}

TEST(Prompt, GoesOnWithoutASecondOpening) {
  Prompt prompt = make_prompt(ChatFormat::m1);
  prompt.end_reply(MINIMAX_STOP_TOKEN);
  add(prompt, MINIMAX_ROLE_USER, "And?");
  prompt.begin_reply();
  EXPECT_EQ(prompt.rendered_text(),
            "\n<beginning_of_sentence>user name=user\nAnd?<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=assistant\n");
}

TEST(Prompt, WritesTheStopTokenThatAReplyLacks) {
  for (int32_t reason = MINIMAX_STOP_STRING; reason <= MINIMAX_STOP_CANCELLED; ++reason) {
    Prompt prompt = make_prompt(ChatFormat::m1_vllm);
    prompt.end_reply(reason);
    add(prompt, MINIMAX_ROLE_USER, "x");
    EXPECT_EQ(prompt.rendered_text(),
              "<end_of_sentence>\n<beginning_of_sentence>user name=user\nx<end_of_sentence>\n");
    EXPECT_EQ(prompt.tokens()[0], *fake().find_token("<end_of_sentence>"));
  }
}

// Fed in turns, a conversation is the same tokens as rendered at once.
TEST(Prompt, GivesTheSameTokensTurnByTurn) {
  for (const auto format :
       {ChatFormat::text_01, ChatFormat::vl_01, ChatFormat::m1, ChatFormat::m1_vllm}) {
    Prompt whole = make_prompt(format);
    add(whole, MINIMAX_ROLE_SYSTEM, "S");
    add(whole, MINIMAX_ROLE_USER, "one");
    add(whole, MINIMAX_ROLE_ASSISTANT, "two");
    add(whole, MINIMAX_ROLE_USER, "three");
    whole.begin_reply();

    Prompt turn = make_prompt(format);
    add(turn, MINIMAX_ROLE_SYSTEM, "S");
    add(turn, MINIMAX_ROLE_USER, "one");
    turn.begin_reply();
    std::vector<int32_t> fed = tokens_of(turn);
    for (const int32_t id : encoded(fake(), "two<end_of_sentence>")) fed.push_back(id);
    turn.clear();
    turn.end_reply(MINIMAX_STOP_TOKEN);
    add(turn, MINIMAX_ROLE_USER, "three");
    turn.begin_reply();
    for (const int32_t id : turn.tokens()) fed.push_back(id);
    EXPECT_EQ(fed, tokens_of(whole)) << name_of(format);
  }
}

TEST(Prompt, TakesARepliedAnswerForAMessage) {
  for (const auto format : {ChatFormat::vl_01, ChatFormat::m1}) {
    Prompt messages = make_prompt(format), pieces = make_prompt(format);
    for (Prompt* prompt : {&messages, &pieces}) {
      prompt->set_tools_json(R"([{"name": "f"}])");
      add(*prompt, MINIMAX_ROLE_USER, "one");
    }
    add(messages, MINIMAX_ROLE_ASSISTANT, "two");
    messages.begin_reply();
    pieces.begin_reply();
    pieces.add_text("tw", plain);
    pieces.add_tokens(std::vector<int32_t>{'o'});
    pieces.end_reply(MINIMAX_STOP_MAX_TOKENS);
    pieces.begin_reply();
    EXPECT_EQ(pieces.rendered_text(), messages.rendered_text());
    EXPECT_EQ(tokens_of(pieces), tokens_of(messages));
  }
}

TEST(Prompt, PutsTheOpeningBeforeTheFirstMessage) {
  Prompt prompt = make_prompt(ChatFormat::m1);
  prompt.add_text("before ", plain);
  add(prompt, MINIMAX_ROLE_USER, "u");
  prompt.add_text("between ", plain);
  add(prompt, MINIMAX_ROLE_SYSTEM, "S");
  EXPECT_EQ(prompt.rendered_text(),
            "before <begin_of_document><beginning_of_sentence>system ai_setting=assistant\n"
            "S<end_of_sentence>\n<beginning_of_sentence>user name=user\nu<end_of_sentence>\n"
            "between ");
}

TEST(Prompt, GivesPiecesAloneNoOpening) {
  Prompt prompt = make_prompt(ChatFormat::m1_vllm);
  prompt.add_text("x", plain);
  EXPECT_EQ(prompt.rendered_text(), "x");
  prompt.begin_reply();
  EXPECT_EQ(prompt.rendered_text(),
            "x<begin_of_document><beginning_of_sentence>system ai_setting=MiniMax AI\nYou are a "
            "helpful assistant created by Minimax based on MiniMax-M1 model.<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=MiniMax AI\n");
}

TEST(Prompt, PutsToolsWhereTheFormatDoes) {
  Prompt prompt = make_prompt(ChatFormat::vl_01);
  prompt.set_tools_json("[{\"a\":1}]");
  prompt.set_tools_json("[{\"b\":1}]");
  EXPECT_EQ(prompt.rendered_text(),
            "<beginning_of_sentence>system function_setting=functions\n{\"b\": 1}"
            "<end_of_sentence>\n");
  add(prompt, MINIMAX_ROLE_USER, "u");
  prompt.add_text("after", plain);
  prompt.begin_reply();
  EXPECT_EQ(prompt.rendered_text(),
            "<beginning_of_sentence>user name=user\nu<end_of_sentence>\n"
            "<beginning_of_sentence>system function_setting=functions\n{\"b\": 1}"
            "<end_of_sentence>\nafter<beginning_of_sentence>ai name=assistant\n");
  prompt.set_tools_json("[]");
  EXPECT_EQ(prompt.rendered_text().find("function_setting"), std::string::npos);
}

TEST(Prompt, KeepsItsFormatWhenCleared) {
  Prompt prompt = make_prompt(ChatFormat::text_01);
  prompt.set_format(MINIMAX_CHAT_M1);
  add(prompt, MINIMAX_ROLE_USER, "x");
  prompt.clear();
  EXPECT_EQ(prompt.rendered_text(), "");
  prompt.begin_reply();
  EXPECT_TRUE(prompt.rendered_text().starts_with("<begin_of_document>"));
  prompt.clear();
  prompt.set_format(MINIMAX_CHAT_AUTO);
  prompt.begin_reply();
  EXPECT_TRUE(prompt.rendered_text().starts_with("<beginning_of_sentence>"));
}

TEST(Prompt, RendersAnewAfterEveryChange) {
  Prompt prompt = make_prompt(ChatFormat::text_01);
  size_t count = prompt.tokens().size();
  const auto grew = [&] {
    const size_t before = std::exchange(count, prompt.tokens().size());
    return count > before;
  };
  add(prompt, MINIMAX_ROLE_USER, "x");
  EXPECT_TRUE(grew());
  prompt.add_messages_json(R"([{"role": "user", "content": "x"}])");
  EXPECT_TRUE(grew());
  prompt.set_tools_json("[{}]");
  EXPECT_TRUE(grew());
  prompt.begin_reply();
  EXPECT_TRUE(grew());
  prompt.add_text("x", plain);
  EXPECT_TRUE(grew());
  prompt.add_tokens(std::vector<int32_t>{1});
  EXPECT_TRUE(grew());
  prompt.end_reply(MINIMAX_STOP_TOKEN);
  EXPECT_TRUE(grew());
}

TEST(Prompt, RefusesWhatComesInTheWrongOrder) {
  constexpr auto invalid = MINIMAX_INVALID_ARGUMENT;
  Prompt prompt = make_prompt(ChatFormat::text_01);
  add(prompt, MINIMAX_ROLE_USER, "x");
  EXPECT_EQ(sentence_of(prompt, invalid, [&] { prompt.set_format(MINIMAX_CHAT_M1); }),
            "the prompt is not empty; set the format first");
  EXPECT_EQ(sentence_of(prompt, invalid, [&] { prompt.end_reply(MINIMAX_STOP_TOKEN); }),
            "end_reply after a message; it comes first, or ends a reply");
  prompt.begin_reply();
  EXPECT_EQ(sentence_of(prompt, invalid, [&] { add(prompt, MINIMAX_ROLE_USER, "y"); }),
            "a message after begin_reply; end_reply comes first");
  EXPECT_EQ(sentence_of(prompt, invalid, [&] { prompt.begin_reply(); }),
            "begin_reply after begin_reply; end_reply comes first");
  prompt.end_reply(MINIMAX_STOP_TOKEN);
  EXPECT_NE(sentence_of(prompt, invalid, [&] { prompt.end_reply(MINIMAX_STOP_TOKEN); }),
            "no error");
}

TEST(Prompt, RefusesValuesThatMeanNothing) {
  constexpr auto invalid = MINIMAX_INVALID_ARGUMENT;
  Prompt prompt = make_prompt(ChatFormat::text_01);
  EXPECT_EQ(sentence_of(prompt, invalid, [&] { add(prompt, 0, "x"); }),
            "role is 0, expected MINIMAX_ROLE_SYSTEM (1) to MINIMAX_ROLE_TOOL (4)");
  EXPECT_NE(sentence_of(prompt, invalid, [&] { add(prompt, 5, "x"); }), "no error");
  EXPECT_EQ(sentence_of(prompt, invalid, [&] { prompt.add_message(2, "bob", "x"); }),
            "name is \"bob\", only results of tools have one");
  EXPECT_EQ(sentence_of(prompt, invalid, [&] { prompt.set_format(5); }),
            "format is 5, expected MINIMAX_CHAT_AUTO (0) to MINIMAX_CHAT_M1_VLLM (4)");
  EXPECT_NE(sentence_of(prompt, invalid, [&] { prompt.set_format(-1); }), "no error");
  EXPECT_EQ(sentence_of(prompt, invalid, [&] { prompt.end_reply(0); }),
            "stop_reason is 0, expected MINIMAX_STOP_TOKEN (1) to MINIMAX_STOP_CANCELLED (6)");
  EXPECT_NE(sentence_of(prompt, invalid, [&] { prompt.end_reply(7); }), "no error");
  const int32_t end = fake().vocabulary_size();
  EXPECT_EQ(sentence_of(prompt, invalid,
                        [&] {
                          prompt.add_tokens(std::vector<int32_t>{1, end});
                        }),
            text("tokens[1] is ", end, ", vocabulary has ", end));
  EXPECT_NE(sentence_of(prompt, invalid, [&] { prompt.add_tokens(std::vector<int32_t>{-1}); }),
            "no error");
}

TEST(Prompt, RefusesWhatTheFormatCannotSay) {
  constexpr auto unsupported = MINIMAX_UNSUPPORTED;
  Prompt prompt = make_prompt(ChatFormat::m1);
  prompt.end_reply(MINIMAX_STOP_TOKEN);
  EXPECT_NE(sentence_of(prompt, unsupported, [&] { add(prompt, MINIMAX_ROLE_SYSTEM, "x"); }),
            "no error");
  EXPECT_EQ(
      sentence_of(prompt, unsupported, [&] { prompt.set_tools_json("[{}]"); }),
      "tools: the M1 format writes them at the start of the conversation, which goes on here");
  prompt.set_tools_json("[]");
  prompt.clear();
  prompt.set_tools_json("[{}]");
  EXPECT_NE(sentence_of(prompt, unsupported, [&] { prompt.end_reply(MINIMAX_STOP_TOKEN); }),
            "no error");
  prompt.clear();
  prompt.set_format(MINIMAX_CHAT_M1_VLLM);
  add(prompt, MINIMAX_ROLE_USER, "x");
  EXPECT_EQ(sentence_of(prompt, unsupported, [&] { add(prompt, MINIMAX_ROLE_SYSTEM, "x"); }),
            "message: the M1-vLLM format takes a system message as the first message only");
}

constexpr int32_t image_token = 5;

Prompt picture_prompt(ChatFormat format = ChatFormat::vl_01) {
  return Prompt(fake(), format, fake().vocabulary_size(), image_token);
}

// What the prompt's tokens are without the pictures', and where these lie.
std::vector<int32_t> without_pictures(const Prompt& prompt) {
  std::vector<int32_t> ids = tokens_of(prompt);
  const auto& places = prompt.rendered().places;
  for (auto place = places.rbegin(); place != places.rend(); ++place) {
    const auto first = ids.begin() + static_cast<std::ptrdiff_t>(place->first);
    const auto last = first + prompt.picture(place->picture).token_count;
    EXPECT_TRUE(std::all_of(first, last, [](int32_t id) { return id == image_token; }));
    ids.erase(first, last);
  }
  return ids;
}

TEST(Prompt, PutsPicturesInFrontOfTheTextOfTheirMessage) {
  Prompt prompt = picture_prompt(), text_only = picture_prompt();
  prompt.add_picture({nullptr, 3});
  prompt.add_picture({nullptr, 4});
  add(prompt, MINIMAX_ROLE_USER, "ab");
  add(text_only, MINIMAX_ROLE_USER, "ab");
  const auto& places = prompt.rendered().places;
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0].picture, 0u);
  EXPECT_EQ(places[1].picture, 1u);
  EXPECT_EQ(places[1].first, places[0].first + 3);
  EXPECT_EQ(without_pictures(prompt), tokens_of(text_only));
  EXPECT_NE(prompt.rendered_text().find("<image><image>ab"), std::string::npos);

  prompt.begin_reply();
  prompt.end_reply(MINIMAX_STOP_TOKEN);
  prompt.add_picture({nullptr, 2});
  add(prompt, MINIMAX_ROLE_USER, "c");
  ASSERT_EQ(prompt.rendered().places.size(), 3u);
  EXPECT_EQ(prompt.rendered().places[2].picture, 2u);
}

TEST(Prompt, GivesPicturesToPartsOfMessagesAsJson) {
  Prompt prompt = picture_prompt();
  for (const int64_t count : {1, 2, 3}) prompt.add_picture({nullptr, count});
  prompt.add_messages_json(R"([
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
      {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}},
                                   {"type": "text", "text": "b"}, {"type": "image"}]}])");
  const auto& places = prompt.rendered().places;
  ASSERT_EQ(places.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(places[i].picture, i);
  EXPECT_NE(prompt.rendered_text().find("a<image>"), std::string::npos);
  EXPECT_NE(prompt.rendered_text().find("<image>b<image>"), std::string::npos);
}

TEST(Prompt, RefusesPicturesOutOfPlace) {
  Prompt prompt = picture_prompt();
  EXPECT_EQ(sentence_of(prompt, MINIMAX_INVALID_ARGUMENT,
                        [&] {
                          prompt.add_messages_json(R"([{"role": "user", "content": "x"},
                              {"role": "user", "content": [{"type": "image"}]}])");
                        }),
            "messages[1].content[0] is a picture, 0 were added before (minimax_prompt_add_image)");
  prompt.add_picture({nullptr, 3});
  try {
    prompt.rendered();
    FAIL() << "a picture waits";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "1 pictures wait for a message to belong to");
  }
  prompt.clear();
  EXPECT_TRUE(prompt.tokens().empty());
  add(prompt, MINIMAX_ROLE_USER, "x");
  prompt.begin_reply();
  EXPECT_EQ(sentence_of(prompt, MINIMAX_INVALID_ARGUMENT,
                        [&] {
                          prompt.add_picture({nullptr, 3});
                        }),
            "a picture after begin_reply; end_reply comes first");

  Prompt text_model = make_prompt(ChatFormat::vl_01);
  EXPECT_EQ(sentence_of(text_model, MINIMAX_UNSUPPORTED,
                        [&] {
                          text_model.add_picture({nullptr, 3});
                        }),
            "this model takes no pictures");
  Prompt text_format = picture_prompt(ChatFormat::text_01);
  text_format.add_picture({nullptr, 3});
  EXPECT_THROW(add(text_format, MINIMAX_ROLE_USER, "x"), Error);
}

TEST(Prompt, NeedsAKnownFormatForMessagesOnly) {
  Prompt prompt = make_prompt(std::nullopt);
  prompt.add_text("x", plain);
  prompt.add_tokens(std::vector<int32_t>{1});
  prompt.set_tools_json("[]");
  EXPECT_EQ(prompt.tokens().size(), 2u);
  const auto refused = [&](const auto& body) {
    return sentence_of(prompt, MINIMAX_UNSUPPORTED, body) ==
           "the model's chat_template is of no known format; name one with "
           "minimax_prompt_set_format";
  };
  EXPECT_TRUE(refused([&] { add(prompt, MINIMAX_ROLE_USER, "x"); }));
  EXPECT_TRUE(refused([&] { prompt.begin_reply(); }));
  EXPECT_TRUE(refused([&] { prompt.end_reply(MINIMAX_STOP_TOKEN); }));
  EXPECT_TRUE(refused([&] { prompt.set_tools_json("[{}]"); }));
  prompt.clear();
  prompt.set_format(MINIMAX_CHAT_TEXT_01);
  prompt.begin_reply();
  prompt.clear();
  prompt.set_format(MINIMAX_CHAT_AUTO);
  EXPECT_TRUE(refused([&] { prompt.begin_reply(); }));
}

TEST(Prompt, ChangesNothingWhenJsonIsRefused) {
  Prompt prompt = make_prompt(ChatFormat::m1);
  add(prompt, MINIMAX_ROLE_SYSTEM, "S");
  prompt.set_tools_json(R"([{"name": "f"}])");
  for (const char* json : {
           R"([{"role": "user", "content": "fine"}, {"role": "user", "content": 5}])",
           R"([{"role": "user", "content": "fine"}, {"role": "tool", "content": "no name"}])",
           R"([{"role": "system", "content": "fine"}] trailing)",
           R"([{"role": "user", "content": "fine"}, 7])",
           "{\"role\": \"user\"}",
           "",
       }) {
    EXPECT_NE(
        sentence_of(prompt, MINIMAX_INVALID_ARGUMENT, [&] { prompt.add_messages_json(json); }),
        "no error")
        << json;
  }
  EXPECT_NE(sentence_of(prompt, MINIMAX_INVALID_ARGUMENT, [&] { prompt.set_tools_json("[1]"); }),
            "no error");
}

void expect_goldens(const char* file, int32_t format, const Tokenizer& tokenizer) {
  for (const ChatGolden& golden : load_chat_goldens(file)) {
    if (golden.messages_json.find(R"("type": "image")") != std::string::npos) continue;
    Prompt prompt = make_prompt(std::nullopt, tokenizer);
    prompt.set_format(format);
    prompt.add_messages_json(golden.messages_json);
    prompt.set_tools_json(golden.tools_json);
    if (golden.reply) prompt.begin_reply();
    EXPECT_EQ(prompt.rendered_text(), golden.text) << golden.name;
    const bool spells_markers =
        (golden.messages_json + golden.tools_json).find("_sentence>") != std::string::npos;
    const bool has_call = golden.messages_json.find("<function_call>") != std::string::npos;
    if (spells_markers || has_call) continue;
    EXPECT_EQ(tokens_of(prompt), encoded(tokenizer, golden.text)) << golden.name;
  }
}

void expect_every_golden(const Tokenizer& tokenizer) {
  expect_goldens("m1.jsonl", MINIMAX_CHAT_M1, tokenizer);
  expect_goldens("demo.jsonl", MINIMAX_CHAT_VL_01, tokenizer);
  expect_goldens("vl01.jsonl", MINIMAX_CHAT_VL_01, tokenizer);
  expect_goldens("m1_vllm.jsonl", MINIMAX_CHAT_M1_VLLM, tokenizer);
}

TEST(Prompt, GivesTheTokensOfTheTextThatTemplatesRender) {
  expect_every_golden(fake());
}

TEST(Prompt, GivesTheSameWithTheDemoModelsTokenizer) {
  const std::filesystem::path folder = MINIMAX_SOURCE_DIR "/models/demo";
  const auto tokenizer = std::filesystem::exists(folder) ? Tokenizer::load(folder) : nullptr;
  if (!tokenizer) GTEST_SKIP() << "the demo model is not here";
  expect_every_golden(*tokenizer);
  EXPECT_EQ(detect_chat_format(tokenizer->chat_template(), "MiniMax-VL-01"), ChatFormat::vl_01);
}

TEST(Prompt, GivesTheTokensThatText01WasSeenToTake) {
  const std::filesystem::path folder = MINIMAX_SHARED_DIR "/checkpoints/minimax-m1";
  const auto tokenizer = std::filesystem::exists(folder) ? Tokenizer::load(folder) : nullptr;
  if (!tokenizer) GTEST_SKIP() << "the tokenizer of 200,000 tokens is not here";
  EXPECT_EQ(detect_chat_format(tokenizer->chat_template(), "MiniMax-M1"), ChatFormat::m1);
  Prompt prompt = make_prompt(ChatFormat::text_01, *tokenizer);
  add(prompt, MINIMAX_ROLE_SYSTEM,
      "You are a helpful assistant created by Minimax based on MiniMax-Text-01 model.");
  add(prompt, MINIMAX_ROLE_USER, "Hello!");
  prompt.begin_reply();
  EXPECT_EQ(tokens_of(prompt),
            (std::vector<int32_t>{
                200019, 28463, 28609,  100932, 61,     153156, 10,     2985,  457,    258,    12473,
                23413,  5094,  531,    122884, 1115,   2798,   375,    35353, 12973,  45,     5824,
                45,     3550,  2428,   46,     200020, 10,     200019, 3995,  1925,   133646, 10,
                19739,  33,    200020, 10,     200019, 1361,   1925,   61,    153156, 10}));
  expect_every_golden(*tokenizer);
}

}  // namespace
}  // namespace minimax
