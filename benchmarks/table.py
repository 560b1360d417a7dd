"""Figures as a table that people read, and whether the bounds are met."""

from collections.abc import Iterable
from statistics import median

from benchmarks.runner import Measured
from benchmarks.workloads import DBOS, LANGGRAPH, LIMIT, OURS, STORE, Bound

HEADS = {OURS: "agnt5 (min-max)", LIMIT: "limit", STORE: "store alone", DBOS: "DBOS", LANGGRAPH: "LangGraph"}
COLUMNS = ("figure", *HEADS.values(), "ours ÷ limit", "bound", "")


def rows_of(measured: Measured) -> list[list[str]]:
    """A row for each figure of ours, and one more for each further bound on it."""
    rows = [[f"**{measured.workload.title}**", *[""] * (len(COLUMNS) - 1)]]
    for metric in measured.rounds[OURS][0]:
        found = {
            name: [figures[metric] for figures in rounds if metric in figures]
            for name, rounds in measured.rounds.items()
        }
        cells = [_with_range(found[OURS]), *(_median(found.get(name)) for name in list(HEADS)[1:])]
        compared = ratio(measured, metric, LIMIT)
        cells.append(f"{compared:.2f}" if compared is not None else "")
        bounds = [bound for bound in measured.workload.bounds if bound.metric == metric]
        rows.append([metric, *cells, *(_judged(measured, bounds[0]) if bounds else ("", ""))])
        rows.extend(["", *[""] * len(cells), *_judged(measured, bound)] for bound in bounds[1:])
    return rows


def ratio(measured: Measured, metric: str, other: str) -> float | None:
    """The median over the rounds of ours by the other's, each round by itself."""
    pairs = zip(measured.rounds[OURS], measured.rounds.get(other, ()), strict=False)
    found = [ours[metric] / theirs[metric] for ours, theirs in pairs if metric in ours and metric in theirs]
    return median(found) if found else None


def value_of(measured: Measured, bound: Bound) -> float:
    """The figure, or the ratio, that a bound is about."""
    value = (
        ratio(measured, bound.metric, bound.of)
        if bound.of is not None
        else median(figures[bound.metric] for figures in measured.rounds[OURS])
    )
    assert value is not None, "a bound is about something that is measured"
    return value


def markdown(rows: Iterable[list[str]]) -> str:
    """The table, aligned."""
    lines = [list(COLUMNS), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _judged(measured: Measured, bound: Bound) -> tuple[str, str]:
    return str(bound), "met" if bound.is_met(value_of(measured, bound)) else "**missed**"


def _with_range(values: list[float]) -> str:
    return f"{_number(median(values))} ({_number(min(values))}-{_number(max(values))})"


def _median(values: list[float] | None) -> str:
    return _number(median(values)) if values else ""


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
