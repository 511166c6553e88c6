// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/token_trie.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace minimax {
namespace {

// Orders strings of up to 8 bytes, and longer ones but for what follows.
uint64_t leading_bytes(std::string_view string) {
  uint64_t key = 0;
  for (size_t i = 0; i < 8; ++i) {
    key = key << 8 | (i < string.size() ? static_cast<uint8_t>(string[i]) : 0);
  }
  return key;
}

std::vector<uint32_t> sorted(const StringList& tokens, const std::vector<bool>& included) {
  std::vector<std::pair<uint64_t, uint32_t>> keys;
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    if (included[i]) keys.emplace_back(leading_bytes(tokens[i]), i);
  }
  std::sort(keys.begin(), keys.end(), [&](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : tokens[a.second] < tokens[b.second];
  });
  std::vector<uint32_t> order;
  order.reserve(keys.size());
  for (const auto& [key, token] : keys) order.push_back(token);
  return order;
}

}  // namespace

// The tokens below a node: order[start, stop), which agree in their first `depth` bytes.
struct TokenTrie::Range {
  size_t node, start, stop, depth;
  uint32_t longest;  // token on the way to the node
};

TokenTrie::TokenTrie(const StringList& tokens, const std::vector<bool>& included)
    : shorter_(tokens.size(), none) {
  const std::vector<uint32_t> order = sorted(tokens, included);
  nodes_.emplace_back();
  labels_.push_back(0);
  std::vector<Range> open = {{0, 0, order.size(), 0, none}};
  while (!open.empty()) {
    const Range range = open.back();
    open.pop_back();
    add_children(tokens, order, range, open);
  }
  assert(nodes_[0].child_count == 256);
}

void TokenTrie::add_children(const StringList& tokens, const std::vector<uint32_t>& order,
                             const Range& range, std::vector<Range>& open) {
  uint32_t longest = range.longest;
  size_t start = range.start;
  if (tokens[order[start]].size() == range.depth) {
    const uint32_t token = order[start++];
    shorter_[token] = longest;
    longest = nodes_[range.node].token = token;
  }
  const size_t first_child = nodes_.size();
  while (start < range.stop) {
    const char label = tokens[order[start]][range.depth];
    size_t stop = start + 1;
    while (stop < range.stop && tokens[order[stop]][range.depth] == label) ++stop;
    open.push_back({nodes_.size(), start, stop, range.depth + 1, longest});
    nodes_.emplace_back();
    labels_.push_back(static_cast<uint8_t>(label));
    start = stop;
  }
  Node& node = nodes_[range.node];
  node.first_child = static_cast<uint32_t>(first_child);
  node.child_count = static_cast<uint16_t>(nodes_.size() - first_child);
  if (node.child_count > 0) node.first_label = labels_[first_child];
}

inline const TokenTrie::Node* TokenTrie::child(const Node& node, char byte) const {
  const auto label = static_cast<uint8_t>(byte);
  if (node.child_count <= 1) {
    const bool fits = node.child_count == 1 && node.first_label == label;
    return fits ? &nodes_[node.first_child] : nullptr;
  }
  const uint8_t* const labels = labels_.data() + node.first_child;
  // Where all continuation bytes of a script are there, the place needs no search.
  const size_t guess = static_cast<uint8_t>(label - node.first_label);
  if (guess < node.child_count && labels[guess] == label) return &nodes_[node.first_child + guess];
  const void* const at = std::memchr(labels, label, node.child_count);
  if (!at) return nullptr;
  return &nodes_[node.first_child + static_cast<size_t>(static_cast<const uint8_t*>(at) - labels)];
}

TokenTrie::Match TokenTrie::longest(std::string_view text) const {
  // The root has a child for every byte, and each of them is a token.
  const Node* node = &nodes_[nodes_[0].first_child + static_cast<uint8_t>(text[0])];
  Match found = {node->token, 1};
  for (size_t i = 1; i < text.size(); ++i) {
    node = child(*node, text[i]);
    if (!node) break;
    if (node->token != none) found = {node->token, i + 1};
  }
  return found;
}

}  // namespace minimax
