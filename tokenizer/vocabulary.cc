// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/file_map.h"
#include "tokenizer/byte_hash.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary_json.h"

namespace minimax {
namespace {

constexpr size_t added_token_limit = size_t{1} << 20;

// The byte-level alphabet: bytes visible in Latin-1 stand for themselves.
constexpr bool is_visible(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

struct Alphabet {
  std::array<uint16_t, 256> letters{};  // by byte: a code point below 0x144
  std::array<int16_t, 0x144> bytes{};   // by code point: a byte, or -1
  constexpr Alphabet() {
    bytes.fill(-1);
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t letter = is_visible(byte) ? byte : next++;
      letters[byte] = static_cast<uint16_t>(letter);
      bytes[letter] = static_cast<int16_t>(byte);
    }
  }
};
constexpr Alphabet alphabet;

// The one-letter spelling of a byte.
std::string spelling_of(uint32_t byte) {
  const uint32_t letter = alphabet.letters[byte];
  if (letter < 0x80) return {static_cast<char>(letter)};
  return {static_cast<char>(0xc0 | letter >> 6), static_cast<char>(0x80 | (letter & 0x3f))};
}

// Finds strings of a list by content. Borrows the list.
class StringIndex {
 public:
  explicit StringIndex(const StringList& strings)
      : strings_(strings), slots_(std::bit_ceil(2 * strings.size() + 1)) {}

  // False when an equal string is there already.
  bool insert(size_t index) {
    const uint64_t hash = hash_bytes(strings_[index], seed_);
    Slot& slot = slots_[find_slot(strings_[index], hash)];
    if (slot.index != empty) return false;
    slot = {static_cast<uint32_t>(index), static_cast<uint32_t>(hash >> 32)};
    return true;
  }
  std::optional<size_t> find(std::string_view string) const {
    const Slot& slot = slots_[find_slot(string, hash_bytes(string, seed_))];
    if (slot.index == empty) return std::nullopt;
    return slot.index;
  }

 private:
  static constexpr uint32_t empty = 0xffffffffu;
  struct Slot {
    uint32_t index = empty;
    uint32_t tag = 0;  // upper half of the hash: strings are compared only when it fits
  };

  size_t find_slot(std::string_view string, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.index == empty) return at;
      if (slot.tag == hash >> 32 && strings_[slot.index] == string) return at;
    }
  }

  const StringList& strings_;
  std::vector<Slot> slots_;
  uint64_t seed_ = random_seed();
};

// Turns the spellings of a file into the tables of a Vocabulary.
class Builder {
 public:
  Builder(const VocabularyJson& json, std::string source) : json_(json), index_(json.tokens) {
    out_.source = std::move(source);
  }

  Vocabulary take() { return std::move(out_); }
  Vocabulary& out() { return out_; }

  // Names are quoted only for an error: quoting 200,000 of them takes longer than all the rest.
  void index_tokens() {
    for (size_t i = 0; i < json_.tokens.size(); ++i) {
      const std::string_view token = json_.tokens[i];
      const size_t id = static_cast<size_t>(json_.ids[i]);
      if (!index_.insert(i)) refuse(": token ", name_of(token), " is there twice");
      if (id >= token_of_id_.size()) token_of_id_.resize(id + 1, none);
      if (token_of_id_[id] != none) {
        refuse(": id ", id, " is token ", name_of(json_.tokens[token_of_id_[id]]), " and token ",
               name_of(token));
      }
      token_of_id_[id] = static_cast<uint32_t>(i);
    }
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const std::string spelling = spelling_of(byte);
      const auto token = index_.find(spelling);
      if (!token) refuse(": no token for byte ", byte, ", spelled ", name_of(spelling));
      out_.byte_ids[byte] = json_.ids[*token];
    }
  }

  // parts: left, right, left, right, ...
  void add_merges(const StringList& parts, std::string_view list_name) {
    out_.merges.reserve(parts.size() / 2);
    std::string product;
    size_t last_product = 0;
    for (size_t i = 0; i + 1 < parts.size(); i += 2) {
      const auto find = [&](std::string_view spelling) {
        const auto token = index_.find(spelling);
        if (token) return *token;
        refuse(": ", list_name, "[", i / 2, "] has or makes ", name_of(spelling),
               ", which is no token");
      };
      product.assign(parts[i]);
      product += parts[i + 1];
      // Files list the tokens in the order of the merges that make them: a comparison saves a search.
      const size_t next = last_product + 1;
      const bool is_next = next < json_.tokens.size() && json_.tokens[next] == product;
      last_product = is_next ? next : find(product);
      out_.merges.push_back(
          {json_.ids[find(parts[i])], json_.ids[find(parts[i + 1])], json_.ids[last_product]});
    }
  }

  // An added token may be in the vocabulary too, if it has the same id there.
  void add_token(AddedToken token) {
    const std::string name = name_of(token.name);
    const auto known = index_.find(token.name);
    if (known && json_.ids[*known] != token.id) {
      refuse(": added token ", name, " has id ", token.id, " but ", json_.ids[*known],
             " in the vocabulary");
    }
    const size_t id = static_cast<size_t>(token.id);
    if (id >= token_of_id_.size()) token_of_id_.resize(id + 1, none);
    if (token_of_id_[id] != none && !known) {
      refuse(": added token ", name, " has id ", id, ", which is another token's");
    }
    token_of_id_[id] = added | static_cast<uint32_t>(out_.added_tokens.size());
    out_.added_tokens.push_back(std::move(token));
  }

  void add_special_if_known(const std::string& name) {
    const auto known = index_.find(name);
    const auto is_same = [&](const AddedToken& token) { return token.name == name; };
    const auto& tokens = out_.added_tokens;
    if (!known || std::any_of(tokens.begin(), tokens.end(), is_same)) return;
    add_token({.id = json_.ids[*known], .name = name, .special = true});
  }

  void write_token_bytes() {
    std::string bytes;
    out_.is_byte_level.assign(token_of_id_.size(), false);
    for (size_t id = 0; id < token_of_id_.size(); ++id) {
      bytes.clear();
      const uint32_t token = token_of_id_[id];
      if (token != none && (token & added)) {
        bytes = out_.added_tokens[token & ~added].name;
      } else if (token != none) {
        const std::string_view spelling = json_.tokens[token];
        out_.is_byte_level[id] = append_byte_level(spelling, bytes);
        if (!out_.is_byte_level[id]) bytes = spelling;
      }
      out_.token_bytes.push_back(bytes);
    }
  }

 private:
  static constexpr uint32_t none = 0xffffffffu;
  static constexpr uint32_t added = 0x80000000u;

  template <typename... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(MINIMAX_BAD_FILE, out_.source, parts...);
  }
  static std::string name_of(std::string_view spelling) { return quoted(Json(spelling)); }

  const VocabularyJson& json_;
  StringIndex index_;
  Vocabulary out_;
  std::vector<uint32_t> token_of_id_;  // index of the token, or added | index of the added token
};

void refuse_unless(bool is_known, const JsonObject& object, std::string_view key,
                   std::string_view known) {
  if (is_known) return;
  const Json* value = object.find(key);
  fail(MINIMAX_UNSUPPORTED, object.source(), ": ", key, " is ",
       value ? quoted(value->is_object() ? value->value("type", Json()) : *value) : "missing",
       ", only ", known, " is known");
}

void check_model(const JsonObject& model) {
  refuse_unless(model.string_or("type", "BPE") == "BPE", model, "type", "\"BPE\"");
  refuse_unless(model.number_or("dropout", 0, 0, 1) == 0, model, "dropout", "null");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    refuse_unless(model.string_or(key, "").empty(), model, key, "null");
  }
}

void check_rest(const JsonObject& root) {
  refuse_unless(!root.has("normalizer"), root, "normalizer", "null");
  if (!root.has("decoder")) return;
  refuse_unless(root.object("decoder").string("type") == "ByteLevel", root, "decoder",
                "\"ByteLevel\"");
}

void add_tokens(Builder& builder, const JsonObject& root) {
  if (!root.has("added_tokens")) return;
  size_t index = 0;
  for (const Json& element : root.array("added_tokens", added_token_limit)) {
    const JsonObject token(element, text(root.source(), ": added_tokens[", index++, "]"));
    const int64_t id = token.integer("id", 0, Vocabulary::id_limit - 1);
    builder.add_token(AddedToken::from_json(token, static_cast<int32_t>(id)));
  }
}

int32_t id_from_name(const JsonObject& decoder, const std::string& name) {
  int32_t id = -1;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, id);
  const bool is_id = error == std::errc() && stop == end && id >= 0 && id < Vocabulary::id_limit;
  require_file(is_id, decoder.source(), ": member ", quoted(Json(name)),
               ", expected an id from 0 to ", Vocabulary::id_limit - 1);
  return id;
}

void add_tokens_of_config(Builder& builder, const Json& json) {
  if (json.is_null()) return;
  const JsonObject config(json, "tokenizer_config.json");
  if (config.has("added_tokens_decoder")) {
    const JsonObject decoder = config.object("added_tokens_decoder");
    require_file(decoder.json().size() <= added_token_limit, decoder.source(), " has ",
                 decoder.json().size(), " members, at most ", added_token_limit, " are read");
    for (const auto& [name, element] : decoder.json().items()) {
      const JsonObject token(element, text(decoder.source(), "[", quoted(Json(name)), "]"));
      builder.add_token(AddedToken::from_json(token, id_from_name(decoder, name)));
    }
  }
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    const Json* value = config.find(key);
    if (!value) continue;
    builder.add_special_if_known(value->is_object() ? config.object(key).string("content")
                                                    : config.string(key));
  }
}

// The lines "left right" of a merges.txt.
StringList read_merges(const std::filesystem::path& path) {
  const std::string content = read_text_file(path, Vocabulary::file_limit_bytes);
  StringList parts;
  size_t number = 0;
  for (size_t start = 0; start < content.size(); ++number) {
    const size_t stop = std::min(content.find('\n', start), content.size());
    std::string_view line = std::string_view(content).substr(start, stop - start);
    start = stop + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    require_file(space != line.npos && line.find(' ', space + 1) == line.npos, path.string(),
                 ": line ", number + 1, " is ", quoted(Json(line)),
                 ", expected two tokens with a space between");
    parts.push_back(line.substr(0, space));
    parts.push_back(line.substr(space + 1));
  }
  return parts;
}

}  // namespace

bool append_byte_level(std::string_view spelling, std::string& bytes) {
  const size_t size = bytes.size();
  const char* const end = spelling.data() + spelling.size();
  for (const char* at = spelling.data(); at < end;) {
    const CodePoint point = decode_utf8(at, end);
    if (point.value >= alphabet.bytes.size() || alphabet.bytes[point.value] < 0) {
      bytes.resize(size);
      return false;
    }
    bytes += static_cast<char>(alphabet.bytes[point.value]);
    at += point.size;
  }
  return true;
}

Vocabulary Vocabulary::read_tokenizer_json(const std::filesystem::path& path) {
  const VocabularyJson json = read_vocabulary_json(path, VocabularyPlace::model);
  const JsonObject root(json.rest, path.string());
  const JsonObject model = root.object("model");
  check_model(model);
  check_rest(root);
  if (!json.has_tokens) model.fail_member("vocab", "an object");
  if (!json.has_merges) model.fail_member("merges", "a list");
  Builder builder(json, path.string());
  builder.out().ignore_merges = model.boolean_or("ignore_merges", false);
  builder.out().pretokenizer =
      Pretokenizer(root.object("pre_tokenizer").json(), text(path.string(), ": pre_tokenizer"));
  builder.index_tokens();
  builder.add_merges(json.merge_parts, "model.merges");
  add_tokens(builder, root);
  builder.write_token_bytes();
  return builder.take();
}

Vocabulary Vocabulary::read_vocab_and_merges(const std::filesystem::path& vocab,
                                             const std::filesystem::path& merges,
                                             const Json& config) {
  const VocabularyJson json = read_vocabulary_json(vocab, VocabularyPlace::root);
  Builder builder(json, vocab.string());
  builder.index_tokens();
  builder.add_merges(read_merges(merges), merges.filename().string());
  add_tokens_of_config(builder, config);
  builder.write_token_bytes();
  return builder.take();
}

}  // namespace minimax
