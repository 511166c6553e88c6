# SPDX-License-Identifier: Apache-2.0
"""Many sessions of one engine, computed together: each step takes one token of every session that answers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ._call import Handle, Text, Tokens, integer, need, optional, out, piece, read, struct, token_array
from ._engine import Engine
from ._errors import Error, check, error_of
from ._generation import generate_options
from ._header import BatchStats, EventKind, MissReason, StopReason, WaitReason
from ._library import lib
from ._prompt import Prompt
from ._sampler import Sampler
from ._session import Session

_STEP_TIMEOUT = 0.1  # seconds, so that ctrl-C is heard while a step waits
_COUNTS = ("fed_tokens", "tokens_reused", "diverged_at", "token_count", "image_count", "images_reused", "wait_ns",
           "encode_ns", "prefill_ns", "decode_ns")
_LAST = (EventKind.FINISHED, EventKind.FAILED, EventKind.CANCELLED)


@dataclass(frozen=True)
class BatchEvent:
    """What happened to a request, and what it has come to so far: see minimax_batch_event."""

    kind: EventKind
    ticket: int
    session: Session | None
    token: int
    """of TOKEN, else -1"""
    text: str
    """what can be shown now, whole characters, perhaps nothing"""
    stop_reason: StopReason | None
    """of FINISHED"""
    error: Error | None
    """of FAILED"""
    message: str
    """of FAILED and QUEUED"""
    wait_reason: WaitReason | None
    """of QUEUED"""
    fed_tokens: int
    tokens_reused: int
    """of these, not computed"""
    diverged_at: int
    """the token of its prompt up to which it was known"""
    miss_reason: MissReason
    """why the others were computed"""
    token_count: int
    image_count: int
    images_reused: int
    wait_ns: int
    encode_ns: int
    prefill_ns: int
    decode_ns: int


class Batch(Handle):
    """Computes the requests of many sessions together. A session and a sampler are the batch's until their ticket
    ends. Any thread; events are taken by one at a time.

        for prompt, session in work:
            batch.submit(session, prompt=prompt)
        for event in batch.run():
            print(event.ticket, event.text)

    own_thread      a thread of the library's computes, and step() waits for events
    session_limit   sessions computed at once; 0: 64
    step_tokens     tokens of one step; 0: chunk_tokens of the engine
    """

    def __init__(self, engine: Engine, *, own_thread: bool = False, session_limit: int = 0,
                 step_tokens: int = 0) -> None:
        need(engine, Engine, "engine")
        options = struct("minimax_batch_options", own_thread=bool(own_thread), session_limit=session_limit,
                         step_tokens=step_tokens)
        self._open: dict[int, tuple[Session, Sampler | None]] = {}
        self._own(out("minimax_batch *", lib.minimax_batch_create, engine._shared(), options),
                  lib.minimax_batch_free)
        self._events_lock = threading.Lock()

    def submit(self, session: Session, *, prompt: Prompt | None = None, first_token: int = 0,
               tokens: Tokens | None = None, sampler: Sampler | None = None, max_tokens: int = 0,
               stop: Sequence[Text] = (), ignore_stop_token: bool = False, feeds_only: bool = False,
               priority: int = 0) -> int:
        """Hands over a request; gives its ticket. It feeds the prompt from first_token on, or the tokens, or nothing,
        and then answers as Session.generate() does. feeds_only: draws nothing. priority: -100 to 100."""
        need(session, Session, "session")
        request = struct("minimax_batch_request", prompt_first_token=first_token, feeds_only=bool(feeds_only),
                         priority=priority)
        kept: list[Any] = []  # the request only points to it
        if tokens is not None:
            array = token_array(tokens)
            request.tokens, request.token_count = array, len(array)
            kept.append(array)
        if not feeds_only:
            options, strings = generate_options(max_tokens, stop, ignore_stop_token)
            request.generate = options
            kept += [options, strings]
        with (session._exclusive() as pointer, optional(prompt, Prompt, "prompt") as request.prompt,
              optional(sampler, Sampler, "sampler") as request.sampler, self._events_lock):
            ticket = int(out("uint64_t", lib.minimax_batch_submit, self._shared(), pointer, request))
            self._open[ticket] = session, sampler
        del kept
        return ticket

    def step(self, timeout: float | None = None) -> None:
        """Computes one step; without anything to compute, waits up to timeout seconds for a request that can begin.
        With own_thread, waits so long for an event. None: as long as it takes."""
        milliseconds = -1 if timeout is None else integer(int(timeout * 1000), "timeout")
        check(lib.minimax_batch_step(self._shared(), milliseconds))

    def next_event(self) -> BatchEvent | None:
        """The oldest event that was not taken yet."""
        with self._events_lock:
            c = read("minimax_batch_event", lib.minimax_batch_next_event, self._shared())
            if c.kind == EventKind.NONE:
                return None
            of = self._open.pop(c.ticket, None) if c.kind in _LAST else self._open.get(c.ticket)
            return _event(c, of[0] if of else None)

    def events(self) -> Iterator[BatchEvent]:
        """All there are now."""
        while (event := self.next_event()) is not None:
            yield event

    def run(self) -> Iterator[BatchEvent]:
        """Steps, and gives events, until every request has ended."""
        while self._open:
            self.step(_STEP_TIMEOUT)
            yield from self.events()

    async def arun(self) -> AsyncIterator[BatchEvent]:
        """run() for `async for`."""
        while self._open:
            await asyncio.get_running_loop().run_in_executor(None, self.step, _STEP_TIMEOUT)
            for event in self.events():
                yield event

    def cancel(self, ticket: int) -> None:
        """Ends a ticket. NotFound when there is none of this number: it may just have ended."""
        check(lib.minimax_batch_cancel(self._shared(), ticket))

    def stats(self) -> BatchStats:
        """Requests, steps and what they took."""
        return BatchStats._read(read("minimax_batch_stats", lib.minimax_batch_get_stats, self._shared()))


def _event(c: Any, session: Session | None) -> BatchEvent:
    kind = EventKind(c.kind)
    message = piece(c.message, c.message_size)
    return BatchEvent(
        kind=kind, ticket=c.ticket, session=session, token=c.token, text=piece(c.text, c.text_size),
        stop_reason=StopReason(c.stop_reason) if c.stop_reason else None,
        error=error_of(c.status, message) if kind == EventKind.FAILED else None, message=message,
        wait_reason=WaitReason(c.wait_reason) if c.wait_reason else None, miss_reason=MissReason(c.miss_reason),
        **{name: getattr(c, name) for name in _COUNTS})
