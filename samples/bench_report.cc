// SPDX-License-Identifier: Apache-2.0
// What a bench prints.
#include "samples/bench_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

namespace samples {
namespace {

using Json = nlohmann::ordered_json;

struct Spread {
  double mean = 0, deviation = 0;
};

Spread spread_of(const std::vector<double>& samples) {
  const double count = static_cast<double>(samples.size());
  Spread spread;
  for (const double sample : samples) spread.mean += sample / count;
  if (samples.size() < 2) return spread;
  double squares = 0;
  for (const double sample : samples) squares += (sample - spread.mean) * (sample - spread.mean);
  spread.deviation = std::sqrt(squares / (count - 1));
  return spread;
}

std::vector<double> samples_ns(const BenchRow& row) {
  return {row.samples_ns.begin(), row.samples_ns.end()};
}

// Tokens a second, of all sessions together; of opening a model, zeros.
std::vector<double> samples_ts(const BenchRow& row) {
  const double each = static_cast<double>(row.test.n_prompt + row.test.n_gen);
  const double tokens = each * static_cast<double>(std::max<int64_t>(row.test.n_sessions, 1));
  std::vector<double> rates = samples_ns(row);
  for (double& rate : rates) rate = tokens * 1e9 / rate;
  return rates;
}

bool decodes_only(const BenchTest& test) {
  return test.n_gen > 0 && test.n_prompt == 0 && test.n_sessions == 0;
}

// Weights read a second; 0 for tests that use a weight for several tokens at once.
double weight_rate(const BenchRow& row) {
  if (!decodes_only(row.test)) return 0;
  return spread_of(samples_ts(row)).mean * static_cast<double>(row.model.active_bytes);
}

const char* type_name(int32_t type) {
  if (type == MINIMAX_TYPE_F32) return "f32";
  if (type == MINIMAX_TYPE_BF16) return "bf16";
  return type == MINIMAX_TYPE_F16 ? "f16" : "auto";
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : "/") + part;
  return all;
}

bool on_cpu(const BenchRow& row) {
  return row.setup.devices.front() == "cpu";
}

Json fields_of(const BenchRow& row) {
  const Spread ns = spread_of(samples_ns(row)), ts = spread_of(samples_ts(row));
  return {{"build_commit", minimax_source_id()},
          {"build_number", minimax_version_number()},
          {"cpu_info", row.cpu_description},
          {"gpu_info", on_cpu(row) ? "" : row.device_description},
          {"backends", on_cpu(row) ? "CPU" : "CUDA"},
          {"model_filename", row.setup.model.path},
          {"model_type", row.model.type},
          {"model_size", row.weight_bytes},
          {"model_n_params", row.parameter_count},
          {"n_batch", row.test.n_batch},
          {"n_ubatch", row.setup.chunk_tokens},
          {"n_threads", row.thread_count},
          {"type_k", type_name(row.kv_type)},
          {"type_v", type_name(row.kv_type)},
          {"n_gpu_layers", on_cpu(row) ? 0 : row.layer_count},
          {"n_prompt", row.test.n_prompt},
          {"n_gen", row.test.n_gen},
          {"n_depth", row.test.n_depth},
          {"test_time", row.test_time},
          {"avg_ns", std::llround(ns.mean)},
          {"stddev_ns", std::llround(ns.deviation)},
          {"avg_ts", ts.mean},
          {"stddev_ts", ts.deviation},
          {"test", row.test.name()},
          {"n_sessions", row.test.n_sessions},
          {"device", joined(row.setup.devices)},
          {"synthetic", row.setup.model.is_synthetic},
          {"type_compute", type_name(row.compute_type)},
          {"state_type", "f32"},
          {"session_bytes", row.session_bytes},
          {"peak_bytes", row.peak_bytes},
          {"active_bytes", row.model.active_bytes},
          {"weight_bytes_per_s", std::llround(weight_rate(row))},
          {"read_bytes_per_s", std::llround(row.bandwidth.best)}};
}

Json fields_with_samples(const BenchRow& row) {
  Json fields = fields_of(row);
  fields["samples_ns"] = row.samples_ns;
  fields["samples_ts"] = samples_ts(row);
  return fields;
}

std::string quoted(const Json& value, char quote) {
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  std::string inside;
  for (const char c : text) inside += c == quote ? std::string(2, quote) : std::string(1, c);
  return quote + inside + quote;
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void print_line(const std::string& line) {
  printf("%s\n", line.c_str());
  fflush(stdout);
}

class JsonLinesReport : public BenchReport {
  void add(const BenchRow& row) override { print_line(dump(fields_with_samples(row))); }
};

class JsonReport : public BenchReport {
  void begin() override { printf("["); }
  void add(const BenchRow& row) override {
    printf("%s\n  %s", is_first_ ? "" : ",", dump(fields_with_samples(row)).c_str());
    fflush(stdout);
    is_first_ = false;
  }
  void end() override { print_line("\n]"); }

  bool is_first_ = true;
};

class CsvReport : public BenchReport {
  void add(const BenchRow& row) override {
    const Json fields = fields_of(row);
    std::string names, values;
    for (const auto& [name, value] : fields.items()) {
      const char* comma = names.empty() ? "" : ",";
      names += comma + name;
      values += comma + quoted(value, '"');
    }
    if (is_first_) print_line(names);
    is_first_ = false;
    print_line(values);
  }

  bool is_first_ = true;
};

// The table has llama-bench's name, which scripts that compare runs ask for.
class SqlReport : public BenchReport {
  static const char* type(const Json& value) {
    if (value.is_number_float()) return "REAL";
    return value.is_string() ? "TEXT" : "INTEGER";
  }

  void add(const BenchRow& row) override {
    const Json fields = fields_of(row);
    std::string columns, names, values;
    for (const auto& [name, value] : fields.items()) {
      const char* comma = names.empty() ? "" : ", ";
      columns += comma + ("\n  " + name) + " " + type(value);
      names += comma + name;
      values +=
          comma + (value.is_boolean() ? std::to_string(value.get<int>()) : quoted(value, '\''));
    }
    if (is_first_) print_line("CREATE TABLE IF NOT EXISTS llama_bench (" + columns + "\n);\n");
    is_first_ = false;
    print_line("INSERT INTO llama_bench (" + names + ") VALUES (" + values + ");");
  }

  bool is_first_ = true;
};

std::string text(const char* format, double number) {
  char buffer[64];
  snprintf(buffer, sizeof buffer, format, number);
  return buffer;
}

std::string size_text(uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 1024 ? text("%.2f MiB", mib) : text("%.2f GiB", mib / 1024);
}

std::string count_text(uint64_t count) {
  const double millions = static_cast<double>(count) / 1e6;
  return millions < 1000 ? text("%.2f M", millions) : text("%.2f B", millions / 1000);
}

struct Unit {
  const char* name;
  double scale;  // from tokens a second, or from nanoseconds
};

Unit unit_of(const BenchTest& test) {
  switch (test.measure) {
    case Measure::throughput:
      return {"", 1};
    case Measure::fork:
    case Measure::mark:
    case Measure::return_to_mark:
    case Measure::rewind:
      return {" us", 1e-3};
    default:
      return {" ms", 1e-6};
  }
}

std::string result_text(const BenchRow& row) {
  const bool is_rate = row.test.measure == Measure::throughput;
  const Spread spread = spread_of(is_rate ? samples_ts(row) : samples_ns(row));
  const Unit unit = unit_of(row.test);
  return text("%.2f", spread.mean * unit.scale) + " ± " +
         text("%.2f", spread.deviation * unit.scale) + unit.name;
}

class MarkdownReport : public BenchReport {
 public:
  explicit MarkdownReport(const BenchOptions& options) {
    const auto varies = [&](const char* flag) {
      return std::find(options.varied.begin(), options.varied.end(), flag) != options.varied.end();
    };
    const auto column_if = [&](const char* flag, Column column) {
      if (varies(flag)) columns_.push_back(std::move(column));
    };
    columns_ = {
        {"model", -32, [](auto& row) { return row.model.type; }},
        {"size", 10, [](auto& row) { return size_text(row.weight_bytes); }},
        {"params", 8, [](auto& row) { return count_text(row.parameter_count); }},
        {"backend", -7, [](auto& row) { return std::string(on_cpu(row) ? "CPU" : "CUDA"); }},
        {"threads", 7, [](auto& row) { return std::to_string(row.thread_count); }}};
    column_if("device", {"device", -8, [](auto& row) { return joined(row.setup.devices); }});
    column_if("batch-size",
              {"n_batch", 7, [](auto& row) { return std::to_string(row.test.n_batch); }});
    column_if("ubatch-size",
              {"n_ubatch", 8, [](auto& row) { return std::to_string(row.setup.chunk_tokens); }});
    column_if("compute", {"compute", -7, [](auto& row) { return type_name(row.compute_type); }});
    column_if("kv", {"type_k", -6, [](auto& row) { return type_name(row.kv_type); }});
    columns_.push_back({"test", 15, [](auto& row) { return row.test.name(); }});
    columns_.push_back({"t/s", 22, [](auto& row) { return result_text(row); }});
  }

 private:
  struct Column {
    std::string name;
    int width;  // negative: text, to the left
    std::function<std::string(const BenchRow&)> value;
  };

  void begin() override {
    std::string names, rule;
    for (const Column& column : columns_) {
      const size_t width = static_cast<size_t>(std::abs(column.width));
      names += "| " + padded(column.name, column.width) + " ";
      rule += "| " + std::string(width - 1, '-') + (column.width < 0 ? "-" : ":") + " ";
    }
    print_line(names + "|");
    print_line(rule + "|");
  }

  void add(const BenchRow& row) override {
    std::string line;
    for (const Column& column : columns_) {
      line += "| " + padded(column.value(row), column.width) + " ";
    }
    print_line(line + "|");
    if (decodes_only(row.test)) notes_.push_back(note(row));
    bandwidth_ = row.bandwidth;
  }

  void end() override {
    print_line(std::string("\nbuild: ") + minimax_source_id() + " (" + minimax_version_string() +
               ")");
    for (const std::string& note : notes_) print_line(note);
    if (bandwidth_.thread_count == 0) return;
    print_line("memory read by " + std::to_string(bandwidth_.thread_count) +
               " threads: " + text("%.2f GB/s at best, ", bandwidth_.best / 1e9) +
               text("%.2f GB/s median", bandwidth_.median / 1e9));
  }

  // What decoding asks of memory. Keys, values and states come on top of it.
  static std::string note(const BenchRow& row) {
    std::string line = row.model.type + ", " + row.test.name() + ": " +
                       text("%.2f MB of weights a token of ", row.model.active_bytes / 1e6) +
                       text("%.2f MB, ", row.weight_bytes / 1e6) +
                       text("%.2f GB/s", weight_rate(row) / 1e9);
    if (row.bandwidth.thread_count == 0) return line;
    return line + text(", %.0f %% of the best read", 100 * weight_rate(row) / row.bandwidth.best);
  }

  // Counts characters, not bytes.
  static std::string padded(const std::string& value, int width) {
    const auto is_start = [](char byte) { return (byte & 0xC0) != 0x80; };
    const auto size = static_cast<size_t>(std::count_if(value.begin(), value.end(), is_start));
    const size_t wanted = static_cast<size_t>(std::abs(width));
    const std::string spaces(wanted > size ? wanted - size : 0, ' ');
    return width < 0 ? value + spaces : spaces + value;
  }

  std::vector<Column> columns_;
  std::vector<std::string> notes_;
  Bandwidth bandwidth_;
};

}  // namespace

std::unique_ptr<BenchReport> open_report(const BenchOptions& options) {
  switch (options.format) {
    case Format::csv:
      return std::make_unique<CsvReport>();
    case Format::json:
      return std::make_unique<JsonReport>();
    case Format::jsonl:
      return std::make_unique<JsonLinesReport>();
    case Format::sql:
      return std::make_unique<SqlReport>();
    case Format::md:
      break;
  }
  return std::make_unique<MarkdownReport>(options);
}

}  // namespace samples
