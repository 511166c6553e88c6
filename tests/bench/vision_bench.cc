// SPDX-License-Identifier: Apache-2.0
// The vision tower at MiniMax-VL-01's size on made-up weights: time of some tiles, beside the time that the
// same matrix products take alone in the same run.
//
//   vision_bench [TILES [THREADS [DEVICE]]]     defaults: 5, one a core, cpu
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "engine/kernels/open_backend.h"
#include "engine/ops/ops.h"
#include "vision/vision_encoder.h"

namespace minimax {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(Backend& backend, const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  backend.finish();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

VisionConfig released_config() {
  VisionConfig config{};
  config.tiles = {{{336, 336}}, 336, 14};
  config.width = 1024;
  config.mlp_width = 4096;
  config.head_count = 16;
  config.block_count = config.blocks_used = 24;
  config.output_width = 6144;
  config.norm_eps = 1e-5f;
  return config;
}

struct Product {
  int64_t rows, inputs, outputs;
  int64_t count;
  double flop() const { return 2.0 * static_cast<double>(rows * inputs * outputs * count); }
};

// The matrix products of so many tiles.
std::vector<Product> products_of(const VisionConfig& config, int64_t tiles) {
  const int64_t patches = tiles * config.patches_of_tile(), rows = tiles + patches;
  const int64_t width = config.width, mlp = config.mlp_width, blocks = config.blocks_used;
  return {{patches, config.patch_numbers(), width, 1},
          {rows, width, width, 4 * blocks},
          {rows, width, mlp, blocks},
          {rows, mlp, width, blocks}};
}

class Bench {
 public:
  Bench(const std::string& device, int threads, int64_t tiles)
      : config_(released_config()),
        tiles_(tiles),
        backend_(open_backend(device, Compute::automatic, threads)),
        pool_(threads),
        source_(1, DType::bf16, backend_->memory(), {.threads = &pool_}),
        tower_(config_, {}, source_, *backend_),
        arena_(backend_->memory(),
               VisionTower::scratch_bytes(config_, tiles, backend_->activation_type())) {
    StepLimits limits = VisionEncoder::step_limits(config_, *backend_);
    limits.tokens = std::max(limits.tokens, tiles * (1 + config_.patches_of_tile()));
    backend_->reserve(limits);
    const int64_t patches = tiles * config_.patches_of_tile();
    patches_ = random({patches, config_.patch_numbers()});
    out_ = made({tiles + patches, config_.width});
    for (const Product& product : products_of(config_, tiles)) {
      inputs_.push_back(random({product.rows, product.inputs}));
      weights_.push_back(
          {source_.matrix(text("weight", inputs_.size()), {product.outputs, product.inputs})});
      outputs_.push_back(made({product.rows, product.outputs}));
    }
  }

  double tower_seconds() {
    return seconds_of(*backend_, [&] { tower_.forward(*backend_, arena_, patches_, out_); });
  }
  // Each product once, times how often the tower makes it.
  double product_seconds() {
    double total = 0;
    const std::vector<Product> products = products_of(config_, tiles_);
    for (size_t i = 0; i < products.size(); ++i) {
      const double once = seconds_of(*backend_, [&] {
        ops::linear(*backend_, inputs_[i], weights_[i], Activation::none, outputs_[i]);
      });
      total += once * static_cast<double>(products[i].count);
    }
    return total;
  }
  double product_flop() const {
    double total = 0;
    for (const Product& product : products_of(config_, tiles_)) total += product.flop();
    return total;
  }
  // Scores and their products with values, which are matrix products too.
  double attention_flop() const {
    const double rows = 1 + static_cast<double>(config_.patches_of_tile());
    return 4 * rows * rows * static_cast<double>(config_.width * config_.blocks_used * tiles_);
  }

 private:
  Tensor made(const Shape& shape) {
    const DType act = backend_->activation_type();
    buffers_.emplace_back(backend_->memory(),
                          static_cast<size_t>(shape.element_count()) * size_of(act));
    return buffers_.back().tensor(act, shape);
  }
  Tensor random(const Shape& shape) {
    return source_.tensor_as(backend_->activation_type(), text("x", shape.to_string()), shape);
  }

  VisionConfig config_;
  int64_t tiles_;
  std::unique_ptr<Backend> backend_;
  ThreadPool pool_;
  SyntheticSource source_;
  VisionTower tower_;
  Arena arena_;
  std::vector<Buffer> buffers_;
  Tensor patches_, out_;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<Weight> weights_;
};

double median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

int run(int argc, char** argv) {
  const int64_t tiles = argc > 1 ? std::atoll(argv[1]) : 5;
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int threads = argc > 2 ? std::atoi(argv[2]) : cores;
  Bench bench(argc > 3 ? argv[3] : "cpu", threads, tiles);
  std::vector<double> tower, products;
  bench.product_seconds();
  for (int i = 0; i < 5; ++i) {
    products.push_back(bench.product_seconds());
    tower.push_back(bench.tower_seconds());
  }
  const double flop = bench.product_flop() + bench.attention_flop();
  const double rate = flop / median(tower), product_rate = bench.product_flop() / median(products);
  std::printf(
      "%lld tiles, %d threads: %.3f s, %.1f GFLOP/s; its matrix products alone %.3f s, "
      "%.1f GFLOP/s: %.3f of their rate\n",
      static_cast<long long>(tiles), threads, median(tower), rate / 1e9, median(products),
      product_rate / 1e9, rate / product_rate);
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace minimax

int main(int argc, char** argv) {
  try {
    return minimax::run(argc, argv);
  } catch (const minimax::Error& error) {
    std::fprintf(stderr, "vision_bench: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
