#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks each rule of scripts/check_layers.py in a small tree, and expects the line that names it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_layers.py"
LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"

DOCUMENT = """# A small house
<!-- rooms -->
| room | floor | what | may include |
|---|---|---|---|
| `base/` | 1 | ground | nothing |
| `engine/` | 2 | walls | `base/` |
| `engine/door` | 3 | the way in | `base/`, `engine/` |
| `tests/` | - | tests | anything |
<!-- end of rooms -->
<!-- libraries -->
| library | headers | places |
|---|---|---|
| json | `nlohmann/` | `base/json` |
| generated | `*_generated.h` | `engine/` |
<!-- end of libraries -->
<!-- words -->
| word | places | why |
|---|---|---|
| `\\b(printf\\|puts)\\s*\\(` | `tests/` | never prints |
<!-- end of words -->
<!-- files -->
<!-- end of files -->
"""

SOUND = {
    "base/json.h": "// JSON, read.\n#pragma once\n#include <nlohmann/json.hpp>\n#include <string>\n",
    "base/json.cc": '#include "base/json.h"\n',
    "engine/wall.h": '// A wall. Of stone.\n#pragma once\n'
                     '#include "base/json.h"\n#include "plan_generated.h"\n',
    "engine/door.h": '// The way in.\n#pragma once\n#include "engine/wall.h"\n',
    "tests/wall_test.cc": '#include "engine/wall.h"\nint main() { puts("printf("); }\n',
}


class CheckLayers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("docs/architecture.md", DOCUMENT)
        for path, text in SOUND.items():
            self.write(path, LICENCE + text)
        self.run_script("--write")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def append(self, path, text):
        self.write(path, (self.root / path).read_text() + text)

    def run_script(self, *options):
        command = [sys.executable, str(SCRIPT), "--root", str(self.root), *options]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def expect(self, *lines):
        status, told = self.run_script()
        self.assertEqual(status, 1, told)
        self.assertEqual(len(told.splitlines()), len(lines), told)
        for line, wanted in zip(told.splitlines(), lines):
            self.assertIn(wanted, line)

    def test_passes_a_sound_tree(self):
        self.assertEqual(self.run_script(), (0, "5 files keep to docs/architecture.md\n"))

    def test_names_an_arrow_that_runs_up(self):
        self.append("base/json.cc", '#include "engine/wall.h"\n')
        self.expect("base/json.cc:3: base/ may not include engine/wall.h")

    def test_takes_the_longest_place_for_the_room(self):
        self.append("engine/wall.h", '#include "engine/door.h"\n')
        self.expect("engine/wall.h:6: engine/ may not include engine/door.h", "closes a circle")

    def test_finds_a_file_included_by_its_name_alone(self):
        self.append("engine/wall.h", '#include "door.h"\n')
        self.expect("engine/wall.h:6: engine/ may not include engine/door.h", "closes a circle")

    def test_names_a_circle(self):
        self.write("base/a.h", LICENCE + '// A.\n#pragma once\n#include "base/b.h"\n')
        self.write("base/b.h", LICENCE + '// B.\n#pragma once\n#include "base/a.h"\n')
        self.run_script("--write")
        self.expect("base/b.h:4: closes a circle of includes: base/a.h -> base/b.h -> base/a.h")

    def test_keeps_a_library_behind_its_door(self):
        self.append("engine/door.h", "#include <nlohmann/json.hpp>\n")
        self.expect("engine/door.h:5: nlohmann/json.hpp may be included only in base/json")

    def test_refuses_a_header_of_nobody(self):
        self.append("engine/door.h", '#include <zlib.h>\n#include "engine/window.h"\n')
        self.expect("engine/door.h:5: zlib.h is no file", "engine/door.h:6: engine/window.h is no file")

    def test_names_a_word_in_code_and_not_in_comments_or_strings(self):
        self.append("engine/door.h", '// printf( \n/* puts( */ const char* x = "puts(";\n'
                                     'void f() { puts("x"); }\n')
        self.expect("engine/door.h:7: 'puts(' stands only in tests/: never prints")

    def test_wants_licence_guard_and_a_room(self):
        self.write("attic/box.h", "int box;\n")
        self.run_script("--write")
        self.expect("attic/box.h:1: does not open with", "attic/box.h:1: has no #pragma once",
                    "attic/box.h:1: lies in no room", "attic/box.h:2: has no sentence")

    def test_notices_a_changed_sentence_and_a_missing_file(self):
        self.write("engine/wall.h", LICENCE + "// A fence.\n#pragma once\n")
        (self.root / "engine/door.h").unlink()
        self.expect("engine/wall.h:2: its sentence is not in", "lists engine/door.h, which is gone")

    def test_writes_the_first_sentence_of_each_file(self):
        document = (self.root / "docs/architecture.md").read_text()
        self.assertIn("| `base/json.{h,cc}` | JSON, read. |\n", document)
        self.assertIn("| `engine/wall.h` | A wall. |\n", document)
        self.assertNotIn("wall_test", document)


if __name__ == "__main__":
    unittest.main()
