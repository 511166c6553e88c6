// SPDX-License-Identifier: Apache-2.0
// Draws tokens from rows of logits: one pass over all logits, then a second look at those that matter.
//
// Nothing is sorted but what may be drawn. The pass keeps of each chunk of 512 logits the largest and the sum of
// its exponentials. From these follows a bound below which no token can be kept by top-k, top-p or min-p; what lies
// above it, mostly a few dozen, is sorted in shared memory. If it is too much for that, the places where sums are
// reached are found digit by digit in histograms of the order's keys, whose sums are whole numbers: they do not
// depend on who adds first.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "engine/kernels/cuda/device.cuh"
#include "engine/kernels/cuda/sample.h"

namespace minimax {
namespace {

constexpr int rows_at_once = 64;
constexpr int chunk_tokens = 512;
constexpr int lane_tokens = chunk_tokens / 32;
constexpr int look_warps = 8;
constexpr int draw_threads = 1024;
constexpr int draw_warps = draw_threads / 32;
constexpr int list_capacity = 2048;
constexpr int bound_chunks = draw_threads;  // of rows for which a bound is looked for
constexpr int bin_count = 2048;
constexpr unsigned all_lanes = 0xffffffffu;
constexpr double no_weight_below = -745.13;  // exp of anything less is 0 in f64

using Mass = unsigned long long;

int chunk_count(int64_t vocabulary) {
  return static_cast<int>((vocabulary + chunk_tokens - 1) / chunk_tokens);
}

__device__ __forceinline__ float minus_infinity() {
  return __int_as_float(static_cast<int>(0xff800000u));
}

// engine/draw.h has the same.
__device__ __forceinline__ float drawable_logit(float logit) {
  return logit == logit ? fminf(logit, FLT_MAX) : minus_infinity();
}

// A row, as all phases see it.
struct Row {
  const float* logits;
  const uint32_t* suppressed;
  const LogitsChunk* chunks;
  int vocabulary;
  int chunk_count;
  float top;
  float temperature;

  __device__ float x(float logit) const { return (logit - top) / temperature; }
  __device__ float logit(int token) const {
    const bool is_suppressed = suppressed[token / 32] >> (token % 32) & 1;
    return is_suppressed ? minus_infinity() : drawable_logit(logits[token]);
  }
};

// The id of number i of a lane's logits of a chunk: four neighbours in each quarter.
__device__ __forceinline__ int token_of(int chunk, int lane, int i) {
  return chunk * chunk_tokens + i / 4 * (chunk_tokens / 4) + 4 * lane + i % 4;
}

__device__ __forceinline__ void load_chunk(const Row& row, int chunk, int lane,
                                           float (&out)[lane_tokens]) {
  const bool is_whole = (chunk + 1) * chunk_tokens <= row.vocabulary &&
                        (reinterpret_cast<uintptr_t>(row.logits) & 15) == 0;
#pragma unroll
  for (int i = 0; i < lane_tokens; i += 4) {
    const int token = token_of(chunk, lane, i);
    float four[4];
    if (is_whole) {
      const float4 read = *reinterpret_cast<const float4*>(row.logits + token);
      four[0] = read.x, four[1] = read.y, four[2] = read.z, four[3] = read.w;
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        four[j] = token + j < row.vocabulary ? row.logits[token + j] : minus_infinity();
      }
    }
    const uint32_t suppressed =
        token < row.vocabulary ? row.suppressed[token / 32] >> (token % 32) : 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      out[i + j] = suppressed >> j & 1 ? minus_infinity() : drawable_logit(four[j]);
    }
  }
}

// One warp a chunk.
__global__ void __launch_bounds__(32 * look_warps) look_at_chunks(SampleCall call, int chunks) {
  let_next_start();
  wait_for_inputs();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int chunk = static_cast<int>(blockIdx.x) * look_warps + warp;
  const int r = static_cast<int>(blockIdx.y);
  if (chunk >= chunks) return;
  const DeviceDraw draw = call.rows[r];
  const Row row{draw.logits, call.suppressed, nullptr, call.vocabulary, chunks, 0, 0};
  float logits[lane_tokens];
  load_chunk(row, chunk, lane, logits);

  LogitsChunk made{minus_infinity(), 0, 0, 0};
#pragma unroll
  for (int i = 0; i < lane_tokens; ++i) {
    made.top = fmaxf(made.top, logits[i]);
    made.count += logits[i] > minus_infinity() ? 1.0f : 0.0f;
  }
  made.top = warp_max(made.top);
  if (made.top > minus_infinity()) {
#pragma unroll
    for (int i = 0; i < lane_tokens; ++i) made.plain_mass += expf(logits[i] - made.top);
    if (draw.temperature > 0) {
      const float scale = 1.0f / draw.temperature;  // infinite below 3e-39
#pragma unroll
      for (int i = 0; i < lane_tokens; ++i) {
        const float below = logits[i] - made.top;
        made.mass += below == 0 ? 1.0f : expf(below * scale);
      }
    }
  }
  made.mass = warp_sum(made.mass);
  made.plain_mass = warp_sum(made.plain_mass);
  made.count = warp_sum(made.count);
  if (lane == 0) call.chunks[static_cast<int64_t>(r) * chunks + chunk] = made;
}

struct DrawRoom {
  union {
    struct {
      float x[bound_chunks], mass[bound_chunks], peak[bound_chunks];
    } of_chunks;
    struct {
      Mass mass[bin_count];
      unsigned count[bin_count];
    } bins;
    uint64_t list[list_capacity];  // key of the order above, token below: ascending is best first
  };
  double scratch[32];
  double number;
  int listed;
  int found;
  unsigned bin, bin_members;
  unsigned before_count;
  Mass before_mass, bin_mass;
};

__device__ __forceinline__ int thread_index() {
  return static_cast<int>(threadIdx.x);
}
__device__ __forceinline__ int lane_index() {
  return static_cast<int>(threadIdx.x) % 32;
}
__device__ __forceinline__ int warp_index() {
  return static_cast<int>(threadIdx.x) / 32;
}

// Over all threads of the block, in every thread, always in the same order.
template <typename T, typename Join>
__device__ T block_join(T x, DrawRoom& room, const Join& join) {
  T* const scratch = reinterpret_cast<T*>(room.scratch);
  for (int lanes = 16; lanes > 0; lanes /= 2) x = join(x, __shfl_xor_sync(all_lanes, x, lanes));
  __syncthreads();  // the scratch may still be read
  if (lane_index() == 0) scratch[warp_index()] = x;
  __syncthreads();
  x = scratch[lane_index()];
  for (int lanes = 16; lanes > 0; lanes /= 2) x = join(x, __shfl_xor_sync(all_lanes, x, lanes));
  return x;
}

__device__ int block_min(int x, DrawRoom& room) {
  return block_join(x, room, [](int a, int b) { return a < b ? a : b; });
}
__device__ int block_max(int x, DrawRoom& room) {
  return block_join(x, room, [](int a, int b) { return a > b ? a : b; });
}

template <typename T>
__device__ T warp_scan(T x) {
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const T below = __shfl_up_sync(all_lanes, x, lanes);
    if (lane_index() >= lanes) x = below + x;
  }
  return x;
}

template <typename T>
struct Scanned {
  T before;  // the sum over all threads in front
  T total;
};

template <typename T>
__device__ Scanned<T> block_scan(T x, DrawRoom& room) {
  T* const scratch = reinterpret_cast<T*>(room.scratch);
  const T within = warp_scan(x);
  T before = __shfl_up_sync(all_lanes, within, 1);
  if (lane_index() == 0) before = 0;
  __syncthreads();
  if (lane_index() == 31) scratch[warp_index()] = within;
  __syncthreads();
  const T warps = warp_scan(scratch[lane_index()]);
  const T front = __shfl_sync(all_lanes, warps, (warp_index() + 31) % 32);
  const T total = __shfl_sync(all_lanes, warps, 30) + scratch[31];
  return {warp_index() == 0 ? before : front + before, total};
}

struct Totals {
  float top;
  double mass;        // of exp((logit - top) / temperature)
  double plain_mass;  // of exp(logit - top)
  double count;       // of what may be drawn
};

__device__ Totals add_chunks(const Row& row, DrawRoom& room) {
  Totals totals{minus_infinity(), 0, 0, 0};
  for (int c = thread_index(); c < row.chunk_count; c += draw_threads) {
    totals.top = fmaxf(totals.top, row.chunks[c].top);
  }
  totals.top = block_join(totals.top, room, [](float a, float b) { return fmaxf(a, b); });
  for (int c = thread_index(); c < row.chunk_count; c += draw_threads) {
    const LogitsChunk chunk = row.chunks[c];
    if (chunk.count == 0) continue;
    const float below = chunk.top - totals.top;
    totals.plain_mass += chunk.plain_mass * exp(static_cast<double>(below));
    if (row.temperature > 0) {
      totals.mass += chunk.mass * exp(static_cast<double>(below / row.temperature));
    }
    totals.count += chunk.count;
  }
  const auto add = [](double a, double b) { return a + b; };
  totals.plain_mass = block_join(totals.plain_mass, room, add);
  totals.mass = block_join(totals.mass, room, add);
  totals.count = block_join(totals.count, room, add);
  return totals;
}

__device__ int most_probable(const Row& row, DrawRoom& room) {
  int first = row.chunk_count;
  for (int c = thread_index(); c < row.chunk_count; c += draw_threads) {
    if (row.chunks[c].top == row.top) {
      first = c;
      break;
    }
  }
  const int chunk = block_min(first, room);
  const int token = chunk * chunk_tokens + thread_index();
  const bool is_one =
      thread_index() < chunk_tokens && token < row.vocabulary && row.logit(token) == row.top;
  return block_min(is_one ? token : row.vocabulary, room);
}

// The first of the chunk's tokens at which the sum reaches `rest`, or else the last with a weight.
__device__ int draw_in_chunk(const Row& row, int chunk, double rest, DrawRoom& room) {
  const int token = chunk * chunk_tokens + thread_index();
  double x = -INFINITY;
  if (thread_index() < chunk_tokens && token < row.vocabulary) {
    const float logit = row.logit(token);
    if (logit > minus_infinity()) x = row.x(logit);
  }
  const double weight = exp(x);
  const double sum = block_scan(weight, room).before + weight;
  const int first = block_min(weight > 0 && sum >= rest ? token : row.vocabulary, room);
  const int last = block_max(weight > 0 ? token : 0, room);
  return first < row.vocabulary ? first : last;
}

// In order of ids: nothing is left out.
__device__ int draw_by_id(const Row& row, const DeviceDraw& draw, const Totals& totals,
                          DrawRoom& room) {
  const double drawn = draw.uniform * totals.mass;
  double in_front = 0;
  int last = 0;
  for (int round = 0; round < row.chunk_count; round += draw_threads) {
    const int c = round + thread_index();
    double x = -INFINITY, mass = 0;
    if (c < row.chunk_count && row.chunks[c].count > 0) {
      x = row.x(row.chunks[c].top);
      mass = row.chunks[c].mass * exp(x);
    }
    const bool has_weight = x > no_weight_below;
    const Scanned<double> scan = block_scan(mass, room);
    const double before = in_front + scan.before;
    const int first = block_min(has_weight && before + mass >= drawn ? c : row.chunk_count, room);
    if (first < row.chunk_count) {
      if (first == c) room.number = before;
      __syncthreads();
      return draw_in_chunk(row, first, drawn - room.number, room);
    }
    last = block_max(has_weight ? c : last, room);
    in_front += scan.total;
  }
  return draw_in_chunk(row, last, INFINITY, room);  // the sums differ by their rounding
}

// An x below which nothing is kept, as far as the chunks tell. With top-k and top-p together it leaves the k all
// there, since top-p asks for the sum of their weights.
__device__ float lowest_kept(const Row& row, const DeviceDraw& draw, int top_k,
                             const Totals& totals, DrawRoom& room) {
  float bound = minus_infinity();
  if (draw.min_p > 0 && (top_k == 0 || draw.top_p >= 1)) bound = logf(draw.min_p) - 1e-3f;
  const bool by_mass = top_k == 0 && draw.top_p < 1;
  if ((top_k == 0 && !by_mass) || row.chunk_count > bound_chunks) return bound;
  auto& of = room.of_chunks;
  if (const int c = thread_index(); c < row.chunk_count) {
    const LogitsChunk chunk = row.chunks[c];
    of.x[c] = chunk.count > 0 ? row.x(chunk.top) : minus_infinity();
    of.peak[c] = expf(of.x[c]);
    of.mass[c] = chunk.mass * of.peak[c];
  }
  __syncthreads();
  // Whether nothing below t is kept: that many chunks have a token above, or what may lie below is no more than
  // top-p leaves out. A chunk with a token above has at most the rest of its weight below.
  const double left_out = (1.0 - draw.top_p) * totals.mass - 1e-5 * totals.mass;
  const auto holds_all = [&](float t) {
    const float most_below = chunk_tokens * expf(t);
    float above = 0, below = 0;
    for (int c = lane_index(); c < row.chunk_count; c += 32) {
      const bool reaches = of.x[c] >= t;
      above += reaches ? 1.0f : 0.0f;
      below += fminf(fmaxf(of.mass[c] - (reaches ? of.peak[c] : 0.0f), 0.0f), most_below);
    }
    return by_mass ? warp_sum(below) <= left_out : warp_sum(above) >= static_cast<float>(top_k);
  };
  // The highest such t: each warp tries another one.
  float high = 0, found = minus_infinity(), step = 2;
  for (int round = 0; round < 3; ++round, step /= draw_warps) {
    const bool holds = holds_all(high - step * static_cast<float>(warp_index() + 1));
    const int first = block_min(holds ? warp_index() : draw_warps, room);
    if (first == draw_warps) break;
    found = high - step * static_cast<float>(first + 1);
    high -= step * static_cast<float>(first);
  }
  return fmaxf(bound, found);
}

// body(x, token) for all that may be drawn at or above the bound, in no order.
template <typename Body>
__device__ __forceinline__ void for_each_above(const Row& row, float bound, const Body& body) {
  for (int chunk = warp_index(); chunk < row.chunk_count; chunk += draw_warps) {
    const LogitsChunk known = row.chunks[chunk];
    if (known.count == 0 || row.x(known.top) < bound) continue;
    float logits[lane_tokens];
    load_chunk(row, chunk, lane_index(), logits);
#pragma unroll
    for (int i = 0; i < lane_tokens; ++i) {
      if (logits[i] == minus_infinity()) continue;
      const float x = row.x(logits[i]);
      if (x >= bound) body(x, token_of(chunk, lane_index(), i));
    }
  }
}

// x is never above 0: the smaller, the better. Both zeros are one.
__device__ __forceinline__ unsigned key_of(float x) {
  return __float_as_uint(x) & 0x7fffffffu;
}
__device__ __forceinline__ float x_of(unsigned key) {
  return -__uint_as_float(key);
}

// How many lie at or above the bound. As many as fit are in the list.
__device__ int list_above(const Row& row, float bound, DrawRoom& room) {
  __syncthreads();
  if (thread_index() == 0) room.listed = 0;
  __syncthreads();
  for_each_above(row, bound, [&](float x, int token) {
    const int place = atomicAdd(&room.listed, 1);
    if (place < list_capacity) {
      room.list[place] = static_cast<uint64_t>(key_of(x)) << 32 | static_cast<unsigned>(token);
    }
  });
  __syncthreads();
  return room.listed;
}

// Bitonic, of the next power of two.
__device__ int sort_list(int count, DrawRoom& room) {
  int size = 2;
  while (size < count) size *= 2;
  for (int i = count + thread_index(); i < size; i += draw_threads) room.list[i] = ~uint64_t{0};
  for (int run = 2; run <= size; run *= 2) {
    for (int apart = run / 2; apart > 0; apart /= 2) {
      __syncthreads();
      for (int pair = thread_index(); pair < size / 2; pair += draw_threads) {
        const int low = 2 * pair - (pair & (apart - 1)), high = low + apart;
        const uint64_t a = room.list[low], b = room.list[high];
        if ((a > b) == ((low & run) == 0)) {
          room.list[low] = b;
          room.list[high] = a;
        }
      }
    }
  }
  __syncthreads();
  return size;
}

// What the thread whose value it is tells all.
__device__ double tell(bool is_mine, double value, DrawRoom& room) {
  __syncthreads();
  if (is_mine) room.number = value;
  __syncthreads();
  return room.number;
}

// Everything that may be kept is in the list.
__device__ int draw_from_list(int count, const DeviceDraw& draw, int top_k, const Totals& totals,
                              DrawRoom& room) {
  sort_list(count, room);
  const int first = 2 * thread_index();
  double weights[2], sums[2];
  for (int i = 0; i < 2; ++i) {
    const bool is_there = first + i < count;
    weights[i] =
        is_there ? exp(static_cast<double>(x_of(static_cast<unsigned>(room.list[first + i] >> 32))))
                 : 0;
  }
  const double before = block_scan(weights[0] + weights[1], room).before;
  sums[0] = before + weights[0];
  sums[1] = sums[0] + weights[1];
  const auto sum_of_first = [&](int kept) {
    return tell((kept - 1) / 2 == thread_index(), sums[(kept - 1) % 2], room);
  };

  const int most = top_k > 0 && top_k < count ? top_k : count;
  const double total = top_k > 0 ? sum_of_first(most) : totals.mass;
  int kept = most;
  for (int i = 1; i >= 0; --i) {
    const double mass = i == 0 ? before : sums[0];
    const bool is_enough = draw.top_p < 1 && mass >= draw.top_p * total;
    const bool ends = is_enough || weights[i] < draw.min_p;
    if (first + i > 0 && first + i < most && ends) kept = first + i;
  }
  kept = block_min(kept, room);

  const double drawn = draw.uniform * sum_of_first(kept);
  int place = kept - 1;
  for (int i = 1; i >= 0; --i) {
    if (first + i < kept && sums[i] >= drawn && weights[i] > 0 && first + i < place) {
      place = first + i;
    }
  }
  place = block_min(place, room);
  return static_cast<int>(room.list[place] & 0xffffffffu);
}

// Sums of weights as whole numbers: 1 is 2^62 over the next power of two of the vocabulary.
struct WholeWeights {
  float scale;
  __device__ Mass operator()(unsigned key) const {
    return static_cast<Mass>(expf(x_of(key)) * scale);
  }
  __device__ Mass of(double mass) const { return static_cast<Mass>(mass * scale); }
};

__device__ WholeWeights whole_weights(int vocabulary) {
  int bits = 62;
  while ((Mass{1} << (62 - bits)) < static_cast<Mass>(vocabulary)) --bits;
  return {static_cast<float>(Mass{1} << bits)};
}

// Where, in the order of keys, a sum is reached: at one of so many equals.
struct Place {
  unsigned key;
  unsigned before_count, equals;
  Mass before_mass, weight;
};

// Where the count or the mass of all up to there is reached; else the last. One digit of the key a pass.
__device__ Place find_place(const Row& row, float bound, const WholeWeights& weigh,
                            unsigned wanted_count, Mass wanted_mass, DrawRoom& room) {
  Place place{};
  int done_bits = 0;
  for (int digit = 0; digit < 3; ++digit) {
    const int bits = digit == 0 ? 11 : 10;
    const int shift = 31 - done_bits - bits, mask = (1 << bits) - 1;
    __syncthreads();
    for (int b = thread_index(); b < bin_count; b += draw_threads) {
      room.bins.mass[b] = 0;
      room.bins.count[b] = 0;
    }
    __syncthreads();
    for_each_above(row, bound, [&](float x, int) {
      const unsigned key = key_of(x);
      if (done_bits > 0 && key >> (31 - done_bits) != place.key) return;
      const unsigned bin = key >> shift & static_cast<unsigned>(mask);
      atomicAdd(&room.bins.count[bin], 1u);
      if (const Mass weight = weigh(key); weight > 0) atomicAdd(&room.bins.mass[bin], weight);
    });
    __syncthreads();
    // Two neighbouring bins a thread.
    const int b = 2 * thread_index();
    const unsigned counts[2] = {room.bins.count[b], room.bins.count[b + 1]};
    const Mass masses[2] = {room.bins.mass[b], room.bins.mass[b + 1]};
    unsigned count = place.before_count + block_scan(counts[0] + counts[1], room).before;
    Mass mass = place.before_mass + block_scan(masses[0] + masses[1], room).before;
    int first = bin_count, last = -1;
    unsigned count_before[2];
    Mass mass_before[2];
    for (int i = 0; i < 2; ++i) {
      count_before[i] = count;
      mass_before[i] = mass;
      count += counts[i];
      mass += masses[i];
      if (counts[i] == 0) continue;
      last = b + i;
      if (first == bin_count && (count >= wanted_count || mass >= wanted_mass)) first = b + i;
    }
    first = block_min(first, room);
    last = block_max(last, room);
    const int bin = first < bin_count ? first : last;
    if (bin / 2 == thread_index()) {
      const int i = bin % 2;
      room.bin_members = counts[i];
      room.bin_mass = masses[i];
      room.before_count = count_before[i];
      room.before_mass = mass_before[i];
    }
    __syncthreads();
    place = {place.key << bits | static_cast<unsigned>(bin), room.before_count, room.bin_members,
             room.before_mass, room.bin_mass};
    done_bits += bits;
  }
  place.weight = weigh(place.key);
  return place;
}

// How many of the equals it takes until the mass is reached: at least one.
__device__ unsigned equals_needed(const Place& place, Mass wanted) {
  if (place.weight == 0 || wanted <= place.before_mass) return 1;
  const Mass needed = (wanted - place.before_mass + place.weight - 1) / place.weight;
  return needed < place.equals ? static_cast<unsigned>(needed) : place.equals;
}

// Number `wanted`, from 1, of the tokens with that key, in order of their ids. Each warp counts those of a part of
// the row; the one that has it walks through its part once more.
__device__ int find_equal(const Row& row, unsigned key, unsigned wanted, DrawRoom& room) {
  const int part = (row.chunk_count + draw_warps - 1) / draw_warps;
  const int first = min(warp_index() * part, row.chunk_count);
  const int end = min(first + part, row.chunk_count);
  float logits[lane_tokens];
  const auto equals_among = [&](int begin, int count) {
    unsigned equals = 0;
    for (int i = begin; i < begin + count; ++i) {
      const bool is_there = logits[i] > minus_infinity();
      equals += is_there && key_of(row.x(logits[i])) == key ? 1u : 0u;
    }
    return equals;
  };
  unsigned mine = 0;
  for (int chunk = first; chunk < end; ++chunk) {
    load_chunk(row, chunk, lane_index(), logits);
    mine += equals_among(0, lane_tokens);
  }
  const unsigned before_lane = block_scan(mine, room).before;
  unsigned before = __shfl_sync(all_lanes, before_lane, 0);
  const unsigned after = __shfl_sync(all_lanes, before_lane + mine, 31);
  if (before < wanted && wanted <= after) {
    for (int chunk = first; chunk < end; ++chunk) {
      load_chunk(row, chunk, lane_index(), logits);
      for (int i = 0; i < lane_tokens; i += 4) {
        const unsigned equals = equals_among(i, 4);
        const unsigned upto = before + warp_scan(equals);
        for (int j = 0; j < 4; ++j) {
          if (equals_among(i + j, 1) > 0 && upto - equals_among(i + j, 4 - j) + 1 == wanted) {
            room.found = token_of(chunk, lane_index(), i + j);
          }
        }
        before = __shfl_sync(all_lanes, upto, 31);
      }
    }
  }
  __syncthreads();
  return room.found;
}

// Any number of tokens may be kept. Both filters keep the first ones of one order: the fewer are what is left.
__device__ int draw_from_histograms(const Row& row, float bound, const DeviceDraw& draw, int top_k,
                                    const Totals& totals, DrawRoom& room) {
  const WholeWeights weigh = whole_weights(row.vocabulary);
  const Mass no_mass = ~Mass{0};
  const unsigned no_count = ~0u;
  Mass kept = no_mass, total = weigh.of(totals.mass);
  if (top_k > 0) {
    const auto wanted = static_cast<unsigned>(top_k);
    const Place place = find_place(row, bound, weigh, wanted, no_mass, room);
    kept = total = place.before_mass + (wanted - place.before_count) * place.weight;
  }
  if (draw.top_p < 1) {
    const Mass wanted = static_cast<Mass>(ceil(draw.top_p * static_cast<double>(total)));
    const Place place = find_place(row, bound, weigh, no_count, wanted, room);
    const Mass mass = place.before_mass + equals_needed(place, wanted) * place.weight;
    kept = mass < kept ? mass : kept;
  }
  if (draw.min_p > 0) {
    Mass mine = 0;
    for_each_above(row, bound, [&](float x, int) {
      if (exp(static_cast<double>(x)) >= draw.min_p) mine += weigh(key_of(x));
    });
    const Mass mass = block_join(mine, room, [](Mass a, Mass b) { return a + b; });
    kept = mass < kept ? mass : kept;
  }
  Mass drawn = static_cast<Mass>(ceil(draw.uniform * static_cast<double>(kept)));
  drawn = drawn < kept ? drawn : kept;
  const Place place = find_place(row, bound, weigh, no_count, drawn, room);
  return find_equal(row, place.key, equals_needed(place, drawn), room);
}

// In order of their weights, the best first.
__device__ int draw_by_rank(const Row& row, const DeviceDraw& draw, int top_k, const Totals& totals,
                            DrawRoom& room) {
  const float bound = lowest_kept(row, draw, top_k, totals, room);
  const int count = list_above(row, bound, room);
  return count <= list_capacity ? draw_from_list(count, draw, top_k, totals, room)
                                : draw_from_histograms(row, bound, draw, top_k, totals, room);
}

// One block a row.
__global__ void __launch_bounds__(draw_threads) draw_tokens(SampleCall call, int chunks) {
  __shared__ DrawRoom room;
  let_next_start();
  wait_for_inputs();
  const int r = static_cast<int>(blockIdx.x);
  const DeviceDraw draw = call.rows[r];
  Row row{draw.logits,     call.suppressed, call.chunks + static_cast<int64_t>(r) * chunks,
          call.vocabulary, chunks,          0,
          draw.temperature};
  const Totals totals = add_chunks(row, room);
  row.top = totals.top;
  int token = -1;
  if (totals.count > 0) {
    const int top_k = draw.top_k < totals.count ? draw.top_k : 0;
    if (draw.temperature <= 0) {
      token = most_probable(row, room);
    } else if (top_k == 0 && draw.top_p >= 1 && draw.min_p <= 0) {
      token = draw_by_id(row, draw, totals, room);
    } else {
      token = draw_by_rank(row, draw, top_k, totals, room);
    }
  }
  if (thread_index() > 0) return;
  call.tokens[r] = token;
  if (token >= 0 && call.logprobs) {
    call.logprobs[r] = static_cast<float>(static_cast<double>(row.logit(token)) - totals.top -
                                          log(totals.plain_mass));
  }
}

}  // namespace

size_t sample_scratch_bytes(int64_t vocabulary) {
  return static_cast<size_t>(rows_at_once) * static_cast<size_t>(chunk_count(vocabulary)) *
         sizeof(LogitsChunk);
}

void sample_rows(const Launcher& launch, SampleCall call) {
  const int chunks = chunk_count(call.vocabulary);
  for (int left = call.row_count; left > 0; left -= rows_at_once) {
    const int rows = std::min(left, rows_at_once);
    const dim3 grid(static_cast<unsigned>((chunks + look_warps - 1) / look_warps),
                    static_cast<unsigned>(rows));
    launch(look_at_chunks, grid, dim3(32 * look_warps), 0, call, chunks);
    launch(draw_tokens, dim3(static_cast<unsigned>(rows)), dim3(draw_threads), 0, call, chunks);
    call.rows += rows;
    call.tokens += rows;
    if (call.logprobs) call.logprobs += rows;
  }
}

}  // namespace minimax
