// SPDX-License-Identifier: Apache-2.0
// Broken tokenizer files, and folders that are none or hold what no model folder should.
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "refusal.h"

namespace minimax::testing {
namespace {

namespace fs = std::filesystem;

const Statuses bad_file = {MINIMAX_BAD_FILE};
const Statuses unsupported = {MINIMAX_UNSUPPORTED};
const Statuses not_found = {MINIMAX_NOT_FOUND};
const Statuses unreadable = {MINIMAX_IO_ERROR};
const Statuses absent_or_unreadable = {MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR};

// The tiny model written whole, then changed.
FileCase after(std::string name, std::function<void(const fs::path& folder)> damage,
               Statuses statuses, Words words) {
  return {std::move(name),
          [damage](const fs::path& scratch) {
            TinyModel().write(scratch);
            damage(scratch);
            return scratch;
          },
          std::move(statuses), std::move(words)};
}

FileCase with_tokenizer(std::string name, std::function<void(Json& json)> damage, Words words,
                        Statuses statuses = bad_file) {
  words.push_back("tokenizer.json");
  return {std::move(name),
          [damage](const fs::path& scratch) {
            TinyModel model;
            damage(model.tokenizer);
            model.write(scratch);
            return scratch;
          },
          std::move(statuses), std::move(words)};
}

FileCase with_text(std::string name, const char* file, std::string text, Words words = {}) {
  words.push_back(file);
  return after(
      std::move(name), [=](const fs::path& folder) { write_file(folder / file, text); }, bad_file,
      std::move(words));
}

// vocab.json and merges.txt in place of tokenizer.json.
FileCase with_merges(std::string name, std::string vocab, std::string merges, Words words) {
  return after(
      std::move(name),
      [=](const fs::path& folder) {
        fs::remove(folder / "tokenizer.json");
        write_file(folder / "vocab.json", vocab);
        write_file(folder / "merges.txt", merges);
      },
      bad_file, std::move(words));
}

FileCase with_sentencepiece(std::string name, std::string content) {
  return after(std::move(name),
               [=](const fs::path& folder) {
                 fs::remove(folder / "tokenizer.json");
                 write_file(folder / "tokenizer.model", content);
               },
               bad_file, {"tokenizer.model"});
}

// Something else under the name of a file of the model.
FileCase in_place_of(std::string name, const char* file,
                     std::function<void(const fs::path& path)> make, Statuses statuses) {
  return after(std::move(name),
               [=](const fs::path& folder) {
                 fs::remove(folder / file);
                 make(folder / file);
               },
               std::move(statuses), {file});
}

void make_folder(const fs::path& path) {
  fs::create_directory(path);
}
void make_pipe(const fs::path& path) {
  mkfifo(path.c_str(), 0600);
}
void make_loop(const fs::path& path) {
  fs::create_symlink(path.filename(), path);
}
void make_dangling_link(const fs::path& path) {
  fs::create_symlink("nowhere", path);
}
void make_endless(const fs::path& path) {
  fs::create_symlink("/dev/zero", path);
}
void make_forbidden(const fs::path& path) {
  write_file(path, "{}");
  fs::permissions(path, fs::perms::none);
}

FileCase named(std::string name, std::function<fs::path(const fs::path& scratch)> path,
               Statuses statuses, Words words) {
  return {std::move(name), std::move(path), std::move(statuses), std::move(words)};
}

std::string vocab_of_bytes() {
  return TinyModel().tokenizer["model"]["vocab"].dump();
}

}  // namespace

std::vector<FileCase> tokenizer_cases() {
  const char* const file = "tokenizer.json";
  const std::string whole = TinyModel().tokenizer.dump();
  std::vector<FileCase> cases = {
      with_text("TokenizerIsEmpty", file, ""),
      with_text("TokenizerIsNull", file, "null"),
      with_text("TokenizerIsAList", file, "[]"),
      with_text("TokenizerIsText", file, "\"tokenizer\""),
      with_text("TokenizerGoesOn", file, whole + "]"),
      with_text("TokenizerIsNotUtf8", file, "{\"\xff\": 1}"),
      with_text("TokenizerNests", file, std::string(1000000, '['), {"nests"}),
      with_text("TokenizerNestsInItsModel", file, R"({"model": )" + std::string(1000000, '['),
                {"nests"}),
      with_text("TokenizerHasTwoVocabularies", file,
                R"({"model": {"vocab": {"a": 1}, "vocab": {"b": 1}}})", {"twice"}),
      with_text("TokenizerHasATokenTwice", file,
                R"({"model": {"vocab": {"a": 1, "a": 2}, "merges": []},)"
                R"("pre_tokenizer": {"type": "ByteLevel"}})",
                {"twice"}),
      with_tokenizer("TokenizerHasNoModel", [](Json& json) { json.erase("model"); }, {"model"}),
      with_tokenizer("TokenizerModelIsAList", [](Json& json) { json["model"] = {1}; }, {"model"}),
      with_tokenizer(
          "TokenizerIsOfWords", [](Json& json) { json["model"]["type"] = "WordPiece"; },
          {"WordPiece"}, unsupported),
      with_tokenizer(
          "TokenizerDropsOut", [](Json& json) { json["model"]["dropout"] = 0.5; }, {"dropout"},
          unsupported),
      with_tokenizer(
          "TokenizerNormalizes",
          [](Json& json) {
            json["normalizer"] = {{"type", "NFKC"}};
          },
          {"normalizer"}, unsupported),
      with_tokenizer(
          "TokenizerDecodesOtherwise", [](Json& json) { json["decoder"]["type"] = "Metaspace"; },
          {"decoder"}, unsupported),
      with_tokenizer("TokenizerHasNoPretokenizer", [](Json& json) { json.erase("pre_tokenizer"); },
                     {"pre_tokenizer"}),
      with_tokenizer("TokenizerHasAnUnknownPretokenizer",
                     [](Json& json) {
                       json["pre_tokenizer"] = {{"type", "Whitespace"}};
                     },
                     {"pre_tokenizer"}, {MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED}),
      with_tokenizer(
          "TokenizerPatternIsBroken",
          [](Json& json) { json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a"; },
          {"pre_tokenizer"}),
      with_tokenizer("TokenizerPatternIsNotUtf8Safe",
                     [](Json& json) {
                       json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[z-a]";
                     },
                     {"pre_tokenizer"}),
      with_tokenizer("TokenizerPatternNests",
                     [](Json& json) {
                       json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] =
                           std::string(100000, '(') + "a" + std::string(100000, ')');
                     },
                     {"pre_tokenizer"}),
      with_tokenizer("TokenizerPatternIsMissing",
                     [](Json& json) { json["pre_tokenizer"]["pretokenizers"][0].erase("pattern"); },
                     {"pre_tokenizer"}, {MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED}),
      with_tokenizer("VocabularyIsMissing", [](Json& json) { json["model"].erase("vocab"); },
                     {"vocab"}),
      with_tokenizer("VocabularyIsAList", [](Json& json) { json["model"]["vocab"] = {1}; },
                     {"vocab"}),
      with_tokenizer("VocabularyIsEmpty",
                     [](Json& json) { json["model"]["vocab"] = Json::object(); }, {}),
      with_tokenizer("VocabularyLacksAByte", [](Json& json) { json["model"]["vocab"].erase("A"); },
                     {"byte 65"}),
      with_tokenizer("VocabularyIdIsNegative", [](Json& json) { json["model"]["vocab"]["a"] = -1; },
                     {"\"a\"", "-1"}),
      with_tokenizer("VocabularyIdIsText", [](Json& json) { json["model"]["vocab"]["a"] = "97"; },
                     {"\"a\""}),
      with_tokenizer("VocabularyIdIsAFraction",
                     [](Json& json) { json["model"]["vocab"]["a"] = 9.5; }, {"\"a\"", "9.5"}),
      with_tokenizer("VocabularyIdIsHuge",
                     [](Json& json) { json["model"]["vocab"]["a"] = uint64_t{1} << 63; },
                     {"\"a\"", "9223372036854775808"}),
      with_tokenizer("VocabularyIdIsAboveTheLimit",
                     [](Json& json) { json["model"]["vocab"]["a"] = 2147483647; },
                     {"\"a\"", "2147483647"}),
      with_tokenizer(
          "VocabularyIdIsPastTheModels", [](Json& json) { json["model"]["vocab"]["abcde"] = 5000; },
          {}, bad_file),
      with_tokenizer("VocabularyIdIsThereTwice",
                     [](Json& json) { json["model"]["vocab"]["ab"] = 257; }, {"257"}),
      with_tokenizer("VocabularyIdIsAnObject",
                     [](Json& json) {
                       json["model"]["vocab"]["a"] = {{"id", 1}};
                     },
                     {"\"a\""}),
      with_tokenizer("MergesAreMissing", [](Json& json) { json["model"].erase("merges"); },
                     {"merges"}),
      with_tokenizer("MergesAreAnObject",
                     [](Json& json) {
                       json["model"]["merges"] = {{"a", "b"}};
                     },
                     {"merges"}),
      with_tokenizer("MergesAreNumbers",
                     [](Json& json) {
                       json["model"]["merges"] = {1, 2};
                     },
                     {"merges[0]"}),
      with_tokenizer("MergeOfOnePart", [](Json& json) { json["model"]["merges"][1] = {"ab"}; },
                     {"merges[1]"}),
      with_tokenizer("MergeOfThreeParts",
                     [](Json& json) {
                       json["model"]["merges"][1] = {"a", "b", "c"};
                     },
                     {"merges[1]"}),
      with_tokenizer("MergeWithoutASpace", [](Json& json) { json["model"]["merges"][1] = "abc"; },
                     {"merges[1]"}),
      with_tokenizer("MergeOfUnknownParts",
                     [](Json& json) {
                       json["model"]["merges"][1] = {"xx", "y"};
                     },
                     {"merges[1]", "xx"}),
      with_tokenizer("MergeMakesNoToken",
                     [](Json& json) {
                       json["model"]["merges"][1] = {"x", "y"};
                     },
                     {"merges[1]", "xy"}),
      with_tokenizer("AddedTokensAreAnObject",
                     [](Json& json) { json["added_tokens"] = Json::object(); }, {"added_tokens"}),
      with_tokenizer("AddedTokenIsText", [](Json& json) { json["added_tokens"][1] = "<end>"; },
                     {"added_tokens[1]"}),
      with_tokenizer("AddedTokenHasNoId", [](Json& json) { json["added_tokens"][1].erase("id"); },
                     {"added_tokens[1]", "id"}),
      with_tokenizer("AddedTokenHasNoContent",
                     [](Json& json) { json["added_tokens"][1].erase("content"); },
                     {"added_tokens[1]", "content"}),
      with_tokenizer("AddedTokenIsEmpty",
                     [](Json& json) { json["added_tokens"][1]["content"] = ""; },
                     {"added_tokens", "261", "0 bytes"}),
      with_tokenizer("AddedTokenHasANegativeId",
                     [](Json& json) { json["added_tokens"][1]["id"] = -5; },
                     {"added_tokens[1]", "id"}),
      with_tokenizer("AddedTokenTakesAnothersId",
                     [](Json& json) { json["added_tokens"][1]["id"] = 65; }, {"65"}),
      with_tokenizer(
          "AddedTokenIsPastTheModels", [](Json& json) { json["added_tokens"][1]["id"] = 272; }, {},
          bad_file),
      with_text("TokenizerConfigIsTorn", "tokenizer_config.json", "{"),
      with_text("TokenizerConfigIsAList", "tokenizer_config.json", "[]"),
      with_text("TokenizerConfigIsNotUtf8", "tokenizer_config.json",
                "{\"chat_template\": \"\xc0\"}"),
      with_text("TokenizerConfigNests", "tokenizer_config.json", std::string(1000000, '['),
                {"nests"}),
      with_text("ChatTemplateIsANumber", "tokenizer_config.json", R"({"chat_template": 1})",
                {"chat_template"}),
      with_text("ChatTemplatesAreNumbers", "tokenizer_config.json", R"({"chat_template": [1]})",
                {"chat_template"}),
      with_merges("VocabJsonIsAList", "[]", "a b\n", {"vocab.json"}),
      with_merges("VocabJsonIsTorn", R"({"a": )", "a b\n", {"vocab.json"}),
      with_merges("VocabJsonLacksBytes", R"({"a": 0})", "", {"vocab.json", "byte"}),
      with_merges("MergesTxtOfOnePart", vocab_of_bytes(), "#version: 0.2\nab\n",
                  {"merges.txt", "line 2"}),
      with_merges("MergesTxtOfThreeParts", vocab_of_bytes(), "a b c\n", {"merges.txt", "line 1"}),
      with_merges("MergesTxtOfUnknownParts", vocab_of_bytes(), "xx yy\n", {"merges.txt", "xx"}),
      with_merges("MergesTxtIsNotUtf8", vocab_of_bytes(), "\xff \xfe\n", {"merges.txt"}),
      with_sentencepiece("SentencePieceIsEmpty", ""),
      with_sentencepiece("SentencePieceIsText", "this is no model"),
      with_sentencepiece("SentencePieceIsZeros", std::string(1000, '\0')),
      with_sentencepiece("SentencePieceIsOnes", std::string(1000, '\xff')),
      with_sentencepiece("SentencePiecePastItsEnd", "\x0a\xff\xff\xff\xff\x0f"),
  };
  for (size_t eighths = 1; eighths < 8; ++eighths) {
    cases.push_back(with_text("TokenizerCutTo" + std::to_string(eighths) + "Eighths", file,
                              whole.substr(0, whole.size() * eighths / 8)));
  }
  // These two name the folder: two files disagree.
  for (FileCase& one : cases) {
    const bool models = one.name == "VocabularyIdIsPastTheModels";
    if (models || one.name == "AddedTokenIsPastTheModels") one.words = {"vocab_size", "272"};
  }
  const std::string model =
      read_file(fs::path(MINIMAX_SOURCE_DIR) / "tests/golden/tokenizer/bpe.model");
  cases.push_back(with_sentencepiece("SentencePieceIsCut", model.substr(0, model.size() / 2)));
  cases.push_back(
      with_sentencepiece("SentencePieceLacksOneByte", model.substr(0, model.size() - 1)));
  return cases;
}

std::vector<FileCase> folder_cases() {
  const std::string many(100000, 'p');
  std::vector<FileCase> cases = {
      named("PathIsEmpty", [](const fs::path&) { return fs::path(); }, absent_or_unreadable, {}),
      named("PathIsNowhere", [](const fs::path& s) { return s / "nowhere"; }, not_found,
            {"nowhere"}),
      named("PathIsBelowAFile",
            [](const fs::path& s) {
              write_file(s / "file", "");
              return s / "file" / "model";
            },
            not_found, {"file/model"}),
      named("PathIsAFile",
            [](const fs::path& s) {
              write_file(s / "file", "text");
              return s / "file";
            },
            {MINIMAX_BAD_FILE, MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR}, {"file"}),
      named("PathOfManyBytes", [=](const fs::path& s) { return s / many; }, absent_or_unreadable,
            {"ppp"}),
      named("PathOfManyFolders",
            [](const fs::path& s) {
              std::string path = s.string();
              for (int i = 0; i < 3000; ++i) path += "/..";
              return fs::path(path + "/nowhere");
            },
            absent_or_unreadable, {}),
      named("PathIsNotUtf8", [](const fs::path& s) { return s / "m\xff\xfe\xc3(odel"; }, not_found,
            {"odel"}),
      named("PathOfTwoLines", [](const fs::path& s) { return s / "a\nb\tc\x1b[31m"; }, not_found,
            {}),
      named("PathEndsWithinACharacter",
            [](const fs::path& s) { return s / std::string(1800, 'p').append("\xf0\x9f\x98"); },
            absent_or_unreadable, {}),
      named("FolderIsEmpty", [](const fs::path& s) { return s; }, not_found, {"config.json"}),
      named("FolderIsALoop",
            [](const fs::path& s) {
              make_loop(s / "model");
              return s / "model";
            },
            unreadable, {"model"}),
      named("FolderIsAPipe",
            [](const fs::path& s) {
              make_pipe(s / "model");
              return s / "model";
            },
            unreadable, {"model"}),
      named("FolderOfWeightsAlone",
            [](const fs::path& s) {
              TinyModel().write(s);
              fs::remove(s / "config.json");
              return s;
            },
            not_found, {"config.json"}),
      after("FolderWithoutWeights", [](const fs::path& f) { fs::remove(f / "model.safetensors"); },
            not_found, {"model.safetensors"}),
      in_place_of("ConfigIsAFolder", "config.json", make_folder, unreadable),
      in_place_of("ConfigIsAPipe", "config.json", make_pipe, unreadable),
      in_place_of("ConfigIsALoop", "config.json", make_loop, unreadable),
      in_place_of("ConfigLinksToNowhere", "config.json", make_dangling_link, not_found),
      in_place_of("ConfigIsEndless", "config.json", make_endless, unreadable),
      in_place_of("WeightsAreAFolder", "model.safetensors", make_folder, unreadable),
      in_place_of("WeightsAreAPipe", "model.safetensors", make_pipe, unreadable),
      in_place_of("WeightsAreALoop", "model.safetensors", make_loop, absent_or_unreadable),
      in_place_of("WeightsLinkToNowhere", "model.safetensors", make_dangling_link, not_found),
      in_place_of("WeightsAreEndless", "model.safetensors", make_endless, unreadable),
      in_place_of("TokenizerIsAFolder", "tokenizer.json", make_folder, unreadable),
      in_place_of("TokenizerIsAPipe", "tokenizer.json", make_pipe, unreadable),
      in_place_of("TokenizerIsALoop", "tokenizer.json", make_loop, unreadable),
      in_place_of("TokenizerConfigIsAFolder", "tokenizer_config.json", make_folder, unreadable),
      in_place_of("TokenizerConfigIsAPipe", "tokenizer_config.json", make_pipe, unreadable),
      in_place_of("TokenizerConfigIsALoop", "tokenizer_config.json", make_loop, unreadable),
      in_place_of("GenerationConfigIsAFolder", "generation_config.json", make_folder, unreadable),
      in_place_of("GenerationConfigIsAPipe", "generation_config.json", make_pipe, unreadable),
      in_place_of(
          "IndexIsAPipe", "model.safetensors",
          [](const fs::path& p) { make_pipe(fs::path(p).concat(".index.json")); }, unreadable),
      in_place_of(
          "IndexIsAFolder", "model.safetensors",
          [](const fs::path& p) { make_folder(fs::path(p).concat(".index.json")); }, unreadable),
  };
  if (geteuid() == 0) return cases;  // to whom nothing is forbidden
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"}) {
    cases.push_back(in_place_of("Forbidden_" + std::string(file, std::strchr(file, '.')), file,
                                make_forbidden, unreadable));
  }
  return cases;
}

}  // namespace minimax::testing
