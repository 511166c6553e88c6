// SPDX-License-Identifier: Apache-2.0
// Tensor name to tensor on a device: from the files of a checkpoint, or made up for benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_map.h"
#include "base/thread_pool.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/memory.h"
#include "engine/tensor/tensor.h"
#include "engine/weights/checkpoint.h"
#include "minimax.h"

namespace minimax {

// How weights are brought in, and who is told.
struct LoadOptions {
  ThreadPool* threads = nullptr;  // nullptr: the calling thread alone
  minimax_progress_fn progress = nullptr;
  void* progress_user = nullptr;
  uint64_t total_bytes = 0;  // of all tensors that will be asked for: what progress counts up to
  std::optional<DType> matrix_type =
      std::nullopt;  // f32 or bf16: what matrices become; none: as they are stored
};

// Gives out the tensors of a model one by one, and owns them: keep it as long as they are used. One
// thread at a time. Every call may throw MINIMAX_OUT_OF_MEMORY, and MINIMAX_CANCELLED when the
// progress callback says so; the source can then only be destroyed.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual bool has(std::string_view name) const = 0;
  // Of the type that LoadOptions asks for, else as stored, bf16 or f32 (f16 is widened to f32); in
  // place in the mapped file where the device can read it there. MINIMAX_BAD_FILE when it is missing or of another shape or type.
  virtual Tensor matrix(std::string_view name, const Shape& expected) = 0;
  // The same in f32 whatever is stored, of any rank: norms, biases, routers.
  Tensor vector_f32(std::string_view name, const Shape& expected) {
    return tensor_as(DType::f32, name, expected);
  }
  // The same as any type, f32 or bf16.
  virtual Tensor tensor_as(DType dtype, std::string_view name, const Shape& expected) = 0;
  // After the last tensor: reads what is used in place from the disk, all threads at once, and waits
  // for what is on its way to the device. May be left out when the weights do not fit in memory:
  // pages are then read at their first use.
  virtual void read_pages();
  // Elements of a tensor from `first` on, a multiple of 4, rounded to bf16 whatever is stored. Takes no
  // memory of the device; MINIMAX_UNSUPPORTED where weights cannot be looked at.
  virtual void sample(const TensorSpec& wanted, int64_t first, std::span<bf16> out) const;

  // Of the tensors given out, as stored; f16 counts as the f32 it became.
  uint64_t byte_count() const { return byte_count_; }

  Tensor matrix(const TensorSpec& wanted) { return matrix(wanted.name, wanted.shape); }
  Tensor vector_f32(const TensorSpec& wanted) { return vector_f32(wanted.name, wanted.shape); }

 protected:
  WeightSource(Memory& memory, const LoadOptions& options) : memory_(memory), options_(options) {}
  // Writes elements [first, first + count) of a tensor to host memory; called from several threads.
  using Producer = std::function<void(int64_t first, int64_t count, std::byte* to)>;
  // Memory of the device that lives as long as the source, filled block by block by all threads.
  // Each element counts as so many bytes.
  Tensor filled(DType dtype, const Shape& shape, size_t counted_bytes, const Producer& produce);
  // body(i) for i in [0, count) on all threads.
  void for_each(int64_t count, const std::function<void(int64_t)>& body) const;
  int64_t blocks_at_once() const;
  // Tells the callback of so many bytes more. Done never passes total.
  void report(uint64_t more_bytes);

  Memory& memory_;
  LoadOptions options_;
  uint64_t byte_count_ = 0;

 private:
  void fill_through_host(const Tensor& out, size_t counted_bytes, const Producer& produce);
  void fill_in_place(const Tensor& out, size_t counted_bytes, const Producer& produce);

  std::vector<Buffer> buffers_;
  std::unique_ptr<Upload> upload_;  // once it is needed
  uint64_t done_bytes_ = 0;
};

// Weights of a checkpoint that was opened with Checkpoint::open.
class CheckpointSource final : public WeightSource {
 public:
  // The memory must outlive the source.
  CheckpointSource(Checkpoint checkpoint, Memory& memory, const LoadOptions& options);

  bool has(std::string_view name) const override { return checkpoint_.has(name); }
  using WeightSource::matrix;
  Tensor matrix(std::string_view name, const Shape& expected) override;
  Tensor tensor_as(DType dtype, std::string_view name, const Shape& expected) override;
  void read_pages() override;
  void sample(const TensorSpec& wanted, int64_t first, std::span<bf16> out) const override;

 private:
  const StoredTensor& required(std::string_view name, const Shape& expected) const;
  const FileReader& reader_of(std::string_view name);

  Checkpoint checkpoint_;
  // The file of the tensor before: neighbours are mostly in one, and all of them at once would be many.
  std::optional<FileReader> reader_;
  const std::string* reader_name_ = nullptr;
  std::vector<const StoredTensor*> in_place_;  // given out, not yet read
};

// Random weights, the same for the same seed and name whatever the threads. Matrices have elements
// of about 1/sqrt(inputs), embeddings of about 1, norms of about 1: a model of any size then gives
// finite logits of about 1.
class SyntheticSource final : public WeightSource {
 public:
  // matrix_dtype: bf16 or f32.
  SyntheticSource(uint64_t seed, DType matrix_dtype, Memory& memory, const LoadOptions& options);

  bool has(std::string_view) const override { return true; }
  using WeightSource::matrix;
  Tensor matrix(std::string_view name, const Shape& expected) override;
  Tensor tensor_as(DType dtype, std::string_view name, const Shape& expected) override;
  void sample(const TensorSpec& wanted, int64_t first, std::span<bf16> out) const override;

 private:
  uint64_t seed_of(std::string_view name) const;
  Tensor made_up(std::string_view name, const Shape& shape, DType dtype, size_t counted_bytes);

  uint64_t seed_;
  DType matrix_dtype_;
};

}  // namespace minimax
