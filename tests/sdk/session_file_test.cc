// SPDX-License-Identifier: Apache-2.0
// Saved sessions: whoever loads one, in this process or another, on other threads or in other types, goes
// on as the session would have; and a file that is replaced is there whole at every moment.
#include "sdk/session_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "base/file_stream.h"
#include "minimax.h"
#include "tests/sdk/saved_bytes.h"

namespace minimax {
namespace {

using testing::ByteView;
using testing::loaded;
using testing::saved;

const std::filesystem::path text_folder = MINIMAX_SOURCE_DIR "/tests/golden/vendor_text_8l";
const std::filesystem::path picture_folder = MINIMAX_SOURCE_DIR "/tests/golden/vl01_8l";
const std::filesystem::path demo_folder = MINIMAX_SOURCE_DIR "/models/demo";
const std::filesystem::path golden_file =
    MINIMAX_SOURCE_DIR "/tests/golden/session/vendor_text_8l_v1.session";

using Rows = std::vector<std::vector<float>>;

std::shared_ptr<Model> open(const std::filesystem::path& folder, int thread_count = 2,
                            int32_t kv_type = MINIMAX_TYPE_AUTO, const char* device = "cpu") {
  EngineOptions options;
  options.thread_count = thread_count;
  options.kv_type = kv_type;
  options.device = device;
  return Model::load(folder, options);
}

std::vector<int32_t> tokens_from(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 500);
  return tokens;
}

std::vector<float> logits_of(const Session& session) {
  return {session.logits().begin(), session.logits().end()};
}

// Logits after some tokens at once, then after each of the others.
Rows go_on(Session& session, std::span<const int32_t> tokens) {
  Rows rows;
  for (size_t at = 0; at < tokens.size();) {
    const size_t count = at == 0 ? tokens.size() / 2 : 1;
    session.feed(tokens.subspan(at, count));
    rows.push_back(logits_of(session));
    at += count;
  }
  return rows;
}

double error_between(const Rows& a, const Rows& b) {
  double error = 0, square = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a[i].size(); ++j) {
      const double difference = static_cast<double>(a[i][j]) - b[i][j];
      error += difference * difference;
      square += static_cast<double>(b[i][j]) * b[i][j];
    }
  }
  return error / square;
}

class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "minimax-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::filesystem::path operator/(const char* name) const { return path_ / name; }
  size_t file_count() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

void save_file(const Session& session, const std::filesystem::path& path) {
  FileSink file(path);
  save_session(session, nullptr, file);
  file.commit();
}

Session load_file(const std::shared_ptr<Model>& model, const std::filesystem::path& path) {
  FileSource file(path);
  return Session(load_session(model, file, SavedSamplerWanted::no).session);
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(SessionFile, GoesOnToTheBitFromAnyPosition) {
  const auto model = open(text_folder);
  for (const size_t start : {0, 1, 31, 32, 33, 64, 97, 255, 256, 257, 300, 600}) {
    Session session(model, 32);
    if (start > 0) session.feed(tokens_from(1, start));
    const std::vector<std::byte> bytes = saved(session);
    Session twin = loaded(model, bytes);
    EXPECT_EQ(twin.timeline().position(), static_cast<int64_t>(start));
    EXPECT_EQ(twin.rewind_floor(), session.rewind_floor());
    EXPECT_EQ(twin.has_logits(), start > 0);
    if (start > 0) {
      EXPECT_EQ(logits_of(twin), logits_of(session));
    }
    EXPECT_EQ(saved(twin), bytes) << "from " << start;
    const auto road = tokens_from(2, 90);
    EXPECT_EQ(go_on(twin, road), go_on(session, road)) << "from " << start;
  }
}

TEST(SessionFile, IsTheSameReadByManyThreadsOrFromFrontToBack) {
  const auto model = open(text_folder, 4);
  Session session(model, 32);
  session.feed(tokens_from(11, 3000));  // large enough for several threads
  const std::vector<std::byte> bytes = saved(session);
  ASSERT_GT(bytes.size(), size_t{1} << 20);
  const Session side_by_side = loaded(model, bytes);
  ByteView one_way(bytes, testing::SizeKnown::no);
  const Session in_order(load_session(model, one_way, SavedSamplerWanted::no).session);
  EXPECT_TRUE(saved(side_by_side) == bytes);
  EXPECT_TRUE(saved(in_order) == bytes);
}

TEST(SessionFile, KeepsHowFarItCanGoBack) {
  const auto model = open(text_folder);
  for (const int64_t rewind_tokens : {0, 32, 100}) {
    Session session(model, rewind_tokens);
    session.feed(tokens_from(1, 300));
    Session twin = loaded(model, saved(session));
    const int64_t back = 300 - session.rewind_floor();
    EXPECT_EQ(twin.rewind_floor(), session.rewind_floor());
    session.rewind(back);
    twin.rewind(back);
    const auto road = tokens_from(3, 150);
    EXPECT_EQ(go_on(twin, road), go_on(session, road)) << rewind_tokens;
    EXPECT_EQ(twin.rewind_floor(), session.rewind_floor());
  }
}

TEST(SessionFile, OfTakenBackTokensHasNoLogits) {
  const auto model = open(text_folder);
  Session session(model, 32);
  session.feed(tokens_from(1, 270));
  session.rewind(20);
  Session twin = loaded(model, saved(session));
  EXPECT_FALSE(twin.has_logits());
  EXPECT_THROW(twin.logits(), Error);
  const auto road = tokens_from(4, 60);
  EXPECT_EQ(go_on(twin, road), go_on(session, road));
}

TEST(SessionFile, OfAForkAndOfAResetSessionHoldsWhatTheyHold) {
  const auto model = open(text_folder);
  Session trunk(model, 32);
  trunk.feed(tokens_from(1, 280));
  Session branch(*trunk.mark());
  branch.feed(tokens_from(5, 40));
  Session twin = loaded(model, saved(branch));
  const auto road = tokens_from(6, 40);
  EXPECT_EQ(go_on(twin, road), go_on(branch, road));
  const auto kept = trunk.mark();
  trunk.reset();  // its states are still shared with the mark, and not zero
  Session empty = loaded(model, saved(trunk)), fresh(model, 32);
  EXPECT_EQ(go_on(empty, road), go_on(fresh, road));
}

TEST(SessionFile, GoesOnUnderOtherThreadsTypesAndKernels) {
  const auto model = open(text_folder, 2, MINIMAX_TYPE_F32);
  const auto road = tokens_from(7, 60);
  Session session(model, 32);
  session.feed(tokens_from(1, 300));
  const std::vector<std::byte> bytes = saved(session);
  const Rows expected = go_on(session, road);
  struct Other {
    int thread_count;
    int32_t kv_type;
    const char* device;
    double bound;  // NMSE; keys and values of 8 bits of precision
  };
  for (const Other& other : {Other{1, MINIMAX_TYPE_F32, "cpu", 1e-10},
                             {3, MINIMAX_TYPE_F32, "cpu", 1e-10},
                             {2, MINIMAX_TYPE_BF16, "cpu", 1e-3},
                             {1, MINIMAX_TYPE_F32, "cpu:plain", 1e-10},
                             {1, MINIMAX_TYPE_BF16, "cpu:portable", 1e-3}}) {
    const auto its_model = open(text_folder, other.thread_count, other.kv_type, other.device);
    Session twin = loaded(its_model, bytes);
    EXPECT_LE(error_between(go_on(twin, road), expected), other.bound)
        << other.thread_count << " threads, " << other.device << ", " << other.kv_type;
  }
}

TEST(SessionFile, OfBf16KeysAndValuesBecomesF32Exactly) {
  const auto narrow = open(text_folder, 2, MINIMAX_TYPE_BF16);
  const auto wide = open(text_folder, 2, MINIMAX_TYPE_F32);
  Session session(narrow, 32);
  session.feed(tokens_from(1, 300));
  const std::vector<std::byte> bytes = saved(session);
  const Session there = loaded(wide, bytes);
  EXPECT_EQ(saved(loaded(narrow, saved(there))), bytes);
}

TEST(SessionFile, IsOfTheModelWhateverItIsLoadedAs) {
  const ModelFingerprint one = open(text_folder)->engine().fingerprint();
  EXPECT_EQ(open(text_folder, 1, MINIMAX_TYPE_F32, "cpu:plain")->engine().fingerprint(), one);
  EXPECT_NE(open(picture_folder)->engine().fingerprint(), one);
}

TEST(SessionFile, HoldsPicturesOfTheHistory) {
  const auto model = open(picture_folder);
  const int32_t image_token = model->engine().config().image_token;
  Session session(model, 32);
  for (int i = 0; i < 3; ++i) {
    const Image image = Image::read(picture_folder / text("image_", i, ".png"));
    const auto encoded = model->pictures().encoded(image, nullptr, nullptr);
    std::vector<int32_t> turn(static_cast<size_t>(encoded->rows.dim(0)), image_token);
    const auto words = tokens_from(static_cast<uint32_t>(i), 23);
    turn.insert(turn.end(), words.begin(), words.end());
    const PlacedPicture placed{0, encoded};
    session.feed(turn, {&placed, 1});

    Session twin = loaded(model, saved(session));
    ASSERT_EQ(twin.pictures().size(), session.pictures().size());
    for (size_t j = 0; j < twin.pictures().size(); ++j) {
      EXPECT_EQ(twin.pictures()[j].position, session.pictures()[j].position);
      EXPECT_EQ(twin.pictures()[j].token_count, session.pictures()[j].token_count);
      EXPECT_EQ(twin.pictures()[j].id, session.pictures()[j].id);
    }
    Session uninterrupted(*session.mark());
    const auto road = tokens_from(8, 40);
    EXPECT_EQ(go_on(twin, road), go_on(uninterrupted, road)) << i + 1 << " pictures";
  }
}

TEST(SessionFile, TakesItsSamplerAlong) {
  const auto model = open(text_folder);
  const int64_t vocabulary = model->engine().config().vocabulary_size;
  SamplerOptions options;
  options.temperature = 1.3f;
  options.top_p = 0.9f;
  options.repetition_penalty = 1.1f;
  options.frequency_penalty = 0.5f;
  options.logit_bias = {{7, -1.5f}, {9, 2.0f}};
  options.seed = 5;
  Sampler sampler(options, vocabulary, {});
  Session session(model, 32);
  session.feed(tokens_from(1, 100));
  const auto speak = [](Session& of, Sampler& with, int count) {
    std::vector<int32_t> said;
    for (int i = 0; i < count; ++i) {
      said.push_back(with.sample(of.logits(), of.timeline().tokens()));
      of.feed({&said.back(), 1});
    }
    return said;
  };
  speak(session, sampler, 30);
  const std::vector<std::byte> bytes = saved(session, &sampler);
  ByteView source(bytes, testing::SizeKnown::no);
  LoadedSession there = load_session(model, source, SavedSamplerWanted::yes);
  EXPECT_EQ(source.left_bytes(), 0u);
  Session twin(std::move(there.session));
  EXPECT_EQ(saved(twin, &*there.sampler), bytes);
  EXPECT_EQ(speak(twin, *there.sampler, 40), speak(session, sampler, 40));

  Session without = loaded(model, bytes);  // its chunks are passed over
  EXPECT_EQ(without.timeline().position(), 130);
  const std::vector<std::byte> none = saved(session);
  ByteView no_sampler(none);
  try {
    load_session(model, no_sampler, SavedSamplerWanted::yes);
    FAIL() << "a sampler that was not saved";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_NOT_AVAILABLE);
  }
}

TEST(SessionFile, IsRefusedByASmallerContext) {
  Session session(open(text_folder), 32);
  session.feed(tokens_from(1, 300));
  const std::vector<std::byte> bytes = saved(session);
  EngineOptions small;
  small.context_limit = 299;
  EngineOptions few_pages;
  few_pages.kv_bytes_limit = 100'000;
  for (const EngineOptions& options : {small, few_pages}) {
    const auto model = Model::load(text_folder, options);
    try {
      loaded(model, bytes);
      FAIL() << "more tokens than fit";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), MINIMAX_CONTEXT_FULL) << error.message();
    }
    EXPECT_EQ(model->engine().kv_bytes(), 0u);
    EXPECT_EQ(model->session_count(), 0u);
  }
}

// The file of the first version: it opens for ever, and goes on as a session of today does.
TEST(SessionFile, OfTheFirstVersionOpensForEver) {
  const auto model = open(text_folder);
  Session old = load_file(model, golden_file);
  EXPECT_EQ(old.timeline().position(), 44);
  EXPECT_EQ(old.rewind_floor(), 32);
  Session fresh(model, 0);
  fresh.feed(tokens_from(9, 40));
  for (const int32_t token : tokens_from(10, 4)) fresh.feed({&token, 1});
  EXPECT_LE(error_between({logits_of(old)}, {logits_of(fresh)}), 1e-9);
  const auto road = tokens_from(11, 80);
  EXPECT_LE(error_between(go_on(old, road), go_on(fresh, road)), 1e-9);
  FileSource again(golden_file);
  LoadedSession with_sampler = load_session(model, again, SavedSamplerWanted::yes);
  const int32_t drawn = with_sampler.sampler->sample(with_sampler.session.logits,
                                                     with_sampler.session.timeline->tokens());
  EXPECT_GE(drawn, 0);
}

void write_golden(const char* path) {
  Session session(open(text_folder), 0);
  session.feed(tokens_from(9, 40));
  SamplerOptions options;
  options.temperature = 0.8f;
  options.logit_bias = {{3, 1.0f}};
  options.seed = 12;
  Sampler sampler(options, session.model()->vocabulary_size(), session.model()->suppressed());
  for (const int32_t token : tokens_from(10, 4)) {
    sampler.accept(token);
    session.feed({&token, 1});
  }
  FileSink file(path);
  save_session(session, &sampler, file);
  file.commit();
}

// What follows from a file, as bytes on standard output.
void print_continuation(const char* path) {
  Session session = load_file(open(text_folder), path);
  for (const std::vector<float>& row : go_on(session, tokens_from(12, 70))) {
    fwrite(row.data(), sizeof(float), row.size(), stdout);
  }
}

std::string output_of(const std::string& command) {
  FILE* const pipe = ::popen(command.c_str(), "r");
  std::string all;
  char part[4096];
  while (const size_t count = fread(part, 1, sizeof part, pipe)) all.append(part, count);
  EXPECT_EQ(::pclose(pipe), 0);
  return all;
}

std::string own_path() {
  return std::filesystem::read_symlink("/proc/self/exe").string();
}

TEST(SessionFile, GoesOnInAnotherProcess) {
  const Scratch scratch;
  Session session(open(text_folder), 32);
  session.feed(tokens_from(1, 290));
  save_file(session, scratch / "one.session");
  std::string expected;
  for (const std::vector<float>& row : go_on(session, tokens_from(12, 70))) {
    expected.append(reinterpret_cast<const char*>(row.data()), row.size() * sizeof(float));
  }
  const std::string path = (scratch / "one.session").string();
  EXPECT_TRUE(output_of(own_path() + " --go-on " + path) == expected);
  EXPECT_EQ(scratch.file_count(), 1u);
}

// Says on standard output that it begins, then saves one session, then the other, over the same file, until it
// is killed.
[[noreturn]] void save_for_ever(const char* path) {
  const auto model = open(text_folder, 1);
  Session one(model, 32), other(model, 32);
  one.feed(tokens_from(1, 290));
  other.feed(tokens_from(2, 310));
  if (::write(STDOUT_FILENO, "!", 1) != 1) ::_exit(1);
  for (;;) {
    save_file(one, path);
    save_file(other, path);
  }
}

// MINIMAX_KILLS says how many times; 200 take some seconds more.
TEST(SessionFile, IsWholeWhenTheProgramIsKilledMeanwhile) {
  const Scratch scratch;
  const std::filesystem::path path = scratch / "over.session";
  const auto model = open(text_folder, 1);
  Session one(model, 32);
  one.feed(tokens_from(1, 290));
  save_file(one, path);
  const char* wanted = std::getenv("MINIMAX_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 25;
  const uint32_t seed = std::random_device()();
  std::mt19937 random(seed);
  int of_first = 0;
  for (int i = 0; i < kills; ++i) {
    const std::string name = path.string(), self = own_path();
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::execl(self.c_str(), self.c_str(), "--save-for-ever", name.c_str(), nullptr);
      ::_exit(1);
    }
    char begins = 0;
    ASSERT_EQ(::read(ends[0], &begins, 1), 1);
    ::close(ends[0]);
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    const Session survivor = load_file(model, path);
    const int64_t position = survivor.timeline().position();
    ASSERT_TRUE(position == 290 || position == 310) << position << ", seed " << seed;
    of_first += position == 290 ? 1 : 0;
  }
  save_file(one, path);
  EXPECT_EQ(scratch.file_count(), 1u) << "what killed programs leave is removed";
  std::printf("%d kills, %d left the first session\n", kills, of_first);
}

// What a full disk looks like: nothing can be written past some size.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t limit_bytes) : before_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit small{limit_bytes, limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallFiles() {
    ::setrlimit(RLIMIT_FSIZE, &limit_);
    ::signal(SIGXFSZ, before_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  void (*before_)(int);
  rlimit limit_{};
};

TEST(SessionFile, StaysAsItWasWhenTheDiskIsFull) {
  const Scratch scratch;
  const std::filesystem::path path = scratch / "kept.session";
  const auto model = open(text_folder);
  Session session(model, 32);
  session.feed(tokens_from(1, 100));
  save_file(session, path);
  const std::string before = content_of(path);
  session.feed(tokens_from(1, 300));
  for (const rlim_t limit : {0, 10, 1000, 100'000}) {
    const SmallFiles full(limit);
    try {
      save_file(session, path);
      FAIL() << "written to a full disk";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), MINIMAX_IO_ERROR) << error.message();
      EXPECT_NE(error.message().find("kept.session"), std::string::npos);
    }
    EXPECT_TRUE(content_of(path) == before);
    EXPECT_EQ(scratch.file_count(), 1u);
  }
  save_file(session, path);
  EXPECT_EQ(load_file(model, path).timeline().position(), 400);
}

}  // namespace
}  // namespace minimax

int main(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode == "--go-on") return minimax::print_continuation(argv[2]), 0;
  if (mode == "--save-for-ever") minimax::save_for_ever(argv[2]);
  if (mode == "--write-golden") return minimax::write_golden(argv[2]), 0;
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
