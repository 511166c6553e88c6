// SPDX-License-Identifier: Apache-2.0
// Any text as model.safetensors.index.json: files that are accepted have plain names.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "engine/weights/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const minimax::CheckpointIndex index = minimax::parse_checkpoint_index(text, "fuzz");
    for (const std::string& file : index.files) {
      if (file.empty() || file == ".." || file.find('/') != file.npos) std::abort();
    }
    for (const auto& [name, file] : index.tensors) {
      if (file >= index.files.size()) std::abort();
    }
  } catch (const minimax::Error& error) {
    if (error.status() != MINIMAX_BAD_FILE) std::abort();
  }
  return 0;
}
