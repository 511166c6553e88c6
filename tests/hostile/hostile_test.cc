// SPDX-License-Identifier: Apache-2.0
// Hundreds of damaged files and mistaken calls through minimax.h: each a status and a sentence.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

#include "refusal.h"

namespace minimax::testing {
namespace {

template <typename Case>
std::vector<Case> joined(std::initializer_list<std::vector<Case>> lists) {
  std::vector<Case> all;
  for (const std::vector<Case>& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

const std::vector<FileCase>& file_cases() {
  static const auto all = joined(
      {weight_file_cases(), shard_cases(), config_cases(), tokenizer_cases(), folder_cases()});
  return all;
}

const std::vector<CallCase>& call_cases() {
  static const auto all = joined({null_cases(), option_cases(), struct_size_cases(), text_cases(),
                                  session_cases(), lasting_session_cases(), picture_cases()});
  return all;
}

template <typename Case>
std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

class DamagedFolder : public ::testing::TestWithParam<FileCase> {};

TEST_P(DamagedFolder, IsRefusedInWords) {
  const ScratchFolder scratch;
  const std::string path = GetParam().make(scratch.path());
  minimax_engine* engine = untouched<minimax_engine>();
  const minimax_status status =
      call_quietly([&] { return minimax_engine_open(path.c_str(), nullptr, &engine); });
  expect_refused(status, GetParam().statuses, GetParam().words);
  EXPECT_EQ(engine, untouched<minimax_engine>());
  Witness::get().expect_unchanged();
}

// A plan reads less and may find nothing wrong, but it must not fall over the rest either.
TEST_P(DamagedFolder, IsPlannedOrRefusedInWords) {
  const ScratchFolder scratch;
  const std::string path = GetParam().make(scratch.path());
  minimax_memory_plan plan, before;
  minimax_memory_plan_init(&plan, sizeof plan);
  plan.weight_bytes = 12345;
  before = plan;
  const minimax_status status =
      call_quietly([&] { return minimax_plan(path.c_str(), nullptr, &plan); });
  if (status == MINIMAX_OK) return;
  expect_refused(status, GetParam().statuses, GetParam().words);
  EXPECT_EQ(std::memcmp(&plan, &before, sizeof plan), 0);
}

INSTANTIATE_TEST_SUITE_P(Hostile, DamagedFolder, ::testing::ValuesIn(file_cases()),
                         name_of<FileCase>);

class MistakenCall : public ::testing::TestWithParam<CallCase> {};

TEST_P(MistakenCall, IsRefusedInWords) {
  Witness::get();
  const minimax_status status = call_quietly(GetParam().call);
  expect_refused(status, GetParam().statuses, GetParam().words);
  Witness::get().expect_unchanged();
}

INSTANTIATE_TEST_SUITE_P(Hostile, MistakenCall, ::testing::ValuesIn(call_cases()),
                         name_of<CallCase>);

// Changes that may leave a file as good as it was: whatever comes of them, it comes in order.
void expect_an_answer(const std::filesystem::path& folder) {
  minimax_engine* engine = untouched<minimax_engine>();
  const minimax_status status =
      call_quietly([&] { return minimax_engine_open(folder.c_str(), nullptr, &engine); });
  if (status == MINIMAX_OK) {
    minimax_engine_free(engine);
  } else {
    expect_refused(status, {MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED}, {});
    EXPECT_EQ(engine, untouched<minimax_engine>());
  }
}

void flip_bits_of(const char* name, size_t first, size_t last, size_t step) {
  const ScratchFolder folder;
  TinyModel().write(folder.path());
  const std::string whole = read_file(folder.path() / name);
  for (size_t bit = 8 * first; bit < 8 * std::min(last, whole.size()); bit += step) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    write_file(folder.path() / name, damaged);
    SCOPED_TRACE(std::string(name) + " with bit " + std::to_string(bit) + " flipped");
    expect_an_answer(folder.path());
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(FlippedBits, OfASafetensorsHeaderAreSurvived) {
  flip_bits_of("model.safetensors", 0, 8, 1);
  flip_bits_of("model.safetensors", 8, 3000, 83);
}
TEST(FlippedBits, OfAConfigAreSurvived) {
  flip_bits_of("config.json", 0, 4000, 31);
}
TEST(FlippedBits, OfATokenizerAreSurvived) {
  flip_bits_of("tokenizer.json", 0, 20000, 101);
}

class LastOfAll : public ::testing::Environment {
  void TearDown() override {
    Witness::get().expect_unchanged();
    Witness::get().expect_to_go_on();
    std::printf("%zu damaged folders, %zu mistaken calls\n", file_cases().size(),
                call_cases().size());
  }
};

}  // namespace
}  // namespace minimax::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  ::testing::AddGlobalTestEnvironment(new minimax::testing::LastOfAll);
  return RUN_ALL_TESTS();
}
