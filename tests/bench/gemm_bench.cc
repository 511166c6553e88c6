// SPDX-License-Identifier: Apache-2.0
// Matrix products of the CPU backend beside what the machine can do and what other libraries do.
//
//   OMP_NUM_THREADS=1 gemm_bench [threads, 1 unless told [vector|bf16|f32|moe|all
// [libopenblas.so]]]
//
// All candidates of a row run in turns, on the same numbers; a row gives the median and, in
// brackets, the best of each, also as a share of the first: a loop of vdpbf16ps or FMA on
// registers, or a plain read of memory. oneDNN, if it was there to build with, gets x already rounded
// to bf16, with weights in its own format or as they lie in a file; "from f32" rounds x itself, as ours
// does: the same job.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/cpu/cpu_backend.h"

#if defined(MINIMAX_BENCH_ONEDNN)
#include <oneapi/dnnl/dnnl.hpp>
#endif
#include <immintrin.h>

namespace minimax {
namespace {

// Of one thread processor time is measured, which other programs hardly disturb.
bool one_thread = true;

double now_seconds() {
  timespec time{};
  clock_gettime(one_thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds_of(const std::function<void()>& body) {
  const double start = now_seconds();
  body();
  return now_seconds() - start;
}

struct Candidate {
  std::string name;
  std::function<void()> body;
  double work;  // of one call, in billions of whatever the row counts
  std::vector<double> seconds = {};

  double median() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return work / sorted[sorted.size() / 2];
  }
  double best() const { return work / *std::min_element(seconds.begin(), seconds.end()); }
};

// The first candidate is the limit.
void race(const std::string& row, const char* unit, std::vector<Candidate> candidates) {
  constexpr int rounds = 9;
  constexpr double round_seconds = 0.02;
  for (Candidate& candidate : candidates) candidate.body();
  for (int round = 0; round < rounds; ++round) {
    for (Candidate& candidate : candidates) {
      int calls = 0;
      double seconds = 0;
      for (; seconds < round_seconds; ++calls) seconds += seconds_of(candidate.body);
      candidate.seconds.push_back(seconds / calls);
    }
  }
  std::printf("%-30s", row.c_str());
  for (const Candidate& candidate : candidates) {
    std::printf("  %s %.1f (%.1f) %s", candidate.name.c_str(), candidate.median(), candidate.best(),
                unit);
    if (&candidate != &candidates[0]) {
      std::printf(" %.0f%% (%.0f%%)", 100 * candidate.median() / candidates[0].median(),
                  100 * candidate.best() / candidates[0].best());
    }
  }
  std::printf("\n");
  std::fflush(stdout);
}

// --- limits ---

constexpr int peak_steps = 200000;
constexpr int peak_chains = 24;

__attribute__((target("avx512f,avx512bf16"))) float bf16_peak() {
  __m512 sums[peak_chains];
  for (int i = 0; i < peak_chains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512 x = _mm512_set1_ps(1.5f);
  for (int i = 0; i < peak_steps; ++i) {
#pragma GCC unroll 32
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)x);
    asm volatile("" : "+v"(x));
  }
  float total = 0;
  for (const __m512& sum : sums) total += _mm512_cvtss_f32(sum);
  return total;
}
__attribute__((target("avx512f"))) float avx512_peak() {
  __m512 sums[peak_chains];
  for (int i = 0; i < peak_chains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512 x = _mm512_set1_ps(1e-3f);
  for (int i = 0; i < peak_steps; ++i) {
#pragma GCC unroll 32
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(x, x, sum);
    asm volatile("" : "+v"(x));
  }
  float total = 0;
  for (const __m512& sum : sums) total += _mm512_cvtss_f32(sum);
  return total;
}
__attribute__((target("avx2,fma"))) float avx2_peak() {
  constexpr int chains = 12;
  __m256 sums[chains];
  for (int i = 0; i < chains; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  __m256 x = _mm256_set1_ps(1e-3f);
  for (int i = 0; i < peak_steps * peak_chains / chains; ++i) {
#pragma GCC unroll 32
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(x, x, sum);
    asm volatile("" : "+x"(x));
  }
  float total = 0;
  for (const __m256& sum : sums) total += _mm256_cvtss_f32(sum);
  return total;
}

volatile float sink;

Candidate peak(ThreadPool& threads, float (*loop)(), double flops_per_instruction) {
  return {"peak",
          [&threads, loop] {
            threads.for_each(threads.thread_count(), [&](int64_t) { sink = loop(); });
          },
          flops_per_instruction * peak_chains * peak_steps * threads.thread_count() * 1e-9};
}

Candidate f32_limit(ThreadPool& threads, Isa isa) {
  return isa == Isa::avx512 ? peak(threads, avx512_peak, 32) : peak(threads, avx2_peak, 16);
}

uint64_t add_up(const std::byte* from, size_t count) {
  typedef uint64_t Wide __attribute__((vector_size(64), aligned(1), may_alias));
  Wide sums[4] = {};
  const auto* words = reinterpret_cast<const Wide*>(from);
  for (size_t i = 0; i < count / sizeof(Wide); i += 4) {
    for (size_t j = 0; j < 4; ++j) sums[j] |= words[i + j];
  }
  const Wide all = sums[0] | sums[1] | sums[2] | sums[3];
  return all[0] | all[3];
}

// --- numbers ---

// More than any cache holds, so that a product that goes on to the next piece reads memory.
class WeightStore {
 public:
  static constexpr size_t size_bytes = size_t{768} << 20;

  WeightStore() : memory_(host_memory(), size_bytes) {
    std::mt19937 generator(1);
    auto* numbers = static_cast<uint16_t*>(memory_.data());
    std::vector<uint16_t> some(1 << 16);
    std::normal_distribution<float> normal(0, 0.02f);
    for (uint16_t& number : some) number = to_bf16(normal(generator)).bits;
    for (size_t i = 0; i < size_bytes / 2; ++i) numbers[i] = some[(i ^ (i >> 16)) % some.size()];
  }

  // The next piece of memory for a weight.
  const std::byte* next(size_t count) {
    if (at_ + count > size_bytes) at_ = 0;
    const std::byte* piece = static_cast<std::byte*>(memory_.data()) + at_;
    at_ += (count + 63) / 64 * 64;
    return piece;
  }

 private:
  Buffer memory_;
  size_t at_ = 0;
};

// f32 numbers that begin with a line of memory, as activations do.
class Numbers {
 public:
  explicit Numbers(int64_t count)
      : memory_(host_memory(), static_cast<size_t>(count) * sizeof(float)), count_(count) {
    std::mt19937 generator(7);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < count; ++i) data()[i] = normal(generator);
  }

  float* data() const { return static_cast<float*>(memory_.data()); }
  size_t size() const { return static_cast<size_t>(count_); }
  float operator[](size_t i) const { return data()[i]; }

 private:
  Buffer memory_;
  int64_t count_;
};

struct Shape3 {
  int64_t M, N, K;
  std::string text() const {
    return "[" + std::to_string(M) + ", " + std::to_string(K) + "] x [" + std::to_string(N) + ", " +
           std::to_string(K) + "]";
  }
};

// --- peers ---

#if defined(MINIMAX_BENCH_ONEDNN)
// bf16 x bf16 -> f32; the weight in the library's own format, or as it lies in a file.
class OneDnn {
 public:
  enum class Format { own, plain };

  OneDnn(const Shape3& shape, const Numbers& x, const void* weight, Format format)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using Tag = dnnl::memory::format_tag;
    const auto bf16_type = dnnl::memory::data_type::bf16;
    const dnnl::memory::desc x_desc({shape.M, shape.K}, bf16_type, Tag::ab);
    const dnnl::memory::desc plain({shape.K, shape.N}, bf16_type, Tag::ba);
    const dnnl::memory::desc any({shape.K, shape.N}, bf16_type, Tag::any);
    const dnnl::memory::desc out({shape.M, shape.N}, dnnl::memory::data_type::f32, Tag::ab);
    const dnnl::matmul::desc matmul(x_desc, format == Format::own ? any : plain, out);
    const dnnl::matmul::primitive_desc chosen(matmul, engine_);
    product_ = dnnl::matmul(chosen);
    x_ = dnnl::memory(x_desc, engine_);
    auto* halves = static_cast<uint16_t*>(x_.get_data_handle());
    for (size_t i = 0; i < x.size(); ++i) halves[i] = to_bf16(x[i]).bits;
    weight_ = dnnl::memory(chosen.weights_desc(), engine_);
    const dnnl::memory::desc wide({shape.M, shape.K}, dnnl::memory::data_type::f32, Tag::ab);
    wide_x_ = dnnl::memory(wide, engine_, x.data());
    narrow_x_ = dnnl::reorder(wide_x_, x_);
    dnnl::memory given(plain, engine_, const_cast<void*>(weight));
    dnnl::reorder(given, weight_).execute(stream_, given, weight_);
    out_ = dnnl::memory(out, engine_);
    stream_.wait();
  }

  void run() {
    product_.execute(stream_,
                     {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, weight_}, {DNNL_ARG_DST, out_}});
    stream_.wait();
  }
  // The whole job of CpuBackend::linear: x is f32 and is rounded first.
  void run_from_f32() {
    narrow_x_.execute(stream_, wide_x_, x_);
    run();
  }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul product_;
  dnnl::reorder narrow_x_;
  dnnl::memory wide_x_, x_, weight_, out_;
};
#endif

using Sgemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                       float alpha, const float* a, int a_stride, const float* b, int b_stride,
                       float beta, float* c, int c_stride);

Sgemm load_sgemm(const char* path, int threads) {
  void* library = dlopen(path, RTLD_NOW);
  for (const std::string prefix : {"", "scipy_"}) {
    if (!library) break;
    void* function = dlsym(library, (prefix + "cblas_sgemm").c_str());
    void* set_threads = dlsym(library, (prefix + "openblas_set_num_threads").c_str());
    if (!function) continue;
    if (set_threads) reinterpret_cast<void (*)(int)>(set_threads)(threads);
    return reinterpret_cast<Sgemm>(function);
  }
  std::fprintf(stderr, "%s: no cblas_sgemm there\n", path);
  std::exit(2);
}

// --- rows ---

StepLimits limits_of(int64_t tokens, int64_t inputs) {
  return {.tokens = tokens,
          .widest_input = inputs,
          .width = 1,
          .head_count = 1,
          .head_dim = 1,
          .expert_count = 1,
          .experts_per_token = 1,
          .expert_width = 1};
}

struct Bench {
  int threads;
  Sgemm sgemm;
  WeightStore store;

  Candidate ours(const char* name, CpuBackend& backend, const Shape3& shape, const Numbers& x,
                 const void* weight, DType dtype, const Numbers& out) const {
    return {name,
            [&backend, shape, &x, weight, dtype, &out] {
              backend.linear({x.data(), DType::f32, {shape.M, shape.K}},
                             {{weight, dtype, {shape.N, shape.K}}}, Activation::none,
                             {out.data(), DType::f32, {shape.M, shape.N}});
            },
            2e-9 * static_cast<double>(shape.M * shape.N * shape.K)};
  }

  void bf16_product(const Shape3& shape) {
    CpuBackend backend(threads, CpuCompute::bf16);
    backend.reserve(limits_of(shape.M, shape.K));
    const Numbers x(shape.M * shape.K);
    const Numbers out(shape.M * shape.N);
    const void* weight = store.next(static_cast<size_t>(shape.N * shape.K) * 2);
    std::vector<Candidate> candidates{peak(backend.threads(), bf16_peak, 64),
                                      ours("ours", backend, shape, x, weight, DType::bf16, out)};
#if defined(MINIMAX_BENCH_ONEDNN)
    OneDnn own(shape, x, weight, OneDnn::Format::own);
    OneDnn plain(shape, x, weight, OneDnn::Format::plain);
    const double work = candidates[1].work;
    candidates.push_back({"oneDNN packed", [&] { own.run(); }, work});
    candidates.push_back({"oneDNN plain", [&] { plain.run(); }, work});
    candidates.push_back({"oneDNN from f32", [&] { plain.run_from_f32(); }, work});
#endif
    race("bf16 " + shape.text(), "GFLOP/s", candidates);
  }

  void f32_product(const Shape3& shape, Isa isa) {
    CpuBackend backend(threads, CpuCompute::f32, isa);
    backend.reserve(limits_of(shape.M, shape.K));
    const Numbers x(shape.M * shape.K);
    const Numbers wide(shape.N * shape.K);
    const Numbers out(shape.M * shape.N);
    const void* weight = store.next(static_cast<size_t>(shape.N * shape.K) * 2);
    std::vector<Candidate> candidates{
        f32_limit(backend.threads(), isa),
        ours("bf16 weights", backend, shape, x, weight, DType::bf16, out),
        ours("f32 weights", backend, shape, x, wide.data(), DType::f32, out)};
    if (sgemm && isa == best_isa()) {
      const int M = static_cast<int>(shape.M), N = static_cast<int>(shape.N),
                K = static_cast<int>(shape.K);
      candidates.push_back({"OpenBLAS",
                            [&, M, N, K] {
                              sgemm(101, 111, 112, M, N, K, 1, x.data(), K, wide.data(), K, 0,
                                    out.data(), N);
                            },
                            candidates[1].work});
    }
    race(std::string(name_of(isa)) + " f32 " + shape.text(), "GFLOP/s", candidates);
  }

  void vector_product(const Shape3& shape, DType dtype) {
    CpuBackend backend(threads, CpuCompute::bf16);
    backend.reserve(limits_of(shape.M, shape.K));
    const Numbers x(shape.M * shape.K);
    const Numbers out(shape.M * shape.N);
    const size_t count = static_cast<size_t>(shape.N * shape.K) * size_of(dtype);
    const double gigabytes = static_cast<double>(count) * 1e-9;
    const auto read = [&] {
      constexpr size_t piece = 256 << 10;
      const std::byte* from = store.next(count);
      backend.threads().for_each(static_cast<int64_t>(count / piece), [&](int64_t i) {
        sink = static_cast<float>(add_up(from + static_cast<size_t>(i) * piece, piece));
      });
    };
    const auto multiply = [&] {
      backend.linear({x.data(), DType::f32, {shape.M, shape.K}},
                     {{store.next(count), dtype, {shape.N, shape.K}}}, Activation::none,
                     {out.data(), DType::f32, {shape.M, shape.N}});
    };
    race(std::string(name_of(dtype)) + " " + shape.text() + " from memory", "GB/s",
         {{"read", read, gigabytes}, {"ours", multiply, gigabytes}});
  }

  void experts(int64_t T, int64_t W, int64_t F, int64_t X, int64_t E, CpuCompute compute) {
    CpuBackend backend(threads, compute);
    backend.reserve({.tokens = T,
                     .widest_input = W,
                     .width = W,
                     .head_count = 1,
                     .head_dim = 1,
                     .expert_count = X,
                     .experts_per_token = E,
                     .expert_width = F});
    const auto matrix = [&](int64_t n, int64_t k) {
      return Weight{{store.next(static_cast<size_t>(n * k) * 2), DType::bf16, {n, k}}};
    };
    std::vector<ExpertWeights> weights;
    for (int64_t i = 0; i < X; ++i) weights.push_back({matrix(F, W), matrix(F, W), matrix(W, F)});
    const Numbers x(T * W);
    const Numbers out(T * W);
    std::vector<int32_t> chosen(static_cast<size_t>(T * E));
    std::vector<float> shares(chosen.size(), 0.5f);
    std::mt19937 generator(3);
    for (size_t i = 0; i < chosen.size(); ++i) {
      do {
        chosen[i] = static_cast<int32_t>(generator() % static_cast<uint32_t>(X));
      } while (i % static_cast<size_t>(E) && chosen[i] == chosen[i - 1]);
    }
    const auto moe = [&] {
      backend.moe({x.data(), DType::f32, {T, W}}, weights, {chosen.data(), DType::i32, {T, E}},
                  {shares.data(), DType::f32, {T, E}}, {out.data(), DType::f32, {T, W}});
    };
    race("moe T " + std::to_string(T) + " W " + std::to_string(W) + " F " + std::to_string(F) +
             " X " + std::to_string(X) + (compute == CpuCompute::bf16 ? " bf16" : " f32"),
         "GFLOP/s",
         {compute == CpuCompute::bf16 && best_isa() == Isa::avx512
              ? peak(backend.threads(), bf16_peak, 64)
              : f32_limit(backend.threads(), best_isa()),
          {"ours", moe, 6e-9 * static_cast<double>(T * E * W * F)}});
  }
};

void run(int threads, Sgemm sgemm, const std::string& only) {
  Bench bench{threads, sgemm, {}};
  const auto wanted = [&](const char* part) { return only.empty() || only == part; };
  std::printf("%d threads, %s\n", threads, std::string(name_of(best_isa())).c_str());
  if (wanted("vector")) {
    for (const int64_t M : {1, 2, 4, 8}) bench.vector_product({M, 6144, 6144}, DType::bf16);
    for (const int64_t M : {1, 2, 4, 8}) bench.vector_product({M, 3072, 512}, DType::bf16);
    bench.vector_product({1, 512, 768}, DType::bf16);
    bench.vector_product({1, 6144, 6144}, DType::f32);
  }
  if (best_isa() == Isa::avx512 && wanted("bf16")) {
    for (const int64_t M : {9, 16, 32, 64, 128, 256, 512}) bench.bf16_product({M, 3072, 512});
    for (const Shape3& shape :
         {Shape3{512, 512, 1024}, Shape3{512, 1024, 512}, Shape3{512, 768, 512},
          Shape3{512, 512, 768}, Shape3{256, 6144, 6144}, Shape3{512, 6144, 9216},
          Shape3{32, 9216, 6144}}) {
      bench.bf16_product(shape);
    }
  }
  if (wanted("f32")) {
    for (const Isa isa : supported_isas()) {
      for (const Shape3& shape :
           {Shape3{512, 3072, 512}, Shape3{512, 512, 1024}, Shape3{256, 1536, 6144}}) {
        bench.f32_product(shape, isa);
      }
    }
  }
  if (wanted("moe")) {
    for (const CpuCompute compute : {CpuCompute::f32, CpuCompute::bf16}) {
      for (const int64_t T : {1, 8, 64, 128, 512}) bench.experts(T, 512, 768, 32, 2, compute);
    }
  }
}

}  // namespace
}  // namespace minimax

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  minimax::one_thread = threads == 1;
  const std::string only = argc > 2 ? argv[2] : "";
  minimax::run(threads, argc > 3 ? minimax::load_sgemm(argv[3], threads) : nullptr,
               only == "all" ? "" : only);
}
