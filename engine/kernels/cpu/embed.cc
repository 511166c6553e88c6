// SPDX-License-Identifier: Apache-2.0
// Rows of the embedding table on the CPU.
#include <cassert>
#include <cstring>

#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/cpu/row_kernels.h"
#include "engine/kernels/cpu/share_out.h"

namespace minimax {

void CpuBackend::embed(const Tensor& ids, const Tensor& table, const Tensor& out) {
  const int64_t width = table.dim(1);
  share_out(threads_, ids.dim(0), ids.dim(0) * width, [&](int64_t t, int) {
    const int32_t id = ids.data<int32_t>()[t];
    assert(id >= 0 && id < table.dim(0));
    if (table.dtype() == DType::bf16) {
      kernels_.rows.widen(table.row<bf16>(id), out.row<float>(t), width);
    } else {
      std::memcpy(out.row<float>(t), table.row<float>(id),
                  static_cast<size_t>(width) * sizeof(float));
    }
  });
}

}  // namespace minimax
