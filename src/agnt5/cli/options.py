"""Arguments and options that several commands have, and how the shell completes a run's id."""

import asyncio
from typing import Final

import click
from click.shell_completion import CompletionItem

from agnt5.cli.journal import reading
from agnt5.cli.printable import one_line
from agnt5.core.model.errors import Agnt5Error
from agnt5.core.model.run import Run
from agnt5.store.port import RunFilter

_OFFERED_MAX: Final = 50  # Ids that a shell is given; those of the runs that were made last.

store_option: Final = click.option(
    "--store", metavar="URL", help="The journal, as in sqlite:///orders.db.  [default: that of AGNT5_HOME]"
)
json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print all there is, for programs.")
payload_option: Final = click.option("--payload", "-p", metavar="JSON", help="What the receiver gets.  [default: null]")


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The runs whose id begins so, for a shell; none where there is no journal to read."""
    try:
        runs = asyncio.run(_runs_that_begin(ctx.params.get("store"), incomplete.lower()))
    except Agnt5Error:
        return []  # What is wrong is said when the command is run.
    return [CompletionItem(run.id, help=f"{run.status.value} {one_line(run.component)}") for run in runs]


async def _runs_that_begin(store: str | None, prefix: str) -> list[Run]:
    async with reading(store) as reader:
        if not prefix:
            return await reader.runs(RunFilter(limit=_OFFERED_MAX))
        found = [await reader.run(run_id) for run_id in await reader.run_ids(prefix, _OFFERED_MAX)]
        return [run for run in found if run is not None]


run_argument: Final = click.argument("run_id", metavar="ID_OR_PREFIX", shell_complete=complete_run)
