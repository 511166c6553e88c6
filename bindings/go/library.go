// SPDX-License-Identifier: Apache-2.0

package minimax

// #include "callbacks.h"
// #include <stdlib.h>
import "C"

import (
	"runtime/cgo"
	"sync"
)

// VersionNumber is that of the library that runs: 0.1.0 is 100.
func VersionNumber() int { return int(C.minimax_version_number()) }

// Version is "0.1.0".
func Version() string { return C.GoString(C.minimax_version_string()) }

// SourceID names the sources that the library was built from: a commit, or "unknown".
func SourceID() string { return C.GoString(C.minimax_source_id()) }

// HasFeature tells whether this build on this machine has it: "cpu", "cuda", "nccl", "vision",
// "sentencepiece", "avx2", "avx512", "avx512_bf16".
func HasFeature(name string) bool {
	at, err := cString(name, "name")
	if err != nil {
		return false
	}
	defer free(at)
	return C.minimax_has_feature(at) != 0
}

// Devices are those that engines can be opened on; "cpu" is always the first.
func Devices() ([]DeviceInfo, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	var count C.size_t
	if err := call(func() C.minimax_status { return C.minimax_device_count(&count) }); err != nil {
		return nil, err
	}
	devices := make([]DeviceInfo, count)
	for i := range devices {
		raw := C.minimax_device_info{struct_size: C.sizeof_minimax_device_info}
		err := call(func() C.minimax_status { return C.minimax_get_device_info(C.size_t(i), &raw) })
		if err != nil {
			return nil, err
		}
		devices[i] = readDeviceInfo(&raw)
	}
	return devices, nil
}

var logging struct {
	sync.Mutex
	handle cgo.Handle
}

// SetLog sends the library's messages of the level and below to log; nil for silence, the default.
// It is called from any thread, one message at a time, and must not use this package. When SetLog
// returns the one before is no longer running.
func SetLog(level LogLevel, log func(level LogLevel, message string)) error {
	if err := ready(); err != nil {
		return err
	}
	logging.Lock()
	defer logging.Unlock()
	var next cgo.Handle
	if log != nil {
		next = cgo.NewHandle(&listener{log: log})
	}
	err := call(func() C.minimax_status { return C.minimax_go_set_log(C.int32_t(level), C.uintptr_t(next)) })
	if err != nil {
		next, logging.handle = logging.handle, next
	}
	if logging.handle != 0 {
		logging.handle.Delete()
	}
	logging.handle = next
	return err
}
