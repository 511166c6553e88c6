# SPDX-License-Identifier: Apache-2.0
"""The generated part of the Python package: cffi's declarations, enums, what the library fills as dataclasses, and
the layout of structs that the package compares when it loads."""
import contextlib
import io
import pathlib
import re
import tempfile

from generator.header import camel, field_enum, filled_structs, is_flag, split_enums

TOP = '''# SPDX-License-Identifier: Apache-2.0
"""{} Generated from minimax.h by bindings/generate.py."""
'''


def declarations(header):
    """What a C compiler would see of the header, as far as cffi can read it."""
    text = re.sub(r"\\\n", " ", header.bare)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M).replace('extern "C" {', "").replace("MINIMAX_API", "")
    return text.rstrip().removesuffix("}")


def raw(header):
    import cffi  # here, so that the other languages do without it

    ffi = cffi.FFI()
    ffi.cdef(declarations(header))
    ffi.set_source("minimax._raw", None)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = pathlib.Path(folder, "_raw.py")
        ffi.emit_python_code(str(path))
        text = path.read_text(encoding="utf-8")
    return TOP.format("The declarations of minimax.h, as cffi keeps them.") + text.partition("\n")[2]


def doc(text, indent="    "):
    """A docstring of lines that are not too long."""
    lines, line = [], f'{indent}"""'
    for word in text.replace("\\", "\\\\").split():
        if len(line) + len(word) > 110:
            lines.append(line.rstrip())
            line = indent
        line += word + " "
    end = " " if text.endswith('"') else ""
    return "\n".join([*lines, line.rstrip() + end + '"""']) + "\n"


def enum(name, values):
    text = f"\n\nclass {name}(_Number):\n" + doc("Numbers of minimax.h; a later library may know more.") + "\n"
    for value in values:
        text += f"    {value.name} = {value.number}\n" + (doc(value.comment) if value.comment else "")
    return text


def enum_of(field, enums):
    """The enum of a field, and whether 0 is none of its values."""
    name = field_enum(field)
    return name, bool(name) and all(value.number for value in enums[name])


def member(field, enums):
    """(type, expression) in Python."""
    value = f"c.{field.name}"
    if field.kind == "char" or field.kind == "const char *":
        return "str", f"_text({value})"
    if field.length:
        return "bytes", f"bytes({value})"
    if is_flag(field):
        return "bool", f"bool({value})"
    name, is_optional = enum_of(field, enums)
    if name:
        return (f"{name} | None", f"{name}({value}) if {value} else None") if is_optional else (
            name, f"{name}({value})")
    return "int", value


def filled(struct, enums):
    name = camel(struct.name.removeprefix("minimax_"))
    fields = struct.fields[1:]
    text = f"\n\n@dataclasses.dataclass(frozen=True)\nclass {name}:\n"
    text += doc(struct.comment or f"{struct.name} of minimax.h.") + "\n"
    for field in fields:
        text += f"    {field.name}: {member(field, enums)[0]}\n" + (doc(field.comment) if field.comment else "")
    text += f'\n    @classmethod\n    def _read(cls, c: Any) -> "{name}":\n        return cls(\n'
    text += "".join(f"            {field.name}={member(field, enums)[1]},\n" for field in fields)
    return text + "        )\n"


def layout(header):
    text = "\n\n# (size, offsets of the fields) of each struct, as a C compiler lays them out.\nLAYOUT = {\n"
    for struct in header.structs:
        offsets = "".join(f'            "{name}": {offset},\n' for name, offset in struct.offsets.items())
        text += f'    "{struct.name}": (\n        {struct.size},\n        {{\n{offsets}        }},\n    ),\n'
    return text + "}\n"


def numbers(header):
    enums = dict(split_enums(header))
    text = TOP.format("The numbers and structs of minimax.h in Python.") + '''
import dataclasses
import enum
from typing import Any

from . import _raw

ffi: Any = _raw.ffi
VERSION = ({0}, {1}, {2})
"""Of the header that this package was made for."""
__version__ = "{0}.{1}.{2}"


class _Number(enum.IntEnum):
    """A number that this package does not know, from a later library, is UNKNOWN_<number>."""

    @classmethod
    def _missing_(cls, value: object) -> "_Number | None":
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_{{value}}"
        unknown._value_ = value
        return unknown


def _text(chars: Any) -> str:
    return str(ffi.string(chars).decode("utf-8", "replace")) if chars else ""
'''.format(*header.version())
    text += "".join(enum(name, values) for name, values in enums.items())
    text += "".join(filled(struct, enums) for struct in filled_structs(header))
    return text + layout(header)


def files(header):
    return {"python/minimax/_raw.py": raw(header), "python/minimax/_header.py": numbers(header)}
