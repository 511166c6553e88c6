// SPDX-License-Identifier: Apache-2.0
// Tokens that are found by their name in a text, before it is cut into words.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"

namespace minimax {

struct AddedToken {
  int32_t id = 0;
  std::string name;
  bool special = false;     // left out when ids become text
  bool lstrip = false;      // takes the white space before it along
  bool rstrip = false;      // takes the white space after it along
  bool normalized = false;  // looked for only where the others leave text

  // An element of a tokenizer.json's added_tokens, or a member of a tokenizer_config.json's
  // added_tokens_decoder (where the id is the member's name). MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED.
  static AddedToken from_json(const JsonObject& json, int32_t id);
};

// Finds names in texts: at the first place where one begins, the longest that begins there.
// Immutable; any thread.
class AddedTokenMatcher {
 public:
  static constexpr size_t name_limit_bytes = 1024;

  AddedTokenMatcher() = default;
  // MINIMAX_BAD_FILE, beginning with `source`, when a name is empty, too long or there twice.
  AddedTokenMatcher(std::vector<AddedToken> tokens, std::string_view source);

  struct Match {
    size_t start, stop;  // with the white space the token takes along
    int32_t id;
  };
  // The first match in text[from, end).
  std::optional<Match> find(std::string_view text, size_t from) const;
  bool empty() const { return tokens_.empty(); }

 private:
  static constexpr uint32_t root = 0;
  static constexpr int32_t no_token = -1;
  uint32_t child(uint32_t node, char byte) const;
  const AddedToken* longest_at(std::string_view text, size_t at, size_t& stop) const;
  size_t next_candidate(std::string_view text, size_t from) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<uint64_t, uint32_t> edges_;  // node << 8 | byte: the node below
  std::vector<int32_t> token_at_;                 // by node: index into tokens_, or no_token
  std::array<bool, 256> begins_{};                // bytes that begin a name
  std::optional<char> only_first_byte_;           // when all names begin with the same
};

}  // namespace minimax
