// SPDX-License-Identifier: Apache-2.0
#include "engine/model/memory_plan.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace minimax {
namespace {

constexpr uint64_t without_end = std::numeric_limits<uint64_t>::max();

uint64_t pages_of(int64_t token_count) {
  const auto tokens = static_cast<uint64_t>(std::max<int64_t>(token_count, 1));
  const auto page = static_cast<uint64_t>(kv_page_tokens);
  return tokens / page + (tokens % page != 0);
}

// What is left, and nothing when more is taken than there is.
uint64_t minus(uint64_t from, uint64_t taken) {
  return from - std::min(from, taken);
}

uint64_t times_saturated(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? without_end : product;
}

uint64_t plus_saturated(uint64_t a, uint64_t b) {
  return a > without_end - b ? without_end : a + b;
}

uint64_t tokens_that_fit(uint64_t free_bytes, uint64_t session_bytes, uint64_t page_bytes) {
  if (free_bytes < session_bytes) return 0;
  if (page_bytes == 0) return without_end;
  return (free_bytes - session_bytes) / page_bytes * static_cast<uint64_t>(kv_page_tokens);
}

}  // namespace

void WeightTotals::add(const TensorSpec& tensor, DType stored) {
  const auto elements = static_cast<uint64_t>(tensor.element_count());
  parameter_count += elements;
  tensor_count += 1;
  weight_bytes += elements * (stored == DType::f16 ? size_of(DType::f32) : size_of(stored));
}

WeightTotals total_weights(const ModelConfig& config, std::span<const TensorSpec> tensors,
                           const Checkpoint* checkpoint) {
  WeightTotals totals;
  for (const TensorSpec& tensor : tensors) {
    totals.add(tensor, stored_dtype(config, tensor, checkpoint));
  }
  return totals;
}

DType stored_dtype(const ModelConfig& config, const TensorSpec& tensor,
                   const Checkpoint* checkpoint) {
  const StoredTensor* stored = checkpoint ? checkpoint->require(tensor) : nullptr;
  if (stored) return *stored->dtype;
  return tensor.usual_dtype == DType::bf16 ? config.weight_dtype : tensor.usual_dtype;
}

DType resolve_kv_type(int32_t kv_type, DType stored_weights) {
  switch (kv_type) {
    case MINIMAX_TYPE_AUTO:
      return size_of(stored_weights) == 2 ? DType::bf16 : DType::f32;
    case MINIMAX_TYPE_F32:
      return DType::f32;
    case MINIMAX_TYPE_BF16:
      return DType::bf16;
    default:
      break;
  }
  fail(MINIMAX_UNSUPPORTED, "kv_type is ", kv_type,
       ", supported are MINIMAX_TYPE_AUTO, MINIMAX_TYPE_F32 and MINIMAX_TYPE_BF16");
}

int64_t lightning_log_rows(int32_t rewind_tokens) {
  int64_t tokens = rewind_tokens == 0 ? default_rewind_tokens : std::max(rewind_tokens, 0);
  const int64_t fold = lightning_fold_tokens;
  return (tokens + fold - 1) / fold * fold + fold;
}

SessionSizes session_sizes(const ModelConfig& config, DType kv_type, DType log_type,
                           int32_t rewind_tokens) {
  const auto H = static_cast<uint64_t>(config.head_count);
  const auto G = static_cast<uint64_t>(config.kv_head_count);
  const auto D = static_cast<uint64_t>(config.head_dim);
  const auto lightning = static_cast<uint64_t>(config.lightning_layer_count());
  const auto softmax = static_cast<uint64_t>(config.softmax_layer_count());
  const auto rows = static_cast<uint64_t>(lightning_log_rows(rewind_tokens));
  return {.lightning_state_bytes = lightning * H * D * D * sizeof(float),
          .lightning_log_bytes = lightning * 2 * rows * H * D * size_of(log_type),
          .bytes_per_token = softmax * 2 * G * D * size_of(kv_type)};
}

minimax_memory_plan plan_memory(const PlanInputs& inputs) {
  const SessionSizes& session = inputs.session;
  minimax_memory_plan plan{};
  plan.parameter_count = inputs.weights.parameter_count;
  plan.tensor_count = inputs.weights.tensor_count;
  plan.weight_bytes = inputs.weights.weight_bytes;
  plan.workspace_bytes = inputs.workspace_bytes;
  plan.lightning_state_bytes = session.lightning_state_bytes;
  plan.lightning_log_bytes = session.lightning_log_bytes;
  plan.bytes_per_session =
      session.lightning_state_bytes + session.lightning_log_bytes + inputs.bookkeeping_bytes;
  plan.bytes_per_token = session.bytes_per_token;
  plan.kv_page_tokens = static_cast<uint64_t>(kv_page_tokens);
  plan.available_bytes = inputs.available_bytes;

  const uint64_t page_bytes = session.bytes_per_token * plan.kv_page_tokens;
  const uint64_t free =
      minus(minus(inputs.available_bytes, plan.weight_bytes), plan.workspace_bytes);
  plan.tokens_that_fit = tokens_that_fit(free, plan.bytes_per_session, page_bytes);
  const uint64_t context_bytes = times_saturated(pages_of(inputs.context_limit), page_bytes);
  plan.sessions_that_fit =
      free / std::max<uint64_t>(plus_saturated(plan.bytes_per_session, context_bytes), 1);
  if (inputs.kv_bytes_limit > 0 && page_bytes > 0) {
    const uint64_t pages = static_cast<uint64_t>(inputs.kv_bytes_limit) / page_bytes;
    plan.tokens_that_fit = std::min(plan.tokens_that_fit, pages * plan.kv_page_tokens);
    plan.sessions_that_fit =
        std::min(plan.sessions_that_fit, pages / pages_of(inputs.context_limit));
  }
  return plan;
}

}  // namespace minimax
