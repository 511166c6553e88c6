// SPDX-License-Identifier: Apache-2.0
// Tokenizer files for tests: small ones made on the spot, and where the large ones are.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace minimax {

inline const std::filesystem::path demo_folder =
    std::filesystem::path(MINIMAX_SOURCE_DIR) / "models/demo";
inline const std::filesystem::path golden_folder =
    std::filesystem::path(MINIMAX_SOURCE_DIR) / "tests/golden/tokenizer";
// Not part of the sources: tests of the large vocabulary are skipped without it.
inline const std::filesystem::path m1_folder =
    std::filesystem::path(MINIMAX_SHARED_DIR) / "checkpoints/minimax-m1";

// A folder that lives as long as the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

// A tokenizer.json of the 256 bytes (id = byte), "ab" 256, "abc" 257, "cd" 258 and "abcd" 259, and the
// special token "<end>" 260.
Json small_tokenizer_json();
// The spelling of a byte in the byte-level alphabet.
std::string byte_spelling(int byte);

struct GoldenText {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<int32_t> plain_ids;  // with SpecialTokens::plain
};
std::vector<GoldenText> read_golden(const std::string& jsonl);
std::string read_gzip(const std::filesystem::path& path);

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text,
                            SpecialTokens specials = SpecialTokens::match);
std::string decode(const Tokenizer& tokenizer, const std::vector<int32_t>& ids);

// Random texts: characters of many scripts, and bytes that may be anything.
std::string random_unicode(uint32_t seed, size_t character_count);
std::string random_bytes(uint32_t seed, size_t size);

// The Error a body throws; a failed test when it throws none.
template <typename Body>
Error error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error(MINIMAX_OK, "");
}

}  // namespace minimax
