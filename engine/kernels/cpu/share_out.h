// SPDX-License-Identifier: Apache-2.0
// Loops that go to the thread pool only when there is enough to do.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"

namespace minimax {

// Some ten microseconds of one thread, counted in numbers read or written: less than that is done
// sooner than other threads are woken.
inline constexpr int64_t worth_sharing = 65536;

// body(index, thread) for every index in [0, count); cost is that of all of them.
template <typename Body>
void share_out(ThreadPool& threads, int64_t count, int64_t cost, const Body& body) {
  if (cost >= worth_sharing) return threads.for_each(count, body);
  for (int64_t i = 0; i < count; ++i) body(i, 0);
}

}  // namespace minimax
