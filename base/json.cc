// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "base/error.h"
#include "base/file_map.h"

namespace minimax {
namespace {

constexpr int max_depth = 64;
constexpr size_t quote_limit = 60;

template <typename AnyJson>
AnyJson parse(std::string_view content, std::string_view source, minimax_status status) {
  const auto watch = [&](int depth, typename AnyJson::parse_event_t, AnyJson&) {
    if (depth > max_depth) fail(status, source, ": nests deeper than ", max_depth);
    return true;
  };
  // The parser takes a zero byte for the end of its input.
  const size_t zero = content.find('\0');
  if (zero != content.npos) fail(status, source, ": not valid JSON at byte ", zero + 1);
  try {
    return AnyJson::parse(content.begin(), content.end(), watch);
  } catch (const typename AnyJson::parse_error& error) {
    fail(status, source, ": not valid JSON at byte ", error.byte);
  } catch (const typename AnyJson::exception& error) {
    fail(status, source, ": not valid JSON: ", error.what());
  }
}

// Not deeper than a text may nest.
void take_apart(Json& json) noexcept {
  if (json.is_array()) {
    auto& items = json.get_ref<Json::array_t&>();
    for (Json& item : items) take_apart(item);
    items.clear();
  } else if (json.is_object()) {
    auto& members = json.get_ref<Json::object_t&>();
    for (auto& [name, value] : members) take_apart(value);
    members.clear();
  }
}

}  // namespace

JsonTree::~JsonTree() {
  take_apart(json_);
}

Json parse_json(std::string_view content, std::string_view source, minimax_status status) {
  return parse<Json>(content, source, status);
}

OrderedJson parse_ordered_json(std::string_view content, std::string_view source,
                               minimax_status status) {
  return parse<OrderedJson>(content, source, status);
}

Json parse_json_file(const std::filesystem::path& path, size_t limit_bytes) {
  return parse_json(read_text_file(path, limit_bytes), path.string());
}

std::string quoted(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return text("a list of ", value.size());
  std::string out = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (out.size() > quote_limit) out = out.substr(0, quote_limit) + "...";
  return out;
}

JsonObject::JsonObject(const Json& json, std::string_view source) : json_(&json), source_(source) {
  require_file(json.is_object(), source, ": ", quoted(json), ", expected an object");
}

const Json* JsonObject::find(std::string_view key) const {
  const auto at = json_->find(key);
  return at == json_->end() || at->is_null() ? nullptr : &*at;
}

void JsonObject::fail_member(std::string_view key, std::string_view expected) const {
  const Json* value = find(key);
  fail(MINIMAX_BAD_FILE, source_, ": ", key, value ? text(" is ", quoted(*value)) : " is missing",
       ", expected ", expected);
}

const Json& JsonObject::require_member(std::string_view key, std::string_view expected) const {
  const Json* value = find(key);
  if (!value) fail_member(key, expected);
  return *value;
}

JsonObject JsonObject::object(std::string_view key) const {
  const Json& value = require_member(key, "an object");
  if (!value.is_object()) fail_member(key, "an object");
  return {value, text(source_, ": ", key)};
}

const Json& JsonObject::array(std::string_view key, size_t limit) const {
  const std::string expected = text("a list of at most ", limit);
  const Json& value = require_member(key, expected);
  if (!value.is_array() || value.size() > limit) fail_member(key, expected);
  return value;
}

int64_t JsonObject::integer(std::string_view key, int64_t low, int64_t high) const {
  const std::string expected = text("an integer from ", low, " to ", high);
  const Json& value = require_member(key, expected);
  const bool whole = value.is_number_integer() &&
                     !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX});
  if (!whole || value.get<int64_t>() < low || value.get<int64_t>() > high) {
    fail_member(key, expected);
  }
  return value.get<int64_t>();
}

int64_t JsonObject::integer_or(std::string_view key, int64_t otherwise, int64_t low,
                               int64_t high) const {
  return has(key) ? integer(key, low, high) : otherwise;
}

double JsonObject::number(std::string_view key, double low, double high) const {
  const std::string expected = text("a number from ", low, " to ", high);
  const Json& value = require_member(key, expected);
  if (!value.is_number()) fail_member(key, expected);
  const double number = value.get<double>();
  if (!(number >= low && number <= high)) fail_member(key, expected);
  return number;
}

double JsonObject::number_or(std::string_view key, double otherwise, double low,
                             double high) const {
  return has(key) ? number(key, low, high) : otherwise;
}

bool JsonObject::boolean_or(std::string_view key, bool otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_boolean()) fail_member(key, "true or false");
  return value->get<bool>();
}

std::string JsonObject::string(std::string_view key) const {
  const Json& value = require_member(key, "a string");
  if (!value.is_string()) fail_member(key, "a string");
  return value.get<std::string>();
}

std::string JsonObject::string_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? string(key) : std::string(otherwise);
}

}  // namespace minimax
