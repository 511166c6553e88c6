// SPDX-License-Identifier: Apache-2.0
// The sequences of a step as kernels see them: copied to the device once, read by every layer.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/ops/views.h"
#include "engine/tensor/buffer.h"

namespace minimax {

// As LightningSequence. Layer l of a sequence lies l * H * D * D floats behind `states`, and
// l * H * 2 * log_rows * D numbers behind `logs`.
struct DeviceLightning {
  int32_t first_row;
  int32_t row_count;
  int64_t position;
  int64_t committed;
  int64_t committed_after;
  float* states;  // [layers, H, D, D]
  void* logs;     // [layers, H, 2, log_rows, D] bf16
  int64_t log_rows;
};

// As KvSequence: token j lies in pages[j / page_tokens].
struct DeviceKv {
  int32_t first_row;
  int32_t row_count;
  int64_t position;
  std::byte* const* pages;
};

// As LogitsRow.
struct DeviceDraw {
  const float* logits;  // [V]
  double uniform;
  float temperature;
  float top_p;
  float min_p;
  int32_t top_k;
};

// One kind of sequence on the device.
template <typename Entry>
struct DeviceTable {
  const Entry* entries = nullptr;  // device memory
  std::span<const Entry> host;  // the same on the host; `pages` there is an address on the device
  const int32_t* row_sequence = nullptr;   // [T] device: which entry a row belongs to
  const std::byte* lowest_page = nullptr;  // of DeviceKv: the lowest address of all pages
};

// Rows of a step: [T] i32, on the device.
struct DeviceRows {
  const int32_t* positions = nullptr;
};

// Fixed places on the device, so that recorded steps find the next step's sequences where the last one's
// were. One thread.
class StepTables {
 public:
  // The stream and the memory must outlive it.
  StepTables(Memory& memory, cudaStream_t stream) : memory_(&memory), stream_(stream) {}
  ~StepTables();

  // Room for steps of so many tokens and sequences. Pages grow as they must.
  void reserve(int64_t tokens, int64_t sequences);

  // Copies the tables of a step: until end_step(), the lists of `sequences` are looked up, not read again.
  void begin_step(const StepSequences& sequences);
  void end_step() { step_ = {}; }

  // Lists of the step, or others, which are copied unless the same are there. Ordered on the stream
  // before what follows.
  DeviceRows rows(std::span<const SequenceSpan> spans);
  DeviceTable<DeviceLightning> lightning(std::span<const LightningSequence> sequences);
  DeviceTable<DeviceKv> kv(std::span<const KvSequence> sequences);

  // Rows to draw from; of no step. Ordered likewise.
  const DeviceDraw* draws(std::span<const LogitsRow> rows);

  // Changes when a table had to move: what was recorded before is of no use any more.
  int64_t generation() const { return generation_; }

 private:
  // Bytes on the device with their twin on the host: pinned, so that copies need not wait.
  struct Mirror {
    Buffer device;
    std::byte* pinned = nullptr;
    size_t capacity = 0;
    size_t used = 0;
  };
  // What begin_step was told, and what it made of it.
  struct Known {
    StepSequences lists;
    DeviceRows rows;
    DeviceTable<DeviceLightning> lightning;
    DeviceTable<DeviceKv> kv;
  };

  DeviceRows copy(std::span<const SequenceSpan> spans);
  DeviceTable<DeviceLightning> copy(std::span<const LightningSequence> sequences);
  DeviceTable<DeviceKv> copy(std::span<const KvSequence> sequences);
  void fit(Mirror& mirror, size_t size_bytes);
  // True when the bytes were other than before.
  bool store(Mirror& mirror, const void* bytes, size_t size_bytes);

  Memory* memory_;
  cudaStream_t stream_;
  cudaEvent_t copied_ = nullptr;
  int64_t generation_ = 0;
  Known step_;
  Mirror positions_, lightning_, lightning_rows_, kv_, kv_rows_, pages_, draws_;
  std::vector<DeviceLightning> lightning_entries_;
  std::vector<DeviceKv> kv_entries_;
  std::vector<DeviceDraw> draw_entries_;
  std::vector<int32_t> row_numbers_;
  std::vector<std::byte*> page_list_;
};

}  // namespace minimax
