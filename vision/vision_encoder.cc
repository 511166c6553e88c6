// SPDX-License-Identifier: Apache-2.0
#include "vision/vision_encoder.h"

#include <algorithm>

#include "base/error.h"
#include "engine/ops/ops.h"

namespace minimax {
namespace {

constexpr int64_t projected_rows = 2048;  // at once

// Enough tiles for whole matrix products, few enough that they lie in little memory.
int64_t tiles_at_once(const Backend& backend) {
  return backend.activation_type() == DType::f32 ? 4 : 16;
}

size_t projector_bytes(const VisionConfig& config, DType act) {
  const auto bytes = [&](int64_t width, size_t size) {
    return Arena::padded(static_cast<size_t>(projected_rows * width) * size);
  };
  return bytes(1, sizeof(int32_t)) + bytes(config.width, size_of(act)) +
         bytes(config.output_width, size_of(act));
}

// Which row of the tower each row of the result comes from; -1: a newline.
std::vector<int32_t> result_order(const VisionConfig& config, const TilePlan& plan) {
  const int64_t side = config.tiles.tile_size / config.tiles.patch_size, patches = side * side;
  const auto tower_row = [&](int64_t tile, int64_t patch) {
    return static_cast<int32_t>(tile * (1 + patches) + 1 + patch);
  };
  std::vector<int32_t> order;
  order.reserve(static_cast<size_t>(plan.token_count));
  for (int64_t i = 0; i < patches; ++i) order.push_back(tower_row(0, i));
  const int64_t left = (plan.tile_columns * side - plan.kept_columns) / 2;
  const int64_t top = (plan.tile_rows * side - plan.kept_rows) / 2;
  for (int64_t y = top; y < top + plan.kept_rows; ++y) {
    for (int64_t x = left; x < left + plan.kept_columns; ++x) {
      const int64_t tile = 1 + y / side * plan.tile_columns + x / side;
      order.push_back(tower_row(tile, y % side * side + x % side));
    }
    order.push_back(-1);
  }
  return order;
}

// f32 numbers of the host as activations of the device.
void upload(Backend& backend, std::span<const float> numbers, const Tensor& to) {
  if (to.dtype() == DType::f32) {
    backend.memory().copy_from_host(to.raw(), numbers.data(), numbers.size_bytes());
    return;
  }
  std::vector<bf16> rounded(numbers.size());
  std::transform(numbers.begin(), numbers.end(), rounded.begin(), to_bf16);
  backend.memory().copy_from_host(to.raw(), rounded.data(), rounded.size() * sizeof(bf16));
}

}  // namespace

VisionEncoder::VisionEncoder(const VisionConfig& config, WeightSource& source, Backend& backend)
    : config_(config),
      backend_(backend),
      naming_(detect_vision_naming(source)),
      tower_(config, naming_, source, backend),
      arena_(backend.memory(), workspace_bytes(config, backend)) {
  const int64_t width = config.output_width;
  linear_1_ = load_biased(source, naming_.projector + "linear_1", width, config.width);
  linear_2_ = load_biased(source, naming_.projector + "linear_2", width, width);
  newline_ =
      source.tensor_as(backend.activation_type(), naming_.newline, {width}).reshaped({1, width});
  source.read_pages();
}

StepLimits VisionEncoder::step_limits(const VisionConfig& config, const Backend& backend) {
  const int64_t rows = tiles_at_once(backend) * (1 + config.patches_of_tile());
  return {.tokens = std::max(rows, projected_rows),
          .widest_input = std::max(
              {config.patch_numbers(), config.width, config.mlp_width, config.output_width}),
          .width = config.width,
          .head_count = config.head_count,
          .head_dim = config.width / config.head_count,
          .expert_count = 1,
          .experts_per_token = 1,
          .expert_width = 1};
}

size_t VisionEncoder::workspace_bytes(const VisionConfig& config, const Backend& backend) {
  const DType act = backend.activation_type();
  return std::max(VisionTower::scratch_bytes(config, tiles_at_once(backend), act),
                  projector_bytes(config, act));
}

void VisionEncoder::encode(const Image& image, const TilePlan& plan, ThreadPool& threads,
                           const TileProgress& progress, const Tensor& rows) {
  const DType act = backend_.activation_type();
  const int64_t tiles = plan.tile_count(), patches = tiles * config_.patches_of_tile();
  Buffer patch_memory(backend_.memory(),
                      static_cast<size_t>(patches * config_.patch_numbers()) * size_of(act));
  const Tensor patch_rows = patch_memory.tensor(act, {patches, config_.patch_numbers()});
  std::vector<float> pixels(static_cast<size_t>(patch_rows.element_count()));
  make_patches(image, plan, config_.tiles, config_.norm, threads, pixels);
  upload(backend_, pixels, patch_rows);

  Buffer tower_memory(backend_.memory(),
                      static_cast<size_t>((tiles + patches) * config_.width) * size_of(act));
  const Tensor tower_rows = tower_memory.tensor(act, {tiles + patches, config_.width});
  run_tower(patch_rows, progress, tower_rows);
  project(plan, tower_rows, rows);
  backend_.finish();
}

void VisionEncoder::run_tower(const Tensor& patches, const TileProgress& progress,
                              const Tensor& tower_rows) {
  const int64_t of_tile = config_.patches_of_tile(), tiles = patches.dim(0) / of_tile;
  for (int64_t first = 0; first < tiles; first += tiles_at_once(backend_)) {
    const int64_t count = std::min(tiles_at_once(backend_), tiles - first);
    tower_.forward(backend_, arena_, patches.rows(first * of_tile, count * of_tile),
                   tower_rows.rows(first * (1 + of_tile), count * (1 + of_tile)));
    backend_.finish();
    if (progress && progress(first + count, tiles)) {
      fail(MINIMAX_CANCELLED, "cancelled after ", first + count, " of ", tiles, " tiles");
    }
  }
}

// Rows that become newlines are computed from some other row first: they are few.
void VisionEncoder::project(const TilePlan& plan, const Tensor& tower_rows, const Tensor& rows) {
  const DType act = backend_.activation_type();
  std::vector<int32_t> order = result_order(config_, plan);
  for (int64_t first = 0; first < rows.dim(0); first += projected_rows) {
    const Arena::Scope scope(arena_);
    const int64_t count = std::min(projected_rows, rows.dim(0) - first);
    std::vector<int32_t> chosen(order.begin() + first, order.begin() + first + count);
    std::replace(chosen.begin(), chosen.end(), -1, 0);
    const Tensor ids = arena_.take(DType::i32, {count});
    backend_.memory().copy_from_host(ids.raw(), chosen.data(), ids.size_bytes());
    const Tensor x = arena_.take(act, {count, config_.width});
    const Tensor hidden = arena_.take(act, {count, config_.output_width});
    ops::embed(backend_, ids, tower_rows, x);
    biased_linear(backend_, x, linear_1_, Activation::gelu, hidden);
    biased_linear(backend_, hidden, linear_2_, Activation::none, rows.rows(first, count));
  }
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] < 0) ops::copy(backend_, newline_, rows.rows(static_cast<int64_t>(i), 1));
  }
}

}  // namespace minimax
