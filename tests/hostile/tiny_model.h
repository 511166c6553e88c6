// SPDX-License-Identifier: Apache-2.0
// A model of two layers and 272 tokens, made on the fly: whole, or damaged before it is written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::testing {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Removed with everything in it.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& path, std::string_view content);
std::string read_file(const std::filesystem::path& path);

struct TinyTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::string data;  // F32
};

// A safetensors file: the length of the header, the header, the data.
std::string safetensors(const OrderedJson& header, std::string_view data);
std::string safetensors_of_text(std::string_view header, std::string_view data);

struct TinyModel {
  static constexpr int32_t vocabulary_size = 272;
  static constexpr int32_t begin_token = 260;  // <beginning_of_sentence>
  static constexpr int32_t stop_token = 261;   // <end_of_sentence>
  static constexpr int64_t width = 16;

  TinyModel();

  // config.json, model.safetensors, tokenizer.json and tokenizer_config.json.
  void write(const std::filesystem::path& folder) const;
  // The same with the weights in shards "a.safetensors" and "b.safetensors" and their index.
  void write_shards(const std::filesystem::path& folder) const;

  OrderedJson header() const;  // of all tensors in one file
  std::string data() const;
  Json index() const;

  Json config, tokenizer, tokenizer_config;
  std::vector<TinyTensor> tensors;
};

}  // namespace minimax::testing
