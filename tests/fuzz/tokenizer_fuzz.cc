// SPDX-License-Identifier: Apache-2.0
// Feeds anything to the readers of tokenizer files, and to an encoder that must give it back.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace {

using minimax::Error;
using minimax::SpecialTokens;
using minimax::Tokenizer;

// One folder a process, in memory where the system keeps temporary files there.
const std::filesystem::path& folder() {
  static const std::filesystem::path path = [] {
    const auto made = std::filesystem::temp_directory_path() /
                      ("minimax-tokenizer-fuzz-" + std::to_string(getpid()));
    std::filesystem::create_directories(made);
    return made;
  }();
  return path;
}

void load(const char* name, std::string_view content) {
  std::ofstream(folder() / name, std::ios::binary) << content;
  try {
    const auto tokenizer = Tokenizer::load(folder());
    std::vector<int32_t> ids;
    if (tokenizer) tokenizer->encode(content.substr(0, 200), SpecialTokens::match, ids);
  } catch (const Error&) {
  }
  std::filesystem::remove(folder() / name);
}

void round_trip(std::string_view text) {
  static const auto tokenizer = Tokenizer::load(MINIMAX_DEMO_FOLDER);
  for (const SpecialTokens specials : {SpecialTokens::match, SpecialTokens::plain}) {
    std::vector<int32_t> ids;
    std::string back;
    tokenizer->encode(text, specials, ids);
    tokenizer->decode(ids, true, back);
    if (back != text) abort();
  }
}

}  // namespace

// The first byte says what the rest is.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view content(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      round_trip(content);
      break;
    case 1:
      load("tokenizer.json", content);
      break;
    case 2:
      load("tokenizer.model", content);
      break;
  }
  return 0;
}
