# SPDX-License-Identifier: Apache-2.0
"""A status of the library as an exception, with the library's sentence."""

from ._header import GenerateResult, Status
from ._library import ffi, lib


class Error(Exception):
    """A call that the library refused, or that did not succeed. str() is the library's sentence."""

    status: Status = Status.INTERNAL_ERROR


class InvalidArgument(Error, ValueError):
    """The caller's mistake: a value out of range."""

    status = Status.INVALID_ARGUMENT


class Closed(InvalidArgument):
    """The object was closed before."""


class BufferTooSmall(Error):
    """Never leaves this package, which asks for sizes first."""

    status = Status.BUFFER_TOO_SMALL


class Unsupported(Error):
    """This build, device or model cannot do that."""

    status = Status.UNSUPPORTED


class NotAvailable(Error):
    """Not now or not here: no tokenizer, no device, no logits yet."""

    status = Status.NOT_AVAILABLE


class InUse(NotAvailable):
    """Another thread, or a call that this one comes from, is using the object."""


class NotFound(Error, LookupError):
    """A file, device or name that does not exist."""

    status = Status.NOT_FOUND


class ReadWriteError(Error, OSError):
    """The system could not read or write a file."""

    status = Status.IO_ERROR


class BadFile(Error):
    """A file that is damaged or not what it should be."""

    status = Status.BAD_FILE


class WrongModel(Error):
    """A file or object that belongs to another model or engine."""

    status = Status.WRONG_MODEL


class OutOfMemory(Error, MemoryError):
    """The sentence says of what and how much."""

    status = Status.OUT_OF_MEMORY


class ContextFull(Error):
    """The session has no room for so many tokens."""

    status = Status.CONTEXT_FULL


class Cancelled(Error):
    """By cancel(), or by a callback that said stop."""

    status = Status.CANCELLED
    result: GenerateResult | None = None
    """of an answer that was cancelled: what it came to"""


class DeviceError(Error):
    """The device failed; sessions of that step are poisoned."""

    status = Status.DEVICE_ERROR


class Poisoned(Error):
    """An earlier error broke this session; only stats() and close() work."""

    status = Status.POISONED


class InternalError(Error):
    """The library's mistake: please report the sentence."""

    status = Status.INTERNAL_ERROR


_CLASSES: dict[int, type[Error]] = {
    kind.status: kind
    for kind in (InvalidArgument, BufferTooSmall, Unsupported, NotAvailable, NotFound, ReadWriteError, BadFile,
                 WrongModel, OutOfMemory, ContextFull, Cancelled, DeviceError, Poisoned, InternalError)
}


def error_of(status: int, sentence: str) -> Error:
    """The exception of a status; of one that this package does not know, an Error."""
    error = _CLASSES.get(status, Error)(sentence or Status(status).name)
    error.status = Status(status)
    return error


def check(status: int) -> None:
    """Raises unless the status is OK. Must follow its call at once, on the same thread."""
    if status:
        raise error_of(status, ffi.string(lib.minimax_last_error()).decode("utf-8", "replace"))
