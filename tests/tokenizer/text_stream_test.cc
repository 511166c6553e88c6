// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/text_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "base/error.h"
#include "tests/tokenizer/fake_tokenizer.h"

namespace minimax {
namespace {

using Strings = std::vector<std::string>;

const FakeTokenizer& byte_tokenizer() {
  static const FakeTokenizer tokenizer;
  return tokenizer;
}

// What a stream shows of tokens that are single bytes.
std::string streamed(std::string_view bytes, const Strings& stops = {}) {
  TextStream stream(byte_tokenizer(), stops);
  std::string out;
  for (const char byte : bytes) out += stream.push(static_cast<unsigned char>(byte)).text;
  return out += stream.flush();
}

void append_utf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
  } else if (code < 0x10000) {
    out += {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
            static_cast<char>(0x80 | (code & 63))};
  } else {
    out += {static_cast<char>(0xf0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 63)),
            static_cast<char>(0x80 | (code >> 6 & 63)), static_cast<char>(0x80 | (code & 63))};
  }
}

std::string utf8(uint32_t code) {
  std::string out;
  append_utf8(code, out);
  return out;
}

const std::vector<std::string>& all_characters() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> made;
    for (uint32_t code = 0; code <= 0x10ffff; ++code) {
      if (code < 0xd800 || code > 0xdfff) made.push_back(utf8(code));
    }
    return made;
  }();
  return all;
}

// Whether some character begins with these bytes; by the list of all of them, sorted as bytes are.
bool begins_a_character(std::string_view bytes) {
  const auto& all = all_characters();  // in order of code points, which is the order of bytes
  const auto at = std::lower_bound(all.begin(), all.end(), bytes);
  return at != all.end() && at->starts_with(bytes);
}

bool is_a_character(std::string_view bytes) {
  return std::binary_search(all_characters().begin(), all_characters().end(), bytes);
}

// Unicode's "maximal subpart" practice, by its definition.
std::string replaced(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    size_t length = 1;
    while (length < bytes.size() && length < 4 && begins_a_character(bytes.substr(0, length + 1))) {
      ++length;
    }
    const bool is_whole = is_a_character(bytes.substr(0, length));
    out += is_whole ? bytes.substr(0, length) : "\ufffd";
    bytes.remove_prefix(length);
  }
  return out;
}

// Up to the first place where a stop string ends; the longest of those that end there.
std::string before_stop(const std::string& text, const Strings& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

TEST(TextStream, GivesWholeCharactersOnly) {
  TextStream stream(byte_tokenizer(), Strings{});
  size_t wrong = 0;
  for (const std::string& character : all_characters()) {
    for (size_t i = 0; i < character.size(); ++i) {
      const auto piece = stream.push(static_cast<unsigned char>(character[i]));
      const bool is_last = i + 1 == character.size();
      wrong += piece.text != (is_last ? std::string_view(character) : std::string_view());
    }
  }
  EXPECT_EQ(wrong, 0u);
}

TEST(TextStream, ReplacesEveryPairAndTripleOfBytesAsPythonDoes) {
  size_t wrong = 0;
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string pair = {static_cast<char>(a), static_cast<char>(b)};
      wrong += streamed(pair) != replaced(pair);
      for (const int c : {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc3, 0xe2, 0xf0, 0xff}) {
        const std::string triple = pair + static_cast<char>(c);
        wrong += streamed(triple) != replaced(triple);
      }
    }
  }
  EXPECT_EQ(wrong, 0u);
}

TEST(TextStream, ReplacesKnownFaults) {
  // From section 3.9 of the Unicode standard: four examples of maximal subparts.
  EXPECT_EQ(streamed("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                     "A"),
            "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"
            "A");
  EXPECT_EQ(streamed("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                     "A"),
            "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"
            "A");
  EXPECT_EQ(streamed("\xF4\x91\x92\x93\xFF"
                     "A\x80\xBF"
                     "B"),
            "\ufffd\ufffd\ufffd\ufffd\ufffd"
            "A\ufffd\ufffd"
            "B");
  EXPECT_EQ(streamed("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                     "A"),
            "\ufffd\ufffd\ufffd\ufffd"
            "A");
}

TEST(TextStream, ReplacesAnUnfinishedCharacterAtTheEndOnce) {
  EXPECT_EQ(streamed("a\xf0\x9f\x98"), "a\ufffd");
  EXPECT_EQ(streamed("\xe2"), "\ufffd");
}

TEST(TextStream, HoldsBackWhatMayBecomeAStopString) {
  TextStream stream(byte_tokenizer(), Strings{"aab"});
  EXPECT_EQ(stream.push('a').text, "");
  EXPECT_EQ(stream.push('a').text, "");
  EXPECT_EQ(stream.push('a').text, "a");  // "aaab" holds "aab" from its second letter on
  const auto last = stream.push('b');
  EXPECT_EQ(last.text, "");
  EXPECT_TRUE(last.stopped);
}

TEST(TextStream, GivesNothingAfterAStop) {
  TextStream stream(byte_tokenizer(), Strings{"x"});
  EXPECT_EQ(stream.push('a').text, "a");
  EXPECT_TRUE(stream.push('x').stopped);
  const auto later = stream.push('b');
  EXPECT_EQ(later.text, "");
  EXPECT_TRUE(later.stopped);
  EXPECT_EQ(stream.flush(), "");
}

TEST(TextStream, IsAsNewAfterFlush) {
  TextStream stream(byte_tokenizer(), Strings{"stop"});
  for (const char c : std::string("a stop b\xe2")) stream.push(static_cast<unsigned char>(c));
  stream.flush();
  std::string out;
  for (const char c : std::string("b sto")) out += stream.push(static_cast<unsigned char>(c)).text;
  EXPECT_EQ(out, "b ");
  EXPECT_EQ(stream.flush(), "sto");
  EXPECT_EQ(stream.push('p').text, "p");
}

TEST(TextStream, LeavesSpecialTokensOut) {
  const FakeTokenizer& tokenizer = byte_tokenizer();
  const int32_t marker = *tokenizer.find_token("<end_of_sentence>");
  TextStream stream(tokenizer, Strings{"<end"});
  EXPECT_EQ(stream.push(marker).text, "");
  EXPECT_FALSE(stream.push(marker).stopped);
  EXPECT_EQ(stream.push(0xe2).text, "");
  EXPECT_EQ(stream.push(marker).text, "");
  EXPECT_EQ(stream.push(0x82).text, "");
  EXPECT_EQ(stream.push(0xac).text, "€");
  EXPECT_EQ(stream.push(tokenizer.vocabulary_size()).text, "");
  EXPECT_EQ(stream.push(-1).text, "");
}

TEST(TextStream, FindsStopStringsInWhatItShows) {
  EXPECT_EQ(streamed("ab\xff"
                     "cd",
                     {"\ufffd"
                      "c"}),
            "ab");
  EXPECT_EQ(streamed("ab\xe2", {"\ufffd"}), "ab");  // known at flush only
}

TEST(TextStream, PrefersTheStopStringThatIsCompleteFirst) {
  EXPECT_EQ(streamed("abcd", {"abcd", "bc"}), "a");
  EXPECT_EQ(streamed("abcd", {"bcd", "cd", "d"}), "a");
}

TEST(TextStream, RefusesStopStringsThatAreNone) {
  const auto sentence_of = [](const Strings& stops) -> std::string {
    try {
      TextStream stream(byte_tokenizer(), stops);
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), MINIMAX_INVALID_ARGUMENT);
      return error.message();
    }
    return "no error";
  };
  EXPECT_EQ(sentence_of(Strings(64, "a")), "no error");
  EXPECT_EQ(sentence_of(Strings(65, "a")), "65 stop strings, at most 64");
  EXPECT_EQ(sentence_of({"a", ""}), "stop_strings[1] is empty");
  EXPECT_EQ(sentence_of({"a", "b", "\xe2\x82"}), "stop_strings[2] is not UTF-8");
  EXPECT_EQ(sentence_of({std::string((1 << 20) + 1, 'a')}),
            "stop strings of more than 1048576 bytes");
}

// Random text of few letters, so that strings repeat and overlap, with some bytes that are no text.
std::string random_bytes(std::mt19937& random, size_t length_limit) {
  static const Strings letters = {"a", "b", "ab", "ba", "é", "€", "😀", "\xc3", "\xe2\x82", "\xff"};
  std::string out;
  for (size_t i = random() % length_limit; i > 0; --i) {
    const size_t kind = random() % 20;
    out += letters[kind < 16 ? kind % 4 : random() % letters.size()];
  }
  return out;
}

Strings random_stops(std::mt19937& random) {
  Strings stops;
  for (size_t i = random() % 6; i > 0; --i) {
    const std::string stop = replaced(random_bytes(random, 7));
    if (!stop.empty()) stops.push_back(stop);
  }
  return stops;
}

// A tokenizer whose pieces are the text, cut at random.
std::unique_ptr<FakeTokenizer> cut(std::mt19937& random, const std::string& bytes) {
  Strings pieces;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = std::min(bytes.size() - at, size_t{1} + random() % 5);
    pieces.push_back(bytes.substr(at, length));
    at += length;
  }
  return std::make_unique<FakeTokenizer>(std::move(pieces));
}

TEST(TextStream, AgreesWithSearchingTheWholeText) {
  const uint32_t seed = 20240817;
  std::mt19937 random(seed);
  size_t stopped_count = 0;
  for (int round = 0; round < 20000; ++round) {
    const std::string bytes = random_bytes(random, 40);
    const Strings stops = random_stops(random);
    const auto tokenizer = cut(random, bytes);
    const int32_t piece_count = tokenizer->vocabulary_size() - 5 - 256;
    TextStream stream(*tokenizer, stops);
    std::string shown;
    const std::string expected = before_stop(replaced(bytes), stops);
    for (int32_t piece = 0; piece < piece_count; ++piece) {
      const auto [text, stopped] = stream.push(256 + piece);
      ASSERT_EQ(replaced(text), text) << "seed " << seed << " round " << round;
      shown += text;
      ASSERT_TRUE(expected.starts_with(shown)) << "seed " << seed << " round " << round;
      stopped_count += stopped;
    }
    shown += stream.flush();
    ASSERT_EQ(shown, expected) << "seed " << seed << " round " << round;
  }
  EXPECT_GT(stopped_count, 1000u);
}

// Holds back no more than it must: all but an unfinished character and the longest suffix that
// begins a stop string.
TEST(TextStream, ShowsAllThatCanBeShown) {
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    const std::string text = replaced(random_bytes(random, 30));
    const Strings stops = random_stops(random);
    TextStream stream(byte_tokenizer(), stops);
    std::string shown;
    bool stopped = false;
    for (const char byte : text) {
      const auto piece = stream.push(static_cast<unsigned char>(byte));
      shown += piece.text;
      stopped = piece.stopped;
    }
    if (stopped) continue;
    size_t held = 0;
    for (const std::string& stop : stops) {
      for (size_t length = 1; length < stop.size(); ++length) {
        if (text.ends_with(stop.substr(0, length))) held = std::max(held, length);
      }
    }
    ASSERT_EQ(shown, text.substr(0, text.size() - held)) << "round " << round;
  }
}

TEST(TextStream, TakesTimeLinearInTheText) {
  // All that a careless matcher rescans: long stop strings that nearly match, everywhere.
  Strings stops;
  for (int i = 0; i < 64; ++i) stops.push_back(std::string(10000 + i, 'a') + "b");
  TextStream stream(byte_tokenizer(), stops);
  const auto start = std::chrono::steady_clock::now();
  size_t shown = 0;
  for (int i = 0; i < 1000000; ++i) shown += stream.push('a').text.size();
  shown += stream.flush().size();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(shown, 1000000u);
  EXPECT_LT(taken.count(), 20);
}

}  // namespace
}  // namespace minimax
