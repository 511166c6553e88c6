#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""describe_image counts, answers, and says what is wrong."""
import unittest

from sample_program import BEE, BEE_ANSWER, FLAG, FLAG_ANSWER, LOOK, MODEL, main, run


class DescribeImage(unittest.TestCase):
    def test_counts_and_describes(self):
        done = run(MODEL, BEE)
        self.assertEqual((done.returncode, done.stdout), (0, BEE_ANSWER + "\n"))
        self.assertEqual(done.stderr, "87 x 87 pixels, 2 tiles, 136 tokens\n")

    def test_answers_a_question(self):
        done = run(MODEL, FLAG, LOOK)
        self.assertEqual((done.returncode, done.stdout), (0, FLAG_ANSWER + "\n"))

    def test_names_what_is_not_there(self):
        for model, picture in (("no/such/model", BEE), (MODEL, "no/such/picture.png"), (MODEL, MODEL + "/config.json")):
            with self.subTest(model=model, picture=picture):
                done = run(model, picture)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertTrue(done.stderr.startswith("describe_image: "), done.stderr)
                self.assertIn(model if model != MODEL else picture, done.stderr)

    def test_shows_its_usage(self):
        for arguments in ((), (MODEL,), (MODEL, BEE, LOOK, "more")):
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("usage", done.stderr)


if __name__ == "__main__":
    main()
