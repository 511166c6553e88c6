// SPDX-License-Identifier: Apache-2.0
#include "sdk/session_file.h"

#include <algorithm>

#include "base/chunk_stream.h"
#include "base/error.h"

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
  int64_t layers() const { return model_->engine().config().lightning_layer_count(); }

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
    const TimelineExtent& extent = index_.extent;
    for (int64_t i = 0; extent.committed > 0 && i < layers(); ++i) {
      chunks.read_state(timeline, i, reader_);
    }
    for (int64_t i = 0; extent.log_tokens() > 0 && i < layers(); ++i) {
      chunks.read_log(timeline, extent, i, reader_);
    }
    for (int64_t i = 0; i < chunks.page_count(extent); ++i) {
      timeline.reserve(std::min((i + 1) * kv_page_tokens, extent.position));
      chunks.read_page(timeline, extent, i, reader_);
    }
    chunks.clear_the_rest(timeline, extent);
  }

  const std::shared_ptr<Model> model_;
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

LoadedSession load_session(std::shared_ptr<Model> model, ByteSource& source,
                           SavedSamplerWanted wanted) {
  return Loading(std::move(model), source).load(wanted);
}

}  // namespace minimax
