// SPDX-License-Identifier: Apache-2.0
#include "engine/model/work.h"

namespace minimax {

double feeding_work(const ModelConfig& config, int64_t from, int64_t to) {
  const auto W = static_cast<double>(config.width);
  const auto H = static_cast<double>(config.head_count);
  const auto G = static_cast<double>(config.kv_head_count);
  const auto D = static_cast<double>(config.head_dim);
  const auto X = static_cast<double>(config.expert_count);
  const auto F = static_cast<double>(config.expert_width);
  const auto chosen = static_cast<double>(config.experts_per_token);
  const auto lightning = static_cast<double>(config.lightning_layer_count());
  const auto softmax = static_cast<double>(config.softmax_layer_count());
  // Queries, keys, values, gate and output; the state is read and added to.
  const double of_lightning = 2 * W * 5 * H * D + 4 * H * D * D;
  const double of_softmax = 2 * W * (2 * H + 2 * G) * D;
  const double of_experts = 2 * W * X + chosen * 3 * 2 * W * F;
  const double per_token =
      lightning * of_lightning + softmax * of_softmax + (lightning + softmax) * of_experts;
  const auto first = static_cast<double>(from), end = static_cast<double>(to);
  const double looked_at = (end * (end + 1) - first * (first + 1)) / 2;  // tokens, over all queries
  return (end - first) * per_token + softmax * 4 * H * D * looked_at;
}

}  // namespace minimax
