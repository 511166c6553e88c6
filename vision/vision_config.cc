// SPDX-License-Identifier: Apache-2.0
#include "vision/vision_config.h"

#include "base/error.h"
#include "base/file_map.h"
#include "base/json.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;

constexpr size_t config_limit_bytes = 16 << 20;
constexpr int64_t width_limit = 1 << 16;
constexpr int64_t block_limit = 1024;
constexpr size_t resolution_limit = 4096;
constexpr PixelNorm clip_norm{{0.48145466f, 0.4578275f, 0.40821073f},
                              {0.26862954f, 0.26130258f, 0.27577711f}};

void expect_text(const JsonObject& config, std::string_view key, std::string_view expected) {
  const std::string found = config.string_or(key, expected);
  if (found == expected) return;
  fail(MINIMAX_UNSUPPORTED, config.source(), ": ", key, " is \"", found, "\", supported is \"",
       expected, "\"");
}

std::vector<PixelSize> read_resolutions(const JsonObject& config) {
  const std::string_view key = "image_grid_pinpoints";
  std::vector<PixelSize> sizes;
  for (const Json& pair : config.array(key, resolution_limit)) {
    const auto is_side = [](const Json& x) {
      return x.is_number_unsigned() && x.get<uint64_t>() <= (1u << 20);
    };
    if (!pair.is_array() || pair.size() != 2 || !is_side(pair[0]) || !is_side(pair[1])) {
      config.fail_member(key, "a list of [width, height]");
    }
    sizes.push_back({pair[0].get<int64_t>(), pair[1].get<int64_t>()});
  }
  return sizes;
}

void read_three(const JsonObject& config, std::string_view key, double low, float (&out)[3]) {
  if (!config.has(key)) return;
  const Json& list = config.array(key, 3);
  if (list.size() != 3) config.fail_member(key, "three numbers");
  for (size_t i = 0; i < 3; ++i) {
    const bool fits =
        list[i].is_number() && list[i].get<double>() >= low && list[i].get<double>() <= 1e3;
    if (!fits) config.fail_member(key, "three numbers");
    out[i] = list[i].get<float>();
  }
}

// hidden_states has one entry more than there are blocks: what went in comes first, -1 is the last.
int64_t read_blocks_used(const JsonObject& top, int64_t block_count) {
  const int64_t layer = top.integer_or("vision_feature_layer", -1, -block_count - 1, block_count);
  return layer < 0 ? block_count + 1 + layer : layer;
}

void read_tower(const JsonObject& tower, VisionConfig& config) {
  config.width = tower.integer("hidden_size", 1, width_limit);
  config.mlp_width = tower.integer("intermediate_size", 1, width_limit);
  config.head_count = tower.integer("num_attention_heads", 1, 1024);
  config.block_count = tower.integer("num_hidden_layers", 1, block_limit);
  config.norm_eps = static_cast<float>(tower.number_or("layer_norm_eps", 1e-5, 1e-12, 1));
  config.tiles.tile_size = tower.integer("image_size", 1, 1 << 14);
  config.tiles.patch_size = tower.integer("patch_size", 1, 1 << 10);
  expect_text(tower, "hidden_act", "gelu");
  if (tower.integer_or("num_channels", 3, 0, 1024) != 3) tower.fail_member("num_channels", "3");
  if (config.width % config.head_count != 0) {
    tower.fail_member("num_attention_heads", text("a divisor of hidden_size ", config.width));
  }
  if (config.tiles.tile_size % config.tiles.patch_size != 0) {
    tower.fail_member("patch_size", text("a divisor of image_size ", config.tiles.tile_size));
  }
}

}  // namespace

VisionConfig read_vision_config(const fs::path& path) {
  std::error_code error;
  const bool is_folder = fs::is_directory(path, error);
  const fs::path file = is_folder ? path / "config.json" : path;
  const JsonTree json(parse_json_file(file, config_limit_bytes));
  const JsonObject top(json, "config.json");
  if (!top.has("vision_config")) {
    fail(MINIMAX_UNSUPPORTED, file.string(), ": this model takes no pictures (no vision_config)");
  }
  VisionConfig config{};
  read_tower(top.object("vision_config"), config);
  config.output_width = top.object("text_config").integer("hidden_size", 1, 1 << 20);
  config.blocks_used = read_blocks_used(top, config.block_count);
  expect_text(top, "vision_feature_select_strategy", "default");
  expect_text(top, "projector_hidden_act", "gelu");

  config.norm = clip_norm;
  const fs::path processor_file = file.parent_path() / "preprocessor_config.json";
  const bool has_processor = is_there(processor_file);
  JsonTree processor_json(has_processor ? parse_json_file(processor_file, config_limit_bytes)
                                        : Json::object());
  const JsonObject processor(processor_json, "preprocessor_config.json");
  expect_text(processor, "process_image_mode", "anyres");
  read_three(processor, "image_mean", -1e3, config.norm.mean);
  read_three(processor, "image_std", 1e-6, config.norm.deviation);
  const bool in_config = top.has("image_grid_pinpoints");
  config.tiles.resolutions = read_resolutions(in_config ? top : processor);
  return config;
}

}  // namespace minimax
