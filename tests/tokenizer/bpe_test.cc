// SPDX-License-Identifier: Apache-2.0
// Merging against a plain twin, and how its work grows.
#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <string>

#include "base/error.h"

namespace minimax {
namespace {

std::array<int32_t, 256> plain_byte_ids() {
  std::array<int32_t, 256> ids{};
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

// Merges over a small alphabet: some of earlier products, so that words of any length grow.
std::vector<Merge> random_merges(uint32_t seed, size_t count) {
  std::minstd_rand random(seed);
  std::vector<int32_t> symbols = {'a', 'b', 'c', 'd'};
  std::map<std::pair<int32_t, int32_t>, bool> seen;
  std::vector<Merge> merges;
  int32_t next = 256;
  while (merges.size() < count) {
    const int32_t left = symbols[random() % symbols.size()];
    const int32_t right = symbols[random() % symbols.size()];
    if (std::exchange(seen[{left, right}], true)) continue;
    merges.push_back({left, right, next});
    symbols.push_back(next++);
  }
  return merges;
}

std::string random_word(uint32_t seed, size_t size) {
  std::minstd_rand random(seed);
  std::string word;
  while (word.size() < size) word += static_cast<char>('a' + (random() >> 4) % 4);
  return word;
}

// The definition, word for word.
std::vector<int32_t> merge_plainly(const std::vector<Merge>& merges, const std::string& word) {
  std::map<std::pair<int32_t, int32_t>, size_t> ranks;
  for (size_t i = 0; i < merges.size(); ++i) ranks[{merges[i].left, merges[i].right}] = i;
  std::vector<int32_t> ids;
  for (const char c : word) ids.push_back(static_cast<uint8_t>(c));
  for (;;) {
    size_t best = ids.size(), best_rank = merges.size();
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto at = ranks.find({ids[i], ids[i + 1]});
      if (at != ranks.end() && at->second < best_rank) best = i, best_rank = at->second;
    }
    if (best == ids.size()) return ids;
    ids[best] = merges[best_rank].product;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, GivesWhatTheDefinitionGives) {
  size_t search_count = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::vector<Merge> merges = random_merges(seed, 3 + seed);
    // A list in no sensible order, with products before their parts, must work as well.
    if (seed % 4 == 0) std::shuffle(merges.begin(), merges.end(), std::minstd_rand(seed));
    const Bpe bpe(plain_byte_ids(), merges, "merges");
    for (const size_t size : {0, 1, 2, 3, 5, 7, 11, 31, 127, 128, 129, 130, 300}) {
      const std::string word = random_word(seed * 1000 + static_cast<uint32_t>(size), size);
      const std::vector<int32_t> expected = merge_plainly(merges, word);
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", size " << size << ", " << word);
      std::vector<int32_t> ids, merged, found, brief;
      bpe.encode(word, ids);
      bpe.encode_by_merging(word, merged);
      ASSERT_EQ(ids, expected);
      ASSERT_EQ(merged, expected);
      if (size <= Bpe::short_limit) {
        bpe.encode_short(word, brief);
        ASSERT_EQ(brief, expected);
      }
      if (bpe.encode_by_search(word, found)) {
        ASSERT_EQ(found, expected);
        ++search_count;
      }
    }
  }
  EXPECT_GT(search_count, 1000u);
}

TEST(Bpe, SearchStepsBackWhereTheLongestTokenIsWrong) {
  // "abc" cannot be "ab" and "c": "bc" is merged first.
  const std::vector<Merge> merges = {{'b', 'c', 256}, {'a', 'b', 257}, {257, 'b', 258}};
  const Bpe bpe(plain_byte_ids(), merges, "merges");
  std::vector<int32_t> ids = {-7};
  ASSERT_TRUE(bpe.encode_by_search("abcabbc", ids));
  EXPECT_EQ(ids, std::vector<int32_t>({-7, 'a', 256, 257, 256}));
}

TEST(Bpe, OneTokenFromSeveralMergesIsNotSearched) {
  const std::vector<Merge> merges = {
      {'a', 'b', 256}, {256, 'c', 257}, {'b', 'c', 258}, {'a', 258, 257}};
  const Bpe bpe(plain_byte_ids(), merges, "merges");
  std::vector<int32_t> ids;
  EXPECT_FALSE(bpe.encode_by_search("abc", ids));
  bpe.encode("abc", ids);
  EXPECT_EQ(ids, std::vector<int32_t>({257}));
}

TEST(Bpe, TakesTheLeftmostOfEqualPairs) {
  const std::vector<Merge> merges = {{'a', 'a', 256}};
  const Bpe bpe(plain_byte_ids(), merges, "merges");
  std::vector<int32_t> ids;
  bpe.encode("aaaaa", ids);
  EXPECT_EQ(ids, std::vector<int32_t>({256, 256, 'a'}));
}

TEST(Bpe, StepsOnLongRunsGrowWithTheirLength) {
  std::vector<Merge> merges;
  for (int32_t i = 0; i < 8; ++i) {
    merges.push_back({i ? 255 + i : 'a', i ? 255 + i : 'a', 256 + i});
  }
  const Bpe bpe(plain_byte_ids(), merges, "merges");
  const std::string small(100'000, 'a'), large(1'000'000, 'a');
  std::vector<int32_t> ids;
  // Ten times the bytes; a queue costs a logarithm more.
  EXPECT_LT(bpe.encode_by_merging(large, ids), 12 * bpe.encode_by_merging(small, ids));
  EXPECT_LT(bpe.encode_by_merging(large, ids), size_t{8'000'000});
  EXPECT_LT(*bpe.encode_by_search(large, ids), 11 * *bpe.encode_by_search(small, ids));
  EXPECT_LT(*bpe.encode_by_search(large, ids), size_t{1'000'000});
}

TEST(Bpe, RefusesAPairThatStandsTwice) {
  const std::vector<Merge> merges = {{'a', 'b', 256}, {'a', 'b', 257}};
  try {
    Bpe(plain_byte_ids(), merges, "x.json: merges");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "x.json: merges[1] stands there a second time");
  }
}

}  // namespace
}  // namespace minimax
