// SPDX-License-Identifier: Apache-2.0
// Looks rows of the embedding table up.
#include "engine/kernels/cuda/few.cuh"
#include "engine/kernels/cuda/rows.h"

namespace minimax {
namespace {

template <typename Piece>
__global__ void __launch_bounds__(256)
    embed_pieces(const int32_t* ids, const Piece* table, Piece* out, int64_t pieces) {
  let_next_start();
  wait_for_inputs();
  const int64_t row = blockIdx.x;
  const Piece* from = table + ids[row] * pieces;
  Piece* to = out + row * pieces;
  for (int64_t i = threadIdx.x; i < pieces; i += 256) to[i] = from[i];
}

}  // namespace

void embed_rows(const Launcher& launch, const int32_t* ids, const bfloat16* table, bfloat16* out,
                int tokens, int width) {
  if (tokens == 0) return;
  const dim3 grid(static_cast<unsigned>(tokens)), block(256);
  if (width % 8 == 0 && aligned(table) && aligned(out)) {
    launch(embed_pieces<uint4>, grid, block, 0, ids, reinterpret_cast<const uint4*>(table),
           reinterpret_cast<uint4*>(out), static_cast<int64_t>(width / 8));
  } else {
    launch(embed_pieces<bfloat16>, grid, block, 0, ids, table, out, static_cast<int64_t>(width));
  }
}

}  // namespace minimax
