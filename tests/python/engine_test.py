# SPDX-License-Identifier: Apache-2.0
"""Plans, engines, devices, the tokenizer and the log."""
import json
import pathlib
import unittest

import minimax
from demo import MODEL, ROOT, TEXT_MODEL, engine


class Library(unittest.TestCase):
    def test_says_what_it_is(self):
        self.assertEqual(minimax.version(), minimax.__version__)
        self.assertTrue(minimax.source_id())
        self.assertTrue(minimax.has_feature("cpu"))
        self.assertFalse(minimax.has_feature("no such feature"))

    def test_lists_devices(self):
        cpu = minimax.devices()[0]
        self.assertEqual(cpu.name, "cpu")
        self.assertGreater(cpu.memory_bytes, 0)
        self.assertGreater(cpu.core_count, 0)

    def test_logs_to_a_function_until_told_otherwise(self):
        heard = []
        minimax.set_log(lambda level, message: heard.append((level, message)), minimax.LogLevel.DEBUG)
        minimax.Engine(MODEL).close()
        minimax.set_log(None)
        minimax.Engine(MODEL).close()
        self.assertEqual([level for level, _ in heard], [minimax.LogLevel.INFO])
        self.assertIn("parameters on cpu", heard[0][1])


class Engine(unittest.TestCase):
    def test_plan_comes_before_the_engine(self):
        plan = minimax.plan(MODEL, context_limit=1000)
        self.assertEqual(plan.parameter_count, engine().info.parameter_count)
        self.assertEqual(plan.weight_bytes, engine().memory().weight_bytes)
        self.assertGreater(plan.bytes_per_session, 0)

    def test_says_what_it_is(self):
        info = engine().info
        self.assertEqual((info.model_name, info.vocabulary_size, info.device), ("MiniMax-VL-01", 8192, "cpu"))
        self.assertEqual(info.compute_type, minimax.NumberType.F32)
        self.assertIs(info.has_tokenizer, True)
        self.assertEqual(json.loads(engine().config_json()),
                         json.loads(pathlib.Path(MODEL, "config.json").read_text(encoding="utf-8")))

    def test_takes_options(self):
        with minimax.Engine(pathlib.Path(MODEL), devices=["cpu:plain"], thread_count=1,
                            kv_type=minimax.NumberType.F32, context_limit=20) as plain:
            self.assertEqual(plain.info.kv_type, minimax.NumberType.F32)
            session = minimax.Session(plain)
            with self.assertRaisesRegex(minimax.ContextFull, "20"):
                session.feed(range(100, 121))

    def test_makes_weights_up(self):
        with minimax.Engine(f"{MODEL}/config.json", weight_source=minimax.WeightSource.SYNTHETIC,
                            synthetic_seed=5) as made:
            self.assertFalse(made.info.has_tokenizer)
            with self.assertRaises(minimax.NotAvailable):
                made.tokenizer.encode("text")

    def test_tells_of_progress_and_can_be_stopped(self):
        told = []
        minimax.Engine(MODEL, progress=lambda done, total: told.append((done, total))).close()
        self.assertTrue(told)
        self.assertLessEqual(told[-1][0], told[-1][1])
        with self.assertRaises(minimax.Cancelled):
            minimax.Engine(MODEL, progress=lambda done, total: False)

    def test_counts_memory(self):
        before = engine().memory().session_count
        session = minimax.Session(engine())
        self.assertEqual(engine().memory().session_count, before + 1)
        session.close()
        self.assertEqual(engine().memory().session_count, before)

    def test_keeps_encoded_pictures(self):
        image = minimax.Image(ROOT / "models/demo/eval/pictures/135_flags.png")
        plan = engine().image_plan(*image.size)
        tiles = []
        engine().clear_image_cache()
        engine().encode_image(image, lambda done, total: tiles.append(total))
        self.assertEqual(tiles[-1], plan.tile_count)
        self.assertEqual(engine().image_cache_stats().image_count, 1)
        engine().clear_image_cache()
        self.assertEqual(engine().image_cache_stats().image_count, 0)

    def test_errors_carry_status_and_sentence(self):
        with self.assertRaisesRegex(minimax.NotFound, "no/such/model") as caught:
            minimax.Engine("no/such/model")
        self.assertEqual(caught.exception.status, minimax.Status.NOT_FOUND)
        with self.assertRaises(minimax.Unsupported):
            minimax.Engine(MODEL, compute_type=minimax.NumberType.F16)
        with self.assertRaises(minimax.NotAvailable):
            minimax.Engine(MODEL, devices=["cuda:77"])
        with minimax.Engine(TEXT_MODEL) as text, self.assertRaises(minimax.Unsupported):
            text.image_plan(10, 10)


class Tokenizer(unittest.TestCase):
    def test_text_comes_back_as_it_was(self):
        for text in ("Hello, world!", " two  spaces\n\ttab", "Grüße, 世界 🦙", "", "a\0b", "word " * 5000):
            tokens = engine().tokenizer.encode(text)
            self.assertEqual(engine().tokenizer.decode(tokens), text)
        self.assertEqual(engine().tokenizer.decode_bytes(engine().tokenizer.encode(b"\xff\xfe\xc3")), b"\xff\xfe\xc3")

    def test_markers_are_markers_only_when_asked(self):
        tokenizer = engine().tokenizer
        self.assertEqual(tokenizer.encode("<image>"), [engine().info.image_token])
        self.assertGreater(len(tokenizer.encode("<image>", plain=True)), 1)
        self.assertEqual(tokenizer.decode([engine().info.image_token]), "")
        self.assertEqual(tokenizer.decode([engine().info.image_token], special=True), "<image>")

    def test_tells_what_a_token_is(self):
        info = engine().tokenizer.token_info(engine().info.image_token)
        self.assertEqual((info.kind, info.bytes, info.is_stop), (minimax.TokenKind.SPECIAL, b"<image>", False))
        self.assertTrue(engine().tokenizer.token_info(engine().info.stop_token).is_stop)

    def test_streams_whole_characters_and_stops(self):
        text = "Grüße, 世界 🦙!"
        with engine().tokenizer.stream() as stream:
            pieces = [stream.push(token) for token in engine().tokenizer.encode(text)]
            self.assertEqual("".join(pieces) + stream.flush(), text)
        with engine().tokenizer.stream(stop=["世界"]) as stream:
            shown = "".join(stream.push(token) for token in engine().tokenizer.encode(text))
            self.assertEqual((shown, stream.stopped), ("Grüße, ", True))


if __name__ == "__main__":
    unittest.main()
