# SPDX-License-Identifier: Apache-2.0
"""What every call needs: owned handles, Python values as C values and back, and callbacks that may raise."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from ._errors import Closed, InUse, check
from ._header import Status
from ._library import ffi, lib

NULL = ffi.NULL

Text = str | bytes
StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Tokens = Iterable[int]
_Self = TypeVar("_Self", bound="Handle")


class Handle:
    """Owns a handle of the library. It is freed when nothing uses it any more: this object is closed or gone, no
    call with it is running in another thread, and no array looks into it."""

    _pointer: Any = None  # None: closed, or never opened

    def _own(self, pointer: Any, free: Any) -> None:
        self._lock = threading.Lock()
        self._pointer = ffi.gc(pointer, free)

    def close(self) -> None:
        """Lets go of it. May be called again, and from any thread."""
        self._pointer = None

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._pointer is None

    def __enter__(self: _Self) -> _Self:
        self._shared()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def _shared(self) -> Any:
        """The pointer, for calls that any thread may make."""
        pointer = self._pointer
        if pointer is None:
            raise Closed(f"the {type(self).__name__.lower()} is closed")
        return pointer

    def _exclusive(self) -> "Exclusive":
        """The pointer for calls that one thread at a time may make: `with x._exclusive() as pointer`."""
        return Exclusive(self)


class Exclusive:
    """InUse when somebody else has the handle: the library does not look."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def __enter__(self) -> Any:
        pointer = self._handle._shared()
        if not self._handle._lock.acquire(blocking=False):
            raise InUse(f"the {type(self._handle).__name__.lower()} is in use: one thread at a time")
        return pointer

    def __exit__(self, *_: object) -> None:
        self._handle._lock.release()


def need(value: object, kind: type, name: str) -> None:
    """TypeError unless value is of the class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {kind.__name__}, not {type(value).__name__}")


def optional(handle: Handle | None, kind: type[Handle], name: str) -> Any:
    """The same for a handle that may be missing: NULL then."""
    if handle is None:
        return contextlib.nullcontext(NULL)
    need(handle, kind, name)
    return handle._exclusive()


# ---- Python to C ----


def struct(kind: str, **values: Any) -> Any:
    """A struct of that name with its size and these fields; zero means the default everywhere."""
    made = ffi.new(f"{kind} *")
    made.struct_size = ffi.sizeof(kind)
    for name, value in values.items():
        try:
            setattr(made, name, value)
        except (TypeError, OverflowError) as error:
            raise type(error)(f"{name}: {error}") from None
    return made


def integer(value: int, name: str, bits: int = 64) -> int:
    """value, when a signed C number of so many bits holds it."""
    if not isinstance(value, int):
        value = value.__index__() if hasattr(value, "__index__") else int.__index__(value)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise OverflowError(f"{name}: {value} does not fit into {bits} bits")
    return value


def utf8(text: Text, name: str) -> bytes:
    """Bytes are taken as they are."""
    if isinstance(text, str):
        return text.encode("utf-8")
    if isinstance(text, (bytes, bytearray, memoryview)):
        return bytes(text)
    raise TypeError(f"{name} must be str or bytes, not {type(text).__name__}")


def terminated(text: Text, name: str) -> Any:
    """A zero-terminated char array."""
    data = utf8(text, name)
    if b"\0" in data:
        raise ValueError(f"{name} holds a zero byte")
    return ffi.new("char[]", data)


def c_path(path: StrPath, name: str = "path") -> Any:
    """The name of a file or folder."""
    return terminated(os.fsencode(path), name)


def strings(texts: Sequence[Text], name: str) -> tuple[Any, Any]:
    """An array of zero-terminated strings, and what must live as long as it."""
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"{name} must be a list of strings, not one string")
    kept = [terminated(text, name) for text in texts]
    return (ffi.new("char *[]", kept) if kept else NULL), kept


def token_array(tokens: Tokens) -> Any:
    """An int32_t array: looks into arrays of int32, copies everything else."""
    if isinstance(tokens, (str, bytes, bytearray)):
        raise TypeError(f"tokens must be numbers, not {type(tokens).__name__}")
    try:
        view = memoryview(tokens)  # type: ignore[arg-type]
    except TypeError:
        return ffi.new("int32_t[]", [integer(token, "token", 32) for token in tokens])
    if view.ndim == 1 and view.format in ("i", "l") and view.itemsize == 4 and view.c_contiguous and len(view):
        return ffi.from_buffer("int32_t[]", view)
    return token_array(view.tolist())


# ---- C to Python ----


def fill(kind: str, guess: int, function: Any, *arguments: Any) -> tuple[Any, int]:
    """(array, count) of what a function with (buffer, capacity, out_count) at its end writes."""
    count = ffi.new("size_t *", guess)
    while True:
        capacity = count[0]
        buffer = ffi.new(f"{kind}[]", capacity)
        status = function(*arguments, buffer, capacity, count)
        if status != Status.BUFFER_TOO_SMALL:
            check(status)
            return buffer, count[0]


def fill_bytes(guess: int, function: Any, *arguments: Any) -> bytes:
    """The same of char, as bytes."""
    buffer, count = fill("char", guess, function, *arguments)
    return bytes(ffi.buffer(buffer, count))


def fill_list(kind: str, guess: int, function: Any, *arguments: Any) -> list[Any]:
    """The same as a list."""
    buffer, count = fill(kind, guess, function, *arguments)
    return list(ffi.unpack(buffer, count)) if count else []


def out(kind: str, function: Any, *arguments: Any) -> Any:
    """What a function writes through its last parameter: a number or a pointer."""
    value = ffi.new(f"{kind} *")
    check(function(*arguments, value))
    return value[0]


def read(kind: str, function: Any, *arguments: Any) -> Any:
    """The struct that a function fills through its last parameter."""
    filled = struct(kind)
    check(function(*arguments, filled))
    return filled


def piece(text: Any, size: int) -> str:
    """Whole characters, not zero-terminated."""
    return bytes(ffi.buffer(text, size)).decode("utf-8", "replace") if size else ""


# ---- callbacks ----
# Made once; `user` is a handle of the Python functions, which lives as long as the call. They run on the thread
# that made the call, so what they raise waits for it in `_raised`.

Progress = Callable[[int, int], object]
OnText = Callable[[str], object]
OnToken = Callable[[int], object]

_raised = threading.local()


def _keep(_kind: object, error: BaseException, _traceback: object) -> None:
    _raised.error = error


def callback(kind: str) -> Callable[[Callable[..., object]], Any]:
    """Makes a Python function one of C, of that type. What it raises is kept for finish(), and stops the call."""
    made: Callable[[Callable[..., object]], Any] = ffi.callback(kind, error=1, onerror=_keep)
    return made


def finish(status: int) -> None:
    """check() for calls with callbacks: what a callback raised comes first."""
    error: BaseException | None = _raised.__dict__.pop("error", None)
    if error is not None:
        raise error
    check(status)


def _goes_on(answer: object) -> int:
    return 1 if answer is False else 0


@callback("minimax_progress_fn")
def on_progress(user: Any, done: int, total: int) -> int:
    return _goes_on(ffi.from_handle(user)(done, total))


@callback("minimax_text_fn")
def on_text(user: Any, text: Any, size: int) -> int:
    return _goes_on(ffi.from_handle(user)[0](piece(text, size)))


@callback("minimax_token_fn")
def on_token(user: Any, token: int) -> int:
    return _goes_on(ffi.from_handle(user)[1](token))


@callback("minimax_write_fn")
def on_write(user: Any, data: Any, size: int) -> int:
    left = memoryview(bytes(ffi.buffer(data, size)))
    while left:
        written = ffi.from_handle(user)(left)
        if not written:
            raise BlockingIOError("the file takes no bytes now")
        left = left[written:]
    return 0


@callback("minimax_read_fn")
def on_read(user: Any, room: Any, size: int, out_size: Any) -> int:
    data = ffi.from_handle(user)(size)
    if data is None:
        raise BlockingIOError("the file gives no bytes now")
    if len(data) > size:
        raise ValueError(f"read({size}) gave {len(data)} bytes")
    ffi.memmove(room, data, len(data))
    out_size[0] = len(data)
    return 0
