// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocabulary_json.h"

#include <utility>

#include "base/error.h"
#include "base/file_map.h"

namespace minimax {
namespace {

constexpr size_t depth_limit = 64;

// Receives the parser's events. Objects and arrays on the way are kept on a stack of tree nodes; while
// one of the two long lists is read, `list_` says which and no node is made.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(const std::string& source, VocabularyPlace place) : source_(source), place_(place) {}

  VocabularyJson take() { return std::move(out_); }

  bool null() override { return value(nullptr); }
  bool boolean(bool flag) override { return value(flag); }
  bool number_integer(int64_t number) override { return value(number); }
  bool number_float(double number, const std::string&) override { return value(number); }
  bool number_unsigned(uint64_t number) override {
    if (list_ != List::tokens || number >= uint64_t{Vocabulary::id_limit}) return value(number);
    out_.ids.push_back(static_cast<int32_t>(number));
    return true;
  }
  bool string(std::string& content) override {
    if (list_ != List::merges) return value(std::move(content));
    merge_part(content);
    return true;
  }
  bool binary(Json::binary_t&) override { return false; }  // JSON text has none

  bool key(std::string& name) override {
    if (list_ != List::tokens) {
      keys_.back() = std::move(name);
      return true;
    }
    const size_t index = out_.tokens.size();
    require_file(!name.empty() && name.size() <= Vocabulary::token_limit_bytes, source_, ": ",
                 tokens_name(), " has a token of ", name.size(), " bytes, expected 1 to ",
                 Vocabulary::token_limit_bytes);
    require_file(index < size_t{Vocabulary::id_limit}, source_, ": ", tokens_name(),
                 " has more than ", Vocabulary::id_limit, " tokens");
    out_.tokens.push_back(name);
    return true;
  }

  bool start_object(size_t) override {
    if (list_ != List::none) refuse("an object");
    if (at_tokens()) return begin(List::tokens, out_.has_tokens);
    return open(Json::object());
  }
  bool start_array(size_t) override {
    if (list_ == List::merges && !in_pair_) {
      in_pair_ = true;
      return true;
    }
    if (list_ != List::none) refuse("a list");
    if (place_ == VocabularyPlace::model && at_member("merges")) {
      return begin(List::merges, out_.has_merges);
    }
    return open(Json::array());
  }
  bool end_object() override { return end(); }
  bool end_array() override {
    if (!in_pair_) return end();
    in_pair_ = false;
    if (out_.merge_parts.size() != 2 * (merge_count_ + 1)) refuse("a list of another length");
    ++merge_count_;
    return true;
  }

  bool parse_error(size_t byte, const std::string&, const nlohmann::detail::exception&) override {
    fail(MINIMAX_BAD_FILE, source_, ": not valid JSON at byte ", byte);
  }

 private:
  enum class List { none, tokens, merges };

  std::string_view tokens_name() const {
    return place_ == VocabularyPlace::model ? "model.vocab" : "the vocabulary";
  }
  bool at_member(std::string_view name) const {
    return nodes_.size() == 2 && keys_[0] == "model" && keys_[1] == name;
  }
  bool at_tokens() const {
    return place_ == VocabularyPlace::root ? nodes_.empty() : at_member("vocab");
  }

  bool begin(List list, bool& has) {
    require_file(!has, source_, ": ", list == List::tokens ? tokens_name() : "model.merges",
                 " is there twice");
    has = true;
    list_ = list;
    return true;
  }
  bool end() {
    if (list_ != List::none) {
      list_ = List::none;
      return true;
    }
    nodes_.pop_back();
    keys_.pop_back();
    return true;
  }
  bool open(Json node) {
    require_file(nodes_.size() < depth_limit, source_, ": nests deeper than ", depth_limit);
    nodes_.push_back(put(std::move(node)));
    keys_.emplace_back();
    return true;
  }
  bool value(Json leaf) {
    if (list_ != List::none) refuse(quoted(leaf));
    put(std::move(leaf));
    return true;
  }
  Json* put(Json node) {
    if (nodes_.empty()) return &(out_.rest.value() = std::move(node));
    Json& parent = *nodes_.back();
    if (parent.is_object()) return &(parent[keys_.back()] = std::move(node));
    parent.push_back(std::move(node));
    return &parent.back();
  }

  // One string of a pair, or both with a space between them.
  void merge_part(std::string_view content) {
    require_file(merge_count_ < size_t{Vocabulary::id_limit}, source_,
                 ": model.merges has more than ", Vocabulary::id_limit, " elements");
    if (in_pair_) return out_.merge_parts.push_back(content);
    const size_t space = content.find(' ');
    if (space == std::string_view::npos) refuse(quoted(Json(content)));
    out_.merge_parts.push_back(content.substr(0, space));
    out_.merge_parts.push_back(content.substr(space + 1));
    ++merge_count_;
  }

  [[noreturn]] void refuse(std::string_view found) const {
    if (list_ == List::merges) {
      fail(MINIMAX_BAD_FILE, source_, ": model.merges[", merge_count_, "] is or has ", found,
           ", expected \"left right\" or [\"left\", \"right\"]");
    }
    const std::string name = quoted(Json(out_.tokens[out_.tokens.size() - 1]));
    fail(MINIMAX_BAD_FILE, source_, ": ", tokens_name(), "[", name, "] is ", found,
         ", expected an integer from 0 to ", Vocabulary::id_limit - 1);
  }

  const std::string& source_;
  VocabularyPlace place_;
  VocabularyJson out_;
  List list_ = List::none;
  bool in_pair_ = false;
  size_t merge_count_ = 0;
  std::vector<Json*> nodes_;  // the open objects and arrays; a parent does not move its children
                              // while one of them is open
  std::vector<std::string> keys_;  // the member last named in each
};

}  // namespace

VocabularyJson read_vocabulary_json(const std::filesystem::path& path, VocabularyPlace place) {
  const std::string source = path.string();
  const std::string content = read_text_file(path, Vocabulary::file_limit_bytes);
  Reader reader(source, place);
  Json::sax_parse(content.begin(), content.end(), &reader);
  VocabularyJson json = reader.take();
  if (place == VocabularyPlace::root) {
    require_file(json.has_tokens, source, ": ", quoted(json.rest), ", expected an object");
  }
  return json;
}

}  // namespace minimax
