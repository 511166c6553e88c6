// SPDX-License-Identifier: Apache-2.0
// The vision tower: patches of tiles to rows, a CLIP-shaped transformer (docs/model.md §7.3).
#pragma once

#include <vector>

#include "engine/ops/backend.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/weight.h"
#include "engine/weights/weight_source.h"
#include "vision/vision_config.h"

namespace minimax {

// A matrix with a bias.
struct BiasedWeight {
  Weight weight;  // [N, K]
  Tensor bias;    // [N] f32
};

struct LayerNorm {
  Tensor weight;  // [VW] f32
  Tensor bias;
};

struct VisionBlock {
  LayerNorm attention_norm;
  BiasedWeight q_proj, k_proj, v_proj, out_proj;  // [VW, VW]
  LayerNorm mlp_norm;
  BiasedWeight fc1;  // [mlp, VW]
  BiasedWeight fc2;  // [VW, mlp]
};

// Where a checkpoint keeps its parts.
struct VisionNaming {
  std::string tower = "vision_tower.vision_model.";
  std::string projector = "multi_modal_projector.";
  std::string newline = "image_newline";
};
VisionNaming detect_vision_naming(const WeightSource& source);

// Immutable after construction; borrows its weights from the source.
class VisionTower {
 public:
  VisionTower(const VisionConfig& config, const VisionNaming& naming, WeightSource& source,
              Backend& backend);

  // Rows [0, tiles * (1 + P)) of `out`: of each tile the class row, then its P patches.
  //
  //   patches  [tiles * P, patch_numbers]  act
  //   out      [tiles * (1 + P), VW]       act
  void forward(Backend& backend, Arena& arena, const Tensor& patches, const Tensor& out) const;

  // What forward takes from the arena for so many tiles.
  static size_t scratch_bytes(const VisionConfig& config, int64_t tiles, DType activation);

 private:
  void attend(Backend& backend, Arena& arena, const VisionBlock& block,
              std::span<const KvSequence> tiles, const Tensor& x) const;
  void transform(Backend& backend, Arena& arena, const VisionBlock& block, const Tensor& x) const;

  VisionConfig config_;
  Weight patch_embedding_;  // [VW, patch_numbers]
  Tensor class_embedding_;  // [1, VW] act
  Tensor positions_;        // [1 + P, VW] act
  LayerNorm pre_norm_;
  std::vector<VisionBlock> blocks_;
};

// x W^T + bias, then the activation.
void biased_linear(Backend& backend, const Tensor& x, const BiasedWeight& matrix,
                   Activation activation, const Tensor& out);
// out += x W^T + bias; room as in ops::add_biased_linear.
void add_biased_linear(Backend& backend, const Tensor& x, const BiasedWeight& matrix,
                       const Tensor& room, const Tensor& out);
BiasedWeight load_biased(WeightSource& source, const std::string& name, int64_t outputs,
                         int64_t inputs);

}  // namespace minimax
