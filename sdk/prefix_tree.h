// SPDX-License-Identifier: Apache-2.0
// A radix tree over texts: what begins alike is kept once, and each place may carry a value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace minimax {

// One token of a text, or one row of a picture: see prefix_key().
using PrefixSymbol = uint64_t;
using PrefixKey = std::vector<PrefixSymbol>;

// Value is default-constructible and knows is_empty(). Nodes stay where they are while they are needed: by
// a value, or because texts part there. One thread at a time.
template <typename Value>
class PrefixTree {
 public:
  struct Node {
    Node* parent = nullptr;                                  // none of the root
    PrefixKey edge;                                          // from the parent to here
    int64_t length = 0;                                      // of the text that ends here
    std::map<PrefixSymbol, std::unique_ptr<Node>> children;  // by the first symbol of their edges
    Value value{};
  };
  struct Match {
    Node* node;      // the deepest whose text the key begins with
    Node* next;      // its child within whose edge the match ends; nullptr: it ends at the node
    int64_t length;  // symbols that match
  };

  Node& root() { return root_; }
  // Symbols of all edges.
  int64_t symbol_count() const { return symbol_count_; }

  Match find(std::span<const PrefixSymbol> key) {
    Node* node = &root_;
    while (true) {
      const auto rest = key.subspan(static_cast<size_t>(node->length));
      if (rest.empty()) return {node, nullptr, node->length};
      const auto child = node->children.find(rest.front());
      if (child == node->children.end()) return {node, nullptr, node->length};
      const PrefixKey& edge = child->second->edge;
      const auto differs = std::mismatch(edge.begin(), edge.end(), rest.begin(), rest.end());
      if (differs.first != edge.end()) {
        return {node, child->second.get(), node->length + (differs.first - edge.begin())};
      }
      node = child->second.get();
    }
  }

  // The node at the end of a key, made if there is none. All or nothing: std::bad_alloc.
  Node& insert(std::span<const PrefixSymbol> key) {
    const Match match = find(key);
    const auto rest = key.subspan(static_cast<size_t>(match.length));
    if (!match.next && rest.empty()) return *match.node;
    std::unique_ptr<Node> leaf;
    if (!rest.empty()) {
      leaf = std::make_unique<Node>();
      leaf->edge.assign(rest.begin(), rest.end());
      leaf->length = match.length + static_cast<int64_t>(rest.size());
    }
    Node* const at = match.next ? split(match, leaf.get()) : match.node;
    if (!leaf) return *at;
    Node& made = *leaf;
    made.parent = at;
    at->children[made.edge.front()] = std::move(leaf);  // after a split the place is there already
    symbol_count_ += static_cast<int64_t>(made.edge.size());
    return made;
  }

  // Takes out a node that has lost its value, and those above that were there for its sake.
  void prune(Node& node) noexcept {
    for (Node* at = &node; at->parent && at->value.is_empty();) {
      if (at->children.size() == 1) return join_with_child(*at);
      if (!at->children.empty()) return;
      Node* const parent = at->parent;
      symbol_count_ -= static_cast<int64_t>(at->edge.size());
      parent->children.erase(at->edge.front());
      at = parent;
    }
  }

 private:
  // A node where the match ends, with a place for the leaf that will hang there.
  Node* split(const Match& match, const Node* leaf) {
    const auto kept = static_cast<std::ptrdiff_t>(match.length - match.node->length);
    auto middle = std::make_unique<Node>();
    middle->parent = match.node;
    middle->length = match.length;
    middle->edge.assign(match.next->edge.begin(), match.next->edge.begin() + kept);
    PrefixKey tail(match.next->edge.begin() + kept, match.next->edge.end());
    std::unique_ptr<Node>& below = middle->children[tail.front()];
    if (leaf) middle->children[leaf->edge.front()];
    std::unique_ptr<Node>& place = match.node->children.find(middle->edge.front())->second;
    below = std::move(place);
    below->edge = std::move(tail);
    below->parent = middle.get();
    place = std::move(middle);
    return place.get();
  }

  // The child takes the node's place. Without memory for its longer edge everything stays, which does no
  // harm.
  static void join_with_child(Node& node) noexcept {
    std::unique_ptr<Node>& only = node.children.begin()->second;
    PrefixKey edge;
    try {
      edge.reserve(node.edge.size() + only->edge.size());
    } catch (const std::bad_alloc&) {
      return;
    }
    edge.insert(edge.end(), node.edge.begin(), node.edge.end());
    edge.insert(edge.end(), only->edge.begin(), only->edge.end());
    std::unique_ptr<Node>& place = node.parent->children.find(node.edge.front())->second;
    std::unique_ptr<Node> child = std::move(only);
    child->edge = std::move(edge);
    child->parent = node.parent;
    place = std::move(child);  // the node ends here
  }

  Node root_;
  int64_t symbol_count_ = 0;
};

}  // namespace minimax
