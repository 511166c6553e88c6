// SPDX-License-Identifier: Apache-2.0
// Snapshots moved to host memory or a file and back: whoever returns to one goes on to the bit, and a move
// that cannot be made leaves it as it was. On the CPU, and on a GPU where there is one.
#include "sdk/snapshot.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "base/error.h"

namespace minimax {
namespace {

using Rows = std::vector<std::vector<float>>;

const std::filesystem::path scratch_folder = std::filesystem::temp_directory_path();

std::vector<int32_t> tokens_from(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 500);
  return tokens;
}

Rows go_on(Session& session, std::span<const int32_t> tokens) {
  Rows rows;
  rows.emplace_back(session.logits().begin(), session.logits().end());
  for (const int32_t& token : tokens) {
    session.feed({&token, 1});
    rows.emplace_back(session.logits().begin(), session.logits().end());
  }
  return rows;
}

// The descriptor of the one file without a name that this program has open there.
int nameless_file() {
  int found = -1;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(entry, ignored).string();
    const bool is_nameless =
        target.ends_with(" (deleted)") && target.starts_with(scratch_folder.string());
    if (is_nameless) found = std::stoi(entry.path().filename());
  }
  return found;
}

class SnapshotMoves : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (GetParam() != std::string("cpu") && devices().size() < 2) GTEST_SKIP() << "no GPU";
    EngineOptions options;
    options.device = GetParam();
    options.thread_count = 2;
    model_ = Model::load(MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l", options);
  }
  bool is_cpu() const { return model_->engine().memory_is_host(); }
  size_t page_bytes() const { return model_->engine().kv_bytes(); }

  const std::vector<int32_t> prompt_ = tokens_from(1, 300), road_ = tokens_from(2, 6);
  std::shared_ptr<Model> model_;
};

TEST_P(SnapshotMoves, AnywhereAndBackToTheBit) {
  Session session(model_, 32);
  session.feed(prompt_);
  Snapshot snapshot(session.mark());
  const Rows expected = go_on(session, road_);
  const SnapshotFacts before = snapshot.facts();
  const auto device = SnapshotHome::device, host = SnapshotHome::host, file = SnapshotHome::file;
  for (const SnapshotHome home : {file, host, device, host, file, file, device, device}) {
    snapshot.move(home, home == file ? scratch_folder : "");
    const SnapshotFacts facts = snapshot.facts();
    const bool is_moved = home == file || (home == host && !is_cpu());
    EXPECT_EQ(facts.home, is_moved ? home : device);
    EXPECT_EQ(facts.position, 300);
    EXPECT_EQ(facts.moved_bytes > 0, is_moved);
    EXPECT_EQ(facts.state_bytes, is_moved ? 0 : before.state_bytes);
    EXPECT_EQ(facts.kv_bytes, is_moved ? 0 : before.kv_bytes);
    snapshot.give_to(session);
    EXPECT_EQ(go_on(session, road_), expected) << "from home " << static_cast<int>(home);
  }
}

TEST_P(SnapshotMoves, AndFreesWhatNobodyShares) {
  Session session(model_, 32);
  session.feed(prompt_);
  Snapshot snapshot(session.mark());
  const size_t shared_bytes = page_bytes();
  snapshot.move(SnapshotHome::file, scratch_folder);
  EXPECT_EQ(page_bytes(), shared_bytes) << "the session still has them";
  session.reset();
  EXPECT_EQ(page_bytes(), 0u);
  snapshot.move(SnapshotHome::device, "");
  EXPECT_EQ(page_bytes(), shared_bytes);
  EXPECT_EQ(model_->session_count(), 1u);
}

TEST_P(SnapshotMoves, OfAnEmptySessionAndOfOneWithoutLogits) {
  Session session(model_, 32);
  Snapshot empty(session.mark());
  session.feed(prompt_);
  session.rewind(2);
  Snapshot rewound(session.mark());
  empty.move(SnapshotHome::file, scratch_folder);
  rewound.move(SnapshotHome::file, scratch_folder);
  session.feed(road_);
  rewound.give_to(session);
  EXPECT_EQ(session.timeline().position(), 298);
  EXPECT_FALSE(session.has_logits());
  empty.give_to(session);
  EXPECT_EQ(session.timeline().position(), 0);
}

TEST_P(SnapshotMoves, NotWhereItCannotBe) {
  Session session(model_, 32);
  session.feed(prompt_);
  Snapshot snapshot(session.mark());
  const Rows expected = go_on(session, road_);
  const auto expect_kept = [&](minimax_status status, const std::filesystem::path& folder) {
    try {
      snapshot.move(SnapshotHome::file, folder);
      ADD_FAILURE() << "moved to " << folder;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), status) << error.message();
      EXPECT_NE(error.message().find(folder.string()), std::string::npos) << error.message();
    }
    EXPECT_EQ(snapshot.facts().home, SnapshotHome::device);
    snapshot.give_to(session);
    EXPECT_EQ(go_on(session, road_), expected);
  };
  expect_kept(MINIMAX_NOT_FOUND, "/no/such/folder");

  rlimit limit{};  // what a full disk looks like
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{10'000, limit.rlim_max};
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  expect_kept(MINIMAX_IO_ERROR, scratch_folder);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  ::signal(SIGXFSZ, before);
}

TEST_P(SnapshotMoves, AndSaysWhenItsFileIsDamaged) {
  Session session(model_, 32);
  session.feed(prompt_);
  Snapshot snapshot(session.mark());
  snapshot.move(SnapshotHome::file, scratch_folder);
  const int file = nameless_file();
  if (file < 0) GTEST_SKIP() << "files are not to be found under /proc";
  const off_t middle = static_cast<off_t>(snapshot.facts().moved_bytes / 2);
  char byte = 0;
  ASSERT_EQ(::pread(file, &byte, 1, middle), 1);
  byte = static_cast<char>(byte ^ 1);
  ASSERT_EQ(::pwrite(file, &byte, 1, middle), 1);
  const int64_t position = session.timeline().position();
  const auto status_of = [](const auto& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.status();
    }
    return minimax_status{MINIMAX_OK};
  };
  EXPECT_EQ(status_of([&] { snapshot.give_to(session); }), MINIMAX_BAD_FILE);
  EXPECT_EQ(status_of([&] { snapshot.move(SnapshotHome::device, ""); }), MINIMAX_BAD_FILE);
  EXPECT_EQ(status_of([&] { snapshot.move(SnapshotHome::file, scratch_folder); }),
            MINIMAX_BAD_FILE);
  EXPECT_EQ(snapshot.facts().home, SnapshotHome::file);
  EXPECT_EQ(session.timeline().position(), position);

  byte = static_cast<char>(byte ^ 1);  // mended, it is all there
  ASSERT_EQ(::pwrite(file, &byte, 1, middle), 1);
  session.reset();
  snapshot.give_to(session);
  EXPECT_EQ(session.timeline().position(), position);
}

TEST_P(SnapshotMoves, AndStaysWithItsEngineAndRewindTokens) {
  Session session(model_, 32), deeper(model_, 64);
  session.feed(prompt_);
  Snapshot snapshot(session.mark());
  snapshot.move(SnapshotHome::file, scratch_folder);
  try {
    snapshot.give_to(deeper);
    ADD_FAILURE() << "given to a session with other rewind_tokens";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_UNSUPPORTED);
  }
  EngineOptions options;
  options.thread_count = 1;
  Session stranger(Model::load(MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l", options), 32);
  try {
    snapshot.give_to(stranger);
    ADD_FAILURE() << "given to another engine's session";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_WRONG_MODEL);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, SnapshotMoves, ::testing::Values("cpu", "cuda:0"),
                         [](const auto& device) {
                           return std::string(device.param) == "cpu" ? "Cpu" : "Gpu";
                         });

}  // namespace
}  // namespace minimax
