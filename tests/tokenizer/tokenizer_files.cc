// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_files.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <sstream>

#include "base/file_map.h"

namespace minimax {
namespace {

void append_utf8(std::string& out, uint32_t point) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (point >> shift & 0x3f)); };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    tail(0);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | point >> 12);
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xf0 | point >> 18);
    tail(12), tail(6), tail(0);
  }
}

std::vector<int32_t> ids_of(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : json) ids.push_back(id.get<int32_t>());
  return ids;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "minimax-test-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TemporaryFolder::write(const std::string& name, std::string_view content) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
}

std::string byte_spelling(int byte) {
  const auto is_visible = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  int letter = byte;
  if (!is_visible(byte)) {
    letter = 256;
    for (int b = 0; b < byte; ++b) letter += !is_visible(b);
  }
  std::string out;
  append_utf8(out, static_cast<uint32_t>(letter));
  return out;
}

Json small_tokenizer_json() {
  Json vocab;
  for (int byte = 0; byte < 256; ++byte) vocab[byte_spelling(byte)] = byte;
  vocab["ab"] = 256, vocab["abc"] = 257, vocab["cd"] = 258, vocab["abcd"] = 259;
  Json json = Json::parse(R"({
    "added_tokens": [{"id": 260, "content": "<end>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "merges": [["a", "b"], ["ab", "c"], ["c", "d"], ["ab", "cd"]]}
  })");
  json["model"]["vocab"] = std::move(vocab);
  return json;
}

std::vector<GoldenText> read_golden(const std::string& jsonl) {
  std::vector<GoldenText> out;
  std::istringstream lines(jsonl);
  for (std::string line; std::getline(lines, line);) {
    const Json json = parse_json(line, "golden");
    GoldenText golden{json["text"].get<std::string>(), ids_of(json["ids"]), {}};
    golden.plain_ids = json.contains("plain_ids") ? ids_of(json["plain_ids"]) : golden.ids;
    out.push_back(std::move(golden));
  }
  return out;
}

std::string read_gzip(const std::filesystem::path& path) {
  std::string out;
  FILE* pipe = popen(("gzip -dc '" + path.string() + "'").c_str(), "r");
  if (!pipe) return out;
  char buffer[65536];
  while (const size_t count = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, count);
  pclose(pipe);
  return out;
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text,
                            SpecialTokens specials) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, specials, ids);
  return ids;
}

std::string decode(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string out;
  tokenizer.decode(ids, true, out);
  return out;
}

std::string random_unicode(uint32_t seed, size_t character_count) {
  // Blocks whose characters the split pattern tells apart, the common ones more often.
  static constexpr uint32_t blocks[][2] = {
      {0x61, 26},       {0x41, 26},       {0x20, 1},        {0x20, 1},         {0x09, 5},
      {0x30, 10},       {0x21, 15},       {0x27, 1},        {0x27, 1},         {0x0a, 1},
      {0x0d, 1},        {0x73, 2},        {0x17f, 1},       {0x2f, 1},         {0xa0, 0x60},
      {0x100, 0x150},   {0x2b0, 0x80},    {0x300, 0x70},    {0x370, 0x190},    {0x590, 0x70},
      {0x600, 0x100},   {0x660, 10},      {0x900, 0x80},    {0xe00, 0x60},     {0x10a0, 0x60},
      {0x1c4, 9},       {0x1680, 1},      {0x180e, 1},      {0x2000, 0x70},    {0x2150, 0x40},
      {0x3000, 0x100},  {0x4e00, 0x5200}, {0xac00, 0x2ba4}, {0xfe00, 0x10},    {0xff00, 0xf0},
      {0x1d400, 0x400}, {0x1f300, 0x300}, {0x1e900, 0x60},  {0x20000, 0x1000}, {0xe0100, 0xf0}};
  std::minstd_rand random(seed);
  std::string out;
  for (size_t i = 0; i < character_count; ++i) {
    const auto& block = blocks[random() % std::size(blocks)];
    append_utf8(out, block[0] + static_cast<uint32_t>(random()) % block[1]);
  }
  return out;
}

std::string random_bytes(uint32_t seed, size_t size) {
  std::minstd_rand random(seed);
  std::string out;
  while (out.size() < size) {
    // Halves of characters and plain letters in turn, so that both meet.
    const bool any = random() % 2 == 0;
    out += static_cast<char>(any ? random() >> 8 : 'a' + random() % 26);
  }
  return out;
}

}  // namespace minimax
