// SPDX-License-Identifier: Apache-2.0
#include "engine/weights/json_walker.h"

#include <algorithm>

#include "base/error.h"

namespace minimax {
namespace {

constexpr int max_depth = 64;
constexpr size_t shown_limit = 200;

}  // namespace

void JsonWalker::walk(std::string_view text) {
  depth_ = 0;
  // The parser takes a zero byte for the end of its input.
  const size_t zero = text.find('\0');
  require_file(zero == text.npos, source_, ": not valid JSON at byte ", zero + 1);
  Json::sax_parse(text.begin(), text.end(), static_cast<Json::json_sax_t*>(this));
}

bool JsonWalker::open(Container container) {
  on_open(container);
  require_file(++depth_ <= max_depth, source_, ": nests deeper than ", max_depth);
  return true;
}

bool JsonWalker::close() {
  --depth_;
  on_close();
  return true;
}

bool JsonWalker::other() {
  on_other();
  return true;
}

bool JsonWalker::number_unsigned(uint64_t value) {
  on_unsigned(value);
  return true;
}

bool JsonWalker::string(std::string& value) {
  on_string(value);
  return true;
}

bool JsonWalker::key(std::string& value) {
  on_key(value);
  return true;
}

bool JsonWalker::parse_error(size_t position, const std::string&,
                             const nlohmann::detail::exception&) {
  fail(MINIMAX_BAD_FILE, source_, ": not valid JSON at byte ", position);
}

std::string shown_name(std::string_view name) {
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
  if (printable && !name.empty() && name.size() <= shown_limit) return std::string(name);
  return quoted(Json(std::string(name)));
}

}  // namespace minimax
