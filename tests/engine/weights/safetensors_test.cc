// SPDX-License-Identifier: Apache-2.0
#include "engine/weights/safetensors.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/engine/weights/test_files.h"

namespace minimax {
namespace {

std::vector<StoredTensor> read(std::string_view file) {
  return read_safetensors_header(std::as_bytes(std::span(file)), "x.safetensors");
}

const std::string good_header =
    R"({"__metadata__":{"format":"pt","more":{"deep":[1,-2,null]}},)"
    R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
    R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"note":[{"x":1.5}]},)"
    R"("none":{"dtype":"F16","shape":[0,7],"data_offsets":[8,8]},)"
    R"("scalar":{"dtype":"I32","shape":[],"data_offsets":[20,24]}}  )";

TEST(Safetensors, ListsTensorsByOffset) {
  const std::string file = safetensors(good_header, 24);
  const std::vector<StoredTensor> tensors = read(file);
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].dtype, DType::f32);
  EXPECT_EQ(tensors[0].offset, 8 + good_header.size());
  EXPECT_EQ(tensors[0].size_bytes, 8u);
  const StoredTensor& b = tensors[1];
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.dims, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(b.offset, 8 + good_header.size() + 8);
  EXPECT_EQ(tensors[3].dims.size(), 0u);
}

TEST(Safetensors, ListsTypesItCannotCompute) {
  const auto tensors =
      read(safetensors(R"({"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]},)"
                       R"("b":{"dtype":"Q4_NEW","shape":[3],"data_offsets":[3,5]},)"
                       R"("c":{"dtype":"I64","shape":[1,1,1,1,1],"data_offsets":[5,13]}})",
                       13));
  ASSERT_EQ(tensors.size(), 3u);
  for (const StoredTensor& tensor : tensors) EXPECT_FALSE(tensor.dtype);
  EXPECT_EQ(tensors[1].dtype_name, "Q4_NEW");
}

TEST(Safetensors, AllowsHolesAndTrailingBytes) {
  EXPECT_EQ(
      read(safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 99)).size(),
      1u);
}

struct HostileHeader {
  std::string header;
  std::string sentence;  // a part of it
};

// One tensor of 8 bytes with this in place of its members.
std::string tensor(std::string_view members) {
  return text(R"({"t":{)", members, "}}");
}

std::vector<HostileHeader> hostile_headers() {
  const std::string big = "18446744073709551615", ok = R"("dtype":"F32","shape":[2])";
  const std::string offsets = R"("data_offsets":[0,8])";
  const std::string whole = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  return {
      {"", "x.safetensors: not valid JSON"},
      {"[]", "header is a list, expected an object"},
      {"3", "header is a number, expected an object"},
      {"null", "expected an object"},
      {"\"x\"", "header is text, expected an object"},
      {"{", "not valid JSON at byte"},
      {"{}}", "not valid JSON at byte"},
      {"{\"a\":\xff\xfe}", "not valid JSON at byte"},
      {"{\"\xc3\x28\":1}", "not valid JSON at byte"},
      {std::string("{\"a\0\":1}", 8), "not valid JSON at byte"},
      {R"({"t":5})", "tensor t: a number, expected an object"},
      {R"({"t":-5})", "tensor t: null, true, false, negative or a fraction, expected an object"},
      {R"({"t":null})", "expected an object"},
      {R"({"t":"x"})", "tensor t: text, expected an object"},
      {R"({"t":[]})", "tensor t: a list, expected an object"},
      {R"({"t":{}})", "tensor t: dtype is missing"},
      {tensor(R"("shape":[2],"data_offsets":[0,8])"), "tensor t: dtype is missing"},
      {tensor(R"("dtype":"F32","data_offsets":[0,8])"), "tensor t: shape is missing"},
      {tensor(ok), "tensor t: data_offsets is missing"},
      {tensor(R"("dtype":32,"shape":[2],)" + offsets), "dtype is a number, expected a string"},
      {tensor(R"("dtype":null,"shape":[2],)" + offsets), "expected a string"},
      {tensor(R"("dtype":["F32"],"shape":[2],)" + offsets), "dtype is a list, expected a string"},
      {tensor(R"("dtype":{},"shape":[2],)" + offsets), "dtype is an object, expected a string"},
      {tensor(R"("dtype":"F32","shape":2,)" + offsets), "shape is a number, expected a list"},
      {tensor(R"("dtype":"F32","shape":"2",)" + offsets), "shape is text, expected a list"},
      {tensor(R"("dtype":"F32","shape":{},)" + offsets), "shape is an object, expected a list"},
      {tensor(R"("dtype":"F32","shape":[-2],)" + offsets),
       "shape, expected a list of whole numbers"},
      {tensor(R"("dtype":"F32","shape":[2.0],)" + offsets), "shape, expected a list of whole"},
      {tensor(R"("dtype":"F32","shape":[1e3],)" + offsets), "shape, expected a list of whole"},
      {tensor(R"("dtype":"F32","shape":["2"],)" + offsets), "shape, expected a list of whole"},
      {tensor(R"("dtype":"F32","shape":[[2]],)" + offsets), "shape, expected a list of whole"},
      {tensor(R"("dtype":"F32","shape":[{}],)" + offsets), "shape, expected a list of whole"},
      {tensor(R"("dtype":"F32","shape":[null],)" + offsets), "shape, expected a list of whole"},
      {tensor(R"("dtype":"F32","shape":[)" + big + "]," + offsets), "overflows"},
      {tensor(R"("dtype":"F32","shape":[18446744073709551616],)" + offsets), "whole numbers"},
      {tensor(R"("dtype":"F32","shape":[4294967296,4294967296],)" + offsets),
       "shape [4294967296, 4294967296] overflows"},
      {tensor(R"("dtype":"F32","shape":[9223372036854775807],)" + offsets), "of F32 overflows"},
      {tensor(R"("dtype":"F32","shape":[3037000500,3037000500],)" + offsets), "overflows"},
      {tensor(R"("dtype":"F32","shape":[)" +
              [] {
                std::string ones = "1";
                for (int i = 0; i < 100; ++i) ones += ",1";
                return ones;
              }() +
              "]," + offsets),
       "shape has more than 64 numbers"},
      {tensor(R"("dtype":"F32","shape":[3],)" + offsets),
       "data_offsets hold 8 bytes, expected 12 for [3] of F32"},
      {tensor(R"("dtype":"BF16","shape":[2],)" + offsets),
       "data_offsets hold 8 bytes, expected 4 for [2] of BF16"},
      {tensor(R"("dtype":"F32","shape":[0],)" + offsets), "expected 0 for [0] of F32"},
      {tensor(ok + R"(,"data_offsets":[])"), "data_offsets has 0 numbers, expected 2"},
      {tensor(ok + R"(,"data_offsets":[0])"), "data_offsets has 1 numbers, expected 2"},
      {tensor(ok + R"(,"data_offsets":[0,8,8])"), "data_offsets has 3 numbers, expected 2"},
      {tensor(ok + R"(,"data_offsets":[8,0])"),
       "data_offsets [8, 0], expected the first not above"},
      {tensor(ok + R"(,"data_offsets":[-8,0])"), "data_offsets, expected a list of whole numbers"},
      {tensor(ok + R"(,"data_offsets":[0,8.0])"), "data_offsets, expected a list of whole numbers"},
      {tensor(ok + R"(,"data_offsets":"0,8")"), "data_offsets is text"},
      {tensor(ok + R"(,"data_offsets":null)"), "data_offsets is null"},
      {tensor(ok + R"(,"data_offsets":[1,9])"),
       "data_offsets [1, 9], the file holds 8 bytes of data"},
      {tensor(ok + R"(,"data_offsets":[1000,1008])"), "the file holds 8 bytes of data"},
      {tensor(ok + R"(,"data_offsets":[0,)" + big + "]"), "the file holds 8 bytes of data"},
      {tensor(ok + R"(,"data_offsets":[18446744073709551608,18446744073709551615])"),
       "the file holds 8 bytes of data"},
      {tensor(R"("dtype":"NEW","shape":[1],"data_offsets":[4,9])"),
       "the file holds 8 bytes of data"},
      {tensor(ok + "," + ok + "," + offsets), "tensor t: dtype is there twice"},
      {tensor(ok + R"(,"shape":[2],)" + offsets), "tensor t: shape is there twice"},
      {tensor(ok + "," + offsets + "," + offsets), "tensor t: data_offsets is there twice"},
      {text(R"({"t":)", whole, R"(,"t":)", whole, "}"), "tensor t is there twice"},
      {text(R"({"t":)", whole, R"(,"u":)", whole, "}"), "overlaps t, which ends at byte"},
      {text(R"({"t":)", whole, R"(,"u":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
       "tensor u overlaps t"},
      {text(R"({"t":)", whole, R"(,"u":{"dtype":"NEW","shape":[1],"data_offsets":[3,4]}})"),
       "tensor u overlaps t"},
      {std::string(100000, '['), "header is a list"},
      {R"({"__metadata__":)" + std::string(100000, '['), "nests deeper than 64"},
      {R"({"t":{"x":)" + std::string(100000, '['), "nests deeper than 64"},
      {R"({"t":{"shape":)" + std::string(100000, '['), "shape, expected a list"},
      {R"({")" + std::string(100000, 'n') + R"(":5})", "nnn...: a number, expected an object"},
      {R"({"a\u0000\n":5})", R"(tensor "a\u0000\n": a number)"},
      {R"({"":5})", R"(tensor "": a number)"},
  };
}

TEST(Safetensors, RefusesHostileHeadersInWords) {
  for (const HostileHeader& hostile : hostile_headers()) {
    const std::string sentence = sentence_of([&] { read(safetensors(hostile.header, 8)); });
    EXPECT_EQ(sentence.rfind("x.safetensors: ", 0), 0u) << sentence;
    EXPECT_NE(sentence.find(hostile.sentence), sentence.npos)
        << sentence << "\nexpected: " << hostile.sentence;
    EXPECT_LT(sentence.size(), 400u) << sentence;
  }
}

TEST(Safetensors, RefusesImpossibleLengths) {
  const std::string file = safetensors(good_header, 24);
  EXPECT_EQ(sentence_of([&] { read(""); }),
            "x.safetensors: 0 bytes, expected a safetensors file of at least 8");
  EXPECT_EQ(sentence_of([&] { read("1234567"); }),
            "x.safetensors: 7 bytes, expected a safetensors file of at least 8");
  EXPECT_EQ(sentence_of([&] { read(std::string(8, '\0')); }),
            "x.safetensors: not valid JSON at byte 1");
  EXPECT_EQ(sentence_of([&] { read(std::string(8, '\xff') + file); }),
            "x.safetensors: header of 18446744073709551615 bytes, expected at most 100000000");
  EXPECT_EQ(sentence_of([&] { read(std::string("\x09\0\0\0\0\0\0\0", 8) + "12345678"); }),
            "x.safetensors: header of 9 bytes, the file has 16");
}

TEST(Safetensors, RefusesEveryTruncation) {
  const std::string file = safetensors(good_header, 24);
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(sentence_of([&] { read(std::string_view(file).substr(0, size)); }), "no error")
        << size;
  }
  EXPECT_EQ(sentence_of([&] { read(file); }), "no error");
}

// What is read in spite of a flipped bit lies within the file.
TEST(Safetensors, SurvivesEveryFlippedBit) {
  const std::string file = safetensors(good_header, 24);
  for (size_t bit = 0; bit < 8 * (file.size() - 24); ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    sentence_of([&] {
      for (const StoredTensor& tensor : read(flipped)) {
        ASSERT_LE(tensor.offset, flipped.size()) << bit;
        ASSERT_LE(tensor.size_bytes, flipped.size() - tensor.offset) << bit;
      }
    });
  }
}

TEST(Safetensors, SurvivesRandomBytesOverTheHeader) {
  const uint32_t seed = 20260923;
  std::mt19937 random(seed);
  const std::string file = safetensors(good_header, 24);
  for (int round = 0; round < 20000; ++round) {
    std::string broken = file;
    const size_t count = 1 + random() % 6;
    for (size_t i = 0; i < count; ++i) {
      static constexpr std::string_view bytes = "0123456789[]{}\",:-.eE \\ntu\x80\xff";
      broken[8 + random() % good_header.size()] = bytes[random() % bytes.size()];
    }
    sentence_of([&] { read(broken); });
  }
}

}  // namespace
}  // namespace minimax
