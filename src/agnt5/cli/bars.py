"""Bars that show when an operation worked and when it waited for its next attempt."""

from rich.text import Text

from agnt5.cli.story import Line
from agnt5.cli.symbols import STYLES, Symbols


class Bars:
    """Bars over the time of one run.

    Args:
        start: Of the run, in microseconds since the epoch.
        end: Likewise.
        width: Columns of a bar; 0 for none.
        symbols: What to draw with.
    """

    def __init__(self, start: int, end: int, width: int, symbols: Symbols) -> None:
        self.width = width
        self._start = start
        self._length = max(end - start, 1)
        self._symbols = symbols

    def of(self, line: Line) -> Text:
        """The bar of an operation; a point where only one moment is known."""
        cells = [" "] * self.width
        end = line.ended or (self._start + self._length if line.began else line.at)
        if line.began and end > line.began:
            self._paint(cells, line.began, end, self._symbols.gap if len(line.tries) > 1 else self._symbols.bar)
            for each in line.tries:
                self._paint(cells, each.began, each.ended, self._symbols.bar)
        else:
            cells[self._cell(line.at)] = self._symbols.point
        return Text("".join(cells), STYLES[line.how])

    def _paint(self, cells: list[str], began: int, ended: int, symbol: str) -> None:
        for cell in range(self._cell(began), self._cell(ended) + 1):
            cells[cell] = symbol

    def _cell(self, at: int) -> int:
        share = (at - self._start) / self._length
        return min(max(int(share * self.width), 0), self.width - 1)
