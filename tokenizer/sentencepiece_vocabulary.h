// SPDX-License-Identifier: Apache-2.0
// A tokenizer from a SentencePiece .model file.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/sentencepiece_model.h"
#include "tokenizer/tokenizer.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace minimax {

// Names of control pieces ("<s>") are tokens in SpecialTokens::match; user-defined pieces are tokens
// always. Bytes that are not UTF-8 become byte pieces, or the unknown token where the model has none.
// A model that puts a space before a text does so once, before a text that begins with ordinary
// characters, and that space shows when the ids are decoded.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  // MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR, MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED.
  SentencePieceTokenizer(const std::filesystem::path& path, std::string chat_template);
  ~SentencePieceTokenizer() override;

  void encode(std::string_view text, SpecialTokens specials,
              std::vector<int32_t>& ids) const override;
  std::string_view token_bytes(int32_t id) const override;
  TokenKind token_kind(int32_t id) const override;
  int32_t vocabulary_size() const override;
  std::optional<int32_t> find_token(std::string_view name) const override;

 private:
  using Processor = sentencepiece::SentencePieceProcessor;
  enum class Place { text_start, inside };

  static std::unique_ptr<const Processor> open(const SentencePieceModel& model,
                                               const std::string& source);
  void add_piece(const SentencePieceModel& model, int32_t id);
  void encode_ordinary(std::string_view text, Place place, std::vector<int32_t>& ids) const;
  void encode_valid(std::string_view text, Place place, std::vector<int32_t>& ids) const;

  struct Token {
    std::string bytes;
    TokenKind kind;
  };
  std::vector<Token> tokens_;  // by id
  std::array<int32_t, 256> byte_ids_{};
  std::unordered_map<std::string, int32_t> id_of_name_;
  AddedTokenMatcher matcher_;                  // control pieces
  std::unique_ptr<const Processor> at_start_;  // as the file says
  std::unique_ptr<const Processor> inside_;    // without a space before the text
};

}  // namespace minimax
