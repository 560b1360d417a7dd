"""How user values are written: as JSON that says of each value what it was.

What JSON knows is written as it is, so that journals stay readable. Everything else is an object
with one member whose name begins with a dollar sign: `{"$set": [1, 2]}`, `{"$date": "2024-01-02"}`,
`{"$object": ["Order", {"id": 7}]}`. So a value comes back equal and of the same type whether or
not anything is annotated; only the user's own classes need an annotation that names them, since
nothing is ever looked up by what a journal says alone.

A value from outside (a JSON document that knows nothing of this) is wrapped as `{"$plain": …}`;
what reads it converts it by its annotation.
"""

import base64
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import repeat
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from agnt5.core.model.errors import InvalidInput, PayloadTooLarge, UnserializableValue
from agnt5.core.model.payload import PAYLOAD_BYTES_MAX
from agnt5.sdk.instances import BUILTINS, Dumped, dump_field, make, taker
from agnt5.sdk.usertypes import NO_TYPES, UserTypes, is_model

PLAIN: Final = b'{"$plain":'
DEPTH_MAX: Final = 200  # Well within Python's own recursion limit of 1,000.

_encoder: Final = msgspec.json.Encoder()
_canonical: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder()
_EXACT: Final = frozenset({str, int, bool, NoneType})
_EXACT_OR_FLOAT: Final = _EXACT | {float}


def encode(value: Any, types: UserTypes = NO_TYPES) -> bytes:
    """The value as JSON text.

    Args:
        value: Any value whose type round-trips.
        types: The classes of the user's that may occur in it.

    Raises:
        UnserializableValue: Something in it would not come back as it is.
        PayloadTooLarge: It takes more than `PAYLOAD_BYTES_MAX`.
    """
    try:
        text = _encoder.encode(value if _is_plain(value, 0) else _tag(value, types, 0))
    except UnicodeEncodeError:
        # A lone surrogate, somewhere: no UTF-8 holds it.
        text = _encoder.encode(_tag(value, types, 0))
    except RecursionError:
        raise _too_deep() from None
    if len(text) > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(
            f"a value takes {len(text):,} bytes, and {PAYLOAD_BYTES_MAX:,} is the most for one",
            why="every value is written to the journal and read again on replay",
            fix="store it elsewhere (a file, an object store, a table) and pass on where it is",
            payload_bytes=len(text),
            payload_bytes_max=PAYLOAD_BYTES_MAX,
        )
    return text


def canonical(text: bytes) -> bytes:
    """The same text for the same value, in whatever order the members of its objects came."""
    if b"{" not in text:
        return text
    return _canonical.encode(_in_order(_decoder.decode(text)))


def _in_order(value: Any) -> Any:
    """The same, with what stands for the items of a dict sorted, where they are written as a list."""
    if type(value) is list:
        return [_in_order(item) for item in value]
    if type(value) is not dict:
        return value
    ordered = {key: _in_order(item) for key, item in value.items()}
    if "$map" in ordered:
        ordered["$map"].sort(key=_canonical.encode)
    return ordered


def wrap_plain(document: bytes) -> bytes:
    """A JSON document from outside, to be converted by annotation where it is read."""
    return PLAIN + document + b"}"


def decode(text: bytes | msgspec.Raw, types: UserTypes = NO_TYPES) -> Any:
    """The value that `encode` wrote: equal, of the same type, and sharing nothing with it.

    Raises:
        InvalidInput: The text isn't ours, or names a class that `types` doesn't.
    """
    raw = text if type(text) is bytes else bytes(text)
    try:
        value = _decoder.decode(raw)
        return _untag(value, types) if b'"$' in raw else value
    except (msgspec.MsgspecError, LookupError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"a stored value can't be read: {type(error).__name__}: {error}",
            why="its class has changed since it was written, or the text isn't from agnt5",
            fix="keep the old fields readable: give new ones defaults, and keep the names of the old ones",
        ) from error


# Writing


def _is_plain(value: Any, depth: int) -> bool:
    """Whether JSON says of this value all there is to say, and it isn't nested too deeply."""
    kind = type(value)
    if kind in _EXACT:
        return True
    if kind is float:
        return isfinite(value)
    if depth > DEPTH_MAX:
        return False
    if kind is list:
        return _are_plain(value, depth + 1)
    if kind is dict:
        for key in value:
            if type(key) is not str or key[:1] == "$":
                return False
        return _are_plain(value.values(), depth + 1)
    return False


def _are_plain(values: Iterable[Any], depth: int) -> bool:
    # Types are looked at in one go, which for a long list is a tenth of looking at each item.
    kinds = set(map(type, values))
    if kinds <= _EXACT:
        return True
    if kinds <= _EXACT_OR_FLOAT:
        return all(isfinite(value) for value in values if type(value) is float)
    return all(map(_is_plain, values, repeat(depth)))


def _tag(value: Any, types: UserTypes, depth: int) -> Any:
    kind = type(value)
    if kind in _EXACT:
        return _tag_text(value) if kind is str else value
    if depth > DEPTH_MAX:
        raise _too_deep()
    container = _CONTAINERS.get(kind)
    if container is not None:
        return container(value, types, depth + 1)
    leaf = _LEAVES.get(kind)
    if leaf is not None:
        return leaf(value)
    return _tag_instance(value, types, depth + 1)


def _tag_text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$text": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}
    return value


def _tag_float(value: float) -> Any:
    return value if isfinite(value) else {"$float": str(value)}


def _tag_list(value: list[Any], types: UserTypes, depth: int) -> Any:
    return [_tag(item, types, depth) for item in value]


def _tag_tuple(value: tuple[Any, ...], types: UserTypes, depth: int) -> Any:
    return {"$tuple": [_tag(item, types, depth) for item in value]}


def _tag_set(value: set[Any] | frozenset[Any], types: UserTypes, depth: int) -> Any:
    # Sorted by their text: the order of a set differs from one process to the next, and arguments
    # are compared by their text.
    items = sorted((_tag(item, types, depth) for item in value), key=_encoder.encode)
    return {"$set" if type(value) is set else "$frozenset": items}


def _tag_dict(value: dict[Any, Any], types: UserTypes, depth: int) -> Any:
    # What isn't printable may be a lone surrogate, which needs a tag of its own.
    if all(type(key) is str and key[:1] != "$" and key.isprintable() for key in value):
        return {key: _tag(item, types, depth) for key, item in value.items()}
    return {"$map": [[_tag(key, types, depth), _tag(item, types, depth)] for key, item in value.items()]}


def _tag_datetime(value: datetime) -> Any:
    zone = value.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key is not None:
        return {"$datetime": [value.replace(tzinfo=None).isoformat(), zone.key, value.fold]}
    if zone is not None and type(zone) is not timezone:
        raise UnserializableValue(
            f"a datetime with the time zone {zone!r} doesn't come back as it is",
            why=f"{type(zone).__module__} keeps more in its zones than an offset or a name",
            fix="use zoneinfo.ZoneInfo or datetime.timezone",
        )
    return {"$datetime": [value.isoformat(), None, value.fold] if value.fold else value.isoformat()}


def _tag_time(value: time) -> Any:
    if value.tzinfo is not None and type(value.tzinfo) is not timezone:
        raise UnserializableValue(
            f"a time with the time zone {value.tzinfo!r} doesn't come back as it is",
            why="a zone without a date has no offset",
            fix="use a datetime, or a datetime.timezone",
        )
    return {"$time": [value.isoformat(), value.fold] if value.fold else value.isoformat()}


def _tag_instance(value: Any, types: UserTypes, depth: int) -> Any:
    cls = type(value)
    name = types.name_of(cls)
    if isinstance(value, Enum):
        return {"$enum": [name or _name_of_enum(cls), _tag_member(value, types, depth)]}
    take = taker(cls)
    if take is None:
        raise _unserializable(value)
    if name is None:
        raise UnserializableValue(
            f"no annotation names {cls.__qualname__!r}, so its instance can't come back from the journal",
            why="a class is made again only where the code says that it is expected",
            fix=f"annotate where it passes, as in `-> {cls.__name__}` or `item: {cls.__name__}`",
        )
    fields, *rest = take(value)
    tag = _tag_field if is_model(cls) else _tag_item
    parts = [{key: tag(cls, key, item, types, depth) for key, item in fields.items()}]
    parts += [{key: _tag(item, types, depth) for key, item in part.items()} for part in rest]
    return {"$object": [name, *parts]}


def _tag_item(cls: type, name: str, item: Any, types: UserTypes, depth: int) -> Any:
    return _tag(item, types, depth)


def _tag_field(cls: type, name: str, item: Any, types: UserTypes, depth: int) -> Any:
    """A field of a pydantic model may be of types that pydantic alone can write, such as a URL."""
    try:
        return _tag(item, types, depth)
    except UnserializableValue:
        with suppress(Exception):  # Whatever the user's own validators and serializers raise.
            return {"$field": _tag(dump_field(cls, name, item), types, depth)}
        raise


def _name_of_enum(cls: type) -> str:
    # Without an annotation an enum is found among the loaded modules, as an exception is.
    name = f"{cls.__module__}:{cls.__qualname__}"
    if _find_loaded(name) is not cls:
        raise UnserializableValue(
            f"no annotation names enum {cls.__qualname__!r}, and it isn't found in module {cls.__module__!r}",
            why="a class that is defined inside a function has no name to find it by",
            fix=f"annotate where it passes, as in `-> {cls.__name__}`, or define it at the top of its module",
        )
    return name


def _tag_member(value: Enum, types: UserTypes, depth: int) -> Any:
    # A combination of flags has no name of its own.
    if value.name in type(value).__members__:
        return value.name
    return {"value": _tag(value.value, types, depth)}


def _unserializable(value: Any) -> UnserializableValue:
    cls = type(value)
    builtin = next((base for base in BUILTINS if isinstance(value, base)), None)
    fix = f"pass {builtin.__name__}(value)" if builtin else "pass what it holds: JSON values, a dataclass, a model"
    return UnserializableValue(
        f"a value of type {cls.__module__}.{cls.__qualname__} doesn't come back from the journal as it is",
        why="only plain data is journaled, and nothing is pickled",
        fix=fix,
        type_name=cls.__qualname__,
    )


def _too_deep() -> UnserializableValue:
    return UnserializableValue(
        f"a value is nested deeper than {DEPTH_MAX} levels, or contains itself",
        why="the journal holds trees, of a bounded depth",
        fix="flatten it, or refer to the repeated part by a name",
    )


_Container = Callable[[Any, UserTypes, int], Any]
_CONTAINERS: Final[dict[type, _Container]] = {
    list: _tag_list,
    dict: _tag_dict,
    tuple: _tag_tuple,
    set: _tag_set,
    frozenset: _tag_set,
}
_LEAVES: Final[dict[type, Callable[[Any], Any]]] = {
    float: _tag_float,
    bytes: lambda value: {"$bytes": base64.b64encode(value).decode()},
    bytearray: lambda value: {"$bytearray": base64.b64encode(value).decode()},
    datetime: _tag_datetime,
    date: lambda value: {"$date": value.isoformat()},
    time: _tag_time,
    timedelta: lambda value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value: {"$decimal": str(value)},
    UUID: lambda value: {"$uuid": str(value)},
    complex: lambda value: {"$complex": [_tag_float(value.real), _tag_float(value.imag)]},
    type(Path()): lambda value: {"$path": str(value)},
    msgspec.UnsetType: lambda value: {"$unset": True},
}


# Reading


def _untag(value: Any, types: UserTypes) -> Any:
    if type(value) is list:
        return [_untag(item, types) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        [(name, content)] = value.items()
        if name[:1] == "$":
            return _untag_one(name, content, types)
    return {key: _untag(item, types) for key, item in value.items()}


def _untag_one(name: str, content: Any, types: UserTypes) -> Any:
    leaf = _READ_LEAVES.get(name)
    if leaf is not None:
        return leaf(content)
    if name == "$object":
        return _make_object(content, types)
    if name == "$enum":
        return _make_member(content, types)
    if name == "$field":
        return Dumped(_untag(content, types))
    if name == "$map":
        return {_untag(key, types): _untag(item, types) for key, item in content}
    if name == "$plain":
        return content
    return _READ_ITEMS[name](_untag(item, types) for item in content)


def _read_datetime(content: Any) -> datetime:
    if isinstance(content, str):
        return datetime.fromisoformat(content)
    text, zone, fold = content
    value = datetime.fromisoformat(text).replace(fold=fold)
    return value.replace(tzinfo=ZoneInfo(zone)) if zone else value


def _read_time(content: Any) -> time:
    if isinstance(content, str):
        return time.fromisoformat(content)
    text, fold = content
    return time.fromisoformat(text).replace(fold=fold)


def _make_object(content: list[Any], types: UserTypes) -> Any:
    name, fields_of, *rest = content
    # The class comes first: what its fields may hold is known by it.
    cls = _class_of(name, types)
    return make(cls, _untag_all(fields_of, types), *(_untag_all(part, types) for part in rest))


def _untag_all(values: dict[str, Any], types: UserTypes) -> dict[str, Any]:
    return {key: _untag(item, types) for key, item in values.items()}


def _class_of(name: str, types: UserTypes) -> Any:
    cls = types.class_of(name)
    if cls is None:
        raise InvalidInput(
            f"a stored value is a {name!r}, which no annotation names here",
            why="the annotation was changed, or the class was renamed",
            fix=f"name {name!r} in the annotation again",
        )
    return cls


def _make_member(content: list[Any], types: UserTypes) -> Enum:
    name, member = content
    cls: Any = types.class_of(name) or _loaded_enum(name)
    made: Enum = cls(_untag(member["value"], types)) if isinstance(member, dict) else cls[member]
    return made


def _find_loaded(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        # Not by getattr, at which a module or class may do anything, such as to import.
        found = getattr(found, "__dict__", {}).get(part)
    return found


def _loaded_enum(name: str) -> Any:
    found = _find_loaded(name)
    if not (isinstance(found, type) and issubclass(found, Enum)):
        raise InvalidInput(
            f"a stored value is a member of {name!r}, which isn't a loaded enum",
            why="the enum was renamed, moved, or defined inside a function",
            fix="annotate where the value passes, or import its module",
        )
    return found


_READ_LEAVES: Final[dict[str, Callable[[Any], Any]]] = {
    "$text": lambda content: base64.b64decode(content).decode("utf-8", "surrogatepass"),
    "$float": float,
    "$bytes": base64.b64decode,
    "$bytearray": lambda content: bytearray(base64.b64decode(content)),
    "$datetime": _read_datetime,
    "$date": date.fromisoformat,
    "$time": _read_time,
    "$timedelta": lambda content: timedelta(*content),
    "$decimal": Decimal,
    "$uuid": UUID,
    "$complex": lambda content: complex(*(float(part["$float"]) if type(part) is dict else part for part in content)),
    "$path": Path,
    "$unset": lambda content: msgspec.UNSET,
}
_READ_ITEMS: Final[dict[str, Callable[[Any], Any]]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
}
