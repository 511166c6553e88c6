# SPDX-License-Identifier: Apache-2.0
"""The chat example as people use it, beside minimax-chat."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from demo import ANSWER, BEE, BEE_ANSWER, FLAG, FLAG_ANSWER, LOOK, MODEL, QUESTION, ROOT

CHAT = str(ROOT / "bindings/python/examples/chat.py")
IN_C = os.environ["MINIMAX_SAMPLES"] + "/minimax-chat"
PYTHON = [sys.executable, "-X", "dev", "-W", "error", CHAT]


def run(program, *arguments, stdin=""):
    return subprocess.run([*program, "--model", MODEL, *arguments], input=stdin, capture_output=True, text=True,
                          check=False, timeout=300)


def chat(*arguments, **more):
    return run(PYTHON, *arguments, **more)


class Chat(unittest.TestCase):
    def test_answers_once(self):
        done = chat(QUESTION)
        self.assertEqual((done.returncode, done.stdout), (0, ANSWER + "\n"))
        self.assertRegex(done.stderr, r"^\[prefill 26 tokens, [\d.]+ t/s; decode 9 tokens, [\d.]+ t/s\]\n$")
        done = chat("-q", "--image", FLAG, LOOK)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, FLAG_ANSWER + "\n", ""))

    def test_says_what_minimax_chat_says(self):
        talk = (f"/image {BEE}\n{LOOK}\nThank you!\n/undo\nTell me a story.\n/retry\n/reset\n{QUESTION}\n"
                "/system You are a pirate.\nWho are you?\n")
        for options in ((), ("--temp", "1.3", "--top-k", "40", "--seed", "5")):
            options += ("-q", "--max-tokens", "30")
            self.assertEqual(chat(*options, stdin=talk).stdout, run([IN_C], *options, stdin=talk).stdout)

    def test_goes_on_with_files_of_minimax_chat(self):
        with tempfile.TemporaryDirectory() as folder:
            for first, second in ((PYTHON, [IN_C]), ([IN_C], PYTHON)):
                file = f"{folder}/a talk"
                done = run(first, "-q", stdin=f"/image {BEE}\n{LOOK}\n/save {file}\nThank you!\n")
                self.assertEqual(done.stdout.splitlines()[0], BEE_ANSWER)
                again = run(second, "-q", stdin=f"/load {file}\nThank you!\n")
                self.assertEqual(BEE_ANSWER + "\n" + again.stdout, done.stdout)

    def test_commands(self):
        done = chat("-q", stdin=f"/help\n/nonsense\n/undo\n/tokens\n/quit\n{QUESTION}\n")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        for words in ("/image FILE", "/nonsense is no command", "nothing to take back", "0 tokens"):
            self.assertIn(words, done.stderr)

    def test_mistakes(self):
        done = chat("-q", stdin=f"{QUESTION}\n/image no/such/picture.png\n{QUESTION}\n")
        self.assertEqual((done.returncode, done.stdout), (1, ANSWER + "\n"))
        self.assertRegex(done.stderr, r"^chat: .*no/such/picture.png")
        done = run(PYTHON[:-1] + [CHAT, "--device", "cuda:77"], QUESTION)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith("chat: "))

    def test_ctrl_c_ends_an_answer(self):
        process = subprocess.Popen([*PYTHON, "--model", MODEL, "--temp", "1.9", "--seed", "3", "--max-tokens", "0",
                                    "Tell", "me", "a", "story."], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(process.stdout.read(1))
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, told = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertTrue(said.endswith(b"\n"))
        self.assertTrue(re.search(rb"\[interrupted\]", told), told)

    def test_is_short(self):
        with open(CHAT, encoding="utf-8") as file:
            self.assertLess(len(file.readlines()), 150)


if __name__ == "__main__":
    unittest.main()
