# SPDX-License-Identifier: Apache-2.0
"""Logits to a token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._call import NULL, Handle, fill, integer, need, out, struct
from ._engine import Engine
from ._errors import check
from ._library import ffi, lib

if TYPE_CHECKING:
    from ._session import Session


@dataclass(frozen=True)
class TokenLogprob:
    """A token and its natural logarithm of probability under the model's own distribution."""

    token: int
    logprob: float


class Sampler(Handle):
    """Logits to a token. Order: bias, penalties, temperature, top_k, top_p, min_p, draw. Without arguments it is
    greedy; 0 switches an argument off. The same seed, prompt and options give the same text. One thread at a time.

    temperature    0: the most probable token; up to 100
    top_p, min_p   smallest set of tokens of this probability; tokens of this share of the best one's
    top_k          the k most probable tokens
    repetition_penalty, presence_penalty, frequency_penalty, penalty_window   see minimax.h
    logit_bias     token to what is added to its logit; -inf forbids it
    top_logprobs   so many alternatives are kept for logprobs(), 0 to 256
    """

    def __init__(self, engine: Engine, *, temperature: float = 0, top_p: float = 0, min_p: float = 0, top_k: int = 0,
                 repetition_penalty: float = 0, presence_penalty: float = 0, frequency_penalty: float = 0,
                 penalty_window: int = 0, seed: int = 0, logit_bias: Mapping[int, float] | None = None,
                 top_logprobs: int = 0) -> None:
        need(engine, Engine, "engine")
        biases = list(dict(logit_bias or {}).items())
        bias = ffi.new("minimax_logit_bias[]", biases) if biases else NULL
        options = struct(
            "minimax_sampler_options", temperature=temperature, top_p=top_p, min_p=min_p, top_k=top_k,
            repetition_penalty=repetition_penalty, presence_penalty=presence_penalty,
            frequency_penalty=frequency_penalty, penalty_window=penalty_window, seed=seed, logit_bias=bias,
            logit_bias_count=len(biases), top_logprobs=top_logprobs)
        self._own(out("minimax_sampler *", lib.minimax_sampler_create, engine._shared(), options),
                  lib.minimax_sampler_free)

    def reset(self) -> None:
        """Forgets accepted tokens and starts its random numbers anew."""
        with self._exclusive() as pointer:
            check(lib.minimax_sampler_reset(pointer))

    def sample(self, session: "Session") -> int:
        """Draws the token that follows, and accepts it. The session is not fed."""
        from ._session import Session
        need(session, Session, "session")
        with self._exclusive() as pointer, session._exclusive() as of:
            return int(out("int32_t", lib.minimax_sampler_sample, pointer, of))

    def accept(self, token: int) -> None:
        """Counts a token that was chosen elsewhere."""
        with self._exclusive() as pointer:
            check(lib.minimax_sampler_accept(pointer, integer(token, "token", 32)))

    def logprobs(self) -> list[TokenLogprob]:
        """Of the last sample: the drawn token first, then the most probable ones."""
        with self._exclusive() as pointer:
            entries, count = fill("minimax_token_logprob", 257, lib.minimax_sampler_logprobs, pointer)
            return [TokenLogprob(entries[i].token, entries[i].logprob) for i in range(count)]
