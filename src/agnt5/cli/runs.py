"""`agnt5 runs`: look at runs in a journal, also beside the process that writes it, and change them."""

import asyncio
from time import time_ns

import click

from agnt5.cli.documents import document_of_listed, document_of_record
from agnt5.cli.drawing import draw
from agnt5.cli.journal import Listed, Record, read_list, read_record, reading
from agnt5.cli.listing import draw_list
from agnt5.cli.operate import cancel, fork, resume, retry
from agnt5.cli.options import json_option, run_argument, store_option
from agnt5.cli.printable import json_text
from agnt5.cli.symbols import symbols_for, terminal, width_of
from agnt5.cli.why import why
from agnt5.core.model.run import Status
from agnt5.store.port import RunFilter


@click.group()
def runs() -> None:
    """Look at runs, also beside a live process, and change them.

    Reading changes nothing, and disturbs nobody who writes. What changes a run needs the journal for
    itself: where a process has it, that process is named.
    """


for _command in (why, cancel, retry, resume, fork):
    runs.add_command(_command)


@runs.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only runs that stand so.")
@click.option("--component", metavar="NAME", help="Only runs of this component.")
@click.option("--tag", metavar="TAG", help="Only runs that have this tag.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many.")
@store_option
@json_option
def list_runs(
    status: str | None, component: str | None, tag: str | None, limit: int, store: str | None, as_json: bool
) -> None:
    """List runs, those that were made last first."""
    # One more tells whether that is all.
    wanted = RunFilter(Status(status) if status else None, component, tag, None, limit + 1)
    listed = asyncio.run(_read_list(store, wanted))
    more = len(listed) > limit
    del listed[limit:]
    if as_json:
        click.echo(json_text([document_of_listed(each) for each in listed], indent=2))
        return
    console = terminal()
    for line in draw_list(listed, now_us=time_ns() // 1000, width=width_of(console), symbols=symbols_for(console)):
        console.print(line, soft_wrap=True)
    if not listed:
        click.echo("no runs" + (" that fit" if status or component or tag else ""), err=True)
    if more:
        click.echo(f"there are more than these {limit}: see --limit", err=True)


async def _read_list(store: str | None, wanted: RunFilter) -> list[Listed]:
    async with reading(store) as reader:
        return await read_list(reader, wanted)


@runs.command("show")
@run_argument
@store_option
@json_option
def show_run(run_id: str, store: str | None, as_json: bool) -> None:
    """Draw a run: its operations with their attempts, durations, waits and errors.

    The number before each line is its index in the journal.
    """
    record = asyncio.run(_read_record(store, run_id))
    if as_json:
        click.echo(json_text(document_of_record(record), indent=2))
        return
    console = terminal()
    for line in draw(record, now_us=time_ns() // 1000, width=width_of(console), symbols=symbols_for(console)):
        console.print(line, soft_wrap=True)


async def _read_record(store: str | None, prefix: str) -> Record:
    async with reading(store) as reader:
        return await read_record(reader, prefix)
