#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes one seeded random model as a Hugging Face folder and as a GGUF with equal weights."""

import argparse
import json
import os
import struct
import zlib

import numpy as np

F32, BF16 = "F32", "BF16"
GGML_TYPE = {F32: 0, BF16: 30}
GGUF_FILE_TYPE = {F32: 0, BF16: 32}
SIZE = {F32: 4, BF16: 2}
GGUF_ALIGN = 32


def text_config(
    width, layers, heads, head_dim, kv_heads, rotary, experts, top_k, inner, vocab, alpha
):
    """The original Text-01 config schema; every eighth layer is softmax attention."""
    config = {
        "architectures": ["MiniMaxText01ForCausalLM"],
        "model_type": "minimax_text_01",
        "vocab_size": vocab,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "rotary_dim": rotary,
        "rope_theta": 10000000.0,
        "intermediate_size": inner,
        "num_local_experts": experts,
        "num_experts_per_tok": top_k,
        "hidden_act": "silu",
        "attn_type_list": [int((i + 1) % 8 == 0) for i in range(layers)],
        "rms_norm_eps": 1e-5,
        "postnorm": True,
        "shared_intermediate_size": 0,
        "shared_moe_mode": "sigmoid",
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "attention_dropout": 0.0,
        "sliding_window": None,
        "router_jitter_noise": 0.0,
    }
    for part in ("full_attention", "linear_attention", "mlp"):
        config[f"layernorm_{part}_alpha"] = alpha
        config[f"layernorm_{part}_beta"] = 1.0
    return config


CONFIGS = {
    "mini-s": text_config(512, 16, 8, 128, 2, 64, 32, 2, 768, 8192, 3.5565588200778455),
    "tiny": text_config(64, 8, 4, 32, 2, 16, 4, 2, 96, 512, 2.0),
}


def load_config(name, norm_eps, dtype):
    """A named config or a config.json; both norm eps keys are alike, as a GGUF has but one."""
    if name in CONFIGS:
        config = dict(CONFIGS[name])
    else:
        with open(name, encoding="utf-8") as f:
            config = json.load(f)
    if norm_eps is not None:
        config["rms_norm_eps"] = norm_eps
    config["lightning_norm_eps"] = config["rms_norm_eps"]
    config["torch_dtype"] = {F32: "float32", BF16: "bfloat16"}[dtype]
    return config


def softmax_interval(config):
    """The n of 'every n-th layer is softmax', the only pattern that the GGUF key can say."""
    types = config["attn_type_list"]
    interval = types.index(1) + 1 if 1 in types else len(types) + 1
    assert types == [
        int((i + 1) % interval == 0) for i in range(len(types))
    ], "irregular layer pattern"
    return interval


class Tensor:
    """One tensor of the HF file and the place its bytes take in the GGUF."""

    def __init__(self, name, shape, dtype, gguf, gguf_dtype, std, mean=0.0, part=0, parts=1):
        self.name, self.shape, self.dtype = name, tuple(shape), dtype
        self.gguf, self.gguf_dtype = gguf, gguf_dtype
        self.std, self.mean, self.part, self.parts = std, mean, part, parts
        self.count = int(np.prod(self.shape))


def matrix(name, gguf, rows, cols, dtype, gain, part=0, parts=1):
    """A linear layer: outputs have standard deviation `gain` for inputs of unit mean square."""
    return Tensor(name, (rows, cols), dtype, gguf, dtype, gain / cols**0.5, 0.0, part, parts)


def norm(name, gguf, size, dtype):
    """A norm gain around one, noisy enough that dropping or swapping it shows."""
    return Tensor(name, (size,), dtype, gguf, F32, 0.2, 1.0)


# The gains of a sub-layer's last matrix are small against the residual scale: with larger ones a
# random network amplifies rounding from layer to layer until bf16 logits say nothing.


def attention_tensors(c, i, dtype):
    """The tensors of layer i's attention, of the kind the config names."""
    p, g, width = f"model.layers.{i}.self_attn", f"blk.{i}", c["hidden_size"]
    q = c["num_attention_heads"] * c["head_dim"]
    kv = c["num_key_value_heads"] * c["head_dim"]
    if c["attn_type_list"][i] == 1:
        return [
            matrix(f"{p}.q_proj.weight", f"{g}.attn_q.weight", q, width, dtype, 1.2),
            matrix(f"{p}.k_proj.weight", f"{g}.attn_k.weight", kv, width, dtype, 1.2),
            matrix(f"{p}.v_proj.weight", f"{g}.attn_v.weight", kv, width, dtype, 1.0),
            matrix(f"{p}.o_proj.weight", f"{g}.attn_output.weight", width, q, dtype, 1.5),
        ]
    return [
        matrix(f"{p}.qkv_proj.weight", f"{g}.attn_qkv.weight", 3 * q, width, dtype, 1.0),
        matrix(f"{p}.output_gate.weight", f"{g}.attn_gate.weight", q, width, dtype, 1.5),
        norm(f"{p}.norm.weight", f"{g}.attn_norm_2.weight", q, dtype),
        matrix(f"{p}.out_proj.weight", f"{g}.attn_output.weight", width, q, dtype, 1.0),
    ]


def moe_tensors(c, i, dtype):
    """Router (always f32, wide logits so that the choice is clear) and experts of layer i."""
    p, g = f"model.layers.{i}.block_sparse_moe", f"blk.{i}"
    width, inner, n = c["hidden_size"], c["intermediate_size"], c["num_local_experts"]
    out = [matrix(f"{p}.gate.weight", f"{g}.ffn_gate_inp.weight", n, width, F32, 4.0)]
    for e in range(n):
        x = f"{p}.experts.{e}"
        out.append(
            matrix(f"{x}.w1.weight", f"{g}.ffn_gate_exps.weight", inner, width, dtype, 1.0, e, n)
        )
        out.append(
            matrix(f"{x}.w3.weight", f"{g}.ffn_up_exps.weight", inner, width, dtype, 1.0, e, n)
        )
        out.append(
            matrix(f"{x}.w2.weight", f"{g}.ffn_down_exps.weight", width, inner, dtype, 1.0, e, n)
        )
    return out


def model_tensors(c, dtype):
    """All tensors of the model in file order."""
    width, vocab = c["hidden_size"], c["vocab_size"]
    embed = Tensor(
        "model.embed_tokens.weight", (vocab, width), dtype, "token_embd.weight", dtype, 0.02
    )
    out = [embed]
    for i in range(c["num_hidden_layers"]):
        p, g = f"model.layers.{i}", f"blk.{i}"
        out.append(norm(f"{p}.input_layernorm.weight", f"{g}.attn_norm.weight", width, dtype))
        out += attention_tensors(c, i, dtype)
        out.append(
            norm(f"{p}.post_attention_layernorm.weight", f"{g}.ffn_norm.weight", width, dtype)
        )
        out += moe_tensors(c, i, dtype)
    out.append(norm("model.norm.weight", "output_norm.weight", width, dtype))
    out.append(matrix("lm_head.weight", "output.weight", vocab, width, dtype, 1.0))
    return out


def to_bf16(x):
    """float32 to bfloat16 bits, round to nearest even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def values(tensor, seed):
    """The float32 values: exact in bf16 but for the router, whatever type is stored."""
    rng = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    x = rng.standard_normal(tensor.count, dtype=np.float32)
    x = x * np.float32(tensor.std) + np.float32(tensor.mean)
    return (
        x if tensor.name.endswith("gate.weight") and "moe" in tensor.name else from_bf16(to_bf16(x))
    )


def encode(x, dtype):
    return x if dtype == F32 else to_bf16(x)


def align(n, to):
    return -(-n // to) * to


def safetensors_layout(tensors):
    """The file's head (length and JSON) and each tensor's absolute byte offset."""
    entries, at = {"__metadata__": {"format": "pt"}}, 0
    for t in tensors:
        end = at + t.count * SIZE[t.dtype]
        entries[t.name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    base = 8 + len(text)
    return (
        struct.pack("<Q", len(text)) + text,
        {t.name: base + entries[t.name]["data_offsets"][0] for t in tensors},
        base + at,
    )


def gguf_string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_pair(key, value):
    """One metadata pair: text, whole number (u32) or real number (f32)."""
    if isinstance(value, str):
        return gguf_string(key) + struct.pack("<I", 8) + gguf_string(value)
    if isinstance(value, int):
        return gguf_string(key) + struct.pack("<II", 4, value)
    return gguf_string(key) + struct.pack("<If", 6, value)


def gguf_metadata(c, dtype):
    """The keys that llama.cpp's architecture 'minimax-01' reads."""
    values_of = {
        "vocab_size": c["vocab_size"],
        "context_length": c["max_position_embeddings"],
        "embedding_length": c["hidden_size"],
        "block_count": c["num_hidden_layers"],
        "feed_forward_length": c["intermediate_size"],
        "attention.head_count": c["num_attention_heads"],
        "attention.head_count_kv": c["num_key_value_heads"],
        "attention.key_length": c["head_dim"],
        "attention.value_length": c["head_dim"],
        "attention.layer_norm_rms_epsilon": float(c["rms_norm_eps"]),
        "residual_scale": float(c["layernorm_mlp_alpha"]),
        "rope.dimension_count": c["rotary_dim"],
        "rope.freq_base": float(c["rope_theta"]),
        "expert_count": c["num_local_experts"],
        "expert_used_count": c["num_experts_per_tok"],
        "full_attention_interval": softmax_interval(c),
    }
    pairs = {"general.architecture": "minimax-01", "general.name": "minimax-01-random"}
    pairs["general.file_type"] = GGUF_FILE_TYPE[dtype]
    pairs.update({f"minimax-01.{k}": v for k, v in values_of.items()})
    pairs["tokenizer.ggml.model"] = "no_vocab"
    return pairs


def gguf_layout(tensors, pairs):
    """The file's head and each tensor's absolute offset; experts of one kind share a tensor."""
    whole = {}
    for t in tensors:
        shape = t.shape if t.parts == 1 else (t.parts, *t.shape)
        whole.setdefault(t.gguf, (shape, t.gguf_dtype))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(whole), len(pairs))
    head += b"".join(gguf_pair(k, v) for k, v in pairs.items())
    at, offsets = 0, {}
    for name, (shape, dtype) in whole.items():
        dims = shape[::-1]
        head += (
            gguf_string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        )
        head += struct.pack("<IQ", GGML_TYPE[dtype], at)
        offsets[name] = at
        at = align(at + int(np.prod(shape)) * SIZE[dtype], GGUF_ALIGN)
    head += b"\0" * (-len(head) % GGUF_ALIGN)
    return head, {k: v + len(head) for k, v in offsets.items()}, len(head) + at


def write_at(f, offset, array):
    f.seek(offset)
    f.write(array.tobytes())


def open_sized(path, head, size):
    """A new file of the full size with its head written."""
    f = open(path, "wb")
    f.truncate(size)
    f.write(head)
    return f


def write_model(out, config, dtype, seed):
    """Both files in one pass: each tensor is drawn once and written twice."""
    tensors = model_tensors(config, dtype)
    st_head, st_at, st_size = safetensors_layout(tensors)
    gg_head, gg_at, gg_size = gguf_layout(tensors, gguf_metadata(config, dtype))
    gguf_path = os.path.join(out, f"model-{dtype.lower()}.gguf")
    with open_sized(os.path.join(out, "model.safetensors"), st_head, st_size) as st:
        with open_sized(gguf_path, gg_head, gg_size) as gg:
            for t in tensors:
                x = values(t, seed)
                write_at(st, st_at[t.name], encode(x, t.dtype))
                part = t.part * t.count * SIZE[t.gguf_dtype]
                write_at(gg, gg_at[t.gguf] + part, encode(x, t.gguf_dtype))
    return sum(t.count for t in tensors), gguf_path


def check_config(c):
    """What a GGUF of this architecture cannot say is refused here."""
    for part in ("full_attention", "linear_attention"):
        assert (
            c[f"layernorm_{part}_alpha"] == c["layernorm_mlp_alpha"]
        ), "the GGUF has one residual scale"
    for part in ("full_attention", "linear_attention", "mlp"):
        assert c[f"layernorm_{part}_beta"] == 1.0, "the GGUF has no betas"
    assert c["postnorm"], "the GGUF means post-norm residuals"


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--config", default="mini-s", help="mini-s, tiny or the path of a config.json")
    ap.add_argument("--out", required=True, help="folder to write (made if missing)")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument(
        "--type", default="bf16", choices=["bf16", "f32"], help="type the matrices are stored in"
    )
    ap.add_argument(
        "--norm-eps",
        type=float,
        help="rms_norm_eps and lightning_norm_eps (default: the config's 1e-5)",
    )
    a = ap.parse_args()
    dtype = a.type.upper()
    config = load_config(a.config, a.norm_eps, dtype)
    check_config(config)
    os.makedirs(a.out, exist_ok=True)
    count, gguf_path = write_model(a.out, config, dtype, a.seed)
    with open(os.path.join(a.out, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    print(
        json.dumps(
            {"parameters": count, "type": a.type, "seed": a.seed, "hf": a.out, "gguf": gguf_path}
        )
    )


if __name__ == "__main__":
    main()
