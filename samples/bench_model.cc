// SPDX-License-Identifier: Apache-2.0
// What a bench must know of a model beyond its speed.
#include "samples/bench_model.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace samples {
namespace {

using Json = nlohmann::json;

Json text_config(const minimax_engine* engine) {
  size_t size = 0;
  const minimax_status status = minimax_engine_config_json(engine, nullptr, 0, &size);
  if (status != MINIMAX_BUFFER_TOO_SMALL) check(status);
  std::string text(size, '\0');
  check(minimax_engine_config_json(engine, text.data(), text.size(), &size));
  const Json config = Json::parse(text);
  return config.contains("text_config") ? config["text_config"] : config;
}

// An integer, or a list of one; 0 when it is absent or null.
uint64_t number(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return 0;
  if (found->is_array() && !found->empty()) return found->front().get<uint64_t>();
  return found->is_number() ? found->get<uint64_t>() : 0;
}

// Rows of the embedding and of experts that the token does not go to are not read.
uint64_t active_parameters(const Json& config, const minimax_engine_info& info) {
  const uint64_t W = number(config, "hidden_size");
  const uint64_t H = number(config, "num_attention_heads");
  const uint64_t G = number(config, "num_key_value_heads");
  const uint64_t D = config.contains("head_dim") ? number(config, "head_dim") : W / H;
  const uint64_t F = number(config, "intermediate_size");
  const uint64_t shared = number(config, "shared_intermediate_size");
  const uint64_t X = number(config, "num_local_experts");
  const uint64_t V = number(config, "vocab_size");
  const uint64_t experts_a_token = number(config, "num_experts_per_tok");
  const uint64_t lightning_layers = static_cast<uint64_t>(info.lightning_layer_count);
  const uint64_t layers = static_cast<uint64_t>(info.layer_count);

  const uint64_t lightning = 5 * H * D * W + H * D;        // q, k, v, gate, out; norm
  const uint64_t softmax = 2 * H * D * W + 2 * G * D * W;  // q, out; k, v
  const uint64_t moe = X * W + 3 * W * (experts_a_token * F + shared);
  return lightning_layers * lightning + (layers - lightning_layers) * softmax +
         layers * (moe + 2 * W) + W + V * W;
}

// "24.7M", "456B"
std::string rounded(uint64_t count) {
  const bool billions = count >= 1'000'000'000;
  char text[32];
  snprintf(text, sizeof text, "%.3g%c", static_cast<double>(count) / (billions ? 1e9 : 1e6),
           billions ? 'B' : 'M');
  return text;
}

const char* type_name(double bytes_a_parameter) {
  if (bytes_a_parameter > 3.9) return "F32";
  return bytes_a_parameter > 1.9 && bytes_a_parameter < 2.1 ? "BF16" : "mixed";
}

}  // namespace

minimax_engine_info engine_info(const minimax_engine* engine) {
  minimax_engine_info info;
  minimax_engine_info_init(&info, sizeof info);
  check(minimax_engine_get_info(engine, &info));
  return info;
}

BenchModel describe_model(const minimax_engine* engine) {
  const minimax_engine_info info = engine_info(engine);
  const double bytes_a_parameter =
      static_cast<double>(info.weight_bytes) / static_cast<double>(info.parameter_count);
  BenchModel model;
  model.active_parameters = active_parameters(text_config(engine), info);
  model.active_bytes =
      static_cast<uint64_t>(bytes_a_parameter * static_cast<double>(model.active_parameters));
  model.type = "minimax-01 " + rounded(info.parameter_count) + ".A" +
               rounded(model.active_parameters) + " " + type_name(bytes_a_parameter);
  return model;
}

}  // namespace samples
