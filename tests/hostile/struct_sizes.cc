// SPDX-License-Identifier: Apache-2.0
// Every struct of minimax.h with sizes that it cannot have.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "refusal.h"

namespace minimax::testing {
namespace {

constexpr size_t room = 2048;

// A struct and a call that reads or fills it.
struct StructUse {
  const char* name;
  size_t size;
  std::function<minimax_status(void* at)> use;
};

template <typename Struct>
StructUse use_of(const char* name, std::function<minimax_status(Struct* at)> use) {
  return {name, sizeof(Struct), [use](void* at) { return use(static_cast<Struct*>(at)); }};
}

minimax_engine* engine() {
  return Witness::get().engine();
}
minimax_session* session() {
  return Witness::get().session();
}

// A session of its own, since a struct that is accepted lets the call go on.
minimax_status with_fresh_session(
    const std::function<minimax_status(minimax_session* session)>& call) {
  minimax_session* fresh = nullptr;
  const int32_t token = 65;
  EXPECT_EQ(minimax_session_create(engine(), nullptr, &fresh), MINIMAX_OK);
  EXPECT_EQ(minimax_session_feed(fresh, &token, 1), MINIMAX_OK);
  const minimax_status status = call(fresh);
  minimax_session_free(fresh);
  return status;
}

minimax_status fill_report(minimax_feed_report* report) {
  return with_fresh_session([=](minimax_session* fresh) {
    minimax_prompt* prompt = nullptr;
    EXPECT_EQ(minimax_prompt_create(engine(), &prompt), MINIMAX_OK);
    EXPECT_EQ(minimax_prompt_add_text(prompt, "abc", 3, 0), MINIMAX_OK);
    const minimax_status status = minimax_session_feed_prompt(fresh, prompt, report);
    minimax_prompt_free(prompt);
    return status;
  });
}

minimax_status open_with(const minimax_engine_options* options) {
  const ScratchFolder folder;
  TinyModel().write(folder.path());
  minimax_engine* opened = nullptr;
  const minimax_status status = minimax_engine_open(folder.path().c_str(), options, &opened);
  minimax_engine_free(opened);
  return status;
}

minimax_status plan_into(minimax_memory_plan* plan) {
  const ScratchFolder folder;
  TinyModel().write(folder.path());
  return minimax_plan(folder.path().c_str(), nullptr, plan);
}

minimax_status generate_into(minimax_generate_result* result) {
  return with_fresh_session([=](minimax_session* fresh) {
    minimax_generate_options options;
    minimax_generate_options_init(&options, sizeof options);
    options.max_tokens = 1;
    return minimax_session_generate(fresh, nullptr, &options, result);
  });
}

minimax_status generate_with(minimax_generate_options* options) {
  // Half of the struct may say nothing of an end: the text's own cancel says it.
  return with_fresh_session([=](minimax_session* fresh) {
    const size_t size = options->struct_size;
    const bool has_limit = size >= offsetof(minimax_generate_options, max_tokens) + 8;
    if (has_limit && size < room) options->max_tokens = 1;
    const minimax_status status = minimax_session_generate(fresh, nullptr, options, nullptr);
    if (has_limit && size < room) options->max_tokens = 0;
    return status;
  });
}

minimax_status save_with(const minimax_session_save_options* options) {
  const ScratchFolder folder;
  return minimax_session_save(session(), (folder.path() / "a").c_str(), options);
}

// A call on the witness's session, saved.
minimax_status with_file(const std::function<minimax_status(const char* path)>& call) {
  const ScratchFolder folder;
  const std::string path = (folder.path() / "a").string();
  EXPECT_EQ(minimax_session_save(session(), path.c_str(), nullptr), MINIMAX_OK);
  return call(path.c_str());
}

minimax_status load_with(const minimax_session_load_options* options) {
  return with_file([=](const char* path) {
    minimax_session* loaded = nullptr;
    const minimax_status status = minimax_session_load(engine(), path, options, &loaded);
    minimax_session_free(loaded);
    return status;
  });
}

minimax_status describe_into(minimax_session_file_info* info) {
  return with_file([=](const char* path) { return minimax_get_session_file_info(path, info); });
}

std::vector<StructUse> struct_uses() {
  return {
      use_of<minimax_device_info>("DeviceInfo",
                                  [](auto* at) { return minimax_get_device_info(0, at); }),
      use_of<minimax_engine_options>("EngineOptions", [](auto* at) { return open_with(at); }),
      use_of<minimax_memory_plan>("MemoryPlan", [](auto* at) { return plan_into(at); }),
      use_of<minimax_engine_info>("EngineInfo",
                                  [](auto* at) { return minimax_engine_get_info(engine(), at); }),
      use_of<minimax_engine_memory>(
          "EngineMemory", [](auto* at) { return minimax_engine_get_memory(engine(), at); }),
      use_of<minimax_token_info>(
          "TokenInfo", [](auto* at) { return minimax_engine_token_info(engine(), 65, at); }),
      use_of<minimax_tile_plan>(
          "TilePlan",
          [](auto* at) { return minimax_image_plan(Viewer::get().engine(), 300, 100, at); }),
      use_of<minimax_image_cache_stats>(
          "ImageCacheStats",
          [](auto* at) { return minimax_engine_get_image_cache_stats(engine(), at); }),
      use_of<minimax_prefix_cache_stats>(
          "PrefixCacheStats",
          [](auto* at) { return minimax_engine_get_prefix_cache_stats(engine(), at); }),
      use_of<minimax_image_span>(
          "ImageSpan",
          [](auto* at) { return minimax_session_get_image_span(Viewer::get().session(), 0, at); }),
      use_of<minimax_session_options>("SessionOptions",
                                      [](auto* at) {
                                        minimax_session* created = nullptr;
                                        const minimax_status status =
                                            minimax_session_create(engine(), at, &created);
                                        minimax_session_free(created);
                                        return status;
                                      }),
      use_of<minimax_feed_report>("FeedReport", [](auto* at) { return fill_report(at); }),
      use_of<minimax_session_stats>(
          "SessionStats", [](auto* at) { return minimax_session_get_stats(session(), at); }),
      use_of<minimax_sampler_options>("SamplerOptions",
                                      [](auto* at) {
                                        minimax_sampler* created = nullptr;
                                        const minimax_status status =
                                            minimax_sampler_create(engine(), at, &created);
                                        minimax_sampler_free(created);
                                        return status;
                                      }),
      use_of<minimax_generate_options>("GenerateOptions",
                                       [](auto* at) { return generate_with(at); }),
      use_of<minimax_session_save_options>("SessionSaveOptions",
                                           [](auto* at) { return save_with(at); }),
      use_of<minimax_session_load_options>("SessionLoadOptions",
                                           [](auto* at) { return load_with(at); }),
      use_of<minimax_session_file_info>("SessionFileInfo",
                                        [](auto* at) { return describe_into(at); }),
      use_of<minimax_generate_result>("GenerateResult", [](auto* at) { return generate_into(at); }),
  };
}

// Room for a struct that says it is of `size`: zero, but for one byte when `set_byte` is not 0.
struct alignas(std::max_align_t) Room {
  unsigned char bytes[room] = {};

  Room(size_t size, size_t set_byte) {
    std::memcpy(bytes, &size, sizeof size);
    if (set_byte != 0) bytes[set_byte] = 1;
  }
};

CallCase refused_size(const StructUse& used, const std::string& suffix, size_t size,
                      size_t set_byte, Statuses statuses) {
  return {"StructSize" + std::string(used.name) + suffix,
          [=] {
            Room at(size, set_byte), before(size, set_byte);
            const minimax_status status = used.use(at.bytes);
            EXPECT_EQ(std::memcmp(at.bytes, before.bytes, room), 0);
            return status;
          },
          std::move(statuses),
          {}};
}

}  // namespace

std::vector<CallCase> struct_size_cases() {
  std::vector<CallCase> cases;
  for (const StructUse& used : struct_uses()) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{7}, SIZE_MAX, SIZE_MAX / 2}) {
      const std::string suffix =
          size > room ? (size == SIZE_MAX ? "Largest" : "Huge") : "Of" + std::to_string(size);
      cases.push_back(refused_size(used, suffix, size, 0, {MINIMAX_INVALID_ARGUMENT}));
    }
    cases.push_back(
        refused_size(used, "SetBehindItsEnd", used.size + 8, used.size, {MINIMAX_UNSUPPORTED}));
    cases.push_back(refused_size(used, "SetFarBehindItsEnd", used.size + 999, used.size + 998,
                                 {MINIMAX_UNSUPPORTED}));
  }
  return cases;
}

TEST(StructSizes, OlderAndNewerOnesAreTaken) {
  Witness::get();
  for (const StructUse& used : struct_uses()) {
    const bool needs_limit = std::string_view(used.name) == "GenerateOptions";
    const size_t half = needs_limit ? 16 : used.size / 2 / 8 * 8;
    for (const size_t size : {size_t{8}, half, used.size, used.size + 8, room}) {
      if (needs_limit && (size == 8 || size == room)) continue;  // would not end by themselves
      SCOPED_TRACE(std::string(used.name) + " of " + std::to_string(size) + " bytes");
      Room at(size, 0);
      EXPECT_EQ(used.use(at.bytes), MINIMAX_OK) << minimax_last_error();
      size_t left = 0;
      std::memcpy(&left, at.bytes, sizeof left);
      EXPECT_EQ(left, size);
      for (size_t i = std::min(size, used.size); i < room; ++i) ASSERT_EQ(at.bytes[i], 0) << i;
    }
  }
}

}  // namespace minimax::testing
