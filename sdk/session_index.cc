// SPDX-License-Identifier: Apache-2.0
#include "sdk/session_index.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/chunk_stream.h"
#include "base/error.h"
#include "session_file_generated.h"

namespace minimax {
namespace {

static_assert(std::endian::native == std::endian::little, "the header is written as it lies");

// The first is no text, so that nobody opens the file as one; the line end is what copying as text damages.
constexpr char magic[8] = {'\x89', 'M', 'M', 'S', 'E', 'S', '\r', '\n'};
constexpr uint64_t most_index_bytes = uint64_t{16} << 20;
constexpr uint64_t most_total_bytes = uint64_t{1} << 60;  // sums of sizes below it cannot overflow
constexpr size_t index_piece_bytes = size_t{64} << 10;
constexpr int32_t most_rewind_tokens = 4096;
constexpr uint64_t most_position = uint64_t{1} << 40;
constexpr size_t most_name_bytes = 256;

// The index depth and tables that the schema has, and no more.
constexpr flatbuffers::uoffset_t most_depth = 3, most_tables = 3;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t unused;
  uint64_t index_bytes;
  uint64_t total_bytes;
  uint64_t index_checksum;
  uint64_t header_checksum;  // of all before it
};
static_assert(sizeof(Header) == 48);

uint64_t checksum_of_header(const Header& header) {
  return checksum_of(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, header_checksum)));
}

uint64_t total_bytes_of(uint64_t index_bytes, std::span<const ChunkPlace> chunks) {
  uint64_t total = sizeof(Header) + index_bytes;
  for (const ChunkPlace& chunk : chunks) total += chunk.size_bytes + chunk_checksum_bytes;
  return total;
}

saved::NumberType saved_type(DType type) {
  return type == DType::f32 ? saved::NumberType::f32 : saved::NumberType::bf16;
}

DType type_of(saved::NumberType type, const std::string& name, const char* what) {
  if (type == saved::NumberType::f32) return DType::f32;
  if (type == saved::NumberType::bf16) return DType::bf16;
  fail(MINIMAX_BAD_FILE, name, ": ", what, " is ", static_cast<int>(type), ", expected 1 or 2");
}

using Builder = flatbuffers::FlatBufferBuilder;

flatbuffers::Offset<saved::Sampler> write_sampler(Builder& builder, const SavedSampler& sampler) {
  const SamplerOptions& options = sampler.state.options;
  std::vector<saved::LogitBias> biases;
  for (const LogitBias& bias : options.logit_bias) biases.emplace_back(bias.token, bias.bias);
  const auto logit_bias = builder.CreateVectorOfStructs(biases);
  saved::SamplerBuilder saved(builder);
  saved.add_temperature(options.temperature);
  saved.add_top_p(options.top_p);
  saved.add_min_p(options.min_p);
  saved.add_top_k(options.top_k);
  saved.add_repetition_penalty(options.repetition_penalty);
  saved.add_presence_penalty(options.presence_penalty);
  saved.add_frequency_penalty(options.frequency_penalty);
  saved.add_penalty_window(options.penalty_window);
  saved.add_seed(options.seed);
  saved.add_logit_bias(logit_bias);
  saved.add_top_logprobs(options.top_logprobs);
  saved.add_random_state(sampler.state.random_state);
  saved.add_accepted_count(sampler.accepted_count);
  return saved.Finish();
}

void build(Builder& builder, const SessionIndex& index) {
  std::vector<saved::Picture> pictures;
  for (const PictureSpan& picture : index.pictures) {
    const auto* id = reinterpret_cast<const uint8_t*>(picture.id.data());
    pictures.emplace_back(picture.position, picture.token_count,
                          flatbuffers::span<const uint8_t, 32>(id, picture.id.size()));
  }
  std::vector<saved::Chunk> chunks;
  for (const ChunkPlace& chunk : index.chunks) {
    chunks.emplace_back(static_cast<saved::ChunkKind>(chunk.kind), chunk.number, chunk.size_bytes);
  }
  const auto library_version = builder.CreateString(index.library_version);
  const auto model = saved::CreateModel(builder, builder.CreateString(index.model_name),
                                        index.model.config, index.model.weights);
  const auto saved_pictures = builder.CreateVectorOfStructs(pictures);
  const auto saved_chunks = builder.CreateVectorOfStructs(chunks);
  flatbuffers::Offset<saved::Sampler> sampler;
  if (index.sampler) sampler = write_sampler(builder, *index.sampler);
  saved::SessionBuilder session(builder);
  session.add_library_version(library_version);
  session.add_model(model);
  session.add_position(index.extent.position);
  session.add_committed(index.extent.committed);
  session.add_rewind_tokens(static_cast<int32_t>(index.rewind_tokens));
  session.add_log_type(saved_type(index.extent.log_type));
  session.add_kv_type(saved_type(index.extent.kv_type));
  session.add_has_logits(index.has_logits);
  session.add_pictures(saved_pictures);
  session.add_sampler(sampler);
  session.add_chunks(saved_chunks);
  builder.Finish(session.Finish());
}

Header read_header(ByteSource& source) {
  const std::string& name = source.name();
  const std::optional<uint64_t> size_bytes = source.size_bytes();
  Header header;
  require_file(!size_bytes || *size_bytes >= sizeof header, name, ": ", size_bytes.value_or(0),
               " bytes are no saved session");
  source.read(std::as_writable_bytes(std::span(&header, 1)));
  require_file(std::memcmp(header.magic, magic, sizeof magic) == 0, name, ": is no saved session");
  if (header.version > session_file_version) {
    fail(MINIMAX_UNSUPPORTED, name, ": is of format version ", header.version,
         ", this library reads ", session_file_version, " and earlier ones");
  }
  require_file(header.header_checksum == checksum_of_header(header), name,
               ": its header is damaged: it does not have the checksum that was written");
  require_file(header.version > 0 && header.unused == 0, name, ": its header is of format version ",
               header.version, ", expected ", session_file_version);
  require_file(header.index_bytes <= most_index_bytes, name, ": its index has ", header.index_bytes,
               " bytes, at most ", most_index_bytes, " are read");
  require_file(header.total_bytes <= most_total_bytes, name, ": says that it has ",
               header.total_bytes, " bytes");
  require_file(header.total_bytes >= sizeof header + header.index_bytes, name,
               ": says that it has ", header.total_bytes, " bytes, fewer than its beginning");
  require_file(!size_bytes || *size_bytes == header.total_bytes, name, ": has ",
               size_bytes.value_or(0), " bytes, its header says ", header.total_bytes);
  return header;
}

// Memory grows with what was read, not with what the header says.
std::vector<std::byte> read_growing(ByteSource& source, uint64_t size_bytes) {
  std::vector<std::byte> bytes;
  while (bytes.size() < size_bytes) {
    const size_t before = bytes.size();
    const uint64_t left = size_bytes - before;
    bytes.resize(before + static_cast<size_t>(std::min<uint64_t>(left, index_piece_bytes)));
    source.read(std::span(bytes).subspan(before));
  }
  return bytes;
}

// body(element) for each: copies, since the verifier does not promise that they are aligned.
template <typename Struct, typename Body>
void for_each_struct(const flatbuffers::Vector<const Struct*>& vector, const Body& body) {
  for (size_t i = 0; i < vector.size(); ++i) {
    Struct element;
    std::memcpy(&element, vector.Data() + i * sizeof element, sizeof element);
    body(element);
  }
}

SavedSampler read_sampler(const saved::Sampler& saved) {
  SavedSampler sampler;
  SamplerOptions& options = sampler.state.options;
  options.temperature = saved.temperature();
  options.top_p = saved.top_p();
  options.min_p = saved.min_p();
  options.top_k = saved.top_k();
  options.repetition_penalty = saved.repetition_penalty();
  options.presence_penalty = saved.presence_penalty();
  options.frequency_penalty = saved.frequency_penalty();
  options.penalty_window = saved.penalty_window();
  options.seed = saved.seed();
  if (saved.logit_bias()) {
    for_each_struct(*saved.logit_bias(), [&](const saved::LogitBias& bias) {
      options.logit_bias.push_back({bias.token(), bias.bias()});
    });
  }
  options.top_logprobs = saved.top_logprobs();
  sampler.state.random_state = saved.random_state();
  sampler.accepted_count = saved.accepted_count();
  return sampler;
}

std::vector<PictureSpan> read_pictures(const saved::Session& session, const std::string& name) {
  std::vector<PictureSpan> pictures;
  if (!session.pictures()) return pictures;
  int64_t end = 0;
  for_each_struct(*session.pictures(), [&](const saved::Picture& saved) {
    const int64_t position = saved.position(), count = saved.token_count();
    require_file(position >= end && count > 0 && count <= session.position() &&
                     position <= session.position() - count,
                 name, ": a picture of ", count, " tokens at ", position, " does not lie behind ",
                 end, " among ", session.position());
    PictureSpan picture{position, count, {}};
    std::memcpy(picture.id.data(), saved.id()->Data(), picture.id.size());
    pictures.push_back(picture);
    end = position + count;
  });
  return pictures;
}

std::string read_name(const flatbuffers::String& saved, const std::string& name) {
  require_file(saved.size() <= most_name_bytes, name, ": a name of ", saved.size(),
               " bytes, at most ", most_name_bytes);
  return saved.str();
}

SessionIndex interpret(const saved::Session& session, const std::string& name) {
  const int64_t position = session.position(), committed = session.committed();
  require_file(position >= 0 && static_cast<uint64_t>(position) <= most_position, name, ": holds ",
               position, " tokens");
  require_file(committed >= 0 && committed <= position, name, ": ", committed,
               " tokens are folded, it holds ", position);
  require_file(session.rewind_tokens() >= 0 && session.rewind_tokens() <= most_rewind_tokens, name,
               ": rewind_tokens is ", session.rewind_tokens(), ", expected 0 to ",
               most_rewind_tokens);
  SessionIndex index;
  index.library_version = read_name(*session.library_version(), name);
  index.model_name = read_name(*session.model()->name(), name);
  index.model = {session.model()->config_digest(), session.model()->weights_digest()};
  index.extent = {position, committed, type_of(session.log_type(), name, "log_type"),
                  type_of(session.kv_type(), name, "kv_type")};
  index.rewind_tokens = session.rewind_tokens();
  index.has_logits = session.has_logits();
  index.pictures = read_pictures(session, name);
  if (session.sampler()) index.sampler = read_sampler(*session.sampler());
  index.chunks.reserve(session.chunks()->size());
  for_each_struct(*session.chunks(), [&](const saved::Chunk& chunk) {
    require_file(chunk.size_bytes() <= most_total_bytes, name, ": a chunk of ", chunk.size_bytes(),
                 " bytes");
    index.chunks.push_back(
        {static_cast<ChunkKind>(chunk.kind()), chunk.number(), chunk.size_bytes()});
  });
  return index;
}

}  // namespace

void write_session_index(const SessionIndex& index, ByteSink& sink) {
  Builder builder;
  build(builder, index);
  const std::span<const std::byte> bytes =
      std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  if (bytes.size() > most_index_bytes) {
    fail(MINIMAX_UNSUPPORTED, "an index of ", bytes.size(), " bytes, at most ", most_index_bytes,
         " are written");
  }
  Header header{};
  std::memcpy(header.magic, magic, sizeof magic);
  header.version = index.version;
  header.index_bytes = bytes.size();
  header.total_bytes = total_bytes_of(bytes.size(), index.chunks);
  header.index_checksum = checksum_of(bytes);
  header.header_checksum = checksum_of_header(header);
  sink.write(std::as_bytes(std::span(&header, 1)));
  sink.write(bytes);
}

SessionIndex read_session_index(ByteSource& source) {
  const Header header = read_header(source);
  const std::vector<std::byte> bytes = read_growing(source, header.index_bytes);
  const std::string& name = source.name();
  require_file(header.index_checksum == checksum_of(bytes), name,
               ": its index is damaged: it does not have the checksum that was written");
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  flatbuffers::Verifier verifier(data, bytes.size(), most_depth, most_tables);
  require_file(saved::VerifySessionBuffer(verifier), name, ": its index is no index of a session");
  SessionIndex index = interpret(*saved::GetSession(data), name);
  index.version = header.version;
  index.total_bytes = header.total_bytes;
  uint64_t left = header.total_bytes - sizeof header - header.index_bytes;
  for (const ChunkPlace& chunk : index.chunks) {
    const uint64_t size_bytes = chunk.size_bytes + chunk_checksum_bytes;
    require_file(size_bytes <= left, name, ": its chunks have more bytes than the file");
    left -= size_bytes;
  }
  require_file(left == 0, name, ": ", left, " bytes belong to no chunk");
  return index;
}

}  // namespace minimax
