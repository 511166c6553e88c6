# SPDX-License-Identifier: Apache-2.0
"""Many sessions together."""
import asyncio
import gc
import unittest

import minimax
from demo import ANSWER, BEE, BEE_ANSWER, LOOK, QUESTION, asked, engine, question

WORK = [(QUESTION, (), ANSWER), (LOOK, (BEE,), BEE_ANSWER), (QUESTION, (), ANSWER)]


def submit_all(batch):
    return {batch.submit(minimax.Session(engine()), prompt=question(text, images)): answer
            for text, images, answer in WORK}


def gather(said, event):
    said[event.ticket] = said.get(event.ticket, "") + event.text


class Batches(unittest.TestCase):
    def test_answer_each_as_if_alone(self):
        for own_thread in (False, True):
            with minimax.Batch(engine(), own_thread=own_thread) as batch:
                expected, said = submit_all(batch), {}
                for event in batch.run():
                    gather(said, event)
                self.assertEqual(said, expected)
                stats = batch.stats()
                self.assertEqual((stats.finished_count, stats.submitted_count, stats.event_count), (3, 3, 0))

    def test_answer_to_asyncio(self):
        async def main():
            said = {}
            with minimax.Batch(engine()) as batch:
                expected = submit_all(batch)
                async for event in batch.arun():
                    gather(said, event)
            self.assertEqual(said, expected)

        asyncio.run(main())

    def test_tell_what_happens(self):
        batch = minimax.Batch(engine(), session_limit=1)
        session = minimax.Session(engine())
        first = batch.submit(session, tokens=question().tokens(), sampler=minimax.Sampler(engine()), max_tokens=3)
        second = batch.submit(minimax.Session(engine()), prompt=question(), feeds_only=True, priority=-5)
        self.assertRaises(minimax.NotAvailable, session.feed, [1000])
        events = list(batch.run())
        kinds = minimax.EventKind
        self.assertEqual([event.kind for event in events if event.ticket == first],
                         [kinds.STARTED, kinds.TOKEN, kinds.TOKEN, kinds.TOKEN, kinds.FINISHED])
        self.assertEqual([event.kind for event in events if event.ticket == second],
                         [kinds.QUEUED, kinds.STARTED, kinds.FINISHED])
        queued = next(event for event in events if event.kind == kinds.QUEUED)
        self.assertEqual(queued.wait_reason, minimax.WaitReason.SESSIONS)
        self.assertTrue(queued.message)
        last = [event for event in events if event.ticket == first][-1]
        self.assertEqual((last.stop_reason, last.token_count, last.session), (minimax.StopReason.MAX_TOKENS, 3, session))
        self.assertIsNone(batch.next_event())
        self.assertEqual(session.generate().text(), ANSWER.removeprefix("The capital of"))

    def test_cancel(self):
        batch = minimax.Batch(engine())
        session = asked()
        ticket = batch.submit(session, ignore_stop_token=True)
        batch.step()
        batch.cancel(ticket)
        self.assertEqual(list(batch.run())[-1].kind, minimax.EventKind.CANCELLED)
        self.assertRaises(minimax.NotFound, batch.cancel, ticket)
        session.feed([1000])

    def test_keep_sessions_that_nobody_else_keeps(self):
        batch = minimax.Batch(engine())
        batch.submit(asked())
        gc.collect()
        self.assertEqual("".join(event.text for event in batch.run()), ANSWER)

    def test_end_with_everything_in_them(self):
        session = asked()
        batch = minimax.Batch(engine(), own_thread=True)
        batch.submit(session, ignore_stop_token=True)
        batch.step(0.01)
        batch.close()
        del batch
        session.feed([1000])

    def test_refuse_mistakes(self):
        batch = minimax.Batch(engine())
        self.assertRaises(minimax.NotAvailable, batch.submit, minimax.Session(engine()))
        self.assertRaises(minimax.InvalidArgument, batch.submit, asked(), priority=101)
        self.assertRaises(minimax.InvalidArgument, batch.submit, asked(), tokens=[1], prompt=question())
        self.assertRaises(minimax.InvalidArgument, batch.submit, asked(), feeds_only=True)
        self.assertRaises(minimax.InvalidArgument, minimax.Batch, engine(), session_limit=-1)
        self.assertRaises(OverflowError, minimax.Batch, engine(), session_limit=1 << 40)
        self.assertEqual(list(batch.run()), [])


if __name__ == "__main__":
    unittest.main()
