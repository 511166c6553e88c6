# SPDX-License-Identifier: Apache-2.0
"""Pictures, from whatever a program has them in."""

import os
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from ._call import Handle, c_path, out
from ._errors import check
from ._library import ffi, lib

if TYPE_CHECKING:
    import numpy
    import numpy.typing
    import PIL.Image

    Pixels: TypeAlias = numpy.typing.NDArray[numpy.uint8]
    ImageSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Pixels | PIL.Image.Image


def _is_pil(source: object) -> bool:
    module = sys.modules.get("PIL.Image")  # who has such a picture has imported it
    return module is not None and isinstance(source, module.Image)


def _upright_rgb(picture: Any) -> Any:
    from PIL import ImageOps
    return ImageOps.exif_transpose(picture).convert("RGB")


class Image(Handle):
    """A picture: 8-bit RGB, upright. Immutable; any thread.

    source   a path (str or os.PathLike) of a PNG, JPEG, WebP or BMP file; such a file's bytes; a PIL picture; or
             pixels as anything of shape [height, width, 3] and type uint8 that has a buffer, as numpy arrays do
    """

    def __init__(self, source: "ImageSource") -> None:
        if isinstance(source, (str, os.PathLike)):
            pointer = out("minimax_image *", lib.minimax_image_from_file, c_path(source))
        elif _is_pil(source):
            picture = _upright_rgb(source)
            pointer = _from_pixels(picture.tobytes(), *picture.size)
        else:
            pointer = _from_buffer(source)
        self._own(pointer, lib.minimax_image_free)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        width, height = ffi.new("int64_t *"), ffi.new("int64_t *")
        check(lib.minimax_image_size(self._shared(), width, height))
        return width[0], height[0]

    @property
    def id(self) -> bytes:
        """32 bytes that name the pixels: equal pictures have equal ids."""
        room = ffi.new("uint8_t[32]")
        check(lib.minimax_image_id(self._shared(), room))
        return bytes(room)


def _from_buffer(source: Any) -> Any:
    try:
        view: Any = memoryview(source)
    except TypeError:
        raise TypeError("a picture is a path, bytes, a PIL picture or an array of pixels, "
                        f"not {type(source).__name__}") from None
    if view.format in ("B", "b", "c") and view.ndim == 1:
        data = ffi.from_buffer(view) if view.c_contiguous else bytes(view)
        return out("minimax_image *", lib.minimax_image_from_memory, data, view.nbytes)
    if view.format != "B" or view.ndim != 3 or view.shape[2] != 3:
        raise ValueError(f"pixels have shape {list(view.shape)} and format {view.format!r}, expected "
                         "[height, width, 3] of uint8")
    height, width, _ = view.shape
    return _from_pixels(view if view.c_contiguous else view.tobytes(), width, height)


def _from_pixels(pixels: Any, width: int, height: int) -> Any:
    # An empty buffer has no address; the library refuses it by its size.
    data = ffi.from_buffer("uint8_t[]", pixels) if width * height else ffi.new("uint8_t[1]")
    return out("minimax_image *", lib.minimax_image_from_pixels, data, width, height, 3 * width)
