// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/text_stream.h"

#include "base/error.h"

namespace minimax {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD

bool is_utf8(std::string_view bytes) {
  CharacterAssembler characters;
  std::string copy;
  copy.reserve(bytes.size() + CharacterAssembler::longest_output);
  for (const char byte : bytes) characters.feed(static_cast<unsigned char>(byte), copy);
  characters.finish(copy);
  return copy == bytes;
}

}  // namespace

StopMatcher::StopMatcher(std::span<const std::string> strings) : nodes_(1) {
  require(strings.size() <= count_limit, strings.size(), " stop strings, at most ", count_limit);
  size_t byte_count = 0;
  for (size_t i = 0; i < strings.size(); ++i) {
    require(!strings[i].empty(), "stop_strings[", i, "] is empty");
    byte_count += strings[i].size();
    require(strings[i].size() <= bytes_limit && byte_count <= bytes_limit,
            "stop strings of more than ", bytes_limit, " bytes");
    require(is_utf8(strings[i]), "stop_strings[", i, "] is not UTF-8");
  }
  nodes_.reserve(byte_count + 1);
  for (const std::string& string : strings) insert(string);
  link();
}

uint32_t StopMatcher::child(uint32_t node, unsigned char byte) const {
  uint32_t at = nodes_[node].first_child;
  while (at != 0 && nodes_[at].byte != byte) at = nodes_[at].next_sibling;
  return at;
}

// The node of the longest suffix of (node, byte) that is in the trie.
uint32_t StopMatcher::follow(uint32_t node, unsigned char byte) const {
  uint32_t next = child(node, byte);
  while (next == 0 && node != 0) {
    node = nodes_[node].fallback;
    next = child(node, byte);
  }
  return next;
}

void StopMatcher::insert(std::string_view string) {
  uint32_t node = 0;
  for (const char c : string) {
    const unsigned char byte = static_cast<unsigned char>(c);
    uint32_t next = child(node, byte);
    if (next == 0) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({.next_sibling = nodes_[node].first_child,
                        .depth = nodes_[node].depth + 1,
                        .byte = byte});
      nodes_[node].first_child = next;
    }
    node = next;
  }
  nodes_[node].match_length = nodes_[node].depth;
}

// Fallbacks, nearest nodes first: that of a node is reached from its parent's.
void StopMatcher::link() {
  std::vector<uint32_t> queue = {0};
  queue.reserve(nodes_.size());
  for (size_t i = 0; i < queue.size(); ++i) {
    const uint32_t parent = queue[i];
    for (uint32_t at = nodes_[parent].first_child; at != 0; at = nodes_[at].next_sibling) {
      if (parent != 0) nodes_[at].fallback = follow(nodes_[parent].fallback, nodes_[at].byte);
      if (nodes_[at].match_length == 0) {
        nodes_[at].match_length = nodes_[nodes_[at].fallback].match_length;
      }
      queue.push_back(at);
    }
  }
}

size_t StopMatcher::feed(unsigned char byte) {
  state_ = follow(state_, byte);
  return nodes_[state_].match_length;
}

void CharacterAssembler::feed(unsigned char byte, std::string& out) {
  if (pending_count_ == 0) return begin(byte, out);
  if (byte < low_ || byte > high_) {
    finish(out);
    return begin(byte, out);
  }
  pending_[pending_count_++] = static_cast<char>(byte);
  low_ = 0x80;
  high_ = 0xbf;
  if (--missing_count_ > 0) return;
  out.append(pending_.data(), pending_count_);
  pending_count_ = 0;
}

void CharacterAssembler::begin(unsigned char byte, std::string& out) {
  if (byte < 0x80) {
    out += static_cast<char>(byte);
    return;
  }
  if (byte < 0xc2 || byte > 0xf4) {
    out += replacement;
    return;
  }
  pending_[0] = static_cast<char>(byte);
  pending_count_ = 1;
  missing_count_ = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
  // Longer spellings of shorter characters, surrogates, and what lies beyond U+10FFFF.
  low_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
  high_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
}

void CharacterAssembler::finish(std::string& out) {
  if (pending_count_ > 0) out += replacement;
  pending_count_ = 0;
}

TextStream::TextStream(const Tokenizer& tokenizer, std::span<const std::string> stop_strings)
    : tokenizer_(tokenizer), stops_(stop_strings) {
}

TextStream::Piece TextStream::push(int32_t id) {
  if (stopped_) return {{}, true};
  if (tokenizer_.token_kind(id) != TokenKind::text) return {};
  const std::string_view bytes = tokenizer_.token_bytes(id);
  drop_shown();
  text_.reserve(text_.size() + bytes.size() * CharacterAssembler::longest_output);
  const size_t old_size = text_.size();
  for (const char byte : bytes) characters_.feed(static_cast<unsigned char>(byte), text_);
  match(old_size);
  return {show(stopped_ ? text_.size() : text_.size() - stops_.open_bytes()), stopped_};
}

std::string_view TextStream::flush() {
  drop_shown();
  text_.reserve(text_.size() + replacement.size());
  if (!stopped_) {
    const size_t old_size = text_.size();
    characters_.finish(text_);
    match(old_size);
  }
  const std::string_view rest = show(text_.size());
  characters_ = {};
  stops_.reset();
  stopped_ = false;
  return rest;
}

// Only when it is the larger part, so that held back text is not moved at every token.
void TextStream::drop_shown() {
  if (shown_ * 2 < text_.size()) return;
  text_.erase(0, shown_);
  shown_ = 0;
}

// Looks for the end of a stop string in text_[from, end).
void TextStream::match(size_t from) {
  for (size_t i = from; i < text_.size(); ++i) {
    const size_t length = stops_.feed(static_cast<unsigned char>(text_[i]));
    if (length == 0) continue;
    text_.resize(i + 1 - length);
    stopped_ = true;
    return;
  }
}

std::string_view TextStream::show(size_t end) {
  const std::string_view piece(text_.data() + shown_, end - shown_);
  shown_ = end;
  return piece;
}

}  // namespace minimax
