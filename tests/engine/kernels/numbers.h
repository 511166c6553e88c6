// SPDX-License-Identifier: Apache-2.0
// Random numbers for tests of matrix products, and tensors over them.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "base/dtype.h"
#include "engine/tensor/tensor.h"

namespace minimax {

inline std::vector<float> random_numbers(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& x : numbers) x = normal(generator);
  return numbers;
}

// f32 or bf16 numbers as a weight file may hold them: no more aligned than `first` of them, which lie
// before the first that counts.
class Numbers {
 public:
  Numbers(const std::vector<float>& from, DType dtype, size_t first = 1)
      : dtype_(dtype),
        first_(first),
        bytes_((from.size() + first) * size_of(dtype)),
        values_(from.size()) {
    for (size_t i = 0; i < from.size(); ++i) {
      const bf16 half = to_bf16(from[i]);
      values_[i] = dtype == DType::bf16 ? to_f32(half) : from[i];
      if (dtype == DType::bf16) {
        std::memcpy(data() + i * sizeof half, &half, sizeof half);
      } else {
        std::memcpy(data() + i * sizeof(float), &from[i], sizeof(float));
      }
    }
  }

  // What number i is.
  float operator[](size_t i) const { return values_[i]; }
  Tensor tensor(const Shape& shape) const { return {data(), dtype_, shape}; }

 private:
  std::byte* data() { return bytes_.data() + first_ * size_of(dtype_); }
  const void* data() const { return bytes_.data() + first_ * size_of(dtype_); }

  DType dtype_;
  size_t first_;
  std::vector<std::byte> bytes_;
  std::vector<float> values_;
};

}  // namespace minimax
