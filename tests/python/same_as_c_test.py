# SPDX-License-Identifier: Apache-2.0
"""The same numbers as a C program, to the bit: text, picture, streamed or in one call."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import minimax
import numpy
from demo import BEE, LOOK, MODEL, QUESTION, asked

DUMP_ANSWER = os.environ["MINIMAX_DUMP_ANSWER"]


def in_c(picture, text):
    """(answer, logits after it)"""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "logits")
        done = subprocess.run([DUMP_ANSWER, MODEL, picture, text, path], check=True, stdout=subprocess.PIPE)
        return done.stdout.decode(), numpy.fromfile(path, numpy.float32)


class SameAsC(unittest.TestCase):
    def check(self, text, picture=None):
        answer, logits = in_c(picture or "-", text)
        self.assertTrue(answer)
        for way in ("generate", "run"):
            # Without the cache: the same bits, whatever was asked before.
            session = asked(text, [picture] if picture else [], cache_policy=minimax.CachePolicy.OFF)
            if way == "generate":
                pieces = list(session.generate(max_tokens=200))
            else:
                pieces = []
                session.run(max_tokens=200, on_text=pieces.append)
            self.assertEqual("".join(pieces), answer)
            self.assertEqual(session.logits().tobytes(), logits.tobytes())

    def test_text(self):
        self.check(QUESTION)

    def test_a_long_answer(self):
        self.check("Tell me a story.")

    def test_a_picture(self):
        self.check(LOOK, BEE)

    def test_characters_of_many_bytes(self):
        self.check("Grüße, 世界 🦙!")


if __name__ == "__main__":
    unittest.main()
