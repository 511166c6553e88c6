// SPDX-License-Identifier: Apache-2.0
// What a bench prints: rows as llama-bench's readers know them, in five formats.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "samples/bandwidth.h"
#include "samples/bench_model.h"
#include "samples/bench_options.h"

namespace samples {

struct BenchRow {
  Setup setup;
  BenchTest test;
  BenchModel model;
  std::string device_description, cpu_description;
  uint64_t weight_bytes = 0, parameter_count = 0;
  int32_t layer_count = 0, thread_count = 0, compute_type = 0, kv_type = 0;
  std::string test_time;  // when it began, UTC
  std::vector<uint64_t> samples_ns;
  uint64_t session_bytes = 0, peak_bytes = 0;
  Bandwidth bandwidth;  // of this machine; thread_count 0: not measured
};

class BenchReport {
 public:
  virtual ~BenchReport() = default;
  virtual void begin() {}
  virtual void add(const BenchRow& row) = 0;  // shown at once
  virtual void end() {}
};

std::unique_ptr<BenchReport> open_report(const BenchOptions& options);

}  // namespace samples
