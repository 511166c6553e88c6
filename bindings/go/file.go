// SPDX-License-Identifier: Apache-2.0

package minimax

// #include "callbacks.h"
// #include <stdlib.h>
import "C"

import (
	"io"
	"unsafe"
)

// ReadSessionFileInfo is what a file of a session says of itself, without an engine.
func ReadSessionFileInfo(path string) (SessionFileInfo, error) {
	if err := ready(); err != nil {
		return SessionFileInfo{}, err
	}
	raw := C.minimax_session_file_info{struct_size: C.sizeof_minimax_session_file_info}
	err := withPath(path, func(path *C.char) C.minimax_status {
		return C.minimax_get_session_file_info(path, &raw)
	})
	return readSessionFileInfo(&raw), err
}

// Save writes the session, and the sampler with it unless it is nil, to a file, which is replaced
// when the new one is whole.
func (s *Session) Save(path string, sampler *Sampler) error {
	return s.use(func(at *C.minimax_session) error {
		return useSampler(sampler, func(sampler *C.minimax_sampler) error {
			// In memory of C: it has a pointer.
			options := (*C.minimax_session_save_options)(C.calloc(1, C.sizeof_minimax_session_save_options))
			defer C.free(unsafe.Pointer(options))
			options.struct_size, options.sampler = C.sizeof_minimax_session_save_options, sampler
			return withPath(path, func(path *C.char) C.minimax_status {
				return C.minimax_session_save(at, path, options)
			})
		})
	})
}

// SaveTo writes the same bytes to w, whose error is the cause when it fails.
func (s *Session) SaveTo(w io.Writer, sampler *Sampler) error {
	l := listener{writer: w}
	err := s.use(func(at *C.minimax_session) error {
		return useSampler(sampler, func(sampler *C.minimax_sampler) error {
			return l.lend(func(listener C.uintptr_t) error {
				return call(func() C.minimax_status { return C.minimax_go_save(at, sampler, listener) })
			})
		})
	})
	return because(err, l.err)
}

// LoadSession makes a new session from a file that any engine of the same model has written. A
// sampler that is not nil becomes the one that was saved.
func (e *Engine) LoadSession(path string, sampler *Sampler) (*Session, error) {
	var made *C.minimax_session
	err := e.use(func(at *C.minimax_engine) error {
		return useSampler(sampler, func(sampler *C.minimax_sampler) error {
			options := (*C.minimax_session_load_options)(C.calloc(1, C.sizeof_minimax_session_load_options))
			defer C.free(unsafe.Pointer(options))
			options.struct_size, options.sampler = C.sizeof_minimax_session_load_options, sampler
			return withPath(path, func(path *C.char) C.minimax_status {
				return C.minimax_session_load(at, path, options, &made)
			})
		})
	})
	return e.newSession(made, err)
}

// LoadSessionFrom does the same from r, which is asked for the session's bytes and no more.
func (e *Engine) LoadSessionFrom(r io.Reader, sampler *Sampler) (*Session, error) {
	var made *C.minimax_session
	l := listener{reader: r}
	err := e.use(func(at *C.minimax_engine) error {
		return useSampler(sampler, func(sampler *C.minimax_sampler) error {
			return l.lend(func(listener C.uintptr_t) error {
				return call(func() C.minimax_status { return C.minimax_go_load(at, sampler, listener, &made) })
			})
		})
	})
	return e.newSession(made, because(err, l.err))
}
