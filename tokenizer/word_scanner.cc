// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/word_scanner.h"

#include <cstdint>

#include "tokenizer/utf8.h"

namespace minimax {
namespace {

constexpr unsigned set_of(CharacterClass character_class) {
  return 1u << static_cast<unsigned>(character_class);
}
constexpr unsigned other = set_of(CharacterClass::other);
constexpr unsigned upper = set_of(CharacterClass::upper);
constexpr unsigned lower = set_of(CharacterClass::lower);
constexpr unsigned either_case = set_of(CharacterClass::caseless) | set_of(CharacterClass::mark);
constexpr unsigned mark = set_of(CharacterClass::mark);
constexpr unsigned letter = upper | lower | set_of(CharacterClass::caseless);
constexpr unsigned number = set_of(CharacterClass::number);
constexpr unsigned newline = set_of(CharacterClass::newline);
constexpr unsigned space = set_of(CharacterClass::space);

constexpr char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

// The end of 's, 't, 're, 've, 'm, 'll or 'd at the place, or the place itself.
const char* skip_contraction(const char* at, const char* end) {
  if (end - at < 2 || *at != '\'') return at;
  const char first = lower_case(at[1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (end - at < 3) return at;
  if (at[1] == '\xc5' && at[2] == '\xbf') return at + 3;  // U+017F, an s to whoever ignores case
  const char second = lower_case(at[2]);
  const bool fits = first == 'l' ? second == 'l' : (first == 'r' || first == 'v') && second == 'e';
  return fits ? at + 3 : at;
}

}  // namespace

const std::string_view WordScanner::pattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct WordScanner::Symbol {
  unsigned set;  // one bit
  uint32_t size;
};

inline WordScanner::Symbol WordScanner::symbol(const char* at, const char* end) const {
  const auto byte = static_cast<unsigned char>(*at);
  if (byte < 0x80) return {set_of((*classes_)[byte]), 1};
  const CodePoint point = decode_utf8(at, end);
  if (point.value == not_a_character) return {other, 1};
  return {set_of((*classes_)[point.value]), point.size};
}

inline const char* WordScanner::skip(const char* at, const char* end, unsigned set) const {
  while (at < end) {
    const Symbol next = symbol(at, end);
    if (!(next.set & set)) break;
    at += next.size;
  }
  return at;
}

// [UBM]*[LBM]+, or else [UBM]+[LBM]*; the place itself when neither fits.
inline const char* WordScanner::letters(const char* at, const char* end) const {
  const char* after_either = nullptr;  // where [UBM]* can give back one character to [LBM]+
  while (at < end) {
    const Symbol next = symbol(at, end);
    if (next.set & lower) return skip(at + next.size, end, lower | either_case);
    if (!(next.set & (upper | either_case))) break;
    at += next.size;
    if (next.set & either_case) after_either = at;
  }
  return after_either ? after_either : at;
}

// Alternatives 1 and 2; the place itself when neither fits. The pattern tries 1 with and without the
// P before 2: only a mark can be a P and part of the word as well, and alone it fits 1 at once.
inline const char* WordScanner::word(const char* at, const char* end, Symbol first) const {
  if (first.set & (number | newline)) return at;
  const char* start = first.set & letter ? at : at + first.size;
  const char* stop = letters(start, end);
  if (first.set & mark) {
    const bool only_upper = stop > start && skip(start, stop, upper) == stop;
    if (stop == start || only_upper) stop = start;
  } else if (stop == start) {
    return at;
  }
  return skip_contraction(stop, end);
}

// Alternatives 5, 6 and 7.
inline const char* WordScanner::white_space(const char* at, const char* end) const {
  const char* after_newline = nullptr;
  const char* last = at;
  const char* stop = at;
  while (stop < end) {
    const Symbol next = symbol(stop, end);
    if (!(next.set & (newline | space))) break;
    last = stop;
    stop += next.size;
    if (next.set & newline) after_newline = stop;
  }
  if (after_newline) return after_newline;
  return stop == end || last == at ? stop : last;
}

inline const char* WordScanner::piece(const char* at, const char* end) const {
  const Symbol first = symbol(at, end);
  if (const char* stop = word(at, end, first); stop != at) return stop;
  if (first.set & number) {
    const char* stop = at + first.size;
    for (int count = 1; count < 3 && stop < end; ++count) {
      const Symbol next = symbol(stop, end);
      if (!(next.set & number)) break;
      stop += next.size;
    }
    return stop;
  }
  const char* start = *at == ' ' ? at + 1 : at;
  const char* stop = skip(start, end, other | mark);
  if (stop == start) return white_space(at, end);
  while (stop < end && (*stop == '\r' || *stop == '\n' || *stop == '/')) ++stop;
  return stop;
}

void WordScanner::split(std::string_view text, std::vector<size_t>& ends) const {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  for (const char* at = begin; at < end;) {
    at = piece(at, end);
    ends.push_back(static_cast<size_t>(at - begin));
  }
}

}  // namespace minimax
