// SPDX-License-Identifier: Apache-2.0
// Softmax attention of many rows on Hopper: one warpgroup copies keys and values, two take turns at the
// tensor cores.
#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/hopper.cuh"
#include "engine/kernels/cuda/softmax_warp.cuh"
#include "engine/kernels/cuda/tensor_map.h"

namespace minimax {
namespace {

constexpr int width = 128;        // D
constexpr int key_block = 128;    // tokens whose keys, or values, are copied at once
constexpr int half_queries = 64;  // of one consumer: tokens x heads of a group
constexpr int consumers = 2;
constexpr int threads = 128 * (1 + consumers);
constexpr int line = 64;  // numbers in the 128 bytes that the swizzle works on

constexpr uint32_t half_query_bytes = half_queries * line * 2;  // half of the width
constexpr uint32_t query_bytes = 2 * half_query_bytes;          // of one consumer
constexpr uint32_t half_block_bytes = key_block * line * 2;
constexpr uint32_t block_bytes = 2 * half_block_bytes;
constexpr int slots = 6;  // of the ring of blocks

struct Shared {
  unsigned char queries[consumers][query_bytes];
  unsigned char ring[slots][block_bytes];
  uint64_t full[slots], empty[slots];
  uint64_t query_full[consumers], query_empty[consumers];
};
// The start of dynamic shared memory is a multiple of 16 at least; swizzled tiles want 1024.
constexpr size_t shared_bytes = sizeof(Shared) + 1024;

// The map of all memory from the lowest page on, in rows of 256 bytes: pages lie anywhere above. A window
// is what one coordinate of 31 bits reaches.
constexpr uint64_t row_bytes = 2 * width;
constexpr uint64_t window_rows = 1ull << 31;
constexpr uint64_t window_bytes = window_rows * row_bytes;
constexpr uint64_t window_count = 1024;

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

// Some tokens of a sequence and all query heads of one key head. Both consumers see the same blocks of
// keys, from the last one to the first.
struct Tile {
  DeviceKv sequence;
  int head;    // of the keys
  int first;   // row of the sequence
  int blocks;  // of keys

  __device__ __forceinline__ int tokens() const {
    return static_cast<int>(sequence.position) + sequence.row_count;
  }
};

// The tiles of a block, one after the other; every warp finds them on its own. The longest come first,
// key heads side by side, and every other round of blocks is dealt out backwards: each block's sum is
// nearly the same.
class Tiles {
 public:
  __device__ explicit Tiles(const HopperRows& rows)
      : rows_(rows),
        blocks_{rows.kv, consumers * rows.half_tokens, rows.fewest_rows},
        count_(blocks_.count() * rows.kv.heads) {}

  // False after the last one. All lanes of a warp.
  __device__ bool next(Tile& tile) {
    const int grid = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int number = round_ * grid + (round_ % 2 == 0 ? block : grid - 1 - block);
    if (number >= count_) return false;
    ++round_;
    RowBlocks::Block found;
    blocks_.find(number / rows_.kv.heads, found);
    const int end = min(found.first + blocks_.tokens, found.sequence.row_count);
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
class Producer {
 public:
  __device__ Producer(const HopperRows& rows, Shared& shared, const CUtensorMap& queries,
                      const CUtensorMap& memory)
      : rows_(rows), shared_(shared), query_map_(&queries), memory_map_(&memory) {}

  __device__ void run() {
    const bool starts = threadIdx.x % 32 == 0;
    Tiles tiles(rows_);
    Tile tile;
    uint32_t query_phase = 0;
    while (tiles.next(tile)) {
      if (starts) {
        load(tile, tile.blocks - 1, 0);
        load_queries(tile, query_phase);
        for (int block = tile.blocks - 2; block >= 0; --block) {
          load(tile, block, 0);
          load(tile, block + 1, rows_.kv.plane_bytes);
        }
        load(tile, 0, rows_.kv.plane_bytes);
      }
      __syncwarp();
      query_phase ^= 1;
    }
  }

 private:
  __device__ void load(const Tile& tile, int block, size_t plane_offset) {
    const uint32_t full = at(&shared_.full[cursor_.slot]);
    const uint32_t to = at(shared_.ring[cursor_.slot]);
    const std::byte* const from =
        rows_.kv.key(tile.sequence.pages, tile.head, static_cast<uint32_t>(block * key_block), 2) +
        plane_offset;
    const auto place = static_cast<uint64_t>(from - rows_.lowest_page);
    const int window = static_cast<int>(place / window_bytes);
    const int row = static_cast<int>(place % window_bytes / row_bytes);
    hopper::barrier_wait(at(&shared_.empty[cursor_.slot]), cursor_.phase ^ 1);
    hopper::barrier_expect(full, block_bytes);
    hopper::load_3d(to, memory_map_, full, 0, row, window);
    hopper::load_3d(to + half_block_bytes, memory_map_, full, line, row, window);
    cursor_.advance();
  }

  // Rows past the last one of the step arrive as zeros; rows of the next sequence are never stored.
  __device__ void load_queries(const Tile& tile, uint32_t phase) {
    for (int consumer = 0; consumer < consumers; ++consumer) {
      const uint32_t full = at(&shared_.query_full[consumer]);
      const uint32_t to = at(shared_.queries[consumer]);
      const int row = tile.sequence.first_row + tile.first + consumer * rows_.half_tokens;
      const int head = tile.head * rows_.group;
      hopper::barrier_wait(at(&shared_.query_empty[consumer]), phase ^ 1);
      hopper::barrier_expect(full,
                             static_cast<uint32_t>(2 * rows_.half_tokens * rows_.group) * line * 2);
      hopper::load_3d(to, query_map_, full, 0, head, row);
      hopper::load_3d(to + half_query_bytes, query_map_, full, line, head, row);
    }
  }

  const HopperRows& rows_;
  Shared& shared_;
  const CUtensorMap* query_map_;
  const CUtensorMap* memory_map_;
  Cursor cursor_;
};

// A warpgroup with 64 queries: rows lane / 4 and lane / 4 + 8 of its warp's 16 are a thread's, and in them
// columns lane % 4 * 2 and the next one of every eight.
class Consumer {
 public:
  __device__ Consumer(const HopperRows& rows, Shared& shared, int number)
      : rows_(rows), shared_(shared), number_(number) {}

  __device__ void run() {
    // The first consumer has the first turn.
    if (number_ == 1) pass_turn();
    Tiles tiles(rows_);
    Tile tile;
    uint32_t query_phase = 0;
    while (tiles.next(tile)) {
      begin(tile);
      hopper::barrier_wait(at(&shared_.query_full[number_]), query_phase);
      compute(tile);
      store(tile);
      query_phase ^= 1;
    }
    if (number_ == 0) take_turn();  // the last one that was passed
  }

 private:
  // Named barriers: 1 and 2 are the consumers' turns, 3 and 4 their own.
  __device__ void take_turn() const { hopper::named_barrier(1 + number_, 256); }
  __device__ void pass_turn() const { hopper::named_barrier_arrive(2 - number_, 256); }
  __device__ void own_barrier() const { hopper::named_barrier(3 + number_, 128); }

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
      limit_[half] = position + min(query(tile, half).row, last_row) + 1;
      top_[half] = -INFINITY;
      total_[half] = 0;
    }
    const int first_row = min(tile.first + number_ * rows_.half_tokens, last_row);
    seen_blocks_ = (position + first_row + 1) / key_block;
#pragma unroll
    for (float& sum : sums_) sum = 0;
  }

  __device__ void wait_full(const Cursor& cursor) const {
    hopper::barrier_wait(at(&shared_.full[cursor.slot]), cursor.phase);
  }
  // This warp has read a slot.
  __device__ void release(const Cursor& cursor) const {
    if (threadIdx.x % 32 == 0) hopper::barrier_arrive(at(&shared_.empty[cursor.slot]));
  }

  // scores = queries * keys^T: both K-major, 64 numbers a row; a step is 16 numbers, 32 bytes.
  __device__ __forceinline__ void start_scores(const Cursor& keys) {
    const uint64_t a = hopper::tile_descriptor(at(shared_.queries[number_]));
    const uint64_t b = hopper::tile_descriptor(at(shared_.ring[keys.slot]));
    hopper::products_begin();
#pragma unroll
    for (int k = 0; k < width / 16; ++k) {
      const uint64_t query_step = k / 4 * (half_query_bytes / 16) + k % 4 * 2;
      const uint64_t key_step = k / 4 * (half_block_bytes / 16) + k % 4 * 2;
      hopper::Product<128>::shared(scores_, a + query_step, b + key_step, k != 0);
    }
    hopper::products_commit();
  }

  // sums += shares * values: values are MN-major, a row for each token, 64 columns and then, half a block
  // on, the other 64; a step is 16 tokens, 2048 bytes.
  __device__ __forceinline__ void start_sums(const Cursor& values) {
    const uint64_t b =
        hopper::tile_descriptor(at(shared_.ring[values.slot]), 1024, half_block_bytes);
    hopper::products_begin();
#pragma unroll
    for (int k = 0; k < key_block / 16; ++k) {
      hopper::Product<128>::registers<1>(sums_, shares_[k], b + static_cast<uint64_t>(k * 128), 1);
    }
    hopper::products_commit();
  }

  // Scores become weights exp2(scale * (score - top)).
  template <Mask mask>
  __device__ __forceinline__ void weigh(int block) {
    if constexpr (mask == Mask::causal) {
      const int token = block * key_block + static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        if (token + i / 4 * 8 + i % 2 >= limit_[i % 4 / 2]) scores_[i] = -INFINITY;
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = top_[half];
#pragma unroll
      for (int i = 2 * half; i < 64; i += 4) top = fmaxf(top, fmaxf(scores_[i], scores_[i + 1]));
      top = quad_max(top);
      // Of two masked blocks the first one may hide everything from a row.
      const float base = mask == Mask::causal && top == -INFINITY ? 0.0f : top * rows_.scale;
      shrink_[half] = fast_exp2(top_[half] * rows_.scale - base);
      top_[half] = top;
      float total = 0;
#pragma unroll
      for (int i = 2 * half; i < 64; i += 4) {
        scores_[i] = fast_exp2(fmaf(scores_[i], rows_.scale, -base));
        scores_[i + 1] = fast_exp2(fmaf(scores_[i + 1], rows_.scale, -base));
        total += scores_[i] + scores_[i + 1];
      }
      total_[half] = total_[half] * shrink_[half] + total;
    }
  }

  __device__ __forceinline__ void shrink_sums() {
#pragma unroll
    for (int i = 0; i < 64; ++i) sums_[i] *= shrink_[i % 4 / 2];
  }

  // Weights as bf16: the sums of one product are laid out as the left side of the next.
  __device__ __forceinline__ void pack_shares() {
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      shares_[i / 4][i % 4] = pack_bf16(scores_[2 * i], scores_[2 * i + 1]);
    }
  }

  // Nobody has written values behind the last token of a sequence: their weight is 0, but 0 times
  // whatever lies there need not be. Both consumers write the zeros they rely on.
  __device__ void clear_behind(const Tile& tile, const Cursor& values) {
    const int left = tile.tokens() - (tile.blocks - 1) * key_block;
    if (left >= key_block) return;
    wait_full(values);
    const int thread = static_cast<int>(threadIdx.x) % 128;
    auto* const lines = reinterpret_cast<uint4*>(shared_.ring[values.slot]);
    constexpr int line_items = line * 2 / 16;
    for (int i = left * line_items + thread; i < key_block * line_items; i += 128) {
      lines[i] = {0, 0, 0, 0};
      lines[i + half_block_bytes / 16] = {0, 0, 0, 0};
    }
    hopper::fence_async();
    own_barrier();
  }

  // Ends the sums that are under way, if any, and prepares those of the weighed block.
  __device__ __forceinline__ void finish_sums() {
    hopper::products_wait<0>();
    hopper::pin(sums_);
    if (summing_) release(summed_);
    shrink_sums();
    pack_shares();
  }

  // Starts the scores of a block and the sums of the one after it, which has been weighed, and weighs the
  // block while the sums are under way. They are waited for in the next step: within one, the compiler
  // would move that wait before the weighing.
  template <Mask mask>
  __device__ __forceinline__ void step(int block) {
    finish_sums();
    const Cursor keys = cursor_;
    cursor_.advance();
    summed_ = cursor_;
    summing_ = true;
    cursor_.advance();
    wait_full(keys);
    take_turn();
    start_scores(keys);
    wait_full(summed_);
    start_sums(summed_);
    pass_turn();

    hopper::products_wait<1>();
    hopper::pin(scores_);
    release(keys);
    weigh<mask>(block);
  }

  __device__ void compute(const Tile& tile) {
    // The last block of keys.
    wait_full(cursor_);
    start_scores(cursor_);
    hopper::products_wait<0>();
    hopper::pin(scores_);
    release(cursor_);
    cursor_.advance();
    int block = tile.blocks - 1;
    weigh<Mask::causal>(block);
    Cursor values = cursor_;
    if (tile.blocks > 1) values.advance();
    clear_behind(tile, values);

    summing_ = false;
    for (--block; block >= seen_blocks_; --block) step<Mask::causal>(block);
    for (; block >= 0; --block) step<Mask::none>(block);
    if (threadIdx.x % 32 == 0) hopper::barrier_arrive(at(&shared_.query_empty[number_]));

    // The values of the first block.
    finish_sums();
    wait_full(cursor_);
    start_sums(cursor_);
    hopper::products_wait<0>();
    hopper::pin(sums_);
    release(cursor_);
    cursor_.advance();
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
  Shared& shared_;
  int number_;
  Cursor cursor_;
  Cursor summed_;         // values whose sums are under way
  bool summing_ = false;  // there are such
  int limit_[2];          // tokens that the two rows see
  int seen_blocks_;       // blocks that all rows see all of
  float top_[2], total_[2], shrink_[2];
  float scores_[64];
  float sums_[64];
  uint32_t shares_[8][4];
};

#endif

__global__ void __launch_bounds__(threads, 1)
    softmax_hopper_kernel(const __grid_constant__ HopperRows rows,
                          const __grid_constant__ CUtensorMap queries,
                          const __grid_constant__ CUtensorMap memory) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  const uintptr_t start = reinterpret_cast<uintptr_t>(shared_memory);
  Shared& shared = *reinterpret_cast<Shared*>(shared_memory + (1024 - start % 1024) % 1024);

  // Barriers: a full slot is one thread's promise and the bytes; an empty one, every consumer warp.
  if (threadIdx.x == 0) {
    for (int slot = 0; slot < slots; ++slot) {
      hopper::barrier_init(at(&shared.full[slot]), 1);
      hopper::barrier_init(at(&shared.empty[slot]), 4 * consumers);
    }
    for (int consumer = 0; consumer < consumers; ++consumer) {
      hopper::barrier_init(at(&shared.query_full[consumer]), 1);
      hopper::barrier_init(at(&shared.query_empty[consumer]), 4);
    }
    hopper::fence_barrier_init();
    hopper::prefetch_map(&queries);
    hopper::prefetch_map(&memory);
  }
  __syncthreads();
  wait_for_inputs();
  let_next_start();

  const int warpgroup = static_cast<int>(threadIdx.x) / 128;
  if (warpgroup == 0) {
    hopper::give_registers<56>();
    if (threadIdx.x < 32) Producer(rows, shared, queries, memory).run();
  } else {
    hopper::take_registers<224>();
    Consumer(rows, shared, warpgroup - 1).run();
  }
#endif
}

// [T, H, D]; a box is what one consumer needs of 64 columns.
bool encode_queries(const SoftmaxCall& call, int group, int half_tokens, CUtensorMap* map) {
  TiledTensor tensor{};
  tensor.data = call.q;
  tensor.rank = 3;
  tensor.sizes = {width, static_cast<uint64_t>(call.heads), static_cast<uint64_t>(call.tokens)};
  tensor.stride_bytes = {row_bytes, static_cast<uint64_t>(call.heads) * row_bytes};
  tensor.box = {line, static_cast<uint32_t>(group), static_cast<uint32_t>(half_tokens)};
  return encode_tiled(tensor, map);
}

// A box is half of a block of keys or values. Pages begin at multiples of 256 bytes, and a block does not
// reach from one window into the next unless a page lies on the very border, 512 GiB above the lowest.
bool encode_memory(const std::byte* lowest_page, CUtensorMap* map) {
  TiledTensor tensor{};
  tensor.data = lowest_page;
  tensor.rank = 3;
  tensor.sizes = {width, window_rows, window_count};
  tensor.stride_bytes = {row_bytes, window_bytes};
  tensor.box = {line, key_block, 1};
  return encode_tiled(tensor, map);
}

}  // namespace

bool softmax_hopper(const Launcher& launch, const SoftmaxCall& call) {
  const int group = call.heads / static_cast<int>(call.layout.kv_head_count);
  if (!launch.device().hopper || !call.causal || call.width != width ||
      call.layout.dtype != DType::bf16 || group > half_queries ||
      call.layout.page_tokens % key_block != 0 || call.layout.layer_offset % row_bytes != 0 ||
      !(call.scale > 0) || call.lowest_page == nullptr ||
      reinterpret_cast<uintptr_t>(call.lowest_page) % row_bytes != 0) {
    return false;
  }
  if (call.tokens == 0) return true;
  const int half_tokens = half_queries / group;
  CUtensorMap queries, memory;
  if (!encode_queries(call, group, half_tokens, &queries) ||
      !encode_memory(call.lowest_page, &memory)) {
    return false;
  }
  const HopperRows rows{call.out,
                        call.heads,
                        group,
                        half_tokens,
                        softmax_short_sequences(launch, call),
                        call.scale * 1.44269504f,
                        call.lowest_page,
                        PagedKv::of(call.layout, call.sequences)};
  launch.allow_shared(softmax_hopper_kernel, shared_bytes);
  launch(softmax_hopper_kernel, static_cast<unsigned>(launch.device().multiprocessors), threads,
         shared_bytes, rows, queries, memory);
  return true;
}

}  // namespace minimax
