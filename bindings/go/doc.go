// SPDX-License-Identifier: Apache-2.0

// Package minimax runs MiniMax-01 models (Text-01, VL-01, M1) inside your program: the Go face of
// libminimax.
//
// Two nouns carry it. An [Engine] is a loaded model, shared by any number of goroutines. A [Session]
// is one timeline of tokens on it. A [Prompt] holds messages and pictures on their way to become
// tokens, a [Sampler] turns logits into a token, a [Batch] computes many sessions together.
//
//	engine, err := minimax.OpenEngine(ctx, "models/demo", nil)
//	session, err := engine.NewSession(nil)
//	prompt, err := engine.NewPrompt()
//	err = prompt.AddMessage(minimax.RoleUser, "What is the capital of France?")
//	err = prompt.BeginReply()
//	_, err = session.FeedPrompt(ctx, prompt)
//	_, err = session.Generate(ctx, os.Stdout, nil, nil)
//
// # Goroutines
//
// Everything may be used by many goroutines at once. What the library allows to one thread at a
// time (a session, a prompt, a sampler, a text stream) takes its callers one after the other. A
// callback must not use the handle that calls it: it would wait for itself.
//
// # Ends
//
// Close gives memory back at once, in any order; what is not closed is closed when the garbage
// collector finds it. A closed handle answers [ErrClosed].
//
// # Errors
//
// An [Error] has a [Status] and one sentence with the names and numbers at fault; errors.Is knows
// statuses: errors.Is(err, minimax.ContextFull). When a context ends a call, errors.Is(err,
// context.Canceled) and errors.Is(err, minimax.Cancelled) both hold. After an error nothing has
// changed, unless a function says otherwise.
package minimax
