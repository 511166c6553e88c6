// SPDX-License-Identifier: Apache-2.0
#include "engine/model/tensor_names.h"

#include <array>

#include "base/error.h"

namespace minimax {
namespace {

constexpr std::string_view bodies[] = {"model.", "language_model.model.", "model.language_model."};
constexpr std::string_view heads[] = {"lm_head.weight", "language_model.lm_head.weight"};

LightningTensors lightning_tensors(const ModelConfig& config, const std::string& attention) {
  const int64_t W = config.width, heads_width = config.head_count * config.head_dim;
  return {.qkv_proj = {attention + "qkv_proj.weight", {3 * heads_width, W}},
          .output_gate = {attention + "output_gate.weight", {heads_width, W}},
          .norm = {attention + "norm.weight", {heads_width}},
          .out_proj = {attention + "out_proj.weight", {W, heads_width}}};
}

SoftmaxTensors softmax_tensors(const ModelConfig& config, const std::string& attention) {
  const int64_t W = config.width, heads_width = config.head_count * config.head_dim;
  const int64_t kv_width = config.kv_head_count * config.head_dim;
  return {.q_proj = {attention + "q_proj.weight", {heads_width, W}},
          .k_proj = {attention + "k_proj.weight", {kv_width, W}},
          .v_proj = {attention + "v_proj.weight", {kv_width, W}},
          .o_proj = {attention + "o_proj.weight", {W, heads_width}}};
}

MoeTensors separate_experts(const ModelConfig& config, const std::string& layer) {
  const int64_t W = config.width, F = config.expert_width;
  const std::string moe = layer + "block_sparse_moe.";
  MoeTensors tensors;
  tensors.gate = {moe + "gate.weight", {config.expert_count, W}, DType::f32};
  tensors.experts.reserve(static_cast<size_t>(config.expert_count));
  for (int64_t e = 0; e < config.expert_count; ++e) {
    const std::string expert = text(moe, "experts.", e, ".");
    tensors.experts.push_back({.w1 = {expert + "w1.weight", {F, W}},
                               .w3 = {expert + "w3.weight", {F, W}},
                               .w2 = {expert + "w2.weight", {W, F}}});
  }
  return tensors;
}

MoeTensors merged_experts(const ModelConfig& config, const std::string& layer) {
  const int64_t W = config.width, F = config.expert_width, X = config.expert_count;
  MoeTensors tensors;
  tensors.gate = {layer + "mlp.gate.weight", {X, W}, DType::f32};
  tensors.gate_up_proj = {layer + "mlp.experts.gate_up_proj", {X, 2 * F, W}};
  tensors.down_proj = {layer + "mlp.experts.down_proj", {X, W, F}};
  return tensors;
}

LayerTensors layer_tensors(const ModelConfig& config, const TensorNaming& naming, int64_t index) {
  const std::string layer = text(naming.body, "layers.", index, ".");
  LayerTensors tensors;
  tensors.kind = config.layers[static_cast<size_t>(index)];
  tensors.input_norm = {layer + "input_layernorm.weight", {config.width}};
  if (tensors.kind == LayerKind::lightning) {
    tensors.lightning = lightning_tensors(config, layer + "self_attn.");
  } else {
    tensors.softmax = softmax_tensors(config, layer + "self_attn.");
  }
  tensors.post_norm = {layer + "post_attention_layernorm.weight", {config.width}};
  tensors.moe = naming.experts == ExpertLayout::merged ? merged_experts(config, layer)
                                                       : separate_experts(config, layer);
  return tensors;
}

using Visitor = std::function<void(const TensorSpec&)>;

void visit_moe(const MoeTensors& moe, const Visitor& body) {
  body(moe.gate);
  for (const ExpertTensors& expert : moe.experts) {
    for (const TensorSpec* tensor : {&expert.w1, &expert.w3, &expert.w2}) body(*tensor);
  }
  if (!moe.merged()) return;
  body(moe.gate_up_proj);
  body(moe.down_proj);
}

void visit_layer(const LayerTensors& layer, const Visitor& body) {
  body(layer.input_norm);
  const LightningTensors& l = layer.lightning;
  const SoftmaxTensors& s = layer.softmax;
  const bool lightning = layer.kind == LayerKind::lightning;
  const std::array attention = lightning
                                   ? std::array{&l.qkv_proj, &l.output_gate, &l.norm, &l.out_proj}
                                   : std::array{&s.q_proj, &s.k_proj, &s.v_proj, &s.o_proj};
  for (const TensorSpec* tensor : attention) body(*tensor);
  body(layer.post_norm);
  visit_moe(layer.moe, body);
}

}  // namespace

TensorNaming released_naming(const ModelConfig& config) {
  if (!config.has_vision) return {};
  return {.body = "language_model.model.", .lm_head = "language_model.lm_head.weight"};
}

TensorNaming detect_naming(const ModelConfig& config,
                           const std::function<bool(std::string_view)>& has) {
  TensorNaming naming = released_naming(config);
  for (const std::string_view body : bodies) {
    if (!has(text(body, "embed_tokens.weight"))) continue;
    naming.body = body;
    break;
  }
  for (const std::string_view head : heads) {
    if (has(head)) naming.lm_head = head;
  }
  if (has(naming.body + "layers.0.mlp.experts.gate_up_proj")) naming.experts = ExpertLayout::merged;
  return naming;
}

TextTensors text_tensors(const ModelConfig& config, const TensorNaming& naming) {
  const Shape table{config.vocabulary_size, config.width};
  TextTensors tensors;
  tensors.embed_tokens = {naming.body + "embed_tokens.weight", table};
  tensors.layers.reserve(config.layers.size());
  for (int64_t i = 0; i < config.layer_count; ++i) {
    tensors.layers.push_back(layer_tensors(config, naming, i));
  }
  tensors.norm = {naming.body + "norm.weight", {config.width}};
  tensors.lm_head =
      config.tied_embeddings ? tensors.embed_tokens : TensorSpec{naming.lm_head, table};
  return tensors;
}

void for_each_tensor(const TextTensors& tensors, const Visitor& body) {
  body(tensors.embed_tokens);
  for (const LayerTensors& layer : tensors.layers) visit_layer(layer, body);
  body(tensors.norm);
  if (tensors.lm_head.name != tensors.embed_tokens.name) body(tensors.lm_head);
}

std::vector<TensorSpec> list_tensors(const TextTensors& tensors) {
  std::vector<TensorSpec> list;
  for_each_tensor(tensors, [&](const TensorSpec& tensor) { list.push_back(tensor); });
  return list;
}

}  // namespace minimax
