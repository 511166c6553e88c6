#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a C file that has the ABI of a minimax.h and nothing else, for tools that read debug information.

  abi_probe.py HEADER [--as-far-as OLDER] > probe.c

Every function is defined and does nothing. Enums get names and variables, and macros with numbers become an
enum, so that their values are in the ABI too. The library itself is no good for this: it knows what its
handles are inside, and carries no types of names that it does not use.

With --as-far-as, structs that have a struct_size end where those of the older header do: fields may be
appended to them. The compiler refuses one that lies in what was padding, which older programs leave as it is,
and one of a struct whose _init is not told how much room the caller has: it would write behind an older
program's struct. Names that the older header does not have are left out.
"""
import argparse
import re

from c_header import Header
from header_rules import PLAIN_STRUCTS

# Change with every release, and mean nothing to the compiler.
FREE_MACROS = re.compile(r"MINIMAX_(VERSION_\w+|API)\b")


def declarators(fields):
    """`uint64_t hits, misses` as two fields."""
    for field in fields:
        first, *others = [part.strip() for part in field.split(",")]
        yield first
        for name in others:
            yield f"{first.rpartition(' ')[0]} {name}"


def field_name(field):
    return re.sub(r"\[\w*\]$", "", field).split()[-1].lstrip("*")


def write_struct(name, fields, older_fields, init_parameters):
    """The definition, cut to the length of the older one, and what holds the fields behind that to the rules."""
    count = len(older_fields) if older_fields and name not in PLAIN_STRUCTS else len(fields)
    define = lambda of, shown: f"typedef struct {of} {{ {' '.join(f'{f};' for f in shown)} }} {of};\n"
    written = define(name, fields[:count])
    if count < len(fields):
        appended = field_name(fields[count])
        written += define(f"whole_{name}", fields)
        written += (f"_Static_assert(offsetof(whole_{name}, {appended}) >= sizeof({name}), \"{name}.{appended} lies "
                    "in the padding of the last release: put a field for the padding before it\");\n")
        if len(init_parameters) < 2:
            written += (f"_Static_assert(0, \"{name} has grown by {appended}, and {name}_init would write that behind the "
                        "struct of an older program: it has to be given sizeof the caller's\");\n")
    return written


def probe(header, older):
    old_structs = older.structs() if older else {}
    old_values = older.enum_values() if older else {}
    parameters_of = {name: parameters for _, name, parameters in header.functions()}
    enums = []

    def struct(match):
        name = match[1]
        return write_struct(name, list(declarators(header.structs()[name])),
                            list(declarators(old_structs.get(name, []))), parameters_of.get(f"{name}_init", []))

    def enum(match):
        entries = [" ".join(entry.split()) for entry in match[1].split(",") if entry.strip()]
        known = [entry for entry in entries if not older or entry.split()[0] in old_values]
        if not known:
            return "extern int nothing_older"
        enums.append(f"enum_of_{known[0].split()[0]}")
        return f"enum {enums[-1]} {{ {', '.join(known)} }}"

    text = re.sub(r"typedef\s+struct\s+(minimax_\w+)\s*\{[^}]*\}\s*\w+\s*;", struct, header.text)
    text = re.sub(r"\benum\s*\{([^}]*)\}", enum, text)
    yield text
    old_functions = {name for _, name, _ in older.functions()} if older else None
    for result, name, parameters in header.functions():
        if not older or name in old_functions:
            yield f"{result} {name}({', '.join(parameters)}) {{{'' if result == 'void' else ' return 0; '}}}"
    numbers = [name for name, value in header.macros().items()
               if value and "(" not in name and not FREE_MACROS.match(name) and (not older or name in older.macros())]
    yield "enum enum_of_macros { " + ", ".join(f"value_of_{name} = {name}" for name in numbers) + " };"
    for name in enums + ["enum_of_macros"]:
        yield f"MINIMAX_API extern enum {name} minimax_{name}; enum {name} minimax_{name};"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("header")
    ap.add_argument("--as-far-as", metavar="OLDER")
    args = ap.parse_args()
    print("\n".join(probe(Header(args.header), Header(args.as_far_as) if args.as_far_as else None)))


if __name__ == "__main__":
    main()
