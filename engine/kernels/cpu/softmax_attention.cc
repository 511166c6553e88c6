// SPDX-License-Identifier: Apache-2.0
// Softmax attention on the CPU: tiles of queries against pages of keys and values.
#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "engine/kernels/cpu/attention_kernels.h"
#include "engine/kernels/cpu/attention_scratch.h"
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/cpu/share_out.h"

namespace minimax {
namespace {

// A tile is some tokens of one sequence times the H / G query heads that share a kv head; its rows
// are ordered by token, then head. Keys and values are read once for all its rows, block by block.
constexpr int64_t tile_rows = 64;  // aimed at
constexpr int64_t few_rows = 4;    // up to here keys are taken as they lie, beyond them by columns
constexpr int64_t short_block = 64;   // keys that a tile meets at a time
constexpr int64_t long_block = 256;   // the same for tiles of up to a quarter of tile_rows
constexpr int64_t column_group = 32;  // keys that lie side by side when taken by columns

// A sequence of a few new tokens behind many old ones is cut into segments of keys, so that all
// threads can help. Cuts follow from the lengths alone: results do not depend on how many threads.
constexpr int64_t split_tokens = 8;
constexpr int64_t segment_keys = 1024;  // at least
constexpr int64_t most_segments = 32;

int64_t block_keys(int64_t rows) {
  return rows <= tile_rows / 4 ? long_block : short_block;
}

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The softmax of rows as far as it got: exp(scores - largest) * values, summed, and those weights
// summed.
struct Partial {
  float* values;   // [rows, D]
  float* largest;  // [rows]
  float* sum;      // [rows]
};

int64_t partial_floats(int64_t rows, int64_t width) {
  return rows * (width + 2);
}

Partial partial_at(float* memory, int64_t rows, int64_t width) {
  return {memory, memory + rows * width, memory + rows * (width + 1)};
}

// What one thread needs for one tile.
struct TileScratch {
  static int64_t rows(int64_t head_count) { return std::max(tile_rows, head_count); }
  static int64_t floats(int64_t head_count, int64_t width) {
    const int64_t rows = TileScratch::rows(head_count);
    const int64_t count = rows * width + partial_floats(rows, width) + rows * short_block +
                          column_group * width + rows;
    return ceil_div(count, 16) * 16;
  }

  TileScratch(float* memory, int64_t head_count, int64_t width) {
    const auto take = [&](int64_t count) { return std::exchange(memory, memory + count); };
    const int64_t rows = TileScratch::rows(head_count);
    queries = take(rows * width);
    partial = take(partial_floats(rows, width));
    scores = take(rows * short_block);
    keys_by_column = take(column_group * width);
    keep = take(rows);
  }

  float* queries;         // [rows, D]
  float* partial;         // a Partial of the tile
  float* scores;          // [rows, block]
  float* keys_by_column;  // [D, column_group]
  float* keep;            // [rows]
};

// Partials of split sequences that wait for the others: so many at a time.
int64_t waiting_rows(const StepLimits& limits) {
  return std::min(limits.tokens, split_tokens) * limits.head_count * most_segments;
}

struct Problem {
  const AttentionKernels& kernels;
  const Tensor& q;
  const Tensor& out;
  float scale;
  const KvLayout& layout;
  bool is_causal;  // or each token sees all of its sequence

  int64_t head_count() const { return q.dim(1); }
  int64_t group() const { return q.dim(1) / layout.kv_head_count; }
  int64_t width() const { return layout.head_dim; }
  int64_t tile_tokens() const { return std::max<int64_t>(1, tile_rows / group()); }
};

struct Tile {
  const KvSequence& sequence;
  int64_t kv_head;
  int64_t first_token;  // of the sequence's new ones
  int64_t token_count;
};

template <typename Kv>
const KvKernels<Kv>& kv_kernels(const AttentionKernels& kernels) {
  if constexpr (std::is_same_v<Kv, bf16>) {
    return kernels.bf16_kv;
  } else {
    return kernels.f32_kv;
  }
}

// One tile against a range of keys.
template <typename Kv>
class TileWalk {
 public:
  TileWalk(const Problem& problem, const Tile& tile, const TileScratch& scratch,
           const Partial& result)
      : problem_(problem),
        kernels_(kv_kernels<Kv>(problem.kernels)),
        tile_(tile),
        scratch_(scratch),
        result_(result),
        rows_(tile.token_count * problem.group()),
        block_keys_(block_keys(rows_)),
        width_(problem.width()) {}

  void walk(int64_t first_key, int64_t last_key) {
    const int64_t first_position = tile_.sequence.span.position + tile_.first_token;
    const SequenceSpan& span = tile_.sequence.span;
    const bool is_causal = problem_.is_causal;
    last_key = std::min(
        last_key, is_causal ? first_position + tile_.token_count : span.position + span.row_count);
    std::fill_n(result_.largest, rows_, softmax_nothing_seen);
    std::fill_n(result_.sum, rows_, 0.0f);
    if (first_key >= last_key) std::fill_n(result_.values, rows_ * width_, 0.0f);
    gather_queries();
    const float* keep = nullptr;
    for (int64_t key = first_key; key < last_key; keep = scratch_.keep) {
      const int64_t next = std::min((key / block_keys_ + 1) * block_keys_, last_key);
      const Run now = run(key, next);
      ahead_ = all_of(now.values, now.count);
      score(key, next);
      problem_.kernels.softmax_block({.scores = scratch_.scores,
                                      .score_step = block_keys_,
                                      .rows = rows_,
                                      .keys = next - key,
                                      .visible = is_causal ? first_position + 1 - key : next - key,
                                      .rows_per_token = problem_.group(),
                                      .largest = result_.largest,
                                      .sum = result_.sum,
                                      .keep = scratch_.keep});
      if (next < last_key) {
        const Run then = run(next, std::min(next + block_keys_, last_key));
        ahead_ = all_of(then.keys, then.count);
      }
      add_values(key, next, keep);
      key = next;
    }
  }

 private:
  struct Run {
    const Kv* keys;
    const Kv* values;
    int64_t count;
  };

  // Keys and values [key, last) as far as they lie in one page.
  Run run(int64_t key, int64_t last) const {
    const KvLayout& layout = problem_.layout;
    const int64_t slot = key % layout.page_tokens;
    const std::byte* const plane =
        tile_.sequence.pages[static_cast<size_t>(key / layout.page_tokens)] + layout.layer_offset;
    const int64_t at = (tile_.kv_head * layout.page_tokens + slot) * width_;
    return {reinterpret_cast<const Kv*>(plane) + at,
            reinterpret_cast<const Kv*>(plane + layout.plane_bytes()) + at,
            std::min(layout.page_tokens - slot, last - key)};
  }

  Ahead all_of(const Kv* rows, int64_t count) const {
    const auto* const at = reinterpret_cast<const char*>(rows);
    return {at, at + count * width_ * static_cast<int64_t>(sizeof(Kv))};
  }

  // One after the other, times the scale.
  void gather_queries() {
    const int64_t group = problem_.group();
    const int64_t first_row = tile_.sequence.span.first_row + tile_.first_token;
    for (int64_t i = 0; i < rows_; ++i) {
      const float* const from = problem_.q.template row<float>(first_row + i / group) +
                                (tile_.kv_head * group + i % group) * problem_.q.stride(1);
      std::memcpy(scratch_.queries + i * width_, from, static_cast<size_t>(width_) * sizeof(float));
    }
    std::fill_n(scratch_.keep, rows_, problem_.scale);
    problem_.kernels.scale_rows(scratch_.queries, scratch_.keep, rows_, width_);
  }

  void score(int64_t first, int64_t last) {
    if (rows_ <= few_rows) {
      score_few(first, last);
    } else {
      score_many(first, last);
    }
  }

  void score_few(int64_t first, int64_t last) {
    for (int64_t key = first; key < last;) {
      const Run run = this->run(key, last);
      kernels_.dots({.queries = scratch_.queries,
                     .query_step = width_,
                     .query_count = rows_,
                     .keys = run.keys,
                     .key_step = width_,
                     .key_count = run.count,
                     .width = width_,
                     .out = scratch_.scores + (key - first),
                     .out_step = block_keys_});
      key += run.count;
    }
  }

  void score_many(int64_t first, int64_t last) {
    for (int64_t start = first; start < last; start += column_group) {
      const int64_t end = std::min(start + column_group, last);
      float* const columns = scratch_.keys_by_column;
      for (int64_t key = start; key < end;) {
        const Run run = this->run(key, end);
        kernels_.transpose({.keys = run.keys,
                            .key_step = width_,
                            .key_count = run.count,
                            .width = width_,
                            .out = columns + (key - start),
                            .out_step = column_group});
        key += run.count;
      }
      problem_.kernels.f32_kv.product({.a = scratch_.queries,
                                       .a_step = width_,
                                       .b = columns,
                                       .b_step = column_group,
                                       .out = scratch_.scores + (start - first),
                                       .out_step = block_keys_,
                                       .keep = nullptr,
                                       .rows = rows_,
                                       .inner = width_,
                                       .columns = end - start,
                                       .ahead = &ahead_});
    }
  }

  // result = keep * result + scores * values
  void add_values(int64_t first, int64_t last, const float* keep) {
    for (int64_t key = first; key < last;) {
      const Run run = this->run(key, last);
      kernels_.product({.a = scratch_.scores + (key - first),
                        .a_step = block_keys_,
                        .b = run.values,
                        .b_step = width_,
                        .out = result_.values,
                        .out_step = width_,
                        .keep = keep,
                        .rows = rows_,
                        .inner = run.count,
                        .columns = width_,
                        .ahead = &ahead_});
      key += run.count;
      if (key < last) {
        std::fill_n(scratch_.keep, rows_, 1.0f);
        keep = scratch_.keep;
      }
    }
  }

  const Problem& problem_;
  const KvKernels<Kv>& kernels_;
  const Tile& tile_;
  const TileScratch& scratch_;
  const Partial& result_;
  int64_t rows_;
  int64_t block_keys_;
  int64_t width_;
  Ahead ahead_{};  // the values of a block while it is scored, then the keys of the next
};

void walk_tile(const Problem& problem, const Tile& tile, int64_t first_key, int64_t last_key,
               const TileScratch& scratch, const Partial& result) {
  if (problem.layout.dtype == DType::bf16) {
    TileWalk<bf16>(problem, tile, scratch, result).walk(first_key, last_key);
  } else {
    TileWalk<float>(problem, tile, scratch, result).walk(first_key, last_key);
  }
}

// out = the softmax of all segments, in their order; `memory` holds a Partial of each.
void finish_tile(const Problem& problem, const Tile& tile, const float* memory,
                 int64_t segment_count) {
  const int64_t width = problem.width();
  const int64_t group = problem.group();
  const int64_t rows = tile.token_count * group;
  const int64_t step = partial_floats(rows, width);
  const float* const largest = memory + rows * width;
  const float* const sum = largest + rows;
  for (int64_t i = 0; i < rows; ++i) {
    std::array<float, most_segments> weight;
    float highest = softmax_nothing_seen;
    for (int64_t s = 0; s < segment_count; ++s) highest = std::max(highest, largest[s * step + i]);
    float total = 0;
    for (int64_t s = 0; s < segment_count; ++s) {
      weight[static_cast<size_t>(s)] = std::exp(largest[s * step + i] - highest);
      total += weight[static_cast<size_t>(s)] * sum[s * step + i];
    }
    for (float& w : std::span(weight).first(static_cast<size_t>(segment_count))) w /= total;
    const int64_t head = tile.kv_head * group + i % group;
    const int64_t row = tile.sequence.span.first_row + tile.first_token + i / group;
    problem.kernels.f32_kv.product(
        {.a = weight.data(),
         .a_step = 0,
         .b = memory + i * width,
         .b_step = step,
         .out = problem.out.row<float>(row) + head * problem.out.stride(1),
         .out_step = 0,
         .keep = nullptr,
         .rows = 1,
         .inner = segment_count,
         .columns = width});
  }
}

// How a sequence is cut: tiles of tokens, kv heads, segments of keys.
struct Cut {
  Cut(const Problem& problem, const KvSequence& sequence) : sequence(&sequence) {
    const SequenceSpan& span = sequence.span;
    tile_count = ceil_div(span.row_count, problem.tile_tokens());
    if (span.row_count > split_tokens) return;
    const int64_t keys = span.position + span.row_count;
    segment_count = std::clamp<int64_t>(ceil_div(keys, segment_keys), 1, most_segments);
    keys_per_segment = ceil_div(ceil_div(keys, segment_count), long_block) * long_block;
  }
  Cut() = default;

  int64_t item_count(const Problem& problem) const {
    return tile_count * problem.layout.kv_head_count * segment_count;
  }
  int64_t waiting_rows(const Problem& problem) const {
    return segment_count == 1 ? 0 : sequence->span.row_count * problem.head_count() * segment_count;
  }
  // Late tiles have more keys: they are taken first.
  Tile tile(const Problem& problem, int64_t index) const {
    const int64_t number = tile_count - 1 - index / problem.layout.kv_head_count;
    const int64_t first = number * problem.tile_tokens();
    return {.sequence = *sequence,
            .kv_head = index % problem.layout.kv_head_count,
            .first_token = first,
            .token_count = std::min(problem.tile_tokens(), sequence->span.row_count - first)};
  }
  // Where the partials of a tile wait, in rows: those of all its segments lie together.
  int64_t waiting_row(const Problem& problem, const Tile& tile) const {
    return segment_count * (tile.first_token * problem.head_count() +
                            tile.kv_head * problem.group() * tile.token_count);
  }

  const KvSequence* sequence = nullptr;
  int64_t tile_count = 0;
  int64_t segment_count = 1;
  int64_t keys_per_segment = 0;
  int64_t first_item = 0;         // in the wave
  int64_t first_waiting_row = 0;  // in the wave
};

// Some sequences whose waiting partials fit into the scratch memory together.
struct Wave {
  std::array<Cut, 64> cuts;
  size_t cut_count = 0;
  int64_t item_count = 0;
  int64_t waiting_rows = 0;
  int64_t cost = 0;

  bool fits(const Problem& problem, const Cut& cut, int64_t room) const {
    return cut_count < cuts.size() && waiting_rows + cut.waiting_rows(problem) <= room;
  }
  void add(const Problem& problem, Cut cut) {
    const SequenceSpan& span = cut.sequence->span;
    cut.first_item = item_count;
    cut.first_waiting_row = waiting_rows;
    item_count += cut.item_count(problem);
    waiting_rows += cut.waiting_rows(problem);
    cost +=
        (span.position + span.row_count) * span.row_count * problem.head_count() * problem.width();
    cuts[cut_count++] = cut;
  }
  const Cut& cut_of(int64_t item) const {
    size_t at = cut_count - 1;
    while (cuts[at].first_item > item) --at;
    return cuts[at];
  }
};

void run_wave(ThreadPool& threads, const Problem& problem, const Wave& wave, float* scratch,
              float* waiting) {
  const int64_t scratch_floats = TileScratch::floats(problem.head_count(), problem.width());
  const int64_t row_floats = partial_floats(1, problem.width());
  const auto waiting_at = [&](const Cut& cut, const Tile& tile) {
    return waiting + (cut.first_waiting_row + cut.waiting_row(problem, tile)) * row_floats;
  };
  share_out(threads, wave.item_count, wave.cost, [&](int64_t item, int thread) {
    const Cut& cut = wave.cut_of(item);
    const int64_t index = item - cut.first_item;
    const Tile tile = cut.tile(problem, index / cut.segment_count);
    const int64_t rows = tile.token_count * problem.group();
    const TileScratch mine(scratch + thread * scratch_floats, problem.head_count(),
                           problem.width());
    if (cut.segment_count == 1) {
      const Partial partial = partial_at(mine.partial, rows, problem.width());
      walk_tile(problem, tile, 0, tile.sequence.span.position + tile.sequence.span.row_count, mine,
                partial);
      finish_tile(problem, tile, mine.partial, 1);
      return;
    }
    const int64_t segment = index % cut.segment_count;
    const Partial partial =
        partial_at(waiting_at(cut, tile) + segment * rows * row_floats, rows, problem.width());
    walk_tile(problem, tile, segment * cut.keys_per_segment, (segment + 1) * cut.keys_per_segment,
              mine, partial);
  });
  if (wave.waiting_rows == 0) return;
  share_out(threads, wave.item_count, wave.waiting_rows * problem.width(), [&](int64_t item, int) {
    const Cut& cut = wave.cut_of(item);
    const int64_t index = item - cut.first_item;
    if (cut.segment_count == 1 || index % cut.segment_count != 0) return;
    const Tile tile = cut.tile(problem, index / cut.segment_count);
    finish_tile(problem, tile, waiting_at(cut, tile), cut.segment_count);
  });
}

}  // namespace

size_t softmax_walk_scratch_bytes(const StepLimits& limits, int thread_count) {
  const int64_t floats = thread_count * TileScratch::floats(limits.head_count, limits.head_dim) +
                         waiting_rows(limits) * partial_floats(1, limits.head_dim);
  return static_cast<size_t>(floats) * sizeof(float);
}

void CpuBackend::store_kv(const Tensor& k, const Tensor& v, const KvLayout& layout,
                          std::span<const KvSequence> sequences) {
  const int64_t width = layout.head_dim;
  const auto store = [&](const float* from, std::byte* plane, int64_t at) {
    if (layout.dtype == DType::bf16) {
      kernels_.attention.round_to_bf16(from, reinterpret_cast<bf16*>(plane) + at, width);
    } else {
      std::memcpy(plane + static_cast<size_t>(at) * sizeof(float), from,
                  static_cast<size_t>(width) * sizeof(float));
    }
  };
  for (const KvSequence& sequence : sequences) {
    const SequenceSpan& span = sequence.span;
    const int64_t cost = 2 * span.row_count * layout.kv_head_count * width;
    share_out(threads_, span.row_count, cost, [&](int64_t i, int) {
      const int64_t token = span.position + i;
      std::byte* const keys =
          sequence.pages[static_cast<size_t>(token / layout.page_tokens)] + layout.layer_offset;
      std::byte* const values = keys + layout.plane_bytes();
      for (int64_t g = 0; g < layout.kv_head_count; ++g) {
        const int64_t at = (g * layout.page_tokens + token % layout.page_tokens) * width;
        store(k.row<float>(span.first_row + i) + g * k.stride(1), keys, at);
        store(v.row<float>(span.first_row + i) + g * v.stride(1), values, at);
      }
    });
  }
}

void CpuBackend::softmax_attention(const Tensor& q, float scale, const KvLayout& layout,
                                   std::span<const KvSequence> sequences, const Tensor& out) {
  attend(q, scale, layout, sequences, out, true);
}

// Rows of a matrix would lie a page of memory apart, which caches bear badly: copied, they are neighbours.
void CpuBackend::bidirectional_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                         float scale, const KvLayout& layout,
                                         std::span<const KvSequence> sequences, const Tensor& out) {
  store_kv(k, v, layout, sequences);
  attend(q, scale, layout, sequences, out, false);
}

void CpuBackend::attend(const Tensor& q, float scale, const KvLayout& layout,
                        std::span<const KvSequence> sequences, const Tensor& out, bool is_causal) {
  const Problem problem{kernels_.attention, q, out, scale, layout, is_causal};
  const int64_t room = waiting_rows(limits_);
  float* const scratch = static_cast<float*>(attention_scratch_.data());
  float* const waiting = scratch + threads_.thread_count() *
                                       TileScratch::floats(problem.head_count(), problem.width());

  Wave wave;
  for (const KvSequence& sequence : sequences) {
    if (sequence.span.row_count == 0) continue;
    const Cut cut(problem, sequence);
    if (!wave.fits(problem, cut, room)) {
      run_wave(threads_, problem, wave, scratch, waiting);
      wave = Wave();
    }
    wave.add(problem, cut);
  }
  if (wave.cut_count > 0) run_wave(threads_, problem, wave, scratch, waiting);
}

}  // namespace minimax
