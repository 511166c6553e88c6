// SPDX-License-Identifier: Apache-2.0
#include "vision/vision_tower.h"

#include <cmath>

#include "engine/ops/ops.h"

namespace minimax {
namespace {

LayerNorm load_norm(WeightSource& source, const std::string& name, int64_t width) {
  return {source.vector_f32(name + ".weight", {width}), source.vector_f32(name + ".bias", {width})};
}

VisionBlock load_block(WeightSource& source, const VisionConfig& config, const std::string& name) {
  const int64_t width = config.width, mlp = config.mlp_width;
  return {.attention_norm = load_norm(source, name + "layer_norm1", width),
          .q_proj = load_biased(source, name + "self_attn.q_proj", width, width),
          .k_proj = load_biased(source, name + "self_attn.k_proj", width, width),
          .v_proj = load_biased(source, name + "self_attn.v_proj", width, width),
          .out_proj = load_biased(source, name + "self_attn.out_proj", width, width),
          .mlp_norm = load_norm(source, name + "layer_norm2", width),
          .fc1 = load_biased(source, name + "mlp.fc1", mlp, width),
          .fc2 = load_biased(source, name + "mlp.fc2", width, mlp)};
}

// Where a device wants keys and values in pages, those of a tile lie in one of its own, in whole blocks
// of as many tokens as the fastest kernels read at once.
KvLayout tile_layout(const VisionConfig& config, DType activation) {
  constexpr int64_t block_tokens = 128;
  const int64_t blocks = (1 + config.patches_of_tile() + block_tokens - 1) / block_tokens;
  return {activation, blocks * block_tokens, config.head_count, config.width / config.head_count,
          0};
}

// Which row of [class | patches of all tiles] each row of the tower is.
std::vector<int32_t> row_order(int64_t tiles, int64_t patches) {
  std::vector<int32_t> order;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    order.push_back(0);
    for (int64_t i = 0; i < patches; ++i) {
      order.push_back(static_cast<int32_t>(1 + tile * patches + i));
    }
  }
  return order;
}

// The keys and values of so many tiles: each a sequence of its own with one page, the same for all blocks.
class TilePages {
 public:
  TilePages(const VisionConfig& config, Arena& arena, DType activation, int64_t tiles) {
    const int64_t tile_rows = 1 + config.patches_of_tile();
    const int64_t page_rows = 2 * tile_layout(config, activation).page_tokens;
    const Tensor memory = arena.take(activation, {tiles * page_rows, config.width});
    for (int64_t tile = 0; tile < tiles; ++tile) {
      pages_.push_back(static_cast<std::byte*>(memory.rows(tile * page_rows, 1).raw()));
    }
    for (int64_t tile = 0; tile < tiles; ++tile) {
      sequences_.push_back({{tile * tile_rows, tile_rows, 0},
                            std::span(pages_).subspan(static_cast<size_t>(tile), 1)});
    }
  }
  TilePages(const TilePages&) = delete;
  TilePages& operator=(const TilePages&) = delete;
  std::span<const KvSequence> sequences() const { return sequences_; }

 private:
  std::vector<std::byte*> pages_;
  std::vector<KvSequence> sequences_;
};

}  // namespace

VisionNaming detect_vision_naming(const WeightSource& source) {
  const VisionNaming released;
  const std::string probe = "embeddings.class_embedding";
  if (source.has(released.tower + probe)) return released;
  for (const char* prefix : {"model.vision_tower.vision_model.", "model.vision_tower."}) {
    if (source.has(prefix + probe)) {
      return {prefix, "model.multi_modal_projector.", "model.image_newline"};
    }
  }
  return released;
}

void biased_linear(Backend& backend, const Tensor& x, const BiasedWeight& matrix,
                   Activation activation, const Tensor& out) {
  ops::biased_linear(backend, x, matrix.weight, matrix.bias, activation, out);
}

void add_biased_linear(Backend& backend, const Tensor& x, const BiasedWeight& matrix,
                       const Tensor& room, const Tensor& out) {
  ops::add_biased_linear(backend, x, matrix.weight, matrix.bias, room, out);
}

BiasedWeight load_biased(WeightSource& source, const std::string& name, int64_t outputs,
                         int64_t inputs) {
  return {{source.matrix(name + ".weight", {outputs, inputs})},
          source.vector_f32(name + ".bias", {outputs})};
}

VisionTower::VisionTower(const VisionConfig& config, const VisionNaming& naming,
                         WeightSource& source, Backend& backend)
    : config_(config) {
  const int64_t width = config.width, patch = config.tiles.patch_size;
  const std::string embeddings = naming.tower + "embeddings.";
  const DType act = backend.activation_type();
  const Tensor convolution =
      source.matrix(embeddings + "patch_embedding.weight", {width, 3, patch, patch});
  patch_embedding_ = {convolution.reshaped({width, config.patch_numbers()})};
  class_embedding_ =
      source.tensor_as(act, embeddings + "class_embedding", {width}).reshaped({1, width});
  positions_ = source.tensor_as(act, embeddings + "position_embedding.weight",
                                {1 + config.patches_of_tile(), width});
  pre_norm_ = load_norm(source, naming.tower + "pre_layrnorm", width);
  for (int64_t i = 0; i < config.blocks_used; ++i) {
    blocks_.push_back(load_block(source, config, text(naming.tower, "encoder.layers.", i, ".")));
  }
}

void VisionTower::forward(Backend& backend, Arena& arena, const Tensor& patches,
                          const Tensor& out) const {
  const Arena::Scope scope(arena);
  const DType act = backend.activation_type();
  const int64_t patch_count = config_.patches_of_tile(), tiles = patches.dim(0) / patch_count;

  const Tensor embedded = arena.take(act, {1 + patches.dim(0), config_.width});
  ops::copy(backend, class_embedding_, embedded.rows(0, 1));
  ops::linear(backend, patches, patch_embedding_, Activation::none,
              embedded.rows(1, patches.dim(0)));
  const std::vector<int32_t> order = row_order(tiles, patch_count);
  const Tensor ids = arena.take(DType::i32, {out.dim(0)});
  backend.memory().copy_from_host(ids.raw(), order.data(), ids.size_bytes());
  ops::embed(backend, ids, embedded, out);
  ops::add(backend, out, positions_, out);
  ops::layer_norm(backend, out, pre_norm_.weight, pre_norm_.bias, config_.norm_eps, out);

  const TilePages pages(config_, arena, act, tiles);
  for (const VisionBlock& block : blocks_) {
    attend(backend, arena, block, pages.sequences(), out);
    transform(backend, arena, block, out);
  }
}

// x += out_proj(attention(norm(x))), every row of a tile seeing all of it
void VisionTower::attend(Backend& backend, Arena& arena, const VisionBlock& block,
                         std::span<const KvSequence> tiles, const Tensor& x) const {
  const Arena::Scope scope(arena);
  const DType act = backend.activation_type();
  const int64_t rows = x.dim(0);
  const Tensor normed = arena.take(act, x.shape());
  const Tensor q = arena.take(act, x.shape());
  const Tensor k = arena.take(act, x.shape());
  const Tensor v = arena.take(act, x.shape());
  ops::layer_norm(backend, x, block.attention_norm.weight, block.attention_norm.bias,
                  config_.norm_eps, normed);
  biased_linear(backend, normed, block.q_proj, Activation::none, q);
  biased_linear(backend, normed, block.k_proj, Activation::none, k);
  biased_linear(backend, normed, block.v_proj, Activation::none, v);

  const KvLayout layout = tile_layout(config_, act);
  const Shape heads{rows, config_.head_count, layout.head_dim};
  const float scale = 1 / std::sqrt(static_cast<float>(layout.head_dim));
  ops::bidirectional_attention(backend, q.reshaped(heads), k.reshaped(heads), v.reshaped(heads),
                               scale, layout, tiles, normed.reshaped(heads));
  add_biased_linear(backend, normed, block.out_proj, q, x);
}

// x += fc2(gelu(fc1(norm(x))))
void VisionTower::transform(Backend& backend, Arena& arena, const VisionBlock& block,
                            const Tensor& x) const {
  const Arena::Scope scope(arena);
  const DType act = backend.activation_type();
  const Tensor normed = arena.take(act, x.shape());
  const Tensor hidden = arena.take(act, {x.dim(0), config_.mlp_width});
  ops::layer_norm(backend, x, block.mlp_norm.weight, block.mlp_norm.bias, config_.norm_eps, normed);
  biased_linear(backend, normed, block.fc1, Activation::gelu, hidden);
  add_biased_linear(backend, hidden, block.fc2, normed, x);
}

size_t VisionTower::scratch_bytes(const VisionConfig& config, int64_t tiles, DType activation) {
  const int64_t patches = tiles * config.patches_of_tile(), rows = tiles + patches;
  const auto bytes = [&](int64_t count, int64_t width) {
    return Arena::padded(static_cast<size_t>(count * width) * size_of(activation));
  };
  const size_t row = bytes(rows, config.width);
  const size_t ids = Arena::padded(static_cast<size_t>(rows) * sizeof(int32_t));
  const size_t pages = bytes(2 * tiles * tile_layout(config, activation).page_tokens, config.width);
  const size_t attention = 4 * row;
  const size_t mlp = row + bytes(rows, config.mlp_width);
  return bytes(1 + patches, config.width) + ids + pages + std::max(attention, mlp);
}

}  // namespace minimax
