"""A fingerprint tells one version of the code from another, and is the same for the same code."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from agnt5.sdk.fingerprint import fingerprint


def made_from(source: str, filename: str = "<stdin>") -> Any:
    namespace: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), namespace)
    return namespace["fn"]


def test_the_same_code_has_the_same_fingerprint():
    """It depends on the code alone."""
    source = "def fn(a):\n    def inner(): return 'y'\n    return inner, 'text'"

    assert fingerprint(made_from(source)) == fingerprint(made_from(source)) != ""


def test_the_same_code_has_the_same_fingerprint_in_every_process():
    """Also where it holds a set, whose order Python changes from process to process."""
    code = (
        "from agnt5.sdk.fingerprint import fingerprint\n"
        "def fn(a): return a in {'x', 'y', 'z', 'w'}\n"
        "print(fingerprint(fn))"
    )

    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(made) == 1


def test_other_code_has_another_fingerprint():
    """A changed constant, name or nested function is a change."""
    sources = [
        "def fn(a): return 1",
        "def fn(a): return 2",
        "def fn(a): return one(a)",
        "def fn(a): return two(a)",
        "def fn(a): return lambda: 1",
        "def fn(a): return lambda: 2",
    ]

    assert len({fingerprint(made_from(source)) for source in sources}) == len(sources)


def test_the_whole_file_counts(tmp_path: Path):
    """A body rests on what stands around it."""
    source = "def fn(): return helper()"
    fingerprints = set()
    for number in range(2):
        path = tmp_path / f"module{number}.py"
        path.write_text(f"{source}\ndef helper(): return {number}\n")
        fingerprints.add(fingerprint(made_from(path.read_text(), str(path))))

    assert len(fingerprints) == 2


def test_what_has_no_code_has_none():
    """A builtin, or an object that is called."""
    assert fingerprint(len) == ""
