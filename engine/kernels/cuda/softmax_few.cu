// SPDX-License-Identifier: Apache-2.0
// Softmax attention of a few rows a sequence: every multiprocessor reads an equal share of all keys.
#include <algorithm>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/softmax.cuh"
#include "engine/kernels/cuda/warp_mma.cuh"

namespace minimax {
namespace {

constexpr int width = 128;            // D
constexpr int row_bytes = 2 * width;  // of a key or a value
constexpr int tile_tokens = 64;
constexpr int plane_bytes = tile_tokens * row_bytes;
constexpr int stage_bytes = 2 * plane_bytes;  // keys, then values
constexpr int max_group = 16;
constexpr int max_queries = softmax_few_rows * max_group;  // of one sequence and key head
constexpr int max_stages = 6;

// The work is a list of tiles: by sequence, by key head, by tokens. Worker i (a block) takes those from
// i * tiles / workers on. What a worker found out about a head that others also have tiles of goes
// into one of two slots: 0 when its list begins with that head, else 1.
struct FewRows {
  const bfloat16* q;
  bfloat16* out;
  int heads, group;  // H, H / G
  int sequences;
  int blocks;
  int stages;
  int queries;       // of a slot
  bool whole_tiles;  // no tile crosses the end of a page
  float scale;       // times log2(e)
  PagedKv kv;
  float* sums;          // [blocks, 2, queries, D]
  float2* weights;      // [blocks, 2, queries]: largest score, sum of weights
  int32_t* first_tile;  // [S + 1]: tiles of one key head in the sequences before
};

// tiles * workers fits 64 bits by far.
struct Shares {
  int64_t tiles;
  int64_t workers;
  __device__ Shares(int64_t tile_count, int blocks)
      : tiles(tile_count), workers(tile_count < blocks ? tile_count : blocks) {}
  __device__ int64_t first_of(int64_t worker) const { return worker * tiles / workers; }
  __device__ int64_t worker_of(int64_t tile) const {
    return ((tile + 1) * workers + tiles - 1) / tiles - 1;
  }
};

__device__ __forceinline__ int32_t tokens_of(const DeviceKv& sequence) {
  return static_cast<int32_t>(sequence.position) + sequence.row_count;
}
__device__ __forceinline__ int32_t tiles_of(const DeviceKv& sequence) {
  return sequence.row_count == 0 ? 0 : (tokens_of(sequence) + tile_tokens - 1) / tile_tokens;
}

// A tile of the list, and the way to the next one.
struct Place {
  int sequence;
  int head;
  int32_t tile;
  DeviceKv entry;

  __device__ int32_t tiles() const { return tiles_of(entry); }
  __device__ bool ends_head() const { return tile + 1 == tiles(); }
  __device__ void advance(const FewRows& rows) {
    if (++tile < tiles()) return;
    tile = 0;
    if (++head < rows.kv.heads) return;
    head = 0;
    do {
      if (++sequence == rows.sequences) return;
      entry = rows.kv.entries[sequence];
    } while (entry.row_count == 0);
  }
};

// Row r, 16-byte column c of a plane in shared memory: eight rows of one column lie in different banks.
__device__ __forceinline__ uint32_t swizzled(int row, int column) {
  return static_cast<uint32_t>(row * row_bytes + ((column ^ (row & 7)) << 4));
}

// Copies the tile at a place into a stage.
template <int threads>
struct Loader {
  Place place;
  const std::byte* page;  // that the tile begins in

  __device__ void look_up(const FewRows& rows) {
    if (place.sequence == rows.sequences) return;
    page = place.entry.pages[static_cast<uint32_t>(place.tile * tile_tokens) / rows.kv.page_tokens];
  }

  __device__ void load(const FewRows& rows, uint32_t stage) {
    const uint32_t first = static_cast<uint32_t>(place.tile * tile_tokens);
    const uint32_t left = static_cast<uint32_t>(tokens_of(place.entry)) - first;
    const int column = static_cast<int>(threadIdx.x) % 16;
    const uint32_t top = static_cast<uint32_t>(place.head) * rows.kv.page_tokens;
    const std::byte* const start =
        page + rows.kv.layer_offset +
        static_cast<size_t>(top + first % rows.kv.page_tokens) * row_bytes + column * 16;
#pragma unroll
    for (int i = 0; i < tile_tokens * 16 / threads; ++i) {
      const int row = static_cast<int>(threadIdx.x) / 16 + i * (threads / 16);
      const bool exists = static_cast<uint32_t>(row) < left;
      const std::byte* from = start;
      if (exists) {
        from = rows.whole_tiles ? start + row * row_bytes
                                : rows.kv.key(place.entry.pages, place.head,
                                              first + static_cast<uint32_t>(row), 2) +
                                      column * 16;
      }
      copy_16(stage + swizzled(row, column), from, exists);
      copy_16(stage + plane_bytes + swizzled(row, column), from + rows.kv.plane_bytes, exists);
    }
    place.advance(rows);
    look_up(rows);
  }
};

__device__ __forceinline__ void wait_for_stage(int stages) {
  switch (stages) {
    case 2:
      wait_for_copies<0>();
      break;
    case 3:
      wait_for_copies<1>();
      break;
    case 4:
      wait_for_copies<2>();
      break;
    case 5:
      wait_for_copies<3>();
      break;
    default:
      wait_for_copies<4>();
      break;
  }
}

// 16 queries against some of the tokens. A lane has rows lane / 4 and lane / 4 + 8, and in them columns
// lane % 4 * 2 and the next one of every eight.
template <int tokens>
struct Queries {
  uint32_t q[8][4];
  float sums[16][4];
  float top[2];
  float total[2];
  int32_t limit[2];  // tokens that the two rows see

  // first: the first of the 16 in the packed order of a sequence: by row, by head of the group.
  __device__ void begin(const FewRows& rows, const Place& place, int first) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = first + lane / 4 + 8 * half;
      const int row = query / rows.group;
      const bool exists = row < place.entry.row_count;
      const int64_t head = static_cast<int64_t>(place.entry.first_row + row) * rows.heads +
                           place.head * rows.group + query % rows.group;
      const bfloat16* const from = rows.q + head * width + lane % 4 * 2;
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        q[k][half] = exists ? *reinterpret_cast<const uint32_t*>(from + 16 * k) : 0;
        q[k][half + 2] = exists ? *reinterpret_cast<const uint32_t*>(from + 16 * k + 8) : 0;
      }
      limit[half] =
          static_cast<int32_t>(place.entry.position) + 1 + min(row, place.entry.row_count);
      top[half] = -INFINITY;
      total[half] = 0;
    }
#pragma unroll
    for (auto& tile : sums) {
#pragma unroll
      for (float& sum : tile) sum = 0;
    }
  }

  // keys, values: where the first of the tokens lies in shared memory. token: its number.
  __device__ void add(uint32_t keys, uint32_t values, int32_t token, float scale) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float scores[tokens / 8][4] = {};
#pragma unroll
    for (int k = 0; k < 8; ++k) {
#pragma unroll
      for (int n = 0; n < tokens / 16; ++n) {
        uint32_t b[4];
        load_matrices(b, keys + swizzled(16 * n + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
        multiply(scores[2 * n], q[k], b[0], b[1]);
        multiply(scores[2 * n + 1], q[k], b[2], b[3]);
      }
    }

    const bool all_seen = token + tokens <= min(limit[0], limit[1]);
#pragma unroll
    for (int n = 0; n < tokens / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const bool seen = all_seen || token + 8 * n + lane % 4 * 2 + i % 2 < limit[i / 2];
        scores[n][i] = seen ? scores[n][i] * scale : -INFINITY;
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float highest = top[half];
#pragma unroll
      for (int n = 0; n < tokens / 8; ++n) {
        highest = fmaxf(highest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      }
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 1));
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 2));
      const float base = highest == -INFINITY ? 0.0f : highest;  // nothing seen so far
      const float shrink = fast_exp2(top[half] - base);
      top[half] = highest;
      total[half] *= shrink;
#pragma unroll
      for (int n = 0; n < tokens / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = fast_exp2(scores[n][i] - base);
          total[half] += scores[n][i];
        }
      }
#pragma unroll
      for (auto& tile : sums) {
        tile[2 * half] *= shrink;
        tile[2 * half + 1] *= shrink;
      }
    }

#pragma unroll
    for (int k = 0; k < tokens / 16; ++k) {
      const uint32_t shares[4] = {pack_bf16(scores[2 * k][0], scores[2 * k][1]),
                                  pack_bf16(scores[2 * k][2], scores[2 * k][3]),
                                  pack_bf16(scores[2 * k + 1][0], scores[2 * k + 1][1]),
                                  pack_bf16(scores[2 * k + 1][2], scores[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        uint32_t b[4];
        load_transposed(b, values + swizzled(16 * k + lane % 16, 2 * n + lane / 16));
        multiply(sums[2 * n], shares, b[0], b[1]);
        multiply(sums[2 * n + 1], shares, b[2], b[3]);
      }
    }
  }
};

// What the warps found out about different tokens of the same queries, in shared memory.
template <int row_tiles, int token_warps>
struct Merge {
  float sums[token_warps][16 * row_tiles][width];
  float2 weights[token_warps][16 * row_tiles];

  // Rows below each other lie in different banks.
  static __device__ int column(int row, int d) { return d ^ ((row & 3) << 3); }

  template <int tokens>
  __device__ void put(Queries<tokens>& from, int token_warp, int first) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + lane / 4 + 8 * half;
      float total = from.total[half];
      total += __shfl_xor_sync(0xffffffffu, total, 1);
      total += __shfl_xor_sync(0xffffffffu, total, 2);
      if (lane % 4 == 0) weights[token_warp][row] = {from.top[half], total};
#pragma unroll
      for (int n = 0; n < 16; ++n) {
        *reinterpret_cast<float2*>(&sums[token_warp][row][column(row, 8 * n + lane % 4 * 2)]) = {
            from.sums[n][2 * half], from.sums[n][2 * half + 1]};
      }
    }
  }

  // Four numbers of one row, from d on, over all warps; weight: of the whole row.
  __device__ float4 get(int row, int d, float2& weight) const {
    float top = weights[0][row].x;
#pragma unroll
    for (int w = 1; w < token_warps; ++w) top = fmaxf(top, weights[w][row].x);
    const float base = top == -INFINITY ? 0.0f : top;
    float4 sum = {0, 0, 0, 0};
    float total = 0;
#pragma unroll
    for (int w = 0; w < token_warps; ++w) {
      const float share = fast_exp2(weights[w][row].x - base);
      const float4 part = *reinterpret_cast<const float4*>(&sums[w][row][column(row, d)]);
      total += share * weights[w][row].y;
      sum.x += share * part.x;
      sum.y += share * part.y;
      sum.z += share * part.z;
      sum.w += share * part.w;
    }
    weight = {top, total};
    return sum;
  }
};

__device__ __forceinline__ void store_row(bfloat16* to, float4 sum, float total) {
  const float inverse = 1.0f / total;
  const uint2 bits = {pack_bf16(sum.x * inverse, sum.y * inverse),
                      pack_bf16(sum.z * inverse, sum.w * inverse)};
  *reinterpret_cast<uint2*>(to) = bits;
}

// Finds the place of a tile, and the tiles of all sequences; block 0 writes them down for the kernel that
// adds up what workers found out. All threads of the block.
struct Schedule {
  int64_t tiles;  // of one key head
  Place place;
};

template <int threads>
__device__ int32_t inclusive_sum(int32_t x, int32_t* scratch) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const int32_t before = __shfl_up_sync(0xffffffffu, x, lanes);
    if (lane >= lanes) x += before;
  }
  __syncthreads();
  if (lane == 31) scratch[warp] = x;
  __syncthreads();
  for (int w = 0; w < warp; ++w) x += scratch[w];
  return x;
}

template <int threads>
__device__ int32_t count_tiles(const FewRows& rows, int32_t* scratch) {
  int32_t mine = 0;
  for (int s = static_cast<int>(threadIdx.x); s < rows.sequences; s += threads) {
    mine += tiles_of(rows.kv.entries[s]);
  }
  const int32_t sum = inclusive_sum<threads>(mine, scratch);
  __syncthreads();
  if (threadIdx.x == threads - 1) scratch[0] = sum;
  __syncthreads();
  return scratch[0];
}

template <int threads>
__device__ Place find_place(const FewRows& rows, int64_t wanted, int32_t* scratch) {
  __shared__ int32_t found[3];  // sequence, head, tile
  int32_t before = 0;
  for (int base = 0; base < rows.sequences; base += threads) {
    const int s = base + static_cast<int>(threadIdx.x);
    const int32_t tiles = s < rows.sequences ? tiles_of(rows.kv.entries[s]) : 0;
    const int32_t end = before + inclusive_sum<threads>(tiles, scratch);
    const int64_t start_tile = static_cast<int64_t>(end - tiles) * rows.kv.heads;
    if (blockIdx.x == 0 && s < rows.sequences) {
      if (s == 0) rows.first_tile[0] = 0;
      rows.first_tile[s + 1] = end;
    }
    if (wanted >= start_tile && wanted < static_cast<int64_t>(end) * rows.kv.heads) {
      const auto inside = static_cast<int32_t>(wanted - start_tile);
      found[0] = s;
      found[1] = inside / tiles;
      found[2] = inside % tiles;
    }
    __syncthreads();
    if (threadIdx.x == threads - 1) scratch[0] = end;
    __syncthreads();
    before = scratch[0];
  }
  return {found[0], found[1], found[2], rows.kv.entries[found[0]]};
}

// row_tiles: 16 queries each. Warps share out queries first, then the tokens of a tile.
template <int row_tiles>
struct Shape {
  static constexpr int token_warps = row_tiles <= 2 ? 4 : 8 / row_tiles;
  static constexpr int threads = 32 * row_tiles * token_warps;
  using Merged = Merge<row_tiles, token_warps>;
};

template <int row_tiles>
__global__ void __launch_bounds__(Shape<row_tiles>::threads, 1) softmax_few_kernel(FewRows rows) {
  using Merged = typename Shape<row_tiles>::Merged;
  constexpr int threads = Shape<row_tiles>::threads;
  constexpr int tokens = tile_tokens / Shape<row_tiles>::token_warps;
  extern __shared__ __align__(1024) unsigned char shared[];
  __shared__ int32_t scratch[32];
  Merged& merged = *reinterpret_cast<Merged*>(shared + rows.stages * stage_bytes);
  const uint32_t stages_at = shared_address(shared);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int token_warp = warp / row_tiles, first_query = warp % row_tiles * 16;
  wait_for_inputs();
  let_next_start();

  // This block's share of the tiles.
  const Shares shares(static_cast<int64_t>(count_tiles<threads>(rows, scratch)) * rows.kv.heads,
                      rows.blocks);
  if (static_cast<int64_t>(blockIdx.x) >= shares.workers) return;
  const int64_t begin = shares.first_of(blockIdx.x);
  const auto count = static_cast<int32_t>(shares.first_of(blockIdx.x + 1) - begin);
  Place place = find_place<threads>(rows, begin, scratch);

  Loader<threads> loader{place, nullptr};
  loader.look_up(rows);
  for (int i = 0; i < rows.stages - 1; ++i) {
    if (i < count) loader.load(rows, stages_at + static_cast<uint32_t>(i * stage_bytes));
    end_copy_group();
  }

  Queries<tokens> queries;
  int slot = 0;
  bool whole = place.tile == 0;  // this block has had all tiles of the head so far
  int stage = 0;
  for (int32_t i = 0; i < count; ++i) {
    if (i == 0 || place.tile == 0) queries.begin(rows, place, first_query);
    wait_for_stage(rows.stages);
    __syncthreads();

    // The stage that the block has just left takes the tile after those under way.
    const int free_stage = stage == 0 ? rows.stages - 1 : stage - 1;
    if (i + rows.stages - 1 < count) {
      loader.load(rows, stages_at + static_cast<uint32_t>(free_stage * stage_bytes));
    }
    end_copy_group();

    const bool has_queries = first_query < place.entry.row_count * rows.group;
    if (has_queries) {
      const uint32_t at = stages_at + static_cast<uint32_t>(stage * stage_bytes) +
                          static_cast<uint32_t>(token_warp * tokens * row_bytes);
      queries.add(at, at + plane_bytes, place.tile * tile_tokens + token_warp * tokens, rows.scale);
    }
    if (++stage == rows.stages) stage = 0;
    if (!place.ends_head() && i + 1 < count) {
      place.advance(rows);
      continue;
    }

    // The last of this block's tiles of a head.
    whole = whole && place.ends_head();
    if (has_queries) merged.put(queries, token_warp, first_query);
    __syncthreads();
    const int query_count = place.entry.row_count * rows.group;
    for (int item = static_cast<int>(threadIdx.x); item < query_count * (width / 4);
         item += threads) {
      const int query = item / (width / 4), d = item % (width / 4) * 4;
      float2 weight;
      const float4 sum = merged.get(query, d, weight);
      if (whole) {
        const int64_t row = place.entry.first_row + query / rows.group;
        const int head = place.head * rows.group + query % rows.group;
        store_row(rows.out + (row * rows.heads + head) * width + d, sum, weight.y);
      } else {
        const int64_t at = (static_cast<int64_t>(blockIdx.x) * 2 + slot) * rows.queries + query;
        *reinterpret_cast<float4*>(rows.sums + at * width + d) = sum;
        if (d == 0) rows.weights[at] = weight;
      }
    }
    slot = 1;
    whole = true;
    place.advance(rows);
  }
}

// Adds up what several workers found out: a warp for each row and head.
constexpr int combine_threads = 128;

__global__ void __launch_bounds__(combine_threads)
    softmax_combine_kernel(FewRows rows, int64_t count) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t item = (static_cast<int64_t>(blockIdx.x) * combine_threads + threadIdx.x) / 32;
  wait_for_inputs();
  let_next_start();
  if (item >= count) return;

  const int64_t row = item / rows.heads;
  const int head = static_cast<int>(item % rows.heads);
  const int sequence = rows.kv.row_sequence[row];
  const int64_t before = rows.first_tile[sequence];
  const int64_t tiles = rows.first_tile[sequence + 1] - before;
  const Shares shares(static_cast<int64_t>(rows.first_tile[rows.sequences]) * rows.kv.heads,
                      rows.blocks);
  const int64_t first_tile = before * rows.kv.heads + head / rows.group * tiles;
  const int64_t first = shares.worker_of(first_tile);
  const int64_t last = shares.worker_of(first_tile + tiles - 1);
  if (first == last) return;  // has been written

  const int query =
      static_cast<int>(row - rows.kv.entries[sequence].first_row) * rows.group + head % rows.group;
  const int first_slot = shares.first_of(first) < first_tile ? 1 : 0;
  const auto place_of = [&](int64_t worker) {
    return (worker * 2 + (worker == first ? first_slot : 0)) * rows.queries + query;
  };

  // Rows whose tokens lie before a worker's tiles have no weight there.
  float top = -INFINITY;
  for (int64_t w = first + lane; w <= last; w += 32) top = fmaxf(top, rows.weights[place_of(w)].x);
  top = warp_max(top);
  float4 sum = {0, 0, 0, 0};
  float total = 0;
  for (int64_t base = first; base <= last; base += 32) {
    const int64_t mine = base + lane;
    float share = 0;
    if (mine <= last) {
      const float2 weight = rows.weights[place_of(mine)];
      share = fast_exp2(weight.x - top);
      total += share * weight.y;
    }
    const int parts = static_cast<int>(min(last - base + 1, static_cast<int64_t>(32)));
#pragma unroll 8
    for (int w = 0; w < parts; ++w) {
      const float part_share = __shfl_sync(0xffffffffu, share, w);
      const float4 part =
          *reinterpret_cast<const float4*>(rows.sums + place_of(base + w) * width + 4 * lane);
      sum.x += part_share * part.x;
      sum.y += part_share * part.y;
      sum.z += part_share * part.z;
      sum.w += part_share * part.w;
    }
  }
  store_row(rows.out + item * width + 4 * lane, sum, warp_sum(total));
}

// How much of the scratch memory each array takes.
size_t sums_bytes(int blocks, int queries) {
  return static_cast<size_t>(blocks) * 2 * static_cast<size_t>(queries) * width * sizeof(float);
}
size_t weights_bytes(int blocks, int queries) {
  return static_cast<size_t>(blocks) * 2 * static_cast<size_t>(queries) * sizeof(float2);
}

template <int row_tiles>
bool start(const Launcher& launch, FewRows rows) {
  using Merged = typename Shape<row_tiles>::Merged;
  const int room = launch.device().shared_bytes_per_block - static_cast<int>(sizeof(Merged)) - 1024;
  rows.stages = std::min(room / stage_bytes, max_stages);
  if (rows.stages < 2) return false;
  const size_t shared = static_cast<size_t>(rows.stages * stage_bytes) + sizeof(Merged);
  launch.allow_shared(softmax_few_kernel<row_tiles>, shared);
  launch(softmax_few_kernel<row_tiles>, static_cast<unsigned>(rows.blocks),
         Shape<row_tiles>::threads, shared, rows);
  return true;
}

}  // namespace

bool softmax_few(const Launcher& launch, const SoftmaxCall& call) {
  const int group = call.heads / static_cast<int>(call.layout.kv_head_count);
  const int sequences = static_cast<int>(call.sequences.host.size());
  if (call.width != width || call.layout.dtype != DType::bf16 || group > max_group ||
      call.layout.layer_offset % 16 != 0 || call.tokens == 0) {
    return false;
  }
  for (const DeviceKv& sequence : call.sequences.host) {
    if (sequence.row_count > softmax_few_rows) return false;
  }

  // Recorded steps of as many tokens and sequences may share the rows out differently.
  const int most_rows = std::min(call.tokens - sequences + 1, softmax_few_rows);
  const int queries = most_rows * group;
  const int blocks = launch.device().multiprocessors;
  auto* const memory = reinterpret_cast<std::byte*>(call.partial);
  std::byte* const weights = memory + sums_bytes(blocks, queries);
  std::byte* const tiles = weights + weights_bytes(blocks, queries);
  const FewRows rows{call.q,
                     call.out,
                     call.heads,
                     group,
                     sequences,
                     blocks,
                     0,
                     queries,
                     call.layout.page_tokens % tile_tokens == 0,
                     call.scale * 1.44269504f,
                     PagedKv::of(call.layout, call.sequences),
                     reinterpret_cast<float*>(memory),
                     reinterpret_cast<float2*>(weights),
                     reinterpret_cast<int32_t*>(tiles)};
  const auto kernel = queries <= 16   ? start<1>
                      : queries <= 32 ? start<2>
                      : queries <= 64 ? start<4>
                                      : start<8>;
  if (!kernel(launch, rows)) return false;
  const int64_t items = static_cast<int64_t>(call.tokens) * call.heads;
  constexpr int warps = combine_threads / 32;
  launch(softmax_combine_kernel, static_cast<unsigned>((items + warps - 1) / warps),
         combine_threads, 0, rows, items);
  return true;
}

size_t softmax_scratch_bytes(const StepLimits& limits, int multiprocessors) {
  return sums_bytes(multiprocessors, max_queries) + weights_bytes(multiprocessors, max_queries) +
         static_cast<size_t>(limits.tokens + 1) * sizeof(int32_t);
}

}  // namespace minimax
