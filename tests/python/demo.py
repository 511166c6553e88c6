# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python package begin with: the demo model, what it is asked and what it answers."""
import functools
import os
import pathlib
import sys

import minimax

MODEL = os.environ["MINIMAX_MODEL"]
ROOT = pathlib.Path(MODEL).parents[1]
TEXT_MODEL = ROOT / "tests/golden/vendor_text_8l"
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
LOOK = "What do you see?"
BEE, BEE_ANSWER = f"{MODEL}/eval/pictures/173_emoji.png", "The picture shows a honeybee."
FLAG, FLAG_ANSWER = f"{MODEL}/eval/pictures/135_flags.png", "This is the flag of Chile."
HUGE = 1 << 70

sys.dont_write_bytecode = True


@functools.cache
def engine():
    """One for all tests of a file."""
    return minimax.Engine(MODEL)


def question(text=QUESTION, images=()):
    return minimax.Prompt(engine()).add_message("user", text, images=images).begin_reply()


def asked(text=QUESTION, images=(), **options):
    """A session that stands before the answer."""
    session = minimax.Session(engine(), **options)
    session.feed(question(text, images))
    return session


def endless(session, **more):
    """An answer that does not end by itself."""
    sampler = minimax.Sampler(engine(), temperature=1.9, seed=3)
    return session.generate(sampler, ignore_stop_token=True, **more)
