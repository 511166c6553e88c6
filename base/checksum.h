// SPDX-License-Identifier: Apache-2.0
// Checksums of bytes: XXH3 of 64 bits. Against accidents, not against people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct XXH3_state_s;

namespace minimax {

uint64_t checksum_of(std::span<const std::byte> bytes);

// The same of bytes that come piece by piece. One thread at a time.
class Checksum {
 public:
  Checksum();  // MINIMAX_OUT_OF_MEMORY
  void add(std::span<const std::byte> bytes);
  uint64_t value() const;
  // As new.
  void begin();

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace minimax
