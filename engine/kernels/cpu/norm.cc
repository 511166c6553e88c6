// SPDX-License-Identifier: Apache-2.0
// Norms, biases and sums on the CPU, row by row.
#include <cstring>

#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/cpu/row_kernels.h"
#include "engine/kernels/cpu/share_out.h"

namespace minimax {

void CpuBackend::biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                               Activation activation, const Tensor& out) {
  linear(x, weight, Activation::none, out);
  const int64_t width = out.dim(1);
  share_out(threads_, out.dim(0), out.dim(0) * width, [&](int64_t t, int) {
    kernels_.rows.add_bias(out.row<float>(t), bias.data<float>(), activation, out.row<float>(t),
                           width);
  });
}

void CpuBackend::add_biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                                   const Tensor& room, const Tensor& out) {
  linear(x, weight, Activation::none, room);
  const int64_t width = out.dim(1);
  share_out(threads_, out.dim(0), out.dim(0) * width, [&](int64_t t, int) {
    float* const product = room.row<float>(t);
    kernels_.rows.add_bias(product, bias.data<float>(), Activation::none, product, width);
    kernels_.rows.add(out.row<float>(t), product, out.row<float>(t), width);
  });
}

void CpuBackend::add(const Tensor& x, const Tensor& y, const Tensor& out) {
  const int64_t width = x.dim(1), rows = y.dim(0);
  share_out(threads_, x.dim(0), x.dim(0) * width, [&](int64_t t, int) {
    kernels_.rows.add(x.row<float>(t), y.row<float>(t % rows), out.row<float>(t), width);
  });
}

void CpuBackend::copy(const Tensor& from, const Tensor& to) {
  std::memcpy(to.raw(), from.raw(), from.size_bytes());
}

void CpuBackend::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                            const Tensor& out) {
  const int64_t width = x.dim(1);
  share_out(threads_, x.dim(0), x.dim(0) * width, [&](int64_t t, int) {
    kernels_.rows.layer_norm(x.row<float>(t), weight.data<float>(), bias.data<float>(), eps,
                             out.row<float>(t), width);
  });
}

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
