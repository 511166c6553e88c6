# SPDX-License-Identifier: Apache-2.0
"""minimax.h as a binding needs it: enums, structs and functions with their comments, and the layout that a C
compiler gives the structs."""
import dataclasses
import pathlib
import re
import subprocess
import tempfile


@dataclasses.dataclass
class Value:
    name: str  # without MINIMAX_
    number: int
    comment: str


@dataclasses.dataclass
class Field:
    kind: str  # "uint64_t", "const char *"
    name: str
    length: int  # of an array, else 0
    comment: str


@dataclasses.dataclass
class Struct:
    name: str  # with minimax_
    fields: list
    comment: str
    is_filled: bool  # by the library, as an out_ parameter of some function
    size: int = 0
    offsets: dict = dataclasses.field(default_factory=dict)

    def has_version(self):
        return self.fields[0].name == "struct_size"


class Header:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.text = self.path.read_text(encoding="utf-8")
        self.bare = re.sub(r"/\*.*?\*/", " ", self.text, flags=re.S)
        self.enums = list(self._enums())
        self.structs = list(self._structs())
        self._measure()

    def version(self):
        """(major, minor, patch)"""
        return tuple(int(re.search(rf"#define MINIMAX_VERSION_{part} (\d+)", self.text)[1])
                     for part in ("MAJOR", "MINOR", "PATCH"))

    def _enums(self):
        """Lists of values, one an enum."""
        for match in re.finditer(r"\benum\s*\{(.*?)\};", self.text, re.S):
            entries = re.findall(r"MINIMAX_(\w+) = (-?\d+),?[ \t]*(/\*.*?\*/)?", match[1], re.S)
            yield [Value(name, int(number), plain(comment)) for name, number, comment in entries]

    def _structs(self):
        filled = set(re.findall(r"\b(minimax_\w+) \*out_\w+", self.bare))
        for match in re.finditer(r"typedef struct (minimax_\w+) \{(.*?)\n\} \1;", self.text, re.S):
            yield Struct(match[1], list(self._fields(match[2])), self._comment_before(match.start()),
                         match[1] in filled)

    @staticmethod
    def _fields(body):
        for match in re.finditer(r"(?:\s*/\*.*?\*/\s*)*([^;/]+);[ \t]*(/\*.*?\*/)?", body, re.S):
            declaration, comment = " ".join(match[1].split()), plain(match[2])
            kind, names = re.fullmatch(r"(.*?[ *])(\w+(?:\[\d+\])?(?:, \w+)*)", declaration).groups()
            for name in names.split(", "):
                name, length = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", name).groups()
                yield Field(kind.strip(), name, int(length or 0), comment)

    def _comment_before(self, place):
        match = re.search(r"/\*((?:(?!\*/).)*)\*/\n$", self.text[:place], re.S)
        return plain(match[0]) if match and "----" not in match[0] else ""

    def _measure(self):
        lines = []
        for struct in self.structs:
            lines.append(f'printf("%zu\\n", sizeof({struct.name}));')
            lines += [f'printf("%zu\\n", offsetof({struct.name}, {field.name}));' for field in struct.fields]
        with tempfile.TemporaryDirectory() as folder:
            source, program = pathlib.Path(folder, "layout.c"), pathlib.Path(folder, "layout")
            source.write_text(f'#include <stdio.h>\n#include "{self.path.resolve()}"\n'
                              f'int main(void) {{ {" ".join(lines)} return 0; }}\n', encoding="utf-8")
            subprocess.run(["cc", "-o", program, source], check=True)
            numbers = iter(subprocess.run([program], check=True, capture_output=True, text=True).stdout.split())
        for struct in self.structs:
            struct.size = int(next(numbers))
            struct.offsets = {field.name: int(next(numbers)) for field in struct.fields}


def plain(comment):
    """The words of a C comment on one line."""
    words = re.sub(r"^\s*\*", " ", (comment or "").strip().removeprefix("/*").removesuffix("*/"), flags=re.M)
    return " ".join(words.split())


# Enums whose values share no prefix that would name them well in another language.
ENUM_NAMES = {"TYPE": "NumberType", "WEIGHTS": "WeightSource", "LOG": "LogLevel", "CHAT": "ChatFormat",
              "STOP": "StopReason", "EVENT": "EventKind", "WAIT": "WaitReason", "TOKEN": "TokenKind",
              "TOKENIZE": "TokenizeFlags", "DETOKENIZE": "DetokenizeFlags"}
# Fields that hold values of an enum. MINIMAX_WAIT_... and its like are looked up in the field's comment.
FIELD_ENUMS = {"compute_type": "NumberType", "kv_type": "NumberType", "stop_reason": "StopReason"}


def split_enums(header):
    """(name, values without their prefix) of every enum; the statuses have none and come as "Status"."""
    for values in header.enums:
        if values[0].name == "OK":
            yield "Status", values
            continue
        prefixes = dict.fromkeys(value.name.partition("_")[0] for value in values)
        for prefix in prefixes:
            own = [dataclasses.replace(value, name=value.name.partition("_")[2]) for value in values
                   if value.name.partition("_")[0] == prefix]
            yield ENUM_NAMES.get(prefix, camel(prefix.lower())), own


def field_enum(field):
    if field.kind == "minimax_status":
        return "Status"
    match = re.match(r"MINIMAX_([A-Z]+)_", field.comment) if field.kind == "int32_t" else None
    return FIELD_ENUMS.get(field.name) or (ENUM_NAMES.get(match[1], camel(match[1].lower())) if match else None)


def is_flag(field):
    return field.kind == "int32_t" and field.name.startswith(("is_", "has_"))


def camel(name):
    return "".join(word.capitalize() for word in name.split("_"))


# Filled structs that the layers by hand take apart themselves.
BY_HAND = {"minimax_token_info", "minimax_batch_event"}


def filled_structs(header):
    return [s for s in header.structs if s.is_filled and s.has_version() and s.name not in BY_HAND]
