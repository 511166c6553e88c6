#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Doxygen reads minimax.h without a warning, and its pages have every name and what is said of it."""
import html
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/abi"))
from c_header import Header  # noqa: E402

HEADER = ROOT / "include/minimax.h"


def doxygen(folder, header=HEADER):
    """(exit status, warnings) of a run that writes into the folder."""
    options = (ROOT / "docs/Doxyfile").read_text(encoding="utf-8")
    done = subprocess.run(["doxygen", "-"], input=f"{options}\nINPUT={header}\nOUTPUT_DIRECTORY={folder}\n", cwd=ROOT,
                          text=True, capture_output=True, check=False)
    return done.returncode, done.stderr


class Reference(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.status, cls.warnings = doxygen(cls.folder.name)
        pages = "".join(page.read_text(encoding="utf-8") for page in pathlib.Path(cls.folder.name).rglob("*.html"))
        cls.pages = html.unescape(re.sub(r"<[^>]*>", "", pages))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_has_no_warnings(self):
        self.assertEqual((self.status, self.warnings), (0, ""))

    def test_has_every_name(self):
        missing = [name for name in Header(HEADER).names() if name not in self.pages and name != "MINIMAX_API"]
        self.assertEqual(missing, [])

    def test_says_what_the_comments_say(self):
        for said in ("Loads a model.",                                  # above a function
                     "the caller's mistake: a NULL, a value out of range",  # behind an enumerator
                     "processors this program may use; multiprocessors of a GPU",  # behind a field
                     "An option that this build, device or model cannot honour",   # a rule
                     '"<image>" and its like are ordinary text'):       # what looks like a tag
            self.assertIn(said, self.pages)

    def test_fails_by_warnings(self):
        with tempfile.TemporaryDirectory() as folder:
            header = pathlib.Path(folder) / "minimax.h"
            text = HEADER.read_text(encoding="utf-8")
            header.write_text(text.replace("/* Loads a model.", "/* Loads @ref nothing_of_that_name."), encoding="utf-8")
            status, warnings = doxygen(folder, header)
        self.assertNotEqual(status, 0)
        self.assertIn("nothing_of_that_name", warnings)


if __name__ == "__main__":
    if not shutil.which("doxygen"):
        print("skipped: there is no doxygen (Debian: apt install doxygen)")
        sys.exit(77)
    unittest.main(verbosity=2)
