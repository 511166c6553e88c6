# SPDX-License-Identifier: Apache-2.0
"""Programs built on an installed library, as its users build them."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
PROJECT = """\
cmake_minimum_required(VERSION 3.16)
project(hello LANGUAGES C)
find_package(minimax {wanted} REQUIRED)
add_executable(hello {source})
target_link_libraries(hello PRIVATE {target})
"""


def run(*command, said="", folder=None, **environment):
    """Standard output of what was said; what the command told otherwise is in the error that it ends in."""
    done = subprocess.run([str(word) for word in command], env={**os.environ, **environment}, text=True, cwd=folder,
                          input=said, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Prefix:
    """Where the library is installed, and with which compiler and in which folder programs on it are built."""

    def __init__(self, folder, library_folder, work, compiler="cc", **environment):
        self.folder, self.library_folder = pathlib.Path(folder), pathlib.Path(library_folder)
        self.work, self.compiler = pathlib.Path(work), compiler
        # Nothing but the prefix is found: PKG_CONFIG_PATH goes first, and no other minimax.pc is around.
        self.environment = {"PKG_CONFIG_PATH": str(self.library_folder / "pkgconfig"), **environment}

    def flags(self, *options):
        return run("pkg-config", *options, "minimax", **self.environment).split()

    def compile(self, sample, *options):
        """A C sample and the flags that pkg-config says; returns the program."""
        program = pathlib.Path(tempfile.mkdtemp(dir=self.work)) / sample
        run(self.compiler, *STRICT, SAMPLES / f"{sample}.c", "-o", program, *self.flags("--cflags", "--libs", *options))
        return program

    def compile_with_cmake(self, target, wanted="", **environment):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        project = PROJECT.format(wanted=wanted, source=SAMPLES / "hello.c", target=target)
        (folder / "CMakeLists.txt").write_text(project, encoding="utf-8")
        run("cmake", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={self.folder}",
            f"-DCMAKE_C_COMPILER={self.compiler}", "-DCMAKE_FIND_PACKAGE_NO_PACKAGE_REGISTRY=ON", **environment)
        run("cmake", "--build", folder / "build")
        return folder / "build/hello"

    def binding(self, language):
        """A copy of a binding in a folder of its own, away from this tree."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work)) / language
        shutil.copytree(ROOT / "bindings" / language, folder, ignore=shutil.ignore_patterns("target", "__pycache__"))
        return folder

    def chat_in_rust(self, model):
        return self.chat("rust", "cargo", "run", "--offline", "--quiet", "--example", "chat", "--", "--model", model)

    def chat_in_go(self, model):
        return self.chat("go", "go", "run", "./examples/chat", "--model", model)

    def chat(self, language, *command):
        return run(*command, said=QUESTION + "\n", folder=self.binding(language), **self.environment,
                   LD_LIBRARY_PATH=str(self.library_folder)).strip()

    def chat_in_python(self, model):
        """By a wheel that carries the library, installed where nothing else is but the system's cffi."""
        folder = self.binding("python")
        run(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", folder, folder,
            MINIMAX_LIBRARY=str((self.library_folder / "libminimax.so.0").resolve()))
        run(sys.executable, "-m", "venv", "--system-site-packages", folder / "fresh")
        python = folder / "fresh/bin/python"
        run(python, "-m", "pip", "install", "--no-deps", "--no-index", *folder.glob("*.whl"))
        return run(python, folder / "examples/chat.py", "--model", model, said=QUESTION + "\n", folder=self.work).strip()

    def answer(self, program, model):
        return run(program, model, QUESTION, LD_LIBRARY_PATH=str(self.library_folder)).strip()


def needed(program):
    """Names of the shared libraries that a program or library asks for."""
    lines = run("readelf", "--dynamic", "--wide", program).splitlines()
    return [line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line]


def dynamic(program):
    return run("readelf", "--dynamic", "--wide", program)
