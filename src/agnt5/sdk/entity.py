"""The place of entities in the SDK. This version has none, and says so where one is defined."""

from typing import Any, Generic, NoReturn, TypeVar

from agnt5.core.model.errors import Unavailable

S = TypeVar("S")


class Entity(Generic[S]):
    """A typed object with one writer per key; not in this version.

    Raises:
        Unavailable: When a class is derived from it.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        _refuse(cls)


class DurableObject:
    """An object whose attributes are its state; not in this version.

    Raises:
        Unavailable: When a class is derived from it.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        _refuse(cls)


def _refuse(cls: type) -> NoReturn:
    raise Unavailable(
        f"{cls.__name__!r} is an entity, and this version of agnt5 has no entities",
        why="it has functions, workflows and flows",
        fix="keep the state in a workflow (ctx.state), or wait for the version that brings entities",
    )
