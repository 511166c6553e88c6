// SPDX-License-Identifier: Apache-2.0
// Ids and texts against what the public tokenizer of the checkpoints gives.
#include <gtest/gtest.h>

#include "base/file_map.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer_files.h"

namespace minimax {
namespace {

const Tokenizer& demo() {
  static const auto tokenizer = Tokenizer::load(demo_folder);
  return *tokenizer;
}

// nullptr where the files are not there.
const Tokenizer* m1() {
  static const auto tokenizer =
      std::filesystem::exists(m1_folder) ? Tokenizer::load(m1_folder) : nullptr;
  return tokenizer.get();
}

void expect_golden(const Tokenizer& tokenizer, const std::vector<GoldenText>& golden) {
  for (const GoldenText& text : golden) {
    EXPECT_EQ(encode(tokenizer, text.text), text.ids) << text.text;
    EXPECT_EQ(encode(tokenizer, text.text, SpecialTokens::plain), text.plain_ids) << text.text;
    EXPECT_EQ(decode(tokenizer, text.ids), text.text);
    EXPECT_EQ(decode(tokenizer, text.plain_ids), text.text);
  }
}

TEST(TokenizerGolden, DemoVocabularyGivesTheIdsOfThePublicLibrary) {
  const auto golden = read_golden(read_text_file(golden_folder / "demo.jsonl", 1 << 24));
  EXPECT_GT(golden.size(), 100u);
  expect_golden(demo(), golden);
}

TEST(TokenizerGolden, M1VocabularyGivesTheIdsOfThePublicLibrary) {
  if (!m1()) GTEST_SKIP() << "no " << m1_folder;
  const std::filesystem::path path =
      std::filesystem::path(MINIMAX_SHARED_DIR) / "golden/tokenizer/minimax-m1.jsonl.gz";
  auto golden = read_golden(read_gzip(path));
  EXPECT_EQ(golden.size(), 535u);
  for (const GoldenText& text : golden) {
    EXPECT_EQ(encode(*m1(), text.text), text.ids) << text.text;
    EXPECT_EQ(decode(*m1(), text.ids), text.text);
  }
}

TEST(TokenizerGolden, M1VocabularyGivesTheIdsOfTheSpecification) {
  if (!m1()) GTEST_SKIP() << "no " << m1_folder;
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(encode(*m1(), "Hello"), Ids({19739}));
  EXPECT_EQ(encode(*m1(), " world"), Ids({2035}));
  EXPECT_EQ(encode(*m1(), "!"), Ids({33}));
  EXPECT_EQ(encode(*m1(), "\n"), Ids({10}));
  EXPECT_EQ(encode(*m1(), "\n\n"), Ids({367}));
  EXPECT_EQ(encode(*m1(), "    "), Ids({272}));
  EXPECT_EQ(encode(*m1(), "1234567"), Ids({10010, 26551, 55}));
  EXPECT_EQ(encode(*m1(), "don't"), Ids({84464}));
  EXPECT_EQ(encode(*m1(), " can't"), Ids({6965}));
  EXPECT_EQ(encode(*m1(), "helloWorld"), Ids({37964, 19398}));
  EXPECT_EQ(encode(*m1(), "HelloWORLD"), Ids({19739, 76846, 20366}));
  EXPECT_EQ(encode(*m1(), "<think>"), Ids({60, 37959, 62}));
}

TEST(TokenizerGolden, M1VocabularyGivesTheDemoPromptOfTheSpecification) {
  if (!m1()) GTEST_SKIP() << "no " << m1_folder;
  const std::vector<int32_t> ids = encode(
      *m1(),
      "<beginning_of_sentence>system ai_setting=assistant\nYou are a helpful assistant created by "
      "Minimax based on MiniMax-Text-01 model.<end_of_sentence>\n<beginning_of_sentence>user "
      "name=user\nHello!<end_of_sentence>\n<beginning_of_sentence>ai name=assistant\n");
  EXPECT_EQ(
      ids, std::vector<int32_t>({200019, 28463,  28609, 100932, 61,     153156, 10,    2985, 457,
                                 258,    12473,  23413, 5094,   531,    122884, 1115,  2798, 375,
                                 35353,  12973,  45,    5824,   45,     3550,   2428,  46,   200020,
                                 10,     200019, 3995,  1925,   133646, 10,     19739, 33,   200020,
                                 10,     200019, 1361,  1925,   61,     153156, 10}));
}

TEST(TokenizerGolden, KnowsKindsAndNamesOfTokens) {
  EXPECT_EQ(demo().find_token("<end_of_sentence>"), 8186);
  EXPECT_EQ(demo().find_token("no such token"), std::nullopt);
  EXPECT_EQ(demo().token_kind(8186), TokenKind::special);
  EXPECT_EQ(demo().token_bytes(8186), "<end_of_sentence>");
  EXPECT_EQ(demo().token_kind(0), TokenKind::text);
  EXPECT_EQ(demo().vocabulary_size(), 8192);
  for (const int32_t id : {-1, 8192, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(demo().token_kind(id), TokenKind::undefined);
    EXPECT_EQ(demo().token_bytes(id), "");
  }
  EXPECT_NE(demo().chat_template().find("<beginning_of_sentence>ai"), std::string::npos);
}

TEST(TokenizerGolden, M1VocabularyHasNoTokensBetweenTheAddedOnes) {
  if (!m1()) GTEST_SKIP() << "no " << m1_folder;
  EXPECT_EQ(m1()->vocabulary_size(), 200035);
  EXPECT_EQ(m1()->token_kind(200030), TokenKind::undefined);
  EXPECT_EQ(m1()->token_kind(200025), TokenKind::special);
  EXPECT_EQ(m1()->token_kind(199999), TokenKind::text);
}

TEST(TokenizerGolden, DecodingLeavesSpecialTokensOutUnlessWanted) {
  const std::vector<int32_t> ids = encode(demo(), "a<image>b");
  std::string out = "kept ";
  demo().decode(ids, false, out);
  EXPECT_EQ(out, "kept ab");
}

TEST(TokenizerGolden, TenThousandRandomByteStringsComeBack) {
  const Tokenizer& large = m1() ? *m1() : demo();
  for (uint32_t seed = 1; seed <= 10000; ++seed) {
    const Tokenizer& tokenizer = seed % 2 == 0 ? demo() : large;
    const std::string text = random_bytes(seed, seed % 300);
    for (const SpecialTokens specials : {SpecialTokens::match, SpecialTokens::plain}) {
      ASSERT_EQ(decode(tokenizer, encode(tokenizer, text, specials)), text) << "seed " << seed;
    }
  }
}

TEST(TokenizerGolden, BytesThatAreNotUtf8BecomeTokensOfTheirOwn) {
  EXPECT_EQ(decode(demo(), encode(demo(), "\xff")), "\xff");
  EXPECT_EQ(encode(demo(), "\xff").size(), 1u);
  // Half of a character, twice, with a whole one between.
  EXPECT_EQ(decode(demo(), encode(demo(), "\xe4\xb8中\xe4\xb8")), "\xe4\xb8中\xe4\xb8");
}

TEST(TokenizerGolden, TenMegabytesOfOneCharacterComeBack) {
  const std::string text(10'000'000, 'a');
  EXPECT_EQ(decode(demo(), encode(demo(), text)), text);
}

TEST(TokenizerGolden, VocabJsonWithMergesGivesTheIdsOfTokenizerJson) {
  const TemporaryFolder folder;
  const Json json = parse_json_file(demo_folder / "tokenizer.json", 1 << 28);
  std::string merges = "#version: 0.2\n";
  for (const Json& merge : json["model"]["merges"]) {
    merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  Json config = {{"eos_token", "<end_of_sentence>"}};
  for (const Json& token : json["added_tokens"]) {
    config["added_tokens_decoder"][std::to_string(token["id"].get<int>())] = token;
  }
  folder.write("vocab.json", json["model"]["vocab"].dump());
  folder.write("merges.txt", merges);
  folder.write("tokenizer_config.json", config.dump());
  const auto tokenizer = Tokenizer::load(folder.path());
  ASSERT_NE(tokenizer, nullptr);
  expect_golden(*tokenizer, read_golden(read_text_file(golden_folder / "demo.jsonl", 1 << 24)));
}

TEST(TokenizerGolden, FolderWithoutTokenizerGivesNone) {
  const TemporaryFolder folder;
  EXPECT_EQ(Tokenizer::load(folder.path()), nullptr);
  folder.write("vocab.json", "{}");  // half of a tokenizer is none
  EXPECT_EQ(Tokenizer::load(folder.path()), nullptr);
}

}  // namespace
}  // namespace minimax
