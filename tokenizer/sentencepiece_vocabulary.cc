// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/sentencepiece_vocabulary.h"

#include <sentencepiece_processor.h>

#include <utility>

#include "base/error.h"
#include "base/file_map.h"
#include "tokenizer/utf8.h"

namespace minimax {
namespace {

constexpr std::string_view space_mark = "\xe2\x96\x81";  // U+2581 stands for a space in pieces

std::string with_spaces(std::string_view name) {
  std::string out;
  for (size_t start = 0;;) {
    const size_t mark = name.find(space_mark, start);
    out += name.substr(start, mark - start);
    if (mark == name.npos) return out;
    out += ' ';
    start = mark + space_mark.size();
  }
}

int32_t unknown_id(const SentencePieceModel& model) {
  int32_t id = 0;
  while (model.pieces[static_cast<size_t>(id)].kind != PieceKind::unknown) ++id;
  return id;
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(const std::filesystem::path& path,
                                               std::string chat_template) {
  chat_template_ = std::move(chat_template);
  const std::string source = path.string();
  SentencePieceModel model =
      SentencePieceModel::parse(read_text_file(path, SentencePieceModel::file_limit_bytes), source);
  byte_ids_.fill(unknown_id(model));
  std::vector<AddedToken> controls;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    add_piece(model, id);
    if (model.pieces[i].kind != PieceKind::control) continue;
    controls.push_back({.id = id, .name = model.pieces[i].name, .special = true});
  }
  matcher_ = AddedTokenMatcher(std::move(controls), source);
  at_start_ = open(model, source);
  model.add_dummy_prefix = false;
  inside_ = open(model, source);
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

std::unique_ptr<const SentencePieceTokenizer::Processor> SentencePieceTokenizer::open(
    const SentencePieceModel& model, const std::string& source) {
  auto processor = std::make_unique<Processor>();
  const auto status = processor->LoadFromSerializedProto(model.serialize());
  require_file(status.ok(), source, ": not a SentencePiece model: ", status.ToString());
  return processor;
}

void SentencePieceTokenizer::add_piece(const SentencePieceModel& model, int32_t id) {
  const SentencePieceModel::Piece& piece = model.pieces[static_cast<size_t>(id)];
  Token token = {piece.name, TokenKind::text};
  switch (piece.kind) {
    case PieceKind::normal:
    case PieceKind::user_defined:
      if (model.escape_whitespaces) token.bytes = with_spaces(piece.name);
      break;
    case PieceKind::byte: {
      const int byte = byte_of_piece(piece.name);
      token.bytes.assign(1, static_cast<char>(byte));
      byte_ids_[static_cast<size_t>(byte)] = id;
      break;
    }
    case PieceKind::unused:
      token = {std::string(), TokenKind::undefined};
      break;
    case PieceKind::control:
    case PieceKind::unknown:
      token.kind = TokenKind::special;
      break;
  }
  if (piece.kind == PieceKind::control || piece.kind == PieceKind::user_defined) {
    id_of_name_.emplace(piece.name, id);
  }
  tokens_.push_back(std::move(token));
}

void SentencePieceTokenizer::encode(std::string_view text, SpecialTokens specials,
                                    std::vector<int32_t>& ids) const {
  const size_t size_before = ids.size();
  try {
    size_t done = 0;
    while (specials == SpecialTokens::match) {
      const auto match = matcher_.find(text, done);
      if (!match) break;
      encode_ordinary(text.substr(done, match->start - done),
                      done == 0 ? Place::text_start : Place::inside, ids);
      ids.push_back(match->id);
      done = match->stop;
    }
    encode_ordinary(text.substr(done), done == 0 ? Place::text_start : Place::inside, ids);
  } catch (...) {
    ids.resize(size_before);
    throw;
  }
}

void SentencePieceTokenizer::encode_ordinary(std::string_view text, Place place,
                                             std::vector<int32_t>& ids) const {
  const char* const end = text.data() + text.size();
  const char* start = text.data();  // of the characters not yet encoded
  for (const char* at = start; at < end;) {
    const CodePoint point = decode_utf8(at, end);
    if (point.value == not_a_character) {
      encode_valid({start, static_cast<size_t>(at - start)}, place, ids);
      ids.push_back(byte_ids_[static_cast<uint8_t>(*at)]);
      start = at + 1;
      place = Place::inside;
    }
    at += point.size;
  }
  encode_valid({start, static_cast<size_t>(end - start)}, place, ids);
}

void SentencePieceTokenizer::encode_valid(std::string_view text, Place place,
                                          std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  const Processor& processor = place == Place::text_start ? *at_start_ : *inside_;
  std::vector<int> found;
  const auto status = processor.Encode({text.data(), text.size()}, &found);
  if (!status.ok()) fail(MINIMAX_INTERNAL_ERROR, "SentencePiece: ", status.ToString());
  ids.insert(ids.end(), found.begin(), found.end());
}

std::string_view SentencePieceTokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocabulary_size()) return {};
  return tokens_[static_cast<size_t>(id)].bytes;
}

TokenKind SentencePieceTokenizer::token_kind(int32_t id) const {
  if (id < 0 || id >= vocabulary_size()) return TokenKind::undefined;
  return tokens_[static_cast<size_t>(id)].kind;
}

int32_t SentencePieceTokenizer::vocabulary_size() const {
  return static_cast<int32_t>(tokens_.size());
}

std::optional<int32_t> SentencePieceTokenizer::find_token(std::string_view name) const {
  const auto at = id_of_name_.find(std::string(name));
  if (at == id_of_name_.end()) return std::nullopt;
  return at->second;
}

}  // namespace minimax
