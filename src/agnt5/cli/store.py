"""`agnt5 store`: look after a journal: copy it, check it, measure it, and give its free space back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from agnt5.cli.exits import Exit
from agnt5.cli.options import json_option, store_option
from agnt5.cli.printable import json_text, one_line
from agnt5.cli.story import How
from agnt5.cli.symbols import STYLES, Symbols, symbols_for, terminal
from agnt5.config import journal_path
from agnt5.store.sqlite.backup import back_up
from agnt5.store.sqlite.checking import Checked, Finding, check_journal
from agnt5.store.sqlite.sizing import Sizes, measure
from agnt5.store.sqlite.vacuum import vacuum as vacuum_journal

_SHOWN_MAX: Final = 20  # Findings of one run that are printed; --json has them all.
_KIB: Final = 1024


@click.group()
def store() -> None:
    """Look after a journal: back it up, check it, measure it.

    All but `vacuum` only read, beside a live process too.
    """


@store.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@store_option
@json_option
def backup(file: Path, force: bool, store: str | None, as_json: bool) -> None:
    """Copy the journal, as it is at one moment, to FILE.

    Whoever writes to it goes on meanwhile. FILE appears when it is whole, and can be used as a journal:
    --store sqlite:///FILE, or in place of the one that was lost (see docs/store.md).
    """
    journal = journal_path(store)
    with _progress("copying") as progress:
        copied = back_up(journal, file, replace=force, progress=progress)
    if as_json:
        click.echo(json_text({"journal": str(journal), "backup": str(file)} | msgspec.to_builtins(copied), indent=2))
        return
    click.echo(f"{one_line(str(file))}: {_count(copied.runs, 'run')}, {_size(copied.bytes)}")


@store.command()
@store_option
@json_option
@click.pass_context
def check(ctx: click.Context, store: str | None, as_json: bool) -> None:
    """Look for what isn't as it was written: the file, every run and every entry.

    Exit code 0 if the journal is whole, 6 if it isn't.
    """
    journal = journal_path(store)
    with _progress("checking") as progress:
        checked = check_journal(journal, progress)
    if as_json:
        document = {"journal": str(journal), "whole": not checked.findings, "damaged": checked.damaged}
        click.echo(json_text(document | msgspec.to_builtins(checked), indent=2))
    else:
        _draw_check(journal, checked)
    if checked.findings:
        ctx.exit(Exit.STORE)


def _draw_check(journal: Path, checked: Checked) -> None:
    console = terminal()
    symbols = symbols_for(console)
    name = one_line(str(journal))
    amount = f"{_count(checked.runs, 'run')}, {_count(checked.entries, 'entry', 'entries')}"
    if not checked.findings:
        console.print(_marked(How.DONE, f"{name} is whole: {amount}, schema {checked.schema}", symbols), soft_wrap=True)
        return
    said = f"{name} is damaged: {_count(len(checked.findings), 'finding')} in {amount}, schema {checked.schema}"
    console.print(_marked(How.FAILED, said, symbols), soft_wrap=True)
    for run_id, findings in _by_run(checked.findings).items():
        console.print(f"run {run_id} of {one_line(findings[0].component)!r}" if run_id else "the file", soft_wrap=True)
        for finding in findings[:_SHOWN_MAX]:
            console.print(f"  {one_line(finding.what)}", soft_wrap=True)
        if len(findings) > _SHOWN_MAX:
            console.print(f"  and {len(findings) - _SHOWN_MAX} more: see --json")
    if checked.damaged:
        click.echo("A damaged run is blocked when it is to go on; the others are not affected.", err=True)
    click.echo("Fix: restore the journal from a backup that passes this check (docs/store.md)", err=True)


def _marked(how: How, said: str, symbols: Symbols) -> Text:
    return Text.assemble((symbols.how[how], STYLES[how]), f" {said}")


def _by_run(findings: list[Finding]) -> dict[str, list[Finding]]:
    """The findings of each run, those of the file itself first."""
    grouped: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=lambda finding: finding.run_id or ""):
        grouped.setdefault(finding.run_id or "", []).append(finding)
    return grouped


@store.command()
@store_option
@json_option
def size(store: str | None, as_json: bool) -> None:
    """Measure the journal: bytes, runs and entries of each component and status."""
    journal = journal_path(store)
    with _progress("measuring") as progress:
        sizes = measure(journal, progress)
    if as_json:
        click.echo(json_text({"journal": str(journal)} | msgspec.to_builtins(sizes), indent=2))
        return
    for line in _drawn_sizes(journal, sizes):
        click.echo(line)


def _drawn_sizes(journal: Path, sizes: Sizes) -> Iterator[str]:
    rows = [("component", "status", "runs", "entries", "bytes")]
    for share in sizes.shares:
        component, status = one_line(share.component), one_line(share.status)
        rows.append((component, status, f"{share.runs:,}", f"{share.entries:,}", _size(share.bytes)))
    widths = [max(Text(row[place]).cell_len for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        texts = [_padded(cell, width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join(texts + numbers)
    yield ""
    yield f"{one_line(str(journal))}: {_size(sizes.file_bytes)}, and {_size(sizes.log_bytes)} of log"
    yield f"  {_size(sizes.free_bytes)} free ({sizes.free_pages:,} pages), used before the file grows"
    yield f"  {_count(sizes.events, 'event')} ({_size(sizes.event_bytes)}), {_count(sizes.keys, 'idempotency key')}"
    if sizes.removing:
        yield f"  {_count(sizes.removing, 'entry', 'entries')} of runs that are being removed"


def _padded(cell: str, width: int) -> str:
    text = Text(cell)
    text.pad_right(width - text.cell_len)
    return text.plain


@store.command()
@click.option("--full", is_flag=True, help="Write the journal anew. It takes as much space again meanwhile.")
@store_option
@json_option
def vacuum(full: bool, store: str | None, as_json: bool) -> None:
    """Give the journal's free space back to the disk.

    No process may use the journal meanwhile. What lies free is used again before the file grows, so
    there is no need to do this regularly.
    """
    journal = journal_path(store)
    with _progress("vacuuming") as progress:
        done = vacuum_journal(journal, is_full=full, progress=progress)
    if as_json:
        click.echo(json_text({"journal": str(journal)} | msgspec.to_builtins(done), indent=2))
        return
    gained = f"{_size(done.before - done.after)} given back" if done.after < done.before else "nothing to give back"
    click.echo(f"{one_line(str(journal))}: {gained}, {_size(done.after)} left")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr if that is a terminal, gone when it is over."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _size(number: int) -> str:
    """A number of bytes, in the largest unit that fits."""
    if number < _KIB:
        return f"{number} B"
    amount: Any = float(number)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= _KIB
        if amount < _KIB:
            return f"{amount:.1f} {unit}"
    return f"{amount / _KIB:.1f} TiB"
