// SPDX-License-Identifier: Apache-2.0

package minimax_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	. "libminimax/minimax"
)

func TestWrongValuesGetAStatusAndASentence(t *testing.T) {
	engine := theEngine(t)
	_, err := OpenEngine(ctx, "no/such/model", nil)
	expect(t, err, NotFound, "no/such/model")
	_, err = OpenEngine(ctx, "a\x00b", nil)
	expect(t, err, InvalidArgument, "zero byte at 1")
	_, err = OpenEngine(ctx, model, &EngineOptions{Devices: []string{"tpu:0"}})
	expect(t, err, NotFound, "tpu:0")
	_, err = OpenEngine(ctx, model, &EngineOptions{Progress: func(_, _ uint64) bool { return false }})
	expect(t, err, Cancelled, "")
	_, err = Plan(model, &EngineOptions{ThreadCount: -1})
	expect(t, err, InvalidArgument, "-1")
	_, err = ImageFromFile("no/such.png")
	expect(t, err, NotFound, "no/such.png")
	_, err = ImageFromMemory(nil)
	expect(t, err, BadFile, "")
	for _, size := range [][3]int{{10, 10, 30}, {math.MaxInt, math.MaxInt, math.MaxInt}, {0, 0, 0}, {-1, -1, -1}} {
		_, err = ImageFromPixels(make([]byte, 100), size[0], size[1], size[2])
		expect(t, err, InvalidArgument, "")
	}
	session, err := engine.NewSession(nil)
	check(t, err)
	expect(t, session.Feed(ctx, nil), InvalidArgument, "")
	expect(t, session.Feed(ctx, []int32{-1}), InvalidArgument, "-1")
	_, err = session.FeedLogits(ctx, []int32{9999})
	expect(t, err, InvalidArgument, "9999")
	_, err = session.Logits()
	expect(t, err, NotAvailable, "")
	expect(t, session.Rewind(-5), InvalidArgument, "-5")
	_, err = session.Tokens(7)
	expect(t, err, InvalidArgument, "7")
	_, err = engine.NewSampler(&SamplerOptions{Temperature: float32(math.NaN())})
	expect(t, err, InvalidArgument, "temperature")
	_, err = engine.NewTextStream("a", "")
	expect(t, err, InvalidArgument, "")
	_, err = engine.NewTextStream("a", "b\x00")
	expect(t, err, InvalidArgument, "zero byte")
	prompt, err := engine.NewPrompt()
	check(t, err)
	expect(t, prompt.AddMessage(77, "a"), InvalidArgument, "77")
	expect(t, prompt.SetToolsJSON("{"), InvalidArgument, "")
	_, err = engine.LoadSession(model+"/config.json", nil)
	expect(t, err, BadFile, "")
	_, err = session.FeedPromptFrom(ctx, ask(t, engine, question, nil), -1)
	expect(t, err, InvalidArgument, "")
}

func TestHandlesOfOtherEnginesAreRefused(t *testing.T) {
	other, err := OpenEngine(ctx, model, nil)
	check(t, err)
	defer other.Close()
	session, err := other.NewSession(nil)
	check(t, err)
	_, err = session.FeedPrompt(ctx, ask(t, theEngine(t), question, nil))
	expect(t, err, WrongModel, "")
	snapshot, err := asked(t, question, nil).Mark()
	check(t, err)
	expect(t, session.ReturnTo(snapshot), WrongModel, "")
}

func TestClosedHandlesSayThatTheyAre(t *testing.T) {
	engine, err := OpenEngine(ctx, model, nil)
	check(t, err)
	session, err := engine.NewSession(nil)
	check(t, err)
	prompt, image := ask(t, engine, question, nil), bee(t)
	sampler, err := engine.NewSampler(nil)
	check(t, err)
	stream, err := engine.NewTextStream()
	check(t, err)
	_, err = session.FeedPrompt(ctx, prompt)
	check(t, err)
	snapshot, err := session.Mark()
	check(t, err)
	batch, err := engine.NewBatch(nil)
	check(t, err)
	for _, handle := range []io.Closer{engine, session, prompt, image, sampler, stream, snapshot, batch, engine, session} {
		check(t, handle.Close())
	}
	session.Cancel()
	open := asked(t, question, nil)
	_, ofEngine := engine.Info()
	_, ofPrompt := open.FeedPrompt(ctx, prompt)
	_, ofSampler := open.Generate(ctx, nil, sampler, nil)
	_, _, ofStream := stream.Push(1)
	_, ofBatch := batch.Submit(open, Request{})
	_, ofSession := session.Logits()
	_, made := engine.NewSession(nil)
	_, loaded := engine.LoadSession(model+"/config.json", nil)
	_, ofSetPrompt := open.SetPrompt(ctx, prompt)
	_, ofSetTokens := session.SetTokens(ctx, []int32{1})
	_, ofPin := theEngine(t).PinPrefix(prompt, nil)
	for i, err := range []error{
		ofEngine, ofPrompt, ofSampler, ofStream, ofBatch, ofSession, made, loaded, session.Feed(ctx, []int32{1}),
		open.ReturnTo(snapshot), prompt.AddImage(image), theEngine(t).EncodeImage(ctx, image), batch.Step(ctx),
		session.Save(t.TempDir()+"/closed", nil), (&Session{}).Reset(), (&Engine{}).ClearImageCache(),
		ofSetPrompt, ofSetTokens, ofPin, engine.UnpinPrefix(prompt, nil), engine.ClearPrefixCache(),
		snapshot.MoveTo(SnapshotHomeHost, ""),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestHandlesEndInAnyOrder(t *testing.T) {
	for first := 0; first < 5; first++ {
		engine, err := OpenEngine(ctx, model, nil)
		check(t, err)
		session, err := engine.NewSession(nil)
		check(t, err)
		prompt := ask(t, engine, question, nil)
		_, err = session.FeedPrompt(ctx, prompt)
		check(t, err)
		snapshot, err := session.Mark()
		check(t, err)
		batch, err := engine.NewBatch(nil)
		check(t, err)
		_, err = batch.Submit(session, Request{})
		check(t, err)
		handles := []io.Closer{engine, session, prompt, snapshot, batch}
		for i := range handles {
			check(t, handles[(first+i)%len(handles)].Close())
		}
	}
}

func TestFinalisersEndWhatWasForgotten(t *testing.T) {
	before, err := theEngine(t).Memory()
	check(t, err)
	for i := 0; i < 5; i++ {
		asked(t, question, nil)
	}
	var after EngineMemory
	for i := 0; i < 200; i++ {
		runtime.GC()
		if after, err = theEngine(t).Memory(); after.SessionCount <= before.SessionCount {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d sessions instead of at most %d (%v)", after.SessionCount, before.SessionCount, err)
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("enough") }
func (panicking) Read([]byte) (int, error)  { panic("enough") }

func TestPanicsInCallbacksArriveAndLeaveAllWhole(t *testing.T) {
	session := asked(t, question, nil)
	for _, call := range []func(){
		func() { session.Generate(ctx, panicking{}, nil, nil) },
		func() { session.SaveTo(panicking{}, nil) },
		func() { theEngine(t).LoadSessionFrom(panicking{}, nil) },
		func() { OpenEngine(ctx, model, &EngineOptions{Progress: func(_, _ uint64) bool { panic("enough") }}) },
	} {
		func() {
			defer func() { equal(t, recover() == "enough", true) }()
			call()
		}()
	}
	check(t, session.Feed(ctx, []int32{1000}))
}

func TestBrokenStreamsAreTheCauseOfTheError(t *testing.T) {
	cut := errors.New("the wire is cut")
	session := asked(t, question, nil)
	_, err := session.Generate(ctx, brokenWriter{cut}, nil, nil)
	equal(t, errors.Is(err, cut), true)
	session = asked(t, question, nil)
	err = session.SaveTo(brokenWriter{cut}, nil)
	equal(t, errors.Is(err, cut) && errors.Is(err, IoError), true)
	_, err = theEngine(t).LoadSessionFrom(iotest.ErrReader(cut), nil)
	equal(t, errors.Is(err, cut) && errors.Is(err, IoError), true)
	var saved bytes.Buffer
	check(t, session.SaveTo(&saved, nil))
	whole := saved.Bytes()
	_, err = theEngine(t).LoadSessionFrom(bytes.NewReader(whole[:len(whole)/2]), nil)
	expect(t, err, BadFile, "")
	whole[1000] ^= 1
	_, err = theEngine(t).LoadSessionFrom(bytes.NewReader(whole), nil)
	expect(t, err, BadFile, "")
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestOneSessionInManyGoroutines(t *testing.T) {
	session := asked(t, question, nil)
	sampler, err := theEngine(t).NewSampler(&SamplerOptions{Temperature: 1})
	check(t, err)
	prompt := ask(t, theEngine(t), question, nil)
	batch, err := theEngine(t).NewBatch(nil)
	check(t, err)
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, use := range []func(){
		func() { session.Generate(soon, io.Discard, sampler, &GenerateOptions{MaxTokens: 3}) },
		func() { session.Feed(soon, []int32{1000, 1001}) },
		func() { session.FeedPrompt(soon, prompt) },
		func() { prompt.AddText("a", TokenizePlain); prompt.Tokens() },
		func() { sampler.Sample(session); sampler.Reset() },
		func() { session.Logits(); session.Rewind(1); session.Position() },
		func() { session.Cancel() },
		func() {
			batch.Submit(session, Request{Prompt: prompt, Sampler: sampler, Generate: &GenerateOptions{MaxTokens: 2}})
		},
		func() { batch.Step(soon); batch.NextEvent() },
		func() { session.SaveTo(io.Discard, sampler) },
		func() { session.Mark(); session.Fork() },
		func() { session.SetPrompt(soon, prompt); session.SetTokens(soon, []int32{1000}) },
		func() { theEngine(t).ClearPrefixCache(); theEngine(t).PrefixCacheStats() },
	} {
		all.Add(1)
		go func(use func()) {
			defer all.Done()
			for soon.Err() == nil {
				use()
			}
		}(use)
	}
	time.Sleep(800 * time.Millisecond)
	check(t, batch.Close())
	check(t, session.Close())
	check(t, sampler.Close())
	check(t, prompt.Close())
	all.Wait()
}

func TestAnEngineIsSharedAndClosedMeanwhile(t *testing.T) {
	engine, err := OpenEngine(ctx, model, nil)
	check(t, err)
	image := bee(t)
	var all sync.WaitGroup
	for i := 0; i < 6; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				session, err := engine.NewSession(nil)
				if errors.Is(err, ErrClosed) {
					return
				}
				prompt, err := engine.NewPrompt()
				if errors.Is(err, ErrClosed) {
					return
				}
				prompt.AddImage(image)
				prompt.AddMessage(RoleUser, look)
				prompt.BeginReply()
				var text strings.Builder
				if _, err := session.FeedPrompt(ctx, prompt); err != nil {
					t.Error(err)
				}
				if _, err := session.Generate(ctx, &text, nil, nil); err != nil || text.String() == "" {
					t.Error(text.String(), err)
				}
				if _, err := OpenEngine(ctx, "no/such/model", nil); !strings.Contains(err.Error(), "no/such/model") {
					t.Error(err)
				}
			}
		}()
	}
	time.Sleep(500 * time.Millisecond)
	check(t, engine.Close())
	all.Wait()
}

func TestTheLogMayPanicAndBeReplaced(t *testing.T) {
	var lock sync.Mutex
	heard := 0
	check(t, SetLog(LogDebug, func(LogLevel, string) {
		lock.Lock()
		defer lock.Unlock()
		heard++
		panic("in the log")
	}))
	engine, err := OpenEngine(ctx, model, nil)
	check(t, err)
	check(t, engine.Close())
	check(t, SetLog(LogDebug, func(LogLevel, string) {}))
	check(t, SetLog(LogError, nil))
	if devices, err := Devices(); err != nil || devices[0].Name != "cpu" || !HasFeature("cpu") || HasFeature("a\x00b") {
		t.Error(devices, err)
	}
	equal(t, NotFound.Error(), "MINIMAX_NOT_FOUND")
	equal(t, Version() != "" && SourceID() != "" && VersionNumber() >= 100, true)
}
