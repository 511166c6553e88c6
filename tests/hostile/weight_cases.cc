// SPDX-License-Identifier: Apache-2.0
// Damaged model.safetensors files, shards and indices.
#include "refusal.h"

namespace minimax::testing {
namespace {

namespace fs = std::filesystem;

const Statuses bad_file = {MINIMAX_BAD_FILE};
constexpr const char* first_tensor = "model.embed_tokens.weight";
constexpr const char* second_tensor = "model.layers.0.input_layernorm.weight";
constexpr const char* last_tensor = "lm_head.weight";

// The tiny model with another file of weights.
FileCase with_file(std::string name, std::function<std::string(const std::string& whole)> damage,
                   Words words) {
  words.insert(words.begin(), "model.safetensors");
  return {std::move(name),
          [damage](const fs::path& scratch) {
            const TinyModel model;
            model.write(scratch);
            write_file(scratch / "model.safetensors",
                       damage(safetensors(model.header(), model.data())));
            return scratch;
          },
          bad_file, std::move(words)};
}

FileCase with_header(std::string name, std::function<void(OrderedJson& header)> damage,
                     Words words) {
  return with_file(
      std::move(name),
      [damage](const std::string&) {
        const TinyModel model;
        OrderedJson header = model.header();
        damage(header);
        return safetensors(header, model.data());
      },
      std::move(words));
}

// Whatever text in place of the header.
FileCase with_header_text(std::string name, std::string text, Words words) {
  return with_file(
      std::move(name),
      [text](const std::string&) { return safetensors_of_text(text, TinyModel().data()); },
      std::move(words));
}

// One member of one tensor becomes another value, written as JSON.
FileCase with_member(std::string name, const char* tensor, const char* member, const char* json,
                     Words words) {
  words.push_back(tensor);
  return with_header(
      std::move(name),
      [=](OrderedJson& header) { header[tensor][member] = OrderedJson::parse(json); },
      std::move(words));
}

FileCase without_member(std::string name, const char* member) {
  return with_header(std::move(name),
                     [=](OrderedJson& header) { header[second_tensor].erase(member); },
                     {second_tensor, member});
}

FileCase with_length(std::string name, uint64_t length, Words words) {
  return with_file(
      std::move(name),
      [=](std::string whole) {
        for (int i = 0; i < 8; ++i)
          whole[static_cast<size_t>(i)] = static_cast<char>(length >> 8 * i);
        return whole;
      },
      std::move(words));
}

FileCase with_index(std::string name, std::function<std::string(Json index)> damage,
                    Statuses statuses, Words words) {
  return {std::move(name),
          [damage](const fs::path& scratch) {
            const TinyModel model;
            model.write_shards(scratch);
            write_file(scratch / "model.safetensors.index.json", damage(model.index()));
            return scratch;
          },
          std::move(statuses), std::move(words)};
}

FileCase with_shards(std::string name, std::function<void(const fs::path& folder)> damage,
                     Statuses statuses, Words words) {
  return {std::move(name),
          [damage](const fs::path& scratch) {
            TinyModel().write_shards(scratch);
            damage(scratch);
            return scratch;
          },
          std::move(statuses), std::move(words)};
}

std::string nested(char open, size_t depth) {
  return std::string(depth, open);
}

}  // namespace

std::vector<FileCase> weight_file_cases() {
  std::vector<FileCase> cases;
  for (size_t size = 0; size < 9; ++size) {
    cases.push_back(with_file("WeightsOf" + std::to_string(size) + "Bytes",
                              [=](const std::string& whole) { return whole.substr(0, size); }, {}));
  }
  for (size_t sixteenths = 1; sixteenths < 16; ++sixteenths) {
    cases.push_back(with_file(
        "WeightsCutTo" + std::to_string(sixteenths) + "Sixteenths",
        [=](const std::string& whole) { return whole.substr(0, whole.size() * sixteenths / 16); },
        {}));
  }
  const std::vector<FileCase> others = {
      with_file("WeightsLackOneByte",
                [](const std::string& whole) { return whole.substr(0, whole.size() - 1); },
                {last_tensor, "data_offsets"}),
      with_file("WeightsOfZeros",
                [](const std::string& whole) { return std::string(whole.size(), '\0'); },
                {"not valid JSON"}),
      with_file("WeightsOfOnes",
                [](const std::string& whole) { return std::string(whole.size(), '\xff'); },
                {"18446744073709551615"}),
      with_file(
          "WeightsArePickled",
          [](const std::string&) { return std::string("PK\x03\x04 archive/data.pkl of torch"); },
          {}),
      with_length("HeaderLengthZero", 0, {"not valid JSON"}),
      with_length("HeaderLengthOne", 1, {"not valid JSON"}),
      with_length("HeaderLengthPastTheEnd", 99999999, {"99999999"}),
      with_length("HeaderLengthAboveTheLimit", 100000001, {"100000001"}),
      with_length("HeaderLengthOf32Bits", 0xffffffff, {"4294967295"}),
      with_length("HeaderLengthNegative", 0x8000000000000000, {"9223372036854775808"}),
      with_length("HeaderLengthWraps", 0xfffffffffffffff8, {"18446744073709551608"}),
      with_header_text("HeaderIsEmpty", "", {"not valid JSON"}),
      with_header_text("HeaderIsNull", "null", {"expected an object"}),
      with_header_text("HeaderIsAList", "[]", {"expected an object"}),
      with_header_text("HeaderIsANumber", "1", {"expected an object"}),
      with_header_text("HeaderIsText", "\"safetensors\"", {"expected an object"}),
      with_header_text("HeaderHasNoEnd", R"({"a": {"dtype": "F32",)", {"not valid JSON"}),
      with_header_text("HeaderGoesOn", "{}{}", {"not valid JSON"}),
      with_header_text("HeaderHoldsZeroBytes", std::string("{}\0\0", 4), {"not valid JSON"}),
      with_header_text("HeaderIsNotUtf8", "{\"\xff\xfe\": 1}", {"not valid JSON"}),
      with_header_text("HeaderHoldsHalfACharacter", "{\"\xe4\xbd\": 1}", {"not valid JSON"}),
      with_header_text("HeaderHoldsHalfASurrogate", R"({"\ud800": 1})", {"not valid JSON"}),
      with_header_text("HeaderNestsLists", R"({"a": {"b": )" + nested('[', 100000), {"nests"}),
      with_header_text("HeaderNestsMetadata", R"({"__metadata__": )" + nested('[', 100000),
                       {"nests"}),
      with_header_text("HeaderOfNothing", "{}", {first_tensor, "missing"}),
      with_header_text("HeaderHoldsAHugeNumber",
                       R"({"a": {"dtype": "F32", "shape": [)" + std::string(100000, '9') +
                           R"(], "data_offsets": [0, 4]}})",
                       {}),
      with_header_text("HeaderNamesATensorTwice",
                       R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
              "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
                       {"tensor a", "twice"}),
      with_header_text(
          "HeaderNamesAMemberTwice",
          R"({"a": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
          {"tensor a", "dtype", "twice"}),
      with_header("TensorNameOfManyBytes",
                  [](OrderedJson& header) {
                    header[std::string(200000, 'n')] = {
                        {"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {0, 5}}};
                  },
                  {"nnn"}),
      with_header(
          "TensorNameOfTwoLines",
          [](OrderedJson& header) {
            header["a\nb\x1b[31m"] = {{"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {0, 5}}};
          },
          {}),
      with_header("TensorIsAList",
                  [](OrderedJson& header) {
                    header[second_tensor] = {1, 2};
                  },
                  {second_tensor, "expected an object"}),
      with_header("TensorIsNull", [](OrderedJson& header) { header[second_tensor] = nullptr; },
                  {second_tensor, "expected an object"}),
      with_header("FirstTensorIsMissing", [](OrderedJson& header) { header.erase(first_tensor); },
                  {first_tensor, "missing"}),
      with_header("LastTensorIsMissing", [](OrderedJson& header) { header.erase(last_tensor); },
                  {last_tensor, "missing"}),
      with_header("AnExpertIsMissing",
                  [](OrderedJson& header) {
                    header.erase("model.layers.1.block_sparse_moe.experts.1.w2.weight");
                  },
                  {"model.layers.1.block_sparse_moe.experts.1.w2.weight", "missing"}),
      with_header("TensorsOverlap",
                  [](OrderedJson& header) {
                    header[second_tensor]["data_offsets"] = {64, 128};
                  },
                  {second_tensor, "overlaps", first_tensor}),
      with_header("TensorsShareTheirBytes",
                  [](OrderedJson& header) {
                    header[last_tensor]["data_offsets"] = header[first_tensor]["data_offsets"];
                  },
                  {last_tensor, "overlaps"}),
      without_member("DtypeIsMissing", "dtype"),
      without_member("ShapeIsMissing", "shape"),
      without_member("OffsetsAreMissing", "data_offsets"),
      with_member("DtypeIsUnknown", second_tensor, "dtype", R"("F33")", {"F33"}),
      with_member("DtypeIsEmpty", second_tensor, "dtype", R"("")", {}),
      with_member("DtypeIsInSmallLetters", second_tensor, "dtype", R"("f32")", {"f32"}),
      with_member("DtypeIsANumber", second_tensor, "dtype", "32", {"dtype"}),
      with_member("DtypeIsNull", second_tensor, "dtype", "null", {"dtype"}),
      with_member("DtypeIsAList", second_tensor, "dtype", R"(["F32"])", {"dtype"}),
      with_member("DtypeIsInteger", second_tensor, "dtype", R"("I32")", {"I32"}),
      with_member("DtypeIsOfHalfTheSize", second_tensor, "dtype", R"("BF16")", {"64", "32"}),
      with_member("DtypeIsOfTwiceTheSize", second_tensor, "dtype", R"("F64")", {"64", "128"}),
      with_member("DtypeIsQuantised", second_tensor, "dtype", R"("F8_E4M3")", {}),
      with_member("ShapeIsText", second_tensor, "shape", R"("16")", {"shape"}),
      with_member("ShapeIsANumber", second_tensor, "shape", "16", {"shape"}),
      with_member("ShapeIsNull", second_tensor, "shape", "null", {"shape"}),
      with_member("ShapeIsAnObject", second_tensor, "shape", R"({"0": 16})", {"shape"}),
      with_member("ShapeIsEmpty", second_tensor, "shape", "[]", {}),
      with_member("ShapeHoldsZero", second_tensor, "shape", "[0]", {}),
      with_member("ShapeIsNegative", second_tensor, "shape", "[-16]", {"shape"}),
      with_member("ShapeIsAFraction", second_tensor, "shape", "[16.5]", {"shape"}),
      with_member("ShapeIsAPowerOfTen", second_tensor, "shape", "[1e3]", {"shape"}),
      with_member("ShapeHoldsText", second_tensor, "shape", R"(["16"])", {"shape"}),
      with_member("ShapeHoldsTrue", second_tensor, "shape", "[true]", {"shape"}),
      with_member("ShapeHoldsAList", second_tensor, "shape", "[[16]]", {"shape"}),
      with_member("ShapeIsTooLong", second_tensor, "shape", "[17]", {"17"}),
      with_member("ShapeIsOfAnotherRank", second_tensor, "shape", "[1, 16]", {"[1, 16]", "[16]"}),
      with_member("ShapeOfFiveDimensions", second_tensor, "shape", "[1, 1, 1, 1, 16]", {"[16]"}),
      with_member("ShapeIsTurned", first_tensor, "shape", "[16, 272]", {"[16, 272]", "[272, 16]"}),
      with_member("ShapeOverflows", second_tensor, "shape", "[4294967296, 4294967296]",
                  {"overflows"}),
      with_member("ShapeOverflowsToTheRightSize", second_tensor, "shape",
                  "[4611686018427387920, 4]", {"overflows"}),
      with_member("ShapeOverflowsInBytes", second_tensor, "shape", "[4611686018427387908]",
                  {"overflows"}),
      with_member("ShapeIsAsLargeAsCanBe", second_tensor, "shape", "[18446744073709551615]",
                  {"overflows"}),
      with_member("ShapeIsLargerThanCanBe", second_tensor, "shape", "[18446744073709551616]",
                  {"shape"}),
      with_member("ShapeOverflowsBesideZero", second_tensor, "shape",
                  "[4294967296, 4294967296, 4294967296, 0]", {}),
      with_member("OffsetsAreText", second_tensor, "data_offsets", R"("0,64")", {"data_offsets"}),
      with_member("OffsetsAreNull", second_tensor, "data_offsets", "null", {"data_offsets"}),
      with_member("OffsetsAreNone", second_tensor, "data_offsets", "[]", {"data_offsets"}),
      with_member("OffsetsAreOne", second_tensor, "data_offsets", "[64]", {"data_offsets"}),
      with_member("OffsetsAreThree", second_tensor, "data_offsets", "[0, 64, 64]",
                  {"data_offsets"}),
      with_member("OffsetsAreNegative", second_tensor, "data_offsets", "[-64, 0]",
                  {"data_offsets"}),
      with_member("OffsetsAreTurned", second_tensor, "data_offsets", "[64, 0]", {"data_offsets"}),
      with_member("OffsetsAreFractions", second_tensor, "data_offsets", "[0.0, 64.0]",
                  {"data_offsets"}),
      with_member("OffsetsPastTheEnd", second_tensor, "data_offsets", "[99999936, 100000000]",
                  {"100000000"}),
      with_member("OffsetsPastTheEndByOne", last_tensor, "data_offsets", "[0, 46081]", {}),
      with_member("OffsetsAreAsLargeAsCanBe", second_tensor, "data_offsets",
                  "[18446744073709551551, 18446744073709551615]", {"data_offsets"}),
      with_member("OffsetsWrapAround", second_tensor, "data_offsets", "[18446744073709551600, 48]",
                  {"data_offsets"}),
      with_member("OffsetsAreLargerThanCanBe", second_tensor, "data_offsets",
                  "[0, 18446744073709551680]", {"data_offsets"}),
      with_member("OffsetsHoldTooLittle", second_tensor, "data_offsets", "[17408, 17470]",
                  {"62", "64"}),
  };
  cases.insert(cases.end(), others.begin(), others.end());
  return cases;
}

std::vector<FileCase> shard_cases() {
  const auto text = [](const char* content) {
    return [=](const Json&) { return std::string(content); };
  };
  const auto moved_to = [](const char* file) {
    return [=](Json index) {
      index["weight_map"][second_tensor] = file;
      return index.dump();
    };
  };
  const Words index_file = {"model.safetensors.index.json"};
  const Words index_and_tensor = {"model.safetensors.index.json", second_tensor};
  const Statuses missing = {MINIMAX_NOT_FOUND};
  return {
      with_index("IndexIsEmpty", text(""), bad_file, index_file),
      with_index("IndexIsNull", text("null"), bad_file, index_file),
      with_index("IndexIsAList", text("[]"), bad_file, index_file),
      with_index("IndexIsTorn", text(R"({"weight_map": {"a": )"), bad_file, index_file),
      with_index("IndexHasNoMap", text("{}"), bad_file, {"weight_map"}),
      with_index("IndexMapIsAList", text(R"({"weight_map": []})"), bad_file, {"weight_map"}),
      with_index("IndexMapIsNull", text(R"({"weight_map": null})"), bad_file, {"weight_map"}),
      with_index("IndexMapIsEmpty", text(R"({"weight_map": {}})"), bad_file, {first_tensor}),
      with_index("IndexMapIsThereTwice", text(R"({"weight_map": {}, "weight_map": {}})"), bad_file,
                 {"twice"}),
      with_index("IndexNests",
                 [](const Json&) { return R"({"metadata": )" + nested('[', 1000000); }, bad_file,
                 {"nests"}),
      with_index("IndexOfManyBytes", [](const Json&) { return std::string((64 << 20) + 1, ' '); },
                 bad_file, {"67108865"}),
      with_index("IndexNamesATensorTwice",
                 [](const Json& index) {
                   std::string json = index.dump();
                   const std::string map = "\"weight_map\":{";
                   return json.insert(json.find(map) + map.size(),
                                      std::string("\"") + second_tensor + "\":\"a.safetensors\",");
                 },
                 bad_file, {second_tensor, "twice"}),
      with_index(
          "IndexNamesANumber",
          [](Json index) {
            index["weight_map"][second_tensor] = 1;
            return index.dump();
          },
          bad_file, index_and_tensor),
      with_index("IndexNamesNothing", moved_to(""), bad_file, index_and_tensor),
      with_index("IndexNamesTheFolder", moved_to("."), bad_file, index_and_tensor),
      with_index("IndexNamesTheFolderAbove", moved_to(".."), bad_file, index_and_tensor),
      with_index("IndexClimbs", moved_to("../../etc/passwd"), bad_file, index_and_tensor),
      with_index("IndexNamesAnyFile", moved_to("/etc/passwd"), bad_file, index_and_tensor),
      with_index("IndexNamesAWindowsPath", moved_to("..\\a.safetensors"), bad_file,
                 index_and_tensor),
      with_index("IndexNamesTwoLines", moved_to("a\nb.safetensors"), bad_file, index_and_tensor),
      with_index("IndexNamesItself", moved_to("model.safetensors.index.json"), bad_file,
                 index_file),
      with_index("IndexNamesTheConfig", moved_to("config.json"), bad_file, {"config.json"}),
      with_index("IndexNamesAFileThatIsNotThere", moved_to("c.safetensors"), missing,
                 {"c.safetensors"}),
      with_index("IndexNamesTheWrongShard", moved_to("b.safetensors"), bad_file,
                 {"b.safetensors", second_tensor}),
      with_index("IndexPromisesMore",
                 [](Json index) {
                   index["weight_map"]["model.layers.7.norm.weight"] = "a.safetensors";
                   return index.dump();
                 },
                 bad_file, {"a.safetensors", "model.layers.7.norm.weight"}),
      with_index("IndexNamesThousandsOfFiles",
                 [](Json index) {
                   for (int i = 0; i < 5000; ++i) {
                     index["weight_map"]["t" + std::to_string(i)] =
                         std::to_string(i) + ".safetensors";
                   }
                   return index.dump();
                 },
                 missing, {"5000", "..."}),
      with_shards("FirstShardIsMissing", [](const fs::path& f) { fs::remove(f / "a.safetensors"); },
                  missing, {"a.safetensors"}),
      with_shards("LastShardIsMissing", [](const fs::path& f) { fs::remove(f / "b.safetensors"); },
                  missing, {"b.safetensors"}),
      with_shards("AllShardsAreMissing",
                  [](const fs::path& f) {
                    fs::remove(f / "a.safetensors");
                    fs::remove(f / "b.safetensors");
                  },
                  missing, {"a.safetensors", "b.safetensors"}),
      with_shards("ShardIsEmpty", [](const fs::path& f) { write_file(f / "b.safetensors", ""); },
                  bad_file, {"b.safetensors"}),
      with_shards("ShardIsCut",
                  [](const fs::path& f) { fs::resize_file(f / "b.safetensors", 9000); }, bad_file,
                  {"b.safetensors"}),
      with_shards("ShardIsAFolder",
                  [](const fs::path& f) {
                    fs::remove(f / "b.safetensors");
                    fs::create_directory(f / "b.safetensors");
                  },
                  {MINIMAX_IO_ERROR}, {"b.safetensors"}),
      with_shards("ShardsAreExchanged",
                  [](const fs::path& f) {
                    fs::rename(f / "a.safetensors", f / "c");
                    fs::rename(f / "b.safetensors", f / "a.safetensors");
                    fs::rename(f / "c", f / "b.safetensors");
                  },
                  bad_file, {".safetensors", "missing"}),
  };
}

}  // namespace minimax::testing
