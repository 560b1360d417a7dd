"""Compiles the libraries that are put between a process and its system, and starts programs beneath them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e import processes

SOURCES = Path(__file__).parent / "preload"
PROGRAMS = Path(__file__).parent / "programs"


def compiled(name: str, folder: Path) -> Path:
    """Compile a library; where that can't be done the test is skipped, and fails where nobody may skip it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        missing = "these tests need Linux and a C compiler (cc or gcc): apt-get install gcc"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    library = folder / f"{name}.so"
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCES / f"{name}.c", "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return library


def start(library: Path | None, program: str, *args: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a program of `programs`, beneath a library if there is one."""
    preload = {"LD_PRELOAD": str(library)} if library else {}
    return processes.start(str(PROGRAMS / program), *args, **preload, **environment)


def run(library: Path | None, program: str, *args: str, **environment: str) -> processes.Finished:
    """Start a program, and wait until it has ended."""
    return processes.finish(start(library, program, *args, **environment))
