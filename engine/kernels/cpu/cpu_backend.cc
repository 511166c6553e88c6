// SPDX-License-Identifier: Apache-2.0
// Opens the backend and takes its scratch; the operations stand in files of their names.
#include "engine/kernels/cpu/cpu_backend.h"

#include <cassert>

#include "engine/kernels/cpu/attention_scratch.h"
#include "engine/kernels/cpu/linear.h"

namespace minimax {

CpuBackend::CpuBackend(int thread_count, CpuCompute compute, Isa isa)
    : kernels_(kernel_table(isa)),
      compute_(compute),
      threads_(thread_count),
      row_samplers_(static_cast<size_t>(thread_count)) {
  assert(isa <= best_isa());
}

void CpuBackend::reserve(const StepLimits& limits) {
  const int threads = threads_.thread_count();
  Buffer linear_scratch(memory(), linear_scratch_bytes(limits, threads));
  Buffer moe_scratch(memory(), moe_scratch_bytes(limits, threads));
  Buffer attention_scratch(memory(), attention_scratch_bytes(limits, threads));
  linear_scratch_ = std::move(linear_scratch);
  moe_scratch_ = std::move(moe_scratch);
  attention_scratch_ = std::move(attention_scratch);
  limits_ = limits;
}

size_t CpuBackend::scratch_bytes(const StepLimits& limits) const {
  const int threads = threads_.thread_count();
  return linear_scratch_bytes(limits, threads) + moe_scratch_bytes(limits, threads) +
         attention_scratch_bytes(limits, threads);
}

}  // namespace minimax
