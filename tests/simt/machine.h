// SPDX-License-Identifier: Apache-2.0
// The emulated multiprocessor: blocks of threads that wait for each other, their shared memory, and copies
// that come later.
//
// The blocks of a cluster run at the same time, clusters one after the other, and of all threads one at a
// time, until it waits. When all wait, copies under way arrive; when there are none, the launch ends with
// a sentence that tells who waits for what.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/simt/fiber.h"
#include "tests/simt/kernel.h"

namespace simt {

// When something that runs by itself (a copy, a product of a warpgroup) happens: at once, as late as it
// may, or now so and now so.
enum class Timing { early, late, mixed };

// Which device it is. From the environment at first: MINIMAX_SIMT_ARCH (sm_80, sm_90),
// MINIMAX_SIMT_MULTIPROCESSORS, MINIMAX_SIMT_TIMING (early, late, mixed), MINIMAX_SIMT_TELL (1: names each
// kernel that starts).
struct Options {
  int major = 9;
  int multiprocessors = 6;
  Timing timing = Timing::late;
  bool tells_launches = false;
};
Options& options();
// Whether the next thing that runs by itself happens late.
bool happens_late();

inline constexpr uint32_t warp_lanes = 32;
// Shared memory begins so far behind address 0: the device keeps the first bytes to itself.
inline constexpr uint32_t reserved_shared_bytes = 1024;
inline constexpr size_t most_static_bytes = size_t{48} << 10;
size_t most_shared_bytes();  // of a block that has asked for it

struct Block;
struct Cluster;
struct Warp;

// A transfer in two steps: what it reads is read, then written.
struct Transfer {
  std::function<void()> read, write;
};

// A copy of a few bytes, the rest zeros.
struct Piece {
  std::byte* to;
  const void* from;
  uint8_t size_bytes, real_bytes;
};

struct Coordinates {
  uint3 thread, block;
};

struct Thread {
  Fiber fiber;
  Coordinates at;
  uint32_t index = 0;  // in the block
  uint32_t lane = 0;
  Block* block = nullptr;
  Warp* warp = nullptr;
  bool ended = false;
  const char* waits_for = nullptr;
  uint64_t waits_for_number = 0;
  uint64_t cluster_phase = 0;
  bool cluster_arrived = false;
  // cp.async: committed groups that are under way, and copies of no group yet.
  std::deque<std::vector<Piece>> copy_groups;
  std::vector<Piece> open_copies;
  // cp.async.bulk out of shared memory.
  std::deque<std::vector<Transfer>> store_groups;
  std::vector<Transfer> open_stores;
  size_t stores_read = 0;  // groups at the front whose reads are done
};

// Lanes that have come to the same instruction, with what each brings.
struct Gathering {
  uint32_t mask = 0, expected = 0, arrived = 0;
  const void* site = nullptr;
  const char* name = nullptr;
  void (*perform)(Gathering&) = nullptr;
  void* arguments[warp_lanes] = {};
};

struct Warp {
  std::vector<Thread*> threads;  // by lane
  std::vector<Gathering> gatherings;
  uint32_t alive = 0;
  // wgmma
  bool fenced = false;
  std::deque<std::vector<std::function<void()>>> product_groups;
  std::vector<std::function<void()>> open_products;
};

struct NamedBarrier {
  uint32_t expected = 0;  // 0: nobody is here; all_threads: __syncthreads
  uint32_t arrived = 0;
  std::vector<Thread*> waiting;
};

// mbarrier. The phase ends when `pending` arrivals and `bytes` are zero.
struct MemoryBarrier {
  int64_t expected = 0, pending = 0, bytes = 0;
  uint64_t phase = 0;
  std::vector<Thread*> waiting;
};

struct Block {
  uint32_t rank = 0;  // in the cluster
  Cluster* cluster = nullptr;
  std::vector<Thread*> threads;
  std::vector<Warp> warps;
  uint32_t alive = 0;
  NamedBarrier barriers[16];
  std::unordered_map<uint32_t, MemoryBarrier> memory_barriers;  // by address

  // Shared memory: [reserved][dynamic][static], with zones between that nobody may touch.
  struct Range {
    uint32_t begin, end;
  };
  std::byte* memory = nullptr;
  uint32_t memory_bytes = 0;
  std::vector<Range> used;
  std::unordered_map<const void*, uint32_t> variables;
  uint32_t dynamic_bytes = 0, dynamic_begin = 0, next_static = 0, static_bytes = 0;
};

struct KernelTraits {
  std::string name;
  dim3 cluster{1, 1, 1};
  unsigned most_threads = 0;
  size_t most_dynamic_bytes = size_t{48} << 10;
  bool known = false;
};

struct Launch {
  const std::function<void()>* body;
  dim3 grid, block, cluster;
  size_t dynamic_bytes;
  const KernelTraits* traits;
};

// A copy under way that ends at an mbarrier.
struct Copy {
  Thread* owner;
  std::function<void()> work;
};

struct Cluster {
  const Launch* launch = nullptr;
  std::vector<std::unique_ptr<Block>> blocks;
  uint32_t alive = 0;
  uint64_t phase = 0;  // of the cluster's barrier
  uint32_t arrived = 0;
  std::vector<Thread*> waiting;
  std::vector<Copy> copies;  // under way, in no order
};

// The thread that runs.
Thread& current();
// Lets others run until wake(). what, number: what for, "mbarrier at", 1024.
void wait(const char* what, uint64_t number);
void wake(Thread& thread);
void wake_all(std::vector<Thread*>& threads);

// Memory of the block of an address of shared::cta or shared::cluster, all of it in use.
std::byte* shared_memory(uint32_t address, size_t size_bytes, size_t alignment, const char* what);
// Fails unless the bytes lie in memory of the device.
void check_global(const void* address, size_t size_bytes, size_t alignment, const char* what);

// All living lanes of the mask meet; the last one calls perform, then all go on. Lanes come from the same
// site, when it is not null.
void gather(uint32_t mask, const void* site, const char* name, void* argument,
            void (*perform)(Gathering&));

// Barrier number `name` of the block.
inline constexpr uint32_t all_threads = ~0u;
void named_barrier(uint32_t name, uint32_t threads, bool waits);
void cluster_arrive();
void cluster_wait();
// An address in block `rank` of the cluster.
uint32_t map_shared(uint32_t address, uint32_t rank);

void barrier_init(uint32_t address, uint32_t arrivals);
void barrier_invalidate(uint32_t address);
void barrier_expect(uint32_t address, uint32_t bytes);
void barrier_arrive(uint32_t address, uint32_t arrivals);
void barrier_complete(uint32_t address, uint32_t bytes);  // bytes have come
bool barrier_passed(uint32_t address, uint32_t parity);
void barrier_wait(uint32_t address, uint32_t parity);

// The launch; "" or what went wrong.
std::string run(const Launch& launch);
KernelTraits& traits_of(const void* function);
// Runs the kernel up to enter_kernel.
void find_traits(KernelTraits& traits, const std::function<void()>& body);

}  // namespace simt
