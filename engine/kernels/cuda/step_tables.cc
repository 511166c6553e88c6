// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/cuda/step_tables.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/cuda/cuda_check.h"

namespace minimax {
namespace {

template <typename Entry>
void fill_rows(std::span<const Entry> entries, std::vector<int32_t>& rows) {
  rows.clear();
  for (size_t s = 0; s < entries.size(); ++s) {
    rows.insert(rows.end(), static_cast<size_t>(entries[s].row_count), static_cast<int32_t>(s));
  }
}

template <typename Entry>
bool is_list(std::span<const Entry> list, std::span<const Entry> known) {
  return !known.empty() && list.data() == known.data() && list.size() == known.size();
}

}  // namespace

StepTables::~StepTables() {
  for (const Mirror* mirror :
       {&positions_, &lightning_, &lightning_rows_, &kv_, &kv_rows_, &pages_, &draws_}) {
    cudaFreeHost(mirror->pinned);
  }
  if (copied_) cudaEventDestroy(copied_);
}

void StepTables::reserve(int64_t tokens, int64_t sequences) {
  const auto rows = static_cast<size_t>(tokens), entries = static_cast<size_t>(sequences);
  fit(positions_, rows * sizeof(int32_t));
  fit(lightning_rows_, rows * sizeof(int32_t));
  fit(kv_rows_, rows * sizeof(int32_t));
  fit(lightning_, entries * sizeof(DeviceLightning));
  fit(kv_, entries * sizeof(DeviceKv));
  fit(pages_, 4096 * sizeof(void*));
  fit(draws_, entries * sizeof(DeviceDraw));
}

void StepTables::fit(Mirror& mirror, size_t size_bytes) {
  if (size_bytes <= mirror.capacity) return;
  const size_t capacity = std::max(size_bytes, 2 * mirror.capacity);
  void* pinned = nullptr;
  check_cuda(cudaStreamSynchronize(stream_), "cuda: tables of a step");
  check_cuda(cudaHostAlloc(&pinned, capacity, cudaHostAllocDefault),
             "cuda: pinned memory for the tables of a step, ", capacity, " bytes");
  cudaFreeHost(mirror.pinned);
  mirror.pinned = static_cast<std::byte*>(pinned);
  mirror.capacity = 0;  // until the device's part is there
  mirror.used = 0;
  mirror.device = Buffer(*memory_, capacity);
  mirror.capacity = capacity;
  ++generation_;
}

bool StepTables::store(Mirror& mirror, const void* bytes, size_t size_bytes) {
  if (size_bytes == mirror.used && std::memcmp(mirror.pinned, bytes, size_bytes) == 0) return false;
  fit(mirror, size_bytes);
  if (!copied_) {
    check_cuda(cudaEventCreateWithFlags(&copied_, cudaEventDisableTiming),
               "cuda: tables of a step");
  }
  check_cuda(cudaEventSynchronize(copied_), "cuda: tables of a step");  // the twin may still travel
  std::memcpy(mirror.pinned, bytes, size_bytes);
  mirror.used = size_bytes;
  check_cuda(cudaMemcpyAsync(mirror.device.data(), mirror.pinned, size_bytes,
                             cudaMemcpyHostToDevice, stream_),
             "cuda: tables of a step");
  check_cuda(cudaEventRecord(copied_, stream_), "cuda: tables of a step");
  return true;
}

void StepTables::begin_step(const StepSequences& sequences) {
  end_step();
  const DeviceRows rows = copy(sequences.spans);
  const DeviceTable<DeviceLightning> lightning = copy(sequences.lightning);
  step_ = {sequences, rows, lightning, copy(sequences.kv)};
}

// A list that is not the step's takes the place of the step's.
DeviceRows StepTables::rows(std::span<const SequenceSpan> spans) {
  if (is_list(spans, step_.lists.spans)) return step_.rows;
  step_.lists.spans = {};
  return copy(spans);
}

DeviceTable<DeviceLightning> StepTables::lightning(std::span<const LightningSequence> sequences) {
  if (is_list(sequences, step_.lists.lightning)) return step_.lightning;
  step_.lists.lightning = {};
  return copy(sequences);
}

DeviceTable<DeviceKv> StepTables::kv(std::span<const KvSequence> sequences) {
  if (is_list(sequences, step_.lists.kv)) return step_.kv;
  step_.lists.kv = {};
  return copy(sequences);
}

DeviceRows StepTables::copy(std::span<const SequenceSpan> spans) {
  row_numbers_.clear();
  for (const SequenceSpan& span : spans) {
    for (int64_t i = 0; i < span.row_count; ++i) {
      row_numbers_.push_back(static_cast<int32_t>(span.position + i));
    }
  }
  store(positions_, row_numbers_.data(), row_numbers_.size() * sizeof(int32_t));
  return {static_cast<const int32_t*>(positions_.device.data())};
}

DeviceTable<DeviceLightning> StepTables::copy(std::span<const LightningSequence> sequences) {
  lightning_entries_.clear();
  for (const LightningSequence& sequence : sequences) {
    lightning_entries_.push_back({.first_row = static_cast<int32_t>(sequence.span.first_row),
                                  .row_count = static_cast<int32_t>(sequence.span.row_count),
                                  .position = sequence.span.position,
                                  .committed = sequence.committed,
                                  .committed_after = sequence.committed_after,
                                  .states = static_cast<float*>(sequence.state.raw()),
                                  .logs = sequence.log.raw(),
                                  .log_rows = sequence.log.dim(2)});
  }
  const std::span<const DeviceLightning> entries(lightning_entries_);
  store(lightning_, entries.data(), entries.size_bytes());
  fill_rows(entries, row_numbers_);
  store(lightning_rows_, row_numbers_.data(), row_numbers_.size() * sizeof(int32_t));
  return {static_cast<const DeviceLightning*>(lightning_.device.data()), entries,
          static_cast<const int32_t*>(lightning_rows_.device.data())};
}

DeviceTable<DeviceKv> StepTables::copy(std::span<const KvSequence> sequences) {
  page_list_.clear();
  for (const KvSequence& sequence : sequences) {
    page_list_.insert(page_list_.end(), sequence.pages.begin(), sequence.pages.end());
  }
  const size_t list_bytes = page_list_.size() * sizeof(std::byte*);
  fit(pages_, list_bytes);
  store(pages_, page_list_.data(), list_bytes);
  auto* pages = static_cast<std::byte* const*>(pages_.device.data());
  kv_entries_.clear();
  for (const KvSequence& sequence : sequences) {
    kv_entries_.push_back({.first_row = static_cast<int32_t>(sequence.span.first_row),
                           .row_count = static_cast<int32_t>(sequence.span.row_count),
                           .position = sequence.span.position,
                           .pages = pages});
    pages += sequence.pages.size();
  }
  const std::span<const DeviceKv> entries(kv_entries_);
  store(kv_, entries.data(), entries.size_bytes());
  fill_rows(entries, row_numbers_);
  store(kv_rows_, row_numbers_.data(), row_numbers_.size() * sizeof(int32_t));
  return {static_cast<const DeviceKv*>(kv_.device.data()), entries,
          static_cast<const int32_t*>(kv_rows_.device.data()),
          page_list_.empty() ? nullptr : *std::min_element(page_list_.begin(), page_list_.end())};
}

const DeviceDraw* StepTables::draws(std::span<const LogitsRow> rows) {
  draw_entries_.clear();
  for (const LogitsRow& row : rows) {
    draw_entries_.push_back({.logits = row.logits.data<float>(),
                             .uniform = row.rule.uniform,
                             .temperature = row.rule.temperature,
                             .top_p = row.rule.top_p,
                             .min_p = row.rule.min_p,
                             .top_k = row.rule.top_k});
  }
  store(draws_, draw_entries_.data(), draw_entries_.size() * sizeof(DeviceDraw));
  return static_cast<const DeviceDraw*>(draws_.device.data());
}

}  // namespace minimax
