// SPDX-License-Identifier: Apache-2.0
#include "engine/model/config.h"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "base/error.h"
#include "base/file_map.h"
#include "base/json.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;

constexpr size_t config_limit_bytes = 16 << 20;
constexpr int64_t layer_limit = 1024;
constexpr int64_t width_limit = 1 << 20;
constexpr int64_t head_limit = 4096;
constexpr int64_t head_dim_limit = 1024;
constexpr int64_t expert_limit = 4096;
constexpr int64_t expert_total_limit = 1 << 16;  // of all layers
constexpr int64_t vocabulary_limit = 1 << 24;
constexpr double parameter_limit = 1e15;
constexpr double factor_limit = 1e6;

[[noreturn]] void fail_unsupported(const JsonObject& config, std::string_view key,
                                   std::string_view expected) {
  const Json* value = config.find(key);
  fail(MINIMAX_UNSUPPORTED, config.source(), ": ", key, " is ", value ? quoted(*value) : "missing",
       ", supported is ", expected);
}

// Not ==, which makes a Json of the text and ends the program when there is no memory for it.
bool is_text(const Json& value, std::string_view text) {
  return value.is_string() && value.get_ref<const std::string&>() == text;
}

std::string read_model_name(const JsonObject& top) {
  const std::string type = top.string("model_type");
  if (type == "minimax_text_01" || type == "MiniMaxText01") return "MiniMax-Text-01";
  if (type == "minimax_m1" || type == "MiniMaxM1") return "MiniMax-M1";
  if (type == "minimax_vl_01" || type == "MiniMaxVL01") return "MiniMax-VL-01";
  if (type == "minimax") return "MiniMax-Text-01";  // as converted for transformers
  fail_unsupported(top, "model_type", "minimax_text_01, minimax_m1, minimax_vl_01 or minimax");
}

// 0, [0] or nothing: no released model has the shared expert that the vendor's code allows for.
void refuse_shared_expert(const JsonObject& config) {
  const std::string_view key = "shared_intermediate_size";
  const Json* value = config.find(key);
  if (!value) return;
  const auto is_zero = [](const Json& x) { return x.is_number() && x.get<double>() == 0; };
  const bool none =
      value->is_array() ? std::all_of(value->begin(), value->end(), is_zero) : is_zero(*value);
  if (!none) fail_unsupported(config, key, "0");
}

void refuse_rope_variants(const JsonObject& config) {
  const Json* scaling = config.find("rope_scaling");
  if (scaling) fail_unsupported(config, "rope_scaling", "null");
  if (!config.has("rope_parameters")) return;
  const JsonObject rope = config.object("rope_parameters");
  if (rope.string_or("rope_type", "default") != "default") {
    fail_unsupported(rope, "rope_type", "default");
  }
}

// What the classes of the family can be told to do, and no released model does.
void refuse_variants(const JsonObject& config) {
  refuse_shared_expert(config);
  refuse_rope_variants(config);
  if (config.has("sliding_window")) fail_unsupported(config, "sliding_window", "null");
  if (config.has("quantization_config")) fail_unsupported(config, "quantization_config", "null");
  if (config.string_or("hidden_act", "silu") != "silu") {
    fail_unsupported(config, "hidden_act", "silu");
  }
  // The vendor's class takes false when the key is missing; the converted models know nothing else
  // than true and may leave it out.
  if (!config.boolean_or("postnorm", config.has("layer_types"))) {
    fail_unsupported(config, "postnorm", "true");
  }
}

void read_sizes(const JsonObject& config, ModelConfig& model) {
  model.width = config.integer("hidden_size", 1, width_limit);
  model.layer_count = config.integer("num_hidden_layers", 1, layer_limit);
  model.head_count = config.integer("num_attention_heads", 1, head_limit);
  model.kv_head_count = config.integer("num_key_value_heads", 1, model.head_count);
  model.head_dim = config.integer("head_dim", 1, head_dim_limit);
  model.expert_count = config.integer("num_local_experts", 1, expert_limit);
  model.experts_per_token = config.integer("num_experts_per_tok", 1, model.expert_count);
  model.expert_width = config.integer("intermediate_size", 1, width_limit);
  model.vocabulary_size = config.integer("vocab_size", 1, vocabulary_limit);
  model.declared_context = config.integer("max_position_embeddings", 1, INT64_MAX);
  if (model.head_count % model.kv_head_count != 0) {
    config.fail_member("num_key_value_heads",
                       text("a divisor of num_attention_heads ", model.head_count));
  }
  require_file(model.layer_count * model.expert_count <= expert_total_limit, config.source(),
               ": num_hidden_layers ", model.layer_count, " of num_local_experts ",
               model.expert_count, ", expected at most ", expert_total_limit, " experts together");
}

LayerKind read_layer_kind(const JsonObject& config, const Json& value) {
  if (value.is_number_integer()) {
    if (value == 0) return LayerKind::lightning;
    if (value == 1) return LayerKind::softmax;
    fail(MINIMAX_BAD_FILE, config.source(), ": attn_type_list holds ", quoted(value),
         ", expected 0 (lightning) or 1 (softmax)");
  }
  if (is_text(value, "linear_attention")) return LayerKind::lightning;
  if (is_text(value, "full_attention")) return LayerKind::softmax;
  fail(MINIMAX_BAD_FILE, config.source(), ": the list of layers holds ", quoted(value),
       ", expected linear_attention or full_attention");
}

void read_layers(const JsonObject& config, ModelConfig& model) {
  const bool converted = !config.has("attn_type_list") && config.has("layer_types");
  const std::string_view key = converted ? "layer_types" : "attn_type_list";
  const Json& list = config.array(key, static_cast<size_t>(layer_limit));
  if (static_cast<int64_t>(list.size()) != model.layer_count) {
    config.fail_member(key, text("one of each of num_hidden_layers ", model.layer_count));
  }
  for (const Json& value : list) model.layers.push_back(read_layer_kind(config, value));
}

// rotary_dim counts even where a converted config also describes the rotation in its own way.
int64_t read_rotary_dim(const JsonObject& config, int64_t head_dim) {
  const JsonObject rope = config.has("rope_parameters") ? config.object("rope_parameters") : config;
  const std::string_view key = "partial_rotary_factor";
  int64_t dim = head_dim;
  if (config.has("rotary_dim")) {
    dim = config.integer("rotary_dim", 2, head_dim);
  } else if (rope.has(key)) {
    dim = static_cast<int64_t>(std::lround(rope.number(key, 0, 1) * static_cast<double>(head_dim)));
  }
  require_file(dim >= 2 && dim % 2 == 0, config.source(), ": rotary_dim is ", dim,
               ", expected an even number from 2 to head_dim ", head_dim);
  return dim;
}

double read_rope_theta(const JsonObject& config) {
  if (config.has("rope_theta") || !config.has("rope_parameters")) {
    return config.number("rope_theta", 1, 1e15);
  }
  return config.object("rope_parameters").number("rope_theta", 1, 1e15);
}

// Under the name of the vendor's config, or of the converted one.
float read_factor(const JsonObject& config, std::string_view name, std::string_view converted) {
  const std::string_view key = !config.has(name) && config.has(converted) ? converted : name;
  return static_cast<float>(config.number(key, 0, factor_limit));
}

void read_residual_scheme(const JsonObject& config, ModelConfig& model) {
  model.lightning_alpha =
      read_factor(config, "layernorm_linear_attention_alpha", "linear_attn_alpha_factor");
  model.lightning_beta =
      read_factor(config, "layernorm_linear_attention_beta", "linear_attn_beta_factor");
  model.softmax_alpha =
      read_factor(config, "layernorm_full_attention_alpha", "full_attn_alpha_factor");
  model.softmax_beta =
      read_factor(config, "layernorm_full_attention_beta", "full_attn_beta_factor");
  model.mlp_alpha = read_factor(config, "layernorm_mlp_alpha", "mlp_alpha_factor");
  model.mlp_beta = read_factor(config, "layernorm_mlp_beta", "mlp_beta_factor");
}

// A hint: other words than these are left to the headers of the weight files.
DType read_weight_dtype(const JsonObject& config, DType otherwise) {
  for (const std::string_view key : {"torch_dtype", "dtype"}) {
    const Json* value = config.find(key);
    if (!value) continue;
    if (is_text(*value, "float32")) return DType::f32;
    if (is_text(*value, "float16")) return DType::f16;
    if (is_text(*value, "bfloat16")) return DType::bf16;
  }
  return otherwise;
}

// A number or a list of them. What is absent is no stop token: the models end by their tokenizer's.
void read_stop_tokens(const JsonObject& config, ModelConfig& model) {
  const std::string_view key = "eos_token_id";
  const Json* value = config.find(key);
  if (!value || !model.stop_tokens.empty()) return;
  const std::string expected = text("a token id below vocab_size ", model.vocabulary_size);
  const auto add = [&](const Json& id) {
    const bool valid = id.is_number_unsigned() &&
                       id.get<uint64_t>() < static_cast<uint64_t>(model.vocabulary_size);
    if (!valid) config.fail_member(key, expected);
    model.stop_tokens.push_back(id.get<int32_t>());
  };
  if (!value->is_array()) return add(*value);
  if (value->size() > 256) config.fail_member(key, "a list of at most 256");
  for (const Json& id : *value) add(id);
}

void read_picture_part(const JsonObject& top, ModelConfig& model) {
  model.has_vision = top.has("vision_config");
  if (!model.has_vision) return;
  const std::string_view key = top.has("image_token_id") ? "image_token_id" : "image_token_index";
  model.image_token = static_cast<int32_t>(top.integer(key, 0, model.vocabulary_size - 1));
}

// As a double, which cannot overflow within the bounds of the single sizes.
double parameter_count(const ModelConfig& model) {
  const auto size = [](int64_t n) { return static_cast<double>(n); };
  const double heads = size(model.head_count) * size(model.head_dim);
  const double experts = 3 * size(model.expert_count) * size(model.expert_width);
  return size(model.width) *
         (2 * size(model.vocabulary_size) + size(model.layer_count) * (5 * heads + experts));
}

void check_total(const JsonObject& config, const ModelConfig& model) {
  const double total = parameter_count(model);
  require_file(total <= parameter_limit, config.source(), ": the sizes make ", total,
               " parameters, expected at most ", parameter_limit);
}

void read_text_model(const JsonObject& config, ModelConfig& model) {
  refuse_variants(config);
  read_sizes(config, model);
  read_layers(config, model);
  model.rotary_dim = read_rotary_dim(config, model.head_dim);
  model.rope_theta = read_rope_theta(config);
  model.rms_norm_eps = static_cast<float>(config.number("rms_norm_eps", 1e-12, 1));
  model.lightning_norm_eps =
      static_cast<float>(config.number_or("lightning_norm_eps", 1e-6, 1e-12, 1));
  model.router_logits_bf16 = config.boolean_or("router_logits_bf16", false);
  read_residual_scheme(config, model);
  check_total(config, model);
}

// What a folder's generation_config.json says about stopping goes before config.json.
void read_generation_config(const fs::path& path, ModelConfig& model) {
  if (!is_there(path)) return;
  const JsonTree json(
      parse_json(read_text_file(path, config_limit_bytes), "generation_config.json"));
  const std::vector<int32_t> of_config = std::move(model.stop_tokens);
  model.stop_tokens.clear();
  read_stop_tokens(JsonObject(json, "generation_config.json"), model);
  if (model.stop_tokens.empty()) model.stop_tokens = of_config;
}

// The slopes for a number of heads that is a power of two.
std::vector<double> geometric_slopes(int64_t head_count) {
  std::vector<double> slopes;
  for (int64_t h = 0; h < head_count; ++h) {
    slopes.push_back(
        std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(head_count)));
  }
  return slopes;
}

}  // namespace

int64_t ModelConfig::lightning_layer_count() const {
  return std::count(layers.begin(), layers.end(), LayerKind::lightning);
}

ModelConfig parse_config(std::string_view json, std::string_view source) {
  const JsonTree parsed(parse_json(json, source));
  const JsonObject top(parsed, source);
  ModelConfig model;
  model.model_name = read_model_name(top);
  const JsonObject config = top.has("text_config") ? top.object("text_config") : top;
  read_text_model(config, model);
  model.tied_embeddings =
      config.boolean_or("tie_word_embeddings", top.boolean_or("tie_word_embeddings", false));
  model.weight_dtype = read_weight_dtype(config, read_weight_dtype(top, DType::bf16));
  read_stop_tokens(top, model);
  read_stop_tokens(config, model);
  read_picture_part(top, model);
  return model;
}

ConfigFile read_config(const fs::path& path) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  ConfigFile file;
  file.text = read_text_file(is_folder ? path / "config.json" : path, config_limit_bytes);
  file.model = parse_config(file.text, is_folder ? "config.json" : path.filename().string());
  if (is_folder) read_generation_config(path / "generation_config.json", file.model);
  return file;
}

std::vector<double> lightning_slopes(int64_t head_count) {
  int64_t lower = 1;
  while (lower * 2 <= head_count) lower *= 2;
  std::vector<double> slopes = geometric_slopes(lower);
  const std::vector<double> finer = geometric_slopes(2 * lower);
  for (int64_t h = lower; h < head_count; ++h) {
    slopes.push_back(finer[static_cast<size_t>(2 * (h - lower))]);
  }
  return slopes;
}

double layer_factor(int64_t layer, int64_t layer_count) {
  const double share =
      layer_count == 1 ? 0 : static_cast<double>(layer) / static_cast<double>(layer_count - 1);
  return 1 - share + 1e-5;
}

std::vector<float> layer_slopes(const ModelConfig& config, int64_t layer) {
  std::vector<float> slopes;
  for (const double slope : lightning_slopes(config.head_count)) {
    slopes.push_back(static_cast<float>(slope * layer_factor(layer, config.layer_count)));
  }
  return slopes;
}

std::vector<float> layer_decays(const ModelConfig& config, int64_t layer) {
  std::vector<float> decays;
  for (const double slope : lightning_slopes(config.head_count)) {
    decays.push_back(
        static_cast<float>(std::exp(-slope * layer_factor(layer, config.layer_count))));
  }
  return decays;
}

}  // namespace minimax
