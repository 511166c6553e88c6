// SPDX-License-Identifier: Apache-2.0

package minimax

// #include "callbacks.h"
import "C"

import "context"

// EngineOptions say how a model is opened; the zero of each is the library's default.
type EngineOptions struct {
	Devices       []string // "cpu", "cuda:0"; none: the CPU
	ThreadCount   int      // CPU threads, the caller's included; 0: one a core
	WeightType    NumberType
	ComputeType   NumberType
	KVType        NumberType
	StateType     NumberType
	WeightSource  WeightSource
	SyntheticSeed uint64
	ContextLimit  int64 // tokens a session may hold; 0: as many as memory has room for
	KVBytesLimit  int64 // keys and values of all sessions together; 0: no limit
	ChunkTokens   int64 // longest piece of a prompt computed at once; 0: the library's choice
	// PrefixCacheBytesLimit is for snapshots that are kept for reuse; 0: an eighth of free memory, -1: none
	PrefixCacheBytesLimit int64
	ImageCacheBytesLimit  int64 // encoded pictures that are kept for reuse; 0: 256 MiB
	// Progress hears bytes done and of all while the engine is opened; false gives up.
	Progress func(done, total uint64) bool
}

func (o *EngineOptions) raw(devices cStrings) C.minimax_engine_options {
	return C.minimax_engine_options{
		struct_size:              C.sizeof_minimax_engine_options,
		devices:                  devices.at,
		device_count:             devices.count,
		thread_count:             C.int32_t(o.ThreadCount),
		weight_type:              C.int32_t(o.WeightType),
		compute_type:             C.int32_t(o.ComputeType),
		kv_type:                  C.int32_t(o.KVType),
		state_type:               C.int32_t(o.StateType),
		weight_source:            C.int32_t(o.WeightSource),
		synthetic_seed:           C.uint64_t(o.SyntheticSeed),
		context_limit:            C.int64_t(o.ContextLimit),
		kv_bytes_limit:           C.int64_t(o.KVBytesLimit),
		chunk_tokens:             C.int64_t(o.ChunkTokens),
		image_cache_bytes_limit:  C.int64_t(o.ImageCacheBytesLimit),
		prefix_cache_bytes_limit: C.int64_t(o.PrefixCacheBytesLimit),
	}
}

// with lends the options to a call.
func (o *EngineOptions) with(f func(options *C.minimax_engine_options) error) error {
	if o == nil {
		o = &EngineOptions{}
	}
	devices, err := newStrings(o.Devices, "device")
	if err != nil {
		return err
	}
	defer devices.free()
	raw := o.raw(devices)
	return f(&raw)
}

// Plan is what a model would need, from its config.json and the headers of its weight files alone.
func Plan(path string, options *EngineOptions) (MemoryPlan, error) {
	if err := ready(); err != nil {
		return MemoryPlan{}, err
	}
	raw := C.minimax_memory_plan{struct_size: C.sizeof_minimax_memory_plan}
	err := options.with(func(options *C.minimax_engine_options) error {
		return withPath(path, func(path *C.char) C.minimax_status { return C.minimax_plan(path, options, &raw) })
	})
	return readMemoryPlan(&raw), err
}

// Engine is a loaded model: weights and tokenizer, immutable.
type Engine struct {
	*shared[C.minimax_engine]
}

func freeEngine(at *C.minimax_engine) { C.minimax_engine_free(at) }

// OpenEngine loads a model: a folder with config.json, safetensors and a tokenizer. options may be
// nil.
func OpenEngine(ctx context.Context, path string, options *EngineOptions) (*Engine, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	var at *C.minimax_engine
	l := listener{progress: func(done, total uint64) bool {
		return ctx.Err() == nil && (options == nil || options.Progress == nil || options.Progress(done, total))
	}}
	err := options.with(func(options *C.minimax_engine_options) error {
		return l.lend(func(listener C.uintptr_t) error {
			return withPath(path, func(path *C.char) C.minimax_status {
				return C.minimax_go_open(path, options, listener, &at)
			})
		})
	})
	if err != nil {
		return nil, because(err, ctx.Err())
	}
	return &Engine{newShared(at, freeEngine)}, nil
}

// Close lets go of the model, which ends with the last of what was made from it.
func (e *Engine) Close() error {
	e.close()
	return nil
}

// Info is what was loaded.
func (e *Engine) Info() (EngineInfo, error) {
	var info EngineInfo
	err := e.use(func(at *C.minimax_engine) error {
		raw := C.minimax_engine_info{struct_size: C.sizeof_minimax_engine_info}
		err := call(func() C.minimax_status { return C.minimax_engine_get_info(at, &raw) })
		if err == nil {
			info = readEngineInfo(&raw) // its text lives with the engine
		}
		return err
	})
	return info, err
}

// ConfigJSON is the model's config.json as it was read.
func (e *Engine) ConfigJSON() (string, error) {
	text, err := ask(e, func(at *C.minimax_engine, to *C.char, capacity C.size_t, size *C.size_t) C.minimax_status {
		return C.minimax_engine_config_json(at, to, capacity, size)
	})
	return goText(text), err
}

// ask fills a list from an engine.
func ask[T any](e *Engine, fill func(at *C.minimax_engine, to *T, capacity C.size_t, count *C.size_t) C.minimax_status) (values []T, err error) {
	err = e.use(func(at *C.minimax_engine) error {
		values, err = list(func(to *T, capacity C.size_t, count *C.size_t) C.minimax_status {
			return fill(at, to, capacity, count)
		})
		return err
	})
	return values, err
}

func goText(text []C.char) string {
	bytes := make([]byte, len(text))
	for i, c := range text {
		bytes[i] = byte(c)
	}
	return string(bytes)
}

// Memory is what is in use now.
func (e *Engine) Memory() (EngineMemory, error) {
	raw := C.minimax_engine_memory{struct_size: C.sizeof_minimax_engine_memory}
	err := e.call(func(at *C.minimax_engine) C.minimax_status { return C.minimax_engine_get_memory(at, &raw) })
	return readEngineMemory(&raw), err
}

// Tokenize turns text into tokens. TokenizePlain takes "<image>" and its like as ordinary text: for
// text from strangers.
func (e *Engine) Tokenize(s string, flags TokenizeFlags) ([]int32, error) {
	from, size := text(s)
	tokens, err := ask(e, func(at *C.minimax_engine, to *C.int32_t, capacity C.size_t, count *C.size_t) C.minimax_status {
		return C.minimax_engine_tokenize(at, from, size, C.int32_t(flags), to, capacity, count)
	})
	return goTokens(tokens), err
}

func goTokens(tokens []C.int32_t) []int32 {
	made := make([]int32, len(tokens))
	for i, token := range tokens {
		made[i] = int32(token)
	}
	return made
}

func cTokens(tokens []int32) (*C.int32_t, C.size_t) {
	made := make([]C.int32_t, len(tokens))
	for i, token := range tokens {
		made[i] = C.int32_t(token)
	}
	return first(made), C.size_t(len(made))
}

// Detokenize turns tokens into bytes, which may begin or end within a character. DetokenizeSpecial
// writes markers out too.
func (e *Engine) Detokenize(tokens []int32, flags DetokenizeFlags) ([]byte, error) {
	from, size := cTokens(tokens)
	text, err := ask(e, func(at *C.minimax_engine, to *C.char, capacity C.size_t, count *C.size_t) C.minimax_status {
		return C.minimax_engine_detokenize(at, from, size, C.int32_t(flags), to, capacity, count)
	})
	return []byte(goText(text)), err
}

// TokenInfo is a token of the vocabulary.
type TokenInfo struct {
	Kind         TokenKind
	IsStop       bool   // ends an answer
	IsSuppressed bool   // never sampled
	Bytes        []byte // what it stands for, cut at 256
}

// TokenInfo tells what a token is.
func (e *Engine) TokenInfo(token int32) (TokenInfo, error) {
	raw := C.minimax_token_info{struct_size: C.sizeof_minimax_token_info}
	err := e.call(func(at *C.minimax_engine) C.minimax_status {
		return C.minimax_engine_token_info(at, C.int32_t(token), &raw)
	})
	return TokenInfo{
		Kind: TokenKind(raw.kind), IsStop: raw.is_stop != 0, IsSuppressed: raw.is_suppressed != 0,
		Bytes: []byte(goText(raw.bytes[:raw.size])),
	}, err
}

// TextStream turns tokens into text piece by piece: never half a character, never a part of what may
// become a stop string.
type TextStream struct {
	*handle[C.minimax_text_stream]
}

func freeTextStream(at *C.minimax_text_stream) { C.minimax_text_stream_free(at) }

// NewTextStream makes one. Stop strings: at most 64, none empty.
func (e *Engine) NewTextStream(stopStrings ...string) (*TextStream, error) {
	stops, err := newStrings(stopStrings, "stop string")
	if err != nil {
		return nil, err
	}
	defer stops.free()
	var made *C.minimax_text_stream
	err = e.call(func(at *C.minimax_engine) C.minimax_status {
		return C.minimax_text_stream_create(at, stops.at, stops.count, &made)
	})
	if err != nil {
		return nil, err
	}
	return &TextStream{newHandle(made, freeTextStream)}, nil
}

// Close gives its memory back.
func (t *TextStream) Close() error {
	t.close()
	return nil
}

// Push adds a token: what can be shown now, and whether a stop string has appeared.
func (t *TextStream) Push(token int32) (shown string, stopped bool, err error) {
	err = t.use(func(at *C.minimax_text_stream) error {
		var from *C.char
		var size C.size_t
		var isStopped C.int32_t
		err := call(func() C.minimax_status {
			return C.minimax_text_stream_push(at, C.int32_t(token), &from, &size, &isStopped)
		})
		shown, stopped = C.GoStringN(from, C.int(size)), isStopped != 0
		return err
	})
	return shown, stopped, err
}

// Flush gives what was held back; the stream is as new then.
func (t *TextStream) Flush() (shown string, err error) {
	err = t.use(func(at *C.minimax_text_stream) error {
		var from *C.char
		var size C.size_t
		err := call(func() C.minimax_status { return C.minimax_text_stream_flush(at, &from, &size) })
		shown = C.GoStringN(from, C.int(size))
		return err
	})
	return shown, err
}
