// SPDX-License-Identifier: Apache-2.0
// How fast threads read memory: the ceiling of decoding, which reads every active weight once a
// token.
#pragma once

namespace samples {

struct Bandwidth {
  int thread_count = 0;
  double best = 0, median = 0;  // bytes a second, all threads together
};

// Reads a buffer far larger than the caches a few times over. thread_count 1 or more.
Bandwidth measure_read_bandwidth(int thread_count);

}  // namespace samples
