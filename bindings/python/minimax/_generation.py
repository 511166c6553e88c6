# SPDX-License-Identifier: Apache-2.0
"""An answer that comes when it is asked for: a batch of one request, stepped by whoever wants the next piece."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._call import Text, optional, out, piece, strings, struct
from ._errors import Cancelled, Closed, ContextFull, InUse, check, error_of
from ._header import EventKind, GenerateResult, StopReason
from ._library import ffi, lib
from ._sampler import Sampler

if TYPE_CHECKING:
    from ._session import Session

_STEP_TIMEOUT_MS = 100  # so that ctrl-C is heard while a step waits


def generate_options(max_tokens: int, stop: Sequence[Text], ignore_stop_token: bool) -> tuple[Any, Any]:
    """The options, and what must live as long as they."""
    array, kept = strings(stop, "stop")
    return struct("minimax_generate_options", max_tokens=max_tokens, stop_strings=array,
                  stop_string_count=len(kept), ignore_stop_token=bool(ignore_stop_token)), (array, kept)


def batch_of(engine: Any, **options: int) -> Any:
    """A new batch of the library, which is freed with its last reference."""
    pointer = out("minimax_batch *", lib.minimax_batch_create, engine, struct("minimax_batch_options", **options))
    return ffi.gc(pointer, lib.minimax_batch_free)


class Generation(Iterator[str], AsyncIterator[str]):
    """Pieces of an answer, whole characters each, for `for` and `async for`. Made by Session.generate().

    tokens   drawn so far
    result   how the answer ended; None while it goes on
    """

    _ticket = 0  # 0: has ended

    def __init__(self, session: "Session", sampler: Sampler | None, max_tokens: int, stop: Sequence[Text],
                 ignore_stop_token: bool) -> None:
        options, kept = generate_options(max_tokens, stop, ignore_stop_token)
        request = struct("minimax_batch_request", generate=options)
        self.tokens: list[int] = []
        self.result: GenerateResult | None = None
        self._lock = threading.Lock()
        self._session = session
        self._event = struct("minimax_batch_event")
        self._error: Exception | None = None
        with session._exclusive() as pointer, optional(sampler, Sampler, "sampler") as request.sampler:
            if session._batch is None:
                session._batch = batch_of(session._engine, session_limit=1)
            self._batch = session._batch
            self._ticket = out("uint64_t", lib.minimax_batch_submit, self._batch, pointer, request)
        del kept

    def _next_event(self) -> Any:
        """The next one of this answer's; computes until there is one."""
        event = self._event
        while True:
            check(lib.minimax_batch_next_event(self._batch, event))
            if event.kind == 0:
                check(lib.minimax_batch_step(self._batch, _STEP_TIMEOUT_MS))
            elif event.ticket == self._ticket:
                return event

    def _end(self, event: Any) -> None:
        self._ticket = 0
        reason = event.stop_reason
        if event.kind == EventKind.CANCELLED:
            reason = StopReason.CANCELLED
        self.result = GenerateResult(StopReason(reason) if reason else None, event.token_count, event.decode_ns)
        if event.kind == EventKind.FAILED:
            self._error = error_of(event.status, piece(event.message, event.message_size))
        elif event.kind == EventKind.CANCELLED:
            self._error = Cancelled("the answer was cancelled")
            self._error.result = self.result

    def _advance(self) -> str | None:
        """The next piece; None when there is none."""
        if not self._lock.acquire(blocking=False):
            raise InUse("the generation is in use: one thread at a time")
        try:
            return self._next_piece()
        finally:
            self._lock.release()

    def _next_piece(self) -> str | None:
        while self._ticket:
            if self._session.closed:
                raise Closed("the session is closed")
            event = self._next_event()
            text = piece(event.text, event.text_size)
            if event.kind == EventKind.TOKEN:
                self.tokens.append(event.token)
            elif event.kind == EventKind.QUEUED:
                self._drop()
                raise ContextFull(piece(event.message, event.message_size))
            elif event.kind != EventKind.STARTED:
                self._end(event)
            if text:
                return text
        error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def _drop(self) -> None:
        """Gives the session back."""
        ticket, self._ticket = self._ticket, 0
        if ticket:
            lib.minimax_batch_cancel(self._batch, ticket)  # it may just have ended

    def close(self) -> None:
        """Ends the answer where it is. The session stands after the tokens drawn so far, and may be used again: at
        once, or, when another thread is computing a token, after that."""
        self._drop()

    def text(self) -> str:
        """All that is still to come."""
        return "".join(self)

    def __iter__(self) -> "Generation":
        return self

    def __next__(self) -> str:
        text = self._advance()
        if text is None:
            raise StopIteration
        return text

    def __aiter__(self) -> "Generation":
        return self

    async def __anext__(self) -> str:
        text = await asyncio.get_running_loop().run_in_executor(None, self._advance)
        if text is None:
            raise StopAsyncIteration
        return text

    async def aclose(self) -> None:
        """close(), for `contextlib.aclosing`."""
        self.close()

    def __enter__(self) -> "Generation":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self._drop()


