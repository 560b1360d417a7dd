"""The `agnt5` command as tests call it: in this process where that is enough, else in one of its own."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from click.testing import CliRunner, Result

from agnt5 import Handle, Runtime
from agnt5.cli.exits import Exit
from agnt5.cli.main import cli

END_SECONDS = 20.0  # For a process to end; it takes a fraction of a second.
RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")


def agnt5_in_process(*args: str, **env: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(cli, args, env={"COLUMNS": "200", **env}, prog_name="agnt5")


def agnt5_command(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "agnt5", *args]
    env = {**os.environ, "COLUMNS": "200", **env}
    return subprocess.run(command, capture_output=True, text=True, timeout=END_SECONDS, env=env)


def exit_code(result: Result) -> int:
    """How the command ended; an exception that nobody turned into a message is a failure of the test."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code


@contextmanager
def live_run(*args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that is carrying on a run, and the run's id."""
    command = [sys.executable, "-m", "agnt5", "run", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("run "), line + process.stderr.read()
            yield process, line.split()[1]
        finally:
            process.kill()


def in_runtime(scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What the scenario returns, run with the embedded journal."""

    async def run() -> Any:
        async with Runtime():
            return await scenario()

    return asyncio.run(run())


def shown(run_id: str) -> dict[str, Any]:
    """The run, as programs see it."""
    result = agnt5_in_process("runs", "show", run_id, "--json")
    assert exit_code(result) == Exit.OK, result.stderr
    return json.loads(result.stdout)


async def until_suspended(*handles: Handle[Any]) -> None:
    """Wait until these runs wait, at the longest for as long as a process has to end."""
    async with asyncio.timeout(END_SECONDS):
        for handle in handles:
            while await handle.status() != "suspended":  # noqa: ASYNC110  Nothing tells when a run begins to wait.
                await asyncio.sleep(0.005)
