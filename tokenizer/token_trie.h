// SPDX-License-Identifier: Apache-2.0
// Finds the tokens that a text begins with, the longest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/large_pages.h"
#include "tokenizer/string_list.h"

namespace minimax {

// Immutable; any thread.
class TokenTrie {
 public:
  static constexpr uint32_t none = 0xffffffffu;

  TokenTrie() = default;
  // Of tokens[i] for every i with included[i]: all different, none empty, and every single byte among
  // them.
  TokenTrie(const StringList& tokens, const std::vector<bool>& included);

  struct Match {
    uint32_t token;
    size_t size_bytes;
  };
  // The longest token at the start of a text that is not empty.
  Match longest(std::string_view text) const;
  // The next shorter token at the start of every text that begins with this one; none after a byte.
  uint32_t next_shorter(uint32_t token) const { return shorter_[token]; }

 private:
  struct Node {
    uint32_t first_child = 0;
    uint32_t token = none;
    uint16_t child_count = 0;
    uint8_t first_label = 0;  // saves a look at labels_ where there is one child: nearly everywhere
  };
  struct Range;
  void add_children(const StringList& tokens, const std::vector<uint32_t>& order,
                    const Range& range, std::vector<Range>& open);
  const Node* child(const Node& node, char byte) const;

  // Children of a node lie together, by label; what is below them follows, so that a long word's nodes
  // are neighbours.
  LargeVector<Node> nodes_;
  std::vector<uint8_t> labels_;  // by node: the byte that leads to it
  std::vector<uint32_t> shorter_;
};

}  // namespace minimax
