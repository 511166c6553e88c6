// SPDX-License-Identifier: Apache-2.0
#include "vision/resample.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "vision/resample_kernels.h"

namespace minimax {

#define MINIMAX_DECLARE_TABLE(isa)               \
  namespace isa {                                \
  extern const ResampleKernels resample_kernels; \
  }
MINIMAX_DECLARE_TABLE(portable)
#if defined(__x86_64__)
MINIMAX_DECLARE_TABLE(avx2)
MINIMAX_DECLARE_TABLE(avx512)
#endif
#undef MINIMAX_DECLARE_TABLE

std::vector<const ResampleKernels*> supported_resample_kernels() {
  std::vector<const ResampleKernels*> kernels{&portable::resample_kernels};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) {
    kernels.push_back(&avx2::resample_kernels);
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
      kernels.push_back(&avx512::resample_kernels);
    }
  }
#endif
  return kernels;
}

namespace {

const ResampleKernels& fastest_kernels() {
  static const ResampleKernels& fastest = *supported_resample_kernels().back();
  return fastest;
}

// Cubic convolution with a = -0.5, zero from 2 on.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// Along one side: which numbers of the old side make each number of the new one.
struct Taps {
  struct Window {
    int64_t first, count;
  };
  std::vector<Window> windows;   // [new side]
  std::vector<int32_t> weights;  // [new side, most]; what lies beyond a window's count is 0
  int64_t most;

  const int32_t* weights_of(int64_t i) const { return weights.data() + i * most; }
};

// Truncating after adding a half with the weight's own sign, as PIL rounds.
int32_t fixed_point(double weight) {
  const double scaled = weight * (1 << weight_bits);
  return static_cast<int32_t>(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

// In doubles and in this order of operations, so that each weight is PIL's to the last bit.
Taps make_taps(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double widening = std::max(scale, 1.0);
  const double support = 2 * widening;
  const double narrowing = 1 / widening;
  Taps taps;
  taps.most = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  taps.windows.resize(static_cast<size_t>(to));
  taps.weights.resize(static_cast<size_t>(to * taps.most));
  std::vector<double> exact(static_cast<size_t>(taps.most));
  for (int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), from);
    const int64_t count = end - first;
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      const double at = static_cast<double>(k + first) - center + 0.5;
      sum += exact[static_cast<size_t>(k)] = bicubic(at * narrowing);
    }
    for (int64_t k = 0; k < count; ++k) {
      const double weight = exact[static_cast<size_t>(k)];
      taps.weights[static_cast<size_t>(i * taps.most + k)] =
          fixed_point(sum != 0 ? weight / sum : weight);
    }
    taps.windows[static_cast<size_t>(i)] = {first, count};
  }
  return taps;
}

size_t bytes_of(int64_t pixels) {
  return static_cast<size_t>(pixels) * 3;
}

int64_t count_of(int64_t all, int64_t group) {
  return (all + group - 1) / group;
}

const uint8_t* row_of(const ConstRgbView& view, int64_t y) {
  return view.pixels + static_cast<size_t>(y) * view.stride;
}

uint8_t* row_of(const RgbView& view, int64_t y) {
  return view.pixels + static_cast<size_t>(y) * view.stride;
}

ConstRgbView to_const(const RgbView& view) {
  return {view.pixels, view.size, view.stride};
}

ConstRgbView rows_of(const ConstRgbView& view, int64_t first, int64_t count) {
  return {row_of(view, first), {view.size.width, count}, view.stride};
}

void copy(const ConstRgbView& from, const RgbView& to) {
  for (int64_t y = 0; y < to.size.height; ++y) {
    std::memcpy(row_of(to, y), row_of(from, y), bytes_of(to.size.width));
  }
}

// Heights differ. `from` begins `skipped` rows below the picture that the taps were made for.
void resize_height(const ConstRgbView& from, const Taps& taps, int64_t skipped, const RgbView& to,
                   ThreadPool& threads) {
  constexpr int64_t group = 8;
  const ResampleKernels& kernels = fastest_kernels();
  threads.for_each(count_of(to.size.height, group), [&](int64_t index) {
    const int64_t end = std::min((index + 1) * group, to.size.height);
    for (int64_t y = index * group; y < end; ++y) {
      const Taps::Window window = taps.windows[static_cast<size_t>(y)];
      kernels.weigh_rows(row_of(from, window.first - skipped), from.stride, taps.weights_of(y),
                         window.count, row_of(to, y), bytes_of(to.size.width));
    }
  });
}

// Widths differ. Strips of rows are transposed, so that the pixels of a column lie side by side and are
// weighed together.
void resize_width(const ConstRgbView& from, const Taps& taps, const RgbView& to,
                  ThreadPool& threads) {
  constexpr size_t pixel = 3 * strip_rows;
  const ResampleKernels& kernels = fastest_kernels();
  const size_t old_size = static_cast<size_t>(from.size.width) * pixel;
  const size_t new_size = static_cast<size_t>(to.size.width) * pixel;
  const auto thread_count = static_cast<size_t>(threads.thread_count());
  const auto scratch =
      std::make_unique_for_overwrite<uint8_t[]>(thread_count * (old_size + new_size));
  threads.for_each(count_of(to.size.height, strip_rows), [&](int64_t index, int thread) {
    const int64_t y = index * strip_rows;
    const int rows = static_cast<int>(std::min<int64_t>(strip_rows, to.size.height - y));
    uint8_t* old_columns = scratch.get() + static_cast<size_t>(thread) * (old_size + new_size);
    uint8_t* new_columns = old_columns + old_size;
    kernels.to_columns(row_of(from, y), from.stride, rows, bytes_of(from.size.width), old_columns);
    for (int64_t x = 0; x < to.size.width; ++x) {
      const Taps::Window window = taps.windows[static_cast<size_t>(x)];
      kernels.weigh_rows(old_columns + static_cast<size_t>(window.first) * pixel, pixel,
                         taps.weights_of(x), window.count,
                         new_columns + static_cast<size_t>(x) * pixel, pixel);
    }
    kernels.from_columns(new_columns, bytes_of(to.size.width), row_of(to, y), to.stride, rows);
  });
}

// A picture of its own between the two passes.
struct Between {
  explicit Between(PixelSize size)
      : pixels(std::make_unique_for_overwrite<uint8_t[]>(bytes_of(size.width * size.height))),
        view{pixels.get(), size, bytes_of(size.width)} {}
  std::unique_ptr<uint8_t[]> pixels;
  RgbView view;
};

void resize_width_first(const ConstRgbView& from, const RgbView& to, ThreadPool& threads) {
  const Taps columns = make_taps(from.size.width, to.size.width);
  const Taps rows = make_taps(from.size.height, to.size.height);
  const int64_t first = rows.windows.front().first;
  const int64_t end = rows.windows.back().first + rows.windows.back().count;
  const Between between({to.size.width, end - first});
  resize_width(rows_of(from, first, end - first), columns, between.view, threads);
  resize_height(to_const(between.view), rows, first, to, threads);
}

void resize_height_first(const ConstRgbView& from, const RgbView& to, ThreadPool& threads) {
  const Between between({from.size.width, to.size.height});
  resize_height(from, make_taps(from.size.height, to.size.height), 0, between.view, threads);
  resize_width(to_const(between.view), make_taps(from.size.width, to.size.width), to, threads);
}

// PIL's own choice, which shows in the numbers: they are rounded between the passes.
bool is_height_first(PixelSize from, PixelSize to) {
  return from.height > 100 * from.width && to.height < from.height;
}

}  // namespace

void resize_bicubic(const ConstRgbView& from, const RgbView& to, ThreadPool& threads) {
  assert(from.size.width > 0 && from.size.height > 0 && to.size.width > 0 && to.size.height > 0);
  if (from.size == to.size) return copy(from, to);
  if (from.size.width == to.size.width) {
    return resize_height(from, make_taps(from.size.height, to.size.height), 0, to, threads);
  }
  if (from.size.height == to.size.height) {
    return resize_width(from, make_taps(from.size.width, to.size.width), to, threads);
  }
  if (is_height_first(from.size, to.size)) return resize_height_first(from, to, threads);
  resize_width_first(from, to, threads);
}

}  // namespace minimax
