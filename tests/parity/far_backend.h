// SPDX-License-Identifier: Apache-2.0
// A GPU behind a backend that takes tensors in the host's memory: for comparing operations with the CPU's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/ops/backend.h"
#include "engine/tensor/buffer.h"

namespace minimax {

// Activations are f32 outside and the device's type inside: everything an operation reads travels there,
// everything it may have written travels back. Weights that the device keeps as another type are refused.
class FarBackend final : public Backend {
 public:
  explicit FarBackend(std::unique_ptr<Backend> device) : device_(std::move(device)) {}

  const std::string& name() const override { return device_->name(); }
  Memory& memory() override { return host_memory(); }
  DType activation_type() const override { return DType::f32; }
  void reserve(const StepLimits& limits) override { device_->reserve(limits); }
  size_t scratch_bytes(const StepLimits& limits) const override {
    return device_->scratch_bytes(limits);
  }

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
  // A tensor's copy on the device, of the same shape.
  class Twin {
   public:
    Twin(Backend& device, const Tensor& host, DType type);
    const Tensor& tensor() const { return tensor_; }
    void bring_back() const;

   private:
    Backend* device_;
    Tensor host_, tensor_;
    Buffer buffer_;
  };
  // Pages of some sequences on the device.
  class TwinPages {
   public:
    TwinPages(Backend& device, const KvLayout& layout, std::span<const KvSequence> sequences);
    std::span<const KvSequence> sequences() const { return twins_; }
    void bring_back() const;

   private:
    Backend* device_;
    size_t page_bytes_;
    std::span<const KvSequence> hosts_;
    std::vector<Buffer> buffers_;
    std::vector<std::vector<std::byte*>> pages_;
    std::vector<KvSequence> twins_;
  };

  Twin act(const Tensor& host) { return {*device_, host, device_->activation_type()}; }
  Twin same(const Tensor& host) { return {*device_, host, host.dtype()}; }
  Twin weight(const Tensor& host);

  std::unique_ptr<Backend> device_;
};

}  // namespace minimax
