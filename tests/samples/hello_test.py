#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hello answers, and says what is wrong."""
import unittest

from sample_program import ANSWER, MODEL, QUESTION, main, run


class Hello(unittest.TestCase):
    def test_answers(self):
        done = run(MODEL, QUESTION)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, ANSWER + "\n", ""))

    def test_names_a_model_that_is_not_there(self):
        done = run("no/such/model", QUESTION)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no/such/model", done.stderr)

    def test_shows_its_usage(self):
        done = run()
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage", done.stderr)


if __name__ == "__main__":
    main()
