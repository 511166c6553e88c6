# SPDX-License-Identifier: Apache-2.0
"""A loaded model, what it would need before it is loaded, and its tokenizer."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._call import (NULL, Handle, Progress, StrPath, Text, Tokens, c_path, fill_bytes, fill_list, finish,
                    integer, need, on_progress, out, piece, read, strings, struct, token_array, utf8)
from ._errors import check
from ._header import (DetokenizeFlags, EngineInfo, EngineMemory, FeedReport, ImageCacheStats, MemoryPlan, NumberType,
                      PrefixCacheStats, TilePlan, TokenizeFlags, TokenKind, WeightSource)
from ._library import ffi, lib

if TYPE_CHECKING:
    from ._image import Image
    from ._prompt import Prompt


def _engine_options(devices: Sequence[str], progress: Progress | None, **values: int) -> tuple[Any, Any]:
    """The options, and what must live as long as they."""
    names, kept = strings(devices, "devices")
    options = struct("minimax_engine_options", devices=names, device_count=len(kept), **values)
    if progress is None:
        return options, (names, kept)
    user = ffi.new_handle(progress)
    options.progress, options.progress_user = on_progress, user
    return options, (names, kept, user)


def plan(path: StrPath, *, devices: Sequence[str] = (), thread_count: int = 0,
         weight_type: NumberType = NumberType.AUTO, compute_type: NumberType = NumberType.AUTO,
         kv_type: NumberType = NumberType.AUTO, state_type: NumberType = NumberType.AUTO,
         weight_source: WeightSource = WeightSource.FROM_FILES, synthetic_seed: int = 0, context_limit: int = 0,
         kv_bytes_limit: int = 0, chunk_tokens: int = 0, image_cache_bytes_limit: int = 0,
         prefix_cache_bytes_limit: int = 0) -> MemoryPlan:
    """What a model would need, from its config.json and the headers of its weight files alone. Arguments as for
    Engine."""
    options, kept = _engine_options(
        devices, None, thread_count=thread_count, weight_type=weight_type, compute_type=compute_type,
        kv_type=kv_type, state_type=state_type, weight_source=weight_source, synthetic_seed=synthetic_seed,
        context_limit=context_limit, kv_bytes_limit=kv_bytes_limit, chunk_tokens=chunk_tokens,
        image_cache_bytes_limit=image_cache_bytes_limit, prefix_cache_bytes_limit=prefix_cache_bytes_limit)
    made = read("minimax_memory_plan", lib.minimax_plan, c_path(path), options)
    del kept
    return MemoryPlan._read(made)


class Engine(Handle):
    """A loaded model: immutable, shared by any number of threads. It may be closed while sessions, prompts and
    samplers of it live: it ends with the last of them.

    path            a folder as on Hugging Face: config.json, *.safetensors, a tokenizer
    devices         names such as "cuda:0"; none: one device, "cpu"
    thread_count    CPU threads; 0: one a core
    weight_type, compute_type, kv_type, state_type   types of numbers, see minimax.h
    weight_source   WeightSource.SYNTHETIC: random numbers made of synthetic_seed, for benchmarks
    context_limit   tokens a session may hold; 0: as many as memory has room for
    kv_bytes_limit  keys and values of all sessions together; 0: no limit
    chunk_tokens    longest piece of a prompt computed at once; 0: the device's own
    image_cache_bytes_limit   encoded pictures kept for reuse; 0: 256 MiB
    prefix_cache_bytes_limit  snapshots kept for prompts that begin alike; 0: an eighth of free memory, -1: none
    progress        called with (bytes done, bytes in all); False gives up: Cancelled
    """

    def __init__(self, path: StrPath, *, devices: Sequence[str] = (), thread_count: int = 0,
                 weight_type: NumberType = NumberType.AUTO, compute_type: NumberType = NumberType.AUTO,
                 kv_type: NumberType = NumberType.AUTO, state_type: NumberType = NumberType.AUTO,
                 weight_source: WeightSource = WeightSource.FROM_FILES, synthetic_seed: int = 0,
                 context_limit: int = 0, kv_bytes_limit: int = 0, chunk_tokens: int = 0,
                 image_cache_bytes_limit: int = 0, prefix_cache_bytes_limit: int = 0,
                 progress: Progress | None = None) -> None:
        options, kept = _engine_options(
            devices, progress, thread_count=thread_count, weight_type=weight_type, compute_type=compute_type,
            kv_type=kv_type, state_type=state_type, weight_source=weight_source, synthetic_seed=synthetic_seed,
            context_limit=context_limit, kv_bytes_limit=kv_bytes_limit, chunk_tokens=chunk_tokens,
            image_cache_bytes_limit=image_cache_bytes_limit, prefix_cache_bytes_limit=prefix_cache_bytes_limit)
        pointer = ffi.new("minimax_engine **")
        finish(lib.minimax_engine_open(c_path(path), options, pointer))
        del kept
        self._own(pointer[0], lib.minimax_engine_free)

    @functools.cached_property
    def info(self) -> EngineInfo:
        """Name, sizes and what it has."""
        return EngineInfo._read(read("minimax_engine_info", lib.minimax_engine_get_info, self._shared()))

    def config_json(self) -> str:
        """The model's config.json as it was read."""
        return fill_bytes(4096, lib.minimax_engine_config_json, self._shared()).decode("utf-8", "replace")

    def memory(self) -> EngineMemory:
        """Memory in use now."""
        return EngineMemory._read(read("minimax_engine_memory", lib.minimax_engine_get_memory, self._shared()))

    @property
    def tokenizer(self) -> "Tokenizer":
        """Text to token ids and back; its methods raise NotAvailable when the model came without one."""
        return Tokenizer(self)

    def image_plan(self, width: int, height: int) -> TilePlan:
        """What a picture of so many pixels becomes."""
        return TilePlan._read(read("minimax_tile_plan", lib.minimax_image_plan, self._shared(),
                                   integer(width, "width"), integer(height, "height")))

    def encode_image(self, image: "Image", progress: Progress | None = None) -> None:
        """Encodes a picture ahead of its use. progress counts tiles; False gives up: Cancelled."""
        from ._image import Image
        need(image, Image, "image")
        user = NULL if progress is None else ffi.new_handle(progress)
        finish(lib.minimax_engine_encode_image(self._shared(), image._shared(), on_progress if progress else NULL,
                                               user))

    def image_cache_stats(self) -> ImageCacheStats:
        """Encoded pictures that are kept."""
        return ImageCacheStats._read(read("minimax_image_cache_stats", lib.minimax_engine_get_image_cache_stats,
                                          self._shared()))

    def clear_image_cache(self) -> None:
        """Forgets encoded pictures."""
        check(lib.minimax_engine_clear_image_cache(self._shared()))

    def prefix_cache_stats(self) -> PrefixCacheStats:
        """Snapshots that are kept for prompts that begin alike."""
        return PrefixCacheStats._read(read("minimax_prefix_cache_stats", lib.minimax_engine_get_prefix_cache_stats,
                                           self._shared()))

    def clear_prefix_cache(self) -> None:
        """Forgets all these snapshots, pinned ones too. Sessions keep what they hold."""
        check(lib.minimax_engine_clear_prefix_cache(self._shared()))

    def pin_prefix(self, prompt: "Prompt", *, rewind_tokens: int = 0) -> FeedReport:
        """Computes a prompt, as far as the cache does not hold it, and keeps its snapshot until it is unpinned or the
        cache is cleared: for what every conversation begins with. rewind_tokens: of the sessions that shall find
        it."""
        from ._prompt import Prompt
        need(prompt, Prompt, "prompt")
        options = struct("minimax_session_options", rewind_tokens=rewind_tokens)
        with prompt._exclusive() as source:
            return FeedReport._read(read("minimax_feed_report", lib.minimax_engine_pin_prefix, self._shared(), source,
                                         options))

    def unpin_prefix(self, prompt: "Prompt", *, rewind_tokens: int = 0) -> None:
        """The snapshot becomes one like others. NotFound when this prompt is not pinned for such sessions."""
        from ._prompt import Prompt
        need(prompt, Prompt, "prompt")
        options = struct("minimax_session_options", rewind_tokens=rewind_tokens)
        with prompt._exclusive() as source:
            check(lib.minimax_engine_unpin_prefix(self._shared(), source, options))


@dataclass(frozen=True)
class TokenInfo:
    """What a token id stands for."""

    kind: TokenKind
    is_stop: bool
    """ends an answer"""
    is_suppressed: bool
    """never sampled: undefined, or its embedding is all zero"""
    bytes: bytes
    """what it stands for, cut at 256"""


class Tokenizer:
    """Text to token ids and back, of one engine. Any thread."""

    def __init__(self, engine: Engine) -> None:
        need(engine, Engine, "engine")
        self._engine = engine

    def encode(self, text: Text, *, plain: bool = False) -> list[int]:
        """Nothing is added at either end. plain: "<image>" and its like are ordinary text, for text from
        strangers."""
        data = utf8(text, "text")
        flags = TokenizeFlags.PLAIN if plain else TokenizeFlags.DEFAULT
        return fill_list("int32_t", len(data) + 16, lib.minimax_engine_tokenize, self._engine._shared(), data,
                         len(data), flags)

    def decode_bytes(self, tokens: Tokens, *, special: bool = False) -> bytes:
        """special: writes special tokens too. May begin or end within a character."""
        array = token_array(tokens)
        flags = DetokenizeFlags.SPECIAL if special else DetokenizeFlags.DEFAULT
        return fill_bytes(8 * len(array) + 64, lib.minimax_engine_detokenize, self._engine._shared(), array,
                          len(array), flags)

    def decode(self, tokens: Tokens, *, special: bool = False) -> str:
        """The same as str; bytes that are no character become U+FFFD."""
        return self.decode_bytes(tokens, special=special).decode("utf-8", "replace")

    def token_info(self, token: int) -> TokenInfo:
        """What a token stands for."""
        c = read("minimax_token_info", lib.minimax_engine_token_info, self._engine._shared(),
                 integer(token, "token", 32))
        return TokenInfo(TokenKind(c.kind), bool(c.is_stop), bool(c.is_suppressed),
                         bytes(ffi.buffer(c.bytes, min(c.size, len(c.bytes)))))

    def stream(self, stop: Sequence[Text] = ()) -> "TextStream":
        """Tokens to text piece by piece; the text ends before any of the strings of stop."""
        return TextStream(self._engine, stop)


class TextStream(Handle):
    """Tokens to whole characters: never half of one, and never a part of what may become a stop string."""

    def __init__(self, engine: Engine, stop: Sequence[Text] = ()) -> None:
        need(engine, Engine, "engine")
        array, kept = strings(stop, "stop")
        self._own(out("minimax_text_stream *", lib.minimax_text_stream_create, engine._shared(), array, len(kept)),
                  lib.minimax_text_stream_free)
        self.stopped = False

    def push(self, token: int) -> str:
        """What can be shown now, perhaps nothing. `stopped` is True once a stop string has appeared."""
        text, size, stopped = ffi.new("const char **"), ffi.new("size_t *"), ffi.new("int32_t *")
        with self._exclusive() as pointer:
            check(lib.minimax_text_stream_push(pointer, integer(token, "token", 32), text, size, stopped))
            self.stopped = bool(stopped[0])
            return piece(text[0], size[0])

    def flush(self) -> str:
        """What was held back; the stream is as new then."""
        text, size = ffi.new("const char **"), ffi.new("size_t *")
        with self._exclusive() as pointer:
            check(lib.minimax_text_stream_flush(pointer, text, size))
            self.stopped = False
            return piece(text[0], size[0])
