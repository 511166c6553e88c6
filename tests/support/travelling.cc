// SPDX-License-Identifier: Apache-2.0
// Takes the place of what a program that is carried to another machine would need libraries for: reading
// tokenizers, and checksums that choose among instruction sets.
#include <xxhash.h>

#include "tokenizer/tokenizer.h"

namespace minimax {

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path&) {
  return nullptr;
}

}  // namespace minimax

// Those of the archive, which knows one instruction set.
extern "C" {
XXH64_hash_t XXH3_64bits_dispatch(const void* bytes, size_t size);
XXH_errorcode XXH3_64bits_update_dispatch(XXH3_state_t* state, const void* bytes, size_t size);

XXH64_hash_t XXH3_64bits_dispatch(const void* bytes, size_t size) {
  return XXH3_64bits(bytes, size);
}
XXH_errorcode XXH3_64bits_update_dispatch(XXH3_state_t* state, const void* bytes, size_t size) {
  return XXH3_64bits_update(state, bytes, size);
}
}
