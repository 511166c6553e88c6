// SPDX-License-Identifier: Apache-2.0
// One row for each operation and shape of MiniMax-01's layers: its time beside the limit of the machine
// and, with the file that peers.py wrote, beside what other libraries need.
//
//   ops_bench [--device cuda:0] [--only SECTION,...] [--small] [--peers FILE] [--json FILE]
//
// Operations are called as the model calls them, through ops.h. Times are medians of batches that end
// with Backend::finish(); rows of decode steps are replayed as Backend::run() recorded them. What a cache
// could hold is taken in turns from several sets. The hash is that of the first result: equal on two
// runs if the numbers are. README.md of this folder tells how to read a table.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/kernels/open_backend.h"
#include "engine/model/decoder.h"
#include "engine/model/memory_plan.h"
#include "engine/model/step.h"
#include "engine/ops/ops.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/upload.h"
#include "engine/weights/weight_source.h"

namespace minimax {
namespace {

constexpr int64_t page_tokens = kv_page_tokens;
constexpr int64_t start_position = 4096;            // where timed sequences stand
constexpr size_t cached_bytes = size_t{160} << 20;  // sets that take turns are together larger

struct Sizes {
  int64_t W, H, G, D, X, E, F, V;
};
constexpr Sizes real_sizes{6144, 64, 8, 128, 32, 2, 9216, 200064};
constexpr Sizes small_sizes{512, 8, 2, 128, 8, 2, 768, 4096};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

size_t bytes_of(DType dtype, const Shape& shape) {
  return static_cast<size_t>(shape.element_count()) * size_of(dtype);
}

// --- numbers ---

uint64_t mixed(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// About normal, mean 0, variance 1.
float normal(uint64_t i) {
  const uint64_t bits = mixed(i);
  int64_t sum = 0;
  for (int part = 0; part < 4; ++part) sum += static_cast<int64_t>((bits >> (16 * part)) & 0xffff);
  return static_cast<float>(sum - 2 * 65535) / 37837.0f;
}

enum class Kind { normal, silu, around_one };

float number(Kind kind, float scale, uint64_t i) {
  const float x = scale * normal(i);
  switch (kind) {
    case Kind::silu:
      return x / (1 + std::exp(-x));
    case Kind::around_one:
      return 1 + x / 10;
    case Kind::normal:
      break;
  }
  return x;
}

std::vector<std::byte> host_numbers(DType dtype, size_t count, Kind kind, float scale) {
  std::vector<std::byte> bytes(count * size_of(dtype));
  for (size_t i = 0; i < count; ++i) {
    const float x = number(kind, scale, i);
    const bf16 half = to_bf16(x);
    if (dtype == DType::bf16) {
      std::memcpy(&bytes[i * sizeof half], &half, sizeof half);
    } else {
      std::memcpy(&bytes[i * sizeof x], &x, sizeof x);
    }
  }
  return bytes;
}

// Fills device memory: some millions of numbers from the host, and copies of them on the device behind.
// Every tensor since start_again() begins elsewhere among them, so that no two are alike.
class Filler {
 public:
  explicit Filler(Memory& memory) : memory_(memory) {}

  void start_again() { filled_ = 0; }

  void fill(const Tensor& out, Kind kind, float scale) {
    const size_t each = size_of(out.dtype());
    const std::vector<std::byte>& pattern = pattern_of(out.dtype(), kind, scale);
    const size_t first = filled_++ * 4099 * 8 % (pattern_count / 2) * each;
    const size_t size = out.size_bytes();
    size_t done = std::min(size, pattern.size() - first);
    auto* to = static_cast<std::byte*>(out.raw());
    memory_.copy_from_host(to, &pattern[first], done);
    while (done < size) {
      const size_t more = std::min(done, size - done);
      memory_.copy(to + done, to, more);
      done += more;
    }
  }

 private:
  static constexpr size_t pattern_count = (4 << 20) - 1536;  // no matrix repeats itself row by row

  const std::vector<std::byte>& pattern_of(DType dtype, Kind kind, float scale) {
    std::vector<std::byte>& pattern = patterns_[{dtype, kind, scale}];
    if (pattern.empty()) pattern = host_numbers(dtype, pattern_count, kind, scale);
    return pattern;
  }

  Memory& memory_;
  std::map<std::tuple<DType, Kind, float>, std::vector<std::byte>> patterns_;
  size_t filled_ = 0;
};

enum class Spread { uniform, zipf };

// [tokens, 2] experts: the numbers that peers.py draws.
std::vector<int32_t> draw_choices(int64_t tokens, int64_t experts, Spread spread, uint64_t seed) {
  std::vector<double> ends;
  double total = 0;
  for (int64_t i = 0; i < experts; ++i) {
    total += spread == Spread::uniform ? 1.0 : 1.0 / static_cast<double>(i + 1);
    ends.push_back(total);
  }
  uint64_t drawn = 0;
  const auto draw = [&] {
    const double u = static_cast<double>(mixed((seed << 32) + drawn++) >> 11) * 0x1p-53 * total;
    const auto at = std::upper_bound(ends.begin(), ends.end(), u) - ends.begin();
    return static_cast<int32_t>(std::min<int64_t>(at, experts - 1));
  };
  std::vector<int32_t> choices;
  for (int64_t t = 0; t < tokens; ++t) {
    const int32_t first = draw();
    int32_t second = draw();
    while (second == first) second = draw();
    choices.insert(choices.end(), {first, second});
  }
  return choices;
}

struct Digest {
  uint64_t hash = 0;
  double rms = 0;  // root of the mean square, which devices of other types can be held against
};

Digest digest(Memory& memory, const Tensor& out) {
  std::vector<std::byte> bytes((out.size_bytes() + 7) / 8 * 8);
  memory.copy_to_host(bytes.data(), out.raw(), out.size_bytes());
  Digest digest{0xcbf29ce484222325u, 0};
  for (size_t i = 0; i < bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, &bytes[i], 8);
    digest.hash = (digest.hash ^ word) * 0x100000001b3u;
  }
  const auto count = static_cast<size_t>(out.element_count());
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    float x = 0;
    if (out.dtype() == DType::bf16) {
      bf16 half{};
      std::memcpy(&half, &bytes[2 * i], 2);
      x = to_f32(half);
    } else if (out.dtype() == DType::f32) {
      std::memcpy(&x, &bytes[4 * i], 4);
    } else {
      int32_t integer = 0;
      std::memcpy(&integer, &bytes[4 * i], 4);
      x = static_cast<float>(integer);
    }
    sum += static_cast<double>(x) * static_cast<double>(x);
  }
  digest.rms = std::sqrt(sum / static_cast<double>(std::max<size_t>(count, 1)));
  return digest;
}

// --- limits ---

// What holds a row back: bytes read and written, bytes read, arithmetic, or the bus from the host.
enum class Limit { copy, read, gemm, h2d };
constexpr std::array<const char*, 4> limit_names{"copy", "read", "gemm", "h2d"};

const char* name_of(Limit limit) {
  return limit_names[static_cast<size_t>(limit)];
}

// Bytes or operations a second; 0 where unknown.
struct Rates {
  std::array<double, 4> measured{};
  double sheet_bytes = 0, sheet_flops = 0;

  double& of(Limit limit) { return measured[static_cast<size_t>(limit)]; }
  double sheet(Limit limit) const {
    if (limit == Limit::gemm) return sheet_flops;
    return limit == Limit::h2d ? 0 : sheet_bytes;
  }
};

// What the datasheet promises, by the processor's name.
void add_datasheet(const std::string& description, Rates& rates) {
  struct Sheet {
    const char* name;
    double bytes, flops;
  };
  for (const Sheet& sheet : {Sheet{"H100", 3.35e12, 989.5e12}, Sheet{"H200", 4.8e12, 989.5e12},
                             Sheet{"A100", 2.039e12, 312e12}}) {
    if (description.find(sheet.name) == std::string::npos) continue;
    rates.sheet_bytes = sheet.bytes;
    rates.sheet_flops = sheet.flops;
  }
}

// --- rows ---

// One row: what is timed, and how much work it is.
struct Job {
  std::string name;
  Limit limit;
  double work;         // of one operation, in bytes or flop
  int64_t operations;  // in a round
  std::function<void()> round;
  std::function<void()> replayed;  // the same through Backend::run(); empty: too long to matter
  Tensor out;
};

struct Options {
  std::string device = "cuda:0", peers, json;
  std::set<std::string> only;
  bool small = false;
  int threads = 1;
  double copy = 0, read = 0, gemm = 0, h2d = 0;
  int64_t chunk = 8192;
  int rounds = 9;

  bool wants(const std::string& section) const { return only.empty() || only.contains(section); }
};

class Table {
 public:
  Table(const Options& options, Backend& backend, std::string device)
      : options_(options), backend_(backend), device_(std::move(device)) {
    add_datasheet(device_, rates_);
    if (!options.peers.empty()) read_peers();
    for (const auto& [limit, given, unit] :
         {std::tuple{Limit::copy, options.copy, 1e9}, std::tuple{Limit::read, options.read, 1e9},
          std::tuple{Limit::gemm, options.gemm, 1e12}, std::tuple{Limit::h2d, options.h2d, 1e9}}) {
      if (given > 0) rates_.of(limit) = given * unit;
    }
  }

  void heading() const {
    std::printf("%s: %s", options_.device.c_str(), device_.c_str());
    for (size_t i = 0; i < limit_names.size(); ++i) {
      if (rates_.measured[i] == 0) continue;
      const bool flops = i == static_cast<size_t>(Limit::gemm);
      std::printf(", %s %.0f %s", limit_names[i], rates_.measured[i] / (flops ? 1e12 : 1e9),
                  flops ? "TFLOP/s" : "GB/s");
    }
    std::printf("\n%-40s %11s %16s %9s %9s %10s %6s  %-16s %s\n", "operation", "us", "rate",
                "of limit", "of sheet", "peer us", "ratio", "hash", "rms");
  }

  void measure(const Job& job) {
    job.round();
    backend_.finish();
    const Digest first = digest(backend_.memory(), job.out);
    const auto operations = static_cast<double>(job.operations);
    const double direct = seconds_of(job.round) / operations;
    const double replayed = job.replayed ? seconds_of(job.replayed) / operations : direct;
    const bool is_limit = job.name == "copy" || job.name == "pinned";
    if (is_limit && rates_.of(job.limit) == 0) rates_.of(job.limit) = job.work / direct;
    print(job, direct, replayed, first);
  }

  // A row that was timed elsewhere: seconds of a round.
  void add(const Job& job, double seconds) {
    print(job, seconds, seconds, digest(backend_.memory(), job.out));
  }

  void write() const {
    if (options_.json.empty()) return;
    nlohmann::ordered_json all{{"device", device_}, {"rates", nlohmann::ordered_json::object()}};
    for (size_t i = 0; i < limit_names.size(); ++i) {
      const double unit = i == static_cast<size_t>(Limit::gemm) ? 1e12 : 1e9;
      if (rates_.measured[i] > 0) all["rates"][limit_names[i]] = rates_.measured[i] / unit;
    }
    all["rows"] = rows_;
    std::ofstream file(options_.json);
    file << all.dump(1) << "\n";
    require(file.good(), options_.json, " cannot be written");
  }

 private:
  void read_peers() {
    std::ifstream file(options_.peers);
    require(file.is_open(), options_.peers, " cannot be read");
    const nlohmann::json all = nlohmann::json::parse(file);
    for (size_t i = 0; i < limit_names.size(); ++i) {
      const double unit = i == static_cast<size_t>(Limit::gemm) ? 1e12 : 1e9;
      rates_.measured[i] = all["rates"].value(limit_names[i], 0.0) * unit;
    }
    for (const auto& [name, row] : all["rows"].items()) peers_[name] = row.at("us").get<double>();
  }

  double batch_seconds(const std::function<void()>& round, int64_t rounds) {
    const double start = now();
    for (int64_t i = 0; i < rounds; ++i) round();
    backend_.finish();
    return now() - start;
  }

  // Of a round.
  double seconds_of(const std::function<void()>& round) {
    constexpr double batch = 0.012, longest = 4.0;
    double once = batch_seconds(round, 1);
    for (int i = 0; i < 3 && once < 1; ++i) once = batch_seconds(round, 1);  // recorded by now
    const auto calls = std::max<int64_t>(1, std::llround(batch / once));
    std::vector<double> batches;
    for (double all = 0; std::ssize(batches) < options_.rounds && all < longest;) {
      batches.push_back(batch_seconds(round, calls));
      all += batches.back();
    }
    std::sort(batches.begin(), batches.end());
    return batches[batches.size() / 2] / static_cast<double>(calls);
  }

  void print(const Job& job, double direct, double replayed, const Digest& first) {
    const double seconds = job.replayed ? replayed : direct;
    const double rate = job.work / seconds;
    const double limit = rates_.of(job.limit), sheet = rates_.sheet(job.limit);
    nlohmann::ordered_json row{{"us", seconds * 1e6},     {"direct_us", direct * 1e6},
                               {"work", job.work},        {"limit", name_of(job.limit)},
                               {"hash", hex(first.hash)}, {"rms", first.rms}};
    const bool flops = job.limit == Limit::gemm;
    std::printf("%-40s %11.2f %8.1f %-7s", job.name.c_str(), seconds * 1e6,
                rate / (flops ? 1e12 : 1e9), flops ? "TFLOP/s" : "GB/s");
    print_share(row, "of_limit", rate, limit);
    print_share(row, "of_sheet", rate, sheet);
    if (const auto peer = peers_.find(peer_name(job.name)); peer != peers_.end()) {
      const double ratio = peer->second / (seconds * 1e6);
      row["peer_us"] = peer->second;
      row["ratio"] = ratio;
      std::printf(" %10.1f %6.2f", peer->second, ratio);
    } else {
      std::printf(" %10s %6s", "-", "-");
    }
    std::printf("  %s %.4g\n", hex(first.hash).c_str(), first.rms);
    std::fflush(stdout);
    rows_[job.name] = row;
  }

  // Variants that only we have stand beside the same peer.
  static std::string peer_name(const std::string& name) {
    return name.substr(0, std::min(name.find(" rewind"), name.find(" cached")));
  }

  static void print_share(nlohmann::ordered_json& row, const char* key, double rate, double limit) {
    if (limit == 0) {
      std::printf(" %9s", "-");
      return;
    }
    row[key] = rate / limit;
    std::printf(" %7.1f %%", 100 * rate / limit);
  }

  static std::string hex(uint64_t hash) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
    return text;
  }

  const Options& options_;
  Backend& backend_;
  std::string device_;
  Rates rates_;
  std::map<std::string, double> peers_;  // microseconds
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::object();
};

// --- loading ---

// A checkpoint of one file with layers of four matrices and two norms, in a folder that vanishes with it.
class CheckpointFile {
 public:
  CheckpointFile(DType dtype, const Shape& matrix, int64_t layers)
      : folder_(std::filesystem::temp_directory_path() /
                text("ops_bench_", std::chrono::steady_clock::now().time_since_epoch().count())) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      for (const char* name : {"w1", "w2", "w3", "w4"}) {
        tensors_.push_back({text("layers.", layer, ".", name), matrix, dtype});
      }
      for (const char* name : {"norm1", "norm2"}) {
        tensors_.push_back({text("layers.", layer, ".", name), {matrix[1]}, dtype});
      }
    }
    std::filesystem::create_directory(folder_);
    write(dtype);
  }
  ~CheckpointFile() { std::filesystem::remove_all(folder_); }
  CheckpointFile(const CheckpointFile&) = delete;
  CheckpointFile& operator=(const CheckpointFile&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  const std::vector<TensorSpec>& tensors() const { return tensors_; }

 private:
  void write(DType dtype) const {
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    size_t size = 0;
    for (const TensorSpec& tensor : tensors_) {
      const size_t end = size + bytes_of(dtype, tensor.shape);
      std::vector<int64_t> dims;
      for (int i = 0; i < tensor.shape.rank(); ++i) dims.push_back(tensor.shape[i]);
      header[tensor.name] = {{"dtype", dtype == DType::f32 ? "F32" : "BF16"},
                             {"shape", dims},
                             {"data_offsets", {size, end}}};
      size = end;
    }
    std::string head = header.dump();
    head.resize((head.size() + 7) / 8 * 8, ' ');
    const uint64_t head_bytes = head.size();
    const std::filesystem::path path = folder_ / "model.safetensors";
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&head_bytes), sizeof head_bytes);
    file << head;
    const std::vector<std::byte> pattern = host_numbers(dtype, 4 << 20, Kind::normal, 1);
    for (size_t done = 0; done < size;) {
      const size_t part = std::min(pattern.size(), size - done);
      file.write(reinterpret_cast<const char*>(pattern.data()), static_cast<std::streamsize>(part));
      done += part;
    }
    require(file.good(), path.string(), " cannot be written, TMPDIR names another place");
  }

  std::filesystem::path folder_;
  std::vector<TensorSpec> tensors_;
};

// What is copied there is lost: shows how fast files alone can be read. Gives out one byte of host memory
// for everything.
class Nowhere final : public Memory {
 public:
  void* allocate(size_t) override { return host_memory().allocate(1); }
  void release(void* data, size_t) noexcept override { host_memory().release(data, 1); }
  void copy_from_host(void*, const void*, size_t) override {}
  void copy_to_host(void*, const void*, size_t) override {}
  void copy(void*, const void*, size_t) override {}
  void zero(void*, size_t) override {}
  bool host_addressable() const override { return false; }
};

// --- operations ---

class Bench {
 public:
  Bench(const Options& options, Backend& backend, Table& table)
      : options_(options),
        sizes_(options.small ? small_sizes : real_sizes),
        backend_(backend),
        memory_(backend.memory()),
        filler_(backend.memory()),
        act_(backend.activation_type()),
        table_(table) {
    backend.reserve({.tokens = tokens(32768),
                     .widest_input = std::max({sizes_.W, sizes_.H * sizes_.D, sizes_.F}),
                     .width = sizes_.W,
                     .head_count = sizes_.H,
                     .head_dim = sizes_.D,
                     .expert_count = sizes_.X,
                     .experts_per_token = sizes_.E,
                     .expert_width = sizes_.F,
                     .vocabulary = sizes_.V});
  }

  void run() {
    const std::vector<std::pair<const char*, void (Bench::*)()>> sections{
        {"copy", &Bench::copy},           {"load", &Bench::load},       {"linear", &Bench::linear},
        {"norm", &Bench::norm},           {"rows", &Bench::rows},       {"route", &Bench::route},
        {"lightning", &Bench::lightning}, {"softmax", &Bench::softmax}, {"moe", &Bench::moe},
        {"sample", &Bench::sample},       {"stack", &Bench::stack}};
    for (const std::string& wanted : options_.only) {
      const bool known = std::any_of(sections.begin(), sections.end(),
                                     [&](const auto& section) { return section.first == wanted; });
      require(known, "section ", wanted, " is unknown, --help lists them");
    }
    for (const auto& [name, section] : sections) {
      // The stack takes most of a card, and loading writes large files: only when asked for.
      const bool is_large = section == &Bench::stack || section == &Bench::load;
      if (!options_.wants(name) || (options_.only.empty() && is_large)) continue;
      (this->*section)();
    }
  }

 private:
  // Many tokens of a row, fewer on small models.
  int64_t tokens(int64_t count) const {
    return options_.small ? std::max<int64_t>(1, count / 64) : count;
  }
  int64_t sequences(int64_t count) const { return options_.small ? (count + 3) / 4 : count; }
  int64_t sets_for(size_t size_bytes, int64_t most) const {
    const size_t cache = options_.small ? size_t{1} << 20 : cached_bytes;
    const auto sets =
        static_cast<int64_t>((cache + size_bytes - 1) / std::max<size_t>(1, size_bytes));
    return std::clamp<int64_t>(sets, 1, most);
  }

  // Memory that lives until the section ends.
  Tensor take(DType dtype, const Shape& shape) {
    buffers_.emplace_back(memory_, bytes_of(dtype, shape));
    return buffers_.back().tensor(dtype, shape);
  }
  Tensor filled(DType dtype, const Shape& shape, Kind kind = Kind::normal, float scale = 1) {
    const Tensor tensor = take(dtype, shape);
    filler_.fill(tensor, kind, scale);
    return tensor;
  }
  std::vector<Tensor> sets_of(int64_t count, DType dtype, const Shape& shape,
                              Kind kind = Kind::normal, float scale = 1) {
    std::vector<Tensor> sets;
    for (int64_t i = 0; i < count; ++i) sets.push_back(filled(dtype, shape, kind, scale));
    return sets;
  }
  Tensor weights(const Shape& shape) {
    const auto inputs = static_cast<float>(shape[shape.rank() - 1]);
    return filled(DType::bf16, shape, Kind::normal, 1 / std::sqrt(inputs));
  }
  void release() {
    buffers_.clear();
    filler_.start_again();
  }

  template <typename T>
  Tensor uploaded(DType dtype, const Shape& shape, const std::vector<T>& numbers) {
    const Tensor tensor = take(dtype, shape);
    memory_.copy_from_host(tensor.raw(), numbers.data(), tensor.size_bytes());
    return tensor;
  }

  // Rounds that the backend may record: no two rows share a key.
  std::function<void()> replay(int64_t rows, int64_t sequences, std::function<void()> round) {
    const StepKey key{rows, sequences, ++recordings_};
    return [this, key, round = std::move(round)] { backend_.run(key, round); };
  }

  enum class Replay { no, yes };

  // A round is operation(0) ... operation(sets - 1); out is what operation(0) writes.
  void measure(const std::string& name, Limit limit, double work, int64_t sets, Replay replayed,
               const Tensor& out, const std::function<void(size_t)>& operation) {
    // A recorded round is started as a whole, which should not weigh on a single operation.
    const int64_t operations = replayed == Replay::yes ? std::max<int64_t>(sets, 8) : sets;
    const auto round = [sets, operations, operation] {
      for (int64_t i = 0; i < operations; ++i) operation(static_cast<size_t>(i % sets));
    };
    table_.measure({.name = name,
                    .limit = limit,
                    .work = work,
                    .operations = operations,
                    .round = round,
                    .replayed = replayed == Replay::yes ? replay(1, 1, round) : nullptr,
                    .out = out});
  }

  void copy() {
    const int64_t count = int64_t{1} << (options_.small ? 22 : 28);
    const Tensor from = filled(DType::f32, {count}), to = take(DType::f32, {count});
    const auto bytes = static_cast<double>(from.size_bytes());
    measure("copy", Limit::copy, 2 * bytes, 1, Replay::no, to.rows(0, 1 << 20),
            [=, this](size_t) { ops::copy(backend_, from, to); });
    const auto upload_row = [&](const std::string& name, const UploadSizes& sizes,
                                ThreadPool* threads, const Tensor& out,
                                const Upload::Producer& produce) {
      const std::unique_ptr<Upload> upload = memory_.new_upload(sizes);
      measure(name, Limit::h2d, bytes, 1, Replay::no, out, [&](size_t) {
        upload->fill(to.raw(), to.size_bytes(), threads, produce);
        upload->finish();
      });
    };
    const Tensor some = to.rows(0, 1 << 20);
    upload_row("pinned", {.piece_bytes = 32 << 20}, nullptr, from.rows(0, 1 << 20),
               [](size_t, std::span<std::byte>) {});
    const std::vector<std::byte> host(from.size_bytes(), std::byte{1});
    measure("copy_from_host", Limit::h2d, bytes, 1, Replay::no, some,
            [&](size_t) { memory_.copy_from_host(to.raw(), host.data(), host.size()); });
    ThreadPool threads(options_.threads);
    for (const size_t piece_mib : {1, 2, 4, 8}) {
      UploadSizes sizes = upload_sizes(&threads);
      sizes.piece_bytes = piece_mib << 20;
      upload_row(text("upload, pieces of ", piece_mib, " MiB"), sizes, &threads, some,
                 [&](size_t offset, std::span<std::byte> piece) {
                   std::memcpy(piece.data(), &host[offset], piece.size());
                 });
    }
    release();
  }

  // From opening a checkpoint that is in memory already to its last tensor, which has arrived: median.
  void load_row(const std::string& name, const CheckpointFile& file, Memory& memory) {
    ThreadPool threads(options_.threads);
    double bytes = 0;
    for (const TensorSpec& tensor : file.tensors()) {
      bytes += static_cast<double>(bytes_of(DType::bf16, tensor.shape));
    }
    std::vector<double> times;
    const Tensor out = take(DType::bf16, {1 << 10});
    memory_.zero(out.raw(), out.size_bytes());
    for (int round = 0; round <= options_.rounds; ++round) {
      const double start = now();
      CheckpointSource source(Checkpoint::open(file.folder()), memory,
                              {.threads = &threads, .matrix_type = DType::bf16});
      Tensor last;
      for (const TensorSpec& tensor : file.tensors()) {
        last = source.tensor_as(DType::bf16, tensor.name, tensor.shape);
      }
      source.read_pages();
      if (round > 0) times.push_back(now() - start);
      if (&memory == &memory_) memory.copy(out.raw(), last.raw(), out.size_bytes());
    }
    std::sort(times.begin(), times.end());
    table_.add({.name = name,
                .limit = Limit::h2d,
                .work = bytes,
                .operations = 1,
                .round = nullptr,
                .replayed = nullptr,
                .out = out},
               times[times.size() / 2]);
  }

  void load() {
    const Shape matrix{options_.small ? 1024 : 9216, options_.small ? 1024 : 6144};
    Nowhere nowhere;
    for (const DType dtype : {DType::bf16, DType::f32}) {
      const CheckpointFile file(dtype, matrix, dtype == DType::bf16 ? 48 : 4);
      const std::string as = dtype == DType::bf16 ? "" : " f32 as bf16";
      load_row("read" + as, file, nowhere);
      load_row("load" + as, file, memory_);
    }
    release();
  }

  void linear_rows(int64_t outputs, int64_t inputs, Activation activation) {
    const auto size = static_cast<size_t>(outputs * inputs) * 2;
    const int64_t sets = sets_for(size, 64);
    std::vector<Tensor> weights_of;
    for (int64_t i = 0; i < sets; ++i) weights_of.push_back(weights({outputs, inputs}));
    for (const int64_t T : {int64_t{1}, int64_t{16}, tokens(512), tokens(4096)}) {
      const Tensor x = filled(act_, {T, inputs}), out = take(act_, {T, outputs});
      const bool few = T <= 16;
      measure(text("linear [", outputs, ", ", inputs, "] T ", T), few ? Limit::read : Limit::gemm,
              few ? static_cast<double>(size) : 2.0 * static_cast<double>(T * outputs * inputs),
              sets, few ? Replay::yes : Replay::no, out,
              [=, this](size_t i) { ops::linear(backend_, x, {weights_of[i]}, activation, out); });
    }
    release();
  }

  void linear() {
    const int64_t wide = sizes_.H * sizes_.D;
    linear_rows(3 * wide, sizes_.W, Activation::silu);
    linear_rows(wide, sizes_.W, Activation::none);
    linear_rows(sizes_.W, wide, Activation::none);
    const Tensor head = weights({sizes_.V, sizes_.W});
    const Tensor x = filled(act_, {1, sizes_.W}), out = take(DType::f32, {1, sizes_.V});
    measure("logits T 1", Limit::read, static_cast<double>(head.size_bytes()), 1, Replay::yes, out,
            [=, this](size_t) { ops::logits(backend_, x, {head}, out); });
    release();
  }

  void norm() {
    constexpr float eps = 1e-5f;
    for (const int64_t T : {tokens(8192), int64_t{16}, int64_t{1}}) {
      for (const int64_t width : {sizes_.W, sizes_.H * sizes_.D}) {
        const Shape shape{T, width};
        const auto size = static_cast<size_t>(3 * T * width) * size_of(act_);
        const int64_t sets = sets_for(size, 4);
        const std::vector<Tensor> x = sets_of(sets, act_, shape), y = sets_of(sets, act_, shape);
        const Tensor weight = filled(DType::f32, {width}, Kind::around_one),
                     out = take(act_, shape);
        const Replay replayed = T <= 16 ? Replay::yes : Replay::no;
        const bool residual = width == sizes_.W;
        measure(text(residual ? "residual_rms_norm T " : "gated_rms_norm T ", T), Limit::copy,
                static_cast<double>(size), sets, replayed, out, [=, this](size_t i) {
                  if (residual) {
                    ops::residual_rms_norm(backend_, x[i], y[i], {3.5565588f, 1}, weight, eps, out);
                  } else {
                    ops::gated_rms_norm(backend_, x[i], y[i], weight, eps, out);
                  }
                });
        release();
      }
    }
  }

  // What moves rows and does little with them.
  void rows() {
    const int64_t T = tokens(8192);
    const auto act_size = static_cast<double>(size_of(act_));
    const auto rows = static_cast<double>(T);
    std::vector<int32_t> ids;
    for (int64_t t = 0; t < T; ++t) {
      ids.push_back(
          static_cast<int32_t>(mixed(static_cast<uint64_t>(t)) % static_cast<uint64_t>(sizes_.V)));
    }
    const Tensor table = filled(DType::bf16, {sizes_.V, sizes_.W}), out = take(act_, {T, sizes_.W});
    const Tensor id_tensor = uploaded(DType::i32, {T}, ids);
    measure(text("embed T ", T), Limit::copy, rows * static_cast<double>(sizes_.W) * (2 + act_size),
            1, Replay::no, out, [=, this](size_t) { ops::embed(backend_, id_tensor, table, out); });
    release();

    pointwise_rows(T);

    const std::vector<SequenceSpan> spans{{0, T, start_position}};
    const int64_t rotary = sizes_.D / 2;
    const Tensor x = filled(act_, {T, sizes_.H, sizes_.D});
    backend_.begin_step({spans, {}, {}});
    measure(text("rope T ", T), Limit::copy,
            rows * static_cast<double>(sizes_.H * rotary) * 2 * act_size, 1, Replay::no, x,
            [=, this, &spans](size_t) {
              ops::rope(backend_, x, spans, {rotary, 1e7});
            });
    release();

    const Shape shape{T, sizes_.G, sizes_.D};
    const Tensor k = filled(act_, shape), v = filled(act_, shape);
    const Pages pages = take_pages(1, start_position + T, 1);
    const std::vector<KvSequence> kv{{{0, T, start_position}, pages.lists[0]}};
    backend_.begin_step({{}, {}, kv});
    measure(text("store_kv T ", T), Limit::copy,
            rows * static_cast<double>(2 * sizes_.G * sizes_.D) * (2 + act_size), 1, Replay::no,
            pages.memory.rows(pages.memory.dim(0) - 1, 1),
            [=, this, &kv](size_t) { ops::store_kv(backend_, k, v, layout(0), kv); });
    release();
  }

  // Biases and norms of the picture tower, at the text model's width.
  void pointwise_rows(int64_t T) {
    const Tensor x = filled(act_, {T, sizes_.W}), y = filled(act_, {T, sizes_.W});
    const Tensor weight = filled(DType::f32, {sizes_.W}, Kind::around_one);
    const Tensor bias = filled(DType::f32, {sizes_.W}), out = take(act_, {T, sizes_.W});
    const Tensor product = weights({sizes_.W, sizes_.W});
    const auto bytes = static_cast<double>(x.size_bytes());
    measure(text("add T ", T), Limit::copy, 3 * bytes, 1, Replay::no, out,
            [=, this](size_t) { ops::add(backend_, x, y, out); });
    measure(text("biased_linear, GELU T ", T), Limit::gemm,
            2.0 * static_cast<double>(T * sizes_.W * sizes_.W), 1, Replay::no, out,
            [=, this](size_t) {
              ops::biased_linear(backend_, x, {product}, bias, Activation::gelu, out);
            });
    measure(text("layer_norm T ", T), Limit::copy, 2 * bytes, 1, Replay::no, out,
            [=, this](size_t) { ops::layer_norm(backend_, x, weight, bias, 1e-5f, out); });
    measure(text("rms_norm T ", T), Limit::copy, 2 * bytes, 1, Replay::no, out,
            [=, this](size_t) { ops::rms_norm(backend_, x, weight, 1e-5f, out); });
    release();
  }

  void route() {
    const auto size = static_cast<size_t>(sizes_.X * sizes_.W) * sizeof(float);
    const int64_t sets = sets_for(size, 80);
    const float scale = 1 / std::sqrt(static_cast<float>(sizes_.W));
    const std::vector<Tensor> weights_of =
        sets_of(sets, DType::f32, {sizes_.X, sizes_.W}, Kind::normal, scale);
    for (const int64_t T : {int64_t{1}, int64_t{16}, tokens(256), tokens(8192)}) {
      const Tensor x = filled(act_, {T, sizes_.W});
      const Tensor experts = take(DType::i32, {T, sizes_.E}),
                   shares = take(DType::f32, {T, sizes_.E});
      const double bytes = static_cast<double>(size) + static_cast<double>(x.size_bytes());
      // Weights from memory, as in a step, and again where they stay in the cache.
      for (const bool cached : {false, true}) {
        measure(text("route T ", T, cached ? " cached" : ""), Limit::read, bytes, sets, Replay::yes,
                shares, [=, this](size_t i) {
                  ops::route(backend_, x, weights_of[cached ? 0 : i], RouterPrecision::f32, experts,
                             shares);
                });
      }
    }
    release();
  }

  // --- lightning attention ---

  // States and logs of some sequences in some layers, and the sequences at one step.
  struct LightningMemory {
    int64_t layers, log_rows;
    std::vector<Tensor> states, logs;
  };

  LightningMemory take_lightning(int64_t sequences, int64_t layers, int64_t rewind) {
    LightningMemory memory{layers, rewind + lightning_block, {}, {}};
    const int64_t H = sizes_.H, D = sizes_.D;
    for (int64_t i = 0; i < sequences; ++i) {
      const Tensor states = filled(DType::f32, {layers * H, D, D});
      memory.states.emplace_back(states.raw(), DType::f32, Shape{H, D, D});
      const Tensor logs = filled(act_, {layers * H, 2, memory.log_rows, D}, Kind::silu);
      memory.logs.emplace_back(logs.raw(), act_, Shape{H, 2, memory.log_rows, D});
    }
    return memory;
  }

  // As a session that can go back by `rewind` tokens would stand at `position`.
  static std::vector<LightningSequence> lightning_sequences(const LightningMemory& memory,
                                                            const std::vector<int64_t>& lengths,
                                                            int64_t position) {
    const int64_t rewind = memory.log_rows - lightning_block;
    const auto folded = [&](int64_t end) {
      return (end - rewind) / lightning_block * lightning_block;
    };
    std::vector<LightningSequence> sequences;
    int64_t row = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      sequences.push_back({.span = {row, lengths[i], position},
                           .committed = folded(position),
                           .committed_after = folded(position + lengths[i]),
                           .state = memory.states[i],
                           .log = memory.logs[i]});
      row += lengths[i];
    }
    return sequences;
  }

  Tensor slopes() {
    std::vector<float> slopes;
    for (int64_t h = 0; h < sizes_.H; ++h) {
      slopes.push_back(std::exp2(-8 * static_cast<float>(h + 1) / static_cast<float>(sizes_.H)));
    }
    return uploaded(DType::f32, {sizes_.H}, slopes);
  }

  void lightning_prefill(const std::string& name, const std::vector<int64_t>& lengths) {
    const int64_t H = sizes_.H, D = sizes_.D;
    int64_t T = 0;
    for (const int64_t length : lengths) T += length;
    const auto size = static_cast<size_t>(4 * T * H * D) * size_of(act_);
    const int64_t sets = sets_for(size, 8);
    const std::vector<Tensor> qkv = sets_of(sets, act_, {T, H, 3, D}, Kind::silu);
    const Tensor out = take(act_, {T, H, D}), slope = slopes();
    const LightningMemory memory = take_lightning(std::ssize(lengths), sets, 0);
    const std::vector<LightningSequence> sequences =
        lightning_sequences(memory, lengths, start_position);
    backend_.begin_step({{}, sequences, {}});
    measure(name, Limit::copy, static_cast<double>(size), sets, Replay::no, out,
            [=, this, &sequences](size_t i) {
              ops::lightning_attention(backend_, qkv[i], slope, static_cast<int64_t>(i), sequences,
                                       out);
            });
    release();
  }

  // A round is as many steps as pass between two folds, each through `layers` layers. `work` is what a
  // kernel that keeps no log must do: read and write the state.
  void lightning_decode(int64_t B, int64_t rewind) {
    const int64_t H = sizes_.H, D = sizes_.D;
    const auto state_bytes = static_cast<size_t>(B * H * D * D) * sizeof(float);
    const int64_t layers = std::max<int64_t>(2, sets_for(state_bytes, 70));
    const LightningMemory memory = take_lightning(B, layers, rewind);
    const Tensor qkv = filled(act_, {B, H, 3, D}, Kind::silu), out = take(act_, {B, H, D});
    const Tensor slope = slopes();
    const std::vector<int64_t> lengths(static_cast<size_t>(B), 1);
    std::vector<std::vector<LightningSequence>> steps;
    for (int64_t i = 0; i < lightning_block; ++i) {
      steps.push_back(lightning_sequences(memory, lengths, start_position + i));
    }
    const auto all_layers = [=, this](const std::vector<LightningSequence>& sequences) {
      for (int64_t layer = 0; layer < layers; ++layer) {
        ops::lightning_attention(backend_, qkv, slope, layer, sequences, out);
      }
    };
    const StepKey key{B, B, ++recordings_};
    const auto all_steps = [&](const auto& work) {
      for (const std::vector<LightningSequence>& sequences : steps) {
        backend_.begin_step({{}, sequences, {}});
        work(sequences);
      }
    };
    table_.measure({.name = text("lightning_attention decode B ", B,
                                 rewind > 0 ? text(" rewind ", rewind) : ""),
                    .limit = Limit::copy,
                    .work = 2.0 * static_cast<double>(state_bytes),
                    .operations = layers * lightning_block,
                    .round = [&] { all_steps(all_layers); },
                    .replayed =
                        [&] {
                          all_steps([&](const std::vector<LightningSequence>& sequences) {
                            backend_.run(key, [&] { all_layers(sequences); });
                          });
                        },
                    .out = out});
    release();
  }

  void lightning() {
    for (const int64_t T : {512, 2048, 8192, 32768}) {
      lightning_prefill(text("lightning_attention T ", tokens(T)), {tokens(T)});
    }
    std::vector<int64_t> lengths{8192, 4096, 4096, 2048, 2048, 1024, 1024, 512,
                                 512,  256,  256,  128,  128,  64,   64,   64};
    for (int64_t& length : lengths) length = tokens(length);
    lightning_prefill("lightning_attention varlen 16", lengths);
    lengths.insert(lengths.end(), 32, 1);
    lightning_prefill("lightning_attention varlen 16+32", lengths);
    for (const int64_t rewind : {int64_t{0}, int64_t{default_rewind_tokens}}) {
      for (const int64_t B : {1, 16, 64}) lightning_decode(sequences(B), rewind);
    }
  }

  // --- softmax attention ---

  struct Pages {
    Tensor memory;  // [pages, numbers of a page]
    std::vector<std::vector<std::byte*>> lists;
  };

  KvLayout layout(int64_t layer) const {
    KvLayout layout{DType::bf16, page_tokens, sizes_.G, sizes_.D, 0};
    layout.layer_offset = static_cast<size_t>(2 * layer) * layout.plane_bytes();
    return layout;
  }

  // Pages that hold some layers, of sequences that are equally long; their pages lie mixed.
  Pages take_pages(int64_t sequences, int64_t length, int64_t layers) {
    const int64_t each = (length + page_tokens - 1) / page_tokens;
    const int64_t page_numbers = layers * 2 * page_tokens * sizes_.G * sizes_.D;
    Pages pages{filled(DType::bf16, {sequences * each, page_numbers}), {}};
    pages.lists.resize(static_cast<size_t>(sequences));
    for (int64_t i = 0; i < sequences * each; ++i) {
      pages.lists[static_cast<size_t>(i % sequences)].push_back(
          static_cast<std::byte*>(pages.memory.rows(i, 1).raw()));
    }
    return pages;
  }

  // T new tokens of each of B sequences that hold `before` tokens already.
  void softmax_row(const std::string& name, int64_t B, int64_t T, int64_t before, Limit limit) {
    const double held = static_cast<double>(before) + static_cast<double>(T);
    const double kv_bytes = static_cast<double>(B * sizes_.G * sizes_.D * 2 * 2) * held;
    const double pairs =
        static_cast<double>(B * T) * (static_cast<double>(before) + static_cast<double>(T) / 2);
    const int64_t layers = T == 1 ? sets_for(static_cast<size_t>(kv_bytes), 8) : 1;
    const Pages pages = take_pages(B, before + T, layers);
    const Shape shape{B * T, sizes_.H, sizes_.D};
    const Tensor q = filled(act_, shape), out = take(act_, shape);
    std::vector<KvSequence> kv;
    for (int64_t i = 0; i < B; ++i)
      kv.push_back({{i * T, T, before}, pages.lists[static_cast<size_t>(i)]});
    backend_.begin_step({{}, {}, kv});
    const float scale = 1 / std::sqrt(static_cast<float>(sizes_.D));
    measure(
        name, limit,
        limit == Limit::gemm ? 4.0 * static_cast<double>(sizes_.H * sizes_.D) * pairs : kv_bytes,
        layers, T == 1 ? Replay::yes : Replay::no, out, [=, this, &kv](size_t layer) {
          ops::softmax_attention(backend_, q, scale, layout(static_cast<int64_t>(layer)), kv, out);
        });
    release();
  }

  void softmax() {
    for (const int64_t T : {tokens(8192), tokens(32768)}) {
      softmax_row(text("softmax_attention T ", T), 1, T, 0, Limit::gemm);
    }
    softmax_row(text("softmax_attention T ", tokens(2048), " at ", tokens(131072)), 1, tokens(2048),
                tokens(131072), Limit::gemm);
    for (const auto& [B, context] : {std::pair{1, 8192}, {1, 32768}, {1, 262144}, {16, 32768}}) {
      const int64_t held = tokens(context);
      softmax_row(text("softmax_attention decode B ", sequences(B), " at ", held), sequences(B), 1,
                  held - 1, Limit::copy);
    }
  }

  // --- mixture of experts ---

  std::vector<ExpertWeights> take_experts() {
    std::vector<ExpertWeights> experts;
    for (int64_t i = 0; i < sizes_.X; ++i) {
      experts.push_back({{weights({sizes_.F, sizes_.W})},
                         {weights({sizes_.F, sizes_.W})},
                         {weights({sizes_.W, sizes_.F})}});
    }
    return experts;
  }

  void moe_row(const std::string& name, const std::vector<ExpertWeights>& weights_of, int64_t T,
               Spread spread, Limit limit) {
    const int64_t sets = limit == Limit::read ? 4 : 1;
    std::vector<Tensor> experts;
    double used = 0;
    for (int64_t i = 0; i < sets; ++i) {
      const std::vector<int32_t> choices =
          draw_choices(T, sizes_.X, spread, static_cast<uint64_t>(i));
      used += static_cast<double>(std::set<int32_t>(choices.begin(), choices.end()).size());
      experts.push_back(uploaded(DType::i32, {T, sizes_.E}, choices));
    }
    std::vector<float> halves(static_cast<size_t>(T * sizes_.E));
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = i % 2 == 0 ? 0.625f : 0.375f;
    const Tensor shares = uploaded(DType::f32, {T, sizes_.E}, halves);
    const Tensor x = filled(act_, {T, sizes_.W}), out = take(act_, {T, sizes_.W});
    const auto expert_numbers = static_cast<double>(3 * sizes_.W * sizes_.F);
    const double work = limit == Limit::read
                            ? used / static_cast<double>(sets) * expert_numbers * 2
                            : 2.0 * static_cast<double>(T * sizes_.E) * expert_numbers;
    measure(name, limit, work, sets, limit == Limit::read ? Replay::yes : Replay::no, out,
            [=, this, &weights_of](size_t i) {
              ops::moe(backend_, x, weights_of, experts[i], shares, out);
            });
  }

  void moe() {
    const std::vector<ExpertWeights> experts = take_experts();
    for (const int64_t B : {16, 4, 1}) {
      moe_row(text("moe decode B ", B), experts, B, Spread::uniform, Limit::read);
    }
    for (const int64_t T : {tokens(8192), tokens(4096)}) {
      moe_row(text("moe T ", T, " uniform"), experts, T, Spread::uniform, Limit::gemm);
      moe_row(text("moe T ", T, " zipf"), experts, T, Spread::zipf, Limit::gemm);
    }
    release();
  }

  // --- drawing tokens ---

  // Logits lie where the step before has left them: as far as they fit, in the cache.
  void sample() {
    const std::vector<std::pair<const char*, DrawRule>> rules{
        {"greedy", {}},
        {"temperature", {.temperature = 1}},
        {"top-k 50", {.temperature = 1, .top_k = 50}},
        {"top-p 0.9", {.temperature = 1, .top_p = 0.9f}},
        {"min-p 0.05", {.temperature = 1, .min_p = 0.05f}}};
    const int64_t words = ops::suppressed_words(sizes_.V);
    const Tensor suppressed =
        uploaded(DType::i32, {words}, std::vector<int32_t>(static_cast<size_t>(words)));
    for (const int64_t B : {1, 16, 64}) {
      const Tensor logits = filled(DType::f32, {B, sizes_.V}, Kind::normal, 3);
      const Tensor tokens = take(DType::i32, {B}), logprobs = take(DType::f32, {B});
      for (const auto& [name, rule] : rules) {
        std::vector<LogitsRow> rows;
        for (int64_t b = 0; b < B; ++b) {
          rows.push_back({logits.at(b), rule});
          rows.back().rule.uniform = (static_cast<double>(b) + 0.5) / static_cast<double>(B);
        }
        measure(text("sample ", name, " B ", B), Limit::read,
                static_cast<double>(logits.size_bytes()), 1, Replay::yes, logprobs,
                [=, this](size_t) { ops::sample(backend_, rows, suppressed, tokens, logprobs); });
      }
    }
    release();
  }

  // --- a whole stack of layers ---

  void stack();

  const Options& options_;
  const Sizes sizes_;
  Backend& backend_;
  Memory& memory_;
  Filler filler_;
  const DType act_;
  Table& table_;
  std::vector<Buffer> buffers_;
  int64_t recordings_ = 0;
};

// Random weights, made on the device: a stack of real size is there in seconds.
class RandomSource final : public WeightSource {
 public:
  explicit RandomSource(Memory& memory) : WeightSource(memory, {}), filler_(memory) {}

  using WeightSource::matrix;
  bool has(std::string_view) const override { return true; }
  Tensor matrix(std::string_view name, const Shape& shape) override {
    const bool embeddings = name.find("embed") != name.npos;
    const auto inputs = static_cast<float>(shape[shape.rank() - 1]);
    return made(DType::bf16, shape, Kind::normal, embeddings ? 1 : 1 / std::sqrt(inputs));
  }
  Tensor tensor_as(DType dtype, std::string_view, const Shape& shape) override {
    if (shape.rank() == 1) return made(dtype, shape, Kind::around_one, 1);
    return made(dtype, shape, Kind::normal, 1 / std::sqrt(static_cast<float>(shape[1])));
  }
  void read_pages() override {}

 private:
  Tensor made(DType dtype, const Shape& shape, Kind kind, float scale) {
    buffers_.emplace_back(memory_, bytes_of(dtype, shape));
    const Tensor tensor = buffers_.back().tensor(dtype, shape);
    filler_.fill(tensor, kind, scale);
    return tensor;
  }

  Filler filler_;
  std::vector<Buffer> buffers_;
};

constexpr int64_t stack_layers = 6, stack_vocabulary = 8192;

// Five lightning layers and one of softmax attention.
ModelConfig stack_config(const Sizes& sizes) {
  nlohmann::json config{{"architectures", {"MiniMaxText01ForCausalLM"}},
                        {"model_type", "minimax_text_01"},
                        {"vocab_size", stack_vocabulary},
                        {"hidden_size", sizes.W},
                        {"num_hidden_layers", stack_layers},
                        {"num_attention_heads", sizes.H},
                        {"num_key_value_heads", sizes.G},
                        {"head_dim", sizes.D},
                        {"rotary_dim", sizes.D / 2},
                        {"rope_theta", 1e7},
                        {"intermediate_size", sizes.F},
                        {"num_local_experts", sizes.X},
                        {"num_experts_per_tok", sizes.E},
                        {"hidden_act", "silu"},
                        {"attn_type_list", {0, 0, 0, 0, 0, 1}},
                        {"rms_norm_eps", 1e-5},
                        {"postnorm", true},
                        {"max_position_embeddings", 1 << 20},
                        {"tie_word_embeddings", false},
                        {"torch_dtype", "bfloat16"}};
  for (const std::string part : {"full_attention", "linear_attention", "mlp"}) {
    config["layernorm_" + part + "_alpha"] = 3.5565588;
    config["layernorm_" + part + "_beta"] = 1.0;
  }
  return parse_config(config.dump(), "the stack");
}

// The decoder and one session, stepped as the engine does.
class Stack {
 public:
  Stack(const Sizes& sizes, Backend& backend, int64_t chunk, int64_t context)
      : config_(stack_config(sizes)),
        backend_(backend),
        memory_(backend.memory()),
        source_(memory_),
        decoder_(config_, text_tensors(config_, released_naming(config_)), source_, memory_),
        pages_(memory_, Step::page_bytes(config_, DType::bf16, page_tokens), 0),
        timeline_({.lightning_layer_count = config_.lightning_layer_count(),
                   .head_count = config_.head_count,
                   .head_dim = config_.head_dim,
                   .log_rows = lightning_log_rows(default_rewind_tokens),
                   .fold_tokens = lightning_block,
                   .rewind_tokens = default_rewind_tokens,
                   .log_type = backend.activation_type()},
                  page_tokens, memory_, pages_),
        arena_(memory_, Decoder::scratch_bytes(config_, chunk, backend.activation_type())),
        step_(backend, arena_, config_, DType::bf16, page_tokens, 1),
        ids_(memory_, static_cast<size_t>(chunk) * sizeof(int32_t)),
        hidden_(memory_,
                static_cast<size_t>(chunk * config_.width) * size_of(backend.activation_type())),
        logits_(memory_, static_cast<size_t>(config_.vocabulary_size) * sizeof(float)),
        tokens_(static_cast<size_t>(chunk)),
        chunk_(chunk) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      tokens_[i] = static_cast<int32_t>(mixed(i) % static_cast<uint64_t>(config_.vocabulary_size));
    }
    memory_.copy_from_host(ids_.data(), tokens_.data(), ids_.size_bytes());
    timeline_.reserve(context);
  }

  // Feeds so many more tokens, chunk by chunk, and makes the logits of the last one.
  void feed(int64_t count) {
    for (int64_t done = 0; done < count;) {
      const int64_t more = std::min(chunk_, count - done);
      done += more;
      run_step(more, done == count);
      // The lists of a step must stay until it has been computed.
      if (done < count) backend_.finish();
    }
  }
  void reset() { timeline_.reset(); }
  Tensor logits() const { return logits_.tensor(DType::f32, {1, config_.vocabulary_size}); }

  // Numbers of the weights that one token needs, without the embeddings.
  double active_weights() const {
    const auto W = static_cast<double>(config_.width);
    const auto wide = static_cast<double>(config_.head_count * config_.head_dim);
    const auto narrow = static_cast<double>(config_.kv_head_count * config_.head_dim);
    const auto experts = static_cast<double>(config_.experts_per_token * config_.expert_width);
    return 5 * 5 * W * wide + W * (2 * wide + 2 * narrow) + 6 * 3 * W * experts;
  }

 private:
  void run_step(int64_t count, bool last) {
    timeline_.reserve(count);
    step_.begin(nullptr);
    step_.add(timeline_, count);
    backend_.begin_step(step_.sequences());
    backend_.run({count, 1, last ? 1 : 0}, [&] {
      const Arena::Scope scope(arena_);
      const Tensor hidden = hidden_.tensor(backend_.activation_type(), {count, config_.width});
      decoder_.forward(step_, ids_.tensor(DType::i32, {count}), hidden);
      if (last) decoder_.logits(backend_, hidden.rows(count - 1, 1), logits());
    });
    timeline_.advance({tokens_.data(), static_cast<size_t>(count)});
  }

  ModelConfig config_;
  Backend& backend_;
  Memory& memory_;
  RandomSource source_;
  Decoder decoder_;
  PagePool pages_;
  Timeline timeline_;
  Arena arena_;
  Step step_;
  Buffer ids_, hidden_, logits_;
  std::vector<int32_t> tokens_;
  int64_t chunk_;
};

void Bench::stack() {
  const int64_t longest = tokens(32768);
  Stack stack(sizes_, backend_, std::min(options_.chunk, longest), longest);
  for (const int64_t T : {tokens(4096), longest}) {
    const double flop = 2 * stack.active_weights() * static_cast<double>(T);
    table_.measure({.name = text("stack prefill ", T),
                    .limit = Limit::gemm,
                    .work = flop,
                    .operations = 1,
                    .round =
                        [&] {
                          stack.reset();
                          stack.feed(T);
                        },
                    .replayed = nullptr,
                    .out = stack.logits()});
  }
  stack.reset();
  stack.feed(tokens(4096));
  backend_.finish();
  table_.measure({.name = text("stack decode B 1 at ", tokens(4096)),
                  .limit = Limit::read,
                  .work = 2 * stack.active_weights(),
                  .operations = 1,
                  .round =
                      [&] {
                        stack.feed(1);
                        backend_.finish();
                      },
                  .replayed = nullptr,
                  .out = stack.logits()});
}

// --- the command line ---

constexpr char usage[] =
    "ops_bench: operations beside the limits of the machine and other libraries\n"
    "  --device NAME         cuda:0 unless told; cpu, cpu:plain, ...\n"
    "  --only SECTION,...    copy, load, linear, norm, rows, route, lightning, softmax, moe, "
    "sample,\n"
    "                         stack; load and stack run only when they are named\n"
    "  --small               a small model, for any machine\n"
    "  --peers FILE          what peers.py --json wrote: limits, and other libraries\n"
    "  --json FILE           to write\n"
    "  --copy, --read, --h2d GB/s  that count as 100 %: read and written, read, from the host\n"
    "  --gemm TFLOP/s        likewise\n"
    "  --threads N           of the CPU, and of what copies and loads\n"
    "  --chunk N             tokens of a step of the stack\n"
    "  --rounds N            batches of which a time is the median\n";

std::set<std::string> split(const std::string& list) {
  std::set<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) parts.insert(part);
  return parts;
}

// False when only the usage was wanted.
bool parse(int argc, char** argv, Options& options) {
  using Value = const std::string&;
  const std::map<std::string, std::function<void(Value)>> flags{
      {"--device", [&](Value value) { options.device = value; }},
      {"--only", [&](Value value) { options.only = split(value); }},
      {"--peers", [&](Value value) { options.peers = value; }},
      {"--json", [&](Value value) { options.json = value; }},
      {"--copy", [&](Value value) { options.copy = std::stod(value); }},
      {"--read", [&](Value value) { options.read = std::stod(value); }},
      {"--gemm", [&](Value value) { options.gemm = std::stod(value); }},
      {"--h2d", [&](Value value) { options.h2d = std::stod(value); }},
      {"--threads", [&](Value value) { options.threads = std::stoi(value); }},
      {"--chunk", [&](Value value) { options.chunk = std::stoll(value); }},
      {"--rounds", [&](Value value) { options.rounds = std::stoi(value); }}};
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--help") return false;
    if (flag == "--small") {
      options.small = true;
      continue;
    }
    const auto found = flags.find(flag);
    require(found != flags.end() && i + 1 < argc, flag, " is unknown or lacks a value\n", usage);
    try {
      found->second(argv[++i]);
    } catch (const std::logic_error&) {
      fail(MINIMAX_INVALID_ARGUMENT, flag, " is '", argv[i], "', expected a number");
    }
  }
  return true;
}

std::string describe(const std::string& device) {
  for (const DeviceDescription& description : devices()) {
    if (device.starts_with(description.name)) return description.description;
  }
  return device;
}

void run(const Options& options) {
  const std::unique_ptr<Backend> backend =
      open_backend(options.device, Compute::bf16, options.threads);
  Table table(options, *backend, describe(options.device));
  table.heading();
  Bench(options, *backend, table).run();
  table.write();
}

}  // namespace
}  // namespace minimax

int main(int argc, char** argv) {
  try {
    minimax::Options options;
    if (!minimax::parse(argc, argv, options)) {
      std::printf("%s", minimax::usage);
      return 0;
    }
    minimax::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ops_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
