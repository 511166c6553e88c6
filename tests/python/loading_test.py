# SPDX-License-Identifier: Apache-2.0
"""What the package says of a library that it was not made for, and that it covers all of the header."""
import inspect
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import minimax
from minimax import _errors, _header, _library
from demo import ROOT

PACKAGE = pathlib.Path(minimax.__file__).parent
HEADER = re.sub(r"/\*.*?\*/", "", (ROOT / "include/minimax.h").read_text(encoding="utf-8"), flags=re.S)


class Other:
    """The library, but for what is said otherwise."""

    def __init__(self, **others):
        self.__dict__.update(others)

    def __getattr__(self, name):
        return getattr(_library.lib, name)


class Loading(unittest.TestCase):
    def refusal(self, library, layout=_header.LAYOUT):
        with self.assertRaises(ImportError) as caught:
            _library.check(library, layout)
        return str(caught.exception)

    def test_the_library_itself_fits(self):
        _library.check(_library.lib)

    def test_versions(self):
        self.assertIn("0.1.0", self.refusal(Other(minimax_version_number=lambda: 99)))
        self.assertIn("version", self.refusal(Other(minimax_version_number=lambda: 10100)))
        _library.check(Other(minimax_version_number=lambda: 200))

    def test_struct_sizes(self):
        def init(size):
            return lambda struct, struct_size: size

        name, size = "minimax_engine_options", _header.LAYOUT["minimax_engine_options"][0]
        for wrong in (size - 8, size + 8):
            sentence = self.refusal(Other(**{f"{name}_init": init(wrong)}))
            self.assertEqual(sentence, f"{name} has {wrong} bytes in the library, minimax was made for {size}")
        # A later library may know more fields.
        _library.check(Other(**{f"{name}_init": init(size + 8), "minimax_version_number": lambda: 200}))
        self.assertIn(name, self.refusal(Other(), {name: (size + 8, {})}))

    def test_offsets(self):
        name = "minimax_session_stats"
        size, offsets = _header.LAYOUT[name]
        sentence = self.refusal(Other(), {name: (size, {**offsets, "position": 16})})
        self.assertEqual(sentence, f"{name}.position is at byte 8 on this platform, minimax was made for 16")

    def test_files_that_are_no_library(self):
        with tempfile.TemporaryDirectory() as folder:
            library = pathlib.Path(folder, "libother.so")
            subprocess.run(["cc", "-shared", "-o", library, "-x", "c", "-"], input=b"int x;", check=True)
            for path, words in ((library, "not the libminimax"), (folder + "/absent.so", "cannot be opened")):
                done = subprocess.run([sys.executable, "-c", "import minimax"], capture_output=True, text=True,
                                      env={**os.environ, "MINIMAX_LIBRARY": str(path)}, check=False)
                last = done.stderr.strip().splitlines()[-1]
                self.assertTrue(last.startswith("ImportError: ") and words in last, last)


class Coverage(unittest.TestCase):
    """Whatever the header can do, the package can."""

    text = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py") if path.name != "_raw.py")

    def test_every_function_is_called(self):
        functions = set(re.findall(r"\b(minimax_\w+)\(", HEADER.partition("MINIMAX_API")[2]))
        missing = {name for name in functions if f"lib.{name}" not in self.text and not name.endswith("_init")}
        missing -= {name for name in missing if f"library.{name}" in self.text}
        self.assertGreater(len(functions), 80)
        self.assertEqual(missing, {"minimax_status_name"})  # Status has the names

    def test_every_option_is_an_argument(self):
        takers = {"engine_options": [minimax.Engine, minimax.plan],
                  "session_options": [minimax.Session, minimax.Engine.pin_prefix, minimax.Engine.unpin_prefix],
                  "sampler_options": [minimax.Sampler], "batch_options": [minimax.Batch],
                  "batch_request": [minimax.Batch.submit],
                  "generate_options": [minimax.Session.generate, minimax.Session.run, minimax.Batch.submit],
                  "session_save_options": [minimax.Session.save], "session_load_options": [minimax.Session.load]}
        other_names = {"stop_strings": "stop", "prompt_first_token": "first_token"}
        absent = {"struct_size", "device_count", "stop_string_count", "logit_bias_count", "token_count", "user",
                  "progress_user", "host_allocator", "device_stream", "generate"}
        not_everywhere = {"progress", "on_text", "on_token", "cache_policy"}
        everything = (minimax.Engine, minimax.Session, minimax.Session.run)
        for struct, functions in takers.items():
            for function in functions:
                arguments = set(inspect.signature(function).parameters)
                for field in _header.LAYOUT[f"minimax_{struct}"][1]:
                    if field in absent or (field in not_everywhere and function not in everything):
                        continue
                    self.assertIn(other_names.get(field, field), arguments, f"{struct} of {function}")
        structs = {name for name in _header.LAYOUT if name.endswith(("_options", "_request"))}
        self.assertEqual(structs, {f"minimax_{name}" for name in takers})

    def test_every_status_is_an_exception(self):
        for status in minimax.Status:
            if status:
                error = _errors.error_of(status, "sentence")
                self.assertEqual((type(error) is not minimax.Error, error.status, str(error)),
                                 (True, status, "sentence"))
        self.assertIs(type(_errors.error_of(99, "sentence")), minimax.Error)

    def test_every_public_thing_says_what_it_is(self):
        for name in minimax.__all__:
            thing = getattr(minimax, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                self.assertTrue(inspect.getdoc(thing), name)
            if inspect.isclass(thing) and thing.__module__ != "minimax._header":
                for member, value in vars(thing).items():
                    if not member.startswith("_") and callable(value):
                        self.assertTrue(inspect.getdoc(value), f"{name}.{member}")


if __name__ == "__main__":
    unittest.main()
