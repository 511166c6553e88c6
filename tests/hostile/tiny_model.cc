// SPDX-License-Identifier: Apache-2.0
#include "tiny_model.h"

#include <stdlib.h>

#include <cstring>
#include <fstream>
#include <random>
#include <span>
#include <sstream>
#include <stdexcept>

namespace minimax::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* config_text = R"({
  "architectures": ["MiniMaxText01ForCausalLM"], "model_type": "minimax_text_01",
  "vocab_size": 272, "hidden_size": 16, "num_hidden_layers": 2,
  "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "rotary_dim": 8,
  "rope_theta": 10000.0, "intermediate_size": 16, "num_local_experts": 2,
  "num_experts_per_tok": 2, "hidden_act": "silu", "attn_type_list": [0, 1],
  "rms_norm_eps": 1e-05, "postnorm": true,
  "layernorm_full_attention_alpha": 2.0, "layernorm_full_attention_beta": 1.0,
  "layernorm_linear_attention_alpha": 2.0, "layernorm_linear_attention_beta": 1.0,
  "layernorm_mlp_alpha": 2.0, "layernorm_mlp_beta": 1.0,
  "shared_intermediate_size": 0, "max_position_embeddings": 4096,
  "tie_word_embeddings": false, "torch_dtype": "float32"
})";

// As the released ones: a pattern that splits words, then the byte-level alphabet.
constexpr const char* tokenizer_text = R"({
  "added_tokens": [
    {"id": 260, "content": "<beginning_of_sentence>", "special": true},
    {"id": 261, "content": "<end_of_sentence>", "special": true}
  ],
  "normalizer": null,
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern":
      {"Regex": "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+|\\p{L}+"},
     "behavior": "Isolated", "invert": false},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "merges": [["a", "b"], ["ab", "c"], ["c", "d"], ["ab", "cd"]],
            "vocab": {"ab": 256, "abc": 257, "cd": 258, "abcd": 259}}
})";

constexpr const char* tokenizer_config_text = R"({
  "tokenizer_class": "GPT2Tokenizer", "eos_token": "<end_of_sentence>",
  "chat_template": "{{ '<beginning_of_sentence>ai name=assistant\n' }}"
})";

std::string spelling_of(uint32_t byte) {
  const auto is_visible = [](uint32_t b) {
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
  };
  uint32_t letter = byte;
  if (!is_visible(byte)) {
    letter = 0x100;
    for (uint32_t b = 0; b < byte; ++b) letter += !is_visible(b);
  }
  if (letter < 0x80) return {static_cast<char>(letter)};
  return {static_cast<char>(0xc0 | letter >> 6), static_cast<char>(0x80 | (letter & 0x3f))};
}

void add_tensor(std::vector<TinyTensor>& tensors, std::string name, std::vector<int64_t> shape) {
  std::minstd_rand random(static_cast<uint32_t>(1000 + tensors.size()));
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  const bool is_norm = shape.size() == 1;
  TinyTensor tensor{std::move(name), std::move(shape), {}};
  for (int64_t i = 0; i < count; ++i) {
    const float number =
        (static_cast<float>(random() % 2001) - 1000.0f) / 2000.0f + (is_norm ? 1.0f : 0.0f);
    char bytes[sizeof number];
    std::memcpy(bytes, &number, sizeof number);
    tensor.data.append(bytes, sizeof number);
  }
  tensors.push_back(std::move(tensor));
}

OrderedJson header_of(std::span<const TinyTensor> tensors) {
  OrderedJson header;
  size_t at = 0;
  for (const TinyTensor& tensor : tensors) {
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {at, at + tensor.data.size()}}};
    at += tensor.data.size();
  }
  return header;
}

std::string data_of(std::span<const TinyTensor> tensors) {
  std::string data;
  for (const TinyTensor& tensor : tensors) data += tensor.data;
  return data;
}

}  // namespace

ScratchFolder::ScratchFolder() {
  std::string name = (fs::temp_directory_path() / "minimax-hostile-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void write_file(const fs::path& path, std::string_view content) {
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string safetensors_of_text(std::string_view header, std::string_view data) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(uint64_t{header.size()} >> (8 * i));
  file += header;
  file += data;
  return file;
}

std::string safetensors(const OrderedJson& header, std::string_view data) {
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the data is aligned
  return safetensors_of_text(text, data);
}

TinyModel::TinyModel()
    : config(Json::parse(config_text)),
      tokenizer(Json::parse(tokenizer_text)),
      tokenizer_config(Json::parse(tokenizer_config_text)) {
  for (uint32_t byte = 0; byte < 256; ++byte) tokenizer["model"]["vocab"][spelling_of(byte)] = byte;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    add_tensor(tensors, name, std::move(shape));
  };
  const int64_t W = width, V = vocabulary_size, heads = 32, kv = 16, F = 16, X = 2;
  add("model.embed_tokens.weight", {V, W});
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    const std::string attention = layer + "self_attn.";
    add(layer + "input_layernorm.weight", {W});
    if (layer.ends_with("0.")) {
      add(attention + "qkv_proj.weight", {3 * heads, W});
      add(attention + "output_gate.weight", {heads, W});
      add(attention + "norm.weight", {heads});
      add(attention + "out_proj.weight", {W, heads});
    } else {
      add(attention + "q_proj.weight", {heads, W});
      add(attention + "k_proj.weight", {kv, W});
      add(attention + "v_proj.weight", {kv, W});
      add(attention + "o_proj.weight", {W, heads});
    }
    add(layer + "post_attention_layernorm.weight", {W});
    add(layer + "block_sparse_moe.gate.weight", {X, W});
    for (int64_t e = 0; e < X; ++e) {
      const std::string expert = layer + "block_sparse_moe.experts." + std::to_string(e) + ".";
      add(expert + "w1.weight", {F, W});
      add(expert + "w3.weight", {F, W});
      add(expert + "w2.weight", {W, F});
    }
  }
  add("model.norm.weight", {W});
  add("lm_head.weight", {V, W});
}

OrderedJson TinyModel::header() const {
  return header_of(tensors);
}

std::string TinyModel::data() const {
  return data_of(tensors);
}

Json TinyModel::index() const {
  Json index;
  index["metadata"]["total_size"] = data().size();
  for (size_t i = 0; i < tensors.size(); ++i) {
    index["weight_map"][tensors[i].name] =
        i < tensors.size() / 2 ? "a.safetensors" : "b.safetensors";
  }
  return index;
}

void TinyModel::write(const fs::path& folder) const {
  write_file(folder / "config.json", config.dump());
  write_file(folder / "tokenizer.json", tokenizer.dump());
  write_file(folder / "tokenizer_config.json", tokenizer_config.dump());
  write_file(folder / "model.safetensors", safetensors(header(), data()));
}

void TinyModel::write_shards(const fs::path& folder) const {
  write(folder);
  fs::remove(folder / "model.safetensors");
  const std::span all(tensors);
  const auto first = all.first(all.size() / 2), second = all.subspan(all.size() / 2);
  write_file(folder / "a.safetensors", safetensors(header_of(first), data_of(first)));
  write_file(folder / "b.safetensors", safetensors(header_of(second), data_of(second)));
  write_file(folder / "model.safetensors.index.json", index().dump());
}

}  // namespace minimax::testing
