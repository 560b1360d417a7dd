"""Which service has which method: what `ctx.call` looks up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agnt5.core.model.errors import InvalidInput, UnknownComponent
from agnt5.sdk.component import Component

_services: dict[str, dict[str, Component[Any, Any]]] = {}


@contextmanager
def isolated() -> Iterator[None]:
    """Forget, at the end of the block, which services were made in it. For tests that make their own."""
    known = {service: dict(methods) for service, methods in _services.items()}
    try:
        yield
    finally:
        _services.clear()
        _services.update(known)


def add_service(service: str) -> None:
    """There is a service of this name, perhaps without methods yet."""
    _services.setdefault(service, {})


def add_method(service: str, method: str, component: Component[Any, Any]) -> None:
    """A service has a method.

    Raises:
        InvalidInput: It has another one of that name.
    """
    methods = _services[service]
    known = methods.get(method)
    if known is not None and known.fn is not component.fn and known.name != component.name:
        raise InvalidInput(
            f"service {service!r} has two methods called {method!r}",
            why="callers name the service and the method, and nothing else",
            fix="pass another name= for one of them",
        )
    methods[method] = component


def find_method(service: str, method: str) -> Component[Any, Any]:
    """The component behind a method of a service.

    Raises:
        UnknownComponent: There is no such service, or it has no such method.
    """
    methods = _services.get(service)
    if methods is None:
        raise UnknownComponent(
            f"there is no service {service!r}",
            why=f"known are: {', '.join(sorted(_services)) or 'none'}",
            fix=f'register it: durable.service("{service}").add_function({method})',
            name=service,
        )
    component = methods.get(method)
    if component is None:
        raise UnknownComponent(
            f"service {service!r} has no method {method!r}",
            why=f"it has: {', '.join(sorted(methods)) or 'none'}",
            fix=f'add it: durable.service("{service}").add_function({method})',
            name=f"{service}.{method}",
        )
    return component
