// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "tokenizer/unicode_classes.h"
#include "tokenizer/utf8.h"

namespace minimax {
namespace {

bool is_space(const CodePoint& point) {
  if (point.value == not_a_character) return false;
  const CharacterClass character_class = UnicodeClasses::get()[point.value];
  return character_class == CharacterClass::space || character_class == CharacterClass::newline;
}

size_t skip_space(std::string_view text, size_t at) {
  const char* const end = text.data() + text.size();
  while (at < text.size()) {
    const CodePoint point = decode_utf8(text.data() + at, end);
    if (!is_space(point)) break;
    at += point.size;
  }
  return at;
}

// Where the white space that ends at `at` begins, not before `from`.
size_t skip_space_back(std::string_view text, size_t from, size_t at) {
  while (at > from) {
    size_t start = at - 1;
    while (start > from && at - start < 4 && (text[start] & 0xc0) == 0x80) --start;
    const CodePoint point = decode_utf8(text.data() + start, text.data() + at);
    if (point.size != at - start || !is_space(point)) break;
    at = start;
  }
  return at;
}

}  // namespace

AddedToken AddedToken::from_json(const JsonObject& json, int32_t id) {
  AddedToken token;
  token.id = id;
  token.name = json.string("content");
  token.special = json.boolean_or("special", false);
  token.lstrip = json.boolean_or("lstrip", false);
  token.rstrip = json.boolean_or("rstrip", false);
  token.normalized = json.boolean_or("normalized", false);
  if (json.boolean_or("single_word", false)) {
    fail(MINIMAX_UNSUPPORTED, json.source(), ": single_word is true, only false is known");
  }
  return token;
}

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens, std::string_view source)
    : tokens_(std::move(tokens)), token_at_(1, no_token) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& name = tokens_[i].name;
    require_file(!name.empty() && name.size() <= name_limit_bytes, source, ": the name of token ",
                 tokens_[i].id, " has ", name.size(), " bytes, expected 1 to ", name_limit_bytes);
    uint32_t node = root;
    for (const char byte : name) {
      const uint64_t edge = uint64_t{node} << 8 | static_cast<uint8_t>(byte);
      const auto [at, is_new] = edges_.try_emplace(edge, static_cast<uint32_t>(token_at_.size()));
      if (is_new) token_at_.push_back(no_token);
      node = at->second;
    }
    require_file(token_at_[node] == no_token, source, ": ", quoted(Json(name)), " is there twice");
    token_at_[node] = static_cast<int32_t>(i);
    begins_[static_cast<uint8_t>(name[0])] = true;
  }
  if (std::count(begins_.begin(), begins_.end(), true) == 1) only_first_byte_ = tokens_[0].name[0];
}

inline uint32_t AddedTokenMatcher::child(uint32_t node, char byte) const {
  const auto at = edges_.find(uint64_t{node} << 8 | static_cast<uint8_t>(byte));
  return at == edges_.end() ? root : at->second;
}

const AddedToken* AddedTokenMatcher::longest_at(std::string_view text, size_t at,
                                                size_t& stop) const {
  const AddedToken* found = nullptr;
  uint32_t node = root;
  while (at < text.size()) {
    node = child(node, text[at++]);
    if (node == root) break;
    if (token_at_[node] == no_token) continue;
    found = &tokens_[static_cast<size_t>(token_at_[node])];
    stop = at;
  }
  return found;
}

size_t AddedTokenMatcher::next_candidate(std::string_view text, size_t from) const {
  if (only_first_byte_) return std::min(text.find(*only_first_byte_, from), text.size());
  while (from < text.size() && !begins_[static_cast<uint8_t>(text[from])]) ++from;
  return from;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                size_t from) const {
  if (empty()) return std::nullopt;
  for (size_t at = next_candidate(text, from); at < text.size();
       at = next_candidate(text, at + 1)) {
    size_t stop = at;
    const AddedToken* token = longest_at(text, at, stop);
    if (!token) continue;
    const size_t start = token->lstrip ? skip_space_back(text, from, at) : at;
    return Match{start, token->rstrip ? skip_space(text, stop) : stop, token->id};
  }
  return std::nullopt;
}

}  // namespace minimax
