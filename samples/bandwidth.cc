// SPDX-License-Identifier: Apache-2.0
// How fast threads read memory.
#include "samples/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "samples/handles.h"

namespace samples {
namespace {

constexpr int kRounds = 11;  // the first one is not counted
constexpr uint64_t kBufferBytes = uint64_t{1} << 30;

// As wide as the widest registers; compilers split it where they are narrower.
using Lanes = uint64_t __attribute__((vector_size(64)));

uint64_t read_all(const std::vector<Lanes>& slice) {
  Lanes sums[4] = {};
  for (size_t i = 0; i + 4 <= slice.size(); i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) sums[lane] += slice[i + lane];
  }
  const Lanes sum = sums[0] + sums[1] + sums[2] + sums[3];
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

uint64_t available_bytes() {
  minimax_device_info info;
  minimax_device_info_init(&info, sizeof info);
  check(minimax_get_device_info(0, &info));
  return info.available_bytes;
}

}  // namespace

Bandwidth measure_read_bandwidth(int thread_count) {
  using Clock = std::chrono::steady_clock;
  const uint64_t bytes = std::min(kBufferBytes, available_bytes() / 4);
  const size_t slice_size = bytes / sizeof(Lanes) / static_cast<size_t>(thread_count) / 4 * 4;
  std::barrier together(thread_count);
  std::atomic<uint64_t> checksum{0};  // so that no read can be left out
  std::vector<double> rates;          // of the first thread, which waits for all others

  const auto work = [&](int thread) {
    const std::vector<Lanes> slice(slice_size,
                                   Lanes{} + 1);  // its pages are near who touches first
    for (int round = 0; round < kRounds; ++round) {
      together.arrive_and_wait();
      const Clock::time_point start = Clock::now();
      checksum += read_all(slice);
      together.arrive_and_wait();
      const std::chrono::duration<double> seconds = Clock::now() - start;
      if (thread != 0 || round == 0) continue;
      rates.push_back(static_cast<double>(slice_size * sizeof(Lanes) * thread_count) /
                      seconds.count());
    }
  };
  std::vector<std::jthread> others;
  for (int thread = 1; thread < thread_count; ++thread) others.emplace_back(work, thread);
  work(0);

  std::sort(rates.begin(), rates.end());
  return {thread_count, rates.back(), rates[rates.size() / 2]};
}

}  // namespace samples
