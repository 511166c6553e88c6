#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a header with its plain comments as Doxygen's: docs/Doxyfile has it read include/minimax.h through this.

The header is set for people who read it as it is. What they see by its layout is said in Doxygen's words here:

  /* ---- 5 sessions ---- */          a group of what follows
  /* text */ above a declaration      its description
  declaration /* text */              likewise
     name   text                      an item of a list, in a comment, with whatever is indented further
  Rule   text                         a paragraph of that title, in the opening comment
"""
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.S)
SECTION = re.compile(r"/\* -+ (\d+) (.*?) -+ \*/")


def item(line):
    """A line of a comment, without its star: items begin three spaces in, what belongs to them further."""
    match = re.match(r" {3}(\S.*?)(?: {2,}(\S.*))?$", line)
    if not match:
        return line
    return f" - {match[1]}: {match[2]}" if match[2] else f" - {match[1]}"


def rule(line):
    match = re.match(r" ([A-Z][a-z]+) {2,}(\S.*)$", line)
    return f" @par {match[1]}\n * {match[2]}" if match else line


def describe(comment, opening, layout):
    """The comment again, beginning with `opening`, its lines as `layout` says; lists end where the text goes on."""
    lines = comment[2:-2].replace("<", r"\<").split("\n")
    written = [lines[0]]
    for line in lines[1:]:
        before, star, text = line.partition("*") if line.lstrip().startswith("*") else ("", "", line)
        shown = layout(text)
        if re.match(r" \S", shown) and not shown.startswith(" - ") and written[-1].lstrip(" *").startswith("- "):
            shown = "\n *" + shown
        written.append(before + star + shown)
    return opening + "\n".join(written) + "*/"


def filtered(text):
    grouped = False

    def replaced(match):
        nonlocal grouped
        comment = match[0]
        section = SECTION.fullmatch(comment)
        if section:
            end = "/** @} */ " if grouped else ""
            grouped = True
            return f"{end}/** @defgroup section_{section[1]} {section[1]}. {section[2]}\n * @{{ */"
        if match.start() == 0:
            return describe(re.sub(r"SPDX-.*", "", comment, count=1), "/** @file", rule)
        if text[:match.start()].rpartition("\n")[2].strip():  # something stands before it on its line
            return describe(comment, "/**<", str)
        return describe(comment, "/**", item)

    written = COMMENT.sub(replaced, text)
    if grouped:
        end = written.rindex("#ifdef __cplusplus")
        written = written[:end] + "/** @} */\n" + written[end:]
    return written


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as header:
        sys.stdout.write(filtered(header.read()))
