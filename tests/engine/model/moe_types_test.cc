// SPDX-License-Identifier: Apache-2.0
// Experts of different types in one layer are refused when the layer is loaded.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/model/moe.h"

namespace minimax {
namespace {

// Gives every matrix as bf16, but one as f32.
class MixedSource final : public WeightSource {
 public:
  explicit MixedSource(std::string odd_name)
      : WeightSource(host_memory(), LoadOptions()), odd_name_(std::move(odd_name)) {}
  bool has(std::string_view) const override { return true; }
  using WeightSource::matrix;
  Tensor matrix(std::string_view name, const Shape& expected) override {
    return take(name == odd_name_ ? DType::f32 : DType::bf16, expected);
  }
  Tensor tensor_as(DType, std::string_view, const Shape& expected) override {
    return take(DType::f32, expected);
  }
  void read_pages() override {}

 private:
  Tensor take(DType dtype, const Shape& shape) {
    const size_t size_bytes = static_cast<size_t>(shape.element_count()) * size_of(dtype);
    taken_.emplace_back(host_memory(), size_bytes);
    return taken_.back().tensor(dtype, shape);
  }

  std::string odd_name_;
  std::vector<Buffer> taken_;
};

MoeTensors two_experts() {
  MoeTensors tensors;
  tensors.gate = {"gate", {2, 8}};
  tensors.experts = {{{"0.w1", {4, 8}}, {"0.w3", {4, 8}}, {"0.w2", {8, 4}}},
                     {{"1.w1", {4, 8}}, {"1.w3", {4, 8}}, {"1.w2", {8, 4}}}};
  return tensors;
}

ModelConfig config_of_two() {
  ModelConfig config;
  config.width = 8;
  config.expert_count = 2;
  config.experts_per_token = 1;
  config.expert_width = 4;
  return config;
}

TEST(Moe, LoadsExpertsOfOneType) {
  MixedSource source("none");
  EXPECT_NO_THROW(Moe(config_of_two(), two_experts(), source));
}

TEST(Moe, RefusesAnyExpertMatrixOfAnotherType) {
  for (const char* odd : {"0.w3", "0.w2", "1.w1", "1.w3", "1.w2"}) {
    MixedSource source(odd);
    try {
      Moe(config_of_two(), two_experts(), source);
      ADD_FAILURE() << odd << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), MINIMAX_UNSUPPORTED);
      EXPECT_EQ(error.message(), "gate: experts of both bf16 and f32, expected one type");
    }
  }
}

}  // namespace
}  // namespace minimax
