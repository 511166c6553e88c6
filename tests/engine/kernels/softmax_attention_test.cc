// SPDX-License-Identifier: Apache-2.0
// Softmax attention over pages against a plain loop in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/kernels/cpu/cpu_backend.h"
#include "tests/engine/kernels/numbers.h"

namespace minimax {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

struct Widths {
  int64_t H, G, D;
};

std::unique_ptr<CpuBackend> open(Isa isa, int threads, Widths widths, int64_t tokens) {
  auto backend = std::make_unique<CpuBackend>(threads, CpuCompute::f32, isa);
  backend->reserve({.tokens = tokens,
                    .widest_input = 1,
                    .width = 1,
                    .head_count = widths.H,
                    .head_dim = widths.D,
                    .expert_count = 1,
                    .experts_per_token = 1,
                    .expert_width = 1});
  return backend;
}

KvLayout layout_of(Widths widths, DType dtype, int64_t page_tokens) {
  return {.dtype = dtype,
          .page_tokens = page_tokens,
          .kv_head_count = widths.G,
          .head_dim = widths.D,
          .layer_offset = 8};
}

// Pages of one sequence, filled with NaN where nothing was stored.
class Pages {
 public:
  Pages(const KvLayout& layout, int64_t token_count) {
    const int64_t count = (token_count + layout.page_tokens - 1) / layout.page_tokens;
    const size_t page_bytes = layout.layer_offset + 2 * layout.plane_bytes();
    memory_.resize(static_cast<size_t>(count) * page_bytes, std::byte{0xff});
    // The last page of the sequence lies first in memory.
    for (int64_t i = count; i-- > 0;) {
      addresses_.push_back(memory_.data() + static_cast<size_t>(i) * page_bytes);
    }
  }
  std::span<std::byte* const> addresses() const { return addresses_; }

 private:
  std::vector<std::byte> memory_;
  std::vector<std::byte*> addresses_;
};

// One sequence: q, k, v of all its tokens, and its pages.
class Sequence {
 public:
  Sequence(Widths widths, const KvLayout& layout, int64_t token_count, uint32_t seed)
      : widths(widths),
        layout(layout),
        token_count(token_count),
        q(random_numbers(static_cast<size_t>(token_count * widths.H * widths.D), seed)),
        k(random_numbers(static_cast<size_t>(token_count * widths.G * widths.D), seed + 1)),
        v(random_numbers(k.size(), seed + 2)),
        pages(layout, token_count) {}

  // Stores all keys and values, in two calls that meet at `split`.
  void store(CpuBackend& backend, int64_t split) {
    for (const auto& [first, last] : {std::pair{int64_t{0}, split}, {split, token_count}}) {
      const Shape shape{last - first, widths.G, widths.D};
      const int64_t at = first * widths.G * widths.D;
      const KvSequence sequences[] = {{{0, last - first, first}, pages.addresses()}};
      backend.store_kv(Tensor(k.data() + at, DType::f32, shape),
                       Tensor(v.data() + at, DType::f32, shape), layout, sequences);
    }
  }

  float stored(float x) const { return layout.dtype == DType::bf16 ? to_f32(to_bf16(x)) : x; }

  // What query head h of token t attends to; `size` is what it would be if no two terms had
  // different signs.
  struct Expected {
    std::vector<double> out;   // [D]
    std::vector<double> size;  // [D]
  };
  const Expected& expected(int64_t t, int64_t h, float scale) {
    if (scale != expected_scale_) expected_.clear();
    expected_scale_ = scale;
    expected_.resize(static_cast<size_t>(token_count * widths.H));
    Expected& known = expected_[static_cast<size_t>(t * widths.H + h)];
    if (known.out.empty()) known = compute(t, h, scale);
    return known;
  }

  const Widths widths;
  const KvLayout layout;
  const int64_t token_count;
  std::vector<float> q;  // [T, H, D]
  std::vector<float> k;  // [T, G, D]
  std::vector<float> v;  // [T, G, D]
  Pages pages;

 private:
  Expected compute(int64_t t, int64_t h, float scale) const {
    const int64_t D = widths.D, G = widths.G, g = h / (widths.H / G);
    std::vector<double> weights;
    for (int64_t j = 0; j <= t; ++j) {
      double score = 0;
      for (int64_t d = 0; d < D; ++d) {
        score += static_cast<double>(q[static_cast<size_t>((t * widths.H + h) * D + d)]) *
                 stored(k[static_cast<size_t>((j * G + g) * D + d)]);
      }
      weights.push_back(score * scale);
    }
    const double largest = *std::max_element(weights.begin(), weights.end());
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - largest);
    Expected result{std::vector<double>(static_cast<size_t>(D)),
                    std::vector<double>(static_cast<size_t>(D))};
    for (int64_t j = 0; j <= t; ++j) {
      for (size_t d = 0; d < static_cast<size_t>(D); ++d) {
        const double term = weights[static_cast<size_t>(j)] / sum *
                            stored(v[static_cast<size_t>((j * G + g) * D) + d]);
        result.out[d] += term;
        result.size[d] += std::fabs(term);
      }
    }
    return result;
  }

  std::vector<Expected> expected_;  // [T * H], empty where nobody asked yet
  float expected_scale_ = 0;
};

// Tokens [position, position + count) of each sequence, in one call; [rows, H, D].
struct Part {
  Sequence& sequence;
  int64_t position, count;
};

std::vector<float> run(CpuBackend& backend, float scale, const std::vector<Part>& parts) {
  const auto [H, G, D] = parts[0].sequence.widths;
  std::vector<float> q;
  std::vector<KvSequence> sequences;
  for (const Part& part : parts) {
    const int64_t row = static_cast<int64_t>(q.size()) / (H * D);
    sequences.push_back({{row, part.count, part.position}, part.sequence.pages.addresses()});
    const auto from = part.sequence.q.begin() + part.position * H * D;
    q.insert(q.end(), from, from + part.count * H * D);
  }
  std::vector<float> out(q.size(), -7.0f);
  const Shape shape{static_cast<int64_t>(q.size()) / (H * D), H, D};
  backend.softmax_attention(Tensor(q.data(), DType::f32, shape), scale, parts[0].sequence.layout,
                            sequences, Tensor(out.data(), DType::f32, shape));
  return out;
}

// An error e of a score, about scale * |q| |k| * 2^-24 here, changes its weight by a factor 1 + e.
constexpr double tolerance = 4e-6;

void expect_near(const std::vector<Part>& parts, float scale, const std::vector<float>& out,
                 const std::string& what, double bound = tolerance) {
  size_t at = 0;
  for (const Part& part : parts) {
    for (int64_t t = part.position; t < part.position + part.count; ++t) {
      for (int64_t h = 0; h < part.sequence.widths.H; ++h) {
        const Sequence::Expected& expected = part.sequence.expected(t, h, scale);
        for (size_t d = 0; d < expected.out.size(); ++d, ++at) {
          ASSERT_LE(std::fabs(out[at] - expected.out[d]), bound * expected.size[d])
              << what << ": out[" << t << ", " << h << ", " << d << "] = " << out[at]
              << ", expected " << expected.out[d];
        }
      }
    }
  }
}

std::string text_of(Isa isa, const Sequence& sequence, int64_t position, int64_t count) {
  const auto [H, G, D] = sequence.widths;
  return text(name_of(isa), " ", name_of(sequence.layout.dtype), " pages of ",
              sequence.layout.page_tokens, ", H ", H, " G ", G, " D ", D, ", tokens ", position,
              " + ", count);
}

constexpr int64_t counts[] = {1, 2, 8, 9, 31, 32, 33, 63, 64, 65, 127, 255, 257, 300};
constexpr int64_t positions[] = {0, 1, 31, 32, 33, 100, 255, 256, 1000};

TEST(SoftmaxAttention, FollowsTheFormula) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int64_t page_tokens : {16, 256}) {
      const Widths widths{4, 2, 16};
      Sequence sequence(widths, layout_of(widths, dtype, page_tokens), 1300, 1);
      sequence.store(*open(best_isa(), 1, widths, 1300), 1000);
      for (const Isa isa : supported_isas()) {
        const auto backend = open(isa, 2, widths, 300);
        for (const int64_t position : positions) {
          for (const int64_t count : counts) {
            if ((position + count) % 2 == static_cast<int64_t>(isa) % 2) continue;  // time
            const std::vector<Part> parts = {{sequence, position, count}};
            expect_near(parts, 0.25f, run(*backend, 0.25f, parts),
                        text_of(isa, sequence, position, count));
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(SoftmaxAttention, TakesGroupsAndWidthsOfAllSizes) {
  constexpr Widths all[] = {{1, 1, 1},  {2, 2, 33},  {2, 1, 80},   {6, 2, 16},
                            {8, 2, 32}, {8, 1, 128}, {16, 2, 128}, {80, 1, 16}};
  for (const Widths widths : all) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const int64_t page_tokens : {1, 48}) {
        Sequence sequence(widths, layout_of(widths, dtype, page_tokens), 90, 2);
        const float scale = 1 / std::sqrt(static_cast<float>(widths.D));
        for (const Isa isa : supported_isas()) {
          const auto backend = open(isa, 2, widths, 90);
          sequence.store(*backend, 17);
          for (const auto& [position, count] : {std::pair{0, 90}, {77, 1}, {60, 3}, {33, 20}}) {
            const std::vector<Part> parts = {{sequence, position, count}};
            expect_near(parts, scale, run(*backend, scale, parts),
                        text_of(isa, sequence, position, count));
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(SoftmaxAttention, JoinsSegmentsOfLongContexts) {
  for (const Widths widths : {Widths{4, 1, 16}, {2, 2, 32}, {64, 1, 8}}) {
    Sequence sequence(widths, layout_of(widths, DType::bf16, 256), 5200, 3);
    sequence.store(*open(best_isa(), 1, widths, 5200), 1);
    for (const Isa isa : supported_isas()) {
      const auto backend = open(isa, 2, widths, 9);
      for (const int64_t position : {1022, 1023, 1024, 2047, 2048, 3000, 5191}) {
        for (const int64_t count : {1, 3, 8, 9}) {
          const std::vector<Part> parts = {{sequence, position, count}};
          expect_near(parts, 0.3f, run(*backend, 0.3f, parts),
                      text_of(isa, sequence, position, count));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// More sequences, and longer ones, than partial results have room for at a time.
TEST(SoftmaxAttention, TakesManySequencesAtOnce) {
  constexpr Widths widths{2, 1, 8};
  const KvLayout layout = layout_of(widths, DType::f32, 256);
  Sequence sequence(widths, layout, 40000, 4);
  sequence.store(*open(best_isa(), 1, widths, 40000), 1);
  std::vector<Part> parts;
  for (int64_t i = 0; i < 100; ++i) parts.push_back({sequence, 1000 + i, 1 + i % 2});
  for (int64_t i = 0; i < 20; ++i) parts.push_back({sequence, 39000 + i, 1});
  parts.push_back({sequence, 17, 0});
  parts.push_back({sequence, 300, 50});
  const std::vector<float> out = run(*open(best_isa(), 2, widths, 220), 0.3f, parts);
  expect_near(parts, 0.3f, out, "together");
}

TEST(SoftmaxAttention, DoesNotDependOnTheNumberOfThreads) {
  constexpr Widths widths{8, 2, 32};
  const KvLayout layout = layout_of(widths, DType::bf16, 16);
  Sequence sequence(widths, layout, 3000, 5);
  const std::vector<Part> parts = {{sequence, 2500, 1}, {sequence, 0, 200}, {sequence, 1500, 5}};
  for (const Isa isa : supported_isas()) {
    sequence.store(*open(isa, 3, widths, 3000), 100);
    const std::vector<float> out = run(*open(isa, 1, widths, 300), 0.2f, parts);
    for (const int threads : {2, 3}) {
      EXPECT_EQ(out, run(*open(isa, threads, widths, 300), 0.2f, parts));
    }
  }
}

// A weight of all, none in reach of exp: the running maximum must carry it.
TEST(SoftmaxAttention, StandsScoresOfThousands) {
  constexpr Widths widths{4, 1, 16};
  Sequence sequence(widths, layout_of(widths, DType::f32, 64), 400, 6);
  for (const Isa isa : supported_isas()) {
    const auto backend = open(isa, 1, widths, 400);
    sequence.store(*backend, 200);
    const std::vector<Part> parts = {{sequence, 0, 300}, {sequence, 300, 1}};
    // A score of 10,000 is exact to 10,000 * 2^-23, and so is the logarithm of its weight.
    expect_near(parts, 1000, run(*backend, 1000, parts), "large", 0.1);
  }
}

TEST(SoftmaxAttention, HandsOnNaN) {
  constexpr Widths widths{4, 2, 16};
  for (const Isa isa : supported_isas()) {
    for (const bool in_key : {true, false}) {
      Sequence sequence(widths, layout_of(widths, DType::bf16, 64), 200, 7);
      (in_key ? sequence.k : sequence.v)[(70 * 2 + 1) * 16 + 3] = nan;  // token 70, kv head 1
      const auto backend = open(isa, 1, widths, 200);
      sequence.store(*backend, 50);
      for (const int64_t t : {69, 70, 199}) {
        const std::vector<float> out = run(*backend, 0.25f, {{sequence, t, 1}});
        for (size_t h = 0; h < 4; ++h) {
          EXPECT_EQ(std::isnan(out[h * 16 + 3]), t >= 70 && h >= 2)
              << "token " << t << ", head " << h;
        }
      }
    }
  }
}

TEST(StoreKv, RoundsToNearestEven) {
  constexpr Widths widths{2, 2, 19};
  for (const Isa isa : supported_isas()) {
    const auto backend = open(isa, 2, widths, 100);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const int64_t page_tokens : {1, 16, 256}) {
        const KvLayout layout = layout_of(widths, dtype, page_tokens);
        Sequence sequence(widths, layout, 70, 8);
        sequence.k[5] = 0x1.01p0f;  // half way, down to even
        sequence.k[6] = 0x1.03p0f;  // half way, up to even
        sequence.k[7] = -0x1.03p9f;
        sequence.store(*backend, 33);
        for (int64_t t = 0; t < 70; ++t) {
          const std::byte* const page =
              sequence.pages.addresses()[static_cast<size_t>(t / page_tokens)] + 8;
          for (int64_t i = 0; i < 2 * 19; ++i) {
            const auto at =
                static_cast<size_t>((i / 19 * page_tokens + t % page_tokens) * 19 + i % 19);
            const auto number = [&](const std::byte* plane) {
              return dtype == DType::bf16 ? to_f32(reinterpret_cast<const bf16*>(plane)[at])
                                          : reinterpret_cast<const float*>(plane)[at];
            };
            const auto from = static_cast<size_t>(t * 2 * 19 + i);
            ASSERT_EQ(number(page), sequence.stored(sequence.k[from]));
            ASSERT_EQ(number(page + layout.plane_bytes()), sequence.stored(sequence.v[from]));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace minimax
