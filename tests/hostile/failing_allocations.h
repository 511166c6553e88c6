// SPDX-License-Identifier: Apache-2.0
// Memory that runs out when a test says so: replaces operator new, and malloc where no sanitizer
// does.
#pragma once

#include <cstdint>

namespace minimax::testing {

enum class Failing { once, until_disarmed };

// From here on the allocations that are made while the library is armed are counted, and the k-th
// fails (0: none).
void plan_failure(int64_t k, Failing failing);
bool has_failed();  // the planned one
int64_t counted_allocations();
int64_t live_allocations();  // of the whole program, now

// Around each call into the library.
class Armed {
 public:
  Armed();
  ~Armed();
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
};

}  // namespace minimax::testing
