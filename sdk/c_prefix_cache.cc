// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 10: the prefix cache.
#include "minimax.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/structs.h"

using minimax::guard;
using minimax::model_of;
using minimax::require;

namespace {

void require_own_prompt(const minimax_prompt* prompt, const minimax_engine* engine) {
  require(prompt, "prompt is NULL");
  if (prompt->model != engine->model) {
    minimax::fail(MINIMAX_WRONG_MODEL, "the prompt belongs to another engine");
  }
}

}  // namespace

size_t minimax_prefix_cache_stats_init(minimax_prefix_cache_stats* stats, size_t struct_size) {
  return minimax::init_struct(stats, struct_size);
}

minimax_status minimax_engine_get_prefix_cache_stats(const minimax_engine* engine,
                                                     minimax_prefix_cache_stats* out_stats) {
  return guard([&] {
    const minimax::PrefixCache& cache = model_of(engine).prefixes();
    require(out_stats, "out_stats is NULL");
    const minimax::PrefixCacheStats counted = cache.stats();
    minimax_prefix_cache_stats stats;
    minimax::init_struct(&stats);
    stats.snapshot_count = counted.snapshot_count;
    stats.pinned_count = counted.pinned_count;
    stats.bytes = counted.bytes;
    stats.kv_bytes = counted.kv_bytes;
    stats.limit_bytes = cache.limit_bytes();
    stats.lookup_count = counted.lookups;
    stats.hit_count = counted.hits;
    stats.tokens_reused = counted.reused_tokens;
    stats.stored_count = counted.stored;
    stats.evicted_count = counted.evictions;
    minimax::write_struct(stats, out_stats, "out_stats");
  });
}

minimax_status minimax_engine_clear_prefix_cache(minimax_engine* engine) {
  return guard([&] { model_of(engine).prefixes().clear(); });
}

minimax_status minimax_engine_pin_prefix(minimax_engine* engine, const minimax_prompt* prompt,
                                         const minimax_session_options* options,
                                         minimax_feed_report* out_report) {
  return guard([&] {
    const minimax::Model& model = model_of(engine);
    require_own_prompt(prompt, engine);
    const minimax::SessionOptions wanted = minimax::read_session_options(options);
    if (out_report) minimax::check_struct_size(out_report, "out_report");
    if (wanted.cache_policy != minimax::CachePolicy::use) {
      minimax::fail(MINIMAX_UNSUPPORTED,
                    "cache_policy: only sessions of MINIMAX_CACHE_AUTO leave snapshots");
    }
    if (!model.prefixes().is_on()) {
      minimax::fail(MINIMAX_NOT_AVAILABLE,
                    "the prefix cache of this engine is off (prefix_cache_bytes_limit)");
    }
    minimax::Session session(engine->model, wanted.rewind_tokens);
    const minimax::FeedCounts counts =
        session.set_text(minimax::text_of(prompt->prompt, 0, "first_token"));
    session.pin();
    minimax::tell(counts, out_report);
  });
}

minimax_status minimax_engine_unpin_prefix(minimax_engine* engine, const minimax_prompt* prompt,
                                           const minimax_session_options* options) {
  return guard([&] {
    const minimax::Model& model = model_of(engine);
    require_own_prompt(prompt, engine);
    const minimax::SessionOptions wanted = minimax::read_session_options(options);
    const minimax::FedText text = minimax::text_of(prompt->prompt, 0, "first_token");
    if (!model.prefixes().unpin(minimax::key_behind({}, text), wanted.rewind_tokens)) {
      minimax::fail(MINIMAX_NOT_FOUND, "this prompt of ", text.tokens.size(),
                    " tokens is not pinned for sessions with rewind_tokens ", wanted.rewind_tokens);
    }
  });
}
