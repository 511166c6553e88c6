// SPDX-License-Identifier: Apache-2.0
// Each instruction of the emulated device against a plain statement of what it does.
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/simt/machine.h"

namespace {

using bfloat16 = __nv_bfloat16;

// Memory of the device with the numbers of a vector.
template <typename T>
class Array {
 public:
  explicit Array(const std::vector<T>& host) : count_(host.size()) {
    EXPECT_EQ(cudaMalloc(&data_, bytes()), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data_, host.data(), bytes(), cudaMemcpyHostToDevice), cudaSuccess);
  }
  explicit Array(size_t count) : count_(count) {
    EXPECT_EQ(cudaMalloc(&data_, bytes()), cudaSuccess);
  }
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return data_; }
  std::vector<T> host() const {
    std::vector<T> out(count_);
    EXPECT_EQ(cudaMemcpy(out.data(), data_, bytes(), cudaMemcpyDeviceToHost), cudaSuccess);
    return out;
  }

 private:
  size_t bytes() const { return count_ * sizeof(T); }
  size_t count_;
  T* data_ = nullptr;
};

// Runs a kernel; "" or what it did that it may not.
template <typename... Parameters, typename... Arguments>
std::string run(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(shared_bytes));
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, arguments...);
  cudaGetLastError();
  return error == cudaSuccess ? "" : cudaGetErrorString(error);
}

// Small whole numbers: their products and sums are exact in bf16 and f32.
std::vector<bfloat16> whole_numbers(size_t count, uint32_t seed) {
  std::vector<bfloat16> out(count);
  for (bfloat16& x : out) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<int>(seed >> 28) - 8);
  }
  return out;
}

// Sets when what runs by itself happens, for one test.
class TimingIs {
 public:
  explicit TimingIs(simt::Timing timing) : before_(simt::options().timing) {
    simt::options().timing = timing;
  }
  ~TimingIs() { simt::options().timing = before_; }

 private:
  simt::Timing before_;
};
constexpr simt::Timing timings[] = {simt::Timing::early, simt::Timing::late, simt::Timing::mixed};

testing::AssertionResult says(const std::string& found, const std::string& expected) {
  if (found.find(expected) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << found << "\" does not say \"" << expected << "\"";
}

// Threads, warps and shared memory.

__global__ void write_coordinates(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned size = blockDim.x * blockDim.y * blockDim.z;
  out[block * size + thread] = block * 1000 + thread;
}

TEST(Simt, GivesEveryThreadItsPlace) {
  const Array<unsigned> out(24 * 30);
  EXPECT_EQ(run(write_coordinates, dim3(2, 3, 4), dim3(5, 3, 2), 0, out.data()), "");
  const std::vector<unsigned> found = out.host();
  for (unsigned i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], i / 30 * 1000 + i % 30);
}

__global__ void shuffle_all(int* out, int lanes, int width) {
  const int lane = static_cast<int>(threadIdx.x);
  out[lane] = __shfl_sync(~0u, lane, lanes, width);
  out[32 + lane] = __shfl_up_sync(~0u, lane, static_cast<unsigned>(lanes), width);
  out[64 + lane] = __shfl_down_sync(~0u, lane, static_cast<unsigned>(lanes), width);
  out[96 + lane] = __shfl_xor_sync(~0u, lane, lanes, width);
}

TEST(Simt, ShufflesWithinGroupsOfLanes) {
  for (const int width : {4, 8, 32}) {
    for (const int lanes : {0, 1, 3, 5}) {
      const Array<int> out(128);
      EXPECT_EQ(run(shuffle_all, 1, 32, 0, out.data(), lanes, width), "");
      const std::vector<int> found = out.host();
      for (int lane = 0; lane < 32; ++lane) {
        const int first = lane / width * width;
        const int left = lane - lanes, right = lane + lanes, other = lane ^ lanes;
        EXPECT_EQ(found[lane], first + lanes % width);
        EXPECT_EQ(found[32 + lane], left < first ? lane : left);
        EXPECT_EQ(found[64 + lane], right >= first + width ? lane : right);
        EXPECT_EQ(found[96 + lane], other >= first + width ? lane : other);
      }
    }
  }
}

__global__ void vote(unsigned* out) {
  const unsigned lane = threadIdx.x;
  if (lane >= 20) return;
  const unsigned mask = lane < 10 ? 0x3ffu : 0xffc00u;
  out[lane] = __ballot_sync(mask, lane % 3 == 0);
  out[32 + lane] = __match_any_sync(mask, lane % 4);
  out[64 + lane] = __reduce_add_sync(mask, lane);
}

TEST(Simt, VotesAmongTheLanesOfAMask) {
  const Array<unsigned> out(96);
  EXPECT_EQ(run(vote, 1, 32, 0, out.data()), "");
  const std::vector<unsigned> found = out.host();
  for (unsigned lane = 0; lane < 20; ++lane) {
    unsigned votes = 0, same = 0, sum = 0;
    for (unsigned i = lane / 10 * 10; i < lane / 10 * 10 + 10; ++i) {
      if (i % 3 == 0) votes |= 1u << i;
      if (i % 4 == lane % 4) same |= 1u << i;
      sum += i;
    }
    EXPECT_EQ(found[lane], votes);
    EXPECT_EQ(found[32 + lane], same);
    EXPECT_EQ(found[64 + lane], sum);
  }
}

__global__ void reverse(const float* in, float* out, float* fresh) {
  __shared__ float numbers[2][64];
  extern __shared__ __align__(128) float dynamic[];
  const unsigned first = blockIdx.x * 128;
  if (threadIdx.x == 0) fresh[blockIdx.x] = numbers[1][5] + dynamic[7];
  __syncthreads();
  numbers[threadIdx.x / 64][threadIdx.x % 64] = in[first + threadIdx.x];
  __syncthreads();
  dynamic[threadIdx.x] = numbers[1 - threadIdx.x / 64][63 - threadIdx.x % 64];
  __syncthreads();
  out[first + threadIdx.x] = dynamic[threadIdx.x];
}

TEST(Simt, GivesEveryBlockFreshSharedMemory) {
  std::vector<float> numbers(3 * 128);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  const Array<float> in(numbers), out(numbers.size()), fresh(3);
  EXPECT_EQ(run(reverse, 3, 128, 512, in.data(), out.data(), fresh.data()), "");
  const std::vector<float> found = out.host();
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_EQ(found[i], numbers[i / 128 * 128 + 127 - i % 128]);
  for (const float x : fresh.host()) EXPECT_TRUE(std::isnan(x));
}

TEST(Simt, RoundsToTheNearestBf16) {
  EXPECT_EQ(__float2bfloat16(1.0f + 1.0f / 256).bits, 0x3f80);  // a tie: to even
  EXPECT_EQ(__float2bfloat16(1.0f + 3.0f / 256).bits, 0x3f82);
  EXPECT_EQ(__float2bfloat16(1.0f + 1.1f / 256).bits, 0x3f81);
  EXPECT_EQ(__float2bfloat16(-INFINITY).bits, 0xff80);
  EXPECT_TRUE(std::isnan(__bfloat162float(__float2bfloat16(NAN))));
}

// Matrices of a warp.

__global__ void load_and_store_matrices(const uint16_t* in, unsigned* registers, uint16_t* out) {
  __shared__ __align__(16) uint16_t matrices[4][8][8], stored[4][8][8];
  const unsigned lane = threadIdx.x;
  for (unsigned i = lane; i < 256; i += 32) matrices[i / 64][i / 8 % 8][i % 8] = in[i];
  __syncwarp();
  const auto from = static_cast<uint32_t>(__cvta_generic_to_shared(matrices[lane / 8][lane % 8]));
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(stored[lane / 8][lane % 8]));
  uint32_t r[4], t[4];
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from)
               : "memory");
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(t[0]), "=r"(t[1]), "=r"(t[2]), "=r"(t[3])
               : "r"(from)
               : "memory");
  for (int i = 0; i < 4; ++i) {
    registers[i * 32 + lane] = r[i];
    registers[128 + i * 32 + lane] = t[i];
  }
  // Transposed twice is as before.
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to),
               "r"(t[0]), "r"(t[1]), "r"(t[2]), "r"(t[3])
               : "memory");
  __syncwarp();
  for (unsigned i = lane; i < 256; i += 32) out[i] = stored[i / 64][i / 8 % 8][i % 8];
}

TEST(Simt, LoadsAndStoresMatrices) {
  std::vector<uint16_t> numbers(256);
  for (size_t i = 0; i < 256; ++i) numbers[i] = static_cast<uint16_t>(i * 257);
  const Array<uint16_t> in(numbers), out(256);
  const Array<unsigned> registers(256);
  EXPECT_EQ(run(load_and_store_matrices, 1, 32, 0, in.data(), registers.data(), out.data()), "");
  const std::vector<unsigned> found = registers.host();
  for (unsigned m = 0; m < 4; ++m) {
    for (unsigned lane = 0; lane < 32; ++lane) {
      const auto at = [&](unsigned row, unsigned column) -> unsigned {
        return numbers[m * 64 + row * 8 + column];
      };
      const unsigned g = lane / 4, t = lane % 4 * 2;
      EXPECT_EQ(found[m * 32 + lane], at(g, t) | at(g, t + 1) << 16);
      EXPECT_EQ(found[128 + m * 32 + lane], at(t, g) | at(t + 1, g) << 16);
    }
  }
  EXPECT_EQ(out.host(), numbers);
}

// One warp: out [16, 8] = a [16, 16] b [16, 8] + 1.
__global__ void multiply(const bfloat16* a, const bfloat16* b, float* out) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4 * 2;
  const auto pair = [](bfloat16 low, bfloat16 high) {
    return static_cast<uint32_t>(low.bits) | static_cast<uint32_t>(high.bits) << 16;
  };
  const auto row_pair = [&](unsigned row, unsigned k) {
    return pair(a[row * 16 + k], a[row * 16 + k + 1]);
  };
  const auto column_pair = [&](unsigned k) { return pair(b[k * 8 + g], b[(k + 1) * 8 + g]); };
  float d[4] = {1, 1, 1, 1};
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(row_pair(g, t)), "r"(row_pair(g + 8, t)), "r"(row_pair(g, t + 8)),
        "r"(row_pair(g + 8, t + 8)), "r"(column_pair(t)), "r"(column_pair(t + 8)));
  out[g * 8 + t] = d[0];
  out[g * 8 + t + 1] = d[1];
  out[(g + 8) * 8 + t] = d[2];
  out[(g + 8) * 8 + t + 1] = d[3];
}

TEST(Simt, MultipliesMatricesOfAWarp) {
  const std::vector<bfloat16> a = whole_numbers(256, 1), b = whole_numbers(128, 2);
  const Array<bfloat16> far_a(a), far_b(b);
  const Array<float> out(128);
  EXPECT_EQ(run(multiply, 1, 32, 0, far_a.data(), far_b.data(), out.data()), "");
  const std::vector<float> found = out.host();
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      float sum = 1;
      for (size_t k = 0; k < 16; ++k) sum += a[row * 16 + k] * b[k * 8 + column];
      EXPECT_EQ(found[row * 8 + column], sum);
    }
  }
}

// Copies that do not wait.

__global__ void copy_pieces(const float4* in, float4* out, float* before) {
  __shared__ float4 there[2];
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(there));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(in), "r"(16)
               : "memory");
  asm volatile("cp.async.commit_group;" ::: "memory");
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to + 16), "l"(in), "r"(4)
               : "memory");
  asm volatile("cp.async.commit_group;" ::: "memory");
  before[0] = there[0].x;
  asm volatile("cp.async.wait_group %0;" ::"n"(1) : "memory");
  out[0] = there[0];
  before[1] = there[1].x;
  asm volatile("cp.async.wait_group %0;" ::"n"(0) : "memory");
  out[1] = there[1];
}

TEST(Simt, CopiesPiecesWhenTheirThreadWaits) {
  const TimingIs late(simt::Timing::late);
  const Array<float4> in(std::vector<float4>{{1, 2, 3, 4}}), out(2);
  const Array<float> before(2);
  EXPECT_EQ(run(copy_pieces, 1, 1, 0, in.data(), out.data(), before.data()), "");
  const std::vector<float4> found = out.host();
  EXPECT_EQ(found[0].w, 4);
  EXPECT_EQ(found[1].x, 1);
  EXPECT_EQ(found[1].y, 0);
  EXPECT_TRUE(std::isnan(before.host()[0]));
  EXPECT_TRUE(std::isnan(before.host()[1]));
}

// mbarriers and the copy engine.

__device__ uint32_t address_of(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}
__device__ void init(uint64_t* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address_of(barrier)), "r"(arrivals)
               : "memory");
}
__device__ void arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address_of(barrier)) : "memory");
}
__device__ void expect(uint64_t* barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address_of(barrier)),
               "r"(bytes)
               : "memory");
}
__device__ void wait(uint64_t* barrier, uint32_t parity) {
  uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{\n .reg .pred p;\n mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        " selp.u32 %0, 1, 0, p;\n}"
        : "=r"(done)
        : "r"(address_of(barrier)), "r"(parity)
        : "memory");
  }
}

// Thread 32 hands numbers to thread 0, one at a time.
__global__ void hand_over(int* out, int count) {
  __shared__ uint64_t full, empty;
  __shared__ int number;
  if (threadIdx.x == 0) {
    init(&full, 1);
    init(&empty, 1);
  }
  __syncthreads();
  if (threadIdx.x == 32) {
    for (int i = 0; i < count; ++i) {
      wait(&empty, i % 2 == 0);  // parity 1 passes at first
      number = i;
      arrive(&full);
    }
  } else if (threadIdx.x == 0) {
    for (int i = 0; i < count; ++i) {
      wait(&full, i % 2);
      out[i] = number;
      arrive(&empty);
    }
  }
}

TEST(Simt, CountsThePhasesOfAnMbarrier) {
  const Array<int> out(7);
  EXPECT_EQ(run(hand_over, 1, 64, 0, out.data(), 7), "");
  const std::vector<int> found = out.host();
  for (int i = 0; i < 7; ++i) EXPECT_EQ(found[i], i);
}

CUtensorMap map_of(const Array<bfloat16>& matrix, uint64_t rows, uint64_t columns,
                   uint32_t box_rows, uint32_t box_columns, CUtensorMapSwizzle swizzle) {
  CUtensorMap map;
  const uint64_t sizes[] = {columns, rows}, strides[] = {columns * sizeof(bfloat16)};
  const uint32_t box[] = {box_columns, box_rows}, steps[] = {1, 1};
  EXPECT_EQ(
      cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, matrix.data(), sizes,
                             strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                             CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
      CUDA_SUCCESS);
  return map;
}

__device__ void load_2d(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4}], [%2];" ::"r"(address_of(to)),
      "l"(map), "r"(address_of(barrier)), "r"(x), "r"(y)
      : "memory");
}

// The bytes of a box as they lie in shared memory; the box goes back from there, 2 columns further.
__global__ void move_box(const __grid_constant__ CUtensorMap map,
                         const __grid_constant__ CUtensorMap back, int x, int y, int bytes,
                         uint16_t* out) {
  extern __shared__ __align__(1024) unsigned char box[];
  __shared__ uint64_t barrier;
  if (threadIdx.x == 0) init(&barrier, 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    expect(&barrier, static_cast<uint32_t>(bytes));
    load_2d(box, &map, &barrier, x, y);
  }
  wait(&barrier, 0);
  for (int i = static_cast<int>(threadIdx.x); i < bytes / 2; i += 32) {
    out[i] = reinterpret_cast<const uint16_t*>(box)[i];
  }
  if (threadIdx.x == 0) {
    asm volatile(
        "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&back),
        "r"(address_of(box)), "r"(x + 2), "r"(y)
        : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    asm volatile("cp.async.bulk.wait_group %0;" ::"n"(0) : "memory");
  }
}

TEST(Simt, MovesBoxesOfTensors) {
  struct Case {
    CUtensorMapSwizzle swizzle;
    uint32_t columns, mask;
    int x, y;
  };
  constexpr uint64_t rows = 20, columns = 72;
  constexpr uint32_t box_rows = 16;
  for (const simt::Timing timing : timings) {
    const TimingIs now(timing);
    for (const Case& of : {Case{CU_TENSOR_MAP_SWIZZLE_NONE, 24, 0, 3, 1},
                           Case{CU_TENSOR_MAP_SWIZZLE_32B, 16, 1, 64, -3},
                           Case{CU_TENSOR_MAP_SWIZZLE_64B, 32, 3, -5, 10},
                           Case{CU_TENSOR_MAP_SWIZZLE_128B, 64, 7, 40, 12}}) {
      std::vector<bfloat16> numbers(rows * columns);
      for (size_t i = 0; i < numbers.size(); ++i) {
        numbers[i] = __ushort_as_bfloat16(static_cast<uint16_t>(i + 1));
      }
      const Array<bfloat16> matrix(numbers), target(std::vector<bfloat16>(rows * columns, 0));
      const CUtensorMap map = map_of(matrix, rows, columns, box_rows, of.columns, of.swizzle);
      const CUtensorMap back = map_of(target, rows, columns, box_rows, of.columns, of.swizzle);
      const int bytes = static_cast<int>(box_rows * of.columns * 2);
      const Array<uint16_t> out(static_cast<size_t>(bytes) / 2);
      EXPECT_EQ(run(move_box, 1, 32, static_cast<size_t>(bytes), map, back, of.x, of.y, bytes,
                    out.data()),
                "");
      const std::vector<uint16_t> found = out.host();
      std::vector<uint16_t> expected_back(rows * columns, 0);
      for (uint32_t row = 0; row < box_rows; ++row) {
        for (uint32_t column = 0; column < of.columns; ++column) {
          // 16-byte chunk c of line r (of 128 bytes) lies at chunk c ^ r % 8, and the like.
          const uint32_t at = (row * of.columns + column) * 2;
          const uint32_t chunk = at / 16 % 8, line = at / 128 % 8;
          const uint32_t place = at / 128 * 128 + (chunk ^ (line & of.mask)) * 16 + at % 16;
          const int64_t y = of.y + int64_t{row}, x = of.x + int64_t{column};
          const bool inside = y >= 0 && y < int64_t{rows} && x >= 0 && x < int64_t{columns};
          const auto expected = static_cast<uint16_t>(inside ? y * int64_t{columns} + x + 1 : 0);
          ASSERT_EQ(found[place / 2], expected) << row << ", " << column;
          const bool goes_back =
              y >= 0 && y < int64_t{rows} && x + 2 >= 0 && x + 2 < int64_t{columns};
          if (goes_back)
            expected_back[static_cast<size_t>(y * int64_t{columns} + x + 2)] = expected;
        }
      }
      const std::vector<bfloat16> found_back = target.host();
      for (size_t i = 0; i < expected_back.size(); ++i) {
        ASSERT_EQ(found_back[i].bits, expected_back[i]) << i;
      }
    }
  }
}

// Each block of a pair brings half of the numbers to both.
__global__ void __cluster_dims__(2, 1, 1)
    share_rows(const __grid_constant__ CUtensorMap map, float* out) {
  __shared__ __align__(128) bfloat16 numbers[2][8];
  __shared__ uint64_t barrier;
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (threadIdx.x == 0) {
    init(&barrier, 1);
    expect(&barrier, 32);
  }
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
  if (threadIdx.x == 0) {
    // Boxes must lie at multiples of 128 bytes: each rank has its own row of boxes of 16 bytes.
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
        " [%0], [%1], %2, [%3], %4;" ::"r"(address_of(numbers[rank])),
        "l"(*reinterpret_cast<const bfloat16* const*>(&map) + rank * 8), "r"(16),
        "r"(address_of(&barrier)), "h"(static_cast<uint16_t>(3))
        : "memory");
  }
  wait(&barrier, 0);
  if (threadIdx.x < 16) {
    out[blockIdx.x * 16 + threadIdx.x] =
        __bfloat162float(numbers[threadIdx.x / 8][threadIdx.x % 8]);
  }
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}

TEST(Simt, CopiesToAllBlocksOfACluster) {
  const std::vector<bfloat16> numbers = whole_numbers(16, 3);
  for (const simt::Timing timing : timings) {
    const TimingIs now(timing);
    const Array<bfloat16> in(numbers);
    const Array<float> out(64);
    CUtensorMap map{};  // only a place for a pointer
    const bfloat16* data = in.data();
    std::memcpy(&map, &data, sizeof data);
    EXPECT_EQ(run(share_rows, 4, 32, 0, map, out.data()), "");
    const std::vector<float> found = out.host();
    for (size_t i = 0; i < 64; ++i) EXPECT_EQ(found[i], static_cast<float>(numbers[i % 16]));
  }
}

// Products of a warpgroup.

enum class Layout { none, lines_32, lines_64, lines_128 };

struct Operands {
  uint64_t a, b;  // descriptors, without their addresses
  int a_bytes, b_bytes;
};

// sums [64, 24] = a b^T of operands that lie in shared memory as they are in a and b, twice; with a_first
// from registers instead of a.
template <int transpose>
__global__ void __launch_bounds__(128)
    multiply_group(Operands of, const unsigned char* a, const unsigned char* b,
                   const bfloat16* a_first, float* out) {
  extern __shared__ __align__(1024) unsigned char shared[];
  unsigned char* shared_b = shared + 8192;
  for (int i = static_cast<int>(threadIdx.x); i < of.a_bytes; i += 128) shared[i] = a[i];
  for (int i = static_cast<int>(threadIdx.x); i < of.b_bytes; i += 128) shared_b[i] = b[i];
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  const uint64_t a_at = of.a | address_of(shared) >> 4, b_at = of.b | address_of(shared_b) >> 4;
  float s[12];
  for (float& x : s) x = 1000;  // not kept
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  if (a_first == nullptr) {
    for (int keep = 0; keep < 2; ++keep) {
      asm volatile(
          "{\n .reg .pred p;\n setp.ne.b32 p, %14, 0;\n"
          " wgmma.mma_async.sync.aligned.m64n24k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7,"
          " %8, %9, %10, %11}, %12, %13, p, 1, 1, %15, %15;\n}"
          : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]),
            "+f"(s[7]), "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11])
          : "l"(a_at), "l"(b_at), "r"(keep), "n"(transpose));
    }
  } else {
    uint32_t r[4];
    for (int i = 0; i < 4; ++i) {
      const int row = warp * 16 + lane / 4 + i % 2 * 8, k = lane % 4 * 2 + i / 2 * 8;
      r[i] = a_first[row * 16 + k].bits | static_cast<uint32_t>(a_first[row * 16 + k + 1].bits)
                                              << 16;
    }
    for (int keep = 0; keep < 2; ++keep) {
      asm volatile(
          "{\n .reg .pred p;\n setp.ne.b32 p, %17, 0;\n"
          " wgmma.mma_async.sync.aligned.m64n24k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7,"
          " %8, %9, %10, %11}, {%12, %13, %14, %15}, %16, p, 1, 1, %18;\n}"
          : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]),
            "+f"(s[7]), "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11])
          : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "l"(b_at), "r"(keep), "n"(transpose));
    }
  }
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(0) : "memory");
  for (int i = 0; i < 12; ++i) {
    const int row = warp * 16 + lane / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    out[row * 24 + column] = s[i];
  }
}

// A matrix [rows, 16 k] as it must lie in shared memory, and its descriptor.
struct Laid {
  std::vector<unsigned char> bytes;
  uint64_t descriptor;
};

// Straight from the tables of canonical layouts: tiles of 8 lines, which are 16 bytes without swizzle.
Laid lay(const std::vector<bfloat16>& matrix, uint32_t rows, Layout layout, bool transposed) {
  constexpr uint32_t lines[] = {16, 32, 64, 128}, modes[] = {0, 3, 2, 1};
  const uint32_t line = lines[static_cast<int>(layout)];
  const uint32_t tile = 8 * line + 128 * (layout == Layout::none);  // with a gap in the last
  const uint32_t numbers = line / 2;
  Laid out{std::vector<unsigned char>(8192, 0xff), 0};
  uint32_t leading = 0, stride = 0;
  if (layout == Layout::none) {
    // [rows / 8][k / 8] tiles
    stride = 2 * tile, leading = tile;
  } else if (transposed) {
    stride = tile, leading = 2 * tile;
  } else {
    stride = tile;
  }
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t k = 0; k < 16; ++k) {
      uint32_t at = 0;
      if (layout == Layout::none) {
        const uint32_t fast = transposed ? row % 8 : k % 8, slow = transposed ? k % 8 : row % 8;
        at = row / 8 * stride + k / 8 * leading + slow * 16 + fast * 2;
      } else if (transposed) {
        at = row / numbers * leading + k / 8 * stride + k % 8 * line + row % numbers * 2;
      } else {
        at = row / 8 * stride + row % 8 * line + k * 2;
      }
      if (layout != Layout::none) {
        at ^= (at / 128 % 8 & (line / 16 - 1)) * 16;
      }
      std::memcpy(&out.bytes[at], &matrix[row * 16 + k], 2);
    }
  }
  out.descriptor = uint64_t{leading / 16} << 16 | uint64_t{stride / 16} << 32 |
                   uint64_t{modes[static_cast<int>(layout)]} << 62;
  return out;
}

void expect_products(Layout layout, bool transposed, bool from_registers) {
  const std::vector<bfloat16> a = whole_numbers(64 * 16, 4), b = whole_numbers(24 * 16, 5);
  const Laid laid_a = lay(a, 64, layout, transposed), laid_b = lay(b, 24, layout, transposed);
  const Array<unsigned char> far_a(laid_a.bytes), far_b(laid_b.bytes);
  const Array<bfloat16> first(a);
  const Array<float> out(64 * 24);
  const Operands of{laid_a.descriptor, laid_b.descriptor, 8192, 8192};
  EXPECT_EQ(run(transposed ? multiply_group<1> : multiply_group<0>, 1, 128, 16384, of, far_a.data(),
                far_b.data(), from_registers ? first.data() : nullptr, out.data()),
            "");
  const std::vector<float> found = out.host();
  for (size_t row = 0; row < 64; ++row) {
    for (size_t column = 0; column < 24; ++column) {
      float sum = 0;
      for (size_t k = 0; k < 16; ++k) sum += 2 * a[row * 16 + k] * b[column * 16 + k];
      ASSERT_EQ(found[row * 24 + column], sum)
          << row << ", " << column << ", layout " << static_cast<int>(layout);
    }
  }
}

TEST(Simt, MultipliesMatricesOfAWarpgroup) {
  for (const simt::Timing timing : timings) {
    const TimingIs now(timing);
    for (const Layout layout :
         {Layout::none, Layout::lines_32, Layout::lines_64, Layout::lines_128}) {
      for (const bool transposed : {false, true}) {
        for (const bool from_registers : {false, true}) {
          expect_products(layout, transposed, from_registers);
        }
      }
    }
  }
}

// What kernels may not do.

__global__ void forget_commit() {
  __shared__ __align__(1024) unsigned char tile[8192];
  const uint64_t at = address_of(tile) >> 4 | 64ull << 32 | 1ull << 62;
  float s[4] = {};
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.b32 p, %6, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, p, 1, 1, 0, "
      "0;\n}"
      : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
      : "l"(at), "l"(at), "r"(0));
}

TEST(Simt, FindsProductsThatNobodyWaitsFor) {
  const TimingIs late(simt::Timing::late);
  EXPECT_TRUE(says(run(forget_commit, 1, 128, 0), "before its wgmma products are done"));
}

__global__ void wait_for_nobody() {
  __shared__ uint64_t barrier;
  if (threadIdx.x == 0) init(&barrier, 2);
  __syncthreads();
  if (threadIdx.x == 0) arrive(&barrier);
  wait(&barrier, 0);
}
__global__ void miss_a_barrier() {
  if (threadIdx.x < 32) __syncthreads();
  if (threadIdx.x >= 32) {
    asm volatile("bar.sync %0, %1;" ::"r"(1), "r"(64) : "memory");
  }
}

TEST(Simt, TellsWhoWaitsForWhatInADeadlock) {
  EXPECT_TRUE(says(run(wait_for_nobody, 1, 64, 0), "wait_for_nobody"));
  EXPECT_TRUE(says(run(wait_for_nobody, 1, 64, 0),
                   "64 threads (block (0, 0, 0) thread (0, 0, 0) ..) "
                   "wait for parity 0 of the mbarrier"));
  const std::string both = run(miss_a_barrier, 1, 64, 0);
  EXPECT_TRUE(
      says(both, "32 threads (block (0, 0, 0) thread (32, 0, 0) ..) wait for bar.sync 0x1"));
  EXPECT_TRUE(says(both, "wait for __syncthreads"));
}

__global__ void arrive_too_often() {
  __shared__ uint64_t barrier;
  init(&barrier, 1);
  expect(&barrier, 16);
  arrive(&barrier);
}
__global__ void overwrite_barrier() {
  __shared__ uint64_t barrier;
  init(&barrier, 1);
  barrier = 0;
  arrive(&barrier);
}

TEST(Simt, FindsMisuseOfMbarriers) {
  EXPECT_TRUE(says(run(arrive_too_often, 1, 1, 0), "more arrivals in a phase than its 1"));
  EXPECT_TRUE(says(run(overwrite_barrier, 1, 1, 0), "was written over"));
}

__global__ void leave_copy_behind(const float4* in) {
  __shared__ float4 to;
  __shared__ uint64_t barrier;
  init(&barrier, 1);
  expect(&barrier, 16);
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(address_of(&to)),
      "l"(in), "r"(16), "r"(address_of(&barrier))
      : "memory");
}

TEST(Simt, FindsCopiesThatOutliveTheirBlock) {
  const TimingIs late(simt::Timing::late);
  const Array<float4> in(1);
  EXPECT_TRUE(says(run(leave_copy_behind, 1, 1, 0, in.data()), "copies into its shared memory"));
}

__global__ void copy_from(const char* from, int bytes) {
  __shared__ float4 to;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address_of(&to)), "l"(from),
               "r"(bytes)
               : "memory");
}
__global__ void load_shared(uint32_t offset) {
  __shared__ float numbers[8];
  float x;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(address_of(numbers) + offset) : "memory");
}

TEST(Simt, FindsAddressesThatAreNone) {
  const Array<char> memory(64);
  EXPECT_EQ(run(copy_from, 1, 1, 0, memory.data() + 48, 16), "");
  EXPECT_TRUE(says(run(copy_from, 1, 1, 0, memory.data() + 8, 16), "no multiple of 16"));
  EXPECT_TRUE(says(run(copy_from, 1, 1, 0, memory.data() + 64, 16), "no memory of the device"));
  EXPECT_EQ(run(copy_from, 1, 1, 0, memory.data() + 64, 0), "");
  EXPECT_EQ(run(load_shared, 1, 1, 0, 28u), "");
  EXPECT_TRUE(says(run(load_shared, 1, 1, 0, 32u), "outside of every variable"));
}

#if !defined(__SANITIZE_ADDRESS__)
__global__ void write_at(int* out, int i) {
  __shared__ int numbers[4];
  (out ? out : numbers)[i] = 1;
}

TEST(Simt, FindsWritesBesideMemory) {
  const Array<int> memory(16);
  EXPECT_EQ(run(write_at, 1, 1, 0, memory.data(), 15), "");
  EXPECT_TRUE(says(run(write_at, 1, 1, 0, memory.data(), 16), "beside an allocation"));
  EXPECT_TRUE(says(run(write_at, 1, 1, 0, memory.data(), -1), "beside an allocation"));
  int* nothing = nullptr;
  EXPECT_EQ(run(write_at, 1, 1, 0, nothing, 3), "");
  EXPECT_TRUE(says(run(write_at, 1, 1, 0, nothing, 4), "outside of every variable"));
}
#endif

TEST(Simt, RefusesGeometryThatTheDeviceDoes) {
  const Array<unsigned> out(1);
  EXPECT_NE(run(write_coordinates, 1, 1025, 0, out.data()), "");
  EXPECT_NE(run(write_coordinates, dim3(1, 65536), 1, 0, out.data()), "");
  EXPECT_NE(run(write_coordinates, 1, 1, 300 << 10, out.data()), "");
  EXPECT_NE(run(share_rows, 3, 32, 0, CUtensorMap{}, nullptr), "");
  EXPECT_NE(run(multiply_group<0>, 1, 256, 0, Operands{}, nullptr, nullptr, nullptr, nullptr), "");
}

// Recorded streams.

__global__ void add_one(int* number) {
  ++*number;
}

TEST(Simt, PlaysRecordingsAsOftenAsTold) {
  const Array<int> number(std::vector<int>{0});
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  cudaLaunchConfig_t config{};
  config.stream = stream;
  EXPECT_EQ(cudaLaunchKernelEx(&config, add_one, number.data()), cudaSuccess);
  EXPECT_EQ(cudaLaunchKernelEx(&config, add_one, number.data()), cudaSuccess);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(number.host()[0], 0);
  cudaGraphExec_t recording = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&recording, graph, 0), cudaSuccess);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cudaGraphLaunch(recording, stream), cudaSuccess);
  EXPECT_EQ(number.host()[0], 6);
  cudaGraphExecDestroy(recording);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

TEST(Simt, RefusesToRecordWhatWaits) {
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  cudaStreamDestroy(stream);
}

}  // namespace
