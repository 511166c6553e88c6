// SPDX-License-Identifier: Apache-2.0
// What tokenizer files may say, and that damaged and hostile ones are refused with a sentence.
#include "tokenizer/vocabulary.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer_files.h"

namespace minimax {
namespace {

std::unique_ptr<Tokenizer> load_json(std::string_view tokenizer_json) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", tokenizer_json);
  return Tokenizer::load(folder.path());
}

std::unique_ptr<Tokenizer> load_changed(const std::function<void(Json&)>& change) {
  Json json = small_tokenizer_json();
  change(json);
  return load_json(json.dump());
}

using Ids = std::vector<int32_t>;

TEST(Vocabulary, ReadsTheSmallFile) {
  const auto tokenizer = load_json(small_tokenizer_json().dump());
  EXPECT_EQ(encode(*tokenizer, "abcd ab<end>b"), Ids({257, 'd', ' ', 256, 260, 'b'}));
  EXPECT_EQ(encode(*tokenizer, "<end>", SpecialTokens::plain), Ids({'<', 'e', 'n', 'd', '>'}));
  EXPECT_EQ(tokenizer->vocabulary_size(), 261);
}

TEST(Vocabulary, ReadsMergesAsStringsAndAsPairs) {
  const auto tokenizer = load_changed([](Json& json) {
    json["model"]["merges"] = {"a b", "ab c", "c d", "ab cd"};
  });
  EXPECT_EQ(encode(*tokenizer, "abcd"), Ids({257, 'd'}));
}

TEST(Vocabulary, HonoursIgnoreMerges) {
  // "abcd" is a token that no order of merges reaches: "abc" comes before "cd".
  EXPECT_EQ(encode(*load_changed([](Json&) {}), "abcd"), Ids({257, 'd'}));
  const auto tokenizer = load_changed([](Json& json) { json["model"]["ignore_merges"] = true; });
  EXPECT_EQ(encode(*tokenizer, "abcd"), Ids({259}));
}

TEST(Vocabulary, AcceptsWhatChangesNothing) {
  EXPECT_NE(load_changed([](Json& json) {
              json["model"]["unk_token"] = "a";
              json["model"]["byte_fallback"] = true;
              json["model"]["dropout"] = 0.0;
              json["model"]["end_of_word_suffix"] = "";
              json["post_processor"] = {{"type", "ByteLevel"}};
              json["truncation"] = nullptr;
            }),
            nullptr);
}

TEST(Vocabulary, TokenOutsideTheByteAlphabetIsItsOwnBytes) {
  const auto tokenizer = load_changed([](Json& json) { json["model"]["vocab"]["a b"] = 261; });
  EXPECT_EQ(tokenizer->token_bytes(261), "a b");
  EXPECT_EQ(encode(*tokenizer, "a b"), Ids({'a', ' ', 'b'}));
}

TEST(Vocabulary, AddedTokenMayBeInTheVocabularyToo) {
  const auto tokenizer = load_changed([](Json& json) {
    json["added_tokens"].push_back({{"id", 259}, {"content", "abcd"}, {"special", false}});
  });
  EXPECT_EQ(encode(*tokenizer, "xabcd"), Ids({'x', 259}));
  EXPECT_EQ(tokenizer->token_kind(259), TokenKind::text);
}

TEST(Vocabulary, AddedTokensTakeWhiteSpaceAlongWhenTheySay) {
  const auto tokenizer = load_changed([](Json& json) {
    json["added_tokens"] = Json::parse(R"([
      {"id": 260, "content": "<l>", "lstrip": true}, {"id": 261, "content": "<r>", "rstrip": true}])");
  });
  EXPECT_EQ(encode(*tokenizer, "a \n<l> b"), Ids({'a', 260, ' ', 'b'}));
  EXPECT_EQ(encode(*tokenizer, "a <r>\u3000\tb"), Ids({'a', ' ', 261, 'b'}));
  EXPECT_EQ(encode(*tokenizer, "<r> <l>"), Ids({261, 260}));
  EXPECT_EQ(encode(*tokenizer, " <l>"), Ids({260}));
}

TEST(Vocabulary, TheLongestOfSeveralAddedTokensCounts) {
  const auto tokenizer = load_changed([](Json& json) {
    json["added_tokens"] =
        Json::parse(R"([{"id": 260, "content": "ab"}, {"id": 261, "content": "abab"},
      {"id": 262, "content": "bb"}, {"id": 263, "content": "qq", "normalized": true}])");
    json["model"]["vocab"].erase("ab");
    json["model"]["merges"] = Json::array();
  });
  EXPECT_EQ(encode(*tokenizer, "ababab"), Ids({261, 260}));
  EXPECT_EQ(encode(*tokenizer, "aabbb"), Ids({'a', 260, 262}));
  EXPECT_EQ(encode(*tokenizer, "aqqbb"), Ids({'a', 263, 262}));
}

TEST(Vocabulary, ReadsAnyPatternThatMeansTheSameEverywhere) {
  const auto tokenizer = load_changed([](Json& json) {
    json["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"String": "."}, "behavior": "Isolated", "invert": false},
      {"type": "Split", "pattern": {"Regex": "a|\\s+"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  });
  EXPECT_EQ(encode(*tokenizer, "cd.ab"), Ids({258, '.', 'a', 'b'}));
}

TEST(Vocabulary, GivesUpOnAPatternThatNeedsForEver) {
  const auto tokenizer = load_changed([](Json& json) {
    json["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"},
      {"type": "ByteLevel", "use_regex": false}]})");
  });
  Ids ids = {1, 2};
  const std::string text = std::string(40, 'a') + "!";
  const Error error = error_of([&] { tokenizer->encode(text, SpecialTokens::plain, ids); });
  EXPECT_EQ(error.status(), MINIMAX_UNSUPPORTED);
  EXPECT_NE(error.message().find("gives up on this text"), std::string::npos) << error.message();
  EXPECT_EQ(ids, Ids({1, 2}));
}

// ---- refusals ----

struct Refusal {
  const char* name;
  minimax_status status;
  const char* says;  // part of the sentence
  std::function<void(Json&)> change;
};

Json split(const char* pattern) {
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}},
            {{"type", "ByteLevel"}, {"use_regex", false}}}}};
}

std::vector<Refusal> refusals() {
  const minimax_status bad = MINIMAX_BAD_FILE, unsupported = MINIMAX_UNSUPPORTED;
  const auto model = [](const char* key, Json value) {
    return [=](Json& json) { json["model"][key] = value; };
  };
  const auto vocab = [](const char* key, Json value) {
    return [=](Json& json) { json["model"]["vocab"][key] = value; };
  };
  const auto merge = [](Json value) {
    return [=](Json& json) { json["model"]["merges"].push_back(value); };
  };
  const auto added = [](Json value) {
    return [=](Json& json) { json["added_tokens"].push_back(value); };
  };
  const auto pre = [](Json value) { return [=](Json& json) { json["pre_tokenizer"] = value; }; };
  return {
      {"root is a list", bad, "expected an object", [](Json& j) { j = Json::array({1}); }},
      {"root is a number", bad, "expected an object", [](Json& j) { j = 3; }},
      {"no model", bad, "model is missing", [](Json& j) { j.erase("model"); }},
      {"model is a list", bad, "expected an object",
       [](Json& j) {
         j["model"] = {1, 2};
       }},
      {"model null", bad, "model is missing", [](Json& j) { j["model"] = nullptr; }},
      {"other type", unsupported, "WordPiece", model("type", "WordPiece")},
      {"type is a number", bad, "expected a string", model("type", 5)},
      {"no vocab", bad, "vocab is missing", [](Json& j) { j["model"].erase("vocab"); }},
      {"vocab is a list", bad, "expected an object", model("vocab", {"a", "b"})},
      {"vocab is a string", bad, "expected an object", model("vocab", "a")},
      {"vocab is empty", bad, "no token for byte 0", model("vocab", Json::object())},
      {"no merges", bad, "merges is missing", [](Json& j) { j["model"].erase("merges"); }},
      {"merges is an object", bad, "expected a list", model("merges", Json::object())},
      {"dropout", unsupported, "dropout", model("dropout", 0.1)},
      {"dropout is a string", bad, "dropout", model("dropout", "x")},
      {"prefix", unsupported, "continuing_subword_prefix",
       model("continuing_subword_prefix", "##")},
      {"suffix", unsupported, "end_of_word_suffix", model("end_of_word_suffix", "</w>")},
      {"ignore_merges is a number", bad, "ignore_merges", model("ignore_merges", 1)},
      {"id is negative", bad, "expected an integer from 0", vocab("abcd", -1)},
      {"id is huge", bad, "expected an integer from 0", vocab("abcd", 4194304)},
      {"id beyond 64 bits", bad, "expected an integer from 0",
       vocab("abcd", 18446744073709551615u)},
      {"id is a fraction", bad, "expected an integer from 0", vocab("abcd", 1.5)},
      {"id is a string", bad, "expected an integer from 0", vocab("abcd", "259")},
      {"id is null", bad, "expected an integer from 0", vocab("abcd", nullptr)},
      {"id is a list", bad, "expected an integer from 0", vocab("abcd", {1})},
      {"id is an object", bad, "expected an integer from 0", vocab("abcd", Json::object())},
      {"id is true", bad, "expected an integer from 0", vocab("abcd", true)},
      {"id of another token", bad, "id 256 is token", vocab("abcd", 256)},
      {"empty token", bad, "a token of 0 bytes", vocab("", 300)},
      {"token too long", bad, "a token of 70000 bytes",
       [](Json& j) { j["model"]["vocab"][std::string(70000, 'a')] = 300; }},
      {"a byte is missing", bad, "no token for byte 97",
       [](Json& j) { j["model"]["vocab"].erase("a"); }},
      {"merge of unknown", bad, "model.merges[4] has or makes", merge({"a", "zz"})},
      {"merge makes unknown", bad, "\"ba\", which is no token", merge({"b", "a"})},
      {"merge twice", bad, "merges[4] stands there a second time", merge({"a", "b"})},
      {"merge of one", bad, "model.merges[4]", merge(Json::array({"a"}))},
      {"merge of three", bad, "model.merges[4]", merge({"a", "b", "c"})},
      {"merge of none", bad, "model.merges[4]", merge(Json::array())},
      {"merge with a number", bad, "model.merges[4]", merge({"a", 1})},
      {"merge with null", bad, "model.merges[4]", merge({"a", nullptr})},
      {"merge is a number", bad, "model.merges[4]", merge(7)},
      {"merge is an object", bad, "model.merges[4]", merge(Json::object())},
      {"merge in a list in a list", bad, "model.merges[4]", merge({{"a"}, {"b"}})},
      {"merge without a space", bad, "model.merges[4]", merge("ab")},
      {"merge of empty parts", bad, "model.merges[4]", merge(" ")},
      {"merge with itself again", bad, "which is no token", merge({"", "ab"})},
      {"merges that go in a circle", bad, "which is no token",
       [](Json& j) {
         j["model"]["merges"] = Json::array({"ab a", "aba b"});
       }},
      {"normalizer", unsupported, "normalizer is \"NFC\"",
       [](Json& j) {
         j["normalizer"] = {{"type", "NFC"}};
       }},
      {"normalizer is a string", unsupported, "normalizer", [](Json& j) { j["normalizer"] = "x"; }},
      {"decoder", unsupported, "decoder is \"Metaspace\"",
       [](Json& j) {
         j["decoder"] = {{"type", "Metaspace"}};
       }},
      {"decoder is a number", bad, "decoder", [](Json& j) { j["decoder"] = 1; }},
      {"no pre_tokenizer", bad, "pre_tokenizer is missing", pre(nullptr)},
      {"other pre_tokenizer", unsupported, "ByteLevel", pre({{"type", "Whitespace"}})},
      {"pre_tokenizer without type", bad, "type is missing", pre(Json::object())},
      {"prefix space", unsupported, "add_prefix_space",
       pre({{"type", "ByteLevel"}, {"add_prefix_space", true}})},
      {"no pattern", unsupported, "no pattern", pre({{"type", "ByteLevel"}, {"use_regex", false}})},
      {"empty sequence", unsupported, "ByteLevel",
       pre({{"type", "Sequence"}, {"pretokenizers", Json::array()}})},
      {"sequence of numbers", bad, "expected an object",
       pre({{"type", "Sequence"}, {"pretokenizers", {1, 2}}})},
      {"too many steps", bad, "a list of at most 16",
       pre({{"type", "Sequence"}, {"pretokenizers", Json::array_t(17, Json::object())}})},
      {"other step", unsupported, "Digits",
       pre({{"type", "Sequence"},
            {"pretokenizers", {{{"type", "Digits"}}, {{"type", "ByteLevel"}}}}})},
      {"behavior", unsupported, "Removed",
       [](Json& j) {
         j["pre_tokenizer"] = split("a");
         j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed";
       }},
      {"invert", unsupported, "invert",
       [](Json& j) {
         j["pre_tokenizer"] = split("a");
         j["pre_tokenizer"]["pretokenizers"][0]["invert"] = true;
       }},
      {"broken pattern", bad, "the pattern is wrong near byte", pre(split("a(b"))},
      {"unknown property", bad, "the pattern is wrong", pre(split("\\p{Nonsense}"))},
      {"ends in a backslash", bad, "the pattern is wrong", pre(split("a\\"))},
      {"word boundary", unsupported, "\\b at byte 1", pre(split("a\\b"))},
      {"back reference", unsupported, "\\1", pre(split("(a)\\1"))},
      {"class in class", unsupported, "a class within a class", pre(split("[a[:alpha:]]"))},
      {"intersection", unsupported, "&&", pre(split("[a-z&&x]"))},
      {"inline flag", unsupported, "(?m", pre(split("(?m)a"))},
      {"recursion", unsupported, "(?R", pre(split("a(?R)"))},
      {"verb", unsupported, "(*", pre(split("(*COMMIT)a"))},
      {"pattern too long", bad, "the pattern has 70000 bytes",
       pre(split(std::string(70000, 'a').c_str()))},
      {"pattern too deep", bad, "the pattern is wrong",
       pre(split((std::string(3000, '(') + std::string(3000, ')')).c_str()))},
      {"added token without content", bad, "content is missing", added({{"id", 261}})},
      {"added token without id", bad, "id is missing", added({{"content", "x"}})},
      {"added id negative", bad, "expected an integer from 0",
       added({{"id", -1}, {"content", "<x>"}})},
      {"added id huge", bad, "expected an integer from 0",
       added({{"id", 2147483647}, {"content", "<x>"}})},
      {"added id of another", bad, "which is another token's",
       added({{"id", 5}, {"content", "<x>"}})},
      {"added twice", bad, "is there twice", added({{"id", 261}, {"content", "<end>"}})},
      {"added id twice", bad, "which is another token's", added({{"id", 260}, {"content", "<x>"}})},
      {"added with another id in the vocabulary", bad, "in the vocabulary",
       added({{"id", 261}, {"content", "ab"}})},
      {"added with an empty name", bad, "has 0 bytes", added({{"id", 261}, {"content", ""}})},
      {"added with a long name", bad, "has 2000 bytes",
       added({{"id", 261}, {"content", std::string(2000, 'x')}})},
      {"single_word", unsupported, "single_word",
       added({{"id", 261}, {"content", "<x>"}, {"single_word", true}})},
      {"special is a string", bad, "special",
       added({{"id", 261}, {"content", "<x>"}, {"special", "yes"}})},
      {"added is a number", bad, "added_tokens[1]", added(5)},
      {"added_tokens is an object", bad, "added_tokens",
       [](Json& j) { j["added_tokens"] = Json::object(); }},
  };
}

TEST(Vocabulary, RefusesDamageWithASentenceThatNamesFileAndPlace) {
  for (const Refusal& refusal : refusals()) {
    SCOPED_TRACE(refusal.name);
    const Error error = error_of([&] { load_changed(refusal.change); });
    EXPECT_EQ(error.status(), refusal.status) << error.message();
    EXPECT_NE(error.message().find("tokenizer.json"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find(refusal.says), std::string::npos) << error.message();
    EXPECT_EQ(error.message().find('\n'), std::string::npos) << error.message();
  }
  EXPECT_GE(refusals().size(), 60u);
}

TEST(Vocabulary, RefusesTextThatIsNoJson) {
  const std::string good = small_tokenizer_json().dump();
  const std::string deep = R"({"x": )" + std::string(100'000, '[');
  const std::string deep_model = R"({"model": {"vocab": {"a": )" + std::string(100'000, '{');
  const std::string twice = R"({"model": {"vocab": {"a": 1}, "vocab": {"a": 1}}})";
  std::string broken_utf8 = good;
  broken_utf8[broken_utf8.find("abcd")] = '\xff';
  for (const std::string& text : {std::string(), std::string("\0", 1), std::string("{"), deep,
                                  deep_model, twice, broken_utf8, good + "x", "\xff\xfe" + good}) {
    const Error error = error_of([&] { load_json(text); });
    EXPECT_EQ(error.status(), MINIMAX_BAD_FILE);
    EXPECT_NE(error.message().find("tokenizer.json: "), std::string::npos) << error.message();
  }
}

TEST(Vocabulary, RefusesEveryTruncation) {
  const std::string good = small_tokenizer_json().dump();
  for (size_t size = 0; size < good.size(); size += 23) {
    EXPECT_EQ(error_of([&] { load_json(good.substr(0, size)); }).status(), MINIMAX_BAD_FILE);
  }
}

TEST(Vocabulary, SurvivesFlippedBits) {
  const std::string good = small_tokenizer_json().dump();
  std::minstd_rand random(11);
  for (int i = 0; i < 800; ++i) {
    std::string bad = good;
    for (int flips = 0; flips < 1 + i % 3; ++flips) {
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    }
    try {
      const auto tokenizer = load_json(bad);
      encode(*tokenizer, "abcd <end> ab\xff");
    } catch (const Error& error) {
      EXPECT_NE(error.message().find("tokenizer.json"), std::string::npos) << error.message();
    }
  }
}

TEST(Vocabulary, TokenizerJsonThatIsAFolderCannotBeRead) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "tokenizer.json");
  EXPECT_EQ(error_of([&] { Tokenizer::load(folder.path()); }).status(), MINIMAX_IO_ERROR);
}

TEST(Vocabulary, RefusesDamagedMergesTxt) {
  const std::string vocab = small_tokenizer_json()["model"]["vocab"].dump();
  for (const char* merges : {"a b c\n", "ab\n", "#version: 0.2\na zz\n", "a b\na b\n", " b\n",
                             "a \n", "b a\n", "\xff b\n", "a  b\n"}) {
    const TemporaryFolder folder;
    folder.write("vocab.json", vocab);
    folder.write("merges.txt", merges);
    const Error error = error_of([&] { Tokenizer::load(folder.path()); });
    EXPECT_EQ(error.status(), MINIMAX_BAD_FILE) << merges;
    EXPECT_NE(error.message().find("merges"), std::string::npos) << error.message();
  }
}

TEST(Vocabulary, RefusesDamagedVocabJson) {
  for (const char* vocab :
       {"", "[]", "3", "null", "{\"a\": -1}", "{\"a\": {}}", "{}", "{\"a\": 1"}) {
    const TemporaryFolder folder;
    folder.write("vocab.json", vocab);
    folder.write("merges.txt", "");
    const Error error = error_of([&] { Tokenizer::load(folder.path()); });
    EXPECT_EQ(error.status(), MINIMAX_BAD_FILE) << vocab;
    EXPECT_NE(error.message().find("vocab.json"), std::string::npos) << error.message();
  }
}

TEST(Vocabulary, RefusesDamagedTokenizerConfig) {
  for (const char* config :
       {"", "[1]", "{\"chat_template\": 3}", "{\"chat_template\": [3]}",
        "{\"added_tokens_decoder\": 1}", "{\"added_tokens_decoder\": {\"x\": {}}}",
        "{\"added_tokens_decoder\": {\"-1\": {\"content\": \"x\"}}}",
        "{\"added_tokens_decoder\": {\"99999999999\": {\"content\": \"x\"}}}",
        "{\"added_tokens_decoder\": {\"300\": {}}}", "{\"bos_token\": 5}"}) {
    const TemporaryFolder folder;
    folder.write("vocab.json", small_tokenizer_json()["model"]["vocab"].dump());
    folder.write("merges.txt", "a b\n");
    folder.write("tokenizer_config.json", config);
    const Error error = error_of([&] { Tokenizer::load(folder.path()); });
    EXPECT_EQ(error.status(), MINIMAX_BAD_FILE) << config;
    EXPECT_NE(error.message().find("tokenizer_config.json"), std::string::npos) << error.message();
  }
}

TEST(Vocabulary, TakesTheDefaultOfSeveralChatTemplates) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", small_tokenizer_json().dump());
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool_use", "template": "T"},
                                     {"name": "default", "template": "D"}]})");
  EXPECT_EQ(Tokenizer::load(folder.path())->chat_template(), "D");
}

}  // namespace
}  // namespace minimax
