// SPDX-License-Identifier: Apache-2.0
// Damaged config.json and generation_config.json files.
#include "refusal.h"

namespace minimax::testing {
namespace {

namespace fs = std::filesystem;

const Statuses refused = {MINIMAX_BAD_FILE};
const Statuses unsupported = {MINIMAX_UNSUPPORTED};

FileCase with_text(std::string name, std::string text, Words words,
                   const char* file = "config.json") {
  words.push_back(file);
  return {std::move(name),
          [=](const fs::path& scratch) {
            TinyModel().write(scratch);
            write_file(scratch / file, text);
            return scratch;
          },
          refused, std::move(words)};
}

FileCase with_config(std::string name, std::function<void(Json& config)> damage, Statuses statuses,
                     Words words) {
  return {std::move(name),
          [damage](const fs::path& scratch) {
            TinyModel model;
            damage(model.config);
            model.write(scratch);
            return scratch;
          },
          std::move(statuses), std::move(words)};
}

FileCase with_member(std::string name, const std::string& key, const std::string& json,
                     Statuses statuses = refused) {
  return with_config(std::move(name), [=](Json& config) { config[key] = Json::parse(json); },
                     std::move(statuses), {"config.json", key});
}

// "hidden_size" to "HiddenSize".
std::string camel_case(const std::string& key) {
  std::string out;
  bool begins = true;
  for (const char c : key) {
    if (c != '_') out += begins ? static_cast<char>(std::toupper(c)) : c;
    begins = c == '_';
  }
  return out;
}

}  // namespace

std::vector<FileCase> config_cases() {
  std::vector<FileCase> cases;
  const auto add = [&](FileCase added) { cases.push_back(std::move(added)); };

  for (const std::string key :
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "head_dim", "num_local_experts", "num_experts_per_tok", "intermediate_size", "vocab_size",
        "max_position_embeddings"}) {
    const std::string name = camel_case(key);
    add(with_config(name + "IsMissing", [=](Json& config) { config.erase(key); }, refused,
                    {"config.json", key, "missing"}));
    add(with_member(name + "IsZero", key, "0"));
    add(with_member(name + "IsNegative", key, "-1"));
    add(with_member(name + "IsAFraction", key, "1.5"));
    add(with_member(name + "IsText", key, "\"16\""));
    add(with_member(name + "IsAsLargeAsCanBe", key, "18446744073709551615"));
    add(with_member(name + "IsAnObject", key, R"({"value": 16})"));
  }
  for (const std::string key : {"layernorm_full_attention_alpha", "layernorm_linear_attention_beta",
                                "rms_norm_eps", "rope_theta"}) {
    const std::string name = camel_case(key);
    add(with_config(name + "IsMissing", [=](Json& config) { config.erase(key); }, refused,
                    {"config.json", key}));
    add(with_member(name + "IsNegative", key, "-1"));
    add(with_member(name + "IsHuge", key, "1e300"));
    add(with_member(name + "IsText", key, "\"NaN\""));
  }

  add(with_text("ConfigIsEmpty", "", {}));
  add(with_text("ConfigIsBlank", " \n ", {}));
  add(with_text("ConfigIsNull", "null", {}));
  add(with_text("ConfigIsAList", "[]", {}));
  add(with_text("ConfigIsTorn", R"({"model_type": "minimax_text_01", "vocab_size": 2)", {}));
  add(with_text("ConfigGoesOn", "{} {}", {}));
  add(with_text("ConfigIsNotUtf8", "{\"model_type\": \"\xc3\x28\"}", {}));
  add(with_text("ConfigHoldsNaN", R"({"model_type": NaN})", {}));
  add(with_text("ConfigHasComments", "{} // none", {}));
  add(with_text("ConfigNestsLists", std::string(1000000, '['), {"nests"}));
  add(with_text("ConfigNestsObjects",
                [] {
                  std::string text;
                  for (int i = 0; i < 100000; ++i) text += "{\"a\":";
                  return text;
                }(),
                {"nests"}));
  add(with_text("ConfigOfManyBytes", std::string((16 << 20) + 1, ' '), {"16777217"}));
  add(with_text("GenerationConfigIsTorn", "{", {}, "generation_config.json"));
  add(with_text("GenerationConfigIsAList", "[]", {}, "generation_config.json"));
  add(with_text("GenerationConfigEndsPastTheVocabulary", R"({"eos_token_id": 272})",
                {"eos_token_id", "272"}, "generation_config.json"));
  add(with_text("GenerationConfigEndsNegative", R"({"eos_token_id": -1})", {"eos_token_id"},
                "generation_config.json"));
  add(with_text("GenerationConfigEndsInText", R"({"eos_token_id": ["a"]})", {"eos_token_id"},
                "generation_config.json"));

  add(with_config("ModelTypeIsMissing", [](Json& config) { config.erase("model_type"); }, refused,
                  {"model_type"}));
  add(with_member("ModelTypeIsANumber", "model_type", "1"));
  add(with_member("ModelTypeIsAnothers", "model_type", "\"llama\"", unsupported));
  add(with_member("ModelTypeHoldsTwoLines", "model_type", R"("a\nb")", unsupported));
  add(with_member("SharedExpert", "shared_intermediate_size", "64", unsupported));
  add(with_member("RopeScaling", "rope_scaling", R"({"type": "yarn"})", unsupported));
  add(with_member("SlidingWindow", "sliding_window", "128", unsupported));
  add(with_member("Quantization", "quantization_config", R"({"bits": 4})", unsupported));
  add(with_member("HiddenActivation", "hidden_act", "\"gelu\"", unsupported));
  add(with_member("HiddenActivationIsANumber", "hidden_act", "1"));
  add(with_member("PostnormIsOff", "postnorm", "false", unsupported));
  add(with_member("PostnormIsANumber", "postnorm", "1"));
  add(with_member("LayersAreText", "attn_type_list", "\"01\""));
  add(with_member("LayersAreNone", "attn_type_list", "[]"));
  add(with_member("LayersAreTooFew", "attn_type_list", "[0]"));
  add(with_member("LayersAreTooMany", "attn_type_list", "[0, 1, 1]"));
  add(with_member("LayersAreOfAnUnknownKind", "attn_type_list", "[0, 2]"));
  add(with_member("LayersHoldText", "attn_type_list", R"([0, "1"])",
                  {MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED}));
  cases.back().words = {"config.json"};
  add(with_member("LayersAreLists", "attn_type_list", "[[0], [1]]"));
  cases.back().words = {"config.json"};
  add(with_member("HeadsDoNotDivide", "num_attention_heads", "3"));
  cases.back().words = {"config.json"};
  add(with_member("HeadsAreMoreThanTheTensors", "num_attention_heads", "4"));
  cases.back().words = {"model.safetensors", "qkv_proj"};
  add(with_member("KeyHeadsAreMoreThanHeads", "num_key_value_heads", "3"));
  add(with_member("RotaryDimIsOdd", "rotary_dim", "7"));
  add(with_member("RotaryDimIsAboveTheHead", "rotary_dim", "18"));
  add(with_member("ExpertsPerTokenAreMoreThanThereAre", "num_experts_per_tok", "3"));
  add(with_member("ExpertsAreMoreThanTheTensors", "num_local_experts", "3"));
  cases.back().words = {"model.safetensors", "gate.weight"};
  add(with_member("WidthIsNotTheTensors", "hidden_size", "32"));
  cases.back().words = {"model.safetensors", "model.embed_tokens.weight", "[272, 16]", "[272, 32]"};
  add(with_member("VocabularyIsNotTheTensors", "vocab_size", "273"));
  cases.back().words = {"model.safetensors", "model.embed_tokens.weight", "[273, 16]"};
  add(with_member("VocabularyIsBelowTheTokenizers", "vocab_size", "100"));
  cases.back().words = {"100"};
  add(with_member("EndIsPastTheVocabulary", "eos_token_id", "272"));
  add(with_member(
      "EndIsManyTimesThere", "eos_token_id", "[" + [] {
        std::string list = "1";
        for (int i = 0; i < 20000; ++i) list += ",1";
        return list;
      }() + "]"));
  add(with_config("SizesMakeAbsurdlyMany",
                  [](Json& config) {
                    config["hidden_size"] = config["intermediate_size"] = 1 << 20;
                    config["num_local_experts"] = config["num_experts_per_tok"] = 4096;
                    config["num_attention_heads"] = config["num_key_value_heads"] = 4096;
                    config["head_dim"] = 1024;
                  },
                  refused, {"config.json", "parameters"}));
  add(with_config("LayersOfExpertsAreAbsurdlyMany",
                  [](Json& config) {
                    config["num_hidden_layers"] = 1024;
                    config["attn_type_list"] = std::vector<int>(1024, 0);
                    config["num_local_experts"] = 4096;
                  },
                  refused, {"config.json", "experts"}));
  add(with_config("TextConfigIsAList",
                  [](Json& config) { config["text_config"] = Json::array({config}); }, refused,
                  {"config.json", "text_config"}));
  add(with_config("PicturesWithoutATokenForThem",
                  [](Json& config) { config["vision_config"] = Json::object(); }, refused,
                  {"config.json", "image_token_index"}));
  add(with_config("PictureTokenIsPastTheVocabulary",
                  [](Json& config) {
                    config["vision_config"] = Json::object();
                    config["image_token_index"] = 272;
                  },
                  refused, {"config.json", "image_token_index"}));
  return cases;
}

}  // namespace minimax::testing
