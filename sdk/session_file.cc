// SPDX-License-Identifier: Apache-2.0
#include "sdk/session_file.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/chunk_stream.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace minimax {
namespace {

constexpr uint64_t block_tokens = 262'144;  // tokens of a chunk: 1 MiB
static_assert(kv_page_tokens == 256, "the pages of the format; others would have to be cut anew");

uint64_t blocks_of(uint64_t token_count) {
  return token_count / block_tokens + (token_count % block_tokens != 0);
}

uint64_t accepted_count_of(const SessionIndex& index) {
  return index.sampler ? index.sampler->accepted_count : 0;
}

// The chunks that a session of that index has, in their order.
class ChunkPlan {
 public:
  ChunkPlan(const SessionIndex& index, const TimelineChunks& timeline, const ModelConfig& config)
      : index_(index), timeline_(timeline), config_(config) {}

  // Without making a list, which may be longer than any file.
  uint64_t count() const {
    const TimelineExtent& extent = index_.extent;
    const auto layers = static_cast<uint64_t>(config_.lightning_layer_count());
    return blocks_of(static_cast<uint64_t>(extent.position)) +
           blocks_of(accepted_count_of(index_)) + (index_.has_logits ? 1 : 0) +
           layers * ((extent.committed > 0) + (extent.log_tokens() > 0)) +
           static_cast<uint64_t>(timeline_.page_count(extent));
  }
  std::vector<ChunkPlace> list() const {
    const TimelineExtent& extent = index_.extent;
    const int64_t layers = config_.lightning_layer_count();
    std::vector<ChunkPlace> chunks;
    add_tokens(ChunkKind::tokens, static_cast<uint64_t>(extent.position), chunks);
    if (index_.has_logits) {
      const auto size = static_cast<uint64_t>(config_.vocabulary_size) * sizeof(float);
      chunks.push_back({ChunkKind::logits, 0, size});
    }
    add_tokens(ChunkKind::accepted_tokens, accepted_count_of(index_), chunks);
    for (int64_t i = 0; extent.committed > 0 && i < layers; ++i) {
      chunks.push_back(
          {ChunkKind::lightning_state, static_cast<uint32_t>(i), timeline_.state_bytes()});
    }
    for (int64_t i = 0; extent.log_tokens() > 0 && i < layers; ++i) {
      chunks.push_back(
          {ChunkKind::lightning_log, static_cast<uint32_t>(i), timeline_.log_bytes(extent)});
    }
    for (int64_t i = 0; i < timeline_.page_count(extent); ++i) {
      chunks.push_back(
          {ChunkKind::kv_page, static_cast<uint32_t>(i), timeline_.page_bytes(extent, i)});
    }
    return chunks;
  }

 private:
  static void add_tokens(ChunkKind kind, uint64_t token_count, std::vector<ChunkPlace>& chunks) {
    for (uint64_t first = 0; first < token_count; first += block_tokens) {
      const uint64_t count = std::min(block_tokens, token_count - first);
      chunks.push_back(
          {kind, static_cast<uint32_t>(first / block_tokens), count * sizeof(int32_t)});
    }
  }

  const SessionIndex& index_;
  const TimelineChunks& timeline_;
  const ModelConfig& config_;
};

SessionIndex describe(const Session& session, const Sampler* sampler) {
  const Engine& engine = session.model()->engine();
  const Timeline& timeline = session.timeline();
  SessionIndex index;
  index.library_version = minimax_version_string();
  index.model_name = engine.config().model_name;
  index.model = engine.fingerprint();
  index.extent = {timeline.position(), timeline.committed(), timeline.shape().log_type,
                  engine.kv_type()};
  index.rewind_tokens = timeline.shape().rewind_tokens;
  index.has_logits = session.has_logits();
  index.pictures.assign(session.pictures().begin(), session.pictures().end());
  if (sampler) {
    SavedSampler saved{sampler->state()};
    saved.accepted_count = saved.state.accepted.size();
    index.sampler = std::move(saved);
  }
  return index;
}

void write_tokens(std::span<const int32_t> tokens, ChunkWriter& writer) {
  for (; !tokens.empty(); tokens = tokens.subspan(std::min(tokens.size(), block_tokens))) {
    writer.write(std::as_bytes(tokens.first(std::min(tokens.size(), block_tokens))));
    writer.end();
  }
}

void write_timeline(const Timeline& timeline, const TimelineExtent& extent, int64_t layers,
                    TimelineChunks& chunks, ChunkWriter& writer) {
  for (int64_t i = 0; extent.committed > 0 && i < layers; ++i) {
    chunks.write_state(timeline, i, writer);
  }
  for (int64_t i = 0; extent.log_tokens() > 0 && i < layers; ++i) {
    chunks.write_log(timeline, i, writer);
  }
  for (int64_t i = 0; i < chunks.page_count(extent); ++i) chunks.write_page(timeline, i, writer);
}

// One session on its way in.
class Loading {
 public:
  Loading(std::shared_ptr<Model> model, ByteSource& source)
      : model_(std::move(model)),
        source_(source),
        name_(source.name()),
        index_(read_session_index(source)),
        reader_(source) {}

  LoadedSession load(SavedSamplerWanted wanted) {
    check_model();
    check_extent();
    if (wanted == SavedSamplerWanted::yes && !index_.sampler) {
      fail(MINIMAX_NOT_AVAILABLE, name_, ": was saved without a sampler");
    }
    std::unique_ptr<Timeline> timeline =
        model_->engine().new_timeline(index_.rewind_tokens, InitialState::undefined);
    TimelineChunks chunks = model_->engine().chunks_of(timeline->shape());
    check_chunks(*timeline, chunks);
    LoadedSession loaded;
    std::vector<int32_t> tokens =
        read_tokens(static_cast<uint64_t>(index_.extent.position), "its tokens");
    if (index_.has_logits) loaded.session.logits = read_logits();
    std::optional<Sampler> sampler = read_sampler();
    if (wanted == SavedSamplerWanted::yes) loaded.sampler = std::move(sampler);
    read_timeline(*timeline, chunks);
    timeline->restore(std::move(tokens), index_.extent.committed);
    loaded.session.model = model_;
    loaded.session.timeline = std::move(timeline);
    loaded.session.pictures = std::move(index_.pictures);
    return loaded;
  }

 private:
  void check_model() const {
    const ModelFingerprint& own = model_->engine().fingerprint();
    if (index_.model == own) return;
    fail(MINIMAX_WRONG_MODEL, name_, ": was saved with another model (", index_.model_name,
         index_.model.config == own.config ? ", the same sizes but other weights)"
                                           : ", of another configuration)");
  }

  void check_extent() const {
    const TimelineExtent& extent = index_.extent;
    const int64_t limit = model_->engine().options().context_limit;
    if (limit > 0 && extent.position > limit) {
      fail(MINIMAX_CONTEXT_FULL, name_, ": holds ", extent.position, " tokens, a session at most ",
           limit, " (context_limit)");
    }
  }

  void check_chunks(const Timeline& timeline, const TimelineChunks& chunks) const {
    const TimelineExtent& extent = index_.extent;
    const TimelineShape& shape = timeline.shape();
    require_file(extent.committed % shape.fold_tokens == 0 && extent.log_tokens() <= shape.log_rows,
                 name_, ": ", extent.committed, " of ", extent.position,
                 " tokens are folded, which no session does");
    const ChunkPlan plan(index_, chunks, model_->engine().config());
    require_file(index_.chunks.size() == plan.count(), name_, ": has ", index_.chunks.size(),
                 " chunks, expected ", plan.count());
    require_file(index_.chunks == plan.list(), name_,
                 ": its chunks are not those of such a session");
  }

  // Memory grows with what was read.
  std::vector<int32_t> read_tokens(uint64_t token_count, std::string_view what) {
    std::vector<int32_t> tokens;
    while (tokens.size() < token_count) {
      const size_t before = tokens.size();
      tokens.resize(before + std::min(block_tokens, token_count - before));
      reader_.read(std::as_writable_bytes(std::span(tokens).subspan(before)));
      reader_.end(what);
    }
    for (const int32_t token : tokens) {
      require_file(token >= 0 && token < model_->vocabulary_size(), name_, ": token ", token,
                   " among ", what, ", vocabulary has ", model_->vocabulary_size());
    }
    return tokens;
  }

  std::vector<float> read_logits() {
    std::vector<float> logits(static_cast<size_t>(model_->vocabulary_size()));
    reader_.read(std::as_writable_bytes(std::span(logits)));
    reader_.end("the logits");
    return logits;
  }

  std::optional<Sampler> read_sampler() {
    if (!index_.sampler) return std::nullopt;
    SamplerState state = std::move(index_.sampler->state);
    state.accepted = read_tokens(index_.sampler->accepted_count, "the tokens of its sampler");
    try {
      return Sampler::restored(std::move(state), model_->vocabulary_size(), model_->suppressed());
    } catch (const Error& error) {  // what is the caller's mistake elsewhere is the file's here
      fail(MINIMAX_BAD_FILE, name_, ": its sampler: ", error.message());
    }
  }

  void read_timeline(Timeline& timeline, TimelineChunks& chunks) {
    if (source_.part(0)) {
      read_side_by_side(timeline);
    } else {
      read_in_order(timeline, chunks);
    }
    chunks.clear_the_rest(timeline, index_.extent);
  }

  // Memory for pages grows with what was read.
  void read_in_order(Timeline& timeline, TimelineChunks& chunks) {
    for (const ChunkPlace& place : index_.chunks) {
      if (!is_of_timeline(place.kind)) continue;
      if (place.kind == ChunkKind::kv_page) {
        const int64_t tokens = (int64_t{place.number} + 1) * kv_page_tokens;
        timeline.reserve(std::min(tokens, index_.extent.position));
      }
      read_chunk(place, timeline, chunks, reader_);
    }
  }

  // By several threads, of a source of known size: it has the bytes that its index promises.
  void read_side_by_side(Timeline& timeline) {
    timeline.reserve(index_.extent.position);
    uint64_t offset = index_.total_bytes, timeline_bytes = 0;
    std::vector<std::pair<ChunkPlace, uint64_t>> placed;  // and its offset; the last first
    for (auto place = index_.chunks.rbegin();
         place != index_.chunks.rend() && is_of_timeline(place->kind); ++place) {
      offset -= place->size_bytes + chunk_checksum_bytes;
      timeline_bytes += place->size_bytes;
      placed.emplace_back(*place, offset);
    }
    ThreadPool threads(thread_count_for(timeline_bytes));
    std::vector<TimelineChunks> chunks;
    for (int i = 0; i < threads.thread_count(); ++i) {
      chunks.push_back(model_->engine().chunks_of(timeline.shape()));
    }
    threads.for_each(static_cast<int64_t>(placed.size()), [&](int64_t i, int thread) {
      const auto& [place, begin] = placed[static_cast<size_t>(i)];
      const std::unique_ptr<ByteSource> part = source_.part(begin);
      ChunkReader reader(*part);
      read_chunk(place, timeline, chunks[static_cast<size_t>(thread)], reader);
    });
  }

  // Starting a thread takes as long as copying some 100 KiB, and few threads copy all that memory can.
  int thread_count_for(uint64_t size_bytes) const {
    constexpr uint64_t bytes_each = uint64_t{1} << 19, most = 8;
    const auto own = static_cast<uint64_t>(model_->engine().options().thread_count);
    return static_cast<int>(std::clamp<uint64_t>(size_bytes / bytes_each, 1, std::min(own, most)));
  }

  static bool is_of_timeline(ChunkKind kind) {
    return kind == ChunkKind::lightning_state || kind == ChunkKind::lightning_log ||
           kind == ChunkKind::kv_page;
  }

  void read_chunk(const ChunkPlace& place, Timeline& timeline, TimelineChunks& chunks,
                  ChunkReader& reader) const {
    switch (place.kind) {
      case ChunkKind::lightning_state:
        return chunks.read_state(timeline, place.number, reader);
      case ChunkKind::lightning_log:
        return chunks.read_log(timeline, index_.extent, place.number, reader);
      default:
        return chunks.read_page(timeline, index_.extent, place.number, reader);
    }
  }

  const std::shared_ptr<Model> model_;
  ByteSource& source_;
  const std::string name_;
  SessionIndex index_;
  ChunkReader reader_;
};

}  // namespace

void save_session(const Session& session, const Sampler* sampler, ByteSink& sink) {
  session.require_whole();
  Engine& engine = session.model()->engine();
  const Timeline& timeline = session.timeline();
  TimelineChunks chunks = engine.chunks_of(timeline.shape());
  SessionIndex index = describe(session, sampler);
  index.chunks = ChunkPlan(index, chunks, engine.config()).list();
  write_session_index(index, sink);
  ChunkWriter writer(sink);
  write_tokens(timeline.tokens(), writer);
  if (index.has_logits) {
    writer.write(std::as_bytes(session.logits()));
    writer.end();
  }
  if (index.sampler) write_tokens(index.sampler->state.accepted, writer);
  write_timeline(timeline, index.extent, engine.config().lightning_layer_count(), chunks, writer);
}

void check_session(ByteSource& source) {
  constexpr uint64_t piece_bytes = uint64_t{256} << 10;
  const SessionIndex index = read_session_index(source);
  ChunkReader reader(source);
  std::vector<std::byte> piece(piece_bytes);
  for (const ChunkPlace& chunk : index.chunks) {
    for (uint64_t left = chunk.size_bytes; left > 0; left -= std::min(left, piece_bytes)) {
      reader.read(std::span(piece).first(static_cast<size_t>(std::min(left, piece_bytes))));
    }
    reader.end("a chunk");
  }
}

LoadedSession load_session(std::shared_ptr<Model> model, ByteSource& source,
                           SavedSamplerWanted wanted) {
  return Loading(std::move(model), source).load(wanted);
}

}  // namespace minimax
