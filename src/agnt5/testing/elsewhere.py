"""Has recordings replayed in fresh processes with other hashes of strings: sets have another order there."""

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from agnt5.core.journal.codec import encode_body
from agnt5.core.model.errors import InvalidInput
from agnt5.core.model.ids import RunId
from agnt5.testing.rehearsal import Recording

TIMEOUT_SECONDS: Final = 60.0  # For a process to import the user's module and replay; far more than it takes.
FIRST_SEED: Final = 1_001  # Unlikely to be what somebody has set for the process that asks.


class Packed(msgspec.Struct):
    """A recording on its way to another process."""

    component: str
    run_id: RunId
    entries: list[tuple[int, int, str]]


class Task(msgspec.Struct):
    """What another process is asked to do."""

    module: str
    file: str
    path: list[str]
    recordings: list[Packed]


class Answer(msgspec.Struct, omit_defaults=True):
    """What came of it.

    Attributes:
        component: Of the run that left its journal.
        said: How it did.
        unknown: A component that isn't there.
    """

    component: str = ""
    said: str = ""
    unknown: str = ""


def why_not_importable(fn: Callable[..., Any]) -> str:
    """Why another process can't get at a function; empty if it can."""
    name = f"{fn.__module__}.{fn.__qualname__}"
    if "<locals>" in fn.__qualname__:
        return f"{name} is defined inside of a function, where another process can't import it"
    if not os.path.exists(inspect.getsourcefile(fn) or ""):
        return f"{name} is in no file that another process could import"
    return ""


async def replay_elsewhere(fn: Callable[..., Any], recordings: list[Recording], seeds: int) -> Answer:
    """Replay recordings in so many processes; the first answer that isn't fine, or a fine one.

    Raises:
        InvalidInput: The module that defines the workflow can't be imported in another process.
    """
    task = Task(fn.__module__, inspect.getsourcefile(fn) or "", [*sys.path], [_packed(each) for each in recordings])
    text = msgspec.json.encode(task)
    answers = await asyncio.gather(
        *(asyncio.to_thread(_ask, text, fn.__module__, FIRST_SEED + number) for number in range(seeds))
    )
    return next((answer for answer in answers if answer.said or answer.unknown), Answer())


def _ask(text: bytes, module: str, seed: int) -> Answer:
    ended = subprocess.run(
        [sys.executable, "-m", "agnt5.testing.other_process"],
        input=text,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidInput(
            f"module {module!r} can't be imported in a fresh process: {said[-1] if said else 'it ended'}",
            why="what it does when it is imported works in this process only",
            fix="move the workflow into a module that can be imported, or pass hash_seeds=0",
        )
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=Answer)


def _packed(recording: Recording) -> Packed:
    entries = [(entry.index, entry.at, encode_body(entry.body).decode()) for entry in recording.entries]
    return Packed(recording.component, recording.run_id, entries)
