# SPDX-License-Identifier: Apache-2.0
"""Mistakes: wrong types and numbers, closed things, callbacks that raise, objects that go in any order."""
import gc
import itertools
import math
import subprocess
import sys
import unittest

import minimax
import numpy
from demo import ANSWER, HUGE, MODEL, QUESTION, TEXT_MODEL, asked, endless, engine, question

NO_NUMBERS = (None, "1", b"1", 1.5, [], object(), math.nan)


class Types(unittest.TestCase):
    def test_handles(self):
        session, sampler, prompt = asked(), minimax.Sampler(engine()), question()
        for wrong in (None, 3, "engine", object(), session, minimax.Engine):
            for make in (minimax.Session, minimax.Prompt, minimax.Sampler, minimax.Batch, minimax.Tokenizer,
                         minimax.TextStream):
                self.assertRaises(TypeError, make, wrong)
            self.assertRaises(TypeError, minimax.Session.load, wrong, "file")
        for wrong in (3, "sampler", object(), prompt, engine()):
            self.assertRaises(TypeError, session.generate, wrong)
            self.assertRaises(TypeError, session.run, wrong)
            self.assertRaises(TypeError, session.save, "file", sampler=wrong)
            self.assertRaises(TypeError, session.return_to, wrong)
            self.assertRaises(TypeError, sampler.sample, wrong)
            self.assertRaises(TypeError, engine().encode_image, wrong)
            self.assertRaises(TypeError, minimax.Batch(engine()).submit, wrong)
        self.assertEqual(session.generate().text(), ANSWER)

    def test_text(self):
        for wrong in (None, 3, 1.5, [], ["text"], object()):
            self.assertRaises(TypeError, engine().tokenizer.encode, wrong)
            self.assertRaises(TypeError, minimax.Prompt(engine()).add_message, "user", wrong)
            self.assertRaises(TypeError, minimax.Prompt(engine()).add_text, wrong)
            self.assertRaises(TypeError, minimax.Engine, wrong)
            self.assertRaises(TypeError, minimax.plan, wrong)
        for wrong in (None, 3, object(), "no JSON", "{}", {"a": object()}):
            self.assertRaises((TypeError, minimax.InvalidArgument), minimax.Prompt(engine()).set_tools, wrong)
        self.assertRaises(UnicodeEncodeError, engine().tokenizer.encode, "\ud800")
        for function in (minimax.Engine, minimax.plan, minimax.session_file_info):
            self.assertRaises(ValueError, function, "a\0b")
        self.assertRaises(minimax.InvalidArgument, minimax.Prompt(engine()).add_messages, "no JSON")
        self.assertRaises(minimax.InvalidArgument, minimax.Prompt(engine()).add_messages, "{}")

    def test_stop_strings(self):
        for wrong in ("one string", b"bytes", [3], [None], 3):
            self.assertRaises(TypeError, asked().generate, stop=wrong)
        self.assertRaises(ValueError, asked().generate, stop=["a\0b"])
        self.assertRaises(minimax.InvalidArgument, asked().generate, stop=[""])
        self.assertRaises(minimax.InvalidArgument, asked().generate, stop=["a"] * 65)

    def test_tokens(self):
        session = asked()
        before = session.position
        feeds = (session.feed, session.score, session.feed_logits, session.set_tokens,
                 minimax.Prompt(engine()).add_tokens, engine().tokenizer.decode)
        for feed in feeds:
            for wrong in (None, 3, "12", b"12", ["1"], [None], [1.5], [[1]], object(), numpy.ones((2, 2), numpy.int32),
                          numpy.ones(3, numpy.float32)):
                self.assertRaises(TypeError, feed, wrong)
            for wrong in ([-1], [8192], numpy.array([-1], numpy.int32), numpy.array([1, 8192])):
                self.assertRaises(minimax.InvalidArgument, feed, wrong)
            for wrong in ([HUGE], [1 << 31], [-HUGE], numpy.array([1 << 40])):
                self.assertRaises(OverflowError, feed, wrong)
        for feed in feeds[:4]:
            self.assertRaises(minimax.InvalidArgument, feed, [])
        self.assertEqual(session.position, before)

    def test_numbers(self):
        session = asked()
        takers = {
            "rewind_tokens": lambda n: minimax.Session(engine(), rewind_tokens=n),
            "cache_policy": lambda n: minimax.Session(engine(), cache_policy=n),
            "prefix_cache_bytes_limit": lambda n: minimax.Engine(MODEL, prefix_cache_bytes_limit=n),
            "home": session.mark().move, "thread_count": lambda n: minimax.Engine(MODEL, thread_count=n),
            "max_tokens": lambda n: session.generate(max_tokens=n),
            "token_count": session.rewind, "first": session.tokens, "token": engine().tokenizer.token_info,
            "width": lambda n: engine().image_plan(n, 10), "priority": lambda n: minimax.Batch(engine()).submit(
                session, priority=n),
        }
        for name, take in takers.items():
            for wrong in NO_NUMBERS:
                with self.assertRaises(TypeError, msg=f"{name} {wrong}"):
                    take(wrong)
            for wrong in (HUGE, -HUGE):
                with self.assertRaises(OverflowError, msg=name) as caught:
                    take(wrong)
                self.assertIn(name, str(caught.exception))
            with self.assertRaises(minimax.Error, msg=name):
                take(-777)
        self.assertEqual(session.generate().text(), ANSWER)

    def test_floats(self):
        for wrong in (math.nan, math.inf, -1, 1e300):
            self.assertRaises(minimax.InvalidArgument, minimax.Sampler, engine(), temperature=wrong)
        for wrong in (None, "1", []):
            self.assertRaises(TypeError, minimax.Sampler, engine(), temperature=wrong)
            self.assertRaises(TypeError, minimax.Sampler, engine(), logit_bias={5: wrong})
        self.assertRaises(TypeError, minimax.Sampler, engine(), logit_bias=3)
        self.assertRaises(minimax.InvalidArgument, minimax.Sampler, engine(), logit_bias={8192: 1.0})
        self.assertRaises(OverflowError, minimax.Sampler, engine(), logit_bias={HUGE: 1.0})

    def test_objects_without_their_beginning(self):
        for kind in (minimax.Engine, minimax.Session, minimax.Prompt, minimax.Sampler, minimax.Image,
                     minimax.Snapshot, minimax.Batch, minimax.TextStream):
            bare = kind.__new__(kind)
            self.assertTrue(bare.closed)
            self.assertRaises(minimax.Closed, bare.__enter__)
            bare.close()
        self.assertRaises(minimax.Closed, minimax.Session.__new__(minimax.Session).feed, [1])


class Closed(unittest.TestCase):
    def test_everything_says_that_it_is_closed(self):
        prompt, sampler, session = question(), minimax.Sampler(engine()), asked()
        image, stream, batch = minimax.Image(numpy.zeros((9, 9, 3), numpy.uint8)), engine().tokenizer.stream(), \
            minimax.Batch(engine())
        snapshot, own = session.mark(), minimax.Engine(MODEL)
        calls = {
            prompt: [prompt.tokens, prompt.text, prompt.clear, prompt.begin_reply, lambda: asked().feed(prompt)],
            sampler: [sampler.reset, lambda: sampler.sample(asked()), lambda: asked().generate(sampler)],
            image: [lambda: image.size, lambda: image.id, lambda: question(images=[image])],
            stream: [stream.flush, lambda: stream.push(1000)],
            batch: [batch.step, batch.next_event, batch.stats, lambda: batch.submit(asked()), lambda: batch.cancel(1)],
            snapshot: [lambda: snapshot.info, lambda: snapshot.move(minimax.SnapshotHome.HOST),
                       lambda: asked().return_to(snapshot)],
            session: [lambda: session.position, session.tokens, session.logits,
                      session.stats, session.mark, session.fork, session.reset, session.cancel, session.generate,
                      session.run, lambda: session.feed([1]), lambda: session.feed(question()),
                      lambda: session.set_prompt(question()), lambda: session.set_tokens([1]),
                      lambda: session.rewind(1), lambda: session.save("file"), session.images],
            own: [lambda: own.info, own.memory, own.config_json, own.prefix_cache_stats, own.clear_prefix_cache,
                  lambda: own.pin_prefix(question()), lambda: own.unpin_prefix(question()),
                  lambda: minimax.Session(own),
                  lambda: minimax.Prompt(own), lambda: own.tokenizer.encode("a"), lambda: minimax.Batch(own),
                  lambda: minimax.Session.load(own, "file")],
        }
        for thing, functions in calls.items():
            thing.close()
            thing.close()
            for function in functions:
                with self.assertRaisesRegex(minimax.Closed, "is closed"):
                    function()

    def test_sessions_live_on_without_their_engine(self):
        own = minimax.Engine(MODEL)
        prompt = minimax.Prompt(own).add_message("user", QUESTION).begin_reply()
        with own:
            session = minimax.Session(own)
        session.feed(prompt)
        self.assertEqual(session.generate().text(), ANSWER)

    def test_a_session_that_is_closed_in_its_answer(self):
        session = asked()
        generation = endless(session)
        next(generation)
        session.close()
        self.assertRaises(minimax.Closed, next, generation)
        generation.close()
        self.assertRaises(StopIteration, next, generation)


class AnyOrder(unittest.TestCase):
    def test_of_going(self):
        """An engine and seven things of it, in many orders, each with and without close()."""
        orders = list(itertools.permutations(range(7)))[::211]
        for number, order in enumerate(orders):
            own = minimax.Engine(TEXT_MODEL)
            session = minimax.Session(own)
            session.feed([1, 2, 3])
            batch = minimax.Batch(own, own_thread=number % 3 == 0)
            fork = session.fork()
            things = [own, session, session.mark(), minimax.Sampler(own), batch, session.generate(max_tokens=3), fork]
            batch.submit(fork, max_tokens=2)
            del own, session, batch, fork
            for index in order:
                if number % 2:
                    things[index].close()
                things[index] = None

    def test_in_circles(self):
        gc.collect()
        before = engine().memory().session_count
        for _ in range(20):
            session = asked()
            session.itself = [session, session.logits(), session.mark(), endless(session)]
            next(session.itself[3])
            del session
        gc.collect()
        self.assertEqual(engine().memory().session_count, before)

    def test_at_the_end_of_the_program(self):
        """With everything open, a thread of the library's at work and an answer half way."""
        program = ("import demo, minimax; s = demo.asked(); g = demo.endless(s); next(g); l = s2 = demo.asked(); "
                   "b = minimax.Batch(demo.engine(), own_thread=True); b.submit(s2, ignore_stop_token=True); "
                   "b.step(0.05); minimax.set_log(print, minimax.LogLevel.DEBUG); "
                   "import builtins; builtins.keep = (s, g, l, b, demo.asked().logits())")
        done = subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", program], capture_output=True,
                              text=True, check=False, timeout=120, cwd=sys.path[0])
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Callbacks(unittest.TestCase):
    def check(self, call):
        """What a callback raises comes out of the call, whatever it is."""
        def broken(*_):
            raise kind("of the callback")

        for kind in (ZeroDivisionError, KeyboardInterrupt, SystemExit, minimax.Cancelled, StopIteration):
            with self.assertRaisesRegex(kind, "of the callback"):
                call(broken)

    def test_that_raise(self):
        image = minimax.Image(numpy.zeros((50, 50, 3), numpy.uint8))
        engine().clear_image_cache()
        self.check(lambda broken: minimax.Engine(MODEL, progress=broken))
        self.check(lambda broken: engine().encode_image(image, broken))
        self.check(lambda broken: asked().run(on_text=broken))
        self.check(lambda broken: asked().run(on_token=broken))
        self.assertEqual(asked().generate().text(), ANSWER)

    def test_that_are_no_functions(self):
        self.assertRaises(TypeError, asked().run, on_text=3)
        self.assertRaises(TypeError, minimax.Engine, MODEL, progress=3)
        self.assertRaises(TypeError, minimax.set_log, 3)

    def test_that_call_back(self):
        """Into the same session: InUse. Into others, and cancel(): as ever."""
        session, other, seen = asked(), asked(), []

        def call_back(text):
            for again in (session.run, session.logits, lambda: session.feed([1]), session.generate):
                with self.assertRaises(minimax.InUse):
                    again()
            seen.append(other.generate(max_tokens=1).text())
            if len(seen) == 3:
                session.cancel()
            gc.collect()

        with self.assertRaises(minimax.Cancelled) as caught:
            session.run(on_text=call_back)
        self.assertEqual(caught.exception.result.stop_reason, minimax.StopReason.CANCELLED)
        self.assertEqual(len(seen), 3)
        session.feed([1000])

    def test_that_close(self):
        session = asked()
        session.run(on_text=lambda text: session.close())
        self.assertTrue(session.closed)

    def test_log_that_raises(self):
        """There is nobody to catch it: it is shown, and the call goes on."""
        program = ("import demo, minimax\ndef log(level, message): raise ZeroDivisionError('of log')\n"
                   "minimax.set_log(log, minimax.LogLevel.DEBUG); demo.engine(); print('went on')")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                              cwd=sys.path[0])
        self.assertEqual(done.stdout, "went on\n")
        self.assertIn("of log", done.stderr)


class WrongModel(unittest.TestCase):
    def test_things_of_another_engine(self):
        with minimax.Engine(TEXT_MODEL) as other:
            session = minimax.Session(other)
            self.assertRaises(minimax.WrongModel, session.feed, question())
            self.assertRaises(minimax.WrongModel, session.return_to, asked().mark())
            session.feed([1])
            self.assertRaises(minimax.WrongModel, minimax.Batch(engine()).submit, session)
            self.assertRaises(minimax.Error, minimax.Sampler(engine()).sample, session)


if __name__ == "__main__":
    unittest.main()
