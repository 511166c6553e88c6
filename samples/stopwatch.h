// SPDX-License-Identifier: Apache-2.0
// Time that has passed since it was made.
#pragma once

#include <chrono>
#include <cstdint>

namespace samples {

class Stopwatch {
 public:
  uint64_t ns() const {
    return static_cast<uint64_t>((Clock::now() - start_) / std::chrono::nanoseconds(1));
  }

 private:
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start_ = Clock::now();
};

}  // namespace samples
