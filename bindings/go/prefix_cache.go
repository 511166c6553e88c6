// SPDX-License-Identifier: Apache-2.0

package minimax

// #include <minimax.h>
import "C"

// PrefixCacheStats are counts of the snapshots that an engine keeps for prompts that begin alike.
func (e *Engine) PrefixCacheStats() (PrefixCacheStats, error) {
	raw := C.minimax_prefix_cache_stats{struct_size: C.sizeof_minimax_prefix_cache_stats}
	err := e.call(func(at *C.minimax_engine) C.minimax_status {
		return C.minimax_engine_get_prefix_cache_stats(at, &raw)
	})
	return readPrefixCacheStats(&raw), err
}

// ClearPrefixCache forgets all its snapshots, pinned ones too.
func (e *Engine) ClearPrefixCache() error {
	return e.call(func(at *C.minimax_engine) C.minimax_status { return C.minimax_engine_clear_prefix_cache(at) })
}

// PinPrefix computes a prompt and keeps its snapshot until it is unpinned, for what every conversation
// begins with. options are those of the sessions that shall find it; nil: defaults.
func (e *Engine) PinPrefix(prompt *Prompt, options *SessionOptions) (FeedReport, error) {
	raw, own := C.minimax_feed_report{struct_size: C.sizeof_minimax_feed_report}, options.raw()
	err := e.use(func(at *C.minimax_engine) error {
		return prompt.call(func(prompt *C.minimax_prompt) C.minimax_status {
			return C.minimax_engine_pin_prefix(at, prompt, &own, &raw)
		})
	})
	return readFeedReport(&raw), err
}

// UnpinPrefix makes the snapshot one like others.
func (e *Engine) UnpinPrefix(prompt *Prompt, options *SessionOptions) error {
	own := options.raw()
	return e.use(func(at *C.minimax_engine) error {
		return prompt.call(func(prompt *C.minimax_prompt) C.minimax_status {
			return C.minimax_engine_unpin_prefix(at, prompt, &own)
		})
	})
}
