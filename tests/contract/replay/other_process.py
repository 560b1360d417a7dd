"""Replays recordings in a process of its own and prints what the bodies asked for."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from agnt5 import Workflow, workflow
from agnt5.core.journal.codec import decode_body
from agnt5.core.journal.entry import Ended, Entry
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Status

from . import constructs_anyio, constructs_asyncio, constructs_context
from .recording import Recording
from .rehearsal import rehearse


def pack(value: Any) -> str:
    """A text that two processes can compare."""
    return msgspec.json.encode(value).decode()


def _unpacked(packed: dict[str, Any], component: Workflow[Any, Any]) -> Recording:
    entries = [Entry(index, at, decode_body(body.encode())) for index, at, body in packed["entries"]]
    return Recording(component, RunId(packed["run_id"]), entries, Ended(Status.COMPLETED, Raw(b"null")))


async def main(content: str) -> None:
    """Replay packed recordings."""
    modules = (constructs_asyncio, constructs_anyio, constructs_context)
    bodies = {body.__name__: body for module in modules for body in module.BODIES}
    found = {}
    for packed in json.loads(content):
        recording = _unpacked(packed, workflow(bodies[packed["name"]]))
        found[packed["name"]] = pack((await rehearse(recording, len(recording.entries)))[0])
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text()))
