"""The head of a drawn run: which run it is, how it stands, and what it took and gave."""

from textwrap import wrap
from typing import Final

from rich.text import Text

from agnt5.cli.journal import Record
from agnt5.cli.plain import shown, shown_arguments
from agnt5.cli.printable import lines, one_line
from agnt5.cli.symbols import HOW_OF_STATUS, STYLES, Symbols
from agnt5.cli.times import lasted, moment
from agnt5.core.journal.entry import Ended, Started
from agnt5.core.model.run import Failure, Run

_LABEL: Final = 9
_PROMPT_US: Final = 10_000  # A start within 10 ms isn't worth a word.
_ERROR_LINES_MAX: Final = 12  # Of the header; `--json` has them all.


def header(record: Record, now_us: int, width: int, symbols: Symbols) -> list[Text]:
    """The head, line by line."""
    run = record.run
    how = HOW_OF_STATUS[run.status]
    title = Text.assemble(
        (f"{symbols.how[how]} ", STYLES[how]), (one_line(run.component), "bold"), (f" {run.status.value}", STYLES[how])
    )
    if title.cell_len + 2 + len(run.id) <= width:
        title.pad_right(width - title.cell_len - len(run.id))
        title.append(run.id, "bold")
        drawn = [title]
    else:
        drawn = [title, Text(f"  {run.id}", "bold")]
    for label, said, style in _facts(record, now_us):
        drawn += _labelled(label, said, style, width, symbols)
    return drawn


def _facts(record: Record, now_us: int) -> list[tuple[str, list[str], str]]:
    run, first, last = record.run, record.entries[0].body, record.entries[-1].body
    facts = [("time", [_times(run, now_us)], ""), ("attempt", [_attempt(run)], "")]
    if run.tags:
        facts.append(("tags", [one_line(", ".join(run.tags))], ""))
    if run.idempotency_key:
        facts.append(("key", [one_line(run.idempotency_key)], ""))
    if run.link is not None:
        facts.append(("parent", [run.link.run], ""))
    if run.origin is not None:
        facts.append(("origin", [f"{run.origin.how} of {run.origin.run}"], ""))
    if isinstance(first, Started):
        facts.append(("input", [shown_arguments(first.input) or "none"], ""))
    if isinstance(last, Ended) and last.error is not None:
        facts.append(("error", _error(last.error), "red"))
    elif isinstance(last, Ended) and bytes(last.result):
        facts.append(("result", [shown(last.result)], ""))
    if run.waiting.blocked is not None:
        facts.append(("blocked", _error(run.waiting.blocked), "red"))
    return facts


def _times(run: Run, now_us: int) -> str:
    said = moment(run.created_at)
    if run.started_at - run.created_at > _PROMPT_US:
        said += f", started after {lasted(run.started_at - run.created_at)}"
    if run.ended_at:
        return f"{said}, took {lasted(run.ended_at - run.created_at)}"
    return f"{said}, {lasted(now_us - run.created_at)} old"


def _attempt(run: Run) -> str:
    said = str(run.attempt)
    if run.generation > 1:
        said += f" of generation {run.generation}"
    if run.epoch > 1:
        said += f", taken up {run.epoch} times"
    if run.is_cancel_requested:
        said += ", cancel requested"
    return said


def _error(failure: Failure) -> list[str]:
    name = failure.type.rpartition(":")[2]
    first, *rest = lines(failure.message)
    return [first if first.startswith("[AGNT5-") else f"{name}: {first}" if first else name, *rest]


def _labelled(label: str, said: list[str], style: str, width: int, symbols: Symbols) -> list[Text]:
    room = width - _LABEL - 2
    if style:
        said = [part for line in said for part in _wrapped(line, room)]
    if len(said) > _ERROR_LINES_MAX:
        said = [*said[:_ERROR_LINES_MAX], symbols.cut]
    drawn = []
    for number, line in enumerate(said):
        text = Text.assemble((f"  {label if number == 0 else '':<{_LABEL}}", "dim"), (line, style))
        if text.cell_len > width:
            text.truncate(width - len(symbols.cut))
            text.append(symbols.cut)
        drawn.append(text)
    return drawn


def _wrapped(line: str, room: int) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    return wrap(line, room, subsequent_indent=f"{indent}  ", break_on_hyphens=False) or [""]
