#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What streaming through Python costs: tokens a second of the package and of minimax-chat, in turn, on one answer.

    bench_stream.py MINIMAX_CHAT MODEL [--pairs N] [--tokens N] [--threads N]
"""

import argparse
import os
import re
import statistics
import subprocess
import time

import minimax

QUESTION, TEMPERATURE, SEED = "Tell me a story.", 1.9, 3  # an answer that does not end soon


def in_c(options):
    done = subprocess.run(
        [options.minimax_chat, "-m", options.model, "--temp", str(TEMPERATURE), "--seed", str(SEED), "--max-tokens",
         str(options.tokens), "--threads", str(options.threads), QUESTION],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    count, speed = re.search(rb"decode (\d+) tokens, ([\d.]+) t/s", done.stderr).groups()
    return done.stdout.decode().removesuffix("\n"), int(count), float(speed)


def in_python(way, engine, options, sink):
    """The same: each piece of text is written, and flushed, as it comes."""
    session, said = minimax.Session(engine), []
    session.feed(minimax.Prompt(engine).add_message("user", QUESTION).begin_reply())
    sampler = minimax.Sampler(engine, temperature=TEMPERATURE, seed=SEED)

    def show(text):
        sink.write(text)
        sink.flush()
        said.append(text)

    start = time.perf_counter()
    if way == "generate":
        generation = session.generate(sampler, max_tokens=options.tokens)
        for text in generation:
            show(text)
        count = generation.result.token_count
    else:
        count = session.run(sampler, max_tokens=options.tokens, on_text=show).token_count
    return "".join(said), count, count / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minimax_chat")
    parser.add_argument("model")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    speeds = {"minimax-chat": [], "generate": [], "run": []}
    with minimax.Engine(options.model, thread_count=options.threads) as engine, open(os.devnull, "w") as sink:
        for _ in range(options.pairs):
            texts = set()
            for way, measured in speeds.items():
                result = in_c(options) if way == "minimax-chat" else in_python(way, engine, options, sink)
                text, count, speed = result
                texts.add((text, count))
                measured.append(speed)
            if len(texts) != 1:
                raise SystemExit("the answers differ: there is nothing to compare")
    in_c_speeds = speeds["minimax-chat"]
    print(f"{count} tokens, {options.pairs} pairs")
    for way, measured in speeds.items():
        ratios = sorted(one / other for one, other in zip(measured, in_c_speeds, strict=True))
        print(f"{way:13} {statistics.median(measured):8.1f} t/s   of minimax-chat: median "
              f"{statistics.median(ratios):.3f}, {ratios[0]:.3f} to {ratios[-1]:.3f}")


if __name__ == "__main__":
    main()
