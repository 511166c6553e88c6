// SPDX-License-Identifier: Apache-2.0
#include "engine/weights/weight_source.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace minimax {
namespace {

constexpr int64_t block_elements = 4 << 20;  // 8 MB of bf16: few enough calls, many enough shares
constexpr size_t block_bytes = 16 << 20;     // of pages that are read at once by one thread
constexpr size_t page_bytes = 4096;
constexpr size_t converted_bytes = 64 << 10;  // read at once on the way to another type

int64_t block_count(int64_t total, int64_t block) {
  return (total + block - 1) / block;
}

// Bytes that a stored element counts as: f16 is kept as f32.
size_t counted_size(DType stored) {
  return stored == DType::f16 ? 4 : size_of(stored);
}

void store(float value, float* to) {
  *to = value;
}
void store(float value, bf16* to) {
  *to = to_bf16(value);
}

// Through arrays of a fixed size, so that the compiler makes vectors of them.
template <typename Stored, typename Wanted>
void convert_each(const std::byte* from, int64_t count, std::byte* to) {
  constexpr int64_t most = 256;
  Stored stored[most] = {};
  Wanted wanted[most];
  for (int64_t done = 0; done < count; done += most) {
    const auto at = static_cast<size_t>(done);
    const auto part = static_cast<size_t>(std::min(most, count - done));
    std::memcpy(stored, from + at * sizeof(Stored), part * sizeof(Stored));
    for (int64_t i = 0; i < most; ++i) store(to_f32(stored[i]), &wanted[i]);
    std::memcpy(to + at * sizeof(Wanted), wanted, part * sizeof(Wanted));
  }
}

// Elements as they are stored, to f32 or bf16 as they are not. The addresses need no alignment.
void convert(DType from, const std::byte* stored, int64_t count, DType to, std::byte* out) {
  assert(to == DType::f32 || to == DType::bf16);
  const bool to_bf16 = to == DType::bf16;
  if (from == DType::f32) convert_each<float, bf16>(stored, count, out);
  if (from == DType::bf16) convert_each<bf16, float>(stored, count, out);
  if (from == DType::f16 && to_bf16) convert_each<f16, bf16>(stored, count, out);
  if (from == DType::f16 && !to_bf16) convert_each<f16, float>(stored, count, out);
}

// Elements of a file, the first of them at `offset`, converted on their way.
void read_elements(const FileReader& file, size_t offset, DType from, int64_t count, DType to,
                   std::byte* out) {
  if (from == to) {
    file.read(offset, {out, static_cast<size_t>(count) * size_of(to)});
    return;
  }
  const auto stored = std::make_unique_for_overwrite<std::byte[]>(converted_bytes);
  const auto most = static_cast<int64_t>(converted_bytes / size_of(from));
  for (int64_t done = 0; done < count; done += most) {
    const int64_t part = std::min(most, count - done);
    const auto at = static_cast<size_t>(done);
    file.read(offset + at * size_of(from),
              {stored.get(), static_cast<size_t>(part) * size_of(from)});
    convert(from, stored.get(), part, to, out + at * size_of(to));
  }
}

bool aligned(const std::byte* data, DType dtype) {
  return reinterpret_cast<uintptr_t>(data) % size_of(dtype) == 0;
}

// Reads a byte of every page, so that all of them are in memory.
void touch_pages(std::span<const std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); i += page_bytes) {
    static_cast<void>(*static_cast<const volatile std::byte*>(&bytes[i]));
  }
}

// One step of SplitMix64.
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t hash_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// Where made-up numbers lie: uniform, with this mean and this standard deviation.
struct Spread {
  float mean = 0;
  float deviation = 1;
};

Spread spread_of(std::string_view name, const Shape& shape) {
  const bool vector = shape.rank() <= 1;
  if (vector && name.find("norm") != name.npos && !name.ends_with(".bias")) return {1, 0.1f};
  if (vector) return {0, 0.1f};
  if (name.ends_with("embed_tokens.weight")) return {0, 1};
  int64_t inputs = shape[shape.rank() - 1];
  if (shape.rank() == 4) inputs *= shape[1] * shape[2];  // a convolution
  return {0, 1 / std::sqrt(static_cast<float>(inputs))};
}

// Numbers [first, first + count) of the sequence that starts at `seed`: four of each 64 random
// bits.
template <typename Number>
void make_up(uint64_t seed, Spread spread, int64_t first, int64_t count, Number* to) {
  assert(first % 4 == 0);
  const float step = spread.deviation * std::sqrt(12.0f) / 65536;
  for (int64_t i = 0; i < count; i += 4) {
    uint64_t bits = mixed(seed + static_cast<uint64_t>(first + i) / 4);
    for (int64_t j = i; j < std::min(i + 4, count); ++j, bits >>= 16) {
      const float centred = static_cast<float>(bits & 0xffff) - 32767.5f;
      store(spread.mean + centred * step, to + j);
    }
  }
}

}  // namespace

void WeightSource::for_each(int64_t count, const std::function<void(int64_t)>& body) const {
  if (options_.threads) {
    options_.threads->for_each(count, body);
    return;
  }
  for (int64_t i = 0; i < count; ++i) body(i);
}

// Between two reports: enough that no thread waits for long, little enough to be asked often.
int64_t WeightSource::blocks_at_once() const {
  return options_.threads ? 4 * options_.threads->thread_count() : 1;
}

void WeightSource::report(uint64_t more_bytes) {
  done_bytes_ += more_bytes;
  if (!options_.progress || more_bytes == 0) return;
  const uint64_t total = std::max(options_.total_bytes, done_bytes_);
  if (options_.progress(options_.progress_user, done_bytes_, total) != 0) {
    fail(MINIMAX_CANCELLED, "the progress callback gave up after ", done_bytes_, " of ", total,
         " bytes of weights");
  }
}

Tensor WeightSource::filled(DType dtype, const Shape& shape, size_t counted_bytes,
                            const Producer& produce) {
  Buffer buffer(memory_, static_cast<size_t>(shape.element_count()) * size_of(dtype));
  const Tensor out = buffer.tensor(dtype, shape);
  buffers_.push_back(std::move(buffer));
  byte_count_ += static_cast<uint64_t>(shape.element_count()) * counted_bytes;
  if (memory_.host_addressable()) {
    fill_in_place(out, counted_bytes, produce);
  } else {
    fill_through_host(out, counted_bytes, produce);
  }
  return out;
}

void WeightSource::fill_in_place(const Tensor& out, size_t counted_bytes, const Producer& produce) {
  const int64_t total = out.element_count();
  const int64_t group = block_elements * blocks_at_once();
  auto* data = static_cast<std::byte*>(out.raw());
  for (int64_t start = 0; start < total; start += group) {
    const int64_t end = std::min(total, start + group);
    for_each(block_count(end - start, block_elements), [&](int64_t block) {
      const int64_t first = start + block * block_elements;
      produce(first, std::min(block_elements, end - first),
              data + static_cast<size_t>(first) * size_of(out.dtype()));
    });
    report(static_cast<uint64_t>(end - start) * counted_bytes);
  }
}

void WeightSource::fill_through_host(const Tensor& out, size_t counted_bytes,
                                     const Producer& produce) {
  if (!upload_) upload_ = memory_.new_upload(upload_sizes(options_.threads));
  const size_t total = out.size_bytes(), element_bytes = size_of(out.dtype());
  const size_t group = static_cast<size_t>(blocks_at_once()) * upload_->sizes().piece_bytes;
  for (size_t start = 0; start < total; start += group) {
    const size_t size_bytes = std::min(group, total - start);
    upload_->fill(static_cast<std::byte*>(out.raw()) + start, size_bytes, options_.threads,
                  [&](size_t offset, std::span<std::byte> to) {
                    produce(static_cast<int64_t>((start + offset) / element_bytes),
                            static_cast<int64_t>(to.size() / element_bytes), to.data());
                  });
    report(size_bytes / element_bytes * counted_bytes);
  }
}

void WeightSource::read_pages() {
  if (!upload_) return;
  upload_->finish();
  upload_.reset();
}

void WeightSource::sample(const TensorSpec&, int64_t, std::span<bf16>) const {
  fail(MINIMAX_UNSUPPORTED, "weights of this kind cannot be looked at");
}

CheckpointSource::CheckpointSource(Checkpoint checkpoint, Memory& memory,
                                   const LoadOptions& options)
    : WeightSource(memory, options), checkpoint_(std::move(checkpoint)) {
  require(checkpoint_.has_headers(), "the checkpoint was opened for its names only");
}

Tensor CheckpointSource::matrix(std::string_view name, const Shape& expected) {
  const DType stored = *required(name, expected).dtype;
  const DType kept = stored == DType::f16 ? DType::f32 : stored;
  return tensor_as(options_.matrix_type.value_or(kept), name, expected);
}

const StoredTensor& CheckpointSource::required(std::string_view name, const Shape& expected) const {
  return *checkpoint_.require(TensorSpec{std::string(name), expected});
}

Tensor CheckpointSource::tensor_as(DType dtype, std::string_view name, const Shape& expected) {
  const StoredTensor& stored = required(name, expected);
  const std::byte* data = checkpoint_.bytes(name).data();
  if (stored.dtype == dtype && memory_.host_addressable() && aligned(data, dtype)) {
    in_place_.push_back(&stored);
    byte_count_ += stored.size_bytes;
    return {static_cast<const void*>(data), dtype, expected};
  }
  const DType from = *stored.dtype;
  const FileReader& file = reader_of(name);
  return filled(dtype, expected, counted_size(from),
                [&](int64_t first, int64_t count, std::byte* to) {
                  const size_t offset = stored.offset + static_cast<size_t>(first) * size_of(from);
                  read_elements(file, offset, from, count, dtype, to);
                });
}

void CheckpointSource::sample(const TensorSpec& wanted, int64_t first, std::span<bf16> out) const {
  const DType stored = *required(wanted.name, wanted.shape).dtype;
  const std::byte* data =
      checkpoint_.bytes(wanted.name).data() + static_cast<size_t>(first) * size_of(stored);
  if (stored == DType::bf16) {
    std::memcpy(out.data(), data, out.size_bytes());
  } else {
    convert(stored, data, static_cast<int64_t>(out.size()), DType::bf16,
            reinterpret_cast<std::byte*>(out.data()));
  }
}

const FileReader& CheckpointSource::reader_of(std::string_view name) {
  const std::string& file_name = checkpoint_.file_name(name);
  if (!reader_ || reader_name_ != &file_name) {
    reader_ = checkpoint_.reader(name);
    reader_name_ = &file_name;
  }
  return *reader_;
}

void CheckpointSource::read_pages() {
  WeightSource::read_pages();
  reader_.reset();
  struct Block {
    const StoredTensor* tensor;
    size_t offset, size_bytes;
  };
  std::vector<Block> blocks;
  for (const StoredTensor* tensor : in_place_) {
    for (size_t at = 0; at < tensor->size_bytes; at += block_bytes) {
      blocks.push_back({tensor, at, std::min(block_bytes, tensor->size_bytes - at)});
    }
  }
  in_place_.clear();
  const auto total = static_cast<int64_t>(blocks.size());
  for (int64_t start = 0; start < total; start += blocks_at_once()) {
    const int64_t count = std::min(blocks_at_once(), total - start);
    std::atomic<uint64_t> bytes{0};
    for_each(count, [&](int64_t i) {
      const Block& block = blocks[static_cast<size_t>(start + i)];
      checkpoint_.will_need(block.tensor->name, block.offset, block.size_bytes);
      touch_pages(checkpoint_.bytes(block.tensor->name).subspan(block.offset, block.size_bytes));
      bytes += block.size_bytes;
    });
    report(bytes);
  }
}

SyntheticSource::SyntheticSource(uint64_t seed, DType matrix_dtype, Memory& memory,
                                 const LoadOptions& options)
    : WeightSource(memory, options), seed_(seed), matrix_dtype_(matrix_dtype) {
  require(matrix_dtype == DType::bf16 || matrix_dtype == DType::f32, "synthetic weights are ",
          name_of(matrix_dtype), ", expected bf16 or f32");
}

Tensor SyntheticSource::matrix(std::string_view name, const Shape& expected) {
  return made_up(name, expected, matrix_dtype_, size_of(matrix_dtype_));
}

Tensor SyntheticSource::tensor_as(DType dtype, std::string_view name, const Shape& expected) {
  // Norms and the like count as files would hold them; routers are f32 there too.
  const DType usual = expected.rank() == 1 ? matrix_dtype_ : DType::f32;
  return made_up(name, expected, dtype, size_of(usual));
}

uint64_t SyntheticSource::seed_of(std::string_view name) const {
  return mixed(seed_ ^ mixed(hash_of(name)));
}

void SyntheticSource::sample(const TensorSpec& wanted, int64_t first, std::span<bf16> out) const {
  make_up(seed_of(wanted.name), spread_of(wanted.name, wanted.shape), first,
          static_cast<int64_t>(out.size()), out.data());
}

Tensor SyntheticSource::made_up(std::string_view name, const Shape& shape, DType dtype,
                                size_t counted_bytes) {
  const uint64_t seed = seed_of(name);
  const Spread spread = spread_of(name, shape);
  return filled(dtype, shape, counted_bytes, [&](int64_t first, int64_t count, std::byte* to) {
    if (dtype == DType::f32) {
      make_up(seed, spread, first, count, reinterpret_cast<float*>(to));
    } else {
      make_up(seed, spread, first, count, reinterpret_cast<bf16*>(to));
    }
  });
}

}  // namespace minimax
