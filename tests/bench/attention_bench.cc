// SPDX-License-Identifier: Apache-2.0
// Speed of both attentions on this machine, beside what its cores and its memory can do at most.
//   attention_bench [thread count, 1 unless told]
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "engine/kernels/cpu/cpu_backend.h"

namespace minimax {
namespace {

constexpr int64_t H = 64, G = 8, D = 128;

// Then processor time is measured, which other programs hardly disturb.
bool one_thread = true;

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t start_of_work = std::clock();
  body();
  if (one_thread) return static_cast<double>(std::clock() - start_of_work) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best of some tries that together take about a second: other programs disturb, never help.
double best_seconds(const std::function<void()>& body) {
  double best = seconds_of(body), all = best;
  for (int tries = 1; tries < 3 || (all < 1 && tries < 200); ++tries) {
    const double now = seconds_of(body);
    best = std::min(best, now);
    all += now;
  }
  return best;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) float multiply_add_512(int64_t count) {
  __m512 sum[12];
  for (int i = 0; i < 12; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm512_fmadd_ps(sum[i], a, b);
  }
  for (int i = 1; i < 12; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  return _mm512_cvtss_f32(sum[0]);
}
__attribute__((target("avx2,fma"))) float multiply_add_256(int64_t count) {
  __m256 sum[12];
  for (int i = 0; i < 12; ++i) sum[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm256_fmadd_ps(sum[i], a, b);
  }
  for (int i = 1; i < 12; ++i) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  return _mm256_cvtss_f32(sum[0]);
}
#endif

// f32 multiplications and additions a second, 0 where this program cannot tell.
double peak_flops(CpuBackend& backend) {
#if defined(__x86_64__)
  if (backend.isa() == Isa::portable) return 0;
  const bool wide = backend.isa() == Isa::avx512;
  constexpr int64_t count = 2'000'000;
  const int64_t threads = backend.threads().thread_count();
  std::vector<float> results(static_cast<size_t>(threads));
  const double seconds = best_seconds([&] {
    backend.threads().for_each(threads, [&](int64_t i) {
      results[static_cast<size_t>(i)] = wide ? multiply_add_512(count) : multiply_add_256(count);
    });
  });
  return static_cast<double>(threads * count * 12 * (wide ? 16 : 8) * 2) / seconds;
#else
  (void)backend;
  return 0;
#endif
}

// Bytes a second that can be read from memory.
double peak_bandwidth(CpuBackend& backend) {
  const std::vector<uint64_t> numbers(64 << 20, 1);
  const int64_t parts = 64;
  std::vector<uint64_t> sums(static_cast<size_t>(parts));
  const double seconds = best_seconds([&] {
    backend.threads().for_each(parts, [&](int64_t i) {
      const size_t size = numbers.size() / parts;
      const uint64_t* p = numbers.data() + static_cast<size_t>(i) * size;
      uint64_t sum[8] = {};
      for (size_t at = 0; at < size; at += 8) {
        for (size_t lane = 0; lane < 8; ++lane) sum[lane] += p[at + lane];
      }
      sums[static_cast<size_t>(i)] = std::accumulate(sum, sum + 8, uint64_t{0});
    });
  });
  return static_cast<double>(numbers.size() * sizeof(uint64_t)) / seconds;
}

class Bench {
 public:
  explicit Bench(int threads)
      : backend_(threads, CpuCompute::f32),
        flops_(peak_flops(backend_)),
        bandwidth_(peak_bandwidth(backend_)) {
    backend_.reserve({.tokens = 2048,
                      .widest_input = 1,
                      .width = 1,
                      .head_count = H,
                      .head_dim = D,
                      .expert_count = 1,
                      .experts_per_token = 1,
                      .expert_width = 1});
    std::printf("%d threads, %s: %.0f GFLOP/s, %.1f GB/s at most\n", threads,
                std::string(name_of(backend_.isa())).c_str(), flops_ / 1e9, bandwidth_ / 1e9);
  }

  void run() {
    lightning(2048, 1);
    lightning(128, 1);
    lightning(1, 30);
    softmax(512, 512);
    softmax(512, 4096);
    softmax(64, 32768);
    softmax(1, 4096);
    softmax(1, 32768);
  }

 private:
  void print(const std::string& what, double seconds, double flop, double bytes) const {
    std::printf("%-34s %10.3f ms %8.1f GFLOP/s %4.0f %% %7.1f GB/s %4.0f %%\n", what.c_str(),
                seconds * 1e3, flop / seconds / 1e9, flop / seconds / flops_ * 100,
                bytes / seconds / 1e9, bytes / seconds / bandwidth_ * 100);
  }

  // `layers` take turns, as in a model: their states do not fit into the cache together.
  void lightning(int64_t T, int64_t layers) {
    constexpr int64_t R = 64;
    const int64_t position = T == 1 ? 16 : 0;
    std::vector<float> qkv(static_cast<size_t>(T * H * 3 * D), 0.01f), out(qkv.size() / 3),
        slope(H);
    for (size_t h = 0; h < slope.size(); ++h) {
      slope[h] = std::exp2(-static_cast<float>(h + 1) / 8);
    }
    std::vector<std::vector<float>> states, logs;
    for (int64_t i = 0; i < layers; ++i) {
      states.emplace_back(static_cast<size_t>(H * D * D), 0.0f);
      logs.emplace_back(static_cast<size_t>(H * 2 * R * D), 0.0f);
    }
    const double seconds = best_seconds([&] {
      for (size_t i = 0; i < states.size(); ++i) {
        const LightningSequence sequences[] = {
            {.span = {0, T, position},
             .committed = 0,
             .committed_after = T / 32 * 32,
             .state = Tensor(states[i].data(), DType::f32, {H, D, D}),
             .log = Tensor(logs[i].data(), DType::f32, {H, 2, R, D})}};
        backend_.lightning_attention(Tensor(qkv.data(), DType::f32, {T, H, 3, D}),
                                     Tensor(slope.data(), DType::f32, {H}), 0, sequences,
                                     Tensor(out.data(), DType::f32, {T, H, D}));
      }
    });
    // A token and head: q S, on average 16.5 keys and values of its block, and its part of a fold.
    const double flop = static_cast<double>(layers * H) *
                        static_cast<double>(T * (2 * D * D + 66 * D) + T / 32 * 32 * 2 * D * D);
    const double bytes = static_cast<double>(layers * H * D) * 4 * (D + 2 * 16);
    print("lightning T " + std::to_string(T), seconds, flop, bytes);
  }

  void softmax(int64_t T, int64_t context) {
    const KvLayout layout{.dtype = DType::bf16,
                          .page_tokens = 256,
                          .kv_head_count = G,
                          .head_dim = D,
                          .layer_offset = 0};
    const auto page_count = static_cast<size_t>(context / 256);
    // So many layers take turns that the cache holds none of them.
    const size_t layers = T == 1 ? std::max<size_t>(1, 32768 / static_cast<size_t>(context)) : 1;
    std::vector<std::vector<std::byte>> memory(layers);
    std::vector<std::vector<std::byte*>> pages(layers);
    for (size_t layer = 0; layer < layers; ++layer) {
      memory[layer].resize(page_count * 2 * layout.plane_bytes());
      auto* const numbers = reinterpret_cast<bf16*>(memory[layer].data());
      for (size_t i = 0; i < memory[layer].size() / 2; ++i) {
        numbers[i] = to_bf16(static_cast<float>(i % 64) / 64);
      }
      for (size_t i = 0; i < page_count; ++i) {
        pages[layer].push_back(memory[layer].data() + i * 2 * layout.plane_bytes());
      }
    }
    std::vector<float> q(static_cast<size_t>(T * H * D), 0.01f), out(q.size());
    const double seconds = best_seconds([&] {
      for (size_t layer = 0; layer < layers; ++layer) {
        const KvSequence sequences[] = {{{0, T, context - T}, pages[layer]}};
        backend_.softmax_attention(Tensor(q.data(), DType::f32, {T, H, D}), 0.088f, layout,
                                   sequences, Tensor(out.data(), DType::f32, {T, H, D}));
      }
    });
    const double keys =
        static_cast<double>(T) * (static_cast<double>(context) - static_cast<double>(T - 1) / 2);
    const double bytes = static_cast<double>(context * G * D * 2 * 2);
    print("softmax T " + std::to_string(T) + " of " + std::to_string(context), seconds,
          static_cast<double>(layers) * keys * H * D * 4, static_cast<double>(layers) * bytes);
  }

  CpuBackend backend_;
  double flops_;
  double bandwidth_;
};

}  // namespace
}  // namespace minimax

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  minimax::one_thread = threads == 1;
  minimax::Bench(threads).run();
}
