// SPDX-License-Identifier: Apache-2.0
#include "engine/weights/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "engine/weights/json_walker.h"

namespace minimax {
namespace {

constexpr size_t length_bytes = 8;                // of the header's length, before the header
constexpr size_t header_limit_bytes = 100000000;  // as the format's own reader has it
constexpr size_t dims_limit = 64;

struct KnownType {
  std::string_view name;
  size_t size_bytes;
  std::optional<DType> dtype;
};

constexpr std::array<KnownType, 15> known_types{{
    {"F32", 4, DType::f32},
    {"BF16", 2, DType::bf16},
    {"F16", 2, DType::f16},
    {"I32", 4, DType::i32},
    {"F64", 8, {}},
    {"I64", 8, {}},
    {"U64", 8, {}},
    {"U32", 4, {}},
    {"I16", 2, {}},
    {"U16", 2, {}},
    {"I8", 1, {}},
    {"U8", 1, {}},
    {"BOOL", 1, {}},
    {"F8_E4M3", 1, {}},
    {"F8_E5M2", 1, {}},
}};

const KnownType* find_type(std::string_view name) {
  const auto at = std::find_if(known_types.begin(), known_types.end(),
                               [&](const KnownType& type) { return type.name == name; });
  return at == known_types.end() ? nullptr : &*at;
}

// The header: {"NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, ...}, and
// perhaps
// "__metadata__", which says nothing that matters here.
class HeaderWalker final : public JsonWalker {
 public:
  HeaderWalker(std::string_view source, size_t data_offset, size_t data_bytes)
      : JsonWalker(source), data_offset_(data_offset), data_bytes_(data_bytes) {}

  std::vector<StoredTensor> take() { return std::move(tensors_); }

 private:
  enum class Member { dtype, shape, offsets, ignored };

  template <typename... Parts>
  void check(bool condition, const Parts&... parts) const {
    if (condition) return;
    fail(MINIMAX_BAD_FILE, source(), ": tensor ", shown_name(current_.name), ": ", text(parts...));
  }

  bool in_tensor() const { return !in_metadata_ && depth() == 2; }
  bool in_list() const { return !in_metadata_ && depth() == 3 && list_; }

  void on_key(std::string& key) override {
    if (depth() == 1) begin_tensor(key);
    if (in_tensor()) begin_member(key);
  }

  void on_open(Container container) override {
    const bool object = container == Container::object;
    if (depth() == 0) require_file(object, source(), ": header is a list, expected an object");
    if (depth() == 1 && !in_metadata_) check(object, "a list, expected an object");
    if (in_list()) refuse_in_list();
    if (!in_tensor() || member_ == Member::ignored) return;
    check(!object && member_ != Member::dtype, member_name(), " is ",
          object ? "an object" : "a list", ", expected ", member_form());
    list_ = member_ == Member::shape ? &shape_ : &offsets_;
  }

  void on_close() override {
    if (in_tensor()) list_ = nullptr;
    if (depth() == 1 && !in_metadata_) end_tensor();
    if (depth() == 1) in_metadata_ = false;
  }

  void on_string(std::string& value) override {
    if (!in_tensor() || member_ != Member::dtype) return refuse_scalar("text");
    current_.dtype_name = std::move(value);
  }

  void on_unsigned(uint64_t value) override {
    if (!in_list()) return refuse_scalar("a number");
    check(list_->size() < dims_limit, member_name(), " has more than ", dims_limit, " numbers");
    list_->push_back(value);
  }

  void on_other() override {
    if (in_list()) refuse_in_list();
    refuse_scalar("null, true, false, negative or a fraction");
  }

  void begin_tensor(std::string& name) {
    in_metadata_ = name == "__metadata__";
    current_ = {};
    if (!in_metadata_) current_.name = std::move(name);
    shape_.clear();
    offsets_.clear();
    has_dtype_ = has_shape_ = has_offsets_ = false;
  }

  void begin_member(std::string_view key) {
    member_ = key == "dtype"          ? Member::dtype
              : key == "shape"        ? Member::shape
              : key == "data_offsets" ? Member::offsets
                                      : Member::ignored;
    if (member_ == Member::ignored) return;
    bool& seen = member_ == Member::dtype   ? has_dtype_
                 : member_ == Member::shape ? has_shape_
                                            : has_offsets_;
    check(!seen, key, " is there twice");
    seen = true;
  }

  std::string_view member_name() const {
    return member_ == Member::dtype ? "dtype" : member_ == Member::shape ? "shape" : "data_offsets";
  }
  std::string_view member_form() const {
    return member_ == Member::dtype ? "a string" : "a list of whole numbers, none negative";
  }

  void refuse_in_list() const { check(false, member_name(), ", expected ", member_form()); }

  // A value that is neither object nor list, where it cannot stand.
  void refuse_scalar(std::string_view found) const {
    if (depth() == 0)
      fail(MINIMAX_BAD_FILE, source(), ": header is ", found, ", expected an object");
    if (depth() == 1 && !in_metadata_) check(false, found, ", expected an object");
    if (in_list()) refuse_in_list();
    if (in_tensor() && member_ != Member::ignored) {
      check(false, member_name(), " is ", found, ", expected ", member_form());
    }
  }

  void end_tensor() {
    check(has_dtype_, "dtype is missing");
    check(has_shape_, "shape is missing");
    check(has_offsets_, "data_offsets is missing");
    place_data();
    check_size();
    tensors_.push_back(std::move(current_));
  }

  void place_data() {
    check(offsets_.size() == 2, "data_offsets has ", offsets_.size(), " numbers, expected 2");
    const uint64_t begin = offsets_[0], end = offsets_[1];
    check(begin <= end, "data_offsets [", begin, ", ", end,
          "], expected the first not above the last");
    check(end <= data_bytes_, "data_offsets [", begin, ", ", end, "], the file holds ", data_bytes_,
          " bytes of data");
    current_.offset = data_offset_ + begin;
    current_.size_bytes = end - begin;
  }

  void check_size() {
    const std::string dtype = shown_name(current_.dtype_name);
    int64_t element_count = 1;
    bool fits = true, empty = false;
    for (const uint64_t dim : shape_) {
      fits = fits && dim <= uint64_t{INT64_MAX};
      empty = empty || dim == 0;
      current_.dims.push_back(static_cast<int64_t>(dim));
      fits = fits && (empty || !__builtin_mul_overflow(element_count, dim, &element_count));
    }
    if (empty) element_count = 0;
    const std::string shape = dims_to_string(current_.dims);
    check(fits, "shape ", shape, " overflows");
    const KnownType* type = find_type(current_.dtype_name);
    if (!type) return;
    current_.dtype = type->dtype;
    uint64_t size = 0;
    fits = !__builtin_mul_overflow(static_cast<uint64_t>(element_count), type->size_bytes, &size);
    check(fits, "shape ", shape, " of ", dtype, " overflows");
    check(size == current_.size_bytes, "data_offsets hold ", current_.size_bytes,
          " bytes, expected ", size, " for ", shape, " of ", dtype);
  }

  size_t data_offset_;
  size_t data_bytes_;
  std::vector<StoredTensor> tensors_;

  StoredTensor current_;
  std::vector<uint64_t> shape_, offsets_;
  std::vector<uint64_t>* list_ = nullptr;  // the one of the two that is being read
  Member member_ = Member::ignored;
  bool in_metadata_ = false;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
};

void refuse_duplicates(std::span<const StoredTensor> tensors, std::string_view source) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return;
  fail(MINIMAX_BAD_FILE, source, ": tensor ", shown_name(*twice), " is there twice");
}

// Expects them ordered by offset.
void refuse_overlaps(std::span<const StoredTensor> tensors, std::string_view source) {
  size_t end = 0;
  std::string_view before;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.size_bytes == 0) continue;
    require_file(tensor.offset >= end, source, ": tensor ", shown_name(tensor.name), " overlaps ",
                 shown_name(before), ", which ends at byte ", end);
    end = tensor.offset + tensor.size_bytes;
    before = tensor.name;
  }
}

size_t header_size(std::span<const std::byte> file, std::string_view source) {
  require_file(file.size() >= length_bytes, source, ": ", file.size(),
               " bytes, expected a safetensors file of at least ", length_bytes);
  uint64_t size = 0;
  for (size_t i = length_bytes; i-- > 0;) size = size << 8 | std::to_integer<uint64_t>(file[i]);
  require_file(size <= header_limit_bytes, source, ": header of ", size,
               " bytes, expected at most ", header_limit_bytes);
  require_file(size <= file.size() - length_bytes, source, ": header of ", size,
               " bytes, the file has ", file.size());
  return size;
}

}  // namespace

std::vector<StoredTensor> read_safetensors_header(std::span<const std::byte> file,
                                                  std::string_view source) {
  const size_t size = header_size(file, source);
  const size_t data_offset = length_bytes + size;
  const auto* header = reinterpret_cast<const char*>(file.data() + length_bytes);
  HeaderWalker walker(source, data_offset, file.size() - data_offset);
  walker.walk({header, size});

  std::vector<StoredTensor> tensors = walker.take();
  refuse_duplicates(tensors, source);
  std::stable_sort(
      tensors.begin(), tensors.end(),
      [](const StoredTensor& a, const StoredTensor& b) { return a.offset < b.offset; });
  refuse_overlaps(tensors, source);
  return tensors;
}

std::string dims_to_string(std::span<const int64_t> dims) {
  std::string out = "[";
  for (size_t i = 0; i < dims.size(); ++i) out += text(i ? ", " : "", dims[i]);
  return out + "]";
}

}  // namespace minimax
