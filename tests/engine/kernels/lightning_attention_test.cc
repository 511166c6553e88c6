// SPDX-License-Identifier: Apache-2.0
// Lightning attention against the recurrence, token by token in double precision.
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

struct Widths {
  int64_t H, D;
};

// q, k, v of one sequence and what the recurrence makes of them.
class Expected {
 public:
  Expected(Widths widths, int64_t token_count, std::vector<float> slope, uint32_t seed)
      : widths(widths),
        token_count(token_count),
        slope(std::move(slope)),
        qkv(random_numbers(static_cast<size_t>(token_count * widths.H * 3 * widths.D), seed)) {
    compute();
  }

  double out(int64_t t, int64_t h, int64_t d) const { return out_[index(t, h, d)]; }
  // What the output would be if no two terms had different signs: the scale of its rounding errors.
  double size(int64_t t, int64_t h, int64_t d) const { return size_[index(t, h, d)]; }

  const Widths widths;
  const int64_t token_count;
  const std::vector<float> slope;  // [H]
  std::vector<float> qkv;          // [T, H, 3, D]

 private:
  size_t index(int64_t t, int64_t h, int64_t d) const {
    return static_cast<size_t>((t * widths.H + h) * widths.D + d);
  }

  void compute() {
    const int64_t D = widths.D;
    out_.resize(index(token_count, 0, 0));
    size_.resize(out_.size());
    for (int64_t h = 0; h < widths.H; ++h) {
      const double decay = std::exp(-static_cast<double>(slope[static_cast<size_t>(h)]));
      std::vector<double> state(static_cast<size_t>(D * D)), bound(state.size());
      for (int64_t t = 0; t < token_count; ++t) {
        const float* const q = qkv.data() + (t * widths.H + h) * 3 * D;
        double* const out = out_.data() + index(t, h, 0);
        double* const size = size_.data() + index(t, h, 0);
        for (int64_t i = 0; i < D; ++i) {
          for (int64_t j = 0; j < D; ++j) {
            const double term = static_cast<double>(q[D + i]) * q[2 * D + j];
            double& s = state[static_cast<size_t>(i * D + j)];
            double& b = bound[static_cast<size_t>(i * D + j)];
            s = decay * s + term;
            b = decay * b + std::fabs(term);
            out[j] += q[i] * s;
            size[j] += std::fabs(q[i]) * b;
          }
        }
      }
    }
  }

  std::vector<double> out_;
  std::vector<double> size_;
};

// As models have them: 2^(-8 (h + 1) / H).
std::vector<float> slopes(int64_t head_count, float factor = 1) {
  std::vector<float> out;
  for (int64_t h = 0; h < head_count; ++h) {
    out.push_back(factor *
                  std::exp2(-8.0f * static_cast<float>(h + 1) / static_cast<float>(head_count)));
  }
  return out;
}

// What a session keeps of a sequence, so that it can go back `lag` tokens at any time.
class Session {
 public:
  Session(Widths widths, int64_t lag)
      : widths_(widths),
        lag_(lag),
        log_rows_((lag + 31 + 31) / 32 * 32),
        state(static_cast<size_t>(widths.H * widths.D * widths.D)),
        log_(static_cast<size_t>(widths.H * 2 * log_rows_ * widths.D),
             std::numeric_limits<float>::quiet_NaN()) {}

  // The argument for the next `row_count` tokens; then they are part of the sequence.
  LightningSequence advance(int64_t first_row, int64_t row_count) {
    const int64_t after = position + row_count;
    const int64_t committed_after = std::max(committed, (after - lag_) / 32 * 32);
    const LightningSequence out{
        .span = {first_row, row_count, position},
        .committed = committed,
        .committed_after = committed_after,
        .state = Tensor(state.data(), DType::f32, {widths_.H, widths_.D, widths_.D}),
        .log = Tensor(log_.data(), DType::f32, {widths_.H, 2, log_rows_, widths_.D})};
    position = after;
    committed = committed_after;
    return out;
  }

  int64_t position = 0;
  int64_t committed = 0;

 private:
  Widths widths_;
  int64_t lag_;
  int64_t log_rows_;

 public:
  std::vector<float> state;

 private:
  std::vector<float> log_;
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

// Runs the next `count` tokens of a sequence; returns [count, H, D].
std::vector<float> run(CpuBackend& backend, const Expected& sequence, Session& session,
                       int64_t count) {
  const auto [H, D] = sequence.widths;
  std::vector<float> out(static_cast<size_t>(count * H * D), -7.0f);
  const Tensor qkv(sequence.qkv.data() + session.position * H * 3 * D, DType::f32,
                   {count, H, 3, D});
  const Tensor slope(sequence.slope.data(), DType::f32, {H});
  const LightningSequence sequences[] = {session.advance(0, count)};
  backend.lightning_attention(qkv, slope, 0, sequences,
                              Tensor(out.data(), DType::f32, {count, H, D}));
  return out;
}

// f32 sums of some hundred terms, each a product of four factors: a few units of 2^-24.
constexpr double tolerance = 1e-6;

void expect_near(const Expected& sequence, int64_t first, const std::vector<float>& out,
                 const std::string& what) {
  const auto [H, D] = sequence.widths;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const int64_t t = first + at / (H * D), h = at / D % H, d = at % D;
    const double expected = sequence.out(t, h, d);
    const double bound = tolerance * sequence.size(t, h, d);
    ASSERT_LE(std::fabs(out[i] - expected), bound)
        << what << ": out[" << t << ", " << h << ", " << d << "] = " << out[i] << ", expected "
        << expected;
  }
}

std::string text_of(Isa isa, Widths widths, int64_t position, int64_t count) {
  return text(name_of(isa), " H ", widths.H, " D ", widths.D, " tokens ", position, " + ", count);
}

constexpr int64_t counts[] = {1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 127, 255, 256, 257, 300};
constexpr int64_t positions[] = {0, 1, 31, 32, 33, 100, 255, 256, 1000};

TEST(LightningAttention, FollowsTheRecurrence) {
  for (const Widths widths : {Widths{2, 1}, {3, 16}, {2, 33}, {1, 128}}) {
    const Expected sequence(widths, 1300, slopes(widths.H), 1);
    for (const Isa isa : supported_isas()) {
      const auto backend = open(isa, 2, widths, 1300);
      for (const int64_t lag : {0, 32, 100}) {
        for (const int64_t position : positions) {
          for (const int64_t count : counts) {
            if (widths.D == 128 && (position + count) % 3 != 0) continue;
            Session session(widths, lag);
            run(*backend, sequence, session, position);
            const std::vector<float> out = run(*backend, sequence, session, count);
            expect_near(sequence, position, out, text_of(isa, widths, position, count));
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(LightningAttention, TakesManyHeads) {
  for (const Widths widths : {Widths{1, 16}, {3, 80}, {8, 32}, {8, 128}}) {
    const Expected sequence(widths, 170, slopes(widths.H), 2);
    for (const Isa isa : supported_isas()) {
      const auto backend = open(isa, 2, widths, 170);
      Session session(widths, 32);
      expect_near(sequence, 0, run(*backend, sequence, session, 70), text_of(isa, widths, 0, 70));
      expect_near(sequence, 70, run(*backend, sequence, session, 100),
                  text_of(isa, widths, 70, 100));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(LightningAttention, GivesTheSameStateHoweverCallsAreSplit) {
  constexpr int64_t token_count = 300;
  for (const Widths widths : {Widths{2, 16}, {1, 128}}) {
    const Expected sequence(widths, token_count, slopes(widths.H, 0.1f), 3);
    for (const Isa isa : supported_isas()) {
      const auto backend = open(isa, 1, widths, token_count);
      for (const int64_t lag : {0, 32, 100}) {
        Session whole(widths, lag);
        run(*backend, sequence, whole, token_count);
        for (const int64_t split : {1, 2, 31, 32, 33, 64, 65, 255, 256, 257, 299}) {
          Session parts(widths, lag);
          const std::vector<float> first = run(*backend, sequence, parts, split);
          const std::vector<float> second = run(*backend, sequence, parts, token_count - split);
          expect_near(sequence, 0, first, text_of(isa, widths, 0, split));
          expect_near(sequence, split, second, text_of(isa, widths, split, token_count - split));
          ASSERT_EQ(whole.committed, parts.committed);
          ASSERT_TRUE(whole.state == parts.state) << "split at " << split << ", lag " << lag;
        }
        for (const int64_t step : {1, 2, 3, 4, 5, 7, 31}) {
          Session steps(widths, lag);
          while (steps.position < token_count) {
            const int64_t position = steps.position;
            const int64_t count = std::min(step, token_count - position);
            const std::vector<float> out = run(*backend, sequence, steps, count);
            expect_near(sequence, position, out, text_of(isa, widths, position, count));
            if (HasFatalFailure()) return;
          }
          ASSERT_TRUE(whole.state == steps.state) << "steps of " << step << ", lag " << lag;
        }
      }
    }
  }
}

TEST(LightningAttention, CanGoBackToAnyTokenOfTheLog) {
  constexpr int64_t token_count = 400;
  constexpr Widths widths{2, 32};
  const Expected sequence(widths, token_count, slopes(widths.H), 4);
  for (const Isa isa : supported_isas()) {
    const auto backend = open(isa, 1, widths, token_count);
    for (const int64_t lag : {32, 100}) {
      for (const int64_t position : {33, 130, 256, 257, 300}) {
        for (const int64_t back : {1, 2, 31, 32, 65, 100}) {
          if (back > lag || back > position) continue;
          Session straight(widths, lag), returned(widths, lag);
          run(*backend, sequence, straight, position - back);
          run(*backend, sequence, returned, position);
          ASSERT_LE(returned.committed, position - back);
          returned.position = position - back;
          for (const int64_t count : {1, 3, 60}) {
            const int64_t at = returned.position;
            expect_near(sequence, at, run(*backend, sequence, returned, count),
                        text_of(isa, widths, at, count));
            run(*backend, sequence, straight, count);
            if (HasFatalFailure()) return;
          }
          // Both hold the same tokens; the one that went further may have folded more of them.
          run(*backend, sequence, returned, 36);
          run(*backend, sequence, straight, 36);
          ASSERT_EQ(returned.committed, straight.committed);
          ASSERT_TRUE(returned.state == straight.state) << position << " - " << back;
        }
      }
    }
  }
}

// Sequences of one call have rows in one tensor; those of no rows have none.
struct Part {
  int64_t before, count, lag;
};

std::vector<float> run_together(CpuBackend& backend, const Expected& all,
                                const std::vector<Part>& parts, std::vector<float>& states) {
  const auto [H, D] = all.widths;
  int64_t rows = 0;
  for (const Part& part : parts) rows += part.count;
  std::vector<float> qkv(static_cast<size_t>(rows * H * 3 * D));
  std::vector<float> out(static_cast<size_t>(rows * H * D), -7.0f);
  std::vector<Session> sessions;
  std::vector<LightningSequence> sequences;
  sessions.reserve(parts.size());
  int64_t row = 0;
  for (const Part& part : parts) {
    Session& session = sessions.emplace_back(all.widths, part.lag);
    run(backend, all, session, part.before);
    std::copy_n(all.qkv.begin() + part.before * H * 3 * D, part.count * H * 3 * D,
                qkv.begin() + row * H * 3 * D);
    sequences.push_back(session.advance(row, part.count));
    row += part.count;
  }
  backend.lightning_attention(Tensor(qkv.data(), DType::f32, {rows, H, 3, D}),
                              Tensor(all.slope.data(), DType::f32, {H}), 0, sequences,
                              Tensor(out.data(), DType::f32, {rows, H, D}));
  states.clear();
  for (const Session& session : sessions) {
    states.insert(states.end(), session.state.begin(), session.state.end());
  }
  return out;
}

const std::vector<Part> parts = {{70, 1, 0}, {0, 150, 32}, {31, 0, 0}, {33, 2, 100}, {255, 1, 32}};

TEST(LightningAttention, KeepsSequencesOfOneCallApart) {
  constexpr Widths widths{3, 32};
  const Expected all(widths, 300, slopes(widths.H), 5);
  for (const Isa isa : supported_isas()) {
    const auto backend = open(isa, 2, widths, 300);
    std::vector<float> states;
    const std::vector<float> out = run_together(*backend, all, parts, states);
    auto from = out.begin();
    for (const Part& part : parts) {
      const auto to = from + part.count * widths.H * widths.D;
      expect_near(all, part.before, {from, to}, text_of(isa, widths, part.before, part.count));
      from = to;
    }
  }
}

TEST(LightningAttention, DoesNotDependOnTheNumberOfThreads) {
  constexpr Widths widths{5, 64};
  const Expected all(widths, 300, slopes(widths.H), 6);
  for (const Isa isa : supported_isas()) {
    std::vector<float> states, other_states;
    const std::vector<float> out = run_together(*open(isa, 1, widths, 300), all, parts, states);
    for (const int threads : {2, 3}) {
      EXPECT_EQ(out, run_together(*open(isa, threads, widths, 300), all, parts, other_states));
      EXPECT_EQ(states, other_states);
    }
  }
}

TEST(LightningAttention, StaysExactOverLongContexts) {
  constexpr Widths widths{3, 32};
  constexpr int64_t token_count = 2000;
  // The slowest head of the last layer, one between, the fastest head of the first.
  const Expected sequence(widths, token_count, {4.948e-5f, 0.01f, 0.9170132f}, 7);
  for (const Isa isa : supported_isas()) {
    const auto backend = open(isa, 2, widths, token_count);
    for (const int64_t step : {1, 32, 97, 2000}) {
      Session session(widths, 64);
      while (session.position < token_count) {
        const int64_t position = session.position;
        const int64_t count = std::min(step, token_count - position);
        const std::vector<float> out = run(*backend, sequence, session, count);
        expect_near(sequence, position, out, text_of(isa, widths, position, count));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(LightningAttention, ForgetsAtOnceWithAHugeSlope) {
  constexpr Widths widths{1, 16};
  const Expected sequence(widths, 100, {500.0f}, 8);
  for (const Isa isa : supported_isas()) {
    const auto backend = open(isa, 1, widths, 100);
    Session session(widths, 32);
    expect_near(sequence, 0, run(*backend, sequence, session, 50), "first");
    expect_near(sequence, 50, run(*backend, sequence, session, 50), "second");
  }
}

TEST(LightningAttention, HandsOnNaN) {
  constexpr Widths widths{2, 16};
  Expected sequence(widths, 80, slopes(widths.H), 9);
  const auto poison = static_cast<size_t>((40 * widths.H + 1) * 3 * widths.D + widths.D);
  sequence.qkv[poison] = std::numeric_limits<float>::quiet_NaN();  // k of token 40, head 1
  for (const Isa isa : supported_isas()) {
    const auto backend = open(isa, 1, widths, 80);
    Session session(widths, 0);
    const std::vector<float> out = run(*backend, sequence, session, 80);
    for (int64_t t = 0; t < 80; ++t) {
      for (int64_t d = 0; d < widths.D; ++d) {
        const auto at = static_cast<size_t>(t * widths.H * widths.D + d);
        EXPECT_FALSE(std::isnan(out[at])) << "head 0, token " << t;
        EXPECT_EQ(std::isnan(out[at + static_cast<size_t>(widths.D)]), t >= 40) << "token " << t;
      }
    }
  }
}

}  // namespace
}  // namespace minimax
