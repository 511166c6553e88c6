// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/chat_json.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "tokenizer/python_json.h"

namespace minimax {
namespace {

struct Fault {
  std::string json;
  std::string sentence;
  minimax_status status = MINIMAX_INVALID_ARGUMENT;
};

void expect_fault(const Fault& fault, const auto& body) {
  try {
    body();
    ADD_FAILURE() << "accepted: " << fault.json.substr(0, 200);
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), fault.sentence);
    EXPECT_EQ(error.status(), fault.status) << error.message();
  }
}

std::string one(const std::string& members) {
  return "[{" + members + "}]";
}

std::string of_user(const std::string& content) {
  return one("\"role\": \"user\", \"content\": " + content);
}

std::string with_call(const std::string& call) {
  return one("\"role\": \"assistant\", \"tool_calls\": [" + call + "]");
}

std::string repeated(std::string_view part, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += part;
  return out;
}

TEST(ChatJson, NamesThePlaceOfAFault) {
  constexpr const char* role = "expected system, user, assistant, tool or function";
  const Fault faults[] = {
      {"", "messages: not valid JSON at byte 1"},
      {"[", "messages: not valid JSON at byte 2"},
      {"[{}", "messages: not valid JSON at byte 4"},
      {"[1,]", "messages: not valid JSON at byte 4"},
      {"[]x", "messages: not valid JSON at byte 3"},
      {"[nan]", "messages: not valid JSON at byte 3"},
      {"[1e999]", "messages: not valid JSON at byte 6"},
      {of_user("\"\xff\""), "messages: not valid JSON at byte 31"},
      {of_user(R"("\ud800")"), "messages: not valid JSON at byte 37"},
      {of_user("\"\n\""), "messages: not valid JSON at byte 31"},
      {"{}", "messages is an object, expected a list"},
      {"null", "messages is null, expected a list"},
      {"\"[]\"", "messages is \"[]\", expected a list"},
      {"12", "messages is 12, expected a list"},
      {"[1]", "messages[0] is 1, expected an object"},
      {"[null]", "messages[0] is null, expected an object"},
      {"[[]]", "messages[0] is a list of 0, expected an object"},
      {"[{}]", text("messages[0].role is missing, ", role)},
      {one(R"("role": null)"), text("messages[0].role is missing, ", role)},
      {one(R"("role": 1)"), text("messages[0].role is 1, ", role)},
      {one(R"("role": "User")"), text("messages[0].role is \"User\", ", role)},
      {one(R"("role": "user\u0000")"), text("messages[0].role is \"user\\u0000\", ", role)},
      {one(R"("role": "user")"),
       "messages[0].content is missing, expected text or a list of parts"},
      {of_user("null"), "messages[0].content is missing, expected text or a list of parts"},
      {R"([{"role": "user", "content": ""}, {"role": "user", "content": 5}])",
       "messages[1].content is 5, expected text or a list of parts"},
      {of_user("true"), "messages[0].content is true, expected text or a list of parts"},
      {of_user("{}"), "messages[0].content is an object, expected text or a list of parts"},
      {of_user("[\"a\"]"), "messages[0].content[0] is \"a\", expected an object"},
      {of_user("[{}]"), "messages[0].content[0].type is missing, expected \"text\""},
      {of_user(R"([{"text": "a"}])"), "messages[0].content[0].type is missing, expected \"text\""},
      {of_user(R"([{"type": 1}])"), "messages[0].content[0].type is 1, expected \"text\""},
      {of_user(R"([{"type": "text"}])"), "messages[0].content[0].text is missing, expected text"},
      {of_user(R"([{"type": "text", "text": ["a"]}])"),
       "messages[0].content[0].text is a list of 1, expected text"},
      {of_user(R"([{"type": "audio"}])"),
       "messages[0].content[0].type is \"audio\", expected \"text\"", MINIMAX_UNSUPPORTED},
      {one(R"("role": "user", "content": "", "name": 3)"), "messages[0].name is 3, expected text"},
      {one(R"("role": "user", "content": "", "name": "bob")"),
       "messages[0].name is \"bob\", no format writes names but those of tools",
       MINIMAX_UNSUPPORTED},
      {one(R"("role": "tool", "content": [{"text": "r"}])"),
       "messages[0].content[0].name is missing, expected text"},
      {one(R"("role": "tool", "content": [{"name": "f"}])"),
       "messages[0].content[0].text is missing, expected text"},
      {one(R"("role": "assistant", "content": "", "function_call": {})"),
       "messages[0].function_call: use tool_calls", MINIMAX_UNSUPPORTED},
      {one(R"("role": "assistant", "tool_calls": {})"),
       "messages[0].tool_calls is an object, expected a list"},
      {one(R"("role": "assistant", "tool_calls": [])"),
       "messages[0].content is missing, expected text or a list of parts"},
      {one(R"("role": "user", "tool_calls": [{}])"),
       "messages[0].tool_calls: only messages of the assistant have them"},
      {with_call("1"), "messages[0].tool_calls[0].function is missing, expected an object"},
      {with_call("{}"), "messages[0].tool_calls[0].function is missing, expected an object"},
      {with_call(R"({"function": "f"})"),
       "messages[0].tool_calls[0].function is \"f\", expected an object"},
      {with_call(R"({"function": {}})"),
       "messages[0].tool_calls[0].function.name is missing, expected text"},
      {with_call(R"({"function": {"name": "f", "arguments": 1}})"),
       "messages[0].tool_calls[0].function.arguments is 1, expected an object, or the text of one"},
      {with_call(R"({"function": {"name": "f", "arguments": "[]"}})"),
       "messages[0].tool_calls[0].function.arguments is \"[]\", expected an object, or the text of "
       "one"},
      {with_call(R"({"function": {"name": "f", "arguments": "{"}})"),
       "messages[0].tool_calls[0].function.arguments: not valid JSON at byte 2"},
      {repeated("[", 100000), "messages: nests deeper than 64"},
      {repeated("{\"a\":", 100000), "messages: nests deeper than 64"},
      {"[" + repeated("0,", 100000) + "0]", "messages is a list of 100001, at most 100000"},
      {"[" + repeated("0,", 1 << 21) + "0]", "messages: more than 2097152 values"},
      {std::string((64 << 20) + 1, ' '), "messages: 67108865 bytes of JSON, at most 67108864"},
      {of_user("[" + repeated("x", 200) + "]"), "messages: not valid JSON at byte 31"},
      {one("\"role\": \"" + repeated("é", 100) + "\""),
       text("messages[0].role is \"", repeated("é", 30), "\"..., ", role)},
  };
  for (const Fault& fault : faults) {
    expect_fault(fault, [&] { parse_chat_messages(fault.json); });
  }
}

TEST(ChatJson, NamesThePlaceOfAFaultInTools) {
  const Fault faults[] = {
      {"", "tools: not valid JSON at byte 1"},
      {"{}", "tools is an object, expected a list"},
      {"null", "tools is null, expected a list"},
      {"[{}, 1]", "tools[1] is 1, expected an object"},
      {"[\"{}\"]", "tools[0] is \"{}\", expected an object"},
      {"[{\"a\" 1}]", "tools: not valid JSON at byte 7"},
      {"[" + repeated("{\"a\":", 64) + "1" + repeated("}", 64) + "]",
       "tools: nests deeper than 64"},
  };
  for (const Fault& fault : faults) expect_fault(fault, [&] { parse_chat_tools(fault.json); });
}

TEST(ChatJson, ReadsWhatClientsSend) {
  const auto messages = parse_chat_messages(R"([
      {"role": "assistant", "content": null, "refusal": null, "annotations": [],
       "tool_calls": [{"id": "1", "type": "function",
                       "function": {"name": "f", "arguments": "{\"b\":1,\"a\":[]}"}}]},
      {"role": "tool", "tool_call_id": "1", "name": "", "content": "r\u0000s"},
      {"role": "function", "name": "g", "content": []}])");
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0].tool_calls.at(0).arguments, R"({"b": 1, "a": []})");
  EXPECT_TRUE(messages[0].content.empty());
  EXPECT_EQ(messages[1].role, ChatRole::tool);
  EXPECT_EQ(messages[1].content.at(0).text, std::string("r\0s", 3));
  EXPECT_EQ(messages[2].role, ChatRole::tool);
  EXPECT_EQ(messages[2].name, "g");
}

TEST(ChatJson, TakesHundredThousandMessages) {
  std::string json = "[";
  for (int i = 0; i < 100000; ++i) json += R"({"role":"user","content":"x"},)";
  json.back() = ']';
  EXPECT_EQ(parse_chat_messages(json).size(), 100000u);
}

TEST(ChatJson, SurvivesDamagedJson) {
  const std::string sound =
      R"([{"role":"assistant","content":[{"type":"text","text":"a\u00e9\ud83d\ude00"}],"name":null,)"
      R"("tool_calls":[{"function":{"name":"f","arguments":"{\"a\":[1e3,-2,{}]}"}}]},)"
      R"({"role":"tool","content":[{"name":"f","text":"r"}]}])";
  ASSERT_EQ(parse_chat_messages(sound).size(), 2u);
  const uint32_t seed = 11;
  std::mt19937 random(seed);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = sound;
    for (size_t i = 1 + random() % 3; i > 0; --i) {
      const size_t at = random() % damaged.size();
      switch (random() % 3) {
        case 0:
          damaged[at] = static_cast<char>(random());
          break;
        case 1:
          damaged.erase(at, random() % 5);
          break;
        default:
          damaged.insert(at, 1, sound[random() % sound.size()]);
      }
    }
    try {
      parse_chat_messages(damaged);
    } catch (const Error& error) {
      EXPECT_NE(error.message(), "") << "seed " << seed << " round " << round;
    }
  }
}

std::string again(std::string_view json) {
  std::string out;
  dump_python_json(parse_python_json(json, "json"), out);
  return out;
}

TEST(PythonJson, WritesNumbersAsPythonDoes) {
  EXPECT_EQ(again("[1.0, 1e-7, 1E5, 1e16, 9999999999999998.0, 0.0001, 0.00001, -0.0, -0]"),
            "[1.0, 1e-07, 100000.0, 1e+16, 9999999999999998.0, 0.0001, 1e-05, -0.0, 0]");
  EXPECT_EQ(again("[123456789012345678901234567890, -9223372036854775809, 18446744073709551616]"),
            "[123456789012345678901234567890, -9223372036854775809, 18446744073709551616]");
  EXPECT_EQ(again("[5e-324, 1.7976931348623157e308, 1e100, 0.1, 3.0e-5, 1e-400]"),
            "[5e-324, 1.7976931348623157e+308, 1e+100, 0.1, 3e-05, 0.0]");
}

TEST(PythonJson, KeepsTheOrderOfMembersAndTheLastOfEqualNames) {
  EXPECT_EQ(again(R"({"b":1,"a":2,"b":3,"c":4,"a":5,"b":6})"), R"({"b": 6, "a": 5, "c": 4})");
  EXPECT_EQ(again(R"({"":{"":1,"":2}})"), R"({"": {"": 2}})");
}

TEST(PythonJson, TakesTimeNearlyLinearInTheMembersOfAnObject) {
  std::string json = "{";
  for (int i = 0; i < 300000; ++i) json += text("\"", i % 150000, "\":", i, ",");
  json.back() = '}';
  EXPECT_EQ(parse_python_json(json, "json").items.size(), 150000u);
}

}  // namespace
}  // namespace minimax
