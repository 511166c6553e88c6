// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "engine/ops/ops.h"

namespace minimax {
namespace {

constexpr int64_t logits_rows = 16;  // made at once, so that their memory does not grow with a feed

StepLimits step_limits(const ModelConfig& config, int64_t tokens) {
  return {.tokens = tokens,
          .widest_input =
              std::max({config.width, config.head_count * config.head_dim, config.expert_width}),
          .width = config.width,
          .head_count = config.head_count,
          .head_dim = config.head_dim,
          .expert_count = config.expert_count,
          .experts_per_token = config.experts_per_token,
          .expert_width = config.expert_width,
          .vocabulary = config.vocabulary_size};
}

size_t arena_bytes(const ModelConfig& config, int64_t tokens, DType act) {
  const size_t ids = Arena::padded(static_cast<size_t>(tokens) * sizeof(int32_t));
  const size_t hidden = Arena::padded(static_cast<size_t>(tokens * config.width) * size_of(act));
  const size_t logits =
      Arena::padded(static_cast<size_t>(logits_rows * config.vocabulary_size) * sizeof(float));
  // A recorded step has both at once.
  return ids + hidden + logits + Decoder::scratch_bytes(config, tokens, act);
}

TimelineShape timeline_shape(const ModelConfig& config, int64_t rewind_tokens, DType act) {
  return {.lightning_layer_count = config.lightning_layer_count(),
          .head_count = config.head_count,
          .head_dim = config.head_dim,
          .log_rows = lightning_log_rows(static_cast<int32_t>(rewind_tokens)),
          .fold_tokens = lightning_block,
          .rewind_tokens = rewind_tokens,
          .log_type = act};
}

bool all_zero(std::span<const std::byte> row) {
  return row.empty() ||
         (row[0] == std::byte{} && std::memcmp(row.data(), row.data() + 1, row.size() - 1) == 0);
}

// The type of activations tells what a device computes in, but for a CPU that was asked to round.
DType compute_type_of(const Backend& backend, Compute compute) {
  return compute == Compute::bf16 ? DType::bf16 : backend.activation_type();
}

// Keys and values are no better than the activations that they are made of.
DType kv_type_on(const Backend& backend, const EngineOptions& options, DType of_weights) {
  const bool is_automatic = options.kv_type == MINIMAX_TYPE_AUTO;
  return is_automatic && backend.activation_type() == DType::bf16 ? DType::bf16 : of_weights;
}

// Every sequence goes on by one token and wants its logits: such steps are all alike.
bool is_decode(std::span<const StepEntry> entries) {
  return std::all_of(entries.begin(), entries.end(),
                     [](const StepEntry& e) { return e.tokens.size() == 1 && e.sink; });
}

// What load and plan both find out before any weight is read.
struct ModelFiles {
  ConfigFile config;
  std::optional<Checkpoint> checkpoint;  // none for synthetic weights
  TextTensors tensors;
  WeightTotals totals;
  DType kv_type;
};

enum class Depth { names_are_enough, whole };

ModelFiles read_files(const std::filesystem::path& path, const EngineOptions& options,
                      Depth depth) {
  ModelFiles files{read_config(path), {}, {}, {}, DType::f32};
  const ModelConfig& config = files.config.model;
  TensorNaming naming = released_naming(config);
  if (options.weights == WeightOrigin::files) {
    files.checkpoint =
        depth == Depth::whole ? Checkpoint::open(path) : Checkpoint::open_names(path);
    naming =
        detect_naming(config, [&](std::string_view name) { return files.checkpoint->has(name); });
  }
  files.tensors = text_tensors(config, naming);
  const Checkpoint* checkpoint = files.checkpoint ? &*files.checkpoint : nullptr;
  files.totals = total_weights(config, list_tensors(files.tensors), checkpoint);
  files.kv_type = resolve_kv_type(options.kv_type,
                                  stored_dtype(config, files.tensors.embed_tokens, checkpoint));
  return files;
}

// checkpoint: none for synthetic weights.
std::unique_ptr<WeightSource> open_source(const ModelConfig& config,
                                          std::optional<Checkpoint> checkpoint,
                                          const EngineOptions& options, Memory& memory,
                                          const LoadOptions& load) {
  if (options.weights == WeightOrigin::synthetic) {
    const DType stored = config.weight_dtype == DType::f32 ? DType::f32 : DType::bf16;
    return std::make_unique<SyntheticSource>(options.synthetic_seed,
                                             load.matrix_type.value_or(stored), memory, load);
  }
  return std::make_unique<CheckpointSource>(std::move(*checkpoint), memory, load);
}

}  // namespace

std::unique_ptr<Engine> Engine::load(const std::filesystem::path& path,
                                     const EngineOptions& options) {
  ModelFiles files = read_files(path, options, Depth::whole);
  std::unique_ptr<Backend> backend =
      open_backend(options.device, options.compute, options.thread_count);
  ThreadPool loaders(options.thread_count);
  const bool fits = files.totals.weight_bytes <= available_bytes(options.device);
  if (!fits && !(files.checkpoint && backend->memory().host_addressable())) {
    fail(MINIMAX_OUT_OF_MEMORY, options.device, ": out of memory: ", files.totals.weight_bytes,
         " bytes of weights, ", available_bytes(options.device), " available");
  }
  const LoadOptions load{&loaders, options.progress, options.progress_user,
                         files.totals.weight_bytes, backend->weight_type()};
  std::unique_ptr<WeightSource> source = open_source(
      files.config.model, std::move(files.checkpoint), options, backend->memory(), load);
  WeightSource& weights = *source;
  const DType kv_type = kv_type_on(*backend, options, files.kv_type);
  std::unique_ptr<Engine> engine(new Engine(options, std::move(files.config), std::move(source),
                                            files.tensors, files.totals, kv_type,
                                            std::move(backend)));
  if (fits) {
    weights.read_pages();
  } else {
    log(MINIMAX_LOG_WARNING, path.string(), ": weights of ", files.totals.weight_bytes,
        " bytes do not fit in memory, they are read from the files as they are needed");
  }
  engine->find_zero_rows();
  log(MINIMAX_LOG_INFO, path.string(), ": ", files.totals.parameter_count, " parameters on ",
      options.device);
  return engine;
}

minimax_memory_plan Engine::plan(const std::filesystem::path& path, const EngineOptions& options) {
  const ModelFiles files = read_files(path, options, Depth::names_are_enough);
  const ModelConfig& config = files.config.model;
  const std::unique_ptr<Backend> backend =
      open_backend(options.device, options.compute, options.thread_count);
  const DType act = backend->activation_type();
  PlanInputs inputs;
  inputs.weights = files.totals;
  inputs.session = session_sizes(config, kv_type_on(*backend, options, files.kv_type), act,
                                 default_rewind_tokens);
  inputs.workspace_bytes = arena_bytes(config, options.chunk_tokens, act) +
                           backend->scratch_bytes(step_limits(config, options.chunk_tokens));
  inputs.bookkeeping_bytes = static_cast<uint64_t>(config.vocabulary_size) * sizeof(float);
  inputs.available_bytes = available_bytes(options.device);
  inputs.context_limit = options.context_limit;
  inputs.kv_bytes_limit = options.kv_bytes_limit;
  return plan_memory(inputs);
}

Engine::Engine(EngineOptions options, ConfigFile config, std::unique_ptr<WeightSource> source,
               const TextTensors& tensors, WeightTotals totals, DType kv_type,
               std::unique_ptr<Backend> backend)
    : options_(std::move(options)),
      config_(std::move(config.model)),
      config_text_(std::move(config.text)),
      kv_type_(kv_type),
      weight_totals_(totals),
      backend_(std::move(backend)),
      source_(std::move(source)),
      decoder_(config_, tensors, *source_, backend_->memory()),
      pages_(std::make_unique<PagePool>(backend_->memory(),
                                        Step::page_bytes(config_, kv_type, kv_page_tokens),
                                        static_cast<size_t>(options_.kv_bytes_limit))),
      arena_(backend_->memory(),
             arena_bytes(config_, options_.chunk_tokens, backend_->activation_type())),
      step_(*backend_, arena_, config_, kv_type, kv_page_tokens,
            static_cast<size_t>(options_.chunk_tokens)) {
  limits_ = step_limits(config_, options_.chunk_tokens);
  backend_->reserve(limits_);
  host_ids_.reserve(static_cast<size_t>(options_.chunk_tokens));
  wanted_.reserve(static_cast<size_t>(logits_rows));
  if (!backend_->memory().host_addressable()) {
    host_logits_.resize(static_cast<size_t>(logits_rows * config_.vocabulary_size));
  }
}

DType Engine::compute_type() const {
  return compute_type_of(*backend_, options_.compute);
}

void Engine::use_device(const std::function<void(Backend&)>& work) {
  const std::lock_guard lock(step_mutex_);
  work(*backend_);
}

void Engine::reserve_at_least(const StepLimits& limits) {
  const StepLimits both = larger(limits_, limits);
  if (both == limits_) return;
  backend_->reserve(both);
  limits_ = both;
}

std::unique_ptr<WeightSource> Engine::open_more_weights(const std::filesystem::path& path,
                                                        Backend& backend,
                                                        ThreadPool& threads) const {
  std::optional<Checkpoint> checkpoint;
  if (options_.weights == WeightOrigin::files) checkpoint = Checkpoint::open(path);
  return open_source(config_, std::move(checkpoint), options_, backend.memory(),
                     {.threads = &threads, .matrix_type = backend.weight_type()});
}

// Row by row from the host's memory, or in blocks from the device's.
void Engine::find_zero_rows() {
  const Tensor& table = decoder_.embeddings();
  Memory& memory = backend_->memory();
  const size_t row_bytes = table.dim(0) > 0 ? table.at(0).size_bytes() : 0;
  constexpr int64_t block_rows = 4096;
  std::vector<std::byte> block;
  for (int64_t first = 0; first < table.dim(0); first += block_rows) {
    const Tensor rows = table.rows(first, std::min(block_rows, table.dim(0) - first));
    const auto* bytes = static_cast<const std::byte*>(rows.raw());
    if (!memory.host_addressable()) {
      block.resize(rows.size_bytes());
      memory.copy_to_host(block.data(), rows.raw(), block.size());
      bytes = block.data();
    }
    for (int64_t i = 0; i < rows.dim(0); ++i) {
      const std::span<const std::byte> row(bytes + static_cast<size_t>(i) * row_bytes, row_bytes);
      if (all_zero(row)) zero_rows_.push_back(static_cast<int32_t>(first + i));
    }
  }
}

size_t Engine::workspace_bytes() const {
  return arena_.size_bytes() + backend_->scratch_bytes(step_limits(config_, options_.chunk_tokens));
}

// Whoever can give something up is asked before anybody is refused.
template <typename Taking>
auto Engine::take(const Taking& taking) const {
  while (true) {
    try {
      return taking();
    } catch (const Error& error) {
      const bool is_shortage =
          error.status() == MINIMAX_OUT_OF_MEMORY || error.status() == MINIMAX_CONTEXT_FULL;
      if (!is_shortage || !reclaimer_ || !reclaimer_()) throw;
    }
  }
}

std::unique_ptr<Timeline> Engine::new_timeline(int64_t rewind_tokens, InitialState initial) {
  return take([&] {
    return std::make_unique<Timeline>(
        timeline_shape(config_, rewind_tokens, backend_->activation_type()), kv_page_tokens,
        backend_->memory(), *pages_, initial);
  });
}

std::unique_ptr<Timeline> Engine::new_timeline(const TimelineMark& mark) {
  return std::make_unique<Timeline>(mark, backend_->memory());
}

TimelineChunks Engine::chunks_of(const TimelineShape& shape) {
  const KvPageShape pages{2 * config_.softmax_layer_count() * config_.kv_head_count, kv_page_tokens,
                          config_.head_dim, kv_type_};
  return {shape, pages, backend_->memory()};
}

const ModelFingerprint& Engine::fingerprint() const {
  std::call_once(fingerprint_once_, [&] {
    const bool is_synthetic = options_.weights == WeightOrigin::synthetic;
    const TensorNaming naming =
        is_synthetic
            ? released_naming(config_)
            : detect_naming(config_, [&](std::string_view name) { return source_->has(name); });
    fingerprint_ = fingerprint_of(config_, text_tensors(config_, naming), *source_);
  });
  return fingerprint_;
}

void Engine::check_length(int64_t position, int64_t count) const {
  if (options_.context_limit > 0 && count > options_.context_limit - position) {
    fail(MINIMAX_CONTEXT_FULL, "session holds at most ", options_.context_limit, " tokens, ",
         position, " used, ", count, " more do not fit (context_limit)");
  }
}

void Engine::check_pages(int64_t pages) const {
  if (pages > kv_pages_at_most()) {
    fail(MINIMAX_CONTEXT_FULL, "the session would need ", pages, " pages of keys and values, ",
         kv_pages_at_most(), " are the limit (kv_bytes_limit)");
  }
}

// Nothing is given up for what can never fit.
void Engine::reserve(Timeline& timeline, int64_t count) const {
  check_length(timeline.position(), count);
  if (kv_pages_for(timeline.position() + count) > kv_pages_at_most()) {
    timeline.reserve(count);
  } else {
    take([&] { timeline.reserve(count); });
  }
}

int64_t Engine::kv_pages_left() const {
  const PagePool::Left left = pages_->left();
  if (left.within_limit <= left.at_hand) return static_cast<int64_t>(left.within_limit);
  const size_t fresh = available_bytes(options_.device) / pages_->page_bytes();
  return static_cast<int64_t>(std::min(left.within_limit, left.at_hand + fresh));
}

int64_t Engine::kv_pages_at_most() const {
  const auto limit = static_cast<size_t>(options_.kv_bytes_limit);
  return limit == 0 ? INT64_MAX : static_cast<int64_t>(limit / pages_->page_bytes());
}

void Engine::feed(const StepEntry& entry, const std::atomic<bool>& cancel) {
  Timeline& timeline = *entry.timeline;
  const int64_t count = static_cast<int64_t>(entry.tokens.size());
  reserve(timeline, count);
  for (int64_t done = 0; done < count;) {
    if (cancel.load(std::memory_order_relaxed)) {
      fail(MINIMAX_CANCELLED, "cancelled after ", done, " of ", count, " tokens");
    }
    const int64_t to_border = options_.chunk_tokens - timeline.position() % options_.chunk_tokens;
    const int64_t chunk = std::min(count - done, to_border);
    StepEntry part = entry;
    part.tokens = entry.tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(chunk));
    part.first_index = entry.first_index + done;
    done += chunk;
    if (entry.wanted == LogitsWanted::last && done < count) part.sink = nullptr;
    step({&part, 1});
  }
}

void Engine::step(std::span<const StepEntry> entries, LayerTap* tap) {
  const std::lock_guard lock(step_mutex_);
  const Arena::Scope scope(arena_);
  step_.begin(tap);
  for (const StepEntry& entry : entries) {
    const int64_t first = step_.token_count(), rows = static_cast<int64_t>(entry.tokens.size());
    step_.add(*entry.timeline, rows);
    for (const EmbeddedRows& picture : entry.pictures) {
      const int64_t start = picture.first - entry.first_index;
      const int64_t from = std::max<int64_t>(start, 0);
      const int64_t to = std::min(start + picture.rows.dim(0), rows);
      if (from >= to) continue;
      step_.replace(first + from, picture.rows.rows(from - start, to - from));
    }
  }
  const int64_t count = step_.token_count();
  const Tensor ids = arena_.take(DType::i32, {count});
  const Tensor hidden = arena_.take(backend_->activation_type(), {count, config_.width});
  host_ids_.clear();
  for (const StepEntry& entry : entries) {
    host_ids_.insert(host_ids_.end(), entry.tokens.begin(), entry.tokens.end());
  }
  backend_->memory().copy_from_host(ids.raw(), host_ids_.data(), ids.size_bytes());
  backend_->begin_step(step_.sequences());
  const bool with_logits =
      !tap && is_decode(entries) && step_.replaced().empty() && count <= logits_rows;
  if (with_logits) {
    const Tensor logits = arena_.take(DType::f32, {count, config_.vocabulary_size});
    backend_->run({.tokens = count, .sequences = count, .logits = count}, [&] {
      decoder_.forward(step_, ids, hidden);
      decoder_.logits(*backend_, hidden, logits);
    });
    backend_->finish();
    for (const StepEntry& entry : entries) entry.timeline->advance(entry.tokens);
    wanted_.clear();
    for (const StepEntry& entry : entries) wanted_.push_back({&entry, 0});
    give_rows(logits);
    return;
  }
  decoder_.forward(step_, ids, hidden);
  backend_->finish();
  for (const StepEntry& entry : entries) entry.timeline->advance(entry.tokens);
  give_logits(entries, hidden);
}

// Rows that lie side by side are made together, whosever they are: of many entries of one token each the
// matrix is read once for a block of them.
void Engine::give_logits(std::span<const StepEntry> entries, const Tensor& hidden) {
  int64_t row = 0, run_first = 0;
  wanted_.clear();
  const auto end_run = [&] {
    if (wanted_.empty()) return;
    const auto count = static_cast<int64_t>(wanted_.size());
    const Arena::Scope scope(arena_);
    const Tensor logits = arena_.take(DType::f32, {count, config_.vocabulary_size});
    decoder_.logits(*backend_, hidden.rows(run_first, count), logits);
    give_rows(logits);
    wanted_.clear();
  };
  for (const StepEntry& entry : entries) {
    const int64_t rows = static_cast<int64_t>(entry.tokens.size());
    const int64_t skipped = entry.wanted == LogitsWanted::last ? rows - 1 : 0;
    for (int64_t i = skipped; entry.sink && i < rows; ++i) {
      const auto count = static_cast<int64_t>(wanted_.size());
      if (count == logits_rows || run_first + count != row + i) end_run();
      if (wanted_.empty()) run_first = row + i;
      wanted_.push_back({&entry, i});
    }
    row += rows;
  }
  end_run();
}

// To whom each of wanted_ belongs: on the device as far as they are wanted there.
void Engine::give_rows(const Tensor& logits) {
  const auto width = static_cast<size_t>(logits.dim(1));
  const auto* rows = static_cast<const float*>(logits.raw());
  size_t on_device = 0;
  for (size_t i = 0; i < wanted_.size(); ++i) {
    const Tensor room = wanted_[i].entry->sink->room_on_device();
    if (room.empty()) continue;
    ops::copy(*backend_, logits.at(static_cast<int64_t>(i)), room);
    ++on_device;
  }
  if (on_device > 0) backend_->finish();
  if (on_device == wanted_.size()) return;
  if (!backend_->memory().host_addressable()) {
    backend_->memory().copy_to_host(host_logits_.data(), logits.raw(), logits.size_bytes());
    rows = host_logits_.data();
  }
  for (size_t i = 0; i < wanted_.size(); ++i) {
    const StepEntry& entry = *wanted_[i].entry;
    if (!entry.sink->room_on_device().empty()) continue;
    entry.sink->take(entry.first_index + wanted_[i].index, {rows + i * width, width});
  }
}

Buffer Engine::new_logits_room() const {
  return take([&] {
    return Buffer(backend_->memory(), static_cast<size_t>(config_.vocabulary_size) * sizeof(float));
  });
}

void Engine::read_logits(const Tensor& row, std::span<float> numbers) const {
  backend_->memory().copy_to_host(numbers.data(), row.raw(), row.size_bytes());
}

void Engine::set_suppressed(std::span<const int32_t> tokens) {
  std::vector<uint32_t> words(static_cast<size_t>(ops::suppressed_words(config_.vocabulary_size)));
  for (const int32_t token : tokens) {
    words[static_cast<size_t>(token / 32)] |= uint32_t{1} << (token % 32);
  }
  const size_t size_bytes = words.size() * sizeof(uint32_t);
  const auto most = static_cast<size_t>(options_.chunk_tokens);
  suppressed_ = Buffer(backend_->memory(), size_bytes);
  drawn_ = Buffer(backend_->memory(), most * (sizeof(int32_t) + sizeof(float)));
  host_drawn_.resize(2 * most);
  backend_->memory().copy_from_host(suppressed_.data(), words.data(), size_bytes);
}

void Engine::sample(std::span<const LogitsRow> rows, std::span<DrawnToken> out) {
  const std::lock_guard lock(step_mutex_);
  const size_t count = rows.size(), bytes = count * sizeof(int32_t);
  assert(2 * count <= host_drawn_.size() && out.size() == count);
  const Shape shape{static_cast<int64_t>(count)};
  const Tensor logprobs(static_cast<std::byte*>(drawn_.data()) + bytes, DType::f32, shape);
  ops::sample(*backend_, rows,
              suppressed_.tensor(DType::i32, {ops::suppressed_words(config_.vocabulary_size)}),
              Tensor(drawn_.data(), DType::i32, shape), memory_is_host() ? Tensor() : logprobs);
  backend_->finish();
  backend_->memory().copy_to_host(host_drawn_.data(), drawn_.data(), 2 * bytes);
  for (size_t i = 0; i < count; ++i) {
    out[i] = {host_drawn_[i], std::bit_cast<float>(host_drawn_[count + i])};
  }
}

}  // namespace minimax
