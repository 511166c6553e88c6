// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/cpu/kernel_table.h"

#include "base/error.h"

namespace minimax {

struct LinearKernels;
struct AttentionKernels;
struct RowKernels;

#define MINIMAX_DECLARE_TABLES(isa)                \
  namespace isa {                                  \
  extern const LinearKernels linear_kernels;       \
  extern const AttentionKernels attention_kernels; \
  extern const RowKernels row_kernels;             \
  }
MINIMAX_DECLARE_TABLES(portable)
#if defined(__x86_64__)
MINIMAX_DECLARE_TABLES(avx2)
MINIMAX_DECLARE_TABLES(avx512)
#endif
#undef MINIMAX_DECLARE_TABLES

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas{Isa::portable};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    isas.push_back(Isa::avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bf16")) {
      isas.push_back(Isa::avx512);
    }
  }
#endif
  return isas;
}

Isa best_isa() {
  return supported_isas().back();
}

const KernelTable& kernel_table(Isa isa) {
  static const KernelTable for_portable{Isa::portable, portable::linear_kernels,
                                        portable::attention_kernels, portable::row_kernels};
#if defined(__x86_64__)
  static const KernelTable for_avx2{Isa::avx2, avx2::linear_kernels, avx2::attention_kernels,
                                    avx2::row_kernels};
  static const KernelTable for_avx512{Isa::avx512, avx512::linear_kernels,
                                      avx512::attention_kernels, avx512::row_kernels};
  if (isa == Isa::avx2) return for_avx2;
  if (isa == Isa::avx512) return for_avx512;
#endif
  return for_portable;
}

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::portable:
      return "portable";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "unknown";
}

}  // namespace minimax
