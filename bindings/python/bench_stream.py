#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What streaming through Python costs: tokens a second of the package and of minimax-chat, in turn, on one answer.

    bench_stream.py MINIMAX_CHAT MODEL [--rounds N] [--tokens N] [--threads N]

Beside the wall's clock it tells processor time, which says more on a busy machine with --threads 1: of generate(), of
run() with a callback, and of run() without one ("silent"), which is the C function alone.
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
    """(text, tokens, tokens a second, nothing)"""
    done = subprocess.run(
        [options.minimax_chat, "-m", options.model, "--temp", str(TEMPERATURE), "--seed", str(SEED), "--max-tokens",
         str(options.tokens), "--threads", str(options.threads), QUESTION],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    count, speed = re.search(rb"decode (\d+) tokens, ([\d.]+) t/s", done.stderr).groups()
    return done.stdout.decode().removesuffix("\n"), int(count), float(speed), None


def in_python(way, engine, options, sink):
    """The same, and tokens a second of processor time. Each piece of text is written, and flushed, as it comes."""
    session, said = minimax.Session(engine), []
    session.feed(minimax.Prompt(engine).add_message("user", QUESTION).begin_reply())
    sampler = minimax.Sampler(engine, temperature=TEMPERATURE, seed=SEED)

    def show(text):
        sink.write(text)
        sink.flush()
        said.append(text)

    start, cpu_start = time.perf_counter(), time.process_time()
    if way == "generate":
        generation = session.generate(sampler, max_tokens=options.tokens)
        for text in generation:
            show(text)
        count = generation.result.token_count
    else:
        count = session.run(sampler, max_tokens=options.tokens, on_text=show if way == "run" else None).token_count
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return "".join(said), count, count / seconds, count / cpu_seconds


def describe(speeds, base):
    """Medians, of speeds and of their ratios in each round."""
    ratios = sorted(one / other for one, other in zip(speeds, base, strict=True))
    return (f"{statistics.median(speeds):7.1f}, {statistics.median(ratios):.3f} "
            f"({ratios[len(ratios) // 4]:.3f} to {ratios[-1 - len(ratios) // 4]:.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minimax_chat")
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    rounds = []
    with minimax.Engine(options.model, thread_count=options.threads) as engine, open(os.devnull, "w") as sink:
        for _ in range(options.rounds):
            one = {"minimax-chat": in_c(options)}
            one |= {way: in_python(way, engine, options, sink) for way in ("generate", "run", "silent")}
            rounds.append(one)
            if len({one[way][:2] for way in ("minimax-chat", "generate", "run")}) != 1:
                raise SystemExit("the answers differ: there is nothing to compare")
    print(f"{rounds[0]['run'][1]} tokens, {options.rounds} rounds: medians, ratios and their quartiles\n"
          "               tokens a second, of minimax-chat's    tokens a CPU second, of the C function alone")
    for way in rounds[0]:
        wall, cpu = [one[way][2] for one in rounds], [one[way][3] for one in rounds]
        text = describe(wall, [one["minimax-chat"][2] for one in rounds])
        if None not in cpu:
            text += "   " + describe(cpu, [one["silent"][3] for one in rounds])
        print(f"{way:14} {text}")


if __name__ == "__main__":
    main()
