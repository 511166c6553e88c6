#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages, unpacked into a root of their own: what they say of themselves, and that they can be used.

  deb_test.py FOLDER MODEL     FOLDER has the three .deb files
"""
import gzip
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from consumer import ANSWER, QUESTION, Prefix, dynamic, needed, run

FOLDER, MODEL = pathlib.Path(sys.argv[1]), str(pathlib.Path(sys.argv[2]).resolve())


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        work = pathlib.Path(cls.scratch.name)
        cls.root = work / "root"
        cls.fields = {}
        cls.packages = {}
        for package in FOLDER.glob("*.deb"):
            name = run("dpkg-deb", "--field", package, "Package").strip()
            cls.packages[name] = package
            cls.fields[name] = dict(re.findall(r"^([\w-]+): (.*)$", run("dpkg-deb", "--field", package), re.M))
            run("dpkg-deb", "--extract", package, cls.root)
        multiarch = run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()
        # -I/usr/include and -L/usr/lib go without saying, except where they lie below another root.
        cls.prefix = Prefix(cls.root / "usr", cls.root / "usr/lib" / multiarch, work, PKG_CONFIG_SYSROOT_DIR=str(cls.root),
                            PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1", PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")
        cls.library = cls.prefix.library_folder / "libminimax.so.0"

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def control(self, package, name):
        return run("dpkg-deb", "--info", self.packages[package], name)

    def test_are_three_of_one_version(self):
        self.assertEqual(sorted(self.fields), ["libminimax-dev", "libminimax0", "minimax-tools"])
        self.assertEqual(len({fields["Version"] for fields in self.fields.values()}), 1)

    def test_depend_on_what_they_need(self):
        version = self.fields["libminimax0"]["Version"]
        for owner in ("libpcre2-8-0", "libsentencepiece0", r"libopencv-imgcodecs\d+", "libxxhash0", r"libstdc\+\+6",
                      "libc6"):
            self.assertRegex(self.fields["libminimax0"]["Depends"], owner + r" \(>=")
        for package in ("libminimax-dev", "minimax-tools"):
            self.assertIn(f"libminimax0 (= {version})", self.fields[package]["Depends"])
        self.assertIn("libopencv-dev", self.fields["libminimax-dev"]["Suggests"])

    def test_tell_the_system_of_the_library(self):
        self.assertIn("activate-noawait ldconfig", self.control("libminimax0", "triggers"))
        self.assertIn("libminimax 0 libminimax0 (>=", self.control("libminimax0", "shlibs"))
        self.assertTrue(self.library.is_symlink())
        self.assertIn("soname: [libminimax.so.0]", dynamic(self.library))

    def test_have_changelogs_and_licences(self):
        for name in self.fields:
            documents = self.root / "usr/share/doc" / name
            self.assertIn("License: Apache-2.0", (documents / "copyright").read_text(encoding="utf-8"))
            with gzip.open(documents / "changelog.Debian.gz", "rt") as changelog:
                self.assertIn(self.fields[name]["Version"], changelog.readline())
            self.assertTrue((documents / "changelog.gz").exists())

    def test_are_stripped_and_hardened(self):
        for file in (self.library, *(self.root / "usr/bin").iterdir()):
            sections = run("readelf", "--sections", "--wide", file)
            self.assertNotIn(".symtab", sections)
            self.assertNotIn(".debug_info", sections)
            self.assertRegex(dynamic(file), r"FLAGS_1.*NOW")
            self.assertNotRegex(dynamic(file), r"R(UN)?PATH")
            self.assertIn("GNU_RELRO", run("readelf", "--program-headers", "--wide", file))
            self.assertIn("__stack_chk_fail", run("nm", "--dynamic", file))
        self.assertIn("_chk@", run("nm", "--dynamic", self.library))  # -D_FORTIFY_SOURCE

    def test_can_be_built_on(self):
        program = self.prefix.compile("hello")
        self.assertIn("libminimax.so.0", needed(program))
        self.assertEqual(self.prefix.answer(program, MODEL), ANSWER)
        program = self.prefix.compile_with_cmake("minimax::minimax")
        self.assertEqual(self.prefix.answer(program, MODEL), ANSWER)
        program = self.prefix.compile_with_cmake("minimax::minimax_static", "COMPONENTS static")
        self.assertEqual(run(program, MODEL, QUESTION).strip(), ANSWER)

    @unittest.skipUnless(shutil.which("cargo"), "there is no cargo")
    def test_can_be_used_from_rust(self):
        self.assertEqual(self.prefix.chat_in_rust(MODEL), ANSWER)

    @unittest.skipUnless(shutil.which("go"), "there is no go")
    def test_can_be_used_from_go(self):
        self.assertEqual(self.prefix.chat_in_go(MODEL), ANSWER)

    @unittest.skipUnless(importlib.util.find_spec("hatchling"), "there is no hatchling")
    def test_can_be_carried_in_a_wheel(self):
        self.assertEqual(self.prefix.chat_in_python(MODEL), ANSWER)

    def test_have_tools_that_answer(self):
        folder = {"LD_LIBRARY_PATH": str(self.prefix.library_folder)}
        chat = self.root / "usr/bin/minimax-chat"
        self.assertEqual(run(chat, "-q", "-m", MODEL, "-p", QUESTION, **folder).strip(), ANSWER)
        self.assertIn("mini", run(self.root / "usr/bin/minimax-bench", "-m", MODEL, "-p", "8", "-n", "0", "-r", "1", **folder))
        pages = sorted(page.name for page in (self.root / "usr/share/man/man1").iterdir())
        self.assertEqual(pages, ["minimax-bench.1.gz", "minimax-chat.1.gz"])

    def test_please_lintian(self):
        told = subprocess.run(["lintian", "--fail-on", "error,warning", "--tag-display-limit", "0",
                               *self.packages.values()], capture_output=True, text=True, check=False)
        self.assertEqual((told.returncode, told.stdout), (0, ""))


if __name__ == "__main__":
    del sys.argv[1:]
    unittest.main(verbosity=2)
