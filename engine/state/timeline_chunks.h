// SPDX-License-Identifier: Apache-2.0
// What a timeline remembers as chunks of bytes: the same numbers in the same order, whatever device they
// lie on and whatever type they have there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/chunk_stream.h"
#include "engine/state/timeline.h"

namespace minimax {

// How the pages of an engine lie: keys and values of each softmax layer and head are planes
// [page_tokens, D], one behind the other.
struct KvPageShape {
  int64_t plane_count;  // [softmax layers, 2, G]
  int64_t page_tokens;
  int64_t head_dim;  // D
  DType type;
};

// A timeline of so many tokens, and the types that its numbers have in chunks.
struct TimelineExtent {
  int64_t position;
  int64_t committed;
  DType log_type;
  DType kv_type;

  int64_t log_tokens() const { return position - committed; }
};

// Little-endian, without gaps:
//   state of a lightning layer  [H, D, D] f32, key index first   none when nothing is committed
//   log of a lightning layer    [H, 2, n, D]                     of the n tokens since; none when n is 0
//   page of keys and values     [softmax layers, 2, G, n, D]     of n tokens: full pages, but the last
// One thread at a time. The memory must outlive it.
class TimelineChunks {
 public:
  TimelineChunks(const TimelineShape& shape, const KvPageShape& pages, Memory& memory);

  const KvPageShape& pages() const { return pages_; }
  size_t state_bytes() const;
  size_t log_bytes(const TimelineExtent& extent) const;
  int64_t page_count(const TimelineExtent& extent) const;
  size_t page_bytes(const TimelineExtent& extent, int64_t page) const;

  // Each writes one whole chunk, in the types that the timeline has.
  void write_state(const Timeline& timeline, int64_t layer, ChunkWriter& writer);
  void write_log(const Timeline& timeline, int64_t layer, ChunkWriter& writer);
  void write_page(const Timeline& timeline, int64_t page, ChunkWriter& writer);

  // Each reads one whole chunk into an empty timeline, whose page has been reserved. What a chunk does not
  // have of a log or page is zero then. MINIMAX_BAD_FILE.
  void read_state(Timeline& timeline, int64_t layer, ChunkReader& reader);
  void read_log(Timeline& timeline, const TimelineExtent& extent, int64_t layer,
                ChunkReader& reader);
  void read_page(Timeline& timeline, const TimelineExtent& extent, int64_t page,
                 ChunkReader& reader);
  // States and logs that have no chunks are zero then.
  void clear_the_rest(Timeline& timeline, const TimelineExtent& extent) const;

 private:
  // A block of the device's memory: planes [rows, D], and which of their rows are meant: `count` of them
  // from `first` on, wrapping around.
  struct Block {
    void* data;
    DType type;
    int64_t planes, rows, width;
    int64_t first, count;

    size_t size_bytes() const;
    bool is_whole() const { return count == rows && first % rows == 0; }
    // The rows that are not meant.
    Block rest() const { return {data, type, planes, rows, width, first + count, rows - count}; }
    // body(bytes) for each of the rows that are meant, as far as they lie together, in their order;
    // `at` is the block or a copy of it.
    template <typename Body>
    void for_each_run(std::byte* at, const Body& body) const;
  };
  Block state_block(const Timeline& timeline, int64_t layer) const;
  Block log_block(const Timeline& timeline, int64_t layer, int64_t committed, int64_t count) const;
  Block page_block(const Timeline& timeline, int64_t page, int64_t position) const;
  void write(const Block& block, ChunkWriter& writer);
  void read(const Block& block, DType type, ChunkReader& reader);

  const TimelineShape shape_;
  const KvPageShape pages_;
  Memory& memory_;
  std::vector<std::byte> chunk_;  // the last one
  std::vector<std::byte> block_;  // what of the device's memory it belongs to
};

}  // namespace minimax
