# SPDX-License-Identifier: Apache-2.0
"""Finds the shared library and opens it, when it is one that this package was made for."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from ._header import LAYOUT, VERSION, ffi

_NAME = f"libminimax.so.{VERSION[0]}"


def _candidates() -> list[str]:
    """What MINIMAX_LIBRARY names and nothing else; or the library beside this file, then the system's."""
    named = os.environ.get("MINIMAX_LIBRARY")
    if named:
        return [named]
    beside = pathlib.Path(__file__).with_name(_NAME)
    return ([str(beside)] if beside.exists() else []) + [_NAME]


def _open() -> Any:
    reasons = []
    for path in _candidates():
        try:
            # NODELETE: finalizers may call it when the interpreter has already let go of everything else.
            return ffi.dlopen(path, ffi.RTLD_NOW | ffi.RTLD_NODELETE)
        except OSError as error:
            reasons.append(str(error))
    raise ImportError(f"the shared library of minimax cannot be opened: {'; '.join(reasons)}")


def _made_for() -> int:
    return VERSION[0] * 10000 + VERSION[1] * 100 + VERSION[2]


def _check_version(library: Any) -> None:
    found = library.minimax_version_number()
    if found < _made_for() or found // 10000 != VERSION[0]:
        raise ImportError(
            "the package minimax was made for version {}.{}.{} of libminimax or a later one of that major, found {}"
            .format(*VERSION, ffi.string(library.minimax_version_string()).decode())
        )


def _check_struct(library: Any, name: str, size: int, offsets: Mapping[str, int]) -> None:
    found = ffi.sizeof(name)
    if found != size:
        raise ImportError(f"{name} has {found} bytes on this platform, minimax was made for {size}")
    for field, offset in offsets.items():
        if ffi.offsetof(name, field) != offset:
            found = ffi.offsetof(name, field)
            raise ImportError(f"{name}.{field} is at byte {found} on this platform, minimax was made for {offset}")
    if "struct_size" not in offsets:
        return
    found = getattr(library, f"{name}_init")(ffi.NULL, 0)
    if found < size or (found > size and library.minimax_version_number() == _made_for()):
        raise ImportError(f"{name} has {found} bytes in the library, minimax was made for {size}")


def check(library: Any, layout: Mapping[str, tuple[int, Mapping[str, int]]] = LAYOUT) -> None:
    """ImportError with one sentence when the library is not one that this package can call."""
    try:
        _check_version(library)
        for name, (size, offsets) in layout.items():
            _check_struct(library, name, size, offsets)
    except (AttributeError, ffi.error) as error:
        raise ImportError(f"this is not the libminimax that minimax was made for: {error}") from None


__all__ = ["ffi", "lib"]
lib: Any = _open()
check(lib)
