// SPDX-License-Identifier: Apache-2.0
// Routing, and the experts' products for the tokens routed to them.
//
// A slot is one (token, expert) pair; slots lie sorted by expert, in groups of at most group_rows
// that share an expert. A group of few slots goes the way of few rows in linear.cc, one of many
// that of many.
#include <cassert>
#include <cmath>

#include "engine/kernels/cpu/linear.h"

namespace minimax {
namespace {

constexpr int64_t group_rows = 256;
constexpr int64_t tasks_per_thread = 8;
constexpr int64_t tokens_per_task = 32;
// Of one task with a group of few: what it holds of up fits where a task with many holds its
// panels.
constexpr int64_t dot_columns = 2 * group_rows * panel_columns / dot_row_limit;

struct Group {
  int64_t expert;
  int64_t first_slot;
  int64_t count;
};

// Where things lie in moe_scratch_, for S = T * E slots.
struct Layout {
  Layout(const StepLimits& limits, int thread_count)
      : slot_count(checked_product(limits.tokens, limits.experts_per_token)),
        group_limit(limits.expert_count + slot_count / group_rows) {
    groups = take(group_limit, sizeof(Group));
    expert_ends = take(limits.expert_count + 1, sizeof(int64_t));
    slot_tokens = take(slot_count, sizeof(int64_t));
    token_slots = take(slot_count, sizeof(int64_t));
    slot_shares = take(slot_count, sizeof(float));
    router_logits = take(checked_product(limits.tokens, limits.expert_count), sizeof(float));
    rows = take(checked_product(slot_count, limits.width), sizeof(float));
    hidden = take(checked_product(slot_count, limits.expert_width), sizeof(float));
    gate_and_up = take(thread_count * 2 * group_rows * panel_columns, sizeof(float));
  }

  size_t take(int64_t count, size_t size) {
    const size_t at = size_bytes;
    size_bytes += Arena::padded(static_cast<size_t>(count) * size);
    return at;
  }

  int64_t slot_count;
  int64_t group_limit;
  size_t size_bytes = 0;
  size_t groups;
  size_t expert_ends;    // [X + 1]
  size_t slot_tokens;    // [S] the token of a slot
  size_t token_slots;    // [T, E] the slots of a token, ascending: so are their experts
  size_t slot_shares;    // [S]
  size_t router_logits;  // [T, X]
  size_t rows;           // [S, W] packed inputs, later what the experts say
  size_t hidden;         // [S, F] packed where the group is of many
  size_t gate_and_up;    // [threads, 2, group_rows, panel_columns]
};

template <typename T>
T* at(const Buffer& buffer, size_t offset) {
  return reinterpret_cast<T*>(static_cast<std::byte*>(buffer.data()) + offset);
}

// The E largest of X logits, the lower index of equals first; a NaN is never larger.
void choose(const float* logits, int64_t expert_count, int64_t chosen_count, int32_t* experts,
            float* shares) {
  for (int64_t e = 0; e < chosen_count; ++e) {
    int64_t best = -1;
    for (int64_t i = 0; i < expert_count; ++i) {
      if (std::find(experts, experts + e, static_cast<int32_t>(i)) != experts + e) continue;
      if (best < 0 || logits[i] > logits[best]) best = i;
    }
    experts[e] = static_cast<int32_t>(best);
  }
  const float largest = logits[experts[0]];
  float sum = 0;
  for (int64_t e = 0; e < chosen_count; ++e) {
    shares[e] = std::exp(logits[experts[e]] - largest);
    sum += shares[e];
  }
  for (int64_t e = 0; e < chosen_count; ++e) shares[e] /= sum;
}

// One call of moe(): its arguments, its slots and its scratch.
class Experts {
 public:
  Experts(const LinearKernels& kernels, CpuCompute compute, ThreadPool& threads,
          std::span<const ExpertWeights> weights, const Layout& layout, const Buffer& scratch,
          const Buffer& linear_scratch)
      : kernels_(kernels),
        tiles_up_(tile_kernels(kernels, weights[0].gate.values.dtype(), compute)),
        tiles_down_(tile_kernels(kernels, weights[0].down.values.dtype(), compute)),
        threads_(threads),
        weights_(weights),
        width_(weights[0].gate.input_width()),
        expert_width_(weights[0].gate.output_width()),
        linear_scratch_(linear_scratch),
        groups_(at<Group>(scratch, layout.groups)),
        expert_ends_(at<int64_t>(scratch, layout.expert_ends)),
        slot_tokens_(at<int64_t>(scratch, layout.slot_tokens)),
        token_slots_(at<int64_t>(scratch, layout.token_slots)),
        slot_shares_(at<float>(scratch, layout.slot_shares)),
        rows_(at<float>(scratch, layout.rows)),
        hidden_(at<float>(scratch, layout.hidden)),
        gate_and_up_(at<float>(scratch, layout.gate_and_up)) {}

  void sort(const Tensor& experts, const Tensor& shares) {
    const int64_t tokens = experts.dim(0), chosen = experts.dim(1);
    const auto expert_count = static_cast<int64_t>(weights_.size());
    std::fill_n(expert_ends_, expert_count + 1, 0);
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t e = 0; e < chosen; ++e) ++expert_ends_[experts.row<int32_t>(t)[e] + 1];
    }
    for (int64_t x = 0; x < expert_count; ++x) {
      add_groups(x, expert_ends_[x], expert_ends_[x + 1]);
      expert_ends_[x + 1] += expert_ends_[x];
    }
    for (int64_t t = 0; t < tokens; ++t) {
      int64_t* slots = token_slots_ + t * chosen;
      for (int64_t e = 0; e < chosen; ++e) {
        const int64_t slot = expert_ends_[experts.row<int32_t>(t)[e]]++;
        slot_tokens_[slot] = t;
        slot_shares_[slot] = shares.row<float>(t)[e];
        slots[e] = slot;
      }
      std::sort(slots, slots + chosen);
    }
  }

  void pack(const Tensor& x) const {
    if (!any_packed_) return;
    threads_.for_each(group_count_, [&](int64_t index) {
      const Group& group = groups_[index];
      if (group.count <= dot_row_limit) return;
      const PackedRows packed = packed_inputs(group);
      for (int64_t block = 0; block < packed.block_count; ++block) {
        const float* rows[tile_row_limit];
        const int64_t slot = group.first_slot + packed.first_row(block);
        const int count = packed.rows_in(block);
        for (int i = 0; i < count; ++i) rows[i] = x.row<float>(slot_tokens_[slot + i]);
        tiles_up_.pack_x(rows, count, width_, packed.at(block, 0));
      }
    });
  }

  // hidden = silu(gate(x)) * up(x)
  void gate_and_up(const Tensor& x) const {
    for_each_block(weights_[0].gate.values,
                   [&](const Group& group, int64_t first, int64_t count, int thread) {
                     if (group.count <= dot_row_limit) {
                       gate_and_up_few(x, group, first, count, thread);
                     } else {
                       gate_and_up_many(group, first, count, thread);
                     }
                   });
  }

  // rows = down(hidden)
  void down() const {
    for_each_block(
        weights_[0].down.values, [&](const Group& group, int64_t first, int64_t count, int thread) {
          const Tensor& weight = weights_[static_cast<size_t>(group.expert)].down.values;
          float* out = rows_ + group.first_slot * width_ + first;
          if (group.count > dot_row_limit) {
            multiply_blocks(kernels_, packed_hidden(group), {&weight, first, count},
                            {out, width_, Activation::none}, thread_panel(linear_scratch_, thread));
            return;
          }
          DotRows rows{.count = static_cast<int>(group.count), .x = {}, .out = {}};
          for (int i = 0; i < rows.count; ++i) {
            rows.x[i] = hidden_ + (group.first_slot + i) * expert_width_;
            rows.out[i] = out + i * width_;
          }
          dot(kernels_, rows, weight, first, count);
        });
  }

  // Adds up in ascending order of experts.
  void combine(int64_t chosen, const Tensor& out) const {
    const int64_t tokens = out.dim(0);
    threads_.for_each(ceil_div(tokens, tokens_per_task), [&](int64_t task) {
      const int64_t end = std::min(tokens, (task + 1) * tokens_per_task);
      for (int64_t t = task * tokens_per_task; t < end; ++t) {
        float* to = out.row<float>(t);
        std::fill_n(to, width_, 0.0f);
        for (int64_t e = 0; e < chosen; ++e) {
          const int64_t slot = token_slots_[t * chosen + e];
          kernels_.add_scaled(rows_ + slot * width_, slot_shares_[slot], to, width_);
        }
      }
    });
  }

 private:
  void add_groups(int64_t expert, int64_t first, int64_t count) {
    const int64_t parts = ceil_div(count, group_rows);
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t begin = count * part / parts, end = count * (part + 1) / parts;
      groups_[group_count_++] = {expert, first + begin, end - begin};
      any_packed_ = any_packed_ || end - begin > dot_row_limit;
    }
  }

  PackedRows packed_inputs(const Group& group) const {
    return {kernels_, tiles_up_, rows_ + group.first_slot * width_, group.count, width_};
  }
  PackedRows packed_hidden(const Group& group) const {
    return {kernels_, tiles_down_, hidden_ + group.first_slot * expert_width_, group.count,
            expert_width_};
  }

  // body(group, first, count, thread) for blocks of a weight's rows, of all groups.
  template <typename Body>
  void for_each_block(const Tensor& weight, const Body& body) const {
    const int64_t outputs = weight.dim(0);
    const int thread_count = threads_.thread_count();
    const int64_t block =
        any_packed_
            ? block_columns(kernels_, outputs * group_count_, thread_count * tasks_per_thread)
            : std::min(dot_columns, dot_block(weight, outputs * group_count_, thread_count));
    const int64_t blocks = ceil_div(outputs, block);
    threads_.for_each(group_count_ * blocks, [&](int64_t index, int thread) {
      const int64_t first = index % blocks * block;
      body(groups_[index / blocks], first, std::min(block, outputs - first), thread);
    });
  }

  void gate_and_up_few(const Tensor& x, const Group& group, int64_t first, int64_t count,
                       int thread) const {
    const ExpertWeights& weights = weights_[static_cast<size_t>(group.expert)];
    float* up = thread_tile(thread);
    DotRows rows{.count = static_cast<int>(group.count), .x = {}, .out = {}};
    for (int i = 0; i < rows.count; ++i) {
      rows.x[i] = x.row<float>(slot_tokens_[group.first_slot + i]);
      rows.out[i] = up + i * count;
    }
    dot(kernels_, rows, weights.up.values, first, count);
    for (int i = 0; i < rows.count; ++i) {
      rows.out[i] = hidden_ + (group.first_slot + i) * expert_width_ + first;
    }
    dot(kernels_, rows, weights.gate.values, first, count);
    for (int i = 0; i < rows.count; ++i) {
      kernels_.gate(rows.out[i], up + i * count, rows.out[i], count);
    }
  }

  // hidden is packed panel by panel: each is a part of K of the next product.
  void gate_and_up_many(const Group& group, int64_t first, int64_t count, int thread) const {
    const ExpertWeights& weights = weights_[static_cast<size_t>(group.expert)];
    const WeightBlock gate{&weights.gate.values, first, count},
        up{&weights.up.values, first, count};
    float* gate_out = thread_tile(thread);
    float* up_out = gate_out + group_rows * panel_columns;
    float* panel = thread_panel(linear_scratch_, thread);
    const PackedRows in = packed_inputs(group);
    for (int64_t column = 0; column < count; column += panel_columns) {
      multiply_block(kernels_, in, gate.panel(column), up.panel(column),
                     {gate_out, panel_columns, Activation::none}, panel);
      multiply_block(kernels_, in, up.panel(column), gate.panel(column + panel_columns),
                     {up_out, panel_columns, Activation::none}, panel);
      pack_hidden(group, first + column, gate.panel(column).count, gate_out, up_out);
    }
  }

  // Columns [first, first + count) of hidden; gate is overwritten.
  void pack_hidden(const Group& group, int64_t first, int64_t count, float* gate,
                   const float* up) const {
    const PackedRows hidden = packed_hidden(group);
    for (int64_t block = 0; block < hidden.block_count; ++block) {
      const float* rows[tile_row_limit];
      const int row_count = hidden.rows_in(block);
      for (int i = 0; i < row_count; ++i) {
        const int64_t row = (hidden.first_row(block) + i) * panel_columns;
        kernels_.gate(gate + row, up + row, gate + row, count);
        rows[i] = gate + row;
      }
      tiles_down_.pack_x(rows, row_count, count,
                         hidden.at(block, first / tiles_down_.inputs_per_word));
    }
  }

  // [2, group_rows, panel_columns]
  float* thread_tile(int thread) const {
    return gate_and_up_ + thread * 2 * group_rows * panel_columns;
  }

  const LinearKernels& kernels_;
  const TileKernels& tiles_up_;
  const TileKernels& tiles_down_;
  ThreadPool& threads_;
  std::span<const ExpertWeights> weights_;
  int64_t width_;
  int64_t expert_width_;
  const Buffer& linear_scratch_;
  Group* groups_;
  int64_t group_count_ = 0;
  bool any_packed_ = false;
  int64_t* expert_ends_;
  int64_t* slot_tokens_;
  int64_t* token_slots_;
  float* slot_shares_;
  float* rows_;
  float* hidden_;
  float* gate_and_up_;
};

}  // namespace

size_t moe_scratch_bytes(const StepLimits& limits, int thread_count) {
  return Layout(limits, thread_count).size_bytes;
}

void CpuBackend::route(const Tensor& x, const Tensor& weight, RouterPrecision precision,
                       const Tensor& experts, const Tensor& shares) {
  const int64_t tokens = x.dim(0), expert_count = weight.dim(0), chosen = experts.dim(1);
  assert(tokens <= limits_.tokens && expert_count <= limits_.expert_count);
  const Layout layout(limits_, threads_.thread_count());
  float* logits = at<float>(moe_scratch_, layout.router_logits);

  // Always the way of few rows: a token's experts do not depend on its neighbours.
  const int64_t block = dot_block(weight, expert_count, 1);
  const int64_t blocks = ceil_div(expert_count, block);
  threads_.for_each(ceil_div(tokens, dot_row_limit) * blocks, [&](int64_t index) {
    const int64_t token = index / blocks * dot_row_limit, first = index % blocks * block;
    DotRows rows{.count = static_cast<int>(std::min<int64_t>(dot_row_limit, tokens - token)),
                 .x = {},
                 .out = {}};
    for (int i = 0; i < rows.count; ++i) {
      rows.x[i] = x.row<float>(token + i);
      rows.out[i] = logits + (token + i) * expert_count + first;
    }
    dot(kernels_.linear, rows, weight, first, std::min(block, expert_count - first));
  });

  threads_.for_each(ceil_div(tokens, tokens_per_task), [&](int64_t task) {
    const int64_t end = std::min(tokens, (task + 1) * tokens_per_task);
    for (int64_t t = task * tokens_per_task; t < end; ++t) {
      float* row = logits + t * expert_count;
      if (precision == RouterPrecision::bf16) {
        for (int64_t i = 0; i < expert_count; ++i) row[i] = to_f32(to_bf16(row[i]));
      }
      choose(row, expert_count, chosen, experts.row<int32_t>(t), shares.row<float>(t));
    }
  });
}

void CpuBackend::moe(const Tensor& x, std::span<const ExpertWeights> weights, const Tensor& experts,
                     const Tensor& shares, const Tensor& out) {
  assert(x.dim(0) <= limits_.tokens && x.dim(1) <= limits_.width);
  assert(static_cast<int64_t>(weights.size()) <= limits_.expert_count);
  assert(experts.dim(1) <= limits_.experts_per_token);
  assert(weights[0].gate.output_width() <= limits_.expert_width);
  Experts call(kernels_.linear, compute_, threads_, weights,
               Layout(limits_, threads_.thread_count()), moe_scratch_, linear_scratch_);
  call.sort(experts, shares);
  call.pack(x);
  call.gate_and_up(x);
  call.down();
  call.combine(experts.dim(1), out);
}

}  // namespace minimax
