// SPDX-License-Identifier: Apache-2.0
// Routing and experts against plain loops in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "engine/kernels/cpu/cpu_backend.h"
#include "tests/engine/kernels/numbers.h"

namespace minimax {
namespace {

constexpr StepLimits limits{.tokens = 300,
                            .widest_input = 1,
                            .width = 600,
                            .head_count = 1,
                            .head_dim = 1,
                            .expert_count = 32,
                            .experts_per_token = 8,
                            .expert_width = 600};

struct Case {
  int64_t T, W, F, X, E;
};

double silu(double x) {
  return x / (1 + std::exp(-x));
}

struct Problem {
  Problem(const Case& of, DType dtype, uint32_t seed)
      : shape(of),
        x_numbers(random_numbers(static_cast<size_t>(of.T * of.W), seed)),
        out_numbers(x_numbers.size(), -7.0f),
        expert_numbers(static_cast<size_t>(of.T * of.E)),
        share_numbers(expert_numbers.size()),
        x(x_numbers.data(), DType::f32, {of.T, of.W}),
        out(out_numbers.data(), DType::f32, {of.T, of.W}),
        experts(expert_numbers.data(), DType::i32, {of.T, of.E}),
        shares(share_numbers.data(), DType::f32, {of.T, of.E}) {
    for (int64_t i = 0; i < of.X; ++i) {
      gate.push_back(matrix(of.F, of.W, dtype, ++seed));
      up.push_back(matrix(of.F, of.W, dtype, ++seed));
      down.push_back(matrix(of.W, of.F, dtype, ++seed));
      weights.push_back({{gate.back().tensor({of.F, of.W})},
                         {up.back().tensor({of.F, of.W})},
                         {down.back().tensor({of.W, of.F})}});
    }
    std::mt19937 generator(seed);
    std::vector<int32_t> order(static_cast<size_t>(of.X));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t t = 0; t < of.T; ++t) {
      std::shuffle(order.begin(), order.end(), generator);
      for (int64_t e = 0; e < of.E; ++e) {
        expert_numbers[static_cast<size_t>(t * of.E + e)] = order[static_cast<size_t>(e)];
        share_numbers[static_cast<size_t>(t * of.E + e)] =
            static_cast<float>(generator() % 1000) / 1000.0f;
      }
    }
  }

  // Outputs of about the size of the inputs.
  static Numbers matrix(int64_t outputs, int64_t inputs, DType dtype, uint32_t seed) {
    std::vector<float> numbers = random_numbers(static_cast<size_t>(outputs * inputs), seed);
    for (float& number : numbers) number /= std::sqrt(static_cast<float>(inputs));
    return {numbers, dtype};
  }

  std::vector<double> expected(int64_t t) const {
    std::vector<double> sum(static_cast<size_t>(shape.W)), hidden(static_cast<size_t>(shape.F));
    for (int64_t e = 0; e < shape.E; ++e) {
      const auto expert = static_cast<size_t>(expert_numbers[static_cast<size_t>(t * shape.E + e)]);
      const double share = share_numbers[static_cast<size_t>(t * shape.E + e)];
      for (size_t f = 0; f < hidden.size(); ++f) {
        double g = 0, u = 0;
        for (size_t w = 0; w < sum.size(); ++w) {
          const double number = x.row<float>(t)[w];
          g += number * gate[expert][f * sum.size() + w];
          u += number * up[expert][f * sum.size() + w];
        }
        hidden[f] = silu(g) * u;
      }
      for (size_t w = 0; w < sum.size(); ++w) {
        double y = 0;
        for (size_t f = 0; f < hidden.size(); ++f) {
          y += hidden[f] * down[expert][w * hidden.size() + f];
        }
        sum[w] += share * y;
      }
    }
    return sum;
  }

  void expect_right(double bound) const {
    for (int64_t t = 0; t < shape.T; ++t) {
      const std::vector<double> numbers = expected(t);
      double size = 1e-6;
      for (const double number : numbers) size = std::max(size, std::fabs(number));
      for (size_t w = 0; w < numbers.size(); ++w) {
        ASSERT_NEAR(out.row<float>(t)[w], numbers[w], bound * std::max(1.0, size))
            << "[T " << shape.T << ", W " << shape.W << ", F " << shape.F << ", X " << shape.X
            << ", E " << shape.E << "] at [" << t << ", " << w << "]";
      }
    }
  }

  Case shape;
  std::vector<float> x_numbers, out_numbers;
  std::vector<int32_t> expert_numbers;
  std::vector<float> share_numbers;
  std::vector<Numbers> gate, up, down;
  std::vector<ExpertWeights> weights;
  Tensor x, out, experts, shares;
};

// Relative to the largest output: f32 sums of at most 600 numbers, twice; with bf16, three
// roundings of inputs by 2^-9 each, which add up like random steps.
double bound_of(CpuCompute compute) {
  return compute == CpuCompute::f32 ? 1e-5 : 2e-2;
}

const Case cases[] = {
    {1, 64, 96, 8, 2},    {1, 7, 5, 1, 1},      {2, 33, 17, 3, 2},     {5, 65, 31, 32, 8},
    {9, 64, 64, 2, 2},    {40, 63, 65, 4, 1},   {100, 127, 129, 8, 2}, {64, 64, 48, 32, 2},
    {300, 65, 130, 2, 2}, {17, 600, 600, 4, 2}, {0, 64, 64, 4, 2},
};

class Moe : public testing::TestWithParam<Isa> {};

TEST_P(Moe, GivesWhatAPlainLoopGives) {
  for (const CpuCompute compute : {CpuCompute::f32, CpuCompute::bf16}) {
    CpuBackend backend(2, compute, GetParam());
    backend.reserve(limits);
    for (const Case& shape : cases) {
      for (const DType dtype : {DType::f32, DType::bf16}) {
        const Problem problem(shape, dtype, 3);
        backend.moe(problem.x, problem.weights, problem.experts, problem.shares, problem.out);
        problem.expect_right(bound_of(dtype == DType::f32 ? CpuCompute::f32 : compute));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(Moe, ServesOneExpertThatTakesAllTokens) {
  CpuBackend backend(3, CpuCompute::bf16, GetParam());
  backend.reserve(limits);
  for (const int64_t tokens : {int64_t{3}, int64_t{60}, int64_t{300}}) {
    Problem problem({tokens, 40, 70, 5, 1}, DType::bf16, 8);
    std::fill(problem.expert_numbers.begin(), problem.expert_numbers.end(), 3);
    backend.moe(problem.x, problem.weights, problem.experts, problem.shares, problem.out);
    problem.expect_right(bound_of(CpuCompute::bf16));
  }
}

TEST_P(Moe, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const int64_t tokens : {int64_t{1}, int64_t{6}, int64_t{150}}) {
    std::vector<float> first;
    for (const int threads : {1, 2, 3}) {
      CpuBackend backend(threads, CpuCompute::bf16, GetParam());
      backend.reserve(limits);
      const Problem problem({tokens, 129, 200, 8, 2}, DType::bf16, 21);
      backend.moe(problem.x, problem.weights, problem.experts, problem.shares, problem.out);
      if (first.empty()) first = problem.out_numbers;
      EXPECT_EQ(first, problem.out_numbers);
    }
  }
}

TEST_P(Moe, GivesAFewTokensTheSameBitsAsEachAlone) {
  CpuBackend backend(2, CpuCompute::bf16, GetParam());
  backend.reserve(limits);
  const Problem together({8, 129, 200, 4, 2}, DType::bf16, 22);
  backend.moe(together.x, together.weights, together.experts, together.shares, together.out);
  const Problem alone({8, 129, 200, 4, 2}, DType::bf16, 22);
  for (int64_t t = 0; t < 8; ++t) {
    backend.moe(alone.x.rows(t, 1), alone.weights, alone.experts.rows(t, 1),
                alone.shares.rows(t, 1), alone.out.rows(t, 1));
  }
  EXPECT_EQ(together.out_numbers, alone.out_numbers);
}

class Route : public testing::TestWithParam<Isa> {};

TEST_P(Route, ChoosesTheLargestAndSharesSumToOne) {
  CpuBackend backend(2, CpuCompute::bf16, GetParam());
  backend.reserve(limits);
  for (const Case& shape : {Case{1, 64, 0, 8, 2}, Case{7, 33, 0, 32, 8}, Case{100, 65, 0, 32, 2},
                            Case{3, 5, 0, 1, 1}, Case{20, 17, 0, 5, 5}}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      std::vector<float> numbers = random_numbers(static_cast<size_t>(shape.T * shape.W), 1);
      const Numbers weight(random_numbers(static_cast<size_t>(shape.X * shape.W), 2), dtype);
      std::vector<int32_t> experts(static_cast<size_t>(shape.T * shape.E), -1);
      std::vector<float> shares(experts.size());
      backend.route({numbers.data(), DType::f32, {shape.T, shape.W}},
                    weight.tensor({shape.X, shape.W}), RouterPrecision::f32,
                    {experts.data(), DType::i32, {shape.T, shape.E}},
                    {shares.data(), DType::f32, {shape.T, shape.E}});
      for (int64_t t = 0; t < shape.T; ++t) {
        std::vector<double> logits(static_cast<size_t>(shape.X));
        for (int64_t i = 0; i < shape.X; ++i) {
          for (int64_t w = 0; w < shape.W; ++w) {
            logits[static_cast<size_t>(i)] +=
                static_cast<double>(numbers[static_cast<size_t>(t * shape.W + w)]) *
                weight[static_cast<size_t>(i * shape.W + w)];
          }
        }
        std::vector<int32_t> order(logits.size());
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
          return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
        });
        double sum = 0, found_sum = 0;
        for (int64_t e = 0; e < shape.E; ++e) {
          sum += std::exp(logits[static_cast<size_t>(order[static_cast<size_t>(e)])] -
                          logits[static_cast<size_t>(order[0])]);
        }
        for (int64_t e = 0; e < shape.E; ++e) {
          const auto at = static_cast<size_t>(t * shape.E + e);
          const auto best = static_cast<size_t>(order[static_cast<size_t>(e)]);
          EXPECT_EQ(experts[at], order[static_cast<size_t>(e)]);
          EXPECT_NEAR(shares[at],
                      std::exp(logits[best] - logits[static_cast<size_t>(order[0])]) / sum, 1e-5);
          found_sum += shares[at];
        }
        EXPECT_NEAR(found_sum, 1, 1e-6);
      }
    }
  }
}

// Routes one token of width 1 with weight 1, 2, ...: the logits are the weights themselves.
std::vector<int32_t> route_logits(std::vector<float> logits, int64_t chosen,
                                  RouterPrecision precision, Isa isa) {
  CpuBackend backend(1, CpuCompute::f32, isa);
  backend.reserve(limits);
  float one = 1;
  std::vector<int32_t> experts(static_cast<size_t>(chosen), -1);
  std::vector<float> shares(experts.size());
  backend.route({&one, DType::f32, {1, 1}},
                {logits.data(), DType::f32, {static_cast<int64_t>(logits.size()), 1}}, precision,
                {experts.data(), DType::i32, {1, chosen}},
                {shares.data(), DType::f32, {1, chosen}});
  return experts;
}

TEST_P(Route, TakesTheLowerIndexOfEquals) {
  EXPECT_EQ(route_logits({1, 3, 2, 3, 3}, 3, RouterPrecision::f32, GetParam()),
            (std::vector<int32_t>{1, 3, 4}));
}

TEST_P(Route, RoundsLogitsToBf16OnRequest) {
  const std::vector<float> logits{1.0f, 1.001f};  // both 1 in bf16
  EXPECT_EQ(route_logits(logits, 1, RouterPrecision::f32, GetParam()), std::vector<int32_t>{1});
  EXPECT_EQ(route_logits(logits, 1, RouterPrecision::bf16, GetParam()), std::vector<int32_t>{0});
}

TEST_P(Route, StaysInRangeWhenLogitsAreNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(route_logits({nan, nan, nan, nan}, 2, RouterPrecision::f32, GetParam()),
            (std::vector<int32_t>{0, 1}));
}

INSTANTIATE_TEST_SUITE_P(Isas, Moe, testing::ValuesIn(supported_isas()),
                         [](const auto& isa) { return std::string(name_of(isa.param)); });
INSTANTIATE_TEST_SUITE_P(Isas, Route, testing::ValuesIn(supported_isas()),
                         [](const auto& isa) { return std::string(name_of(isa.param)); });

}  // namespace
}  // namespace minimax
