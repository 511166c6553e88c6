// SPDX-License-Identifier: Apache-2.0
// What a device implements: memory, and one function for each operation of ops.h.
#pragma once

#include <cstddef>
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

  // Takes the scratch memory for steps up to these limits, once; scratch_bytes() tells how much that
  // is or would be.
  virtual void reserve(const StepLimits& limits) = 0;
  virtual size_t scratch_bytes(const StepLimits& limits) const = 0;

  virtual void embed(const Tensor& ids, const Tensor& table, const Tensor& out) = 0;
  virtual void linear(const Tensor& x, const Weight& weight, Activation activation,
                      const Tensor& out) = 0;
  virtual void logits(const Tensor& x, const Weight& weight, const Tensor& logits) = 0;
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) = 0;
  virtual void residual_rms_norm(const Tensor& x, const Tensor& y, ResidualScale scale,
                                 const Tensor& weight, float eps, const Tensor& out) = 0;
  virtual void gated_rms_norm(const Tensor& x, const Tensor& gate, const Tensor& weight, float eps,
                              const Tensor& out) = 0;
  virtual void rope(const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope) = 0;
  virtual void lightning_attention(const Tensor& qkv, const Tensor& slope,
                                   std::span<const LightningSequence> sequences,
                                   const Tensor& out) = 0;
  virtual void store_kv(const Tensor& k, const Tensor& v, const KvLayout& layout,
                        std::span<const KvSequence> sequences) = 0;
  virtual void softmax_attention(const Tensor& q, float scale, const KvLayout& layout,
                                 std::span<const KvSequence> sequences, const Tensor& out) = 0;
  virtual void route(const Tensor& x, const Tensor& weight, RouterPrecision precision,
                     const Tensor& experts, const Tensor& shares) = 0;
  virtual void moe(const Tensor& x, std::span<const ExpertWeights> weights, const Tensor& experts,
                   const Tensor& shares, const Tensor& out) = 0;
};

}  // namespace minimax
