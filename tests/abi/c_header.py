# SPDX-License-Identifier: Apache-2.0
"""Reads what minimax.h declares, in the few forms of C that header_rules.py lets it use."""
import pathlib
import re


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

    def types(self):
        """Names of structs, handles, callbacks and of the status."""
        plain = re.findall(r"typedef\s+(?:struct\s+minimax_\w+|\w+)\s+(minimax_\w+)\s*;", self.text)
        return plain + list(self.structs()) + [name for _, name, _ in self.callbacks()]

    def enum_values(self):
        """name -> number, in the order of the header. Every number must be written out."""
        values = {}
        for enum in re.finditer(r"\benum\s*\{([^}]*)\}", self.text):
            for entry in filter(None, (" ".join(e.split()) for e in enum[1].split(","))):
                match = re.fullmatch(r"(MINIMAX_\w+) = (-?\d+)", entry)
                name = match[1] if match else entry
                values[name] = int(match[2]) if match else None
        return values

    def macros(self):
        """name -> what it stands for, of every macro but the include guard."""
        found = re.findall(r"^#define (MINIMAX_\w+(?:\([^)]*\))?)[ \t]*(?:\\\n[ \t]*)?(.*)", self.text, re.M)
        return {name: value.strip() for name, value in found if name != "MINIMAX_H"}

    def release(self):
        """MAJOR.MINOR: what names are added by; patches add none."""
        return "{MINIMAX_VERSION_MAJOR}.{MINIMAX_VERSION_MINOR}".format(**self.macros())

    def names(self):
        """Every name that a program can use, in a fixed order."""
        macros = [name.split("(")[0] for name in self.macros()]
        return sorted({name for _, name, _ in self.functions()} | set(self.types()) | set(self.enum_values())
                      | set(macros))
