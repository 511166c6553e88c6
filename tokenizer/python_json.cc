// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/python_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <numeric>

#include "base/error.h"
#include "base/json.h"

namespace minimax {
namespace {

constexpr size_t bytes_limit = size_t{64} << 20;
constexpr size_t depth_limit = 64;
constexpr size_t value_limit = size_t{1} << 21;
constexpr size_t quote_limit = 60;

using Kind = PythonJson::Kind;

// Python's repr of a finite number: the shortest digits that read back as the same number, with an
// exponent below 1e-4 and from 1e16 on.
std::string python_number(double value) {
  std::array<char, 64> buffer;
  char* const end = buffer.data() + buffer.size();
  char* last = std::to_chars(buffer.data(), end, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer.data(), static_cast<size_t>(last - buffer.data()));
  const int exponent = std::atoi(std::string(scientific.substr(scientific.find('e') + 1)).c_str());
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  last = std::to_chars(buffer.data(), end, value, std::chars_format::fixed).ptr;
  std::string fixed(buffer.data(), last);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

bool is_integer(std::string_view number) {
  return number.find_first_not_of("-0123456789") == std::string_view::npos;
}

// Keeps the last of members with the same name, at the place of the first.
void drop_repeated_names(PythonJson& object) {
  std::vector<size_t> order(object.names.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return object.names[a] < object.names[b]; });
  std::vector<bool> is_dropped(order.size());
  bool any = false;
  for (size_t i = order.size(); i-- > 1;) {
    const size_t earlier = order[i - 1], later = order[i];
    if (object.names[earlier] != object.names[later]) continue;
    object.items[earlier] = std::move(object.items[later]);
    is_dropped[later] = true;
    any = true;
  }
  if (!any) return;
  size_t kept = 0;
  for (size_t i = 0; i < is_dropped.size(); ++i) {
    if (is_dropped[i]) continue;
    if (kept != i) {
      object.names[kept] = std::move(object.names[i]);
      object.items[kept] = std::move(object.items[i]);
    }
    ++kept;
  }
  object.names.resize(kept);
  object.items.resize(kept);
}

// Builds the tree from the parser's events.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(std::string_view source) : source_(source) {}
  PythonJson take() { return std::move(root_); }

  bool null() override { return add(Kind::null, "null"); }
  bool boolean(bool value) override { return add(Kind::boolean, value ? "true" : "false"); }
  bool number_integer(int64_t value) override { return add(Kind::number, minimax::text(value)); }
  bool number_unsigned(uint64_t value) override { return add(Kind::number, minimax::text(value)); }
  bool number_float(double value, const std::string& spelling) override {
    return add(Kind::number, is_integer(spelling) ? spelling : python_number(value));
  }
  bool string(std::string& value) override { return add(Kind::string, std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Kind::object); }
  bool start_array(size_t) override { return open(Kind::list); }
  bool end_array() override { return close(); }
  bool end_object() override {
    drop_repeated_names(open_.back());
    return close();
  }
  bool key(std::string& name) override {
    open_.back().names.push_back(std::move(name));
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    fail(MINIMAX_INVALID_ARGUMENT, source_, ": not valid JSON at byte ", position);
  }

 private:
  bool add(Kind kind, std::string text) {
    return place({.kind = kind, .text = std::move(text), .names = {}, .items = {}});
  }

  bool place(PythonJson value) {
    require(++count_ <= value_limit, source_, ": more than ", value_limit, " values");
    if (open_.empty()) {
      root_ = std::move(value);
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  bool open(Kind kind) {
    require(open_.size() < depth_limit, source_, ": nests deeper than ", depth_limit);
    open_.emplace_back().kind = kind;
    return true;
  }

  bool close() {
    PythonJson value = std::move(open_.back());
    open_.pop_back();
    return place(std::move(value));
  }

  std::string source_;
  std::vector<PythonJson> open_;  // lists and objects that have begun, outermost first
  PythonJson root_;
  size_t count_ = 0;
};

void dump_string(std::string_view value, std::string& out) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += '"';
  for (const char c : value) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20) {
          out += c;
        } else {
          out += "\\u00";
          out += digits[static_cast<size_t>(c) >> 4];
          out += digits[static_cast<size_t>(c) & 15];
        }
    }
  }
  out += '"';
}

}  // namespace

const PythonJson* PythonJson::find(std::string_view name) const {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return items[i].is(Kind::null) ? nullptr : &items[i];
  }
  return nullptr;
}

PythonJson parse_python_json(std::string_view text, std::string_view source) {
  require(text.size() <= bytes_limit, source, ": ", text.size(), " bytes of JSON, at most ",
          bytes_limit);
  // The parser takes a zero byte for the end of its input.
  const size_t zero = text.find('\0');
  require(zero == text.npos, source, ": not valid JSON at byte ", zero + 1);
  Builder builder(source);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

void dump_python_json(const PythonJson& value, std::string& out) {
  if (value.is(Kind::string)) return dump_string(value.text, out);
  if (!value.is(Kind::list) && !value.is(Kind::object)) {
    out += value.text;
    return;
  }
  const bool is_object = value.is(Kind::object);
  out += is_object ? '{' : '[';
  for (size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) out += ", ";
    if (is_object) {
      dump_string(value.names[i], out);
      out += ": ";
    }
    dump_python_json(value.items[i], out);
  }
  out += is_object ? '}' : ']';
}

std::string quoted(const PythonJson& value) {
  if (value.is(Kind::object)) return "an object";
  if (value.is(Kind::list)) return text("a list of ", value.items.size());
  if (!value.is(Kind::string)) return value.text.substr(0, quote_limit);
  if (value.text.size() <= quote_limit) {
    std::string out;
    dump_string(value.text, out);
    return out;
  }
  size_t cut = quote_limit;
  while (cut > 0 && (static_cast<unsigned char>(value.text[cut]) & 0xc0) == 0x80) --cut;
  std::string out;
  dump_string(std::string_view(value.text).substr(0, cut), out);
  return out + "...";
}

}  // namespace minimax
