"""The marks that drawings use, for terminals with and without Unicode, and the terminal itself."""

import os
import sys
from typing import Final

from msgspec import Struct
from rich.console import Console

from agnt5.cli.story import How
from agnt5.core.model.run import Status

PIPED_WIDTH: Final = 120  # Where there is no terminal to ask; arbitrary.
WIDTH_MIN: Final = 50  # A drawing is never narrower; a terminal that is wraps it.


class Symbols(Struct, frozen=True):
    """One set of marks, each of one column but the arrow."""

    how: dict[How, str]
    arrow: str
    bar: str
    gap: str
    point: str
    cut: str


UNICODE: Final = Symbols(
    {How.DONE: "✓", How.FAILED: "✗", How.CANCELLED: "⊘", How.OPEN: "…", How.NOTED: "·"}, "→", "━", "┄", "•", "…"
)
ASCII: Final = Symbols(
    {How.DONE: "+", How.FAILED: "x", How.CANCELLED: "-", How.OPEN: "~", How.NOTED: "."}, "->", "=", "-", "*", "..."
)
STYLES: Final = {
    How.DONE: "green",
    How.FAILED: "red",
    How.CANCELLED: "yellow",
    How.OPEN: "cyan",
    How.NOTED: "dim",
}
HOW_OF_STATUS: Final = {
    Status.QUEUED: How.OPEN,
    Status.RUNNING: How.OPEN,
    Status.SUSPENDED: How.OPEN,
    Status.BLOCKED: How.FAILED,
    Status.COMPLETED: How.DONE,
    Status.FAILED: How.FAILED,
    Status.CANCELLED: How.CANCELLED,
}


def terminal() -> Console:
    """Where data is drawn: stdout, in colour and at its width if it is a terminal."""
    console = Console(highlight=False, markup=False, emoji=False, file=sys.stdout)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = PIPED_WIDTH
    return console


def width_of(console: Console) -> int:
    """How many columns a drawing may take."""
    return max(console.width, WIDTH_MIN)


def symbols_for(console: Console) -> Symbols:
    """The marks that the terminal can show."""
    return ASCII if console.options.ascii_only else UNICODE
