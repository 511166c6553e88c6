// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/file_map.h"
#include "base/json.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/sentencepiece_vocabulary.h"
#include "tokenizer/vocabulary.h"

namespace minimax {
namespace {

constexpr size_t config_limit_bytes = size_t{16} << 20;

// null when the folder has none.
JsonTree read_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  if (!is_there(path)) return JsonTree();
  JsonTree config(parse_json_file(path, config_limit_bytes));
  JsonObject(config, path.string());  // refuses what is no object
  return config;
}

// A template, or a list of {name, template} of which the one called "default" counts.
std::string chat_template_of(const Json& json, const std::string& source) {
  if (json.is_null()) return "";
  const JsonObject config(json, source);
  const Json* value = config.find("chat_template");
  if (!value || !value->is_array()) return config.string_or("chat_template", "");
  for (const Json& element : config.array("chat_template", 64)) {
    const JsonObject named(element, text(source, ": chat_template"));
    if (named.string("name") == "default") return named.string("template");
  }
  return "";
}

// tokenizer.model, or the folder's one other *.model; "" when there is none.
std::filesystem::path find_sentencepiece_model(const std::filesystem::path& folder) {
  if (is_there(folder / "tokenizer.model")) return folder / "tokenizer.model";
  std::string found;
  for (const std::string& name : names_in(folder)) {
    if (!name.ends_with(".model")) continue;
    require_file(found.empty(), folder.string(), " has both ", found, " and ", name,
                 ", expected one *.model");
    found = name;
  }
  return found.empty() ? std::filesystem::path() : folder / found;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path& folder) {
  const std::filesystem::path json = folder / "tokenizer.json";
  const std::filesystem::path vocab = folder / "vocab.json";
  const std::filesystem::path merges = folder / "merges.txt";
  const JsonTree config = read_config(folder);
  std::string chat = chat_template_of(config, (folder / "tokenizer_config.json").string());
  if (is_there(json)) {
    return std::make_unique<BpeTokenizer>(Vocabulary::read_tokenizer_json(json), std::move(chat));
  }
  if (is_there(vocab) && is_there(merges)) {
    return std::make_unique<BpeTokenizer>(Vocabulary::read_vocab_and_merges(vocab, merges, config),
                                          std::move(chat));
  }
  const std::filesystem::path model = find_sentencepiece_model(folder);
  if (model.empty()) return nullptr;
  return std::make_unique<SentencePieceTokenizer>(model, std::move(chat));
}

void Tokenizer::decode(std::span<const int32_t> ids, bool with_special, std::string& out) const {
  for (const int32_t id : ids) {
    if (with_special || token_kind(id) != TokenKind::special) out += token_bytes(id);
  }
}

}  // namespace minimax
