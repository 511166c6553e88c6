#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs minimax-bench and llama.cpp in turns on one model: logits first, then paired speeds."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
PEER = os.path.join(HERE, "peer_llama.py")
GATE_POSITIONS = [1, 255, 256, 257, 511]
BOUND = {"f32": 1e-4, "bf16": 1e-3}
# Rounding to bf16 turns near-ties of a random router over: either engine strays beyond the bound at
# some 5 % of the positions when held against a float64 forward, and the two do so independently.
STRAYS = {"f32": 0.0, "bf16": 0.15}
TESTS = {"pp512": (512, 0, 0), "tg128": (0, 128, 0), "tg128@d4096": (0, 128, 4096)}


class Child:
    """A benchmark process that answers one JSON line per JSON line."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, test):
        """Nanoseconds of one run; lines without 'ns' (a greeting) are passed over."""
        request = dict(zip(("n_prompt", "n_gen", "n_depth"), test))
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            answer = json.loads(line) if line.lstrip().startswith("{") else {}
            if "ns" in answer:
                return answer["ns"]
            if "error" in answer:
                raise SystemExit(f"{self.name}: {answer['error']}")
        raise SystemExit(f"{self.name} ended early")

    def ticks(self):
        """CPU time used so far, in clock ticks."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def peak_rss(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            line = next(x for x in f if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def machine_ticks():
    """CPU time of the whole machine so far, idling and waiting left out; and the number of CPUs."""
    with open("/proc/stat", encoding="ascii") as f:
        lines = f.read().splitlines()
    user, nice, system, _idle, _wait, irq, soft, steal = (int(x) for x in lines[0].split()[1:9])
    return user + nice + system + irq + soft + steal, sum(x.startswith("cpu") for x in lines) - 1


class Strangers:
    """Measures the share of the machine that processes other than our children took."""

    def __init__(self, children):
        self.children = children
        self.start()

    def start(self):
        self.at, self.used = time.monotonic(), self.foreign()

    def foreign(self):
        return machine_ticks()[0] - sum(c.ticks() for c in self.children)

    def share(self):
        spent = (
            max(time.monotonic() - self.at, 1e-3) * os.sysconf("SC_CLK_TCK") * machine_ticks()[1]
        )
        return (self.foreign() - self.used) / spent


def wait_until_quiet(strangers, limit, patience):
    """Sleeps in half seconds until others leave the machine alone, at most `patience` seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        strangers.start()
        time.sleep(0.5)
        if strangers.share() <= limit:
            return


def run_pair(a, b, test, strangers, args):
    """One run of each, A then B, repeated while somebody else used the machine in between."""
    for _ in range(args.retries + 1):
        wait_until_quiet(strangers, args.quiet, args.patience)
        strangers.start()
        pair = a.ask(test), b.ask(test)
        share = strangers.share()
        if share <= args.quiet:
            break
    return pair, share


def measure(a, b, test, args):
    """Warm-up of both (which also fills the depth), then the pairs, as tokens per second."""
    tokens = test[0] + test[1]
    for child in (a, b):
        child.ask(test)
    strangers, pairs, shares = Strangers([a, b]), [], []
    for _ in range(args.pairs):
        pair, share = run_pair(a, b, test, strangers, args)
        pairs.append([tokens * 1e9 / ns for ns in pair])
        shares.append(share)
    return pairs, shares


def summary(name, pairs, shares):
    """Medians, the paired ratio with its spread, and how disturbed the runs were."""
    ours, theirs = ([p[i] for p in pairs] for i in (0, 1))
    ratio = [x / y for x, y in pairs]
    return {
        "test": name,
        "ours_ts": statistics.median(ours),
        "theirs_ts": statistics.median(theirs),
        "ratio": statistics.median(ratio),
        "ratio_min": min(ratio),
        "ratio_max": max(ratio),
        "pairs": len(pairs),
        "disturbed": statistics.median(shares),
        "samples_ts": pairs,
    }


def table(rows):
    out = ["| test | ours t/s | llama.cpp t/s | median ratio | min … max | pairs | others' CPU |"]
    out.append("|---|---|---|---|---|---|---|")
    for r in rows:
        spread = f"{r['ratio_min']:.2f} … {r['ratio_max']:.2f}"
        speed = f"{r['ours_ts']:.1f} | {r['theirs_ts']:.1f} | {r['ratio']:.2f}"
        out.append(
            f"| {r['test']} | {speed} | {spread} | {r['pairs']} | {100 * r['disturbed']:.0f} % |"
        )
    return "\n".join(out)


def peer_options(args):
    options = [
        "-t",
        str(args.threads),
        "--ubatch",
        str(args.ubatch),
        "--flash",
        args.flash,
        "--kv",
        args.kv,
    ]
    return options + ["--ctx", str(args.ctx)]


def our_logits(args, tokens, vocab, folder):
    """minimax-bench's logits after every position."""
    out = os.path.join(folder, "ours.f32")
    command = [args.bench, "--logits", out, "--tokens", tokens, "-m", args.hf]
    subprocess.run(
        command + ["-t", str(args.threads), "--compute", args.compute],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return np.fromfile(out, "<f4").reshape(-1, vocab)


def their_logits(args, tokens, folder):
    """llama.cpp's logits after every position, in the configuration that is timed."""
    out = os.path.join(folder, "theirs.npy")
    command = [args.peer_python, PEER, "logits", args.gguf, "--tokens", tokens, "--out", out]
    subprocess.run(command + peer_options(args), check=True, stdout=subprocess.DEVNULL)
    return np.load(out)


def nmse(got, want):
    got, want = got.astype(np.float64), want.astype(np.float64)
    return float(((got - want) ** 2).sum() / (want**2).sum())


def both_logits(args):
    """Our logits and llama.cpp's for the same drawn tokens, after every position."""
    with open(os.path.join(args.hf, "config.json"), encoding="utf-8") as f:
        vocab = json.load(f)["vocab_size"]
    drawn = np.random.default_rng(args.seed).integers(0, vocab, max(GATE_POSITIONS) + 1)
    with tempfile.TemporaryDirectory() as folder:
        tokens = os.path.join(folder, "tokens.i32")
        drawn.astype("<i4").tofile(tokens)
        return our_logits(args, tokens, vocab, folder), their_logits(args, tokens, folder)


def gate(args):
    """Same logits or no race: the middle error and the share of strays decide."""
    ours, theirs = both_logits(args)
    errors = np.array([nmse(x, y) for x, y in zip(ours, theirs)])
    bound = BOUND[args.compute] if args.bound is None else args.bound
    report = {
        "nmse_at": {p: errors[p] for p in GATE_POSITIONS},
        "nmse_median": float(np.median(errors)),
        "beyond_bound": float((errors > bound).mean()),
        "same_top1": float((ours.argmax(1) == theirs.argmax(1)).mean()),
        "bound": bound,
    }
    few = report["beyond_bound"] <= STRAYS[args.compute]
    return report, few and report["nmse_median"] <= bound / 10


def print_gate(report):
    cells = ", ".join(f"{p}: {e:.1e}" for p, e in report["nmse_at"].items())
    print(f"Logits NMSE at {cells}; median of all positions {report['nmse_median']:.1e};", end=" ")
    print(f"beyond {report['bound']:.0e} at {100 * report['beyond_bound']:.1f} %;", end=" ")
    print(f"same top-1 at {100 * report['same_top1']:.1f} %.\n", flush=True)


def race(args):
    ours = [
        args.bench,
        "--serve",
        "-m",
        args.hf,
        "-t",
        str(args.threads),
        "--compute",
        args.compute,
    ]
    a = Child("minimax-bench", ours)
    b = Child("llama.cpp", [args.peer_python, PEER, "serve", args.gguf] + peer_options(args))
    try:
        rows = [summary(name, *measure(a, b, TESTS[name], args)) for name in args.tests]
        return rows, a.peak_rss(), b.peak_rss()
    finally:
        a.close()
        b.close()


def parse():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--bench", required=True, help="our minimax-bench")
    ap.add_argument("--hf", required=True, help="Hugging Face folder of the model")
    ap.add_argument("--gguf", required=True, help="the same model for llama.cpp")
    ap.add_argument(
        "--peer-python", default=sys.executable, help="a Python that has llama-cpp-python"
    )
    ap.add_argument("--compute", choices=BOUND, default="bf16")
    ap.add_argument("-t", "--threads", type=int, default=2)
    ap.add_argument("--pairs", type=int, default=7)
    ap.add_argument("--tests", nargs="+", choices=TESTS, default=list(TESTS))
    ap.add_argument(
        "--ubatch", type=int, default=256, help="llama.cpp's micro-batch (256 was its best)"
    )
    ap.add_argument("--flash", default="auto", help="llama.cpp's flash attention: auto, on or off")
    ap.add_argument("--kv", default="f16", help="llama.cpp's KV cache type")
    ap.add_argument("--ctx", type=int, default=8192, help="llama.cpp's context length")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--bound", type=float, help="NMSE bound of the gate (default: by --compute)")
    ap.add_argument("--gate-only", action="store_true")
    ap.add_argument("--no-gate", action="store_true")
    ap.add_argument(
        "--quiet", type=float, default=0.05, help="share of the machine others may use in a pair"
    )
    ap.add_argument(
        "--patience",
        type=float,
        default=60,
        help="seconds to wait for a quiet machine before a pair",
    )
    ap.add_argument(
        "--retries", type=int, default=3, help="times to repeat a disturbed pair before taking it"
    )
    ap.add_argument("--json", help="also write everything measured to this file")
    return ap.parse_args()


def main():
    args = parse()
    record = {
        "compute": args.compute,
        "threads": args.threads,
        "ubatch": args.ubatch,
        "flash": args.flash,
    }
    if not args.no_gate:
        record["gate"], passed = gate(args)
        print_gate(record["gate"])
        if not passed:
            raise SystemExit("The engines disagree: no speed is compared.")
    if not args.gate_only:
        rows, ours_peak, theirs_peak = race(args)
        record |= {"rows": rows, "ours_peak_rss": ours_peak, "theirs_peak_rss": theirs_peak}
        print(table(rows))
        peaks = [f"{x / 2**20:.0f} MiB" for x in (ours_peak, theirs_peak)]
        print(f"\nPeak resident memory: ours {peaks[0]}, llama.cpp {peaks[1]}.")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(record, f, indent=1)


if __name__ == "__main__":
    main()
