// SPDX-License-Identifier: Apache-2.0
// The configurations of the released models, as far as they matter, for tests to start from.
#pragma once

#include "base/json.h"

namespace minimax {

// MiniMax-M1; Text-01 differs in its names.
inline Json m1_config() {
  Json config = Json::parse(R"({
    "architectures": ["MiniMaxM1ForCausalLM"], "model_type": "minimax_m1", "attention_dropout": 0.0,
    "bos_token_id": null, "eos_token_id": null, "head_dim": 128, "hidden_act": "silu",
    "hidden_size": 6144, "intermediate_size": 9216,
    "layernorm_full_attention_alpha": 3.5565588200778455, "layernorm_full_attention_beta": 1.0,
    "layernorm_linear_attention_alpha": 3.5565588200778455, "layernorm_linear_attention_beta": 1.0,
    "layernorm_mlp_alpha": 3.5565588200778455, "layernorm_mlp_beta": 1.0,
    "max_position_embeddings": 10240000, "num_attention_heads": 64, "num_experts_per_tok": 2,
    "num_hidden_layers": 80, "num_key_value_heads": 8, "num_local_experts": 32, "postnorm": true,
    "rms_norm_eps": 1e-05, "rope_theta": 10000000, "rotary_dim": 64, "shared_intermediate_size": 0,
    "shared_moe_mode": "sigmoid", "sliding_window": null, "tie_word_embeddings": false,
    "vocab_size": 200064})");
  for (int i = 0; i < 80; ++i) config["attn_type_list"].push_back(i % 8 == 7 ? 1 : 0);
  return config;
}

inline Json text_01_config() {
  Json config = m1_config();
  config["architectures"] = {"MiniMaxText01ForCausalLM"};
  config["model_type"] = "minimax_text_01";
  return config;
}

// As transformers 5 writes it.
inline Json converted_config() {
  Json config = m1_config();
  config["architectures"] = {"MiniMaxForCausalLM"};
  config["model_type"] = "minimax";
  for (const char* part : {"full_attention", "linear_attention", "mlp"}) {
    const std::string old = std::string("layernorm_") + part + "_";
    const std::string name = part == std::string("full_attention")     ? "full_attn_"
                             : part == std::string("linear_attention") ? "linear_attn_"
                                                                       : "mlp_";
    config[name + "alpha_factor"] = config[old + "alpha"];
    config[name + "beta_factor"] = 1;
    config.erase(old + "alpha");
    config.erase(old + "beta");
  }
  for (const Json& type : config["attn_type_list"]) {
    config["layer_types"].push_back(type == 0 ? "linear_attention" : "full_attention");
  }
  for (const char* key : {"attn_type_list", "postnorm", "rope_theta", "rotary_dim"}) {
    config.erase(key);
  }
  config["rope_parameters"] = {{"rope_theta", 10000000.0}, {"rope_type", "default"}};
  return config;
}

inline Json vl_01_config() {
  Json text = text_01_config();
  text["max_position_embeddings"] = 8192;
  text["shared_intermediate_size"] = {0};
  text.erase("hidden_act");
  return {{"model_type", "minimax_vl_01"},
          {"image_token_index", 200025},
          {"tie_word_embeddings", false},
          {"text_config", text},
          {"vision_config", {{"model_type", "clip_vision_model"}, {"hidden_size", 1024}}}};
}

}  // namespace minimax
