#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plain float64 forward of the text model to check engines against; slow, short prompts only.

With --bf16 it rounds as an engine with bf16 activations must or may, which tells what such an engine can
come to at best."""

import argparse
import json
import os
import struct

import numpy as np

RAW = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I32": np.int32,
    "I64": np.int64,
    "BF16": np.uint16,
}


class Safetensors:
    """Reads one .safetensors file by mapping it."""

    def __init__(self, path):
        with open(path, "rb") as f:
            (size,) = struct.unpack("<Q", f.read(8))
            self.entries = json.loads(f.read(size))
        self.entries.pop("__metadata__", None)
        self.data = np.memmap(path, np.uint8, "r", offset=8 + size)

    def get(self, name):
        """The tensor as stored, bf16 widened to float32."""
        e = self.entries[name]
        lo, hi = e["data_offsets"]
        x = np.frombuffer(self.data[lo:hi].tobytes(), RAW[e["dtype"]]).reshape(e["shape"])
        return (x.astype(np.uint32) << 16).view(np.float32) if e["dtype"] == "BF16" else x


class Weights:
    """All tensors of a folder, over one file or an index of shards; float64 on demand."""

    def __init__(self, folder):
        index = os.path.join(folder, "model.safetensors.index.json")
        names = ["model.safetensors"]
        if os.path.exists(index):
            with open(index, encoding="utf-8") as f:
                names = sorted(set(json.load(f)["weight_map"].values()))
        files = [Safetensors(os.path.join(folder, n)) for n in names]
        self.where = {name: f for f in files for name in f.entries}

    def __call__(self, name):
        return self.where[name].get(name).astype(np.float64)


# What is rounded to bf16: "inputs" of matrix products, "activations" between operations, the "residual".
ROUNDED = set()
BF16 = {
    "inputs": {"inputs"},
    "activations": {"inputs", "activations"},
    "all": {"inputs", "activations", "residual"},
}


def rounded(x, kind):
    if kind not in ROUNDED:
        return x
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def product(x, weight):
    return rounded(rounded(x, "inputs") @ weight.T, "activations")


def silu(x):
    return x / (1.0 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def rms_norm(x, gain, eps):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * gain


def rotate(x, rotary, theta):
    """x [T, heads, dim]: rotates the first `rotary` dims, pairing j with j + rotary/2."""
    half = rotary // 2
    angle = np.arange(len(x))[:, None] * theta ** (-2.0 * np.arange(half) / rotary)
    cos, sin = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
    a, b, rest = x[..., :half], x[..., half:rotary], x[..., rotary:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin, rest], axis=-1)


def softmax_attention(u, w, p, c):
    """Grouped-query causal attention with partial rotary positions."""
    t, heads, groups, dim = (
        len(u),
        c["num_attention_heads"],
        c["num_key_value_heads"],
        c["head_dim"],
    )
    q = rotate(
        product(u, w(f"{p}.q_proj.weight")).reshape(t, heads, dim), c["rotary_dim"], c["rope_theta"]
    )
    k = rotate(
        product(u, w(f"{p}.k_proj.weight")).reshape(t, groups, dim), c["rotary_dim"], c["rope_theta"]
    )
    v = product(u, w(f"{p}.v_proj.weight")).reshape(t, groups, dim)
    q, k, v = rounded(q, "activations"), rounded(k, "inputs"), rounded(v, "inputs")
    out, future = np.empty((t, heads, dim)), np.triu(np.ones((t, t), bool), 1)
    for h in range(heads):
        g = h // (heads // groups)
        scores = np.where(future, -np.inf, q[:, h] @ k[:, g].T / np.sqrt(dim))
        out[:, h] = softmax(scores) @ v[:, g]
    return product(out.reshape(t, -1), w(f"{p}.o_proj.weight"))


def slopes(heads, layer, layers):
    """Decay rates of the heads, for head counts that are powers of two."""
    assert heads & (heads - 1) == 0
    return 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads) * (1.0 - layer / (layers - 1) + 1e-5)


def lightning_attention(u, w, p, c, layer):
    """The recurrence as defined: decay the state, add the outer product, read it with q."""
    t, heads, dim = len(u), c["num_attention_heads"], c["head_dim"]
    qkv = rounded(silu(product(u, w(f"{p}.qkv_proj.weight"))), "activations")
    qkv = qkv.reshape(t, heads, 3, dim)
    decay = np.exp(-slopes(heads, layer, c["num_hidden_layers"]))[:, None, None]
    state, out = np.zeros((heads, dim, dim)), np.empty((t, heads, dim))
    for i in range(t):
        q, k, v = qkv[i, :, 0], qkv[i, :, 1], qkv[i, :, 2]
        state = decay * state + k[:, :, None] * v[:, None, :]
        out[i] = np.einsum("hk,hkv->hv", q, state)
    out = rounded(out.reshape(t, -1), "activations")
    normed = rms_norm(out, w(f"{p}.norm.weight"), c.get("lightning_norm_eps", 1e-6))
    gate = 1.0 / (1.0 + np.exp(-product(u, w(f"{p}.output_gate.weight"))))
    return product(gate * normed, w(f"{p}.out_proj.weight"))


def experts(v, w, p, c):
    """Softmax over all router logits, best k, renormalised, summed."""
    prob = softmax(v @ w(f"{p}.gate.weight").T)
    chosen = np.argsort(-prob, axis=1, kind="stable")[:, : c["num_experts_per_tok"]]
    weight = np.take_along_axis(prob, chosen, axis=1)
    weight /= weight.sum(axis=1, keepdims=True)
    out = np.zeros_like(v)
    for e in np.unique(chosen):
        row, slot = np.nonzero(chosen == e)
        x, q = v[row], f"{p}.experts.{e}"
        h = silu(product(x, w(f"{q}.w1.weight"))) * product(x, w(f"{q}.w3.weight"))
        out[row] += weight[row, slot, None] * product(h, w(f"{q}.w2.weight"))
    return rounded(out, "activations")


def layer_forward(h, w, c, i):
    """One decoder layer; the residual is the normed input, scaled."""
    p, eps = f"model.layers.{i}", c["rms_norm_eps"]
    u = rounded(rms_norm(h, w(f"{p}.input_layernorm.weight"), eps), "residual")
    soft = c["attn_type_list"][i] == 1
    a = (
        softmax_attention(u, w, f"{p}.self_attn", c)
        if soft
        else lightning_attention(u, w, f"{p}.self_attn", c, i)
    )
    kind = "full" if soft else "linear"
    h = c[f"layernorm_{kind}_attention_alpha"] * u + c[f"layernorm_{kind}_attention_beta"] * a
    v = rms_norm(rounded(h, "residual"), w(f"{p}.post_attention_layernorm.weight"), eps)
    v = rounded(v, "residual")
    m = experts(v, w, f"{p}.block_sparse_moe", c)
    return rounded(c["layernorm_mlp_alpha"] * v + c["layernorm_mlp_beta"] * m, "residual")


def forward(folder, ids):
    """Logits [T, vocab] after every position."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        c = json.load(f)
    w = Weights(folder)
    h = w("model.embed_tokens.weight")[ids]
    for i in range(c["num_hidden_layers"]):
        h = layer_forward(h, w, c, i)
    return rounded(rms_norm(h, w("model.norm.weight"), c["rms_norm_eps"]), "inputs") @ w("lm_head.weight").T


def read_array(path, key):
    """A .npy file or one tensor of a .safetensors file."""
    return Safetensors(path).get(key) if path.endswith(".safetensors") else np.load(path)


def token_ids(a):
    if a.tokens:
        return read_array(a.tokens, "input_ids").reshape(-1)[: a.count].astype(np.int64)
    with open(os.path.join(a.model, "config.json"), encoding="utf-8") as f:
        vocab = json.load(f)["vocab_size"]
    return np.random.default_rng(a.seed).integers(0, vocab, a.count)


def compare(got, want):
    """How far `want` is from the reference `got`, over positions both have."""
    n = min(len(got), len(want))
    got, want = got[:n], want[:n].astype(np.float64)
    diff = got - want
    same = got.argmax(1) == want.argmax(1)
    best = np.sort(want, axis=1)[:, -2:]
    clear = best[:, 1] - best[:, 0] > 0.1
    return {
        "positions": n,
        "max_abs": float(abs(diff).max()),
        "nmse": float((diff**2).sum() / (got**2).sum()),
        "median_nmse": float(np.median((diff**2).sum(1) / (got**2).sum(1))),
        "same_top1": float(same.mean()),
        "clear_positions": int(clear.sum()),  # margin above 0.1
        "clear_tops_changed": int((clear & ~same).sum()),
    }


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("model", help="Hugging Face folder")
    ap.add_argument("--tokens", help=".npy file, or .safetensors with input_ids")
    ap.add_argument("--seed", type=int, default=1, help="draw the tokens (as peer_llama.py does)")
    ap.add_argument("--count", type=int, default=300)
    ap.add_argument("--out", help=".npy file for the logits, float64")
    ap.add_argument("--against", help=".npy file, or .safetensors with logits, to compare with")
    ap.add_argument("--bf16", choices=BF16, help="what is rounded to bf16 besides the weights")
    a = ap.parse_args()
    ROUNDED.update(BF16.get(a.bf16, ()))
    logits = forward(a.model, token_ids(a))
    report = {"count": len(logits), "logits_std": float(logits.std())}
    if a.out:
        np.save(a.out, logits)
    if a.against:
        report.update(compare(logits, read_array(a.against, "logits")))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
