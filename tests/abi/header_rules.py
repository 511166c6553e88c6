#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds minimax.h to the rules of its ABI: nothing by value, sizes first, fixed numbers, exported names.

  header_rules.py HEADER --values ENUM_VALUES   shapes of declarations; the numbers of enums
  header_rules.py HEADER --library LIBRARY      exported names are the declared ones
"""
import argparse
import pathlib
import re
import subprocess
import sys

# Passed from function to function, and filled by the library: no versions, no _init.
PLAIN_STRUCTS = {"minimax_logit_bias", "minimax_token_logprob"}
# long and bool differ between platforms and languages; ints have their width in their name.
SCALARS = {"void", "char", "float", "size_t", "uint8_t", "int32_t", "int64_t", "uint64_t", "minimax_status",
           "minimax_progress_fn", "minimax_log_fn", "minimax_text_fn", "minimax_token_fn", "minimax_write_fn",
           "minimax_read_fn"}


class Header:
    def __init__(self, path):
        text = pathlib.Path(path).read_text(encoding="utf-8")
        self.raw = text
        self.text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)

    def functions(self):
        """(returned type, name, parameters) of every function that is declared."""
        pattern = r"MINIMAX_API\s+([\w\s]+?\**)\s*\b(minimax_\w+)\s*\(([^;]*)\)\s*;"
        return [(" ".join(m[1].split()), m[2], self.split(m[3])) for m in re.finditer(pattern, self.text)]

    def callbacks(self):
        pattern = r"typedef\s+([\w\s]+?\**)\s*\(\*(minimax_\w+)\)\s*\(([^;]*)\)\s*;"
        return [(" ".join(m[1].split()), m[2], self.split(m[3])) for m in re.finditer(pattern, self.text)]

    @staticmethod
    def split(parameters):
        return [" ".join(p.split()) for p in parameters.split(",")]

    def structs(self):
        """name -> fields of every struct that is defined."""
        pattern = r"typedef\s+struct\s+(minimax_\w+)\s*\{([^}]*)\}\s*(\w+)\s*;"
        return {m[1]: [" ".join(f.split()) for f in m[2].split(";") if f.strip()]
                for m in re.finditer(pattern, self.text)}

    def enum_values(self):
        """name -> number, in the order of the header. Every number must be written out."""
        values = {}
        for enum in re.finditer(r"\benum\s*\{([^}]*)\}", self.text):
            for entry in filter(None, (" ".join(e.split()) for e in enum[1].split(","))):
                match = re.fullmatch(r"(MINIMAX_\w+) = (-?\d+)", entry)
                name = match[1] if match else entry
                values[name] = int(match[2]) if match else None
        return values


def base_type(declaration):
    """Of `const char *const *names[4]`: the type without const, and whether it is behind a pointer."""
    words = re.sub(r"\[\d*\]", "", declaration).replace("*", " * ").split()
    return next(w for w in words if w not in ("const", "struct")), "*" in words


def check_passing(header):
    for result, name, parameters in header.functions() + header.callbacks():
        for declaration in [result] + parameters:
            kind, is_pointer = base_type(declaration)
            if not is_pointer and kind not in SCALARS:
                yield f"{name}: '{declaration}' is passed by value, or its width depends on the platform"
            if "[" in declaration:
                yield f"{name}: '{declaration}' is an array where a pointer is meant"


def check_results(header):
    """Who can fail returns a status; the rest are _init, _free and the few that cannot."""
    cannot_fail = {"minimax_version_number": "int32_t", "minimax_version_string": "const char *",
                   "minimax_source_id": "const char *", "minimax_has_feature": "int32_t",
                   "minimax_status_name": "const char *", "minimax_last_error": "const char *"}
    for result, name, parameters in header.functions():
        void = name.endswith(("_init", "_free"))
        expected = cannot_fail.get(name, "void" if void else "minimax_status")
        if result != expected:
            yield f"{name} returns '{result}', expected '{expected}'"


def check_structs(header):
    functions = {name for _, name, _ in header.functions()}
    for name, fields in header.structs().items():
        if name not in PLAIN_STRUCTS and fields[0] != "size_t struct_size":
            yield f"{name} begins with '{fields[0]}', expected 'size_t struct_size'"
        if name not in PLAIN_STRUCTS and f"{name}_init" not in functions:
            yield f"{name} has no {name}_init"
        for field in fields:
            kind, is_pointer = base_type(field)
            if ":" in field:
                yield f"{name}: '{field}' is a bit-field"
            if not is_pointer and kind not in SCALARS:
                yield f"{name}: '{field}' is a struct, an enum, or of a platform's own width"


def check_includes(header):
    for name in re.findall(r"#include\s*[<\"]([^>\"]+)", header.raw):
        if name not in ("stddef.h", "stdint.h"):
            yield f"includes {name}: only stddef.h and stdint.h stand everywhere"


def check_values(header, path):
    """The committed list is the promise: numbers never change, and are never used again."""
    promised = {}
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, value = line.split()
            promised[name] = int(value)
    found = header.enum_values()
    for name, value in promised.items():
        if found.get(name) != value:
            yield f"{name} is {found.get(name)}, promised as {value}"
    for name, value in found.items():
        if name not in promised:
            yield f"{name} = {value} is new: add it to {pathlib.Path(path).name}"


def check_library(header, library):
    command = ["nm", "--dynamic", "--defined-only", "--without-symbol-versions", library]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # A marks the name of a symbol version, which is no symbol of ours.
    exported = {line.split()[-1] for line in listing.splitlines() if line.split()[-2] != "A"}
    declared = {name for _, name, _ in header.functions()}
    if not declared:
        yield "declares no function"
    for name in sorted(declared - exported):
        yield f"{name} is declared, but the library does not export it"
    for name in sorted(exported - declared):
        yield f"{name} is exported, but minimax.h does not declare it"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("header")
    ap.add_argument("--values")
    ap.add_argument("--library")
    args = ap.parse_args()
    header = Header(args.header)
    errors = []
    if args.values:
        for check in (check_includes, check_passing, check_results, check_structs):
            errors += check(header)
        errors += check_values(header, args.values)
    if args.library:
        errors += check_library(header, args.library)
    for error in errors:
        print(f"minimax.h: {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
