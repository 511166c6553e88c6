# SPDX-License-Identifier: Apache-2.0
"""What belongs to no model: version, features, devices, log, and what a model would need."""

import atexit
from collections.abc import Callable
from typing import Any

from ._call import NULL, out, read, terminated
from ._errors import check
from ._header import DeviceInfo, LogLevel
from ._library import ffi, lib

Log = Callable[[LogLevel, str], object]


def version() -> str:
    """Of the library: "0.1.0"."""
    return str(ffi.string(lib.minimax_version_string()).decode())


def source_id() -> str:
    """The sources that the library was built from: a commit, or "unknown"."""
    return str(ffi.string(lib.minimax_source_id()).decode())


def has_feature(name: str) -> bool:
    """Whether this build on this machine has it: "cpu", "cuda", "nccl", "vision", "sentencepiece", "avx2", ..."""
    return bool(lib.minimax_has_feature(terminated(name, "name")))


def devices() -> list[DeviceInfo]:
    """Devices that engines can be opened on; the first is "cpu"."""
    count = out("size_t", lib.minimax_device_count)
    return [DeviceInfo._read(read("minimax_device_info", lib.minimax_get_device_info, index))
            for index in range(count)]


_log: Log | None = None


def _hear(_user: Any, level: int, message: Any, size: int) -> None:
    log = _log
    if log:
        log(LogLevel(level), bytes(ffi.buffer(message, size)).decode("utf-8", "replace"))


_on_log: Any = ffi.callback("minimax_log_fn", _hear)


def set_log(log: Log | None, level: LogLevel = LogLevel.INFO) -> None:
    """Sends messages of that level and graver ones to a function; None, the default, is silence. It may be called
    from any thread, one message at a time, and must not use this package. What it raises goes to sys.unraisablehook
    or standard error, as there is nobody to catch it."""
    global _log
    if log is not None and not callable(log):
        raise TypeError(f"log must be a function, not {type(log).__name__}")
    if log is None:
        check(lib.minimax_set_log(NULL, NULL, level))
    _log = log
    if log is not None:
        check(lib.minimax_set_log(_on_log, NULL, level))


# A thread of the library's must not call into an interpreter that has ended.
atexit.register(set_log, None)
