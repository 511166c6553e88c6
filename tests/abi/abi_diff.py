#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether programs made for the last release (tests/abi/baseline) run with what minimax.h has become.

  abi_diff.py HEADER VERSION_SCRIPT [--compiler CC] [--baseline FOLDER]

abidiff compares a probe (abi_probe.py) of each. New names pass, and fields behind the last ones of a struct whose
_init is told its size; whatever else has changed is printed, and the exit status is 1.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77  # what CTest is told to take for "not run"


def build(header, version_script, library, compiler, older):
    """A shared library with the ABI of the header; returns what the compiler refused, or ""."""
    source = library.with_suffix(".c")
    command = [sys.executable, HERE / "abi_probe.py", header] + (["--as-far-as", older] if older else [])
    with open(source, "w", encoding="utf-8") as out:
        subprocess.run(command, stdout=out, check=True)
    # 64-bit numbers in an enum, as MINIMAX_TEXT_END is, need GNU's C.
    built = subprocess.run([compiler, "-std=gnu11", "-g", "-O0", "-w", "-fPIC", "-shared", "-o", library, source,
                            "-Wl,-soname,libminimax.so", f"-Wl,--version-script={version_script}"],
                           stderr=subprocess.PIPE, text=True, check=False)
    return built.stderr if built.returncode else ""


def differences(header, version_script, baseline, compiler):
    """What programs of the baseline would stumble over, in words of the compiler or of abidiff; "" for nothing."""
    older = baseline / "minimax.h"
    with tempfile.TemporaryDirectory() as folder:
        before, after = pathlib.Path(folder) / "before.so", pathlib.Path(folder) / "after.so"
        refused = build(older, baseline / "minimax.map", before, compiler, None)
        if refused:
            raise RuntimeError(refused)
        refused = build(header, version_script, after, compiler, older)
        if refused:
            return refused
        told = subprocess.run(["abidiff", "--no-default-suppression", "--harmless", before, after], stdout=subprocess.PIPE, text=True,
                              check=False)
        return told.stdout if told.returncode else ""


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("header")
    ap.add_argument("version_script")
    ap.add_argument("--baseline", type=pathlib.Path, default=HERE / "baseline")
    ap.add_argument("--compiler", default="cc")
    args = ap.parse_args()
    if not shutil.which("abidiff"):
        print("skipped: there is no abidiff (Debian: apt install abigail-tools)")
        return SKIPPED
    told = differences(args.header, args.version_script, args.baseline, args.compiler)
    if told:
        print(f"{args.header} does not keep to {args.baseline}:\n{told}")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
