# SPDX-License-Identifier: Apache-2.0
"""Prompts: messages, tools, and pictures from whatever holds them."""
import io
import json
import pathlib
import sys
import unittest

import minimax
import numpy
import PIL.Image
from demo import ANSWER, BEE, FLAG, QUESTION, asked, engine, question


class Pictures(unittest.TestCase):
    def test_are_the_same_from_every_source(self):
        """Path, bytes, PIL and arrays, whatever their strides."""
        picture = PIL.Image.open(BEE).convert("RGB")
        pixels = numpy.asarray(picture)
        wide = numpy.zeros((pixels.shape[0], pixels.shape[1] + 5, 3), numpy.uint8)
        wide[:, :-5] = pixels
        encoded = pathlib.Path(BEE).read_bytes()
        sources = [BEE, pathlib.Path(BEE), encoded, bytearray(encoded), memoryview(encoded), picture, pixels,
                   wide[:, :-5], numpy.asfortranarray(pixels), pixels[::-1][::-1]]
        expected = minimax.Image(BEE)
        for source in sources:
            image = minimax.Image(source)
            self.assertEqual((image.size, image.id), (picture.size, expected.id), type(source))
        self.assertNotEqual(minimax.Image(pixels[::-1]).id, expected.id)

    def test_are_turned_upright(self):
        lying = PIL.Image.new("RGB", (30, 20), "red")
        exif = lying.getexif()
        exif[0x0112] = 6
        file = io.BytesIO()
        lying.save(file, "PNG", exif=exif)
        self.assertEqual(minimax.Image(file.getvalue()).size, (20, 30))
        self.assertEqual(minimax.Image(PIL.Image.open(file)).size, (20, 30))

    def test_palettes_and_grey_become_rgb(self):
        for mode in ("L", "P", "RGBA", "1"):
            self.assertEqual(minimax.Image(PIL.Image.new(mode, (7, 5))).size, (7, 5))

    def test_other_things_are_refused(self):
        for wrong in (None, 3, [1, 2], object(), {}):
            self.assertRaises(TypeError, minimax.Image, wrong)
        for wrong in (numpy.zeros((4, 4), numpy.uint8), numpy.zeros((4, 4, 4), numpy.uint8),
                      numpy.zeros((4, 4, 3), numpy.float32)):
            self.assertRaises(ValueError, minimax.Image, wrong)
        for wrong in (b"", b"no picture", b"\x89PNG\r\n\x1a\n"):
            self.assertRaises(minimax.BadFile, minimax.Image, wrong)
        self.assertRaises(minimax.InvalidArgument, minimax.Image, numpy.zeros((0, 4, 3), numpy.uint8))
        self.assertRaises(minimax.NotFound, minimax.Image, "no/such/picture.png")


class Prompts(unittest.TestCase):
    def test_messages_have_many_forms(self):
        plain = question().tokens()
        self.assertEqual(minimax.Prompt(engine()).add_message(minimax.Role.USER, QUESTION.encode())
                         .begin_reply().tokens(), plain)
        messages = [{"role": "user", "content": QUESTION}]
        for form in (messages, json.dumps(messages), tuple(messages)):
            self.assertEqual(minimax.Prompt(engine()).add_messages(form).begin_reply().tokens(), plain)

    def test_pictures_in_messages(self):
        by_hand = question("Which?", [BEE, FLAG]).tokens()
        parts = [{"type": "image", "image": BEE}, {"type": "image_url", "image": minimax.Image(FLAG)},
                 {"type": "text", "text": "Which?"}]
        messages = [{"role": "user", "content": parts}]
        self.assertEqual(minimax.Prompt(engine()).add_messages(messages).begin_reply().tokens(), by_hand)
        self.assertEqual(parts[0]["image"], BEE)

    def test_tools_and_formats(self):
        tools = [{"name": "weather", "description": "Grüße", "parameters": {}}]
        prompt = minimax.Prompt(engine(), minimax.ChatFormat.TEXT_01).set_tools(tools)
        prompt.add_message("user", "Is it raining?").begin_reply()
        self.assertIn('"weather"', prompt.text())
        self.assertIn("Grüße", prompt.text())
        prompt.clear().set_tools(json.dumps(tools)).add_message("tool", "rain", name="weather").begin_reply()
        self.assertIn("rain", prompt.text())

    def test_plain_pieces(self):
        image = engine().info.image_token
        prompt = minimax.Prompt(engine()).add_text("<image>", plain=True).add_tokens([1000, 1001])
        self.assertEqual(prompt.tokens()[-2:], [1000, 1001])
        self.assertNotIn(image, prompt.tokens())

    def test_a_second_turn_follows(self):
        session = asked()
        self.assertEqual(session.generate().text(), ANSWER)
        prompt = minimax.Prompt(engine()).end_reply(minimax.StopReason.TOKEN)
        session.feed(prompt.add_message("user", "Thank you!").begin_reply())
        at_once = minimax.Prompt(engine()).add_message("user", QUESTION).add_message("assistant", ANSWER)
        self.assertEqual(session.tokens(), at_once.add_message("user", "Thank you!").begin_reply().tokens())

    def test_roles_are_known(self):
        with self.assertRaisesRegex(ValueError, "system, user, assistant, tool"):
            minimax.Prompt(engine()).add_message("nobody", "Hello!")
        with self.assertRaises(minimax.InvalidArgument):
            minimax.Prompt(engine()).add_message(17, "Hello!")


class Imports(unittest.TestCase):
    def test_neither_numpy_nor_pil_is_needed(self):
        """Text and picture with both forbidden."""
        import subprocess
        program = ("import sys; sys.modules['numpy'] = sys.modules['PIL'] = None; import demo; "
                   "s = demo.asked(demo.LOOK, [demo.BEE]); assert s.logits_view().format == 'f'; "
                   "assert s.generate().text() == demo.BEE_ANSWER")
        folder = pathlib.Path(__file__).parent
        subprocess.run([sys.executable, "-c", program], check=True, cwd=folder)


if __name__ == "__main__":
    unittest.main()
