// SPDX-License-Identifier: Apache-2.0
// Lightning attention on the CPU: walks the new tokens of each head in blocks, and folds them.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/kernels/cpu/attention_kernels.h"
#include "engine/kernels/cpu/attention_scratch.h"
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/cpu/share_out.h"

namespace minimax {
namespace {

constexpr int64_t block = lightning_block;
constexpr int64_t few_rows = 4;    // up to here keys are taken as they lie, beyond them by columns
constexpr int64_t group_rows = 8;  // queries that skip together what none of them may see
constexpr int64_t tasks_per_thread = 16;

// Powers of the decay of one token, exp(-slope).
struct Decay {
  explicit Decay(float slope) : slope(slope) {
    const double once = std::exp(-this->slope);
    double power = 1;
    for (int64_t n = 0; n <= block; ++n, power *= once) after[n] = static_cast<float>(power);
    for (int64_t j = 0; j < block; ++j) until_end[j] = after[block - 1 - j];
  }
  float over(int64_t token_count) const {
    return static_cast<float>(std::exp(-slope * static_cast<double>(token_count)));
  }

  double slope;
  float after[block + 1];  // over n tokens
  float until_end[block];  // from the j-th token of a block to its last
};

// Keys and values of `count` tokens, D numbers each.
struct Run {
  const float* keys;
  const float* values;
  int64_t step;
  int64_t count;
};

// One head of one sequence.
struct Head {
  int64_t width;     // D
  const float* qkv;  // q of the token at `position`; k and v stand D and 2 D behind it
  int64_t qkv_step;
  float* out;
  int64_t out_step;
  float* state;       // [D, D]
  float* log_keys;    // [R, D]
  float* log_values;  // [R, D]
  int64_t log_rows;   // R
  int64_t position;
  int64_t end;  // position + number of new tokens

  // The tokens from `first` up to at most `last`, all of one block, as far as they lie together.
  Run run(int64_t first, int64_t last) const {
    if (first < position) {
      const int64_t at = first % log_rows * width;
      return {log_keys + at, log_values + at, width, std::min(last, position) - first};
    }
    const float* const row = qkv + (first - position) * qkv_step;
    return {row + width, row + 2 * width, qkv_step, last - first};
  }
};

// Walks the new tokens of a head block by block.
class HeadWalk {
 public:
  static size_t scratch_floats(int64_t width) {
    return static_cast<size_t>((4 * block * width + block * block + width + 15) / 16 * 16);
  }

  HeadWalk(const AttentionKernels& kernels, const Head& head, const Decay& decay, int64_t committed,
           float* scratch)
      : kernels_(kernels), head_(head), decay_(decay), committed_(committed) {
    const auto take = [&](int64_t count) { return std::exchange(scratch, scratch + count); };
    queries_ = take(block * head.width);
    keys_ = take(block * head.width);
    values_ = take(block * head.width);
    keys_by_column_ = take(block * head.width);
    scores_ = take(block * block);
    whole_block_ = take(head.width);
    std::fill_n(whole_block_, head.width, decay_.after[block]);
    std::fill_n(once_, block, 1.0f);
  }

  void walk(int64_t committed_after) {
    for (int64_t first = head_.position; first < head_.end;) {
      const int64_t start = first / block * block;
      const int64_t last = std::min(start + block, head_.end);
      while (committed_ < std::min(committed_after, start)) fold();
      attend(first, last);
      first = last;
    }
    while (committed_ < committed_after) fold();
    write_log();
  }

 private:
  // state = exp(-slope * block) * state + sum over j of exp(-slope * (block - 1 - j)) k_j^T v_j.
  // Always these operands in this order, so that the states do not depend on how calls were split.
  void fold() {
    gather(committed_, committed_ + block);
    kernels_.scale_rows(keys_, decay_.until_end, block, head_.width);
    gathered_first_ = -1;
    kernels_.product_of_columns({.a = keys_,
                                 .a_step = head_.width,
                                 .b = values_,
                                 .b_step = head_.width,
                                 .out = head_.state,
                                 .out_step = head_.width,
                                 .keep = whole_block_,
                                 .rows = head_.width,
                                 .inner = block,
                                 .columns = head_.width});
    committed_ += block;
  }

  // Queries [first, last) of one block: the state as it is committed, and the tokens since.
  void attend(int64_t first, int64_t last) {
    const int64_t rows = last - first;
    const int64_t start = first / block * block;
    first_ = first;
    rows_ = rows;
    q_ = head_.qkv + (first - head_.position) * head_.qkv_step;
    q_step_ = head_.qkv_step;
    if (rows > few_rows) gather_queries();

    // Before the first fold the state is zero, and is not read.
    const bool has_state = committed_ > 0;
    if (has_state) {
      kernels_.f32_kv.product({.a = q_,
                               .a_step = q_step_,
                               .b = head_.state,
                               .b_step = head_.width,
                               .out = out_row(0),
                               .out_step = head_.out_step,
                               .keep = nullptr,
                               .rows = rows,
                               .inner = head_.width,
                               .columns = head_.width});
    }
    const float since_commit = decay_.over(start - committed_);
    float state_share[block];
    for (int64_t i = 0; i < rows; ++i) {
      state_share[i] = decay_.after[first - start + i + 1] * since_commit;
    }
    const float* keep = has_state ? state_share : nullptr;
    for (int64_t key_start = committed_; key_start <= start; key_start += block) {
      const int64_t key_last = std::min(key_start + block, last);
      for (int64_t key = key_start; key < key_last; keep = once_) {
        const Run run = rows > few_rows ? gather(key, key_last) : head_.run(key, key_last);
        add_run(run, key, keep);
        key += run.count;
      }
    }
  }

  // out = keep * out + sum over j of exp(-slope * (i - j)) (q_i . k_j) v_j, for the tokens j of the
  // run, which begins at `key`. Where keep is null nothing of out is kept.
  void add_run(const Run& run, int64_t key, const float* keep) {
    const int64_t start = first_ / block * block;
    const bool same_block = key >= start;
    const int64_t key_start = key / block * block;
    // From the end of the keys' block to the first of the queries' block.
    const float between = same_block ? 1.0f : decay_.over(start - key_start - block + 1);
    if (rows_ > few_rows) {
      kernels_.f32_kv.transpose({.keys = run.keys,
                                 .key_step = run.step,
                                 .key_count = run.count,
                                 .width = head_.width,
                                 .out = keys_by_column_,
                                 .out_step = block});
    }
    const int64_t group = same_block ? group_rows : block;
    for (int64_t row = 0; row < rows_; row += group) {
      const int64_t rows = std::min(group, rows_ - row);
      const int64_t seen = std::min(run.count, first_ + row + rows - key);  // by any of them
      score(run, row, rows, seen);
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t offset = first_ + row + i - start;  // in the queries' block
        float* const scores = scores_ + i * block;
        if (same_block) {
          const int64_t distance = start + offset - key;  // to the first key
          kernels_.decay_scores(scores, 1, decay_.until_end + (block - 1 - distance),
                                std::min(seen, distance + 1), seen);
        } else {
          kernels_.decay_scores(scores, decay_.after[offset] * between,
                                decay_.until_end + (key - key_start), seen, seen);
        }
      }
      kernels_.f32_kv.product({.a = scores_,
                               .a_step = block,
                               .b = run.values,
                               .b_step = run.step,
                               .out = out_row(row),
                               .out_step = head_.out_step,
                               .keep = keep ? keep + row : nullptr,
                               .rows = rows,
                               .inner = seen,
                               .columns = head_.width});
    }
  }

  // scores[i, j] = q[row + i] . k[j]
  void score(const Run& run, int64_t row, int64_t rows, int64_t seen) {
    const float* const q = q_ + row * q_step_;
    if (rows_ > few_rows) {
      kernels_.f32_kv.product({.a = q,
                               .a_step = q_step_,
                               .b = keys_by_column_,
                               .b_step = block,
                               .out = scores_,
                               .out_step = block,
                               .keep = nullptr,
                               .rows = rows,
                               .inner = head_.width,
                               .columns = seen});
    } else {
      kernels_.f32_kv.dots({.queries = q,
                            .query_step = q_step_,
                            .query_count = rows,
                            .keys = run.keys,
                            .key_step = run.step,
                            .key_count = seen,
                            .width = head_.width,
                            .out = scores_,
                            .out_step = block});
    }
  }

  float* out_row(int64_t row) const {
    return head_.out + (first_ - head_.position + row) * head_.out_step;
  }

  // Rows of qkv are a power of two apart and would share a few lines of the cache.
  void gather_queries() {
    for (int64_t i = 0; i < rows_; ++i) copy_row(q_ + i * q_step_, queries_ + i * head_.width);
    q_ = queries_;
    q_step_ = head_.width;
  }

  // Tokens [first, last) of one block, from wherever they lie, into keys_ and values_.
  Run gather(int64_t first, int64_t last) {
    if (first != gathered_first_ || last != gathered_last_) {
      for (int64_t token = first; token < last;) {
        const Run run = head_.run(token, last);
        const int64_t at = (token - first) * head_.width;
        for (int64_t j = 0; j < run.count; ++j) {
          copy_row(run.keys + j * run.step, keys_ + at + j * head_.width);
          copy_row(run.values + j * run.step, values_ + at + j * head_.width);
        }
        token += run.count;
      }
      gathered_first_ = first;
      gathered_last_ = last;
    }
    return {keys_, values_, head_.width, last - first};
  }

  // The new tokens that the committed state does not hold yet. At the very end: until here the log
  // may hold older tokens in these places.
  void write_log() {
    for (int64_t token = std::max(head_.position, committed_); token < head_.end; ++token) {
      const int64_t at = token % head_.log_rows * head_.width;
      const Run run = head_.run(token, head_.end);
      copy_row(run.keys, head_.log_keys + at);
      copy_row(run.values, head_.log_values + at);
    }
  }

  void copy_row(const float* from, float* to) const {
    std::memcpy(to, from, static_cast<size_t>(head_.width) * sizeof(float));
  }

  const AttentionKernels& kernels_;
  const Head& head_;
  const Decay& decay_;
  int64_t committed_;

  float* queries_;         // [block, D]
  float* keys_;            // [block, D]
  float* values_;          // [block, D]
  float* keys_by_column_;  // [D, block]
  float* scores_;          // [block, block]
  float* whole_block_;     // [D], the decay over a block
  float once_[block];      // ones
  int64_t gathered_first_ = -1;
  int64_t gathered_last_ = -1;

  // The queries in hand.
  int64_t first_ = 0;
  int64_t rows_ = 0;
  const float* q_ = nullptr;
  int64_t q_step_ = 0;
};

Head head_of(const Tensor& qkv, int64_t layer, const LightningSequence& sequence, int64_t h,
             const Tensor& out) {
  const SequenceSpan& span = sequence.span;
  const Tensor log = sequence.log_of(layer).at(h);
  return {.width = qkv.dim(3),
          .qkv = qkv.row<float>(span.first_row) + h * qkv.stride(1),
          .qkv_step = qkv.stride(0),
          .out = out.row<float>(span.first_row) + h * out.stride(1),
          .out_step = out.stride(0),
          .state = sequence.state_of(layer).row<float>(h),
          .log_keys = log.row<float>(0),
          .log_values = log.row<float>(1),
          .log_rows = log.dim(1),
          .position = span.position,
          .end = span.position + span.row_count};
}

}  // namespace

// rope needs less than lightning attention.
size_t attention_scratch_bytes(const StepLimits& limits, int thread_count) {
  const size_t lightning =
      HeadWalk::scratch_floats(limits.head_dim) * sizeof(float) * static_cast<size_t>(thread_count);
  return std::max(lightning, softmax_walk_scratch_bytes(limits, thread_count));
}

void CpuBackend::lightning_attention(const Tensor& qkv, const Tensor& slope, int64_t layer,
                                     std::span<const LightningSequence> sequences,
                                     const Tensor& out) {
  const int64_t head_count = qkv.dim(1);
  const int64_t width = qkv.dim(3);
  const auto sequence_count = static_cast<int64_t>(sequences.size());
  const int64_t item_count = sequence_count * head_count;
  // A task takes one head of several sequences, which share its powers.
  const int64_t tasks_per_head = std::min(
      sequence_count, (threads_.thread_count() * tasks_per_thread + head_count - 1) / head_count);
  const size_t scratch_floats = HeadWalk::scratch_floats(width);
  assert(attention_scratch_.size_bytes() >=
         scratch_floats * sizeof(float) * static_cast<size_t>(threads_.thread_count()));

  const int64_t cost = (item_count + qkv.dim(0) * head_count) * width * width;
  share_out(threads_, head_count * tasks_per_head, cost, [&](int64_t task, int thread) {
    const int64_t h = task / tasks_per_head, part = task % tasks_per_head;
    const Decay decay(slope.data<float>()[h]);
    float* const scratch = static_cast<float*>(attention_scratch_.data()) +
                           static_cast<size_t>(thread) * scratch_floats;
    for (int64_t s = sequence_count * part / tasks_per_head;
         s < sequence_count * (part + 1) / tasks_per_head; ++s) {
      const LightningSequence& sequence = sequences[static_cast<size_t>(s)];
      const Head head = head_of(qkv, layer, sequence, h, out);
      HeadWalk(kernels_.attention, head, decay, sequence.committed, scratch)
          .walk(sequence.committed_after);
    }
  });
}

}  // namespace minimax
