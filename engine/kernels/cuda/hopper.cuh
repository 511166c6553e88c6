// SPDX-License-Identifier: Apache-2.0
// Hopper's own instructions: memory barriers, the copy engine, warpgroup products.
//
// Only for code compiled for sm_90a: kernels guard their bodies with __CUDA_ARCH_FEAT_SM90_ALL.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "engine/kernels/cuda/warp_mma.cuh"

// A kernel's blocks come in clusters of two. For devices that have none its body is empty.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define MINIMAX_CLUSTER_OF_TWO
#else
#define MINIMAX_CLUSTER_OF_TWO __cluster_dims__(2, 1, 1)
#endif

namespace minimax::hopper {

// Barriers (mbarrier), given by their shared address. A wait names the parity of the phase it waits
// for: 0 for a fresh barrier's first phase; waiting for parity 1 passes at once on a fresh barrier.

__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// Makes fresh barriers visible to the copy engine and to the cluster; a block or cluster barrier follows.
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// The barrier at the same place in block `rank` of the cluster. Orders reads that are over (by wgmma, after
// its wait), not writes: a release for the whole cluster would cost a memory barrier of the device.
__device__ __forceinline__ void barrier_arrive_at(uint32_t barrier, uint32_t rank) {
  asm volatile(
      "{\n .reg .b32 remote;\n"
      " mapa.shared::cluster.u32 remote, %0, %1;\n"
      " mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(barrier),
      "r"(rank)
      : "memory");
}
// Arrives, and lets the phase end only after so many bytes have been copied as well.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ bool barrier_try(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  asm volatile(
      "{\n .reg .pred p;\n"
      " mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      " selp.u32 %0, 1, 0, p;\n}"
      : "=r"(done)
      : "r"(barrier), "r"(parity)
      : "memory");
  return done != 0;
}
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity) {
  while (!barrier_try(barrier, parity)) {
  }
}
// Barrier number `name` (1 .. 15; 0 is __syncthreads) among `threads` threads.
__device__ __forceinline__ void named_barrier(int name, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_barrier_arrive(int name, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(name), "r"(threads) : "memory");
}

__device__ __forceinline__ uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ void cluster_sync() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
}

// Orders this thread's writes to shared memory before reads by the copy engine or by wgmma; a barrier
// among the writers and the one who starts those follows.
__device__ __forceinline__ void fence_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// How long a copy's lines should stay in L2.
inline constexpr uint64_t keep_normal = 0x1000000000000000ull;
inline constexpr uint64_t keep_short = 0x12F0000000000000ull;
inline constexpr uint64_t keep_long = 0x14F0000000000000ull;

// Copies of boxes into shared memory; barrier gets their bytes. Coordinates run from the contiguous
// dimension outwards.

__device__ __forceinline__ void prefetch_map(const void* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
__device__ __forceinline__ void load_2d(uint32_t to, const void* map, uint32_t barrier, int x,
                                        int y, uint64_t keep = keep_normal) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(to),
      "l"(map), "r"(barrier), "r"(x), "r"(y), "l"(keep)
      : "memory");
}
__device__ __forceinline__ void load_3d(uint32_t to, const void* map, uint32_t barrier, int x,
                                        int y, int z, uint64_t keep = keep_normal) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(to),
      "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "l"(keep)
      : "memory");
}
__device__ __forceinline__ void load_4d(uint32_t to, const void* map, uint32_t barrier, int x,
                                        int y, int z, int w, uint64_t keep = keep_normal) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" ::"r"(to),
      "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(w), "l"(keep)
      : "memory");
}
// The same box to the same place in every block of the cluster that `blocks` has a bit for; each one's
// barrier at that place gets the bytes.
__device__ __forceinline__ void load_2d_multicast(uint32_t to, const void* map, uint32_t barrier,
                                                  int x, int y, uint16_t blocks,
                                                  uint64_t keep = keep_normal) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster.L2::cache_hint [%0], [%1, {%3, %4}], [%2], %5, %6;" ::"r"(to),
      "l"(map), "r"(barrier), "r"(x), "r"(y), "h"(blocks), "l"(keep)
      : "memory");
}

// Copies out of shared memory, in groups that a thread commits and waits for.

__device__ __forceinline__ void store_2d(const void* map, uint32_t from, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
      "r"(from), "r"(x), "r"(y)
      : "memory");
}
// bf16: adds to what is there, number by number, each sum rounded.
__device__ __forceinline__ void add_2d(const void* map, uint32_t from, int x, int y) {
  asm volatile(
      "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.bulk_group [%0, {%2, %3}], [%1];" ::
          "l"(map),
      "r"(from), "r"(x), "r"(y)
      : "memory");
}
__device__ __forceinline__ void store_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Until all but the last `left` groups have been read from shared memory.
template <int left>
__device__ __forceinline__ void store_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(left) : "memory");
}
// Until all but the last `left` groups are written.
template <int left>
__device__ __forceinline__ void store_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(left) : "memory");
}

// Four 8x8 blocks of bf16 from registers (the layout of a product's sums, two columns a register) into
// shared memory: lane l gives the address of row l % 8 of block l / 8. Transposed: of column l % 8.
__device__ __forceinline__ void store_blocks(uint32_t row, uint32_t r0, uint32_t r1, uint32_t r2,
                                             uint32_t r3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(r0), "r"(r1), "r"(r2), "r"(r3)
               : "memory");
}
__device__ __forceinline__ void store_blocks_transposed(uint32_t row, uint32_t r0, uint32_t r1,
                                                        uint32_t r2, uint32_t r3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(r0), "r"(r1), "r"(r2), "r"(r3)
               : "memory");
}

__device__ __forceinline__ void store_number(uint32_t to, float number) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(to), "f"(number) : "memory");
}

__device__ __forceinline__ uint4 load_piece(uint32_t from) {
  uint4 piece;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(piece.x), "=r"(piece.y), "=r"(piece.z), "=r"(piece.w)
               : "r"(from)
               : "memory");
  return piece;
}

// Registers per thread of this warpgroup from here on.
template <int count>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}

// wgmma's view of a bf16 tile in shared memory, written with 128-byte swizzle: eight rows of 128 bytes
// are one block of 1024 bytes at a multiple of 1024.
//
// K-major (rows of 64 k; block_stride from 8 rows to the next 8): step 16 k with + 2.
// MN-major (rows of 64 m or n, one row for each k; transposed operand): block_stride from 8 k to the
// next 8, wide_stride from 64 m or n to the next 64: step 16 k with + (2 * block_stride) / 16.
__device__ __forceinline__ uint64_t tile_descriptor(uint32_t address, uint32_t block_stride = 1024,
                                                    uint32_t wide_stride = 16) {
  return static_cast<uint64_t>((address & 0x3FFFF) >> 4) |
         static_cast<uint64_t>(wide_stride >> 4) << 16 |
         static_cast<uint64_t>(block_stride >> 4) << 32 | 1ull << 62;
}

// Before the first product, and whenever registers it uses were written by other instructions.
__device__ __forceinline__ void products_begin() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void products_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until all but the last `left` committed groups of products are done.
template <int left>
__device__ __forceinline__ void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}
// Keeps the compiler from reading sums before, or moving writes to them past, this place.
template <int count>
__device__ __forceinline__ void pin(float (&sums)[count]) {
#pragma unroll
  for (int i = 0; i < count; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

// clang-format off
#define MINIMAX_SUMS_AT(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
// Operand lists: the registers %0 .. %(n-1), and what is bound to them.
#define MINIMAX_REGISTERS_4 \
  "%0, %1, %2, %3"
#define MINIMAX_REGISTERS_8 \
  MINIMAX_REGISTERS_4 ", %4, %5, %6, %7"
#define MINIMAX_REGISTERS_12 \
  MINIMAX_REGISTERS_8 ", %8, %9, %10, %11"
#define MINIMAX_REGISTERS_16 \
  MINIMAX_REGISTERS_12 ", %12, %13, %14, %15"
#define MINIMAX_REGISTERS_20 \
  MINIMAX_REGISTERS_16 ", %16, %17, %18, %19"
#define MINIMAX_REGISTERS_24 \
  MINIMAX_REGISTERS_20 ", %20, %21, %22, %23"
#define MINIMAX_REGISTERS_28 \
  MINIMAX_REGISTERS_24 ", %24, %25, %26, %27"
#define MINIMAX_REGISTERS_32 \
  MINIMAX_REGISTERS_28 ", %28, %29, %30, %31"
#define MINIMAX_REGISTERS_36 \
  MINIMAX_REGISTERS_32 ", %32, %33, %34, %35"
#define MINIMAX_REGISTERS_40 \
  MINIMAX_REGISTERS_36 ", %36, %37, %38, %39"
#define MINIMAX_REGISTERS_44 \
  MINIMAX_REGISTERS_40 ", %40, %41, %42, %43"
#define MINIMAX_REGISTERS_48 \
  MINIMAX_REGISTERS_44 ", %44, %45, %46, %47"
#define MINIMAX_REGISTERS_52 \
  MINIMAX_REGISTERS_48 ", %48, %49, %50, %51"
#define MINIMAX_REGISTERS_56 \
  MINIMAX_REGISTERS_52 ", %52, %53, %54, %55"
#define MINIMAX_REGISTERS_60 \
  MINIMAX_REGISTERS_56 ", %56, %57, %58, %59"
#define MINIMAX_REGISTERS_64 \
  MINIMAX_REGISTERS_60 ", %60, %61, %62, %63"
#define MINIMAX_REGISTERS_68 \
  MINIMAX_REGISTERS_64 ", %64, %65, %66, %67"
#define MINIMAX_REGISTERS_72 \
  MINIMAX_REGISTERS_68 ", %68, %69, %70, %71"
#define MINIMAX_REGISTERS_76 \
  MINIMAX_REGISTERS_72 ", %72, %73, %74, %75"
#define MINIMAX_REGISTERS_80 \
  MINIMAX_REGISTERS_76 ", %76, %77, %78, %79"
#define MINIMAX_REGISTERS_84 \
  MINIMAX_REGISTERS_80 ", %80, %81, %82, %83"
#define MINIMAX_REGISTERS_88 \
  MINIMAX_REGISTERS_84 ", %84, %85, %86, %87"
#define MINIMAX_REGISTERS_92 \
  MINIMAX_REGISTERS_88 ", %88, %89, %90, %91"
#define MINIMAX_REGISTERS_96 \
  MINIMAX_REGISTERS_92 ", %92, %93, %94, %95"
#define MINIMAX_REGISTERS_100 \
  MINIMAX_REGISTERS_96 ", %96, %97, %98, %99"
#define MINIMAX_REGISTERS_104 \
  MINIMAX_REGISTERS_100 ", %100, %101, %102, %103"
#define MINIMAX_REGISTERS_108 \
  MINIMAX_REGISTERS_104 ", %104, %105, %106, %107"
#define MINIMAX_REGISTERS_112 \
  MINIMAX_REGISTERS_108 ", %108, %109, %110, %111"
#define MINIMAX_REGISTERS_116 \
  MINIMAX_REGISTERS_112 ", %112, %113, %114, %115"
#define MINIMAX_REGISTERS_120 \
  MINIMAX_REGISTERS_116 ", %116, %117, %118, %119"
#define MINIMAX_REGISTERS_124 \
  MINIMAX_REGISTERS_120 ", %120, %121, %122, %123"
#define MINIMAX_REGISTERS_128 \
  MINIMAX_REGISTERS_124 ", %124, %125, %126, %127"
#define MINIMAX_SUMS_4 MINIMAX_SUMS_AT(0)
#define MINIMAX_SUMS_8 MINIMAX_SUMS_4, MINIMAX_SUMS_AT(4)
#define MINIMAX_SUMS_12 MINIMAX_SUMS_8, MINIMAX_SUMS_AT(8)
#define MINIMAX_SUMS_16 MINIMAX_SUMS_12, MINIMAX_SUMS_AT(12)
#define MINIMAX_SUMS_20 MINIMAX_SUMS_16, MINIMAX_SUMS_AT(16)
#define MINIMAX_SUMS_24 MINIMAX_SUMS_20, MINIMAX_SUMS_AT(20)
#define MINIMAX_SUMS_28 MINIMAX_SUMS_24, MINIMAX_SUMS_AT(24)
#define MINIMAX_SUMS_32 MINIMAX_SUMS_28, MINIMAX_SUMS_AT(28)
#define MINIMAX_SUMS_36 MINIMAX_SUMS_32, MINIMAX_SUMS_AT(32)
#define MINIMAX_SUMS_40 MINIMAX_SUMS_36, MINIMAX_SUMS_AT(36)
#define MINIMAX_SUMS_44 MINIMAX_SUMS_40, MINIMAX_SUMS_AT(40)
#define MINIMAX_SUMS_48 MINIMAX_SUMS_44, MINIMAX_SUMS_AT(44)
#define MINIMAX_SUMS_52 MINIMAX_SUMS_48, MINIMAX_SUMS_AT(48)
#define MINIMAX_SUMS_56 MINIMAX_SUMS_52, MINIMAX_SUMS_AT(52)
#define MINIMAX_SUMS_60 MINIMAX_SUMS_56, MINIMAX_SUMS_AT(56)
#define MINIMAX_SUMS_64 MINIMAX_SUMS_60, MINIMAX_SUMS_AT(60)
#define MINIMAX_SUMS_68 MINIMAX_SUMS_64, MINIMAX_SUMS_AT(64)
#define MINIMAX_SUMS_72 MINIMAX_SUMS_68, MINIMAX_SUMS_AT(68)
#define MINIMAX_SUMS_76 MINIMAX_SUMS_72, MINIMAX_SUMS_AT(72)
#define MINIMAX_SUMS_80 MINIMAX_SUMS_76, MINIMAX_SUMS_AT(76)
#define MINIMAX_SUMS_84 MINIMAX_SUMS_80, MINIMAX_SUMS_AT(80)
#define MINIMAX_SUMS_88 MINIMAX_SUMS_84, MINIMAX_SUMS_AT(84)
#define MINIMAX_SUMS_92 MINIMAX_SUMS_88, MINIMAX_SUMS_AT(88)
#define MINIMAX_SUMS_96 MINIMAX_SUMS_92, MINIMAX_SUMS_AT(92)
#define MINIMAX_SUMS_100 MINIMAX_SUMS_96, MINIMAX_SUMS_AT(96)
#define MINIMAX_SUMS_104 MINIMAX_SUMS_100, MINIMAX_SUMS_AT(100)
#define MINIMAX_SUMS_108 MINIMAX_SUMS_104, MINIMAX_SUMS_AT(104)
#define MINIMAX_SUMS_112 MINIMAX_SUMS_108, MINIMAX_SUMS_AT(108)
#define MINIMAX_SUMS_116 MINIMAX_SUMS_112, MINIMAX_SUMS_AT(112)
#define MINIMAX_SUMS_120 MINIMAX_SUMS_116, MINIMAX_SUMS_AT(116)
#define MINIMAX_SUMS_124 MINIMAX_SUMS_120, MINIMAX_SUMS_AT(120)
#define MINIMAX_SUMS_128 MINIMAX_SUMS_124, MINIMAX_SUMS_AT(124)
// clang-format on

// sums [64, N] (+)= a [64, 16] * b [N, 16]^T by a warpgroup, bf16 to f32; the first N / 2 sums are used.
// keep = 0 starts from zero. Sums of a thread: for 8 columns from 8 g on, sums[4 g + 0, 1] are row
// lane / 4 and sums[4 g + 2, 3] row lane / 4 + 8 of its warp's 16 rows, in columns 2 (lane % 4) + 0, 1.
// With a in registers: rows lane / 4, lane / 4 + 8, then the same 8 k further, k as the columns above.
// transpose_a, transpose_b = 1: that tile is MN-major.
template <int N>
struct Product;

#define MINIMAX_WGMMA(N, count, p0, p1, p2, p3, p4, p5, p6)                                        \
  template <>                                                                                      \
  struct Product<N> {                                                                              \
    template <int transpose_a = 0, int transpose_b = 0, int sums_count>                            \
    static __device__ __forceinline__ void shared(float (&sums)[sums_count], uint64_t a,           \
                                                  uint64_t b, int keep) {                          \
      static_assert(sums_count >= count);                                                          \
      asm volatile("{\n .reg .pred p;\n setp.ne.b32 p, " p2                                        \
                   ", 0;\n"                                                                        \
                   " wgmma.mma_async.sync.aligned.m64n" #N                                         \
                   "k16.f32.bf16.bf16 {" MINIMAX_REGISTERS_##count "}, " p0 ", " p1                \
                                                                   ", p, 1, 1, " p3 ", " p4 ";\n}" \
                   : MINIMAX_SUMS_##count                                                          \
                   : "l"(a), "l"(b), "r"(keep), "n"(transpose_a), "n"(transpose_b));               \
    }                                                                                              \
    template <int transpose_b = 0, int sums_count>                                                 \
    static __device__ __forceinline__ void registers(float (&sums)[sums_count],                    \
                                                     const uint32_t (&a)[4], uint64_t b,           \
                                                     int keep) {                                   \
      static_assert(sums_count >= count);                                                          \
      asm volatile(                                                                                \
          "{\n .reg .pred p;\n setp.ne.b32 p, " p5                                                 \
          ", 0;\n"                                                                                 \
          " wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" MINIMAX_REGISTERS_##count  \
          "}, {" p0 ", " p1 ", " p2 ", " p3 "}, " p4 ", p, 1, 1, " p6 ";\n}"                       \
          : MINIMAX_SUMS_##count                                                                   \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(keep), "n"(transpose_b));      \
    }                                                                                              \
  };

// clang-format off
MINIMAX_WGMMA(8, 4, "%4", "%5", "%6", "%7", "%8", "%9", "%10")
MINIMAX_WGMMA(16, 8, "%8", "%9", "%10", "%11", "%12", "%13", "%14")
MINIMAX_WGMMA(24, 12, "%12", "%13", "%14", "%15", "%16", "%17", "%18")
MINIMAX_WGMMA(32, 16, "%16", "%17", "%18", "%19", "%20", "%21", "%22")
MINIMAX_WGMMA(40, 20, "%20", "%21", "%22", "%23", "%24", "%25", "%26")
MINIMAX_WGMMA(48, 24, "%24", "%25", "%26", "%27", "%28", "%29", "%30")
MINIMAX_WGMMA(56, 28, "%28", "%29", "%30", "%31", "%32", "%33", "%34")
MINIMAX_WGMMA(64, 32, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
MINIMAX_WGMMA(72, 36, "%36", "%37", "%38", "%39", "%40", "%41", "%42")
MINIMAX_WGMMA(80, 40, "%40", "%41", "%42", "%43", "%44", "%45", "%46")
MINIMAX_WGMMA(88, 44, "%44", "%45", "%46", "%47", "%48", "%49", "%50")
MINIMAX_WGMMA(96, 48, "%48", "%49", "%50", "%51", "%52", "%53", "%54")
MINIMAX_WGMMA(104, 52, "%52", "%53", "%54", "%55", "%56", "%57", "%58")
MINIMAX_WGMMA(112, 56, "%56", "%57", "%58", "%59", "%60", "%61", "%62")
MINIMAX_WGMMA(120, 60, "%60", "%61", "%62", "%63", "%64", "%65", "%66")
MINIMAX_WGMMA(128, 64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
MINIMAX_WGMMA(136, 68, "%68", "%69", "%70", "%71", "%72", "%73", "%74")
MINIMAX_WGMMA(144, 72, "%72", "%73", "%74", "%75", "%76", "%77", "%78")
MINIMAX_WGMMA(152, 76, "%76", "%77", "%78", "%79", "%80", "%81", "%82")
MINIMAX_WGMMA(160, 80, "%80", "%81", "%82", "%83", "%84", "%85", "%86")
MINIMAX_WGMMA(168, 84, "%84", "%85", "%86", "%87", "%88", "%89", "%90")
MINIMAX_WGMMA(176, 88, "%88", "%89", "%90", "%91", "%92", "%93", "%94")
MINIMAX_WGMMA(184, 92, "%92", "%93", "%94", "%95", "%96", "%97", "%98")
MINIMAX_WGMMA(192, 96, "%96", "%97", "%98", "%99", "%100", "%101", "%102")
MINIMAX_WGMMA(200, 100, "%100", "%101", "%102", "%103", "%104", "%105", "%106")
MINIMAX_WGMMA(208, 104, "%104", "%105", "%106", "%107", "%108", "%109", "%110")
MINIMAX_WGMMA(216, 108, "%108", "%109", "%110", "%111", "%112", "%113", "%114")
MINIMAX_WGMMA(224, 112, "%112", "%113", "%114", "%115", "%116", "%117", "%118")
MINIMAX_WGMMA(232, 116, "%116", "%117", "%118", "%119", "%120", "%121", "%122")
MINIMAX_WGMMA(240, 120, "%120", "%121", "%122", "%123", "%124", "%125", "%126")
MINIMAX_WGMMA(248, 124, "%124", "%125", "%126", "%127", "%128", "%129", "%130")
MINIMAX_WGMMA(256, 128, "%128", "%129", "%130", "%131", "%132", "%133", "%134")
// clang-format on

#undef MINIMAX_WGMMA

}  // namespace minimax::hopper
