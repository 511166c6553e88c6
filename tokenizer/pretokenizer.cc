// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/pretokenizer.h"

#include <string>

#include "base/error.h"

namespace minimax {
namespace {

constexpr size_t step_limit = 16;

// What ByteLevel cuts by when it is told to use its own pattern.
constexpr std::string_view byte_level_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// The steps of a Sequence, or the one step that stands alone.
std::vector<JsonObject> steps_of(const JsonObject& pre_tokenizer) {
  if (pre_tokenizer.string("type") != "Sequence") return {pre_tokenizer};
  std::vector<JsonObject> steps;
  for (const Json& step : pre_tokenizer.array("pretokenizers", step_limit)) {
    steps.emplace_back(step, text(pre_tokenizer.source(), ".pretokenizers[", steps.size(), "]"));
  }
  return steps;
}

}  // namespace

Pretokenizer::Pretokenizer(const Json& pre_tokenizer, std::string_view source)
    : use_scanner_(false) {
  const std::vector<JsonObject> steps = steps_of(JsonObject(pre_tokenizer, source));
  if (steps.empty() || steps.back().string("type") != "ByteLevel") {
    fail(MINIMAX_UNSUPPORTED, source,
         " does not end with ByteLevel: only byte-level tokenizers are read");
  }
  for (const JsonObject& step : steps) {
    const std::string type = step.string("type");
    if (type == "Split") {
      add_split(step);
    } else if (type == "ByteLevel" && &step == &steps.back()) {
      add_byte_level(step);
    } else {
      fail(MINIMAX_UNSUPPORTED, step.source(), " is of type ", quoted(Json(type)),
           ", expected Split, or ByteLevel at the end");
    }
  }
  if (splitters_.empty() && !use_scanner_) {
    fail(MINIMAX_UNSUPPORTED, source, " states no pattern to cut the text by");
  }
}

void Pretokenizer::add_split(const JsonObject& split) {
  const std::string behavior = split.string("behavior");
  if (behavior != "Isolated") {
    fail(MINIMAX_UNSUPPORTED, split.source(), ": behavior is ", quoted(Json(behavior)),
         ", only \"Isolated\" is known");
  }
  if (split.boolean_or("invert", false)) {
    fail(MINIMAX_UNSUPPORTED, split.source(), ": invert is true, only false is known");
  }
  const JsonObject pattern = split.object("pattern");
  if (pattern.has("Regex")) return add_pattern(pattern.string("Regex"), pattern.source());
  add_pattern(PatternSplitter::escape(pattern.string("String")), pattern.source());
}

void Pretokenizer::add_byte_level(const JsonObject& byte_level) {
  if (byte_level.boolean_or("add_prefix_space", false)) {
    fail(MINIMAX_UNSUPPORTED, byte_level.source(),
         ": add_prefix_space is true, only false is known");
  }
  if (byte_level.boolean_or("use_regex", true)) {
    add_pattern(byte_level_pattern, byte_level.source());
  }
}

void Pretokenizer::add_pattern(std::string_view pattern, std::string_view source) {
  const bool is_first = splitters_.empty() && !use_scanner_;
  if (is_first && pattern == WordScanner::pattern) {
    use_scanner_ = true;
  } else {
    splitters_.push_back(std::make_unique<PatternSplitter>(pattern, std::string(source)));
  }
}

void Pretokenizer::split(std::string_view text, std::vector<size_t>& ends) const {
  if (use_scanner_ && splitters_.empty()) return scanner_.split(text, ends);
  std::vector<size_t> pieces;
  if (use_scanner_) {
    scanner_.split(text, pieces);
  } else if (!text.empty()) {
    pieces.push_back(text.size());
  }
  for (const auto& splitter : splitters_) {
    std::vector<size_t> finer;
    size_t start = 0;
    for (const size_t stop : pieces) {
      const size_t first = finer.size();
      splitter->split(text.substr(start, stop - start), finer);
      for (size_t i = first; i < finer.size(); ++i) finer[i] += start;
      start = stop;
    }
    pieces = std::move(finer);
  }
  ends.insert(ends.end(), pieces.begin(), pieces.end());
}

}  // namespace minimax
