// SPDX-License-Identifier: Apache-2.0

package minimax

// #include "callbacks.h"
import "C"

import (
	"io"
	"runtime/cgo"
	"unsafe"
)

// listener is the Go side of one call with callbacks. A callback that panics ends the call, and the
// panic goes on when it has returned.
type listener struct {
	progress func(done, total uint64) bool // false: give up
	text     io.Writer
	token    func(token int32) bool // false: stop
	writer   io.Writer
	reader   io.Reader
	log      func(level LogLevel, message string)
	err      error // of a reader or writer
	panicked any
}

// lend runs a call that may call back.
func (l *listener) lend(f func(listener C.uintptr_t) error) error {
	h := cgo.NewHandle(l)
	defer h.Delete()
	err := f(C.uintptr_t(h))
	if l.panicked != nil {
		panic(l.panicked)
	}
	return err
}

func listenerOf(at C.uintptr_t) *listener { return cgo.Handle(at).Value().(*listener) }

// heed runs a callback's body: 0 goes on.
func (l *listener) heed(body func() bool) (answer C.int32_t) {
	defer func() {
		if panicked := recover(); panicked != nil {
			l.panicked = panicked
			answer = 1
		}
	}()
	if body() {
		return 0
	}
	return 1
}

//export minimaxGoProgress
func minimaxGoProgress(at C.uintptr_t, done, total C.uint64_t) C.int32_t {
	l := listenerOf(at)
	return l.heed(func() bool { return l.progress(uint64(done), uint64(total)) })
}

// bytesAt sees memory of C, for the time of a callback.
func bytesAt(at unsafe.Pointer, size C.size_t) []byte {
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(at), size)
}

//export minimaxGoText
func minimaxGoText(at C.uintptr_t, text *C.char, size C.size_t) C.int32_t {
	l := listenerOf(at)
	return l.heed(func() bool {
		_, l.err = l.text.Write(bytesAt(unsafe.Pointer(text), size))
		return l.err == nil
	})
}

//export minimaxGoToken
func minimaxGoToken(at C.uintptr_t, token C.int32_t) C.int32_t {
	l := listenerOf(at)
	if l.token == nil {
		return 0
	}
	return l.heed(func() bool { return l.token(int32(token)) })
}

//export minimaxGoWrite
func minimaxGoWrite(at C.uintptr_t, bytes unsafe.Pointer, size C.size_t) C.int32_t {
	l := listenerOf(at)
	return l.heed(func() bool {
		_, l.err = l.writer.Write(bytesAt(bytes, size))
		return l.err == nil
	})
}

//export minimaxGoRead
func minimaxGoRead(at C.uintptr_t, bytes unsafe.Pointer, size C.size_t, count *C.size_t) C.int32_t {
	l := listenerOf(at)
	return l.heed(func() bool {
		read, err := 0, error(nil)
		for read == 0 && err == nil && size > 0 {
			read, err = l.reader.Read(bytesAt(bytes, size))
		}
		if read == 0 && err != io.EOF {
			l.err = err
		}
		*count = C.size_t(read)
		return l.err == nil
	})
}

//export minimaxGoLog
func minimaxGoLog(at C.uintptr_t, level C.int32_t, message *C.char, size C.size_t) {
	l := listenerOf(at)
	// Nobody is there to go on panicking in: the thread may be the library's.
	l.heed(func() bool {
		l.log(LogLevel(level), C.GoStringN(message, C.int(size)))
		return true
	})
}
