// SPDX-License-Identifier: Apache-2.0
#include "base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace minimax {
namespace {

TEST(DType, Bf16RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(1.0f).bits, 0x3f80);
  EXPECT_EQ(to_bf16(1.00390625f).bits, 0x3f80);  // halfway, to the even one below
  EXPECT_EQ(to_bf16(1.01171875f).bits, 0x3f82);  // halfway, to the even one above
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_TRUE(std::isnan(to_f32(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(DType, EveryBf16SurvivesTheWayThroughF32) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const bf16 x{static_cast<uint16_t>(bits)};
    if (std::isnan(to_f32(x))) continue;
    EXPECT_EQ(to_bf16(to_f32(x)).bits, x.bits);
  }
}

TEST(DType, F16HasItsKnownValues) {
  EXPECT_EQ(to_f32(f16{0x3c00}), 1.0f);
  EXPECT_EQ(to_f32(f16{0xc000}), -2.0f);
  EXPECT_EQ(to_f32(f16{0x7bff}), 65504.0f);
  EXPECT_EQ(to_f32(f16{0x0001}), 0x1p-24f);
  EXPECT_EQ(to_f32(f16{0x03ff}), 1023 * 0x1p-24f);
  EXPECT_TRUE(std::signbit(to_f32(f16{0x8000})));
  EXPECT_EQ(to_f32(f16{0x7c00}), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(to_f32(f16{0x7e00})));
}

}  // namespace
}  // namespace minimax
