// SPDX-License-Identifier: Apache-2.0

package minimax

// #include <minimax.h>
// #include <stdlib.h>
import "C"

import (
	"context"
	"sync"
	"time"
	"unsafe"
)

// BatchOptions say how a batch is made; the zero of each is the library's default.
type BatchOptions struct {
	OwnThread    bool  // a thread of the library's computes, and Step waits for events
	SessionLimit int   // sessions that are computed at once; 0: the library's choice
	StepTokens   int64 // tokens of one step; 0: the engine's chunk
}

// Request is what a session is asked for in a batch.
type Request struct {
	Prompt           *Prompt          // fed first
	PromptFirstToken int              // those before it have been fed
	Tokens           []int32          // fed first, when there is no prompt
	Sampler          *Sampler         // nil: greedy. It is the batch's until the ticket ends
	Generate         *GenerateOptions // nil: until the model ends; OnToken is not heard
	FeedsOnly        bool             // feeds and draws nothing
	Priority         Priority         // PriorityLowest to PriorityHighest
}

// Event is what happened to a ticket.
type Event struct {
	Kind         EventKind
	Ticket       uint64     // that Submit gave
	Token        int32      // of EventToken, else -1
	Text         string     // what can be shown now, whole characters, perhaps nothing
	StopReason   StopReason // of EventFinished
	Err          error      // of EventFailed
	WaitReason   WaitReason // of EventQueued
	Message      string     // of EventQueued and EventFailed
	FedTokens    uint64     // of its prompt
	TokensReused uint64     // of these, not computed
	DivergedAt   int64      // the token of its prompt up to which it was known
	MissReason   MissReason // why the others were computed
	TokenCount   uint64     // drawn and fed
	ImageCount   uint64     // pictures encoded
	ImagesReused uint64     // of these, found in the cache
	WaitTime     time.Duration
	EncodeTime   time.Duration
	PrefillTime  time.Duration
	DecodeTime   time.Duration
}

// EndsTicket tells whether none comes after it for its ticket.
func (e *Event) EndsTicket() bool {
	return e.Kind == EventFinished || e.Kind == EventFailed || e.Kind == EventCancelled
}

func readEvent(raw *C.minimax_batch_event) *Event {
	event := &Event{
		Kind: EventKind(raw.kind), Ticket: uint64(raw.ticket), Token: int32(raw.token),
		Text: C.GoStringN(raw.text, C.int(raw.text_size)), StopReason: StopReason(raw.stop_reason),
		WaitReason: WaitReason(raw.wait_reason), Message: C.GoStringN(raw.message, C.int(raw.message_size)),
		FedTokens: uint64(raw.fed_tokens), TokensReused: uint64(raw.tokens_reused),
		DivergedAt: int64(raw.diverged_at), MissReason: MissReason(raw.miss_reason), TokenCount: uint64(raw.token_count),
		ImageCount: uint64(raw.image_count), ImagesReused: uint64(raw.images_reused),
		WaitTime: time.Duration(raw.wait_ns), EncodeTime: time.Duration(raw.encode_ns),
		PrefillTime: time.Duration(raw.prefill_ns), DecodeTime: time.Duration(raw.decode_ns),
	}
	if event.Kind == EventFailed {
		event.Err = &Error{Status: Status(raw.status), Sentence: event.Message}
	}
	return event
}

// Batch computes the requests of many sessions of one engine together.
type Batch struct {
	*shared[C.minimax_batch]
	taking sync.Mutex // events are taken one at a time, and copied before the next
}

func freeBatch(at *C.minimax_batch) { C.minimax_batch_free(at) }

// NewBatch makes a batch of this engine's sessions. options may be nil.
func (e *Engine) NewBatch(options *BatchOptions) (*Batch, error) {
	raw := C.minimax_batch_options{struct_size: C.sizeof_minimax_batch_options}
	if options != nil {
		raw.session_limit, raw.step_tokens = C.int32_t(options.SessionLimit), C.int64_t(options.StepTokens)
		if options.OwnThread {
			raw.own_thread = 1
		}
	}
	var made *C.minimax_batch
	err := e.call(func(at *C.minimax_engine) C.minimax_status { return C.minimax_batch_create(at, &raw, &made) })
	if err != nil {
		return nil, err
	}
	return &Batch{shared: newShared(made, freeBatch)}, nil
}

// Close cancels what has not ended, without events, and gives the sessions back. It waits for calls
// that run.
func (b *Batch) Close() error {
	b.close()
	return nil
}

// usePrompt lends a prompt that may be nil.
func usePrompt(p *Prompt, f func(at *C.minimax_prompt) error) error {
	if p == nil {
		return f(nil)
	}
	return p.use(f)
}

// Submit hands a session over until its ticket ends; other calls with it, and with the sampler, are
// NotAvailable meanwhile.
func (b *Batch) Submit(session *Session, request Request) (uint64, error) {
	// In memory of C, with its tokens: it has pointers.
	raw := (*C.minimax_batch_request)(C.calloc(1, C.sizeof_minimax_batch_request))
	defer C.free(unsafe.Pointer(raw))
	tokens := (*C.int32_t)(C.calloc(C.size_t(len(request.Tokens)+1), C.sizeof_int32_t))
	defer C.free(unsafe.Pointer(tokens))
	for i, token := range request.Tokens {
		unsafe.Slice(tokens, len(request.Tokens))[i] = C.int32_t(token)
	}
	raw.struct_size = C.sizeof_minimax_batch_request
	raw.prompt_first_token = C.size_t(request.PromptFirstToken)
	if raw.token_count = C.size_t(len(request.Tokens)); raw.token_count > 0 {
		raw.tokens = tokens
	}
	raw.priority = C.int32_t(request.Priority)
	if request.FeedsOnly {
		raw.feeds_only = 1
	}
	var ticket C.uint64_t
	submit := func(session *C.minimax_session) error {
		return request.Generate.with(func(options *C.minimax_generate_options) error {
			if request.Generate != nil {
				own := (*C.minimax_generate_options)(C.calloc(1, C.sizeof_minimax_generate_options))
				defer C.free(unsafe.Pointer(own))
				*own = *options
				raw.generate = own
			}
			return b.call(func(at *C.minimax_batch) C.minimax_status {
				return C.minimax_batch_submit(at, session, raw, &ticket)
			})
		})
	}
	// In the order that every call takes its turns in: session, prompt, sampler.
	err := session.use(func(session *C.minimax_session) error {
		return usePrompt(request.Prompt, func(prompt *C.minimax_prompt) error {
			return useSampler(request.Sampler, func(sampler *C.minimax_sampler) error {
				raw.prompt, raw.sampler = prompt, sampler
				return submit(session)
			})
		})
	})
	return uint64(ticket), err
}

// Step computes one step; when there is nothing to compute it waits for something until the context
// ends, which is no error. With OwnThread it waits for an event.
func (b *Batch) Step(ctx context.Context) error {
	before, err := b.Stats()
	for now := before; err == nil && now.StepCount == before.StepCount && now.EventCount == 0; now, err = b.Stats() {
		// Short waits, so that a Close or the end of the context does not wait long.
		wait := C.int64_t(20)
		if ctx.Err() != nil {
			wait = 0
		}
		err = b.call(func(at *C.minimax_batch) C.minimax_status { return C.minimax_batch_step(at, wait) })
		if err != nil || wait == 0 {
			return err
		}
	}
	return err
}

// NextEvent is the oldest event that was not taken yet; nil when there is none.
func (b *Batch) NextEvent() (event *Event, err error) {
	b.taking.Lock()
	defer b.taking.Unlock()
	err = b.use(func(at *C.minimax_batch) error {
		raw := C.minimax_batch_event{struct_size: C.sizeof_minimax_batch_event}
		err := call(func() C.minimax_status { return C.minimax_batch_next_event(at, &raw) })
		if err == nil && EventKind(raw.kind) != EventNone {
			event = readEvent(&raw)
		}
		return err
	})
	return event, err
}

// Cancel ends a ticket with EventCancelled.
func (b *Batch) Cancel(ticket uint64) error {
	return b.call(func(at *C.minimax_batch) C.minimax_status {
		return C.minimax_batch_cancel(at, C.uint64_t(ticket))
	})
}

// Stats are counts.
func (b *Batch) Stats() (BatchStats, error) {
	raw := C.minimax_batch_stats{struct_size: C.sizeof_minimax_batch_stats}
	err := b.call(func(at *C.minimax_batch) C.minimax_status { return C.minimax_batch_get_stats(at, &raw) })
	return readBatchStats(&raw), err
}
