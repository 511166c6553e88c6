# SPDX-License-Identifier: Apache-2.0
"""Prompts that begin alike: what is reused of them, what is told of it, and that answers stay the same."""
import unittest

import minimax
import numpy
from demo import ANSWER, BEE, BEE_ANSWER, FLAG, LOOK, MODEL, QUESTION, engine, question
from minimax import CachePolicy, MissReason

SYSTEM = "You are a helpful assistant who answers every question in one short and friendly sentence."


def dialogue(last):
    """A whole conversation, as a program hands it over at its second turn."""
    prompt = minimax.Prompt(engine()).add_message("system", SYSTEM).add_message("user", QUESTION)
    return prompt.add_message("assistant", ANSWER).add_message("user", last).begin_reply()


def fed(first, cut, last):
    """A session that was fed the same pieces by hand: one text, taken back up to the cut, then the end of another."""
    session = minimax.Session(engine(), cache_policy=CachePolicy.OFF)
    session.feed(first)
    session.rewind(len(first) - cut)
    session.feed(last[cut:])
    return session


class SetPrompt(unittest.TestCase):
    def setUp(self):
        engine().clear_prefix_cache()

    def expect_same(self, session, other):
        self.assertEqual(session.tokens(), other.tokens())
        numpy.testing.assert_array_equal(session.logits(), other.logits())
        self.assertEqual(session.generate(max_tokens=20).text(), other.generate(max_tokens=20).text())

    def test_computes_an_edited_turn_and_no_more(self):
        session = minimax.Session(engine())
        report = session.set_prompt(dialogue("What is red?"))
        self.assertEqual((report.tokens_reused, report.miss_reason), (0, MissReason.NEW))
        session.generate(max_tokens=5).text()
        edited = dialogue("What is blue?")
        before, tokens = dialogue("What is red?").tokens(), edited.tokens()
        report = session.set_prompt(edited)
        self.assertEqual((report.token_count, report.miss_reason), (len(tokens), MissReason.DIVERGED))
        self.assertEqual(report.tokens_reused, report.diverged_at)
        self.assertEqual(tokens[:report.diverged_at], before[:report.diverged_at])
        self.assertNotEqual(tokens[report.diverged_at], before[report.diverged_at])
        self.expect_same(session, fed(before, report.tokens_reused, tokens))

    def test_takes_what_another_session_left(self):
        prompt = question(LOOK, [BEE])
        alone = minimax.Session(engine(), cache_policy=CachePolicy.OFF)
        self.assertEqual(alone.set_prompt(prompt).miss_reason, MissReason.DISABLED)
        minimax.Session(engine()).set_prompt(prompt)
        session = minimax.Session(engine(), cache_policy=CachePolicy.NO_STORE)
        report = session.set_prompt(prompt)
        self.assertEqual((report.tokens_reused, report.prefill_ns), (report.token_count, 0))
        self.assertEqual((report.images_reused, report.miss_reason), (1, MissReason.NONE))
        numpy.testing.assert_array_equal(session.logits(), alone.logits())
        self.assertEqual(session.generate().text(), BEE_ANSWER)
        session.reset()
        self.assertEqual(session.feed(prompt).tokens_reused, report.token_count)
        self.assertEqual(session.set_prompt(question(LOOK, [FLAG])).miss_reason, MissReason.IMAGE_DIFFERS)

    def test_takes_tokens(self):
        session, before = minimax.Session(engine()), list(range(1000, 1090))
        tokens = before[:-1] + [2000]
        self.assertEqual(session.set_tokens(numpy.array(before, numpy.int32)).miss_reason, MissReason.NEW)
        report = session.set_tokens(tokens)
        self.assertEqual((report.tokens_reused, report.diverged_at, report.miss_reason), (89, 89, MissReason.DIVERGED))
        self.expect_same(session, fed(before, 89, tokens))

    def test_tells_why_it_computed(self):
        tokens = list(range(1000, 1200))
        minimax.Session(engine()).set_tokens(tokens)
        report = minimax.Session(engine()).set_tokens(tokens[:100] + [2000] * 20)
        self.assertEqual((report.tokens_reused, report.diverged_at, report.miss_reason),
                         (0, 100, MissReason.NO_CHECKPOINT))
        report = minimax.Session(engine()).set_tokens(tokens[:100] + [3000] * 20)
        self.assertEqual((report.tokens_reused, report.miss_reason), (100, MissReason.DIVERGED))
        with minimax.Engine(MODEL, prefix_cache_bytes_limit=-1) as without:
            session = minimax.Session(without)
            self.assertEqual(session.set_tokens(tokens).miss_reason, MissReason.DISABLED)
            self.assertEqual(without.prefix_cache_stats().limit_bytes, 0)
            self.assertEqual(minimax.plan(MODEL, prefix_cache_bytes_limit=-1).weight_bytes,
                             without.info.weight_bytes)

    def test_leaves_the_session_as_it_was_after_a_mistake(self):
        session = minimax.Session(engine())
        session.feed([1000, 1001])
        for wrong in ([], [-1], [8192]):
            self.assertRaises(minimax.InvalidArgument, session.set_tokens, wrong)
        for wrong in (None, [1000], "text"):
            self.assertRaises(TypeError, session.set_prompt, wrong)
        with minimax.Engine(MODEL) as other:
            self.assertRaises(minimax.WrongModel, minimax.Session(other).set_prompt, question())
        self.assertEqual(session.tokens(), [1000, 1001])
        self.assertRaises(minimax.InvalidArgument, minimax.Session, engine(), cache_policy=3)
        self.assertRaises(minimax.InvalidArgument, minimax.Engine, MODEL, prefix_cache_bytes_limit=-2)


class Batches(unittest.TestCase):
    def test_reuse_and_tell(self):
        engine().clear_prefix_cache()
        ends = []
        for last in ("What is red?", "What is red?", "What is blue?"):
            batch = minimax.Batch(engine())
            batch.submit(minimax.Session(engine()), prompt=dialogue(last), max_tokens=3)
            ends.append(list(batch.run())[-1])
        count = len(dialogue("What is red?").tokens())
        self.assertEqual([end.miss_reason for end in ends], [MissReason.NEW, MissReason.NONE, MissReason.DIVERGED])
        self.assertEqual([end.tokens_reused for end in ends[:2]], [0, count])
        self.assertEqual(ends[2].tokens_reused, ends[2].diverged_at)
        self.assertLess(0, ends[2].diverged_at)


class Pins(unittest.TestCase):
    def test_stay_until_they_are_taken_back(self):
        engine().clear_prefix_cache()
        prefix = minimax.Prompt(engine()).add_message("system", SYSTEM)
        self.assertRaises(minimax.NotFound, engine().unpin_prefix, prefix)
        report = engine().pin_prefix(prefix, rewind_tokens=64)
        self.assertEqual((report.token_count, report.miss_reason), (len(prefix.tokens()), MissReason.NEW))
        stats = engine().prefix_cache_stats()
        self.assertEqual((stats.pinned_count, stats.snapshot_count), (1, 1))
        self.assertLess(0, stats.bytes)
        self.assertEqual(engine().memory().prefix_cache_bytes, stats.bytes - stats.kv_bytes)
        self.assertEqual(minimax.Session(engine(), rewind_tokens=64).set_prompt(dialogue("Hello!")).tokens_reused,
                         report.token_count)
        self.assertEqual(minimax.Session(engine()).set_prompt(dialogue("Hello!")).tokens_reused, 0)
        self.assertRaises(minimax.NotFound, engine().unpin_prefix, prefix)
        engine().unpin_prefix(prefix, rewind_tokens=64)
        stats = engine().prefix_cache_stats()
        self.assertEqual(stats.pinned_count, 0)
        self.assertLess(1, stats.snapshot_count)
        engine().clear_prefix_cache()
        self.assertEqual(engine().prefix_cache_stats().snapshot_count, 0)

    def test_refuse_mistakes(self):
        for wrong in (None, [1000], "text"):
            self.assertRaises(TypeError, engine().pin_prefix, wrong)
            self.assertRaises(TypeError, engine().unpin_prefix, wrong)
        with minimax.Engine(MODEL, prefix_cache_bytes_limit=-1) as without:
            prompt = minimax.Prompt(without).add_text("text")
            self.assertRaises(minimax.NotAvailable, without.pin_prefix, prompt)
            self.assertRaises(minimax.WrongModel, without.pin_prefix, question())


if __name__ == "__main__":
    unittest.main()
