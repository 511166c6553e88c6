# SPDX-License-Identifier: Apache-2.0
"""The wheel: it carries the library, and answers in an environment that knows nothing of this tree."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

from demo import ANSWER, MODEL, QUESTION, ROOT

PROGRAM = f"""
import minimax, pathlib, sys
assert pathlib.Path(minimax.__file__).is_relative_to(sys.prefix), minimax.__file__
engine = minimax.Engine({MODEL!r})
session = minimax.Session(engine)
session.feed(minimax.Prompt(engine).add_message("user", {QUESTION!r}).begin_reply())
print(session.generate().text(), end="")
loaded = [line.split()[-1] for line in open("/proc/self/maps") if "libminimax" in line]
assert all(pathlib.Path(path).is_relative_to(sys.prefix) for path in loaded), loaded
"""


class Wheel(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_quietly(self, *command, **more):
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def build(self):
        self.run_quietly(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w",
                         self.folder, ROOT / "bindings/python")
        wheel, = self.folder.glob("*.whl")
        return wheel

    def test_answers_in_a_fresh_environment(self):
        wheel = self.build()
        self.assertRegex(wheel.name, r"^minimax-\d+\.\d+\.\d+-py3-none-linux_\w+\.whl$")
        with zipfile.ZipFile(wheel) as content:
            names = content.namelist()
        self.assertIn("minimax/py.typed", names)
        self.assertEqual([name for name in names if ".so" in name], ["minimax/libminimax.so.0"])
        # cffi is the system's: nothing comes from the net.
        self.run_quietly(sys.executable, "-m", "venv", "--system-site-packages", "fresh")
        python = self.folder / "fresh/bin/python"
        self.run_quietly(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel)
        clean = {name: value for name, value in os.environ.items()
                 if name not in ("PYTHONPATH", "MINIMAX_LIBRARY", "LD_LIBRARY_PATH")}
        self.assertEqual(self.run_quietly(python, "-c", PROGRAM, env=clean), ANSWER)


if __name__ == "__main__":
    unittest.main()
