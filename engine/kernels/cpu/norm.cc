// SPDX-License-Identifier: Apache-2.0
// The three norms on the CPU, row by row.
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/cpu/row_kernels.h"
#include "engine/kernels/cpu/share_out.h"

namespace minimax {

void CpuBackend::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  const int64_t width = x.dim(1);
  share_out(threads_, x.dim(0), x.dim(0) * width, [&](int64_t t, int) {
    kernels_.rows.rms_norm(x.row<float>(t), weight.data<float>(), eps, out.row<float>(t), width);
  });
}

void CpuBackend::residual_rms_norm(const Tensor& x, const Tensor& y, ResidualScale scale,
                                   const Tensor& weight, float eps, const Tensor& out) {
  const int64_t width = x.dim(1);
  share_out(threads_, x.dim(0), x.dim(0) * width, [&](int64_t t, int) {
    kernels_.rows.residual_rms_norm(x.row<float>(t), scale.residual, y.row<float>(t), scale.branch,
                                    weight.data<float>(), eps, out.row<float>(t), width);
  });
}

void CpuBackend::gated_rms_norm(const Tensor& x, const Tensor& gate, const Tensor& weight,
                                float eps, const Tensor& out) {
  const int64_t width = x.dim(1);
  share_out(threads_, x.dim(0), x.dim(0) * width, [&](int64_t t, int) {
    kernels_.rows.gated_rms_norm(x.row<float>(t), gate.row<float>(t), weight.data<float>(), eps,
                                 out.row<float>(t), width);
  });
}

}  // namespace minimax
