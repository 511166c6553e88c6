// SPDX-License-Identifier: Apache-2.0
// The tensors of the text model by name and shape, in each way that checkpoints name them: what the
// loader asks for and what a plan counts is the same list.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/config.h"
#include "engine/weights/checkpoint.h"

namespace minimax {

enum class ExpertLayout {
  separate,  // block_sparse_moe.experts.E.{w1,w2,w3}.weight
  merged     // mlp.experts.{gate_up_proj,down_proj}: all experts in one tensor
};

// How a checkpoint names its tensors.
struct TensorNaming {
  std::string body = "model.";  // before "layers.N.", "embed_tokens.weight", "norm.weight"
  std::string lm_head = "lm_head.weight";
  ExpertLayout experts = ExpertLayout::separate;
};

// As the released checkpoints of this kind of model are named; for weights that are not files.
TensorNaming released_naming(const ModelConfig& config);
// By looking which names there are; released_naming when none is.
TensorNaming detect_naming(const ModelConfig& config,
                           const std::function<bool(std::string_view)>& has);

struct LightningTensors {
  TensorSpec qkv_proj;     // [3 H D, W], rows by head: q, k, v of head 0, then of head 1, ...
  TensorSpec output_gate;  // [H D, W]
  TensorSpec norm;         // [H D]
  TensorSpec out_proj;     // [W, H D]
};

struct SoftmaxTensors {
  TensorSpec q_proj;  // [H D, W]
  TensorSpec k_proj;  // [G D, W]
  TensorSpec v_proj;  // [G D, W]
  TensorSpec o_proj;  // [W, H D]
};

struct ExpertTensors {
  TensorSpec w1;  // [F, W] gate, through SiLU
  TensorSpec w3;  // [F, W] up
  TensorSpec w2;  // [W, F] down
};

struct MoeTensors {
  TensorSpec gate;                     // [X, W] usually f32
  std::vector<ExpertTensors> experts;  // X of them; none when merged:
  TensorSpec gate_up_proj;             // [X, 2 F, W], rows of w1 before those of w3
  TensorSpec down_proj;                // [X, W, F]

  bool merged() const { return experts.empty(); }
};

struct LayerTensors {
  LayerKind kind = LayerKind::lightning;
  TensorSpec input_norm;       // [W]
  LightningTensors lightning;  // of kind lightning
  SoftmaxTensors softmax;      // of kind softmax
  TensorSpec post_norm;        // [W]
  MoeTensors moe;
};

struct TextTensors {
  TensorSpec embed_tokens;  // [V, W]
  std::vector<LayerTensors> layers;
  TensorSpec norm;     // [W]
  TensorSpec lm_head;  // [V, W]; embed_tokens when the tables are tied
};

TextTensors text_tensors(const ModelConfig& config, const TensorNaming& naming);

// Every tensor once, in the order of the model: 8,243 of the released ones.
void for_each_tensor(const TextTensors& tensors,
                     const std::function<void(const TensorSpec&)>& body);
std::vector<TensorSpec> list_tensors(const TextTensors& tensors);

}  // namespace minimax
