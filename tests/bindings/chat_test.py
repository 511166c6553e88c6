#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chat sample of a binding beside minimax-chat: the same lines get the same answers.

    chat_test.py CHAT MINIMAX_CHAT MODEL
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

CHAT, REFERENCE, MODEL = sys.argv[1:4]
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
PICTURE, LOOK, PICTURE_ANSWER = MODEL + "/eval/pictures/173_emoji.png", "What do you see?", "The picture shows a honeybee."


def talk(program, *lines, options=()):
    arguments = [program, "--model", MODEL, "--max-tokens", "30", *options]
    done = subprocess.run(arguments, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=300,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def reference(*lines):
    return talk(REFERENCE, *lines, options=["-q"])


class Chat(unittest.TestCase):
    def expect_the_same(self, *lines):
        code, out, err = talk(CHAT, *lines)
        self.assertEqual((code, out), reference(*lines)[:2], err)
        return out.splitlines()

    def test_answers_line_by_line(self):
        self.assertEqual(self.expect_the_same(QUESTION, "", "Thank you!", "Tell me a story.")[0], ANSWER)

    def test_looks_at_pictures(self):
        lines = self.expect_the_same(f"/image {PICTURE}", LOOK, "Go on.", "/reset", f"/image {PICTURE}", LOOK)
        self.assertEqual((lines[0], lines[-1]), (PICTURE_ANSWER, PICTURE_ANSWER))

    def test_takes_back_and_says_again(self):
        self.expect_the_same(QUESTION, "Who are you?", "/retry", "/undo", f"/image {PICTURE}", LOOK, "/retry", "Why?",
                             "/undo", "/undo", "/undo", "Hello!")
        self.assertIn("nothing to take back", talk(CHAT, "/undo")[2])

    def test_system_messages_begin_anew(self):
        self.expect_the_same(QUESTION, "/system You are a pirate.", "Who are you?", "/reset", "Who are you?")

    def test_commands(self):
        code, out, err = talk(CHAT, "/nonsense", "/help", QUESTION, "/tokens", "/quit", QUESTION)
        self.assertEqual((code, out), (0, ANSWER + "\n"))
        self.assertIn("/retry", err)
        self.assertRegex(err, r"\d\d tokens")

    def test_dialogues_go_on_in_the_other_program(self):
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = f"{folder}/ours.session", f"{folder}/theirs.session"
            begin = (f"/image {PICTURE}", LOOK)
            whole = reference(*begin, "Go on.", "/quit")[1]
            said = talk(CHAT, *begin, f"/save {ours}")[1]
            self.assertEqual(said + reference(f"/load {ours}", "Go on.")[1], whole)
            said = reference(*begin, f"/save {theirs}")[1]
            self.assertEqual(said + talk(CHAT, f"/load {theirs}", "Go on.")[1], whole)
            self.assertGreater(pathlib.Path(ours).stat().st_size, 1000)

    def test_says_what_is_wrong(self):
        for line, word in (("/load no/such.session", "no/such.session"), ("/image no/such.png", "no/such.png"),
                           ("/save no/such/folder/a.session", "no/such/folder")):
            self.assertIn(word, talk(CHAT, line)[2])

    def test_ctrl_c_ends_the_answer_and_the_dialogue_goes_on(self):
        process = subprocess.Popen([CHAT, "--model", MODEL, "--max-tokens", "100000"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            process.stdin.write((QUESTION + "\n").encode())
            process.stdin.flush()
            self.assertEqual(process.stdout.readline().decode(), ANSWER + "\n")
            # Takes several seconds to read.
            process.stdin.write(("word " * 9000 + "\n").encode())
            process.stdin.flush()
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            out, err = process.communicate(f"/reset\n{QUESTION}\n".encode(), timeout=300)
        finally:
            process.kill()
        self.assertTrue(out.decode().endswith(ANSWER + "\n"), (out, err))
        self.assertTrue(err, "nobody said that the answer was cut")


if __name__ == "__main__":
    if not os.access(CHAT, os.X_OK):
        print(f"skipped: {CHAT} was not built")
        sys.exit(77)
    del sys.argv[1:4]
    unittest.main(verbosity=2)
