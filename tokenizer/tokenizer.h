// SPDX-License-Identifier: Apache-2.0
// The face of the room: text to token ids and back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace minimax {

enum class TokenKind { text, special, undefined };

// Whether "<image>" written in a text is the token of that name or seven ordinary characters.
enum class SpecialTokens { match, plain };

// Immutable after load; any thread.
class Tokenizer {
 public:
  // Reads the folder's tokenizer.json, or else vocab.json and merges.txt, or else *.model
  // (SentencePiece), and tokenizer_config.json if it is there. nullptr when the folder has none of
  // them; MINIMAX_BAD_FILE, naming file and place, when they are damaged.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& folder);

  virtual ~Tokenizer() = default;

  // Appends the ids of any bytes. Bytes that are not UTF-8 become byte tokens.
  virtual void encode(std::string_view text, SpecialTokens specials,
                      std::vector<int32_t>& ids) const = 0;
  // The bytes a token stands for: "" when undefined. Special tokens: their name. Lives with *this.
  virtual std::string_view token_bytes(int32_t id) const = 0;
  virtual TokenKind token_kind(int32_t id) const = 0;
  // One more than the largest id that means something.
  virtual int32_t vocabulary_size() const = 0;
  // The id of an added token by its exact name, for example "<end_of_sentence>".
  virtual std::optional<int32_t> find_token(std::string_view name) const = 0;

  // Appends the bytes of the ids; special tokens are left out unless wanted. Ids out of range give nothing.
  void decode(std::span<const int32_t> ids, bool with_special, std::string& out) const;

  // The Jinja source of tokenizer_config.json's chat_template, or "".
  const std::string& chat_template() const { return chat_template_; }

 protected:
  std::string chat_template_;
};

}  // namespace minimax
