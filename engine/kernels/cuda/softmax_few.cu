// SPDX-License-Identifier: Apache-2.0
// Softmax attention of a few rows a sequence: every multiprocessor reads an equal share of all keys.
#include <algorithm>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/softmax_warp.cuh"

namespace minimax {
namespace {

constexpr int width = 128;            // D
constexpr int row_bytes = 2 * width;  // of a key or a value
constexpr int plane_bytes = softmax_tile * row_bytes;
constexpr int stage_bytes = softmax_stage_bytes(width);
constexpr int max_group = 16;
constexpr int max_queries = softmax_few_rows * max_group;  // of one sequence and key head
constexpr int max_stages = 6;

// Keys and values of earlier steps are read before wait_for_inputs(): the first tiles are under way while the
// kernel before this one ends.
//
// The work is a list of tiles: by sequence, by key head, by tokens. Worker i (a block) takes those from
// i * tiles / workers on. What a worker found out about a head that others also have tiles of goes
// into one of two slots: 0 when its list begins with that head, else 1.
struct FewRows {
  QueryRows queries;
  bfloat16* out;
  int blocks;
  int stages;
  int most_rows;  // sequences of more rows have no tiles
  int slot_queries;
  PagedKv kv;
  float* sums;          // [blocks, 2, slot_queries, D]
  float2* weights;      // [blocks, 2, slot_queries]: largest score, sum of weights
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
// Tiles of one key head.
struct TilesOf {
  int most_rows;
  __device__ __forceinline__ int32_t operator()(const DeviceKv& sequence) const {
    const bool has_any = sequence.row_count > 0 && sequence.row_count <= most_rows;
    return has_any ? (tokens_of(sequence) + softmax_tile - 1) / softmax_tile : 0;
  }
};

// A tile of the list, and the way to the next one.
struct Place {
  int sequence;
  int head;
  int32_t tile;
  int32_t tiles;  // of the head
  DeviceKv entry;

  __device__ bool ends_head() const { return tile + 1 == tiles; }
  __device__ void advance(const FewRows& rows) {
    if (++tile < tiles) return;
    tile = 0;
    if (++head < rows.kv.heads) return;
    head = 0;
    do {
      if (++sequence == rows.kv.sequences) return;
      entry = rows.kv.entries[sequence];
      tiles = TilesOf{rows.most_rows}(entry);
    } while (tiles == 0);
  }
};

// Copies tile after tile; the page of the next one is looked up a tile ahead.
template <int threads>
struct Loader {
  Place place;
  const std::byte* page;

  __device__ void look_up(const FewRows& rows) {
    if (place.sequence == rows.kv.sequences) return;
    page =
        place.entry.pages[static_cast<uint32_t>(place.tile * softmax_tile) / rows.kv.page_tokens];
  }

  // The next tile has tokens of this step, whose keys and values the kernel before may still be writing.
  __device__ bool has_new_tokens() const {
    return (place.tile + 1) * softmax_tile > static_cast<int32_t>(place.entry.position);
  }

  __device__ void load(const FewRows& rows, uint32_t stage) {
    const auto first = static_cast<uint32_t>(place.tile * softmax_tile);
    const KvTile tile{place.entry.pages, page, place.head, first,
                      static_cast<uint32_t>(tokens_of(place.entry)) - first};
    copy_tile<width, threads>(rows.kv, tile, stage);
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

// What the warps found out about different tokens of the same queries, in shared memory.
template <int row_tiles, int token_warps>
struct Merge {
  float sums[token_warps][16 * row_tiles][width];
  float2 weights[token_warps][16 * row_tiles];

  // Rows below each other lie in different banks.
  static __device__ int column(int row, int d) { return d ^ ((row & 3) << 3); }

  template <int tokens>
  __device__ void put(const WarpQueries<width, tokens>& from, int token_warp, int first) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + lane / 4 + 8 * half;
      const float total = quad_sum(from.total[half]);
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

// Where a tile of the list lies. All lanes of a warp.
__device__ Place find_place(const FewRows& rows, int64_t wanted) {
  const TilesOf tiles_of{rows.most_rows};
  Part part;
  find_part(rows.kv, tiles_of, static_cast<int>(wanted / rows.kv.heads), part);
  const DeviceKv& entry = rows.kv.entries[part.sequence];
  const int32_t tiles = tiles_of(entry);
  const auto inside =
      static_cast<int32_t>(wanted - static_cast<int64_t>(part.before) * rows.kv.heads);
  return {part.sequence, inside / tiles, inside % tiles, tiles, entry};
}

// Writes down which tiles belong to which sequence, for the kernel that adds up what workers found out.
__device__ void store_first_tiles(const FewRows& rows) {
  visit_parts(rows.kv, TilesOf{rows.most_rows}, [&](int sequence, int tiles, int end) {
    if (sequence < rows.kv.sequences) rows.first_tile[sequence] = end - tiles;
    if (sequence + 1 == rows.kv.sequences) rows.first_tile[sequence + 1] = end;
    return false;
  });
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
  constexpr int tokens = softmax_tile / Shape<row_tiles>::token_warps;
  extern __shared__ __align__(1024) unsigned char shared[];
  Merged& merged = *reinterpret_cast<Merged*>(shared + rows.stages * stage_bytes);
  const uint32_t stages_at = shared_address(shared);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int token_warp = warp / row_tiles, first_query = warp % row_tiles * 16;
  let_next_start();

  // This block's share of the tiles.
  const int head_tiles = count_parts(rows.kv, TilesOf{rows.most_rows});
  const Shares shares(static_cast<int64_t>(head_tiles) * rows.kv.heads, rows.blocks);
  if (static_cast<int64_t>(blockIdx.x) >= shares.workers) {
    wait_for_inputs();
    return;
  }
  const int64_t begin = shares.first_of(blockIdx.x);
  const auto count = static_cast<int32_t>(shares.first_of(blockIdx.x + 1) - begin);
  Place place = find_place(rows, begin);

  Loader<threads> loader{place, nullptr};
  loader.look_up(rows);
  bool waits = true;
  for (int i = 0; i < rows.stages - 1; ++i) {
    if (waits && (i >= count || loader.has_new_tokens())) {
      wait_for_inputs();
      waits = false;
    }
    if (i < count) loader.load(rows, stages_at + static_cast<uint32_t>(i * stage_bytes));
    end_copy_group();
  }
  if (waits) wait_for_inputs();

  WarpQueries<width, tokens> queries;
  int slot = 0;
  bool whole = place.tile == 0;  // this block has had all tiles of the head so far
  int stage = 0;
  for (int32_t i = 0; i < count; ++i) {
    if (i == 0 || place.tile == 0) {
      queries.begin(rows.queries, place.entry, place.head, 0, place.entry.row_count, first_query);
    }
    wait_for_stage(rows.stages);
    __syncthreads();

    // The stage that the block has just left takes the tile after those under way.
    const int free_stage = stage == 0 ? rows.stages - 1 : stage - 1;
    if (i + rows.stages - 1 < count) {
      loader.load(rows, stages_at + static_cast<uint32_t>(free_stage * stage_bytes));
    }
    end_copy_group();

    const bool has_queries = first_query < place.entry.row_count * rows.queries.group;
    if (has_queries) {
      const uint32_t at = stages_at + static_cast<uint32_t>(stage * stage_bytes) +
                          static_cast<uint32_t>(token_warp * tokens * row_bytes);
      queries.add(at, at + plane_bytes, place.tile * softmax_tile + token_warp * tokens,
                  rows.queries.scale);
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
    const int query_count = place.entry.row_count * rows.queries.group;
    for (int item = static_cast<int>(threadIdx.x); item < query_count * (width / 4);
         item += threads) {
      const int query = item / (width / 4), d = item % (width / 4) * 4;
      float2 weight;
      const float4 sum = merged.get(query, d, weight);
      if (whole) {
        const int64_t row = place.entry.first_row + query / rows.queries.group;
        const int head = place.head * rows.queries.group + query % rows.queries.group;
        store_row(rows.out + (row * rows.queries.heads + head) * width + d, sum, weight.y);
      } else {
        const int64_t at =
            (static_cast<int64_t>(blockIdx.x) * 2 + slot) * rows.slot_queries + query;
        *reinterpret_cast<float4*>(rows.sums + at * width + d) = sum;
        if (d == 0) rows.weights[at] = weight;
      }
    }
    slot = 1;
    whole = true;
    place.advance(rows);
  }
  if (blockIdx.x == 0 && warp == 0) store_first_tiles(rows);
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

  const int64_t row = item / rows.queries.heads;
  const int head = static_cast<int>(item % rows.queries.heads);
  const int sequence = rows.kv.row_sequence[row];
  const int64_t before = rows.first_tile[sequence];
  const int64_t tiles = rows.first_tile[sequence + 1] - before;
  if (tiles == 0) return;  // a sequence of many rows
  const Shares shares(static_cast<int64_t>(rows.first_tile[rows.kv.sequences]) * rows.kv.heads,
                      rows.blocks);
  const int64_t first_tile = before * rows.kv.heads + head / rows.queries.group * tiles;
  const int64_t first = shares.worker_of(first_tile);
  const int64_t last = shares.worker_of(first_tile + tiles - 1);
  if (first == last) return;  // has been written

  const int query =
      static_cast<int>(row - rows.kv.entries[sequence].first_row) * rows.queries.group +
      head % rows.queries.group;
  const int first_slot = shares.first_of(first) < first_tile ? 1 : 0;
  const auto place_of = [&](int64_t worker) {
    return (worker * 2 + (worker == first ? first_slot : 0)) * rows.slot_queries + query;
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

// Sequences of up to most_rows rows; false when the shape is another kernel's.
bool compute(const Launcher& launch, const SoftmaxCall& call, int most_rows) {
  const int group = call.heads / static_cast<int>(call.layout.kv_head_count);
  if (!call.causal || call.width != width || call.layout.dtype != DType::bf16 ||
      group > max_group || call.layout.layer_offset % 16 != 0 || call.tokens == 0) {
    return false;
  }
  const int queries = most_rows * group;
  const int blocks = launch.device().multiprocessors;
  auto* const memory = reinterpret_cast<std::byte*>(call.partial);
  std::byte* const weights = memory + sums_bytes(blocks, queries);
  std::byte* const tiles = weights + weights_bytes(blocks, queries);
  const FewRows rows{{call.q, call.heads, group, call.scale * 1.44269504f},
                     call.out,
                     blocks,
                     0,
                     most_rows,
                     queries,
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

}  // namespace

bool softmax_few(const Launcher& launch, const SoftmaxCall& call) {
  int sequences = 0;  // that have rows
  for (const DeviceKv& sequence : call.sequences.host) {
    if (sequence.row_count > softmax_few_rows) return false;
    sequences += sequence.row_count > 0 ? 1 : 0;
  }
  // Recorded steps of as many tokens and sequences may share the rows out differently.
  return compute(launch, call, std::min(call.tokens - sequences + 1, softmax_few_rows));
}

int softmax_short_sequences(const Launcher& launch, const SoftmaxCall& call) {
  int most_rows = 0;
  for (const DeviceKv& sequence : call.sequences.host) {
    if (sequence.row_count <= softmax_few_rows) most_rows = std::max(most_rows, sequence.row_count);
  }
  return most_rows > 0 && compute(launch, call, most_rows) ? most_rows + 1 : 1;
}

size_t softmax_scratch_bytes(const StepLimits& limits, int multiprocessors) {
  return sums_bytes(multiprocessors, max_queries) + weights_bytes(multiprocessors, max_queries) +
         static_cast<size_t>(limits.tokens + 1) * sizeof(int32_t);
}

}  // namespace minimax
