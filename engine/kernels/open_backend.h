// SPDX-License-Identifier: Apache-2.0
// Device names to backends: the only place that knows all kinds of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ops/backend.h"

namespace minimax {

// What the inputs of matrix products are rounded to; automatic: f32 on the CPU, bf16 on a GPU.
enum class Compute { automatic, f32, bf16 };

struct DeviceDescription {
  std::string name;         // "cpu"
  std::string description;  // the processor's own name
  uint64_t memory_bytes;
  int32_t core_count;
};

// Whether "cuda:0" and its like can be opened where there is such a device.
bool built_with_cuda();
// Everything a backend can be opened on. "cpu" is always the first.
const std::vector<DeviceDescription>& devices();
// Tokens of a prompt that are best computed at once.
int64_t default_chunk_tokens(std::string_view device);
// Free memory of one of them now, in bytes.
uint64_t available_bytes(std::string_view device);

// "cuda:0" and so on: a GPU, in bf16; MINIMAX_UNSUPPORTED for f32.
// "cpu", or one way of it for comparisons: "cpu:avx512", "cpu:avx2", "cpu:portable" (vector kernels of
// one kind), "cpu:plain" (plain loops on one thread). MINIMAX_NOT_FOUND when there is no such device,
// MINIMAX_NOT_AVAILABLE when this machine or build lacks it. thread_count 1 or more, for the CPU's own
// work.
std::unique_ptr<Backend> open_backend(std::string_view device, Compute compute, int thread_count);

}  // namespace minimax
