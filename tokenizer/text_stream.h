// SPDX-License-Identifier: Apache-2.0
// Token ids in, whole characters out, ending before the first stop string.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace minimax {

// Finds the first of several strings in a text that is fed byte by byte, in time linear in the text
// (Aho and Corasick's automaton). One thread at a time.
class StopMatcher {
 public:
  static constexpr size_t count_limit = 64;
  static constexpr size_t bytes_limit = size_t{1} << 20;  // of all strings together

  // MINIMAX_INVALID_ARGUMENT when there are more than 64, or one is empty or is not UTF-8.
  explicit StopMatcher(std::span<const std::string> strings);

  // The length of the string that ends with this byte, the longest of several; 0 when none does.
  size_t feed(unsigned char byte);
  // How many of the last bytes may become the beginning of a string.
  size_t open_bytes() const { return nodes_[state_].depth; }
  void reset() { state_ = 0; }

 private:
  struct Node {
    uint32_t first_child = 0;  // 0: none, as the root is nobody's child
    uint32_t next_sibling = 0;
    uint32_t fallback = 0;  // the node of the longest proper suffix that is in the trie
    uint32_t depth = 0;
    uint32_t match_length = 0;  // of the longest string that ends here
    unsigned char byte = 0;
  };
  uint32_t child(uint32_t node, unsigned char byte) const;
  uint32_t follow(uint32_t node, unsigned char byte) const;
  void insert(std::string_view string);
  void link();

  std::vector<Node> nodes_;  // [0] is the root
  uint32_t state_ = 0;
};

// Turns bytes into whole UTF-8 characters. Bytes that can never become one are replaced by U+FFFD,
// one for each longest beginning of a character, as Python's errors="replace" does.
class CharacterAssembler {
 public:
  static constexpr size_t longest_output = 6;  // of one byte: a replacement and a character

  // Appends what is complete with this byte, perhaps nothing.
  void feed(unsigned char byte, std::string& out);
  // Appends the replacement for an unfinished character, and is as new.
  void finish(std::string& out);

 private:
  void begin(unsigned char byte, std::string& out);

  std::array<char, 4> pending_{};
  uint8_t pending_count_ = 0;
  uint8_t missing_count_ = 0;
  unsigned char low_ = 0x80, high_ = 0xbf;  // what the next byte may be
};

// One thread at a time. Borrows the tokenizer. Special tokens give nothing, and do not part a
// character whose bytes stand on both sides of them. Stop strings are looked for in the text as it
// is shown, after replacement. After an exception the stream is as it was.
class TextStream {
 public:
  struct Piece {
    std::string_view text;  // whole characters; valid until the next call
    bool stopped = false;   // a stop string has appeared, now or before
  };

  // Errors as StopMatcher.
  TextStream(const Tokenizer& tokenizer, std::span<const std::string> stop_strings);

  // What can be shown after this token. Text that may be the beginning of a stop string is held
  // back; once one is complete (the longest, of several that end at once) the text ends before it.
  Piece push(int32_t id);
  // What was held back; the stream is then as new.
  std::string_view flush();

 private:
  void drop_shown();
  void match(size_t from);
  std::string_view show(size_t end);

  const Tokenizer& tokenizer_;
  StopMatcher stops_;
  CharacterAssembler characters_;
  std::string text_;  // from some point on; [0, shown_) has been given out
  size_t shown_ = 0;
  bool stopped_ = false;  // text_ then ends before the stop string
};

}  // namespace minimax
