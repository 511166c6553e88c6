// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/open_backend.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "engine/kernels/cpu/cpu_backend.h"
#include "engine/kernels/plain/plain_backend.h"
#if MINIMAX_CUDA
#include "engine/kernels/cuda/cuda_devices.h"
#endif

namespace minimax {
namespace {

// The value behind "key ... :" in the first 4 KiB of a file of the system that has a line per item; ""
// when there is none. By hand, as std::ifstream leaks when it cannot have its buffer.
std::string system_value(const char* file, std::string_view key) {
  std::array<char, 4096> bytes;
  const int descriptor = ::open(file, O_RDONLY | O_CLOEXEC);
  const ssize_t size = descriptor < 0 ? -1 : ::read(descriptor, bytes.data(), bytes.size());
  if (descriptor >= 0) ::close(descriptor);
  const std::string_view content(bytes.data(), size < 0 ? 0 : static_cast<size_t>(size));
  const size_t line = content.find(key);
  const size_t colon = line == content.npos ? line : content.find(':', line);
  const size_t start = colon == content.npos ? colon : content.find_first_not_of(" \t", colon + 1);
  if (start == content.npos) return "";
  return std::string(content.substr(start, content.find('\n', start) - start));
}

// Processors this program may run on.
int32_t usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int32_t>(sysconf(_SC_NPROCESSORS_ONLN)));
}

DeviceDescription describe_cpu() {
  const auto pages = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::string name = system_value("/proc/cpuinfo", "model name");
  return {"cpu", name.empty() ? "processor" : name, pages * page_bytes, usable_cores()};
}

std::unique_ptr<Backend> open_cpu(Isa isa, Compute compute, int thread_count) {
  const CpuCompute kind = compute == Compute::bf16 ? CpuCompute::bf16 : CpuCompute::f32;
  return std::make_unique<CpuBackend>(thread_count, kind, isa);
}

std::vector<DeviceDescription> find_devices() {
  std::vector<DeviceDescription> all{describe_cpu()};
#if MINIMAX_CUDA
  for (CudaDescription& gpu : cuda_devices()) {
    all.push_back(
        {text("cuda:", gpu.index), std::move(gpu.name), gpu.memory_bytes, gpu.multiprocessors});
  }
#endif
  return all;
}

// 1 of "cuda:1".
std::optional<int> cuda_index(std::string_view device) {
  constexpr std::string_view prefix = "cuda:";
  if (!device.starts_with(prefix)) return std::nullopt;
  int index = -1;
  const auto [end, error] =
      std::from_chars(device.data() + prefix.size(), device.data() + device.size(), index);
  const bool is_whole = error == std::errc() && end == device.data() + device.size() && index >= 0;
  return is_whole ? std::optional(index) : std::nullopt;
}

std::unique_ptr<Backend> open_gpu(int index, Compute compute) {
#if MINIMAX_CUDA
  if (compute == Compute::f32) {
    fail(MINIMAX_UNSUPPORTED, "compute_type is f32, a GPU computes in bf16 with f32 sums");
  }
  return open_cuda(index);
#else
  static_cast<void>(compute);
  fail(MINIMAX_NOT_AVAILABLE, "device cuda:", index, ": this library was built without CUDA");
#endif
}

}  // namespace

bool built_with_cuda() {
#if MINIMAX_CUDA
  return true;
#else
  return false;
#endif
}

const std::vector<DeviceDescription>& devices() {
  static const std::vector<DeviceDescription> all = find_devices();
  return all;
}

uint64_t available_bytes(std::string_view device) {
#if MINIMAX_CUDA
  if (const std::optional<int> index = cuda_index(device)) return cuda_available_bytes(*index);
#endif
  if (!device.starts_with("cpu")) return 0;
  const std::string free = system_value("/proc/meminfo", "MemAvailable");
  return free.empty() ? devices()[0].memory_bytes : std::strtoull(free.c_str(), nullptr, 10) * 1024;
}

int64_t default_chunk_tokens(std::string_view device) {
  return cuda_index(device) ? 4096 : 512;
}

std::unique_ptr<Backend> open_backend(std::string_view device, Compute compute, int thread_count) {
  if (device == "cpu") return open_cpu(best_isa(), compute, thread_count);
  if (device == "cpu:plain") return std::make_unique<PlainBackend>();
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (device != text("cpu:", name_of(isa))) continue;
    const std::vector<Isa> supported = supported_isas();
    if (std::find(supported.begin(), supported.end(), isa) == supported.end()) {
      fail(MINIMAX_NOT_AVAILABLE, "device ", device, ": this processor lacks those instructions");
    }
    return open_cpu(isa, compute, thread_count);
  }
  if (const std::optional<int> index = cuda_index(device)) return open_gpu(*index, compute);
  fail(MINIMAX_NOT_FOUND, "device ", device, " is unknown, expected cpu or cuda:0");
}

}  // namespace minimax
