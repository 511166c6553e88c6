// SPDX-License-Identifier: Apache-2.0
// Structs on their way across the boundary: older, smaller and newer, larger versions of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace minimax {

// More than any version will have: whoever says so did not call _init.
constexpr size_t struct_size_limit = 65536;

// All zero but struct_size: the defaults. Of a struct of any version: only as many bytes as the caller
// says there are are written, and none where no version has that size. Returns this library's size.
template <typename Struct>
size_t init_struct(Struct* target, size_t size = sizeof(Struct)) noexcept {
  if (target && size >= sizeof(size_t) && size <= struct_size_limit) {
    std::memset(target, 0, size);
    target->struct_size = size;
  }
  return sizeof(Struct);
}

// A struct of any version: its size is there, and nothing is set that this library does not know.
template <typename Struct>
void check_struct_size(const Struct* given, std::string_view name) {
  require(given->struct_size >= sizeof(size_t) && given->struct_size <= struct_size_limit, name,
          ".struct_size is ", given->struct_size, ": call its _init function first");
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof *given; i < given->struct_size; ++i) {
    if (bytes[i] != 0) {
      fail(MINIMAX_UNSUPPORTED, name, ": byte ", i, " of ", given->struct_size,
           " is set, this library knows ", sizeof *given, " bytes");
    }
  }
}

// A struct the caller filled: read as far as it goes. nullptr: the defaults.
template <typename Struct>
Struct read_struct(const Struct* given, std::string_view name) {
  Struct read;
  init_struct(&read);
  if (!given) return read;
  check_struct_size(given, name);
  std::memcpy(&read, given, std::min(given->struct_size, sizeof read));
  read.struct_size = sizeof read;
  return read;
}

// A struct for the caller: filled as far as it goes.
template <typename Struct>
void write_struct(const Struct& value, Struct* target, std::string_view name) {
  check_struct_size(target, name);
  const size_t size = target->struct_size;
  std::memcpy(target, &value, std::min(size, sizeof value));
  target->struct_size = size;
}

// A buffer of the caller's: copies all of `from`, or says how much it is.
template <typename T>
void write_buffer(std::span<const T> from, T* buffer, size_t capacity, size_t* out_count) {
  require(out_count, "out_count is NULL");
  require(buffer || capacity == 0, "buffer is NULL with capacity ", capacity);
  if (from.size() > capacity) {
    *out_count = from.size();
    fail(MINIMAX_BUFFER_TOO_SMALL, "buffer has room for ", capacity, ", ", from.size(),
         " are needed");
  }
  if (!from.empty()) std::memcpy(buffer, from.data(), from.size_bytes());
  *out_count = from.size();
}

// Text of the caller's, with a length or MINIMAX_TEXT_END.
inline std::string_view read_text(const char* text, size_t size, std::string_view name) {
  require(text || size == 0, name, " is NULL");
  if (!text) return {};
  return size == MINIMAX_TEXT_END ? std::string_view(text) : std::string_view(text, size);
}

// A list of zero-terminated strings.
inline std::vector<std::string> read_strings(const char* const* strings, size_t count,
                                             std::string_view name) {
  require(strings || count == 0, name, " is NULL with count ", count);
  require(count <= 64, name, ": ", count, " strings, at most 64");
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i) {
    require(strings[i] && *strings[i], name, "[", i, "] is ", strings[i] ? "empty" : "NULL");
    out.emplace_back(strings[i]);
  }
  return out;
}

}  // namespace minimax
