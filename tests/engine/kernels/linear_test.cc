// SPDX-License-Identifier: Apache-2.0
// Products with weights against a plain loop in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/kernels/cpu/cpu_backend.h"
#include "tests/engine/kernels/numbers.h"

namespace minimax {
namespace {

constexpr StepLimits limits{.tokens = 300,
                            .widest_input = 2000,
                            .width = 1,
                            .head_count = 1,
                            .head_dim = 1,
                            .expert_count = 1,
                            .experts_per_token = 1,
                            .expert_width = 1};

struct Case {
  int64_t T, N, K;
};

// The rows of x and out are `gap` numbers apart: a backend takes the widths from the weight.
struct Problem {
  Problem(Case shape, DType dtype, int64_t gap, uint32_t seed)
      : x_numbers(random_numbers(static_cast<size_t>(shape.T * (shape.K + gap)), seed)),
        out_numbers(static_cast<size_t>(shape.T * (shape.N + gap)), -7.0f),
        weight_numbers(random_numbers(static_cast<size_t>(shape.N * shape.K), seed + 1), dtype,
                       1 + seed % 4),
        x(x_numbers.data(), DType::f32, {shape.T, shape.K + gap}),
        out(out_numbers.data(), DType::f32, {shape.T, shape.N + gap}),
        weight{weight_numbers.tensor({shape.N, shape.K})} {}

  std::vector<float> x_numbers;
  std::vector<float> out_numbers;
  Numbers weight_numbers;
  Tensor x;
  Tensor out;
  Weight weight;
};

// |error| <= bound * sum of |x * w|: what rounding each input by `bound` can do. f32 sums of K
// numbers add at most a few times sqrt(K) * 2^-24 of it.
constexpr double f32_bound = 2e-6;
constexpr double bf16_bound = 0x1p-8 + f32_bound;  // half a unit of 8 bits, of x alone

void expect_product(const Problem& problem, Activation activation, double bound, const char* what) {
  const int64_t T = problem.x.dim(0), N = problem.weight.output_width(),
                K = problem.weight.input_width();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < N; ++n) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < K; ++k) {
        const double term = static_cast<double>(problem.x.row<float>(t)[k]) *
                            problem.weight_numbers[static_cast<size_t>(n * K + k)];
        sum += term;
        size += std::fabs(term);
      }
      const double expected = activation == Activation::silu ? sum / (1 + std::exp(-sum)) : sum;
      const double slope = activation == Activation::silu ? 1.1 : 1;  // the steepest of SiLU
      const double limit = slope * bound * size + 1e-6 * std::fabs(expected) + 1e-30;
      const float found = problem.out.row<float>(t)[n];
      ASSERT_LE(std::fabs(found - expected), limit)
          << what << " [" << T << ", " << N << ", " << K << "] at [" << t << ", " << n
          << "]: " << found << ", expected " << expected;
    }
    for (int64_t n = N; n < problem.out.stride(0); ++n) {
      ASSERT_EQ(problem.out.row<float>(t)[n], -7.0f) << what << " wrote beside row " << t;
    }
  }
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> list;
    const std::vector<int64_t> tokens{0, 1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 31, 65};
    const std::vector<int64_t> sizes{0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 127};
    for (const int64_t t : tokens) {
      for (const int64_t n : sizes) {
        const size_t first = static_cast<size_t>(t + n) % 4;
        for (size_t i = first; i < sizes.size(); i += 4) list.push_back({t, n, sizes[i]});
      }
    }
    for (const Case& shape :
         {Case{1, 257, 256}, Case{8, 255, 257}, Case{9, 257, 255}, Case{256, 67, 101},
          Case{257, 129, 64}, Case{29, 160, 1033}, Case{4, 31, 1033}, Case{15, 33, 513},
          Case{15, 33, 1025}, Case{33, 70, 1600}, Case{10, 129, 1665}, Case{20, 65, 1920}}) {
      list.push_back(shape);
    }
    return list;
  }();
  return all;
}

class Linear : public testing::TestWithParam<Isa> {};

TEST_P(Linear, GivesWhatAPlainLoopGives) {
  for (const CpuCompute compute : {CpuCompute::f32, CpuCompute::bf16}) {
    CpuBackend backend(2, compute, GetParam());
    backend.reserve(limits);
    uint32_t seed = 1;
    for (const Case& shape : cases()) {
      for (const DType dtype : {DType::f32, DType::bf16}) {
        const auto activation = seed % 2 ? Activation::none : Activation::silu;
        Problem problem(shape, dtype, seed % 3 * 5, seed);
        backend.linear(problem.x, problem.weight, activation, problem.out);
        const bool rounds = compute == CpuCompute::bf16 && dtype == DType::bf16 && shape.T > 1;
        expect_product(problem, activation, rounds ? bf16_bound : f32_bound,
                       dtype == DType::f32 ? "f32 weights" : "bf16 weights");
        if (HasFatalFailure()) return;
        ++seed;
      }
    }
  }
}

TEST_P(Linear, NeverRoundsForLogits) {
  CpuBackend backend(2, CpuCompute::bf16, GetParam());
  backend.reserve(limits);
  for (const Case& shape : {Case{1, 65, 127}, Case{5, 65, 127}, Case{40, 65, 127}}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      Problem problem(shape, dtype, 3, 42);
      backend.logits(problem.x, problem.weight, problem.out);
      expect_product(problem, Activation::none, f32_bound, "logits");
    }
  }
}

TEST_P(Linear, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const Case& shape :
       {Case{1, 257, 127}, Case{8, 300, 65}, Case{13, 300, 65}, Case{100, 257, 600}}) {
    for (const CpuCompute compute : {CpuCompute::f32, CpuCompute::bf16}) {
      std::vector<float> first;
      for (const int threads : {1, 2, 3}) {
        CpuBackend backend(threads, compute, GetParam());
        backend.reserve(limits);
        Problem problem(shape, DType::bf16, 0, 5);
        backend.linear(problem.x, problem.weight, Activation::silu, problem.out);
        if (first.empty()) first = problem.out_numbers;
        EXPECT_EQ(first, problem.out_numbers);
      }
    }
  }
}

TEST_P(Linear, GivesARowTheSameBitsWhoeverItsFewNeighboursAre) {
  CpuBackend backend(2, CpuCompute::bf16, GetParam());
  backend.reserve(limits);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Problem alone({8, 71, 129}, dtype, 0, 9);
    for (int64_t t = 0; t < 8; ++t) {
      backend.linear(alone.x.rows(t, 1), alone.weight, Activation::none, alone.out.rows(t, 1));
    }
    for (int64_t count = 2; count <= 8; ++count) {
      Problem together({8, 71, 129}, dtype, 0, 9);
      backend.linear(together.x.rows(0, count), together.weight, Activation::none,
                     together.out.rows(0, count));
      for (int64_t i = 0; i < count * 71; ++i) {
        ASSERT_EQ(alone.out.row<float>(0)[i], together.out.row<float>(0)[i]) << count << " rows";
      }
    }
  }
}

TEST_P(Linear, LetsANanThroughAndKeepsItInItsRow) {
  for (const CpuCompute compute : {CpuCompute::f32, CpuCompute::bf16}) {
    CpuBackend backend(2, compute, GetParam());
    backend.reserve(limits);
    for (const int64_t tokens : {int64_t{1}, int64_t{3}, int64_t{20}}) {
      Problem problem({tokens, 33, 65}, DType::bf16, 0, 11);
      problem.x.row<float>(tokens - 1)[64] = std::numeric_limits<float>::quiet_NaN();
      backend.linear(problem.x, problem.weight, Activation::silu, problem.out);
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t n = 0; n < 33; ++n) {
          EXPECT_EQ(std::isnan(problem.out.row<float>(t)[n]), t == tokens - 1);
        }
      }
    }
  }
}

TEST(CpuBackend, TellsWhatReserveTakes) {
  const CpuBackend one(1, CpuCompute::f32), three(3, CpuCompute::f32);
  EXPECT_GT(one.scratch_bytes(limits), size_t{300 * 2000 * 4});
  EXPECT_GT(three.scratch_bytes(limits), one.scratch_bytes(limits));
}

INSTANTIATE_TEST_SUITE_P(Isas, Linear, testing::ValuesIn(supported_isas()),
                         [](const auto& isa) { return std::string(name_of(isa.param)); });

}  // namespace
}  // namespace minimax
