"""Replays recordings in a process of its own, in which strings hash differently, and says what came of it.

It is started by `elsewhere`: what to do comes on stdin, and the answer is the last line of stdout.
"""

import asyncio
import importlib
import importlib.util
import runpy
import sys
from contextlib import redirect_stdout
from typing import Any

import msgspec

from agnt5.core.journal.codec import decode_body
from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import UnknownComponent
from agnt5.embedded import Embedded
from agnt5.sdk.registry import REGISTRY
from agnt5.store.memory import MemoryStore
from agnt5.testing.elsewhere import Answer, Packed, Task
from agnt5.testing.rehearsal import Recording, rehearse

NOT_MAIN = "__agnt5_testing__"  # What a program is called that is loaded, and not run.


def load(module: str, file: str) -> None:
    """Define the components of a module, or of the program that asks.

    Raises:
        Exception: Whatever importing it raises.
    """
    if module == "__main__":
        runpy.run_path(file, run_name=NOT_MAIN)
        return
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        spec = importlib.util.spec_from_file_location(module, file)
        if error.name != module or spec is None or spec.loader is None:
            raise
        found = sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)


def unpacked(packed: Packed) -> Recording:
    """A recording as it was before it was sent."""
    entries = [Entry(index, at, decode_body(body.encode())) for index, at, body in packed.entries]
    return Recording(packed.component, packed.run_id, entries)


async def replay(task: Task) -> Answer:
    """Replay all of them, each as a whole."""
    backend = Embedded(MemoryStore())
    for packed in task.recordings:
        try:
            component: Any = REGISTRY.get(packed.component)
        except UnknownComponent:
            return Answer(unknown=packed.component)
        failure = await rehearse(unpacked(packed), component, backend, len(packed.entries), 0.0)
        if failure is not None:
            return Answer(component=packed.component, said=failure.message)
    return Answer()


def main() -> None:
    """Do what stdin says."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    sys.path[:] = task.path
    # What the module prints as it is imported is no answer.
    with redirect_stdout(sys.stderr):
        load(task.module, task.file)
        answer = asyncio.run(replay(task))
    sys.stdout.write("\n" + msgspec.json.encode(answer).decode() + "\n")


if __name__ == "__main__":
    main()
