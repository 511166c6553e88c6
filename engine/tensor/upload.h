// SPDX-License-Identifier: Apache-2.0
// A way into a device's memory for large amounts: pieces of host memory that many threads fill while
// others travel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace minimax {

class ThreadPool;

// How much host memory an upload takes: two pieces a lane.
struct UploadSizes {
  // Pieces that stay in the processor's caches are filled and fetched from there several times as fast as
  // from main memory, and a bus wants some megabytes at once.
  size_t piece_bytes = size_t{2} << 20;  // a multiple of 4096
  int lane_count = 1;
};

// As many lanes as there are threads, as long as that is reasonable.
UploadSizes upload_sizes(const ThreadPool* threads);

// One thread fills one lane at a time, and lanes do not wait for each other: of the two pieces of a lane
// one is filled while the other is on its way. One fill() at a time. What was sent may still be on its
// way when an upload is destroyed; that waits for it.
class Upload {
 public:
  // Writes the bytes that belong at `offset` of what is filled; called from several threads.
  using Producer = std::function<void(size_t offset, std::span<std::byte> to)>;

  explicit Upload(const UploadSizes& sizes) : sizes_(sizes) {}
  virtual ~Upload() = default;
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  const UploadSizes& sizes() const { return sizes_; }

  // Produces and sends bytes for [device, device + size_bytes), on all threads (nullptr: this one). They
  // arrive later, behind what was filled before. Offsets are multiples of 4096. After an exception, which
  // may be the producer's, part of the bytes has been sent.
  void fill(void* device, size_t size_bytes, ThreadPool* threads, const Producer& produce);
  // Everything that was sent has arrived.
  virtual void finish() = 0;

 protected:
  // Host memory of piece_bytes to be filled: what was sent from it before has arrived. Different lanes
  // from different threads, as send().
  virtual std::byte* next_piece(int lane) = 0;
  // Begins to copy the first bytes of the piece that the lane was given last.
  virtual void send(int lane, void* device, size_t size_bytes) = 0;

 private:
  size_t block_bytes(size_t size_bytes) const;

  const UploadSizes sizes_;
  int64_t next_lane_ = 0;  // the next fill begins with
};

}  // namespace minimax
