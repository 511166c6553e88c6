// SPDX-License-Identifier: Apache-2.0
#include "engine/state/timeline_chunks.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/error.h"

namespace minimax {
namespace {

static_assert(std::endian::native == std::endian::little,
              "chunks are written as they lie in memory");

size_t bytes_of(int64_t elements, DType type) {
  return static_cast<size_t>(elements) * size_of(type);
}

template <typename From, typename To>
void convert_each(const std::byte* from, int64_t count, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) {
    From element;
    std::memcpy(&element, from + static_cast<size_t>(i) * sizeof element, sizeof element);
    To value;
    if constexpr (std::is_same_v<To, bf16>) {
      value = to_bf16(to_f32(element));
    } else {
      value = to_f32(element);
    }
    std::memcpy(to + static_cast<size_t>(i) * sizeof value, &value, sizeof value);
  }
}

// f32 or bf16 to f32 or bf16.
void convert(DType from, const std::byte* source, int64_t count, DType to, std::byte* target) {
  assert(from == DType::f32 || from == DType::bf16);
  assert(to == DType::f32 || to == DType::bf16);
  if (from == to) {
    std::memcpy(target, source, bytes_of(count, to));
  } else if (from == DType::f32) {
    convert_each<float, bf16>(source, count, target);
  } else {
    convert_each<bf16, float>(source, count, target);
  }
}

}  // namespace

size_t TimelineChunks::Block::size_bytes() const {
  return bytes_of(planes * rows * width, type);
}

template <typename Body>
void TimelineChunks::Block::for_each_run(std::byte* at, const Body& body) const {
  const int64_t begin = first % rows, together = std::min(count, rows - begin);
  const auto rows_at = [&](int64_t row, int64_t row_count) -> std::span<std::byte> {
    return {at + bytes_of(row * width, type), bytes_of(row_count * width, type)};
  };
  for (int64_t plane = 0; plane < planes; ++plane) {
    if (together > 0) body(rows_at(plane * rows + begin, together));
    if (count > together) body(rows_at(plane * rows, count - together));
  }
}

TimelineChunks::TimelineChunks(const TimelineShape& shape, const KvPageShape& pages, Memory& memory)
    : shape_(shape), pages_(pages), memory_(memory) {
}

size_t TimelineChunks::state_bytes() const {
  return bytes_of(shape_.head_count * shape_.head_dim * shape_.head_dim, DType::f32);
}

size_t TimelineChunks::log_bytes(const TimelineExtent& extent) const {
  return bytes_of(shape_.head_count * 2 * extent.log_tokens() * shape_.head_dim, extent.log_type);
}

int64_t TimelineChunks::page_count(const TimelineExtent& extent) const {
  return extent.position / pages_.page_tokens + (extent.position % pages_.page_tokens != 0);
}

size_t TimelineChunks::page_bytes(const TimelineExtent& extent, int64_t page) const {
  const int64_t rows = std::min(pages_.page_tokens, extent.position - page * pages_.page_tokens);
  return bytes_of(pages_.plane_count * rows * pages_.head_dim, extent.kv_type);
}

TimelineChunks::Block TimelineChunks::state_block(const Timeline& timeline, int64_t layer) const {
  const int64_t width = shape_.head_dim;
  return {timeline.state(layer).raw(), DType::f32, shape_.head_count, width, width, 0, width};
}

TimelineChunks::Block TimelineChunks::log_block(const Timeline& timeline, int64_t layer,
                                                int64_t committed, int64_t count) const {
  return {timeline.log(layer).raw(),
          shape_.log_type,
          shape_.head_count * 2,
          shape_.log_rows,
          shape_.head_dim,
          committed,
          count};
}

TimelineChunks::Block TimelineChunks::page_block(const Timeline& timeline, int64_t page,
                                                 int64_t position) const {
  const int64_t count = std::min(pages_.page_tokens, position - page * pages_.page_tokens);
  return {timeline.pages()[static_cast<size_t>(page)],
          pages_.type,
          pages_.plane_count,
          pages_.page_tokens,
          pages_.head_dim,
          0,
          count};
}

void TimelineChunks::write_state(const Timeline& timeline, int64_t layer, ChunkWriter& writer) {
  write(state_block(timeline, layer), writer);
}

void TimelineChunks::write_log(const Timeline& timeline, int64_t layer, ChunkWriter& writer) {
  const int64_t committed = timeline.committed();
  write(log_block(timeline, layer, committed, timeline.position() - committed), writer);
}

void TimelineChunks::write_page(const Timeline& timeline, int64_t page, ChunkWriter& writer) {
  write(page_block(timeline, page, timeline.position()), writer);
}

void TimelineChunks::read_state(Timeline& timeline, int64_t layer, ChunkReader& reader) {
  read(state_block(timeline, layer), DType::f32, reader);
  reader.end(text("the state of lightning layer ", layer));
}

void TimelineChunks::read_log(Timeline& timeline, const TimelineExtent& extent, int64_t layer,
                              ChunkReader& reader) {
  assert(extent.log_tokens() <= shape_.log_rows);
  read(log_block(timeline, layer, extent.committed, extent.log_tokens()), extent.log_type, reader);
  reader.end(text("the log of lightning layer ", layer));
}

void TimelineChunks::read_page(Timeline& timeline, const TimelineExtent& extent, int64_t page,
                               ChunkReader& reader) {
  read(page_block(timeline, page, extent.position), extent.kv_type, reader);
  reader.end(text("page ", page, " of keys and values"));
}

void TimelineChunks::write(const Block& block, ChunkWriter& writer) {
  auto* data = static_cast<std::byte*>(block.data);
  if (!memory_.host_addressable()) {
    block_.resize(block.size_bytes());
    memory_.copy_to_host(block_.data(), block.data, block_.size());
    data = block_.data();
  }
  if (block.is_whole()) {
    writer.write({data, block.size_bytes()});
  } else {
    chunk_.resize(bytes_of(block.planes * block.count * block.width, block.type));
    std::byte* to = chunk_.data();
    block.for_each_run(data, [&](std::span<const std::byte> rows) {
      std::memcpy(to, rows.data(), rows.size());
      to += rows.size();
    });
    writer.write(chunk_);
  }
  writer.end();
}

void TimelineChunks::read(const Block& block, DType type, ChunkReader& reader) {
  const bool in_place = memory_.host_addressable();
  auto* data = static_cast<std::byte*>(block.data);
  if (!in_place) {
    block_.resize(block.size_bytes());
    data = block_.data();
  }
  block.rest().for_each_run(
      data, [](std::span<std::byte> rows) { std::memset(rows.data(), 0, rows.size()); });
  if (block.is_whole() && type == block.type) {
    reader.read({data, block.size_bytes()});
  } else if (type == block.type) {
    block.for_each_run(data, [&](std::span<std::byte> rows) { reader.read(rows); });
  } else {
    chunk_.resize(bytes_of(block.planes * block.count * block.width, type));
    reader.read(chunk_);
    const std::byte* from = chunk_.data();
    block.for_each_run(data, [&](std::span<std::byte> rows) {
      const auto count = static_cast<int64_t>(rows.size() / size_of(block.type));
      convert(type, from, count, block.type, rows.data());
      from += bytes_of(count, type);
    });
  }
  if (!in_place) memory_.copy_from_host(block.data, block_.data(), block_.size());
}

void TimelineChunks::clear_the_rest(Timeline& timeline, const TimelineExtent& extent) const {
  for (int64_t i = 0; i < shape_.lightning_layer_count; ++i) {
    const Tensor state = timeline.state(i), log = timeline.log(i);
    if (extent.committed == 0) memory_.zero(state.raw(), state.size_bytes());
    if (extent.log_tokens() == 0) memory_.zero(log.raw(), log.size_bytes());
  }
}

}  // namespace minimax
