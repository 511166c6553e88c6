// SPDX-License-Identifier: Apache-2.0
// Saved sessions that were cut, damaged, forged or meant for another model: each is refused in words, at
// once, and with no more memory than its bytes are worth.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

#include "base/checksum.h"
#include "tests/sdk/saved_bytes.h"

namespace minimax {
namespace {

using testing::ByteVector;
using testing::ByteView;
using testing::SizeKnown;

using Bytes = std::vector<std::byte>;

constexpr size_t header_bytes = 48;
constexpr size_t version_at = 8, index_bytes_at = 16, total_bytes_at = 24, index_checksum_at = 32,
                 header_checksum_at = 40;

std::shared_ptr<Model> open(const char* name) {
  EngineOptions options;
  options.thread_count = 1;
  return Model::load(std::filesystem::path(MINIMAX_SOURCE_DIR "/tests/golden") / name, options);
}

template <typename Number>
Number number_at(const Bytes& bytes, size_t at) {
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

template <typename Number>
void set_number(Bytes& bytes, size_t at, Number number) {
  std::memcpy(bytes.data() + at, &number, sizeof number);
}

// Makes header and index believable again, as somebody would who means harm.
void mend(Bytes& bytes) {
  const auto index_bytes = static_cast<size_t>(number_at<uint64_t>(bytes, index_bytes_at));
  if (header_bytes + index_bytes <= bytes.size()) {
    const auto index = std::span<const std::byte>(bytes).subspan(header_bytes, index_bytes);
    set_number(bytes, index_checksum_at, checksum_of(index));
  }
  set_number(bytes, header_checksum_at,
             checksum_of(std::span<const std::byte>(bytes).first(header_checksum_at)));
}

class DamagedSession : public ::testing::Test {
 protected:
  DamagedSession() {
    Session session(model_, 32);
    std::vector<int32_t> tokens(300);
    for (int32_t& token : tokens) token = static_cast<int32_t>(random_() % 500);
    session.feed(tokens);
    SamplerOptions options;
    options.temperature = 1;
    options.logit_bias = {{1, 1.0f}};
    Sampler sampler(options, model_->vocabulary_size(), {});
    for (const int32_t token : tokens) sampler.accept(token);
    whole_ = testing::saved(session, &sampler);
    index_ = read_index(whole_);
  }

  static SessionIndex read_index(const Bytes& bytes) {
    ByteView source(bytes);
    return read_session_index(source);
  }

  // The same session under another index; the chunks stay.
  Bytes with_index(const std::function<void(SessionIndex& index)>& change) const {
    SessionIndex index = index_;
    change(index);
    ByteVector sink;
    write_session_index(index, sink);
    const size_t first = header_bytes + number_at<uint64_t>(whole_, index_bytes_at);
    sink.write(std::span(whole_).subspan(first));
    set_number(sink.bytes, total_bytes_at, static_cast<uint64_t>(sink.bytes.size()));
    mend(sink.bytes);
    return std::move(sink.bytes);
  }

  void expect_refused(const Bytes& bytes, minimax_status status, const std::string& words,
                      const std::string& what) {
    for (const SizeKnown known : {SizeKnown::yes, SizeKnown::no}) {
      ByteView source(bytes, known);
      try {
        load_session(model_, source, SavedSamplerWanted::yes);
        ADD_FAILURE() << what << " was loaded";
      } catch (const Error& error) {
        EXPECT_EQ(error.status(), status) << what << ": " << error.message();
        EXPECT_NE(error.message().find(words), std::string::npos)
            << what << ": " << error.message();
      }
    }
    EXPECT_EQ(model_->engine().kv_bytes(), 0u);
    EXPECT_EQ(model_->session_count(), 0u);
  }
  void expect_damaged(const Bytes& bytes, const std::string& what) {
    expect_refused(bytes, MINIMAX_BAD_FILE, "", what);
  }

  std::mt19937 random_{3};
  std::shared_ptr<Model> model_ = open("vendor_text_8l");
  Bytes whole_;
  SessionIndex index_;
};

TEST_F(DamagedSession, CutAnywhere) {
  std::vector<size_t> cuts{0, 1, 8, header_bytes - 1, header_bytes};
  size_t border = header_bytes + number_at<uint64_t>(whole_, index_bytes_at);
  for (const ChunkPlace& chunk : index_.chunks) {
    for (const size_t at : {border, border + 1, border + chunk.size_bytes}) cuts.push_back(at);
    border += chunk.size_bytes + sizeof(uint64_t);
  }
  ASSERT_EQ(border, whole_.size());
  for (int i = 0; i < 500; ++i) cuts.push_back(random_() % whole_.size());
  for (const size_t cut : cuts) {
    expect_damaged({whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(cut)},
                   text("cut at ", cut));
  }
  Bytes longer = whole_;
  longer.push_back({});
  ByteView source(longer);
  EXPECT_THROW(load_session(model_, source, SavedSamplerWanted::no), Error);
}

TEST_F(DamagedSession, WithAnyBitFlipped) {
  std::vector<size_t> bits;
  for (size_t bit = 0; bit < 8 * header_bytes; ++bit) bits.push_back(bit);
  for (int i = 0; i < 2000; ++i) bits.push_back(random_() % (8 * whole_.size()));
  for (const size_t bit : bits) {
    Bytes damaged = whole_;
    damaged[bit / 8] ^= std::byte{1} << bit % 8;
    ByteView source(damaged);
    try {
      load_session(model_, source, SavedSamplerWanted::yes);
      FAIL() << "bit " << bit << " flipped and nobody minds";
    } catch (const Error& error) {
      const bool is_version = bit / 8 >= version_at && bit / 8 < version_at + 4;
      EXPECT_TRUE(error.status() == MINIMAX_BAD_FILE ||
                  (is_version && error.status() == MINIMAX_UNSUPPORTED))
          << "bit " << bit << ": " << error.message();
    }
  }
  EXPECT_EQ(model_->session_count(), 0u);
}

TEST_F(DamagedSession, OfALaterVersion) {
  Bytes later = whole_;
  set_number(later, version_at, session_file_version + 1);
  expect_refused(later, MINIMAX_UNSUPPORTED, "format version 2", "unmended");
  mend(later);
  expect_refused(later, MINIMAX_UNSUPPORTED, "format version 2", "mended");
  set_number(later, version_at, uint32_t{0});
  mend(later);
  expect_refused(later, MINIMAX_BAD_FILE, "version 0", "version 0");
}

TEST_F(DamagedSession, OfAnotherModel) {
  const auto stranger = open("vl01_8l");
  ByteView source(whole_);
  try {
    load_session(stranger, source, SavedSamplerWanted::no);
    FAIL() << "another model's session";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), MINIMAX_WRONG_MODEL);
  }
  expect_refused(with_index([](SessionIndex& index) { index.model.weights ^= 1; }),
                 MINIMAX_WRONG_MODEL, "other weights", "other weights");
  expect_refused(with_index([](SessionIndex& index) { index.model.config ^= 1; }),
                 MINIMAX_WRONG_MODEL, "configuration", "another configuration");
}

TEST_F(DamagedSession, UnderAForgedIndex) {
  const std::vector<std::pair<const char*, std::function<void(SessionIndex&)>>> forgeries{
      {"more tokens", [](SessionIndex& index) { index.extent.position += 1; }},
      {"fewer tokens", [](SessionIndex& index) { index.extent.position -= 1; }},
      {"no tokens", [](SessionIndex& index) { index.extent.position = 0; }},
      {"tokens below zero", [](SessionIndex& index) { index.extent.position = -5; }},
      {"tokens without end", [](SessionIndex& index) { index.extent.position = int64_t{1} << 62; }},
      {"very many tokens", [](SessionIndex& index) { index.extent.position = int64_t{1} << 39; }},
      {"odd fold", [](SessionIndex& index) { index.extent.committed -= 1; }},
      {"no fold", [](SessionIndex& index) { index.extent.committed = 0; }},
      {"fold below zero", [](SessionIndex& index) { index.extent.committed = -32; }},
      {"fold behind the end", [](SessionIndex& index) { index.extent.committed = 320; }},
      {"rewind_tokens", [](SessionIndex& index) { index.rewind_tokens = 5000; }},
      {"rewind_tokens below zero", [](SessionIndex& index) { index.rewind_tokens = -1; }},
      {"no logits", [](SessionIndex& index) { index.has_logits = false; }},
      {"type of keys", [](SessionIndex& index) { index.extent.kv_type = DType::f32; }},
      {"type of the log", [](SessionIndex& index) { index.extent.log_type = DType::bf16; }},
      {"no chunks", [](SessionIndex& index) { index.chunks.clear(); }},
      {"a chunk less", [](SessionIndex& index) { index.chunks.pop_back(); }},
      {"chunks in another order",
       [](SessionIndex& index) { std::swap(index.chunks[3], index.chunks[4]); }},
      {"a chunk of another kind",
       [](SessionIndex& index) { index.chunks[0].kind = ChunkKind::kv_page; }},
      {"a chunk without end", [](SessionIndex& index) { index.chunks[0].size_bytes = ~0ull; }},
      {"chunks that overflow",
       [](SessionIndex& index) {
         index.chunks[0].size_bytes = 1ull << 59;
         index.chunks[1].size_bytes = 1ull << 59;
       }},
      {"picture behind the end",
       [](SessionIndex& index) {
         index.pictures.push_back({290, 20, {}});
       }},
      {"picture before the beginning",
       [](SessionIndex& index) {
         index.pictures.push_back({-1, 20, {}});
       }},
      {"empty picture",
       [](SessionIndex& index) {
         index.pictures.push_back({10, 0, {}});
       }},
      {"pictures that overlap",
       [](SessionIndex& index) {
         index.pictures.push_back({10, 20, {}});
         index.pictures.push_back({29, 20, {}});
       }},
      {"sampler's tokens", [](SessionIndex& index) { index.sampler->accepted_count += 7; }},
      {"sampler's tokens without end",
       [](SessionIndex& index) { index.sampler->accepted_count = ~0ull; }},
      {"temperature", [](SessionIndex& index) { index.sampler->state.options.temperature = -1; }},
      {"bias of no token",
       [](SessionIndex& index) { index.sampler->state.options.logit_bias[0].token = 512; }},
  };
  for (const auto& [what, forge] : forgeries) expect_damaged(with_index(forge), what);
  expect_damaged(with_index([](SessionIndex& index) { index.model_name.assign(5000, 'x'); }),
                 "a long name");
  const Bytes unforged = with_index([](SessionIndex&) {});
  ByteView source(unforged);
  EXPECT_NO_THROW(load_session(model_, source, SavedSamplerWanted::yes));
}

TEST_F(DamagedSession, WithTokensOutsideTheVocabulary) {
  const size_t first = header_bytes + number_at<uint64_t>(whole_, index_bytes_at);
  for (const int32_t token : {-1, 512, INT32_MAX}) {
    Bytes forged = whole_;
    set_number(forged, first + 40, token);
    const size_t size = static_cast<size_t>(index_.chunks[0].size_bytes);
    set_number(forged, first + size,
               checksum_of(std::span<const std::byte>(forged).subspan(first, size)));
    expect_refused(forged, MINIMAX_BAD_FILE, "vocabulary", text("token ", token));
  }
}

// Whatever the index becomes: a session that can be fed, or an error.
TEST_F(DamagedSession, WithAnyBitOfTheIndexForged) {
  const size_t index_bytes = number_at<uint64_t>(whole_, index_bytes_at);
  int loaded = 0;
  for (size_t bit = 0; bit < 8 * index_bytes; ++bit) {
    Bytes forged = whole_;
    forged[header_bytes + bit / 8] ^= std::byte{1} << bit % 8;
    mend(forged);
    ByteView source(forged);
    try {
      Session session(load_session(model_, source, SavedSamplerWanted::yes).session);
      const int32_t token = 5;
      session.feed({&token, 1});
      ++loaded;
    } catch (const Error& error) {
      EXPECT_LT(error.message().size(), 2000u);
    }
  }
  std::printf("%d of %zu forgeries change nothing that could be noticed\n", loaded,
              8 * index_bytes);
}

// A header that promises much gets no memory for it.
TEST_F(DamagedSession, ThatPromisesMoreThanItHas) {
  Bytes forged = whole_;
  forged.resize(header_bytes);
  set_number(forged, index_bytes_at, uint64_t{15} << 20);
  set_number(forged, total_bytes_at, uint64_t{1} << 50);
  mend(forged);
  expect_damaged(forged, "an index that is not there");
  set_number(forged, index_bytes_at, uint64_t{1} << 40);
  mend(forged);
  expect_damaged(forged, "an index without end");
  set_number(forged, index_bytes_at, uint64_t{100});
  set_number(forged, total_bytes_at, uint64_t{5});
  mend(forged);
  expect_damaged(forged, "a total below the index");
}

}  // namespace
}  // namespace minimax
