"""How exceptions are written down and made again: of their own type, where that is known here.

The type is looked up among the loaded modules, never imported. An exception is made again
without running its `__init__`, which may ask for anything; what it needs is in `args` and in its
attributes. What of these can't be journaled, such as the response that an HTTP client's exception
holds, is left out: its type is what the one who catches it goes by. An exception that can't be
made so becomes a `RemoteError` that says what it was.
"""

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from agnt5.core.model import errors
from agnt5.core.model.errors import Agnt5Error, RemoteError
from agnt5.core.model.failures import MESSAGE_CHARS_MAX, TRACEBACK_CHARS_MAX, clip
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.retry import name_of_type
from agnt5.core.model.run import Failure
from agnt5.sdk import serde, validation

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
    attributes: dict[str, msgspec.Raw] = {}
    message: str = ""
    group: tuple[Failure, ...] = ()


def _parts(error: BaseException) -> _Data:
    if isinstance(error, Agnt5Error) and vars(errors).get(type(error).__name__) is type(error):
        # One of our own, and not of a user's class under it.
        return _Data(parts=msgspec.Raw(serde.encode(error.parts())))
    if isinstance(error, BaseExceptionGroup):
        return _Data(message=error.message, group=tuple(write(inner) for inner in error.exceptions))
    if validation.is_validation_error(type(error)):
        return _Data(parts=msgspec.Raw(validation.parts_of(error)))
    args, attributes = _content(error)
    try:
        text = serde.encode(args)
    except Exception:  # What the user put into their exception.
        text = serde.encode([message_of(error)])
    written = {}
    for name, value in attributes.items():
        with suppress(Exception):  # Likewise.
            written[name] = msgspec.Raw(serde.encode(value))
    return _Data(args=msgspec.Raw(text), attributes=written)


def _content(error: BaseException) -> tuple[list[Any], dict[str, Any]]:
    """Its arguments and attributes. Some builtins keep a part of theirs, such as a file name, elsewhere."""
    args, attributes = error.args, dict(vars(error))
    if not hasattr(type(error).__reduce__, "__code__"):
        reduced: Any = error.__reduce__()
        if reduced[0] is type(error):
            args = reduced[1]
            attributes = (reduced[2] if len(reduced) > 2 else None) or attributes
    return list(args), attributes


def read(failure: Failure) -> BaseException:
    """The exception that was written, with where it came from as its cause."""
    error = _make(failure)
    if failure.traceback:
        # Past what the class makes of setting attributes: it may be frozen.
        BaseException.__setattr__(error, "__cause__", OriginalTraceback(failure.traceback))
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
    if data.parts is not NOTHING and validation.is_validation_error(cls):
        return validation.make(cls, bytes(data.parts))
    if data.parts is not NOTHING:
        assert issubclass(cls, Agnt5Error), "only our own errors are written in parts"
        return cls.from_parts(serde.decode(data.parts))
    if data.group:
        assert issubclass(cls, BaseExceptionGroup), "only a group has members"
        return cls(data.message, [read(inner) for inner in data.group])
    args = serde.decode(data.args)
    error = cls.__new__(cls, *args)
    _builtin_init(cls)(error, *args)
    attributes = {name: serde.decode(raw) for name, raw in data.attributes.items()}
    try:
        BaseException.__setstate__(error, attributes)
    except AttributeError:  # A property of its class, or a frozen one.
        vars(error).update(attributes)
    return error


def _builtin_init(cls: type[BaseException]) -> Callable[..., None]:
    """The first `__init__` among its bases that isn't written in Python, where it may take anything."""
    inits = (vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base))
    init: Callable[..., None] = next(init for init in inits if not hasattr(init, "__code__"))
    return init


def find_type(name: str) -> type[BaseException] | None:
    """The exception type of this name among the loaded modules, or None."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        # Not by getattr, at which a module or class may do anything, such as to import.
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None
