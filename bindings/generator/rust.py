# SPDX-License-Identifier: Apache-2.0
"""The generated part of the Rust crate: bindgen's declarations, and what the library fills as Rust structs."""
import pathlib
import re
import subprocess

from generator.header import camel, field_enum, filled_structs, is_flag, split_enums

TOP = """// SPDX-License-Identifier: Apache-2.0
// Generated from minimax.h by bindings/generate.py: {}
"""
# As Debian 12 has it; others write the same differently.
BINDGEN = "bindgen 0.60.1"
NUMBERS = {"uint64_t": "u64", "int64_t": "i64", "int32_t": "i32", "size_t": "usize", "uint8_t": "u8"}


def declarations(header):
    version = subprocess.run(["bindgen", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if version != BINDGEN:
        raise FileNotFoundError(f"{version} was found, the committed file is made by {BINDGEN}")
    command = ["bindgen", "--no-doc-comments", "--with-derive-default", "--size_t-is-usize",
               "--allowlist-function", "minimax_.*", "--allowlist-type", "minimax_.*",
               "--allowlist-var", "MINIMAX_.*", "--blocklist-item", "MINIMAX_TEXT_END",
               "--rust-target", "1.47", "--no-rustfmt-bindings", str(header.path)]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return formatted(TOP.format("the C declarations, by bindgen.") + made)


def doc(comment, indent):
    sentence = comment[:1].upper() + comment[1:] + ("" if comment.endswith(".") else ".")
    return "".join(f"{indent}/// {line}\n" for line in wrap(sentence, 96 - len(indent))) if comment else ""


def wrap(text, width):
    lines, line = [], ""
    for word in re.sub(r"([][<>])", r"\\\1", text).split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return lines + [line] if line else lines


def enum(name, values):
    lines = [f"/// A number of minimax.h; a later library may know more of them.\n"
             f"#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\npub struct {name}(pub i32);\n\n"
             f"impl {name} {{\n"]
    for value in values:
        lines.append(doc(value.comment, "    "))
        lines.append(f"    pub const {value.name}: {name} = {name}({value.number});\n")
    return "".join(lines) + "}\n\n"


def member(field):
    """(name, type, expression) in Rust."""
    value = f"raw.{field.name}"
    if field.length:
        if field.kind == "char":
            return field.name, "String", f"array_text(&{value})"
        return field.name, f"[{NUMBERS[field.kind]}; {field.length}]", value
    if field.kind == "const char *":
        return field.name, "String", f"pointer_text({value})"
    if field.name.endswith("_ns"):
        return field.name[:-3] + "_time", "Duration", f"Duration::from_nanos({value})"
    if is_flag(field):
        return field.name, "bool", f"{value} != 0"
    if field_enum(field):
        return field.name, field_enum(field), f"{field_enum(field)}({value})"
    return field.name, NUMBERS[field.kind], value


def struct(described):
    name = camel(described.name.removeprefix("minimax_"))
    members = [(member(field), field.comment) for field in described.fields[1:]]
    lines = [doc(described.comment or f"`{described.name}`.", ""),
             f"#[derive(Debug, Clone, PartialEq, Eq)]\n#[non_exhaustive]\npub struct {name} {{\n"]
    for (field, kind, _), comment in members:
        lines.append(doc(comment, "    ") + f"    pub {field}: {kind},\n")
    lines.append(f"}}\n\nimpl Filled for {name} {{\n    type Raw = raw::{described.name};\n"
                 f"    fn empty() -> Self::Raw {{\n        raw::{described.name} {{\n"
                 f"            struct_size: size_of::<raw::{described.name}>(),\n"
                 f"            ..Default::default()\n        }}\n    }}\n"
                 f"    unsafe fn read(raw: &Self::Raw) -> {name} {{\n        {name} {{\n")
    lines += [f"            {field}: {value},\n" for (field, _, value), _ in members]
    return "".join(lines) + "        }\n    }\n}\n\n"


def types(header):
    text = TOP.format("its numbers and what it fills, as Rust has such things.")
    text += ("use std::mem::size_of;\nuse std::time::Duration;\n\n"
             "use super::raw;\nuse crate::ffi::{array_text, pointer_text, Filled};\n\n")
    text += "".join(enum(name, values) for name, values in split_enums(header))
    text += "".join(struct(s) for s in filled_structs(header))
    text += ("/// Name and size of a struct that begins with its own size, and what the library says of its size.\n"
             "pub(crate) type VersionedStruct = (&'static str, usize, fn() -> usize);\n\n"
             "/// Each of them, as this crate was made for.\n"
             "pub(crate) const VERSIONED_STRUCTS: &[VersionedStruct] = &[\n")
    for s in header.structs:
        if s.has_version():
            text += (f'    ("{s.name}", {s.size}, || unsafe {{ raw::{s.name}_init(std::ptr::null_mut(), 0) }}),\n')
    return formatted(text + "];\n")


def formatted(text):
    crate = pathlib.Path(__file__).parents[1] / "rust"
    return subprocess.run(["rustfmt", "--edition", "2021", "--config-path", crate], input=text,
                          capture_output=True, text=True, check=True).stdout


def files(header):
    return {"rust/src/sys/raw.rs": declarations(header), "rust/src/sys/types.rs": types(header)}
