// SPDX-License-Identifier: Apache-2.0
// Dimensions of a tensor, with products that refuse to overflow.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>

#include "base/error.h"

namespace minimax {

// The product of two sizes that are not negative; MINIMAX_BAD_FILE when it does not fit in int64_t.
inline int64_t checked_product(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) {
    fail(MINIMAX_BAD_FILE, "size ", a, " x ", b, " overflows");
  }
  return product;
}

// Up to four dimensions, outermost first. A value type.
class Shape {
 public:
  static constexpr int max_rank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    require(dims.size() <= max_rank, "tensor of ", dims.size(), " dimensions, at most 4");
    for (int i = 0; i < rank_; ++i) dims_[static_cast<size_t>(i)] = dims[static_cast<size_t>(i)];
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const {
    assert(i >= 0 && i < rank_);
    return dims_[static_cast<size_t>(i)];
  }
  int64_t element_count() const {
    int64_t count = 1;
    for (int i = 0; i < rank_; ++i) count = checked_product(count, (*this)[i]);
    return count;
  }
  bool operator==(const Shape&) const = default;

  // "[24576, 6144]"
  std::string to_string() const {
    std::string out = "[";
    for (int i = 0; i < rank_; ++i) out += text(i ? ", " : "", (*this)[i]);
    return out + "]";
  }

 private:
  int rank_ = 0;
  std::array<int64_t, max_rank> dims_{};  // dims_[i] is 0 for i >= rank_
};

}  // namespace minimax
