// SPDX-License-Identifier: Apache-2.0
// A tokenizer small enough to see through: bytes, some merged pieces, some markers.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace minimax {

// Ids 0 to 255 are the bytes; then come the pieces, of which encode takes the longest that fits, so
// that where a text is cut shows in the ids; then the markers. One id more is undefined.
class FakeTokenizer : public Tokenizer {
 public:
  FakeTokenizer(std::vector<std::string> pieces, std::vector<std::string> markers) {
    for (int byte = 0; byte < 256; ++byte)
      bytes_.push_back(std::string(1, static_cast<char>(byte)));
    for (std::string& piece : pieces) bytes_.push_back(std::move(piece));
    first_marker_ = static_cast<int32_t>(bytes_.size());
    for (std::string& marker : markers) bytes_.push_back(std::move(marker));
  }
  explicit FakeTokenizer(std::vector<std::string> pieces = {"\n\n", "\nHe", "lo", "user"})
      : FakeTokenizer(std::move(pieces), {"<begin_of_document>", "<beginning_of_sentence>",
                                          "<end_of_sentence>", "<image>", "<function_call>"}) {}

  void encode(std::string_view text, SpecialTokens specials,
              std::vector<int32_t>& ids) const override {
    while (!text.empty()) {
      const int32_t id = longest(text, specials == SpecialTokens::match);
      ids.push_back(id);
      text.remove_prefix(token_bytes(id).size());
    }
  }
  std::string_view token_bytes(int32_t id) const override {
    if (id < 0 || static_cast<size_t>(id) >= bytes_.size()) return {};
    return bytes_[static_cast<size_t>(id)];
  }
  TokenKind token_kind(int32_t id) const override {
    if (id < 0 || static_cast<size_t>(id) >= bytes_.size()) return TokenKind::undefined;
    return id >= first_marker_ ? TokenKind::special : TokenKind::text;
  }
  int32_t vocabulary_size() const override { return static_cast<int32_t>(bytes_.size()); }
  std::optional<int32_t> find_token(std::string_view name) const override {
    for (int32_t id = first_marker_; id < vocabulary_size(); ++id) {
      if (token_bytes(id) == name) return id;
    }
    return std::nullopt;
  }

 private:
  int32_t longest(std::string_view text, bool with_markers) const {
    int32_t best = static_cast<unsigned char>(text[0]);
    const int32_t end = with_markers ? vocabulary_size() : first_marker_;
    for (int32_t id = 256; id < end; ++id) {
      const bool is_longer = token_bytes(id).size() > token_bytes(best).size();
      if (is_longer && text.starts_with(token_bytes(id))) best = id;
    }
    return best;
  }

  std::vector<std::string> bytes_;
  int32_t first_marker_ = 0;
};

}  // namespace minimax
