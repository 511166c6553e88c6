// SPDX-License-Identifier: Apache-2.0
// Walks JSON text without keeping it: for large files of a known form, where members of the same
// name must be noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace minimax {

// Derive, then walk(). Hooks may throw. One thread at a time.
class JsonWalker : private Json::json_sax_t {
 public:
  // `source` names the text in errors, which are MINIMAX_BAD_FILE; it must outlive the walker.
  explicit JsonWalker(std::string_view source) : source_(source) {}

  // Fails when the text is not JSON in UTF-8, or nests deeper than 64.
  void walk(std::string_view text);

 protected:
  // In how many objects and lists the walk stands. In on_open the one that opens is not yet
  // counted, in on_close the one that closes no longer.
  int depth() const { return depth_; }
  std::string_view source() const { return source_; }

  enum class Container { object, list };
  // The name of a member, whose value comes next. May be moved from, as the text of on_string.
  virtual void on_key(std::string& key) = 0;
  virtual void on_open(Container container) = 0;
  virtual void on_close() = 0;
  virtual void on_string(std::string& value) = 0;
  virtual void on_unsigned(uint64_t value) = 0;
  // null, true, false, negative numbers and fractions.
  virtual void on_other() = 0;

 private:
  bool open(Container container);
  bool close();
  bool other();

  bool null() final { return other(); }
  bool boolean(bool) final { return other(); }
  bool number_integer(int64_t) final { return other(); }
  bool number_unsigned(uint64_t value) final;
  bool number_float(double, const std::string&) final { return other(); }
  bool string(std::string& value) final;
  bool binary(Json::binary_t&) final { return other(); }
  bool start_object(size_t) final { return open(Container::object); }
  bool key(std::string& value) final;
  bool end_object() final { return close(); }
  bool start_array(size_t) final { return open(Container::list); }
  bool end_array() final { return close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) final;

  std::string_view source_;
  int depth_ = 0;
};

// A name out of a file as it may stand in a message: as it is when short and printable, else quoted
// and cut.
std::string shown_name(std::string_view name);

}  // namespace minimax
