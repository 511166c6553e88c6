// SPDX-License-Identifier: Apache-2.0
// The vocabulary: everything model and vision ask of a device, one free function per operation.
//
// Each function checks shapes and types in words (MINIMAX_INVALID_ARGUMENT), then hands over to the
// backend. Shape letters: T tokens of this step, W model width, K and N inputs and outputs of a
// matrix, H query heads, G key/value heads, D head width, X experts, E experts of a token, F expert
// width, V vocabulary. Activations are f32 ("act" below) on the CPU. Sums are f32 everywhere. Inputs
// and outputs do not overlap unless a comment says "in place". T = 0 does nothing.
#pragma once

#include <span>

#include "engine/ops/backend.h"
#include "engine/ops/views.h"
#include "engine/tensor/tensor.h"
#include "engine/tensor/weight.h"

namespace minimax::ops {

// out[t, :] = table[ids[t], :]
//
//   ids    [T]     i32        each in [0, V)
//   table  [V, W]  bf16, f32  weights, or rows that were computed
//   out    [T, W]  act
void embed(Backend& backend, const Tensor& ids, const Tensor& table, const Tensor& out);

// out[t, n] = f(sum over k of x[t, k] * weight[n, k]),   f the identity or SiLU
//
//   x    [T, K]  act   rows may have a stride
//   out  [T, N]  act   rows may have a stride
// Inputs may be rounded to bf16 when T > 1 and the backend was opened with bf16 compute.
void linear(Backend& backend, const Tensor& x, const Weight& weight, Activation activation,
            const Tensor& out);

// out[t, n] = f(bias[n] + sum over k of x[t, k] * weight[n, k]),   f the identity, SiLU or GELU
//
//   x, out  as in linear
//   bias    [N]  f32
void biased_linear(Backend& backend, const Tensor& x, const Weight& weight, const Tensor& bias,
                   Activation activation, const Tensor& out);

// out[t, n] += bias[n] + sum over k of x[t, k] * weight[n, k]
//
//   x, out  as in linear; no stride in out
//   bias    [N]     f32
//   room    [T, N]  act   for devices that cannot add where they multiply; what is in it afterwards
//                         is not said
void add_biased_linear(Backend& backend, const Tensor& x, const Weight& weight, const Tensor& bias,
                       const Tensor& room, const Tensor& out);

// out[t, w] = x[t, w] + y[t mod R, w]
//
//   x, out  [T, W]  act   out may be x; R divides T
//   y       [R, W]  act
void add(Backend& backend, const Tensor& x, const Tensor& y, const Tensor& out);

// The same numbers somewhere else; both contiguous, of one type and as many.
void copy(Backend& backend, const Tensor& from, const Tensor& to);

// logits[t, v] = sum over k of x[t, k] * weight[v, k], never rounded below f32 products and sums
// (docs/model.md §6).
//
//   x       [T, K]  act
//   logits  [T, V]  f32
void logits(Backend& backend, const Tensor& x, const Weight& weight, const Tensor& logits);

// out[t, w] = (x[t, w] - mean of x[t]) / sqrt(variance of x[t] + eps) * weight[w] + bias[w]
//
//   x, out        [T, W]  act   in place allowed
//   weight, bias  [W]     f32
void layer_norm(Backend& backend, const Tensor& x, const Tensor& weight, const Tensor& bias,
                float eps, const Tensor& out);

// out[t, w] = x[t, w] / sqrt(mean over w of x[t, w]^2 + eps) * weight[w]
//
//   x, out  [T, W]  act   in place allowed
//   weight  [W]     f32
void rms_norm(Backend& backend, const Tensor& x, const Tensor& weight, float eps,
              const Tensor& out);

// DeepNorm's residual and the norm that follows it (docs/model.md §2): the sum itself is needed
// nowhere.
//
//   out = rms_norm(scale.residual * x + scale.branch * y, weight, eps)
//
//   x, y, out  [T, W]  act   out may be x or y
//   weight     [W]     f32
void residual_rms_norm(Backend& backend, const Tensor& x, const Tensor& y, ResidualScale scale,
                       const Tensor& weight, float eps, const Tensor& out);

// out = rms_norm(x, weight, eps) * sigmoid(gate): one norm over all heads, then the gate
// (docs/model.md §4).
//
//   x, gate, out  [T, H * D]  act   out may be x
//   weight        [H * D]     f32
void gated_rms_norm(Backend& backend, const Tensor& x, const Tensor& gate, const Tensor& weight,
                    float eps, const Tensor& out);

// Rotates the first R of each head's D numbers, paired (j, j + R/2), in place (docs/model.md §3):
//
//   angle = position(t) * theta^(-2j / R)          for j in 0 .. R/2
//   x[j], x[j + R/2] = x[j] cos - x[j + R/2] sin,  x[j + R/2] cos + x[j] sin
//
//   x          [T, heads, D]  act   in place
//   sequences  together the T rows, in order; they give each row its position
void rope(Backend& backend, const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope);

// Lightning attention (docs/model.md §4): T new tokens of S sequences, every head, against the
// states.
//
//   for each token t:  S[h]       = exp(-slope[h]) * S[h] + outer(k[t, h], v[t, h])
//                      out[t, h]  = q[t, h] * S[h]
//
//   qkv    [T, H, 3, D]  act   q, k, v after SiLU; no rotary embedding, no 1/sqrt(D)
//   slope  [H]           f32   above 0
//   layer                      counted among lightning layers: whose states
//   out    [T, H, D]     act
//   sequences  see LightningSequence: the state is kept as committed state + log
//
// However a sequence is split into calls, the committed states are the same (given the same q, k, v):
// to the bit on the CPU, where they are folded lightning_block tokens at a time, at multiples of it;
// to the rounding of f32 sums on a GPU.
void lightning_attention(Backend& backend, const Tensor& qkv, const Tensor& slope, int64_t layer,
                         std::span<const LightningSequence> sequences, const Tensor& out);

// Writes keys and values of T new tokens into their pages.
//
//   k, v  [T, G, D]  act   keys after rope; rounded to layout.dtype
void store_kv(Backend& backend, const Tensor& k, const Tensor& v, const KvLayout& layout,
              std::span<const KvSequence> sequences);

// Softmax attention over pages (docs/model.md §3); the new tokens' keys and values are already there.
// A token sees those up to its own.
//
//   out[t, h] = sum over j <= position(t) of softmax_j(scale * q[t, h] . k[j, h / (H / G)]) * v[j, ...]
//
//   q, out  [T, H, D]  act
void softmax_attention(Backend& backend, const Tensor& q, float scale, const KvLayout& layout,
                       std::span<const KvSequence> sequences, const Tensor& out);

// Softmax attention within sequences that are all there: a token sees every token of its own.
//
//   out[t, h] = sum over j of softmax_j(scale * q[t, h] . k[j, h / (H / G)]) * v[j, h / (H / G)]
//
//   q, out     [T, H, D]  act
//   k, v       [T, G, D]  act
//   sequences  at position 0, in order the T rows. Their pages are room for devices that read keys and
//              values from pages; what is in them afterwards is not said
void bidirectional_attention(Backend& backend, const Tensor& q, const Tensor& k, const Tensor& v,
                             float scale, const KvLayout& layout,
                             std::span<const KvSequence> sequences, const Tensor& out);

// Routing (docs/model.md §5): r = weight * x in f32; the E largest (the lower index of equals),
// softmax over those E, largest first.
//
//   x        [T, W]  act
//   weight   [X, W]  f32 or bf16
//   experts  [T, E]  i32  out
//   shares   [T, E]  f32  out, each row sums to 1
// precision: rounds the logits to bf16 first where parity with such an engine is wanted.
void route(Backend& backend, const Tensor& x, const Tensor& weight, RouterPrecision precision,
           const Tensor& experts, const Tensor& shares);

// out[t] = sum over e of shares[t, e] * down_x(silu(gate_x(x[t])) * up_x(x[t])),  x = experts[t, e],
// summed in ascending order of the experts' numbers.
//
//   x, out   [T, W]  act
//   weights  X experts; as linear, inputs may be rounded to bf16 when an expert has more than one token
void moe(Backend& backend, const Tensor& x, std::span<const ExpertWeights> weights,
         const Tensor& experts, const Tensor& shares, const Tensor& out);

// tokens[r] = what rows[r].rule (engine/draw.h) draws of rows[r].logits without the suppressed tokens,
// logprobs[r] = log(softmax(rows[r].logits)[tokens[r]]), at temperature 1
//
//   rows        R of them, their logits [V] f32 wherever they lie; the list itself is the host's
//   suppressed  [ceil(V / 32)]  i32  bit v mod 32 of number v / 32: token v is never drawn, and its
//                                    probability is 0
//   tokens      [R]  i32  out  -1: no token is left (all are suppressed, -infinity or not numbers)
//   logprobs    [R]  f32  out  not said where no token is left; empty: nobody asks
// The same rows give the same tokens, always. Devices differ where a sum of weights comes as close to what is
// drawn as its rounding: weights are f64 on the CPU, those of many tokens f32 on a GPU.
void sample(Backend& backend, std::span<const LogitsRow> rows, const Tensor& suppressed,
            const Tensor& tokens, const Tensor& logprobs);

// How many numbers tell which of V tokens are suppressed.
constexpr int64_t suppressed_words(int64_t vocabulary) {
  return (vocabulary + 31) / 32;
}

}  // namespace minimax::ops
