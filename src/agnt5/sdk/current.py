"""Which context the code at hand runs under, and the `ctx` that stands for it."""

import contextvars
from typing import Any, cast

from agnt5.core.model.errors import NoContextError


class ContextBase:
    """What every context is, so that one can be told from other arguments."""


CURRENT: contextvars.ContextVar[Any] = contextvars.ContextVar("agnt5_context", default=None)


def current() -> Any:
    """The context of the run or step that is executing.

    Raises:
        NoContextError: None is.
    """
    context = CURRENT.get()
    if context is None:
        raise NoContextError(
            "`ctx` was used where no run is executing",
            why="it stands for the context of the workflow, function or step that runs at the moment",
            fix="use it inside a component, or in a task or thread that a component started",
        )
    return context


class ContextProxy:
    """Stands for the current context, for code that gets none passed."""

    # So that `isinstance(ctx, DurableContext)` says what holds.
    @property  # type: ignore[misc]  # That of `object` can be set.
    def __class__(self) -> type:
        context = CURRENT.get()
        return ContextProxy if context is None else type(context)

    def __getattr__(self, name: str) -> Any:
        return getattr(current(), name)

    def __repr__(self) -> str:
        context = CURRENT.get()
        return "<ctx, outside of any run>" if context is None else repr(context)


PROXY = cast(Any, ContextProxy())


def unproxied(context: Any) -> Any:
    """The context itself, where `ctx` was passed for it."""
    return current() if context is PROXY else context
