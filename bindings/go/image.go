// SPDX-License-Identifier: Apache-2.0

package minimax

// #include "callbacks.h"
import "C"

import (
	"context"
	"fmt"
	"math/bits"
	"unsafe"
)

// Image is a picture: 8-bit RGB, upright, immutable.
type Image struct {
	*shared[C.minimax_image]
}

func freeImage(at *C.minimax_image) { C.minimax_image_free(at) }

func newImage(at *C.minimax_image, err error) (*Image, error) {
	if err != nil {
		return nil, err
	}
	return &Image{newShared(at, freeImage)}, nil
}

// ImageFromFile decodes a PNG, JPEG, WebP or BMP file.
func ImageFromFile(path string) (*Image, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	var at *C.minimax_image
	err := withPath(path, func(path *C.char) C.minimax_status { return C.minimax_image_from_file(path, &at) })
	return newImage(at, err)
}

// ImageFromMemory decodes the bytes of such a file.
func ImageFromMemory(bytes []byte) (*Image, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	var at *C.minimax_image
	err := call(func() C.minimax_status {
		return C.minimax_image_from_memory(unsafe.Pointer(first(bytes)), C.size_t(len(bytes)), &at)
	})
	return newImage(at, err)
}

// ImageFromPixels copies pixels, three bytes each, rows stride bytes apart.
func ImageFromPixels(rgb []byte, width, height, stride int) (*Image, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	// The library cannot know where the slice ends.
	if height > 0 && width > 0 && stride > 0 {
		high, above := bits.Mul64(uint64(height-1), uint64(stride))
		if high != 0 || above > uint64(len(rgb)) || uint64(width) > (uint64(len(rgb))-above)/3 {
			return nil, &Error{Status: InvalidArgument, Sentence: fmt.Sprintf(
				"%d bytes of pixels, %d x %d with stride %d are more", len(rgb), width, height, stride)}
		}
	}
	var at *C.minimax_image
	err := call(func() C.minimax_status {
		return C.minimax_image_from_pixels((*C.uint8_t)(first(rgb)), C.int64_t(width), C.int64_t(height),
			C.size_t(stride), &at)
	})
	return newImage(at, err)
}

// Close gives its memory back; prompts that were given it keep what they need.
func (i *Image) Close() error {
	i.close()
	return nil
}

// Size is its width and height in pixels.
func (i *Image) Size() (width, height int, err error) {
	var w, h C.int64_t
	err = i.call(func(at *C.minimax_image) C.minimax_status { return C.minimax_image_size(at, &w, &h) })
	return int(w), int(h), err
}

// ID is 32 bytes that name the pixels: equal pictures have equal ids.
func (i *Image) ID() (id [32]byte, err error) {
	err = i.call(func(at *C.minimax_image) C.minimax_status {
		return C.minimax_image_id(at, (*C.uint8_t)(&id[0]))
	})
	return id, err
}

// ImagePlan tells what a picture of so many pixels becomes.
func (e *Engine) ImagePlan(width, height int) (TilePlan, error) {
	raw := C.minimax_tile_plan{struct_size: C.sizeof_minimax_tile_plan}
	err := e.call(func(at *C.minimax_engine) C.minimax_status {
		return C.minimax_image_plan(at, C.int64_t(width), C.int64_t(height), &raw)
	})
	return readTilePlan(&raw), err
}

// EncodeImage encodes a picture ahead of its use, into the cache.
func (e *Engine) EncodeImage(ctx context.Context, image *Image) error {
	l := listener{progress: func(_, _ uint64) bool { return ctx.Err() == nil }}
	err := e.use(func(engine *C.minimax_engine) error {
		return image.use(func(at *C.minimax_image) error {
			return l.lend(func(listener C.uintptr_t) error {
				return call(func() C.minimax_status { return C.minimax_go_encode(engine, at, listener) })
			})
		})
	})
	return because(err, ctx.Err())
}

// ImageCacheStats are counts of the cache of encoded pictures.
func (e *Engine) ImageCacheStats() (ImageCacheStats, error) {
	raw := C.minimax_image_cache_stats{struct_size: C.sizeof_minimax_image_cache_stats}
	err := e.call(func(at *C.minimax_engine) C.minimax_status {
		return C.minimax_engine_get_image_cache_stats(at, &raw)
	})
	return readImageCacheStats(&raw), err
}

// ClearImageCache forgets encoded pictures.
func (e *Engine) ClearImageCache() error {
	return e.call(func(at *C.minimax_engine) C.minimax_status { return C.minimax_engine_clear_image_cache(at) })
}
