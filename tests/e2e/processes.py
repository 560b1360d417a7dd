"""Runs the programs of the end-to-end tests as processes of their own, and looks at what they leave behind."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple, TypeVar

import pytest

from agnt5.core.journal.entry import Entry
from agnt5.core.model.run import Run
from agnt5.store.port import RunFilter
from agnt5.store.sqlite.reader import SqliteReader

PROGRAMS = Path(__file__).parent / "programs"
KILLED = -9  # The return code of a process that SIGKILL has ended.
SECONDS_MAX = 100.0  # For one process; far more than any needs, so that a hang is told from slowness.
AT_ONCE = 3  # Processes of one test; each spends much of its short life waiting for the disk.

T = TypeVar("T")
_started: "list[subprocess.Popen[str]]" = []


class Finished(NamedTuple):
    """What became of a process."""

    code: int
    out: str
    err: str


def start(program: str, *args: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a program, with further variables in its environment."""
    return _start(str(PROGRAMS / program), args, os.environ | environment, None)


def _start(
    path: str, args: tuple[str, ...], environment: dict[str, str], directory: Path | None
) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, path, *args],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _started.append(process)
    return process


def kill_all() -> None:
    """Kill whatever a test has started and not waited for."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def start_script(directory: Path, source: str, *args: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a script that a test has written out, with its journal in that directory.

    Args:
        directory: Where the script is put, and what its `AGNT5_HOME` and working directory are in.
        source: The script, indented as it stands in the test.
    """
    path = directory / "script.py"
    # Components are known by their code's place too: the same text is the same file.
    path.write_text(dedent(source))
    return _start(str(path), args, os.environ | {"AGNT5_HOME": str(directory / "home")} | environment, directory)


def run_script(directory: Path, source: str, *args: str, **environment: str) -> Finished:
    """Start a script and wait until it has ended."""
    return finish(start_script(directory, source, *args, **environment))


def small_disk(directory: Path, kib: int = 2048) -> Callable[..., Finished]:
    """A disk of its own for some scripts, mounted as `disk` in the directory for as long as they run.

    Returns:
        Runs scripts there one after the other, each with what it printed following the last one's; a text
        that begins with `mount` is a command between them. Its code is that of the last script.
    """
    (directory / "disk").mkdir()
    enter = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size={kib}k tmpfs disk"
    environment = os.environ | {"AGNT5_HOME": str(directory / "home")}

    def call(command: str) -> Finished:
        done = subprocess.run(
            [*enter, command], cwd=directory, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    if shutil.which("unshare") is None or call(mount).code != 0:
        pytest.skip("the system lets nobody but its root mount a disk")

    def run_there(*scripts: str) -> Finished:
        commands = [mount]
        for number, script in enumerate(scripts):
            if script.startswith("mount"):
                commands.append(script)
            elif script:
                (directory / f"{number}.py").write_text(dedent(script))
                commands.append(f"{sys.executable} {number}.py")
        return call("; ".join(commands))

    return run_there


def wait_for_file(path: Path, process: "subprocess.Popen[str]", seconds: float = 20.0) -> None:
    """Wait until a process has made this file, by which it says how far it is."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, f"it ended early: {finish(process)}"
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.005)


def finish(process: "subprocess.Popen[str]", seconds: float = SECONDS_MAX) -> Finished:
    """Wait until a process has ended; one that doesn't is killed, and the test fails."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it didn't end within {seconds} s; it said\n{out}\n{err}") from None
    return Finished(process.returncode, out, err)


def run(program: str, *args: str, **environment: str) -> Finished:
    """Start a program and wait until it has ended."""
    return finish(start(program, *args, **environment))


def for_each(cases: Iterable[T], check: Callable[[T], None]) -> None:
    """Check every case, a few at a time; each failure says which case it was."""
    cases = list(cases)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = list(pool.map(lambda case: _failure(check, case), cases))
    broken = [f"{case}: {failure}" for case, failure in zip(cases, failures, strict=True) if failure]
    assert not broken, f"{len(broken)} of {len(cases)} cases\n" + "\n".join(broken)


def _failure(check: Callable[[T], None], case: T) -> str:
    try:
        check(case)
    except AssertionError as error:
        return str(error) or repr(error)
    return ""


def lines(path: Path) -> list[str]:
    """The lines of a file, none where there is no file."""
    return path.read_text().splitlines() if path.exists() else []


def read_journal(path: Path) -> list[tuple[Run, list[Entry]]]:
    """Every run of a journal file with its entries, oldest first; read beside whoever writes to it."""
    return asyncio.run(_read_journal(path)) if path.exists() else []


async def _read_journal(path: Path) -> list[tuple[Run, list[Entry]]]:
    reader = SqliteReader(path)
    await reader.open_read_only()
    try:
        runs = await reader.runs(RunFilter(limit=10_000))
        return [(run, await reader.journal(run.id)) for run in reversed(runs)]
    finally:
        await reader.close()
