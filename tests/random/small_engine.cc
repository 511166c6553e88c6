// SPDX-License-Identifier: Apache-2.0
#include "tests/random/small_engine.h"

#include <stdlib.h>

#include <fstream>

namespace minimax::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* config_text = R"({
  "architectures": ["MiniMaxText01ForCausalLM"], "model_type": "minimax_text_01",
  "vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 3,
  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rotary_dim": 8,
  "rope_theta": 10000.0, "intermediate_size": 32, "num_local_experts": 3,
  "num_experts_per_tok": 3, "hidden_act": "silu", "attn_type_list": [0, 1, 0],
  "rms_norm_eps": 1e-05, "postnorm": true,
  "layernorm_full_attention_alpha": 2.0, "layernorm_full_attention_beta": 1.0,
  "layernorm_linear_attention_alpha": 2.0, "layernorm_linear_attention_beta": 1.0,
  "layernorm_mlp_alpha": 2.0, "layernorm_mlp_beta": 1.0,
  "shared_intermediate_size": 0, "max_position_embeddings": 4096, "eos_token_id": 3,
  "tie_word_embeddings": false, "torch_dtype": "bfloat16"
})";

minimax_engine_options options_of(const char* const* device) {
  minimax_engine_options options;
  minimax_engine_options_init(&options, sizeof options);
  options.devices = device;
  options.device_count = 1;
  options.thread_count = 1;
  options.weight_source = MINIMAX_WEIGHTS_SYNTHETIC;
  const bool is_cpu = std::string(*device).starts_with("cpu");
  options.kv_type = is_cpu ? MINIMAX_TYPE_F32 : MINIMAX_TYPE_AUTO;
  return options;
}

}  // namespace

WorkFolder::WorkFolder() {
  std::string name = (fs::temp_directory_path() / "minimax-random-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
  path_ = name;
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

SmallModel::SmallModel() {
  std::ofstream file(folder_.file("config.json"));
  file << config_text;
  if (!file.flush()) throw std::runtime_error("cannot write config.json");
}

int64_t SmallModel::page_bytes(const std::string& device) const {
  const char* const name = device.c_str();
  const minimax_engine_options options = options_of(&name);
  minimax_memory_plan plan;
  minimax_memory_plan_init(&plan, sizeof plan);
  expect(minimax_plan(folder_.file("config.json").c_str(), &options, &plan), MINIMAX_OK,
         "minimax_plan");
  check(plan.kv_page_tokens == page_tokens, "pages have ", plan.kv_page_tokens, " tokens");
  return static_cast<int64_t>(plan.bytes_per_token * plan.kv_page_tokens);
}

EngineHandle SmallModel::open(const std::string& device, const Limits& limits) const {
  const char* const name = device.c_str();
  minimax_engine_options options = options_of(&name);
  options.kv_bytes_limit = limits.pages * (limits.pages > 0 ? page_bytes(device) : 0);
  options.context_limit = limits.context_tokens;
  options.chunk_tokens = limits.chunk_tokens;
  minimax_engine* engine = nullptr;
  expect(minimax_engine_open(folder_.file("config.json").c_str(), &options, &engine), MINIMAX_OK,
         "minimax_engine_open");
  return EngineHandle(engine);
}

}  // namespace minimax::testing
