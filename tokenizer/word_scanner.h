// SPDX-License-Identifier: Apache-2.0
// The split pattern of MiniMax-01, written out by hand.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "tokenizer/unicode_classes.h"

namespace minimax {

// Cuts a text where WordScanner::pattern, searched from left to right, cuts it: every character
// belongs to exactly one match. With U = [\p{Lu}\p{Lt}], L = \p{Ll}, B = [\p{Lm}\p{Lo}], M = \p{M},
// N = \p{N}, a piece is the first of these that fits:
//   1  P? [UBM]* [LBM]+ C?     P: one character that is no letter, number or line break
//   2  P? [UBM]+ [LBM]* C?     C: 's 't 're 've 'm 'll 'd in either case ('ſ counts as 's)
//   3  N{1,3}
//   4  ' '? O+ [\r\n/]*        O: neither white space nor letter nor number
//   5  white space up to the last line break of the run
//   6  white space without its last character, if a character that is no white space follows
//   7  white space
// A byte that is not UTF-8 is an O. Time is linear in the text. Immutable; any thread.
class WordScanner {
 public:
  // The pattern as tokenizer.json spells it.
  static const std::string_view pattern;

  // Appends the end of every piece, as an offset from the start of the text.
  void split(std::string_view text, std::vector<size_t>& ends) const;

 private:
  struct Symbol;
  Symbol symbol(const char* at, const char* end) const;
  const char* skip(const char* at, const char* end, unsigned set) const;
  const char* letters(const char* at, const char* end) const;
  const char* word(const char* at, const char* end, Symbol first) const;
  const char* white_space(const char* at, const char* end) const;
  const char* piece(const char* at, const char* end) const;

  const UnicodeClasses* classes_ = &UnicodeClasses::get();
};

}  // namespace minimax
