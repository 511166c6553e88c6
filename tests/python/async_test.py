# SPDX-License-Identifier: Apache-2.0
"""Answers in asyncio: other tasks go on meanwhile, and cancelled tasks let go of their session."""
import asyncio
import contextlib
import unittest

import minimax
from demo import ANSWER, asked, endless


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_answers(self):
        pieces = [piece async for piece in asked().generate()]
        self.assertGreater(len(pieces), 3)
        self.assertEqual("".join(pieces), ANSWER)

    async def test_other_tasks_go_on(self):
        """Two answers at once, and somebody who counts."""
        counted = 0

        async def count():
            nonlocal counted
            while True:
                counted += 1
                await asyncio.sleep(0)

        async def answer():
            return "".join([piece async for piece in asked().generate()])

        counter = asyncio.create_task(count())
        self.assertEqual(await asyncio.gather(answer(), answer()), [ANSWER, ANSWER])
        counter.cancel()
        self.assertGreater(counted, 10)

    async def test_a_task_that_is_cancelled_gives_the_session_back(self):
        session = asked()

        async def go_on():
            async for _ in endless(session):
                pass

        task = asyncio.create_task(go_on())
        await asyncio.sleep(0.1)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        del task
        for _ in range(500):  # the token that was being computed comes to its end first
            with contextlib.suppress(minimax.NotAvailable):
                session.feed([1000])
                return
            await asyncio.sleep(0.01)
        self.fail("the session was not given back")

    async def test_closing(self):
        session = asked()
        async with contextlib.aclosing(endless(session)) as generation:
            await anext(generation)
        session.feed([1000])


if __name__ == "__main__":
    unittest.main()
