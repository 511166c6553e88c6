// SPDX-License-Identifier: Apache-2.0

package minimax

// #cgo pkg-config: minimax
// #include <minimax.h>
// #include <stdlib.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// ErrClosed is what a handle answers after its Close.
var ErrClosed = errors.New("the handle is closed")

// Error is why a call did not do what it was asked.
type Error struct {
	Status   Status
	Sentence string // for a person: what was found, what was expected and where
	Cause    error  // of a context, a reader or a writer that ended the call; else nil
}

func (e *Error) Error() string { return e.Sentence }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is knows statuses.
func (e *Error) Is(target error) bool {
	status, ok := target.(Status)
	return ok && status == e.Status
}

// Error makes a status a target of errors.Is.
func (s Status) Error() string { return C.GoString(C.minimax_status_name(C.minimax_status(s))) }

// call runs one call of the library and reads its sentence, which is the thread's.
func call(f func() C.minimax_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := Status(f())
	if status == OK {
		return nil
	}
	return &Error{Status: status, Sentence: C.GoString(C.minimax_last_error())}
}

// because names the cause of an error that the library knows only as a callback that gave up.
func because(err, cause error) error {
	var known *Error
	if cause != nil && errors.As(err, &known) {
		known.Cause = cause
	}
	return err
}

// list asks how many there are, then for them.
func list[T any](fill func(at *T, capacity C.size_t, count *C.size_t) C.minimax_status) ([]T, error) {
	var values []T
	for {
		var count C.size_t
		err := call(func() C.minimax_status { return fill(first(values), C.size_t(len(values)), &count) })
		if !errors.Is(err, BufferTooSmall) {
			if err != nil {
				return nil, err
			}
			return values[:count], nil
		}
		values = make([]T, count)
	}
}

// first is where a slice begins; nil when it is empty.
func first[T any](values []T) *T {
	if len(values) == 0 {
		return nil
	}
	return &values[0]
}

// text is where a string or its bytes begin, and how many there are. The library takes any pointer
// with a length of zero but NULL.
func text(s string) (*C.char, C.size_t) {
	bytes := append([]byte(s), 0)
	return (*C.char)(unsafe.Pointer(&bytes[0])), C.size_t(len(s))
}

// cString is zero-terminated and must be freed.
func cString(s, what string) (*C.char, error) {
	if place := strings.IndexByte(s, 0); place >= 0 {
		return nil, &Error{Status: InvalidArgument, Sentence: fmt.Sprintf("%s has a zero byte at %d", what, place)}
	}
	return C.CString(s), nil
}

// withPath lends a path to a call.
func withPath(path string, f func(path *C.char) C.minimax_status) error {
	at, err := cString(path, "path")
	if err != nil {
		return err
	}
	defer free(at)
	return call(func() C.minimax_status { return f(at) })
}

func free(at *C.char) { C.free(unsafe.Pointer(at)) }

// cStrings is a list of strings in memory of C.
type cStrings struct {
	at    **C.char
	count C.size_t
}

func newStrings(texts []string, what string) (cStrings, error) {
	if len(texts) == 0 {
		return cStrings{}, nil
	}
	size := C.size_t(len(texts)) * C.size_t(unsafe.Sizeof((*C.char)(nil)))
	made := cStrings{at: (**C.char)(C.calloc(1, size))}
	for _, s := range texts {
		at, err := cString(s, what)
		if err != nil {
			made.free()
			return cStrings{}, err
		}
		unsafe.Slice(made.at, len(texts))[made.count] = at
		made.count++
	}
	return made, nil
}

func (s cStrings) free() {
	if s.at == nil {
		return
	}
	for _, at := range unsafe.Slice(s.at, s.count) {
		free(at)
	}
	C.free(unsafe.Pointer(s.at))
}

// handle is what the library allows to one thread at a time: its users take turns.
type handle[T any] struct {
	turn sync.Mutex
	life sync.RWMutex // of at, for those who do not wait for their turn
	at   *T
	end  func(at *T)
}

func newHandle[T any](at *T, end func(at *T)) *handle[T] {
	h := &handle[T]{at: at, end: end}
	runtime.SetFinalizer(h, (*handle[T]).close)
	return h
}

// use runs a call in its turn.
func (h *handle[T]) use(f func(at *T) error) error {
	if h == nil {
		return ErrClosed
	}
	h.turn.Lock()
	defer h.turn.Unlock()
	if h.at == nil {
		return ErrClosed
	}
	return f(h.at)
}

func (h *handle[T]) call(f func(at *T) C.minimax_status) error {
	return h.use(func(at *T) error { return call(func() C.minimax_status { return f(at) }) })
}

// peek runs beside whoever has the turn.
func (h *handle[T]) peek(f func(at *T)) {
	h.life.RLock()
	defer h.life.RUnlock()
	if h.at != nil {
		f(h.at)
	}
}

func (h *handle[T]) close() {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.life.Lock()
	defer h.life.Unlock()
	if h.at != nil {
		h.end(h.at)
	}
	h.at = nil
	runtime.SetFinalizer(h, nil)
}

// shared is what any number of threads may use at once.
type shared[T any] struct {
	life sync.RWMutex
	at   *T
	end  func(at *T)
}

func newShared[T any](at *T, end func(at *T)) *shared[T] {
	s := &shared[T]{at: at, end: end}
	runtime.SetFinalizer(s, (*shared[T]).close)
	return s
}

func (s *shared[T]) use(f func(at *T) error) error {
	if s == nil {
		return ErrClosed
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.at == nil {
		return ErrClosed
	}
	return f(s.at)
}

func (s *shared[T]) call(f func(at *T) C.minimax_status) error {
	return s.use(func(at *T) error { return call(func() C.minimax_status { return f(at) }) })
}

func (s *shared[T]) close() {
	s.life.Lock()
	defer s.life.Unlock()
	if s.at != nil {
		s.end(s.at)
	}
	s.at = nil
	runtime.SetFinalizer(s, nil)
}

// watch cancels, again and again, from the end of a context until done is called: a cancel that
// comes before the library has begun would be lost.
func watch(ctx context.Context, cancel func()) (done func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-stop:
			return
		case <-ctx.Done():
		}
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		for {
			cancel()
			select {
			case <-stop:
				return
			case <-again.C:
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// ended is the error of a context that ended before a call began.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &Error{Status: Cancelled, Sentence: "the context has ended: " + ctx.Err().Error(), Cause: ctx.Err()}
}

var misfit struct {
	once sync.Once
	err  error
}

type versionedStruct struct {
	name string
	size int // as this package was made for
	// librarySize is what the library that was loaded says of it.
	librarySize func() uintptr
}

// ready refuses a library that this package does not fit; asked before the first handle is made.
func ready() error {
	misfit.once.Do(func() { misfit.err = findMisfit() })
	return misfit.err
}

func findMisfit() error {
	found := int(C.minimax_version_number())
	if found/10000 != madeFor/10000 || found < madeFor {
		return &Error{Status: Unsupported, Sentence: fmt.Sprintf(
			"libminimax %s was found, this package was made for %s and later ones of its major version",
			versionText(found), versionText(madeFor))}
	}
	for _, s := range versionedStructs {
		// Later libraries only append to structs, so theirs may be larger than ours.
		if size := int(s.librarySize()); size < s.size {
			return &Error{Status: Unsupported, Sentence: fmt.Sprintf(
				"%s has %d bytes in this libminimax, this package was made for %d", s.name, size, s.size)}
		}
	}
	return nil
}

func versionText(number int) string {
	return fmt.Sprintf("%d.%d.%d", number/10000, number/100%100, number%100)
}
