// SPDX-License-Identifier: Apache-2.0
// minimax-bench: how fast a model is here, in the tests and tables that llama-bench made familiar.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <cxxopts.hpp>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>

#include "samples/bench_engine.h"
#include "samples/bench_modes.h"
#include "samples/bench_options.h"
#include "samples/bench_report.h"

namespace samples {
namespace {

std::string utc_now() {
  const time_t now = time(nullptr);
  tm parts;
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
  return text;
}

// From here on peak_bytes() tells of what follows, where the system lets us say so.
void forget_peak() {
  std::ofstream("/proc/self/clear_refs") << 5;
}

uint64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

std::string description_of(const std::string& device) {
  size_t count = 0;
  check(minimax_device_count(&count));
  for (size_t i = 0; i < count; ++i) {
    minimax_device_info info;
    minimax_device_info_init(&info, sizeof info);
    check(minimax_get_device_info(i, &info));
    if (info.name == device) return info.description;
  }
  return device;
}

class Bench {
 public:
  Bench(const BenchOptions& options, BenchReport& report) : options_(options), report_(report) {}

  void run() {
    if (options_.measures_bandwidth) bandwidth_ = measure_read_bandwidth(most_threads());
    for (const Setup& setup : options_.setups) run_setup(setup);
  }

 private:
  int most_threads() const {
    minimax_device_info cpu;
    minimax_device_info_init(&cpu, sizeof cpu);
    check(minimax_get_device_info(0, &cpu));
    int most = 1;
    for (const Setup& setup : options_.setups) {
      most = std::max(most, setup.thread_count ? setup.thread_count : cpu.core_count);
    }
    return most;
  }

  void run_setup(const Setup& setup) {
    if (options_.times_loading) time_loading(setup);
    forget_peak();
    BenchEngine engine(setup, options_.seed);
    for (const BenchTest& test : options_.tests) run_test(setup, engine, test);
  }

  void time_loading(const Setup& setup) {
    if (opened_.insert(setup.model.path).second) time_loads(setup, Measure::load_cold, 1);
    time_loads(setup, Measure::load_warm, options_.repetitions);
  }

  void time_loads(const Setup& setup, Measure measure, int count) {
    BenchRow row;
    row.test_time = utc_now();
    forget_peak();
    for (int i = 0; i < count; ++i) {
      const BenchEngine engine(setup, options_.seed);
      row.samples_ns.push_back(engine.load_ns());
      if (i == 0) describe(setup, engine, row);
    }
    row.test.measure = measure;
    row.peak_bytes = peak_bytes();
    report_.add(row);
  }

  void run_test(const Setup& setup, BenchEngine& engine, const BenchTest& test) {
    BenchRow row;
    describe(setup, engine, row);
    row.test = test;
    if (options_.warms_up) engine.run(test);
    row.test_time = utc_now();
    for (int i = 0; i < options_.repetitions; ++i) row.samples_ns.push_back(engine.run(test));
    row.session_bytes = engine.session_bytes();
    row.peak_bytes = peak_bytes();
    report_.add(row);
    forget_peak();
  }

  void describe(const Setup& setup, const BenchEngine& engine, BenchRow& out_row) const {
    out_row.setup = setup;
    out_row.model = engine.model();
    out_row.cpu_description = description_of("cpu");
    out_row.device_description = description_of(setup.devices.front());
    out_row.weight_bytes = engine.info().weight_bytes;
    out_row.parameter_count = engine.info().parameter_count;
    out_row.layer_count = engine.info().layer_count;
    out_row.thread_count = engine.info().thread_count;
    out_row.compute_type = engine.info().compute_type;
    out_row.kv_type = engine.info().kv_type;
    out_row.bandwidth = bandwidth_;
  }

  const BenchOptions& options_;
  BenchReport& report_;
  Bandwidth bandwidth_;
  std::set<std::string> opened_;
};

// A report is closed whatever happens, so that the rows that were measured can be read.
void run_bench(const BenchOptions& options) {
  const std::unique_ptr<BenchReport> report = open_report(options);
  report->begin();
  try {
    Bench(options, *report).run();
  } catch (...) {
    report->end();
    throw;
  }
  report->end();
}

void run_mode(const BenchOptions& options) {
  switch (options.mode) {
    case Mode::serve:
      return serve_runs(options);
    case Mode::logits:
      return write_logits(options);
    case Mode::bench:
      return run_bench(options);
  }
}

int run(int argc, char** argv) {
  try {
    const BenchOptions options = parse_bench_options(argc, argv);
    if (options.notice) {
      fputs(options.notice->c_str(), stdout);
    } else {
      run_mode(options);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
      throw std::runtime_error("standard output cannot be written");
    }
    return 0;
  } catch (const cxxopts::exceptions::exception& error) {
    fprintf(stderr, "minimax-bench: %s\nminimax-bench --help shows the options\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fprintf(stderr, "minimax-bench: %s\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace samples

int main(int argc, char** argv) {
  return samples::run(argc, argv);
}
