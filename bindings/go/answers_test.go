// SPDX-License-Identifier: Apache-2.0

package minimax_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	. "libminimax/minimax"
)

func bits(logits []float32) []byte {
	var made []byte
	for _, logit := range logits {
		made = binary.LittleEndian.AppendUint32(made, math.Float32bits(logit))
	}
	return made
}

func logitsOf(t *testing.T, session *Session) []byte {
	t.Helper()
	logits, err := session.Logits()
	check(t, err)
	return bits(logits)
}

func TestAnswersAreThoseOfC(t *testing.T) {
	from := folder(t)
	for name, ask := range map[string]func() *Session{
		"text":    func() *Session { return askedWith(t, question, nil, withoutCache) },
		"picture": func() *Session { return askedWith(t, look, bee(t), withoutCache) },
	} {
		session := ask()
		seen := logitsOf(t, session)
		text, _ := generate(t, session, 40)
		equal(t, text, string(read(t, from, name+".txt")))
		seen = append(seen, logitsOf(t, session)...)
		if !bytes.Equal(seen, read(t, from, name+".logits")) {
			t.Errorf("%s: logits differ from those of C", name)
		}
	}
}

func TestAnswersStopWhereTheyAreTold(t *testing.T) {
	text, result := generate(t, asked(t, question, nil), 0)
	equal(t, text, answer)
	equal(t, result.StopReason, StopToken)
	var heard strings.Builder
	result, err := asked(t, question, nil).Generate(ctx, &heard, nil, &GenerateOptions{StopStrings: []string{"France"}})
	check(t, err)
	equal(t, heard.String(), "The capital of ")
	equal(t, result.StopReason, StopString)
	result, err = asked(t, question, nil).Generate(ctx, nil, nil, &GenerateOptions{OnToken: func(int32) bool { return false }})
	check(t, err)
	equal(t, result.StopReason, StopCallback)
}

func TestPicturesFromMemoryAndPixels(t *testing.T) {
	image, err := ImageFromMemory(read(t, picture))
	check(t, err)
	id, err := image.ID()
	check(t, err)
	same, err := bee(t).ID()
	check(t, err)
	equal(t, id, same)
	image, err = ImageFromPixels(make([]byte, 60), 4, 5, 12)
	check(t, err)
	width, height, err := image.Size()
	check(t, err)
	equal(t, [2]int{width, height}, [2]int{4, 5})
	check(t, theEngine(t).EncodeImage(ctx, bee(t)))
	plan, err := theEngine(t).ImagePlan(112, 112)
	check(t, err)
	if plan.TokenCount < 1 {
		t.Error(plan)
	}
}

func TestAContextEndsAnAnswer(t *testing.T) {
	session := asked(t, "Tell me a story.", nil)
	before, err := session.Position()
	check(t, err)
	soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	result, err := session.Generate(soon, nil, nil, &GenerateOptions{IgnoreStopToken: true})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, Cancelled) {
		t.Fatal(err)
	}
	equal(t, result.StopReason, StopCancelled)
	after, err := session.Position()
	check(t, err)
	equal(t, after, before+int64(result.TokenCount))
	if goOn(t, session) == "" {
		t.Error("the session is not whole")
	}
	expect(t, session.Feed(soon, []int32{1000}), Cancelled, "context")
	_, err = OpenEngine(soon, model, nil)
	expect(t, err, Cancelled, "")
}

func TestGoesBackAndBranchesExactly(t *testing.T) {
	session := asked(t, question, nil)
	snapshot, err := session.Mark()
	check(t, err)
	info, err := snapshot.Info()
	check(t, err)
	position, err := session.Position()
	check(t, err)
	equal(t, info.Position, position)
	branch, err := session.Fork()
	check(t, err)
	text, _ := generate(t, session, 0)
	logits := logitsOf(t, session)
	equal(t, text, answer)
	text, _ = generate(t, branch, 0)
	equal(t, text, answer)
	equal(t, bytes.Equal(logitsOf(t, branch), logits), true)
	check(t, session.ReturnTo(snapshot))
	text, _ = generate(t, session, 0)
	equal(t, text, answer)
	tokens, err := session.Tokens(0)
	check(t, err)
	check(t, session.Rewind(1))
	_, err = session.Logits()
	expect(t, err, NotAvailable, "")
	floor, err := session.RewindFloor()
	check(t, err)
	if floor >= int64(len(tokens)) {
		t.Error(floor)
	}
	check(t, session.Feed(ctx, tokens[len(tokens)-1:]))
	equal(t, bytes.Equal(logitsOf(t, session), logits), true)
	check(t, session.Reset())
	stats, err := session.Stats()
	check(t, err)
	equal(t, stats.Position, 0)
}

func TestScoresAndTokens(t *testing.T) {
	tokens, err := theEngine(t).Tokenize(answer, TokenizeDefault)
	check(t, err)
	back, err := theEngine(t).Detokenize(tokens, DetokenizeDefault)
	check(t, err)
	equal(t, string(back), answer)
	session, err := theEngine(t).NewSession(&SessionOptions{RewindTokens: 8})
	check(t, err)
	logprobs, err := session.Score(ctx, tokens)
	check(t, err)
	if !math.IsNaN(float64(logprobs[0])) || logprobs[1] >= 0 {
		t.Error(logprobs)
	}
	check(t, session.Reset())
	rows, err := session.FeedLogits(ctx, tokens)
	check(t, err)
	equal(t, len(rows), len(tokens))
	equal(t, bytes.Equal(bits(rows[len(rows)-1]), logitsOf(t, session)), true)
	stream, err := theEngine(t).NewTextStream("Paris")
	check(t, err)
	var shown string
	for _, token := range tokens {
		piece, stopped, err := stream.Push(token)
		check(t, err)
		if shown += piece; stopped {
			break
		}
	}
	equal(t, shown, "The capital of France is ")
}

func TestSessionsOfOthersGoOnAndOursIsLeftForThem(t *testing.T) {
	from := folder(t)
	session := asked(t, look, bee(t))
	generate(t, session, 40)
	check(t, session.Save(filepath.Join(from, "go.session"), nil))
	check(t, os.WriteFile(filepath.Join(from, "go.next"), []byte(goOn(t, session)), 0o666))
	files, err := filepath.Glob(filepath.Join(from, "*.session"))
	check(t, err)
	if len(files) < 2 {
		t.Error("C's and ours should be there")
	}
	for _, file := range files {
		info, err := ReadSessionFileInfo(file)
		check(t, err)
		loaded, err := theEngine(t).LoadSession(file, nil)
		check(t, err)
		spans, err := loaded.Images()
		check(t, err)
		equal(t, len(spans), int(info.ImageCount))
		equal(t, goOn(t, loaded), string(read(t, strings.TrimSuffix(file, ".session")+".next")))
	}
}

func TestSessionsGoThroughStreamsWithTheirSampler(t *testing.T) {
	sampler, err := theEngine(t).NewSampler(&SamplerOptions{
		Temperature: 1.3, Seed: 5, TopLogprobs: 2, LogitBias: map[int32]float32{1000: 1},
	})
	check(t, err)
	session := asked(t, "Tell me a story.", nil)
	_, err = session.Generate(ctx, nil, sampler, &GenerateOptions{MaxTokens: 5})
	check(t, err)
	var saved bytes.Buffer
	check(t, session.SaveTo(&saved, sampler))
	resumed, err := theEngine(t).NewSampler(nil)
	check(t, err)
	loaded, err := theEngine(t).LoadSessionFrom(iotest.HalfReader(&saved), resumed)
	check(t, err)
	for i := 0; i < 8; i++ {
		token, err := sampler.Sample(session)
		check(t, err)
		same, err := resumed.Sample(loaded)
		check(t, err)
		equal(t, same, token)
		entries, err := sampler.Logprobs()
		check(t, err)
		equal(t, len(entries), 3)
		check(t, session.Feed(ctx, []int32{token}))
		check(t, loaded.Feed(ctx, []int32{token}))
	}
}

func TestABatchAnswersMany(t *testing.T) {
	batch, err := theEngine(t).NewBatch(nil)
	check(t, err)
	defer batch.Close()
	answers, sessions := map[uint64]string{}, make([]*Session, 4)
	for i := range sessions {
		sessions[i], err = theEngine(t).NewSession(nil)
		check(t, err)
		ticket, err := batch.Submit(sessions[i], Request{Prompt: ask(t, theEngine(t), question, nil)})
		check(t, err)
		answers[ticket] = ""
	}
	_, err = sessions[0].Position()
	expect(t, err, NotAvailable, "ticket")
	for open := len(sessions); open > 0; {
		check(t, batch.Step(ctx))
		for event, err := batch.NextEvent(); event != nil; event, err = batch.NextEvent() {
			check(t, err)
			answers[event.Ticket] += event.Text
			if event.EndsTicket() {
				open--
			}
		}
	}
	for _, text := range answers {
		equal(t, text, answer)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	check(t, batch.Step(ended))
}

func TestToolsAndToolResultsAreRendered(t *testing.T) {
	prompt, err := theEngine(t).NewPrompt()
	check(t, err)
	check(t, prompt.SetFormat(ChatM1))
	check(t, prompt.SetToolsJSON(`[{"name": "weather", "description": "knows rain"}]`))
	check(t, prompt.AddMessage(RoleUser, "Will it rain?"))
	check(t, prompt.AddToolResult("weather", "It will."))
	check(t, prompt.BeginReply())
	text, err := prompt.Text()
	check(t, err)
	if !strings.Contains(text, "knows rain") || !strings.Contains(text, "It will.") {
		t.Error(text)
	}
}
