// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace simt {
namespace {

// Shared memory and fresh device memory: as floats and bf16 no number, as whole numbers -1.
constexpr int poison = 0xff;
constexpr uint32_t zone_bytes = 64;

struct LaunchFailed {
  std::string sentence;
};

Thread* running = nullptr;  // or who a copy under way belongs to
bool on_fiber = false;
std::deque<Thread*> ready;
std::string failure;
KernelTraits* probed = nullptr;

std::string hexadecimal(uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(number));
  return text;
}

std::string place_of(const Thread& thread) {
  const uint3 b = thread.at.block, t = thread.at.thread;
  char text[96];
  std::snprintf(text, sizeof text, "block (%u, %u, %u) thread (%u, %u, %u)", b.x, b.y, b.z, t.x,
                t.y, t.z);
  return text;
}

Options from_environment() {
  Options options;
  const auto value = [](const char* name) {
    const char* text = std::getenv(name);
    return std::string_view(text ? text : "");
  };
  if (value("MINIMAX_SIMT_ARCH") == "sm_80") options.major = 8;
  if (const char* count = std::getenv("MINIMAX_SIMT_MULTIPROCESSORS")) {
    options.multiprocessors = std::max(1, std::atoi(count));
  }
  if (value("MINIMAX_SIMT_TIMING") == "early") options.timing = Timing::early;
  if (value("MINIMAX_SIMT_TIMING") == "mixed") options.timing = Timing::mixed;
  options.tells_launches = value("MINIMAX_SIMT_TELL") == "1";
  return options;
}

uint32_t random_bits() {
  static uint32_t state = 0x9e3779b9u;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

void protect(std::byte* memory, size_t size_bytes, bool allowed) {
#if defined(__SANITIZE_ADDRESS__)
  if (allowed) {
    __asan_unpoison_memory_region(memory, size_bytes);
  } else {
    __asan_poison_memory_region(memory, size_bytes);
  }
#else
  static_cast<void>(memory);
  static_cast<void>(size_bytes);
  static_cast<void>(allowed);
#endif
}

uint32_t round_up(uint32_t x, uint32_t to) {
  return (x + to - 1) / to * to;
}

}  // namespace

Options& options() {
  static Options all = from_environment();
  return all;
}

bool happens_late() {
  if (options().timing == Timing::mixed) return random_bits() >> 16 & 1;
  return options().timing == Timing::late;
}

size_t most_shared_bytes() {
  return options().major >= 9 ? size_t{227} << 10 : size_t{163} << 10;
}

void fail(const std::string& sentence) {
  throw LaunchFailed{running ? place_of(*running) + ": " + sentence : sentence};
}

Thread& current() {
  return *running;
}

void wait(const char* what, uint64_t number) {
  running->waits_for = what;
  running->waits_for_number = number;
  Fiber::suspend();
}

void wake(Thread& thread) {
  thread.waits_for = nullptr;
  ready.push_back(&thread);
}

void wake_all(std::vector<Thread*>& threads) {
  for (Thread* thread : threads) {
    if (!on_fiber || thread != running) wake(*thread);
  }
  threads.clear();
}

// Shared memory.

namespace {

// Shared variables, and what lies between them.
constexpr uint32_t static_room_bytes = 2 * most_static_bytes;

// Memory of blocks that have ended, for the next ones.
struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
struct Spare {
  std::unique_ptr<std::byte, Free> memory;
  uint32_t size_bytes;
};
std::vector<Spare>& spare_memory() {
  static std::vector<Spare> all;
  return all;
}

std::byte* take_memory(uint32_t size_bytes) {
  std::vector<Spare>& all = spare_memory();
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const Spare& spare) { return spare.size_bytes == size_bytes; });
  if (found == all.end()) {
    return static_cast<std::byte*>(std::aligned_alloc(1024, round_up(size_bytes, 1024)));
  }
  std::byte* memory = found->memory.release();
  all.erase(found);
  return memory;
}

// dynamic_begin is known when the kernel names its dynamic memory: until then its room is out of bounds.
void open_shared(Block& block, size_t dynamic_bytes) {
  block.dynamic_bytes = static_cast<uint32_t>(dynamic_bytes);
  block.dynamic_begin = 0;
  const uint32_t dynamic_room = reserved_shared_bytes + block.dynamic_bytes + zone_bytes;
  block.next_static = round_up(reserved_shared_bytes + dynamic_room, 1024);
  block.memory_bytes = block.next_static + static_room_bytes;
  block.static_bytes = 0;
  block.memory = take_memory(block.memory_bytes);
  std::memset(block.memory, poison, block.memory_bytes);
  protect(block.memory, block.memory_bytes, false);
  block.used.clear();
  block.variables.clear();
}

void close_shared(Block& block) {
  if (!block.memory) return;
  protect(block.memory, block.memory_bytes, true);
  spare_memory().push_back({std::unique_ptr<std::byte, Free>(block.memory), block.memory_bytes});
  block.memory = nullptr;
}

bool is_poison(const std::byte* bytes, size_t count) {
  return bytes[0] == std::byte{poison} && std::memcmp(bytes, bytes + 1, count - 1) == 0;
}

// "" or where a byte between the variables has changed.
std::string check_zones(const Block& block) {
  std::vector<Block::Range> used = block.used;
  std::sort(used.begin(), used.end(), [](auto a, auto b) { return a.begin < b.begin; });
  used.push_back({block.memory_bytes, block.memory_bytes});
  protect(block.memory, block.memory_bytes, true);
  uint32_t at = 0;
  for (const Block::Range& range : used) {
    if (at < range.begin && !is_poison(block.memory + at, range.begin - at)) {
      while (block.memory[at] == std::byte{poison}) ++at;
      return "shared memory was written at " + hexadecimal(at) + ", outside of every variable";
    }
    at = range.end;
  }
  return "";
}

uint32_t use_shared(Block& block, uint32_t begin, uint32_t size_bytes) {
  block.used.push_back({begin, begin + size_bytes});
  protect(block.memory + begin, size_bytes, true);
  return begin;
}

void check_shared_size(const Block& block) {
  const size_t total = block.static_bytes + block.dynamic_bytes;
  if (block.static_bytes > most_static_bytes || total > most_shared_bytes()) {
    fail("the block has " + std::to_string(block.static_bytes) + " bytes of shared variables and " +
         std::to_string(block.dynamic_bytes) + " dynamic ones, more than there are");
  }
}

}  // namespace

void* shared_variable(const void* key, size_t size_bytes, size_t alignment) {
  Block& block = *current().block;
  const auto [found, fresh] = block.variables.try_emplace(key, 0);
  if (fresh) {
    const auto size = static_cast<uint32_t>(size_bytes);
    const auto align = static_cast<uint32_t>(std::max<size_t>(alignment, 4));
    block.static_bytes = round_up(block.static_bytes, align) + size;
    check_shared_size(block);
    const uint32_t begin = round_up(block.next_static, align);
    if (begin + size + zone_bytes > block.memory_bytes) fail("too many shared variables");
    found->second = use_shared(block, begin, size);
    // Just as well aligned as it must be.
    block.next_static = round_up(found->second + size + zone_bytes, 2 * align) + align;
  }
  return block.memory + found->second;
}

void* dynamic_shared(size_t alignment) {
  Block& block = *current().block;
  const auto align = static_cast<uint32_t>(std::max<size_t>(alignment, 16));
  const uint32_t begin = reserved_shared_bytes + (align < 1024 ? align : 0);
  if (block.dynamic_begin == 0) {
    block.dynamic_begin = use_shared(block, begin, block.dynamic_bytes);
    check_shared_size(block);
  }
  if (block.dynamic_begin != begin) fail("a kernel declares its dynamic shared memory in two ways");
  return block.memory + begin;
}

uint32_t shared_address(const void* pointer) {
  const Block& block = *current().block;
  const auto* at = static_cast<const std::byte*>(pointer);
  // One behind the end may be computed.
  if (at < block.memory || at > block.memory + block.memory_bytes) {
    fail("a pointer that is not into the block's shared memory was made an address of it");
  }
  return static_cast<uint32_t>(at - block.memory);
}

// Addresses of shared::cluster: the block in the upper 8 bits, counted from 1; 0 is the own one.
uint32_t map_shared(uint32_t address, uint32_t rank) {
  if (rank >= current().block->cluster->blocks.size()) {
    fail("mapa names block " + std::to_string(rank) + " of a cluster of " +
         std::to_string(current().block->cluster->blocks.size()));
  }
  return (address & 0xffffffu) | (rank + 1) << 24;
}

namespace {

struct SharedPlace {
  Block* block;
  uint32_t offset;
};

SharedPlace shared_place(uint32_t address) {
  Block& own = *current().block;
  const uint32_t number = address >> 24;
  if (number > own.cluster->blocks.size()) {
    fail(hexadecimal(address) + " is no address of shared memory");
  }
  return {number == 0 ? &own : own.cluster->blocks[number - 1].get(), address & 0xffffffu};
}

}  // namespace

std::byte* shared_memory(uint32_t address, size_t size_bytes, size_t alignment, const char* what) {
  const auto [block, offset] = shared_place(address);
  if (offset % alignment != 0) {
    fail(std::string(what) + " at shared address " + hexadecimal(offset) +
         ", which is no multiple of " + std::to_string(alignment));
  }
  if (block->alive == 0) fail(std::string(what) + ": the block it goes to has ended");
  for (const Block::Range& range : block->used) {
    if (offset >= range.begin && offset + size_bytes <= range.end) return block->memory + offset;
  }
  fail(std::string(what) + " of " + std::to_string(size_bytes) + " bytes at shared address " +
       hexadecimal(offset) + ", outside of every variable");
}

// Lanes that meet.

namespace {

void check_gathering(Gathering& gathering, Warp& warp, void (*perform)(Gathering&)) {
  gathering.expected = gathering.mask & warp.alive;
  if ((gathering.arrived & gathering.expected) != gathering.expected) return;
  Gathering whole = gathering;
  warp.gatherings.erase(warp.gatherings.begin() + (&gathering - warp.gatherings.data()));
  perform(whole);
  for (uint32_t lane = 0; lane < warp_lanes; ++lane) {
    if (!(whole.arrived >> lane & 1)) continue;
    if (warp.threads[lane] != running) wake(*warp.threads[lane]);
  }
}

}  // namespace

void gather(uint32_t mask, const void* site, const char* name, void* argument,
            void (*perform)(Gathering&)) {
  Thread& thread = current();
  Warp& warp = *thread.warp;
  const uint32_t bit = 1u << thread.lane;
  if (!(mask & bit)) fail(std::string(name) + ": the mask leaves out the lane itself");
  auto found =
      std::find_if(warp.gatherings.begin(), warp.gatherings.end(),
                   [&](const Gathering& g) { return g.mask == mask && !(g.arrived & bit); });
  if (found == warp.gatherings.end()) {
    warp.gatherings.push_back({.mask = mask, .site = site, .name = name, .perform = perform});
    found = warp.gatherings.end() - 1;
  }
  if (found->site != site || found->name != name) {
    fail(std::string(name) + " meets " + found->name + " of other lanes of its warp");
  }
  found->arrived |= bit;
  found->arguments[thread.lane] = argument;
  const bool complete = (found->arrived & mask & warp.alive) == (mask & warp.alive);
  if (complete) {
    check_gathering(*found, warp, perform);
  } else {
    wait(name, mask);
  }
}

uint64_t shuffle_bits(Shuffle kind, uint32_t mask, uint64_t bits, int lanes, int width) {
  struct Exchange {
    Shuffle kind;
    uint64_t bits;
    int lanes, width;
    uint64_t result;
  } mine{kind, bits, lanes, width, 0};
  gather(mask, nullptr, "a shuffle", &mine, [](Gathering& g) {
    for (int lane = 0; lane < static_cast<int>(warp_lanes); ++lane) {
      auto* to = static_cast<Exchange*>(g.arguments[lane]);
      if (!to) continue;
      const int first = lane & ~(to->width - 1), last = first + to->width - 1;
      int from = lane;
      switch (to->kind) {
        case Shuffle::index:
          from = first + (to->lanes & (to->width - 1));
          break;
        case Shuffle::up:
          from = lane - to->lanes >= first ? lane - to->lanes : lane;
          break;
        case Shuffle::down:
          from = lane + to->lanes <= last ? lane + to->lanes : lane;
          break;
        case Shuffle::exclusive_or:
          from = (lane ^ to->lanes) <= last ? lane ^ to->lanes : lane;
          break;
      }
      const auto* source = static_cast<const Exchange*>(g.arguments[from]);
      // A lane that takes no part has nothing to give.
      if (source) {
        to->result = source->bits;
      } else {
        std::memset(&to->result, poison, sizeof to->result);
      }
    }
  });
  return mine.result;
}

uint32_t exchange(uint32_t mask, uint64_t bits, uint64_t (&all)[32]) {
  struct Exchange {
    uint64_t bits;
    uint64_t* all;
    uint32_t given;
  } mine{bits, all, 0};
  gather(mask, nullptr, "a vote or a reduction", &mine, [](Gathering& g) {
    for (void* to : g.arguments) {
      if (!to) continue;
      auto& lane = *static_cast<Exchange*>(to);
      lane.given = g.arrived;
      for (uint32_t i = 0; i < warp_lanes; ++i) {
        if (g.arguments[i]) lane.all[i] = static_cast<const Exchange*>(g.arguments[i])->bits;
      }
    }
  });
  return mine.given;
}

uint32_t ballot(uint32_t mask, bool predicate) {
  uint64_t all[32];
  const uint32_t given = exchange(mask, predicate, all);
  uint32_t votes = 0;
  for (uint32_t i = 0; i < warp_lanes; ++i) {
    if ((given >> i & 1) && all[i]) votes |= 1u << i;
  }
  return votes;
}

uint32_t match(uint32_t mask, uint64_t bits) {
  uint64_t all[32];
  const uint32_t given = exchange(mask, bits, all);
  uint32_t same = 0;
  for (uint32_t i = 0; i < warp_lanes; ++i) {
    if ((given >> i & 1) && all[i] == bits) same |= 1u << i;
  }
  return same;
}

void warp_barrier(uint32_t mask) {
  gather(mask, nullptr, "__syncwarp", nullptr, [](Gathering&) {});
}

// Barriers of blocks and clusters.

namespace {

void check_barrier(NamedBarrier& barrier, const Block& block) {
  if (barrier.expected == 0) return;
  const uint32_t needed = barrier.expected == all_threads ? block.alive : barrier.expected;
  if (barrier.arrived < needed) return;
  barrier.expected = barrier.arrived = 0;
  wake_all(barrier.waiting);
}

void check_cluster(Cluster& cluster) {
  if (cluster.arrived == 0 || cluster.arrived < cluster.alive) return;
  cluster.arrived = 0;
  ++cluster.phase;
  wake_all(cluster.waiting);
}

}  // namespace

void named_barrier(uint32_t name, uint32_t threads, bool waits) {
  Block& block = *current().block;
  if (name >= 16) fail("bar names barrier " + std::to_string(name) + ", there are 16");
  if (threads != all_threads &&
      (threads == 0 || threads % warp_lanes != 0 ||
       threads > round_up(static_cast<uint32_t>(block.threads.size()), warp_lanes))) {
    fail("bar is for " + std::to_string(threads) + " threads, expected whole warps of the block");
  }
  NamedBarrier& barrier = block.barriers[name];
  if (barrier.expected != 0 && barrier.expected != threads) {
    fail("barrier " + std::to_string(name) + " is for " + std::to_string(threads) +
         " threads here, others wait there with " + std::to_string(barrier.expected));
  }
  barrier.expected = threads;
  ++barrier.arrived;
  if (waits) barrier.waiting.push_back(&current());
  check_barrier(barrier, block);
  if (waits && !barrier.waiting.empty()) {
    wait(threads == all_threads ? "__syncthreads" : "bar.sync", name);
  }
}

void block_barrier() {
  named_barrier(0, all_threads, true);
}

void cluster_arrive() {
  Thread& thread = current();
  Cluster& cluster = *thread.block->cluster;
  if (thread.cluster_arrived) fail("barrier.cluster.arrive twice, without a wait between");
  thread.cluster_arrived = true;
  thread.cluster_phase = cluster.phase;
  ++cluster.arrived;
  check_cluster(cluster);
}

void cluster_wait() {
  Thread& thread = current();
  Cluster& cluster = *thread.block->cluster;
  if (!thread.cluster_arrived) fail("barrier.cluster.wait without an arrive before it");
  thread.cluster_arrived = false;
  if (cluster.phase != thread.cluster_phase) return;
  cluster.waiting.push_back(&thread);
  wait("barrier.cluster.wait", 0);
}

// mbarrier. The state is kept outside of shared memory; its 8 bytes there hold a mark that a write over
// them destroys.

namespace {

constexpr uint64_t barrier_mark = 0x62726965'72616d6dull;
constexpr int64_t most_arrivals = (1 << 20) - 1;

MemoryBarrier& memory_barrier(uint32_t address, const char* what) {
  const auto [block, offset] = shared_place(address);
  const std::byte* memory = shared_memory(address, 8, 8, what);
  const auto found = block->memory_barriers.find(offset);
  if (found == block->memory_barriers.end()) {
    fail(std::string(what) + " at " + hexadecimal(offset) + ", where no mbarrier was initialised");
  }
  uint64_t mark = 0;
  std::memcpy(&mark, memory, sizeof mark);
  if (mark != barrier_mark) {
    fail(std::string(what) + " at " + hexadecimal(offset) + ": the mbarrier was written over");
  }
  return found->second;
}

void check_phase(MemoryBarrier& barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.pending = barrier.expected;
  wake_all(barrier.waiting);
}

}  // namespace

void barrier_init(uint32_t address, uint32_t arrivals) {
  const auto [block, offset] = shared_place(address);
  std::byte* memory = shared_memory(address, 8, 8, "mbarrier.init");
  if (arrivals == 0 || arrivals > most_arrivals) {
    fail("mbarrier.init with " + std::to_string(arrivals) + " arrivals");
  }
  const auto found = block->memory_barriers.find(offset);
  if (found != block->memory_barriers.end()) {
    fail("mbarrier.init at " + hexadecimal(offset) + ", which is an mbarrier already");
  }
  std::memcpy(memory, &barrier_mark, sizeof barrier_mark);
  MemoryBarrier& barrier = block->memory_barriers[offset];
  barrier.expected = barrier.pending = arrivals;
}

void barrier_invalidate(uint32_t address) {
  const MemoryBarrier& barrier = memory_barrier(address, "mbarrier.inval");
  if (!barrier.waiting.empty()) fail("mbarrier.inval while threads wait");
  const auto [block, offset] = shared_place(address);
  block->memory_barriers.erase(offset);
}

void barrier_expect(uint32_t address, uint32_t bytes) {
  MemoryBarrier& barrier = memory_barrier(address, "mbarrier.expect_tx");
  barrier.bytes += bytes;
  if (barrier.bytes > most_arrivals) fail("mbarrier.expect_tx: more bytes than can be counted");
}

void barrier_arrive(uint32_t address, uint32_t arrivals) {
  MemoryBarrier& barrier = memory_barrier(address, "mbarrier.arrive");
  if (barrier.pending < arrivals) {
    fail("mbarrier.arrive at " + hexadecimal(address) + ": more arrivals in a phase than its " +
         std::to_string(barrier.expected));
  }
  barrier.pending -= arrivals;
  check_phase(barrier);
}

void barrier_complete(uint32_t address, uint32_t bytes) {
  MemoryBarrier& barrier = memory_barrier(address, "the end of a copy");
  barrier.bytes -= bytes;
  if (barrier.bytes < -most_arrivals) fail("an mbarrier got more bytes than can be counted");
  check_phase(barrier);
}

bool barrier_passed(uint32_t address, uint32_t parity) {
  return (memory_barrier(address, "mbarrier.try_wait").phase & 1) != (parity & 1);
}

void barrier_wait(uint32_t address, uint32_t parity) {
  // A phase that passes while a thread is on its way to look is missed, as on the device.
  while (!barrier_passed(address, parity)) {
    memory_barrier(address, "mbarrier.try_wait").waiting.push_back(&current());
    wait(parity ? "parity 1 of the mbarrier at" : "parity 0 of the mbarrier at",
         address & 0xffffffu);
  }
}

// The launch.

namespace {

void end_thread(Thread& thread) {
  if (thread.cluster_arrived) fail("ends between barrier.cluster.arrive and wait");
  if (!thread.open_stores.empty() || thread.stores_read < thread.store_groups.size()) {
    fail("ends before what it stores with cp.async.bulk has been read from shared memory");
  }
  for (const auto& group : thread.store_groups) {
    for (const Transfer& transfer : group) transfer.write();
  }
  thread.ended = true;
  Warp& warp = *thread.warp;
  Block& block = *thread.block;
  warp.alive &= ~(1u << thread.lane);
  --block.alive;
  --block.cluster->alive;
  if (warp.alive == 0 && !(warp.product_groups.empty() && warp.open_products.empty())) {
    fail("the warp ends before its wgmma products are done");
  }
  for (size_t i = warp.gatherings.size(); i > 0; --i) {
    Gathering& gathering = warp.gatherings[i - 1];
    if (gathering.mask & 1u << thread.lane) check_gathering(gathering, warp, gathering.perform);
  }
  for (NamedBarrier& barrier : block.barriers) check_barrier(barrier, block);
  check_cluster(*block.cluster);
}

void thread_body(void* argument) {
  auto& thread = *static_cast<Thread*>(argument);
  try {
    (*thread.block->cluster->launch->body)();
    end_thread(thread);
  } catch (const LaunchFailed& found) {
    failure = found.sentence;
  }
  Fiber::suspend(true);
}

// Threads are made once and used again: their stacks are what takes time.
std::vector<std::unique_ptr<Thread>>& thread_pool() {
  static std::vector<std::unique_ptr<Thread>> all;
  return all;
}

void prepare_thread(Thread& thread, Block& block, uint32_t index, uint3 block_index) {
  const Launch& launch = *block.cluster->launch;
  const dim3 size = launch.block;
  thread.at = {{index % size.x, index / size.x % size.y, index / (size.x * size.y)}, block_index};
  thread.index = index;
  thread.lane = index % warp_lanes;
  thread.block = &block;
  thread.warp = &block.warps[index / warp_lanes];
  thread.ended = false;
  thread.waits_for = nullptr;
  thread.cluster_arrived = false;
  thread.copy_groups.clear();
  thread.open_copies.clear();
  thread.store_groups.clear();
  thread.open_stores.clear();
  thread.stores_read = 0;
  thread.fiber.prepare(thread_body, &thread);
}

void resume(Thread& thread) {
  running = &thread;
  threadIdx = thread.at.thread;
  blockIdx = thread.at.block;
  on_fiber = true;
  thread.fiber.resume();
  on_fiber = false;
  running = nullptr;
}

// Blocks of the cluster whose first block is at `first`.
void make_cluster(Cluster& cluster, const Launch& launch, uint3 first) {
  const dim3 size = launch.cluster;
  const uint32_t block_threads = launch.block.x * launch.block.y * launch.block.z;
  const uint32_t block_count = size.x * size.y * size.z;
  cluster.launch = &launch;
  while (thread_pool().size() < size_t{block_threads} * block_count) {
    thread_pool().push_back(std::make_unique<Thread>());
  }
  size_t next = 0;
  for (uint32_t rank = 0; rank < block_count; ++rank) {
    Block& block = *cluster.blocks.emplace_back(std::make_unique<Block>());
    const uint3 index{first.x + rank % size.x, first.y + rank / size.x % size.y,
                      first.z + rank / (size.x * size.y)};
    block.rank = rank;
    block.cluster = &cluster;
    block.alive = block_threads;
    block.warps.resize((block_threads + warp_lanes - 1) / warp_lanes);
    for (uint32_t t = 0; t < block_threads; ++t) {
      Thread& thread = *thread_pool()[next++];
      prepare_thread(thread, block, t, index);
      block.threads.push_back(&thread);
      thread.warp->threads.push_back(&thread);
      thread.warp->alive |= 1u << thread.lane;
    }
    for (Warp& warp : block.warps) warp.threads.resize(warp_lanes);
    open_shared(block, launch.dynamic_bytes);
    cluster.alive += block_threads;
    // Every other block begins at its last thread: who reads before others write is found more often.
    const bool backwards = (index.x + index.y + index.z) % 2 != 0;
    for (uint32_t t = 0; t < block_threads; ++t) {
      ready.push_back(block.threads[backwards ? block_threads - 1 - t : t]);
    }
  }
}

std::string deadlock(const Cluster& cluster) {
  std::map<std::string, std::pair<int, const Thread*>> reasons;
  for (const auto& block : cluster.blocks) {
    for (const Thread* thread : block->threads) {
      if (thread->ended) continue;
      const std::string reason = std::string(thread->waits_for ? thread->waits_for : "nothing") +
                                 " " + hexadecimal(thread->waits_for_number);
      auto& entry = reasons[reason];
      if (entry.first++ == 0) entry.second = thread;
    }
  }
  std::string text = "deadlock:";
  for (const auto& [reason, who] : reasons) {
    text += " " + std::to_string(who.first) + " threads (" + place_of(*who.second) +
            " ..) wait for " + reason + ";";
  }
  text.pop_back();
  return text;
}

void run_copy(Cluster& cluster) {
  const size_t chosen =
      options().timing == Timing::mixed ? random_bits() % cluster.copies.size() : 0;
  const Copy copy = std::move(cluster.copies[chosen]);
  cluster.copies.erase(cluster.copies.begin() + static_cast<std::ptrdiff_t>(chosen));
  running = copy.owner;
  copy.work();
  running = nullptr;
}

std::string run_cluster(const Launch& launch, uint3 first) {
  Cluster cluster;
  ready.clear();
  failure.clear();
  std::string problem;
  make_cluster(cluster, launch, first);
  try {
    while (cluster.alive > 0 && failure.empty()) {
      if (!ready.empty()) {
        Thread& next = *ready.front();
        ready.pop_front();
        resume(next);
      } else if (!cluster.copies.empty()) {
        run_copy(cluster);
      } else {
        throw LaunchFailed{deadlock(cluster)};
      }
    }
    problem = failure;
    if (problem.empty() && !cluster.copies.empty()) {
      problem = "a block ended while copies into its shared memory were under way";
    }
  } catch (const LaunchFailed& found) {
    problem = found.sentence;
  }
  for (const auto& block : cluster.blocks) {
    if (problem.empty()) problem = check_zones(*block);
    close_shared(*block);
  }
  return problem;
}

}  // namespace

void enter_kernel(const char* name, dim3 cluster, unsigned most_threads) {
  if (!probed) return;
  probed->name = name;
  probed->cluster = cluster;
  probed->most_threads = most_threads;
  probed->known = true;
  for (;;) Fiber::suspend();
}

void find_traits(KernelTraits& traits, const std::function<void()>& body) {
  Fiber fiber;
  probed = &traits;
  fiber.prepare([](void* work) { (*static_cast<const std::function<void()>*>(work))(); },
                const_cast<std::function<void()>*>(&body));
  fiber.resume();
  probed = nullptr;
}

KernelTraits& traits_of(const void* function) {
  static std::map<const void*, KernelTraits> all;
  return all[function];
}

std::string run(const Launch& launch) {
  blockDim = launch.block;
  gridDim = launch.grid;
  for (unsigned z = 0; z < launch.grid.z; z += launch.cluster.z) {
    for (unsigned y = 0; y < launch.grid.y; y += launch.cluster.y) {
      for (unsigned x = 0; x < launch.grid.x; x += launch.cluster.x) {
        const std::string problem = run_cluster(launch, {x, y, z});
        if (!problem.empty()) return problem;
      }
    }
  }
  return "";
}

}  // namespace simt
