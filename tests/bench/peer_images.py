#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turning a picture into patches, beside PIL + NumPy doing the same, one thread each.

    pip install "pillow<13" numpy
    cmake --build --preset cpu --target image_bench
    python3 tests/bench/peer_images.py

A picture of 2016 x 2016 pixels in memory becomes a thumbnail and 16 tiles of 336 x 336 (the released
canvases give 1344 x 1344), normalised, as f32 patches in the order of the vision tower. Both sides run in
turn; their numbers must be equal. Pillow 13 resizes some tall pictures in another order of passes, not
this one. PIL's side is written as its users would want it: one table look-up a channel normalises all
tiles, which is faster than arithmetic on f32 arrays (`--normalise arithmetic`, as image processors do).
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy  # noqa: E402  (reads the variables above)
import PIL  # noqa: E402
from PIL import Image  # noqa: E402

TILE, PATCH = 336, 14
MEAN = numpy.array([0.48145466, 0.4578275, 0.40821073], numpy.float32)
DEVIATION = numpy.array([0.26862954, 0.26130258, 0.27577711], numpy.float32)
LEVELS = numpy.arange(256, dtype=numpy.float32)[:, None] / numpy.float32(255)
TABLES = ((LEVELS - MEAN) / DEVIATION).astype(numpy.float32)


def picture(side):
    y, x = numpy.mgrid[0:side, 0:side]
    channels = [(x * 7 + y * 3) % 256, (x * 2 + y * 11) % 256, (x ^ y) % 256]
    return Image.fromarray(numpy.stack(channels, -1).astype(numpy.uint8))


def released_canvases():
    for a in range(1, 7):
        for b in range(1, 1 + (6 if a <= 3 else 4 if a == 4 else 3)):
            yield TILE * a, TILE * b


def best_canvas(w, h):
    def key(canvas):
        scale = min(canvas[0] / w, canvas[1] / h)
        kept = min(int(w * scale) * int(h * scale), w * h)
        return kept, kept - canvas[0] * canvas[1]

    return max(released_canvases(), key=key)


def with_table(tiles):
    return numpy.stack([TABLES[:, c][tiles[..., c]] for c in range(3)], axis=1)


def with_arithmetic(tiles):
    numbers = (tiles.astype(numpy.float32) / numpy.float32(255) - MEAN) / DEVIATION
    return numbers.transpose(0, 3, 1, 2)


def patches_of(image, normalise):
    w, h = image.size
    cw, ch = best_canvas(w, h)
    resized = (cw, h * cw // w) if w * ch > cw * h else (w * ch // h, ch)
    canvas = Image.new("RGB", (cw, ch))
    corner = ((cw - resized[0]) // 2, (ch - resized[1]) // 2)
    canvas.paste(image.resize(resized, Image.Resampling.BICUBIC), corner)
    thumbnail = image.resize((TILE, TILE), Image.Resampling.BICUBIC)
    rows, columns = ch // TILE, cw // TILE
    grid = numpy.asarray(canvas).reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)
    tiles = numpy.concatenate([numpy.asarray(thumbnail)[None], grid.reshape(-1, TILE, TILE, 3)])
    numbers = normalise(tiles)
    across = TILE // PATCH
    shape = (len(tiles), 3, across, PATCH, across, PATCH)
    return numpy.ascontiguousarray(numbers.reshape(shape).transpose(0, 2, 4, 1, 3, 5))


class Ours:
    def __init__(self, program, side, threads):
        self.process = subprocess.Popen(
            [program, str(side), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def time(self):
        wall, processor, _ = self.ask("time")
        return float(wall), float(processor)

    def patches(self):
        with tempfile.NamedTemporaryFile() as file:
            self.ask("patches " + file.name)
            return numpy.fromfile(file.name, numpy.float32)


def time_theirs(run):
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - processor


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="build/cpu/tests/bench/image_bench")
    parser.add_argument("--side", type=int, default=2016)
    parser.add_argument("--threads", type=int, default=1, help="of ours")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--normalise", choices=["table", "arithmetic"], default="table")
    options = parser.parse_args()
    image = picture(options.side)
    normalise = with_table if options.normalise == "table" else with_arithmetic
    ours = Ours(options.program, options.side, options.threads)
    expected = patches_of(image, normalise)
    equal = numpy.array_equal(ours.patches(), expected.reshape(-1))

    ours.time()
    seconds = {"libminimax": [], "PIL + NumPy": []}
    for _ in range(options.pairs):
        seconds["libminimax"].append(ours.time())
        seconds["PIL + NumPy"].append(time_theirs(lambda: patches_of(image, normalise)))
    print(f"Pillow {PIL.__version__}, NumPy {numpy.__version__}, {options.pairs} runs in turn")
    print(f"{options.side} x {options.side}: {len(expected)} tiles, {'equal' if equal else 'NOT EQUAL'}")
    print(f"  {'':12}  {'best ms':>8}  {'median ms':>9}  {'wall ms':>8}  {'ratio':>6}")
    fastest = statistics.median(processor for _, processor in seconds["libminimax"])
    for name, times in seconds.items():
        best = min(processor for _, processor in times)
        median = statistics.median(processor for _, processor in times)
        wall = statistics.median(wall for wall, _ in times)
        print(
            f"  {name:12}  {best * 1e3:8.2f}  {median * 1e3:9.2f}  {wall * 1e3:8.2f}"
            f"  {median / fastest:6.2f}"
        )
    raise SystemExit(0 if equal else 1)


if __name__ == "__main__":
    main()
