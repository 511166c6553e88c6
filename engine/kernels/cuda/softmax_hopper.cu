// SPDX-License-Identifier: Apache-2.0
// Softmax attention of many rows on Hopper: one warpgroup copies keys and values, two take turns at the
// tensor cores.
#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/hopper.cuh"
#include "engine/kernels/cuda/softmax_warp.cuh"
#include "engine/kernels/cuda/tensor_map.h"

namespace minimax {

// Where keys and values lie, and with that what a row sees of its sequence: in pages those up to its own,
// as rows of two matrices all.
enum class Keys { paged, rows };

// What a kernel is made for: heads of D numbers.
template <int D, Keys place>
struct SoftmaxPlan {
  static constexpr int width = D;
  static constexpr Keys keys = place;
  static constexpr int consumers = 2;
  static constexpr int slots = width == 64 ? 10 : 6;       // of the ring of blocks
  static constexpr int query_slots = width == 64 ? 2 : 1;  // tiles whose queries are there
  static constexpr int producer_registers = 56, consumer_registers = 224;
  // Where the last block has no more keys than this, no more are multiplied: a tile of a picture has 577
  // tokens, 65 of them in the last block. A multiple of 16, at most key_block.
  static constexpr int narrow_block = width == 64 && keys == Keys::rows ? 80 : 128;
};

namespace {

constexpr int key_block = 128;    // tokens whose keys, or values, are copied at once
constexpr int half_queries = 64;  // of one consumer: tokens x heads of a group
constexpr int line = 64;          // numbers in the 128 bytes that the swizzle works on

// 64 columns of the queries of one consumer, and of a block of keys or values.
constexpr uint32_t query_part_bytes = half_queries * line * 2;
constexpr uint32_t block_part_bytes = key_block * line * 2;

// Some tokens of a sequence and all query heads of one key head. All consumers see the same blocks of
// keys, from the last one to the first.
struct Tile {
  DeviceKv sequence;
  int head;    // of the keys
  int first;   // row of the sequence
  int blocks;  // of keys; 0: there are no more tiles
};

template <typename Plan>
struct Shared {
  static constexpr int parts = Plan::width / line;
  unsigned char queries[Plan::query_slots][Plan::consumers][parts * query_part_bytes];
  unsigned char ring[Plan::slots][parts * block_part_bytes];
  uint64_t full[Plan::slots], empty[Plan::slots];
  uint64_t query_full[Plan::query_slots][Plan::consumers];
  uint64_t query_empty[Plan::query_slots][Plan::consumers];
  Tile tiles[Plan::query_slots][Plan::consumers];  // that the queries belong to
};

// The start of dynamic shared memory is a multiple of 16 at least; swizzled tiles want 1024.
template <typename Plan>
constexpr size_t shared_bytes = sizeof(Shared<Plan>) + 1024;

template <typename Plan>
constexpr int threads = 128 * (1 + Plan::consumers);

// The map of all memory from the lowest page on, in rows of one key or value: pages lie anywhere above. A
// window is what one coordinate of 31 bits reaches.
constexpr uint64_t window_rows = 1ull << 31;
constexpr uint64_t window_count = 1024;

struct HopperMaps {
  CUtensorMap queries;
  CUtensorMap keys;    // paged: all memory from the lowest page on
  CUtensorMap values;  // if not paged
};

struct HopperRows {
  bfloat16* out;
  int heads, group;  // H, H / G
  int half_tokens;   // of one consumer: as many as make half_queries with the heads of a group
  int fewest_rows;   // sequences of fewer rows are not this kernel's
  float scale;       // times log2(e)
  const std::byte* lowest_page;
  PagedKv kv;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Keys that the last block of a tile has.
__device__ __forceinline__ int keys_left(const Tile& tile) {
  const int tokens = static_cast<int>(tile.sequence.position) + tile.sequence.row_count;
  return tokens - (tile.blocks - 1) * key_block;
}

// The tiles of a block, one after the other. The longest come first, key heads side by side, and every
// other round of blocks is dealt out backwards: each block's sum is nearly the same.
template <typename Plan>
class Tiles {
 public:
  __device__ explicit Tiles(const HopperRows& rows)
      : rows_(rows),
        blocks_{rows.kv, Plan::consumers * rows.half_tokens, rows.fewest_rows},
        count_(blocks_.count() * rows.kv.heads) {}

  // False after the last one. All lanes of a warp.
  __device__ bool next(Tile& tile) {
    const int grid = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int number = round_ * grid + (round_ % 2 == 0 ? block : grid - 1 - block);
    if (number >= count_) return false;
    ++round_;
    RowBlocks::Block found;
    blocks_.find(number / rows_.kv.heads, found);
    const int rows_left = found.sequence.row_count - found.first;
    const int end =
        found.first + (Plan::keys == Keys::paged ? min(blocks_.tokens, rows_left) : rows_left);
    const int last_token = static_cast<int>(found.sequence.position) + end - 1;
    tile = {found.sequence, number % rows_.kv.heads, found.first, last_token / key_block + 1};
    return true;
  }

 private:
  const HopperRows& rows_;
  RowBlocks blocks_;
  int count_;
  int round_ = 0;
};

// A slot of the ring. Its phase counts how often the ring was used up: consumers wait for parity `phase`
// of `full`, the producer for the other parity of `empty`, which passes at once the first time round.
template <int slots>
struct Cursor {
  int slot = 0;
  uint32_t phase = 0;
  __device__ __forceinline__ void advance() {
    if (++slot == slots) {
      slot = 0;
      phase ^= 1;
    }
  }
};

__device__ __forceinline__ uint32_t at(const void* pointer) {
  return shared_address(pointer);
}

// One thread starts all copies. The order is the one that blocks are read in: keys of the last block,
// then by turns the keys of a block and the values of the block after it, then values of the first.
template <typename Plan>
class Producer {
 public:
  __device__ Producer(const HopperRows& rows, Shared<Plan>& shared, const HopperMaps& maps)
      : rows_(rows), shared_(shared), maps_(maps) {}

  __device__ void run() {
    const bool starts = threadIdx.x % 32 == 0;
    Tiles<Plan> tiles(rows_);
    Tile tile;
    while (tiles.next(tile)) {
      if (starts) {
        load(tile, tile.blocks - 1, Plane::keys);
        load_queries(tile);
        for (int block = tile.blocks - 2; block >= 0; --block) {
          load(tile, block, Plane::keys);
          load(tile, block + 1, Plane::values);
        }
        load(tile, 0, Plane::values);
      }
      __syncwarp();
    }
    if (starts) end();
  }

 private:
  static constexpr uint64_t row_bytes = 2 * Plan::width;
  static constexpr uint64_t window_bytes = window_rows * row_bytes;
  static constexpr int parts = Shared<Plan>::parts;

  enum class Plane { keys, values };
  // What a box of 64 columns of a block is copied by.
  struct From {
    const CUtensorMap* map;
    int y, z;
  };
  // Rows behind the last one of a sequence are the next one's, or zeros.
  __device__ From from(const Tile& tile, int block, Plane plane) const {
    if constexpr (Plan::keys == Keys::rows) {
      const CUtensorMap* const map = plane == Plane::keys ? &maps_.keys : &maps_.values;
      return {map, tile.head, tile.sequence.first_row + block * key_block};
    }
    const std::byte* const address =
        rows_.kv.key(tile.sequence.pages, tile.head, static_cast<uint32_t>(block * key_block), 2) +
        (plane == Plane::keys ? 0 : rows_.kv.plane_bytes);
    const auto place = static_cast<uint64_t>(address - rows_.lowest_page);
    return {&maps_.keys, static_cast<int>(place % window_bytes / row_bytes),
            static_cast<int>(place / window_bytes)};
  }

  __device__ void load(const Tile& tile, int block, Plane plane) {
    const uint32_t full = at(&shared_.full[cursor_.slot]);
    const uint32_t to = at(shared_.ring[cursor_.slot]);
    const From box = from(tile, block, plane);
    hopper::barrier_wait(at(&shared_.empty[cursor_.slot]), cursor_.phase ^ 1);
    hopper::barrier_expect(full, parts * block_part_bytes);
#pragma unroll
    for (int part = 0; part < parts; ++part) {
      hopper::load_3d(to + part * block_part_bytes, box.map, full, part * line, box.y, box.z);
    }
    cursor_.advance();
  }

  // With its queries a consumer gets its tile. Rows past the last one of the step arrive as zeros; rows of
  // the next sequence are never stored.
  __device__ void load_queries(const Tile& tile) {
    const int slot = query_cursor_.slot;
    for (int consumer = 0; consumer < Plan::consumers; ++consumer) {
      const uint32_t full = at(&shared_.query_full[slot][consumer]);
      const uint32_t to = at(shared_.queries[slot][consumer]);
      const int row = tile.sequence.first_row + tile.first + consumer * rows_.half_tokens;
      const int head = tile.head * rows_.group;
      hopper::barrier_wait(at(&shared_.query_empty[slot][consumer]), query_cursor_.phase ^ 1);
      shared_.tiles[slot][consumer] = tile;
      hopper::barrier_expect(
          full, static_cast<uint32_t>(parts * rows_.half_tokens * rows_.group) * line * 2);
#pragma unroll
      for (int part = 0; part < parts; ++part) {
        hopper::load_3d(to + part * query_part_bytes, &maps_.queries, full, part * line, head, row);
      }
    }
    query_cursor_.advance();
  }

  __device__ void end() {
    const int slot = query_cursor_.slot;
    for (int consumer = 0; consumer < Plan::consumers; ++consumer) {
      hopper::barrier_wait(at(&shared_.query_empty[slot][consumer]), query_cursor_.phase ^ 1);
      shared_.tiles[slot][consumer].blocks = 0;
      hopper::barrier_arrive(at(&shared_.query_full[slot][consumer]));
    }
  }

  const HopperRows& rows_;
  Shared<Plan>& shared_;
  const HopperMaps& maps_;
  Cursor<Plan::slots> cursor_;
  Cursor<Plan::query_slots> query_cursor_;
};

// Of a block of keys: all rows see all of it, or each what its limit says.
enum class Sight { full, limited };

// A warpgroup with 64 queries: rows lane / 4 and lane / 4 + 8 of its warp's 16 are a thread's, and in them
// columns lane % 4 * 2 and the next one of every eight.
template <typename Plan>
class Consumer {
 public:
  __device__ Consumer(const HopperRows& rows, Shared<Plan>& shared, int number)
      : rows_(rows), shared_(shared), number_(number) {}

  __device__ void run() {
    // The first consumer has the first turn.
    if (number_ == consumers - 1) pass_turn();
    while (true) {
      const int slot = query_cursor_.slot;
      hopper::barrier_wait(at(&shared_.query_full[slot][number_]), query_cursor_.phase);
      const Tile tile = shared_.tiles[slot][number_];
      if (tile.blocks == 0) break;
      begin(tile);
      const int left = keys_left(tile);
      if (Plan::narrow_block < key_block && left <= Plan::narrow_block) {
        compute<Plan::narrow_block>(tile);
      } else {
        compute<key_block>(tile);
      }
      store(tile);
      query_cursor_.advance();
    }
    if (number_ == 0) take_turn();  // the last one that was passed
  }

 private:
  static constexpr int consumers = Plan::consumers, width = Plan::width;

  // Named barriers: from 1 on the consumers' turns, behind them their own.
  __device__ void take_turn() const { hopper::named_barrier(1 + number_, 256); }
  __device__ void pass_turn() const {
    hopper::named_barrier_arrive(1 + (number_ + 1) % consumers, 256);
  }
  __device__ void own_barrier() const { hopper::named_barrier(1 + consumers + number_, 128); }

  // Row `half` of this thread: which of the sequence, and which head of the group.
  struct Query {
    int row, head;
    bool exists;
  };
  __device__ Query query(const Tile& tile, int half) const {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const int place = thread / 32 * 16 + thread % 32 / 4 + 8 * half;
    const int token = place / rows_.group;
    const int row = tile.first + number_ * rows_.half_tokens + token;
    return {row, place % rows_.group, token < rows_.half_tokens && row < tile.sequence.row_count};
  }

  __device__ void begin(const Tile& tile) {
    const int position = static_cast<int>(tile.sequence.position);
    const int last_row = tile.sequence.row_count - 1;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = Plan::keys == Keys::paged ? min(query(tile, half).row, last_row) : last_row;
      limit_[half] = position + row + 1;
      top_[half] = -INFINITY;
      total_[half] = 0;
    }
    const int first_row = min(tile.first + number_ * rows_.half_tokens, last_row);
    seen_blocks_ = (position + (Plan::keys == Keys::paged ? first_row : last_row) + 1) / key_block;
#pragma unroll
    for (float& sum : sums_) sum = 0;
  }

  using RingCursor = Cursor<Plan::slots>;
  __device__ void wait_full(const RingCursor& cursor) const {
    hopper::barrier_wait(at(&shared_.full[cursor.slot]), cursor.phase);
  }
  // This warp has read a slot.
  __device__ void release(const RingCursor& cursor) const {
    if (threadIdx.x % 32 == 0) hopper::barrier_arrive(at(&shared_.empty[cursor.slot]));
  }

  // scores = queries * keys^T: both K-major, 64 numbers a row; a step is 16 numbers, 32 bytes.
  template <int keys_count>
  __device__ __forceinline__ void start_scores(const RingCursor& keys) {
    const uint64_t a = hopper::tile_descriptor(at(shared_.queries[query_cursor_.slot][number_]));
    const uint64_t b = hopper::tile_descriptor(at(shared_.ring[keys.slot]));
    hopper::products_begin();
#pragma unroll
    for (int k = 0; k < width / 16; ++k) {
      const uint64_t query_step = k / 4 * (query_part_bytes / 16) + k % 4 * 2;
      const uint64_t key_step = k / 4 * (block_part_bytes / 16) + k % 4 * 2;
      hopper::Product<keys_count>::shared(scores_, a + query_step, b + key_step, k != 0);
    }
    hopper::products_commit();
  }

  // sums += shares * values: values are MN-major, a row for each token, 64 columns and then, if there
  // are as many, a part on, the other 64; a step is 16 tokens, 2048 bytes.
  template <int values_count>
  __device__ __forceinline__ void start_sums(const RingCursor& values) {
    const uint64_t b =
        hopper::tile_descriptor(at(shared_.ring[values.slot]), 1024, block_part_bytes);
    hopper::products_begin();
#pragma unroll
    for (int k = 0; k < values_count / 16; ++k) {
      hopper::Product<width>::template registers<1>(sums_, shares_[k],
                                                    b + static_cast<uint64_t>(k * 128), 1);
    }
    hopper::products_commit();
  }

  // Scores become weights exp2(scale * (score - top)).
  template <Sight sight, int keys_count = key_block>
  __device__ __forceinline__ void weigh(int block) {
    constexpr int count = keys_count / 2;
    if constexpr (sight == Sight::limited) {
      const int token = block * key_block + static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
      for (int i = 0; i < count; ++i) {
        if (token + i / 4 * 8 + i % 2 >= limit_[i % 4 / 2]) scores_[i] = -INFINITY;
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = top_[half];
#pragma unroll
      for (int i = 2 * half; i < count; i += 4) top = fmaxf(top, fmaxf(scores_[i], scores_[i + 1]));
      top = quad_max(top);
      // Of two masked blocks the first one may hide everything from a row.
      const float base = sight == Sight::limited && top == -INFINITY ? 0.0f : top * rows_.scale;
      shrink_[half] = fast_exp2(top_[half] * rows_.scale - base);
      top_[half] = top;
      float total = 0;
#pragma unroll
      for (int i = 2 * half; i < count; i += 4) {
        scores_[i] = fast_exp2(fmaf(scores_[i], rows_.scale, -base));
        scores_[i + 1] = fast_exp2(fmaf(scores_[i + 1], rows_.scale, -base));
        total += scores_[i] + scores_[i + 1];
      }
      total_[half] = total_[half] * shrink_[half] + total;
    }
  }

  __device__ __forceinline__ void shrink_sums() {
#pragma unroll
    for (int i = 0; i < width / 2; ++i) sums_[i] *= shrink_[i % 4 / 2];
  }

  // Weights as bf16: the sums of one product are laid out as the left side of the next.
  template <int keys_count>
  __device__ __forceinline__ void pack_shares() {
#pragma unroll
    for (int i = 0; i < keys_count / 4; ++i) {
      shares_[i / 4][i % 4] = pack_bf16(scores_[2 * i], scores_[2 * i + 1]);
    }
  }

  // Nobody has written values behind the last token of a page: their weight is 0, but 0 times whatever lies
  // there need not be. All consumers write the zeros they rely on. Behind rows of a matrix are the next
  // sequence's, or zeros.
  template <int keys_count>
  __device__ void clear_behind(const Tile& tile, const RingCursor& values) {
    const int left = keys_left(tile);
    if (left >= keys_count) return;
    wait_full(values);
    const int thread = static_cast<int>(threadIdx.x) % 128;
    auto* const lines = reinterpret_cast<uint4*>(shared_.ring[values.slot]);
    constexpr int line_items = line * 2 / 16;
    for (int i = left * line_items + thread; i < keys_count * line_items; i += 128) {
#pragma unroll
      for (int part = 0; part < width / line; ++part) {
        lines[i + part * (block_part_bytes / 16)] = {0, 0, 0, 0};
      }
    }
    hopper::fence_async();
    own_barrier();
  }

  // Ends the sums that are under way, if any, and prepares those of the weighed block.
  template <int values_count>
  __device__ __forceinline__ void finish_sums() {
    hopper::products_wait<0>();
    hopper::pin(sums_);
    if (summing_) release(summed_);
    shrink_sums();
    pack_shares<values_count>();
  }

  // Starts the scores of a block and the sums of the one after it, which has been weighed, and weighs the
  // block while the sums are under way. They are waited for in the next step: within one, the compiler
  // would move that wait before the weighing.
  template <Sight sight, int values_count = key_block>
  __device__ __forceinline__ void step(int block) {
    finish_sums<values_count>();
    const RingCursor keys = cursor_;
    cursor_.advance();
    summed_ = cursor_;
    summing_ = true;
    cursor_.advance();
    wait_full(keys);
    take_turn();
    start_scores<key_block>(keys);
    wait_full(summed_);
    start_sums<values_count>(summed_);
    pass_turn();

    hopper::products_wait<1>();
    hopper::pin(scores_);
    release(keys);
    weigh<sight>(block);
  }

  // The values of the first block.
  template <int values_count>
  __device__ __forceinline__ void last_sums() {
    hopper::barrier_arrive(at(&shared_.query_empty[query_cursor_.slot][number_]));
    finish_sums<values_count>();
    wait_full(cursor_);
    start_sums<values_count>(cursor_);
    hopper::products_wait<0>();
    hopper::pin(sums_);
    release(cursor_);
    cursor_.advance();
  }

  // Of the last block the first last_count keys may exist.
  template <int last_count>
  __device__ __forceinline__ void compute(const Tile& tile) {
    // The last block of keys.
    wait_full(cursor_);
    start_scores<last_count>(cursor_);
    hopper::products_wait<0>();
    hopper::pin(scores_);
    release(cursor_);
    cursor_.advance();
    int block = tile.blocks - 1;
    weigh<Sight::limited, last_count>(block);
    RingCursor values = cursor_;
    if (tile.blocks > 1) values.advance();
    if (Plan::keys == Keys::paged) clear_behind<last_count>(tile, values);

    summing_ = false;
    if constexpr (last_count < key_block) {
      if (block == 0) return last_sums<last_count>();
      step<Sight::full, last_count>(--block);
    }
    --block;
    if constexpr (Plan::keys == Keys::paged) {
      for (; block >= seen_blocks_; --block) step<Sight::limited>(block);
    }
    for (; block >= 0; --block) step<Sight::full>(block);
    last_sums<key_block>();
  }

  __device__ void store(const Tile& tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Query query = this->query(tile, half);
      const int64_t row = tile.sequence.first_row + query.row;
      const int head = tile.head * rows_.group + query.head;
      store_row_of<width>(sums_, half, total_[half], rows_.out + (row * rows_.heads + head) * width,
                          query.exists);
    }
  }

  const HopperRows& rows_;
  Shared<Plan>& shared_;
  int number_;
  Cursor<Plan::query_slots> query_cursor_;
  RingCursor cursor_;
  RingCursor summed_;     // values whose sums are under way
  bool summing_ = false;  // there are such
  int limit_[2];          // tokens that the two rows see
  int seen_blocks_;       // blocks that all rows see all of
  float top_[2], total_[2], shrink_[2];
  float scores_[64];
  float sums_[width / 2];
  uint32_t shares_[8][4];
};

#endif

template <typename Plan>
__global__ void __launch_bounds__(threads<Plan>, 1)
    softmax_hopper_kernel(const __grid_constant__ HopperRows rows,
                          const __grid_constant__ HopperMaps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  const uintptr_t start = reinterpret_cast<uintptr_t>(shared_memory);
  Shared<Plan>& shared =
      *reinterpret_cast<Shared<Plan>*>(shared_memory + (1024 - start % 1024) % 1024);

  // Barriers: a full slot is one thread's promise and the bytes; an empty one, every consumer warp, which read
  // it by wgmma. What is with the queries each thread reads, and gives back, for itself.
  if (threadIdx.x == 0) {
    for (int slot = 0; slot < Plan::slots; ++slot) {
      hopper::barrier_init(at(&shared.full[slot]), 1);
      hopper::barrier_init(at(&shared.empty[slot]), 4 * Plan::consumers);
    }
    for (int slot = 0; slot < Plan::query_slots; ++slot) {
      for (int consumer = 0; consumer < Plan::consumers; ++consumer) {
        hopper::barrier_init(at(&shared.query_full[slot][consumer]), 1);
        hopper::barrier_init(at(&shared.query_empty[slot][consumer]), 128);
      }
    }
    hopper::fence_barrier_init();
    hopper::prefetch_map(&maps.queries);
    hopper::prefetch_map(&maps.keys);
    if (Plan::keys == Keys::rows) hopper::prefetch_map(&maps.values);
  }
  __syncthreads();
  wait_for_inputs();
  let_next_start();

  const int warpgroup = static_cast<int>(threadIdx.x) / 128;
  if (warpgroup == 0) {
    hopper::give_registers<Plan::producer_registers>();
    if (threadIdx.x < 32) Producer<Plan>(rows, shared, maps).run();
  } else {
    hopper::take_registers<Plan::consumer_registers>();
    Consumer<Plan>(rows, shared, warpgroup - 1).run();
  }
#endif
}

// [T, H, D]; a box is what one consumer needs of 64 columns.
bool encode_queries(const SoftmaxCall& call, int group, int half_tokens, CUtensorMap* map) {
  const uint64_t row_bytes = 2 * static_cast<uint64_t>(call.width);
  TiledTensor tensor{};
  tensor.data = call.q;
  tensor.rank = 3;
  tensor.sizes = {static_cast<uint64_t>(call.width), static_cast<uint64_t>(call.heads),
                  static_cast<uint64_t>(call.tokens)};
  tensor.stride_bytes = {row_bytes, static_cast<uint64_t>(call.heads) * row_bytes};
  tensor.box = {line, static_cast<uint32_t>(group), static_cast<uint32_t>(half_tokens)};
  return encode_tiled(tensor, map);
}

// A box is 64 columns of a block of keys or values. Pages begin at multiples of a row, and a block does not
// reach from one window into the next unless a page lies on the very border, 2^31 rows above the lowest.
bool encode_memory(const SoftmaxCall& call, CUtensorMap* map) {
  const uint64_t row_bytes = 2 * static_cast<uint64_t>(call.width);
  TiledTensor tensor{};
  tensor.data = call.lowest_page;
  tensor.rank = 3;
  tensor.sizes = {static_cast<uint64_t>(call.width), window_rows, window_count};
  tensor.stride_bytes = {row_bytes, window_rows * row_bytes};
  tensor.box = {line, key_block, 1};
  return encode_tiled(tensor, map);
}

// [T, G, D]; a box is 64 columns of a block.
bool encode_rows(const SoftmaxCall& call, const bfloat16* data, CUtensorMap* map) {
  const uint64_t row_bytes = 2 * static_cast<uint64_t>(call.width);
  const auto heads = static_cast<uint64_t>(call.layout.kv_head_count);
  TiledTensor tensor{};
  tensor.data = data;
  tensor.rank = 3;
  tensor.sizes = {static_cast<uint64_t>(call.width), heads, static_cast<uint64_t>(call.tokens)};
  tensor.stride_bytes = {row_bytes, heads * row_bytes};
  tensor.box = {line, 1, key_block};
  return encode_tiled(tensor, map);
}

bool encode_keys(const SoftmaxCall& call, HopperMaps& maps) {
  if (call.k == nullptr) return encode_memory(call, &maps.keys);
  return encode_rows(call, call.k, &maps.keys) && encode_rows(call, call.v, &maps.values);
}

template <typename Plan>
bool start(const Launcher& launch, const SoftmaxCall& call) {
  const int group = call.heads / static_cast<int>(call.layout.kv_head_count);
  const int half_tokens = half_queries / group;
  HopperMaps maps{};
  if (!encode_queries(call, group, half_tokens, &maps.queries) || !encode_keys(call, maps)) {
    return false;
  }
  const HopperRows rows{call.out,
                        call.heads,
                        group,
                        half_tokens,
                        Plan::keys == Keys::paged ? softmax_short_sequences(launch, call) : 0,
                        call.scale * 1.44269504f,
                        call.lowest_page,
                        PagedKv::of(call.layout, call.sequences)};
  launch.allow_shared(softmax_hopper_kernel<Plan>, shared_bytes<Plan>);
  launch(softmax_hopper_kernel<Plan>, static_cast<unsigned>(launch.device().multiprocessors),
         threads<Plan>, shared_bytes<Plan>, rows, maps);
  return true;
}

bool keys_suit(const SoftmaxCall& call) {
  if (call.k != nullptr) return true;
  const size_t row_bytes = 2 * static_cast<size_t>(call.width);
  return call.causal && call.layout.dtype == DType::bf16 &&
         call.layout.page_tokens % key_block == 0 && call.layout.layer_offset % row_bytes == 0 &&
         call.lowest_page != nullptr &&
         reinterpret_cast<uintptr_t>(call.lowest_page) % row_bytes == 0;
}

}  // namespace

bool softmax_hopper(const Launcher& launch, const SoftmaxCall& call) {
  const int group = call.heads / static_cast<int>(call.layout.kv_head_count);
  if (!launch.device().hopper || (call.width != 64 && call.width != 128) || group > half_queries ||
      !(call.scale > 0) || !keys_suit(call)) {
    return false;
  }
  if (call.tokens == 0) return true;
  if (call.width == 64) {
    return call.k == nullptr ? start<SoftmaxPlan<64, Keys::paged>>(launch, call)
                             : start<SoftmaxPlan<64, Keys::rows>>(launch, call);
  }
  return call.k == nullptr ? start<SoftmaxPlan<128, Keys::paged>>(launch, call)
                           : start<SoftmaxPlan<128, Keys::rows>>(launch, call);
}

}  // namespace minimax
