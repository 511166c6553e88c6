// SPDX-License-Identifier: Apache-2.0
// Shared memory as the copy engine and wgmma see it: swizzled by address.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

namespace simt {

// Where the byte at an address lies when lines of 128, 64 or 32 bytes are swizzled: in the 128-byte
// swizzle, bits 4 to 6 of the address (the 16 bytes of a line) are changed by bits 7 to 9 (the line), in the
// smaller ones the lower two bits, or one.
inline uint32_t swizzled(uint32_t address, CUtensorMapSwizzle swizzle) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_128B:
      return address ^ (address >> 3 & 0x70);
    case CU_TENSOR_MAP_SWIZZLE_64B:
      return address ^ (address >> 3 & 0x30);
    case CU_TENSOR_MAP_SWIZZLE_32B:
      return address ^ (address >> 3 & 0x10);
    default:
      return address;
  }
}

// Bytes of a line; 0 without swizzle.
inline uint32_t swizzle_line_bytes(CUtensorMapSwizzle swizzle) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_128B:
      return 128;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      return 64;
    case CU_TENSOR_MAP_SWIZZLE_32B:
      return 32;
    default:
      return 0;
  }
}

inline constexpr int most_dimensions = 5;

// What a CUtensorMap holds here.
struct TensorMap {
  uint64_t mark;
  const std::byte* data;
  uint64_t sizes[most_dimensions];
  uint64_t stride_bytes[most_dimensions - 1];  // of dimensions 1 ..
  uint32_t box[most_dimensions];
  uint8_t rank, element_bytes, swizzle;
};

// The map at an address of any kind of memory. Fails when there is none.
TensorMap read_tensor_map(uint64_t address);

// The box at these coordinates and shared memory, either way: what lies outside of the tensor is read as
// zeros, and not written.
void load_box(const TensorMap& map, const int32_t* coordinates, uint32_t shared);
void read_box(const TensorMap& map, uint32_t shared, std::byte* packed);
void write_box(const TensorMap& map, const int32_t* coordinates, const std::byte* packed);
// bf16: adds to what is there.
void add_box(const TensorMap& map, const int32_t* coordinates, const std::byte* packed);
uint32_t box_bytes(const TensorMap& map);

}  // namespace simt
