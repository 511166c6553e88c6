#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs of the last release answer with the library that was built now."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

FOLDER, LIBRARY, MODEL = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
PICTURE, DESCRIPTION = MODEL + "/eval/pictures/173_emoji.png", "The picture shows a honeybee."


def run(name, *arguments):
    done = subprocess.run([FOLDER / name, *arguments], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{name} ended with {done.returncode}: {done.stderr}")
    return done.stdout


class BaselinePrograms(unittest.TestCase):
    def test_run_with_the_library_of_now(self):
        loaded = subprocess.run(["ldd", FOLDER / "hello"], capture_output=True, text=True, check=True).stdout
        self.assertIn(str(LIBRARY.parent) + "/libminimax.so", loaded)
        versions = subprocess.run(["readelf", "--version-info", FOLDER / "hello"], capture_output=True, text=True,
                                  check=True).stdout
        self.assertIn("MINIMAX_0.1", versions)

    def test_hello(self):
        self.assertEqual(run("hello", MODEL, QUESTION), ANSWER + "\n")

    def test_describe_image(self):
        self.assertIn(DESCRIPTION, run("describe_image", MODEL, PICTURE, "What do you see?"))

    def test_many_sessions(self):
        self.assertEqual(run("many_sessions", MODEL, QUESTION, QUESTION).count(ANSWER), 2)

    def test_save_and_resume(self):
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                self.assertIn(ANSWER, run("save_and_resume", MODEL, folder + "/talk.session", QUESTION))


if __name__ == "__main__":
    del sys.argv[1:]
    unittest.main(verbosity=2)
