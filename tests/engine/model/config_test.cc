// SPDX-License-Identifier: Apache-2.0
#include "engine/model/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/model/released_configs.h"
#include "tests/engine/weights/test_files.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;

ModelConfig parse(const Json& config) {
  return parse_config(config.dump(), "config.json");
}

void expect_released_text_model(const ModelConfig& model) {
  EXPECT_EQ(model.width, 6144);
  EXPECT_EQ(model.layer_count, 80);
  EXPECT_EQ(model.head_count, 64);
  EXPECT_EQ(model.kv_head_count, 8);
  EXPECT_EQ(model.head_dim, 128);
  EXPECT_EQ(model.expert_count, 32);
  EXPECT_EQ(model.experts_per_token, 2);
  EXPECT_EQ(model.expert_width, 9216);
  EXPECT_EQ(model.vocabulary_size, 200064);
  EXPECT_EQ(model.lightning_layer_count(), 70);
  EXPECT_EQ(model.softmax_layer_count(), 10);
  EXPECT_EQ(model.layers[7], LayerKind::softmax);
  EXPECT_EQ(model.layers[78], LayerKind::lightning);
  EXPECT_EQ(model.layers[79], LayerKind::softmax);
  EXPECT_EQ(model.rms_norm_eps, 1e-5f);
  EXPECT_EQ(model.lightning_norm_eps, 1e-6f);
  EXPECT_EQ(model.rope_theta, 1e7);
  EXPECT_EQ(model.lightning_alpha, 3.5565588200778455f);
  EXPECT_EQ(model.softmax_alpha, 3.5565588200778455f);
  EXPECT_EQ(model.mlp_alpha, 3.5565588200778455f);
  EXPECT_EQ(model.lightning_beta, 1);
  EXPECT_EQ(model.softmax_beta, 1);
  EXPECT_EQ(model.mlp_beta, 1);
  EXPECT_TRUE(model.stop_tokens.empty());
  EXPECT_FALSE(model.tied_embeddings);
  EXPECT_FALSE(model.router_logits_bf16);
  EXPECT_EQ(model.weight_dtype, DType::bf16);
}

TEST(Config, ReadsTheVendorsSchema) {
  const ModelConfig m1 = parse(m1_config()), text_01 = parse(text_01_config());
  expect_released_text_model(m1);
  expect_released_text_model(text_01);
  EXPECT_EQ(m1.model_name, "MiniMax-M1");
  EXPECT_EQ(text_01.model_name, "MiniMax-Text-01");
  EXPECT_EQ(m1.rotary_dim, 64);
  EXPECT_EQ(m1.declared_context, 10240000);
  EXPECT_EQ(m1.image_token, -1);
}

TEST(Config, ReadsModelTypesInBothSpellings) {
  Json config = m1_config();
  config["model_type"] = "MiniMaxM1";
  EXPECT_EQ(parse(config).model_name, "MiniMax-M1");
  config["model_type"] = "MiniMaxText01";
  EXPECT_EQ(parse(config).model_name, "MiniMax-Text-01");
}

TEST(Config, ReadsTheConvertedSchema) {
  Json config = converted_config();
  expect_released_text_model(parse(config));
  EXPECT_EQ(parse(config).rotary_dim, 128) << "nothing says that less of the head is rotated";
  config["rope_parameters"]["partial_rotary_factor"] = 0.5;
  EXPECT_EQ(parse(config).rotary_dim, 64);
  config["rotary_dim"] = 32;
  EXPECT_EQ(parse(config).rotary_dim, 32) << "the vendor's own key counts first";
  config["rope_theta"] = 5e6;
  EXPECT_EQ(parse(config).rope_theta, 5e6);
}

TEST(Config, ReadsTheNestedSchemaOfThePictureModel) {
  const ModelConfig model = parse(vl_01_config());
  expect_released_text_model(model);
  EXPECT_EQ(model.model_name, "MiniMax-VL-01");
  EXPECT_TRUE(model.has_vision);
  EXPECT_EQ(model.image_token, 200025);
  EXPECT_EQ(model.declared_context, 8192);
}

TEST(Config, ReadsItsOwnSwitches) {
  Json config = m1_config();
  config["router_logits_bf16"] = true;
  config["lightning_norm_eps"] = 1e-5;
  config["tie_word_embeddings"] = true;
  config["torch_dtype"] = "float16";
  const ModelConfig model = parse(config);
  EXPECT_TRUE(model.router_logits_bf16);
  EXPECT_TRUE(model.tied_embeddings);
  EXPECT_EQ(model.lightning_norm_eps, 1e-5f);
  EXPECT_EQ(model.weight_dtype, DType::f16);
}

TEST(Config, ReadsStopTokens) {
  Json config = vl_01_config();
  config["text_config"]["eos_token_id"] = 200020;
  EXPECT_EQ(parse(config).stop_tokens, (std::vector<int32_t>{200020}));
  config["eos_token_id"] = {1, 2, 3};
  EXPECT_EQ(parse(config).stop_tokens, (std::vector<int32_t>{1, 2, 3}));
}

TEST(Config, PrefersTheGenerationConfigForStopTokens) {
  const TempFolder folder;
  Json config = m1_config();
  config["eos_token_id"] = 5;
  folder.write("config.json", config.dump());
  EXPECT_EQ(read_config(folder.path()).model.stop_tokens, (std::vector<int32_t>{5}));
  folder.write("generation_config.json", R"({"eos_token_id": [7, 8]})");
  EXPECT_EQ(read_config(folder.path()).model.stop_tokens, (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(read_config(folder.path() / "config.json").model.stop_tokens,
            (std::vector<int32_t>{5}));
  folder.write("generation_config.json", R"({"eos_token_id": null})");
  EXPECT_EQ(read_config(folder.path()).model.stop_tokens, (std::vector<int32_t>{5}));
  folder.write("generation_config.json", R"({"eos_token_id": "x"})");
  EXPECT_EQ(sentence_of([&] { read_config(folder.path()); }),
            "generation_config.json: eos_token_id is \"x\", expected a token id below vocab_size "
            "200064");
}

TEST(Config, KeepsTheTextAsItWasRead) {
  const TempFolder folder;
  folder.write("config.json", m1_config().dump(3));
  EXPECT_EQ(read_config(folder.path()).text, m1_config().dump(3));
}

TEST(Config, ReadsEveryCheckpointAtHand) {
  const fs::path source = MINIMAX_SOURCE_DIR, shared = MINIMAX_SHARED_DIR;
  for (const fs::path& folder :
       {source / "models/demo", source / "tests/golden/vendor_text_8l",
        source / "tests/golden/vl01_8l", shared / "golden/hf_text_8l",
        shared / "golden/vendor_text_16l_sharded", shared / "checkpoints/minimax-m1"}) {
    if (!fs::exists(folder)) continue;
    const ModelConfig model = read_config(folder).model;
    EXPECT_GT(model.softmax_layer_count(), 0) << folder;
  }
}

struct Hostile {
  std::string key;  // "a/b" within a
  Json value;       // discarded when the key is to be taken away
  std::string sentence;
  minimax_status status = MINIMAX_BAD_FILE;
};

const Json taken_away(Json::value_t::discarded);

void replace(Json& config, const std::string& key, const Json& value) {
  const size_t slash = key.find('/');
  if (slash != key.npos) return replace(config[key.substr(0, slash)], key.substr(slash + 1), value);
  if (value.is_discarded()) {
    config.erase(key);
  } else {
    config[key] = value;
  }
}

std::vector<Hostile> hostile_values() {
  const Json list_79 = std::vector<int>(79, 0), bad_kind = [] {
    std::vector<int> kinds(80, 0);
    kinds[3] = 2;
    return kinds;
  }();
  const auto unsupported = MINIMAX_UNSUPPORTED;
  return {
      {"hidden_size", "abc", "hidden_size is \"abc\", expected an integer from 1 to 1048576"},
      {"hidden_size", 0, "hidden_size is 0, expected an integer from 1"},
      {"hidden_size", -6144, "hidden_size is -6144, expected"},
      {"hidden_size", 6144.5, "hidden_size is 6144.5, expected"},
      {"hidden_size", 1e300, "hidden_size is 1e+300, expected"},
      {"hidden_size", UINT64_MAX, "hidden_size is 18446744073709551615, expected"},
      {"hidden_size", {6144}, "hidden_size is a list of 1, expected"},
      {"hidden_size", true, "hidden_size is true, expected"},
      {"hidden_size", taken_away, "hidden_size is missing, expected"},
      {"hidden_size", nullptr, "hidden_size is missing, expected"},
      {"num_hidden_layers", 0, "num_hidden_layers is 0, expected"},
      {"num_hidden_layers", 1025, "num_hidden_layers is 1025, expected an integer from 1 to 1024"},
      {"num_hidden_layers", taken_away, "num_hidden_layers is missing"},
      {"num_attention_heads", 0, "num_attention_heads is 0"},
      {"num_attention_heads", taken_away, "num_attention_heads is missing"},
      {"num_key_value_heads", 7, "num_key_value_heads is 7, expected a divisor of num_attention_"},
      {"num_key_value_heads", 128, "num_key_value_heads is 128, expected an integer from 1 to 64"},
      {"num_key_value_heads", taken_away, "num_key_value_heads is missing"},
      {"head_dim", 0, "head_dim is 0"},
      {"head_dim", 4096, "head_dim is 4096, expected an integer from 1 to 1024"},
      {"head_dim", taken_away, "head_dim is missing"},
      {"rotary_dim", 63, "rotary_dim is 63, expected an even number from 2 to head_dim 128"},
      {"rotary_dim", 130, "rotary_dim is 130, expected an integer from 2 to 128"},
      {"rotary_dim", 0, "rotary_dim is 0"},
      {"num_local_experts", 0, "num_local_experts is 0"},
      {"num_local_experts", 4096,
       "num_hidden_layers 80 of num_local_experts 4096, expected at most"},
      {"num_local_experts", taken_away, "num_local_experts is missing"},
      {"num_experts_per_tok", 33, "num_experts_per_tok is 33, expected an integer from 1 to 32"},
      {"num_experts_per_tok", 0, "num_experts_per_tok is 0"},
      {"num_experts_per_tok", taken_away, "num_experts_per_tok is missing"},
      {"intermediate_size", -1, "intermediate_size is -1"},
      {"intermediate_size", taken_away, "intermediate_size is missing"},
      {"vocab_size", INT64_MAX, "vocab_size is 9223372036854775807"},
      {"vocab_size", taken_away, "vocab_size is missing"},
      {"max_position_embeddings", -1, "max_position_embeddings is -1"},
      {"max_position_embeddings", taken_away, "max_position_embeddings is missing"},
      {"attn_type_list", list_79,
       "attn_type_list is a list of 79, expected one of each of num_hid"},
      {"attn_type_list", bad_kind, "attn_type_list holds 2, expected 0 (lightning) or 1 (softmax)"},
      {"attn_type_list", 0, "attn_type_list is 0, expected a list"},
      {"attn_type_list", Json::object(), "attn_type_list is an object, expected a list"},
      {"attn_type_list", taken_away, "attn_type_list is missing, expected a list"},
      {"attn_type_list", std::vector<double>(80, 0.0), "holds 0.0, expected linear_attention"},
      {"attn_type_list", std::vector<std::string>(80, "x"),
       "holds \"x\", expected linear_attention"},
      {"rms_norm_eps", "1e-5", "rms_norm_eps is \"1e-5\", expected a number"},
      {"rms_norm_eps", 0, "rms_norm_eps is 0, expected a number from 1e-12"},
      {"rms_norm_eps", -1e-5, "rms_norm_eps is -1e-05"},
      {"rms_norm_eps", taken_away, "rms_norm_eps is missing"},
      {"lightning_norm_eps", 2, "lightning_norm_eps is 2"},
      {"rope_theta", 0, "rope_theta is 0, expected a number from 1"},
      {"rope_theta", 1e300, "rope_theta is 1e+300"},
      {"rope_theta", taken_away, "rope_theta is missing"},
      {"layernorm_mlp_alpha", taken_away, "layernorm_mlp_alpha is missing"},
      {"layernorm_mlp_beta", taken_away, "layernorm_mlp_beta is missing"},
      {"layernorm_full_attention_alpha", "x", "layernorm_full_attention_alpha is \"x\""},
      {"layernorm_full_attention_beta", -1, "layernorm_full_attention_beta is -1"},
      {"layernorm_linear_attention_alpha", 1e30, "layernorm_linear_attention_alpha is 1e+30"},
      {"layernorm_linear_attention_beta", taken_away, "layernorm_linear_attention_beta is missing"},
      {"eos_token_id", -1, "eos_token_id is -1, expected a token id below vocab_size 200064"},
      {"eos_token_id", 200064, "eos_token_id is 200064, expected a token id below vocab_size"},
      {"eos_token_id", {1, "x"}, "eos_token_id is a list of 2, expected a token id"},
      {"eos_token_id", std::vector<int>(1000, 1), "expected a list of at most 256"},
      {"postnorm", false, "postnorm is false, supported is true", unsupported},
      {"postnorm", taken_away, "postnorm is missing, supported is true", unsupported},
      {"postnorm", 1, "postnorm is 1, expected true or false"},
      {"sliding_window", 4096, "sliding_window is 4096, supported is null", unsupported},
      {"rope_scaling", {{"type", "yarn"}}, "rope_scaling is an object", unsupported},
      {"rope_parameters",
       {{"rope_type", "yarn"}},
       "rope_type is \"yarn\", supported is default",
       unsupported},
      {"rope_parameters", 5, "rope_parameters is 5, expected an object"},
      {"quantization_config", {{"bits", 4}}, "quantization_config is an object", unsupported},
      {"hidden_act", "gelu", "hidden_act is \"gelu\", supported is silu", unsupported},
      {"hidden_act", 5, "hidden_act is 5, expected a string"},
      {"shared_intermediate_size", 64, "shared_intermediate_size is 64, supported is 0",
       unsupported},
      {"shared_intermediate_size", {0, 64}, "shared_intermediate_size is a list of 2", unsupported},
      {"shared_intermediate_size", "0", "shared_intermediate_size is \"0\"", unsupported},
      {"model_type", "llama", "model_type is \"llama\", supported is minimax_text_01", unsupported},
      {"model_type", taken_away, "model_type is missing, expected a string"},
      {"model_type", 5, "model_type is 5, expected a string"},
      {"text_config", 5, "text_config is 5, expected an object"},
      {"text_config", Json::object(), "config.json: text_config: postnorm is missing", unsupported},
      {"tie_word_embeddings", "no", "tie_word_embeddings is \"no\", expected true or false"},
      {"router_logits_bf16", 1, "router_logits_bf16 is 1, expected true or false"},
      {"vision_config", Json::object(), "image_token_index is missing, expected an integer"},
  };
}

TEST(Config, RefusesHostileValuesInWords) {
  for (const Hostile& hostile : hostile_values()) {
    Json config = m1_config();
    replace(config, hostile.key, hostile.value);
    const std::string sentence = sentence_of([&] { parse(config); }, hostile.status);
    EXPECT_EQ(sentence.rfind("config.json: ", 0), 0u) << sentence << " " << hostile.sentence;
    EXPECT_NE(sentence.find(hostile.sentence), sentence.npos)
        << sentence << "\nexpected: " << hostile.sentence;
  }
}

TEST(Config, RefusesSizesThatAreTooLargeTogether) {
  Json config = m1_config();
  config["hidden_size"] = config["intermediate_size"] = 1 << 20;
  EXPECT_NE(sentence_of([&] { parse(config); }).find("parameters, expected at most 1e+15"),
            std::string::npos);
}

TEST(Config, RefusesTextsThatAreNoConfig) {
  for (const std::string text :
       {"", "[]", "null", "{", "\"x\"", "{\"hidden_size\": NaN}", "{\"hidden_size\": Infinity}",
        "{\"a\": \xff}", "{} {}", "{\"rms_norm_eps\": 1e99999}"}) {
    EXPECT_NE(sentence_of([&] { parse_config(text, "config.json"); }), "no error") << text;
  }
  EXPECT_EQ(sentence_of([&] { parse_config(std::string(1000, '['), "config.json"); }),
            "config.json: nests deeper than 64");
}

TEST(Config, RefusesPlacesWithoutConfig) {
  const TempFolder folder;
  EXPECT_NE(sentence_of([&] { read_config(folder.path()); }, MINIMAX_NOT_FOUND), "no error");
  EXPECT_NE(sentence_of([&] { read_config(folder.path() / "x"); }, MINIMAX_NOT_FOUND), "no error");
  fs::create_directory(folder.path() / "config.json");
  EXPECT_NE(sentence_of([&] { read_config(folder.path()); }, MINIMAX_IO_ERROR), "no error");
}

TEST(LightningDecay, FollowsTheSpecsTable) {
  const std::vector<double> slopes = lightning_slopes(64);
  EXPECT_NEAR(slopes[0], 0.9170040432046712, 1e-15);
  EXPECT_NEAR(slopes[1], 0.8408964152537145, 1e-15);
  EXPECT_EQ(slopes[63], 0.00390625);
  EXPECT_NEAR(layer_factor(0, 80), 1.00001, 1e-12);
  EXPECT_NEAR(layer_factor(78, 80), 0.01266823, 1e-8);
  const ModelConfig model = parse(m1_config());
  const struct {
    int64_t layer;
    double first, last;
  } table[] = {{0, 0.39971111, 0.99610133},
               {1, 0.40437785, 0.99615059},
               {8, 0.43860675, 0.99649544},
               {40, 0.63590419, 0.99807342},
               {78, 0.98845040, 0.99995052}};
  for (const auto& row : table) {
    const std::vector<float> decays = layer_decays(model, row.layer);
    EXPECT_NEAR(decays.front(), row.first, 6e-8) << row.layer;
    EXPECT_NEAR(decays.back(), row.last, 6e-8) << row.layer;
    EXPECT_NEAR(std::exp(-double{layer_slopes(model, row.layer)[0]}), row.first, 6e-8);
  }
}

TEST(LightningDecay, HasSlopesForAnyNumberOfHeads) {
  EXPECT_EQ(lightning_slopes(1), (std::vector<double>{std::exp2(-8)}));
  const std::vector<double> six = lightning_slopes(6), eight = lightning_slopes(8);
  const std::vector<double> four = lightning_slopes(4);
  EXPECT_EQ(six, (std::vector<double>{four[0], four[1], four[2], four[3], eight[0], eight[2]}));
  EXPECT_EQ(layer_factor(0, 1), 1.00001);
}

}  // namespace
}  // namespace minimax
