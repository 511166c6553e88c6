// SPDX-License-Identifier: Apache-2.0
// The CPU as a backend: vector kernels chosen when it is opened, shared out over a thread pool.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "engine/kernels/cpu/kernel_table.h"
#include "engine/kernels/plain/row_sampler.h"
#include "engine/ops/backend.h"
#include "engine/tensor/buffer.h"

namespace minimax {

enum class CpuCompute {
  f32,  // weights are widened, products and sums are f32
  bf16  // inputs of matrix products over several tokens are rounded to bf16, if the processor can
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(int thread_count, CpuCompute compute, Isa isa = best_isa());

  const std::string& name() const override { return name_; }
  Memory& memory() override { return host_memory(); }
  DType activation_type() const override { return DType::f32; }
  ThreadPool& threads() { return threads_; }
  Isa isa() const { return kernels_.isa; }

  void reserve(const StepLimits& limits) override;
  size_t scratch_bytes(const StepLimits& limits) const override;

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
  void attend(const Tensor& q, float scale, const KvLayout& layout,
              std::span<const KvSequence> sequences, const Tensor& out, bool is_causal);

  std::string name_ = "cpu";
  const KernelTable& kernels_;
  CpuCompute compute_;
  ThreadPool threads_;
  std::vector<RowSampler> row_samplers_;  // one a thread; each grows with its first row

  // Scratch, taken by reserve(). linear.cc and moe.cc say what lies in theirs.
  StepLimits limits_{};
  Buffer linear_scratch_;
  Buffer moe_scratch_;
  Buffer attention_scratch_;
};

}  // namespace minimax
