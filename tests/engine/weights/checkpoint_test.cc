// SPDX-License-Identifier: Apache-2.0
#include "engine/weights/checkpoint.h"

#include <gtest/gtest.h>

#include "tests/engine/weights/test_files.h"

namespace minimax {
namespace {

std::string one_tensor(std::string_view name, float value) {
  return safetensors(text(R"({")", name, R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
                     bytes_of({value}));
}

std::string index_of(std::string_view weight_map) {
  return text(R"({"metadata":{"total_size":12},"weight_map":{)", weight_map, "}}");
}

float value_of(const Checkpoint& checkpoint, std::string_view name) {
  float value = 0;
  std::memcpy(&value, checkpoint.bytes(name).data(), sizeof value);
  return value;
}

TEST(Checkpoint, ReadsASingleFile) {
  const TempFolder folder;
  folder.write("model.safetensors", one_tensor("a", 7));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(checkpoint.has_headers());
  EXPECT_EQ(checkpoint.tensor_count(), 1u);
  EXPECT_EQ(value_of(checkpoint, "a"), 7);
  EXPECT_EQ(checkpoint.file_name("a"), "model.safetensors");
  EXPECT_FALSE(checkpoint.has("b"));
  EXPECT_EQ(checkpoint.find("b"), nullptr);
}

TEST(Checkpoint, ReadsShardsThroughTheirIndex) {
  const TempFolder folder;
  folder.write("s1.safetensors", one_tensor("a", 1));
  folder.write("s2.safetensors", one_tensor("b", 2));
  folder.write("model.safetensors.index.json",
               index_of(R"("a":"s1.safetensors","b":"s2.safetensors")"));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.tensor_count(), 2u);
  EXPECT_EQ(checkpoint.total_size_bytes(), 12u);
  EXPECT_EQ(value_of(checkpoint, "a"), 1);
  EXPECT_EQ(value_of(checkpoint, "b"), 2);
  EXPECT_EQ(checkpoint.file_name("b"), "s2.safetensors");
}

TEST(Checkpoint, TakesATensorFromTheShardThatTheIndexNames) {
  const TempFolder folder;
  folder.write("s1.safetensors", one_tensor("a", 1));
  folder.write("s2.safetensors", one_tensor("a", 2));
  folder.write("model.safetensors.index.json", index_of(R"("a":"s2.safetensors")"));
  EXPECT_EQ(value_of(Checkpoint::open(folder.path()), "a"), 2);
}

TEST(Checkpoint, MovesWithItsTensors) {
  const TempFolder folder;
  folder.write("model.safetensors", one_tensor("a", 7));
  Checkpoint first = Checkpoint::open(folder.path());
  const Checkpoint second = std::move(first);
  EXPECT_EQ(value_of(second, "a"), 7);
}

TEST(Checkpoint, NamesWhatIsMissing) {
  const TempFolder folder;
  EXPECT_EQ(sentence_of([&] { Checkpoint::open(folder.path()); }, MINIMAX_NOT_FOUND),
            folder.path().string() +
                ": neither model.safetensors nor model.safetensors.index.json is there");
  folder.write("s1.safetensors", one_tensor("a", 1));
  folder.write("model.safetensors.index.json",
               index_of(R"("a":"s1.safetensors","b":"s2.safetensors","c":"s3.safetensors")"));
  EXPECT_EQ(sentence_of([&] { Checkpoint::open(folder.path()); }, MINIMAX_NOT_FOUND),
            folder.path().string() +
                ": 2 of 3 files that model.safetensors.index.json names are "
                "missing: s2.safetensors, s3.safetensors");
  const TempFolder nowhere;
  EXPECT_NE(sentence_of([&] { Checkpoint::open(nowhere.path() / "x"); }, MINIMAX_NOT_FOUND),
            "no error");
}

TEST(Checkpoint, OpensNamesAloneWhenShardsAreMissing) {
  const TempFolder folder;
  folder.write("model.safetensors.index.json", index_of(R"("a":"s1.safetensors")"));
  const Checkpoint checkpoint = Checkpoint::open_names(folder.path());
  EXPECT_FALSE(checkpoint.has_headers());
  EXPECT_TRUE(checkpoint.has("a"));
  EXPECT_EQ(checkpoint.find("a"), nullptr);
  EXPECT_EQ(checkpoint.require({"a", {1}}), nullptr);
  EXPECT_EQ(
      sentence_of([&] {
        checkpoint.require({"b", {4, 2}});
      }),
      "model.safetensors.index.json: tensor b is missing, expected [4, 2] (from config.json)");
  folder.write("s1.safetensors", one_tensor("a", 1));
  EXPECT_TRUE(Checkpoint::open_names(folder.path()).has_headers());
}

TEST(Checkpoint, RequiresShapeAndType) {
  const TempFolder folder;
  folder.write("model.safetensors",
               safetensors(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                           R"("i":{"dtype":"I32","shape":[2],"data_offsets":[24,32]},)"
                           R"("q":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[32,36]},)"
                           R"("r":{"dtype":"U8","shape":[1,1,1,1,4],"data_offsets":[36,40]}})",
                           40));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_NE(checkpoint.require({"a", {2, 3}}), nullptr);
  EXPECT_EQ(sentence_of([&] {
              checkpoint.require({"a", {3, 2}});
            }),
            "model.safetensors: tensor a is [2, 3], expected [3, 2] (from config.json)");
  EXPECT_EQ(sentence_of([&] {
              checkpoint.require({"a", {6}});
            }),
            "model.safetensors: tensor a is [2, 3], expected [6] (from config.json)");
  EXPECT_EQ(sentence_of([&] {
              checkpoint.require({"q", {4}});
            }),
            "model.safetensors: tensor q is of type F8_E4M3, expected BF16, F16 or F32");
  EXPECT_EQ(sentence_of([&] {
              checkpoint.require({"i", {2}});
            }),
            "model.safetensors: tensor i is of type I32, expected BF16, F16 or F32");
  EXPECT_EQ(sentence_of([&] {
              checkpoint.require({"r", {4}});
            }),
            "model.safetensors: tensor r is [1, 1, 1, 1, 4], expected [4] (from config.json)");
  EXPECT_EQ(sentence_of([&] {
              checkpoint.require({"x", {4}});
            }),
            "model.safetensors: tensor x is missing, expected [4] (from config.json)");
}

struct HostileIndex {
  std::string json;
  std::string sentence;
};

std::vector<HostileIndex> hostile_indices() {
  const std::string folder = "expected the name of a file in the same folder";
  return {
      {"", "not valid JSON at byte 1"},
      {"[]", "a list, expected an object"},
      {"7", "a single value, expected an object"},
      {"{}", "weight_map is missing, expected an object"},
      {R"({"weight_map":[]})", "weight_map is a list, expected an object"},
      {R"({"weight_map":null})", "weight_map is a single value, expected an object"},
      {R"({"weight_map":"x"})", "weight_map is a single value, expected an object"},
      {R"({"weight_map":{"a":1}})", "tensor a is in no file, expected a name"},
      {R"({"weight_map":{"a":-1}})", "tensor a is in no file, expected a name"},
      {R"({"weight_map":{"a":null}})", "tensor a is in no file, expected a name"},
      {R"({"weight_map":{"a":["x"]}})", "tensor a is in no file, expected a name"},
      {R"({"weight_map":{"a":{"b":"x"}}})", "tensor a is in no file, expected a name"},
      {R"({"weight_map":{"a":"../x.safetensors"}})", "tensor a is in ../x.safetensors, " + folder},
      {R"({"weight_map":{"a":"/etc/passwd"}})", "tensor a is in /etc/passwd, " + folder},
      {R"({"weight_map":{"a":"b/c"}})", "tensor a is in b/c, " + folder},
      {R"({"weight_map":{"a":"b\\c"}})", folder},
      {R"({"weight_map":{"a":".."}})", "tensor a is in .., " + folder},
      {R"({"weight_map":{"a":"."}})", "tensor a is in ., " + folder},
      {R"({"weight_map":{"a":""}})", R"(tensor a is in "", )" + folder},
      {R"({"weight_map":{"a":"x\u0000.safetensors"}})", folder},
      {R"({"weight_map":{"a":"x\n"}})", folder},
      {R"({"weight_map":{"a":")" + std::string(300, 'x') + R"("}})", folder},
      {R"({"weight_map":{"a":"x.safetensors","a":"x.safetensors"}})", "tensor a is there twice"},
      {R"({"weight_map":{"a":"x.safetensors"},"weight_map":{}})", "weight_map is there twice"},
      {R"({"weight_map":{"a":"x.safetensors"})", "not valid JSON at byte"},
      {R"({"metadata":)" + std::string(1000, '['), "nests deeper than 64"},
      {"{\"weight_map\":{\"a\":\"\xff\"}}", "not valid JSON at byte"},
      {R"({"weight_map":{"b":"x.safetensors"}})",
       "x.safetensors: tensor b is missing, expected here by model.safetensors.index.json"},
      {R"({"weight_map":{"a":"folder"}})", "folder: not a regular file"},
      {R"({"weight_map":{"a":"empty.safetensors"}})",
       "empty.safetensors: 0 bytes, expected a safe"},
  };
}

TEST(Checkpoint, RefusesHostileIndicesInWords) {
  const TempFolder folder;
  folder.write("x.safetensors", one_tensor("a", 1));
  folder.write("empty.safetensors", "");
  std::filesystem::create_directory(folder.path() / "folder");
  for (const HostileIndex& hostile : hostile_indices()) {
    folder.write("model.safetensors.index.json", hostile.json);
    const bool is_folder = hostile.sentence.starts_with("folder:");
    const std::string sentence = sentence_of([&] { Checkpoint::open(folder.path()); },
                                             is_folder ? MINIMAX_IO_ERROR : MINIMAX_BAD_FILE);
    EXPECT_NE(sentence.find(hostile.sentence), sentence.npos)
        << sentence << "\nexpected: " << hostile.sentence;
  }
}

TEST(Checkpoint, RefusesFoldersInPlaceOfFiles) {
  const TempFolder folder;
  std::filesystem::create_directory(folder.path() / "model.safetensors");
  EXPECT_EQ(sentence_of([&] { Checkpoint::open(folder.path()); }, MINIMAX_IO_ERROR),
            (folder.path() / "model.safetensors").string() + ": not a regular file");
}

TEST(Checkpoint, IgnoresTotalSizesThatAreNone) {
  EXPECT_FALSE(parse_checkpoint_index(R"({"metadata":{"total_size":1.5},"weight_map":{}})", "i")
                   .total_size_bytes);
  EXPECT_FALSE(
      parse_checkpoint_index(R"({"metadata":null,"weight_map":{}})", "i").total_size_bytes);
}

}  // namespace
}  // namespace minimax
