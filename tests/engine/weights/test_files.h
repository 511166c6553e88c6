// SPDX-License-Identifier: Apache-2.0
// Small weight files made for a test, whole or damaged, in a folder that vanishes with it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace minimax {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "minimax-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path path_;
};

// Eight bytes of length, the header, the data.
inline std::string safetensors(std::string_view header, std::string_view data) {
  std::string out(8, '\0');
  const uint64_t size = header.size();
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(size >> (8 * i) & 0xff);
  return out.append(header).append(data);
}

inline std::string safetensors(std::string_view header, size_t data_bytes) {
  return safetensors(header, std::string(data_bytes, '\1'));
}

template <typename T>
std::string bytes_of(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

// The sentence and status of the error that body throws; "no error" when it throws none.
inline std::string sentence_of(const auto& body, minimax_status expected = MINIMAX_BAD_FILE) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), expected) << error.message();
    return error.message();
  }
  return "no error";
}

}  // namespace minimax
