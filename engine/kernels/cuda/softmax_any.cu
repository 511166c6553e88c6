// SPDX-License-Identifier: Apache-2.0
// Softmax attention for any shape and any device: with the tensor cores of a warp where they fit, else a
// block for each row and head.
#include "engine/kernels/cuda/softmax_warp.cuh"

namespace minimax {
namespace {

constexpr float log2_e = 1.44269504f;
constexpr int warp_count = 4;
constexpr int block_threads = 32 * warp_count;
constexpr int max_width = 256;
constexpr int lane_numbers = max_width / 32;  // numbers of a head in one lane, 32 apart

struct AnyRows {
  const bfloat16* q;
  bfloat16* out;
  int heads;
  float scale;  // times log2(e)
  bool causal;
  PagedKv kv;
};

__device__ __forceinline__ float number(bfloat16 x) {
  return __bfloat162float(x);
}
__device__ __forceinline__ float number(float x) {
  return x;
}

// What softmax over some of the tokens gave: values weighted by exp2(score - top), and the weights' sum.
struct Partial {
  float top = -INFINITY;
  float total = 0;
  float values[lane_numbers] = {};
};

template <typename Stored>
__device__ __forceinline__ float score_of(const Stored* key, const float* query, int width) {
  float sum = 0;
  int d = 0;
  constexpr int numbers = 16 / sizeof(Stored);
  if (reinterpret_cast<uintptr_t>(key) % 16 == 0) {
    for (; d + numbers <= width; d += numbers) {
      union {
        uint4 bits;
        Stored numbers[16 / sizeof(Stored)];
      } chunk;
      chunk.bits = *reinterpret_cast<const uint4*>(key + d);
#pragma unroll
      for (int i = 0; i < numbers; ++i) sum += query[d + i] * number(chunk.numbers[i]);
    }
  }
  for (; d < width; ++d) sum += query[d] * number(key[d]);
  return sum;
}

// 32 tokens, one a lane; those from `length` on do not exist.
template <typename Stored>
__device__ __forceinline__ void add_tokens(Partial& partial, const PagedKv& kv,
                                           std::byte* const* pages, int head, uint32_t first,
                                           uint32_t length, const float* query) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const uint32_t token = first + static_cast<uint32_t>(lane);
  const std::byte* key = nullptr;
  float score = -INFINITY;
  if (token < length) {
    key = kv.key(pages, head, token, sizeof(Stored));
    score = score_of(reinterpret_cast<const Stored*>(key), query, kv.width);
  }

  const float top = fmaxf(partial.top, warp_max(score));
  const float shrink = exp2f(partial.top - top);
  const float share = exp2f(score - top);
  partial.top = top;
  partial.total = partial.total * shrink + warp_sum(share);
#pragma unroll
  for (float& value : partial.values) value *= shrink;

  const int count = static_cast<int>(min(length - first, 32u));
  for (int i = 0; i < count; ++i) {
    const auto address = __shfl_sync(0xffffffffu, reinterpret_cast<unsigned long long>(key), i);
    const float weight = __shfl_sync(0xffffffffu, share, i);
    const auto* const value = reinterpret_cast<const Stored*>(address + kv.plane_bytes);
#pragma unroll
    for (int n = 0; n < lane_numbers; ++n) {
      const int d = lane + 32 * n;
      if (d < kv.width) partial.values[n] += weight * number(value[d]);
    }
  }
}

template <typename Stored>
__global__ void __launch_bounds__(block_threads) softmax_any_kernel(AnyRows rows) {
  __shared__ float query[max_width];
  __shared__ float tops[warp_count], totals[warp_count];
  __shared__ float values[warp_count][max_width];
  wait_for_inputs();
  let_next_start();

  const int width = rows.kv.width;
  const int row = static_cast<int>(blockIdx.x) / rows.heads;
  const int head = static_cast<int>(blockIdx.x) % rows.heads;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int64_t offset = static_cast<int64_t>(blockIdx.x) * width;
  for (int d = thread; d < width; d += block_threads) {
    query[d] = rows.scale * __bfloat162float(rows.q[offset + d]);
  }
  __syncthreads();

  // Each warp takes every fourth stretch of 32 tokens.
  const DeviceKv sequence = rows.kv.entries[rows.kv.row_sequence[row]];
  const int seen_rows = rows.causal ? row - sequence.first_row + 1 : sequence.row_count;
  const auto length = static_cast<uint32_t>(sequence.position + seen_rows);
  const int kv_head = head / (rows.heads / rows.kv.heads);
  Partial partial;
  for (uint32_t first = 32u * static_cast<uint32_t>(warp); first < length; first += block_threads) {
    add_tokens<Stored>(partial, rows.kv, sequence.pages, kv_head, first, length, query);
  }

  if (lane == 0) {
    tops[warp] = partial.top;
    totals[warp] = partial.total;
  }
#pragma unroll
  for (int n = 0; n < lane_numbers; ++n) values[warp][lane + 32 * n] = partial.values[n];
  __syncthreads();

  // Warp 0 always had a token, so the top of all is finite.
  float top = tops[0], total = 0;
  for (int w = 1; w < warp_count; ++w) top = fmaxf(top, tops[w]);
  for (int w = 0; w < warp_count; ++w) total += exp2f(tops[w] - top) * totals[w];
  for (int d = thread; d < width; d += block_threads) {
    float sum = 0;
    for (int w = 0; w < warp_count; ++w) sum += exp2f(tops[w] - top) * values[w][d];
    rows.out[offset + d] = __float2bfloat16_rn(sum / total);
  }
}

// Heads of 64 or 128 in bf16: a block has 64 queries of one key head, 16 in each warp, and reads tile after
// tile of keys and values while the next one is copied.
constexpr int block_queries = 16 * warp_count;

struct WarpRows {
  QueryRows queries;
  bfloat16* out;
  int block_tokens;  // as many as make block_queries with the heads of a group
  int fewest_rows;   // sequences of fewer rows are not this kernel's
  bool causal;
  PagedKv kv;
};

template <int width>
__global__ void __launch_bounds__(block_threads) softmax_warps_kernel(WarpRows rows) {
  extern __shared__ __align__(128) unsigned char shared[];
  constexpr int stage_bytes = softmax_stage_bytes(width);
  const uint32_t stages = shared_address(shared);
  wait_for_inputs();
  let_next_start();

  // The longest rows come first. There are no more blocks than the grid has, often fewer.
  const RowBlocks blocks{rows.kv, rows.block_tokens, rows.fewest_rows};
  RowBlocks::Block block;
  if (!blocks.find(static_cast<int>(blockIdx.x), block)) return;
  const DeviceKv& sequence = block.sequence;
  const int head = static_cast<int>(blockIdx.y);
  const int end_row = min(block.first + rows.block_tokens, sequence.row_count);
  const int seen_rows = rows.causal ? end_row : sequence.row_count;
  const auto length = static_cast<uint32_t>(sequence.position + seen_rows);
  const auto start_copy = [&](uint32_t first, uint32_t stage) {
    if (first < length) {
      const KvTile tile{sequence.pages, sequence.pages[first / rows.kv.page_tokens], head, first,
                        length - first};
      copy_tile<width, block_threads>(rows.kv, tile, stage);
    }
    end_copy_group();
  };

  start_copy(0, stages);
  const int first_query = static_cast<int>(threadIdx.x) / 32 * 16;
  WarpQueries<width, softmax_tile> queries;
  queries.begin(rows.queries, sequence, head, block.first, end_row, first_query);
  if (!rows.causal) queries.limit[0] = queries.limit[1] = static_cast<int32_t>(length);
  uint32_t stage = stages;
  for (uint32_t first = 0; first < length; first += softmax_tile) {
    wait_for_copies<0>();
    __syncthreads();  // the tile is there for all, and all have left the one before
    const uint32_t other = stage == stages ? stages + stage_bytes : stages;
    start_copy(first + softmax_tile, other);
    queries.add(stage, stage + stage_bytes / 2, static_cast<int32_t>(first), rows.queries.scale);
    stage = other;
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int query = first_query + static_cast<int>(threadIdx.x) % 32 / 4 + 8 * half;
    const int row = block.first + query / rows.queries.group;
    const int64_t place = static_cast<int64_t>(sequence.first_row + row) * rows.queries.heads +
                          head * rows.queries.group + query % rows.queries.group;
    store_row_of<width>(&queries.sums[0][0], half, queries.total[half], rows.out + place * width,
                        row < end_row);
  }
}

template <int width>
void start_warps(const Launcher& launch, const SoftmaxCall& call, int group) {
  const WarpRows rows{{call.q, call.heads, group, call.scale * log2_e},
                      call.out,
                      block_queries / group,
                      softmax_short_sequences(launch, call),
                      call.causal,
                      PagedKv::of(call.layout, call.sequences)};
  // Enough however the rows are shared out among the sequences.
  const int blocks = call.tokens / rows.block_tokens + rows.kv.sequences;
  constexpr size_t shared = 2 * softmax_stage_bytes(width);
  launch.allow_shared(softmax_warps_kernel<width>, shared);
  launch(softmax_warps_kernel<width>,
         dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(rows.kv.heads)), block_threads,
         shared, rows);
}

}  // namespace

void softmax_any(const Launcher& launch, const SoftmaxCall& call) {
  if (call.tokens == 0) return;
  if (call.width > max_width) {
    fail(MINIMAX_UNSUPPORTED, launch.operation(), ": heads are ", call.width, " wide, at most ",
         max_width, " on a GPU");
  }
  const int group = call.heads / static_cast<int>(call.layout.kv_head_count);
  const bool fits_warps = call.layout.dtype == DType::bf16 && group <= block_queries &&
                          call.layout.layer_offset % 16 == 0;
  if (fits_warps && call.width == 64) return start_warps<64>(launch, call, group);
  if (fits_warps && call.width == 128) return start_warps<128>(launch, call, group);
  const AnyRows rows{call.q,      call.out,
                     call.heads,  call.scale * log2_e,
                     call.causal, PagedKv::of(call.layout, call.sequences)};
  const auto kernel =
      call.layout.dtype == DType::bf16 ? softmax_any_kernel<bfloat16> : softmax_any_kernel<float>;
  launch(kernel, static_cast<unsigned>(call.tokens * call.heads), block_threads, 0, rows);
}

}  // namespace minimax
