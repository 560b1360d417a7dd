"""Draws a list of runs as a table."""

from typing import Final

from rich.text import Text

from agnt5.cli.journal import Listed
from agnt5.cli.printable import lines, one_line
from agnt5.cli.symbols import HOW_OF_STATUS, STYLES, Symbols
from agnt5.cli.times import ago, lasted
from agnt5.cli.waits import waits
from agnt5.core.model.ids import RUN_ID_CHARS
from agnt5.core.model.run import Run

_ID_MIN: Final = 16  # Time and four digits of chance; more where two runs in the list need it.
_WIDE: Final = 120  # From here on ids are shown in full.
_COLUMN_MAX: Final = 32  # Of all columns but the last.
_HEADINGS: Final = ("run", "status", "component", "created", "took", "note")


def draw_list(listed: list[Listed], *, now_us: int, width: int, symbols: Symbols) -> list[Text]:
    """The runs, one a line, under a line of headings."""
    if not listed:
        return []
    id_width = RUN_ID_CHARS if width >= _WIDE else _id_width([each.run for each in listed])
    rows = [_HEADINGS, *(_cells(each, id_width, now_us, symbols) for each in listed)]
    columns = [min(max(Text(row[place]).cell_len for row in rows), _COLUMN_MAX) for place in range(len(_HEADINGS) - 1)]
    drawn = [_row(row, columns, width, symbols) for row in rows]
    drawn[0].stylize("dim")
    for text, each in zip(drawn[1:], listed, strict=True):
        text.stylize(STYLES[HOW_OF_STATUS[each.run.status]], columns[0] + 2, columns[0] + 2 + columns[1])
    return drawn


def _cells(each: Listed, id_width: int, now_us: int, symbols: Symbols) -> tuple[str, ...]:
    run = each.run
    return (
        run.id[:id_width],
        f"{symbols.how[HOW_OF_STATUS[run.status]]} {run.status.value}",
        one_line(run.component),
        ago(now_us - run.created_at),
        lasted(run.ended_at - run.created_at) if run.ended_at else "",
        _note(each, now_us),
    )


def _id_width(runs: list[Run]) -> int:
    """How many digits tell these runs apart."""
    for digits in range(_ID_MIN, RUN_ID_CHARS):
        if len({run.id[:digits] for run in runs}) == len(runs):
            return digits
    return RUN_ID_CHARS


def _row(cells: tuple[str, ...], columns: list[int], width: int, symbols: Symbols) -> Text:
    text = Text()
    for cell, column in zip(cells, columns, strict=False):
        part = Text(cell)
        if part.cell_len > column:
            part.truncate(column - len(symbols.cut))
            part.append(symbols.cut)
        part.pad_right(max(column - part.cell_len, 0))
        text.append_text(part).append("  ")
    text.append(cells[-1])
    text.rstrip()
    if text.cell_len > width:
        text.truncate(width - len(symbols.cut))
        text.append(symbols.cut)
    return text


def _note(each: Listed, now_us: int) -> str:
    run = each.run
    parts = []
    if each.ended is not None and each.ended.error is not None:
        error = each.ended.error
        parts.append(f"{error.type.rpartition(':')[2]}: {lines(error.message)[0]}")
    elif run.waiting.blocked is not None:
        parts.append(lines(run.waiting.blocked.message)[0])
    else:
        parts += [one_line(f"{line.label} {line.name}") for line in waits(run, now_us)[:1] if line.label != "running"]
    if run.attempt > 1:
        parts.append(f"attempt {run.attempt}")
    if run.link is not None:
        parts.append(f"child of {run.link.run[:_ID_MIN]}")
    if run.tags:
        parts.append(one_line(", ".join(run.tags)))
    return "; ".join(parts)
