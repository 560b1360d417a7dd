"""How exceptions are written down and made again: of their own type, where that is known here.

The type is looked up among the loaded modules, never imported. An exception is made again
without running its `__init__`, which may ask for anything; what it needs is in `args` and in its
attributes. One that can't be made so becomes a `RemoteError` that says what it was.
"""

import sys
import traceback
from typing import Any, Final

import msgspec

from agnt5.core.model.errors import Agnt5Error, RemoteError
from agnt5.core.model.failures import MESSAGE_CHARS_MAX, TRACEBACK_CHARS_MAX, clip
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.retry import name_of_type
from agnt5.core.model.run import Failure
from agnt5.sdk import serde

_json: Final = msgspec.json.Encoder()


class OriginalTraceback(Exception):
    """Where an exception came from, in a step, another run or another process, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def write(error: BaseException) -> Failure:
    """The exception as it goes into a journal."""
    return Failure(
        type=name_of_type(type(error)),
        message=clip(message_of(error), MESSAGE_CHARS_MAX),
        data=_data(error),
        traceback=clip(_format(error), TRACEBACK_CHARS_MAX),
    )


def message_of(error: BaseException) -> str:
    """What `str` makes of the exception, or why it can't."""
    try:
        return str(error).encode("utf-8", "backslashreplace").decode()
    except Exception as broken:  # The user's own __str__.
        return f"<its __str__ raised {type(broken).__name__}>"


def _format(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as broken:  # The user's own __str__ or __repr__.
        return f"<the traceback can't be formatted: {type(broken).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()


def _data(error: BaseException) -> msgspec.Raw:
    try:
        return msgspec.Raw(_json.encode(_parts(error)))
    except Exception:  # What the user put into their exception; what it said is kept in any case.
        return NOTHING


class _Data(msgspec.Struct, frozen=True, omit_defaults=True):
    """What it takes to make an exception again; which of it, depends on the exception."""

    parts: msgspec.Raw = NOTHING
    args: msgspec.Raw = NOTHING
    attributes: msgspec.Raw = NOTHING
    message: str = ""
    group: tuple[Failure, ...] = ()


def _parts(error: BaseException) -> _Data:
    if isinstance(error, Agnt5Error):
        return _Data(parts=msgspec.Raw(serde.encode(error.parts())))
    if isinstance(error, BaseExceptionGroup):
        return _Data(message=error.message, group=tuple(write(inner) for inner in error.exceptions))
    attributes = {name: value for name, value in vars(error).items() if not name.startswith("__")}
    return _Data(
        args=msgspec.Raw(serde.encode(list(error.args))),
        attributes=msgspec.Raw(serde.encode(attributes)) if attributes else NOTHING,
    )


def read(failure: Failure) -> BaseException:
    """The exception that was written, with where it came from as its cause."""
    error = _make(failure)
    if failure.traceback:
        error.__cause__ = OriginalTraceback(failure.traceback)
    return error


def _make(failure: Failure) -> BaseException:
    cls = find_type(failure.type)
    if cls is None or failure.data is NOTHING:
        return _remote(failure)
    try:
        return _rebuild(cls, msgspec.json.decode(failure.data, type=_Data))
    except Exception:  # The class has changed, or asks for more than was written.
        return _remote(failure)


def _remote(failure: Failure) -> RemoteError:
    return RemoteError(failure.type.rpartition(":")[2], failure.message)


def _rebuild(cls: type[BaseException], data: _Data) -> BaseException:
    if data.parts is not NOTHING:
        assert issubclass(cls, Agnt5Error), "only our own errors are written in parts"
        return cls.from_parts(serde.decode(data.parts))
    if data.group:
        assert issubclass(cls, BaseExceptionGroup), "only a group has members"
        return cls(data.message, [read(inner) for inner in data.group])
    args = serde.decode(data.args)
    if _has_own_init(cls):
        error = cls.__new__(cls, *args)
        error.args = tuple(args)
    else:
        error = cls(*args)
    if data.attributes is not NOTHING:
        vars(error).update(serde.decode(data.attributes))
    return error


def _has_own_init(cls: type[BaseException]) -> bool:
    """Whether the class's `__init__` is written in Python, and so may take anything."""
    return hasattr(cls.__init__, "__code__")


def find_type(name: str) -> type[BaseException] | None:
    """The exception type of this name among the loaded modules, or None."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None
