"""Draws a run: a header that says where it is, then a timeline of its operations.

    index  offset  mark kind    name(arguments) → result          took  ━━━ bar    file:line
                                  what there is to say beyond that, one thing a line
"""

from typing import Final

from msgspec import Struct
from rich.text import Text

from agnt5.cli.bars import Bars
from agnt5.cli.header import header
from agnt5.cli.journal import Record
from agnt5.cli.plain import shown, shown_arguments
from agnt5.cli.printable import lines as printable_lines
from agnt5.cli.printable import one_line
from agnt5.cli.problems import place_of, users_part
from agnt5.cli.story import How, Line, Try, story
from agnt5.cli.symbols import STYLES, Symbols
from agnt5.cli.times import clock, lasted
from agnt5.cli.waits import AFTER, waits
from agnt5.core.journal.entry import Ended
from agnt5.core.model.run import Failure, Run

_LABEL: Final = 7  # Columns; the widest there is.
_BAR_FROM: Final = 100  # A narrower terminal has no room for bars.
_WHERE_MAX: Final = 32
_ERROR_MIN: Final = 30  # Columns that an error's message gets before its place does.


class Mark(Struct, frozen=True):
    """Something from outside the journal, at its place in the timeline.

    Attributes:
        at: Microseconds since the epoch.
    """

    at: int
    text: str


def draw(record: Record, *, now_us: int, width: int, symbols: Symbols, marks: tuple[Mark, ...] = ()) -> list[Text]:
    """The run as lines of text.

    Args:
        record: The run and its journal.
        now_us: The time, in microseconds since the epoch.
        width: How many columns there are.
        symbols: What the terminal can show.
        marks: What else to show in the timeline.
    """
    drawing = _Drawing(record, now_us, width, symbols)
    return [*header(record, now_us, width, symbols), Text(), *drawing.timeline(marks), *drawing.trail()]


class _Drawing:
    def __init__(self, record: Record, now_us: int, width: int, symbols: Symbols) -> None:
        self._record = record
        self._run: Run = record.run
        self._now = now_us
        self._width = width
        self._symbols = symbols
        self._origin = record.entries[0].at
        end = self._run.ended_at or now_us
        self._bars = Bars(self._origin, end, min(40, width // 5) if width >= _BAR_FROM else 0, symbols)
        self._lines = [*story(record.entries), *waits(self._run, now_us)]
        # Each column is as wide as what stands in it.
        self._index = max(3, len(str(record.entries[-1].index)))
        self._offset = max(len(self._offset_of(line)) for line in self._lines)
        self._took = max(len(_took(line)) for line in self._lines)
        self._where = min(max(len(_place(line.site)) for line in self._lines), _WHERE_MAX)
        self._indent = self._index + 1 + self._offset + 2 + 2

    def timeline(self, marks: tuple[Mark, ...]) -> list[Text]:
        left = sorted(marks, key=lambda mark: mark.at)
        drawn: list[Text] = []
        for line in self._lines:
            while left and left[0].at <= (line.began or line.at):
                drawn.append(self._mark(left.pop(0)))
            drawn += self._line(line)
        return drawn + [self._mark(mark) for mark in left]

    def _mark(self, mark: Mark) -> Text:
        text = Text.assemble(
            " " * (self._index + 1),
            (f"{lasted(mark.at - self._origin):>{self._offset}}  ! {one_line(mark.text)}", "bold yellow"),
        )
        return self._fitted(text, self._width)

    def _offset_of(self, line: Line) -> str:
        return "now" if line.index == AFTER else lasted((line.began or line.at) - self._origin)

    def _line(self, line: Line) -> list[Text]:
        is_now = line.index == AFTER
        text = Text(f"{'' if is_now else line.index:>{self._index}} {self._offset_of(line):>{self._offset}}  ", "dim")
        text.append(f"{self._symbols.how[line.how]} ", STYLES[line.how])
        text.append(f"{line.label:<{_LABEL}} ", "dim" if line.how is How.NOTED else "cyan")
        text.append(("  " if line.within else "") + one_line(self._name(line)), "" if line.how is How.NOTED else "bold")
        if line.label in _CALLS:
            text.append(f"({shown_arguments(line.args)})")
        beside = (self._where,) if is_now else (self._took, self._bars.width, self._where)
        room = self._width - sum(2 + part for part in beside if part)
        beneath = self._beneath(line)
        result = self._result(line)
        if text.cell_len + 1 + Text(result).cell_len <= room:
            text.append(f" {result}")
        elif result:
            beneath.append(Text(result))
        text = self._fitted(text, room, pad=True)
        if self._took and not is_now:
            text.append(f"  {_took(line):>{self._took}}", "dim")
        if self._bars.width and not is_now:
            text.append("  ").append_text(self._bars.of(line))
        text.append(f"  {_tail(_place(line.site), self._where, self._symbols)}", "dim")
        text.rstrip()
        return [text, *(self._fitted(Text(" " * self._indent).append_text(said), self._width) for said in beneath)]

    def _name(self, line: Line) -> str:
        if line.label in ("sleep", "timeout", "timer") and line.due:
            return f"until {clock(line.due, self._now)}"
        return line.name

    def _result(self, line: Line) -> str:
        if line.label == "submit" or not bytes(line.result) or line.how is How.OPEN:
            return ""
        value = shown(line.result)
        if value == "null" and line.label in (*_CALLS, "sleep", "end"):
            return ""
        return f"= {value}" if line.label == "state" else f"{self._symbols.arrow} {value}"

    # Beneath a line

    def _beneath(self, line: Line) -> list[Text]:
        said: list[Text] = []
        if len(line.tries) > 1 or (line.tries and line.how is How.OPEN):
            said += [self._try(each, line) for each in line.tries]
        elif line.error is not None and line.label != "end":  # Which the header has.
            said.append(self._with_error(Text(), line.error))
        if line.target and line.label in ("child", "submit", "result"):
            child = self._record.children.get(line.target)
            said.append(Text(f"run {line.target}" + (f", {child.status.value}" if child is not None else ""), "dim"))
        if line.how is How.CANCELLED and line.label != "end":
            said.append(Text("the body stopped waiting for it", "dim"))
        return said

    def _try(self, each: Try, line: Line) -> Text:
        how = How.FAILED if each.error is not None else line.how
        text = Text(f"attempt {each.number} ").append(self._symbols.how[how], STYLES[how])
        text.append(f" {lasted(each.ended - each.began)}", "dim")
        if each.retry_at:
            is_next = line.how is How.OPEN and line.tries[-1] is each
            after = f"after {lasted(each.retry_at - each.ended)}"
            text.append(f", again {f'at {clock(each.retry_at, self._now)}' if is_next else after}", "dim")
        return self._with_error(text.append("  "), each.error) if each.error is not None else text

    def _with_error(self, text: Text, error: Failure) -> Text:
        """The text with what an error says, and where it was raised behind it."""
        first = printable_lines(error.message)[0]
        name = error.type.rpartition(":")[2]
        place = _place(place_of(error.traceback).partition(" in ")[0])
        room = self._width - self._indent - text.cell_len
        if room - len(place) - 2 < _ERROR_MIN:
            place = ""  # What happened matters more than where.
        room -= len(place) + 2 if place else 0
        # Our own errors begin with their code, which says more than their type.
        said = Text(first if first.startswith("[AGNT5-") else f"{name}: {first}" if first else name, "red")
        text.append_text(self._fitted(said, room))
        return text.append(f"  {place}", "dim") if place else text

    # At the end

    def trail(self) -> list[Text]:
        """The traceback of a run that failed, or of what blocks it."""
        last = self._record.entries[-1].body
        failure = last.error if isinstance(last, Ended) else self._run.waiting.blocked
        if failure is None or not failure.traceback:
            return []
        lines = printable_lines(users_part(failure.traceback))
        return [Text(), *(self._fitted(Text(f"  {line}", "dim"), self._width) for line in lines)]

    def _fitted(self, text: Text, width: int, *, pad: bool = False) -> Text:
        if text.cell_len > width:
            text.truncate(max(width - len(self._symbols.cut), 0))
            text.append(self._symbols.cut)
        if pad:
            text.pad_right(max(width - text.cell_len, 0))
        return text


_CALLS: Final = ("step", "child", "submit", "start")  # Labels of what is called with arguments.


def _took(line: Line) -> str:
    return lasted(line.ended - line.began) if line.began and line.ended > line.began else ""


def _place(site: str) -> str:
    """File and line without the folders, which are the same all over a run."""
    return one_line(site.rpartition("/")[2])


def _tail(text: str, width: int, symbols: Symbols) -> str:
    # The end of a place tells more than its beginning.
    return text if len(text) <= width else symbols.cut + text[len(text) - width + len(symbols.cut) :]
