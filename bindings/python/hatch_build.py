# SPDX-License-Identifier: Apache-2.0
"""Puts the shared library into the wheel: the one that MINIMAX_LIBRARY names, or one built here by CMake."""

import os
import pathlib
import shutil
import subprocess
import sysconfig
import tempfile

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LibraryHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if version == "editable":  # finds the library as MINIMAX_LIBRARY or the system says
            return
        self._folder = tempfile.mkdtemp()
        built = os.environ.get("MINIMAX_LIBRARY") or self._build()
        name = "libminimax.so." + self.metadata.version.partition(".")[0]
        stripped = pathlib.Path(self._folder, name)
        subprocess.run(["strip", "--strip-unneeded", "-o", stripped, built], check=True)
        build_data["force_include"][str(stripped)] = f"minimax/{name}"
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")

    def finalize(self, version, build_data, artifact_path):
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)

    def _build(self):
        tree = pathlib.Path(self.root).resolve().parents[1]
        if not (tree / "include" / "minimax.h").exists():
            raise RuntimeError("the wheel is built from libminimax's repository, which this folder is a part of")
        build = tree / "build" / "wheel"
        subprocess.run(["cmake", "--preset", "release", "-B", build, "-DMINIMAX_SAMPLES=OFF", "-DMINIMAX_WERROR=OFF"],
                       cwd=tree, check=True)
        subprocess.run(["cmake", "--build", build, "--target", "minimax"], check=True)
        return build / "sdk" / "libminimax.so"
