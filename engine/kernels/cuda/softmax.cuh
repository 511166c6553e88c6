// SPDX-License-Identifier: Apache-2.0
// What the softmax attention kernels and store_kv share: where keys and values lie in their pages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/step_tables.h"

namespace minimax {

// KvLayout and the sequences, as kernels read them.
struct PagedKv {
  const DeviceKv* entries;
  const int32_t* row_sequence;
  uint32_t page_tokens;
  int heads;  // G
  int width;  // D
  size_t layer_offset;
  size_t plane_bytes;  // from a key to its value

  static PagedKv of(const KvLayout& layout, const DeviceTable<DeviceKv>& sequences) {
    return {sequences.entries,
            sequences.row_sequence,
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

}  // namespace minimax
