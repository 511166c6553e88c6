// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace minimax {
namespace {

std::string sentence_of(const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_BAD_FILE);
    return error.message();
  }
  return "no error";
}

TEST(Json, NamesTheMemberWhatItIsAndWhatWasExpected) {
  const Json json = parse_json(R"({"hidden_size": "abc", "layers": 3.5})", "config.json");
  const JsonObject object(json, "config.json");
  EXPECT_EQ(sentence_of([&] { object.integer("hidden_size", 1, 100); }),
            "config.json: hidden_size is \"abc\", expected an integer from 1 to 100");
  EXPECT_EQ(sentence_of([&] { object.integer("vocab_size", 1, 100); }),
            "config.json: vocab_size is missing, expected an integer from 1 to 100");
  EXPECT_EQ(sentence_of([&] { object.integer("layers", 1, 100); }),
            "config.json: layers is 3.5, expected an integer from 1 to 100");
}

TEST(Json, RefusesIntegersBeyondInt64) {
  const Json json = parse_json(R"({"n": 18446744073709551615})", "x");
  EXPECT_NE(sentence_of([&] { JsonObject(json, "x").integer("n", INT64_MIN, INT64_MAX); }),
            "no error");
}

TEST(Json, RefusesDeepNesting) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_EQ(sentence_of([&] { parse_json(deep, "x"); }), "x: nests deeper than 64");
}

TEST(Json, RefusesWhatIsNotUtf8) {
  EXPECT_NE(sentence_of([&] { parse_json("{\"a\": \"\xff\xfe\"}", "x"); }), "no error");
}

TEST(Json, CountsNullAsAbsent) {
  const Json json = parse_json(R"({"eos_token_id": null})", "x");
  EXPECT_FALSE(JsonObject(json, "x").has("eos_token_id"));
  EXPECT_EQ(JsonObject(json, "x").integer_or("eos_token_id", 7, 0, 10), 7);
}

}  // namespace
}  // namespace minimax
