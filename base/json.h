// SPDX-License-Identifier: Apache-2.0
// JSON read from files and callers: bounded in size and depth, with errors that name the place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "minimax.h"

namespace minimax {

using Json = nlohmann::json;
// Keeps members in the order of the text. Finding one is linear: for small texts of callers only.
using OrderedJson = nlohmann::ordered_json;

// Owns what was parsed. The destructor of Json takes memory for values within values, and ends the
// program when there is none; this one empties them from within first.
class JsonTree {
 public:
  JsonTree() = default;
  explicit JsonTree(Json&& json) noexcept : json_(std::move(json)) {}
  JsonTree(JsonTree&& other) noexcept : json_(std::move(other.json_)) {}
  JsonTree& operator=(JsonTree&& other) noexcept {
    json_.swap(other.json_);
    return *this;
  }
  ~JsonTree();

  operator const Json&() const { return json_; }
  Json& value() { return json_; }

 private:
  Json json_;
};

// Parses UTF-8 JSON text. `source` names it in errors ("config.json"). Fails with `status` when the
// text is not JSON, is not valid UTF-8, or nests deeper than 64. Of members with
// the same name the last one counts.
Json parse_json(std::string_view text, std::string_view source,
                minimax_status status = MINIMAX_BAD_FILE);
OrderedJson parse_ordered_json(std::string_view text, std::string_view source,
                               minimax_status status = MINIMAX_BAD_FILE);

// Reads and parses a file; MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR or MINIMAX_BAD_FILE.
Json parse_json_file(const std::filesystem::path& path, size_t limit_bytes);

// A JSON object with the name of where it came from: every reader below fails with MINIMAX_BAD_FILE
// and a sentence "config.json: hidden_size is "abc", expected an integer from 1 to 1048576".
// Borrows the Json and the name. A member that is null counts as absent.
class JsonObject {
 public:
  JsonObject(const Json& json, std::string_view source);

  const Json* find(std::string_view key) const;  // nullptr when absent or null
  bool has(std::string_view key) const { return find(key) != nullptr; }
  JsonObject object(std::string_view key) const;
  const Json& array(std::string_view key, size_t limit) const;

  int64_t integer(std::string_view key, int64_t low, int64_t high) const;
  int64_t integer_or(std::string_view key, int64_t otherwise, int64_t low, int64_t high) const;
  double number(std::string_view key, double low, double high) const;
  double number_or(std::string_view key, double otherwise, double low, double high) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  std::string string(std::string_view key) const;
  std::string string_or(std::string_view key, std::string_view otherwise) const;

  const Json& json() const { return *json_; }
  const std::string& source() const { return source_; }
  // Fails with "SOURCE: KEY is VALUE, expected WHAT".
  [[noreturn]] void fail_member(std::string_view key, std::string_view expected) const;

 private:
  const Json& require_member(std::string_view key, std::string_view expected) const;
  const Json* json_;
  std::string source_;
};

// A value as it may be quoted in a message: dumped, cut to about 60 bytes, always valid UTF-8.
std::string quoted(const Json& value);

}  // namespace minimax
