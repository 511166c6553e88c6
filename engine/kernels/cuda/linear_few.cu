// SPDX-License-Identifier: Apache-2.0
// Products with few tokens: as fast as the weights can be read.
#include <algorithm>

#include "engine/kernels/cuda/few.cuh"
#include "engine/kernels/cuda/linear.h"

namespace minimax {
namespace {

// A block's share of the outputs, in jobs of up to Rows of them.
template <int Rows>
struct LinearWork {
  const LinearCall& call;
  Stretch units;  // of 8 outputs

  struct Job {
    int output, rows, tokens;
  };
  __device__ int jobs() const { return ceiling(units.size(), Rows / 8); }
  __device__ int inputs() const { return call.inputs; }
  __device__ Job job(int i) const {
    const Stretch part = units.part(i, jobs());
    return {8 * part.first, min(8 * part.last, call.outputs) - 8 * part.first, call.tokens};
  }
  __device__ const bfloat16* weight_row(const Job& job, int row) const {
    return call.weight + static_cast<int64_t>(job.output + row) * call.inputs;
  }
  __device__ const bfloat16* token_row(const Job&, int token) const {
    return call.x + token * call.x_stride;
  }
  __device__ const bfloat16* somewhere() const { return call.weight; }

  template <typename Sum>
  __device__ void finish(const Job& job, int first_token, const Sum& sum) const {
    for (int i = static_cast<int>(threadIdx.x); i < 8 * Rows; i += static_cast<int>(blockDim.x)) {
      const int row = i % Rows, token = first_token + i / Rows;
      if (row >= job.rows || token >= call.tokens) continue;
      float value = sum(row, i / Rows);
      if (call.activation == Activation::silu) value = silu(value);
      const int64_t place = token * call.out_stride + job.output + row;
      if (call.out_f32) {
        static_cast<float*>(call.out)[place] = value;
      } else {
        static_cast<bfloat16*>(call.out)[place] = __float2bfloat16(value);
      }
    }
  }
};

template <typename Stream>
__global__ void __launch_bounds__(Stream::threads, 1)
    linear_stream(const __grid_constant__ LinearCall call) {
  extern __shared__ __align__(128) unsigned char shared[];
  let_next_start();
  const Stretch units{0, ceiling(call.outputs, 8)};
  const LinearWork<Stream::rows> work{
      call, units.part(static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x))};
  Stream::template run<true>(work, shared, call.tokens);
}

template <typename Stream>
void launch_stream(const Launcher& launch, const LinearCall& call) {
  const int units = (call.outputs + 7) / 8;
  const int blocks = std::min(units, launch.device().multiprocessors);
  const size_t shared = Stream::shared_bytes(call.tokens);
  launch.allow_shared(linear_stream<Stream>, shared);
  launch(linear_stream<Stream>, dim3(static_cast<unsigned>(blocks)), dim3(Stream::threads), shared,
         call);
}

template <int TokenTiles>
void launch_tiles(const Launcher& launch, const LinearCall& call) {
  const int multiprocessors = launch.device().multiprocessors;
  const int units = ((call.outputs + 7) / 8 + multiprocessors - 1) / multiprocessors;
  if (units <= 1) {
    launch_stream<WeightStream<8, 1024 / TokenTiles, TokenTiles, 4>>(launch, call);
  } else if (units == 2) {
    launch_stream<WeightStream<16, 512, TokenTiles, 4>>(launch, call);
  } else if (units <= 4) {
    launch_stream<WeightStream<32, 256, TokenTiles, 4>>(launch, call);
  } else if (units <= 6) {
    launch_stream<WeightStream<48, 128, TokenTiles, 6>>(launch, call);
  } else {
    launch_stream<WeightStream<64, 128, TokenTiles, 5>>(launch, call);
  }
}

}  // namespace

bool linear_few(const Launcher& launch, const LinearCall& call) {
  if (call.tokens < 1 || call.tokens > few_tokens || call.outputs < 1 || call.inputs < 8 ||
      call.inputs % 8 != 0 || call.x_stride % 8 != 0 || !aligned(call.x) || !aligned(call.weight)) {
    return false;
  }
  if (call.tokens <= 8) {
    launch_tiles<1>(launch, call);
  } else {
    launch_tiles<2>(launch, call);
  }
  return true;
}

}  // namespace minimax
