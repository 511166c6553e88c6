// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/cpu/row_kernels.h"

#include "engine/kernels/cpu/simd.h"

namespace minimax::MINIMAX_ISA {
namespace {

// body(index, load, store) for each vector of a row: whole ones, and a part of one at its end.
template <typename Body>
void for_each_vector(int64_t width, const Body& body) {
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    body(
        i, [](const auto* p) { return load(p); }, [](float* p, F32 x) { store(p, x); });
  }
  if (const int64_t rest = width - i; rest > 0) {
    body(
        i, [rest](const auto* p) { return load_part(p, rest); },
        [rest](float* p, F32 x) { store_part(p, x, rest); });
  }
}

float sum_of_squares(const float* x, int64_t width) {
  F32 total[4] = {broadcast(0), broadcast(0), broadcast(0), broadcast(0)};
  int64_t i = 0;
  for (; i + 4 * lanes <= width; i += 4 * lanes) {
    for (int part = 0; part < 4; ++part) {
      const F32 a = load(x + i + part * lanes);
      total[part] = fma(a, a, total[part]);
    }
  }
  for_each_vector(width - i, [&](int64_t at, auto get, auto) {
    const F32 a = get(x + i + at);
    total[0] = fma(a, a, total[0]);
  });
  return sum((total[0] + total[1]) + (total[2] + total[3]));
}

// What a row is multiplied by.
F32 inverse_rms(const float* x, int64_t width, float eps) {
  return broadcast(1.0f / sqrtf(sum_of_squares(x, width) / static_cast<float>(width) + eps));
}

void widen_row(const bf16* from, float* to, int64_t count) {
  for_each_vector(count, [&](int64_t i, auto get, auto put) { put(to + i, get(from + i)); });
}

template <typename Function>
void add_bias_and(const float* x, const float* bias, float* out, int64_t width,
                  const Function& function) {
  for_each_vector(width, [&](int64_t i, auto get, auto put) {
    put(out + i, function(get(x + i) + get(bias + i)));
  });
}

void add_bias(const float* x, const float* bias, Activation activation, float* out, int64_t width) {
  switch (activation) {
    case Activation::none:
      return add_bias_and(x, bias, out, width, [](F32 y) { return y; });
    case Activation::silu:
      return add_bias_and(x, bias, out, width, [](F32 y) { return silu(y); });
    case Activation::gelu:
      return add_bias_and(x, bias, out, width, [](F32 y) { return gelu(y); });
  }
}

void add(const float* x, const float* y, float* out, int64_t width) {
  for_each_vector(width,
                  [&](int64_t i, auto get, auto put) { put(out + i, get(x + i) + get(y + i)); });
}

// The sum of f(x[i]), a few partial sums at a time so that none grows long.
template <typename Function>
float sum_of(const float* x, int64_t width, const Function& function) {
  F32 total[4] = {broadcast(0), broadcast(0), broadcast(0), broadcast(0)};
  int64_t i = 0;
  for (; i + 4 * lanes <= width; i += 4 * lanes) {
    for (int part = 0; part < 4; ++part) {
      total[part] = total[part] + function(load(x + i + part * lanes));
    }
  }
  float rest = 0;
  for (; i < width; ++i) rest += sum(function(broadcast(x[i]))) * (1.0f / lanes);
  return sum((total[0] + total[1]) + (total[2] + total[3])) + rest;
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, float* out,
                int64_t width) {
  const auto count = static_cast<float>(width);
  const F32 mean = broadcast(sum_of(x, width, [](F32 a) { return a; }) / count);
  const float variance = sum_of(x, width, [&](F32 a) { return (a - mean) * (a - mean); }) / count;
  const F32 scale = broadcast(1.0f / sqrtf(variance + eps));
  for_each_vector(width, [&](int64_t i, auto get, auto put) {
    put(out + i, fma((get(x + i) - mean) * scale, get(weight + i), get(bias + i)));
  });
}

void rms_norm(const float* x, const float* weight, float eps, float* out, int64_t width) {
  const F32 scale = inverse_rms(x, width, eps);
  for_each_vector(width, [&](int64_t i, auto get, auto put) {
    put(out + i, get(x + i) * scale * get(weight + i));
  });
}

void residual_rms_norm(const float* x, float residual, const float* y, float branch,
                       const float* weight, float eps, float* out, int64_t width) {
  const F32 alpha = broadcast(residual), beta = broadcast(branch);
  for_each_vector(width, [&](int64_t i, auto get, auto put) {
    put(out + i, fma(alpha, get(x + i), beta * get(y + i)));
  });
  rms_norm(out, weight, eps, out, width);
}

void gated_rms_norm(const float* x, const float* gate, const float* weight, float eps, float* out,
                    int64_t width) {
  const F32 scale = inverse_rms(x, width, eps);
  for_each_vector(width, [&](int64_t i, auto get, auto put) {
    put(out + i, get(x + i) * scale * get(weight + i) * sigmoid(get(gate + i)));
  });
}

void rotate(float* x, const float* cos, const float* sin, int64_t half) {
  float* const y = x + half;
  for_each_vector(half, [&](int64_t j, auto get, auto put) {
    const F32 a = get(x + j), b = get(y + j), c = get(cos + j), s = get(sin + j);
    put(x + j, a * c - b * s);
    put(y + j, fma(b, c, a * s));
  });
}

}  // namespace

extern const RowKernels row_kernels;
const RowKernels row_kernels = {
    .widen = widen_row,
    .add_bias = add_bias,
    .add = add,
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .residual_rms_norm = residual_rms_norm,
    .gated_rms_norm = gated_rms_norm,
    .rotate = rotate,
};

}  // namespace minimax::MINIMAX_ISA
