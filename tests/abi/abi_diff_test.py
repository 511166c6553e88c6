#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""abi_diff.py lets additions pass, and names what breaks older programs: each on a changed copy of the baseline."""
import pathlib
import shutil
import sys
import tempfile
import unittest

import abi_diff

BASELINE = pathlib.Path(__file__).resolve().parent / "baseline"
HEADER = (BASELINE / "minimax.h").read_text(encoding="utf-8")
VERSIONS = (BASELINE / "minimax.map").read_text(encoding="utf-8")

SMALL = """
#include <stddef.h>
#include <stdint.h>
#define MINIMAX_API
#define MINIMAX_NUMBER 1
typedef struct minimax_thing { size_t struct_size; int32_t first; } minimax_thing;
MINIMAX_API size_t minimax_thing_init(minimax_thing *thing, size_t struct_size);
"""


def told(*changes, versions=VERSIONS, before=HEADER):
    """What abi_diff says of a header after the changes, each (text that occurs once, new text)."""
    after = before
    for old, new in changes:
        if after.count(old) != 1:
            raise AssertionError(f"the header has '{old}' {after.count(old)} times")
        after = after.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        places = [pathlib.Path(folder) / name for name in ("before", "after")]
        for place, header, version_script in zip(places, (before, after), (VERSIONS, versions)):
            place.mkdir()
            (place / "minimax.h").write_text(header, encoding="utf-8")
            (place / "minimax.map").write_text(version_script, encoding="utf-8")
        return abi_diff.differences(places[1] / "minimax.h", places[1] / "minimax.map", places[0], "cc")


class AbiDiff(unittest.TestCase):
    def assert_named(self, sentence, *names):
        self.assertNotEqual(sentence, "", "the change passed")
        for name in names:
            self.assertIn(name, sentence)

    def test_lets_the_baseline_pass(self):
        self.assertEqual(told(), "")

    def test_lets_new_names_pass(self):
        self.assertEqual(told(
            ("typedef int32_t minimax_status;", "enum { MINIMAX_NEW = 1 };\ntypedef int32_t minimax_status;"),
            ("MINIMAX_INTERNAL_ERROR = 14", "MINIMAX_INTERNAL_ERROR = 14, MINIMAX_NEWER = 15"),
            ("#define MINIMAX_TEXT_END", "#define MINIMAX_NEWEST 3\n#define MINIMAX_TEXT_END"),
            ("MINIMAX_API void minimax_session_free(",
             "typedef struct minimax_thing { size_t struct_size; } minimax_thing;\n"
             "MINIMAX_API minimax_status minimax_thing_make(minimax_thing *thing);\n"
             "MINIMAX_API void minimax_session_free(")), "")

    def test_lets_fields_at_the_end_pass(self):
        self.assertEqual(told(("first;", "first; int64_t newer;"), before=SMALL), "")

    def test_names_a_field_in_what_was_padding(self):
        self.assert_named(told(("first;", "first; int32_t newer;"), before=SMALL), "minimax_thing.newer", "padding")

    def test_names_a_field_that_init_would_write_behind_an_older_struct(self):
        unsized = SMALL.replace(", size_t struct_size)", ")")
        self.assert_named(told(("first;", "first; int64_t newer;"), before=unsized), "minimax_thing has grown by newer")

    def test_names_fields_that_change_places(self):
        order = told(("  const char *name;", "  const char *passing;"), ("  const char *description;", "  const char *name;"),
                     ("  const char *passing;", "  const char *description;"))
        self.assert_named(order, "minimax_device_info", "'const char* name' offset changed",
                          "'const char* description' offset changed")

    def test_names_a_field_before_the_end(self):
        self.assert_named(told(("int32_t first;", "int64_t newer; int32_t first;"), before=SMALL),
                          "'int32_t first'", "int64_t")

    def test_names_a_field_of_another_type(self):
        self.assert_named(told(("char model_name[64]", "char model_name[128]")), "'char model_name[64]' changed")

    def test_names_a_plain_struct_that_grows(self):
        self.assert_named(told(("} minimax_token_logprob;", "  int32_t newer;\n} minimax_token_logprob;")),
                          "minimax_token_logprob", "'int32_t newer'")

    def test_names_a_function_that_goes(self):
        self.assert_named(told(("MINIMAX_API void minimax_session_free(minimax_session *session);", "")),
                          "1 Removed function", "minimax_session_free")

    def test_names_a_function_of_another_version(self):
        self.assert_named(told(versions=VERSIONS.replace("MINIMAX_0.1", "MINIMAX_7.7")),
                          "minimax_engine_open@@MINIMAX_0.1")

    def test_names_a_function_with_other_parameters(self):
        self.assert_named(told(("minimax_sampler_accept(minimax_sampler *sampler, int32_t token)",
                                "minimax_sampler_accept(minimax_sampler *sampler, int64_t token)")),
                          "minimax_sampler_accept")

    def test_names_a_callback_with_other_parameters(self):
        self.assert_named(told(("(*minimax_token_fn)(void *user, int32_t token)",
                                "(*minimax_token_fn)(void *user, int64_t token)")), "minimax_token_fn")

    def test_names_a_number_that_changes(self):
        self.assert_named(told(("MINIMAX_BAD_FILE = 7", "MINIMAX_BAD_FILE = 17")),
                          "MINIMAX_BAD_FILE' from value '7' to '17'")
        self.assert_named(told(("#define MINIMAX_TEXT_END ((size_t)-1)", "#define MINIMAX_TEXT_END ((size_t)-2)")),
                          "MINIMAX_TEXT_END' from value '-1' to '-2'")

    def test_names_a_number_that_goes(self):
        self.assert_named(told(("  MINIMAX_BAD_FILE = 7,", "")), "MINIMAX_BAD_FILE")


if __name__ == "__main__":
    if not shutil.which("abidiff"):
        print("skipped: there is no abidiff (Debian: apt install abigail-tools)")
        sys.exit(abi_diff.SKIPPED)
    unittest.main()
