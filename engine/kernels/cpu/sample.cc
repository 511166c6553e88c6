// SPDX-License-Identifier: Apache-2.0
// Tokens drawn from rows of logits on the CPU, a row a thread.
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/cpu/share_out.h"

namespace minimax {

void CpuBackend::sample(std::span<const LogitsRow> rows, const Tensor& suppressed,
                        const Tensor& tokens, const Tensor& logprobs) {
  const auto count = static_cast<int64_t>(rows.size());
  share_out(threads_, count, count * rows[0].logits.dim(0), [&](int64_t r, int thread) {
    RowSampler& sampler = row_samplers_[static_cast<size_t>(thread)];
    const int32_t token = sampler.draw(rows[static_cast<size_t>(r)], suppressed);
    tokens.data<int32_t>()[r] = token;
    if (!logprobs.empty()) logprobs.data<float>()[r] = sampler.logprob(token);
  });
}

}  // namespace minimax
