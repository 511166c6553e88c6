// SPDX-License-Identifier: Apache-2.0
#include "engine/model/moe.h"

#include "base/error.h"
#include "engine/ops/ops.h"

namespace minimax {
namespace {

// A kernel reads all experts of a layer in one way.
void check_types(const std::vector<ExpertWeights>& experts, const std::string& layer) {
  const DType type = experts.front().gate.values.dtype();
  for (const ExpertWeights& expert : experts) {
    for (const Weight& weight : {expert.gate, expert.up, expert.down}) {
      if (weight.values.dtype() == type) continue;
      fail(MINIMAX_UNSUPPORTED, layer, ": experts of both ", name_of(type), " and ",
           name_of(weight.values.dtype()), ", expected one type");
    }
  }
}

// Experts out of the two tensors that hold them all.
std::vector<ExpertWeights> split_experts(const Tensor& gate_up, const Tensor& down,
                                         int64_t expert_width) {
  std::vector<ExpertWeights> experts;
  for (int64_t x = 0; x < gate_up.dim(0); ++x) {
    const Tensor both = gate_up.at(x);  // [2 F, W]
    experts.push_back(
        {{both.rows(0, expert_width)}, {both.rows(expert_width, expert_width)}, {down.at(x)}});
  }
  return experts;
}

std::vector<ExpertWeights> load_experts(const ModelConfig& config, const MoeTensors& tensors,
                                        WeightSource& source) {
  if (tensors.merged()) {
    return split_experts(source.matrix(tensors.gate_up_proj), source.matrix(tensors.down_proj),
                         config.expert_width);
  }
  std::vector<ExpertWeights> experts;
  for (const ExpertTensors& expert : tensors.experts) {
    experts.push_back(
        {{source.matrix(expert.w1)}, {source.matrix(expert.w3)}, {source.matrix(expert.w2)}});
  }
  return experts;
}

}  // namespace

Moe::Moe(const ModelConfig& config, const MoeTensors& tensors, WeightSource& source)
    : experts_per_token_(config.experts_per_token),
      router_precision_(config.router_logits_bf16 ? RouterPrecision::bf16 : RouterPrecision::f32),
      router_(source.vector_f32(tensors.gate)),
      experts_(load_experts(config, tensors, source)) {
  check_types(experts_, tensors.gate.name);
}

void Moe::forward(Step& step, const Tensor& v, const Tensor& out) const {
  const Arena::Scope scope(step.arena());
  const Shape chosen{v.dim(0), experts_per_token_};
  const Tensor experts = step.arena().take(DType::i32, chosen);
  const Tensor shares = step.arena().take(DType::f32, chosen);
  ops::route(step.backend(), v, router_, router_precision_, experts, shares);
  ops::moe(step.backend(), v, experts_, experts, shares, out);
}

size_t Moe::scratch_bytes(const ModelConfig& config, int64_t tokens) {
  return 2 * Arena::padded(static_cast<size_t>(tokens * config.experts_per_token) * sizeof(float));
}

}  // namespace minimax
