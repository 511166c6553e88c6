#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs streaming programs in turns and compares their tokens a second with those of the first.

    streaming_overhead.py [--rounds N] COMMAND COMMAND...      each prints its tokens a second
"""
import argparse
import shlex
import statistics
import subprocess


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("commands", nargs="+")
    arguments = parser.parse_args()
    speeds = [[] for _ in arguments.commands]
    for _ in range(arguments.rounds):
        for command, seen in zip(arguments.commands, speeds):
            seen.append(float(subprocess.run(shlex.split(command), check=True, capture_output=True, text=True).stdout))
    for command, seen in zip(arguments.commands, speeds):
        ratio = statistics.median(own / first for own, first in zip(seen, speeds[0]))
        print(f"{statistics.median(seen):9.1f} tokens/s, best {max(seen):9.1f}, {100 * (1 - ratio):+5.1f} % overhead: {command}")


if __name__ == "__main__":
    main()
