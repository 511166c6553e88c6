// SPDX-License-Identifier: Apache-2.0

package minimax

// #include <minimax.h>
// #include <stdlib.h>
import "C"

import "unsafe"

// SamplerOptions say how tokens are drawn; the zero is the most probable one.
type SamplerOptions struct {
	Temperature       float32           // 0: greedy; up to 100
	TopP              float32           // smallest set of tokens of at least this probability; 0 or 1: off
	MinP              float32           // tokens of at least this share of the best one's; 0: off
	TopK              int               // the k most probable tokens; 0: off
	RepetitionPenalty float32           // divides the logits of tokens of the session; 0 or 1: off
	PresencePenalty   float32           // subtracted once for a token that was accepted
	FrequencyPenalty  float32           // subtracted for each time
	PenaltyWindow     int               // penalties look at so many last tokens; 0: at all
	Seed              uint64            // the same seed, prompt and options give the same text
	LogitBias         map[int32]float32 // added to logits of tokens; negative infinity forbids one
	TopLogprobs       int               // so many alternatives are kept for Logprobs
}

// TokenLogprob is a token's natural logarithm of probability under the model's own distribution.
type TokenLogprob struct {
	Token   int32
	Logprob float32
}

// Sampler turns logits into a token, by bias, penalties, temperature, top-k, top-p, min-p and a draw.
type Sampler struct {
	*handle[C.minimax_sampler]
}

func freeSampler(at *C.minimax_sampler) { C.minimax_sampler_free(at) }

// NewSampler makes a sampler of this engine's vocabulary. options nil: greedy.
func (e *Engine) NewSampler(options *SamplerOptions) (*Sampler, error) {
	if options == nil {
		options = &SamplerOptions{}
	}
	bias := (*C.minimax_logit_bias)(C.calloc(C.size_t(len(options.LogitBias)+1), C.sizeof_minimax_logit_bias))
	defer C.free(unsafe.Pointer(bias))
	room := unsafe.Slice(bias, len(options.LogitBias)+1)[:0]
	for token, value := range options.LogitBias {
		room = append(room, C.minimax_logit_bias{token: C.int32_t(token), bias: C.float(value)})
	}
	raw := C.minimax_sampler_options{
		struct_size:        C.sizeof_minimax_sampler_options,
		temperature:        C.float(options.Temperature),
		top_p:              C.float(options.TopP),
		min_p:              C.float(options.MinP),
		top_k:              C.int32_t(options.TopK),
		repetition_penalty: C.float(options.RepetitionPenalty),
		presence_penalty:   C.float(options.PresencePenalty),
		frequency_penalty:  C.float(options.FrequencyPenalty),
		penalty_window:     C.int32_t(options.PenaltyWindow),
		seed:               C.uint64_t(options.Seed),
		logit_bias:         bias,
		logit_bias_count:   C.size_t(len(room)),
		top_logprobs:       C.int32_t(options.TopLogprobs),
	}
	var made *C.minimax_sampler
	err := e.call(func(at *C.minimax_engine) C.minimax_status { return C.minimax_sampler_create(at, &raw, &made) })
	if err != nil {
		return nil, err
	}
	return &Sampler{newHandle(made, freeSampler)}, nil
}

// useSampler lends a sampler that may be nil.
func useSampler(s *Sampler, f func(at *C.minimax_sampler) error) error {
	if s == nil {
		return f(nil)
	}
	return s.use(f)
}

// Close gives its memory back.
func (s *Sampler) Close() error {
	s.close()
	return nil
}

// Reset forgets accepted tokens and starts its random numbers anew.
func (s *Sampler) Reset() error {
	return s.call(func(at *C.minimax_sampler) C.minimax_status { return C.minimax_sampler_reset(at) })
}

// Sample draws the token that follows, and accepts it. The session is not fed.
func (s *Sampler) Sample(session *Session) (int32, error) {
	var token C.int32_t
	err := session.use(func(from *C.minimax_session) error {
		return s.call(func(at *C.minimax_sampler) C.minimax_status {
			return C.minimax_sampler_sample(at, from, &token)
		})
	})
	return int32(token), err
}

// Accept counts a token that was chosen elsewhere.
func (s *Sampler) Accept(token int32) error {
	return s.call(func(at *C.minimax_sampler) C.minimax_status {
		return C.minimax_sampler_accept(at, C.int32_t(token))
	})
}

// Logprobs are those of the last sample: the drawn token first, then the most probable ones.
func (s *Sampler) Logprobs() (entries []TokenLogprob, err error) {
	err = s.use(func(at *C.minimax_sampler) error {
		raw, err := list(func(to *C.minimax_token_logprob, capacity C.size_t, count *C.size_t) C.minimax_status {
			return C.minimax_sampler_logprobs(at, to, capacity, count)
		})
		for _, entry := range raw {
			entries = append(entries, TokenLogprob{int32(entry.token), float32(entry.logprob)})
		}
		return err
	})
	return entries, err
}
