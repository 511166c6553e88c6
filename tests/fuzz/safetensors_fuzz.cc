// SPDX-License-Identifier: Apache-2.0
// Any bytes as a safetensors file: what is accepted lies within the file, all else is an Error.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "engine/weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  try {
    size_t end = 0;
    for (const minimax::StoredTensor& tensor : minimax::read_safetensors_header(file, "fuzz")) {
      if (tensor.size_bytes == 0) continue;
      if (tensor.offset < end || tensor.offset > size) std::abort();
      if (tensor.size_bytes > size - tensor.offset) std::abort();
      end = tensor.offset + tensor.size_bytes;
    }
  } catch (const minimax::Error& error) {
    if (error.status() != MINIMAX_BAD_FILE || error.message().size() > 2000) std::abort();
  }
  return 0;
}
