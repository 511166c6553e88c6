// SPDX-License-Identifier: Apache-2.0
// A loaded model with everything that is said about it in words: engine, tokenizer, chat format. What
// the handles of the C functions hold on to.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "sdk/pictures.h"
#include "sdk/prefix_cache.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace minimax {

// Immutable after load but for what the engine guards itself; any thread.
class Model {
 public:
  static std::shared_ptr<Model> load(const std::filesystem::path& path,
                                     const EngineOptions& options);

  Engine& engine() const { return *engine_; }
  Pictures& pictures() const { return *pictures_; }
  PrefixCache& prefixes() const { return *prefixes_; }
  // MINIMAX_NOT_AVAILABLE when there is none.
  const Tokenizer& tokenizer() const;
  bool has_tokenizer() const { return tokenizer_ != nullptr; }
  std::optional<ChatFormat> chat_format() const { return chat_format_; }
  int32_t vocabulary_size() const {
    return static_cast<int32_t>(engine_->config().vocabulary_size);
  }

  // Ends an answer; none when neither config nor tokenizer name one.
  std::optional<int32_t> stop_token() const { return stop_token_; }
  bool is_stop(int32_t token) const;
  // Ids that must never be sampled, ascending: undefined ones, and those with an all-zero embedding
  // (docs/model.md §6).
  const std::vector<int32_t>& suppressed() const { return suppressed_; }
  bool is_suppressed(int32_t token) const;
  // Sessions say that they are there, for minimax_engine_get_memory.
  void session_began(size_t bytes) { ++session_count_, session_bytes_ += bytes; }
  void session_ended(size_t bytes) { --session_count_, session_bytes_ -= bytes; }
  uint64_t session_count() const { return session_count_; }
  uint64_t session_bytes() const { return session_bytes_; }

  // MINIMAX_INVALID_ARGUMENT, naming the place, unless all are below the vocabulary size.
  void check_tokens(std::span<const int32_t> tokens) const;

 private:
  void find_stop_tokens();
  void find_suppressed();

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Pictures> pictures_;     // gone before the engine
  std::unique_ptr<PrefixCache> prefixes_;  // likewise
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<ChatFormat> chat_format_;
  std::vector<int32_t> stop_tokens_;
  std::optional<int32_t> stop_token_;
  std::vector<int32_t> suppressed_;
  std::atomic<uint64_t> session_count_{0}, session_bytes_{0};
};

}  // namespace minimax
