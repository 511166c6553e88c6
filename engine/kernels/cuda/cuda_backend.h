// SPDX-License-Identifier: Apache-2.0
// One GPU as a backend: bf16 activations and weights, f32 sums and states, one stream.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/cuda_memory.h"
#include "engine/kernels/cuda/launcher.h"
#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/moe.h"
#include "engine/kernels/cuda/step_tables.h"
#include "engine/ops/backend.h"
#include "engine/tensor/buffer.h"

namespace minimax {

// The stream and what belongs to it; made before, and gone after, everything that uses it.
class CudaStream {
 public:
  explicit CudaStream(int device);
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class CudaBackend final : public Backend {
 public:
  // MINIMAX_NOT_AVAILABLE when the machine has no such GPU, no driver, or one older than sm_80.
  explicit CudaBackend(int device);
  ~CudaBackend() override;

  const std::string& name() const override { return name_; }
  Memory& memory() override { return memory_; }
  DType activation_type() const override { return DType::bf16; }
  std::optional<DType> weight_type() const override { return DType::bf16; }
  const CudaDevice& device() const { return device_; }
  cudaStream_t stream() const { return stream_.get(); }

  void reserve(const StepLimits& limits) override;
  size_t scratch_bytes(const StepLimits& limits) const override;
  void begin_step(const StepSequences& sequences) override;
  void run(const StepKey& key, const std::function<void()>& work) override;
  void finish() override;

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
  // A recorded step.
  struct Recording {
    int64_t seen = 0;
    int64_t generation = 0;
    cudaGraphExec_t graph = nullptr;
  };
  // Where the scratch memory of operations lies.
  struct Scratch {
    size_t starts, slots, places, counters, logits_chunks, hidden, partial, attention, total;
  };

  Launcher begin(const char* operation);
  Scratch scratch_layout(const StepLimits& limits) const;
  template <typename T>
  T* scratch_at(size_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(scratch_.data()) + offset);
  }
  SoftmaxCall softmax_call(const Tensor& q, float scale, const KvLayout& layout,
                           std::span<const KvSequence> sequences, const Tensor& out);
  RoutingPlan routing_plan() const;
  ExpertSet expert_set(std::span<const ExpertWeights> weights);
  void multiply(const Launcher& launch, const LinearCall& call);
  void forget_recordings();

  std::string name_;
  CudaDevice device_;
  CudaStream stream_;
  CudaMemory memory_;
  StepTables tables_;

  Scratch layout_{};
  int64_t vocabulary_limit_ = 0;
  Buffer scratch_;
  // The choices that the last operation routed: their plan still stands in the scratch memory.
  const void* routed_ = nullptr;

  struct CachedExperts {
    std::vector<const void*> matrices;
    Buffer memory;
    ExpertSet set;
  };
  std::map<const void*, CachedExperts> experts_;  // by the first gate matrix
  std::map<StepKey, Recording> recordings_;
  const char* operation_ = "";  // the last that was handed over
};

}  // namespace minimax
