// SPDX-License-Identifier: Apache-2.0
// The functions of the CUDA runtime, on the emulated device.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "tests/simt/machine.h"

// Handles are pointers to these.
struct CUgraph_st {
  std::vector<std::function<cudaError_t()>> work;
};
struct CUgraphExec_st {
  std::vector<std::function<cudaError_t()>> work;
};
struct CUstream_st {
  CUgraph_st* recording = nullptr;
  bool broken = false;  // by something that cannot be recorded
  // Copies from pinned memory that have not happened yet, and how many have.
  std::deque<std::function<void()>> under_way;
  uint64_t arrived_count = 0;
};
struct CUevent_st {
  std::chrono::steady_clock::time_point time;
  cudaStream_t stream = nullptr;
  uint64_t copy_count = 0;  // of the stream, when it was recorded
};

namespace {

// One launch at a time; memory too is changed under it.
std::recursive_mutex mutex;
cudaError_t last_error = cudaSuccess;
std::string launch_failure = "unspecified launch failure";
thread_local int recording_count = 0;
constexpr uint64_t memory_size_bytes = uint64_t{16} << 30;

cudaError_t report(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

// Device memory. Beside each piece is a zone with a pattern.

constexpr size_t alignment = 256, zone_bytes = 256;
constexpr int zone_byte = 0xc9, fresh_byte = 0xff;

struct Piece {
  std::byte* base;
  size_t size_bytes;
};

// By address.
std::map<const std::byte*, Piece>& pieces() {
  static std::map<const std::byte*, Piece> all;
  return all;
}

#if defined(__SANITIZE_ADDRESS__)
// The sanitizer watches the ends itself: it must see where they are.
constexpr bool has_zones = false;
#else
constexpr bool has_zones = true;
#endif

bool zones_are_whole(const std::byte* memory, const Piece& piece) {
  if (!has_zones) return true;
  const auto is_pattern = [](std::byte byte) { return byte == std::byte{zone_byte}; };
  const std::byte *begin = piece.base, *end = memory + piece.size_bytes;
  return std::all_of(begin, memory, is_pattern) && std::all_of(end, end + zone_bytes, is_pattern);
}

// "" or what was written beside a piece of memory since the last time.
std::string check_zones() {
  for (const auto& [memory, piece] : pieces()) {
    if (zones_are_whole(memory, piece)) continue;
    const auto before = static_cast<size_t>(memory - piece.base);
    std::memset(piece.base, zone_byte, before);
    std::memset(piece.base + before + piece.size_bytes, zone_byte, zone_bytes);
    return "memory beside an allocation of " + std::to_string(piece.size_bytes) +
           " bytes was written";
  }
  return "";
}

// Host memory that the device reads by itself.
std::map<const std::byte*, size_t>& pinned_pieces() {
  static std::map<const std::byte*, size_t> all;
  return all;
}

bool is_pinned(const void* address, size_t size_bytes) {
  const auto* at = static_cast<const std::byte*>(address);
  auto next = pinned_pieces().upper_bound(at);
  if (next == pinned_pieces().begin()) return false;
  const auto& [memory, piece_bytes] = *std::prev(next);
  return at + size_bytes <= memory + piece_bytes;
}

std::set<cudaStream_t>& streams() {
  static std::set<cudaStream_t> all;
  return all;
}

// Until so many copies of a stream have arrived: somebody waits for them. A stream that is gone has none.
void wait_for_copies(cudaStream_t stream, uint64_t count) {
  const std::lock_guard lock(mutex);
  if (!streams().contains(stream)) return;
  while (stream->arrived_count < count && !stream->under_way.empty()) {
    stream->under_way.front()();
    stream->under_way.pop_front();
    ++stream->arrived_count;
  }
}

void wait_for_copies(cudaStream_t stream) {
  wait_for_copies(stream, UINT64_MAX);
}

void wait_for_all_copies() {
  for (const cudaStream_t stream : streams()) wait_for_copies(stream);
}

// Work of a stream: now, or when the recording is played.
cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> work) {
  const std::lock_guard lock(mutex);
  if (stream && stream->recording) {
    stream->recording->work.push_back(std::move(work));
    return cudaSuccess;
  }
  wait_for_copies(stream);
  return report(work());
}

// What waits or allocates cannot be recorded, and spoils a recording.
bool may_not_now(cudaStream_t stream) {
  if (stream && stream->recording) stream->broken = true;
  return recording_count > 0;
}

unsigned long long threads_of(dim3 size) {
  return 1ull * size.x * size.y * size.z;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorLaunchOutOfResources:
      return "cudaErrorLaunchOutOfResources";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
  }
  return "unknown error";
}

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorLaunchFailure ? launch_failure.c_str() : cudaGetErrorName(error);
}

cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() {
  return last_error;
}

// The device.

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : report(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return report(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated sm_%d0",
                simt::options().major);
  properties->totalGlobalMem = memory_size_bytes;
  properties->sharedMemPerBlock = size_t{48} << 10;
  properties->sharedMemPerBlockOptin = simt::most_shared_bytes();
  properties->sharedMemPerMultiprocessor = simt::most_shared_bytes() + 1024;
  properties->major = simt::options().major;
  properties->multiProcessorCount = simt::options().multiprocessors;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->l2CacheSize = 50 << 20;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device)) return error;
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return cudaSuccess;
  }
  return report(cudaErrorInvalidValue);
}

cudaError_t cudaDeviceSynchronize() {
  const std::lock_guard lock(mutex);
  if (may_not_now(nullptr)) return report(cudaErrorStreamCaptureUnsupported);
  wait_for_all_copies();
  return cudaSuccess;
}

// Memory.

cudaError_t cudaMalloc(void** memory, size_t size_bytes) {
  const std::lock_guard lock(mutex);
  *memory = nullptr;
  if (may_not_now(nullptr)) return report(cudaErrorStreamCaptureUnsupported);
  if (size_bytes == 0) return cudaSuccess;
  const size_t zone = has_zones ? zone_bytes : 0;
  const size_t whole = zone + size_bytes + zone;
  void* base = nullptr;
  // The exact size, so that the sanitizer sees the end.
  if (size_bytes > memory_size_bytes || posix_memalign(&base, alignment, whole) != 0) {
    return report(cudaErrorMemoryAllocation);
  }
  auto* bytes = static_cast<std::byte*>(base);
  std::memset(bytes, zone_byte, whole);
  std::memset(bytes + zone, fresh_byte, size_bytes);
  pieces()[bytes + zone] = {bytes, size_bytes};
  *memory = bytes + zone;
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  const std::lock_guard lock(mutex);
  if (!memory) return cudaSuccess;
  wait_for_all_copies();
  const auto found = pieces().find(static_cast<std::byte*>(memory));
  if (found == pieces().end()) return report(cudaErrorInvalidValue);
  const Piece piece = found->second;
  const bool whole = zones_are_whole(found->first, piece);
  pieces().erase(found);
  std::free(piece.base);
  if (whole) return cudaSuccess;
  launch_failure = "memory beside an allocation was written before it was freed";
  std::fprintf(stderr, "simt: %s\n", launch_failure.c_str());
  return report(cudaErrorLaunchFailure);
}

cudaError_t cudaHostAlloc(void** memory, size_t size_bytes, unsigned) {
  const std::lock_guard lock(mutex);
  *memory = std::malloc(size_bytes);
  if (!*memory) return report(cudaErrorMemoryAllocation);
  pinned_pieces()[static_cast<std::byte*>(*memory)] = size_bytes;
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t size_bytes) {
  return cudaHostAlloc(memory, size_bytes, cudaHostAllocDefault);
}
cudaError_t cudaFreeHost(void* memory) {
  const std::lock_guard lock(mutex);
  wait_for_all_copies();
  pinned_pieces().erase(static_cast<std::byte*>(memory));
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  const std::lock_guard lock(mutex);
  *total_bytes = memory_size_bytes;
  *free_bytes = memory_size_bytes;
  for (const auto& [memory, piece] : pieces()) *free_bytes -= piece.size_bytes;
  return cudaSuccess;
}

namespace {

bool is_on_device(const void* address, size_t size_bytes) {
  const auto* at = static_cast<const std::byte*>(address);
  auto next = pieces().upper_bound(at);
  if (next == pieces().begin()) return false;
  const auto& [memory, piece] = *std::prev(next);
  return at + size_bytes <= memory + piece.size_bytes;
}

bool sides_fit(void* to, const void* from, size_t size_bytes, cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault || size_bytes == 0) return true;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return is_on_device(to, size_bytes) == to_device && is_on_device(from, size_bytes) == from_device;
}

}  // namespace

// A copy from pinned memory happens when it is waited for, or when the stream does something else: who
// writes to that memory too early sends the wrong numbers.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size_bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  if (!sides_fit(to, from, size_bytes, kind)) return report(cudaErrorInvalidValue);
  const auto copy = [=] {
    if (size_bytes > 0) std::memcpy(to, from, size_bytes);
    return cudaSuccess;
  };
  const bool is_upload = kind == cudaMemcpyHostToDevice && is_pinned(from, size_bytes);
  if (is_upload && stream && !stream->recording && simt::happens_late()) {
    stream->under_way.emplace_back(copy);
    return cudaSuccess;
  }
  return enqueue(stream, copy);
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t size_bytes, cudaMemcpyKind kind) {
  if (may_not_now(nullptr)) return report(cudaErrorStreamCaptureUnsupported);
  return cudaMemcpyAsync(to, from, size_bytes, kind, nullptr);
}
cudaError_t cudaMemsetAsync(void* memory, int byte, size_t size_bytes, cudaStream_t stream) {
  {
    const std::lock_guard lock(mutex);
    if (size_bytes > 0 && !is_on_device(memory, size_bytes)) return report(cudaErrorInvalidValue);
  }
  return enqueue(stream, [=] {
    if (size_bytes > 0) std::memset(memory, byte, size_bytes);
    return cudaSuccess;
  });
}
cudaError_t cudaMemset(void* memory, int byte, size_t size_bytes) {
  if (may_not_now(nullptr)) return report(cudaErrorStreamCaptureUnsupported);
  return cudaMemsetAsync(memory, byte, size_bytes, nullptr);
}

namespace simt {

void check_global(const void* address, size_t size_bytes, size_t alignment, const char* what) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", address);
  if (reinterpret_cast<uintptr_t>(address) % alignment != 0) {
    fail(std::string(what) + " at " + text + ", which is no multiple of " +
         std::to_string(alignment));
  }
  if (size_bytes > 0 && !is_on_device(address, size_bytes)) {
    fail(std::string(what) + " of " + std::to_string(size_bytes) + " bytes at " + text +
         ", which is no memory of the device");
  }
}

}  // namespace simt

// Streams, events and recordings.

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const std::lock_guard lock(mutex);
  *stream = new CUstream_st;
  streams().insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, 0);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  wait_for_copies(stream);
  streams().erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (may_not_now(stream)) return report(cudaErrorStreamCaptureUnsupported);
  wait_for_copies(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return cudaStreamSynchronize(stream);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t event, unsigned) {
  wait_for_copies(event->stream, event->copy_count);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, 0);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  event->time = std::chrono::steady_clock::now();
  event->stream = stream;
  event->copy_count = stream ? stream->arrived_count + stream->under_way.size() : 0;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (may_not_now(nullptr)) return report(cudaErrorStreamCaptureUnsupported);
  wait_for_copies(event->stream, event->copy_count);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  wait_for_copies(event->stream, event->copy_count);
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const std::lock_guard lock(mutex);
  if (!stream || stream->recording) return report(cudaErrorInvalidValue);
  stream->recording = new CUgraph_st;
  stream->broken = false;
  ++recording_count;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard lock(mutex);
  *graph = nullptr;
  if (!stream || !stream->recording) return report(cudaErrorInvalidValue);
  --recording_count;
  CUgraph_st* recorded = std::exchange(stream->recording, nullptr);
  if (stream->broken) {
    delete recorded;
    return report(cudaErrorStreamCaptureInvalidated);
  }
  *graph = recorded;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (may_not_now(stream)) return report(cudaErrorStreamCaptureUnsupported);
  const std::lock_guard lock(mutex);
  wait_for_copies(stream);
  for (const auto& work : executable->work) {
    if (const cudaError_t error = work()) return report(error);
  }
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* status) {
  const bool known = std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0;
  *function = known ? reinterpret_cast<void*>(&cuTensorMapEncodeTiled) : nullptr;
  if (status) *status = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// Kernels.

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  const std::lock_guard lock(mutex);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || static_cast<size_t>(value) > simt::most_shared_bytes()) {
    return report(cudaErrorInvalidValue);
  }
  simt::traits_of(function).most_dynamic_bytes = static_cast<size_t>(value);
  return cudaSuccess;
}

cudaError_t simt::launch(const cudaLaunchConfig_t& config, const void* function,
                         std::function<void()> body) {
  const std::lock_guard lock(mutex);
  KernelTraits& traits = traits_of(function);
  if (!traits.known) find_traits(traits, body);
  dim3 cluster = traits.cluster;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    if (config.attrs[i].id != cudaLaunchAttributeClusterDimension) continue;
    const auto& size = config.attrs[i].val.clusterDim;
    cluster = dim3(size.x, size.y, size.z);
  }
  const dim3 grid = config.gridDim, block = config.blockDim;
  const bool grid_fits =
      grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535 && threads_of(grid) > 0;
  const bool block_fits = threads_of(block) > 0 && threads_of(block) <= 1024 && block.z <= 64;
  const bool cluster_fits = grid.x % cluster.x == 0 && grid.y % cluster.y == 0 &&
                            grid.z % cluster.z == 0 && threads_of(cluster) <= 8 &&
                            (threads_of(cluster) == 1 || options().major >= 9);
  if (!grid_fits || !block_fits || !cluster_fits) return report(cudaErrorInvalidConfiguration);
  if (traits.most_threads != 0 && threads_of(block) > traits.most_threads) {
    return report(cudaErrorInvalidValue);
  }
  if (config.dynamicSmemBytes > traits.most_dynamic_bytes) return report(cudaErrorInvalidValue);
  return enqueue(config.stream, [=, body = std::move(body), &traits] {
    if (options().tells_launches) {
      std::fprintf(stderr, "simt: %s, grid (%u, %u, %u), block (%u, %u, %u)\n", traits.name.c_str(),
                   grid.x, grid.y, grid.z, block.x, block.y, block.z);
    }
    const Launch launch{&body, grid, block, cluster, config.dynamicSmemBytes, &traits};
    std::string problem = run(launch);
    if (problem.empty()) problem = check_zones();
    if (problem.empty()) return cudaSuccess;
    launch_failure = traits.name + ": " + problem;
    std::fprintf(stderr, "simt: %s\n", launch_failure.c_str());
    return cudaErrorLaunchFailure;
  });
}
