"""Pydantic's validation errors, taken apart and made again: they have no constructor of the usual sort."""

import sys
from typing import Any, Final

from agnt5.core.model.errors import UnserializableValue
from agnt5.sdk import serde

_RAISED: Final = {"value_error": ValueError, "assertion_error": AssertionError}  # By a validator of the user's.


def is_validation_error(cls: type) -> bool:
    """Whether the class is pydantic's `ValidationError`. Pydantic is never imported for the question."""
    core = sys.modules.get("pydantic_core")
    return core is not None and issubclass(cls, core.ValidationError)


def parts_of(error: Any) -> bytes:
    """What it takes to make the error again."""
    lines = [_written(line) for line in error.errors(include_url=False)]
    return serde.encode({"title": error.title, "errors": lines})


def _written(line: dict[str, Any]) -> dict[str, Any]:
    written = {"type": line["type"], "loc": line["loc"], "input": _journaled(line["input"])}
    if "ctx" in line:
        # An exception that a validator raised is known by what it said.
        written["ctx"] = {
            name: str(value) if isinstance(value, Exception) else _journaled(value)
            for name, value in line["ctx"].items()
        }
    return written


def _journaled(value: Any) -> Any:
    """The value, or how it looks where it can't be journaled: it is there for people."""
    try:
        serde.encode(value)
    except UnserializableValue:
        return repr(value)
    return value


def make(cls: Any, text: bytes) -> Exception:
    """The error that `parts_of` took apart."""
    parts = serde.decode(text)
    for line in parts["errors"]:
        raised = _RAISED.get(line["type"])
        if raised is not None:
            line["ctx"]["error"] = raised(line["ctx"]["error"])
    made: Exception = cls.from_exception_data(parts["title"], parts["errors"])
    return made
