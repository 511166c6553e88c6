// SPDX-License-Identifier: Apache-2.0

package minimax_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	. "libminimax/minimax"
)

const (
	model    = "../../models/demo"
	picture  = model + "/eval/pictures/173_emoji.png"
	question = "What is the capital of France?"
	answer   = "The capital of France is Paris."
	look     = "What do you see?"
)

var ctx = context.Background()

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expect wants a status, and a word of the sentence.
func expect(t *testing.T, err error, status Status, word string) {
	t.Helper()
	if !errors.Is(err, status) || !strings.Contains(err.Error(), word) {
		t.Errorf("%v instead of %v with %q", err, status, word)
	}
}

var opened struct {
	sync.Once
	engine *Engine
	err    error
}

// theEngine is one for all tests.
func theEngine(t testing.TB) *Engine {
	t.Helper()
	opened.Do(func() { opened.engine, opened.err = OpenEngine(ctx, model, nil) })
	check(t, opened.err)
	return opened.engine
}

func bee(t testing.TB) *Image {
	t.Helper()
	image, err := ImageFromFile(picture)
	check(t, err)
	return image
}

// ask makes a prompt of an engine.
func ask(t testing.TB, engine *Engine, text string, image *Image) *Prompt {
	t.Helper()
	prompt, err := engine.NewPrompt()
	check(t, err)
	if image != nil {
		check(t, prompt.AddImage(image))
	}
	check(t, prompt.AddMessage(RoleUser, text))
	check(t, prompt.BeginReply())
	return prompt
}

// asked is a session that has been asked.
func asked(t testing.TB, text string, image *Image) *Session {
	t.Helper()
	return askedWith(t, text, image, nil)
}

// withoutCache makes logits the same bits, whatever was asked before.
var withoutCache = &SessionOptions{CachePolicy: CachePolicyOff}

func askedWith(t testing.TB, text string, image *Image, options *SessionOptions) *Session {
	t.Helper()
	session, err := theEngine(t).NewSession(options)
	check(t, err)
	_, err = session.FeedPrompt(ctx, ask(t, theEngine(t), text, image))
	check(t, err)
	return session
}

func generate(t testing.TB, session *Session, maxTokens int64) (string, GenerateResult) {
	t.Helper()
	var text strings.Builder
	result, err := session.Generate(ctx, &text, nil, &GenerateOptions{MaxTokens: maxTokens})
	check(t, err)
	return text.String(), result
}

// goOn is what is answered when a dialogue goes on.
func goOn(t testing.TB, session *Session) string {
	t.Helper()
	prompt, err := theEngine(t).NewPrompt()
	check(t, err)
	check(t, prompt.EndReply(StopToken))
	check(t, prompt.AddMessage(RoleUser, "Thank you!"))
	check(t, prompt.BeginReply())
	_, err = session.FeedPrompt(ctx, prompt)
	check(t, err)
	text, _ := generate(t, session, 40)
	return text
}

// folder is where c_answers wrote.
func folder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("MINIMAX_ANSWERS")
	if folder == "" {
		t.Skip("MINIMAX_ANSWERS does not name the folder that c_answers has filled")
	}
	return folder
}

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	bytes, err := os.ReadFile(filepath.Join(parts...))
	check(t, err)
	return bytes
}

func equal[T comparable](t *testing.T, found, expected T) {
	t.Helper()
	if found != expected {
		t.Errorf("%v instead of %v", found, expected)
	}
}
