// SPDX-License-Identifier: Apache-2.0
// What a device implements: memory, and one function for each operation of ops.h.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "engine/ops/views.h"
#include "engine/tensor/memory.h"
#include "engine/tensor/tensor.h"
#include "engine/tensor/weight.h"

namespace minimax {

// One thread at a time. Arguments have been checked by ops.h; their meaning stands there. Nothing
// allocates after reserve().
class Backend {
 public:
  virtual ~Backend() = default;

  virtual const std::string& name() const = 0;  // "cpu"
  virtual Memory& memory() = 0;
  virtual DType activation_type() const = 0;
  // What matrices of weights are kept as: as they are stored (f16 as f32), or all as one type.
  virtual std::optional<DType> weight_type() const { return std::nullopt; }

  // Takes the scratch memory for steps up to these limits, once; scratch_bytes() tells how much that
  // is or would be.
  virtual void reserve(const StepLimits& limits) = 0;
  virtual size_t scratch_bytes(const StepLimits& limits) const = 0;

  // Tells of the sequences of the step that begins, so that a device can copy what it needs of them once
  // for all layers. Operations given other sequences work too.
  virtual void begin_step(const StepSequences&) {}
  // Runs `work`, which calls operations and nothing else. Calls with the same key hand over the same
  // operations with the same arguments, but for what begin_step told: a device may record them once
  // and play them from then on.
  virtual void run(const StepKey&, const std::function<void()>& work) { work(); }
  // Waits until everything handed over is computed. What went wrong on a device is thrown here at the
  // latest, with the operation's name.
  virtual void finish() {}

  virtual void embed(const Tensor& ids, const Tensor& table, const Tensor& out) = 0;
  virtual void linear(const Tensor& x, const Weight& weight, Activation activation,
                      const Tensor& out) = 0;
  virtual void logits(const Tensor& x, const Weight& weight, const Tensor& logits) = 0;
  virtual void biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                             Activation activation, const Tensor& out) = 0;
  virtual void add_biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                                 const Tensor& room, const Tensor& out) = 0;
  virtual void add(const Tensor& x, const Tensor& y, const Tensor& out) = 0;
  virtual void copy(const Tensor& from, const Tensor& to) = 0;
  virtual void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                          const Tensor& out) = 0;
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) = 0;
  virtual void residual_rms_norm(const Tensor& x, const Tensor& y, ResidualScale scale,
                                 const Tensor& weight, float eps, const Tensor& out) = 0;
  virtual void gated_rms_norm(const Tensor& x, const Tensor& gate, const Tensor& weight, float eps,
                              const Tensor& out) = 0;
  virtual void rope(const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope) = 0;
  virtual void lightning_attention(const Tensor& qkv, const Tensor& slope, int64_t layer,
                                   std::span<const LightningSequence> sequences,
                                   const Tensor& out) = 0;
  virtual void store_kv(const Tensor& k, const Tensor& v, const KvLayout& layout,
                        std::span<const KvSequence> sequences) = 0;
  virtual void softmax_attention(const Tensor& q, float scale, const KvLayout& layout,
                                 std::span<const KvSequence> sequences, const Tensor& out) = 0;
  virtual void bidirectional_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                       float scale, const KvLayout& layout,
                                       std::span<const KvSequence> sequences,
                                       const Tensor& out) = 0;
  virtual void route(const Tensor& x, const Tensor& weight, RouterPrecision precision,
                     const Tensor& experts, const Tensor& shares) = 0;
  virtual void moe(const Tensor& x, std::span<const ExpertWeights> weights, const Tensor& experts,
                   const Tensor& shares, const Tensor& out) = 0;
  virtual void sample(std::span<const LogitsRow> rows, const Tensor& suppressed,
                      const Tensor& tokens, const Tensor& logprobs) = 0;
};

}  // namespace minimax
