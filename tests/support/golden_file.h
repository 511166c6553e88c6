// SPDX-License-Identifier: Apache-2.0
// The tensors of a golden.safetensors file, by name.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file_map.h"
#include "engine/weights/safetensors.h"

namespace minimax::testing {

struct GoldenTensor {
  std::vector<int64_t> dims;
  std::vector<float> numbers;  // of an F32 tensor
  std::vector<int32_t> ids;    // of an I32 tensor

  // The i-th slice along the first dimension.
  std::span<const float> row(size_t i) const {
    const size_t width = numbers.size() / static_cast<size_t>(dims[0]);
    return std::span(numbers).subspan(i * width, width);
  }
};

class GoldenFile {
 public:
  explicit GoldenFile(const std::filesystem::path& path) {
    const FileMap map = FileMap::open(path);
    for (const StoredTensor& stored : read_safetensors_header(map.bytes(), path.string())) {
      GoldenTensor tensor{stored.dims, {}, {}};
      const void* from = map.bytes().data() + stored.offset;
      if (stored.dtype == DType::f32) {
        tensor.numbers.resize(stored.size_bytes / 4);
        std::memcpy(tensor.numbers.data(), from, stored.size_bytes);
      } else {
        tensor.ids.resize(stored.size_bytes / 4);
        std::memcpy(tensor.ids.data(), from, stored.size_bytes);
      }
      tensors_.emplace(stored.name, std::move(tensor));
    }
  }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  const GoldenTensor& operator[](const std::string& name) const { return tensors_.at(name); }

 private:
  std::map<std::string, GoldenTensor> tensors_;
};

// Largest absolute difference; infinity when a number is not one.
inline double largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = difference == difference ? difference : 1e300;
  }
  return largest;
}

// Sum of squared differences over the sum of squares of the expected.
inline double normalised_error(std::span<const float> found, std::span<const float> expected) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += (double{found[i]} - expected[i]) * (double{found[i]} - expected[i]);
    size += double{expected[i]} * expected[i];
  }
  return difference / size;
}

}  // namespace minimax::testing
