#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What cmake --install leaves in a prefix is enough to build on, wherever the prefix is moved.

  install_test.py BUILD_FOLDER C_COMPILER MODEL
"""
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

from consumer import ANSWER, QUESTION, SAMPLES, Prefix, dynamic, needed, run

BUILD, COMPILER, MODEL = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(dir=BUILD)
        work = pathlib.Path(cls.scratch.name)
        run("cmake", "--install", BUILD, "--prefix", work / "first")
        (work / "first").rename(work / "moved")
        libraries = list((work / "moved").rglob("libminimax.so"))
        assert len(libraries) == 1, f"the prefix has {libraries}"
        cls.prefix = Prefix(work / "moved", libraries[0].parent, work, COMPILER)
        # The same without the shared library, as where only the static one was built.
        shutil.copytree(work / "moved", work / "static", symlinks=True)
        cls.static = Prefix(work / "static", work / "static" / libraries[0].parent.relative_to(work / "moved"), work,
                            COMPILER)
        for pattern in ("libminimax.so*", "cmake/minimax/minimax-shared-targets*"):
            for file in cls.static.library_folder.glob(pattern):
                file.unlink()

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def assert_refused(self, sentence, prefix, *project, **environment):
        with self.assertRaises(AssertionError) as refusal:
            prefix.compile_with_cmake(*project, **environment)
        self.assertIn(sentence, " ".join(str(refusal.exception).split()))

    def test_builds_with_pkg_config(self):
        program = self.prefix.compile("hello")
        self.assertIn("libminimax.so.0", needed(program))
        self.assertEqual(self.prefix.answer(program, MODEL), ANSWER)

    def test_builds_every_c_sample(self):
        examples = sorted(path.name for path in self.prefix.folder.rglob("examples/*.c"))
        self.assertEqual(examples, sorted(path.name for path in SAMPLES.glob("*.c")))
        for example in examples:
            self.prefix.compile(example.removesuffix(".c"))

    def test_asks_users_of_the_shared_library_for_nothing_else(self):
        flags = self.prefix.flags("--libs")
        self.assertEqual([flag for flag in flags if flag.startswith("-l")], ["-lminimax"])
        self.assertEqual(self.prefix.flags("--cflags")[0][:2], "-I")

    def test_builds_with_pkg_config_static(self):
        program = self.prefix.compile("hello", "--static")
        self.assertEqual(self.prefix.answer(program, MODEL), ANSWER)
        program = self.static.compile("hello", "--static")
        self.assertNotIn("libminimax.so.0", needed(program))
        self.assertEqual(run(program, MODEL, QUESTION).strip(), ANSWER)

    def test_builds_with_cmake(self):
        version = run("pkg-config", "--modversion", "minimax", **self.prefix.environment).strip()
        program = self.prefix.compile_with_cmake("minimax::minimax", version)
        self.assertIn("libminimax.so.0", needed(program))
        self.assertEqual(self.prefix.answer(program, MODEL), ANSWER)

    def test_builds_with_cmake_static(self):
        for prefix, wanted in ((self.prefix, "COMPONENTS static"), (self.static, "")):
            program = prefix.compile_with_cmake("minimax::minimax_static", wanted)
            self.assertNotIn("libminimax.so.0", needed(program))
            self.assertEqual(run(program, MODEL, QUESTION).strip(), ANSWER)

    def test_says_what_the_static_library_needs(self):
        without = {"PKG_CONFIG_LIBDIR": "/nowhere", "PKG_CONFIG_PATH": "/nowhere"}
        self.assert_refused("the static library needs what was not found: libpcre2-8, sentencepiece, libxxhash",
                            self.prefix, "minimax::minimax_static", "COMPONENTS static", **without)
        self.prefix.compile_with_cmake("minimax::minimax", "", **without)  # the shared one needs none of it

    def test_refuses_another_major_version_and_unknown_components(self):
        self.assert_refused('compatible with requested version "77.0"', self.prefix, "minimax::minimax", "77.0")
        self.assert_refused("no component nonsense (there are shared and static)", self.prefix, "minimax::minimax", "COMPONENTS nonsense")
        self.assert_refused("no component shared", self.static, "minimax::minimax", "COMPONENTS shared")

    def test_has_tools_that_find_the_library(self):
        chat = self.prefix.folder / "bin/minimax-chat"
        self.assertEqual(run(chat, "-q", "-m", MODEL, "-p", QUESTION, LD_LIBRARY_PATH="").strip(), ANSWER)
        self.assertIn(f"libminimax.so.0 => {self.prefix.folder}/", run("ldd", chat, LD_LIBRARY_PATH=""))

    def test_has_a_soname_and_its_licences(self):
        self.assertIn("soname: [libminimax.so.0]", dynamic(self.prefix.library_folder / "libminimax.so"))
        for name in ("LICENSE", "copyright"):
            self.assertTrue(list(self.prefix.folder.rglob(name)), f"there is no {name}")

    def test_speaks_of_no_place_but_itself(self):
        for path in self.prefix.folder.rglob("*"):
            if path.suffix in (".pc", ".cmake"):
                text = path.read_text(encoding="utf-8")
                for place in (str(BUILD), str(SAMPLES.parent), "/first"):
                    self.assertNotIn(place, text, path)
        for program in (self.prefix.folder / "bin").iterdir():
            self.assertEqual(re.findall(r"R(?:UN)?PATH.*\[(?!\$ORIGIN/).*", dynamic(program)), [])

    def test_keeps_internal_names_to_itself(self):
        names = run("nm", "--extern-only", "--defined-only", self.prefix.library_folder / "libminimax.a").splitlines()
        strong = [line.split()[2] for line in names if re.match(r"[0-9a-f]+ [A-TX-Z] ", line)]
        self.assertIn("minimax_engine_open", strong)
        self.assertEqual([name for name in strong if not name.startswith("minimax_")], [])

    def test_goes_below_destdir(self):
        root = self.prefix.work / "root"
        run("cmake", "--install", BUILD, DESTDIR=str(root))
        self.assertEqual(len(list(root.rglob("minimax.h"))), 1)
        self.assertEqual(len(list(root.rglob("minimax.pc"))), 1)


if __name__ == "__main__":
    del sys.argv[1:]
    unittest.main(verbosity=2)
