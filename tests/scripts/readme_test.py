#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the documents to the tree: README's program is samples/hello.c, and every link leads somewhere."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bindings/**/README.md"), *ROOT.glob("models/*.md")]


class Readme(unittest.TestCase):
    def test_shows_the_sample_as_it_is_compiled(self):
        block = re.search(r"```c\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[1]
        sample = (ROOT / "samples/hello.c").read_text(encoding="utf-8")
        self.assertEqual(block, sample[sample.index("#include"):])

    def test_links_lead_to_files(self):
        for document in DOCUMENTS:
            for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
                if "://" not in target:
                    self.assertTrue((document.parent / target).exists(), f"{document.relative_to(ROOT)}: {target}")

    def test_commands_are_scripts(self):
        for document in DOCUMENTS:
            for script in re.findall(r"(?<![\w/])(?:\./)?(scripts/\w+\.(?:sh|py))", document.read_text(encoding="utf-8")):
                self.assertTrue((ROOT / script).exists(), f"{document.relative_to(ROOT)}: {script}")


if __name__ == "__main__":
    unittest.main()
