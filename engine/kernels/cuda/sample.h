// SPDX-License-Identifier: Apache-2.0
// Tokens drawn from rows of logits on the device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/launcher.h"
#include "engine/kernels/cuda/step_tables.h"

namespace minimax {

// What is kept of so many logits that lie side by side.
struct alignas(16) LogitsChunk {
  float top;         // the largest
  float mass;        // sum of exp((logit - top) / temperature); 0 at temperature 0
  float plain_mass;  // sum of exp(logit - top)
  float count;       // of those above -infinity
};

// Device memory that any number of rows needs.
size_t sample_scratch_bytes(int64_t vocabulary);

struct SampleCall {
  const DeviceDraw* rows;  // [row_count]
  int row_count;
  int vocabulary;
  const uint32_t* suppressed;  // [ceil(vocabulary / 32)]
  int32_t* tokens;             // [row_count]
  float* logprobs;             // [row_count]; or nullptr
  LogitsChunk* chunks;         // sample_scratch_bytes
};
// Two kernels for each 64 rows; what they start with depends on row_count and vocabulary alone.
void sample_rows(const Launcher& launch, SampleCall call);

}  // namespace minimax
