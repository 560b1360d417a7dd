"""A worker process that is killed with SIGKILL, and its successor, which is watched until all is done."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen

from benchmarks.probe import Effects

DEADLINE_SECONDS = 300.0
LOOK_SECONDS = 0.002


def start(program: str, role: str, folder: Path, *parameters: object) -> "Popen[str]":
    """Start `python -m benchmarks.programs.PROGRAM ROLE FOLDER PARAMETERS`."""
    command = [sys.executable, "-m", f"benchmarks.programs.{program}", role, str(folder), *map(str, parameters)]
    return Popen(command, stdout=PIPE, text=True)


def wait_said(process: "Popen[str]", word: str) -> None:
    """Wait for a line of the process."""
    assert process.stdout is not None, "it was started with a pipe"
    for line in process.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"the process ended with {process.wait()} before it said {word!r}")


def kill_when(process: "Popen[str]", is_time: Callable[[], bool]) -> None:
    """Kill the process as soon as a condition holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_time():
        assert process.poll() is None, "the process lives until it is killed"
        assert time.monotonic() < deadline, "the condition holds within the deadline"
        time.sleep(LOOK_SECONDS)
    process.kill()
    process.wait()


def say(word: str) -> None:
    """Tell the process that started this one."""
    print(word, flush=True)


def killed_midway(program: str, folder: Path, runs: int, steps: int) -> dict[str, float]:
    """Kill a worker when half of the steps have begun; how long until its successor has done the rest.

    The program has the roles `begin`, which says `submitted` when all runs are durable, and `resume`,
    which says `done` when all results are there and right. Its steps record `run step` in the effect
    log as they begin.
    """
    effects = Effects(folder)
    first = start(program, "begin", folder, runs)
    wait_said(first, "submitted")
    kill_when(first, lambda: effects.path.read_bytes().count(b"\n") >= runs * steps // 2)
    killed_at = time.monotonic()
    second = start(program, "resume", folder, runs)
    wait_said(second, "done")
    done_at = time.monotonic()
    second.kill()
    second.wait()
    names = [name for _, name in effects.read()]
    expected = {f"{run} {step}" for run in range(runs) for step in range(steps)}
    assert set(names) == expected, "every step has run"
    repeated = len(names) - len(expected)
    assert repeated <= runs, "a run repeats no more than the step that was cut short"
    return {"all done s": done_at - killed_at, "steps again": repeated}


def python_seconds(code: str) -> tuple[float, str]:
    """How long a fresh Python takes for some code, and what it prints."""
    began = time.perf_counter()
    said = subprocess.run([sys.executable, "-c", code], check=True, text=True, stdout=PIPE).stdout
    return time.perf_counter() - began, said
