#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""save_and_resume goes on where the run before it stopped."""
import pathlib
import re
import tempfile
import unittest

from sample_program import ANSWER, MODEL, QUESTION, main, run


class SaveAndResume(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = pathlib.Path(self.folder.name) / "talk.session"

    def tearDown(self):
        self.folder.cleanup()

    def say(self, message):
        done = run(MODEL, str(self.file), message)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, int(re.fullmatch(r"(\d+) tokens so far\n", done.stderr)[1])

    def test_goes_on(self):
        self.assertEqual(self.say(QUESTION), (ANSWER + "\n", 0))
        _, before = self.say("And of Spain?")
        _, later = self.say("Thank you.")
        self.assertTrue(0 < before < later)
        self.assertEqual([self.file], list(self.file.parent.iterdir()))

    def test_names_a_file_that_is_no_session(self):
        self.file.write_text("Dear diary, there are more than enough bytes for a header in this file.\n")
        done = run(MODEL, str(self.file), QUESTION)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no saved session", done.stderr)

    def test_shows_its_usage(self):
        done = run(MODEL)
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage", done.stderr)


if __name__ == "__main__":
    main()
