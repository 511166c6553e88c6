#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what is remembered of the public names, from include/minimax.h alone.

  renew_abi.py             new names go into docs/symbols-in-versions, as of the header's version
  renew_abi.py --release   the same, and what is here now becomes what later versions are compared with:
                           tests/abi/baseline, header, symbol versions and C samples
"""
import argparse
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/abi"))
from c_header import Header  # noqa: E402
from header_rules import read_versions  # noqa: E402

LIST = ROOT / "docs/symbols-in-versions"
BASELINE = ROOT / "tests/abi/baseline"
HEAD = """\
# Every name of minimax.h, with the release (MAJOR.MINOR) that brought it, that told programs not to use it any
# more, and that took it away: - where that has not happened. scripts/renew_abi.py adds new names; the other two
# columns are written by hand, and tests hold header and library to this list.
#
"""


def write_list(header):
    versions = read_versions(LIST) if LIST.exists() else {}
    for name in header.names():
        versions.setdefault(name, [header.release(), None, None])
    width = max(map(len, versions))
    rows = [("# name".ljust(width), "since", "deprecated", "removed")]
    rows += [(name.ljust(width), *(told or "-" for told in versions[name])) for name in sorted(versions)]
    LIST.write_text(HEAD + "".join("{}  {:5}  {:10}  {}\n".format(*row) for row in rows), encoding="utf-8")


def write_baseline():
    shutil.rmtree(BASELINE, ignore_errors=True)
    BASELINE.mkdir()
    for path in [ROOT / "include/minimax.h", ROOT / "sdk/minimax.map", *sorted((ROOT / "samples").glob("*.c"))]:
        shutil.copy(path, BASELINE)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--release", action="store_true", help="renew tests/abi/baseline too")
    args = ap.parse_args()
    write_list(Header(ROOT / "include/minimax.h"))
    if args.release:
        write_baseline()


if __name__ == "__main__":
    main()
