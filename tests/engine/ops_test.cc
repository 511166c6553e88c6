// SPDX-License-Identifier: Apache-2.0
// The doors of the operations: what they refuse, in which words, and what never reaches a device.
#include "engine/ops/ops.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace minimax {
namespace {

// Counts the operations that get through.
class CountingBackend final : public Backend {
 public:
  const std::string& name() const override { return name_; }
  Memory& memory() override { return host_memory(); }
  DType activation_type() const override { return DType::f32; }
  void reserve(const StepLimits&) override {}
  size_t scratch_bytes(const StepLimits&) const override { return 0; }

  using T = const Tensor&;
  void embed(T, T, T) override { ++calls; }
  void linear(T, const Weight&, Activation, T) override { ++calls; }
  void logits(T, const Weight&, T) override { ++calls; }
  void rms_norm(T, T, float, T) override { ++calls; }
  void residual_rms_norm(T, T, ResidualScale, T, float, T) override { ++calls; }
  void gated_rms_norm(T, T, T, float, T) override { ++calls; }
  void rope(T, std::span<const SequenceSpan>, Rope) override { ++calls; }
  void lightning_attention(T, T, int64_t, std::span<const LightningSequence>, T) override {
    ++calls;
  }
  void store_kv(T, T, const KvLayout&, std::span<const KvSequence>) override { ++calls; }
  void biased_linear(T, const Weight&, T, Activation, T) override { ++calls; }
  void add_biased_linear(T, const Weight&, T, T, T) override { ++calls; }
  void add(T, T, T) override { ++calls; }
  void copy(T, T) override { ++calls; }
  void layer_norm(T, T, T, float, T) override { ++calls; }
  void softmax_attention(T, float, const KvLayout&, std::span<const KvSequence>, T) override {
    ++calls;
  }
  void bidirectional_attention(T, T, T, float, const KvLayout&, std::span<const KvSequence>,
                               T) override {
    ++calls;
  }
  void route(T, T, RouterPrecision, T, T) override { ++calls; }
  void moe(T, std::span<const ExpertWeights>, T, T, T) override { ++calls; }
  void sample(std::span<const LogitsRow>, T, T, T) override { ++calls; }

  int calls = 0;

 private:
  std::string name_ = "counting";
};

// Doors look at shapes and types only, so all tensors may share some numbers.
Tensor tensor(const Shape& shape, DType dtype = DType::f32) {
  static std::vector<float> numbers(4096);
  return Tensor(numbers.data(), dtype, shape);
}

Tensor bf16_tensor(const Shape& shape) {
  return tensor(shape, DType::bf16);
}
Tensor i32_tensor(const Shape& shape) {
  return tensor(shape, DType::i32);
}

class Door : public ::testing::Test {
 protected:
  void expect_refused(const std::string& sentence, const std::function<void(Backend&)>& call) {
    CountingBackend backend;
    try {
      call(backend);
      ADD_FAILURE() << "not refused: " << sentence;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), MINIMAX_INVALID_ARGUMENT);
      EXPECT_EQ(error.message(), sentence);
    }
    EXPECT_EQ(backend.calls, 0);
  }
  void expect_calls(int count, const std::function<void(Backend&)>& call) {
    CountingBackend backend;
    call(backend);
    EXPECT_EQ(backend.calls, count);
  }
};

TEST_F(Door, Embed) {
  const auto call = [](const Tensor& ids, const Tensor& table, const Tensor& out) {
    return [=](Backend& b) { ops::embed(b, ids, table, out); };
  };
  expect_calls(1, call(i32_tensor({3}), bf16_tensor({10, 8}), tensor({3, 8})));
  expect_calls(1, call(i32_tensor({3}), tensor({10, 8}), tensor({3, 8})));
  expect_calls(0, call(i32_tensor({0}), tensor({10, 8}), tensor({0, 8})));
  expect_refused("ids has 2 dimensions, expected 1",
                 call(i32_tensor({3, 1}), tensor({10, 8}), tensor({3, 8})));
  expect_refused("ids is f32, expected i32", call(tensor({3}), tensor({10, 8}), tensor({3, 8})));
  expect_refused("table has 1 dimensions, expected 2",
                 call(i32_tensor({3}), tensor({80}), tensor({3, 8})));
  expect_refused("table is i32, expected contiguous bf16 or f32",
                 call(i32_tensor({3}), i32_tensor({10, 8}), tensor({3, 8})));
  expect_refused("out is [3, 7], expected [3, 8]",
                 call(i32_tensor({3}), tensor({10, 8}), tensor({3, 7})));
  expect_refused("out is bf16, expected f32",
                 call(i32_tensor({3}), tensor({10, 8}), bf16_tensor({3, 8})));
}

TEST_F(Door, Linear) {
  const auto call = [](const Tensor& x, const Tensor& weight, const Tensor& out) {
    return [=](Backend& b) { ops::linear(b, x, Weight{weight}, Activation::none, out); };
  };
  expect_calls(1, call(tensor({3, 8}), bf16_tensor({5, 8}), tensor({3, 5})));
  expect_calls(0, call(tensor({0, 8}), tensor({5, 8}), tensor({0, 5})));
  expect_calls(0, call(tensor({3, 8}), tensor({0, 8}), tensor({3, 0})));
  expect_refused("x has 3 dimensions, expected 2",
                 call(tensor({3, 2, 4}), tensor({5, 8}), tensor({3, 5})));
  expect_refused("weight is [5, 9], expected [5, 8]",
                 call(tensor({3, 8}), tensor({5, 9}), tensor({3, 5})));
  expect_refused("weight is f16, expected contiguous bf16 or f32",
                 call(tensor({3, 8}), tensor({5, 8}, DType::f16), tensor({3, 5})));
  expect_refused("x is bf16, expected f32",
                 call(bf16_tensor({3, 8}), tensor({5, 8}), tensor({3, 5})));
  expect_refused("out is [5, 3], expected [3, 5]",
                 call(tensor({3, 8}), tensor({5, 8}), tensor({5, 3})));
  expect_refused("out is bf16, expected f32",
                 call(tensor({3, 8}), tensor({5, 8}), bf16_tensor({3, 5})));
}

TEST_F(Door, Logits) {
  const auto call = [](const Tensor& x, const Tensor& weight, const Tensor& out) {
    return [=](Backend& b) { ops::logits(b, x, Weight{weight}, out); };
  };
  expect_calls(1, call(tensor({3, 8}), bf16_tensor({5, 8}), tensor({3, 5})));
  expect_calls(0, call(tensor({0, 8}), tensor({5, 8}), tensor({0, 5})));
  expect_refused("weight is [5, 7], expected [5, 8]",
                 call(tensor({3, 8}), tensor({5, 7}), tensor({3, 5})));
  expect_refused("logits is bf16, expected f32",
                 call(tensor({3, 8}), tensor({5, 8}), bf16_tensor({3, 5})));
  expect_refused("logits is [3, 6], expected [3, 5]",
                 call(tensor({3, 8}), tensor({5, 8}), tensor({3, 6})));
}

TEST_F(Door, RmsNorm) {
  const auto call = [](const Tensor& x, const Tensor& weight, const Tensor& out) {
    return [=](Backend& b) { ops::rms_norm(b, x, weight, 1e-5f, out); };
  };
  expect_calls(1, call(tensor({3, 8}), tensor({8}), tensor({3, 8})));
  expect_calls(0, call(tensor({0, 8}), tensor({8}), tensor({0, 8})));
  expect_refused("x has 1 dimensions, expected 2", call(tensor({8}), tensor({8}), tensor({8})));
  expect_refused("weight is [1, 8], expected [8]",
                 call(tensor({3, 8}), tensor({1, 8}), tensor({3, 8})));
  expect_refused("weight is bf16, expected f32",
                 call(tensor({3, 8}), bf16_tensor({8}), tensor({3, 8})));
  expect_refused("out is [2, 8], expected [3, 8]",
                 call(tensor({3, 8}), tensor({8}), tensor({2, 8})));
}

TEST_F(Door, ResidualRmsNorm) {
  const auto call = [](const Tensor& x, const Tensor& y, const Tensor& weight, const Tensor& out) {
    return [=](Backend& b) { ops::residual_rms_norm(b, x, y, {2, 1}, weight, 1e-5f, out); };
  };
  const Tensor x = tensor({3, 8}), weight = tensor({8});
  expect_calls(1, call(x, x, weight, x));
  expect_calls(0, call(tensor({0, 8}), tensor({0, 8}), weight, tensor({0, 8})));
  expect_refused("y is [3, 7], expected [3, 8]", call(x, tensor({3, 7}), weight, x));
  expect_refused("y is bf16, expected f32", call(x, bf16_tensor({3, 8}), weight, x));
  expect_refused("weight is [7], expected [8]", call(x, x, tensor({7}), x));
  expect_refused("out is [3, 9], expected [3, 8]", call(x, x, weight, tensor({3, 9})));
}

TEST_F(Door, GatedRmsNorm) {
  const auto call = [](const Tensor& x, const Tensor& gate, const Tensor& weight,
                       const Tensor& out) {
    return [=](Backend& b) { ops::gated_rms_norm(b, x, gate, weight, 1e-6f, out); };
  };
  const Tensor x = tensor({3, 8}), weight = tensor({8});
  expect_calls(1, call(x, x, weight, x));
  expect_calls(0, call(tensor({0, 8}), tensor({0, 8}), weight, tensor({0, 8})));
  expect_refused("gate is [4, 8], expected [3, 8]", call(x, tensor({4, 8}), weight, x));
  expect_refused("weight is i32, expected f32", call(x, x, i32_tensor({8}), x));
  expect_refused("out is i32, expected f32", call(x, x, weight, i32_tensor({3, 8})));
}

TEST_F(Door, Rope) {
  const auto call = [](const Tensor& x, std::vector<SequenceSpan> spans, int64_t rotary_dim) {
    return [=](Backend& b) { ops::rope(b, x, spans, {rotary_dim, 1e7}); };
  };
  const Tensor x = tensor({5, 2, 8});
  expect_calls(1, call(x, {{0, 3, 7}, {3, 2, 0}}, 8));
  expect_calls(0, call(x, {{0, 5, 0}}, 0));
  expect_calls(0, call(tensor({0, 2, 8}), {}, 8));
  expect_refused("x has 2 dimensions, expected 3", call(tensor({5, 8}), {{0, 5, 0}}, 8));
  expect_refused("sequences hold 3 rows, the step has 5", call(x, {{0, 3, 0}}, 8));
  expect_refused("sequence starts at row 2, expected 3", call(x, {{0, 3, 0}, {2, 2, 0}}, 8));
  expect_refused("sequence starts at row 0, expected 3", call(x, {{0, 3, 0}, {0, 2, 0}}, 8));
  expect_refused("rotary_dim is 10, expected an even number up to 8", call(x, {{0, 5, 0}}, 10));
  expect_refused("rotary_dim is 3, expected an even number up to 8", call(x, {{0, 5, 0}}, 3));
  expect_refused("rotary_dim is -2, expected an even number up to 8", call(x, {{0, 5, 0}}, -2));
}

class LightningDoor : public Door {
 protected:
  // 5 new tokens after 40, committed to 32.
  LightningSequence sequence() const {
    return {{0, 5, 40}, 32, 32, tensor({2, 4, 4}), tensor({2, 2, 32, 4})};
  }
  std::function<void(Backend&)> call(const LightningSequence& sequence) const {
    return [=](Backend& b) {
      ops::lightning_attention(b, tensor({5, 2, 3, 4}), tensor({2}), 0, {&sequence, 1},
                               tensor({5, 2, 4}));
    };
  }
};

TEST_F(LightningDoor, Tensors) {
  const auto call = [this](const Tensor& qkv, const Tensor& slope, const Tensor& out) {
    return [=, this](Backend& b) {
      const LightningSequence only = sequence();
      ops::lightning_attention(b, qkv, slope, 0, {&only, 1}, out);
    };
  };
  expect_calls(1, call(tensor({5, 2, 3, 4}), tensor({2}), tensor({5, 2, 4})));
  expect_refused("qkv has 3 dimensions, expected 4",
                 call(tensor({5, 6, 4}), tensor({2}), tensor({5, 2, 4})));
  expect_refused("qkv is [5, 2, 2, 4], expected [5, 2, 3, 4]",
                 call(tensor({5, 2, 2, 4}), tensor({2}), tensor({5, 2, 4})));
  expect_refused("slope is [3], expected [2]",
                 call(tensor({5, 2, 3, 4}), tensor({3}), tensor({5, 2, 4})));
  expect_refused("out is [5, 8], expected [5, 2, 4]",
                 call(tensor({5, 2, 3, 4}), tensor({2}), tensor({5, 8})));
  expect_refused("sequences hold 5 rows, the step has 6",
                 call(tensor({6, 2, 3, 4}), tensor({2}), tensor({6, 2, 4})));
}

TEST_F(LightningDoor, NoTokens) {
  expect_calls(0, [](Backend& b) {
    ops::lightning_attention(b, tensor({0, 2, 3, 4}), tensor({2}), 0, {}, tensor({0, 2, 4}));
  });
}

TEST_F(LightningDoor, StateAndLog) {
  LightningSequence s = sequence();
  s.state = tensor({2, 4, 5});
  expect_refused("state is [2, 4, 5], expected [2, 4, 4]", call(s));
  s = sequence();
  s.state = bf16_tensor({2, 4, 4});
  expect_refused("state is bf16, expected f32", call(s));
  s = sequence();
  s.log = tensor({2, 32, 4});
  expect_refused("log has 3 dimensions, expected 4", call(s));
  s.log = tensor({2, 1, 32, 4});
  expect_refused("log is [2, 1, 32, 4], expected [2, 2, 32, 4]", call(s));
  s.log = bf16_tensor({2, 2, 32, 4});
  expect_refused("log is bf16, expected f32", call(s));
}

TEST_F(LightningDoor, CommittedTokens) {
  const auto refused = [this](int64_t committed, int64_t after, int64_t rows) {
    LightningSequence s = sequence();
    s.committed = committed;
    s.committed_after = after;
    s.log = tensor({2, 2, rows, 4});
    expect_refused(text("committed ", committed, " to ", after, " does not suit tokens 40 to 45"),
                   call(s));
  };
  refused(8, 32, 64);    // no multiple of the block
  refused(32, 40, 64);   // likewise
  refused(32, 32, 40);   // rows likewise
  refused(64, 64, 64);   // more than there are
  refused(32, 64, 64);   // more than there will be
  refused(32, 0, 64);    // backwards
  refused(-32, 32, 96);  // before the beginning
}

TEST_F(LightningDoor, RowsOfTheLog) {
  LightningSequence s = sequence();
  s.committed = 0;
  s.committed_after = 32;
  expect_refused("log of 32 rows is too short for tokens 0 to 45", call(s));  // 40 are un-folded
  s.committed_after = 0;
  expect_refused("log of 32 rows is too short for tokens 0 to 45", call(s));  // 45 stay un-folded
  s.log = tensor({2, 2, 64, 4});
  expect_calls(1, call(s));
}

class KvDoor : public Door {
 protected:
  static constexpr KvLayout layout{DType::bf16, 16, 2, 8, 0};
  std::vector<std::byte*> pages = std::vector<std::byte*>(3);  // 48 tokens
  KvSequence sequence(SequenceSpan span) const { return {span, pages}; }
};

TEST_F(KvDoor, StoreKv) {
  const auto call = [this](const Tensor& k, const Tensor& v, SequenceSpan span) {
    return [=, this](Backend& b) {
      const KvSequence only = sequence(span);
      ops::store_kv(b, k, v, layout, {&only, 1});
    };
  };
  const Tensor k = tensor({8, 2, 8});
  expect_calls(1, call(k, k, {0, 8, 40}));
  expect_calls(0, call(tensor({0, 2, 8}), tensor({0, 2, 8}), {0, 0, 48}));
  expect_refused("k has 2 dimensions, expected 3", call(tensor({8, 16}), k, {0, 8, 0}));
  expect_refused("k is [8, 3, 8], expected [8, 2, 8]", call(tensor({8, 3, 8}), k, {0, 8, 0}));
  expect_refused("k is bf16, expected f32", call(bf16_tensor({8, 2, 8}), k, {0, 8, 0}));
  expect_refused("v is [7, 2, 8], expected [8, 2, 8]", call(k, tensor({7, 2, 8}), {0, 8, 0}));
  expect_refused("sequences hold 7 rows, the step has 8", call(k, k, {0, 7, 0}));
  expect_refused("pages have room for 48 tokens, 49 are needed", call(k, k, {0, 8, 41}));
}

TEST_F(KvDoor, BidirectionalAttention) {
  const auto call = [this](const Tensor& q, const Tensor& k, const Tensor& v, SequenceSpan span) {
    return [=, this](Backend& b) {
      const KvSequence only = sequence(span);
      ops::bidirectional_attention(b, q, k, v, 0.5f, layout, {&only, 1}, q);
    };
  };
  const Tensor q = tensor({8, 4, 8}), k = tensor({8, 2, 8});
  expect_calls(1, call(q, k, k, {0, 8, 0}));
  expect_calls(0, call(tensor({0, 4, 8}), tensor({0, 2, 8}), tensor({0, 2, 8}), {0, 0, 0}));
  expect_refused("k is [8, 4, 8], expected [8, 2, 8]", call(q, q, k, {0, 8, 0}));
  expect_refused("v is [7, 2, 8], expected [8, 2, 8]", call(q, k, tensor({7, 2, 8}), {0, 8, 0}));
  expect_refused("v is bf16, expected f32", call(q, k, bf16_tensor({8, 2, 8}), {0, 8, 0}));
  expect_refused("sequence begins at position 3, expected 0", call(q, k, k, {0, 8, 3}));
  expect_refused("sequences hold 7 rows, the step has 8", call(q, k, k, {0, 7, 0}));
}

TEST_F(KvDoor, SoftmaxAttention) {
  const auto call = [this](const Tensor& q, const Tensor& out, SequenceSpan span) {
    return [=, this](Backend& b) {
      const KvSequence only = sequence(span);
      ops::softmax_attention(b, q, 0.5f, layout, {&only, 1}, out);
    };
  };
  const Tensor q = tensor({8, 4, 8});
  expect_calls(1, call(q, q, {0, 8, 40}));
  expect_calls(0, call(tensor({0, 4, 8}), tensor({0, 4, 8}), {0, 0, 9}));
  expect_refused("q is [8, 4, 7], expected [8, 4, 8]", call(tensor({8, 4, 7}), q, {0, 8, 0}));
  expect_refused("q has 5 heads for 2 key heads", call(tensor({8, 5, 8}), q, {0, 8, 0}));
  expect_refused("out is [8, 2, 8], expected [8, 4, 8]", call(q, tensor({8, 2, 8}), {0, 8, 0}));
  expect_refused("sequence starts at row 1, expected 0", call(q, q, {1, 8, 0}));
  expect_refused("pages have room for 48 tokens, 56 are needed", call(q, q, {0, 8, 48}));
}

TEST_F(Door, Route) {
  const auto call = [](const Tensor& x, const Tensor& weight, const Tensor& experts,
                       const Tensor& shares) {
    return [=](Backend& b) { ops::route(b, x, weight, RouterPrecision::f32, experts, shares); };
  };
  const Tensor x = tensor({3, 8}), weight = tensor({4, 8});
  expect_calls(1, call(x, weight, i32_tensor({3, 2}), tensor({3, 2})));
  expect_calls(0, call(tensor({0, 8}), weight, i32_tensor({0, 2}), tensor({0, 2})));
  expect_refused("weight is [4, 9], expected [4, 8]",
                 call(x, tensor({4, 9}), i32_tensor({3, 2}), tensor({3, 2})));
  expect_refused("weight is i32, expected contiguous bf16 or f32",
                 call(x, i32_tensor({4, 8}), i32_tensor({3, 2}), tensor({3, 2})));
  expect_refused("5 experts a token of 4", call(x, weight, i32_tensor({3, 5}), tensor({3, 5})));
  expect_refused("0 experts a token of 4", call(x, weight, i32_tensor({3, 0}), tensor({3, 0})));
  expect_refused("experts is f32, expected i32", call(x, weight, tensor({3, 2}), tensor({3, 2})));
  expect_refused("experts is [2, 2], expected [3, 2]",
                 call(x, weight, i32_tensor({2, 2}), tensor({3, 2})));
  expect_refused("shares is [3, 1], expected [3, 2]",
                 call(x, weight, i32_tensor({3, 2}), tensor({3, 1})));
}

class MoeDoor : public Door {
 protected:
  std::function<void(Backend&)> call(ExpertWeights changed) const {
    return [=, this](Backend& b) {
      const std::vector<ExpertWeights> weights{expert, changed};
      ops::moe(b, tensor({3, 8}), weights, i32_tensor({3, 2}), tensor({3, 2}), tensor({3, 8}));
    };
  }
  const ExpertWeights expert{{bf16_tensor({6, 8})}, {bf16_tensor({6, 8})}, {bf16_tensor({8, 6})}};
};

TEST_F(MoeDoor, Weights) {
  ExpertWeights changed = expert;
  expect_calls(1, call(changed));
  changed.up.values = tensor({5, 8});
  expect_refused("up is [5, 8], expected [6, 8]", call(changed));
  changed = expert;
  changed.gate.values = tensor({6, 7});
  expect_refused("gate is [6, 7], expected [6, 8]", call(changed));
  changed = expert;
  changed.down.values = tensor({6, 8});
  expect_refused("down is [6, 8], expected [8, 6]", call(changed));
  changed.down.values = tensor({8, 6}, DType::f16);
  expect_refused("down is f16, expected contiguous bf16 or f32", call(changed));
}

TEST_F(MoeDoor, Tensors) {
  const auto call = [this](const Tensor& x, const Tensor& experts, const Tensor& shares,
                           const Tensor& out) {
    return [=, this](Backend& b) { ops::moe(b, x, {&expert, 1}, experts, shares, out); };
  };
  const Tensor x = tensor({3, 8});
  expect_calls(0, call(tensor({0, 8}), i32_tensor({0, 2}), tensor({0, 2}), tensor({0, 8})));
  expect_refused("experts has 1 dimensions, expected 2",
                 call(x, i32_tensor({3}), tensor({3, 2}), x));
  expect_refused("experts is [4, 2], expected [3, 2]",
                 call(x, i32_tensor({4, 2}), tensor({3, 2}), x));
  expect_refused("shares is bf16, expected f32",
                 call(x, i32_tensor({3, 2}), bf16_tensor({3, 2}), x));
  expect_refused("out is [3, 9], expected [3, 8]",
                 call(x, i32_tensor({3, 2}), tensor({3, 2}), tensor({3, 9})));
}

TEST_F(Door, Sample) {
  const auto call = [](const std::vector<LogitsRow>& rows, const Tensor& suppressed,
                       const Tensor& tokens, const Tensor& logprobs) {
    return [=](Backend& b) { ops::sample(b, rows, suppressed, tokens, logprobs); };
  };
  const auto row = [](int64_t count, const DrawRule& rule = {}) {
    return LogitsRow{tensor({count}), rule};
  };
  const Tensor words = i32_tensor({2}), tokens = i32_tensor({2}), logprobs = tensor({2});
  expect_calls(1, call({row(33), row(33)}, words, tokens, logprobs));
  expect_calls(0, call({}, words, i32_tensor({0}), tensor({0})));
  expect_refused("tokens is [2], expected [1]", call({row(33)}, words, tokens, logprobs));
  expect_refused("logprobs is i32, expected f32", call({row(33), row(33)}, words, tokens, tokens));
  expect_refused("logits is [32], expected [33]",
                 call({row(33), row(32)}, words, tokens, logprobs));
  expect_refused("suppressed is [2], expected [1]",
                 call({row(32), row(32)}, words, tokens, logprobs));
  expect_refused("vocabulary of 0, expected 1 to 1073741824",
                 call({row(0), row(0)}, words, tokens, logprobs));
  expect_refused("a rule with temperature 1, top_k 0, top_p 1, min_p 2, uniform 0 is out of range",
                 call({row(33), row(33, {.temperature = 1, .min_p = 2})}, words, tokens, logprobs));
}

}  // namespace
}  // namespace minimax
