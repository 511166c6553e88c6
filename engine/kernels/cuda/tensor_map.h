// SPDX-License-Identifier: Apache-2.0
// Describes tensors to the copy engine (TMA) of Hopper.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>

namespace minimax {

// A tensor in device memory and the box of it that one copy moves. Dimensions run from the contiguous
// one outwards; unused ones stay zero. data and strides are multiples of 16 bytes; a swizzled box is at
// most 128 bytes wide. Reads outside the sizes give zeros, writes there are dropped.
struct TiledTensor {
  const void* data;
  uint32_t rank;
  std::array<uint64_t, 4> sizes;
  std::array<uint64_t, 3> stride_bytes;  // of dimensions 1, 2, 3
  std::array<uint32_t, 4> box;
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
};

// False when the driver has no such function, or refuses the tensor. The driver is looked up at run time:
// the library loads without one.
inline bool encode_tiled(const TiledTensor& tensor, CUtensorMap* map) {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult status{};
    const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found,
                                                               12000, cudaEnableDefault, &status);
    const bool usable = error == cudaSuccess && status == cudaDriverEntryPointSuccess;
    return usable ? reinterpret_cast<Encode>(found) : nullptr;
  }();
  if (encode == nullptr) return false;
  constexpr std::array<uint32_t, 4> every_element{1, 1, 1, 1};
  return encode(map, tensor.type, tensor.rank, const_cast<void*>(tensor.data), tensor.sizes.data(),
                tensor.stride_bytes.data(), tensor.box.data(), every_element.data(),
                CU_TENSOR_MAP_INTERLEAVE_NONE, tensor.swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

// A bf16 matrix [rows, columns], its rows row_stride numbers apart, in boxes of box_rows x box_columns.
inline bool encode_matrix(const void* data, int64_t rows, int64_t columns, int64_t row_stride,
                          int box_rows, int box_columns, CUtensorMap* map) {
  TiledTensor tensor{};
  tensor.data = data;
  tensor.rank = 2;
  tensor.sizes = {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)};
  tensor.stride_bytes = {static_cast<uint64_t>(row_stride) * 2};
  tensor.box = {static_cast<uint32_t>(box_columns), static_cast<uint32_t>(box_rows)};
  return encode_tiled(tensor, map);
}

}  // namespace minimax
