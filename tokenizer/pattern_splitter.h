// SPDX-License-Identifier: Apache-2.0
// Cuts a text by a regular expression that a tokenizer.json states.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace minimax {

// Matches become pieces, and so does what lies between them. Properties of characters are those of
// the installed PCRE2's Unicode version. Immutable; any thread.
class PatternSplitter {
 public:
  // Compiles a pattern of the dialect tokenizer.json uses (Oniguruma's). What PCRE2 would read
  // differently is MINIMAX_UNSUPPORTED; what it cannot read is MINIMAX_BAD_FILE. `source` names the
  // pattern's place in errors.
  PatternSplitter(std::string_view pattern, std::string source);
  ~PatternSplitter();

  // Appends the end of every piece, as an offset from the start of the text. A byte that is not UTF-8
  // counts as U+FFFD, a symbol. MINIMAX_UNSUPPORTED when the pattern needs too long for the text.
  void split(std::string_view text, std::vector<size_t>& ends) const;

  // Text that the pattern takes literally.
  static std::string escape(std::string_view literal);

 private:
  struct Matcher;
  void split_valid(std::string_view text, std::vector<size_t>& ends) const;

  std::unique_ptr<const Matcher> matcher_;
  std::string source_;
};

}  // namespace minimax
