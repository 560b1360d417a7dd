"""Payloads of a journal as plain JSON values, for people and for programs that know nothing of agnt5.

The journal writes what JSON doesn't know as objects with one member such as `$set` or `$decimal`.
Here they become what other programs would write: lists, texts, numbers.
"""

import json
from typing import Any, Final

import msgspec
from msgspec import Raw

from agnt5.cli.printable import one_line
from agnt5.core.model.payload import NOTHING

_LISTS: Final = frozenset({"$set", "$frozenset", "$tuple", "$complex"})
_AS_THEY_ARE: Final = frozenset(
    {"$date", "$time", "$decimal", "$uuid", "$path", "$bytes", "$bytearray", "$float", "$text", "$plain"}
)


def plain(payload: Raw) -> Any:
    """The value of a payload; None where there is none."""
    return None if payload is NOTHING or not bytes(payload) else _plain(msgspec.json.decode(payload))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(name, content)] = value.items()
        if name.startswith("$"):
            return _untagged(name, content)
    return {key: _plain(item) for key, item in value.items()}


def _untagged(name: str, content: Any) -> Any:
    if name in _AS_THEY_ARE:
        return content
    if name in _LISTS:
        return [_plain(item) for item in content]
    if name == "$object":
        return _plain(content[1])
    if name == "$enum":
        return _plain(content[1]["value"]) if isinstance(content[1], dict) else content[1]
    if name == "$map":
        return [[_plain(key), _plain(item)] for key, item in content]
    if name == "$datetime":
        return content if isinstance(content, str) else content[0] + (f"[{content[1]}]" if content[1] else "")
    if name == "$timedelta":
        days, seconds, microseconds = content
        return days * 86_400 + seconds + microseconds / 1_000_000
    return {name: _plain(content)}  # Of a later version.


def shown(payload: Raw) -> str:
    """The value in one printable line."""
    return shown_value(plain(payload))


def shown_value(value: Any) -> str:
    """A plain value in one printable line."""
    return one_line(json.dumps(value, ensure_ascii=False))


def shown_arguments(payload: Raw) -> str:
    """The input of a run or step, as one would write the call."""
    value = plain(payload)
    if not isinstance(value, dict):
        return "" if value is None else shown_value(value)
    parts = []
    for name, item in value.items():
        if name == "*" and isinstance(item, list):
            parts += [shown_value(each) for each in item]
        elif name == "**" and isinstance(item, dict):
            parts += [f"{one_line(key)}={shown_value(each)}" for key, each in item.items()]
        else:
            parts.append(f"{one_line(name)}={shown_value(item)}")
    return ", ".join(parts)
