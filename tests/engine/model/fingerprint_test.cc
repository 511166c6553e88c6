// SPDX-License-Identifier: Apache-2.0
// A model has one fingerprint however its checkpoint is laid out, and another model another one.
#include "engine/model/fingerprint.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace minimax {
namespace {

// The number of an element is that of its role in the model, wherever a checkpoint keeps it.
class RoleSource final : public WeightSource {
 public:
  RoleSource(const ModelConfig& config, const TensorNaming& naming)
      : WeightSource(host_memory(), {}), config_(config), naming_(naming) {}

  bool has(std::string_view) const override { return true; }
  Tensor matrix(std::string_view, const Shape&) override { return {}; }
  Tensor tensor_as(DType, std::string_view, const Shape&) override { return {}; }
  void sample(const TensorSpec& wanted, int64_t first, std::span<bf16> out) const override {
    EXPECT_EQ(first % 4, 0);
    EXPECT_LE(first + static_cast<int64_t>(out.size()), wanted.element_count());
    for (size_t i = 0; i < out.size(); ++i) {
      out[i].bits = static_cast<uint16_t>(number(wanted, first + static_cast<int64_t>(i)));
    }
    if (wanted.name.find(changed) != std::string::npos) out.back().bits ^= 1;
  }

  std::string changed = "no tensor's name";

 private:
  size_t number(const TensorSpec& wanted, int64_t element) const {
    std::string role = wanted.name;
    if (role.starts_with(naming_.body)) role = role.substr(naming_.body.size());
    if (role == naming_.lm_head) role = "head";
    const int64_t matrix = config_.expert_width * config_.width;
    const size_t moe = role.find("mlp.");
    if (moe != role.npos) {  // as separate experts are called
      std::string part = role.substr(moe + 4);
      role = role.substr(0, moe) + "block_sparse_moe.";
      if (part == "experts.gate_up_proj") {
        const int64_t which = element / matrix;
        part = text("experts.", which / 2, which % 2 == 0 ? ".w1.weight" : ".w3.weight");
        element %= matrix;
      } else if (part == "experts.down_proj") {
        part = text("experts.", element / matrix, ".w2.weight");
        element %= matrix;
      }
      role += part;
    }
    return std::hash<std::string>{}(text(role, ":", element));
  }

  const ModelConfig& config_;
  const TensorNaming naming_;
};

ModelConfig some_config() {
  ModelConfig config;
  config.width = 12;
  config.layer_count = 2;
  config.head_count = config.kv_head_count = 2;
  config.head_dim = 8;
  config.rotary_dim = 4;
  config.expert_count = 3;
  config.experts_per_token = 2;
  config.expert_width = 20;
  config.vocabulary_size = 50;
  config.layers = {LayerKind::lightning, LayerKind::softmax};
  config.rope_theta = 10000;
  return config;
}

const TensorNaming merged{"model.language_model.", "lm_head.weight", ExpertLayout::merged};

ModelFingerprint fingerprint(const ModelConfig& config, const TensorNaming& naming = {},
                             const std::string& changed = "no tensor's name") {
  RoleSource source(config, naming);
  source.changed = changed;
  return fingerprint_of(config, text_tensors(config, naming), source);
}

TEST(Fingerprint, IsTheSameForEveryLayout) {
  const ModelConfig config = some_config();
  const TensorNaming vision{"language_model.model.", "language_model.lm_head.weight",
                            ExpertLayout::separate};
  EXPECT_EQ(fingerprint(config, vision), fingerprint(config));
  EXPECT_EQ(fingerprint(config, merged), fingerprint(config));
}

TEST(Fingerprint, KnowsEveryTensor) {
  const ModelConfig config = some_config();
  const ModelFingerprint usual = fingerprint(config);
  for (const TensorSpec& tensor : list_tensors(text_tensors(config, {}))) {
    const ModelFingerprint other = fingerprint(config, {}, tensor.name);
    EXPECT_NE(other.weights, usual.weights) << tensor.name;
    EXPECT_EQ(other.config, usual.config);
  }
}

TEST(Fingerprint, KnowsTheNumbersOfTheConfiguration) {
  const ModelConfig usual = some_config();
  const std::vector<void (*)(ModelConfig&)> changes{
      [](ModelConfig& c) { c.experts_per_token = 1; },
      [](ModelConfig& c) { c.rotary_dim = 6; },
      [](ModelConfig& c) { c.rope_theta = 10001; },
      [](ModelConfig& c) { c.rms_norm_eps = 1e-6f; },
      [](ModelConfig& c) { c.mlp_beta = 2; },
      [](ModelConfig& c) { c.router_logits_bf16 = true; },
  };
  std::set<uint64_t> digests{fingerprint(usual).config};
  for (const auto change : changes) {
    ModelConfig config = usual;
    change(config);
    EXPECT_TRUE(digests.insert(fingerprint(config).config).second);
  }
  ModelConfig same = usual;
  same.model_name = "another name";
  same.declared_context = 1;
  same.stop_tokens = {3};
  EXPECT_EQ(fingerprint(same), fingerprint(usual));
}

TEST(Fingerprint, OfMadeUpWeightsIsThatOfTheirSeed) {
  const ModelConfig config = some_config();
  const TextTensors tensors = text_tensors(config, {});
  const auto of_seed = [&](uint64_t seed, DType type) {
    return fingerprint_of(config, tensors, SyntheticSource(seed, type, host_memory(), {}));
  };
  EXPECT_EQ(of_seed(1, DType::f32), of_seed(1, DType::bf16));
  EXPECT_NE(of_seed(1, DType::f32), of_seed(2, DType::f32));
}

}  // namespace
}  // namespace minimax
