#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tokenizer/unicode_class_runs.cc: the general category of every code point, as runs.

The split pattern of MiniMax-01 asks for \\p{Lu}, \\p{M}, \\p{N} and so on, so where a text is cut
depends on the version of Unicode. The public tokenizer of the checkpoints uses Unicode 16.

    pip install unicodedata2==16.0.0
    python3 scripts/make_unicode_classes.py > tokenizer/unicode_class_runs.cc
"""

import sys

import unicodedata2 as unicodedata

CLASS_OF_CATEGORY = {
    "Lu": "upper", "Lt": "upper", "Ll": "lower", "Lm": "caseless", "Lo": "caseless",
    "Mn": "mark", "Mc": "mark", "Me": "mark", "Nd": "number", "Nl": "number", "No": "number",
}
# In the order of enum class CharacterClass.
CLASSES = ["other", "upper", "lower", "caseless", "mark", "number", "newline", "space"]
# The property White_Space has not changed since Unicode 6.3.
WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
               0x202F, 0x205F, 0x3000}


def class_of(code_point):
    if code_point in (0x0A, 0x0D):
        return "newline"
    if code_point in WHITE_SPACE:
        return "space"
    return CLASS_OF_CATEGORY.get(unicodedata.category(chr(code_point)), "other")


def main():
    version = unicodedata.unidata_version
    if version != "16.0.0":
        sys.exit(f"unicodedata2 has Unicode {version}, expected 16.0.0")
    runs = []
    last = None
    for code_point in range(0x110000):
        now = class_of(code_point)
        if now != last:
            runs.append(f"0x{code_point:x}{CLASSES.index(now)}")
            last = now
    print("// SPDX-License-Identifier: Apache-2.0")
    print(f"// Written by scripts/make_unicode_classes.py from Unicode {version}; not to be edited.")
    print('#include "tokenizer/unicode_classes.h"\n')
    print("namespace minimax {\n")
    print("// First code point << 4 | class.")
    print("// clang-format off")
    print(f"const std::array<uint32_t, {len(runs)}> unicode_class_runs = {{")
    line = "   "
    for run in runs:
        if len(line) + len(run) + 2 > 100:
            print(line)
            line = "   "
        line += f" {run},"
    print(line)
    print("};")
    print("// clang-format on\n")
    print("}  // namespace minimax")


if __name__ == "__main__":
    main()
