// SPDX-License-Identifier: Apache-2.0
#include "engine/weights/weight_source.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/weights/test_files.h"

namespace minimax {
namespace {

// Host memory that says it is not: what a GPU's looks like to the source.
class FarMemory final : public Memory {
 public:
  void* allocate(size_t size_bytes) override { return host_memory().allocate(size_bytes); }
  void release(void* data, size_t size_bytes) noexcept override {
    host_memory().release(data, size_bytes);
  }
  void copy_from_host(void* to, const void* from, size_t size_bytes) override {
    host_memory().copy_from_host(to, from, size_bytes);
  }
  void copy_to_host(void* to, const void* from, size_t size_bytes) override {
    host_memory().copy_to_host(to, from, size_bytes);
  }
  void copy(void* to, const void* from, size_t size_bytes) override {
    host_memory().copy(to, from, size_bytes);
  }
  void zero(void* data, size_t size_bytes) override { host_memory().zero(data, size_bytes); }
  bool host_addressable() const override { return false; }
};

// f32 [2, 2] at an odd address when pad is odd, bf16 [2], f16 [3].
std::string three_types(size_t pad) {
  std::string header = R"({"f":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                       R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},)"
                       R"("h":{"dtype":"F16","shape":[3],"data_offsets":[20,26]}})";
  header += std::string((8 - header.size() % 8) % 8 + pad, ' ');
  return safetensors(header, bytes_of({1.5f, -2.0f, 3.0f, 4.25f}) +
                                 bytes_of<uint16_t>({0x3f80, 0xc000}) +
                                 bytes_of<uint16_t>({0x3c00, 0xc000, 0x3800}));
}

std::vector<float> floats(const Tensor& tensor) {
  const float* data = tensor.data<float>();
  return {data, data + tensor.element_count()};
}

TEST(CheckpointSource, GivesWhatIsStoredInPlace) {
  const TempFolder folder;
  folder.write("model.safetensors", three_types(0));
  CheckpointSource source(Checkpoint::open(folder.path()), host_memory(), {});
  const Tensor f = source.matrix("f", {2, 2}), again = source.matrix("f", {2, 2});
  EXPECT_EQ(f.raw(), again.raw());
  EXPECT_EQ(floats(f), (std::vector<float>{1.5f, -2.0f, 3.0f, 4.25f}));
  const Tensor b = source.matrix("b", {2});
  EXPECT_EQ(b.dtype(), DType::bf16);
  EXPECT_EQ(to_f32(b.data<bf16>()[1]), -2);
  EXPECT_EQ(source.byte_count(), 16u + 16 + 4);
}

TEST(CheckpointSource, WidensHalvesAndVectors) {
  const TempFolder folder;
  folder.write("model.safetensors", three_types(0));
  CheckpointSource source(Checkpoint::open(folder.path()), host_memory(), {});
  EXPECT_EQ(floats(source.matrix("h", {3})), (std::vector<float>{1, -2, 0.5f}));
  EXPECT_EQ(source.byte_count(), 12u);
  EXPECT_EQ(floats(source.vector_f32("b", {2})), (std::vector<float>{1, -2}));
  EXPECT_EQ(floats(source.vector_f32("h", {3})), (std::vector<float>{1, -2, 0.5f}));
}

TEST(CheckpointSource, CopiesWhatIsNotAligned) {
  for (const size_t pad : {1, 2, 3}) {
    const TempFolder folder;
    folder.write("model.safetensors", three_types(pad));
    CheckpointSource source(Checkpoint::open(folder.path()), host_memory(), {});
    const Tensor f = source.matrix("f", {2, 2});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(f.raw()) % 64, 0u);
    EXPECT_EQ(floats(f), (std::vector<float>{1.5f, -2.0f, 3.0f, 4.25f}));
    EXPECT_EQ(to_f32(source.matrix("b", {2}).data<bf16>()[1]), -2);
    EXPECT_EQ(floats(source.vector_f32("h", {3})), (std::vector<float>{1, -2, 0.5f}));
  }
}

TEST(CheckpointSource, CopiesToMemoryThatTheHostCannotRead) {
  const TempFolder folder;
  folder.write("model.safetensors", three_types(0));
  FarMemory far;
  ThreadPool threads(3);
  CheckpointSource source(Checkpoint::open(folder.path()), far, {.threads = &threads});
  EXPECT_EQ(floats(source.matrix("f", {2, 2})), (std::vector<float>{1.5f, -2.0f, 3.0f, 4.25f}));
  EXPECT_EQ(floats(source.vector_f32("b", {2})), (std::vector<float>{1, -2}));
  EXPECT_EQ(source.byte_count(), 20u);
}

TEST(CheckpointSource, AFileThatBecomesShorterIsAnError) {
  const TempFolder folder;
  const std::string file = three_types(0);
  folder.write("model.safetensors", file);
  FarMemory far;
  ThreadPool threads(3);
  CheckpointSource source(Checkpoint::open(folder.path()), far, {.threads = &threads});
  std::filesystem::resize_file(folder.path() / "model.safetensors", file.size() - 8);
  EXPECT_EQ(floats(source.matrix("f", {2, 2})), (std::vector<float>{1.5f, -2.0f, 3.0f, 4.25f}));
  EXPECT_EQ(sentence_of([&] { source.vector_f32("b", {2}); }, MINIMAX_IO_ERROR),
            (folder.path() / "model.safetensors").string() +
                text(": ends at byte ", file.size() - 8, ", expected at least ", file.size() - 6,
                     ": it has become shorter"));
}

TEST(CheckpointSource, MatricesBecomeWhatTheDeviceWants) {
  const TempFolder folder;
  folder.write("model.safetensors", three_types(0));
  for (const DType wanted : {DType::bf16, DType::f32}) {
    FarMemory far;
    CheckpointSource source(Checkpoint::open(folder.path()), far, {.matrix_type = wanted});
    const Tensor f = source.matrix("f", {2, 2}), b = source.matrix("b", {2});
    const Tensor h = source.matrix("h", {3});
    source.read_pages();
    for (const Tensor& tensor : {f, b, h}) EXPECT_EQ(tensor.dtype(), wanted);
    const auto number = [&](const Tensor& tensor, int64_t i) {
      return wanted == DType::bf16 ? to_f32(tensor.data<bf16>()[i]) : tensor.data<float>()[i];
    };
    EXPECT_EQ(number(f, 3), 4.25f);
    EXPECT_EQ(number(b, 1), -2.0f);
    EXPECT_EQ(number(h, 2), 0.5f);
    EXPECT_EQ(source.vector_f32("f", {2, 2}).dtype(), DType::f32);
    EXPECT_EQ(to_f32(source.tensor_as(DType::bf16, "h", {3}).data<bf16>()[1]), -2.0f);
  }
}

TEST(CheckpointSource, RefusesWhatIsNotThere) {
  const TempFolder folder;
  folder.write("model.safetensors", three_types(0));
  CheckpointSource source(Checkpoint::open(folder.path()), host_memory(), {});
  EXPECT_EQ(sentence_of([&] {
              source.matrix("f", {4, 2});
            }),
            "model.safetensors: tensor f is [2, 2], expected [4, 2] (from config.json)");
  EXPECT_EQ(sentence_of([&] { source.vector_f32("g", {4}); }),
            "model.safetensors: tensor g is missing, expected [4] (from config.json)");
}

struct Progress {
  std::vector<uint64_t> done;
  uint64_t total = 0;
  size_t give_up_after = 1000;

  static int32_t call(void* user, uint64_t done, uint64_t total) {
    auto& self = *static_cast<Progress*>(user);
    self.done.push_back(done);
    self.total = total;
    return self.done.size() >= self.give_up_after;
  }
};

TEST(CheckpointSource, ReportsBytesAsTheyAreRead) {
  const TempFolder folder;
  folder.write("model.safetensors", three_types(0));
  Progress progress;
  ThreadPool threads(2);
  CheckpointSource source(Checkpoint::open(folder.path()), host_memory(),
                          {&threads, Progress::call, &progress, 16 + 4 + 12});
  source.matrix("f", {2, 2});
  source.matrix("b", {2});
  EXPECT_TRUE(progress.done.empty());
  source.vector_f32("h", {3});
  EXPECT_EQ(progress.done, (std::vector<uint64_t>{12}));
  source.read_pages();
  EXPECT_EQ(progress.done.back(), 32u);
  EXPECT_EQ(progress.total, 32u);
}

TEST(CheckpointSource, StopsWhenTheCallbackSaysSo) {
  const TempFolder folder;
  folder.write("model.safetensors", three_types(0));
  Progress progress;
  progress.give_up_after = 1;
  CheckpointSource source(Checkpoint::open(folder.path()), host_memory(),
                          {nullptr, Progress::call, &progress, 32});
  source.matrix("f", {2, 2});
  EXPECT_EQ(sentence_of([&] { source.read_pages(); }, MINIMAX_CANCELLED),
            "the progress callback gave up after 16 of 32 bytes of weights");
}

TEST(CheckpointSource, RefusesACheckpointOfNames) {
  const TempFolder folder;
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"s"}})");
  EXPECT_NE(sentence_of(
                [&] { CheckpointSource(Checkpoint::open_names(folder.path()), host_memory(), {}); },
                MINIMAX_INVALID_ARGUMENT),
            "no error");
}

struct Moments {
  double mean = 0, deviation = 0;
};

Moments moments_of(const Tensor& tensor) {
  double sum = 0, squares = 0;
  const auto count = static_cast<double>(tensor.element_count());
  for (int64_t i = 0; i < tensor.element_count(); ++i) {
    const double x =
        tensor.dtype() == DType::f32 ? tensor.data<float>()[i] : to_f32(tensor.data<bf16>()[i]);
    sum += x;
    squares += x * x;
  }
  return {sum / count, std::sqrt(squares / count - sum / count * sum / count)};
}

TEST(SyntheticSource, ScalesNumbersByTheirUse) {
  SyntheticSource source(1, DType::bf16, host_memory(), {});
  const Moments matrix = moments_of(source.matrix("model.layers.0.mlp.w1.weight", {300, 400}));
  EXPECT_NEAR(matrix.mean, 0, 1e-3);
  EXPECT_NEAR(matrix.deviation, 0.05, 5e-4);
  const Moments experts = moments_of(source.matrix("experts.gate_up_proj", {4, 100, 400}));
  EXPECT_NEAR(experts.deviation, 0.05, 5e-4);
  const Moments patches = moments_of(source.matrix("patch_embedding.weight", {64, 3, 14, 14}));
  EXPECT_NEAR(patches.deviation, 1 / std::sqrt(3 * 14 * 14), 1e-3);
  const Moments table = moments_of(source.matrix("model.embed_tokens.weight", {300, 400}));
  EXPECT_NEAR(table.deviation, 1, 0.01);
  const Moments norm = moments_of(source.vector_f32("model.norm.weight", {10000}));
  EXPECT_NEAR(norm.mean, 1, 0.01);
  EXPECT_NEAR(norm.deviation, 0.1, 0.01);
}

TEST(SyntheticSource, DependsOnSeedAndNameOnly) {
  ThreadPool threads(3);
  FarMemory far;
  const Shape shape{3000, 3001};  // more than two blocks, not a multiple of four
  SyntheticSource one(7, DType::f32, host_memory(), {}), two(7, DType::f32, far, {&threads});
  const std::vector<float> a = floats(one.matrix("x", shape));
  EXPECT_EQ(a, floats(two.matrix("x", shape)));
  EXPECT_NE(a, floats(one.matrix("y", shape)));
  SyntheticSource other(8, DType::f32, host_memory(), {});
  EXPECT_NE(a, floats(other.matrix("x", shape)));
}

TEST(SyntheticSource, HasNoCorrelationBetweenNeighbours) {
  SyntheticSource source(3, DType::f32, host_memory(), {});
  const Tensor x = source.matrix("x", {1, 1 << 20});
  const float* data = x.data<float>();
  for (int64_t lag = 1; lag <= 8; ++lag) {
    double sum = 0;
    for (int64_t i = lag; i < x.element_count(); ++i) sum += double{data[i]} * data[i - lag];
    EXPECT_NEAR(sum, 0, 0.005) << lag;  // the variance of an element is 2^-20
  }
}

TEST(SyntheticSource, CountsBytesAsFilesWould) {
  SyntheticSource source(1, DType::bf16, host_memory(), {});
  source.matrix("m", {3, 5});
  source.vector_f32("norm", {7});
  source.vector_f32("gate", {2, 3});
  EXPECT_EQ(source.byte_count(), 3u * 5 * 2 + 7 * 2 + 2 * 3 * 4);
}

TEST(SyntheticSource, ReportsAndStops) {
  Progress progress;
  progress.give_up_after = 2;
  SyntheticSource source(1, DType::bf16, host_memory(), {nullptr, Progress::call, &progress, 48});
  source.matrix("a", {2, 4});
  EXPECT_NE(sentence_of([&] { source.matrix("b", {2, 4}); }, MINIMAX_CANCELLED), "no error");
  EXPECT_EQ(progress.done, (std::vector<uint64_t>{16, 32}));
}

}  // namespace
}  // namespace minimax
