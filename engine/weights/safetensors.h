// SPDX-License-Identifier: Apache-2.0
// The header of a safetensors file: which tensors lie where in it. Reads no weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"

namespace minimax {

// One tensor as the header declares it.
struct StoredTensor {
  std::string name;
  std::string dtype_name;      // as written: "BF16"
  std::optional<DType> dtype;  // nothing when the library does not compute with that type
  std::vector<int64_t> dims;   // outermost first; more than four are possible, though never wanted
  size_t offset = 0;           // of its first byte, from the start of the file
  size_t size_bytes = 0;
};

// Reads the header of a whole file's bytes and checks all of it: bounds, sizes, overlaps, duplicate
// names. `source` names the file in errors, which are MINIMAX_BAD_FILE. Ordered by offset. Tensors
// of unknown types are listed, so that a file may hold some that nobody asks for.
std::vector<StoredTensor> read_safetensors_header(std::span<const std::byte> file,
                                                  std::string_view source);

// "[24576, 6144]", of any number of dimensions.
std::string dims_to_string(std::span<const int64_t> dims);

}  // namespace minimax
