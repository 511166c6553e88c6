# SPDX-License-Identifier: Apache-2.0
"""Threads: the interpreter's lock is released, answers are cancelled, and who shares a session is told so."""
import collections
import concurrent.futures
import tempfile
import threading
import time
import unittest

import minimax
from demo import ANSWER, MODEL, QUESTION, asked, endless, engine, question


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    return thread


class Cancelling(unittest.TestCase):
    def soon(self, session):
        def cancel():
            time.sleep(0.2)
            session.cancel()

        self.addCleanup(in_thread(cancel).join)

    def test_an_answer_in_one_call(self):
        session = asked()
        self.soon(session)
        said = []
        with self.assertRaises(minimax.Cancelled) as caught:
            session.run(minimax.Sampler(engine(), temperature=1.9), ignore_stop_token=True, on_text=said.append)
        result = caught.exception.result
        self.assertEqual(result.stop_reason, minimax.StopReason.CANCELLED)
        self.assertGreater(result.token_count, 0)
        self.assertEqual(session.position, len(question().tokens()) + result.token_count)
        session.feed([1000])

    def test_an_answer_piece_by_piece(self):
        session = asked()
        generation = endless(session)
        self.soon(session)
        with self.assertRaises(minimax.Cancelled) as caught:
            for _ in generation:
                pass
        self.assertEqual(caught.exception.result.token_count, len(generation.tokens))
        self.assertEqual(session.tokens()[len(question().tokens()):], generation.tokens)
        session.feed([1000])

    def test_a_prompt(self):
        with minimax.Engine(MODEL, chunk_tokens=16) as slow, minimax.Session(slow) as session:
            self.soon(session)
            with self.assertRaises(minimax.Cancelled):
                while session.position < 8000:
                    session.feed([1000] * 4000)
            self.assertEqual(session.position % 16, 0)
            session.feed([1000])

    def test_nothing(self):
        session = asked()
        session.cancel()
        self.assertEqual(session.generate().text(), ANSWER)


class Sharing(unittest.TestCase):
    def test_the_lock_is_released(self):
        """Somebody counts while an answer is computed in one call."""
        counted, done = 0, threading.Event()

        def answer():
            asked().run(max_tokens=100, ignore_stop_token=True)
            done.set()

        thread = in_thread(answer)
        while not done.is_set():
            counted += 1
            time.sleep(0.001)
        thread.join()
        self.assertGreater(counted, 20)

    def test_sessions_of_one_engine(self):
        def answer(_):
            return asked().generate().text()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(list(pool.map(answer, range(24))), [ANSWER] * 24)

    def test_a_mark_that_moves_while_others_return_to_it(self):
        mark, answered = asked().mark(), threading.Event()

        def answer(_):
            session = minimax.Session(engine())
            session.return_to(mark)
            return session.generate().text()

        def move():
            with tempfile.TemporaryDirectory() as folder:
                while not answered.is_set():
                    for home, place in ((minimax.SnapshotHome.FILE, folder), (minimax.SnapshotHome.DEVICE, None)):
                        mark.move(home, place)
                        homes.append(mark.info.home)

        homes = []
        thread = in_thread(move)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            said = list(pool.map(answer, range(24)))
        answered.set()
        thread.join()
        self.assertEqual(said, [ANSWER] * 24)
        self.assertEqual(set(homes), {minimax.SnapshotHome.FILE, minimax.SnapshotHome.DEVICE})

    def test_one_session_in_many_threads(self):
        """Each call does what it should or is refused; the session stays whole."""
        session, outcomes = asked(), collections.Counter()
        calls = [lambda: session.feed([1000]), lambda: session.run(max_tokens=5), session.logits, session.tokens,
                 session.mark, lambda: session.generate(max_tokens=3).text(), session.stats, session.fork,
                 lambda: session.score([1001])]
        start = threading.Barrier(len(calls))

        def work(call):
            start.wait()
            for _ in range(30):
                try:
                    call()
                    outcomes["done"] += 1
                except minimax.InUse:
                    outcomes["in use"] += 1
                except minimax.NotAvailable:  # an answer has the session
                    outcomes["not available"] += 1

        for thread in [in_thread(lambda call=call: work(call)) for call in calls]:
            thread.join()
        self.assertEqual(sum(outcomes.values()), 30 * len(calls))
        self.assertGreater(outcomes["done"], 0)
        self.assertGreater(outcomes["in use"], 0)
        session.reset()
        session.feed(question())
        self.assertEqual(session.generate().text(), ANSWER)

    def test_one_answer_in_many_threads(self):
        session = asked()
        generation = session.generate(max_tokens=60, ignore_stop_token=True)
        refused, pieces = [], []

        def take():
            while generation.result is None:
                try:
                    pieces.append(generation._advance())
                except minimax.InUse as error:
                    refused.append(error)

        for thread in [in_thread(take) for _ in range(4)]:
            thread.join()
        self.assertTrue(refused)
        self.assertEqual(len(generation.tokens), 60)

    def test_closing_what_another_thread_uses(self):
        for _ in range(10):
            session = asked()
            thread = in_thread(lambda s=session: s.run(max_tokens=20, ignore_stop_token=True))
            time.sleep(0.01)
            session.close()
            thread.join()
        for _ in range(10):
            session = asked()
            generation = endless(session)
            errors = []

            def go_on():
                try:
                    for _ in generation:
                        pass
                except minimax.Error as error:
                    errors.append(type(error))

            thread = in_thread(go_on)
            time.sleep(0.01)
            session.close()
            thread.join()
            self.assertIn(errors, ([minimax.Closed], [minimax.Cancelled]))

    def test_one_batch_in_many_threads(self):
        with minimax.Batch(engine(), own_thread=True) as batch:
            def submit(_):
                return batch.submit(minimax.Session(engine()), prompt=question(QUESTION))

            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                tickets = list(pool.map(submit, range(16)))
                said = collections.Counter()
                for event in batch.run():
                    said[event.ticket] += len(event.text)
            self.assertEqual(said, dict.fromkeys(tickets, len(ANSWER)))


if __name__ == "__main__":
    unittest.main()
