// SPDX-License-Identifier: Apache-2.0
// Cuts a text into the pieces within which tokens are merged.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/pattern_splitter.h"
#include "tokenizer/word_scanner.h"

namespace minimax {

// Byte-level: every piece is a run of bytes and no byte is lost. Immutable; any thread.
class Pretokenizer {
 public:
  // As WordScanner cuts: what the checkpoints of MiniMax-01 state.
  Pretokenizer() = default;

  // The pre_tokenizer of a tokenizer.json: ByteLevel, alone or at the end of a Sequence after any
  // number of Split. MINIMAX_BAD_FILE when it is damaged, MINIMAX_UNSUPPORTED, naming the kind, when
  // it is another one. `source` names it in errors.
  Pretokenizer(const Json& pre_tokenizer, std::string_view source);

  // Appends the end of every piece, as an offset from the start of the text. MINIMAX_UNSUPPORTED
  // when a pattern needs too long for the text.
  void split(std::string_view text, std::vector<size_t>& ends) const;

 private:
  void add_split(const JsonObject& split);
  void add_byte_level(const JsonObject& byte_level);
  void add_pattern(std::string_view pattern, std::string_view source);

  WordScanner scanner_;
  bool use_scanner_ = true;
  std::vector<std::unique_ptr<PatternSplitter>>
      splitters_;  // each cuts the pieces of the one before
};

}  // namespace minimax
