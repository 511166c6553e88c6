// SPDX-License-Identifier: Apache-2.0
// The hand-written scanner against PCRE2 under the same pattern.
#include "tokenizer/word_scanner.h"

#include <gtest/gtest.h>

#include "base/file_map.h"
#include "tokenizer/pattern_splitter.h"
#include "tokenizer/utf8.h"
#include "tokenizer_files.h"

namespace minimax {
namespace {

const PatternSplitter& twin() {
  static const PatternSplitter splitter(WordScanner::pattern, "twin");
  return splitter;
}

std::vector<size_t> scan(std::string_view text) {
  std::vector<size_t> ends;
  WordScanner().split(text, ends);
  return ends;
}

std::vector<size_t> match(std::string_view text) {
  std::vector<size_t> ends;
  twin().split(text, ends);
  return ends;
}

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> out;
  size_t start = 0;
  for (const size_t end : scan(text)) {
    out.emplace_back(text.substr(start, end - start));
    start = end;
  }
  return out;
}

std::string utf8(uint32_t point) {
  if (point < 0x80) return {static_cast<char>(point)};
  std::string out;
  const int tail = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  const uint32_t lead = tail == 1 ? 0xc0 : tail == 2 ? 0xe0 : 0xf0;
  out += static_cast<char>(lead | point >> (6 * tail));
  for (int i = tail - 1; i >= 0; --i) out += static_cast<char>(0x80 | (point >> (6 * i) & 0x3f));
  return out;
}

// Code points that the installed PCRE2's Unicode version does not define yet.
const std::vector<bool>& unknown_to_pcre2() {
  static const std::vector<bool> unknown = [] {
    const PatternSplitter unassigned(R"(\p{Cn})", "unassigned");
    std::vector<bool> out(0x110000);
    for (uint32_t point = 0x80; point < out.size(); ++point) {
      if (point >= 0xd800 && point < 0xe000) continue;
      std::vector<size_t> ends;
      const std::string character = utf8(point);
      unassigned.split("a" + character + "a", ends);
      out[point] = ends.size() == 3;
    }
    return out;
  }();
  return unknown;
}

std::string without_unknown(std::string_view text) {
  std::string out;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const CodePoint point = decode_utf8(at, end);
    const bool is_unknown = point.value != not_a_character && unknown_to_pcre2()[point.value];
    if (!is_unknown) out.append(at, point.size);
    at += point.size;
  }
  return out;
}

TEST(WordScanner, CutsAsThePatternIsDescribed) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(pieces("Hello world"), Pieces({"Hello", " world"}));
  EXPECT_EQ(pieces("helloWorld"), Pieces({"hello", "World"}));
  EXPECT_EQ(pieces("HTMLParser"), Pieces({"HTMLParser"}));
  EXPECT_EQ(pieces("don't I'LL"), Pieces({"don't", " I'LL"}));
  EXPECT_EQ(pieces("'sx (a"), Pieces({"'sx", " (", "a"}));
  EXPECT_EQ(pieces("1234567"), Pieces({"123", "456", "7"}));
  EXPECT_EQ(pieces("x  y \n z "), Pieces({"x", " ", " y", " \n", " z", " "}));
  EXPECT_EQ(pieces("a();\n//b"), Pieces({"a", "();\n//", "b"}));
  EXPECT_EQ(pieces("中A"), Pieces({"中", "A"}));
  EXPECT_EQ(pieces(""), Pieces());
}

TEST(WordScanner, AgreesWithPcre2OnTheClassOfEveryCharacterItKnows) {
  // The pattern's own words, so that a wrong class cannot hide.
  const PatternSplitter classes(
      R"([\p{Lu}\p{Lt}]A|\p{Ll}B|[\p{Lm}\p{Lo}]C|\p{M}D|\p{N}E|[\r\n]F|[^\S\r\n]G|[^\s\p{L}\p{M}\p{N}]H)",
      "classes");
  const std::string letters = "HABCDEFG";  // in the order of CharacterClass
  size_t newer_count = 0;
  for (uint32_t point = 0; point < 0x110000; ++point) {
    if (point >= 0xd800 && point < 0xe000) continue;
    if (unknown_to_pcre2()[point]) {
      newer_count += UnicodeClasses::get()[point] != CharacterClass::other;
      continue;
    }
    const size_t index = static_cast<size_t>(UnicodeClasses::get()[point]);
    const std::string text = utf8(point) + letters[index];
    std::vector<size_t> ends;
    classes.split(text, ends);
    ASSERT_EQ(ends, std::vector<size_t>({text.size()})) << "U+" << std::hex << point;
  }
  EXPECT_LT(newer_count, 20000u);
}

TEST(WordScanner, AgreesWithPcre2OnGoldenTexts) {
  auto golden = read_golden(read_text_file(golden_folder / "demo.jsonl", 1 << 24));
  const std::filesystem::path shared =
      std::filesystem::path(MINIMAX_SHARED_DIR) / "golden/tokenizer/minimax-m1.jsonl.gz";
  if (std::filesystem::exists(shared)) {
    for (GoldenText& text : read_golden(read_gzip(shared))) golden.push_back(std::move(text));
  }
  for (const GoldenText& text : golden) {
    const std::string known = without_unknown(text.text);
    EXPECT_EQ(scan(known), match(known)) << known;
  }
}

TEST(WordScanner, AgreesWithPcre2OnRandomUnicode) {
  for (uint32_t seed = 1; seed <= 20000; ++seed) {
    const std::string text = without_unknown(random_unicode(seed, 1 + seed % 40));
    ASSERT_EQ(scan(text), match(text)) << "seed " << seed << ": " << text;
  }
}

TEST(WordScanner, AgreesWithPcre2OnRandomBytes) {
  for (uint32_t seed = 1; seed <= 20000; ++seed) {
    const std::string text = without_unknown(random_bytes(seed, 1 + seed % 60));
    ASSERT_EQ(scan(text), match(text)) << "seed " << seed;
  }
}

// Every text of five symbols, one of each kind and the characters the pattern names.
TEST(WordScanner, AgreesWithPcre2OnAllShortTexts) {
  const std::vector<std::string> symbols = {"a",  "A", "中", "\u0301", "1", "\n", " ",
                                            "\t", ".", "/",  "'",      "s", "L",  "\xff"};
  std::vector<size_t> digits(5);
  for (size_t count = 1; count > 0;) {
    std::string text;
    for (const size_t digit : digits) text += symbols[digit];
    ASSERT_EQ(scan(text), match(text)) << text;
    count = 0;
    for (size_t& digit : digits) {
      ++count;
      if (++digit < symbols.size()) break;
      digit = 0;
      if (count == digits.size()) return;
    }
  }
}

}  // namespace
}  // namespace minimax
