// SPDX-License-Identifier: Apache-2.0
// What the files of a byte-level BPE tokenizer say, checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/string_list.h"

namespace minimax {

// A value type. Ids are below id_limit; each names one token.
struct Vocabulary {
  static constexpr int64_t id_limit = int64_t{1} << 22;
  static constexpr size_t file_limit_bytes = size_t{256} << 20;
  static constexpr size_t token_limit_bytes = size_t{1} << 16;

  StringList token_bytes;             // by id; "" for ids between that name nothing
  std::vector<bool> is_byte_level;    // by id: spelled in the alphabet that merges work on
  std::array<int32_t, 256> byte_ids;  // the token of each byte
  std::vector<Merge> merges;
  std::vector<AddedToken> added_tokens;
  bool ignore_merges =
      false;  // a piece that is a token becomes it, whether merges lead there or not
  Pretokenizer pretokenizer;
  std::string source;  // the file, for errors

  // A tokenizer.json of model type BPE with a ByteLevel pre_tokenizer. What would change the ids and
  // is not known here (a normalizer, dropout, prefixes) is MINIMAX_UNSUPPORTED, by name. Nothing is
  // read of post_processor, padding and truncation: encoding adds and drops no tokens by itself.
  static Vocabulary read_tokenizer_json(const std::filesystem::path& path);

  // vocab.json and merges.txt, which do not say how texts are cut: as MiniMax-01's are. Added tokens
  // are those of tokenizer_config.json (may be null): its added_tokens_decoder, and the bos_token,
  // eos_token and so on that the vocabulary has.
  static Vocabulary read_vocab_and_merges(const std::filesystem::path& vocab,
                                          const std::filesystem::path& merges, const Json& config);
};

// Appends the bytes that a token's spelling in the byte-level alphabet stands for: GPT-2's, where the
// 188 bytes that are visible in Latin-1 stand for themselves and the others, in order, are U+0100
// onwards. False, with `bytes` unchanged, when the spelling has another character.
bool append_byte_level(std::string_view spelling, std::string& bytes);

}  // namespace minimax
