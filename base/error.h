// SPDX-License-Identifier: Apache-2.0
// The one exception of the library: a status and the sentence a person reads.
#pragma once

#include <charconv>
#include <concepts>
#include <exception>
#include <string>
#include <string_view>

#include "minimax.h"

namespace minimax {

// Thrown where the fault is known, caught only at the C boundary (and by worker threads, which carry
// it home). The message is one line: no "failed to", no full stop; what, where, expected, found.
class Error : public std::exception {
 public:
  Error(minimax_status status, std::string message)
      : status_(status), message_(std::move(message)) {}
  minimax_status status() const { return status_; }
  const std::string& message() const { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  minimax_status status_;
  std::string message_;
};

namespace detail {
inline void append(std::string& to, std::string_view part) {
  to += part;
}
inline void append(std::string& to, const char* part) {
  to += part;
}
inline void append(std::string& to, char part) {
  to += part;
}
template <typename Number>
requires(std::integral<Number> || std::floating_point<Number>) void append(std::string& to,
                                                                           Number number) {
  char digits[64];
  to.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}
}  // namespace detail

// The parts joined: text("tokens[", 17, "] is ", id).
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::string joined;
  (detail::append(joined, parts), ...);
  return joined;
}

template <typename... Parts>
[[noreturn]] void fail(minimax_status status, const Parts&... parts) {
  throw Error(status, text(parts...));
}

// Refuses a caller's mistake. The parts are joined only when the condition is false.
template <typename... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) fail(MINIMAX_INVALID_ARGUMENT, parts...);
}

// Refuses a file's mistake.
template <typename... Parts>
void require_file(bool condition, const Parts&... parts) {
  if (!condition) fail(MINIMAX_BAD_FILE, parts...);
}

}  // namespace minimax
