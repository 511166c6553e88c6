// SPDX-License-Identifier: Apache-2.0
#include "engine/tensor/upload.h"

#include <algorithm>
#include <atomic>
#include <cassert>

#include "base/thread_pool.h"

namespace minimax {
namespace {

constexpr int most_lanes = 32;  // fill more than any bus carries
constexpr size_t granule_bytes = 4096;
constexpr size_t least_block_bytes = size_t{256} << 10;  // less is not worth waking a thread

size_t divided_up(size_t total, size_t part) {
  return (total + part - 1) / part;
}

}  // namespace

UploadSizes upload_sizes(const ThreadPool* threads) {
  return {.lane_count = threads ? std::min(threads->thread_count(), most_lanes) : 1};
}

// At most a piece, and such that the lanes have equal shares.
size_t Upload::block_bytes(size_t size_bytes) const {
  const auto lanes = static_cast<size_t>(sizes_.lane_count);
  const size_t rounds = divided_up(size_bytes, lanes * sizes_.piece_bytes);
  const size_t share = divided_up(size_bytes, std::max<size_t>(1, rounds * lanes));
  const size_t block = divided_up(std::max(share, least_block_bytes), granule_bytes);
  return std::min(block * granule_bytes, sizes_.piece_bytes);
}

void Upload::fill(void* device, size_t size_bytes, ThreadPool* threads, const Producer& produce) {
  assert(sizes_.piece_bytes % granule_bytes == 0);
  const size_t block = block_bytes(size_bytes);
  const size_t count = divided_up(size_bytes, block);
  const auto lanes = std::min(static_cast<int64_t>(count), int64_t{sizes_.lane_count});
  auto* to = static_cast<std::byte*>(device);
  std::atomic<size_t> next{0};
  const auto run_lane = [&](int64_t index) {
    const auto lane = static_cast<int>((next_lane_ + index) % sizes_.lane_count);
    try {
      for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
        const size_t offset = i * block, part = std::min(block, size_bytes - offset);
        produce(offset, {next_piece(lane), part});
        send(lane, to + offset, part);
      }
    } catch (...) {
      next = count;  // the other lanes end too
      throw;
    }
  };
  if (threads) {
    threads->for_each(lanes, run_lane);
  } else {
    for (int64_t i = 0; i < lanes; ++i) run_lane(i);
  }
  // Small fills take turns: else each would wait for the one before the last.
  next_lane_ = (next_lane_ + lanes) % sizes_.lane_count;
}

}  // namespace minimax
