// SPDX-License-Identifier: Apache-2.0
// Embedding, norms and rotary embedding against plain loops in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <vector>

#include "engine/kernels/cpu/cpu_backend.h"
#include "tests/engine/kernels/numbers.h"

namespace minimax {
namespace {

constexpr int64_t row_counts[] = {0, 1, 2, 33};
constexpr int64_t widths[] = {1, 7, 16, 64, 100, 512, 6144};
constexpr float eps = 1e-5f;

std::unique_ptr<CpuBackend> open(Isa isa, int threads) {
  auto backend = std::make_unique<CpuBackend>(threads, CpuCompute::f32, isa);
  backend->reserve({.tokens = 300,
                    .widest_input = 1,
                    .width = 1,
                    .head_count = 8,
                    .head_dim = 128,
                    .expert_count = 1,
                    .experts_per_token = 1,
                    .expert_width = 1});
  return backend;
}

template <typename Body>
void for_each_backend(const Body& body) {
  for (const Isa isa : supported_isas()) {
    for (const int threads : {1, 2, 3}) {
      SCOPED_TRACE(text(name_of(isa), ", threads ", threads));
      body(*open(isa, threads));
    }
  }
}

// [T, W] random numbers.
struct Rows {
  Rows(int64_t T, int64_t W, uint32_t seed)
      : numbers(random_numbers(static_cast<size_t>(T * W), seed)),
        tensor(numbers.data(), DType::f32, {T, W}) {}
  Rows(const Rows&) = delete;
  float at(int64_t t, int64_t w) const { return tensor.row<float>(t)[w]; }

  std::vector<float> numbers;
  Tensor tensor;
};

// out[t, w] = value(t, w) / rms of row t * factor(t, w)
template <typename Value, typename Factor>
void expect_norm(const Rows& out, const Value& value, const Factor& factor) {
  for (int64_t t = 0; t < out.tensor.dim(0); ++t) {
    const int64_t W = out.tensor.dim(1);
    double squares = 0;
    for (int64_t w = 0; w < W; ++w) squares += value(t, w) * value(t, w);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(W) + eps);
    for (int64_t w = 0; w < W; ++w) {
      const double expected = value(t, w) * scale * factor(t, w);
      ASSERT_NEAR(out.at(t, w), expected, 2e-6 * (std::fabs(expected) + 0.1)) << t << ", " << w;
    }
  }
}

TEST(RmsNorm, FollowsTheFormula) {
  for_each_backend([](CpuBackend& backend) {
    for (const int64_t T : row_counts) {
      for (const int64_t W : widths) {
        const Rows x(T, W, 1), out(T, W, 2), in_place(T, W, 1);
        const std::vector<float> weight = random_numbers(static_cast<size_t>(W), 3);
        const Tensor weight_view(weight.data(), DType::f32, {W});
        backend.rms_norm(x.tensor, weight_view, eps, out.tensor);
        backend.rms_norm(in_place.tensor, weight_view, eps, in_place.tensor);
        expect_norm(
            out, [&](int64_t t, int64_t w) { return static_cast<double>(x.at(t, w)); },
            [&](int64_t, int64_t w) { return weight[static_cast<size_t>(w)]; });
        for (int64_t t = 0; t < T; ++t) {
          for (int64_t w = 0; w < W; ++w) ASSERT_EQ(out.at(t, w), in_place.at(t, w));
        }
      }
    }
  });
}

TEST(ResidualRmsNorm, MayWriteOverEitherInput) {
  constexpr ResidualScale scale{3.5565588f, 0.75f};
  for_each_backend([&](CpuBackend& backend) {
    for (const int64_t T : row_counts) {
      for (const int64_t W : widths) {
        const Rows x(T, W, 1), y(T, W, 2), out(T, W, 3), over_x(T, W, 1), over_y(T, W, 2);
        const std::vector<float> weight = random_numbers(static_cast<size_t>(W), 4);
        const Tensor weight_view(weight.data(), DType::f32, {W});
        backend.residual_rms_norm(x.tensor, y.tensor, scale, weight_view, eps, out.tensor);
        backend.residual_rms_norm(over_x.tensor, y.tensor, scale, weight_view, eps, over_x.tensor);
        backend.residual_rms_norm(x.tensor, over_y.tensor, scale, weight_view, eps, over_y.tensor);
        expect_norm(
            out,
            [&](int64_t t, int64_t w) {
              return static_cast<double>(scale.residual) * x.at(t, w) +
                     static_cast<double>(scale.branch) * y.at(t, w);
            },
            [&](int64_t, int64_t w) { return weight[static_cast<size_t>(w)]; });
        for (int64_t t = 0; t < T; ++t) {
          for (int64_t w = 0; w < W; ++w) {
            ASSERT_EQ(out.at(t, w), over_x.at(t, w));
            ASSERT_EQ(out.at(t, w), over_y.at(t, w));
          }
        }
      }
    }
  });
}

TEST(GatedRmsNorm, GatesAfterTheNorm) {
  for_each_backend([](CpuBackend& backend) {
    for (const int64_t T : row_counts) {
      for (const int64_t W : widths) {
        const Rows x(T, W, 1), gate(T, W, 2), out(T, W, 3);
        const std::vector<float> weight = random_numbers(static_cast<size_t>(W), 4);
        backend.gated_rms_norm(x.tensor, gate.tensor, Tensor(weight.data(), DType::f32, {W}), eps,
                               out.tensor);
        expect_norm(
            out, [&](int64_t t, int64_t w) { return static_cast<double>(x.at(t, w)); },
            [&](int64_t t, int64_t w) {
              return weight[static_cast<size_t>(w)] /
                     (1 + std::exp(-static_cast<double>(gate.at(t, w))));
            });
      }
    }
  });
}

TEST(RmsNorm, HandsOnNaN) {
  for_each_backend([](CpuBackend& backend) {
    const Rows x(2, 100, 1), out(2, 100, 2);
    x.tensor.row<float>(1)[70] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> weight(100, 1.0f);
    backend.rms_norm(x.tensor, Tensor(weight.data(), DType::f32, {100}), eps, out.tensor);
    for (int64_t w = 0; w < 100; ++w) {
      EXPECT_FALSE(std::isnan(out.at(0, w)));
      EXPECT_TRUE(std::isnan(out.at(1, w)));
    }
  });
}

TEST(Embed, CopiesRowsOfTheTable) {
  for_each_backend([](CpuBackend& backend) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const int64_t W : widths) {
        const Numbers table(random_numbers(static_cast<size_t>(11 * W), 1), dtype);
        for (const int64_t T : row_counts) {
          std::vector<int32_t> ids;
          for (int64_t t = 0; t < T; ++t) ids.push_back(static_cast<int32_t>((t * 7 + 10) % 11));
          const Rows out(T, W, 2);
          backend.embed(Tensor(ids.data(), DType::i32, {T}), table.tensor({11, W}), out.tensor);
          for (int64_t t = 0; t < T; ++t) {
            for (int64_t w = 0; w < W; ++w) {
              const int64_t from = ids[static_cast<size_t>(t)] * W + w;
              ASSERT_EQ(out.at(t, w), table[static_cast<size_t>(from)]);
            }
          }
        }
      }
    }
  });
}

TEST(Rope, IsExactAtFourMillion) {
  for_each_backend([](CpuBackend& backend) {
    for (const auto& [H, D, R] : {std::tuple{1, 16, 8}, {8, 128, 64}, {3, 36, 36}, {5, 32, 2}}) {
      constexpr double theta = 1e7;
      const SequenceSpan sequences[] = {
          {0, 3, 0}, {3, 0, 5}, {3, 1, 4'000'000}, {4, 40, 131'071}, {44, 200, 1}};
      const int64_t T = 244, width = H * D;
      std::vector<float> x = random_numbers(static_cast<size_t>(T * width), 1);
      const std::vector<float> old = x;
      backend.rope(Tensor(x.data(), DType::f32, {T, H, D}), sequences, {R, theta});
      for (const SequenceSpan& span : sequences) {
        for (int64_t i = 0; i < span.row_count; ++i) {
          for (int64_t h = 0; h < H; ++h) {
            const auto at = static_cast<size_t>(((span.first_row + i) * H + h) * D);
            for (size_t j = 0; j < static_cast<size_t>(D); ++j) {
              const auto half = static_cast<size_t>(R / 2);
              if (j >= static_cast<size_t>(R)) {
                ASSERT_EQ(x[at + j], old[at + j]);
                continue;
              }
              const size_t pair = j % half;
              const long double angle =
                  static_cast<long double>(span.position + i) *
                  powl(theta, -2.0L * static_cast<long double>(pair) / static_cast<long double>(R));
              const long double a = old[at + pair], b = old[at + pair + half];
              const long double expected =
                  j < half ? a * cosl(angle) - b * sinl(angle) : b * cosl(angle) + a * sinl(angle);
              ASSERT_NEAR(x[at + j], static_cast<double>(expected), 1e-6)
                  << "position " << span.position + i << ", head " << h << ", " << j;
            }
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace minimax
