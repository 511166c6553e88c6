// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/unicode_classes.h"

#include <algorithm>

namespace minimax {

const UnicodeClasses& UnicodeClasses::get() {
  static const UnicodeClasses classes;
  return classes;
}

UnicodeClasses::UnicodeClasses() {
  for (size_t i = 0; i < unicode_class_runs.size(); ++i) {
    const bool is_last = i + 1 == unicode_class_runs.size();
    const size_t first = unicode_class_runs[i] >> 4;
    const size_t end = is_last ? classes_.size() : unicode_class_runs[i + 1] >> 4;
    std::fill(classes_.begin() + first, classes_.begin() + end,
              static_cast<CharacterClass>(unicode_class_runs[i] & 0xf));
  }
}

}  // namespace minimax
