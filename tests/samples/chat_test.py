#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""minimax-chat as people use it: one question, a script through a pipe, a terminal with ctrl-C."""
import fcntl
import os
import pathlib
import pty
import re
import select
import shlex
import struct
import subprocess
import tempfile
import termios
import time
import unittest

from sample_program import ANSWER, BEE, BEE_ANSWER, FLAG, FLAG_ANSWER, LOOK, MODEL, PROGRAM, QUESTION, main, run

SPEEDS = re.compile(r"\[prefill (\d+) tokens, [\d.]+ t/s; decode (\d+) tokens, [\d.]+ t/s\]\r?\n")
WITHOUT_END = "Tell me a story."
FOREVER = ("--max-tokens", "0", "--temp", "1.9", "--seed", "3")


def chat(*arguments, **more):
    return run("--model", MODEL, *arguments, **more)


def tokens_read(done):
    return int(SPEEDS.search(done.stderr)[1])


class OneShot(unittest.TestCase):
    def test_answers_the_prompt_and_reports_speeds(self):
        done = chat("--prompt", QUESTION)
        self.assertEqual((done.returncode, done.stdout), (0, ANSWER + "\n"))
        self.assertRegex(done.stderr, SPEEDS)

    def test_takes_the_prompt_without_a_flag(self):
        self.assertEqual(chat("-q", QUESTION).stdout, ANSWER + "\n")
        self.assertEqual(chat("-q", *QUESTION.split()).stdout, ANSWER + "\n")

    def test_reads_the_prompt_from_a_pipe(self):
        self.assertEqual(chat("-q", "-p", "-", stdin=QUESTION).stdout, ANSWER + "\n")

    def test_says_nothing_else_when_quiet(self):
        done = chat("--quiet", "--prompt", QUESTION)
        self.assertEqual((done.stdout, done.stderr), (ANSWER + "\n", ""))

    def test_stops_at_max_tokens(self):
        done = chat("--max-tokens", "2", "--prompt", QUESTION)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(ANSWER.startswith(done.stdout.strip()))
        self.assertEqual(SPEEDS.search(done.stderr)[2], "2")
        self.assertIn("--max-tokens", done.stderr)

    def test_keeps_to_the_seed(self):
        drawn = [chat("-q", "--temp", "1.5", "--top-k", "50", "--top-p", "0.9", "--min-p", "0.01", "--repeat-penalty",
                      "1.1", "--max-tokens", "30", "--seed", seed, "-p", WITHOUT_END).stdout for seed in "778"]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])

    def test_bears_text_that_is_not_utf8(self):
        done = chat("-q", "--max-tokens", "8", "-p", "-", stdin=b"Gr\xfc\xdfe \xf0\x9f\xa6 \xff")
        self.assertEqual(done.returncode, 0)

    def test_threads_and_device(self):
        self.assertEqual(chat("-q", "--threads", "1", "--device", "cpu", "-p", QUESTION).stdout, ANSWER + "\n")


class Pictures(unittest.TestCase):
    def test_answers_about_a_picture(self):
        done = chat("--image", BEE, "--prompt", LOOK)
        self.assertEqual((done.returncode, done.stdout), (0, BEE_ANSWER + "\n"))
        self.assertRegex(done.stderr, SPEEDS)
        self.assertEqual(chat("-q", f"--image={FLAG}", "-p", LOOK).stdout, FLAG_ANSWER + "\n")

    def test_says_nothing_else_when_quiet(self):
        done = chat("-q", "--image", BEE, "-p", LOOK)
        self.assertEqual((done.stdout, done.stderr), (BEE_ANSWER + "\n", ""))

    def test_answers_as_the_readme_says(self):
        readme = (pathlib.Path(MODEL).parents[1] / "README.md").read_text(encoding="utf-8")
        shown = re.findall(r"^\$ \S+/minimax-chat (.*--image.*)\n(.*)$", readme, re.M)
        self.assertEqual(len(shown), 3)
        for command, answer in shown:
            arguments = [a.replace("models/demo", MODEL) for a in shlex.split(command)]
            self.assertEqual(run(*arguments).stdout, answer + "\n")

    def test_takes_two_pictures(self):
        """Each costs its tokens, whether it is the same picture or another."""
        one, two = (tokens_read(chat(*("--image", BEE) * count, "-p", LOOK)) for count in (1, 2))
        self.assertGreater(two - one, 100)
        self.assertEqual(tokens_read(chat("--image", BEE, "--image", FLAG, "-p", LOOK)), two)

    def test_a_command_shows_a_picture(self):
        """It belongs to the next message alone; the one after has none."""
        done = chat("-q", stdin=f"/image {BEE}\n{LOOK}\n/tokens\n{QUESTION}\n/tokens\n")
        self.assertEqual((done.returncode, done.stdout.splitlines()[0]), (0, BEE_ANSWER))
        first, second = map(int, re.findall(r"^(\d+) tokens:", done.stderr, re.M))
        self.assertGreater(first, 136)
        self.assertLess(second - first, 100)

    def test_a_command_does_what_the_flag_does(self):
        flags = chat("-q", "--image", BEE, "--image", FLAG, stdin=f"{LOOK}\n/tokens\n")
        commands = chat("-q", stdin=f"/image {BEE}\n/image {FLAG}\n{LOOK}\n/tokens\n")
        self.assertEqual((flags.returncode, flags.stdout, flags.stderr), (0, commands.stdout, commands.stderr))

    def test_pictures_in_two_messages(self):
        done = chat("-q", stdin=f"/image {BEE}\n{LOOK}\n/tokens\n/image {FLAG}\n{LOOK}\n/tokens\n")
        first, second = map(int, re.findall(r"^(\d+) tokens:", done.stderr, re.M))
        self.assertEqual((done.returncode, done.stdout.splitlines()[0]), (0, BEE_ANSWER))
        self.assertGreater(second - first, 136)

    def test_reset_forgets_a_picture(self):
        done = chat("-q", stdin=f"/image {BEE}\n/reset\n{QUESTION}\n/image {FLAG}\n/reset\n/image {BEE}\n{LOOK}\n")
        self.assertEqual(done.stdout.splitlines(), [ANSWER, BEE_ANSWER])

    def test_a_picture_that_is_not_there_ends_a_pipe(self):
        done = chat("-q", stdin=f"{QUESTION}\n/image no/such/picture.png\n{QUESTION}\n")
        self.assertEqual((done.returncode, done.stdout), (1, ANSWER + "\n"))
        self.assertIn("no/such/picture.png", done.stderr)


class Failures(unittest.TestCase):
    def check(self, done, code, *words):
        self.assertEqual((done.returncode, done.stdout), (code, ""))
        self.assertTrue(done.stderr.startswith("minimax-chat: "), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_a_model_that_is_not_there(self):
        self.check(run("--model", "no/such/model", "-p", "a"), 1, "no/such/model")

    def test_a_device_that_is_not_there(self):
        self.check(chat("--device", "tpu:0", "-p", "a"), 1, "tpu:0")

    def test_options_the_library_refuses(self):
        self.check(chat("--temp", "-1", "-p", "a"), 1, "-1")

    def test_options_that_make_no_sense(self):
        self.check(chat("--no-such-option"), 2, "no-such-option", "--help")
        self.check(chat("--temp", "warm"), 2, "warm")
        self.check(chat("--threads"), 2, "threads")

    def test_pictures_that_are_none(self):
        self.check(chat("--image", "no/such/picture.png", "-p", LOOK), 1, "no/such/picture.png")
        self.check(chat("--image", MODEL + "/config.json", "-p", LOOK), 1, "config.json")
        self.check(chat("--image"), 2, "image")

    def test_a_picture_that_does_not_fit(self):
        self.check(chat("-q", "--context", "100", "--image", BEE, "-p", LOOK), 1, "100")

    def test_a_prompt_that_does_not_fit(self):
        self.check(chat("--context", "4", "-p", QUESTION), 1, "4")

    def test_a_disk_that_is_full(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = chat("-p", QUESTION, stdout=full)
        self.assertEqual((done.returncode, done.stderr), (1, "minimax-chat: standard output cannot be written\n"))

    def test_help_and_version(self):
        self.assertIn("--prompt", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^minimax-chat \d+\.\d+\.\d+ \(.+\)\n$")


class Pipe(unittest.TestCase):
    def test_answers_line_by_line(self):
        done = chat("-q", stdin=f"{QUESTION}\n\nThank you!\n")
        lines = done.stdout.splitlines()
        self.assertEqual((done.returncode, lines[0]), (0, ANSWER))
        self.assertGreater(len(lines), 1)

    def test_a_last_line_needs_no_end_and_crlf_is_an_end(self):
        self.assertEqual(chat("-q", stdin=QUESTION).stdout, ANSWER + "\n")
        self.assertEqual(chat("-q", stdin=QUESTION + "\r\n").stdout, ANSWER + "\n")

    def test_the_second_turn_knows_the_first(self):
        """/tokens after two turns counts both; after /reset, none."""
        done = chat("-q", stdin=f"{QUESTION}\n/tokens\nThank you!\n/tokens\n/reset\n/tokens\n{QUESTION}\n")
        counts = [int(n) for n in re.findall(r"^(\d+) tokens:", done.stderr, re.M)]
        self.assertEqual(len(counts), 3, done.stderr)
        self.assertTrue(0 < counts[0] < counts[1] and counts[2] == 0, counts)
        self.assertEqual(done.stdout.splitlines()[-1], ANSWER)

    def test_a_system_message_begins_anew(self):
        with_flag = chat("-q", "--system", "You are a pirate.", stdin="Who are you?\n")
        with_command = chat("-q", stdin=f"{QUESTION}\n/system You are a pirate.\nWho are you?\n")
        self.assertEqual(with_command.stdout.splitlines()[1:], with_flag.stdout.splitlines())

    def test_commands(self):
        done = chat("-q", stdin=f"/help\n/nonsense\n/quit\n{QUESTION}\n")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("/reset", done.stderr)
        self.assertIn("/nonsense is no command", done.stderr)

    def test_a_failure_ends_it(self):
        done = chat("-q", "--context", "24", stdin=f"{QUESTION}\n{'word ' * 50}\n{QUESTION}\n")
        self.assertEqual(done.returncode, 1)
        self.assertLessEqual(len(done.stdout.splitlines()), 1)


class Branches(unittest.TestCase):
    def test_each_goes_its_own_way(self):
        """Back in the first branch, the dialogue is as if the second had never been."""
        ask = "And of Spain?"
        straight = chat("-q", stdin=f"{QUESTION}\n{ask}\n/tokens\n")
        done = chat("-q", stdin=f"{QUESTION}\n/branch other\n{WITHOUT_END}\n/branch\n/branch main\n{ask}\n/tokens\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1], straight.stdout.splitlines()[-1])
        branches = dict(re.findall(r"^[ *] (\w+): (\d+) tokens$", done.stderr, re.M))
        self.assertEqual(sorted(branches), ["main", "other"])
        self.assertLess(int(branches["main"]), int(branches["other"]))
        self.assertIn("* other", done.stderr)
        self.assertTrue(done.stderr.endswith(straight.stderr), done.stderr)

    def test_a_branch_can_undo_what_came_before_it(self):
        done = chat("-q", stdin=f"{QUESTION}\n/branch b\n/undo\n/branch\n/undo\n{QUESTION}\n/branch main\n/undo\n/branch\n")
        self.assertEqual(done.stdout.splitlines(), [ANSWER, ANSWER])
        self.assertRegex(done.stderr, r"\* b: 0 tokens\n  main: [1-9]\d* tokens\nthere is nothing to take back\n"
                         r"  b: [1-9]\d* tokens\n\* main: 0 tokens\n")


class Tokens(unittest.TestCase):
    def test_tells_what_the_dialogue_holds(self):
        done = chat("-q", stdin=f"/image {BEE}\n{LOOK}\n{QUESTION}\n/tokens\n")
        count = int(re.search(r"^(\d+) tokens:", done.stderr, re.M)[1])
        found, brought = map(int, re.search(r"last message found (\d+) tokens and brought (\d+)", done.stderr).groups())
        self.assertTrue(136 < found < found + brought < count, done.stderr)
        back = re.search(r"the last (\d+) tokens one by one, /undo to 0, (\d+)$", done.stderr, re.M)
        self.assertGreaterEqual(int(back[1]), 32)
        self.assertEqual(int(back[2]), found)
        first, last = map(int, re.search(r"^picture: tokens (\d+) to (\d+)$", done.stderr, re.M).groups())
        self.assertTrue(0 < first < last < found)
        said = re.search(r"^last tokens: '(.*)'$", done.stderr, re.M)[1].split("' '")
        self.assertEqual(len(said), 8)
        self.assertTrue((done.stdout.splitlines()[-1] + said[-1]).endswith("".join(said)), said)

    def test_of_nothing_there_is_nothing_to_tell(self):
        done = chat("-q", stdin="/tokens\n")
        self.assertRegex(done.stderr, r"\A0 tokens: .*\ncan go back: the last 0 tokens one by one\n\Z")


class Files(unittest.TestCase):
    def test_goes_on_in_another_program(self):
        """With a picture in the history, and a sampler in the middle of its random numbers."""
        warm = ("--temp", "1.2", "--seed", "7", "--max-tokens", "20")
        talk = f"/image {BEE}\n{LOOK}\n{WITHOUT_END}\n"
        whole = chat("-q", *warm, stdin=talk + "Go on.\n/tokens\n")
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/talk of the bee.session"
            first = chat("-q", *warm, stdin=talk + f"/save {file}\n")
            # Of the second program's own options the limit counts, the rest is the file's.
            second = chat("-q", "--max-tokens", "20", stdin=f"/load {file}\nGo on.\n/tokens\n/undo\n/undo\n")
        self.assertEqual(first.stdout + second.stdout, whole.stdout)
        self.assertIn(whole.stderr.splitlines()[-1], second.stderr)
        self.assertIn("nothing to take back", second.stderr)

    def test_says_what_is_wrong(self):
        done = chat("-q", stdin="/load no/such.session\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no/such.session", done.stderr)
        done = chat("-q", stdin="/save no/such/folder/talk.session\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no/such/folder/talk.session", done.stderr)


class Terminal:
    """The program in a terminal of its own."""

    def __init__(self, *arguments):
        try:
            self.master, slave = pty.openpty()
        except OSError as error:  # some containers have none
            raise unittest.SkipTest(f"no terminal to type at: {error}") from error
        # A session of its own with this terminal, so that ctrl-C typed here reaches the program.
        self.process = subprocess.Popen(["setsid", "--ctty", "--wait", PROGRAM, "--model", MODEL, *arguments],
                                        stdin=slave, stdout=slave, stderr=slave)
        self.slave = os.ttyname(slave)
        os.close(slave)
        self.seen = ""

    def type(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, pattern, timeout=300):
        """Reads until the pattern has come, and takes everything up to its end."""
        end = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen, re.S)):
            ready = select.select([self.master], [], [], max(0, end - time.monotonic()))[0]
            if not ready:
                raise AssertionError(f"'{pattern}' did not come, but {self.seen!r}")
            try:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            except OSError as closed:
                raise AssertionError(f"'{pattern}' did not come, but {self.seen!r} and the end") from closed
        taken, self.seen = self.seen[:match.end()], self.seen[match.end():]
        return taken

    def wait_until_read(self):
        """Until the program has taken the line that was echoed: ctrl-C lets the terminal forget what is unread."""
        slave = os.open(self.slave, os.O_RDONLY | os.O_NOCTTY)
        try:
            while struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, bytes(4)))[0] > 0:
                time.sleep(0.001)
        finally:
            os.close(slave)

    def interrupt(self, message):
        """Says something and presses ctrl-C at once; again when the answer was faster."""
        for _ in range(20):
            self.type(message + "\n")
            self.wait_for(re.escape(message) + "\r\n")
            self.wait_until_read()
            self.type("\x03")
            said = self.wait_for(r"\[(interrupted|ctrl-C again leaves)\].*> ")
            if "[interrupted]" in said:
                return said
        raise AssertionError("every answer was faster than ctrl-C")

    def exit_code(self):
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            os.close(self.master)


class Keyboard(unittest.TestCase):
    def test_talks(self):
        terminal = Terminal()
        self.assertIn("loading", terminal.wait_for("> "))
        terminal.type(QUESTION + "\n")
        self.assertIn(ANSWER, terminal.wait_for("> "))
        terminal.type("/quit\n")
        self.assertEqual(terminal.exit_code(), 0)

    def test_ctrl_d_leaves(self):
        terminal = Terminal()
        terminal.wait_for("> ")
        terminal.type("\x04")
        self.assertEqual(terminal.exit_code(), 0)

    def test_ctrl_c_ends_the_answer_and_keeps_the_dialogue(self):
        terminal = Terminal(*FOREVER)
        terminal.wait_for("> ")
        terminal.type(WITHOUT_END + "\n")
        terminal.wait_for(r"story\.\r\n.{40}")
        terminal.type("\x03")
        terminal.wait_for(r"\[interrupted\].*> ")
        terminal.type("/tokens\n")
        self.assertGreater(int(re.search(r"(\d+) tokens:", terminal.wait_for("values.*> "))[1]), 10)
        terminal.interrupt("And then?")
        terminal.type("\x03")
        self.assertEqual(terminal.exit_code(), 130)

    def test_ctrl_c_twice_at_the_prompt_leaves(self):
        terminal = Terminal()
        terminal.wait_for("> ")
        terminal.type("half a li\x03")
        terminal.wait_for(r"\[ctrl-C again leaves\].*> ")
        terminal.type(QUESTION + "\n")
        self.assertIn(ANSWER, terminal.wait_for("t/s\\].*> "))
        terminal.type("\x03")
        terminal.wait_for(r"\[ctrl-C again leaves\].*> ")
        terminal.type("\x03")
        self.assertEqual(terminal.exit_code(), 130)

    def test_ctrl_c_during_the_prompt_owes_the_rest_of_it(self):
        """A turn that is cut short while it is read is in the dialogue all the same."""
        for words in (4000, 12000, 25000):  # a prompt that was read before the key came was too short
            terminal = Terminal("--threads", "1", "--system", "word " * words)
            terminal.wait_for("> ")
            first, nothing = map(int, SPEEDS.search(terminal.interrupt(QUESTION)).groups())
            if first < words:
                break
            terminal.type("/quit\n")
            self.assertEqual(terminal.exit_code(), 0)
        self.assertLess(first, words)
        self.assertEqual((first % 512, nothing), (0, 0))
        terminal.type(QUESTION + "\n")
        second, answer = map(int, SPEEDS.search(terminal.wait_for(r"t/s\].*> ")).groups())
        self.assertGreater(first + second, words)
        terminal.type("/tokens\n")
        self.assertIn(f"{first + second + answer} tokens:", terminal.wait_for("values.*> "))
        terminal.type("/quit\n")
        self.assertEqual(terminal.exit_code(), 0)

    def test_shows_pictures(self):
        terminal = Terminal()
        terminal.wait_for("> ")
        terminal.type("/image no/such/picture.png\n")
        self.assertIn("minimax-chat: ", terminal.wait_for(r"picture\.png.*> $"))
        terminal.type(f"/image {BEE}\n")
        self.assertIn(f"looking at {BEE}", terminal.wait_for(r"100 %.*> $"))
        terminal.type(LOOK + "\n")
        self.assertIn(BEE_ANSWER, terminal.wait_for(r"t/s\].*> "))
        terminal.type("/quit\n")
        self.assertEqual(terminal.exit_code(), 0)

    def test_ctrl_c_keeps_a_picture_in_the_dialogue(self):
        """The picture that was cut short is owed with the rest of its turn."""
        terminal = Terminal("--threads", "1", "--system", "word " * 4000, "--image", BEE)
        terminal.wait_for("> ")
        first = int(SPEEDS.search(terminal.interrupt(LOOK))[1])
        self.assertLess(first, 4000)
        terminal.type(QUESTION + "\n")
        second = int(SPEEDS.search(terminal.wait_for(r"t/s\].*> "))[1])
        self.assertGreater(first + second, 4000 + 136)
        terminal.type("/quit\n")
        self.assertEqual(terminal.exit_code(), 0)

    def test_ctrl_c_in_a_single_answer_leaves(self):
        terminal = Terminal("-q", *FOREVER, "-p", WITHOUT_END)
        terminal.wait_for(".{3}")  # of the answer: nothing else is said
        terminal.type("\x03")
        terminal.wait_for(r"\[interrupted\]")
        self.assertEqual(terminal.exit_code(), 130)


if __name__ == "__main__":
    main()
