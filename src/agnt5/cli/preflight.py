"""`agnt5 preflight`: before a deploy, hold the new code against every run that it would take over."""

import asyncio
import io
import sys
from collections import Counter
from contextlib import redirect_stdout
from typing import Any, Final

import click
from msgspec import Struct
from rich.text import Text

from agnt5.cli.exits import Exit
from agnt5.cli.journal import reading
from agnt5.cli.loading import load_module
from agnt5.cli.options import json_option, store_option
from agnt5.cli.printable import json_text, lines, one_line
from agnt5.cli.problems import place_of
from agnt5.cli.symbols import terminal
from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import Agnt5Error, NonDeterminismError, RunBlockedError, StoreCorrupt
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Run, Status
from agnt5.runtime.explain import without_folders
from agnt5.sdk import failures
from agnt5.sdk.component import component_named
from agnt5.store.port import RunFilter
from agnt5.store.sqlite.reader import SqliteReader
from agnt5.worker.rehearsal import Finding, Stage, Verdict

_IN_FLIGHT: Final = (Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.BLOCKED)
_PAGE: Final = 1_000  # Runs read at a time.
_SAID: Final = {
    Verdict.COMPATIBLE: "compatible",
    Verdict.AHEAD: "not yet at the changed place",
    Verdict.UNSTARTED: "nothing recorded yet",
    Verdict.NOT_REPLAYED: "not replayed: a function",
    Verdict.UNREADABLE: "journal can't be read",
    Verdict.MISSING: "component missing",
    Verdict.FAILS: "fails",
    Verdict.DIVERGENT: "divergent",
}
_STYLES: Final = {
    Verdict.UNREADABLE: "yellow",
    Verdict.MISSING: "yellow",
    Verdict.FAILS: "red",
    Verdict.DIVERGENT: "red",
}
# The worst decides.
_EXITS: Final = (
    (Verdict.DIVERGENT, Exit.DIVERGENT),
    (Verdict.FAILS, Exit.DIVERGENT),
    (Verdict.MISSING, Exit.MISSING),
    (Verdict.UNREADABLE, Exit.STORE),
)


@click.command()
@click.argument("places", metavar="FILE_OR_MODULE...", nargs=-1, required=True)
@click.option(
    "--body-seconds",
    type=click.FloatRange(0.1, 600),
    default=5.0,
    show_default=True,
    help="How long a workflow's body may compute without waiting.",
)
@store_option
@json_option
@click.pass_context
def preflight(
    ctx: click.Context, places: tuple[str, ...], body_seconds: float, store: str | None, as_json: bool
) -> None:
    """Tell whether the code at hand can take over the runs in flight.

    Every run that hasn't ended is replayed against this code without effects: no step starts, and
    nothing is written. It works beside the process that has the journal, and on a copy of it.

    \b
      agnt5 preflight app.py --store sqlite:///orders.db
    """
    # Whatever the user's modules print is no part of the report.
    with redirect_stdout(sys.stderr):
        for place in places:
            load_module(place)
    # What bodies print, they printed when they ran.
    with redirect_stdout(io.StringIO()):
        checked = asyncio.run(_check(store, body_seconds))
    counts = Counter(each.finding.verdict for each in checked)
    code = next((exit_code for verdict, exit_code in _EXITS if counts[verdict]), Exit.OK)
    if as_json:
        click.echo(json_text(_document(checked, counts, is_fit=code is Exit.OK), indent=2))
    else:
        _draw(checked, counts)
    ctx.exit(code)


class Checked(Struct, frozen=True):
    """A run in flight, and how the code stands to it."""

    run: Run
    finding: Finding


async def _check(store: str | None, body_seconds: float) -> list[Checked]:
    checked: list[Checked] = []
    async with reading(store) as reader:
        with Stage(body_seconds) as stage:
            with reader.snapshot():  # Else a run that changes its status meanwhile could be missed.
                run_ids = await _ids_in_flight(reader)
            for run_id in run_ids:
                found = await _check_one(reader, stage, run_id)
                if found is not None:
                    checked.append(found)
    return sorted(checked, key=lambda each: (list(_SAID).index(each.finding.verdict), each.run.id))


async def _ids_in_flight(reader: SqliteReader) -> list[RunId]:
    ids: list[RunId] = []
    for status in _IN_FLIGHT:
        before: RunId | None = None
        while page := await reader.runs(RunFilter(status, before=before, limit=_PAGE)):
            ids += [run.id for run in page]
            before = page[-1].id
    return ids


async def _check_one(reader: SqliteReader, stage: Stage, run_id: RunId) -> Checked | None:
    """What is found of a run; None if it has ended since it was listed."""
    entries: list[Entry] = []
    broken: StoreCorrupt | None = None
    with reader.snapshot():
        run = await reader.run(run_id)
        if run is None or run.status.is_terminal:
            return None
        try:
            entries = await reader.journal(run_id)
        except StoreCorrupt as error:
            broken = error
    if broken is not None:
        return Checked(run, Finding(Verdict.UNREADABLE, broken))
    component = component_named(run.component)
    if component is None:
        return Checked(run, Finding(Verdict.MISSING))
    finding = stage.rehearse(run, entries, component)
    return Checked(run, _with_waits(run, finding))


def _with_waits(run: Run, finding: Finding) -> Finding:
    """The finding, with a note where the body waits for something else than the run does."""
    if finding.waits is None or not run.waiting.on:
        return finding
    was, now = ({(wait.kind, wait.name) for wait in waits} for waits in (run.waiting.on, finding.waits))
    if was == now:
        return finding
    note = f"it waits for {_listed(was)}; the code waits for {_listed(now)}"
    verdict = Verdict.COMPATIBLE if finding.verdict is Verdict.AHEAD else finding.verdict
    return Finding(verdict, finding.error, (*finding.notes, note), finding.waits)


def _listed(waits: set[tuple[str, str]]) -> str:
    return " and ".join(f"{kind} {name}" for kind, name in sorted(waits)) or "nothing of that sort"


# Telling


def _reason(finding: Finding) -> list[str]:
    """What there is to say of a finding, one thing a line."""
    error = finding.error
    if isinstance(error, NonDeterminismError) and "recorded" in error.facts:
        said = [
            f"entry {error.facts['index']}",
            f"  recorded: {error.facts['recorded']}",
            f"  now:      {error.facts['asked']}",
        ]
    elif isinstance(error, Agnt5Error):
        said = [f"[{error.code}] {error.what}"]
    elif error is not None:
        said = [f"{type(error).__name__}: {lines(failures.message_of(error))[0]}"]
    else:
        said = []
    if error is not None and finding.verdict is Verdict.FAILS and not isinstance(error, RunBlockedError):
        place = place_of(failures.write(error).traceback)
        said += [f"  raised at {place}"] if place else []
    return [*said, *finding.notes]


def _document(checked: list[Checked], counts: Counter[Verdict], *, is_fit: bool) -> dict[str, Any]:
    return {
        "fit": is_fit,
        "summary": {verdict.value: counts[verdict] for verdict in Verdict},
        "missing": sorted({each.run.component for each in checked if each.finding.verdict is Verdict.MISSING}),
        "runs": [_run_document(each) for each in checked],
    }


def _run_document(each: Checked) -> dict[str, Any]:
    error = each.finding.error
    facts = error.facts if isinstance(error, NonDeterminismError) else {}
    return {
        "id": each.run.id,
        "component": each.run.component,
        "status": each.run.status.value,
        "verdict": each.finding.verdict.value,
        "error": None if error is None else f"{type(error).__name__}: {failures.message_of(error)}",
        "index": facts.get("index"),
        "recorded": facts.get("recorded"),
        "asked": facts.get("asked"),
        "notes": list(each.finding.notes),
    }


def _draw(checked: list[Checked], counts: Counter[Verdict]) -> None:
    console = terminal()
    widths = [max((len(part) for part in parts), default=0) for parts in zip(*map(_columns, checked), strict=True)]
    for each in checked:
        style = _STYLES.get(each.finding.verdict, "")
        text = Text("  ").join(
            Text(f"{part:<{width}}", style if place == 3 else "")
            for place, (part, width) in enumerate(zip(_columns(each), widths, strict=True))
        )
        text.rstrip()
        console.print(text, soft_wrap=True)
        for line in _reason(each.finding):
            console.print(Text(f"    {one_line(without_folders(line))}", style or "dim"), soft_wrap=True)
    summary = ", ".join(f"{counts[verdict]} {said}" for verdict, said in _SAID.items() if counts[verdict])
    number = f"{len(checked)} run{'s' * (len(checked) > 1)} in flight"
    console.print(f"{number}: {summary}" if checked else "no runs in flight", soft_wrap=True)


def _columns(each: Checked) -> tuple[str, str, str, str]:
    run = each.run
    return run.id, one_line(run.component), run.status.value, _SAID[each.finding.verdict]
