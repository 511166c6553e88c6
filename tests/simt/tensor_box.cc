// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/tensor_box.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "tests/simt/machine.h"

namespace {

constexpr uint64_t map_mark = 0x70616d20726f736eull;
static_assert(sizeof(simt::TensorMap) <= sizeof(CUtensorMap));

uint8_t element_bytes_of(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      return 4;
    default:
      return 8;
  }
}

}  // namespace

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                                void* data, const cuuint64_t* sizes, const cuuint64_t* stride_bytes,
                                const cuuint32_t* box, const cuuint32_t* element_strides,
                                CUtensorMapInterleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  const auto is_aligned = [](const void* pointer, uintptr_t to) {
    return reinterpret_cast<uintptr_t>(pointer) % to == 0;
  };
  if (!is_aligned(map, 64) || !data || !is_aligned(data, 16) || rank < 1 ||
      rank > simt::most_dimensions) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  simt::TensorMap out{};
  out.mark = map_mark;
  out.data = static_cast<const std::byte*>(data);
  out.rank = static_cast<uint8_t>(rank);
  out.element_bytes = element_bytes_of(type);
  out.swizzle = static_cast<uint8_t>(swizzle);
  for (uint32_t i = 0; i < rank; ++i) {
    if (sizes[i] == 0 || sizes[i] > uint64_t{1} << 32 || box[i] == 0 || box[i] > 256 ||
        element_strides[i] != 1) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    out.sizes[i] = sizes[i];
    out.box[i] = box[i];
    if (i == 0) continue;
    if (stride_bytes[i - 1] % 16 != 0 || stride_bytes[i - 1] >= uint64_t{1} << 40) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    out.stride_bytes[i - 1] = stride_bytes[i - 1];
  }
  const uint32_t line = box[0] * out.element_bytes, most = simt::swizzle_line_bytes(swizzle);
  if (line % 16 != 0 || (most != 0 && line > most)) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(map, &out, sizeof out);
  return CUDA_SUCCESS;
}

namespace simt {
namespace {

// Calls body(line, from) for each line of the box: from is null where it lies outside of the tensor in
// any dimension but the innermost.
template <typename Body>
void for_each_line(const TensorMap& map, const int32_t* coordinates, const Body& body) {
  uint32_t lines = 1;
  for (int d = 1; d < map.rank; ++d) lines *= map.box[d];
  for (uint32_t line = 0; line < lines; ++line) {
    const std::byte* from = map.data;
    uint32_t rest = line;
    for (int d = 1; d < map.rank; ++d) {
      const int64_t at = int64_t{coordinates[d]} + rest % map.box[d];
      rest /= map.box[d];
      if (at < 0 || static_cast<uint64_t>(at) >= map.sizes[d]) from = nullptr;
      if (from) from += static_cast<uint64_t>(at) * map.stride_bytes[d - 1];
    }
    body(line, from);
  }
}

uint32_t line_bytes(const TensorMap& map) {
  return map.box[0] * map.element_bytes;
}

// The part of a line that lies inside the tensor: bytes [begin, end) of it, from the tensor's first on.
struct Inside {
  int64_t begin, end, first;

  Inside(const TensorMap& map, int32_t coordinate)
      : begin(std::max<int64_t>(0, -int64_t{coordinate}) * map.element_bytes),
        end(std::min<int64_t>(map.box[0], static_cast<int64_t>(map.sizes[0]) - coordinate) *
            map.element_bytes),
        first(int64_t{coordinate} * map.element_bytes) {}
};

std::byte* shared_chunk(const TensorMap& map, uint32_t address, const char* what) {
  const uint32_t block = address & 0xff000000u, offset = address & 0xffffffu;
  const auto swizzle = static_cast<CUtensorMapSwizzle>(map.swizzle);
  return shared_memory(block | swizzled(offset, swizzle), 16, 16, what);
}

}  // namespace

TensorMap read_tensor_map(uint64_t address) {
  if (address % 64 != 0) fail("a tensor map is not at a multiple of 64 bytes");
  TensorMap map;
  std::memcpy(&map, reinterpret_cast<const void*>(address), sizeof map);
  if (map.mark != map_mark) fail("there is no tensor map where a copy expects one");
  const uint32_t swizzle_line = swizzle_line_bytes(static_cast<CUtensorMapSwizzle>(map.swizzle));
  if (swizzle_line != 0 && swizzle_line != line_bytes(map)) {
    fail("no emulation of a swizzled box of shorter lines than the swizzle's");
  }
  return map;
}

uint32_t box_bytes(const TensorMap& map) {
  uint32_t bytes = map.element_bytes;
  for (int d = 0; d < map.rank; ++d) bytes *= map.box[d];
  return bytes;
}

void load_box(const TensorMap& map, const int32_t* coordinates, uint32_t shared) {
  const uint32_t width = line_bytes(map);
  const Inside inside(map, coordinates[0]);
  std::vector<std::byte> bytes(width);
  for_each_line(map, coordinates, [&](uint32_t line, const std::byte* from) {
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    if (from && inside.begin < inside.end) {
      const std::byte* first = from + inside.first + inside.begin;
      const auto count = static_cast<size_t>(inside.end - inside.begin);
      check_global(first, count, 1, "cp.async.bulk.tensor");
      std::memcpy(bytes.data() + inside.begin, first, count);
    }
    for (uint32_t i = 0; i < width; i += 16) {
      const uint32_t to = shared + line * width + i;
      std::memcpy(shared_chunk(map, to, "cp.async.bulk.tensor"), bytes.data() + i, 16);
    }
  });
}

void read_box(const TensorMap& map, uint32_t shared, std::byte* packed) {
  for (uint32_t i = 0; i < box_bytes(map); i += 16) {
    std::memcpy(packed + i, shared_chunk(map, shared + i, "cp.async.bulk.tensor"), 16);
  }
}

namespace {

// Calls put(to, from, bytes) for what lies inside the tensor of each line of a packed box.
template <typename Put>
void put_box(const TensorMap& map, const int32_t* coordinates, const std::byte* packed,
             const Put& put) {
  const Inside inside(map, coordinates[0]);
  for_each_line(map, coordinates, [&](uint32_t line, const std::byte* to) {
    if (!to || inside.begin >= inside.end) return;
    const std::byte* first = to + inside.first + inside.begin;
    const auto count = static_cast<size_t>(inside.end - inside.begin);
    check_global(first, count, 1, "cp.async.bulk.tensor");
    put(const_cast<std::byte*>(first), packed + line * line_bytes(map) + inside.begin, count);
  });
}

}  // namespace

void write_box(const TensorMap& map, const int32_t* coordinates, const std::byte* packed) {
  put_box(map, coordinates, packed,
          [](std::byte* to, const std::byte* from, size_t count) { std::memcpy(to, from, count); });
}

void add_box(const TensorMap& map, const int32_t* coordinates, const std::byte* packed) {
  put_box(map, coordinates, packed, [](std::byte* to, const std::byte* from, size_t count) {
    for (size_t i = 0; i < count; i += sizeof(minimax::bf16)) {
      minimax::bf16 sum, more;
      std::memcpy(&sum, to + i, sizeof sum);
      std::memcpy(&more, from + i, sizeof more);
      sum = minimax::to_bf16(minimax::to_f32(sum) + minimax::to_f32(more));
      std::memcpy(to + i, &sum, sizeof sum);
    }
  });
}

}  // namespace simt
