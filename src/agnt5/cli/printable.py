"""Text from journals and users made fit for a terminal: whatever it holds is shown, never obeyed.

A control character in a name or a message could move the cursor, recolour the screen or forge a
line. Each that isn't printable is shown as its escape.
"""

import json
import re
from typing import Any, Final

_ESCAPED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ASCII: Final = re.compile(r"[ -~]*")


def one_line(text: str) -> str:
    """The text in one line of printable characters."""
    if _ASCII.fullmatch(text):
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def lines(text: str) -> list[str]:
    """The lines of the text, each printable; tabs, which tracebacks may hold, become spaces."""
    return [one_line(line.expandtabs(4)) for line in text.split("\n")]


def _escape(character: str) -> str:
    known = _ESCAPED.get(character)
    if known is not None:
        return known
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def json_text(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON text; what isn't printable in it is escaped as JSON escapes it."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if _ASCII.fullmatch(text):
        return text
    # Outside of its strings JSON holds nothing unprintable but the line ends of the indentation.
    return "".join(_json_escape(character) for character in text)


def _json_escape(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    if character == "\x7f":
        return "\\u007f"  # ASCII to json.dumps, which leaves it as it is.
    return json.dumps(character)[1:-1]


def cut(text: str, chars_max: int) -> str:
    """The text, or its beginning and a mark that something is missing."""
    if len(text) <= chars_max:
        return text
    return text[: max(chars_max - 1, 0)] + "…"
