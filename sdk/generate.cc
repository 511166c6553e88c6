// SPDX-License-Identifier: Apache-2.0
#include "sdk/generate.h"

#include <chrono>
#include <optional>

#include "base/error.h"
#include "tokenizer/text_stream.h"

namespace minimax {
namespace {

// Says what has been drawn, as far as somebody listens or looks for stop strings.
class Speaker {
 public:
  Speaker(const Model& model, const GenerateOptions& options) : options_(options) {
    if (options.on_text || !options.stop_strings.empty()) {
      stream_.emplace(model.tokenizer(), options.stop_strings);
    }
  }

  // MINIMAX_STOP_STRING, MINIMAX_STOP_CALLBACK or 0.
  int32_t say(int32_t token) {
    if (!stream_) return 0;
    const TextStream::Piece piece = stream_->push(token);
    if (!show(piece.text)) return MINIMAX_STOP_CALLBACK;
    return piece.stopped ? MINIMAX_STOP_STRING : 0;
  }
  void finish() {
    if (stream_) show(stream_->flush());
  }

 private:
  bool show(std::string_view piece) {
    if (piece.empty() || !options_.on_text) return true;
    return options_.on_text(options_.user, piece.data(), piece.size()) == 0;
  }

  const GenerateOptions& options_;
  std::optional<TextStream> stream_;
};

// Draws, says and feeds one token; the reason to stop after it, or 0.
int32_t advance(Session& session, Sampler& sampler, const GenerateOptions& options,
                Speaker& speaker, GenerateResult& result) {
  const int32_t token = session.draw(sampler);
  const bool is_end = session.model()->is_stop(token) && !options.ignore_stop_token;
  int32_t reason = is_end ? MINIMAX_STOP_TOKEN : speaker.say(token);
  const bool goes_on = !options.on_token || options.on_token(options.user, token) == 0;
  if (reason == 0 && !goes_on) reason = MINIMAX_STOP_CALLBACK;
  try {
    session.feed_on({&token, 1});
  } catch (const Error& error) {
    if (error.status() == MINIMAX_CONTEXT_FULL) return MINIMAX_STOP_CONTEXT;
    if (error.status() == MINIMAX_CANCELLED) return MINIMAX_STOP_CANCELLED;
    throw;
  }
  ++result.token_count;
  return reason;
}

}  // namespace

GenerateResult generate(Session& session, Sampler& sampler, const GenerateOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  session.require_logits();  // refuses an empty session
  Speaker speaker(*session.model(), options);
  GenerateResult result;
  session.begin();
  while (result.stop_reason == 0) {
    if (session.cancelled()) {
      result.stop_reason = MINIMAX_STOP_CANCELLED;
    } else {
      result.stop_reason = advance(session, sampler, options, speaker, result);
    }
    const auto limit = static_cast<uint64_t>(options.max_tokens);
    if (result.stop_reason == 0 && limit > 0 && result.token_count >= limit) {
      result.stop_reason = MINIMAX_STOP_MAX_TOKENS;
    }
  }
  if (result.stop_reason != MINIMAX_STOP_CALLBACK) speaker.finish();
  if (result.token_count > 0) session.keep();
  result.decode_ns = static_cast<uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
  return result;
}

}  // namespace minimax
