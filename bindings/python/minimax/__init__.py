# SPDX-License-Identifier: Apache-2.0
"""MiniMax-01 models (Text-01, VL-01, M1) inside your program.

    from minimax import Engine, Prompt, Session

    with Engine("models/demo") as engine, Session(engine) as session:
        session.feed(Prompt(engine).add_message("user", "Hello!").begin_reply())
        for text in session.generate():
            print(text, end="", flush=True)

An Engine is a loaded model, immutable, shared by any number of threads. A Session is one timeline of tokens on it.
Calls release the interpreter's lock while the library computes. Whatever the library refuses is an Error with its
sentence. Objects may be closed, or go, in any order.
"""

from ._batch import Batch, BatchEvent
from ._engine import Engine, TextStream, TokenInfo, Tokenizer, plan
from ._errors import (BadFile, BufferTooSmall, Cancelled, Closed, ContextFull, DeviceError, Error, InternalError,
                      InUse, InvalidArgument, NotAvailable, NotFound, OutOfMemory, Poisoned, ReadWriteError,
                      Unsupported, WrongModel)
from ._generation import Generation
from ._header import (BatchStats, CachePolicy, ChatFormat, DeviceInfo, EngineInfo, EngineMemory, EventKind, FeedReport,
                      GenerateResult, ImageCacheStats, ImageSpan, LogLevel, MemoryPlan, MissReason, NumberType,
                      PrefixCacheStats, Role, SessionFileInfo, SessionStats, SnapshotHome, SnapshotInfo, Status,
                      StopReason, TilePlan, TokenKind, WaitReason, WeightSource, __version__)
from ._image import Image
from ._library_wide import devices, has_feature, set_log, source_id, version
from ._prompt import Prompt
from ._sampler import Sampler, TokenLogprob
from ._session import Session, Snapshot, session_file_info

__all__ = [
    "BadFile", "Batch", "BatchEvent", "BatchStats", "BufferTooSmall", "CachePolicy", "Cancelled", "ChatFormat",
    "Closed", "ContextFull", "DeviceError", "DeviceInfo", "Engine", "EngineInfo", "EngineMemory", "Error",
    "EventKind", "FeedReport", "GenerateResult", "Generation", "Image", "ImageCacheStats", "ImageSpan", "InUse",
    "InternalError", "InvalidArgument", "LogLevel", "MemoryPlan", "MissReason", "NotAvailable", "NotFound",
    "NumberType", "OutOfMemory", "Poisoned", "PrefixCacheStats", "Prompt", "ReadWriteError", "Role", "Sampler",
    "Session", "SessionFileInfo", "SessionStats", "Snapshot", "SnapshotHome", "SnapshotInfo", "Status", "StopReason",
    "TextStream", "TilePlan", "TokenInfo", "TokenKind", "TokenLogprob", "Tokenizer", "Unsupported", "WaitReason",
    "WeightSource", "WrongModel", "__version__", "devices", "has_feature", "plan", "session_file_info", "set_log",
    "source_id", "version",
]
