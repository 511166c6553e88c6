// SPDX-License-Identifier: Apache-2.0

package minimax

// #include "callbacks.h"
import "C"

import (
	"context"
	"io"
	"unsafe"
)

// Session is one timeline of tokens on an engine.
type Session struct {
	*handle[C.minimax_session]
	engine *Engine
}

func freeSession(at *C.minimax_session) { C.minimax_session_free(at) }

func (e *Engine) newSession(at *C.minimax_session, err error) (*Session, error) {
	if err != nil {
		return nil, err
	}
	return &Session{newHandle(at, freeSession), e}, nil
}

// SessionOptions say how a session is made.
type SessionOptions struct {
	RewindTokens int         // how many of the last tokens can be taken back at least; 0: 32, -1: none
	CachePolicy  CachePolicy // what it has to do with the engine's prefix cache
}

func (o *SessionOptions) raw() C.minimax_session_options {
	raw := C.minimax_session_options{struct_size: C.sizeof_minimax_session_options}
	if o != nil {
		raw.rewind_tokens, raw.cache_policy = C.int32_t(o.RewindTokens), C.int32_t(o.CachePolicy)
	}
	return raw
}

// NewSession makes a new, empty timeline. options may be nil.
func (e *Engine) NewSession(options *SessionOptions) (*Session, error) {
	raw := options.raw()
	var made *C.minimax_session
	err := e.call(func(at *C.minimax_engine) C.minimax_status { return C.minimax_session_create(at, &raw, &made) })
	return e.newSession(made, err)
}

// Close ends what the session is doing, and gives its memory back.
func (s *Session) Close() error {
	stop := make(chan struct{})
	closed, cancel := context.WithCancel(context.Background())
	cancel()
	go func() {
		defer close(stop)
		s.close()
	}()
	done := watch(closed, s.Cancel)
	<-stop
	done()
	return nil
}

// Cancel ends the feed, score or generate that runs now, within one chunk or token. Nothing happens
// when none runs: a context does not come too early.
func (s *Session) Cancel() { s.peek(func(at *C.minimax_session) { C.minimax_session_cancel(at) }) }

// run runs a call that a context may end.
func (s *Session) run(ctx context.Context, f func(at *C.minimax_session) error) error {
	return s.use(func(at *C.minimax_session) error {
		if err := ended(ctx); err != nil {
			return err
		}
		done := watch(ctx, func() { C.minimax_session_cancel(at) })
		defer done()
		return because(f(at), ctx.Err())
	})
}

// Feed feeds tokens, one or more; the session then stands after the last, with its logits. After
// Cancelled it stands after as many whole chunks as were finished.
func (s *Session) Feed(ctx context.Context, tokens []int32) error {
	from, count := cTokens(tokens)
	return s.run(ctx, func(at *C.minimax_session) error {
		return call(func() C.minimax_status { return C.minimax_session_feed(at, from, count) })
	})
}

// FeedPrompt feeds a prompt, its pictures encoded first.
func (s *Session) FeedPrompt(ctx context.Context, prompt *Prompt) (FeedReport, error) {
	return s.FeedPromptFrom(ctx, prompt, 0)
}

// FeedPromptFrom is the same from the prompt's token firstToken on: those before it have been fed, by
// a call that was cancelled.
func (s *Session) FeedPromptFrom(ctx context.Context, prompt *Prompt, firstToken int) (FeedReport, error) {
	raw := C.minimax_feed_report{struct_size: C.sizeof_minimax_feed_report}
	err := s.run(ctx, func(at *C.minimax_session) error {
		return prompt.call(func(from *C.minimax_prompt) C.minimax_status {
			return C.minimax_session_feed_prompt_from(at, from, C.size_t(firstToken), &raw)
		})
	})
	return readFeedReport(&raw), err
}

// SetPrompt makes the session hold this prompt and nothing else: what both begin with stays, the rest
// comes from the prefix cache or is computed.
func (s *Session) SetPrompt(ctx context.Context, prompt *Prompt) (FeedReport, error) {
	raw := C.minimax_feed_report{struct_size: C.sizeof_minimax_feed_report}
	err := s.run(ctx, func(at *C.minimax_session) error {
		return prompt.call(func(from *C.minimax_prompt) C.minimax_status {
			return C.minimax_session_set_prompt(at, from, &raw)
		})
	})
	return readFeedReport(&raw), err
}

// SetTokens is the same with tokens.
func (s *Session) SetTokens(ctx context.Context, tokens []int32) (FeedReport, error) {
	raw := C.minimax_feed_report{struct_size: C.sizeof_minimax_feed_report}
	from, count := cTokens(tokens)
	err := s.run(ctx, func(at *C.minimax_session) error {
		return call(func() C.minimax_status { return C.minimax_session_set_tokens(at, from, count, &raw) })
	})
	return readFeedReport(&raw), err
}

// FeedLogits feeds tokens, and gives the logits after each: a row of the vocabulary's size a token.
func (s *Session) FeedLogits(ctx context.Context, tokens []int32) ([][]float32, error) {
	info, err := s.engine.Info()
	if err != nil {
		return nil, err
	}
	columns := int(info.VocabularySize)
	logits := make([]float32, columns*len(tokens))
	from, count := cTokens(tokens)
	err = s.run(ctx, func(at *C.minimax_session) error {
		return call(func() C.minimax_status {
			return C.minimax_session_feed_logits(at, from, count, (*C.float)(first(logits)), C.size_t(len(logits)))
		})
	})
	rows := make([][]float32, len(tokens))
	for i := range rows {
		rows[i] = logits[i*columns : (i+1)*columns]
	}
	return rows, err
}

// Score feeds tokens, and gives the natural logarithm of the probability of each, given all before;
// that of a first one, which nothing precedes, is NaN.
func (s *Session) Score(ctx context.Context, tokens []int32) ([]float32, error) {
	logprobs := make([]float32, len(tokens))
	from, count := cTokens(tokens)
	err := s.run(ctx, func(at *C.minimax_session) error {
		return call(func() C.minimax_status {
			return C.minimax_session_score(at, from, count, (*C.float)(first(logprobs)))
		})
	})
	return logprobs, err
}

// Position is the number of tokens fed.
func (s *Session) Position() (int64, error) {
	var position C.int64_t
	err := s.call(func(at *C.minimax_session) C.minimax_status { return C.minimax_session_position(at, &position) })
	return int64(position), err
}

// Tokens are those from position first on.
func (s *Session) Tokens(first int64) (tokens []int32, err error) {
	err = s.use(func(at *C.minimax_session) error {
		raw, err := list(func(to *C.int32_t, capacity C.size_t, count *C.size_t) C.minimax_status {
			return C.minimax_session_tokens(at, C.int64_t(first), to, capacity, count)
		})
		tokens = goTokens(raw)
		return err
	})
	return tokens, err
}

// Images tells where its pictures lie.
func (s *Session) Images() (spans []ImageSpan, err error) {
	err = s.use(func(at *C.minimax_session) error {
		var count C.size_t
		err := call(func() C.minimax_status { return C.minimax_session_image_count(at, &count) })
		for i := C.size_t(0); i < count && err == nil; i++ {
			raw := C.minimax_image_span{struct_size: C.sizeof_minimax_image_span}
			err = call(func() C.minimax_status { return C.minimax_session_get_image_span(at, i, &raw) })
			spans = append(spans, readImageSpan(&raw))
		}
		return err
	})
	return spans, err
}

// Logits are those after the last token, copied.
func (s *Session) Logits() (logits []float32, err error) {
	err = s.WithLogits(func(view []float32) { logits = append(logits, view...) })
	return logits, err
}

// WithLogits shows the logits after the last token, the session's own, without a copy: the slice must
// not be kept or written, and the session not be used, in look.
func (s *Session) WithLogits(look func(view []float32)) error {
	return s.use(func(at *C.minimax_session) error {
		var view *C.float
		var count C.size_t
		err := call(func() C.minimax_status { return C.minimax_session_logits(at, &view, &count) })
		if err == nil {
			look(unsafe.Slice((*float32)(unsafe.Pointer(view)), count))
		}
		return err
	})
}

// Rewind takes back the last tokens, exactly.
func (s *Session) Rewind(tokenCount int64) error {
	return s.call(func(at *C.minimax_session) C.minimax_status {
		return C.minimax_session_rewind(at, C.int64_t(tokenCount))
	})
}

// RewindFloor is the position that Rewind can go back to.
func (s *Session) RewindFloor() (int64, error) {
	var floor C.int64_t
	err := s.call(func(at *C.minimax_session) C.minimax_status {
		return C.minimax_session_rewind_floor(at, &floor)
	})
	return int64(floor), err
}

// Snapshot is a session as it was at some moment; only where it lies can change.
type Snapshot struct {
	*shared[C.minimax_snapshot]
}

func freeSnapshot(at *C.minimax_snapshot) { C.minimax_snapshot_free(at) }

// Mark keeps the session as it is now.
func (s *Session) Mark() (*Snapshot, error) {
	var made *C.minimax_snapshot
	err := s.call(func(at *C.minimax_session) C.minimax_status { return C.minimax_session_mark(at, &made) })
	if err != nil {
		return nil, err
	}
	return &Snapshot{newShared(made, freeSnapshot)}, nil
}

// Close gives its memory back.
func (n *Snapshot) Close() error {
	n.close()
	return nil
}

// Info tells where it stands, and what it keeps.
func (n *Snapshot) Info() (SnapshotInfo, error) {
	raw := C.minimax_snapshot_info{struct_size: C.sizeof_minimax_snapshot_info}
	err := n.call(func(at *C.minimax_snapshot) C.minimax_status { return C.minimax_snapshot_get_info(at, &raw) })
	return readSnapshotInfo(&raw), err
}

// MoveTo moves it off the device, or back; whoever returns to it goes on to the bit as if it had
// stayed. folder, with SnapshotHomeFile: where the file is made, without a name, and gone with the
// snapshot; else empty.
func (n *Snapshot) MoveTo(home SnapshotHome, folder string) error {
	if folder == "" {
		return n.call(func(at *C.minimax_snapshot) C.minimax_status {
			return C.minimax_snapshot_move(at, C.int32_t(home), nil)
		})
	}
	return n.use(func(at *C.minimax_snapshot) error {
		return withPath(folder, func(folder *C.char) C.minimax_status {
			return C.minimax_snapshot_move(at, C.int32_t(home), folder)
		})
	})
}

// ReturnTo makes the session what it, or another of the same engine, was.
func (s *Session) ReturnTo(snapshot *Snapshot) error {
	return snapshot.use(func(to *C.minimax_snapshot) error {
		return s.call(func(at *C.minimax_session) C.minimax_status { return C.minimax_session_return_to(at, to) })
	})
}

// Fork makes another session at the same place.
func (s *Session) Fork() (*Session, error) {
	var made *C.minimax_session
	err := s.call(func(at *C.minimax_session) C.minimax_status { return C.minimax_session_fork(at, &made) })
	return s.engine.newSession(made, err)
}

// Reset forgets everything.
func (s *Session) Reset() error {
	return s.call(func(at *C.minimax_session) C.minimax_status { return C.minimax_session_reset(at) })
}

// Stats are counts and sizes.
func (s *Session) Stats() (SessionStats, error) {
	raw := C.minimax_session_stats{struct_size: C.sizeof_minimax_session_stats}
	err := s.call(func(at *C.minimax_session) C.minimax_status { return C.minimax_session_get_stats(at, &raw) })
	return readSessionStats(&raw), err
}

// GenerateOptions say when an answer ends.
type GenerateOptions struct {
	MaxTokens       int64    // 0: until a stop
	StopStrings     []string // at most 64, none empty
	IgnoreStopToken bool     // goes on after the model's own end
	// OnToken hears a token that was drawn, before it is fed; false stops.
	OnToken func(token int32) bool
}

// with lends the options to a call.
func (o *GenerateOptions) with(f func(options *C.minimax_generate_options) error) error {
	if o == nil {
		o = &GenerateOptions{}
	}
	stops, err := newStrings(o.StopStrings, "stop string")
	if err != nil {
		return err
	}
	defer stops.free()
	raw := C.minimax_generate_options{
		struct_size: C.sizeof_minimax_generate_options, max_tokens: C.int64_t(o.MaxTokens),
		stop_strings: stops.at, stop_string_count: stops.count,
	}
	if o.IgnoreStopToken {
		raw.ignore_stop_token = 1
	}
	return f(&raw)
}

// Generate draws and feeds tokens until a stop, and writes whole characters as they come to w, which
// may be nil. sampler nil: greedy; options nil: until the model ends. When w fails the answer stops,
// and its error is returned beside the result. When the context ends, so does the answer: the result
// tells of the reply so far, which the session holds, and the error is Cancelled.
func (s *Session) Generate(ctx context.Context, w io.Writer, sampler *Sampler, options *GenerateOptions) (GenerateResult, error) {
	raw := C.minimax_generate_result{struct_size: C.sizeof_minimax_generate_result}
	l := listener{text: w}
	if options != nil {
		l.token = options.OnToken
	}
	var hasText C.int32_t
	if w != nil {
		hasText = 1
	}
	err := options.with(func(options *C.minimax_generate_options) error {
		return s.run(ctx, func(at *C.minimax_session) error {
			return useSampler(sampler, func(sampler *C.minimax_sampler) error {
				return l.lend(func(listener C.uintptr_t) error {
					return call(func() C.minimax_status {
						return C.minimax_go_generate(at, sampler, options, hasText, listener, &raw)
					})
				})
			})
		})
	})
	if err == nil {
		err = l.err
	}
	return readGenerateResult(&raw), err
}
