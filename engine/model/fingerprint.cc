// SPDX-License-Identifier: Apache-2.0
#include "engine/model/fingerprint.h"

#include <algorithm>
#include <array>

#include "base/checksum.h"

namespace minimax {
namespace {

constexpr int64_t run_elements = 64;  // neighbours that are looked at
constexpr int64_t run_count = 4;      // of a tensor, from its first element to its last

template <typename Number>
void add(Checksum& sum, Number number) {
  sum.add(std::as_bytes(std::span(&number, 1)));
}

uint64_t digest_of(const ModelConfig& config) {
  Checksum sum;
  for (const int64_t size :
       {config.width, config.layer_count, config.head_count, config.kv_head_count, config.head_dim,
        config.rotary_dim, config.expert_count, config.experts_per_token, config.expert_width,
        config.vocabulary_size}) {
    add(sum, size);
  }
  for (const LayerKind kind : config.layers) add(sum, kind == LayerKind::softmax ? 1 : 0);
  for (const float number : {config.rms_norm_eps, config.lightning_norm_eps, config.lightning_alpha,
                             config.lightning_beta, config.softmax_alpha, config.softmax_beta,
                             config.mlp_alpha, config.mlp_beta}) {
    add(sum, number);
  }
  add(sum, config.rope_theta);
  add(sum, config.tied_embeddings ? 1 : 0);
  add(sum, config.router_logits_bf16 ? 1 : 0);
  return sum.value();
}

// Weights of the model, in order.
class WeightSamples {
 public:
  explicit WeightSamples(const WeightSource& source) : source_(source) {}

  void add(const TensorSpec& tensor) { add(tensor, 0, tensor.element_count()); }
  // `count` elements from `first` on, which are a tensor of their own in other checkpoints.
  void add(const TensorSpec& tensor, int64_t first, int64_t count) {
    minimax::add(sum_, count);
    const int64_t length = std::min(run_elements, count);
    for (int64_t i = 0; i < run_count; ++i) {
      const int64_t start = first + (count - length) * i / (run_count - 1) / 4 * 4;
      std::array<bf16, run_elements> run{};
      source_.sample(tensor, start, std::span(run).first(static_cast<size_t>(length)));
      sum_.add(std::as_bytes(std::span(run)));
    }
  }
  void add(const MoeTensors& moe, int64_t expert_count) {
    add(moe.gate);
    for (const ExpertTensors& expert : moe.experts) {
      for (const TensorSpec* tensor : {&expert.w1, &expert.w3, &expert.w2}) add(*tensor);
    }
    if (!moe.merged()) return;
    const int64_t matrix = moe.down_proj.element_count() / expert_count;
    for (int64_t expert = 0; expert < expert_count; ++expert) {
      add(moe.gate_up_proj, 2 * expert * matrix, matrix);
      add(moe.gate_up_proj, (2 * expert + 1) * matrix, matrix);
      add(moe.down_proj, expert * matrix, matrix);
    }
  }
  void add(const LayerTensors& layer, int64_t expert_count) {
    const LightningTensors& l = layer.lightning;
    const SoftmaxTensors& s = layer.softmax;
    const bool lightning = layer.kind == LayerKind::lightning;
    const std::array attention = lightning
                                     ? std::array{&l.qkv_proj, &l.output_gate, &l.norm, &l.out_proj}
                                     : std::array{&s.q_proj, &s.k_proj, &s.v_proj, &s.o_proj};
    add(layer.input_norm);
    for (const TensorSpec* tensor : attention) add(*tensor);
    add(layer.post_norm);
    add(layer.moe, expert_count);
  }
  uint64_t digest() const { return sum_.value(); }

 private:
  const WeightSource& source_;
  Checksum sum_;
};

}  // namespace

ModelFingerprint fingerprint_of(const ModelConfig& config, const TextTensors& tensors,
                                const WeightSource& source) {
  WeightSamples samples(source);
  samples.add(tensors.embed_tokens);
  for (const LayerTensors& layer : tensors.layers) samples.add(layer, config.expert_count);
  samples.add(tensors.norm);
  if (!config.tied_embeddings) samples.add(tensors.lm_head);
  return {digest_of(config), samples.digest()};
}

}  // namespace minimax
