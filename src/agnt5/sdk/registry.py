"""Which components this process has: by name, with a look-out for new ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Protocol

from agnt5.core.model.errors import InvalidInput, UnknownComponent


class Registered(Protocol):
    """What the registry wants to know of a component."""

    name: str

    @property
    def fn(self) -> Callable[..., Any]:
        """What the user wrote."""


class Registry:
    """Components by name.

    A name stands for one piece of code. The same code again (a decorator inside a function that is
    called twice, a module that is both run and imported) replaces itself; so does a new version
    typed into an interactive session. Anything else under a name already taken is a mistake.
    """

    def __init__(self) -> None:
        self._components: dict[str, Any] = {}
        self._listeners: list[Callable[[Any], None]] = []
        self._lock = Lock()

    def add(self, component: Registered) -> None:
        """Register a component.

        Raises:
            InvalidInput: Another one has its name.
        """
        with self._lock:
            known = self._components.get(component.name)
            if known is not None and not _is_same(known.fn, component.fn):
                raise InvalidInput(
                    f"two components are called {component.name!r}: {_place(known.fn)} and {_place(component.fn)}",
                    why="runs find their component by its name",
                    fix=f'give one of them a name of its own, as in name="{component.name}_2"',
                )
            self._components[component.name] = component
            listeners = list(self._listeners)
        for listener in listeners:
            listener(component)

    def get(self, name: str) -> Any:
        """The component of this name.

        Raises:
            UnknownComponent: There is none.
        """
        component = self._components.get(name)
        if component is None:
            raise UnknownComponent(
                f"no component is called {name!r}",
                why=f"known are: {', '.join(sorted(self._components)) or 'none'}",
                fix="import the module that defines it",
                name=name,
            )
        return component

    def all(self) -> list[Any]:
        """Every component, in the order of definition."""
        with self._lock:
            return list(self._components.values())

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Forget, at the end of the block, what was registered in it. For tests that define their own."""
        with self._lock:
            known = dict(self._components)
        try:
            yield
        finally:
            with self._lock:
                self._components = known

    def listen(self, listener: Callable[[Any], None]) -> list[Any]:
        """Have new components told; returns those that are there by now. They come on any thread."""
        with self._lock:
            self._listeners.append(listener)
            return list(self._components.values())

    def unlisten(self, listener: Callable[[Any], None]) -> None:
        """Undo `listen`."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)


def _is_same(known: Callable[..., Any], new: Callable[..., Any]) -> bool:
    if known is new:
        return True
    codes = getattr(known, "__code__", None), getattr(new, "__code__", None)
    if codes[0] is None or codes[1] is None:
        return False
    if known.__qualname__ != new.__qualname__:
        return False
    return codes[0] == codes[1] or (known.__module__ == new.__module__ and _is_interactive(codes[1].co_filename))


def _is_interactive(filename: str) -> bool:
    """Whether code comes from a prompt or a notebook cell, where defining again means changing."""
    return filename.startswith("<") or "ipykernel_" in filename


def _place(fn: Callable[..., Any]) -> str:
    code = getattr(fn, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else "unknown place"
    return f"{getattr(fn, '__qualname__', fn)} ({where})"


REGISTRY = Registry()
