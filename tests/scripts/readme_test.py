#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the documents to the tree: README's program is samples/hello.c, and links lead somewhere."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATTERNS = ("*.md", "docs/**/*.md", "bindings/**/README.md", "models/*.md")
DOCUMENTS = {path: path.read_text(encoding="utf-8") for pattern in PATTERNS for path in ROOT.glob(pattern)}


class Readme(unittest.TestCase):
    def test_shows_the_sample_as_it_is_compiled(self):
        block = re.search(r"```c\n(.*?)```", DOCUMENTS[ROOT / "README.md"], re.S)[1]
        sample = (ROOT / "samples/hello.c").read_text(encoding="utf-8")
        self.assertEqual(block, sample[sample.index("#include"):])

    def test_links_lead_to_files(self):
        for document, text in DOCUMENTS.items():
            for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
                if "://" not in target:
                    self.assertTrue((document.parent / target).exists(), f"{document}: {target}")

    def test_commands_are_scripts(self):
        for document, text in DOCUMENTS.items():
            for script in re.findall(r"(?<![\w/])(?:\./)?(scripts/\w+\.(?:sh|py))", text):
                self.assertTrue((ROOT / script).exists(), f"{document}: {script}")


if __name__ == "__main__":
    unittest.main()
