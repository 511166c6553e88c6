// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/ops.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace minimax::ops {
namespace {

constexpr int64_t most_tokens = int64_t{1} << 30;  // of a vocabulary: their numbers fit an int

void check_shape(std::string_view name, const Tensor& tensor, const Shape& expected) {
  if (tensor.shape() == expected) return;
  fail(MINIMAX_INVALID_ARGUMENT, name, " is ", tensor.shape().to_string(), ", expected ",
       expected.to_string());
}

void check_type(std::string_view name, const Tensor& tensor, DType expected) {
  require(tensor.dtype() == expected, name, " is ", name_of(tensor.dtype()), ", expected ",
          name_of(expected));
}

void check(std::string_view name, const Tensor& tensor, DType type, const Shape& expected) {
  check_type(name, tensor, type);
  check_shape(name, tensor, expected);
}

// Weights: bf16 or f32, whole rows without gaps.
void check_weight(std::string_view name, const Tensor& weight, const Shape& expected) {
  check_shape(name, weight, expected);
  const bool known = weight.dtype() == DType::bf16 || weight.dtype() == DType::f32;
  require(known && weight.contiguous(), name, " is ", name_of(weight.dtype()),
          weight.contiguous() ? "" : " with gaps", ", expected contiguous bf16 or f32");
}

void check_rank(std::string_view name, const Tensor& tensor, int rank) {
  require(tensor.rank() == rank, name, " has ", tensor.rank(), " dimensions, expected ", rank);
}

template <typename Sequence>
const SequenceSpan& span_of(const Sequence& sequence) {
  if constexpr (std::is_same_v<Sequence, SequenceSpan>) {
    return sequence;
  } else {
    return sequence.span;
  }
}

// The sequences together are rows 0 .. tokens, in order.
template <typename Sequence>
void check_sequences(std::span<const Sequence> sequences, int64_t tokens) {
  int64_t next = 0;
  for (const Sequence& sequence : sequences) {
    const SequenceSpan& span = span_of(sequence);
    require(span.first_row == next && span.row_count >= 0 && span.position >= 0,
            "sequence starts at row ", span.first_row, ", expected ", next);
    next += span.row_count;
  }
  require(next == tokens, "sequences hold ", next, " rows, the step has ", tokens);
}

void check_lightning(const LightningSequence& sequence, int64_t heads, int64_t width, DType act) {
  const SequenceSpan& span = sequence.span;
  const int64_t end = span.position + span.row_count;
  check("state", sequence.state, DType::f32, {heads, width, width});
  check_rank("log", sequence.log, 4);
  const int64_t rows = sequence.log.dim(2);
  check("log", sequence.log, act, {heads, 2, rows, width});
  const int64_t committed = sequence.committed, after = sequence.committed_after;
  const bool aligned = committed % lightning_block == 0 && after % lightning_block == 0 &&
                       rows % lightning_block == 0;
  require(
      aligned && 0 <= committed && committed <= span.position && committed <= after && after <= end,
      "committed ", committed, " to ", after, " does not suit tokens ", span.position, " to ", end);
  require(end - after <= rows && span.position - committed <= rows, "log of ", rows,
          " rows is too short for tokens ", committed, " to ", end);
}

void check_pages(const KvSequence& sequence, const KvLayout& layout) {
  const int64_t end = sequence.span.position + sequence.span.row_count;
  const int64_t room = static_cast<int64_t>(sequence.pages.size()) * layout.page_tokens;
  require(end <= room, "pages have room for ", room, " tokens, ", end, " are needed");
}

}  // namespace

void embed(Backend& backend, const Tensor& ids, const Tensor& table, const Tensor& out) {
  check_rank("ids", ids, 1);
  check_rank("table", table, 2);
  check("ids", ids, DType::i32, {ids.dim(0)});
  check_weight("table", table, table.shape());
  check("out", out, backend.activation_type(), {ids.dim(0), table.dim(1)});
  if (ids.dim(0) > 0) backend.embed(ids, table, out);
}

namespace {

void check_product(Backend& backend, const Tensor& x, const Weight& weight, const Tensor& out) {
  check_rank("x", x, 2);
  check_weight("weight", weight.values, {weight.output_width(), x.dim(1)});
  check_type("x", x, backend.activation_type());
  check("out", out, backend.activation_type(), {x.dim(0), weight.output_width()});
}

}  // namespace

void linear(Backend& backend, const Tensor& x, const Weight& weight, Activation activation,
            const Tensor& out) {
  check_product(backend, x, weight, out);
  require(activation != Activation::gelu,
          "linear ends in nothing or SiLU; GELU is biased_linear's");
  if (x.dim(0) > 0 && weight.output_width() > 0) backend.linear(x, weight, activation, out);
}

void biased_linear(Backend& backend, const Tensor& x, const Weight& weight, const Tensor& bias,
                   Activation activation, const Tensor& out) {
  check_product(backend, x, weight, out);
  check("bias", bias, DType::f32, {weight.output_width()});
  if (out.element_count() > 0) backend.biased_linear(x, weight, bias, activation, out);
}

void add_biased_linear(Backend& backend, const Tensor& x, const Weight& weight, const Tensor& bias,
                       const Tensor& room, const Tensor& out) {
  check_product(backend, x, weight, out);
  check("bias", bias, DType::f32, {weight.output_width()});
  check("room", room, out.dtype(), out.shape());
  require(room.contiguous() && out.contiguous(), "room or out has gaps");
  if (out.element_count() > 0) backend.add_biased_linear(x, weight, bias, room, out);
}

void add(Backend& backend, const Tensor& x, const Tensor& y, const Tensor& out) {
  check_rank("x", x, 2);
  check_rank("y", y, 2);
  check_type("x", x, backend.activation_type());
  check("y", y, x.dtype(), {y.dim(0), x.dim(1)});
  check("out", out, x.dtype(), x.shape());
  if (x.element_count() == 0) return;
  require(y.dim(0) > 0 && x.dim(0) % y.dim(0) == 0, "y has ", y.dim(0), " rows for x's ", x.dim(0));
  backend.add(x, y, out);
}

void copy(Backend& backend, const Tensor& from, const Tensor& to) {
  check("to", to, from.dtype(), from.shape());
  require(from.contiguous() && to.contiguous(), "copy of tensors with gaps");
  if (from.element_count() > 0) backend.copy(from, to);
}

void logits(Backend& backend, const Tensor& x, const Weight& weight, const Tensor& logits) {
  check_rank("x", x, 2);
  check_weight("weight", weight.values, {weight.output_width(), x.dim(1)});
  check_type("x", x, backend.activation_type());
  check("logits", logits, DType::f32, {x.dim(0), weight.output_width()});
  if (x.dim(0) > 0) backend.logits(x, weight, logits);
}

void layer_norm(Backend& backend, const Tensor& x, const Tensor& weight, const Tensor& bias,
                float eps, const Tensor& out) {
  check_rank("x", x, 2);
  check_type("x", x, backend.activation_type());
  check("weight", weight, DType::f32, {x.dim(1)});
  check("bias", bias, DType::f32, {x.dim(1)});
  check("out", out, x.dtype(), x.shape());
  if (x.element_count() > 0) backend.layer_norm(x, weight, bias, eps, out);
}

void rms_norm(Backend& backend, const Tensor& x, const Tensor& weight, float eps,
              const Tensor& out) {
  check_rank("x", x, 2);
  check_type("x", x, backend.activation_type());
  check("weight", weight, DType::f32, {x.dim(1)});
  check("out", out, x.dtype(), x.shape());
  if (x.dim(0) > 0) backend.rms_norm(x, weight, eps, out);
}

void residual_rms_norm(Backend& backend, const Tensor& x, const Tensor& y, ResidualScale scale,
                       const Tensor& weight, float eps, const Tensor& out) {
  check_rank("x", x, 2);
  check_type("x", x, backend.activation_type());
  check("y", y, x.dtype(), x.shape());
  check("weight", weight, DType::f32, {x.dim(1)});
  check("out", out, x.dtype(), x.shape());
  if (x.dim(0) > 0) backend.residual_rms_norm(x, y, scale, weight, eps, out);
}

void gated_rms_norm(Backend& backend, const Tensor& x, const Tensor& gate, const Tensor& weight,
                    float eps, const Tensor& out) {
  check_rank("x", x, 2);
  check_type("x", x, backend.activation_type());
  check("gate", gate, x.dtype(), x.shape());
  check("weight", weight, DType::f32, {x.dim(1)});
  check("out", out, x.dtype(), x.shape());
  if (x.dim(0) > 0) backend.gated_rms_norm(x, gate, weight, eps, out);
}

void rope(Backend& backend, const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope) {
  check_rank("x", x, 3);
  check_type("x", x, backend.activation_type());
  check_sequences(sequences, x.dim(0));
  require(rope.rotary_dim >= 0 && rope.rotary_dim % 2 == 0 && rope.rotary_dim <= x.dim(2),
          "rotary_dim is ", rope.rotary_dim, ", expected an even number up to ", x.dim(2));
  if (x.dim(0) > 0 && rope.rotary_dim > 0) backend.rope(x, sequences, rope);
}

void lightning_attention(Backend& backend, const Tensor& qkv, const Tensor& slope, int64_t layer,
                         std::span<const LightningSequence> sequences, const Tensor& out) {
  check_rank("qkv", qkv, 4);
  const int64_t tokens = qkv.dim(0), heads = qkv.dim(1), width = qkv.dim(3);
  check("qkv", qkv, backend.activation_type(), {tokens, heads, 3, width});
  check("slope", slope, DType::f32, {heads});
  check("out", out, qkv.dtype(), {tokens, heads, width});
  require(layer >= 0, "layer is ", layer, ", expected 0 or more");
  check_sequences(sequences, tokens);
  for (const LightningSequence& sequence : sequences) {
    check_lightning(sequence, heads, width, qkv.dtype());
  }
  if (tokens > 0) backend.lightning_attention(qkv, slope, layer, sequences, out);
}

void store_kv(Backend& backend, const Tensor& k, const Tensor& v, const KvLayout& layout,
              std::span<const KvSequence> sequences) {
  check_rank("k", k, 3);
  check("k", k, backend.activation_type(), {k.dim(0), layout.kv_head_count, layout.head_dim});
  check("v", v, k.dtype(), k.shape());
  check_sequences(sequences, k.dim(0));
  for (const KvSequence& sequence : sequences) check_pages(sequence, layout);
  if (k.dim(0) > 0) backend.store_kv(k, v, layout, sequences);
}

namespace {

void check_attention(Backend& backend, const Tensor& q, const KvLayout& layout,
                     std::span<const KvSequence> sequences, const Tensor& out) {
  check_rank("q", q, 3);
  check("q", q, backend.activation_type(), {q.dim(0), q.dim(1), layout.head_dim});
  require(q.dim(1) % layout.kv_head_count == 0, "q has ", q.dim(1), " heads for ",
          layout.kv_head_count, " key heads");
  check("out", out, q.dtype(), q.shape());
  check_sequences(sequences, q.dim(0));
  for (const KvSequence& sequence : sequences) check_pages(sequence, layout);
}

}  // namespace

void softmax_attention(Backend& backend, const Tensor& q, float scale, const KvLayout& layout,
                       std::span<const KvSequence> sequences, const Tensor& out) {
  check_attention(backend, q, layout, sequences, out);
  if (q.dim(0) > 0) backend.softmax_attention(q, scale, layout, sequences, out);
}

void bidirectional_attention(Backend& backend, const Tensor& q, const Tensor& k, const Tensor& v,
                             float scale, const KvLayout& layout,
                             std::span<const KvSequence> sequences, const Tensor& out) {
  check_attention(backend, q, layout, sequences, out);
  check("k", k, q.dtype(), {q.dim(0), layout.kv_head_count, layout.head_dim});
  check("v", v, q.dtype(), k.shape());
  for (const KvSequence& sequence : sequences) {
    require(sequence.span.position == 0, "sequence begins at position ", sequence.span.position,
            ", expected 0");
  }
  if (q.dim(0) > 0) backend.bidirectional_attention(q, k, v, scale, layout, sequences, out);
}

void route(Backend& backend, const Tensor& x, const Tensor& weight, RouterPrecision precision,
           const Tensor& experts, const Tensor& shares) {
  check_rank("x", x, 2);
  check_rank("experts", experts, 2);
  check_type("x", x, backend.activation_type());
  check_weight("weight", weight, {weight.dim(0), x.dim(1)});
  const int64_t chosen = experts.dim(1);
  require(chosen >= 1 && chosen <= weight.dim(0), chosen, " experts a token of ", weight.dim(0));
  check("experts", experts, DType::i32, {x.dim(0), chosen});
  check("shares", shares, DType::f32, {x.dim(0), chosen});
  if (x.dim(0) > 0) backend.route(x, weight, precision, experts, shares);
}

void moe(Backend& backend, const Tensor& x, std::span<const ExpertWeights> weights,
         const Tensor& experts, const Tensor& shares, const Tensor& out) {
  check_rank("x", x, 2);
  check_rank("experts", experts, 2);
  check_type("x", x, backend.activation_type());
  const int64_t width = x.dim(1);
  for (const ExpertWeights& expert : weights) {
    const int64_t hidden = expert.gate.output_width();
    check_weight("gate", expert.gate.values, {hidden, width});
    check_weight("up", expert.up.values, {hidden, width});
    check_weight("down", expert.down.values, {width, hidden});
  }
  check("experts", experts, DType::i32, {x.dim(0), experts.dim(1)});
  check("shares", shares, DType::f32, experts.shape());
  check("out", out, x.dtype(), x.shape());
  if (x.dim(0) > 0) backend.moe(x, weights, experts, shares, out);
}

void sample(Backend& backend, std::span<const LogitsRow> rows, const Tensor& suppressed,
            const Tensor& tokens, const Tensor& logprobs) {
  const auto count = static_cast<int64_t>(rows.size());
  check("tokens", tokens, DType::i32, {count});
  if (!logprobs.empty()) check("logprobs", logprobs, DType::f32, {count});
  if (rows.empty()) return;
  check_rank("logits", rows[0].logits, 1);
  const int64_t vocabulary = rows[0].logits.dim(0);
  require(vocabulary >= 1 && vocabulary <= most_tokens, "vocabulary of ", vocabulary,
          ", expected 1 to ", most_tokens);
  check("suppressed", suppressed, DType::i32, {suppressed_words(vocabulary)});
  for (const LogitsRow& row : rows) {
    check("logits", row.logits, DType::f32, {vocabulary});
    const DrawRule& rule = row.rule;
    require(rule.temperature >= 0 && rule.top_p >= 0 && rule.min_p >= 0 && rule.min_p <= 1 &&
                rule.top_k >= 0 && rule.uniform >= 0 && rule.uniform < 1,
            "a rule with temperature ", rule.temperature, ", top_k ", rule.top_k, ", top_p ",
            rule.top_p, ", min_p ", rule.min_p, ", uniform ", rule.uniform, " is out of range");
  }
  backend.sample(rows, suppressed, tokens, logprobs);
}

}  // namespace minimax::ops
