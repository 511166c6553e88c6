// SPDX-License-Identifier: Apache-2.0
// JSON of callers, written again as Python's json.dumps would: what chat templates show to a model.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace minimax {

// A JSON value that keeps what nlohmann's does not: the order of members and integers of any size.
struct PythonJson {
  enum class Kind { null, boolean, number, string, list, object };

  Kind kind = Kind::null;
  std::string text;  // of a string, its characters; of a number or boolean, as written
  std::vector<std::string> names;  // of an object's members, one for each of items
  std::vector<PythonJson> items;   // of a list or object

  bool is(Kind expected) const { return kind == expected; }
  // The member of that name; nullptr when absent, null, or when this is no object.
  const PythonJson* find(std::string_view name) const;
};

// Parses UTF-8 JSON text; `source` names it in errors ("messages"). MINIMAX_INVALID_ARGUMENT when
// it is not JSON, larger than 64 MiB, nests deeper than 64 or holds more than 2^21 values. Of
// members with the same name the last one counts, at the place of the first.
PythonJson parse_python_json(std::string_view text, std::string_view source);

// Appends what json.dumps(value, ensure_ascii=False) gives.
void dump_python_json(const PythonJson& value, std::string& out);

// A value as it may be quoted in a message: cut to about 60 bytes, "an object", "a list of 3".
std::string quoted(const PythonJson& value);

}  // namespace minimax
