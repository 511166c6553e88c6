// SPDX-License-Identifier: Apache-2.0
#include "engine/weights/checkpoint.h"

#include <algorithm>
#include <cassert>

#include "base/error.h"
#include "engine/weights/json_walker.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view single_file = "model.safetensors";
constexpr std::string_view index_file = "model.safetensors.index.json";
constexpr size_t index_limit_bytes = 64 << 20;
constexpr size_t file_name_limit = 255;
constexpr size_t missing_shown = 4;

bool is_plain_name(std::string_view name) {
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '/' && c != '\\';
  });
  return printable && !name.empty() && name.size() <= file_name_limit && name != "." &&
         name != "..";
}

// {"metadata": {"total_size": 6805184}, "weight_map": {"NAME": "FILE", ...}}
class IndexWalker final : public JsonWalker {
 public:
  explicit IndexWalker(std::string_view source) : JsonWalker(source) {}

  CheckpointIndex take() {
    require_file(has_map_, source(), ": weight_map is missing, expected an object");
    return std::move(index_);
  }

 private:
  enum class Member { weight_map, metadata, ignored };

  bool in_map() const { return depth() == 2 && member_ == Member::weight_map; }

  void on_key(std::string& key) override {
    if (depth() == 1) {
      member_ = key == "weight_map" ? Member::weight_map
                : key == "metadata" ? Member::metadata
                                    : Member::ignored;
      const bool twice = member_ == Member::weight_map && has_map_;
      require_file(!twice, source(), ": weight_map is there twice");
    }
    if (depth() == 2) key_ = std::move(key);
  }

  void on_open(Container container) override {
    const bool object = container == Container::object;
    if (depth() == 0) require_file(object, source(), ": a list, expected an object");
    if (depth() == 1 && member_ == Member::weight_map) {
      require_file(object, source(), ": weight_map is a list, expected an object");
      has_map_ = true;
    }
    if (in_map()) refuse_value();
  }

  void on_close() override {}

  void on_string(std::string& value) override {
    if (!in_map()) return refuse_scalar();
    require_file(is_plain_name(value), source(), ": tensor ", shown_name(key_), " is in ",
                 shown_name(value), ", expected the name of a file in the same folder");
    index_.tensors.emplace_back(std::move(key_), place_of(value));
  }

  void on_unsigned(uint64_t value) override {
    if (depth() == 2 && member_ == Member::metadata && key_ == "total_size") {
      index_.total_size_bytes = value;
    }
    refuse_scalar();
  }

  void on_other() override { refuse_scalar(); }

  void refuse_scalar() const {
    require_file(depth() > 0, source(), ": a single value, expected an object");
    const bool map = depth() == 1 && member_ == Member::weight_map;
    require_file(!map, source(), ": weight_map is a single value, expected an object");
    if (in_map()) refuse_value();
  }

  void refuse_value() const {
    fail(MINIMAX_BAD_FILE, source(), ": tensor ", shown_name(key_),
         " is in no file, expected a name");
  }

  // Neighbours are mostly in one file.
  uint32_t place_of(const std::string& file) {
    if (!index_.tensors.empty()) {
      const uint32_t last = index_.tensors.back().second;
      if (index_.files[last] == file) return last;
    }
    const auto [at, is_new] = places_.emplace(file, static_cast<uint32_t>(index_.files.size()));
    if (is_new) index_.files.push_back(file);
    return at->second;
  }

  CheckpointIndex index_;
  std::unordered_map<std::string, uint32_t> places_;
  std::string key_;
  Member member_ = Member::ignored;
  bool has_map_ = false;
};

[[noreturn]] void fail_missing(const fs::path& folder, std::span<const std::string> missing,
                               size_t file_count) {
  std::string names;
  for (size_t i = 0; i < std::min(missing.size(), missing_shown); ++i) {
    names += text(i ? ", " : "", missing[i]);
  }
  if (missing.size() > missing_shown) names += ", ...";
  fail(MINIMAX_NOT_FOUND, folder.string(), ": ", missing.size(), " of ", file_count, " files that ",
       index_file, " names are missing: ", names);
}

bool computable(std::optional<DType> dtype) {
  return dtype && *dtype != DType::i32;
}

}  // namespace

CheckpointIndex parse_checkpoint_index(std::string_view json, std::string_view source) {
  IndexWalker walker(source);
  walker.walk(json);
  return walker.take();
}

Checkpoint Checkpoint::open(const fs::path& folder) {
  return open(folder, Missing::refused);
}

Checkpoint Checkpoint::open_names(const fs::path& folder) {
  return open(folder, Missing::names_are_enough);
}

Checkpoint Checkpoint::open(const fs::path& folder, Missing missing) {
  Checkpoint checkpoint;
  if (is_there(folder / single_file)) {
    checkpoint.open_single(folder);
  } else if (is_there(folder / index_file)) {
    const std::string json = read_text_file(folder / index_file, index_limit_bytes);
    checkpoint.open_shards(folder, parse_checkpoint_index(json, index_file), missing);
  } else {
    fail(MINIMAX_NOT_FOUND, folder.string(), ": neither ", single_file, " nor ", index_file,
         " is there");
  }
  return checkpoint;
}

void Checkpoint::open_single(const fs::path& folder) {
  source_ = single_file;
  file_names_ = {std::string(single_file)};
  read_headers(folder);
  for (const StoredTensor& tensor : headers_[0]) places_.emplace(tensor.name, Place{&tensor, 0});
}

void Checkpoint::open_shards(const fs::path& folder, CheckpointIndex index, Missing missing) {
  source_ = index_file;
  file_names_ = std::move(index.files);
  total_size_bytes_ = index.total_size_bytes;
  places_.reserve(index.tensors.size());
  for (auto& [name, file] : index.tensors) {
    const auto [at, is_new] = places_.emplace(std::move(name), Place{nullptr, file});
    require_file(is_new, source_, ": tensor ", shown_name(at->first), " is there twice");
  }

  std::vector<std::string> absent;
  for (const std::string& file : file_names_) {
    if (!is_there(folder / file)) absent.push_back(file);
  }
  if (!absent.empty() && missing == Missing::names_are_enough) return;
  if (!absent.empty()) fail_missing(folder, absent, file_names_.size());
  read_headers(folder);
  join_headers();
}

void Checkpoint::read_headers(const fs::path& folder) {
  for (const std::string& file : file_names_) {
    maps_.push_back(FileMap::open(folder / file));
    headers_.push_back(read_safetensors_header(maps_.back().bytes(), file));
  }
}

// Finds what the index promised. What it does not name is ignored.
void Checkpoint::join_headers() {
  for (uint32_t file = 0; file < headers_.size(); ++file) {
    for (const StoredTensor& tensor : headers_[file]) {
      const auto at = places_.find(tensor.name);
      if (at != places_.end() && at->second.file == file) at->second.stored = &tensor;
    }
  }
  for (const auto& [name, place] : places_) {
    require_file(place.stored, file_names_[place.file], ": tensor ", shown_name(name),
                 " is missing, expected here by ", source_);
  }
}

const Checkpoint::Place& Checkpoint::place(std::string_view name) const {
  const auto at = places_.find(name);
  assert(at != places_.end());
  return at->second;
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto at = places_.find(name);
  return at == places_.end() ? nullptr : at->second.stored;
}

const StoredTensor* Checkpoint::require(const TensorSpec& wanted) const {
  const auto at = places_.find(wanted.name);
  require_file(at != places_.end(), source_, ": tensor ", wanted.name, " is missing, expected ",
               wanted.shape.to_string(), " (from config.json)");
  const StoredTensor* stored = at->second.stored;
  if (!stored) return nullptr;
  const std::string& file = file_names_[at->second.file];
  const auto& dims = stored->dims;
  bool same = dims.size() == static_cast<size_t>(wanted.shape.rank());
  for (size_t i = 0; same && i < dims.size(); ++i) {
    same = dims[i] == wanted.shape[static_cast<int>(i)];
  }
  require_file(same, file, ": tensor ", wanted.name, " is ", dims_to_string(dims), ", expected ",
               wanted.shape.to_string(), " (from config.json)");
  require_file(computable(stored->dtype), file, ": tensor ", wanted.name, " is of type ",
               shown_name(stored->dtype_name), ", expected BF16, F16 or F32");
  return stored;
}

std::span<const std::byte> Checkpoint::bytes(std::string_view name) const {
  const Place& at = place(name);
  assert(at.stored);
  return maps_[at.file].bytes().subspan(at.stored->offset, at.stored->size_bytes);
}

const std::string& Checkpoint::file_name(std::string_view name) const {
  return file_names_[place(name).file];
}

FileReader Checkpoint::reader(std::string_view name) const {
  return maps_[place(name).file].reader();
}

void Checkpoint::will_need(std::string_view name, size_t offset, size_t size_bytes) const {
  const Place& at = place(name);
  assert(at.stored && offset + size_bytes <= at.stored->size_bytes);
  maps_[at.file].will_need(at.stored->offset + offset, size_bytes);
}

}  // namespace minimax
