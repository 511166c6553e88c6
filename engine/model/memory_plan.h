// SPDX-License-Identifier: Apache-2.0
// What a model and its sessions need in bytes, before any of it is allocated.
#pragma once

#include <cstdint>
#include <span>

#include "engine/model/config.h"
#include "engine/weights/checkpoint.h"
#include "minimax.h"

namespace minimax {

constexpr int64_t kv_page_tokens = 256;        // softmax keys and values are taken in such pages
constexpr int64_t lightning_fold_tokens = 32;  // rows that the log of a session folds at once
constexpr int32_t default_rewind_tokens = 32;

// Sums over the tensors that will be loaded.
struct WeightTotals {
  uint64_t parameter_count = 0;
  uint64_t tensor_count = 0;
  uint64_t weight_bytes = 0;  // as stored, f16 as the f32 it becomes

  void add(const TensorSpec& tensor, DType stored);
};

// Looks every tensor up in the checkpoint, and refuses what Checkpoint::require refuses. Without
// headers, or with no checkpoint at all, types are the usual ones of the model.
WeightTotals total_weights(const ModelConfig& config, std::span<const TensorSpec> tensors,
                           const Checkpoint* checkpoint);
// The type a tensor is stored in, or its usual one.
DType stored_dtype(const ModelConfig& config, const TensorSpec& tensor,
                   const Checkpoint* checkpoint);

// MINIMAX_TYPE_AUTO becomes bf16 when the embeddings are stored in 16 bits, else f32.
// MINIMAX_UNSUPPORTED for types that keys and values cannot have.
DType resolve_kv_type(int32_t kv_type, DType stored_weights);

// Keys and values that a session keeps beside its lightning states, in rows: tokens it can go back
// by, and room for as many as are folded at once. rewind_tokens as in minimax_session_options.
int64_t lightning_log_rows(int32_t rewind_tokens);

// What one session needs.
struct SessionSizes {
  uint64_t lightning_state_bytes = 0;  // [H, D, D] f32 of each lightning layer
  uint64_t lightning_log_bytes = 0;    // two of [rows, H, D] of each lightning layer
  uint64_t bytes_per_token = 0;        // two of [G, D] of each softmax layer
};
SessionSizes session_sizes(const ModelConfig& config, DType kv_type, DType log_type,
                           int32_t rewind_tokens);

struct PlanInputs {
  WeightTotals weights;
  SessionSizes session;
  uint64_t workspace_bytes = 0;    // of the decoder, for its longest step
  uint64_t bookkeeping_bytes = 0;  // of a session, beside states and log
  uint64_t available_bytes = 0;    // on the device
  int64_t context_limit = 0;       // as in minimax_engine_options
  int64_t kv_bytes_limit = 0;
};

// All members but struct_size.
minimax_memory_plan plan_memory(const PlanInputs& inputs);

}  // namespace minimax
