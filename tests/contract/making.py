"""Makes what stores keep: runs, entries and batches, with only what a test is about spelled out."""

from typing import Any

from msgspec import Raw

from agnt5.core.journal.entry import Body, Entry, Kind, Outcome, Started
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.model.run import Run
from agnt5.store.port import Batch


def run_id(number: int) -> RunId:
    """An id; ids sort as their numbers do."""
    return RunId(f"{number:032x}")


def run(number: int, **facts: Any) -> Run:
    """The record of a run."""
    return Run(id=run_id(number), component=facts.pop("component", "checkout"), **facts)


def batch(**parts: Any) -> Batch:
    """A batch that holds these parts and nothing else."""
    names = Batch.__struct_fields__
    return Batch(**{name: parts.pop(name, []) for name in names}, **parts)


def started(text: str = "1") -> Started:
    """The first entry of a journal."""
    return Started("checkout", Raw(text.encode()))


def outcome(op: int = 0, result: str = "null") -> Outcome:
    """What a step came to."""
    return Outcome(op, OperationKey(f"key-{op}"), Kind.STEP, "charge", result=Raw(result.encode()))


def journal(number: int, *bodies: Body, first: int = 0, at: int = 1_000) -> list[tuple[RunId, Entry]]:
    """Entries of a run, one microsecond apart."""
    return [(run_id(number), Entry(first + place, at + first + place, body)) for place, body in enumerate(bodies)]
