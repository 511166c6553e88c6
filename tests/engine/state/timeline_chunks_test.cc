// SPDX-License-Identifier: Apache-2.0
// Timelines as chunks, from one kind of memory and number to another.
#include "engine/state/timeline_chunks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/error.h"

namespace minimax {
namespace {

// Memory that the host cannot reach, as far as anybody can tell: what is kept there is scrambled.
class ScrambledMemory final : public Memory {
 public:
  void* allocate(size_t size_bytes) override { return host_memory().allocate(size_bytes); }
  void release(void* data, size_t size_bytes) noexcept override {
    host_memory().release(data, size_bytes);
  }
  void copy_from_host(void* to, const void* from, size_t size_bytes) override {
    scramble(to, from, size_bytes);
  }
  void copy_to_host(void* to, const void* from, size_t size_bytes) override {
    scramble(to, from, size_bytes);
  }
  void copy(void* to, const void* from, size_t size_bytes) override {
    std::memmove(to, from, size_bytes);
  }
  void zero(void* data, size_t size_bytes) override { std::memset(data, 0x5a, size_bytes); }
  bool host_addressable() const override { return false; }

 private:
  static void scramble(void* to, const void* from, size_t size_bytes) {
    for (size_t i = 0; i < size_bytes; ++i) {
      static_cast<unsigned char*>(to)[i] = static_cast<const unsigned char*>(from)[i] ^ 0x5a;
    }
  }
};

class Bytes final : public ByteSink, public ByteSource {
 public:
  void write(std::span<const std::byte> more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
  void read(std::span<std::byte> to) override {
    require_file(to.size() <= bytes.size() - at, "no more bytes");
    std::memcpy(to.data(), bytes.data() + at, to.size());
    at += to.size();
  }
  std::optional<uint64_t> size_bytes() const override { return bytes.size(); }
  const std::string& name() const override { return name_; }

  std::vector<std::byte> bytes;
  size_t at = 0;

 private:
  const std::string name_ = "test";
};

constexpr int64_t layers = 2, heads = 3, head_dim = 4, log_rows = 64, planes = 6, page_tokens = 8;

// A timeline in some memory, with types of its own.
class Holder {
 public:
  Holder(Memory& memory, DType log_type, DType kv_type, InitialState initial = InitialState::zero)
      : memory_(memory),
        shape_{layers, heads, head_dim, log_rows, 32, 32, log_type},
        pages_{planes, page_tokens, head_dim, kv_type},
        pool_(memory, static_cast<size_t>(planes * page_tokens * head_dim) * size_of(kv_type), 0),
        timeline_(shape_, page_tokens, memory, pool_, initial) {}

  Timeline& timeline() { return timeline_; }
  TimelineChunks chunks() { return {shape_, pages_, memory_}; }
  TimelineExtent extent() const {
    return {timeline_.position(), timeline_.committed(), shape_.log_type, pages_.type};
  }

  // Small whole numbers everywhere, which every type holds.
  void fill(int64_t position, int64_t committed) {
    std::mt19937 random(1);
    const auto fill_in = [&](void* data, size_t count, DType type) {
      std::vector<std::byte> host(count * size_of(type));
      for (size_t i = 0; i < count; ++i) {
        const float number = static_cast<float>(random() % 200) - 100;
        const bf16 narrow = to_bf16(number);
        std::memcpy(host.data() + i * size_of(type),
                    type == DType::f32 ? static_cast<const void*>(&number) : &narrow,
                    size_of(type));
      }
      memory_.copy_from_host(data, host.data(), host.size());
    };
    timeline_.reserve(position);
    for (int64_t i = 0; i < layers; ++i) {
      const Tensor state = timeline_.state(i), log = timeline_.log(i);
      fill_in(state.raw(), static_cast<size_t>(state.element_count()), DType::f32);
      fill_in(log.raw(), static_cast<size_t>(log.element_count()), log.dtype());
    }
    for (std::byte* page : timeline_.pages()) {
      fill_in(page, static_cast<size_t>(planes * page_tokens * head_dim), pages_.type);
    }
    timeline_.restore(std::vector<int32_t>(static_cast<size_t>(position)), committed);
  }

  std::vector<std::byte> write() {
    Bytes bytes;
    ChunkWriter writer(bytes);
    TimelineChunks chunks = this->chunks();
    const bool has_states = timeline_.committed() > 0;
    for (int64_t i = 0; has_states && i < layers; ++i) chunks.write_state(timeline_, i, writer);
    for (int64_t i = 0; i < layers; ++i) chunks.write_log(timeline_, i, writer);
    for (int64_t i = 0; i < chunks.page_count(extent()); ++i) {
      chunks.write_page(timeline_, i, writer);
    }
    return bytes.bytes;
  }

  void read(const std::vector<std::byte>& written, const TimelineExtent& extent) {
    Bytes bytes;
    bytes.bytes = written;
    ChunkReader reader(bytes);
    TimelineChunks chunks = this->chunks();
    timeline_.reserve(extent.position);
    const bool has_states = extent.committed > 0;
    for (int64_t i = 0; has_states && i < layers; ++i) chunks.read_state(timeline_, i, reader);
    for (int64_t i = 0; i < layers; ++i) chunks.read_log(timeline_, extent, i, reader);
    for (int64_t i = 0; i < chunks.page_count(extent); ++i) {
      chunks.read_page(timeline_, extent, i, reader);
    }
    chunks.clear_the_rest(timeline_, extent);
    timeline_.restore(std::vector<int32_t>(static_cast<size_t>(extent.position)), extent.committed);
    EXPECT_EQ(bytes.at, written.size());
  }

  // Of a log, as the host sees it.
  std::vector<std::byte> log() {
    const Tensor log = timeline_.log(1);
    std::vector<std::byte> host(log.size_bytes());
    memory_.copy_to_host(host.data(), log.raw(), host.size());
    return host;
  }

 private:
  Memory& memory_;
  TimelineShape shape_;
  KvPageShape pages_;
  PagePool pool_;
  Timeline timeline_;
};

// Rows that wrap around in the log, pages that are full or not.
TEST(TimelineChunks, AreTheSameFromEveryKindOfMemory) {
  ScrambledMemory far;
  for (const auto& [position, committed] :
       {std::pair<int64_t, int64_t>{100, 64}, {127, 64}, {128, 64}, {17, 0}, {96, 32}}) {
    Holder near_holder(host_memory(), DType::f32, DType::bf16);
    Holder far_holder(far, DType::f32, DType::bf16);
    near_holder.fill(position, committed);
    far_holder.fill(position, committed);
    const std::vector<std::byte> chunks = near_holder.write();
    EXPECT_EQ(far_holder.write(), chunks) << position;

    Holder there(far, DType::f32, DType::bf16, InitialState::undefined);
    there.read(chunks, near_holder.extent());
    EXPECT_EQ(there.write(), chunks) << position;
    Holder back(host_memory(), DType::f32, DType::bf16, InitialState::undefined);
    back.read(chunks, near_holder.extent());
    EXPECT_EQ(back.write(), chunks) << position;
    EXPECT_EQ(back.log(), there.log()) << "rows without tokens are zero, " << position;
  }
}

TEST(TimelineChunks, BecomeOtherTypesAndComeBack) {
  ScrambledMemory far;
  Holder wide(host_memory(), DType::f32, DType::f32), narrow(far, DType::bf16, DType::bf16);
  wide.fill(107, 64);
  const std::vector<std::byte> chunks = wide.write();
  narrow.read(chunks, wide.extent());
  const std::vector<std::byte> narrow_chunks = narrow.write();
  EXPECT_LT(narrow_chunks.size(), chunks.size());
  Holder again(host_memory(), DType::f32, DType::f32);
  again.read(narrow_chunks, narrow.extent());
  EXPECT_EQ(again.write(), chunks);
}

TEST(TimelineChunks, HaveTheSizesThatTheySay) {
  Holder holder(host_memory(), DType::bf16, DType::f32);
  holder.fill(107, 64);
  const TimelineExtent extent = holder.extent();
  const TimelineChunks chunks = holder.chunks();
  size_t total = layers * (chunks.state_bytes() + chunks.log_bytes(extent));
  for (int64_t i = 0; i < chunks.page_count(extent); ++i) total += chunks.page_bytes(extent, i);
  const size_t count = 2 * layers + static_cast<size_t>(chunks.page_count(extent));
  EXPECT_EQ(holder.write().size(), total + count * chunk_checksum_bytes);
  EXPECT_EQ(chunks.log_bytes(extent), heads * 2 * 43 * head_dim * 2);
  EXPECT_EQ(chunks.page_bytes(extent, 13), planes * 3 * head_dim * 4);
}

}  // namespace
}  // namespace minimax
