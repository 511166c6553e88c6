// SPDX-License-Identifier: Apache-2.0
// Opens a GPU, keeps its stream, scratch and recordings, and hands each operation to the best kernel
// that takes its shape.
#include <algorithm>
#include <cassert>

#include "base/error.h"
#include "engine/kernels/cuda/cuda_backend.h"
#include "engine/kernels/cuda/rows.h"
#include "engine/kernels/cuda/sample.h"

namespace minimax {
namespace {

constexpr size_t most_recordings = 96;
constexpr int64_t most_sequences = 8192;

CudaDevice find_device(int index) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    fail(MINIMAX_NOT_AVAILABLE, "device cuda:", index, ": ", cudaGetErrorString(status));
  }
  if (index < 0 || index >= count) {
    fail(MINIMAX_NOT_AVAILABLE, "device cuda:", index, ": this machine has ", count, " of them");
  }
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, index), "cuda:", index);
  if (properties.major < 8) {
    fail(MINIMAX_NOT_AVAILABLE, "device cuda:", index, " has compute capability ", properties.major,
         ".", properties.minor, ", expected 8.0 or more");
  }
  return {.index = index,
          .multiprocessors = properties.multiProcessorCount,
          .hopper = properties.major == 9,
          .shared_bytes_per_block = static_cast<int>(properties.sharedMemPerBlockOptin)};
}

bfloat16* numbers(const Tensor& tensor) {
  return reinterpret_cast<bfloat16*>(tensor.data<bf16>());
}

const bfloat16* matrix(const Weight& weight) {
  require(weight.values.dtype() == DType::bf16, "weight is ", name_of(weight.values.dtype()),
          ", on a GPU expected bf16");
  return numbers(weight.values);
}

template <typename Entry>
bool all_short(const DeviceTable<Entry>& sequences, int rows) {
  return std::all_of(sequences.host.begin(), sequences.host.end(),
                     [&](const Entry& entry) { return entry.row_count <= rows; });
}

LinearCall linear_call(const Tensor& x, const Weight& weight, Activation activation,
                       const Tensor& out) {
  return {.x = numbers(x),
          .x_stride = x.stride(0),
          .weight = matrix(weight),
          .tokens = static_cast<int>(x.dim(0)),
          .outputs = static_cast<int>(weight.output_width()),
          .inputs = static_cast<int>(weight.input_width()),
          .activation = activation,
          .bias = nullptr,
          .out = out.raw(),
          .out_f32 = out.dtype() == DType::f32,
          .out_stride = out.stride(0)};
}

constexpr size_t padded(size_t size_bytes) {
  return (size_bytes + 255) / 256 * 256;
}

}  // namespace

CudaStream::CudaStream(int device) {
  check_cuda(cudaSetDevice(device), "cuda:", device);
  check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cuda:", device);
}

CudaStream::~CudaStream() {
  cudaStreamDestroy(stream_);
}

CudaBackend::CudaBackend(int device)
    : name_(text("cuda:", device)),
      device_(find_device(device)),
      stream_(device),
      memory_(device, stream_.get()),
      tables_(memory_, stream_.get()) {
}

CudaBackend::~CudaBackend() {
  static_cast<void>(cudaStreamSynchronize(stream_.get()));
  forget_recordings();
}

CudaBackend::Scratch CudaBackend::scratch_layout(const StepLimits& limits) const {
  const auto T = static_cast<size_t>(limits.tokens),
             E = static_cast<size_t>(limits.experts_per_token);
  const auto X = static_cast<size_t>(limits.expert_count), W = static_cast<size_t>(limits.width);
  const auto F = static_cast<size_t>(limits.expert_width);
  Scratch at{};
  const auto take = [&](size_t size_bytes) {
    const size_t start = at.total;
    at.total += padded(size_bytes);
    return start;
  };
  at.counters = take((X + 2) * sizeof(int32_t));
  at.starts = take((X + 1) * sizeof(int32_t));
  at.slots = take(T * E * sizeof(int32_t));
  at.places = take(T * E * sizeof(int32_t));
  at.logits_chunks = take(sample_scratch_bytes(limits.vocabulary));
  // One after the other, so in the same place.
  const size_t start = at.total;
  at.hidden = take(T * E * F * sizeof(bfloat16));
  at.partial = take(T * E * W * sizeof(float));
  const size_t end = at.total;
  at.total = start;
  at.attention = take(softmax_scratch_bytes(limits, device_.multiprocessors));
  at.total = std::max(at.total, end);
  return at;
}

size_t CudaBackend::scratch_bytes(const StepLimits& limits) const {
  return scratch_layout(limits).total;
}

void CudaBackend::reserve(const StepLimits& limits) {
  const Scratch layout = scratch_layout(limits);
  Buffer scratch(memory_, layout.total);
  memory_.zero(scratch.data(), layout.total);
  tables_.reserve(limits.tokens, std::min(limits.tokens, most_sequences));
  forget_recordings();
  scratch_ = std::move(scratch);
  vocabulary_limit_ = limits.vocabulary;
  layout_ = layout;
}

void CudaBackend::begin_step(const StepSequences& sequences) {
  begin("tables of a step");
  tables_.begin_step(sequences);
}

// The first time a step is computed as it is given, which prepares everything that is prepared at first
// use; the second time it is recorded; from then on the recording is played.
void CudaBackend::run(const StepKey& key, const std::function<void()>& work) {
  if (recordings_.size() > most_recordings) forget_recordings();
  Recording& recording = recordings_[key];
  if (recording.graph && recording.generation != tables_.generation()) {
    cudaGraphExecDestroy(recording.graph);
    recording = {};
  }
  if (recording.seen++ == 0) return work();
  if (!recording.graph) {
    begin("recording a step");
    cudaGraph_t graph = nullptr;
    check_cuda(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), name_,
               ": recording a step");
    try {
      work();
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(stream_.get(), &graph));
      cudaGraphDestroy(graph);
      recording = {};
      throw;
    }
    check_cuda(cudaStreamEndCapture(stream_.get(), &graph), name_, ": recording a step");
    const cudaError_t status = cudaGraphInstantiate(&recording.graph, graph, 0);
    cudaGraphDestroy(graph);
    check_cuda(status, name_, ": recording a step");
    recording.generation = tables_.generation();
  }
  begin("a recorded step");
  check_cuda(cudaGraphLaunch(recording.graph, stream_.get()), name_, ": a recorded step");
}

void CudaBackend::finish() {
  tables_.end_step();
  check_cuda(cudaStreamSynchronize(stream_.get()), name_, ": ", operation_);
}

void CudaBackend::forget_recordings() {
  for (const auto& [key, recording] : recordings_) {
    if (recording.graph) cudaGraphExecDestroy(recording.graph);
  }
  recordings_.clear();
}

Launcher CudaBackend::begin(const char* operation) {
  check_cuda(cudaSetDevice(device_.index), name_);
  operation_ = operation;
  routed_ = nullptr;
  return {device_, stream_.get(), operation};
}

void CudaBackend::embed(const Tensor& ids, const Tensor& table, const Tensor& out) {
  embed_rows(begin("embed"), ids.data<int32_t>(), matrix({table}), numbers(out),
             static_cast<int>(ids.dim(0)), static_cast<int>(table.dim(1)));
}

void CudaBackend::multiply(const Launcher& launch, const LinearCall& call) {
  if (call.tokens <= few_tokens && linear_few(launch, call)) return;
  if (device_.hopper && linear_hopper(launch, call)) return;
  linear_any(launch, call);
}

void CudaBackend::linear(const Tensor& x, const Weight& weight, Activation activation,
                         const Tensor& out) {
  multiply(begin("linear"), linear_call(x, weight, activation, out));
}

void CudaBackend::logits(const Tensor& x, const Weight& weight, const Tensor& logits) {
  multiply(begin("logits"), linear_call(x, weight, Activation::none, logits));
}

// Hopper's product of many rows ends in the bias; elsewhere it is a pass of its own.
void CudaBackend::biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                                Activation activation, const Tensor& out) {
  const Launcher launch = begin("biased_linear");
  LinearCall call = linear_call(x, weight, activation, out);
  call.bias = bias.data<float>();
  if (call.tokens > few_tokens && device_.hopper && linear_hopper(launch, call)) return;
  call.bias = nullptr;
  call.activation = Activation::none;
  multiply(launch, call);
  add_bias_rows(launch, numbers(out), call.out_stride, bias.data<float>(), activation, call.tokens,
                call.outputs);
}

void CudaBackend::add_biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                                    const Tensor& room, const Tensor& out) {
  LinearCall call = linear_call(x, weight, Activation::none, out);
  call.bias = bias.data<float>();
  call.adds = true;
  if (call.tokens > few_tokens && device_.hopper &&
      linear_hopper(begin("add_biased_linear"), call)) {
    return;
  }
  biased_linear(x, weight, bias, Activation::none, room);
  add(out, room, out);
}

void CudaBackend::add(const Tensor& x, const Tensor& y, const Tensor& out) {
  add_rows(begin("add"), numbers(x), numbers(y), numbers(out), static_cast<int>(x.dim(0)),
           static_cast<int>(y.dim(0)), static_cast<int>(x.dim(1)));
}

void CudaBackend::copy(const Tensor& from, const Tensor& to) {
  begin("copy");
  check_cuda(cudaMemcpyAsync(to.raw(), from.raw(), from.size_bytes(), cudaMemcpyDeviceToDevice,
                             stream_.get()),
             name_, ": copy");
}

void CudaBackend::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                             const Tensor& out) {
  layer_norm_rows(begin("layer_norm"), numbers(x), weight.data<float>(), bias.data<float>(), eps,
                  numbers(out), static_cast<int>(x.dim(0)), static_cast<int>(x.dim(1)));
}

void CudaBackend::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  norm_rows(begin("rms_norm"), {.x = numbers(x),
                                .weight = weight.data<float>(),
                                .eps = eps,
                                .out = numbers(out),
                                .tokens = static_cast<int>(x.dim(0)),
                                .width = static_cast<int>(x.dim(1))});
}

void CudaBackend::residual_rms_norm(const Tensor& x, const Tensor& y, ResidualScale scale,
                                    const Tensor& weight, float eps, const Tensor& out) {
  norm_rows(begin("residual_rms_norm"), {.x = numbers(x),
                                         .y = numbers(y),
                                         .residual = scale.residual,
                                         .branch = scale.branch,
                                         .weight = weight.data<float>(),
                                         .eps = eps,
                                         .out = numbers(out),
                                         .tokens = static_cast<int>(x.dim(0)),
                                         .width = static_cast<int>(x.dim(1))});
}

void CudaBackend::gated_rms_norm(const Tensor& x, const Tensor& gate, const Tensor& weight,
                                 float eps, const Tensor& out) {
  norm_rows(begin("gated_rms_norm"), {.x = numbers(x),
                                      .gate = numbers(gate),
                                      .weight = weight.data<float>(),
                                      .eps = eps,
                                      .out = numbers(out),
                                      .tokens = static_cast<int>(x.dim(0)),
                                      .width = static_cast<int>(x.dim(1))});
}

void CudaBackend::rope(const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope) {
  const Launcher launch = begin("rope");
  rope_rows(launch, numbers(x), tables_.rows(sequences).positions, static_cast<int>(x.dim(0)),
            static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2)), rope);
}

void CudaBackend::lightning_attention(const Tensor& qkv, const Tensor& slope, int64_t layer,
                                      std::span<const LightningSequence> sequences,
                                      const Tensor& out) {
  const Launcher launch = begin("lightning_attention");
  const LightningCall call{.qkv = numbers(qkv),
                           .tokens = static_cast<int>(qkv.dim(0)),
                           .heads = static_cast<int>(qkv.dim(1)),
                           .width = static_cast<int>(qkv.dim(3)),
                           .slope = slope.data<float>(),
                           .layer = layer,
                           .sequences = tables_.lightning(sequences),
                           .out = numbers(out)};
  if (all_short(call.sequences, lightning_few_rows) && lightning_few(launch, call)) return;
  if (device_.hopper && lightning_hopper(launch, call)) return;
  lightning_any(launch, call);
}

void CudaBackend::store_kv(const Tensor& k, const Tensor& v, const KvLayout& layout,
                           std::span<const KvSequence> sequences) {
  const Launcher launch = begin("store_kv");
  store_kv_rows(launch, numbers(k), numbers(v), static_cast<int>(k.dim(0)), layout,
                tables_.kv(sequences));
}

void CudaBackend::softmax_attention(const Tensor& q, float scale, const KvLayout& layout,
                                    std::span<const KvSequence> sequences, const Tensor& out) {
  const Launcher launch = begin("softmax_attention");
  const SoftmaxCall call = softmax_call(q, scale, layout, sequences, out);
  if (all_short(call.sequences, softmax_few_rows) && softmax_few(launch, call)) return;
  if (device_.hopper && softmax_hopper(launch, call)) return;
  softmax_any(launch, call);
}

void CudaBackend::bidirectional_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                          float scale, const KvLayout& layout,
                                          std::span<const KvSequence> sequences,
                                          const Tensor& out) {
  const Launcher launch = begin("bidirectional_attention");
  SoftmaxCall call = softmax_call(q, scale, layout, sequences, out);
  call.causal = false;
  call.k = numbers(k);
  call.v = numbers(v);
  if (device_.hopper && softmax_hopper(launch, call)) return;
  call.k = call.v = nullptr;
  store_kv(k, v, layout, sequences);
  softmax_any(launch, call);
}

SoftmaxCall CudaBackend::softmax_call(const Tensor& q, float scale, const KvLayout& layout,
                                      std::span<const KvSequence> sequences, const Tensor& out) {
  const DeviceTable<DeviceKv> table = tables_.kv(sequences);
  return {.q = numbers(q),
          .tokens = static_cast<int>(q.dim(0)),
          .heads = static_cast<int>(q.dim(1)),
          .width = static_cast<int>(q.dim(2)),
          .scale = scale,
          .layout = layout,
          .sequences = table,
          .lowest_page = table.lowest_page,
          .out = numbers(out),
          .partial = scratch_at<float>(layout_.attention)};
}

RoutingPlan CudaBackend::routing_plan() const {
  return {scratch_at<int32_t>(layout_.starts), scratch_at<int32_t>(layout_.slots)};
}

void CudaBackend::route(const Tensor& x, const Tensor& weight, RouterPrecision precision,
                        const Tensor& experts, const Tensor& shares) {
  minimax::route(begin("route"), {.x = numbers(x),
                                  .weight = weight.raw(),
                                  .weight_bf16 = weight.dtype() == DType::bf16,
                                  .round_logits = precision == RouterPrecision::bf16,
                                  .tokens = static_cast<int>(x.dim(0)),
                                  .width = static_cast<int>(x.dim(1)),
                                  .experts = static_cast<int>(weight.dim(0)),
                                  .chosen = static_cast<int>(experts.dim(1)),
                                  .choices = experts.data<int32_t>(),
                                  .shares = shares.data<float>(),
                                  .plan = routing_plan(),
                                  .counters = scratch_at<int32_t>(layout_.counters)});
  routed_ = experts.raw();
}

// Addresses and tensor maps of a layer's experts, made the first time the layer is met.
ExpertSet CudaBackend::expert_set(std::span<const ExpertWeights> weights) {
  std::vector<const void*> matrices;
  for (const ExpertWeights& expert : weights) {
    for (const Weight* weight : {&expert.gate, &expert.up, &expert.down}) {
      matrices.push_back(matrix(*weight));
    }
  }
  CachedExperts& cached = experts_[matrices.front()];
  if (cached.matrices == matrices) return cached.set;
  constexpr size_t map_bytes = 128;
  const size_t list_bytes = padded(matrices.size() * sizeof(void*));
  std::vector<std::byte> bytes(list_bytes + matrices.size() * map_bytes);
  std::copy_n(reinterpret_cast<const std::byte*>(matrices.data()), matrices.size() * sizeof(void*),
              bytes.begin());
  bool mapped = device_.hopper;
  for (size_t x = 0; mapped && x < weights.size(); ++x) {
    mapped =
        encode_expert_maps(matrix(weights[x].gate), matrix(weights[x].up), matrix(weights[x].down),
                           static_cast<int>(weights[x].gate.input_width()),
                           static_cast<int>(weights[x].gate.output_width()),
                           bytes.data() + list_bytes + 3 * x * map_bytes);
  }
  cached.memory = Buffer(memory_, bytes.size());
  memory_.copy_from_host(cached.memory.data(), bytes.data(), bytes.size());
  const auto* data = static_cast<const std::byte*>(cached.memory.data());
  cached.matrices = std::move(matrices);
  cached.set = {static_cast<int>(weights.size()), reinterpret_cast<const bfloat16* const*>(data),
                mapped ? data + list_bytes : nullptr};
  return cached.set;
}

void CudaBackend::moe(const Tensor& x, std::span<const ExpertWeights> weights,
                      const Tensor& experts, const Tensor& shares, const Tensor& out) {
  const bool is_planned = routed_ == experts.raw();
  const Launcher launch = begin("moe");
  const MoeCall call{.x = numbers(x),
                     .tokens = static_cast<int>(x.dim(0)),
                     .width = static_cast<int>(x.dim(1)),
                     .expert_width = static_cast<int>(weights.front().gate.output_width()),
                     .chosen = static_cast<int>(experts.dim(1)),
                     .experts = expert_set(weights),
                     .choices = experts.data<int32_t>(),
                     .shares = shares.data<float>(),
                     .plan = routing_plan(),
                     .out = numbers(out),
                     .hidden = scratch_at<bfloat16>(layout_.hidden),
                     .partial = scratch_at<void>(layout_.partial),
                     .places = scratch_at<int32_t>(layout_.places)};
  if (!is_planned) {
    plan_routing(launch, call.choices, call.tokens, call.chosen, call.experts.count, call.plan);
  }
  if (call.tokens <= moe_few_tokens && moe_few(launch, call)) return;
  if (device_.hopper && call.experts.tensor_maps && moe_hopper(launch, call)) return;
  moe_any(launch, call);
}

void CudaBackend::sample(std::span<const LogitsRow> rows, const Tensor& suppressed,
                         const Tensor& tokens, const Tensor& logprobs) {
  const int64_t vocabulary = rows[0].logits.dim(0);
  assert(vocabulary <= vocabulary_limit_);
  const Launcher launch = begin("sample");
  sample_rows(launch, {.rows = tables_.draws(rows),
                       .row_count = static_cast<int>(rows.size()),
                       .vocabulary = static_cast<int>(vocabulary),
                       .suppressed = static_cast<const uint32_t*>(suppressed.raw()),
                       .tokens = tokens.data<int32_t>(),
                       .logprobs = logprobs.empty() ? nullptr : logprobs.data<float>(),
                       .chunks = scratch_at<LogitsChunk>(layout_.logits_chunks)});
}

}  // namespace minimax
