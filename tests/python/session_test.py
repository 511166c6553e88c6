# SPDX-License-Identifier: Apache-2.0
"""Sessions: feeding, answering, going back, branching, logits."""
import gc
import math
import tempfile
import unittest

import minimax
import numpy
from demo import (ANSWER, BEE, BEE_ANSWER, FLAG, FLAG_ANSWER, LOOK, MODEL, QUESTION, asked, endless, engine, question)


class Answers(unittest.TestCase):
    def test_come_piece_by_piece(self):
        session = asked()
        generation = session.generate()
        pieces = list(generation)
        self.assertGreater(len(pieces), 3)
        self.assertEqual("".join(pieces), ANSWER)
        self.assertEqual(generation.result.stop_reason, minimax.StopReason.TOKEN)
        self.assertEqual(generation.result.token_count, len(generation.tokens))
        self.assertEqual(session.tokens()[-len(generation.tokens):], generation.tokens)
        self.assertEqual(list(generation), [])

    def test_come_in_one_call_too(self):
        pieces, tokens = [], []
        result = asked().run(on_text=pieces.append, on_token=tokens.append)
        self.assertEqual(("".join(pieces), result.stop_reason), (ANSWER, minimax.StopReason.TOKEN))
        self.assertEqual(result.token_count, len(tokens))
        self.assertEqual(asked().run(max_tokens=3).stop_reason, minimax.StopReason.MAX_TOKENS)
        self.assertEqual(asked().run(on_text=lambda text: False).stop_reason, minimax.StopReason.CALLBACK)
        self.assertEqual(asked().run(on_token=lambda token: False).token_count, 1)

    def test_see_pictures(self):
        self.assertEqual(asked(LOOK, [BEE]).generate().text(), BEE_ANSWER)
        session = asked(LOOK, [FLAG])
        self.assertEqual(session.generate().text(), FLAG_ANSWER)
        span, = session.images()
        self.assertEqual(span.image_id, minimax.Image(FLAG).id)
        self.assertEqual(session.tokens()[span.position:span.position + span.token_count],
                         [engine().info.image_token] * span.token_count)

    def test_stop_where_they_are_told(self):
        session = asked()
        generation = session.generate(stop=["France", "never said"])
        self.assertEqual(generation.text(), "The capital of ")
        self.assertEqual(generation.result.stop_reason, minimax.StopReason.STRING)
        self.assertEqual(asked().run(stop=["France"]).stop_reason, minimax.StopReason.STRING)
        generation = asked().generate(max_tokens=2)
        self.assertTrue(ANSWER.startswith(generation.text()))
        self.assertEqual(len(generation.tokens), 2)
        generation = asked().generate(max_tokens=30, ignore_stop_token=True)
        generation.text()
        self.assertEqual(generation.result.token_count, 30)

    def test_stop_when_the_context_is_full(self):
        with minimax.Engine(MODEL, context_limit=40) as small, minimax.Session(small) as session:
            session.feed(minimax.Prompt(small).add_message("user", QUESTION).begin_reply())
            generation = session.generate(ignore_stop_token=True)
            generation.text()
            self.assertEqual(generation.result.stop_reason, minimax.StopReason.CONTEXT)
            self.assertEqual(session.position, 40)

    def test_may_be_left(self):
        """Whoever stops asking has the session back, after the tokens that were drawn."""
        session = asked()
        before = session.position
        for _ in endless(session):
            break
        self.assertGreater(session.position, before)
        with endless(session) as generation:
            next(generation)
            self.assertRaises(minimax.NotAvailable, session.feed, [1000])
        self.assertEqual(session.tokens()[-len(generation.tokens):], generation.tokens)
        session.feed([1000])

    def test_follow_the_seed(self):
        drawn = []
        for seed in (7, 7, 8):
            sampler = minimax.Sampler(engine(), temperature=1.5, top_k=50, top_p=0.9, min_p=0.01, seed=seed)
            drawn.append(asked().generate(sampler, max_tokens=20).text())
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])


class Feeding(unittest.TestCase):
    def test_takes_tokens_of_many_kinds(self):
        tokens = list(range(1000, 1020))
        expected = None
        for form in (tokens, tuple(tokens), iter(tokens), numpy.array(tokens, numpy.int32), numpy.array(tokens),
                     numpy.repeat(numpy.array(tokens, numpy.int32), 2)[::2]):
            session = minimax.Session(engine())
            session.feed(form)
            self.assertEqual(session.tokens(), tokens)
            logits = session.logits().copy()
            expected = logits if expected is None else expected
            numpy.testing.assert_array_equal(logits, expected)

    def test_reports(self):
        engine().clear_prefix_cache()
        session = minimax.Session(engine())
        report = session.feed(question(LOOK, [BEE]))
        self.assertEqual(report.token_count, session.position)
        self.assertEqual(report.image_count, 1)
        self.assertGreater(report.prefill_ns, 0)
        stats = session.stats()
        self.assertEqual((stats.position, stats.is_poisoned), (session.position, False))

    def test_goes_on_within_a_prompt(self):
        prompt = question()
        session = minimax.Session(engine())
        session.feed(prompt.tokens()[:5])
        session.feed(prompt, first_token=5)
        self.assertEqual(session.tokens(), prompt.tokens())
        self.assertEqual(session.tokens(5), prompt.tokens()[5:])

    def test_scores_and_rows_agree(self):
        tokens = list(range(1000, 1012))
        session = minimax.Session(engine())
        rows = session.feed_logits(tokens)
        self.assertEqual((rows.shape, rows.dtype), ((12, 8192), numpy.float32))
        numpy.testing.assert_array_equal(rows[-1], session.logits())
        session.reset()
        scores = session.score(tokens)
        self.assertTrue(math.isnan(scores[0]))
        wide = rows.astype(numpy.float64)
        expected = [wide[i, tokens[i + 1]] - numpy.log(numpy.exp(wide[i]).sum()) for i in range(11)]
        numpy.testing.assert_allclose(scores[1:], expected, atol=1e-3)  # sums in another order


class Logits(unittest.TestCase):
    def test_are_looked_at_without_a_copy(self):
        session = asked()
        logits = session.logits()
        address = logits.__array_interface__["data"][0]
        self.assertEqual(session.logits().__array_interface__["data"][0], address)
        self.assertEqual((logits.shape, logits.dtype, logits.flags.writeable), ((8192,), numpy.float32, False))
        self.assertEqual(list(session.logits_view()), logits.tolist())

    def test_show_what_the_session_does_next(self):
        session = asked()
        logits = session.logits()
        before = logits.copy()
        session.feed([1000])
        self.assertFalse(numpy.array_equal(before, logits))
        numpy.testing.assert_array_equal(logits, session.logits())

    def test_outlive_everything_else(self):
        before = engine().memory().session_count
        session = asked()
        logits, expected = session.logits(), session.logits().copy()
        session.close()
        del session
        gc.collect()
        self.assertEqual(engine().memory().session_count, before + 1)
        numpy.testing.assert_array_equal(logits, expected)
        del logits
        self.assertEqual(engine().memory().session_count, before)

    def test_are_not_there_at_first(self):
        self.assertRaises(minimax.NotAvailable, minimax.Session(engine()).logits)


class GoingBack(unittest.TestCase):
    def test_rewind(self):
        session = minimax.Session(engine(), rewind_tokens=16)
        session.feed(range(1000, 1040))
        self.assertLessEqual(session.rewind_floor, 24)
        session.rewind(10)
        self.assertEqual(session.tokens(), list(range(1000, 1030)))
        self.assertRaises(minimax.NotAvailable, session.logits)
        self.assertRaises(minimax.InvalidArgument, session.rewind, -1)
        self.assertRaises(minimax.InvalidArgument, session.rewind, 31)
        self.assertRaises(minimax.NotAvailable, minimax.Session.rewind, fed_far(), 50)

    def test_mark_and_return(self):
        session = asked()
        mark = session.mark()
        self.assertEqual(mark.info.position, session.position)
        for _ in range(2):
            self.assertEqual(session.generate().text(), ANSWER)
            session.return_to(mark)
        other = minimax.Session(engine())
        other.return_to(mark)
        session.close()
        self.assertEqual(other.generate().text(), ANSWER)

    def test_a_mark_that_moves_goes_on_to_the_bit(self):
        session = asked()
        mark, expected = session.mark(), session.logits().copy()
        kept = mark.info
        self.assertEqual((kept.home, kept.moved_bytes), (minimax.SnapshotHome.DEVICE, 0))
        session.generate().text()
        after = session.logits().copy()
        with tempfile.TemporaryDirectory() as folder:
            for home, place in ((minimax.SnapshotHome.HOST, None), (minimax.SnapshotHome.FILE, folder),
                                (minimax.SnapshotHome.HOST, None), (minimax.SnapshotHome.DEVICE, None)):
                mark.move(home, place)
                info = mark.info
                self.assertEqual(info.position, kept.position)
                if place:
                    self.assertEqual((info.home, info.state_bytes), (minimax.SnapshotHome.FILE, 0))
                    self.assertLess(0, info.moved_bytes)
                else:  # the CPU's memory is the program's
                    self.assertEqual(info, kept)
                session.return_to(mark)
                numpy.testing.assert_array_equal(session.logits(), expected)
                self.assertEqual(session.generate().text(), ANSWER)
                numpy.testing.assert_array_equal(session.logits(), after)

    def test_a_mark_that_cannot_move_stays(self):
        mark = asked().mark()
        kept = mark.info
        with self.assertRaisesRegex(minimax.NotFound, "no/such/folder"):
            mark.move(minimax.SnapshotHome.FILE, "no/such/folder")
        self.assertRaises(minimax.InvalidArgument, mark.move, minimax.SnapshotHome.FILE)
        self.assertRaises(minimax.InvalidArgument, mark.move, minimax.SnapshotHome.HOST, ".")
        self.assertRaises(minimax.InvalidArgument, mark.move, 3)
        self.assertRaises(TypeError, mark.move, None)
        self.assertRaises(TypeError, mark.move, minimax.SnapshotHome.FILE, 3)
        self.assertEqual(mark.info, kept)

    def test_fork(self):
        session = asked()
        other = session.fork()
        self.assertEqual(other.generate().text(), ANSWER)
        self.assertLess(session.position, other.position)
        self.assertEqual(session.generate().text(), ANSWER)

    def test_reset(self):
        session = asked()
        session.reset()
        self.assertEqual((session.position, session.tokens()), (0, []))


def fed_far():
    session = minimax.Session(engine(), rewind_tokens=-1)
    session.feed(range(1000, 1100))
    return session


class Samplers(unittest.TestCase):
    def test_draw_by_hand(self):
        session = asked()
        sampler = minimax.Sampler(engine(), top_logprobs=3)
        tokens = []
        while not engine().tokenizer.token_info(token := sampler.sample(session)).is_stop:
            first, *others = sampler.logprobs()
            self.assertEqual(first.token, token)
            self.assertEqual(others[0], first)
            self.assertEqual(len(others), 3)
            tokens.append(token)
            session.feed([token])
        self.assertEqual(engine().tokenizer.decode(tokens), ANSWER)

    def test_bias(self):
        session = asked()
        best = int(session.logits().argmax())
        self.assertEqual(minimax.Sampler(engine()).sample(session), best)
        self.assertNotEqual(minimax.Sampler(engine(), logit_bias={best: -math.inf}).sample(session), best)
        self.assertEqual(minimax.Sampler(engine(), logit_bias={1234: 1e4}).sample(session), 1234)

    def test_forget(self):
        session = asked()
        sampler = minimax.Sampler(engine(), temperature=2, seed=5)
        first = [sampler.sample(session) for _ in range(5)]
        sampler.reset()
        self.assertEqual([sampler.sample(session) for _ in range(5)], first)
        picky = minimax.Sampler(engine(), presence_penalty=100)
        picky.accept(int(session.logits().argmax()))
        self.assertNotEqual(picky.sample(session), int(session.logits().argmax()))


if __name__ == "__main__":
    unittest.main()
