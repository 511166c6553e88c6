#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs streaming programs in turns and compares them with the first: by their tokens a second, and by the
processor time of the whole program, which a busy machine disturbs less (run it under taskset -c 0 then).

    streaming_overhead.py [--rounds N] COMMAND COMMAND...      each prints its tokens a second
"""
import argparse
import resource
import shlex
import statistics
import subprocess


def run(command):
    """(seconds a token, seconds of processor time)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(shlex.split(command), check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1 / float(done.stdout), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("commands", nargs="+")
    arguments = parser.parse_args()
    rounds = [[run(command) for command in arguments.commands] for _ in range(arguments.rounds)]
    for index, command in enumerate(arguments.commands):
        speed = 1 / statistics.median(times[index][0] for times in rounds)
        more = [statistics.median(times[index][kind] / times[0][kind] - 1 for times in rounds) for kind in (0, 1)]
        print(f"{speed:8.1f} tokens/s; {100 * more[0]:+5.1f} % time a token, {100 * more[1]:+5.1f} % processor time: {command}")


if __name__ == "__main__":
    main()
