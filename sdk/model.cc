// SPDX-License-Identifier: Apache-2.0
#include "sdk/model.h"

#include <algorithm>

#include "base/error.h"
#include "engine/kernels/open_backend.h"

namespace minimax {
namespace {

constexpr size_t default_image_cache_bytes = size_t{256} << 20;
constexpr size_t prefix_cache_part = 8;  // of the memory that is free beside the weights

size_t prefix_cache_bytes(const EngineOptions& options) {
  const int64_t limit = options.prefix_cache_bytes_limit;
  if (limit < 0) return 0;
  return limit > 0 ? static_cast<size_t>(limit)
                   : available_bytes(options.device) / prefix_cache_part;
}

}  // namespace

std::shared_ptr<Model> Model::load(const std::filesystem::path& path,
                                   const EngineOptions& options) {
  auto model = std::make_shared<Model>();
  if (options.weights == WeightOrigin::files) {
    model->tokenizer_ = Tokenizer::load(path);
  }
  model->engine_ = Engine::load(path, options);
  const int64_t limit = options.image_cache_bytes_limit;
  model->pictures_ = std::make_unique<Pictures>(
      path, *model->engine_, limit > 0 ? static_cast<size_t>(limit) : default_image_cache_bytes);
  model->prefixes_ = std::make_unique<PrefixCache>(*model->engine_, prefix_cache_bytes(options));
  model->engine_->set_reclaimer([&prefixes = *model->prefixes_] { return prefixes.give_up_one(); });
  if (model->tokenizer_) {
    const int32_t defined = model->tokenizer_->vocabulary_size();
    require_file(defined <= model->vocabulary_size(), path.string(), ": the tokenizer has ",
                 defined, " tokens, config.json a vocab_size of ", model->vocabulary_size());
    model->chat_format_ =
        detect_chat_format(model->tokenizer_->chat_template(), model->engine_->config().model_name);
  }
  model->find_stop_tokens();
  model->find_suppressed();
  model->engine_->set_suppressed(model->suppressed_);
  return model;
}

const Tokenizer& Model::tokenizer() const {
  if (!tokenizer_) fail(MINIMAX_NOT_AVAILABLE, "the engine was opened without a tokenizer");
  return *tokenizer_;
}

bool Model::is_stop(int32_t token) const {
  return std::find(stop_tokens_.begin(), stop_tokens_.end(), token) != stop_tokens_.end();
}

bool Model::is_suppressed(int32_t token) const {
  return std::binary_search(suppressed_.begin(), suppressed_.end(), token);
}

void Model::check_tokens(std::span<const int32_t> tokens) const {
  for (size_t i = 0; i < tokens.size(); ++i) {
    require(tokens[i] >= 0 && tokens[i] < vocabulary_size(), "tokens[", i, "] is ", tokens[i],
            ", vocabulary has ", vocabulary_size());
  }
}

// The released configs name no end; the chat templates write <end_of_sentence> (docs/model.md §6).
void Model::find_stop_tokens() {
  stop_tokens_ = engine_->config().stop_tokens;
  if (tokenizer_) {
    if (const auto end = tokenizer_->find_token("<end_of_sentence>")) {
      if (!is_stop(*end)) stop_tokens_.insert(stop_tokens_.begin(), *end);
    }
  }
  if (!stop_tokens_.empty()) stop_token_ = stop_tokens_.front();
}

void Model::find_suppressed() {
  const auto zero_rows = engine_->zero_rows();
  suppressed_.assign(zero_rows.begin(), zero_rows.end());
  for (int32_t id = 0; tokenizer_ && id < vocabulary_size(); ++id) {
    if (tokenizer_->token_kind(id) == TokenKind::undefined) suppressed_.push_back(id);
  }
  if (engine_->config().image_token >= 0) suppressed_.push_back(engine_->config().image_token);
  std::sort(suppressed_.begin(), suppressed_.end());
  suppressed_.erase(std::unique(suppressed_.begin(), suppressed_.end()), suppressed_.end());
}

}  // namespace minimax
