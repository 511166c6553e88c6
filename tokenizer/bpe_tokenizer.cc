// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "tokenizer/byte_hash.h"

namespace minimax {
namespace {

constexpr size_t short_key_limit = 8;
constexpr size_t questions_at_once = 16;

AddedTokenMatcher matcher_of(const Vocabulary& vocabulary, bool normalized) {
  std::vector<AddedToken> tokens;
  const auto belongs = [&](const AddedToken& token) { return token.normalized == normalized; };
  std::copy_if(vocabulary.added_tokens.begin(), vocabulary.added_tokens.end(),
               std::back_inserter(tokens), belongs);
  return AddedTokenMatcher(std::move(tokens), text(vocabulary.source, ": added_tokens"));
}

}  // namespace

PieceTable::PieceTable(const StringList& token_bytes, size_t piece_count)
    : token_bytes_(token_bytes), slots_(std::bit_ceil(2 * piece_count + 1)), seed_(random_seed()) {
}

inline uint64_t PieceTable::key_of(std::string_view piece) const {
  return piece.size() <= short_key_limit ? short_key(piece) : hash_bytes(piece, seed_);
}

inline size_t PieceTable::first_index(uint64_t key, size_t size) const {
  return fold_product((key + size) ^ seed_, hash_factor) & (slots_.size() - 1);
}

inline bool PieceTable::is_piece(const Slot& slot, uint64_t key, std::string_view piece) const {
  if (slot.key != key || slot.size != piece.size()) return false;
  return piece.size() <= short_key_limit || token_bytes_[static_cast<size_t>(slot.id)] == piece;
}

void PieceTable::insert(int32_t id) {
  const std::string_view piece = token_bytes_[static_cast<size_t>(id)];
  const uint64_t key = key_of(piece);
  size_t index = first_index(key, piece.size());
  while (slots_[index].id != no_token) index = (index + 1) & (slots_.size() - 1);
  slots_[index] = {key, static_cast<uint32_t>(piece.size()), id};
}

inline PieceTable::Question PieceTable::ask(std::string_view piece) const {
  const uint64_t key = key_of(piece);
  const Question question = {piece, key, first_index(key, piece.size())};
  __builtin_prefetch(&slots_[question.index]);
  return question;
}

inline int32_t PieceTable::answer(const Question& question) const {
  for (size_t index = question.index;; index = (index + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[index];
    if (slot.id == no_token || is_piece(slot, question.key, question.piece)) return slot.id;
  }
}

BpeTokenizer::BpeTokenizer(Vocabulary vocabulary, std::string chat_template)
    : vocabulary_(std::move(vocabulary)),
      bpe_(vocabulary_.byte_ids, vocabulary_.merges, text(vocabulary_.source, ": merges")),
      whole_pieces_(vocabulary_.token_bytes, vocabulary_.token_bytes.size()),
      first_matcher_(matcher_of(vocabulary_, false)),
      second_matcher_(matcher_of(vocabulary_, true)),
      kinds_(vocabulary_.token_bytes.size(), TokenKind::undefined) {
  chat_template_ = std::move(chat_template);
  for (size_t id = 0; id < kinds_.size(); ++id) {
    if (!vocabulary_.token_bytes[id].empty()) kinds_[id] = TokenKind::text;
  }
  for (const AddedToken& token : vocabulary_.added_tokens) {
    if (token.special) kinds_[static_cast<size_t>(token.id)] = TokenKind::special;
    const bool is_new = id_of_name_.emplace(token.name, token.id).second;
    require_file(is_new, vocabulary_.source, ": added token ", quoted(Json(token.name)),
                 " is there twice");
  }
  fill_whole_pieces();
}

// A token is a whole piece only if merging its bytes leads to it.
void BpeTokenizer::fill_whole_pieces() {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < kinds_.size(); ++i) {
    if (!vocabulary_.is_byte_level[i]) continue;
    const auto id = static_cast<int32_t>(i);
    ids.clear();
    if (!vocabulary_.ignore_merges) bpe_.encode(vocabulary_.token_bytes[i], ids);
    if (vocabulary_.ignore_merges || (ids.size() == 1 && ids[0] == id)) whole_pieces_.insert(id);
  }
}

void BpeTokenizer::encode(std::string_view text, SpecialTokens specials,
                          std::vector<int32_t>& ids) const {
  const size_t size_before = ids.size();
  try {
    if (specials == SpecialTokens::plain) {
      encode_ordinary(text, ids);
    } else {
      encode_between(first_matcher_, &second_matcher_, text, ids);
    }
  } catch (...) {
    ids.resize(size_before);
    throw;
  }
}

void BpeTokenizer::encode_between(const AddedTokenMatcher& matcher, const AddedTokenMatcher* next,
                                  std::string_view text, std::vector<int32_t>& ids) const {
  const auto encode_rest = [&](std::string_view rest) {
    if (next) return encode_between(*next, nullptr, rest, ids);
    encode_ordinary(rest, ids);
  };
  size_t done = 0;
  while (const auto match = matcher.find(text, done)) {
    encode_rest(text.substr(done, match->start - done));
    ids.push_back(match->id);
    done = match->stop;
  }
  encode_rest(text.substr(done));
}

void BpeTokenizer::encode_ordinary(std::string_view text, std::vector<int32_t>& ids) const {
  std::vector<size_t> ends;
  ends.reserve(text.size() / 4);  // a guess that saves copies
  vocabulary_.pretokenizer.split(text, ends);
  PieceTable::Question questions[questions_at_once];
  size_t start = 0;
  for (size_t first = 0; first < ends.size(); first += questions_at_once) {
    const size_t count = std::min(questions_at_once, ends.size() - first);
    for (size_t i = 0; i < count; ++i) {
      const size_t stop = ends[first + i];
      questions[i] = whole_pieces_.ask(text.substr(start, stop - start));
      start = stop;
    }
    for (size_t i = 0; i < count; ++i) {
      const int32_t whole = whole_pieces_.answer(questions[i]);
      if (whole != PieceTable::no_token) {
        ids.push_back(whole);
      } else {
        bpe_.encode(questions[i].piece, ids);
      }
    }
  }
}

std::string_view BpeTokenizer::token_bytes(int32_t id) const {
  return is_id(id) ? vocabulary_.token_bytes[static_cast<size_t>(id)] : std::string_view();
}

TokenKind BpeTokenizer::token_kind(int32_t id) const {
  return is_id(id) ? kinds_[static_cast<size_t>(id)] : TokenKind::undefined;
}

int32_t BpeTokenizer::vocabulary_size() const {
  return static_cast<int32_t>(kinds_.size());
}

std::optional<int32_t> BpeTokenizer::find_token(std::string_view name) const {
  const auto at = id_of_name_.find(name);
  if (at == id_of_name_.end()) return std::nullopt;
  return at->second;
}

}  // namespace minimax
