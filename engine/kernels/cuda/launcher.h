// SPDX-License-Identifier: Apache-2.0
// How kernels are started, and what all of them may know of the device.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#include "engine/kernels/cuda/cuda_check.h"

namespace minimax {

// What was found out when the device was opened.
struct CudaDevice {
  int index = 0;
  int multiprocessors = 0;
  bool hopper = false;  // compute capability 9.0: wgmma and TMA kernels run
  int shared_bytes_per_block = 0;
};

// Starts the kernels of one operation on the backend's stream. On Hopper a kernel may start while the one
// before it ends (programmatic dependent launch): every kernel that is started here therefore calls
// wait_for_inputs() before it reads or writes anything but weights, constants, the tables of the step, and
// keys and values of earlier steps; and in every block, since a kernel that has not waited may end before
// the one it follows.
class Launcher {
 public:
  Launcher(const CudaDevice& device, cudaStream_t stream, const char* operation)
      : device_(&device), stream_(stream), operation_(operation) {}

  const CudaDevice& device() const { return *device_; }
  cudaStream_t stream() const { return stream_; }
  const char* operation() const { return operation_; }

  // shared_bytes above 48 KiB must have been allowed with allow_shared.
  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                  Arguments&&... arguments) const {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream_;
    cudaLaunchAttribute overlap{};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    config.attrs = &overlap;
    config.numAttrs = device_->hopper ? 1 : 0;
    check_cuda(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...),
               "cuda:", device_->index, ": ", operation_);
  }

  // Lets a kernel have so much dynamic shared memory; cheap enough to be called each time.
  template <typename... Parameters>
  void allow_shared(void (*kernel)(Parameters...), size_t bytes) const {
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(bytes)),
               "cuda:", device_->index, ": ", operation_);
  }

 private:
  const CudaDevice* device_;
  cudaStream_t stream_;
  const char* operation_;
};

}  // namespace minimax
