#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Streams a long answer and prints tokens a second: streaming.py MODEL TOKENS [callback]"""
import sys
import time

import minimax


def main():
    model, tokens = sys.argv[1], int(sys.argv[2])
    with minimax.Engine(model) as engine, open("/dev/null", "w", encoding="utf-8") as sink:
        session = minimax.Session(engine)
        session.feed(minimax.Prompt(engine).add_message("user", "Tell me a story.").begin_reply())

        def show(text):
            sink.write(text)
            sink.flush()

        start = time.perf_counter()
        if sys.argv[3:] == ["callback"]:
            session.run(None, max_tokens=tokens, ignore_stop_token=True, on_text=show)
        else:
            for text in session.generate(None, max_tokens=tokens, ignore_stop_token=True):
                show(text)
        print(f"{tokens / (time.perf_counter() - start):.2f}")


if __name__ == "__main__":
    main()
