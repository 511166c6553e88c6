# SPDX-License-Identifier: Apache-2.0
"""Saved sessions: paths, file objects, and files that C programs write and read."""
import io
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import minimax
from demo import ANSWER, BEE, LOOK, MODEL, QUESTION, asked, engine

SAMPLES = os.environ.get("MINIMAX_SAMPLES")


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "session")

    def test_go_on_as_the_session_would_have(self):
        session = asked(LOOK, [BEE])
        sampler = minimax.Sampler(engine(), temperature=1.5, seed=9)
        sampler.sample(session)
        session.save(self.path, sampler=sampler)
        info = minimax.session_file_info(self.path)
        self.assertEqual((info.position, info.image_count, info.has_sampler, info.model_name),
                         (session.position, 1, True, "MiniMax-VL-01"))
        other_sampler = minimax.Sampler(engine())
        other = minimax.Session.load(engine(), os.fspath(self.path), sampler=other_sampler)
        self.assertEqual(other.logits().tobytes(), session.logits().tobytes())
        self.assertEqual(other.generate(other_sampler, max_tokens=30).text(),
                         session.generate(sampler, max_tokens=30).text())

    def test_file_objects_hold_the_same_bytes(self):
        session = asked()
        session.save(self.path)
        memory = io.BytesIO(b"before")
        memory.seek(6)
        session.save(memory)
        self.assertEqual(memory.getvalue()[6:], self.path.read_bytes())
        memory.write(b"behind")
        memory.seek(6)
        self.assertEqual(minimax.Session.load(engine(), memory).generate().text(), ANSWER)
        self.assertEqual(memory.read(), b"behind")
        with open(self.path, "rb", buffering=0) as raw:
            self.assertEqual(minimax.Session.load(engine(), raw).generate().text(), ANSWER)

    def test_files_that_write_little_at_a_time(self):
        class Slow(io.BytesIO):
            def write(self, data):
                return super().write(data[:1000])

            def read(self, size):
                return super().read(min(size, 777))

        slow = Slow()
        asked().save(slow)
        slow.seek(0)
        self.assertEqual(minimax.Session.load(engine(), slow).generate().text(), ANSWER)

    def test_damaged_files_are_refused(self):
        asked().save(self.path)
        data = bytearray(self.path.read_bytes())
        self.assertRaises(minimax.BadFile, minimax.Session.load, engine(), io.BytesIO(data[:-10]))
        data[len(data) // 2] ^= 1
        self.assertRaises(minimax.BadFile, minimax.Session.load, engine(), io.BytesIO(data))
        self.assertRaises(minimax.BadFile, minimax.Session.load, engine(), io.BytesIO())
        self.assertRaises(minimax.NotFound, minimax.Session.load, engine(), self.path / "not there")
        self.assertRaises(minimax.NotFound, minimax.session_file_info, self.path / "not there")
        self.path.write_bytes(data[:100])
        self.assertRaises(minimax.BadFile, minimax.session_file_info, self.path)

    def test_what_a_file_object_raises_comes_through(self):
        class Broken:
            def write(self, _):
                raise ZeroDivisionError("of write")

            def read(self, _):
                raise ZeroDivisionError("of read")

        session = asked()
        before = session.logits().tobytes()
        with self.assertRaisesRegex(ZeroDivisionError, "of write"):
            session.save(Broken())
        with self.assertRaisesRegex(ZeroDivisionError, "of read"):
            minimax.Session.load(engine(), Broken())
        self.assertEqual(session.logits().tobytes(), before)
        self.assertRaises(TypeError, session.save, io.StringIO())
        self.assertRaises(TypeError, minimax.Session.load, engine(), io.StringIO("text"))
        self.assertRaises(AttributeError, session.save, 17)
        self.assertRaises(AttributeError, minimax.Session.load, engine(), None)

    def test_sampler_that_was_not_saved(self):
        asked().save(self.path)
        self.assertRaises(minimax.NotAvailable, minimax.Session.load, engine(), self.path,
                          sampler=minimax.Sampler(engine()))


@unittest.skipUnless(SAMPLES, "the samples are not built")
class OtherLanguages(unittest.TestCase):
    setUp = Files.setUp

    def in_c(self, message):
        """(answer, tokens before) of samples/save_and_resume.c"""
        done = subprocess.run([f"{SAMPLES}/save_and_resume", MODEL, self.path, message], check=True, capture_output=True)
        return done.stdout.decode(), int(re.match(rb"(\d+) tokens", done.stderr)[1])

    def test_c_writes_python_reads(self):
        self.assertEqual(self.in_c(QUESTION), (ANSWER + "\n", 0))
        session = minimax.Session.load(engine(), self.path)
        here = asked()
        here.generate().text()
        self.assertEqual(session.tokens(), here.tokens())
        self.assertEqual(session.logits().tobytes(), here.logits().tobytes())

    def test_python_writes_c_reads(self):
        session = asked()
        session.generate().text()
        session.save(self.path)
        answer, tokens_before = self.in_c("Thank you!")
        self.assertEqual(tokens_before, session.position)
        prompt = minimax.Prompt(engine()).end_reply(minimax.StopReason.TOKEN)
        session.feed(prompt.add_message("user", "Thank you!").begin_reply())
        self.assertEqual(session.generate().text() + "\n", answer)
        loaded = minimax.Session.load(engine(), self.path)
        self.assertEqual(loaded.logits().tobytes(), session.logits().tobytes())


if __name__ == "__main__":
    unittest.main()
