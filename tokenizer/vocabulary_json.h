// SPDX-License-Identifier: Apache-2.0
// Reads the JSON of a tokenizer in one pass: its two long lists into flat memory, the rest as a tree.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/vocabulary.h"

namespace minimax {

struct VocabularyJson {
  JsonTree rest;  // the document without the two lists
  bool has_tokens = false;
  bool has_merges = false;
  StringList tokens;         // members of model.vocab, as spelled
  std::vector<int32_t> ids;  // their values, below Vocabulary::id_limit
  StringList merge_parts;    // elements of model.merges: left, right, left, right, ...
};

// Where the vocabulary stands in a file.
enum class VocabularyPlace {
  model,  // tokenizer.json: model.vocab and model.merges
  root    // vocab.json: the whole document, without merges
};

// Errors as parse_json_file's, or MINIMAX_BAD_FILE with the element at fault.
VocabularyJson read_vocabulary_json(const std::filesystem::path& path, VocabularyPlace place);

}  // namespace minimax
