"""Which of the user's own classes an annotation names: only these are made again from a journal.

A journal names a class by its qualified name, and reading looks that name up among the classes
that the annotation leads to, and their subclasses. What a journal says never makes us import or
call anything that the code at hand doesn't name.
"""

import sys
import typing
from dataclasses import is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec


class UserTypes:
    """The classes that may cross a journal under one annotation."""

    __slots__ = ("_by_name", "_names")

    def __init__(self, classes: "dict[type, None] | None" = None) -> None:
        self._names: dict[type, str] = {}
        self._by_name: dict[str, type] = {}
        for cls in classes or ():
            self._add(cls, cls.__qualname__)

    def __bool__(self) -> bool:
        return bool(self._names)

    def __iter__(self) -> "typing.Iterator[type]":
        return iter(self._names)

    def name_of(self, cls: type) -> str | None:
        """Under which name an instance of this class is written; None if no annotation names it."""
        name = self._names.get(cls)
        if name is None and any(base in self._names for base in cls.__mro__[1:]):
            name = self._add_subclass(cls)
        return name

    def class_of(self, name: str) -> type | None:
        """The class of this name, or None where the annotation leads to none."""
        cls = self._by_name.get(name)
        if cls is None:
            for base in list(self._names):
                for sub in _subclasses(base):
                    if name == _full_name(sub):
                        self._add_subclass(sub)
                        return sub
        return cls

    def _add_subclass(self, cls: type) -> str:
        # Always by its full name: which other subclasses are loaded differs from process to process.
        name = self._add(cls, _full_name(cls))
        for other in user_types(cls):
            if other not in self._names:
                self._add(other, _full_name(other))
        return name

    def _add(self, cls: type, name: str) -> str:
        # Two classes of one name are told apart by their modules.
        if self._by_name.setdefault(name, cls) is not cls:
            name = _full_name(cls)
            self._by_name[name] = cls
        self._names[cls] = name
        return name


def user_types(*annotations: Any) -> UserTypes:
    """The classes of the user's that these annotations lead to, through containers and fields."""
    found: dict[type, None] = {}
    seen: dict[int, Any] = {}
    for annotation in annotations:
        _collect(annotation, found, seen)
    return UserTypes(found) if found else NO_TYPES


def is_model(cls: type) -> bool:
    """Whether the class is a pydantic model. Pydantic is never imported for the question."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def is_named_tuple(cls: type) -> bool:
    """Whether the class is a named tuple."""
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def is_user_type(cls: type) -> bool:
    """Whether instances of this class are written field by field, or by name."""
    return is_dataclass(cls) or issubclass(cls, Enum | msgspec.Struct) or is_named_tuple(cls) or is_model(cls)


def _collect(annotation: Any, found: dict[type, None], seen: dict[int, Any]) -> None:
    if id(annotation) in seen:
        return
    # Kept alive, too: another annotation might take the place of one that is gone, and its id.
    seen[id(annotation)] = annotation
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if is_user_type(annotation):
            found[annotation] = None
        if _has_fields(annotation):
            for hint in (*hints_of(annotation).values(), *_hints_of_model(annotation)):
                _collect(hint, found, seen)
        return
    for part in _parts(annotation):
        _collect(part, found, seen)


def _has_fields(cls: type) -> bool:
    return (is_user_type(cls) and not issubclass(cls, Enum)) or typing.is_typeddict(cls)


def _parts(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin is typing.Literal:
        return ()
    if origin is not None or isinstance(annotation, UnionType):
        return (origin, *get_args(annotation))
    if isinstance(annotation, typing.TypeVar):
        return (annotation.__bound__, *annotation.__constraints__)
    if isinstance(annotation, typing.NewType):
        return (annotation.__supertype__,)
    # `type X = ...`, which Python 3.11 doesn't know.
    return (annotation.__value__,) if type(annotation).__name__ == "TypeAliasType" else ()


def hints_of(cls: type, localns: dict[str, Any] | None = None) -> dict[str, Any]:
    """The annotations of a class's fields, as far as their names can be resolved."""
    try:
        return get_type_hints(cls, localns=localns, include_extras=True)
    except (NameError, TypeError):
        pass
    known = {}
    for base in reversed(cls.__mro__):
        globalns = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        for name, hint in vars(base).get("__annotations__", {}).items():
            known[name] = _resolve(hint, globalns, localns)
    return known


def _hints_of_model(cls: Any) -> list[Any]:
    """What pydantic makes of a model's annotations: `Envelope[Card]` is a class of its own, whose hints say `T`."""
    return [field.annotation for field in cls.model_fields.values()] if is_model(cls) else []


def _resolve(hint: Any, globalns: dict[str, Any], localns: dict[str, Any] | None) -> Any:
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, globalns, localns or {})  # noqa: S307  An annotation, from the user's own source.
    except (NameError, TypeError, SyntaxError, AttributeError):
        return Any


def _subclasses(cls: type) -> "typing.Iterator[type]":
    subclasses: list[type] = type.__subclasses__(cls)
    for sub in subclasses:
        yield sub
        yield from _subclasses(sub)


def _full_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


NO_TYPES: Final = UserTypes()
