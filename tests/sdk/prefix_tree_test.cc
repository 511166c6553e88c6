// SPDX-License-Identifier: Apache-2.0
// The tree by itself, against a plain list of texts.
#include "sdk/prefix_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace minimax {
namespace {

struct Number {
  int value = 0;
  bool is_empty() const { return value == 0; }
};
using Tree = PrefixTree<Number>;

// What every tree must be, node by node; how many nodes have a value.
int check(const Tree::Node& node, int64_t& symbol_count) {
  int count = node.value.is_empty() ? 0 : 1;
  symbol_count += static_cast<int64_t>(node.edge.size());
  if (node.parent) {
    EXPECT_FALSE(node.edge.empty());
    EXPECT_EQ(node.length, node.parent->length + static_cast<int64_t>(node.edge.size()));
    EXPECT_TRUE(!node.value.is_empty() || node.children.size() >= 2) << "nobody needs this node";
  }
  for (const auto& [symbol, child] : node.children) {
    EXPECT_EQ(child->edge.front(), symbol);
    EXPECT_EQ(child->parent, &node);
    count += check(*child, symbol_count);
  }
  return count;
}

int check(Tree& tree) {
  int64_t symbol_count = 0;
  const int count = check(tree.root(), symbol_count);
  EXPECT_EQ(symbol_count, tree.symbol_count());
  return count;
}

TEST(PrefixTree, IsEmptyAtFirst) {
  Tree tree;
  const PrefixKey key{1, 2};
  const Tree::Match match = tree.find(key);
  EXPECT_EQ(match.node, &tree.root());
  EXPECT_EQ(match.next, nullptr);
  EXPECT_EQ(match.length, 0);
  EXPECT_EQ(&tree.insert({}), &tree.root());
}

TEST(PrefixTree, SplitsAnEdgeWhereTextsPart) {
  Tree tree;
  Tree::Node& first = tree.insert(PrefixKey{1, 2, 3, 4});
  first.value.value = 1;
  const PrefixKey other{1, 2, 9};
  Tree::Match match = tree.find(other);
  EXPECT_EQ(match.node, &tree.root());
  EXPECT_EQ(match.next, &first);
  EXPECT_EQ(match.length, 2);
  Tree::Node& second = tree.insert(other);
  second.value.value = 2;
  EXPECT_EQ(first.parent, second.parent);
  EXPECT_EQ(first.parent->length, 2);
  EXPECT_EQ(tree.symbol_count(), 5);
  EXPECT_EQ(check(tree), 2);
}

TEST(PrefixTree, EndsWithinAnEdge) {
  Tree tree;
  Tree::Node& longer = tree.insert(PrefixKey{1, 2, 3, 4});
  longer.value.value = 1;
  Tree::Node& shorter = tree.insert(PrefixKey{1, 2, 3});
  shorter.value.value = 2;
  EXPECT_EQ(longer.parent, &shorter);
  EXPECT_EQ(tree.find(PrefixKey{1, 2, 3}).node, &shorter);
  EXPECT_EQ(tree.find(PrefixKey{1, 2, 3, 4, 5}).node, &longer);
  EXPECT_EQ(check(tree), 2);
}

TEST(PrefixTree, JoinsWhatNobodyNeedsApart) {
  Tree tree;
  Tree::Node& left = tree.insert(PrefixKey{1, 2, 3});
  left.value.value = 1;
  Tree::Node& right = tree.insert(PrefixKey{1, 2, 4});
  right.value.value = 2;
  right.value.value = 0;
  tree.prune(right);
  EXPECT_EQ(tree.find(PrefixKey{1, 2, 3}).node,
            &left);  // the fork is kept only while texts part there
  left.value.value = 0;
  tree.prune(left);
  EXPECT_TRUE(tree.root().children.empty());
  EXPECT_EQ(tree.symbol_count(), 0);
}

// Texts over three symbols, so that they begin alike, come and go.
TEST(PrefixTree, IsWhatAListOfTextsIs) {
  std::mt19937 random(5);
  Tree tree;
  std::map<PrefixKey, Tree::Node*> texts;
  for (int round = 1; round <= 4000; ++round) {
    PrefixKey key(random() % 9);
    for (PrefixSymbol& symbol : key) symbol = random() % 3;
    const Tree::Match match = tree.find(key);
    int64_t longest = 0;
    for (const auto& [text, node] : texts) {
      const auto parts = std::mismatch(text.begin(), text.end(), key.begin(), key.end());
      longest = std::max<int64_t>(longest, parts.first - text.begin());
    }
    ASSERT_EQ(match.length, longest);
    if (random() % 2 == 0 && !key.empty()) {
      Tree::Node& node = tree.insert(key);
      node.value.value = round;
      ASSERT_EQ(node.length, static_cast<int64_t>(key.size()));
      texts[key] = &node;
    } else if (!texts.empty()) {
      const auto gone =
          std::next(texts.begin(), static_cast<std::ptrdiff_t>(random() % texts.size()));
      gone->second->value.value = 0;
      tree.prune(*gone->second);
      texts.erase(gone);
    }
    for (const auto& [text, node] : texts) ASSERT_EQ(tree.find(text).node, node);
    if (round % 50 != 0) continue;
    ASSERT_EQ(check(tree), static_cast<int>(texts.size()));
  }
}

}  // namespace
}  // namespace minimax
