// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace minimax {
namespace {

TEST(ThreadPool, CallsEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const int64_t count : {0, 1, 2, 7, 255, 256, 257}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      pool.for_each(count, [&](int64_t i, int thread) {
        EXPECT_LT(thread, threads);
        ++calls[static_cast<size_t>(i)];
      });
      for (const auto& n : calls) EXPECT_EQ(n, 1);
    }
  }
}

TEST(ThreadPool, CarriesAnExceptionHomeAndGoesOn) {
  ThreadPool pool(4);
  EXPECT_THROW(pool.for_each(100,
                             [](int64_t i) {
                               if (i == 42) throw std::runtime_error("42");
                             }),
               std::runtime_error);
  std::atomic<int> calls{0};
  pool.for_each(100, [&](int64_t) { ++calls; });
  EXPECT_EQ(calls, 100);
}

TEST(ThreadPool, ManyShortLoopsInARow) {
  ThreadPool pool(3);
  int64_t sum = 0;
  for (int loop = 0; loop < 20000; ++loop) {
    std::atomic<int64_t> part{0};
    pool.for_each(5, [&](int64_t i) { part += i; });
    sum += part;
  }
  EXPECT_EQ(sum, 20000 * 10);
}

}  // namespace
}  // namespace minimax
