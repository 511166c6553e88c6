// SPDX-License-Identifier: Apache-2.0

package minimax_test

import (
	"bytes"
	"testing"

	. "libminimax/minimax"
)

const system = "You are a helpful assistant who answers every question in one short and friendly sentence."

// ownEngine has counts that are not those of other tests.
func ownEngine(t *testing.T, options *EngineOptions) *Engine {
	t.Helper()
	engine, err := OpenEngine(ctx, model, options)
	check(t, err)
	t.Cleanup(func() { engine.Close() })
	return engine
}

// dialogue is a whole conversation, as a program hands it over at its second turn.
func dialogue(t *testing.T, engine *Engine, last string) *Prompt {
	t.Helper()
	prompt, err := engine.NewPrompt()
	check(t, err)
	check(t, prompt.AddMessage(RoleSystem, system))
	check(t, prompt.AddMessage(RoleUser, question))
	check(t, prompt.AddMessage(RoleAssistant, answer))
	check(t, prompt.AddMessage(RoleUser, last))
	check(t, prompt.BeginReply())
	return prompt
}

func tokensOf(t *testing.T, prompt *Prompt) []int32 {
	t.Helper()
	tokens, err := prompt.Tokens()
	check(t, err)
	return tokens
}

// parting is where two texts part.
func parting(one, other []int32) int {
	place := 0
	for place < len(one) && place < len(other) && one[place] == other[place] {
		place++
	}
	return place
}

func newSession(t *testing.T, engine *Engine, options *SessionOptions) *Session {
	t.Helper()
	session, err := engine.NewSession(options)
	check(t, err)
	return session
}

// fed is a session that was fed the same pieces by hand: one text, taken back up to the cut, then the
// end of another.
func fed(t *testing.T, engine *Engine, first []int32, cut int, last []int32) *Session {
	t.Helper()
	session := newSession(t, engine, withoutCache)
	check(t, session.Feed(ctx, first))
	check(t, session.Rewind(int64(len(first)-cut)))
	check(t, session.Feed(ctx, last[cut:]))
	return session
}

func expectSame(t *testing.T, session, other *Session) {
	t.Helper()
	equal(t, bytes.Equal(logitsOf(t, session), logitsOf(t, other)), true)
	said, _ := generate(t, session, 20)
	same, _ := generate(t, other, 20)
	equal(t, said, same)
}

// reuse is what a report says of it.
type reuse struct {
	tokens, divergedAt int
	reason             MissReason
}

func reuseOf(report FeedReport) reuse {
	return reuse{int(report.TokensReused), int(report.DivergedAt), report.MissReason}
}

func numbers(from, to int32) []int32 {
	var made []int32
	for ; from < to; from++ {
		made = append(made, from)
	}
	return made
}

func TestAnEditedTurnIsComputedAndNoMore(t *testing.T) {
	engine := ownEngine(t, nil)
	first, edited := dialogue(t, engine, "What is red?"), dialogue(t, engine, "What is blue?")
	session := newSession(t, engine, nil)
	report, err := session.SetPrompt(ctx, first)
	check(t, err)
	equal(t, reuseOf(report), reuse{0, 0, MissReasonNew})
	generate(t, session, 5)
	report, err = session.SetPrompt(ctx, edited)
	check(t, err)
	before, tokens := tokensOf(t, first), tokensOf(t, edited)
	cut := parting(before, tokens)
	equal(t, int(report.TokenCount), len(tokens))
	equal(t, reuseOf(report), reuse{cut, cut, MissReasonDiverged})
	expectSame(t, session, fed(t, engine, before, cut, tokens))
}

func TestTokensAreTakenAndMissesTellWhy(t *testing.T) {
	engine := ownEngine(t, nil)
	before, tokens := numbers(1000, 1200), numbers(1000, 1200)
	tokens[199] = 2000
	session := newSession(t, engine, nil)
	_, err := session.SetTokens(ctx, before)
	check(t, err)
	report, err := session.SetTokens(ctx, tokens)
	check(t, err)
	equal(t, reuseOf(report), reuse{199, 199, MissReasonDiverged})
	expectSame(t, session, fed(t, engine, before, 199, tokens))
	for i, expected := range []reuse{{0, 100, MissReasonNoCheckpoint}, {100, 100, MissReasonDiverged}} {
		other := append(numbers(1000, 1100), numbers(int32(2000+1000*i), int32(2020+1000*i))...)
		report, err := newSession(t, engine, nil).SetTokens(ctx, other)
		check(t, err)
		equal(t, reuseOf(report), expected)
	}
	position, err := session.Position()
	check(t, err)
	for _, wrong := range [][]int32{nil, {-1}, {8192}} {
		_, err = session.SetTokens(ctx, wrong)
		expect(t, err, InvalidArgument, "")
	}
	_, err = session.SetPrompt(ctx, ask(t, theEngine(t), question, nil))
	expect(t, err, WrongModel, "")
	after, err := session.Position()
	check(t, err)
	equal(t, after, position)
}

func TestSessionsTakeWhatOthersLeft(t *testing.T) {
	engine := ownEngine(t, nil)
	prompt := ask(t, engine, look, bee(t))
	alone := newSession(t, engine, withoutCache)
	report, err := alone.SetPrompt(ctx, prompt)
	check(t, err)
	equal(t, report.MissReason, MissReasonDisabled)
	_, err = newSession(t, engine, nil).SetPrompt(ctx, prompt)
	check(t, err)
	session := newSession(t, engine, &SessionOptions{CachePolicy: CachePolicyNoStore})
	report, err = session.SetPrompt(ctx, prompt)
	check(t, err)
	count := int(report.TokenCount)
	equal(t, reuseOf(report), reuse{count, count, MissReasonNone})
	equal(t, report.ImagesReused, 1)
	equal(t, report.PrefillTime, 0)
	expectSame(t, session, alone)
	stats, err := engine.PrefixCacheStats()
	check(t, err)
	equal(t, stats.HitCount, 1)
	equal(t, int(stats.TokensReused), count)
}

func TestEventsOfABatchTellOfReuse(t *testing.T) {
	engine := ownEngine(t, nil)
	red, blue := dialogue(t, engine, "What is red?"), dialogue(t, engine, "What is blue?")
	count, cut := len(tokensOf(t, red)), parting(tokensOf(t, red), tokensOf(t, blue))
	for _, turn := range []struct {
		prompt   *Prompt
		expected reuse
	}{
		{red, reuse{0, 0, MissReasonNew}}, {red, reuse{count, count, MissReasonNone}},
		{blue, reuse{cut, cut, MissReasonDiverged}},
	} {
		batch, err := engine.NewBatch(nil)
		check(t, err)
		_, err = batch.Submit(newSession(t, engine, nil), Request{Prompt: turn.prompt, FeedsOnly: true})
		check(t, err)
		var last *Event
		for last == nil || !last.EndsTicket() {
			check(t, batch.Step(ctx))
			for event, err := batch.NextEvent(); event != nil; event, err = batch.NextEvent() {
				check(t, err)
				last = event
			}
		}
		equal(t, last.Kind, EventFinished)
		equal(t, reuse{int(last.TokensReused), int(last.DivergedAt), last.MissReason}, turn.expected)
		check(t, batch.Close())
	}
}

func TestPinsStayUntilTheyAreTakenBack(t *testing.T) {
	engine := ownEngine(t, nil)
	prefix, err := engine.NewPrompt()
	check(t, err)
	check(t, prefix.AddMessage(RoleSystem, system))
	deep := &SessionOptions{RewindTokens: 64}
	report, err := engine.PinPrefix(prefix, deep)
	check(t, err)
	equal(t, int(report.TokenCount), len(tokensOf(t, prefix)))
	equal(t, report.MissReason, MissReasonNew)
	stats, err := engine.PrefixCacheStats()
	check(t, err)
	equal(t, [2]uint64{stats.PinnedCount, stats.SnapshotCount}, [2]uint64{1, 1})
	memory, err := engine.Memory()
	check(t, err)
	equal(t, memory.PrefixCacheBytes, stats.Bytes-stats.KvBytes)
	prompt := dialogue(t, engine, "Hello!")
	found, err := newSession(t, engine, deep).SetPrompt(ctx, prompt)
	check(t, err)
	equal(t, found.TokensReused, report.TokenCount)
	found, err = newSession(t, engine, nil).SetPrompt(ctx, prompt)
	check(t, err)
	equal(t, found.TokensReused, 0)
	expect(t, engine.UnpinPrefix(prefix, nil), NotFound, "")
	check(t, engine.UnpinPrefix(prefix, deep))
	stats, err = engine.PrefixCacheStats()
	check(t, err)
	equal(t, stats.PinnedCount == 0 && stats.SnapshotCount > 1, true)
	check(t, engine.ClearPrefixCache())
	stats, err = engine.PrefixCacheStats()
	check(t, err)
	equal(t, stats.SnapshotCount, 0)
	_, err = engine.PinPrefix(prefix, &SessionOptions{CachePolicy: CachePolicyNoStore})
	expect(t, err, Unsupported, "")
}

func TestAnEngineMayKeepNone(t *testing.T) {
	engine := ownEngine(t, &EngineOptions{PrefixCacheBytesLimit: -1})
	stats, err := engine.PrefixCacheStats()
	check(t, err)
	equal(t, stats.LimitBytes, 0)
	prompt := ask(t, engine, question, nil)
	report, err := newSession(t, engine, nil).SetPrompt(ctx, prompt)
	check(t, err)
	equal(t, report.MissReason, MissReasonDisabled)
	_, err = engine.PinPrefix(prompt, nil)
	expect(t, err, NotAvailable, "")
}

func TestAMarkThatMovesGoesOnToTheBit(t *testing.T) {
	session := asked(t, question, nil)
	mark, err := session.Mark()
	check(t, err)
	expected := logitsOf(t, session)
	kept, err := mark.Info()
	check(t, err)
	equal(t, kept.Home, SnapshotHomeDevice)
	equal(t, kept.MovedBytes, 0)
	generate(t, session, 0)
	after := logitsOf(t, session)
	folder := t.TempDir()
	for _, place := range []struct {
		home   SnapshotHome
		folder string
	}{{SnapshotHomeHost, ""}, {SnapshotHomeFile, folder}, {SnapshotHomeHost, ""}, {SnapshotHomeDevice, ""}} {
		check(t, mark.MoveTo(place.home, place.folder))
		info, err := mark.Info()
		check(t, err)
		if place.home == SnapshotHomeFile {
			equal(t, info.Home == place.home && info.MovedBytes > 0 && info.StateBytes == 0, true)
		} else { // the CPU's memory is the program's
			equal(t, info, kept)
		}
		check(t, session.ReturnTo(mark))
		equal(t, bytes.Equal(logitsOf(t, session), expected), true)
		text, _ := generate(t, session, 0)
		equal(t, text, answer)
		equal(t, bytes.Equal(logitsOf(t, session), after), true)
	}
	expect(t, mark.MoveTo(SnapshotHomeFile, "no/such/folder"), NotFound, "no/such/folder")
	expect(t, mark.MoveTo(SnapshotHomeFile, ""), InvalidArgument, "")
	expect(t, mark.MoveTo(SnapshotHomeHost, folder), InvalidArgument, "")
	expect(t, mark.MoveTo(3, ""), InvalidArgument, "")
	expect(t, mark.MoveTo(SnapshotHomeFile, "a\x00b"), InvalidArgument, "zero byte")
	check(t, mark.Close())
	equal(t, mark.MoveTo(SnapshotHomeHost, "") == ErrClosed, true)
}
