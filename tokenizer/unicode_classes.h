// SPDX-License-Identifier: Apache-2.0
// Which kind of character a code point is, as far as cutting a text into words asks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace minimax {

// By general category of Unicode 16. White space is the property White_Space.
enum class CharacterClass : uint8_t {
  other,     // punctuation, symbols, controls, unassigned; also a byte that is not UTF-8
  upper,     // Lu, Lt
  lower,     // Ll
  caseless,  // Lm, Lo
  mark,      // Mn, Mc, Me
  number,    // Nd, Nl, No
  newline,   // U+000A, U+000D
  space      // all other white space
};

// Where the class changes: first code point << 4 | class, ascending.
extern const std::array<uint32_t, 3194> unicode_class_runs;

// Immutable; any thread. 1.1 MB, of which a text touches the few pages of its scripts.
class UnicodeClasses {
 public:
  // Built at the first call.
  static const UnicodeClasses& get();
  // code_point below 0x110000.
  CharacterClass operator[](uint32_t code_point) const { return classes_[code_point]; }

 private:
  UnicodeClasses();
  std::array<CharacterClass, 0x110000> classes_;
};

}  // namespace minimax
