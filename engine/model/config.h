// SPDX-License-Identifier: Apache-2.0
// config.json of every member of the family, read into one struct with every number checked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace minimax {

enum class LayerKind { lightning, softmax };

// Immutable once read. Every number is within bounds: products of the sizes of one tensor fit in
// int64_t, and so do those of all tensors together.
struct ModelConfig {
  std::string model_name;  // "MiniMax-Text-01", "MiniMax-VL-01", "MiniMax-M1"

  int64_t width = 0;  // W
  int64_t layer_count = 0;
  int64_t head_count = 0;         // H
  int64_t kv_head_count = 0;      // G, divides H
  int64_t head_dim = 0;           // D
  int64_t rotary_dim = 0;         // even, 2 to D: the first of each head are rotated
  int64_t expert_count = 0;       // X
  int64_t experts_per_token = 0;  // 1 to X
  int64_t expert_width = 0;       // F
  int64_t vocabulary_size = 0;    // V
  int64_t declared_context = 0;   // max_position_embeddings; not a limit
  std::vector<LayerKind> layers;  // layer_count of them

  float rms_norm_eps = 0;
  float lightning_norm_eps = 0;  // of the norm behind lightning attention
  double rope_theta = 0;
  // Residual scheme: out = alpha * normed input + beta * sub-layer's output.
  float lightning_alpha = 0, lightning_beta = 0;
  float softmax_alpha = 0, softmax_beta = 0;
  float mlp_alpha = 0, mlp_beta = 0;

  bool tied_embeddings = false;      // the output table is the embedding table
  bool router_logits_bf16 = false;   // rounds them as some serving engines do, for comparisons
  DType weight_dtype = DType::bf16;  // what the config announces; headers know better

  std::vector<int32_t> stop_tokens;  // as config.json or generation_config.json say; often none
  int32_t image_token = -1;
  bool has_vision = false;

  int64_t lightning_layer_count() const;
  int64_t softmax_layer_count() const { return layer_count - lightning_layer_count(); }
};

struct ConfigFile {
  ModelConfig model;
  std::string text;  // config.json as it was read
};

// Reads config.json (with generation_config.json beside it, if there) of a folder, or a config file
// itself. MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR; MINIMAX_BAD_FILE for what is missing or out of
// range; MINIMAX_UNSUPPORTED for what no released model has.
ConfigFile read_config(const std::filesystem::path& path);
// The same of a text; `source` names it in errors.
ModelConfig parse_config(std::string_view json, std::string_view source);

// slope[h] of ALiBi: for H a power of two 2^(-8(h+1)/H), else those of the next lower power of two
// followed by every other one of the next higher.
std::vector<double> lightning_slopes(int64_t head_count);
// 1 - layer / (layer_count - 1) + 1e-5, layers of both kinds counted.
double layer_factor(int64_t layer, int64_t layer_count);
// slope[h] * layer_factor, [H]: what a state decays by in a token is exp(-slope).
std::vector<float> layer_slopes(const ModelConfig& config, int64_t layer);
// exp(-slope), [H], computed in double.
std::vector<float> layer_decays(const ModelConfig& config, int64_t layer);

}  // namespace minimax
