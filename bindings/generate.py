#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the generated parts of the bindings anew from include/minimax.h.

    bindings/generate.py [--check] [LANGUAGE...]     --check: only tells whether they are up to date

Needs cc, and what a language's generator names (for Python cffi, for Rust bindgen and rustfmt, for Go gofmt); leaves
with 77 when one of them is not there.
"""
import argparse
import importlib
import pathlib
import sys

from generator.header import Header

HERE = pathlib.Path(__file__).resolve().parent
LANGUAGES = sorted({path.stem for path in (HERE / "generator").glob("*.py")} - {"header"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("language", nargs="*", metavar="|".join(LANGUAGES))
    arguments = parser.parse_args()
    header = Header(HERE.parent / "include/minimax.h")
    outdated = []
    for language in arguments.language or LANGUAGES:
        for name, text in importlib.import_module(f"generator.{language}").files(header).items():
            path = HERE / name
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            outdated.append(name)
            if not arguments.check:
                path.write_text(text, encoding="utf-8")
    for name in outdated:
        print(f"bindings/{name} " + ("is not what minimax.h gives: run bindings/generate.py" if arguments.check
                                     else "written"))
    return 1 if arguments.check and outdated else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (FileNotFoundError, ModuleNotFoundError) as missing:
        print(f"skipped: {missing}")
        sys.exit(77)
