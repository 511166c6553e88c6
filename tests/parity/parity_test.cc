// SPDX-License-Identifier: Apache-2.0
// Every operation of ops.h as the plain loops do it, and as the CPU's kernels and a GPU's do it, on the
// same numbers. One row a shape: what is computed, and how far the two may be apart.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/open_backend.h"
#include "engine/kernels/plain/plain_backend.h"
#include "engine/ops/ops.h"
#include "tests/engine/kernels/numbers.h"
#include "tests/parity/far_backend.h"

namespace minimax {
namespace {

constexpr int64_t token_counts[] = {0, 1, 2, 3, 5, 8, 17, 31, 32, 33, 64, 127, 255, 256, 257};
constexpr DType weight_types[] = {DType::f32, DType::bf16};
constexpr float eps = 1e-5f;

// f32 sums in another order, exponentials of another polynomial. The plain loop adds up front to back,
// which at 6144 terms is off by 7e-6 itself.
constexpr double sums = 2e-5;
// Products with sines and cosines that are rounded from double.
constexpr double rotations = 1e-6;
// Copies, and roundings of equal numbers.
constexpr double same = 0;

// One result of an operation: named when there are several.
struct Result {
  std::string name;
  Shape shape;
  std::vector<float> numbers;
};

using Operation = std::function<std::vector<Result>(Backend&)>;

// On a GPU activations are bf16: one rounding of a result, and where a kernel keeps something in
// between as bf16 (experts' hidden numbers, shares of keys, decayed keys), the roundings of those too.
constexpr double far_rounding = 4e-3;
constexpr double far_between = 1.6e-2;
constexpr double not_on_a_gpu = -1;  // it keeps no f32 matrices

struct Row {
  std::string operation;
  Operation run;
  double bound;
  double far_bound = far_rounding;
};

struct Device {
  std::string name;
  std::unique_ptr<Backend> backend;
  bool is_far = false;
};

constexpr StepLimits largest_step{.tokens = 300,
                                  .widest_input = 6144,
                                  .width = 512,
                                  .head_count = 16,
                                  .head_dim = 128,
                                  .expert_count = 32,
                                  .experts_per_token = 4,
                                  .expert_width = 512};

const std::vector<Device>& all_devices() {
  static const std::vector<Device> all = [] {
    std::vector<Device> devices;
    for (const Isa isa : supported_isas()) {
      for (const int threads : {1, 2}) {
        auto backend = std::make_unique<CpuBackend>(threads, CpuCompute::f32, isa);
        backend->reserve(largest_step);
        devices.push_back(
            {text(name_of(isa), threads == 1 ? "" : ", 2 threads"), std::move(backend)});
      }
    }
    for (const DeviceDescription& device : minimax::devices()) {
      if (!device.name.starts_with("cuda:")) continue;
      auto backend = std::make_unique<FarBackend>(open_backend(device.name, Compute::automatic, 1));
      backend->reserve(largest_step);
      devices.push_back({device.name, std::move(backend), true});
    }
    return devices;
  }();
  return all;
}

std::string rounded(double x) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.1e", x);
  return digits;
}

// "[12, 407]": where number `index` of a tensor stands.
std::string place(const Shape& shape, int64_t index) {
  std::vector<int64_t> at(static_cast<size_t>(shape.rank()));
  for (int i = shape.rank() - 1; i >= 0; --i) {
    at[static_cast<size_t>(i)] = index % shape[i];
    index /= shape[i];
  }
  return Shape(at).to_string();
}

// Relative to the number itself, or to the root mean square of its innermost row where that is more:
// the rounding of a sum is as large as its terms, whatever they come to.
void compare(const std::string& label, const Result& found, const Result& expected, double bound) {
  ASSERT_EQ(found.numbers.size(), expected.numbers.size()) << label;
  const size_t width = expected.shape.rank() > 0
                           ? static_cast<size_t>(expected.shape[expected.shape.rank() - 1])
                           : 1;
  double worst = -1;
  size_t worst_at = 0;
  for (size_t first = 0; width > 0 && first < expected.numbers.size(); first += width) {
    double squares = 0;
    for (size_t i = first; i < first + width; ++i) {
      squares += double{expected.numbers[i]} * expected.numbers[i];
    }
    const double rms = std::sqrt(squares / static_cast<double>(width));
    for (size_t i = first; i < first + width; ++i) {
      const double difference = std::abs(double{found.numbers[i]} - expected.numbers[i]);
      const double scale = std::max(rms, std::abs(double{expected.numbers[i]}));
      const double error = difference == 0 ? 0 : difference / scale;
      if (!(error <= worst)) {
        worst = error;
        worst_at = i;
      }
      if (std::isnan(error)) break;
    }
  }
  EXPECT_LE(worst, bound) << label << ": relative error " << rounded(worst) << " > "
                          << rounded(bound) << " at "
                          << place(expected.shape, static_cast<int64_t>(worst_at));
}

void expect_parity(const Row& row) {
  PlainBackend plain;
  const std::vector<Result> expected = row.run(plain);
  for (const Device& device : all_devices()) {
    if (device.is_far && row.far_bound == not_on_a_gpu) continue;
    const std::vector<Result> found = row.run(*device.backend);
    for (size_t i = 0; i < expected.size(); ++i) {
      const Result& result = expected[i];
      compare(text(row.operation, " ", result.name, result.name.empty() ? "" : " ",
                   result.shape.to_string(), " ", device.name),
              found[i], result, device.is_far ? row.far_bound : row.bound);
    }
  }
}

size_t count_of(const Shape& shape) {
  return static_cast<size_t>(shape.element_count());
}

// Random numbers under a shape, the same for the same shape and seed; such as bf16 can hold.
struct Input {
  Input(const Shape& shape, uint32_t seed)
      : shape(shape), numbers(random_numbers(count_of(shape), seed)) {
    for (float& x : numbers) x = to_f32(to_bf16(x));
  }
  Tensor tensor() const { return {numbers.data(), DType::f32, shape}; }

  Shape shape;
  std::vector<float> numbers;
};

// A result that nobody has written yet: what stays so is found.
struct Output {
  explicit Output(const Shape& shape) : shape(shape), numbers(count_of(shape), std::nanf("")) {}
  Tensor tensor() { return {numbers.data(), DType::f32, shape}; }
  Result result(std::string name = "") { return {std::move(name), shape, std::move(numbers)}; }

  Shape shape;
  std::vector<float> numbers;
};

// A weight of either type, no better aligned than in a file.
struct WeightInput {
  WeightInput(const Shape& shape, DType dtype, uint32_t seed)
      : shape(shape), numbers(random_numbers(count_of(shape), seed), dtype) {}
  Tensor tensor() const { return numbers.tensor(shape); }
  Weight weight() const { return {tensor()}; }

  Shape shape;
  Numbers numbers;
};

// T rows shared out among S sequences, unevenly; where each begins.
std::vector<SequenceSpan> spans(int64_t T, int64_t S) {
  constexpr int64_t positions[] = {33, 0, 127};
  std::vector<SequenceSpan> out;
  int64_t row = 0;
  for (int64_t s = 0; s < S; ++s) {
    const int64_t count = s + 1 == S ? T - row : std::min(T - row, T / 3 + s);
    out.push_back({row, count, positions[s]});
    row += count;
  }
  return out;
}

TEST(Parity, Embed) {
  for (const DType dtype : weight_types) {
    for (const int64_t T : token_counts) {
      for (const int64_t W : {1, 7, 64, 101}) {
        const WeightInput table({53, W}, dtype, 1);
        std::vector<int32_t> ids;
        for (int64_t t = 0; t < T; ++t) ids.push_back(static_cast<int32_t>((t * 17 + 52) % 53));
        expect_parity({text("embed ", name_of(dtype)),
                       [&](Backend& backend) {
                         Output out({T, W});
                         ops::embed(backend, Tensor(ids.data(), DType::i32, {T}), table.tensor(),
                                    out.tensor());
                         return std::vector{out.result()};
                       },
                       same, dtype == DType::bf16 ? same : not_on_a_gpu});
      }
    }
  }
}

void linear_row(int64_t T, int64_t K, int64_t N, DType dtype, Activation activation) {
  const Input x({T, K}, 1);
  const WeightInput weight({N, K}, dtype, 2);
  expect_parity({text("linear ", name_of(dtype), activation == Activation::silu ? " silu" : "",
                      " of ", K, " inputs"),
                 [&](Backend& backend) {
                   Output out({T, N});
                   ops::linear(backend, x.tensor(), weight.weight(), activation, out.tensor());
                   return std::vector{out.result()};
                 },
                 sums, dtype == DType::bf16 ? far_rounding : not_on_a_gpu});
}

TEST(Parity, Linear) {
  struct Widths {
    int64_t K, N;
  };
  for (const DType dtype : weight_types) {
    for (const Activation activation : {Activation::none, Activation::silu}) {
      for (const int64_t T : token_counts) {
        for (const auto& [K, N] : {Widths{1, 1}, {7, 5}, {67, 31}, {64, 48}, {131, 17}}) {
          linear_row(T, K, N, dtype, activation);
        }
      }
      for (const int64_t T : {1, 2, 33}) linear_row(T, 6144, 19, dtype, activation);
      for (const int64_t T : {1, 3, 65}) linear_row(T, 97, 509, dtype, activation);
      for (const int64_t T : {1, 5, 16, 17, 64, 129, 257})
        linear_row(T, 256, 384, dtype, activation);
      for (const int64_t T : {3, 70, 130}) linear_row(T, 1032, 520, dtype, activation);
    }
  }
}

TEST(Parity, Logits) {
  for (const DType dtype : weight_types) {
    for (const int64_t T : token_counts) {
      for (const int64_t K : {1, 67, 128}) {
        const Input x({T, K}, 1);
        const WeightInput weight({113, K}, dtype, 2);
        expect_parity({text("logits ", name_of(dtype), " of ", K, " inputs"),
                       [&](Backend& backend) {
                         Output out({T, 113});
                         ops::logits(backend, x.tensor(), weight.weight(), out.tensor());
                         return std::vector{out.result()};
                       },
                       sums, dtype == DType::bf16 ? sums : not_on_a_gpu});
      }
    }
  }
}

constexpr int64_t norm_widths[] = {1, 7, 64, 101, 509};

// Every T with some widths, and the widths of the released model with a few T.
template <typename Body>
void for_each_norm_shape(const Body& body) {
  for (const int64_t T : token_counts) {
    for (const int64_t W : norm_widths) body(T, W);
  }
  for (const int64_t T : {1, 37}) {
    for (const int64_t W : {6144, 8192}) body(T, W);
  }
}

// Right to 1e-7 of the number it is given, which is more of a result that nearly vanishes.
constexpr double gelu_tail = 5e-3;

// On a GPU the sum may be rounded before a bias nearly cancels it.
constexpr double far_biased = 0.04;

void biased_row(int64_t T, int64_t K, int64_t N, DType dtype, Activation activation) {
  const Input x({T, K}, 1), bias({N}, 3);
  const WeightInput weight({N, K}, dtype, 2);
  expect_parity({text("biased_linear ", name_of(dtype), " of activation ",
                      static_cast<int>(activation), " of ", K, " inputs"),
                 [&](Backend& backend) {
                   Output out({T, N});
                   ops::biased_linear(backend, x.tensor(), weight.weight(), bias.tensor(),
                                      activation, out.tensor());
                   return std::vector{out.result()};
                 },
                 activation == Activation::gelu ? gelu_tail : sums,
                 dtype == DType::bf16 ? far_biased : not_on_a_gpu});
}

TEST(Parity, BiasedLinear) {
  struct Widths {
    int64_t K, N;
  };
  for (const DType dtype : weight_types) {
    for (const Activation activation : {Activation::none, Activation::silu, Activation::gelu}) {
      for (const int64_t T : token_counts) {
        for (const auto& [K, N] : {Widths{7, 5}, {67, 31}, {64, 48}, {64, 136}}) {
          biased_row(T, K, N, dtype, activation);
        }
      }
      for (const int64_t T : {1, 16, 17, 129}) biased_row(T, 264, 1024, dtype, activation);
    }
  }
}

TEST(Parity, AddBiasedLinear) {
  struct Widths {
    int64_t K, N;
  };
  for (const DType dtype : weight_types) {
    for (const int64_t T : token_counts) {
      for (const auto& [K, N] : {Widths{7, 5}, {67, 31}, {64, 48}, {64, 136}, {136, 264}}) {
        const Input x({T, K}, 1), bias({N}, 3), before({T, N}, 4);
        const WeightInput weight({N, K}, dtype, 2);
        expect_parity({text("add_biased_linear ", name_of(dtype), " of ", K, " inputs"),
                       [&](Backend& backend) {
                         Output out({T, N}), room({T, N});
                         out.numbers = before.numbers;
                         ops::add_biased_linear(backend, x.tensor(), weight.weight(), bias.tensor(),
                                                room.tensor(), out.tensor());
                         return std::vector{out.result()};
                       },
                       sums, dtype == DType::bf16 ? far_biased : not_on_a_gpu});
      }
    }
  }
}

TEST(Parity, Add) {
  for_each_norm_shape([](int64_t T, int64_t W) {
    for (const int64_t rows : {T, int64_t{1}, T % 3 == 0 ? T / 3 : T}) {
      const Input x({T, W}, 1), y({std::max<int64_t>(rows, 1), W}, 2);
      expect_parity({"add",
                     [&](Backend& backend) {
                       Output out({T, W});
                       ops::add(backend, x.tensor(), y.tensor(), out.tensor());
                       return std::vector{out.result()};
                     },
                     sums});
    }
  });
}

TEST(Parity, Copy) {
  const Input x({7, 131}, 1);
  expect_parity({"copy",
                 [&](Backend& backend) {
                   Output out({7, 131});
                   ops::copy(backend, x.tensor(), out.tensor());
                   return std::vector{out.result()};
                 },
                 same, same});
}

TEST(Parity, LayerNorm) {
  for_each_norm_shape([](int64_t T, int64_t W) {
    if (W == 1) return;  // nothing but the bias
    Input x({T, W}, 1), weight({W}, 2), bias({W}, 3);
    for (float& number : x.numbers) number = to_f32(to_bf16(number + 3));
    expect_parity({"layer_norm",
                   [&](Backend& backend) {
                     Output out({T, W});
                     ops::layer_norm(backend, x.tensor(), weight.tensor(), bias.tensor(), eps,
                                     out.tensor());
                     return std::vector{out.result()};
                   },
                   sums});
  });
}

TEST(Parity, RmsNorm) {
  for_each_norm_shape([](int64_t T, int64_t W) {
    const Input x({T, W}, 1), weight({W}, 2);
    expect_parity({"rms_norm",
                   [&](Backend& backend) {
                     Output out({T, W});
                     ops::rms_norm(backend, x.tensor(), weight.tensor(), eps, out.tensor());
                     return std::vector{out.result()};
                   },
                   sums});
  });
}

TEST(Parity, ResidualRmsNorm) {
  for_each_norm_shape([](int64_t T, int64_t W) {
    const Input x({T, W}, 1), y({T, W}, 2), weight({W}, 3);
    expect_parity({"residual_rms_norm",
                   [&](Backend& backend) {
                     Output out({T, W});
                     ops::residual_rms_norm(backend, x.tensor(), y.tensor(), {3.5565588f, 0.75f},
                                            weight.tensor(), eps, out.tensor());
                     return std::vector{out.result()};
                   },
                   sums});
  });
}

TEST(Parity, GatedRmsNorm) {
  for_each_norm_shape([](int64_t T, int64_t W) {
    const Input x({T, W}, 1), gate({T, W}, 2), weight({W}, 3);
    expect_parity({"gated_rms_norm",
                   [&](Backend& backend) {
                     Output out({T, W});
                     ops::gated_rms_norm(backend, x.tensor(), gate.tensor(), weight.tensor(), eps,
                                         out.tensor());
                     return std::vector{out.result()};
                   },
                   sums});
  });
}

TEST(Parity, Rope) {
  struct Widths {
    int64_t D, rotary_dim;
  };
  for (const int64_t T : token_counts) {
    for (const int64_t S : {1, 2, 3}) {
      for (const auto& [D, rotary_dim] :
           {Widths{2, 2}, {8, 4}, {19, 6}, {64, 64}, {128, 64}, {37, 0}}) {
        const std::vector<SequenceSpan> sequences = spans(T, S);
        const Input x({T, 3, D}, 1);
        const Rope rope{rotary_dim, 1e7};
        expect_parity({text("rope ", rotary_dim, " of ", S, " sequences"),
                       [&](Backend& backend) {
                         Output out(x.shape);
                         out.numbers = x.numbers;
                         ops::rope(backend, out.tensor(), sequences, rope);
                         return std::vector{out.result()};
                       },
                       rotations});
      }
    }
  }
}

// A sequence in the middle of its life: random committed state and log before the new tokens.
struct LightningInput {
  LightningInput(SequenceSpan span, int64_t rewind_tokens, int64_t H, int64_t D, uint32_t seed)
      : span(span),
        committed(fold(span.position - rewind_tokens)),
        committed_after(std::max(committed, fold(span.position + span.row_count - rewind_tokens))),
        rows((rewind_tokens + 2 * lightning_block - 1) / lightning_block * lightning_block),
        state({H, D, D}, seed),
        log({H, 2, rows, D}, seed + 1) {
    if (committed == 0) std::fill(state.numbers.begin(), state.numbers.end(), 0.0f);
  }
  static int64_t fold(int64_t tokens) {
    return std::max<int64_t>(tokens, 0) / lightning_block * lightning_block;
  }

  SequenceSpan span;
  int64_t committed;
  int64_t committed_after;
  int64_t rows;
  Input state;
  Input log;
};

// The rows of a log that an operation promises: those of un-folded tokens, in order.
Result unfolded(const std::string& name, const LightningInput& input, const Tensor& log) {
  const int64_t H = log.dim(0), R = log.dim(2), D = log.dim(3);
  const int64_t end = input.span.position + input.span.row_count;
  Result result{name, {H, 2, end - input.committed_after, D}, {}};
  for (int64_t plane = 0; plane < H * 2; ++plane) {
    for (int64_t token = input.committed_after; token < end; ++token) {
      const float* row = log.data<float>() + (plane * R + token % R) * D;
      result.numbers.insert(result.numbers.end(), row, row + D);
    }
  }
  return result;
}

void lightning_row(int64_t T, int64_t S, int64_t H, int64_t D, int64_t rewind_tokens) {
  const Input qkv({T, H, 3, D}, 1);
  std::vector<float> slope;
  for (int64_t h = 0; h < H; ++h) {
    slope.push_back(std::exp2(-8 * static_cast<float>(h + 1) / static_cast<float>(H)));
  }
  std::vector<LightningInput> inputs;
  for (const SequenceSpan& span : spans(T, S)) {
    inputs.emplace_back(span, rewind_tokens, H, D, static_cast<uint32_t>(10 + 2 * inputs.size()));
  }
  const Operation run = [&](Backend& backend) {
    std::vector<Output> states, logs;
    for (const LightningInput& input : inputs) {
      states.emplace_back(input.state.shape).numbers = input.state.numbers;
      logs.emplace_back(input.log.shape).numbers = input.log.numbers;
    }
    std::vector<LightningSequence> sequences;
    for (size_t s = 0; s < inputs.size(); ++s) {
      sequences.push_back({inputs[s].span, inputs[s].committed, inputs[s].committed_after,
                           states[s].tensor(), logs[s].tensor()});
    }
    Output out({T, H, D});
    ops::lightning_attention(backend, qkv.tensor(), Tensor(slope.data(), DType::f32, {H}), 0,
                             sequences, out.tensor());
    std::vector<Result> results{out.result()};
    for (size_t s = 0; s < inputs.size(); ++s) {
      results.push_back(unfolded(text("log ", s), inputs[s], logs[s].tensor()));
      results.push_back(states[s].result(text("state ", s)));
    }
    return results;
  };
  expect_parity({text("lightning_attention of ", S, " sequences, rewind ", rewind_tokens), run,
                 sums, far_between});
}

TEST(Parity, LightningAttention) {
  for (const int64_t T : token_counts) {
    for (const int64_t S : {1, 2, 3}) {
      lightning_row(T, S, 3, 17, 32);
      lightning_row(T, S, 2, 32, 0);
    }
    lightning_row(T, 2, 3, 11, 1);
    lightning_row(T, 2, 1, 64, 100);
  }
  for (const int64_t S : {1, 2, 3}) {
    for (const int64_t T : {1, 2, 8, 9, 31, 33, 64, 65, 96, 128, 255, 257}) {
      lightning_row(T, S, 2, 128, 32);
      lightning_row(T, S, 1, 128, S == 2 ? 100 : 0);
    }
  }
}

// Pages of S sequences as one block of memory, with noise where nothing was stored.
class Pages {
 public:
  Pages(const KvLayout& layout, const std::vector<SequenceSpan>& spans) : layout_(layout) {
    const size_t page_bytes = layout.layer_offset + 2 * layout.plane_bytes();
    for (const SequenceSpan& span : spans) {
      const int64_t end = span.position + span.row_count;
      const int64_t count = (end + layout.page_tokens - 1) / layout.page_tokens;
      counts_.push_back(static_cast<size_t>(count));
    }
    const size_t total = std::accumulate(counts_.begin(), counts_.end(), size_t{0});
    const size_t size = size_of(layout.dtype);
    const Numbers noise(random_numbers(total * page_bytes / size, 77), layout.dtype);
    const Tensor view = noise.tensor(Shape{static_cast<int64_t>(total * page_bytes / size)});
    const auto* from = static_cast<const std::byte*>(view.raw());
    bytes_.assign(from, from + total * page_bytes);
    // From last to first, so that neighbours in the text are none in memory.
    for (size_t i = total; i > 0; --i) addresses_.push_back(bytes_.data() + (i - 1) * page_bytes);
    size_t first = 0;
    for (size_t s = 0; s < spans.size(); ++s) {
      sequences.push_back({spans[s], std::span(addresses_).subspan(first, counts_[s])});
      first += counts_[s];
    }
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  // Every number there is, stored or noise.
  Result all() const {
    const size_t size = size_of(layout_.dtype);
    Result result{"pages", {static_cast<int64_t>(bytes_.size() / size)}, {}};
    const Tensor view(bytes_.data(), layout_.dtype, result.shape);
    for (size_t i = 0; i < bytes_.size() / size; ++i) {
      result.numbers.push_back(layout_.dtype == DType::bf16 ? to_f32(view.data<bf16>()[i])
                                                            : view.data<float>()[i]);
    }
    return result;
  }

  std::vector<KvSequence> sequences;

 private:
  KvLayout layout_;
  std::vector<size_t> counts_;
  std::vector<std::byte> bytes_;
  std::vector<std::byte*> addresses_;
};

struct KvWidths {
  int64_t H, G, D, page_tokens;
};

template <typename Body>
void for_each_kv_shape(const Body& body) {
  for (const DType kv_type : weight_types) {
    for (const int64_t T : token_counts) {
      for (const int64_t S : {1, 2, 3}) {
        body(kv_type, T, S, KvWidths{4, 2, 16, 16});
        if (S == 2) body(kv_type, T, S, KvWidths{3, 1, 19, 7});
      }
    }
    for (const int64_t T : {1, 8, 9, 33, 64, 65, 127, 128, 129, 255, 257}) {
      body(kv_type, T, T % 2 == 0 ? 2 : 3, KvWidths{8, 1, 128, 256});
    }
  }
}

TEST(Parity, StoreKv) {
  for_each_kv_shape([](DType kv_type, int64_t T, int64_t S, KvWidths widths) {
    const KvLayout layout{kv_type, widths.page_tokens, widths.G, widths.D, 64};
    const Input k({T, widths.G, widths.D}, 1), v({T, widths.G, widths.D}, 2);
    expect_parity({text("store_kv ", name_of(kv_type), " of ", S, " sequences, T = ", T, ","),
                   [&](Backend& backend) {
                     const Pages pages(layout, spans(T, S));
                     ops::store_kv(backend, k.tensor(), v.tensor(), layout, pages.sequences);
                     return std::vector{pages.all()};
                   },
                   same, same});
  });
}

void softmax_row(DType kv_type, int64_t T, int64_t S, KvWidths widths, size_t layer_offset) {
  const KvLayout layout{kv_type, widths.page_tokens, widths.G, widths.D, layer_offset};
  const Input q({T, widths.H, widths.D}, 1);
  const Pages pages(layout, spans(T, S));  // noise is as good as any keys and values
  const float scale = 1 / std::sqrt(static_cast<float>(widths.D));
  expect_parity({text("softmax_attention ", name_of(kv_type), " of ", S, " sequences, ", widths.H,
                      " heads on ", widths.G, ","),
                 [&](Backend& backend) {
                   Output out(q.shape);
                   ops::softmax_attention(backend, q.tensor(), scale, layout, pages.sequences,
                                          out.tensor());
                   return std::vector{out.result()};
                 },
                 sums, far_between});
}

// Sequences of which all is there; their pages have room for it and hold noise.
void bidirectional_row(int64_t T, int64_t S, KvWidths widths) {
  const KvLayout layout{DType::f32, widths.page_tokens, widths.G, widths.D, 64};
  const Input q({T, widths.H, widths.D}, 1), k({T, widths.G, widths.D}, 2);
  const Input v({T, widths.G, widths.D}, 3);
  std::vector<SequenceSpan> all = spans(T, S);
  for (SequenceSpan& span : all) span.position = 0;
  const float scale = 1 / std::sqrt(static_cast<float>(widths.D));
  expect_parity({text("bidirectional_attention of ", S, " sequences, ", widths.H, " heads on ",
                      widths.G, ","),
                 [&](Backend& backend) {
                   const Pages pages(layout, all);
                   Output out(q.shape);
                   ops::bidirectional_attention(backend, q.tensor(), k.tensor(), v.tensor(), scale,
                                                layout, pages.sequences, out.tensor());
                   return std::vector{out.result()};
                 },
                 sums, far_between});
}

TEST(Parity, BidirectionalAttention) {
  for (const int64_t T : token_counts) {
    for (const KvWidths widths : {KvWidths{4, 2, 8, 16},
                                  {3, 3, 5, 7},
                                  {1, 1, 64, 128},
                                  {4, 2, 64, 640},
                                  {2, 1, 128, 256}}) {
      bidirectional_row(T, T % 3 + 1, widths);
    }
  }
  // The first of two sequences has a third of the rows: 865 leave 577.
  for (const int64_t T : {79, 80, 81, 127, 128, 129, 208, 209, 384, 577, 865}) {
    bidirectional_row(T, T == 865 ? 2 : 1, {2, 2, 64, 640});
    bidirectional_row(T, 3, {8, 1, 64, 640});
  }
}

TEST(Parity, SoftmaxAttention) {
  for_each_kv_shape([](DType kv_type, int64_t T, int64_t S, KvWidths widths) {
    softmax_row(kv_type, T, S, widths, 64);
  });
}

// Pages that every kernel takes. The first of two sequences has a third of the rows: 865 leave 577.
TEST(Parity, SoftmaxAttentionOfAlignedPages) {
  for (const int64_t T : {1, 9, 47, 48, 63, 64, 65, 95, 127, 128, 129, 255, 257, 577, 865}) {
    for (const KvWidths widths :
         {KvWidths{1, 1, 64, 128}, {4, 2, 64, 256}, {8, 1, 64, 640}, {2, 1, 128, 128}}) {
      softmax_row(DType::bf16, T, T == 865 ? 2 : T % 3 + 1, widths, 256);
    }
  }
}

// Whole numbers: their sums are exact in any order, so that equal logits are equal everywhere.
void make_whole(std::vector<float>& numbers) {
  for (float& x : numbers) x = std::round(2 * x);
}

void route_row(int64_t T, int64_t W, int64_t X, int64_t E, RouterPrecision precision, DType dtype,
               bool whole) {
  Input x({T, W}, 1);
  std::vector<float> numbers = random_numbers(static_cast<size_t>(X * W), 2);
  if (whole) {
    make_whole(x.numbers);
    make_whole(numbers);
  }
  const Numbers weight(numbers, dtype);
  expect_parity(
      {text("route ", name_of(dtype), precision == RouterPrecision::bf16 ? " to bf16" : "",
            whole ? " of whole numbers" : "", " over ", X),
       [&](Backend& backend) {
         std::vector<int32_t> experts(static_cast<size_t>(T * E), -1);
         Output shares({T, E});
         ops::route(backend, x.tensor(), weight.tensor({X, W}), precision,
                    Tensor(experts.data(), DType::i32, {T, E}), shares.tensor());
         return std::vector{Result{"experts", {T, E}, {experts.begin(), experts.end()}},
                            shares.result("shares")};
       },
       sums, sums});
}

TEST(Parity, Route) {
  struct Widths {
    int64_t W, X, E;
  };
  for (const DType dtype : weight_types) {
    for (const int64_t T : token_counts) {
      for (const auto& [W, X, E] :
           {Widths{64, 4, 2}, {67, 32, 2}, {7, 13, 3}, {31, 5, 1}, {5, 4, 4}}) {
        route_row(T, W, X, E, RouterPrecision::f32, dtype, false);
        route_row(T, W, X, E, RouterPrecision::f32, dtype, true);
        route_row(T, W, X, E, RouterPrecision::bf16, dtype, true);
      }
    }
  }
}

struct MoeWidths {
  int64_t W, F, X, E;
};

void moe_row(int64_t T, const MoeWidths& widths, DType dtype) {
  const auto& [W, F, X, E] = widths;
  const Input x({T, W}, 1);
  std::vector<WeightInput> matrices;
  for (uint32_t i = 0; i < static_cast<uint32_t>(X); ++i) {
    matrices.emplace_back(Shape{F, W}, dtype, 10 + 3 * i);
    matrices.emplace_back(Shape{F, W}, dtype, 11 + 3 * i);
    matrices.emplace_back(Shape{W, F}, dtype, 12 + 3 * i);
  }
  std::vector<ExpertWeights> weights;
  for (size_t i = 0; i < matrices.size(); i += 3) {
    weights.push_back({matrices[i].weight(), matrices[i + 1].weight(), matrices[i + 2].weight()});
  }
  // The last expert is nobody's, and the first nearly everybody's.
  std::vector<int32_t> experts;
  std::vector<float> shares;
  const int64_t used = std::max(X - 1, E);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t e = 0; e < E; ++e) {
      const int64_t expert = t % 4 == 0 ? (t + e) % used : e;
      experts.push_back(static_cast<int32_t>((expert + t) % 3 == 0 || E > 1 ? expert : 0));
      shares.push_back(1 / static_cast<float>(E + e));
    }
  }
  expect_parity({text("moe ", name_of(dtype), " of ", X, " experts, width ", F, ","),
                 [&](Backend& backend) {
                   Output out({T, W});
                   ops::moe(backend, x.tensor(), weights,
                            Tensor(experts.data(), DType::i32, {T, E}),
                            Tensor(shares.data(), DType::f32, {T, E}), out.tensor());
                   return std::vector{out.result()};
                 },
                 sums, dtype == DType::bf16 ? far_between : not_on_a_gpu});
}

TEST(Parity, Moe) {
  for (const DType dtype : weight_types) {
    for (const int64_t T : token_counts) {
      for (const MoeWidths& widths :
           {MoeWidths{64, 48, 4, 2}, {67, 31, 5, 2}, {7, 13, 3, 3}, {1, 1, 2, 1}}) {
        moe_row(T, widths, dtype);
      }
    }
    for (const int64_t T : {1, 65}) moe_row(T, {131, 257, 8, 2}, dtype);
    for (const int64_t T : {1, 2, 16, 17, 64, 65, 130, 300}) moe_row(T, {256, 384, 6, 2}, dtype);
    // More tokens an expert than one product has columns.
    for (const int64_t T : {193, 255, 256, 257, 264, 273, 300}) moe_row(T, {136, 200, 2, 2}, dtype);
  }
}

}  // namespace
}  // namespace minimax
