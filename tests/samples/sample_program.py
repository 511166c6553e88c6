# SPDX-License-Identifier: Apache-2.0
"""Runs a sample program for the tests beside it: each takes the program and the demo model."""
import subprocess
import sys
import unittest

PROGRAM, MODEL = sys.argv[1:3]
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
LOOK = "What do you see?"
BEE, BEE_ANSWER = MODEL + "/eval/pictures/173_emoji.png", "The picture shows a honeybee."
FLAG, FLAG_ANSWER = MODEL + "/eval/pictures/135_flags.png", "This is the flag of Chile."


def run(*arguments, stdin="", stdout=subprocess.PIPE, timeout=300):
    """The finished process, its output as text."""
    stdin = stdin if isinstance(stdin, bytes) else stdin.encode()
    done = subprocess.run([PROGRAM, *arguments], input=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=timeout,
                          check=False)
    done.stdout, done.stderr = (done.stdout or b"").decode(), done.stderr.decode()
    return done


def main():
    del sys.argv[1:3]
    unittest.main(verbosity=2)
