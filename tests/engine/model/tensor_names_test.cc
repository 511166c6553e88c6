// SPDX-License-Identifier: Apache-2.0
#include "engine/model/tensor_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "tests/engine/model/released_configs.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;

ModelConfig parse(const Json& config) {
  return parse_config(config.dump(), "config.json");
}

std::set<std::string> names_of(const std::vector<TensorSpec>& list) {
  std::set<std::string> names;
  for (const TensorSpec& tensor : list) names.insert(tensor.name);
  return names;
}

std::vector<TensorSpec> released_tensors(const Json& json) {
  const ModelConfig config = parse(json);
  return list_tensors(text_tensors(config, released_naming(config)));
}

const TensorSpec& find(const std::vector<TensorSpec>& list, std::string_view name) {
  const auto at = std::find_if(list.begin(), list.end(),
                               [&](const TensorSpec& tensor) { return tensor.name == name; });
  EXPECT_NE(at, list.end()) << name;
  return *at;
}

TEST(TensorNames, ListsTheReleasedModels) {
  const std::vector<TensorSpec> list = released_tensors(m1_config());
  EXPECT_EQ(list.size(), 8243u);
  EXPECT_EQ(names_of(list).size(), 8243u);
  EXPECT_EQ(find(list, "model.embed_tokens.weight").shape, (Shape{200064, 6144}));
  EXPECT_EQ(find(list, "lm_head.weight").shape, (Shape{200064, 6144}));
  EXPECT_EQ(find(list, "model.layers.0.self_attn.qkv_proj.weight").shape, (Shape{24576, 6144}));
  EXPECT_EQ(find(list, "model.layers.0.self_attn.out_proj.weight").shape, (Shape{6144, 8192}));
  EXPECT_EQ(find(list, "model.layers.78.self_attn.norm.weight").shape, (Shape{8192}));
  EXPECT_EQ(find(list, "model.layers.7.self_attn.k_proj.weight").shape, (Shape{1024, 6144}));
  EXPECT_EQ(find(list, "model.layers.7.self_attn.o_proj.weight").shape, (Shape{6144, 8192}));
  const TensorSpec& gate = find(list, "model.layers.3.block_sparse_moe.gate.weight");
  EXPECT_EQ(gate.shape, (Shape{32, 6144}));
  EXPECT_EQ(gate.usual_dtype, DType::f32);
  EXPECT_EQ(find(list, "model.layers.79.block_sparse_moe.experts.31.w2.weight").shape,
            (Shape{6144, 9216}));
}

TEST(TensorNames, IsTheIndexOfMiniMaxM1) {
  const fs::path folder = fs::path(MINIMAX_SHARED_DIR) / "checkpoints/minimax-m1";
  if (!fs::exists(folder)) GTEST_SKIP() << "the index of MiniMax-M1 is not here";
  const ModelConfig config = read_config(folder).model;
  const Checkpoint checkpoint = Checkpoint::open_names(folder);
  const TensorNaming naming =
      detect_naming(config, [&](std::string_view name) { return checkpoint.has(name); });
  const std::vector<TensorSpec> list = list_tensors(text_tensors(config, naming));
  EXPECT_EQ(checkpoint.tensor_count(), 8243u);
  EXPECT_EQ(names_of(list).size(), checkpoint.tensor_count());
  for (const TensorSpec& tensor : list) EXPECT_TRUE(checkpoint.has(tensor.name)) << tensor.name;
}

// The parts of the picture model that the text model does not ask for.
std::set<std::string> released_picture_names() {
  const std::string tower = "vision_tower.vision_model.";
  std::set<std::string> names = {"image_newline", tower + "embeddings.class_embedding",
                                 tower + "embeddings.patch_embedding.weight",
                                 tower + "embeddings.position_embedding.weight"};
  for (const std::string ending : {"weight", "bias"}) {
    names.insert(tower + "pre_layrnorm." + ending);
    names.insert("multi_modal_projector.linear_1." + ending);
    names.insert("multi_modal_projector.linear_2." + ending);
    for (int k = 0; k < 24; ++k) {
      for (const char* part :
           {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
            "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"}) {
        names.insert(text(tower, "encoder.layers.", k, ".", part, ".", ending));
      }
    }
  }
  return names;
}

TEST(TensorNames, ListsThePictureModel) {
  std::set<std::string> names = names_of(released_tensors(vl_01_config()));
  EXPECT_EQ(names.size(), 8243u);
  EXPECT_TRUE(names.contains("language_model.model.layers.0.self_attn.qkv_proj.weight"));
  EXPECT_TRUE(names.contains("language_model.lm_head.weight"));
  names.merge(released_picture_names());
  EXPECT_EQ(names.size(), 8637u);
}

TEST(TensorNames, KeepsOneTableWhenTablesAreTied) {
  Json json = m1_config();
  json["tie_word_embeddings"] = true;
  const ModelConfig config = parse(json);
  const TextTensors tensors = text_tensors(config, released_naming(config));
  EXPECT_EQ(tensors.lm_head.name, tensors.embed_tokens.name);
  EXPECT_EQ(list_tensors(tensors).size(), 8242u);
}

TensorNaming detect_from(const std::set<std::string, std::less<>>& names) {
  return detect_naming(parse(m1_config()),
                       [&](std::string_view name) { return names.contains(name); });
}

TEST(TensorNames, DetectsEveryNaming) {
  const TensorNaming original = detect_from({"model.embed_tokens.weight", "lm_head.weight"});
  EXPECT_EQ(original.body, "model.");
  EXPECT_EQ(original.experts, ExpertLayout::separate);
  const TensorNaming picture =
      detect_from({"language_model.model.embed_tokens.weight", "language_model.lm_head.weight"});
  EXPECT_EQ(picture.body, "language_model.model.");
  EXPECT_EQ(picture.lm_head, "language_model.lm_head.weight");
  const TensorNaming native =
      detect_from({"model.language_model.embed_tokens.weight", "lm_head.weight",
                   "model.language_model.layers.0.mlp.experts.gate_up_proj"});
  EXPECT_EQ(native.body, "model.language_model.");
  EXPECT_EQ(native.lm_head, "lm_head.weight");
  EXPECT_EQ(native.experts, ExpertLayout::merged);
  EXPECT_EQ(detect_from({}).body, "model.");
}

TEST(TensorNames, ListsMergedExperts) {
  const ModelConfig config = parse(m1_config());
  TensorNaming naming;
  naming.experts = ExpertLayout::merged;
  const std::vector<TensorSpec> list = list_tensors(text_tensors(config, naming));
  EXPECT_EQ(list.size(), 3u + 80 * (2 + 4 + 1 + 2));
  EXPECT_EQ(find(list, "model.layers.0.mlp.experts.gate_up_proj").shape, (Shape{32, 18432, 6144}));
  EXPECT_EQ(find(list, "model.layers.0.mlp.experts.down_proj").shape, (Shape{32, 6144, 9216}));
  EXPECT_EQ(find(list, "model.layers.0.mlp.gate.weight").shape, (Shape{32, 6144}));
}

TEST(TensorNames, FindsEveryTensorOfTheCheckpointsAtHand) {
  const fs::path source = MINIMAX_SOURCE_DIR, shared = MINIMAX_SHARED_DIR;
  for (const fs::path& folder : {source / "models/demo", source / "tests/golden/vendor_text_8l",
                                 source / "tests/golden/vl01_8l", shared / "golden/hf_text_8l",
                                 shared / "golden/vendor_text_16l_sharded"}) {
    if (!fs::exists(folder)) continue;
    const ModelConfig config = read_config(folder).model;
    const Checkpoint checkpoint = Checkpoint::open(folder);
    const TensorNaming naming =
        detect_naming(config, [&](std::string_view name) { return checkpoint.has(name); });
    for (const TensorSpec& tensor : list_tensors(text_tensors(config, naming))) {
      EXPECT_NO_THROW(checkpoint.require(tensor)) << folder << tensor.name;
    }
  }
}

}  // namespace
}  // namespace minimax
