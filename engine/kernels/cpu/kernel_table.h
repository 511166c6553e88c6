// SPDX-License-Identifier: Apache-2.0
// Inner loops per instruction set, and the choice between them when a backend is opened.
//
// Every file *_kernels.cc is compiled once for each instruction set (see CMakeLists.txt), in a
// namespace of its own, against simd.h; each gives one table of functions. Such files include nothing
// but simd.h, this header and C headers: an inline function of the standard library compiled there
// could be chosen by the linker for all and then crash on lesser processors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace minimax {

enum class Isa { portable, avx2, avx512 };  // avx512: F, BW, DQ, VL and BF16

struct LinearKernels;     // linear_kernels.h
struct AttentionKernels;  // attention_kernels.h
struct RowKernels;        // row_kernels.h

struct KernelTable {
  Isa isa;
  const LinearKernels& linear;
  const AttentionKernels& attention;
  const RowKernels& rows;
};

// The best one this processor can run.
Isa best_isa();
// All that this processor can run, portable first.
std::vector<Isa> supported_isas();
// The table of one of supported_isas().
const KernelTable& kernel_table(Isa isa);
std::string_view name_of(Isa isa);

}  // namespace minimax
