// SPDX-License-Identifier: Apache-2.0
// .model files: ids against SentencePiece's own, and that damaged files are refused in silence.
#include "tokenizer/sentencepiece_vocabulary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <sstream>

#include "base/file_map.h"
#include "tokenizer_files.h"

namespace minimax {
namespace {

const std::vector<std::string> models = {"unigram", "bpe"};

SentencePieceTokenizer open(const std::string& model) {
  return SentencePieceTokenizer(golden_folder / (model + ".model"), "");
}

std::string model_bytes(const std::string& model) {
  return read_text_file(golden_folder / (model + ".model"), 1 << 20);
}

TEST(SentencePiece, GivesTheIdsOfTheSentencePieceLibrary) {
  for (const std::string& model : models) {
    const SentencePieceTokenizer tokenizer = open(model);
    std::istringstream lines(read_text_file(golden_folder / "sentencepiece.jsonl", 1 << 20));
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      const Json golden = parse_json(line, "golden");
      const auto ids = golden[model].get<std::vector<int32_t>>();
      const auto text = golden["text"].get<std::string>();
      EXPECT_EQ(encode(tokenizer, text), ids) << text;
      EXPECT_EQ(decode(tokenizer, ids), text.empty() ? "" : " " + text);
    }
    EXPECT_GE(count, 10);
  }
}

TEST(SentencePiece, KnowsKindsOfPieces) {
  const SentencePieceTokenizer tokenizer = open("bpe");
  EXPECT_EQ(tokenizer.token_kind(0), TokenKind::special);  // <unk>
  EXPECT_EQ(tokenizer.token_kind(1), TokenKind::special);  // <s>
  EXPECT_EQ(tokenizer.token_kind(4), TokenKind::text);     // <sep>, user-defined
  EXPECT_EQ(tokenizer.find_token("<image>"), 3);
  EXPECT_EQ(tokenizer.find_token("<sep>"), 4);
  EXPECT_EQ(tokenizer.find_token("<0x0A>"), std::nullopt);
  EXPECT_EQ(tokenizer.token_bytes(5 + '\n'), "\n");
  EXPECT_EQ(tokenizer.vocabulary_size(), 420);
  EXPECT_EQ(tokenizer.token_kind(-1), TokenKind::undefined);
  EXPECT_EQ(tokenizer.token_kind(420), TokenKind::undefined);
  EXPECT_EQ(tokenizer.token_bytes(420), "");
}

TEST(SentencePiece, FindsControlPiecesOnlyWhereSpecialTokensAreMatched) {
  const SentencePieceTokenizer tokenizer = open("bpe");
  const std::vector<int32_t> ids = encode(tokenizer, "<image>x");
  EXPECT_EQ(ids[0], 3);
  EXPECT_EQ(decode(tokenizer, ids), "<image>x");
  const std::vector<int32_t> plain = encode(tokenizer, "<image>x", SpecialTokens::plain);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 3), 0);
  EXPECT_EQ(decode(tokenizer, plain), " <image>x");
}

TEST(SentencePiece, RandomByteStringsComeBackBehindASpace) {
  for (const std::string& model : models) {
    const SentencePieceTokenizer tokenizer = open(model);
    for (uint32_t seed = 1; seed <= 300; ++seed) {
      const std::string text = "x" + random_bytes(seed, seed % 100);
      EXPECT_EQ(decode(tokenizer, encode(tokenizer, text)), " " + text) << "seed " << seed;
    }
  }
}

TEST(SentencePiece, LoadsFromAFolder) {
  const TemporaryFolder folder;
  folder.write("spiece.model", model_bytes("bpe"));
  EXPECT_EQ(Tokenizer::load(folder.path())->vocabulary_size(), 420);
  folder.write("other.model", model_bytes("unigram"));
  EXPECT_EQ(error_of([&] { Tokenizer::load(folder.path()); }).status(), MINIMAX_BAD_FILE);
  folder.write("tokenizer.model", model_bytes("unigram"));
  EXPECT_NE(Tokenizer::load(folder.path()), nullptr);
}

TEST(SentencePiece, WritesWhatItReads) {
  const SentencePieceModel model = SentencePieceModel::parse(model_bytes("bpe"), "bpe.model");
  const SentencePieceModel again = SentencePieceModel::parse(model.serialize(), "again");
  EXPECT_EQ(again.serialize(), model.serialize());
  EXPECT_EQ(again.algorithm, SentencePieceModel::Algorithm::bpe);
  EXPECT_TRUE(again.byte_fallback);
}

struct Refusal {
  const char* name;
  const char* says;
  std::function<void(SentencePieceModel&)> change;
};

TEST(SentencePiece, RefusesModelsThatContradictThemselves) {
  const std::vector<Refusal> refusals = {
      {"empty piece", "piece 300 has 0 bytes", [](auto& m) { m.pieces[300].name = ""; }},
      {"long piece", "piece 300 has 5000 bytes",
       [](auto& m) { m.pieces[300].name.assign(5000, 'x'); }},
      {"zero byte", "zero byte", [](auto& m) { m.pieces[300].name = std::string("a\0b", 3); }},
      {"not UTF-8", "not UTF-8", [](auto& m) { m.pieces[300].name = "\xff"; }},
      {"piece twice", "is there twice", [](auto& m) { m.pieces[300].name = m.pieces[301].name; }},
      {"no unknown", "0 pieces of type unknown",
       [](auto& m) { m.pieces[0].kind = PieceKind::control; }},
      {"two unknown", "2 pieces of type unknown",
       [](auto& m) { m.pieces[1].kind = PieceKind::unknown; }},
      {"score is not a number", "the score of piece 300",
       [](auto& m) { m.pieces[300].score = NAN; }},
      {"endless score", "the score of piece 300", [](auto& m) { m.pieces[300].score = INFINITY; }},
      {"wrong byte", "byte piece 10", [](auto& m) { m.pieces[10].name = "<0x5>"; }},
      {"byte without fallback", "byte_fallback is off", [](auto& m) { m.byte_fallback = false; }},
      {"wrong kind", "is of type 9", [](auto& m) { m.pieces[9].kind = static_cast<PieceKind>(9); }},
      {"no pieces", "0 pieces of type unknown", [](auto& m) { m.pieces.clear(); }},
      {"only unknown", "no piece of type normal", [](auto& m) { m.pieces.resize(1); }},
  };
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(refusal.name);
    SentencePieceModel model = SentencePieceModel::parse(model_bytes("bpe"), "bpe.model");
    refusal.change(model);
    const Error error =
        error_of([&] { SentencePieceModel::parse(model.serialize(), "folder/x.model"); });
    EXPECT_EQ(error.status(), MINIMAX_BAD_FILE);
    EXPECT_TRUE(error.message().starts_with("folder/x.model: ")) << error.message();
    EXPECT_NE(error.message().find(refusal.says), std::string::npos) << error.message();
  }
}

TEST(SentencePiece, RefusesOtherAlgorithmsAndNormalizers) {
  SentencePieceModel model = SentencePieceModel::parse(model_bytes("bpe"), "bpe.model");
  model.algorithm = static_cast<SentencePieceModel::Algorithm>(3);
  const Error algorithm = error_of([&] { SentencePieceModel::parse(model.serialize(), "x"); });
  EXPECT_EQ(algorithm.status(), MINIMAX_UNSUPPORTED);
  // normalizer_spec { name: "nmt_nfkc" precompiled_charsmap: "abc" }
  const std::string rules =
      "\x1a\x0f\x0a\x08nmt_nfkc\x12\x03"
      "abc";
  const Error normalizer =
      error_of([&] { SentencePieceModel::parse(model_bytes("bpe") + rules, "x"); });
  EXPECT_EQ(normalizer.status(), MINIMAX_UNSUPPORTED);
  EXPECT_NE(normalizer.message().find("nmt_nfkc"), std::string::npos) << normalizer.message();
}

TEST(SentencePiece, SurvivesTruncationAndFlippedBitsWithoutAWord) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "tokenizer.model";
  std::minstd_rand random(5);
  testing::internal::CaptureStderr();
  for (int i = 0; i < 300; ++i) {
    std::string bad = model_bytes(models[static_cast<size_t>(i % 2)]);
    if (i % 3 == 0) bad.resize(random() % bad.size());
    for (int flips = 0; flips < i % 3; ++flips) {
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    }
    folder.write("tokenizer.model", bad);
    try {
      encode(SentencePieceTokenizer(path, ""), "engine and session\xff");
    } catch (const Error& error) {
      EXPECT_NE(error.message().find("tokenizer.model"), std::string::npos) << error.message();
    }
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace minimax
