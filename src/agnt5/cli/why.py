"""`agnt5 runs why`: one sentence about what keeps a run, from its journal alone."""

import asyncio
from time import time_ns
from typing import Any, Final

import click

from agnt5.cli.holder import holder_of
from agnt5.cli.journal import find_run, reading
from agnt5.cli.options import json_option, run_argument, store_option
from agnt5.cli.printable import json_text, one_line
from agnt5.config import journal_path
from agnt5.core.journal.entry import Entry
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Run, Status
from agnt5.runtime.explain import explain
from agnt5.runtime.port import AtWork
from agnt5.runtime.scene import scene_of
from agnt5.store.port import RunFilter
from agnt5.store.sqlite.reader import SqliteReader

_AHEAD_MAX: Final = 10_000  # Queued runs that are counted; more make the same difference.


@click.command()
@run_argument
@store_option
@json_option
def why(run_id: str, store: str | None, as_json: bool) -> None:
    """Say in one sentence why a run is where it is, and what would move it.

    It is read from the journal, whether or not a process has it. What a step does at the moment
    is known to its process alone: `await handle.explain()` tells it there.
    """
    run, sentence, facts = asyncio.run(_explained(store, run_id))
    if as_json:
        document = {"id": run.id, "component": run.component, "status": run.status.value, "why": sentence}
        click.echo(json_text(document | {"facts": facts}, indent=2))
    else:
        click.echo(one_line(sentence))


async def _explained(store: str | None, prefix: str) -> tuple[Run, str, dict[str, Any]]:
    async with reading(store) as reader:
        with reader.snapshot():
            run = await find_run(reader, prefix)
            scene = await scene_of(run, Beside(reader, holder_of(journal_path(store))))
    return run, *explain(scene, time_ns() // 1000)


class Beside:
    """What a journal file tells around a run, beside whoever writes it."""

    def __init__(self, reader: SqliteReader, pid: int | None) -> None:
        self.pid = pid
        self._reader = reader

    async def run(self, run_id: RunId) -> Run | None:
        return await self._reader.run(run_id)

    async def journal(self, run_id: RunId) -> list[Entry]:
        return await self._reader.journal(run_id)

    async def queued_before(self, run: Run) -> int:
        wanted = RunFilter(Status.QUEUED, run.component, None, run.id, _AHEAD_MAX)
        return sum(not other.wake_at for other in await self._reader.runs(wanted))

    def is_offered(self, component: str) -> bool | None:
        return None

    def doing(self, run: Run) -> list[AtWork]:
        return []
