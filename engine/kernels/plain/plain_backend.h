// SPDX-License-Identifier: Apache-2.0
// Every operation as plain loops on one thread: the specification people read, and the twin that fast
// kernels are held against. Slow on purpose.
#pragma once

#include <string>

#include "engine/ops/backend.h"

namespace minimax {

class PlainBackend final : public Backend {
 public:
  const std::string& name() const override { return name_; }
  Memory& memory() override { return host_memory(); }
  DType activation_type() const override { return DType::f32; }
  void reserve(const StepLimits&) override {}
  size_t scratch_bytes(const StepLimits&) const override { return 0; }

  void embed(const Tensor& ids, const Tensor& table, const Tensor& out) override;
  void linear(const Tensor& x, const Weight& weight, Activation activation,
              const Tensor& out) override;
  void logits(const Tensor& x, const Weight& weight, const Tensor& logits) override;
  void biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                     Activation activation, const Tensor& out) override;
  void add_biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                         const Tensor& room, const Tensor& out) override;
  void add(const Tensor& x, const Tensor& y, const Tensor& out) override;
  void copy(const Tensor& from, const Tensor& to) override;
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                  const Tensor& out) override;
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) override;
  void residual_rms_norm(const Tensor& x, const Tensor& y, ResidualScale scale,
                         const Tensor& weight, float eps, const Tensor& out) override;
  void gated_rms_norm(const Tensor& x, const Tensor& gate, const Tensor& weight, float eps,
                      const Tensor& out) override;
  void rope(const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope) override;
  void lightning_attention(const Tensor& qkv, const Tensor& slope, int64_t layer,
                           std::span<const LightningSequence> sequences,
                           const Tensor& out) override;
  void store_kv(const Tensor& k, const Tensor& v, const KvLayout& layout,
                std::span<const KvSequence> sequences) override;
  void softmax_attention(const Tensor& q, float scale, const KvLayout& layout,
                         std::span<const KvSequence> sequences, const Tensor& out) override;
  void bidirectional_attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale,
                               const KvLayout& layout, std::span<const KvSequence> sequences,
                               const Tensor& out) override;
  void route(const Tensor& x, const Tensor& weight, RouterPrecision precision,
             const Tensor& experts, const Tensor& shares) override;
  void moe(const Tensor& x, std::span<const ExpertWeights> weights, const Tensor& experts,
           const Tensor& shares, const Tensor& out) override;
  void sample(std::span<const LogitsRow> rows, const Tensor& suppressed, const Tensor& tokens,
              const Tensor& logprobs) override;

 private:
  std::string name_ = "plain";
};

}  // namespace minimax
