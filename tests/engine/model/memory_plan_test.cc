// SPDX-License-Identifier: Apache-2.0
#include "engine/model/memory_plan.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "base/error.h"
#include "engine/model/tensor_names.h"
#include "tests/engine/model/released_configs.h"
#include "tests/engine/weights/test_files.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;

ModelConfig m1() {
  return parse_config(m1_config().dump(), "config.json");
}

std::vector<TensorSpec> tensors_of(const ModelConfig& config) {
  return list_tensors(text_tensors(config, released_naming(config)));
}

TEST(MemoryPlan, CountsTheParametersOfTheReleasedModels) {
  const ModelConfig config = m1();
  const WeightTotals totals = total_weights(config, tensors_of(config), nullptr);
  EXPECT_EQ(totals.tensor_count, 8243u);
  EXPECT_EQ(totals.parameter_count, 456'089'655'296u);
  EXPECT_EQ(totals.weight_bytes, 912'210'767'872u);
}

TEST(MemoryPlan, AgreesWithTheIndexOfMiniMaxM1) {
  const fs::path folder = fs::path(MINIMAX_SHARED_DIR) / "checkpoints/minimax-m1";
  if (!fs::exists(folder)) GTEST_SKIP() << "the index of MiniMax-M1 is not here";
  const auto start = std::chrono::steady_clock::now();
  const ModelConfig config = read_config(folder).model;
  const Checkpoint checkpoint = Checkpoint::open_names(folder);
  const WeightTotals totals = total_weights(config, tensors_of(config), &checkpoint);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(totals.weight_bytes, checkpoint.total_size_bytes());
  EXPECT_EQ(totals.tensor_count, checkpoint.tensor_count());
  RecordProperty("milliseconds", std::to_string(took.count()));
}

TEST(MemoryPlan, CountsWhatIsStored) {
  const fs::path source = MINIMAX_SOURCE_DIR;
  const fs::path folder = source / "tests/golden/vendor_text_8l";
  const ModelConfig config = read_config(folder).model;
  const Checkpoint checkpoint = Checkpoint::open_names(folder);
  const WeightTotals totals = total_weights(config, tensors_of(config), &checkpoint);
  EXPECT_EQ(totals.tensor_count, 155u);
  EXPECT_EQ(totals.weight_bytes, fs::file_size(folder / "model.safetensors") - 8 - 17672);
  EXPECT_EQ(stored_dtype(config, {"model.norm.weight", {64}}, &checkpoint), DType::bf16);
}

TEST(MemoryPlan, CountsHalvesAsTheFloatsTheyBecome) {
  ModelConfig config = m1();
  const TensorSpec matrix{"m", {10, 10}}, gate{"g", {10}, DType::f32};
  WeightTotals totals;
  totals.add(matrix, DType::f16);
  totals.add(gate, DType::f32);
  EXPECT_EQ(totals.weight_bytes, 440u);
  config.weight_dtype = DType::f16;
  EXPECT_EQ(stored_dtype(config, matrix, nullptr), DType::f16);
  EXPECT_EQ(stored_dtype(config, gate, nullptr), DType::f32);
}

TEST(MemoryPlan, RefusesACheckpointOfAnotherModel) {
  const fs::path folder = fs::path(MINIMAX_SOURCE_DIR) / "tests/golden/vendor_text_8l";
  ModelConfig config = read_config(folder).model;
  config.width = 96;
  const Checkpoint checkpoint = Checkpoint::open_names(folder);
  EXPECT_EQ(sentence_of([&] { total_weights(config, tensors_of(config), &checkpoint); }),
            "model.safetensors: tensor model.embed_tokens.weight is [512, 64], expected [512, 96] "
            "(from config.json)");
}

TEST(MemoryPlan, SizesSessionsOfTheReleasedModels) {
  const SessionSizes sizes = session_sizes(m1(), DType::bf16, DType::f32, 0);
  EXPECT_EQ(sizes.lightning_state_bytes, 293'601'280u);
  EXPECT_EQ(sizes.bytes_per_token, 40'960u);
  EXPECT_EQ(sizes.lightning_log_bytes, 70u * 2 * 64 * 64 * 128 * 4);
  EXPECT_EQ(session_sizes(m1(), DType::f32, DType::f32, 0).bytes_per_token, 81'920u);
}

TEST(MemoryPlan, RoundsTheLogUpToWholeFolds) {
  EXPECT_EQ(lightning_log_rows(0), 64);
  EXPECT_EQ(lightning_log_rows(-1), 32);
  EXPECT_EQ(lightning_log_rows(1), 64);
  EXPECT_EQ(lightning_log_rows(33), 96);
  EXPECT_EQ(lightning_log_rows(4096), 4128);
}

TEST(MemoryPlan, ChoosesTheTypeOfKeysAndValues) {
  EXPECT_EQ(resolve_kv_type(MINIMAX_TYPE_AUTO, DType::bf16), DType::bf16);
  EXPECT_EQ(resolve_kv_type(MINIMAX_TYPE_AUTO, DType::f16), DType::bf16);
  EXPECT_EQ(resolve_kv_type(MINIMAX_TYPE_AUTO, DType::f32), DType::f32);
  EXPECT_EQ(resolve_kv_type(MINIMAX_TYPE_F32, DType::bf16), DType::f32);
  EXPECT_NE(
      sentence_of([] { resolve_kv_type(MINIMAX_TYPE_F16, DType::bf16); }, MINIMAX_UNSUPPORTED),
      "no error");
  EXPECT_NE(sentence_of([] { resolve_kv_type(-7, DType::bf16); }, MINIMAX_UNSUPPORTED), "no error");
}

// One page is 2,560 bytes.
PlanInputs small_inputs() {
  return {
      .weights = {.parameter_count = 5, .tensor_count = 1, .weight_bytes = 10'000},
      .session = {.lightning_state_bytes = 600, .lightning_log_bytes = 300, .bytes_per_token = 10},
      .workspace_bytes = 1'000,
      .bookkeeping_bytes = 100};
}

minimax_memory_plan plan_with(uint64_t available, int64_t context = 0, int64_t kv_limit = 0) {
  PlanInputs inputs = small_inputs();
  inputs.available_bytes = available;
  inputs.context_limit = context;
  inputs.kv_bytes_limit = kv_limit;
  return plan_memory(inputs);
}

TEST(MemoryPlan, FillsPagesWithWhatIsLeft) {
  const minimax_memory_plan plan = plan_with(11'000 + 1'000 + 3 * 2'560);
  EXPECT_EQ(plan.bytes_per_session, 1'000u);
  EXPECT_EQ(plan.kv_page_tokens, 256u);
  EXPECT_EQ(plan.tokens_that_fit, 3u * 256);
  EXPECT_EQ(plan.sessions_that_fit, 2u);
  EXPECT_EQ(plan_with(11'000 + 1'000 + 3 * 2'560 - 1).tokens_that_fit, 2u * 256);
  EXPECT_EQ(plan_with(11'999).tokens_that_fit, 0u);
  EXPECT_EQ(plan_with(10).sessions_that_fit, 0u);
}

TEST(MemoryPlan, MindsTheLimitsOfTheOptions) {
  const uint64_t plenty = 11'000 + 100 * (1'000 + 2 * 2'560);
  EXPECT_EQ(plan_with(plenty, 257).sessions_that_fit, 100u);
  EXPECT_EQ(plan_with(plenty, 256).sessions_that_fit, 100u * 6'120 / 3'560);
  EXPECT_EQ(plan_with(plenty, 0, 5 * 2'560).tokens_that_fit, 5u * 256);
  EXPECT_EQ(plan_with(plenty, 257, 5 * 2'560).sessions_that_fit, 2u);
  EXPECT_EQ(plan_with(plenty, INT64_MAX).sessions_that_fit, 0u);
}

TEST(MemoryPlan, HasNoEndOfTokensWithoutSoftmaxLayers) {
  PlanInputs inputs = small_inputs();
  inputs.session.bytes_per_token = 0;
  inputs.available_bytes = 20'000;
  EXPECT_EQ(plan_memory(inputs).tokens_that_fit, UINT64_MAX);
}

}  // namespace
}  // namespace minimax
