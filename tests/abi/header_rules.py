#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds minimax.h to the rules of its ABI: nothing by value, sizes first, fixed numbers, every name known.

  header_rules.py HEADER VERSIONS                     shapes of declarations; the list of names
  header_rules.py HEADER VERSIONS --library LIBRARY   exported names are the declared ones, each with the
                                                      symbol version of the release that brought it

VERSIONS is docs/symbols-in-versions, which scripts/renew_abi.py writes.
"""
import argparse
import pathlib
import re
import subprocess
import sys

from c_header import Header

# Passed from function to function, and filled by the library: no versions, no _init.
PLAIN_STRUCTS = {"minimax_logit_bias", "minimax_token_logprob"}
# long and bool differ between platforms and languages; ints have their width in their name.
SCALARS = {"void", "char", "float", "size_t", "uint8_t", "int32_t", "int64_t", "uint64_t", "minimax_status",
           "minimax_progress_fn", "minimax_log_fn", "minimax_text_fn", "minimax_token_fn", "minimax_write_fn",
           "minimax_read_fn"}


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
    """Who can fail returns a status, _free nothing, _init a size; the rest are the few that cannot fail."""
    cannot_fail = {"minimax_version_number": "int32_t", "minimax_version_string": "const char *",
                   "minimax_source_id": "const char *", "minimax_has_feature": "int32_t",
                   "minimax_status_name": "const char *", "minimax_last_error": "const char *"}
    for result, name, parameters in header.functions():
        expected = cannot_fail.get(name, "minimax_status")
        if name.endswith("_free"):
            expected = "void"
        if name.endswith("_init"):
            expected = "size_t"
            if len(parameters) != 2 or parameters[1] != "size_t struct_size":
                yield f"{name} is not told the caller's struct_size"
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


def check_values(header):
    for name, value in header.enum_values().items():
        if value is None:
            yield f"enumerator '{name}' has no number written out"


def read_versions(path):
    """name -> (since, deprecated, removed) of docs/symbols-in-versions; None where nothing has happened."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: [None if told == "-" else told for told in releases] for name, *releases in rows}


def check_names(header, versions):
    """A name is never taken away while a major version lasts, so a list of names only grows."""
    names = header.names()
    for name in names:
        if name not in versions:
            yield f"{name} is not in docs/symbols-in-versions: scripts/renew_abi.py brings it there"
        elif versions[name][2]:
            yield f"{name} is here, docs/symbols-in-versions says it went with {versions[name][2]}"
    for name, (since, _, removed) in versions.items():
        if name not in names and not removed:
            yield f"{name} is gone, docs/symbols-in-versions has it since {since}"


def check_library(header, versions, library):
    command = ["nm", "--dynamic", "--defined-only", library]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # A marks the name of a symbol version, which is no symbol of ours.
    symbols = [line.split()[-1] for line in listing.splitlines() if line.split()[-2] != "A"]
    exported = {name: version for name, _, version in (symbol.partition("@@") for symbol in symbols)}
    declared = {name for _, name, _ in header.functions()}
    if not declared:
        yield "declares no function"
    for name in sorted(declared - exported.keys()):
        yield f"{name} is declared, but the library does not export it"
    for name in sorted(exported.keys() - declared):
        yield f"{name} is exported, but minimax.h does not declare it"
    for name in sorted(declared & exported.keys() & versions.keys()):
        expected = f"MINIMAX_{versions[name][0]}"
        if exported[name] != expected:
            yield f"{name} is exported as of {exported[name]}, expected {expected}: see sdk/minimax.map"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("header")
    ap.add_argument("versions")
    ap.add_argument("--library")
    args = ap.parse_args()
    header, versions = Header(args.header), read_versions(args.versions)
    errors = []
    if args.library:
        errors += check_library(header, versions, args.library)
    else:
        for check in (check_includes, check_passing, check_results, check_structs, check_values):
            errors += check(header)
        errors += check_names(header, versions)
    for error in errors:
        print(f"minimax.h: {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
