// SPDX-License-Identifier: Apache-2.0
// Large amounts on their way into the memory of every device there is.
#include "engine/tensor/upload.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/kernels/open_backend.h"
#include "engine/tensor/buffer.h"
#include "engine/weights/weight_source.h"
#include "tests/engine/weights/test_files.h"

namespace minimax {
namespace {

// Small pieces, so that all of them are used again and again.
constexpr UploadSizes small_sizes{.piece_bytes = 64 << 10, .lane_count = 3};

std::byte byte_at(size_t i) {
  return static_cast<std::byte>(i * 2654435761u >> 13);
}

void produce_bytes(size_t offset, std::span<std::byte> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = byte_at(offset + i);
}

std::string device_name(const testing::TestParamInfo<std::string>& info) {
  return info.param.substr(0, info.param.find(':'));
}

class Upload : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::byte> back(const Buffer& buffer) {
    std::vector<std::byte> bytes(buffer.size_bytes());
    memory.copy_to_host(bytes.data(), buffer.data(), bytes.size());
    return bytes;
  }
  // Of what produce_bytes() makes.
  size_t wrong_bytes(const Buffer& buffer) {
    const std::vector<std::byte> bytes = back(buffer);
    size_t count = 0;
    for (size_t i = 0; i < bytes.size(); ++i) count += bytes[i] != byte_at(i);
    return count;
  }

  const std::unique_ptr<Backend> backend = open_backend(GetParam(), Compute::automatic, 1);
  Memory& memory = backend->memory();
  ThreadPool threads{4};
};

TEST_P(Upload, BringsEveryByteToItsPlace) {
  const auto upload = memory.new_upload(small_sizes);
  for (const size_t size : {0, 1, 4096, 65536, 65537, 3 * 65536, 1000000, 5000001}) {
    for (ThreadPool* pool : {static_cast<ThreadPool*>(nullptr), &threads}) {
      const Buffer buffer(memory, size);
      upload->fill(buffer.data(), size, pool, produce_bytes);
      upload->finish();
      EXPECT_EQ(wrong_bytes(buffer), 0u) << size << " bytes, threads " << (pool != nullptr);
    }
  }
}

TEST_P(Upload, FillsThatFollowEachOtherNeedNoWait) {
  const auto upload = memory.new_upload(small_sizes);
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < 300; ++i) {
    buffers.emplace_back(memory, i % 10 == 9 ? 777777 : 100 * i);
    upload->fill(buffers.back().data(), buffers.back().size_bytes(), &threads, produce_bytes);
  }
  upload->finish();
  for (const Buffer& buffer : buffers) EXPECT_EQ(wrong_bytes(buffer), 0u) << buffer.size_bytes();
}

TEST_P(Upload, WhatFollowsOnTheDeviceSeesItWithoutAFinish) {
  const auto upload = memory.new_upload(small_sizes);
  const Buffer buffer(memory, 2000000), copy(memory, 2000000);
  upload->fill(buffer.data(), buffer.size_bytes(), &threads, produce_bytes);
  memory.copy(copy.data(), buffer.data(), copy.size_bytes());
  EXPECT_EQ(wrong_bytes(copy), 0u);
}

TEST_P(Upload, AnErrorOfTheProducerEndsAFillAndNothingElse) {
  const auto upload = memory.new_upload(small_sizes);
  const Buffer buffer(memory, 20000000);
  std::atomic<int> calls{0};
  EXPECT_EQ(sentence_of([&] {
              upload->fill(buffer.data(), buffer.size_bytes(), &threads,
                           [&](size_t, std::span<std::byte>) {
                             if (++calls == 20) fail(MINIMAX_BAD_FILE, "the 20th");
                           });
            }),
            "the 20th");
  upload->fill(buffer.data(), buffer.size_bytes(), &threads, produce_bytes);
  upload->finish();
  EXPECT_EQ(wrong_bytes(buffer), 0u);
}

TEST_P(Upload, ManyBytesOfTheHostAreCopiedWhole) {
  std::vector<std::byte> host(7000001);
  produce_bytes(0, host);
  const Buffer buffer(memory, host.size());
  memory.copy_from_host(buffer.data(), host.data(), host.size());
  EXPECT_EQ(wrong_bytes(buffer), 0u);
}

// Each number is its place in the tensor, modulo what every type holds exactly.
std::string file_of_numbers(int64_t count) {
  std::string f, b;
  for (int64_t i = 0; i < count; ++i) {
    const auto number = static_cast<float>(i % 251);
    const bf16 half = to_bf16(number);
    f.append(reinterpret_cast<const char*>(&number), sizeof number);
    b.append(reinterpret_cast<const char*>(&half), sizeof half);
  }
  return safetensors(text(R"({"f":{"dtype":"F32","shape":[)", count, R"(],"data_offsets":[0,)",
                          f.size(), R"(]},"b":{"dtype":"BF16","shape":[)", count,
                          R"(],"data_offsets":[)", f.size(), ",", f.size() + b.size(), "]}}"),
                     f + b);
}

TEST_P(Upload, CarriesTheTensorsOfACheckpoint) {
  const int64_t count = 3000007;  // more than a piece of any type, and no multiple of anything
  const TempFolder folder;
  folder.write("model.safetensors", file_of_numbers(count));
  CheckpointSource source(Checkpoint::open(folder.path()), memory, {.threads = &threads});
  std::vector<Tensor> tensors;
  for (const char* name : {"f", "b"}) {
    for (const DType wanted : {DType::f32, DType::bf16}) {
      tensors.push_back(source.tensor_as(wanted, name, {count}));
    }
  }
  source.read_pages();
  for (const Tensor& tensor : tensors) {
    std::vector<std::byte> bytes(tensor.size_bytes());
    memory.copy_to_host(bytes.data(), tensor.raw(), bytes.size());
    const Tensor host(bytes.data(), tensor.dtype(), tensor.shape());
    int64_t wrong = 0;
    for (int64_t i = 0; i < count; ++i) {
      const float number =
          host.dtype() == DType::f32 ? host.data<float>()[i] : to_f32(host.data<bf16>()[i]);
      wrong += number != static_cast<float>(i % 251);
    }
    EXPECT_EQ(wrong, 0);
  }
}

std::vector<std::string> all_devices() {
  std::vector<std::string> names;
  for (const DeviceDescription& device : devices()) names.push_back(device.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(, Upload, testing::ValuesIn(all_devices()), device_name);

}  // namespace
}  // namespace minimax
