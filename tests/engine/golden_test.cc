// SPDX-License-Identifier: Apache-2.0
// The engine against what public implementations answer (tests/golden/README.md), on every kind of
// kernel this machine can run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/kernels/cpu/kernel_table.h"
#include "engine/sampler.h"
#include "tests/support/golden_file.h"

namespace minimax {
namespace {

using testing::GoldenFile;
using testing::largest_difference;

// f32 arithmetic in another order than the reference's; it agrees with a second one to 6e-6.
constexpr double logits_bound = 1e-4;

const std::atomic<bool> never{false};

struct Case {
  std::string name;
  std::filesystem::path folder;
};

void PrintTo(const Case& golden, std::ostream* out) {
  *out << golden.name;
}

// The cases that lie in the project, and the larger ones where they are at hand.
std::vector<Case> text_cases() {
  std::vector<Case> cases{{"vendor_text_8l", MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l"}};
  for (const char* name : {"vendor_text_16l_sharded", "hf_text_8l"}) {
    const auto folder = std::filesystem::path(MINIMAX_SHARED_DIR) / "golden" / name;
    if (std::filesystem::exists(folder)) cases.push_back({name, folder});
  }
  return cases;
}

std::vector<std::string> cpu_devices() {
  std::vector<std::string> devices{"cpu:plain"};
  for (const Isa isa : supported_isas()) devices.push_back(text("cpu:", name_of(isa)));
  return devices;
}

EngineOptions exact_options(const std::string& device) {
  EngineOptions options;
  options.device = device;
  options.thread_count = 2;
  options.kv_type = MINIMAX_TYPE_F32;
  return options;
}

// All logits of a feed, one row after the other.
class Rows final : public LogitsSink {
 public:
  void take(int64_t index, std::span<const float> row) override {
    EXPECT_EQ(index, count++);
    numbers.insert(numbers.end(), row.begin(), row.end());
  }
  int64_t count = 0;
  std::vector<float> numbers;
};

std::vector<float> feed_all(Engine& engine, Timeline& timeline, std::span<const int32_t> ids) {
  Rows rows;
  engine.feed({&timeline, ids, LogitsWanted::all, &rows, 0}, never);
  return rows.numbers;
}

std::vector<float> feed_last(Engine& engine, Timeline& timeline, std::span<const int32_t> ids) {
  Rows rows;
  engine.feed({&timeline, ids, LogitsWanted::last, &rows, static_cast<int64_t>(-ids.size() + 1)},
              never);
  return rows.numbers;
}

// Logits after every position when a sequence is fed in pieces of the given sizes, the rest at once.
std::vector<float> feed_pieces(Engine& engine, std::span<const int32_t> ids,
                               std::vector<size_t> sizes) {
  const auto timeline = engine.new_timeline(32);
  std::vector<float> all;
  for (size_t at = 0, piece = 0; at < ids.size(); ++piece) {
    const size_t size = piece < sizes.size() ? sizes[piece] : ids.size() - at;
    const auto rows = feed_all(engine, *timeline, ids.subspan(at, std::min(size, ids.size() - at)));
    all.insert(all.end(), rows.begin(), rows.end());
    at += size;
  }
  return all;
}

// The state after all tokens: the committed one, moved on over the log as the definition says.
std::vector<float> whole_state(const Engine& engine, const Timeline& timeline, int64_t layer,
                               int64_t index) {
  const ModelConfig& config = engine.config();
  const int64_t width = config.head_dim, rows = timeline.log(index).dim(2);
  const std::vector<float> slopes = layer_slopes(config, layer);
  const float* state = timeline.state(index).data<float>();
  const float* log = timeline.log(index).data<float>();
  std::vector<float> out;
  for (int64_t h = 0; h < config.head_count; ++h) {
    std::vector<double> s(state + h * width * width, state + (h + 1) * width * width);
    const float* keys = log + h * 2 * rows * width;
    const float* values = keys + rows * width;
    for (int64_t t = timeline.committed(); t < timeline.position(); ++t) {
      const int64_t row = t % rows * width;
      for (int64_t i = 0; i < width; ++i) {
        for (int64_t j = 0; j < width; ++j) {
          double& x = s[static_cast<size_t>(i * width + j)];
          x = std::exp(-double{slopes[static_cast<size_t>(h)]}) * x +
              double{keys[row + i]} * values[row + j];
        }
      }
    }
    out.insert(out.end(), s.begin(), s.end());
  }
  return out;
}

// transformers' own answers (not the vendor's) differ in two places, see tests/golden/README.md.
bool is_from_transformers(const Case& golden) {
  return golden.name.starts_with("hf_");
}

// On the bound's own scale for numbers up to 1, relative to the largest above: states grow with the
// tokens they remember, and so does the rounding of whoever computes them.
double scaled_difference(std::span<const float> found, std::span<const float> expected) {
  float largest = 1;
  for (const float x : expected) largest = std::max(largest, std::abs(x));
  return largest_difference(found, expected) / largest;
}

class GoldenText : public ::testing::TestWithParam<Case> {
 protected:
  GoldenText() : golden_(GetParam().folder / "golden.safetensors") {
    engine_ = Engine::load(GetParam().folder, exact_options("cpu"));
  }
  std::span<const int32_t> ids() const { return golden_["input_ids"].ids; }

  GoldenFile golden_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(GoldenText, StatesAndKeysAfterThePrompt) {
  const auto timeline = engine_->new_timeline(32);
  feed_last(*engine_, *timeline, ids());
  const ModelConfig& config = engine_->config();
  const auto golden_state = [&](const std::string& which) -> const testing::GoldenTensor& {
    const std::string vendor = "lightning_state_" + which;
    return golden_[golden_.has(vendor) ? vendor : "lightning_state_kv_" + which];
  };
  const int64_t last_index = config.lightning_layer_count() - 1;
  int64_t last_layer = config.layer_count - 1;
  while (config.layers[static_cast<size_t>(last_layer)] != LayerKind::lightning) --last_layer;
  EXPECT_LE(
      scaled_difference(whole_state(*engine_, *timeline, 0, 0), golden_state("first").numbers),
      logits_bound);
  EXPECT_LE(scaled_difference(whole_state(*engine_, *timeline, last_layer, last_index),
                              golden_state("last").numbers),
            logits_bound);
  if (!golden_.has("softmax_k_first")) return;
  const int64_t width = config.head_dim, kv_heads = config.kv_head_count;
  for (size_t t = 0; t < ids().size(); ++t) {
    const auto* page = reinterpret_cast<const float*>(timeline->pages()[t / kv_page_tokens]);
    for (int64_t g = 0; g < kv_heads; ++g) {
      const float* key =
          page + (g * kv_page_tokens + static_cast<int64_t>(t) % kv_page_tokens) * width;
      const float* value = key + kv_heads * kv_page_tokens * width;
      const size_t at = static_cast<size_t>(g * width), size = static_cast<size_t>(width);
      EXPECT_LE(
          largest_difference({key, size}, golden_["softmax_k_first"].row(t).subspan(at, size)),
          logits_bound);
      EXPECT_LE(
          largest_difference({value, size}, golden_["softmax_v_first"].row(t).subspan(at, size)),
          logits_bound);
    }
  }
}

// Compares the last rows that pass each layer with the golden ones.
class HiddenTap final : public LayerTap {
 public:
  // The first `compared` of embeddings and layers.
  HiddenTap(const testing::GoldenTensor& golden, size_t compared)
      : golden_(golden), compared_(compared) {}
  void embedded(const Tensor& hidden) override { compare(hidden, hidden, {1, 0}); }
  void after_layer(int64_t, const Tensor& residual, const Tensor& branch,
                   ResidualScale scale) override {
    compare(residual, branch, scale);
  }
  size_t layer = 0;
  double largest = 0;

 private:
  void compare(const Tensor& x, const Tensor& y, ResidualScale scale) {
    const int64_t width = x.dim(1), first = x.dim(0) - 4;
    std::vector<float> hidden;
    for (int64_t t = first; t < x.dim(0); ++t) {
      for (int64_t w = 0; w < width; ++w) {
        hidden.push_back(scale.residual * x.row<float>(t)[w] + scale.branch * y.row<float>(t)[w]);
      }
    }
    if (layer < compared_) {
      largest = std::max(largest, largest_difference(hidden, golden_.row(layer)));
    }
    ++layer;
  }
  const testing::GoldenTensor& golden_;
  const size_t compared_;
};

TEST_P(GoldenText, HiddenStatesAfterEveryLayer) {
  const std::string name =
      golden_.has("hidden_after_layer") ? "hidden_after_layer" : "hidden_last4_after_layer";
  const auto timeline = engine_->new_timeline(32);
  const size_t before = ids().size() - 16;
  feed_last(*engine_, *timeline, ids().first(before));
  timeline->reserve(16);
  const size_t compared =
      static_cast<size_t>(golden_[name].dims[0]) - (is_from_transformers(GetParam()) ? 1 : 0);
  HiddenTap tap(golden_[name], compared);
  const StepEntry entry{timeline.get(), ids().subspan(before), LogitsWanted::last, nullptr, 0};
  engine_->step({&entry, 1}, &tap);
  EXPECT_GE(tap.layer, compared);
  EXPECT_LE(tap.largest, logits_bound);
}

TEST_P(GoldenText, GreedyContinuation) {
  if (is_from_transformers(GetParam())) return;  // its continuation stands at position 0
  const auto timeline = engine_->new_timeline(32);
  std::vector<float> logits = feed_last(*engine_, *timeline, ids());
  Sampler greedy({}, engine_->config().vocabulary_size, {});
  const auto& expected = golden_["greedy_ids"].ids;
  for (size_t i = 0; i < expected.size(); ++i) {
    const int32_t token = greedy.sample(logits, timeline->tokens());
    ASSERT_EQ(token, expected[i]) << "step " << i;
    logits = feed_last(*engine_, *timeline, {&token, 1});
    EXPECT_LE(largest_difference(logits, golden_["greedy_step_logits"].row(i)), logits_bound);
  }
}

TEST_P(GoldenText, TheSameInAnySplit) {
  const auto& expected = golden_["logits"].numbers;
  for (const size_t k : {1, 2, 63, 64, 65, 255, 256, 257, 299}) {
    EXPECT_LE(largest_difference(feed_pieces(*engine_, ids(), {k}), expected), logits_bound)
        << "split at " << k;
  }
  EXPECT_LE(largest_difference(feed_pieces(*engine_, ids(), std::vector<size_t>(ids().size(), 1)),
                               expected),
            logits_bound)
      << "token by token";
}

TEST_P(GoldenText, TwoInterleavedSessionsEqualTheSameTwoAlone) {
  const auto first = ids().first(200), second = ids().subspan(77, 123);
  const std::vector<size_t> pieces{7, 32, 1, 1, 64, 1, 17};
  const auto alone_first = feed_pieces(*engine_, first, pieces);
  const auto alone_second = feed_pieces(*engine_, second, pieces);
  const auto a = engine_->new_timeline(32), b = engine_->new_timeline(32);
  std::vector<float> mixed_first, mixed_second;
  const auto step = [&](Timeline& timeline, std::span<const int32_t> all, size_t& at, size_t size,
                        std::vector<float>& to) {
    const auto rows =
        feed_all(*engine_, timeline, all.subspan(at, std::min(size, all.size() - at)));
    to.insert(to.end(), rows.begin(), rows.end());
    at += size;
  };
  size_t at_a = 0, at_b = 0;
  for (size_t i = 0; at_a < first.size() || at_b < second.size(); ++i) {
    const size_t size = i < pieces.size() ? pieces[i] : first.size();
    if (at_a < first.size()) step(*a, first, at_a, size, mixed_first);
    if (at_b < second.size()) step(*b, second, at_b, size, mixed_second);
  }
  EXPECT_TRUE(mixed_first == alone_first) << "bits differ";
  EXPECT_TRUE(mixed_second == alone_second) << "bits differ";
}

TEST_P(GoldenText, ASessionThatWasResetIsAsNew) {
  const auto timeline = engine_->new_timeline(32);
  const auto once = feed_all(*engine_, *timeline, ids().first(150));
  timeline->reset();
  EXPECT_TRUE(feed_all(*engine_, *timeline, ids().first(150)) == once) << "bits differ";
}

INSTANTIATE_TEST_SUITE_P(Cpu, GoldenText, ::testing::ValuesIn(text_cases()),
                         [](const auto& info) { return info.param.name; });

class GoldenKernels : public ::testing::TestWithParam<std::tuple<Case, std::string>> {};

TEST_P(GoldenKernels, LogitsAfterEveryPosition) {
  const auto& [golden_case, device] = GetParam();
  const GoldenFile golden(golden_case.folder / "golden.safetensors");
  const auto engine = Engine::load(golden_case.folder, exact_options(device));
  const auto timeline = engine->new_timeline(32);
  const auto logits = feed_all(*engine, *timeline, golden["input_ids"].ids);
  EXPECT_LE(largest_difference(logits, golden["logits"].numbers), logits_bound);
}

std::string test_name(const ::testing::TestParamInfo<std::tuple<Case, std::string>>& info) {
  std::string name = std::get<0>(info.param).name + "_" + std::get<1>(info.param);
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Cpu, GoldenKernels,
                         ::testing::Combine(::testing::ValuesIn(text_cases()),
                                            ::testing::ValuesIn(cpu_devices())),
                         test_name);

// The trained demo model: six prompts, the greedy answers of the same weights under PyTorch in f32.
class GoldenDemo : public ::testing::TestWithParam<int> {};

TEST_P(GoldenDemo, GreedyAnswer) {
  const std::filesystem::path folder = MINIMAX_SOURCE_DIR "/models/demo";
  const GoldenFile golden(folder / "eval/golden.safetensors");
  const auto engine = Engine::load(folder, exact_options("cpu"));
  const std::string name = text("text_", GetParam());
  const auto& stored = golden[name + "_logits"];
  const auto timeline = engine->new_timeline(32);
  std::vector<float> logits = feed_last(*engine, *timeline, golden[name + "_ids"].ids);
  const auto& expected = golden[name + "_greedy"].ids;
  const std::vector<int32_t> image{engine->config().image_token};
  Sampler greedy({}, engine->config().vocabulary_size, image);
  for (size_t i = 0; i < expected.size(); ++i) {
    if (i < static_cast<size_t>(stored.dims[0])) {
      EXPECT_LE(largest_difference(logits, stored.row(i)), 1e-3) << "step " << i;
    }
    const int32_t token = greedy.sample(logits, timeline->tokens());
    ASSERT_EQ(token, expected[i]) << "step " << i;
    logits = feed_last(*engine, *timeline, {&token, 1});
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, GoldenDemo, ::testing::Range(0, 6));

// Matrix products of bf16 inputs. A random model's router now and then stands between two experts; a
// position where rounding tips it over is far from the reference, and those it is remembered by a
// little. They are few: the bounds hold for nine positions in ten.
class GoldenBf16 : public ::testing::TestWithParam<Case> {};

TEST_P(GoldenBf16, KeepsTheTopTokenWhereTheMarginIsClear) {
  const GoldenFile golden(GetParam().folder / "golden.safetensors");
  EngineOptions options;
  options.thread_count = 2;
  options.compute = Compute::bf16;
  options.kv_type = MINIMAX_TYPE_BF16;
  const auto engine = Engine::load(GetParam().folder, options);
  const auto timeline = engine->new_timeline(32);
  const auto logits = feed_all(*engine, *timeline, golden["input_ids"].ids);
  const size_t width = static_cast<size_t>(engine->config().vocabulary_size);

  std::vector<double> errors;
  size_t clear_count = 0, changed_count = 0;
  for (size_t t = 0; t < golden["input_ids"].ids.size(); ++t) {
    const auto found = std::span(logits).subspan(t * width, width);
    const auto expected = golden["logits"].row(t);
    errors.push_back(testing::normalised_error(found, expected));
    std::vector<float> row(expected.begin(), expected.end());
    std::nth_element(row.begin(), row.begin() + 1, row.end(), std::greater<float>());
    if (row[0] - row[1] <= 0.1f) continue;
    const auto top = [](std::span<const float> x) {
      return std::max_element(x.begin(), x.end()) - x.begin();
    };
    ++clear_count;
    changed_count += top(found) != top(expected) ? 1 : 0;
  }
  std::sort(errors.begin(), errors.end());
  EXPECT_LE(errors[errors.size() * 9 / 10], 1e-3);
  EXPECT_LE(changed_count * 50, clear_count) << "more than one in fifty";
}

INSTANTIATE_TEST_SUITE_P(Cpu, GoldenBf16, ::testing::ValuesIn(text_cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace minimax
