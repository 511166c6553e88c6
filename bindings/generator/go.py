# SPDX-License-Identifier: Apache-2.0
"""The generated part of the Go module: numbers, what the library fills as Go structs, and the layout that cgo
must find."""
import subprocess

from generator.header import camel, field_enum, filled_structs, is_flag, split_enums

NUMBERS = {"uint64_t": "uint64", "int64_t": "int64", "int32_t": "int32", "size_t": "int", "uint8_t": "byte"}
INITIALISMS = {"Id": "ID"}


def title(name):
    words = camel(name)
    for plain, upper in INITIALISMS.items():
        if words.endswith(plain):
            words = words[:-len(plain)] + upper
    return words


def doc(comment, indent=""):
    lines, line = [], ""
    for word in comment.split():
        if line and len(line) + 1 + len(word) > 96 - len(indent):
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "".join(f"{indent}// {text}\n" for text in lines + [line] if text)


def prefix_of(name):
    """Constants are named for their type, less the word that says nothing: StopString, KindSpecial."""
    if name == "Status":
        return ""
    return {"StopReason": "Stop", "EventKind": "Event", "WaitReason": "Wait", "ChatFormat": "Chat",
            "WeightSource": "Weights", "LogLevel": "Log", "NumberType": "Type", "TokenKind": "Token",
            "TokenizeFlags": "Tokenize", "DetokenizeFlags": "Detokenize"}.get(name, name)


def enum(name, values):
    text = f"// {name} is a number of minimax.h; a later library may know more.\ntype {name} int32\n\nconst (\n"
    for value in values:
        constant = "OK" if value.name == "OK" else prefix_of(name) + camel(value.name.lower())
        text += doc(value.comment, "\t") + f"\t{constant} {name} = {value.number}\n"
    return text + ")\n\n"


def member(field):
    """(name, type, expression) in Go."""
    value = f"raw.{field.name}"
    if field.length:
        if field.kind == "char":
            return title(field.name), "string", f"C.GoString(&{value}[0])"
        return (title(field.name), f"[{field.length}]{NUMBERS[field.kind]}",
                f"*(*[{field.length}]{NUMBERS[field.kind]})(unsafe.Pointer(&{value}))")
    if field.kind == "const char *":
        return title(field.name), "string", f"C.GoString({value})"
    if field.name.endswith("_ns"):
        return title(field.name[:-3] + "_time"), "time.Duration", f"time.Duration({value})"
    if is_flag(field):
        return title(field.name), "bool", f"{value} != 0"
    kind = field_enum(field) or NUMBERS[field.kind]
    return title(field.name), kind, f"{kind}({value})"


def struct(described):
    name = camel(described.name.removeprefix("minimax_"))
    members = [(member(field), field.comment) for field in described.fields[1:]]
    text = doc(f"{name} is {described.name}. {described.comment}".strip()) + f"type {name} struct {{\n"
    for (field, kind, _), comment in members:
        text += doc(comment, "\t") + f"\t{field} {kind}\n"
    text += f"}}\n\nfunc read{name}(raw *C.{described.name}) {name} {{\n\treturn {name}{{\n"
    return text + "".join(f"\t\t{field}: {value},\n" for (field, _, value), _ in members) + "\t}\n}\n\n"


def layout(header):
    """Refuses to compile when cgo sees another struct than the generator did."""
    text = ("// What cgo must find: a header of another layout does not compile against this package.\n"
            "var (\n")
    for s in header.structs:
        text += f"\t_ = [1]struct{{}}{{}}[unsafe.Sizeof(C.{s.name}{{}})-{s.size}]\n"
        text += "".join(f"\t_ = [1]struct{{}}{{}}[unsafe.Offsetof(C.{s.name}{{}}.{field})-{offset}]\n"
                        for field, offset in s.offsets.items())
    text += ")\n\n// versionedStructs are those that begin with their own size.\nvar versionedStructs = []versionedStruct{\n"
    for s in header.structs:
        if s.has_version():
            text += (f'\t{{"{s.name}", {s.size}, '
                     f"func() uintptr {{ return uintptr(C.{s.name}_init(nil, 0)) }}}},\n")
    return text + "}\n"


def types(header):
    major, minor, patch = header.version()
    text = ("// SPDX-License-Identifier: Apache-2.0\n"
            "// Code generated from minimax.h by bindings/generate.py. DO NOT EDIT.\n\n"
            "package minimax\n\n// #include <minimax.h>\nimport \"C\"\n\nimport (\n\t\"time\"\n\t\"unsafe\"\n)\n\n"
            f"// madeFor is the version of the header that this file was generated from.\n"
            f"const madeFor = {major * 10000 + minor * 100 + patch}\n\n")
    text += "".join(enum(name, values) for name, values in split_enums(header))
    text += "".join(struct(s) for s in filled_structs(header)) + layout(header)
    return subprocess.run(["gofmt"], input=text, capture_output=True, text=True, check=True).stdout


def files(header):
    return {"go/types.go": types(header)}
