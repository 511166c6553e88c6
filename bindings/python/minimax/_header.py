# SPDX-License-Identifier: Apache-2.0
"""The numbers and structs of minimax.h in Python. Generated from minimax.h by bindings/generate.py."""

import dataclasses
import enum
from typing import Any

from . import _raw

ffi: Any = _raw.ffi
VERSION = (0, 1, 0)
"""Of the header that this package was made for."""
__version__ = "0.1.0"


class _Number(enum.IntEnum):
    """A number that this package does not know, from a later library, is UNKNOWN_<number>."""

    @classmethod
    def _missing_(cls, value: object) -> "_Number | None":
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_{value}"
        unknown._value_ = value
        return unknown


def _text(chars: Any) -> str:
    return str(ffi.string(chars).decode("utf-8", "replace")) if chars else ""


class Status(_Number):
    """Numbers of minimax.h; a later library may know more."""

    OK = 0
    INVALID_ARGUMENT = 1
    """the caller's mistake: a NULL, a value out of range"""
    BUFFER_TOO_SMALL = 2
    """the count needed has been set"""
    UNSUPPORTED = 3
    """this build, device or model cannot do that"""
    NOT_AVAILABLE = 4
    """not now or not here: no tokenizer, no device, no logits yet"""
    NOT_FOUND = 5
    """a file, device or name that does not exist"""
    IO_ERROR = 6
    """the system could not read or write a file"""
    BAD_FILE = 7
    """a file that is damaged or not what it should be"""
    WRONG_MODEL = 8
    """a file or handle that belongs to another model"""
    OUT_OF_MEMORY = 9
    """the sentence says of what and how much"""
    CONTEXT_FULL = 10
    """the session has no room for so many tokens"""
    CANCELLED = 11
    """minimax_session_cancel, or a callback that said stop"""
    DEVICE_ERROR = 12
    """the device failed; sessions of that step are poisoned"""
    POISONED = 13
    """an earlier error broke this session; only stats and free work"""
    INTERNAL_ERROR = 14
    """our mistake: please report the sentence"""


class LogLevel(_Number):
    """Numbers of minimax.h; a later library may know more."""

    ERROR = 0
    WARNING = 1
    INFO = 2
    DEBUG = 3


class NumberType(_Number):
    """Numbers of minimax.h; a later library may know more."""

    AUTO = 0
    F32 = 1
    BF16 = 2
    F16 = 3


class WeightSource(_Number):
    """Numbers of minimax.h; a later library may know more."""

    FROM_FILES = 0
    SYNTHETIC = 1
    """random numbers of the right shapes, made in memory: for benchmarks. Only config.json is read; there is
    no tokenizer."""


class TokenizeFlags(_Number):
    """Numbers of minimax.h; a later library may know more."""

    DEFAULT = 0
    PLAIN = 1
    """"<image>" and its like are ordinary text: for text from strangers"""


class DetokenizeFlags(_Number):
    """Numbers of minimax.h; a later library may know more."""

    DEFAULT = 0
    SPECIAL = 1
    """write special tokens too; by default they are left out"""


class TokenKind(_Number):
    """Numbers of minimax.h; a later library may know more."""

    TEXT = 0
    SPECIAL = 1
    """markers, left out when text is written"""
    UNDEFINED = 2
    """a row of the vocabulary without meaning"""


class Role(_Number):
    """Numbers of minimax.h; a later library may know more."""

    SYSTEM = 1
    USER = 2
    ASSISTANT = 3
    TOOL = 4
    """the result of a tool; `name` is the tool's"""


class ChatFormat(_Number):
    """Numbers of minimax.h; a later library may know more."""

    AUTO = 0
    """as the checkpoint says"""
    TEXT_01 = 1
    VL_01 = 2
    M1 = 3
    """the checkpoint's own template"""
    M1_VLLM = 4
    """the template that serving engines replace it with"""


class SnapshotHome(_Number):
    """Numbers of minimax.h; a later library may know more."""

    DEVICE = 0
    """in the engine's memory, shared with sessions as far as they are the same"""
    HOST = 1
    """in the program's memory"""
    FILE = 2


class CachePolicy(_Number):
    """Numbers of minimax.h; a later library may know more."""

    AUTO = 0
    """looks into it, and leaves snapshots there"""
    NO_STORE = 1
    """looks into it, leaves nothing"""
    OFF = 2
    """neither"""


class MissReason(_Number):
    """Numbers of minimax.h; a later library may know more."""

    NONE = 0
    """all that was known of the prompt was reused: what was computed goes on behind it, or is a last token
    whose logits were not kept"""
    NEW = 1
    """nothing that is known begins like it"""
    DIVERGED = 2
    """it parts from what is known at diverged_at, and was reused up to there"""
    NO_CHECKPOINT = 3
    """known up to diverged_at, but no snapshot lies so near to it; where that was 32 tokens or more, one is
    taken now for the next prompt"""
    EVICTED = 4
    """the same, and there was one that others have displaced"""
    IMAGE_DIFFERS = 5
    """it shows another picture at diverged_at"""
    DISABLED = 6
    """the cache is off, for the engine or the session, and was not looked into"""


class StopReason(_Number):
    """Numbers of minimax.h; a later library may know more."""

    TOKEN = 1
    """the model ended its answer"""
    STRING = 2
    MAX_TOKENS = 3
    CONTEXT = 4
    """the session is full"""
    CALLBACK = 5
    CANCELLED = 6


class Priority(_Number):
    """Numbers of minimax.h; a later library may know more."""

    LOWEST = -100
    HIGHEST = 100


class EventKind(_Number):
    """Numbers of minimax.h; a later library may know more."""

    NONE = 0
    """there is none now"""
    QUEUED = 1
    """could not begin at once: wait_reason and message say why. Comes once"""
    STARTED = 2
    """its pictures and its prompt are next"""
    TOKEN = 3
    """a token was drawn, and is fed in the step that begins"""
    FINISHED = 4
    """stop_reason; 0 for feeds_only. Ends the ticket, as the next two do"""
    FAILED = 5
    """status and message; other sessions go on"""
    CANCELLED = 6


class WaitReason(_Number):
    """Numbers of minimax.h; a later library may know more."""

    SESSIONS = 1
    """session_limit is reached"""
    MEMORY = 2
    """for pages of keys and values: more than there are, beside those that were promised to requests that
    have begun"""


@dataclasses.dataclass(frozen=True)
class DeviceInfo:
    """minimax_device_info of minimax.h."""

    name: str
    """what engine options take: "cpu", "cuda:0"; lives for ever"""
    description: str
    """the processor's own name; lives for ever"""
    memory_bytes: int
    """all of it"""
    available_bytes: int
    """free now"""
    core_count: int
    """processors this program may use; multiprocessors of a GPU"""

    @classmethod
    def _read(cls, c: Any) -> "DeviceInfo":
        return cls(
            name=_text(c.name),
            description=_text(c.description),
            memory_bytes=c.memory_bytes,
            available_bytes=c.available_bytes,
            core_count=c.core_count,
        )


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """minimax_memory_plan of minimax.h."""

    parameter_count: int
    """of the parts that are loaded"""
    tensor_count: int
    """tensors that the loader asks the checkpoint for"""
    weight_bytes: int
    """as kept by the engine (file maps included)"""
    workspace_bytes: int
    """scratch of the engine, whatever the number of sessions"""
    bytes_per_session: int
    """lightning state, its log and bookkeeping of an empty session"""
    lightning_state_bytes: int
    """of that, the states: constant in the length of the session"""
    lightning_log_bytes: int
    """of that, keys and values not yet folded into the states"""
    bytes_per_token: int
    """keys and values of the softmax layers, a token"""
    kv_page_tokens: int
    """these are taken in pages of so many tokens"""
    available_bytes: int
    """free on the device now"""
    tokens_that_fit: int
    """one session's tokens, beside weights and workspace"""
    sessions_that_fit: int
    """sessions of context_limit tokens each (one page when it is 0)"""

    @classmethod
    def _read(cls, c: Any) -> "MemoryPlan":
        return cls(
            parameter_count=c.parameter_count,
            tensor_count=c.tensor_count,
            weight_bytes=c.weight_bytes,
            workspace_bytes=c.workspace_bytes,
            bytes_per_session=c.bytes_per_session,
            lightning_state_bytes=c.lightning_state_bytes,
            lightning_log_bytes=c.lightning_log_bytes,
            bytes_per_token=c.bytes_per_token,
            kv_page_tokens=c.kv_page_tokens,
            available_bytes=c.available_bytes,
            tokens_that_fit=c.tokens_that_fit,
            sessions_that_fit=c.sessions_that_fit,
        )


@dataclasses.dataclass(frozen=True)
class EngineInfo:
    """minimax_engine_info of minimax.h."""

    model_name: str
    """"MiniMax-Text-01", "MiniMax-VL-01", "MiniMax-M1"; lives with the engine"""
    device: str
    """"cpu"; lives with the engine"""
    parameter_count: int
    weight_bytes: int
    declared_context: int
    """max_position_embeddings of config.json; not a limit of the engine"""
    layer_count: int
    lightning_layer_count: int
    hidden_size: int
    vocabulary_size: int
    expert_count: int
    thread_count: int
    compute_type: NumberType
    """MINIMAX_TYPE_F32 or _BF16"""
    kv_type: NumberType
    has_tokenizer: bool
    """1 or 0"""
    has_vision: bool
    """the checkpoint holds a vision tower"""
    stop_token: int
    """end of an answer, or -1 when there is none"""
    image_token: int
    """stands for a row of a picture, or -1"""

    @classmethod
    def _read(cls, c: Any) -> "EngineInfo":
        return cls(
            model_name=_text(c.model_name),
            device=_text(c.device),
            parameter_count=c.parameter_count,
            weight_bytes=c.weight_bytes,
            declared_context=c.declared_context,
            layer_count=c.layer_count,
            lightning_layer_count=c.lightning_layer_count,
            hidden_size=c.hidden_size,
            vocabulary_size=c.vocabulary_size,
            expert_count=c.expert_count,
            thread_count=c.thread_count,
            compute_type=NumberType(c.compute_type),
            kv_type=NumberType(c.kv_type),
            has_tokenizer=bool(c.has_tokenizer),
            has_vision=bool(c.has_vision),
            stop_token=c.stop_token,
            image_token=c.image_token,
        )


@dataclasses.dataclass(frozen=True)
class EngineMemory:
    """minimax_engine_memory of minimax.h."""

    weight_bytes: int
    """mapped and copied weights"""
    workspace_bytes: int
    session_bytes: int
    """of the sessions alive now, without keys and values"""
    kv_bytes: int
    """pages of keys and values in use now, by sessions and snapshots"""
    session_count: int
    prefix_cache_bytes: int
    """snapshots of the prefix cache, without keys and values: states and logs (also while a session shares
    them), logits, texts"""

    @classmethod
    def _read(cls, c: Any) -> "EngineMemory":
        return cls(
            weight_bytes=c.weight_bytes,
            workspace_bytes=c.workspace_bytes,
            session_bytes=c.session_bytes,
            kv_bytes=c.kv_bytes,
            session_count=c.session_count,
            prefix_cache_bytes=c.prefix_cache_bytes,
        )


@dataclasses.dataclass(frozen=True)
class TilePlan:
    """What a picture becomes: resized into one of the model's canvases, which is cut into tiles; a thumbnail
    tile goes in front. All counted without a pixel."""

    canvas_width: int
    """pixels"""
    canvas_height: int
    """pixels"""
    resized_width: int
    """of the picture on the canvas, black around it"""
    resized_height: int
    """of the picture on the canvas, black around it"""
    paste_x: int
    """its upper left corner there"""
    paste_y: int
    """its upper left corner there"""
    tile_columns: int
    tile_rows: int
    tile_count: int
    """with the thumbnail"""
    kept_columns: int
    """patches of the canvas that become tokens"""
    kept_rows: int
    """patches of the canvas that become tokens"""
    token_count: int
    """of the whole picture: the thumbnail's, then each kept row's and one more"""

    @classmethod
    def _read(cls, c: Any) -> "TilePlan":
        return cls(
            canvas_width=c.canvas_width,
            canvas_height=c.canvas_height,
            resized_width=c.resized_width,
            resized_height=c.resized_height,
            paste_x=c.paste_x,
            paste_y=c.paste_y,
            tile_columns=c.tile_columns,
            tile_rows=c.tile_rows,
            tile_count=c.tile_count,
            kept_columns=c.kept_columns,
            kept_rows=c.kept_rows,
            token_count=c.token_count,
        )


@dataclasses.dataclass(frozen=True)
class ImageCacheStats:
    """minimax_image_cache_stats of minimax.h."""

    image_count: int
    """encoded pictures that are kept"""
    bytes: int
    """of the device's memory"""
    hits: int
    misses: int
    evictions: int

    @classmethod
    def _read(cls, c: Any) -> "ImageCacheStats":
        return cls(
            image_count=c.image_count,
            bytes=c.bytes,
            hits=c.hits,
            misses=c.misses,
            evictions=c.evictions,
        )


@dataclasses.dataclass(frozen=True)
class SnapshotInfo:
    """minimax_snapshot_info of minimax.h."""

    position: int
    image_count: int
    """pictures among the tokens"""
    state_bytes: int
    """of lightning states and log, shared with sessions that have not gone on since"""
    kv_bytes: int
    """pages of keys and values, shared likewise"""
    home: SnapshotHome
    """MINIMAX_HOME_...; but on the device the two above are 0"""
    moved_bytes: int
    """of host memory, or of the file; 0 on the device"""

    @classmethod
    def _read(cls, c: Any) -> "SnapshotInfo":
        return cls(
            position=c.position,
            image_count=c.image_count,
            state_bytes=c.state_bytes,
            kv_bytes=c.kv_bytes,
            home=SnapshotHome(c.home),
            moved_bytes=c.moved_bytes,
        )


@dataclasses.dataclass(frozen=True)
class FeedReport:
    """minimax_feed_report of minimax.h."""

    token_count: int
    """of the prompt"""
    tokens_reused: int
    """of these, not computed: the session held them, or a snapshot did"""
    restore_ns: int
    """time spent on these: rewinding, or taking a snapshot over"""
    prefill_ns: int
    """time spent computing the others"""
    image_count: int
    """pictures of the prompt"""
    images_reused: int
    """of these, found in their cache, or among the tokens that were reused"""
    encode_ns: int
    """time spent on the others, loading the vision tower included"""
    diverged_at: int
    """the token of the prompt up to which it was known"""
    miss_reason: MissReason
    """MINIMAX_MISS_..."""

    @classmethod
    def _read(cls, c: Any) -> "FeedReport":
        return cls(
            token_count=c.token_count,
            tokens_reused=c.tokens_reused,
            restore_ns=c.restore_ns,
            prefill_ns=c.prefill_ns,
            image_count=c.image_count,
            images_reused=c.images_reused,
            encode_ns=c.encode_ns,
            diverged_at=c.diverged_at,
            miss_reason=MissReason(c.miss_reason),
        )


@dataclasses.dataclass(frozen=True)
class ImageSpan:
    """A picture in a session's history."""

    position: int
    """of its first token"""
    token_count: int
    image_id: bytes
    """minimax_image_id"""

    @classmethod
    def _read(cls, c: Any) -> "ImageSpan":
        return cls(
            position=c.position,
            token_count=c.token_count,
            image_id=bytes(c.image_id),
        )


@dataclasses.dataclass(frozen=True)
class SessionStats:
    """minimax_session_stats of minimax.h."""

    position: int
    fed_tokens: int
    """since the session was created, resets included"""
    prefill_ns: int
    """in calls that fed several tokens"""
    prefill_tokens: int
    decode_ns: int
    """in calls that fed one"""
    decode_tokens: int
    state_bytes: int
    """lightning states and log"""
    kv_bytes: int
    """pages of keys and values"""
    is_poisoned: bool

    @classmethod
    def _read(cls, c: Any) -> "SessionStats":
        return cls(
            position=c.position,
            fed_tokens=c.fed_tokens,
            prefill_ns=c.prefill_ns,
            prefill_tokens=c.prefill_tokens,
            decode_ns=c.decode_ns,
            decode_tokens=c.decode_tokens,
            state_bytes=c.state_bytes,
            kv_bytes=c.kv_bytes,
            is_poisoned=bool(c.is_poisoned),
        )


@dataclasses.dataclass(frozen=True)
class GenerateResult:
    """minimax_generate_result of minimax.h."""

    stop_reason: StopReason | None
    token_count: int
    """drawn and fed to the session"""
    decode_ns: int
    """time of the whole call"""

    @classmethod
    def _read(cls, c: Any) -> "GenerateResult":
        return cls(
            stop_reason=StopReason(c.stop_reason) if c.stop_reason else None,
            token_count=c.token_count,
            decode_ns=c.decode_ns,
        )


@dataclasses.dataclass(frozen=True)
class BatchStats:
    """minimax_batch_stats of minimax.h."""

    waiting_count: int
    """requests that have not begun"""
    waiting_for_memory_count: int
    """of these, for pages of keys and values"""
    feeding_count: int
    """whose pictures or prompts are not finished"""
    answering_count: int
    event_count: int
    """that have not been taken. At 65,536 no step begins"""
    submitted_count: int
    """since the batch was created, as all that follows"""
    finished_count: int
    failed_count: int
    cancelled_count: int
    step_count: int
    step_ns: int
    """time spent in steps"""
    prefill_tokens: int
    decode_tokens: int
    most_sessions: int
    """that shared a step"""
    promised_bytes: int
    """now: of keys and values, beyond those that sessions hold"""

    @classmethod
    def _read(cls, c: Any) -> "BatchStats":
        return cls(
            waiting_count=c.waiting_count,
            waiting_for_memory_count=c.waiting_for_memory_count,
            feeding_count=c.feeding_count,
            answering_count=c.answering_count,
            event_count=c.event_count,
            submitted_count=c.submitted_count,
            finished_count=c.finished_count,
            failed_count=c.failed_count,
            cancelled_count=c.cancelled_count,
            step_count=c.step_count,
            step_ns=c.step_ns,
            prefill_tokens=c.prefill_tokens,
            decode_tokens=c.decode_tokens,
            most_sessions=c.most_sessions,
            promised_bytes=c.promised_bytes,
        )


@dataclasses.dataclass(frozen=True)
class SessionFileInfo:
    """minimax_session_file_info of minimax.h."""

    file_bytes: int
    position: int
    """tokens of the session"""
    image_count: int
    """pictures among them"""
    format_version: int
    rewind_tokens: int
    """0: none"""
    kv_type: NumberType
    """MINIMAX_TYPE_...: of keys and values in the file"""
    has_logits: bool
    """1 or 0: the session stands at logits"""
    has_sampler: bool
    model_name: str
    """"MiniMax-Text-01", zero-terminated"""
    library_version: str
    """that wrote the file, zero-terminated"""
    model_id: bytes
    """equal for files of equal models"""

    @classmethod
    def _read(cls, c: Any) -> "SessionFileInfo":
        return cls(
            file_bytes=c.file_bytes,
            position=c.position,
            image_count=c.image_count,
            format_version=c.format_version,
            rewind_tokens=c.rewind_tokens,
            kv_type=NumberType(c.kv_type),
            has_logits=bool(c.has_logits),
            has_sampler=bool(c.has_sampler),
            model_name=_text(c.model_name),
            library_version=_text(c.library_version),
            model_id=bytes(c.model_id),
        )


@dataclasses.dataclass(frozen=True)
class PrefixCacheStats:
    """An engine keeps snapshots of its sessions for prompts that begin alike: minimax_session_set_prompt,
    minimax_session_feed_prompt and prompts of batches take what they can from there, and so need not compute
    it. A snapshot is kept of the end of each prompt and of each reply, and, from the second prompt of a
    common beginning on, of the place where they part. It shares keys, values and states with the session that
    it was taken of until that goes on, and can be taken back by rewind_tokens, so that prompts which differ
    in their last words only need no other. When prefix_cache_bytes_limit is reached, or somebody would be
    refused memory or pages, those go first that save the least arithmetic a byte and were not used for long.
    What is found belongs to the same tokens and pictures in the same order, and to sessions of the same
    rewind_tokens. Logits behind it are those of a session that was fed the same pieces: to the bit, unless
    the snapshot is taken back behind tokens that are folded; sums are then in another order, as they are when
    a prompt is cut elsewhere."""

    snapshot_count: int
    pinned_count: int
    """of these"""
    bytes: int
    """of all, as counted against the limit"""
    kv_bytes: int
    """of these, pages of keys and values, each counted once"""
    limit_bytes: int
    """0: the cache is off"""
    lookup_count: int
    """since the engine was opened, as all that follows"""
    hit_count: int
    """lookups in which a snapshot went further than the session itself"""
    tokens_reused: int
    """by these, beyond what the sessions held"""
    stored_count: int
    evicted_count: int

    @classmethod
    def _read(cls, c: Any) -> "PrefixCacheStats":
        return cls(
            snapshot_count=c.snapshot_count,
            pinned_count=c.pinned_count,
            bytes=c.bytes,
            kv_bytes=c.kv_bytes,
            limit_bytes=c.limit_bytes,
            lookup_count=c.lookup_count,
            hit_count=c.hit_count,
            tokens_reused=c.tokens_reused,
            stored_count=c.stored_count,
            evicted_count=c.evicted_count,
        )


# (size, offsets of the fields) of each struct, as a C compiler lays them out.
LAYOUT = {
    "minimax_device_info": (
        48,
        {
            "struct_size": 0,
            "name": 8,
            "description": 16,
            "memory_bytes": 24,
            "available_bytes": 32,
            "core_count": 40,
        },
    ),
    "minimax_engine_options": (
        128,
        {
            "struct_size": 0,
            "devices": 8,
            "device_count": 16,
            "thread_count": 24,
            "weight_type": 28,
            "compute_type": 32,
            "kv_type": 36,
            "state_type": 40,
            "weight_source": 44,
            "synthetic_seed": 48,
            "context_limit": 56,
            "kv_bytes_limit": 64,
            "chunk_tokens": 72,
            "progress": 80,
            "progress_user": 88,
            "host_allocator": 96,
            "device_stream": 104,
            "image_cache_bytes_limit": 112,
            "prefix_cache_bytes_limit": 120,
        },
    ),
    "minimax_memory_plan": (
        104,
        {
            "struct_size": 0,
            "parameter_count": 8,
            "tensor_count": 16,
            "weight_bytes": 24,
            "workspace_bytes": 32,
            "bytes_per_session": 40,
            "lightning_state_bytes": 48,
            "lightning_log_bytes": 56,
            "bytes_per_token": 64,
            "kv_page_tokens": 72,
            "available_bytes": 80,
            "tokens_that_fit": 88,
            "sessions_that_fit": 96,
        },
    ),
    "minimax_engine_info": (
        96,
        {
            "struct_size": 0,
            "model_name": 8,
            "device": 16,
            "parameter_count": 24,
            "weight_bytes": 32,
            "declared_context": 40,
            "layer_count": 48,
            "lightning_layer_count": 52,
            "hidden_size": 56,
            "vocabulary_size": 60,
            "expert_count": 64,
            "thread_count": 68,
            "compute_type": 72,
            "kv_type": 76,
            "has_tokenizer": 80,
            "has_vision": 84,
            "stop_token": 88,
            "image_token": 92,
        },
    ),
    "minimax_engine_memory": (
        56,
        {
            "struct_size": 0,
            "weight_bytes": 8,
            "workspace_bytes": 16,
            "session_bytes": 24,
            "kv_bytes": 32,
            "session_count": 40,
            "prefix_cache_bytes": 48,
        },
    ),
    "minimax_token_info": (
        288,
        {
            "struct_size": 0,
            "kind": 8,
            "is_stop": 12,
            "is_suppressed": 16,
            "bytes": 20,
            "size": 280,
        },
    ),
    "minimax_tile_plan": (
        104,
        {
            "struct_size": 0,
            "canvas_width": 8,
            "canvas_height": 16,
            "resized_width": 24,
            "resized_height": 32,
            "paste_x": 40,
            "paste_y": 48,
            "tile_columns": 56,
            "tile_rows": 64,
            "tile_count": 72,
            "kept_columns": 80,
            "kept_rows": 88,
            "token_count": 96,
        },
    ),
    "minimax_image_cache_stats": (
        48,
        {
            "struct_size": 0,
            "image_count": 8,
            "bytes": 16,
            "hits": 24,
            "misses": 32,
            "evictions": 40,
        },
    ),
    "minimax_snapshot_info": (
        56,
        {
            "struct_size": 0,
            "position": 8,
            "image_count": 16,
            "state_bytes": 24,
            "kv_bytes": 32,
            "home": 40,
            "moved_bytes": 48,
        },
    ),
    "minimax_session_options": (
        16,
        {
            "struct_size": 0,
            "rewind_tokens": 8,
            "cache_policy": 12,
        },
    ),
    "minimax_feed_report": (
        80,
        {
            "struct_size": 0,
            "token_count": 8,
            "tokens_reused": 16,
            "restore_ns": 24,
            "prefill_ns": 32,
            "image_count": 40,
            "images_reused": 48,
            "encode_ns": 56,
            "diverged_at": 64,
            "miss_reason": 72,
        },
    ),
    "minimax_image_span": (
        56,
        {
            "struct_size": 0,
            "position": 8,
            "token_count": 16,
            "image_id": 24,
        },
    ),
    "minimax_session_stats": (
        80,
        {
            "struct_size": 0,
            "position": 8,
            "fed_tokens": 16,
            "prefill_ns": 24,
            "prefill_tokens": 32,
            "decode_ns": 40,
            "decode_tokens": 48,
            "state_bytes": 56,
            "kv_bytes": 64,
            "is_poisoned": 72,
        },
    ),
    "minimax_logit_bias": (
        8,
        {
            "token": 0,
            "bias": 4,
        },
    ),
    "minimax_sampler_options": (
        72,
        {
            "struct_size": 0,
            "temperature": 8,
            "top_p": 12,
            "min_p": 16,
            "top_k": 20,
            "repetition_penalty": 24,
            "presence_penalty": 28,
            "frequency_penalty": 32,
            "penalty_window": 36,
            "seed": 40,
            "logit_bias": 48,
            "logit_bias_count": 56,
            "top_logprobs": 64,
        },
    ),
    "minimax_token_logprob": (
        8,
        {
            "token": 0,
            "logprob": 4,
        },
    ),
    "minimax_generate_options": (
        64,
        {
            "struct_size": 0,
            "max_tokens": 8,
            "stop_strings": 16,
            "stop_string_count": 24,
            "ignore_stop_token": 32,
            "on_text": 40,
            "on_token": 48,
            "user": 56,
        },
    ),
    "minimax_generate_result": (
        32,
        {
            "struct_size": 0,
            "stop_reason": 8,
            "token_count": 16,
            "decode_ns": 24,
        },
    ),
    "minimax_batch_options": (
        24,
        {
            "struct_size": 0,
            "own_thread": 8,
            "session_limit": 12,
            "step_tokens": 16,
        },
    ),
    "minimax_batch_request": (
        72,
        {
            "struct_size": 0,
            "prompt": 8,
            "prompt_first_token": 16,
            "tokens": 24,
            "token_count": 32,
            "sampler": 40,
            "generate": 48,
            "feeds_only": 56,
            "priority": 60,
            "user": 64,
        },
    ),
    "minimax_batch_event": (
        176,
        {
            "struct_size": 0,
            "kind": 8,
            "ticket": 16,
            "user": 24,
            "token": 32,
            "text": 40,
            "text_size": 48,
            "stop_reason": 56,
            "status": 60,
            "message": 64,
            "message_size": 72,
            "wait_reason": 80,
            "fed_tokens": 88,
            "tokens_reused": 96,
            "token_count": 104,
            "image_count": 112,
            "images_reused": 120,
            "wait_ns": 128,
            "encode_ns": 136,
            "prefill_ns": 144,
            "decode_ns": 152,
            "diverged_at": 160,
            "miss_reason": 168,
        },
    ),
    "minimax_batch_stats": (
        128,
        {
            "struct_size": 0,
            "waiting_count": 8,
            "waiting_for_memory_count": 16,
            "feeding_count": 24,
            "answering_count": 32,
            "event_count": 40,
            "submitted_count": 48,
            "finished_count": 56,
            "failed_count": 64,
            "cancelled_count": 72,
            "step_count": 80,
            "step_ns": 88,
            "prefill_tokens": 96,
            "decode_tokens": 104,
            "most_sessions": 112,
            "promised_bytes": 120,
        },
    ),
    "minimax_session_save_options": (
        16,
        {
            "struct_size": 0,
            "sampler": 8,
        },
    ),
    "minimax_session_load_options": (
        16,
        {
            "struct_size": 0,
            "sampler": 8,
        },
    ),
    "minimax_session_file_info": (
        168,
        {
            "struct_size": 0,
            "file_bytes": 8,
            "position": 16,
            "image_count": 24,
            "format_version": 32,
            "rewind_tokens": 36,
            "kv_type": 40,
            "has_logits": 44,
            "has_sampler": 48,
            "model_name": 52,
            "library_version": 116,
            "model_id": 148,
        },
    ),
    "minimax_prefix_cache_stats": (
        88,
        {
            "struct_size": 0,
            "snapshot_count": 8,
            "pinned_count": 16,
            "bytes": 24,
            "kv_bytes": 32,
            "limit_bytes": 40,
            "lookup_count": 48,
            "hit_count": 56,
            "tokens_reused": 64,
            "stored_count": 72,
            "evicted_count": 80,
        },
    ),
}
