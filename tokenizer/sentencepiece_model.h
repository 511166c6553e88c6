// SPDX-License-Identifier: Apache-2.0
// What a SentencePiece .model file says, read and written as protocol buffer bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace minimax {

enum class PieceKind {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

// A value type. The SentencePiece library trusts its files and prints what it dislikes, so it is given
// none: a file is read and checked here, and the library gets what serialize() writes.
struct SentencePieceModel {
  struct Piece {
    std::string name;
    float score = 0;
    PieceKind kind = PieceKind::normal;
  };
  enum class Algorithm { unigram = 1, bpe = 2 };

  static constexpr size_t file_limit_bytes = size_t{64} << 20;
  static constexpr size_t name_limit_bytes = 4096;

  std::vector<Piece> pieces;  // by id
  Algorithm algorithm = Algorithm::unigram;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;

  // MINIMAX_BAD_FILE, beginning with `source`, when the bytes are damaged or pieces contradict each
  // other; MINIMAX_UNSUPPORTED for other algorithms and for models that rewrite characters
  // (normalization other than identity), by name.
  static SentencePieceModel parse(std::string_view bytes, std::string_view source);
  std::string serialize() const;
};

// The byte that a byte piece ("<0x0A>") stands for, or -1.
int byte_of_piece(std::string_view name);

}  // namespace minimax
