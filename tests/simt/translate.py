#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns preprocessed CUDA into C++ for the emulator: kernels, shared variables and inline PTX.

    __global__ void __cluster_dims__(2) __launch_bounds__(256) f(..) {     a function that names itself
    extern __shared__ __align__(16) T x[];                                 a pointer to the block's memory
    __shared__ T x[8], y;                                                  references to the block's own
    asm volatile("..." : "=r"(x) : "r"(y) : "memory");                     a call of the PTX interpreter

Everything else, the numbers of the lines too, stays as it is.
"""
import re
import sys

TOKEN = re.compile(
    r'"(?:[^"\\\n]|\\.)*"'  # a string
    r"|'(?:[^'\\\n]|\\.)+'"  # a character
    r"|^[ \t]*\#[^\n]*"  # a line marker or a pragma
    r"|[A-Za-z_0-9]+"
    r"|::"
    r"|\s+"
    r"|.",
    re.M,
)
CLOSING = {"(": ")", "[": "]", "{": "}"}


def is_blank(token):
    return token.isspace() or token.lstrip().startswith("#")


class Translator:
    def __init__(self, text):
        self.tokens = TOKEN.findall(text)
        self.count = 0

    def next_place(self, i):
        """The first place from i on that is no blank."""
        while is_blank(self.tokens[i]):
            i += 1
        return i

    def end_of_group(self, i):
        """The place behind the bracket that closes the one at i."""
        depth = 0
        while True:
            if self.tokens[i] in CLOSING:
                depth += 1
            elif self.tokens[i] in CLOSING.values():
                depth -= 1
            i += 1
            if depth == 0:
                return i

    def split(self, begin, end, separators):
        """Tokens [begin, end) cut at separators outside of brackets; "::" cuts twice where ":" does."""
        parts, part, i = [], [], begin
        while i < end:
            token = self.tokens[i]
            if token in CLOSING:
                close = self.end_of_group(i)
                part += self.tokens[i:close]
                i = close
                continue
            if token in separators or (token == "::" and ":" in separators):
                parts += [part] if token != "::" else [part, []]
                part = []
            else:
                part.append(token)
            i += 1
        return parts + [part]

    def attribute(self, i):
        """The text in brackets of name(text) at i, and the place behind."""
        opening = self.next_place(i + 1)
        end = self.end_of_group(opening)
        return "".join(self.tokens[opening + 1 : end - 1]), end

    def kernel(self, i):
        """__global__ at i: the head without its attributes; they are told to enter_kernel."""
        out, cluster, bounds = [], "1", "0"
        i += 1
        while self.tokens[i] not in ("{", ";"):
            token = self.tokens[i]
            if token == "__cluster_dims__":
                cluster, i = self.attribute(i)
            elif token == "__launch_bounds__":
                text, end = self.attribute(i)
                opening = self.next_place(i + 1)
                bounds = "".join(self.split(opening + 1, end - 1, ",")[0])
                i = end
            elif token == "(":
                end = self.end_of_group(i)
                out += self.tokens[i:end]
                i = end
            else:
                out.append(token)
                i += 1
        out.append(self.tokens[i])
        if self.tokens[i] == "{":
            # The name without parameters: of a template only __PRETTY_FUNCTION__ tells which it is.
            out.append(
                f" ::simt::enter_kernel(__PRETTY_FUNCTION__, dim3({cluster}), "
                f"static_cast<unsigned>({bounds}));"
            )
        return "".join(out), i + 1

    def shared(self, i, is_extern):
        """__shared__ at i; "extern" before it is already gone."""
        i += 1
        alignment = None
        head = []
        while True:  # the type, up to the first name: what stands before a bracket, a comma or the end
            i = self.next_place(i)
            token = self.tokens[i]
            if token in ("alignas", "__align__"):
                alignment, i = self.attribute(i)
            elif token == "__attribute__":  # what __align__ has become
                text, i = self.attribute(i)
                alignment = re.search(r"aligned\((.*)\)\)$", text.strip())[1]
            else:
                break
        end = i
        depth = 0
        while self.tokens[end] != ";" or depth:
            depth += {"(": 1, ")": -1}.get(self.tokens[end], 0)
            end += 1
        declarators = self.declarators(i, end)
        type_text = declarators.pop(0)
        out = []
        for name, dimensions in declarators:
            if is_extern:
                align = alignment or f"alignof({type_text})"
                out.append(
                    f"{type_text}* const {name} = "
                    f"static_cast<{type_text}*>(::simt::dynamic_shared({align}));"
                )
                continue
            self.count += 1
            of = f"simt_shared_type_{self.count}"
            align = f"alignas({alignment}) " if alignment else ""
            whole = f"struct {of}_aligned {{ {align}{of} value; }}; " if alignment else ""
            reach = (
                f"::simt::shared_variable<{of}_aligned>([] {{}}).value"
                if alignment
                else f"::simt::shared_variable<{of}>([] {{}})"
            )
            out.append(f"using {of} = {type_text}{dimensions}; {whole}{of}& {name} = {reach};")
        return " ".join(out), end + 1

    def declarators(self, begin, end):
        """[type, (name, dimensions) ..] of a declaration."""
        parts, angle, part = [], 0, []
        i = begin
        while i < end:
            token = self.tokens[i]
            if token in ("[", "(", "{"):
                close = self.end_of_group(i)
                part.append("".join(self.tokens[i:close]))
                i = close
                continue
            angle += {"<": 1, ">": -1}.get(token, 0)
            if token == "," and angle == 0:
                parts.append(part)
                part = []
            else:
                part.append(token)
            i += 1
        parts.append(part)
        result = []
        for number, part in enumerate(parts):
            part = [token for token in part if token.strip()] if number else part
            dimensions = ""
            while part and (part[-1].startswith("[") or is_blank(part[-1])):
                dimensions = part.pop() + dimensions
            name = part.pop()
            if number == 0:
                result.append("".join(part).strip())
            result.append((name, dimensions.strip()))
        return result

    def assembly(self, i):
        """asm at i, or nothing when it is no statement of inline PTX."""
        opening = self.next_place(i + 1)
        while self.tokens[opening] in ("volatile", "__volatile__", "__volatile"):
            opening = self.next_place(opening + 1)
        if self.tokens[opening] != "(":
            return None
        end = self.end_of_group(opening)
        sections = self.split(opening + 1, end - 1, ":")
        template = "".join(sections[0])
        if not "".join(t[1:-1] for t in sections[0] if t.startswith('"')).strip():
            return "do {} while (false)", end
        operands = []
        for section in sections[1:3]:
            operands += self.operands(section)
        listed = ", ".join(operands) if operands else "::simt::Operand{}"
        return (
            f"do {{ static const ::simt::Assembly simt_assembly({template}); "
            f"::simt::Operand simt_operands[] = {{{listed}}}; simt_assembly.run(simt_operands); "
            f"}} while (false)",
            end,
        )

    def operands(self, section):
        out = []
        inner = Translator("")
        inner.tokens = section
        for part in inner.split(0, len(section), ","):
            words = [token for token in part if not is_blank(token)]
            if not words:
                continue
            constraint = words[0].strip('"')
            text = "".join(part)
            expression = text[text.index('"' + constraint + '"') + len(constraint) + 2 :].strip()
            kind = {"=": "output", "+": "changed"}.get(constraint[0], "input")
            out.append(f"::simt::{kind}<'{constraint[-1]}'>{expression}")
        return out

    def run(self):
        out, i = [], 0
        ours = True
        while i < len(self.tokens):
            token = self.tokens[i]
            if token.lstrip().startswith("#"):
                marker = re.match(r'\s*# \d+ "([^"]*)"(.*)', token)
                if marker:
                    ours = " 3" not in marker[2]
                if "unroll" not in token:
                    out.append(token)
                i += 1
                continue
            if ours and token == "__global__":
                text, i = self.kernel(i)
                out.append(text)
                continue
            if ours and token == "extern":
                follower = self.next_place(i + 1)
                if self.tokens[follower] == "__shared__":
                    text, i = self.shared(follower, True)
                    out.append(text)
                    continue
            if ours and token == "__shared__":
                text, i = self.shared(i, False)
                out.append(text)
                continue
            if ours and token == "asm":
                found = self.assembly(i)
                if found:
                    out.append(found[0])
                    i = found[1]
                    continue
            out.append(token)
            i += 1
        return "".join(out)


def main():
    with open(sys.argv[1], encoding="utf-8") as source:
        text = source.read()
    with open(sys.argv[2], "w", encoding="utf-8") as target:
        target.write(Translator(text).run())


if __name__ == "__main__":
    main()
