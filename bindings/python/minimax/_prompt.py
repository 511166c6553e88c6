# SPDX-License-Identifier: Apache-2.0
"""Messages, tools, pictures and text on their way to become the tokens of a session."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._call import (NULL, Handle, Text, Tokens, fill_bytes, fill_list, integer, need, out, terminated,
                    token_array, utf8)
from ._engine import Engine
from ._errors import check
from ._header import ChatFormat, Role, StopReason, TokenizeFlags
from ._image import Image
from ._library import lib

if TYPE_CHECKING:
    from ._image import ImageSource

_PICTURES = ("image", "image_url")


def _role(role: "Role | str") -> int:
    if not isinstance(role, str):
        return integer(role, "role", 32)
    try:
        return Role[role.upper()]
    except KeyError:
        known = ", ".join(each.name.lower() for each in Role)
        raise ValueError(f"role is {role!r}, expected one of {known}") from None


class Prompt(Handle):
    """What a session is fed. Methods that add something give the prompt back, so that calls can be chained:

        Prompt(engine).add_message("user", "Hello!").begin_reply()

    Text of messages is never read as markers: nobody can forge one by writing it. One thread at a time.
    """

    def __init__(self, engine: Engine, chat_format: ChatFormat = ChatFormat.AUTO) -> None:
        need(engine, Engine, "engine")
        self._own(out("minimax_prompt *", lib.minimax_prompt_create, engine._shared()), lib.minimax_prompt_free)
        if chat_format != ChatFormat.AUTO:
            self._add(lib.minimax_prompt_set_format, integer(chat_format, "chat_format", 32))

    def _add(self, function: Any, *arguments: Any) -> "Prompt":
        with self._exclusive() as pointer:
            check(function(pointer, *arguments))
        return self

    def clear(self) -> "Prompt":
        """Back to empty; the chat format stays."""
        return self._add(lib.minimax_prompt_clear)

    def add_message(self, role: "Role | str", text: Text, *, name: Text | None = None,
                    images: "Sequence[Image | ImageSource]" = ()) -> "Prompt":
        """One message. role: a Role or its name, "user"; name: the tool's, of the role "tool"; images come in front
        of the text, in their order, and are whatever Image takes. After an error with images the prompt may hold
        those before it: clear() it."""
        number = _role(role)
        data = utf8(text, "text")
        who = NULL if name is None else terminated(name, "name")
        for image in images:
            self.add_image(image)
        return self._add(lib.minimax_prompt_add_message, number, who, data, len(data))

    def add_image(self, image: "Image | ImageSource") -> "Prompt":
        """A picture for the message that is added next."""
        picture = image if isinstance(image, Image) else Image(image)
        return self._add(lib.minimax_prompt_add_image, picture._shared())

    def add_messages(self, messages: "Sequence[Mapping[str, Any]] | str") -> "Prompt":
        """Messages as of OpenAI's chat API, as a list or as JSON. In a list, a part {"type": "image", "image": x}
        holds a picture: whatever Image takes."""
        if not isinstance(messages, str):
            pictures: list[Any] = []
            messages = json.dumps([_without_pictures(message, pictures) for message in messages],
                                  ensure_ascii=False)
            for picture in pictures:
                self.add_image(picture)
        data = utf8(messages, "messages")
        return self._add(lib.minimax_prompt_add_messages_json, data, len(data))

    def set_tools(self, tools: "Sequence[Mapping[str, Any]] | str") -> "Prompt":
        """The tools the model may call, as a list of objects or as JSON, which is rendered as it is written."""
        data = utf8(tools if isinstance(tools, str) else json.dumps(tools, ensure_ascii=False), "tools")
        return self._add(lib.minimax_prompt_set_tools_json, data, len(data))

    def begin_reply(self) -> "Prompt":
        """Ends the messages with the header of the assistant's answer."""
        return self._add(lib.minimax_prompt_begin_reply)

    def end_reply(self, stop_reason: StopReason) -> "Prompt":
        """Goes on after an answer that was generated into the session and ended so. Comes first; then the next
        message."""
        return self._add(lib.minimax_prompt_end_reply, integer(stop_reason, "stop_reason", 32))

    def add_text(self, text: Text, *, plain: bool = False) -> "Prompt":
        """A piece outside any message. plain: "<image>" and its like are ordinary text."""
        data = utf8(text, "text")
        flags = TokenizeFlags.PLAIN if plain else TokenizeFlags.DEFAULT
        return self._add(lib.minimax_prompt_add_text, data, len(data), flags)

    def add_tokens(self, tokens: Tokens) -> "Prompt":
        """Tokens outside any message."""
        array = token_array(tokens)
        return self._add(lib.minimax_prompt_add_tokens, array, len(array))

    def tokens(self) -> list[int]:
        """What the prompt has become."""
        with self._exclusive() as pointer:
            return fill_list("int32_t", 1024, lib.minimax_prompt_tokens, pointer)

    def text(self) -> str:
        """The rendered text, special tokens written out."""
        with self._exclusive() as pointer:
            return fill_bytes(4096, lib.minimax_prompt_text, pointer).decode("utf-8", "replace")


def _without_pictures(message: Mapping[str, Any], pictures: list[Any]) -> Mapping[str, Any]:
    """The message for JSON; its pictures go to the end of `pictures`."""
    content = message.get("content")
    if not isinstance(content, (list, tuple)):
        return message
    parts = []
    for part in content:
        if isinstance(part, Mapping) and part.get("type") in _PICTURES and "image" in part:
            pictures.append(part["image"])
            part = {"type": "image"}
        parts.append(part)
    return {**message, "content": parts}
