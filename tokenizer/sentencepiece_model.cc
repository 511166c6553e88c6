// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/sentencepiece_model.h"

#include <array>
#include <bit>
#include <cmath>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/utf8.h"

namespace minimax {
namespace {

// Field numbers of sentencepiece_model.proto.
namespace field {
constexpr uint32_t pieces = 1, trainer_spec = 2, normalizer_spec = 3;
constexpr uint32_t piece_name = 1, piece_score = 2, piece_type = 3;
constexpr uint32_t trainer_model_type = 3, trainer_whitespace_as_suffix = 24,
                   trainer_byte_fallback = 35;
constexpr uint32_t normalizer_name = 1, normalizer_charsmap = 2, normalizer_dummy_prefix = 3,
                   normalizer_extra_whitespaces = 4, normalizer_escape_whitespaces = 5;
}  // namespace field

constexpr size_t piece_limit = size_t{1} << 22;

enum class WireType : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  uint32_t number;
  WireType type;
  uint64_t value;          // of varint, fixed64 and fixed32
  std::string_view bytes;  // of bytes
};

// The fields of one message, in the order of the file.
class FieldReader {
 public:
  FieldReader(std::string_view message, std::string_view source)
      : rest_(message), source_(source) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    const uint64_t tag = varint();
    Field field{static_cast<uint32_t>(tag >> 3), static_cast<WireType>(tag & 7), 0, {}};
    if (tag >> 32 != 0 || field.number == 0) damaged("a field number out of range");
    switch (field.type) {
      case WireType::varint:
        field.value = varint();
        break;
      case WireType::fixed64:
        field.value = fixed(8);
        break;
      case WireType::fixed32:
        field.value = fixed(4);
        break;
      case WireType::bytes:
        field.bytes = take(varint());
        break;
      default:
        damaged("an unknown wire type");
    }
    return field;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    damaged("a number of more than 64 bits");
  }
  uint64_t fixed(size_t size) {
    uint64_t value = 0;
    const std::string_view bytes = take(size);
    for (size_t i = 0; i < size; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    return value;
  }
  std::string_view take(uint64_t size) {
    if (size > rest_.size()) damaged("a field that runs past its end");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  [[noreturn]] void damaged(std::string_view found) const {
    fail(MINIMAX_BAD_FILE, source_, ": not a SentencePiece model: ", found);
  }

  std::string_view rest_;
  std::string_view source_;
};

void write_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void write_tag(std::string& out, uint32_t number, WireType type) {
  write_varint(out, uint64_t{number} << 3 | static_cast<uint32_t>(type));
}

void write_number(std::string& out, uint32_t number, uint64_t value) {
  write_tag(out, number, WireType::varint);
  write_varint(out, value);
}

void write_float(std::string& out, uint32_t number, float value) {
  write_tag(out, number, WireType::fixed32);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(bits >> (8 * i));
}

void write_bytes(std::string& out, uint32_t number, std::string_view bytes) {
  write_tag(out, number, WireType::bytes);
  write_varint(out, bytes.size());
  out += bytes;
}

bool is_clean_utf8(std::string_view name) {
  const char* const end = name.data() + name.size();
  for (const char* at = name.data(); at < end;) {
    const CodePoint point = decode_utf8(at, end);
    if (point.value == not_a_character || point.value == 0) return false;
    at += point.size;
  }
  return true;
}

class Parser {
 public:
  explicit Parser(std::string_view source) : source_(source) {}

  SentencePieceModel parse(std::string_view bytes) {
    FieldReader reader(bytes, source_);
    while (const auto field = reader.next()) {
      if (field->type != WireType::bytes) continue;
      if (field->number == field::pieces) add_piece(field->bytes);
      if (field->number == field::trainer_spec) read_trainer(field->bytes);
      if (field->number == field::normalizer_spec) read_normalizer(field->bytes);
    }
    check_pieces();
    return std::move(model_);
  }

 private:
  void add_piece(std::string_view message) {
    require_file(model_.pieces.size() < piece_limit, source_, ": more than ", piece_limit,
                 " pieces");
    SentencePieceModel::Piece piece;
    FieldReader reader(message, source_);
    while (const auto field = reader.next()) {
      if (field->number == field::piece_name && field->type == WireType::bytes) {
        piece.name = field->bytes;
      } else if (field->number == field::piece_score && field->type == WireType::fixed32) {
        piece.score = std::bit_cast<float>(static_cast<uint32_t>(field->value));
      } else if (field->number == field::piece_type && field->type == WireType::varint) {
        require_file(field->value >= 1 && field->value <= 6, source_, ": piece ",
                     model_.pieces.size(), " is of type ", field->value, ", expected 1 to 6");
        piece.kind = static_cast<PieceKind>(field->value);
      }
    }
    model_.pieces.push_back(std::move(piece));
  }

  void read_trainer(std::string_view message) {
    FieldReader reader(message, source_);
    while (const auto field = reader.next()) {
      if (field->type != WireType::varint) continue;
      if (field->number == field::trainer_model_type) set_algorithm(field->value);
      if (field->number == field::trainer_byte_fallback) model_.byte_fallback = field->value != 0;
      if (field->number == field::trainer_whitespace_as_suffix) {
        model_.whitespace_as_suffix = field->value != 0;
      }
    }
  }

  void set_algorithm(uint64_t type) {
    if (type != 1 && type != 2) {
      fail(MINIMAX_UNSUPPORTED, source_, ": model_type is ", type,
           ", only 1 (unigram) and 2 (bpe) are known");
    }
    model_.algorithm = static_cast<SentencePieceModel::Algorithm>(type);
  }

  void read_normalizer(std::string_view message) {
    std::string name;
    bool rewrites = false;
    FieldReader reader(message, source_);
    while (const auto field = reader.next()) {
      if (field->type == WireType::bytes) {
        if (field->number == field::normalizer_name) name = field->bytes;
        if (field->number == field::normalizer_charsmap) rewrites |= !field->bytes.empty();
        continue;
      }
      const bool flag = field->value != 0;
      if (field->number == field::normalizer_dummy_prefix) model_.add_dummy_prefix = flag;
      if (field->number == field::normalizer_extra_whitespaces) {
        model_.remove_extra_whitespaces = flag;
      }
      if (field->number == field::normalizer_escape_whitespaces) model_.escape_whitespaces = flag;
    }
    if (rewrites) {
      fail(MINIMAX_UNSUPPORTED, source_, ": normalizer is ", quoted(Json(name)),
           ", only \"identity\" is known");
    }
  }

  void check_pieces() const {
    std::unordered_set<std::string_view> names;
    size_t unknown_count = 0;
    bool has_normal = false;
    for (size_t id = 0; id < model_.pieces.size(); ++id) {
      const SentencePieceModel::Piece& piece = model_.pieces[id];
      check_piece(id, piece);
      require_file(names.insert(piece.name).second, source_, ": piece ", quoted(Json(piece.name)),
                   " is there twice");
      unknown_count += piece.kind == PieceKind::unknown;
      has_normal |= piece.kind == PieceKind::normal;
    }
    require_file(unknown_count == 1, source_, ": ", unknown_count,
                 " pieces of type unknown, expected 1");
    require_file(has_normal, source_, ": no piece of type normal");
  }

  void check_piece(size_t id, const SentencePieceModel::Piece& piece) const {
    const std::string& name = piece.name;
    require_file(!name.empty() && name.size() <= SentencePieceModel::name_limit_bytes, source_,
                 ": piece ", id, " has ", name.size(), " bytes, expected 1 to ",
                 SentencePieceModel::name_limit_bytes);
    require_file(is_clean_utf8(name), source_, ": piece ", id, " is not UTF-8 or has a zero byte");
    require_file(std::isfinite(piece.score), source_, ": the score of piece ", id,
                 " is not a finite number");
    if (piece.kind != PieceKind::byte) return;
    require_file(model_.byte_fallback, source_, ": piece ", id,
                 " is a byte but byte_fallback is off");
    require_file(byte_of_piece(name) >= 0, source_, ": byte piece ", id, " is ", quoted(Json(name)),
                 ", expected \"<0x00>\" to \"<0xFF>\"");
  }

  std::string_view source_;
  SentencePieceModel model_;
};

}  // namespace

int byte_of_piece(std::string_view name) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return -1;
  const size_t high = digits.find(name[3]), low = digits.find(name[4]);
  if (high == digits.npos || low == digits.npos) return -1;
  return static_cast<int>(high * 16 + low);
}

SentencePieceModel SentencePieceModel::parse(std::string_view bytes, std::string_view source) {
  return Parser(source).parse(bytes);
}

std::string SentencePieceModel::serialize() const {
  std::string out, message;
  for (const Piece& piece : pieces) {
    message.clear();
    write_bytes(message, field::piece_name, piece.name);
    write_float(message, field::piece_score, piece.score);
    write_number(message, field::piece_type, static_cast<uint64_t>(piece.kind));
    write_bytes(out, field::pieces, message);
  }
  message.clear();
  write_number(message, field::trainer_model_type, static_cast<uint64_t>(algorithm));
  write_number(message, field::trainer_whitespace_as_suffix, whitespace_as_suffix);
  write_number(message, field::trainer_byte_fallback, byte_fallback);
  write_bytes(out, field::trainer_spec, message);
  message.clear();
  write_bytes(message, field::normalizer_name, "identity");
  write_number(message, field::normalizer_dummy_prefix, add_dummy_prefix);
  write_number(message, field::normalizer_extra_whitespaces, remove_extra_whitespaces);
  write_number(message, field::normalizer_escape_whitespaces, escape_whitespaces);
  write_bytes(out, field::normalizer_spec, message);
  return out;
}

}  // namespace minimax
