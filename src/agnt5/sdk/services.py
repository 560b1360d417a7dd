"""Named groups of components, which others call by the names of service and method."""

from collections.abc import Callable
from typing import Any

from agnt5.sdk.component import Component, checked_name
from agnt5.sdk.function import Function
from agnt5.sdk.methods import add_method, add_service
from agnt5.sdk.registry import REGISTRY


class Service:
    """A group of components under one name.

    Example:
        >>> payments = Service("payments", "1.0.0")
        >>> async def charge(payload: dict) -> dict:
        ...     return {"charged": payload["amount"]}
        >>> payments.add_function(charge)
        >>> [entry["name"] for entry in payments.get_service_config()["functions"]]
        ['charge']
    """

    def __init__(self, name: str, version: str = "1.0.0") -> None:
        self.name = checked_name(name)
        self.version = version
        self._functions: dict[str, Component[Any, Any]] = {}
        add_service(name)

    def add_function(self, fn: Callable[..., Any] | Component[Any, Any], name: str | None = None) -> None:
        """Add a function or flow.

        Args:
            fn: A component, or a plain callable, which then becomes a function.
            name: What it is called within the service; its own name when absent.

        Raises:
            InvalidInput: Another one has the name.
        """
        own = fn.name if isinstance(fn, Component) else getattr(fn, "__name__", type(fn).__name__)
        method = checked_name(name or own)
        component = fn
        if not isinstance(component, Component):
            component = Function(fn, name=f"{self.name}.{method}", retries=None, timeout=None)
            REGISTRY.add(component)
        add_method(self.name, method, component)
        self._functions[method] = component

    def get_service_config(self) -> dict[str, Any]:
        """What the service is made of, as plain values."""
        return {
            "name": self.name,
            "version": self.version,
            "functions": [
                {"name": method, "component": component.name, "kind": component.kind}
                for method, component in self._functions.items()
            ],
            "objects": [],
        }
