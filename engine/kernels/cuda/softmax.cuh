// SPDX-License-Identifier: Apache-2.0
// What the softmax attention kernels and store_kv share: where keys and values lie in their pages, and how
// the rows of a step are cut into blocks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/attention.h"

namespace minimax {

// KvLayout and the sequences, as kernels read them.
struct PagedKv {
  const DeviceKv* entries;
  const int32_t* row_sequence;
  int sequences;
  uint32_t page_tokens;
  int heads;  // G
  int width;  // D
  size_t layer_offset;
  size_t plane_bytes;  // from a key to its value

  static PagedKv of(const KvLayout& layout, const DeviceTable<DeviceKv>& sequences) {
    return {sequences.entries,
            sequences.row_sequence,
            static_cast<int>(sequences.host.size()),
            static_cast<uint32_t>(layout.page_tokens),
            static_cast<int>(layout.kv_head_count),
            static_cast<int>(layout.head_dim),
            layout.layer_offset,
            layout.plane_bytes()};
  }

  // The key of a token; element_bytes is the size of one number.
  __device__ __forceinline__ std::byte* key(std::byte* const* pages, int head, uint32_t token,
                                            size_t element_bytes) const {
    const uint32_t page = token / page_tokens, place = token - page * page_tokens;
    const size_t row = static_cast<size_t>(head) * page_tokens + place;
    return pages[page] + layer_offset + row * static_cast<size_t>(width) * element_bytes;
  }
};

// Sequences of a few rows would keep one multiprocessor for each key head busy, however long they are.
// Where softmax_few can, this computes those sequences of a call and leaves the rows of all others alone.
// Returns how many rows the sequences that are left have at least  (softmax_few.cu).
int softmax_short_sequences(const Launcher& launch, const SoftmaxCall& call);

// Inclusive, over the lanes of a warp.
__device__ __forceinline__ int running_sum(int x) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const int before = __shfl_up_sync(0xffffffffu, x, lanes);
    if (lane >= lanes) x += before;
  }
  return x;
}

// The sequences of a step one behind the other, each in so many parts as `parts_of` says of its entry. All
// lanes of a warp call these.
struct Part {
  int sequence;
  int before;  // parts of all sequences before it
};

// Calls visit(sequence, parts, end) in each lane that has a sequence, `end` counting its parts and all
// before; ends early when visit is true in some lane.
template <typename PartsOf, typename Visit>
__device__ __forceinline__ int visit_parts(const PagedKv& kv, const PartsOf& parts_of,
                                           const Visit& visit) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int before = 0;
  for (int base = 0; base < kv.sequences; base += 32) {
    const int sequence = base + lane;
    const int parts = sequence < kv.sequences ? parts_of(kv.entries[sequence]) : 0;
    const int end = before + running_sum(parts);
    if (visit(sequence, parts, end)) break;
    before = __shfl_sync(0xffffffffu, end, 31);
  }
  return before;
}

template <typename PartsOf>
__device__ __forceinline__ int count_parts(const PagedKv& kv, const PartsOf& parts_of) {
  return visit_parts(kv, parts_of, [](int, int, int) { return false; });
}

// Part number `wanted` of all; false when there are not so many.
template <typename PartsOf>
__device__ __forceinline__ bool find_part(const PagedKv& kv, const PartsOf& parts_of, int wanted,
                                          Part& part) {
  bool found = false;
  visit_parts(kv, parts_of, [&](int sequence, int parts, int end) {
    const uint32_t later = __ballot_sync(0xffffffffu, end > wanted);
    if (later == 0) return false;
    const int owner = __ffs(static_cast<int>(later)) - 1;
    part.sequence = __shfl_sync(0xffffffffu, sequence, owner);
    part.before = __shfl_sync(0xffffffffu, end - parts, owner);
    return found = true;
  });
  return found;
}

// Rows of a step in blocks that do not cross from one sequence into the next: numbered by sequence, in
// each from its last rows to its first.
struct RowBlocks {
  const PagedKv& kv;
  int tokens;           // of a block
  int fewest_rows = 0;  // sequences of fewer rows have no blocks

  struct Block {
    DeviceKv sequence;
    int first;  // row of the sequence
  };

  __device__ int blocks_of(const DeviceKv& sequence) const {
    if (sequence.row_count < fewest_rows) return 0;
    return (sequence.row_count + tokens - 1) / tokens;
  }
  __device__ int count() const {
    return count_parts(kv, [&](const DeviceKv& sequence) { return blocks_of(sequence); });
  }
  // False when there is no such block.
  __device__ bool find(int wanted, Block& block) const {
    Part part;
    const auto parts_of = [&](const DeviceKv& sequence) { return blocks_of(sequence); };
    if (!find_part(kv, parts_of, wanted, part)) return false;
    block.sequence = kv.entries[part.sequence];
    block.first = (blocks_of(block.sequence) - 1 - (wanted - part.before)) * tokens;
    return true;
  }
};

}  // namespace minimax
