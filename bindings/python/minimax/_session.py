# SPDX-License-Identifier: Apache-2.0
"""One timeline of tokens on an engine: what has been said so far, and the logits after it."""

import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, overload

from ._call import (NULL, Handle, OnText, OnToken, StrPath, Text, Tokens, c_path, fill_list, finish,
                    integer, need, on_read, on_text, on_token, on_write, optional, out, read, struct, token_array)
from ._engine import Engine
from ._errors import Cancelled, check
from ._generation import Generation, generate_options
from ._header import (CachePolicy, FeedReport, GenerateResult, ImageSpan, SessionFileInfo, SessionStats, SnapshotHome,
                      SnapshotInfo)
from ._library import ffi, lib
from ._prompt import Prompt
from ._sampler import Sampler

if TYPE_CHECKING:
    import numpy
    import numpy.typing

    Floats = numpy.typing.NDArray[numpy.float32]


class Snapshot(Handle):
    """A session as it was at some moment. Only where it lies can change; any thread. Made by Session.mark()."""

    @property
    def info(self) -> SnapshotInfo:
        """Where it stands, and what it keeps."""
        return SnapshotInfo._read(read("minimax_snapshot_info", lib.minimax_snapshot_get_info, self._shared()))

    def move(self, home: SnapshotHome, folder: StrPath | None = None) -> None:
        """Moves it off the device, or back; whoever returns to it goes on to the bit as if it had stayed. folder, with
        FILE: where the file is made, without a name, and gone with the snapshot."""
        place = NULL if folder is None else c_path(folder, "folder")
        check(lib.minimax_snapshot_move(self._shared(), integer(home, "home", 32), place))


class Session(Handle):
    """One timeline of tokens on an engine. One thread at a time, cancel() excepted: a second one gets InUse.

    rewind_tokens   how many of the last tokens rewind() can take back at least; 0: 32, -1: none
    cache_policy    what it has to do with the engine's prefix cache
    """

    _batch: Any = None  # of the library, for answers piece by piece; made with the first one

    def __init__(self, engine: Engine, *, rewind_tokens: int = 0,
                 cache_policy: CachePolicy = CachePolicy.AUTO) -> None:
        need(engine, Engine, "engine")
        options = struct("minimax_session_options", rewind_tokens=rewind_tokens, cache_policy=cache_policy)
        self._take(engine._shared(), engine.info.vocabulary_size,
                   out("minimax_session *", lib.minimax_session_create, engine._shared(), options))

    def _take(self, engine: Any, vocabulary_size: int, pointer: Any) -> None:
        self._engine, self._vocabulary_size = engine, vocabulary_size
        self._own(pointer, lib.minimax_session_free)

    @classmethod
    def load(cls, engine: Engine, source: "StrPath | BinaryIO", *, sampler: Sampler | None = None) -> "Session":
        """A new session from what save() wrote: a path, or a file that is open for reading bytes. The engine must
        have the model that it was saved with. sampler becomes the one that was saved."""
        need(engine, Engine, "engine")
        pointer = ffi.new("minimax_session **")
        with optional(sampler, Sampler, "sampler") as drawer:
            options = struct("minimax_session_load_options", sampler=drawer)
            if isinstance(source, (str, bytes, os.PathLike)):
                check(lib.minimax_session_load(engine._shared(), c_path(source), options, pointer))
            else:
                user = ffi.new_handle(source.read)
                finish(lib.minimax_session_load_from(engine._shared(), on_read, user, options, pointer))
        session = cls.__new__(cls)
        session._take(engine._shared(), engine.info.vocabulary_size, pointer[0])
        return session

    def save(self, target: "StrPath | BinaryIO", *, sampler: Sampler | None = None) -> None:
        """Writes the session, and a sampler with it, to a path or to a file that is open for writing bytes. The
        file of a path is replaced at once when all is on the disk. It holds what was said: keep it as you would
        keep the text."""
        with self._exclusive() as pointer, optional(sampler, Sampler, "sampler") as drawer:
            options = struct("minimax_session_save_options", sampler=drawer)
            if isinstance(target, (str, bytes, os.PathLike)):
                check(lib.minimax_session_save(pointer, c_path(target), options))
            else:
                user = ffi.new_handle(target.write)
                finish(lib.minimax_session_save_to(pointer, on_write, user, options))

    # ---- feeding ----

    @overload
    def feed(self, what: Prompt, *, first_token: int = 0) -> FeedReport: ...

    @overload
    def feed(self, what: Tokens) -> None: ...

    def feed(self, what: "Prompt | Tokens", *, first_token: int = 0) -> FeedReport | None:
        """Feeds a prompt, from its token first_token on, or token ids. The session then stands after the last of
        them, with its logits. Cancelled leaves it after as many chunks as were finished."""
        if not isinstance(what, Prompt):
            array = token_array(what)
            with self._exclusive() as pointer:
                check(lib.minimax_session_feed(pointer, array, len(array)))
            return None
        report = struct("minimax_feed_report")
        with self._exclusive() as pointer, what._exclusive() as prompt:
            if first_token:
                check(lib.minimax_session_feed_prompt_from(pointer, prompt, integer(first_token, "first_token"),
                                                           report))
            else:
                check(lib.minimax_session_feed_prompt(pointer, prompt, report))
        return FeedReport._read(report)

    def set_prompt(self, prompt: Prompt) -> FeedReport:
        """Makes the session hold this prompt and nothing else, whatever it held: what both begin with stays, the rest
        comes from the prefix cache or is computed. So hand over the whole conversation each turn, edited or not.
        After Cancelled, ContextFull and OutOfMemory it may hold a beginning of the prompt: see position."""
        need(prompt, Prompt, "prompt")
        with self._exclusive() as pointer, prompt._exclusive() as source:
            return FeedReport._read(read("minimax_feed_report", lib.minimax_session_set_prompt, pointer, source))

    def set_tokens(self, tokens: Tokens) -> FeedReport:
        """The same with token ids."""
        array = token_array(tokens)
        with self._exclusive() as pointer:
            return FeedReport._read(read("minimax_feed_report", lib.minimax_session_set_tokens, pointer, array,
                                         len(array)))

    def feed_logits(self, tokens: Tokens) -> "Floats":
        """Feeds tokens and gives the logits after each of them: [tokens, vocabulary_size]."""
        import numpy
        array = token_array(tokens)
        logits = numpy.empty((len(array), self._vocabulary_size), numpy.float32)
        room = ffi.from_buffer("float[]", logits, require_writable=True) if len(array) else ffi.new("float[1]")
        with self._exclusive() as pointer:
            check(lib.minimax_session_feed_logits(pointer, array, len(array), room, logits.size))
        return logits

    def score(self, tokens: Tokens) -> list[float]:
        """Feeds tokens and gives the natural logarithm of the probability of each, given all before it; of the first
        of an empty session NaN."""
        array = token_array(tokens)
        scores = ffi.new("float[]", max(1, len(array)))
        with self._exclusive() as pointer:
            check(lib.minimax_session_score(pointer, array, len(array), scores))
        return list(ffi.unpack(scores, len(array)))

    # ---- where it stands ----

    @property
    def position(self) -> int:
        """Number of tokens fed."""
        with self._exclusive() as pointer:
            return int(out("int64_t", lib.minimax_session_position, pointer))

    def tokens(self, first: int = 0) -> list[int]:
        """The tokens from a position on."""
        first = integer(first, "first")
        with self._exclusive() as pointer:
            return fill_list("int32_t", 1024, lib.minimax_session_tokens, pointer, first)

    def images(self) -> list[ImageSpan]:
        """Pictures among the tokens, in order, and where each lies."""
        with self._exclusive() as pointer:
            count = out("size_t", lib.minimax_session_image_count, pointer)
            return [ImageSpan._read(read("minimax_image_span", lib.minimax_session_get_image_span, pointer, index))
                    for index in range(count)]

    def logits(self) -> "Floats":
        """The logits after the last token: [vocabulary_size], read only, a look into the session's own memory
        without a copy. It keeps that memory alive; what the session does next is seen in it, so copy what is to be
        kept. Suppressed tokens are not masked here. NotAvailable when the session is empty, the last feed was
        cancelled, or tokens were taken back."""
        import numpy
        return numpy.frombuffer(self.logits_view(), numpy.float32)

    def logits_view(self) -> memoryview:
        """The same for programs without numpy: a memoryview of format "f"."""
        logits, count = ffi.new("float **"), ffi.new("size_t *")
        with self._exclusive() as pointer:
            check(lib.minimax_session_logits(pointer, logits, count))
        owner = ffi.gc(logits[0], functools.partial(_keep_alive, pointer))  # as long as somebody looks
        view: Any = memoryview(ffi.buffer(owner, 4 * count[0]))
        return view.cast("f").toreadonly()  # type: ignore[no-any-return]

    def stats(self) -> SessionStats:
        """Counts and times."""
        with self._exclusive() as pointer:
            return SessionStats._read(read("minimax_session_stats", lib.minimax_session_get_stats, pointer))

    # ---- going back, branching ----

    def cancel(self) -> None:
        """Stops what runs now on this session, within one chunk or token: it raises Cancelled. Nothing happens when
        nothing runs. Any thread."""
        check(lib.minimax_session_cancel(self._shared()))

    def rewind(self, token_count: int) -> None:
        """Takes back the last tokens, as if they had never been fed. There are no logits then."""
        with self._exclusive() as pointer:
            check(lib.minimax_session_rewind(pointer, integer(token_count, "token_count")))

    @property
    def rewind_floor(self) -> int:
        """The position that rewind() can go back to."""
        with self._exclusive() as pointer:
            return int(out("int64_t", lib.minimax_session_rewind_floor, pointer))

    def mark(self) -> Snapshot:
        """Keeps the session as it is now."""
        snapshot = Snapshot.__new__(Snapshot)
        with self._exclusive() as pointer:
            snapshot._own(out("minimax_snapshot *", lib.minimax_session_mark, pointer), lib.minimax_snapshot_free)
        return snapshot

    def return_to(self, snapshot: Snapshot) -> None:
        """Becomes what this session, or another of the same engine, was; the snapshot stays."""
        need(snapshot, Snapshot, "snapshot")
        with self._exclusive() as pointer:
            check(lib.minimax_session_return_to(pointer, snapshot._shared()))

    def fork(self) -> "Session":
        """Another session at the same place; from here on each goes its own way."""
        session = type(self).__new__(type(self))
        with self._exclusive() as pointer:
            session._take(self._engine, self._vocabulary_size,
                          out("minimax_session *", lib.minimax_session_fork, pointer))
        return session

    def reset(self) -> None:
        """Forgets everything."""
        with self._exclusive() as pointer:
            check(lib.minimax_session_reset(pointer))

    # ---- answering ----

    def generate(self, sampler: Sampler | None = None, *, max_tokens: int = 0, stop: Sequence[Text] = (),
                 ignore_stop_token: bool = False) -> Generation:
        """Answers, piece by piece, as somebody asks for the pieces:

            for text in session.generate(max_tokens=100):
                print(text, end="", flush=True)

        or `async for`, or `session.generate().text()`. The session must stand at logits, and is the answer's until
        that ends: by itself, by close(), or as soon as nobody holds it. sampler None: greedy; max_tokens 0: until
        a stop. A sampler of an answer cannot be used meanwhile."""
        return Generation(self, sampler, max_tokens, stop, ignore_stop_token)

    def run(self, sampler: Sampler | None = None, *, max_tokens: int = 0, stop: Sequence[Text] = (),
            ignore_stop_token: bool = False, on_text: OnText | None = None,
            on_token: OnToken | None = None) -> GenerateResult:
        """Answers in one call, which tells of pieces of text and of tokens before they are fed. A callback that gives
        False stops the answer. After Cancelled, `result` of the exception tells what there was."""
        options, kept = generate_options(max_tokens, stop, ignore_stop_token)
        user = ffi.new_handle((on_text, on_token))
        options.on_text = _on_text if on_text else NULL
        options.on_token = _on_token if on_token else NULL
        options.user = user
        result = struct("minimax_generate_result")
        with self._exclusive() as pointer, optional(sampler, Sampler, "sampler") as drawer:
            status = lib.minimax_session_generate(pointer, drawer, options, result)
            try:
                finish(status)
            except Cancelled as error:
                error.result = GenerateResult._read(result)
                raise
        del kept
        return GenerateResult._read(result)


_on_text, _on_token = on_text, on_token  # whose names are also arguments


def _keep_alive(_session: Any, _logits: Any) -> None:
    """Holding the session is all it does."""


def session_file_info(path: StrPath) -> SessionFileInfo:
    """What a saved session says of itself, without an engine."""
    return SessionFileInfo._read(read("minimax_session_file_info", lib.minimax_get_session_file_info, c_path(path)))
