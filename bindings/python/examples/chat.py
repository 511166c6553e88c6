#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks a model once, or talks with it, with the commands of minimax-chat. Answers go to stdout, all else to stderr."""

import argparse
import concurrent.futures
import contextlib
import functools
import random
import sys

import minimax

COMMANDS = """\
/image FILE    a picture for the next message    /undo     take the last message and its answer back
/save FILE     keep the dialogue in a file       /retry    the same, and say that message once more
/load FILE     go on with that dialogue          /tokens   how much the dialogue holds
/system TEXT   begin anew under this message     /reset    forget the dialogue
/quit          leave (so does ctrl-D)            ctrl-C    ends an answer; the dialogue goes on"""
ENDS = {"CANCELLED": "[interrupted]", "MAX_TOKENS": "[cut at --max-tokens]", "CONTEXT": "[the context is full]"}


tell = functools.partial(print, file=sys.stderr, flush=True)


class Chat:
    def __init__(self, engine, options):
        self.engine, self.options, self.system = engine, options, options.system
        self.sampler = minimax.Sampler(engine, temperature=options.temp, top_k=options.top_k, top_p=options.top_p,
                                       min_p=options.min_p, seed=options.seed,
                                       repetition_penalty=options.repeat_penalty)
        self.begin(minimax.Session(engine))

    def begin(self, session, last_stop=None):
        self.session, self.last_stop, self.images, self.turns = session, last_stop, [], []

    def ask(self, message):
        """Says a message and shows the answer; False when ctrl-C ended it."""
        prompt = minimax.Prompt(self.engine)
        if self.last_stop:
            prompt.end_reply(self.last_stop)
        elif self.system:
            prompt.add_message("system", self.system)
        prompt.add_message("user", message, images=self.images).begin_reply()
        turn = self.session.mark(), self.last_stop, message, self.images
        with concurrent.futures.ThreadPoolExecutor(1) as pool:  # so that ctrl-C is heard meanwhile
            feeding = pool.submit(self.session.feed, prompt)
            try:
                feeding.result()
            except KeyboardInterrupt:
                self.session.cancel()
        if isinstance(feeding.exception(), minimax.Cancelled):
            self.session.return_to(turn[0])
            tell("[interrupted: the message was taken back]")
            return False
        self.turns, self.images = self.turns[-7:] + [turn], []
        return self.answer(feeding.result())

    def answer(self, report):
        self.last_stop = minimax.StopReason.CANCELLED
        with self.session.generate(self.sampler, max_tokens=self.options.max_tokens) as generation:
            with contextlib.suppress(KeyboardInterrupt):
                for text in generation:
                    print(text, end="", flush=True)
                self.last_stop = generation.result.stop_reason
        print(flush=True)
        if self.last_stop.name in ENDS:
            tell(ENDS[self.last_stop.name])
        if not self.options.quiet and (said := generation.result):
            tell(f"[prefill {report.token_count} tokens, {report.token_count * 1e9 / report.prefill_ns:.1f} t/s; "
                 f"decode {said.token_count} tokens, {said.token_count * 1e9 / said.decode_ns:.1f} t/s]")
        return self.last_stop != minimax.StopReason.CANCELLED

    def command(self, name, argument):
        if name == "help":
            tell(COMMANDS)
        elif name in ("reset", "system"):
            self.system = argument if name == "system" else self.system
            self.sampler.reset()
            self.begin(minimax.Session(self.engine))
        elif name == "image":
            self.images.append(minimax.Image(argument))
        elif name in ("undo", "retry") and not self.turns:
            tell("there is nothing to take back")
        elif name in ("undo", "retry"):
            mark, self.last_stop, message, images = self.turns.pop()
            self.session.return_to(mark)
            if name == "retry":
                self.images = images
                self.ask(message)
        elif name == "save":
            self.session.save(argument, sampler=self.sampler)
        elif name == "load":
            sampler = self.sampler if minimax.session_file_info(argument).has_sampler else None
            session = minimax.Session.load(self.engine, argument, sampler=sampler)
            ends = [self.engine.tokenizer.token_info(token).is_stop for token in session.tokens()[-1:]]
            self.begin(session, ends and (minimax.StopReason.TOKEN if ends[0] else minimax.StopReason.CANCELLED))
        elif name == "tokens":
            stats = self.session.stats()
            tell(f"{stats.position} tokens: {(stats.state_bytes + stats.kv_bytes) / 2**20:.2f} MiB")
        else:
            tell(f"/{name} is no command; /help shows them")


def talk(chat, interactive):
    while True:
        tell("> " * interactive, end="")
        try:
            if (line := input().strip()) in ("/quit", "/exit"):
                return
            if line.startswith("/"):
                chat.command(*line[1:].partition(" ")[::2])
            elif line and not chat.ask(line) and not interactive:
                sys.exit(130)
        except EOFError:
            return
        except minimax.Error as error:
            tell(f"chat: {error}")
            if not interactive:
                sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt", nargs="*", help="answer this and leave")
    parser.add_argument("-m", "--model", default="models/demo")
    parser.add_argument("--image", action="append", default=[], help="picture for the first message")
    for name, default in {"system": "", "device": "cpu", "threads": 0, "context": 0, "max-tokens": 2048, "temp": 0.0,
                          "top-k": 0, "top-p": 0.0, "min-p": 0.0, "repeat-penalty": 0.0,
                          "seed": random.getrandbits(64)}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("-q", "--quiet", action="store_true", help="no speeds")
    options = parser.parse_args()
    try:
        with minimax.Engine(options.model, devices=options.device.split(","), thread_count=options.threads,
                            context_limit=options.context) as engine:
            chat = Chat(engine, options)
            chat.images = [minimax.Image(path) for path in options.image]
            if options.prompt:
                sys.exit(0 if chat.ask(" ".join(options.prompt)) else 130)
            talk(chat, sys.stdin.isatty())
    except minimax.Error as error:
        sys.exit(f"chat: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
