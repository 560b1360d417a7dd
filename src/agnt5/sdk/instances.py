"""How instances of the user's own classes are taken apart into their fields, and made again as they were.

Neither `__init__` nor validation nor `__post_init__` is run again: what they do was done when the
value was first made. A field that a class got since takes its default.
"""

import sys
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Final

import msgspec

from agnt5.core.model.errors import InvalidInput
from agnt5.sdk.usertypes import is_model, is_named_tuple

BUILTINS: Final = (dict, list, set, tuple, str, int, float, bytes)
Parts = list[dict[str, Any]]  # The fields; then, of some, what an instance holds beside them.


def taker(cls: type) -> Callable[[Any], Parts] | None:
    """What takes an instance of this class apart; None where nothing does."""
    if is_dataclass(cls):
        # What it holds as a list or a dict is in no field.
        return None if issubclass(cls, BUILTINS) else _take_dataclass
    if issubclass(cls, msgspec.Struct):
        return _take_struct
    if is_model(cls):
        return _take_model
    if is_named_tuple(cls):
        return _take_named_tuple
    return None


def _take_dataclass(value: Any) -> Parts:
    values = {field.name: getattr(value, field.name) for field in fields(value) if hasattr(value, field.name)}
    extra = getattr(value, "__dict__", {}).keys() - values.keys()
    # Attributes that are no fields are kept too: left out, they would be missing after a replay.
    return [values | {key: value.__dict__[key] for key in sorted(extra)}]


def _take_struct(value: Any) -> Parts:
    return [msgspec.structs.asdict(value) | getattr(value, "__dict__", {})]


def _take_model(value: Any) -> Parts:
    values, state = dict(value.__dict__), value.__getstate__()
    rest = {"extra": state.get("__pydantic_extra__"), "private": state.get("__pydantic_private__")}
    rest = {key: part for key, part in rest.items() if part is not None}
    if state["__pydantic_fields_set__"] != values.keys():
        rest["set"] = sorted(state["__pydantic_fields_set__"])
    return [values, rest] if rest else [values]


def dump_field(cls: Any, name: str, item: Any) -> Any:
    """What a field of a model holds, as plain JSON values, where it is of a type that only pydantic knows.

    Raises:
        TypeError: It would not come back as it was, or the field is none of the class's.
    """
    adapter = _adapter(cls, name)
    dumped = adapter.dump_python(item, mode="json")
    again = adapter.validate_python(dumped)
    if type(again) is not type(item) or again != item:
        raise TypeError(f"{name!r} of {cls.__qualname__!r} doesn't come back from JSON as it was")
    return dumped


class Dumped:
    """The stored content of such a field, before its class has read it."""

    def __init__(self, content: Any) -> None:
        self.content = content


def _adapter(cls: Any, name: str) -> Any:
    pydantic: Any = sys.modules["pydantic"]  # Loaded, since one of its models is at hand.
    field = cls.model_fields.get(name)
    if field is None:
        raise TypeError(f"{cls.__qualname__!r} has no field {name!r}")
    return pydantic.TypeAdapter(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation)


def _take_named_tuple(value: Any) -> Parts:
    return [value._asdict()]


def make(cls: Any, values: dict[str, Any], rest: dict[str, Any] | None = None) -> Any:
    """An instance of a class with these fields.

    Raises:
        InvalidInput: A field is missing that has no default.
    """
    if is_dataclass(cls):
        return _make_dataclass(cls, values)
    if is_model(cls):
        return _make_model(cls, values, rest or {})
    if issubclass(cls, msgspec.Struct):
        return _make_struct(cls, values)
    return cls(**values)


def _make_model(cls: Any, values: dict[str, Any], rest: dict[str, Any]) -> Any:
    for name, item in values.items():
        if type(item) is Dumped:
            values[name] = _adapter(cls, name).validate_python(item.content)
    for name, field in cls.model_fields.items():
        if name in values:
            continue
        if field.is_required():
            raise _missing(cls, name)
        values[name] = field.get_default(call_default_factory=True)
    model = cls.__new__(cls)
    model.__setstate__(
        {
            "__dict__": values,
            "__pydantic_extra__": rest.get("extra"),
            "__pydantic_fields_set__": set(rest.get("set", values)),
            "__pydantic_private__": rest.get("private"),
        }
    )
    return model


def _make_struct(cls: Any, values: dict[str, Any]) -> Any:
    own = {name: values.pop(name) for name in cls.__struct_fields__ if name in values}
    instance = cls(**own)
    if hasattr(cls, "__post_init__"):
        # It has run when the value was first made, and may not be meant to run twice.
        for name, value in own.items():
            msgspec.structs.force_setattr(instance, name, value)
    if values:
        vars(instance).update(values)
    return instance


def _make_dataclass(cls: Any, values: dict[str, Any]) -> Any:
    instance = cls.__new__(cls)
    for field in fields(cls):
        if field.name in values:
            continue
        if field.default is not MISSING:
            values[field.name] = field.default
        elif field.default_factory is not MISSING:
            values[field.name] = field.default_factory()
        elif field.init:
            raise _missing(cls, field.name)
    for name, value in values.items():
        object.__setattr__(instance, name, value)
    return instance


def _missing(cls: type, name: str) -> InvalidInput:
    return InvalidInput(
        f"a stored {cls.__qualname__!r} has no {name!r}",
        why="the field was added without a default",
        fix=f"give {name!r} a default",
    )
