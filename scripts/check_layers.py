#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the tree to docs/architecture.md: who may include whom, and what each file is for.

  check_layers.py           one line for each broken rule (file, line, rule); fails if there is any
  check_layers.py --write   first writes each file's opening sentence into the table of files

Rooms, libraries and words are written by hand in the document; the table of files is not.
"""
import argparse
import fnmatch
import pathlib
import re
import sys

DOCUMENT = "docs/architecture.md"
CODE = {".h", ".c", ".cc", ".cu", ".cuh", ".inc"}
LICENSED = CODE | {".py", ".sh", ".cmake", ".go", ".rs", ".fbs"}
# Folders whose files are not ours to judge, and those that are not listed file by file.
SKIPPED = {".git", ".cache", "build", "models", "target", "__pycache__", "third_party"}
UNLISTED = ("tests/", "bindings/", "scripts/", "cmake/")
STANDARD_C = set(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg "
    "stdatomic stdbool stddef stdint stdio stdlib string tgmath time uchar wchar wctype".split())
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


class Room:
    def __init__(self, places, floor, _, may_include):
        self.places = quoted(places)
        self.floor = floor
        self.may_include = quoted(may_include)
        self.may_include_anything = may_include == "anything"


def holds(place, path):
    """Whether a place of a table (`base/`, `engine/sampler`, `engine/ops/ops.h`) contains a file."""
    if place.endswith("/"):
        return path.startswith(place)
    return place in (path, path.rpartition(".")[0])


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.errors = []
        self.document = (self.root / DOCUMENT).read_text(encoding="utf-8")
        self.rooms = [Room(*cells) for _, cells in self.table("rooms")]
        # (header prefixes, places) of each library; (pattern, places, rule) of each word.
        self.libraries = [(quoted(headers), quoted(places))
                          for _, (_, headers, places) in self.table("libraries")]
        self.words = [(re.compile(quoted(word)[0]), quoted(places), rule)
                      for _, (word, places, rule) in self.table("words")]
        self.files = sorted(self.find(self.root))
        self.text = {path: (self.root / path).read_text(encoding="utf-8", errors="replace")
                     for path in self.files}
        self.arrows = {}  # file -> [(file that it includes, line)]

    def find(self, folder):
        for entry in folder.iterdir():
            if entry.is_dir():
                if entry.name not in SKIPPED and not entry.name.startswith("."):
                    yield from self.find(entry)
            elif entry.suffix in LICENSED and not entry.is_symlink():
                yield entry.relative_to(self.root).as_posix()

    def marks(self, name):
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        if begin not in self.document or end not in self.document:
            sys.exit(f"{DOCUMENT}:1: has no table between {begin.strip()} and {end.strip()}")
        return self.document.index(begin) + len(begin), self.document.index(end)

    def table(self, name):
        """(line number, cells) of each row below the head of the table of that name."""
        begin, end = self.marks(name)
        line = self.document.count("\n", 0, begin)
        rows = []
        for number, row in enumerate(self.document[begin:end].splitlines(), line + 1):
            if row.startswith("|"):
                cells = re.split(r"(?<!\\)\|", row.strip().strip("|"))
                rows.append((number, [cell.strip().replace("\\|", "|") for cell in cells]))
        return rows[2:]

    def error(self, path, line, rule):
        self.errors.append(f"{path}:{line}: {rule}")

    def room(self, path):
        """The room of a file, and the place that names it: the longest that contains the file."""
        found = [(len(place), place, room)
                 for room in self.rooms for place in room.places if holds(place, path)]
        return max(found, key=lambda each: each[0])[1:] if found else (None, None)

    def resolve(self, path, name):
        """The file of the tree that an include names, or None."""
        folder = path.rpartition("/")[0]
        for candidate in (name, f"{folder}/{name}", f"include/{name}"):
            if candidate in self.text:
                return candidate
        return None

    def check_includes(self, path):
        place, room = self.room(path)
        if room is None:
            return self.error(path, 1, f"lies in no room of {DOCUMENT}")
        for line, text in enumerate(self.text[path].splitlines(), 1):
            match = INCLUDE.match(text)
            if not match:
                continue
            name, target = match[2], self.resolve(path, match[2])
            if target:
                self.arrows.setdefault(path, []).append((target, line))
                self.check_arrow(path, line, place, room, target)
            else:
                self.check_library(path, line, room, name, match[1] == '"')

    def check_arrow(self, path, line, place, room, target):
        other_place, other = self.room(target)
        if room.may_include_anything or other is room or other is None:
            return
        if not any(holds(allowed, target) for allowed in room.may_include):
            allowed = ", ".join(room.may_include) or "nothing"
            self.error(path, line, f"{place} may not include {target} of {other_place} (floor {room.floor} "
                                   f"to floor {other.floor}; it may include {allowed})")

    def check_library(self, path, line, room, name, is_quoted):
        standard = "/" not in name and ("." not in name or name.removesuffix(".h") in STANDARD_C)
        if standard and not is_quoted:
            return
        is_of = lambda header: name.startswith(header) if header.endswith("/") else fnmatch.fnmatch(name, header)
        owners = [places for headers, places in self.libraries if any(map(is_of, headers))]
        places = list(dict.fromkeys(place for places in owners for place in places))
        if not owners:
            self.error(path, line, f"{name} is no file of the tree and of no library of {DOCUMENT}")
        elif not any(holds(place, path) for place in places):
            self.error(path, line, f"{name} may be included only in {', '.join(places)}")

    def check_circles(self):
        done = set()

        def walk(path, way):
            if path in done:
                return
            for target, line in self.arrows.get(path, []):
                if target in way:
                    circle = " -> ".join(way[way.index(target):] + [target])
                    self.error(path, line, f"closes a circle of includes: {circle}")
                else:
                    walk(target, way + [target])
            done.add(path)

        for path in sorted(self.arrows):
            walk(path, [path])

    def check_opening(self, path):
        head = self.text[path].splitlines()[:3]
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
            self.error(path, 1, "does not open with its SPDX-License-Identifier line")
        if path.endswith((".h", ".cuh")) and not re.search(r"^#(pragma once|ifndef \w+_H)", self.text[path], re.M):
            self.error(path, 1, "has no #pragma once")

    def check_words(self, path):
        code = self.text[path]
        blank = lambda match: re.sub(r"[^\n]", " ", match[0])
        code = re.sub(r'//[^\n]*|/\*.*?\*/|"(?!C")(?:\\.|[^"\\\n])*"', blank, code, flags=re.S)
        for pattern, places, rule in self.words:
            if any(holds(place, path) for place in places):
                continue
            for line, text in enumerate(code.splitlines(), 1):
                if pattern.search(text):
                    word = pattern.search(text)[0]
                    self.error(path, line, f"{word!r} stands only in {', '.join(places)}: {rule}")

    def sentence(self, path):
        """The sentence after the SPDX line: a comment, up to its first full stop or empty line."""
        words = []
        after_licence = False
        for line in self.text[path].splitlines():
            told = re.sub(r"^\s*(//|/\*+|\*/|\*)\s?|\s*\*/\s*$", "", line).strip()
            if "SPDX-License-Identifier" in line:
                after_licence = True
            elif after_licence and told and re.match(r"\s*(//|/?\*)", line):
                words.append(told)
            elif after_licence and (words or told):
                break
        text = " ".join(words)
        end = re.search(r"\.(?= [A-Z]|$)", text)
        return text[:end.end() if end else None].replace("|", "\\|")

    def sentences(self):
        """(name, file, sentence): a header and its source share a row, and the header speaks."""
        rows = {}
        for path in self.files:
            stem, _, ending = path.rpartition(".")
            if not path.startswith(UNLISTED) and f".{ending}" in CODE:
                rows.setdefault(stem if ending in ("h", "cc") else path, []).append(path)
        for stem, paths in sorted(rows.items()):
            name = stem + ".{h,cc}" if len(paths) > 1 else paths[0]
            yield name, paths[-1], self.sentence(paths[-1])

    def check_sentences(self):
        listed = {quoted(name)[0]: (line, told) for line, (name, told) in self.table("files")}
        for name, speaker, sentence in self.sentences():
            if not sentence:
                self.error(speaker, 2, "has no sentence that says what it is for after its SPDX line")
            line, told = listed.pop(name, (None, None))
            if told != sentence:
                self.error(speaker, 2, f"its sentence is not in {DOCUMENT}; check_layers.py --write brings it there")
        for name, (line, _) in listed.items():
            self.error(DOCUMENT, line, f"lists {name}, which is gone; check_layers.py --write removes it")

    def write(self):
        rows = "".join(f"| `{name}` | {sentence} |\n" for name, _, sentence in self.sentences())
        begin, end = self.marks("files")
        head = "| file | what it is for |\n|---|---|\n"
        self.document = self.document[:begin] + head + rows + self.document[end:]
        (self.root / DOCUMENT).write_text(self.document, encoding="utf-8")

    def check(self):
        for path in self.files:
            self.check_opening(path)
            if pathlib.PurePosixPath(path).suffix in CODE:
                self.check_includes(path)
                self.check_words(path)
        self.check_circles()
        self.check_sentences()
        return self.errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the table of files first")
    here = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--root", default=here, help="of another tree")
    arguments = parser.parse_args()
    tree = Tree(arguments.root)
    if arguments.write:
        tree.write()
    errors = tree.check()
    print("\n".join(errors) or f"{len(tree.files)} files keep to {DOCUMENT}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
