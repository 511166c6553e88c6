#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What other libraries do on one GPU, operation by operation: the rows that ops_bench is held against.

  peers.py [--only SECTION,...] [--fla FOLDER] [--json FILE]

Sections: rates, linear, norm, route, lightning, softmax, moe; and, only when asked for, as they take
minutes and most of an 80 GB card: stack (the best composition of torch parts), transformers. A row is the
best of its candidates: stock kernels, torch.compile, and either in a CUDA graph where the row is small.
Times are medians of batches between two events; what a cache could hold is taken in turns from several
sets, as ops_bench does. A candidate that is missing says so in one line.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import zipfile

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

DEVICE = "cuda"
BF16 = torch.bfloat16
# One layer of MiniMax-01.
WIDTH, HEADS, KV_HEADS, HEAD_DIM = 6144, 64, 8, 128
EXPERTS, CHOSEN, EXPERT_WIDTH, VOCABULARY = 32, 2, 9216, 200064
INNER, KV_WIDTH = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
ROTARY_DIM, THETA, EPS, ALPHA = 64, 1e7, 1e-5, 3.5565588
CACHED_BYTES = 160 << 20  # sets of a row that takes turns are at least so large together
VARLEN = [8192, 4096, 4096, 2048, 2048, 1024, 1024, 512, 512, 256, 256, 128, 128, 64, 64, 64]
VARLEN_DECODE = 32  # sequences of one token in the mixed row


def sets_for(size_bytes, most=64):
    """How many sets of so many bytes take turns."""
    return max(1, min(most, math.ceil(CACHED_BYTES / size_bytes)))


# --- the clock ---


def batch_seconds(body, calls):
    start, end = torch.cuda.Event(True), torch.cuda.Event(True)
    start.record()
    for i in range(calls):
        body(i)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) * 1e-3


def seconds_of(body, batch=0.012, rounds=9):
    """Of one call of body(i), i counting up."""
    warm = time.time()
    for i in range(3):
        body(i)
    torch.cuda.synchronize()
    while time.time() - warm < 0.02:
        body(0)
        torch.cuda.synchronize()
    calls = max(1, min(2000, round(batch / batch_seconds(body, 3) * 3)))
    times = sorted(batch_seconds(body, calls) / calls for _ in range(rounds))
    return times[rounds // 2]


def graph_of(body, sets):
    """A CUDA graph of body(0) ... body(sets - 1)."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        body(0)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(sets):
            body(i)
    return graph


class Rows:
    """What has been measured so far."""

    def __init__(self):
        self.rates, self.rows = {}, {}

    def add(self, name, candidates, sets=1, graph=False, **work):
        """candidates: label -> body(i), which may use set i % sets."""
        times = {}
        for label, body in candidates.items():
            turned = lambda i, body=body: body(i % sets)
            try:
                times[label] = seconds_of(turned)
                if graph:
                    replayed = graph_of(turned, sets)
                    times[label + ", graph"] = seconds_of(lambda i: replayed.replay()) / sets
                    del replayed
            except Exception as error:  # a peer that is not there is no reason to stop
                print(f"{name}: {label}: {first_line(error)}", flush=True)
        if times:
            self.put(name, times, **work)

    def put(self, name, times, bytes=0, flop=0, limit="copy"):
        label = min(times, key=times.get)
        seconds = times[label]
        row = {"us": seconds * 1e6, "peer": label, "bytes": bytes, "flop": flop,
               "all": {key: value * 1e6 for key, value in times.items()}}
        self.rows[name] = row
        rate = f"{bytes / seconds / 1e9:8.0f} GB/s" if bytes else ""
        if flop:
            rate = f"{flop / seconds / 1e12:8.1f} TFLOP/s"
            limit = "gemm"
        elif not bytes:
            limit = None
        share = ""
        if limit in self.rates:
            best = self.rates[limit] * (1e12 if limit == "gemm" else 1e9)
            share = f"{(flop or bytes) / seconds / best:5.2f} of {limit}"
        others = ", ".join(f"{key} {value * 1e6:.1f}" for key, value in times.items() if key != label)
        print(f"{name:44} {seconds * 1e6:11.1f} us {rate:17} {share:13}  {label}"
              + (f"  [{others}]" if others else ""), flush=True)

    def rate(self, name, unit, candidates, work):
        """The best of some ways to reach a limit; work in units of one call."""
        rates = {}
        for label, body in candidates.items():
            try:
                rates[label] = work / seconds_of(body)
            except Exception as error:
                print(f"{name}: {label}: {first_line(error)}", flush=True)
        if not rates:
            return
        label = max(rates, key=rates.get)
        self.rates[name] = rates[label]
        print(f"{name:44} {rates[label]:11.1f} {unit}  {label}", flush=True)


def first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:150]


def normal(*shape, scale=1.0, dtype=BF16):
    return torch.randn(*shape, device=DEVICE, dtype=dtype) * scale


# --- routing, the same numbers as ops_bench's ---

MASK = (1 << 64) - 1


def mixed(z):
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def choices(tokens, kind, seed):
    """[tokens][2] experts, uniform or by Zipf's law."""
    weights = [1.0 if kind == "uniform" else 1.0 / (i + 1) for i in range(EXPERTS)]
    total, ends = 0.0, []
    for weight in weights:
        total += weight
        ends.append(total)
    drawn = 0

    def draw():
        nonlocal drawn
        u = (mixed((seed << 32) + drawn) >> 11) * 2.0**-53 * total
        drawn += 1
        return next((i for i, end in enumerate(ends) if u < end), EXPERTS - 1)

    rows = []
    for _ in range(tokens):
        first = second = draw()
        while second == first:
            second = draw()
        rows.append([first, second])
    return rows


# --- rates ---


def triton_kernels():
    import triton
    import triton.language as tl

    @triton.jit
    def read(x, out, steps: tl.constexpr, block: tl.constexpr):
        start = tl.program_id(0).to(tl.int64) * (steps * block)
        total = tl.zeros([block], tl.int32)
        for i in tl.static_range(steps):
            total ^= tl.load(x + start + i * block + tl.arange(0, block))
        tl.store(out + tl.program_id(0), tl.xor_sum(total))

    @triton.jit
    def copy(x, y, block: tl.constexpr):
        at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
        tl.store(y + at, tl.load(x + at))

    return read, copy


def rates(rows):
    count = 2**29  # i32: 2 GiB
    x = torch.randint(-(2**31), 2**31 - 1, (count,), device=DEVICE, dtype=torch.int32)
    y = torch.empty_like(x)
    copies = {"torch copy_": lambda i: y.copy_(x)}
    reads = {"torch max": lambda i: torch.max(x)}
    try:
        read, copy = triton_kernels()
        sums = torch.empty(count // 1024, device=DEVICE, dtype=torch.int32)
        for block, steps, warps in ((2048, 4, 8), (4096, 4, 8), (1024, 8, 4), (8192, 2, 8)):
            reads[f"triton {block}x{steps}"] = (
                lambda i, block=block, steps=steps, warps=warps:
                read[(count // (block * steps),)](x, sums, steps, block, num_warps=warps))
        copies["triton"] = lambda i: copy[(count // 4096,)](x, y, 4096, num_warps=8)
    except ImportError as error:
        print("triton:", first_line(error))
    rows.rate("copy", "GB/s, read and written", copies, count * 8 / 1e9)
    rows.rate("read", "GB/s", reads, count * 4 / 1e9)
    rows.rate("write", "GB/s", {"torch fill_": lambda i: y.fill_(i)}, count * 4 / 1e9)
    del x, y
    a, b = normal(8192, 8192), normal(8192, 8192)
    rows.rate("gemm", "TFLOP/s, 8192^3 bf16",
              {"cuBLAS x @ w": lambda i: a @ b, "cuBLAS x @ w.T": lambda i: a @ b.T},
              2 * 8192**3 / 1e12)
    del a, b
    host = torch.empty(2**28, dtype=torch.int32, pin_memory=True)
    there = torch.empty(2**28, device=DEVICE, dtype=torch.int32)
    rows.rate("h2d", "GB/s, pinned",
              {"torch copy_": lambda i: there.copy_(host, non_blocking=True)}, 2**30 / 1e9)


# --- matrix products ---


def linear(rows):
    for outputs, inputs in ((3 * INNER, WIDTH), (INNER, WIDTH), (WIDTH, INNER)):
        size = outputs * inputs * 2
        sets = sets_for(size)
        weights = [normal(outputs, inputs, scale=0.01) for _ in range(sets)]
        for tokens in (1, 16, 512, 4096):
            x = normal(tokens, inputs)
            few = tokens <= 16
            rows.add(f"linear [{outputs}, {inputs}] T {tokens}",
                     {"cuBLAS": lambda i: F.linear(x, weights[i])}, sets, graph=few, limit="read",
                     **({"bytes": size} if few else {"flop": 2 * tokens * outputs * inputs}))
    weight = normal(VOCABULARY, WIDTH, scale=0.01)
    x = normal(1, WIDTH)
    rows.add("logits T 1", {"cuBLAS": lambda i: F.linear(x, weight)}, graph=True,
             bytes=VOCABULARY * WIDTH * 2, limit="read")


# --- norms ---


def residual_norm(x, y, weight):
    return F.rms_norm(ALPHA * x + y, (x.shape[-1],), weight, EPS)


def gated_norm(x, gate, weight):
    return F.rms_norm(x, (x.shape[-1],), weight, EPS) * torch.sigmoid(gate)


def norm(rows):
    for name, body, width in (("residual_rms_norm", residual_norm, WIDTH),
                              ("gated_rms_norm", gated_norm, INNER)):
        compiled = torch.compile(body)
        weight = torch.ones(width, device=DEVICE, dtype=BF16)
        for tokens in (8192, 16, 1):
            size = tokens * width * 2 * 3
            sets = sets_for(size, 4)
            x = [[normal(tokens, width) for _ in range(2)] for _ in range(sets)]
            rows.add(f"{name} T {tokens}",
                     {"torch.compile": lambda i: compiled(*x[i], weight),
                      "eager": lambda i: body(*x[i], weight)},
                     sets, graph=tokens <= 16, bytes=size)


# --- router ---


def routed(x, weight):
    """Choices, shares, and which slot goes where."""
    top, chosen = torch.topk(x.float() @ weight.T, CHOSEN)
    shares = torch.softmax(top, -1)
    flat = chosen.flatten()
    order = torch.argsort(flat, stable=True)
    ends = (flat[:, None] == torch.arange(EXPERTS, device=x.device)).sum(0).cumsum(0).to(torch.int32)
    return chosen, shares, order, ends


def route(rows):
    compiled = torch.compile(routed)
    size = EXPERTS * WIDTH * 4
    sets = sets_for(size, 80)
    weights = [normal(EXPERTS, WIDTH, scale=0.01, dtype=torch.float32) for _ in range(sets)]
    for tokens in (256, 16, 1):
        x = normal(tokens, WIDTH)
        rows.add(f"route T {tokens}",
                 {"eager": lambda i: routed(x, weights[i]),
                  "torch.compile": lambda i: compiled(x, weights[i])},
                 sets, graph=True, bytes=size + tokens * WIDTH * 2, limit="read")


# --- drawing tokens ---


def drawn(probabilities):
    return torch.multinomial(probabilities, 1)


def drawn_by_noise(logits):
    """Gumbel's way: the largest of logits with noise, one pass and no sum."""
    return (logits - torch.empty_like(logits).exponential_(1).log_()).argmax(-1)


def top_k_drawn(logits):
    values, tokens = logits.topk(50)
    return tokens.gather(1, drawn(values.softmax(-1)))


def top_p_drawn(logits):
    values, tokens = logits.softmax(-1).sort(-1, descending=True)
    return tokens.gather(1, drawn(values.masked_fill(values.cumsum(-1) - values >= 0.9, 0)))


def min_p_drawn(logits):
    shares = logits.softmax(-1)
    return drawn(shares.masked_fill(shares < 0.05 * shares.amax(-1, True), 0))


def sample(rows):
    by_noise = torch.compile(drawn_by_noise)
    for batch in (64, 16, 1):
        logits = normal(batch, VOCABULARY, scale=3, dtype=torch.float32)
        candidates = {
            "greedy": {"argmax": lambda i: logits.argmax(-1)},
            "temperature": {"softmax, multinomial": lambda i: drawn(logits.softmax(-1)),
                            "torch.compile, Gumbel": lambda i: by_noise(logits)},
            "top-k 50": {"topk, multinomial": lambda i: top_k_drawn(logits)},
            "top-p 0.9": {"sort, multinomial": lambda i: top_p_drawn(logits)},
            "min-p 0.05": {"softmax, multinomial": lambda i: min_p_drawn(logits)},
        }
        for name, bodies in candidates.items():
            rows.add(f"sample {name} B {batch}", bodies, graph=True, bytes=batch * VOCABULARY * 4, limit="read")


# --- lightning attention ---


def decay():
    return -(2 ** (-(torch.arange(HEADS, device=DEVICE) + 1) / 8)).float()


def heads_of(*shape):
    return F.silu(torch.randn(*shape, HEADS, HEAD_DIM, device=DEVICE)).to(BF16)


def relative_error(q, k, v, state, out):
    """Against the recurrence in f64, over the first tokens."""
    state, wrong, whole = state[0].double(), 0.0, 0.0
    keep = torch.exp(decay().double()).view(HEADS, 1, 1)
    for t in range(min(q.shape[1], 200)):
        state = keep * state + k[0, t].double()[:, :, None] * v[0, t].double()[:, None, :]
        exact = torch.einsum("hd,hde->he", q[0, t].double(), state)
        wrong += (out[0, t].double() - exact).pow(2).sum()
        whole += exact.pow(2).sum()
    return float(wrong / whole) ** 0.5


def compile_share(share, shares):
    """Compiles some of the variants that fla's largest tuner will try, into Triton's cache on the disk."""
    import fla.ops.common.chunk_h as kernels
    from fla.ops.simple_gla import chunk_simple_gla
    tuner = kernels.chunk_fwd_kernel_h
    while not hasattr(tuner, "configs"):
        tuner = tuner.fn
    x = [heads_of(1, 512) for _ in range(3)]
    state = normal(1, HEADS, HEAD_DIM, HEAD_DIM, dtype=torch.float32)
    for config in tuner.configs[share::shares]:
        tuner.configs = [config]  # one alone is not timed
        try:
            chunk_simple_gla(*x, g_gamma=decay(), scale=1.0, initial_state=state, output_final_state=True)
        except Exception as error:  # some variants ask for more than the card has
            print(first_line(error))


def compile_together():
    """One after the other they take most of a minute. Whatever fails here is compiled later."""
    shares = min(os.cpu_count() or 1, 16)
    command = [sys.executable, os.path.abspath(__file__)] + sys.argv[1:]
    children = [subprocess.Popen(command + ["--share", f"{i}/{shares}"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for i in range(shares)]
    for child in children:
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()


def lightning(rows):
    compile_together()
    try:
        from fla.ops.simple_gla import chunk_simple_gla, fused_recurrent_simple_gla
    except ImportError as error:
        print("flash-linear-attention:", first_line(error))
        return
    gamma = decay()
    keywords = {"g_gamma": gamma, "scale": 1.0, "output_final_state": True}
    per_token = INNER * 8  # bytes of q, k, v and out
    for tokens in (512, 2048, 8192, 32768):
        sets = sets_for(tokens * per_token, 8)
        x = [[heads_of(1, tokens) for _ in range(3)] for _ in range(sets)]
        state = normal(1, HEADS, HEAD_DIM, HEAD_DIM, dtype=torch.float32)
        body = lambda i: chunk_simple_gla(*x[i], initial_state=state, **keywords)
        rows.add(f"lightning_attention T {tokens}", {"fla chunk_simple_gla": body}, sets,
                 graph=tokens <= 2048, bytes=tokens * per_token)
        if tokens == 512 and f"lightning_attention T {tokens}" in rows.rows:
            print(f"  relative error {relative_error(*x[0], state, body(0)[0]):.1e}")
    for name, lengths in (("varlen 16", VARLEN), ("varlen 16+32", VARLEN + [1] * VARLEN_DECODE)):
        tokens = sum(lengths)
        x = [heads_of(1, tokens) for _ in range(3)]
        state = normal(len(lengths), HEADS, HEAD_DIM, HEAD_DIM, dtype=torch.float32)
        on_host = torch.tensor([0] + lengths).cumsum(0)
        ends = on_host.to(DEVICE)
        rows.add(f"lightning_attention {name}",
                 {"fla chunk_simple_gla": lambda i: chunk_simple_gla(
                     *x, initial_state=state, cu_seqlens=ends, cu_seqlens_cpu=on_host, **keywords)},
                 bytes=tokens * per_token)
    for batch in (1, 16, 64):
        state_bytes = batch * HEADS * HEAD_DIM * HEAD_DIM * 4
        sets = max(2, sets_for(state_bytes))
        x = [heads_of(batch, 1) for _ in range(3)]
        states = [normal(batch, HEADS, HEAD_DIM, HEAD_DIM, dtype=torch.float32) for _ in range(sets)]
        rows.add(f"lightning_attention decode B {batch}",
                 {"fla fused_recurrent_simple_gla": lambda i: fused_recurrent_simple_gla(
                     *x, initial_state=states[i], **keywords)},
                 sets, graph=True, bytes=2 * state_bytes)


# --- softmax attention ---

BACKENDS = {"cuDNN": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}


def attention(backend, *args, **keywords):
    with sdpa_kernel(BACKENDS[backend]):
        return F.scaled_dot_product_attention(*args, **keywords)


def softmax(rows):
    for tokens in (8192, 32768):
        q = normal(1, HEADS, tokens, HEAD_DIM)
        k, v = (normal(1, KV_HEADS, tokens, HEAD_DIM) for _ in range(2))
        rows.add(f"softmax_attention T {tokens}",
                 {"SDPA cuDNN": lambda i: attention("cuDNN", q, k, v, is_causal=True, enable_gqa=True)},
                 flop=2 * HEADS * HEAD_DIM * tokens * tokens)
    from torch.nn.attention.bias import causal_lower_right
    tokens, before = 2048, 131072
    q = normal(1, HEADS, tokens, HEAD_DIM)
    k, v = (normal(1, KV_HEADS, before + tokens, HEAD_DIM) for _ in range(2))
    mask = causal_lower_right(tokens, before + tokens)
    rows.add(f"softmax_attention T {tokens} at {before}",
             {"SDPA flash": lambda i: F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)},
             flop=4 * HEADS * HEAD_DIM * tokens * (before + tokens // 2))
    del q, k, v
    for batch, context in ((1, 8192), (1, 32768), (1, 262144), (16, 32768)):
        size = batch * context * KV_HEADS * HEAD_DIM * 4
        sets = sets_for(size, 8)
        q = normal(batch, HEADS, 1, HEAD_DIM)
        # The query heads that share keys as rows of one head: without a mask it is the same.
        grouped = q.view(batch, KV_HEADS, HEADS // KV_HEADS, HEAD_DIM)
        kv = [[normal(batch, KV_HEADS, context, HEAD_DIM) for _ in range(2)] for _ in range(sets)]
        candidates = {}
        for backend in BACKENDS:
            candidates[f"SDPA {backend}"] = (
                lambda i, backend=backend: attention(backend, q, *kv[i], enable_gqa=True))
            candidates[f"SDPA {backend}, grouped"] = (
                lambda i, backend=backend: attention(backend, grouped, *kv[i]))
        rows.add(f"softmax_attention decode B {batch} at {context}", candidates, sets, graph=True,
                 bytes=size)
        del kv, candidates


# --- mixture of experts ---


def grouped_mm(x, weights, ends):
    if hasattr(F, "grouped_mm"):
        return F.grouped_mm(x, weights, offs=ends)
    return torch._grouped_mm(x, weights, offs=ends)


def experts(x, chosen, shares, gate_up, down):
    """gate_up [X, W, 2 F], down [X, F, W] as grouped_mm wants them."""
    flat = chosen.flatten()
    order = torch.argsort(flat, stable=True)
    ends = (flat[:, None] == torch.arange(EXPERTS, device=x.device)).sum(0).cumsum(0).to(torch.int32)
    hidden = grouped_mm(x[order // CHOSEN], gate_up, ends)
    gate, up = hidden.chunk(2, -1)
    out = grouped_mm(F.silu(gate) * up, down, ends)
    back = torch.empty_like(order)
    back[order] = torch.arange(order.shape[0], device=x.device)
    return (out[back].view(x.shape[0], CHOSEN, -1) * shares[..., None].to(x.dtype)).sum(1)


def moe(rows):
    # The same memory in two ways: rows of inputs, and rows of outputs as checkpoints have them.
    gate_up = normal(EXPERTS, WIDTH, 2 * EXPERT_WIDTH, scale=0.01)
    down = normal(EXPERTS, EXPERT_WIDTH, WIDTH, scale=0.01)
    layouts = {
        "": (gate_up, down),
        ", rows of outputs": (gate_up.view(EXPERTS, 2 * EXPERT_WIDTH, WIDTH).mT,
                              down.view(EXPERTS, WIDTH, EXPERT_WIDTH).mT)}
    # dynamo keeps what it compiled by function, not by layout: only the quicker one is compiled.
    drawn = torch.tensor(choices(8192, "uniform", 0), device=DEVICE)
    x, half = normal(8192, WIDTH), torch.full((8192, CHOSEN), 0.5, device=DEVICE)
    eager = {layout: seconds_of(lambda i: experts(x, drawn, half, *weights), rounds=3)
             for layout, weights in layouts.items()}
    quicker = min(eager, key=eager.get)
    layouts = {quicker: layouts[quicker]}
    compiled = torch.compile(experts)

    def add(name, tokens, kind, sets, graph, work):
        drawn = [choices(tokens, kind, seed) for seed in range(sets)]
        chosen = [torch.tensor(rows_, device=DEVICE) for rows_ in drawn]
        x = normal(tokens, WIDTH)
        shares = torch.softmax(normal(tokens, CHOSEN, dtype=torch.float32), -1)
        candidates = {}
        for layout, weights in layouts.items():
            candidates["grouped_mm" + layout] = (
                lambda i, w=weights: experts(x, chosen[i], shares, *w))
            candidates["torch.compile" + layout] = (
                lambda i, w=weights: compiled(x, chosen[i], shares, *w))
        rows.add(name, candidates, sets, graph=graph, limit="read", **work(drawn))

    for tokens in (8192, 4096):
        for kind in ("uniform", "zipf"):
            add(f"moe T {tokens} {kind}", tokens, kind, 1, False,
                lambda drawn, tokens=tokens: {"flop": tokens * CHOSEN * 6 * WIDTH * EXPERT_WIDTH})

    def read_bytes(drawn):
        used = [len({x for row in rows_ for x in row}) for rows_ in drawn]
        return {"bytes": sum(used) / len(used) * 3 * WIDTH * EXPERT_WIDTH * 2}

    for batch in (16, 4, 1):
        add(f"moe decode B {batch}", batch, "uniform", 4, True, read_bytes)


# --- six layers ---

STACK_LAYERS = 6  # five lightning, the last softmax
STACK_VOCABULARY = 8192
STACK_LENGTHS, STACK_POSITION = (4096, 32768), 4096
# Numbers of the weights that one token needs, without the table of embeddings and the head.
STACK_ACTIVE = (5 * 5 * WIDTH * INNER + 2 * WIDTH * (INNER + KV_WIDTH)
                + STACK_LAYERS * CHOSEN * 3 * WIDTH * EXPERT_WIDTH)


def silu_split(qkv):
    """q, k, v [1, T, H, D] out of [T, H * 3 * D]."""
    q, k, v = F.silu(qkv).view(1, -1, HEADS, 3, HEAD_DIM).unbind(3)
    return q.contiguous(), k.contiguous(), v.contiguous()


def rotated(x, cos, sin):
    """x [T, heads, D], cos and sin [T, 1, ROTARY_DIM / 2]."""
    half = ROTARY_DIM // 2
    a, b = x[..., :half], x[..., half:ROTARY_DIM]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, x[..., ROTARY_DIM:]), -1).to(x.dtype)


def choose(x, router):
    top, chosen = torch.topk(x.float() @ router.T, CHOSEN)
    return chosen, torch.softmax(top, -1)


class Stack:
    """Six layers out of the best parts that torch and fla have."""

    def __init__(self, context):
        from fla.ops.simple_gla import chunk_simple_gla, fused_recurrent_simple_gla
        self.prefill_scan, self.decode_scan = chunk_simple_gla, fused_recurrent_simple_gla
        self.gamma = decay()
        self.layers = []
        for i in range(STACK_LAYERS):
            layer = {"router": normal(EXPERTS, WIDTH, scale=0.01, dtype=torch.float32),
                     "norms": [torch.ones(WIDTH, device=DEVICE, dtype=BF16) for _ in range(2)]}
            if i < STACK_LAYERS - 1:
                layer.update(qkv=normal(3 * INNER, WIDTH, scale=0.013), gate=normal(INNER, WIDTH, scale=0.013),
                             norm=torch.ones(INNER, device=DEVICE, dtype=BF16),
                             out=normal(WIDTH, INNER, scale=0.011),
                             state=torch.zeros(1, HEADS, HEAD_DIM, HEAD_DIM, device=DEVICE))
            else:
                layer.update(qkv=normal(INNER + 2 * KV_WIDTH, WIDTH, scale=0.013),
                             out=normal(WIDTH, INNER, scale=0.011),
                             keys=normal(1, KV_HEADS, context, HEAD_DIM),
                             values=normal(1, KV_HEADS, context, HEAD_DIM))
            # In place: a product with a scale would take the memory twice.
            layer["gate_up"] = torch.empty(EXPERTS, WIDTH, 2 * EXPERT_WIDTH, device=DEVICE, dtype=BF16)
            layer["down"] = torch.empty(EXPERTS, EXPERT_WIDTH, WIDTH, device=DEVICE, dtype=BF16)
            layer["gate_up"].normal_(0, 0.013)
            layer["down"].normal_(0, 0.01)
            self.layers.append(layer)
        self.embeddings = normal(STACK_VOCABULARY, WIDTH)
        self.head = normal(STACK_VOCABULARY, WIDTH, scale=0.013)
        self.norm = torch.ones(WIDTH, device=DEVICE, dtype=BF16)
        at = torch.arange(context, device=DEVICE, dtype=torch.float32)[:, None]
        angle = at / THETA ** (torch.arange(0, ROTARY_DIM, 2, device=DEVICE).float() / ROTARY_DIM)
        self.cos, self.sin = angle.cos()[:, None], angle.sin()[:, None]
        self.residual_norm, self.gated_norm, self.silu_split, self.rotated, self.choose, self.experts = (
            torch.compile(body, dynamic=False)
            for body in (residual_norm, gated_norm, silu_split, rotated, choose, experts))

    def mix(self, layer, u, position):
        tokens = u.shape[0]
        qkv = F.linear(u, layer["qkv"])
        if "state" not in layer:
            return self.attend(layer, qkv, position, tokens)
        q, k, v = self.silu_split(qkv)
        scan = self.prefill_scan if tokens > 1 else self.decode_scan
        out, state = scan(q, k, v, g_gamma=self.gamma, scale=1.0, initial_state=layer["state"],
                          output_final_state=True)
        layer["state"].copy_(state)
        gate = F.linear(u, layer["gate"])
        return F.linear(self.gated_norm(out.view(tokens, -1), gate, layer["norm"]), layer["out"])

    def attend(self, layer, qkv, position, tokens):
        q, k, v = qkv.split((INNER, KV_WIDTH, KV_WIDTH), -1)
        rows = slice(position, position + tokens)
        cos, sin = self.cos[rows], self.sin[rows]
        q = self.rotated(q.view(tokens, HEADS, HEAD_DIM), cos, sin).transpose(0, 1)[None]
        k = self.rotated(k.reshape(tokens, KV_HEADS, HEAD_DIM), cos, sin).transpose(0, 1)
        layer["keys"][0, :, rows] = k
        layer["values"][0, :, rows] = v.view(tokens, KV_HEADS, HEAD_DIM).transpose(0, 1)
        keys, values = (layer[name][:, :, :position + tokens] for name in ("keys", "values"))
        if tokens > 1:
            out = attention("cuDNN", q, keys, values, is_causal=True, enable_gqa=True)
            return F.linear(out[0].transpose(0, 1).reshape(tokens, -1), layer["out"])
        out = attention("flash", q.reshape(1, KV_HEADS, HEADS // KV_HEADS, HEAD_DIM), keys, values)
        return F.linear(out.reshape(1, -1), layer["out"])

    def __call__(self, ids, position):
        u = F.rms_norm(self.embeddings[ids], (WIDTH,), self.layers[0]["norms"][0], EPS)
        for i, layer in enumerate(self.layers):
            u = self.residual_norm(u, self.mix(layer, u, position), layer["norms"][1])
            branch = self.experts(u, *self.choose(u, layer["router"]), layer["gate_up"], layer["down"])
            following = self.layers[i + 1]["norms"][0] if i + 1 < STACK_LAYERS else self.norm
            u = self.residual_norm(u, branch, following)
        return F.linear(u[-1:], self.head)


def stack_rows(rows, name, prefill, decode, lengths):
    for tokens in lengths:
        ids = torch.randint(0, STACK_VOCABULARY, (tokens,), device=DEVICE)
        work = 2 * STACK_ACTIVE * tokens
        rows.add(f"stack prefill {tokens}" + name, {"whole": lambda i: prefill(ids)}, flop=work)
    rows.add(f"stack decode B 1 at {STACK_POSITION}" + name, {"whole": decode}, bytes=2 * STACK_ACTIVE, limit="read")


def stack(rows):
    model = Stack(max(STACK_LENGTHS))
    one = torch.zeros(1, device=DEVICE, dtype=torch.long)
    model(torch.zeros(STACK_POSITION, device=DEVICE, dtype=torch.long), 0)
    for _ in range(3):
        model(one, STACK_POSITION)
    graph = graph_of(lambda i: model(one, STACK_POSITION), 1)
    stack_rows(rows, "", lambda ids: model(ids, 0), lambda i: graph.replay(), STACK_LENGTHS)


def transformers(rows):
    from transformers import MiniMaxConfig, MiniMaxForCausalLM
    config = MiniMaxConfig(
        vocab_size=STACK_VOCABULARY, hidden_size=WIDTH, intermediate_size=EXPERT_WIDTH,
        num_hidden_layers=STACK_LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
        head_dim=HEAD_DIM, num_local_experts=EXPERTS, num_experts_per_tok=CHOSEN,
        layer_types=["linear_attention"] * (STACK_LAYERS - 1) + ["full_attention"],
        bos_token_id=None, eos_token_id=None, rope_parameters={"rope_type": "default", "rope_theta": THETA},
        full_attn_alpha_factor=ALPHA, linear_attn_alpha_factor=ALPHA, mlp_alpha_factor=ALPHA,
        dtype="bfloat16", attn_implementation="sdpa")
    torch.set_default_dtype(BF16)
    with torch.device("meta"):
        model = MiniMaxForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model = model.to_empty(device=DEVICE).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.data.fill_(1.0)
        else:
            parameter.data.normal_(0, 1.0 if "embed" in name else parameter.shape[-1] ** -0.5)
    for module in model.modules():  # to_empty() has left the buffers empty
        if hasattr(module, "get_slope_rate"):
            slopes = module.get_slope_rate()
            module.slope_rate.copy_(slopes)
            for buffer, value in zip(("query_decay", "key_decay", "diagonal_decay"),
                                     module.decay_factors(slopes.cpu())):
                getattr(module, buffer).copy_(value)
        if type(module).__name__.endswith("RotaryEmbedding"):
            module.inv_freq.copy_(1.0 / THETA ** (torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM))
    ids = torch.randint(0, STACK_VOCABULARY, (1, STACK_POSITION), device=DEVICE)
    past = model(ids, use_cache=True, logits_to_keep=1).past_key_values
    stack_rows(rows, ", transformers",
               lambda ids: model(ids[None], use_cache=True, logits_to_keep=1),
               lambda i: model(ids[:, :1], past_key_values=past, use_cache=True),
               STACK_LENGTHS[:1])


# --- pictures ---

TILES = 37  # of the largest picture


def vision(rows):
    """The vision tower of VL-01 without its projector, as transformers has it."""
    from transformers import CLIPVisionConfig, CLIPVisionModel
    config = CLIPVisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
                              num_attention_heads=16, image_size=336, patch_size=14, hidden_act="gelu",
                              attn_implementation="sdpa")
    torch.manual_seed(1)
    model = CLIPVisionModel(config).to(DEVICE, BF16).eval()
    compiled = torch.compile(model)
    pixels = normal(TILES, 3, 336, 336)
    patches = 24 * 24
    width, mlp, tokens = 1024, 4096, TILES * (patches + 1)
    flop = 2.0 * TILES * patches * 588 * width
    flop += 24 * (2.0 * tokens * (4 * width * width + 2 * width * mlp) + 4.0 * tokens * (patches + 1) * width)
    rows.add(f"vision tower, {TILES} tiles",
             {"transformers": lambda i: model(pixel_values=pixels).last_hidden_state,
              "torch.compile": lambda i: compiled(pixel_values=pixels).last_hidden_state}, flop=flop)


# --- the command line ---

SECTIONS = {body.__name__: body for body in (rates, linear, norm, route, sample, lightning, softmax, moe,
                                             vision, stack, transformers)}
LONG = ("stack", "transformers")


def find_fla(folder):
    """Makes `fla` importable from a folder that holds it, or wheels of it."""
    wheels = [name for name in sorted(os.listdir(folder)) if name.endswith(".whl")]
    for wheel in wheels:
        unpacked = os.path.join(tempfile.gettempdir(), wheel.removesuffix(".whl"))
        if not os.path.isdir(unpacked):
            zipfile.ZipFile(os.path.join(folder, wheel)).extractall(unpacked)
        sys.path.insert(0, unpacked)
    if not wheels:
        sys.path.insert(0, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="sections, with commas between")
    parser.add_argument("--fla", metavar="FOLDER", help="with fla in it, or wheels of fla-core")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--share", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fla:
        find_fla(arguments.fla)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    if arguments.share:
        compile_share(*map(int, arguments.share.split("/")))
        return
    chosen = arguments.only.split(",") if arguments.only else [name for name in SECTIONS if name not in LONG]
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {unknown[0]}, there are {', '.join(SECTIONS)}")
    device = torch.cuda.get_device_name()
    print(f"{device}, torch {torch.__version__}")
    rows = Rows()
    for name in chosen:
        start = time.time()
        try:
            SECTIONS[name](rows)
        except Exception as error:
            print(f"{name}: {first_line(error)}")
        torch.cuda.empty_cache()
        print(f"-- {name}: {time.time() - start:.0f} s", flush=True)
        if arguments.json:
            with open(arguments.json, "w", encoding="utf-8") as file:
                json.dump({"device": device, "torch": torch.__version__, "rates": rows.rates,
                           "rows": rows.rows}, file, indent=1)


if __name__ == "__main__":
    main()
