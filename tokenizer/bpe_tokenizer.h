// SPDX-License-Identifier: Apache-2.0
// The byte-level BPE tokenizer of the MiniMax-01 checkpoints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/large_pages.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace minimax {

// Pieces that are one token, by their bytes: what most of a text consists of. Immutable after the
// last insert; any thread. Borrows the tokens' bytes.
class PieceTable {
 public:
  static constexpr int32_t no_token = -1;

  PieceTable(const StringList& token_bytes, size_t piece_count);
  void insert(int32_t id);

  // A question on its way: the table is larger than the caches, and asking several before the first
  // answer is wanted hides most of the wait.
  struct Question {
    std::string_view piece;
    uint64_t key;
    size_t index;
  };
  Question ask(std::string_view piece) const;
  int32_t answer(const Question& question) const;

 private:
  struct Slot {
    uint64_t key;   // short_key of up to 8 bytes, hash_bytes of more
    uint32_t size;  // bytes
    int32_t id = no_token;
  };
  uint64_t key_of(std::string_view piece) const;
  size_t first_index(uint64_t key, size_t size) const;
  bool is_piece(const Slot& slot, uint64_t key, std::string_view piece) const;

  const StringList& token_bytes_;
  LargeVector<Slot> slots_;
  uint64_t seed_;
};

// encode: names of added tokens are found first (SpecialTokens::match), what lies between is cut into
// pieces, and each piece is merged for itself. Round trip: the bytes of the ids of a text are the
// text, except for white space that an added token with lstrip or rstrip takes along.
class BpeTokenizer final : public Tokenizer {
 public:
  // MINIMAX_BAD_FILE when a pair of tokens stands twice among the merges, or two added tokens have
  // one name.
  BpeTokenizer(Vocabulary vocabulary, std::string chat_template);

  // MINIMAX_UNSUPPORTED, with ids unchanged, when a pattern of the file needs too long for the text.
  void encode(std::string_view text, SpecialTokens specials,
              std::vector<int32_t>& ids) const override;
  std::string_view token_bytes(int32_t id) const override;
  TokenKind token_kind(int32_t id) const override;
  int32_t vocabulary_size() const override;
  std::optional<int32_t> find_token(std::string_view name) const override;

 private:
  void fill_whole_pieces();
  void encode_between(const AddedTokenMatcher& matcher, const AddedTokenMatcher* next,
                      std::string_view text, std::vector<int32_t>& ids) const;
  void encode_ordinary(std::string_view text, std::vector<int32_t>& ids) const;
  bool is_id(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < vocabulary_.token_bytes.size();
  }

  Vocabulary vocabulary_;
  Bpe bpe_;
  PieceTable whole_pieces_;
  AddedTokenMatcher first_matcher_;   // the added tokens that are found before all else,
  AddedTokenMatcher second_matcher_;  // and those with `normalized`, in what the first leave
  std::vector<TokenKind> kinds_;      // by id
  std::unordered_map<std::string_view, int32_t> id_of_name_;  // borrows from vocabulary_
};

}  // namespace minimax
