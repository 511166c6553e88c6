#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives llama.cpp through its Python bindings: logits, a bench, and single runs on request."""

import argparse
import ctypes
import json
import re
import resource
import statistics
import sys
import time

import numpy as np
from llama_cpp import llama_cpp as lc

FLASH = {
    "auto": lc.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": lc.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": lc.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
LOAD = {
    "auto": lc.LLAMA_LOAD_MODE_AUTO,
    "copy": lc.LLAMA_LOAD_MODE_NONE,
    "mmap": lc.LLAMA_LOAD_MODE_MMAP,
}
KV = {
    "f16": lc.GGML_TYPE_F16,
    "f32": lc.GGML_TYPE_F32,
    "bf16": 30,
}  # 30: ggml's BF16, which the bindings do not name
LOG_ERROR = 4


TELLING = {
    "load": re.compile(r"load_mode = (\w+)"),
    "flash_attn": re.compile(r"Flash Attention (enabled|disabled)"),
}
resolved = {}
verbose = False


@lc.llama_log_callback
def log(level, text, _user):
    """Errors go to stderr (all with --verbose); what 'auto' came to be is kept for the record."""
    text = text.decode(errors="replace")
    for key, pattern in TELLING.items():
        if match := pattern.search(text):
            resolved[key] = match[1]
    if verbose or level == LOG_ERROR:
        sys.stderr.write(text)


class Peer:
    """One model with one context, and the timed operations on it."""

    def __init__(self, a, n_ctx):
        lc.llama_log_set(log, ctypes.c_void_p(0))
        lc.llama_backend_init()
        self.model = self.load_model(a)
        self.n_vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(self.model))
        self.n_batch = max(a.batch, a.ubatch)
        self.ctx = self.open_context(a, n_ctx)
        self.rng = np.random.default_rng(a.seed)
        self.saved_depth, self.saved = 0, None

    @staticmethod
    def load_model(a):
        params = lc.llama_model_default_params()
        params.load_mode = LOAD[a.load]
        params.n_gpu_layers = 0
        model = lc.llama_model_load_from_file(a.gguf.encode(), params)
        if not model:
            raise SystemExit(f"cannot load {a.gguf}")
        return model

    def open_context(self, a, n_ctx):
        params = lc.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = n_ctx, self.n_batch, a.ubatch
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = a.threads
        params.flash_attn_type = FLASH[a.flash]
        params.type_k = params.type_v = KV[a.kv]
        params.no_perf = True
        ctx = lc.llama_init_from_model(self.model, params)
        if not ctx:
            raise SystemExit("cannot open a context")
        return ctx

    def decode(self, ids, wanted=None):
        """One llama_decode; without `wanted` flags only the last token gets logits."""
        ids = np.ascontiguousarray(ids, np.int32)
        batch = lc.llama_batch_get_one(ids.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), len(ids))
        if wanted is not None:
            flags = np.ascontiguousarray(wanted, np.int8)
            batch.logits = flags.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))
        status = lc.llama_decode(self.ctx, batch)
        if status != 0:
            raise SystemExit(f"llama_decode returned {status}")

    def feed(self, count):
        """Random tokens in batches, as llama-bench's prompt test does."""
        for at in range(0, count, self.n_batch):
            self.decode(self.rng.integers(0, self.n_vocab, min(self.n_batch, count - at)))

    def generate(self, count):
        """Random tokens one by one, logits after each, as llama-bench's generation test does."""
        for token in self.rng.integers(0, self.n_vocab, count):
            self.decode([token])
            lc.llama_synchronize(self.ctx)

    def reset(self, depth):
        """An empty context filled to `depth`; the fill is kept and restored the next time."""
        lc.llama_memory_clear(lc.llama_get_memory(self.ctx), False)
        if depth == 0:
            return
        if self.saved_depth == depth and lc.llama_state_seq_set_data(
            self.ctx, self.saved, len(self.saved), 0
        ):
            return
        self.feed(depth)
        lc.llama_synchronize(self.ctx)
        self.saved = (ctypes.c_uint8 * lc.llama_state_seq_get_size(self.ctx, 0))()
        lc.llama_state_seq_get_data(self.ctx, self.saved, len(self.saved), 0)
        self.saved_depth = depth

    def timed(self, n_prompt, n_gen, n_depth):
        """Nanoseconds of one run; the depth is filled before the clock starts."""
        self.reset(n_depth)
        lc.llama_synchronize(self.ctx)
        start = time.perf_counter_ns()
        self.feed(n_prompt)
        self.generate(n_gen)
        lc.llama_synchronize(self.ctx)
        return time.perf_counter_ns() - start

    def logits(self, ids, positions):
        """Logits [len(positions), vocab] after the named 0-based positions, fed in one go."""
        wanted = np.zeros(len(ids), np.int8)
        wanted[positions] = 1
        self.reset(0)
        self.decode(ids, wanted)
        rows = [
            np.ctypeslib.as_array(lc.llama_get_logits_ith(self.ctx, int(p)), (self.n_vocab,))
            for p in positions
        ]
        return np.array(rows, np.float32)


def peak_rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def facts(a):
    """What was run, for the record."""
    return {
        "engine": "llama.cpp",
        "model_filename": a.gguf,
        "n_threads": a.threads,
        "n_ubatch": a.ubatch,
        "n_batch": max(a.batch, a.ubatch),
        "flash_attn": a.flash,
        "type_kv": a.kv,
        "load": a.load,
    } | resolved


def cpu_features():
    return lc.llama_print_system_info().decode().strip()


def rates(samples_ns, tokens):
    """llama-bench's summary of the samples."""
    ts = [tokens * 1e9 / ns for ns in samples_ns]
    spread = statistics.stdev if len(ts) > 1 else lambda _: 0.0
    return {
        "avg_ns": round(statistics.mean(samples_ns)),
        "stddev_ns": round(spread(samples_ns)),
        "avg_ts": statistics.mean(ts),
        "stddev_ts": spread(ts),
        "median_ts": statistics.median(ts),
        "samples_ns": samples_ns,
        "samples_ts": ts,
    }


def emit(record):
    print(json.dumps(record), flush=True)


def bench_tests(a):
    """Prompt tests and generation tests, each at every depth."""
    kinds = [(p, 0) for p in a.n_prompt if p] + [(0, g) for g in a.n_gen if g]
    return [(p, g, d) for d in a.n_depth for p, g in kinds]


def run_bench(a):
    tests = bench_tests(a)
    peer = Peer(a, a.ctx or max(sum(t) for t in tests))
    for p, g, d in tests:
        peer.timed(p, g, d)
        samples = [peer.timed(p, g, d) for _ in range(a.repetitions)]
        record = facts(a) | {"n_prompt": p, "n_gen": g, "n_depth": d} | rates(samples, p + g)
        emit(record | {"peak_rss": peak_rss()})


def run_serve(a):
    """One JSON request a line on stdin, one answer a line on stdout, until stdin ends."""
    peer = Peer(a, a.ctx or 8192)
    emit({"ready": True, "cpu": cpu_features()} | facts(a))
    for line in sys.stdin:
        if not line.strip():
            continue
        request = json.loads(line)
        n = [int(request.get(k, 0)) for k in ("n_prompt", "n_gen", "n_depth")]
        if sum(n) > lc.llama_n_ctx(peer.ctx):
            emit({"error": f"{sum(n)} tokens do not fit in --ctx {lc.llama_n_ctx(peer.ctx)}"})
            continue
        emit({"ns": peer.timed(*n), "peak_rss": peak_rss()})


def read_tokens(a, n_vocab):
    """Ids from a .npy or raw little-endian .i32 file, or drawn from the seed."""
    if not a.tokens:
        return np.random.default_rng(a.seed).integers(0, n_vocab, a.count).astype(np.int32)
    ids = np.load(a.tokens) if a.tokens.endswith(".npy") else np.fromfile(a.tokens, "<i4")
    return ids.reshape(-1).astype(np.int32)[: a.count]


def run_logits(a):
    peer = Peer(a, a.ctx or 8192)
    ids = read_tokens(a, peer.n_vocab)
    positions = np.arange(len(ids)) if a.positions == ["all"] else np.array(a.positions, int)
    out = peer.logits(ids, positions)
    np.save(a.out, out)
    emit(
        facts(a) | {"count": len(ids), "positions": len(positions), "logits_std": float(out.std())}
    )


def numbers(text):
    return [int(x) for x in text.split(",")]


def positions(text):
    return [text] if text == "all" else numbers(text)


def add_common(p):
    p.add_argument("gguf")
    p.add_argument("-t", "--threads", type=int, default=2)
    p.add_argument("--ubatch", type=int, default=512)
    p.add_argument("--batch", type=int, default=2048)
    p.add_argument(
        "--ctx", type=int, default=0, help="context length (default: enough for the job)"
    )
    p.add_argument("--flash", choices=FLASH, default="auto")
    p.add_argument("--kv", choices=KV, default="f16")
    p.add_argument("--load", choices=LOAD, default="auto")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--verbose", action="store_true")


def parser():
    ap = argparse.ArgumentParser(description=__doc__)
    sub = ap.add_subparsers(dest="mode", required=True)
    p = sub.add_parser("logits", help="logits at positions, the prompt fed in one go")
    add_common(p)
    p.add_argument("--tokens", help=".npy or raw .i32 file (default: drawn from the seed)")
    p.add_argument(
        "--count", type=int, default=512, help="tokens to draw, or to take of the file at most"
    )
    p.add_argument(
        "--positions", type=positions, default=["all"], help="0-based, comma-separated, or 'all'"
    )
    p.add_argument("--out", required=True, help=".npy file, float32 [positions, vocab]")
    p.set_defaults(run=run_logits)
    p = sub.add_parser("bench", help="llama-bench-like JSON lines")
    add_common(p)
    p.add_argument("-p", "--n-prompt", type=numbers, default=[512])
    p.add_argument("-n", "--n-gen", type=numbers, default=[128])
    p.add_argument("-d", "--n-depth", type=numbers, default=[0])
    p.add_argument("-r", "--repetitions", type=int, default=5)
    p.set_defaults(run=run_bench)
    p = sub.add_parser("serve", help="one JSON request per line on stdin")
    add_common(p)
    p.set_defaults(run=run_serve)
    return ap


def main():
    global verbose
    a = parser().parse_args()
    verbose = a.verbose
    a.run(a)


if __name__ == "__main__":
    main()
