#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""many_sessions answers each question as if it were the only one."""
import unittest

from sample_program import ANSWER, MODEL, QUESTION, main, run


def answers(*questions):
    done = run(MODEL, *questions)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    lines = done.stdout.splitlines()
    return {n: [line.split(": ", 1)[1] for line in lines if line.startswith(f"{n}: ")]
            for n in range(1, len(questions) + 1)}, done.stderr


class ManySessions(unittest.TestCase):
    def test_answers_as_alone(self):
        questions = [QUESTION, "Hello!", "What is the capital of Peru?", QUESTION]
        together, summary = answers(*questions)
        self.assertEqual(together[1], [ANSWER])
        self.assertEqual(together[4], [ANSWER])
        for number, question in enumerate(questions, 1):
            self.assertEqual(together[number], answers(question)[0][1])
        self.assertRegex(summary, r"^4 answers, \d+ tokens in \d+ steps\n$")

    def test_names_a_model_that_is_not_there(self):
        done = run("no/such/model", QUESTION)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no/such/model", done.stderr)

    def test_shows_its_usage(self):
        self.assertEqual(run(MODEL).returncode, 2)


if __name__ == "__main__":
    main()
