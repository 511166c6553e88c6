// SPDX-License-Identifier: Apache-2.0
// A model's weight files taken together: tensor name to bytes, over one file or many shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/file_map.h"
#include "base/shape.h"
#include "engine/weights/safetensors.h"

namespace minimax {

// A tensor that somebody wants from a checkpoint.
struct TensorSpec {
  std::string name;
  Shape shape;
  DType usual_dtype = DType::bf16;  // of released checkpoints, for plans without weight files

  int64_t element_count() const { return shape.element_count(); }
};

// The contents of model.safetensors.index.json.
struct CheckpointIndex {
  std::vector<std::string> files;                         // each once, plain names
  std::vector<std::pair<std::string, uint32_t>> tensors;  // name, place in `files`
  std::optional<uint64_t> total_size_bytes;               // metadata.total_size
};

// MINIMAX_BAD_FILE when it is no index, or names a file outside its own folder.
CheckpointIndex parse_checkpoint_index(std::string_view json, std::string_view source);

// The files stay mapped as long as the object lives. Immutable after opening: any thread.
class Checkpoint {
 public:
  // Maps model.safetensors, or else every shard that model.safetensors.index.json names, and checks
  // all headers. MINIMAX_NOT_FOUND names what is missing.
  static Checkpoint open(const std::filesystem::path& folder);
  // The same for a plan: when shards are missing the names of the index are enough.
  static Checkpoint open_names(const std::filesystem::path& folder);

  // False when only names are known: sizes, types and bytes are not.
  bool has_headers() const { return !maps_.empty(); }
  bool has(std::string_view name) const { return places_.contains(name); }
  size_t tensor_count() const { return places_.size(); }
  std::optional<uint64_t> total_size_bytes() const { return total_size_bytes_; }  // of the index

  // nullptr when there is no such tensor, or only its name is known.
  const StoredTensor* find(std::string_view name) const;
  // Refuses with MINIMAX_BAD_FILE what is missing or of another shape or type than wanted, naming
  // file, tensor, expected and found. nullptr when only its name is known.
  const StoredTensor* require(const TensorSpec& wanted) const;

  // Headers only: where the bytes of a tensor lie, and the file's name. The name must be there.
  std::span<const std::byte> bytes(std::string_view name) const;
  const std::string& file_name(std::string_view name) const;
  // Of the file that holds a tensor: StoredTensor::offset counts from its start. As FileMap::reader().
  FileReader reader(std::string_view name) const;
  // Asks the system to read bytes of a tensor soon.
  void will_need(std::string_view name, size_t offset, size_t size_bytes) const;

 private:
  struct Place {
    const StoredTensor* stored = nullptr;
    uint32_t file = 0;  // place in file_names_, maps_ and headers_
  };
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };
  enum class Missing { refused, names_are_enough };

  static Checkpoint open(const std::filesystem::path& folder, Missing missing);
  void open_single(const std::filesystem::path& folder);
  void open_shards(const std::filesystem::path& folder, CheckpointIndex index, Missing missing);
  void read_headers(const std::filesystem::path& folder);
  void join_headers();
  const Place& place(std::string_view name) const;

  std::string source_;  // of names: "model.safetensors.index.json"
  std::vector<std::string> file_names_;
  std::vector<FileMap> maps_;
  std::vector<std::vector<StoredTensor>> headers_;
  std::unordered_map<std::string, Place, NameHash, std::equal_to<>> places_;
  std::optional<uint64_t> total_size_bytes_;
};

}  // namespace minimax
