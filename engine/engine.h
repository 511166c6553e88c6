// SPDX-License-Identifier: Apache-2.0
// A loaded model: load once, then step any number of timelines.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/kernels/open_backend.h"
#include "engine/model/config.h"
#include "engine/model/decoder.h"
#include "engine/model/fingerprint.h"
#include "engine/model/memory_plan.h"
#include "engine/model/step.h"
#include "engine/state/timeline.h"
#include "engine/state/timeline_chunks.h"
#include "engine/weights/weight_source.h"

namespace minimax {

enum class WeightOrigin { files, synthetic };

// minimax_engine_options, checked and with every default filled in.
struct EngineOptions {
  std::string device = "cpu";
  int thread_count = 1;
  Compute compute = Compute::automatic;
  int32_t kv_type = MINIMAX_TYPE_AUTO;
  WeightOrigin weights = WeightOrigin::files;
  uint64_t synthetic_seed = 0;
  int64_t context_limit = 0;   // 0: none
  int64_t kv_bytes_limit = 0;  // 0: none
  int64_t chunk_tokens = 512;
  int64_t image_cache_bytes_limit = 0;   // 0: the default
  int64_t prefix_cache_bytes_limit = 0;  // 0: the default; below 0: none
  minimax_progress_fn progress = nullptr;
  void* progress_user = nullptr;
};

// Receives logits as they are made, one row after the other.
class LogitsSink {
 public:
  virtual ~LogitsSink() = default;
  // row [V] f32: the logits after token `index` of the feed; valid during the call.
  virtual void take(int64_t index, std::span<const float> row) = 0;
  // Where on the device a row goes instead [V] f32; it is there when the step ends. Empty: take() is called.
  virtual Tensor room_on_device() { return {}; }
};

enum class LogitsWanted { last, all };

// Rows that stand in place of embeddings: of tokens [first, first + n), counted as first_index counts.
struct EmbeddedRows {
  int64_t first;
  Tensor rows;  // [n, W] act, in the device's memory
};

// What a step does to one timeline.
struct StepEntry {
  Timeline* timeline;
  std::span<const int32_t> tokens;  // 1 or more
  LogitsWanted wanted;
  LogitsSink* sink;     // nullptr: no logits
  int64_t first_index;  // what the sink is told of the first of these tokens
  std::span<const EmbeddedRows> pictures = {};  // ascending, without overlap; parts may lie outside
};

// Model and weights are immutable; any thread may call anything, steps are computed one at a time.
// Timelines must not outlive the engine.
class Engine {
 public:
  // path as of minimax_engine_open. Errors as there.
  static std::unique_ptr<Engine> load(const std::filesystem::path& path,
                                      const EngineOptions& options);
  // Counts what load and sessions would take, from config and headers alone.
  static minimax_memory_plan plan(const std::filesystem::path& path, const EngineOptions& options);

  const ModelConfig& config() const { return config_; }
  const std::string& config_text() const { return config_text_; }
  const EngineOptions& options() const { return options_; }
  DType kv_type() const { return kv_type_; }
  const WeightTotals& weights() const { return weight_totals_; }
  // What matrix products compute in.
  DType compute_type() const;
  size_t workspace_bytes() const;
  size_t kv_bytes() const { return pages_->used_bytes(); }
  // Sessions lie in the host's own memory.
  bool memory_is_host() const { return backend_->memory().host_addressable(); }
  // Ids whose embedding is all zero: they were never trained and must not be sampled.
  std::span<const int32_t> zero_rows() const { return zero_rows_; }

  // An empty timeline that can always go back rewind_tokens tokens. MINIMAX_OUT_OF_MEMORY.
  std::unique_ptr<Timeline> new_timeline(int64_t rewind_tokens,
                                         InitialState initial = InitialState::zero);

  std::unique_ptr<Timeline> new_timeline(const TimelineMark& mark);

  // MINIMAX_CONTEXT_FULL when a text of so many tokens may not grow by `count` more (context_limit), or when
  // so many pages are more than kv_bytes_limit allows at all.
  void check_length(int64_t position, int64_t count) const;
  void check_pages(int64_t pages) const;
  // Takes the room that `count` more tokens need; all or nothing. MINIMAX_CONTEXT_FULL,
  // MINIMAX_OUT_OF_MEMORY.
  void reserve(Timeline& timeline, int64_t count) const;
  // Pages of keys and values that may still be taken: within the limit, and as far as the device has
  // memory for them now. Others may take them meanwhile.
  int64_t kv_pages_left() const;
  // Those that one timeline could hold if there were no other; of kv_page_tokens tokens each.
  int64_t kv_pages_at_most() const;
  size_t kv_page_bytes() const { return pages_->page_bytes(); }
  static int64_t kv_pages_for(int64_t token_count) {
    return (token_count + kv_page_tokens - 1) / kv_page_tokens;
  }
  // How many timelines and marks hold a page.
  size_t kv_page_owners(std::byte* page) const { return pages_->owner_count(page); }
  // Asked when memory or pages run out, before anybody is refused: gives up something that may be, or
  // returns false. Any thread. To be set before the engine is used.
  void set_reclaimer(std::function<bool()> give_up_one) { reclaimer_ = std::move(give_up_one); }

  // Timelines of that shape on their way out of the engine, or into it.
  TimelineChunks chunks_of(const TimelineShape& shape);
  // The first call looks at the weights, which may have to be read from the files.
  const ModelFingerprint& fingerprint() const;

  // Feeds tokens in chunks that end at multiples of chunk_tokens. Ids must be in range. On
  // MINIMAX_CANCELLED the timeline stands after the last whole chunk; after MINIMAX_CONTEXT_FULL and
  // MINIMAX_OUT_OF_MEMORY where it was; after any other error it is broken.
  void feed(const StepEntry& entry, const std::atomic<bool>& cancel);

  // Gives the device to somebody else than steps, who must leave nothing behind that steps would meet.
  void use_device(const std::function<void(Backend&)>& work);
  // Within use_device: scratch memory for steps up to these limits too.
  void reserve_at_least(const StepLimits& limits);
  // Another source of the weights of `path`, for parts that the text model does not have. The threads
  // must outlive it.
  std::unique_ptr<WeightSource> open_more_weights(const std::filesystem::path& path,
                                                  Backend& backend, ThreadPool& threads) const;

  // Room on the device for a row of logits [V] f32, and the way back. MINIMAX_OUT_OF_MEMORY.
  Buffer new_logits_room() const;
  void read_logits(const Tensor& row, std::span<float> numbers) const;
  // Ids that sample() never draws: ascending. To be set before the engine is used.
  void set_suppressed(std::span<const int32_t> tokens);
  // Draws a token from each of at most chunk_tokens rows in the device's memory (ops::sample). Their probabilities
  // are only said where that is not the host's: who can read the logits computes them when they are asked for.
  void sample(std::span<const LogitsRow> rows, std::span<DrawnToken> out);

  // Computes one step: together at most chunk_tokens tokens, of different timelines, each with room
  // reserved. tap: for tests, else nullptr.
  void step(std::span<const StepEntry> entries, LayerTap* tap = nullptr);

 private:
  Engine(EngineOptions options, ConfigFile config, std::unique_ptr<WeightSource> source,
         const TextTensors& tensors, WeightTotals totals, DType kv_type,
         std::unique_ptr<Backend> backend);
  void give_logits(std::span<const StepEntry> entries, const Tensor& hidden);
  void give_rows(const Tensor& logits);
  void find_zero_rows();
  template <typename Taking>
  auto take(const Taking& taking) const;

  const EngineOptions options_;
  const ModelConfig config_;
  const std::string config_text_;
  const DType kv_type_;
  const WeightTotals weight_totals_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<WeightSource> source_;
  Decoder decoder_;
  std::vector<int32_t> zero_rows_;
  std::unique_ptr<PagePool> pages_;
  std::function<bool()> reclaimer_;
  mutable std::once_flag fingerprint_once_;
  mutable ModelFingerprint fingerprint_{};  // once it was asked for

  std::mutex step_mutex_;  // guards what follows
  StepLimits limits_;
  Arena arena_;
  Step step_;
  std::vector<int32_t> host_ids_;  // of the step
  // Whose the rows of logits are that are made now, and which of its tokens' each is.
  struct WantedRow {
    const StepEntry* entry;
    int64_t index;
  };
  std::vector<WantedRow> wanted_;
  // [logits_rows, V] where the host cannot read the device's memory.
  std::vector<float> host_logits_;
  Buffer suppressed_;                // as ops::sample has them
  Buffer drawn_;                     // [chunk_tokens] tokens, behind them as many logprobs
  std::vector<int32_t> host_drawn_;  // likewise, as bits
};

}  // namespace minimax
