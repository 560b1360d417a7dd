"""What a callable takes and gives: how its arguments are bound, written and read again."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Final, get_type_hints

import msgspec

from agnt5.core.model.errors import InvalidInput
from agnt5.sdk import serde
from agnt5.sdk.usertypes import is_model, user_types

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_STAR, _STARS = "*", "**"  # Members of the input that hold what has no name.


class Schema:
    """The signature of one callable, without the context that the runtime passes.

    Attributes:
        wants_context: Whether the first parameter is a context.
        is_async: Whether calling it gives something to await.
        result: The annotation of the result.
        parameters: By name, in order.
    """

    __slots__ = (
        "_names",
        "_positional",
        "_required",
        "_signature",
        "is_async",
        "is_simple",
        "parameters",
        "result",
        "result_types",
        "types",
        "wants_context",
    )

    def __init__(
        self, fn: Callable[..., Any], is_context: Callable[[Any, str], bool], localns: Mapping[str, Any]
    ) -> None:
        self.is_async = inspect.iscoroutinefunction(_unwrapped(fn))
        try:
            signature = inspect.signature(fn)
        except (TypeError, ValueError):
            # Some callables of C have no signature; theirs takes anything.
            signature = inspect.Signature(
                [
                    inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
                    inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
                ]
            )
        hints = _hints(fn, localns)
        parameters = list(signature.parameters.values())
        self.wants_context = bool(
            parameters
            and parameters[0].kind in _POSITIONAL
            and is_context(hints.get(parameters[0].name), parameters[0].name)
        )
        if self.wants_context:
            parameters = parameters[1:]
        self._signature = signature.replace(parameters=parameters)
        self.parameters = {parameter.name: hints.get(parameter.name, Any) for parameter in parameters}
        self.result = hints.get("return", Any)
        self.types = user_types(*self.parameters.values())
        self.result_types = user_types(self.result)
        self._names = tuple(self.parameters)
        self._positional = sum(parameter.kind in _POSITIONAL for parameter in parameters)
        self._required = sum(
            parameter.kind in _POSITIONAL and parameter.default is inspect.Parameter.empty for parameter in parameters
        )
        # Then any call without keywords is a matter of counting, and every argument goes by name.
        self.is_simple = all(
            parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            or (parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is not inspect.Parameter.empty)
            for parameter in parameters
        )

    # Writing

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str) -> dict[str, Any]:
        """The arguments by name.

        Args:
            args: As they were passed, without a context.
            kwargs: Likewise.
            what: Whom they were passed to, for the error.

        Raises:
            InvalidInput: They don't fit the signature.
        """
        if not kwargs and self.is_simple and self._required <= len(args) <= self._positional:
            return dict(zip(self._names, args, strict=False))
        try:
            bound = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidInput(
                f"{what} can't be called so: {error}",
                why=f"its signature is {what}{self._signature}",
                fix="pass the arguments that it takes",
            ) from None
        values = {}
        for name, value in bound.items():
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                values[_STAR] = list(value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                values[_STARS] = value
            else:
                values[name] = value
        return values

    def write(self, values: dict[str, Any]) -> bytes:
        """Bound arguments as an input of a run or step."""
        return serde.encode(values, self.types)

    # Reading

    def read(self, text: bytes | msgspec.Raw, what: str) -> tuple[list[Any], dict[str, Any]]:
        """The positional and keyword arguments that an input stands for.

        Raises:
            InvalidInput: It doesn't fit the signature.
        """
        raw = bytes(text)
        values = serde.decode(raw, self.types)
        if raw.startswith(serde.PLAIN):
            values = self.from_plain(values, what)
        if self.is_simple:
            return [], values
        return self._call(values)

    def read_result(self, text: bytes | msgspec.Raw) -> Any:
        """The value that the callable returned."""
        return serde.decode(text, self.result_types)

    def _call(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        rest = dict(values)
        star, stars = rest.pop(_STAR, ()), rest.pop(_STARS, {})
        for name, value in rest.items():
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.POSITIONAL_ONLY or (star and kind in _POSITIONAL):
                args.append(value)
            else:
                kwargs[name] = value
        return [*args, *star], kwargs | stars

    def from_plain(self, document: Any, what: str) -> dict[str, Any]:
        """A JSON document from outside as arguments, converted by their annotations.

        An object is spread over the parameters by name, unless there is but one that takes a whole
        object; anything else is the one argument.

        Raises:
            InvalidInput: It fits neither way.
        """
        named = [name for name in self._names if name in self._signature.parameters]
        takes_whole = len(named) == 1 and self.parameters[named[0]] in _WHOLE
        if isinstance(document, dict) and not takes_whole:
            values = document
        elif len(named) == 1 or (named and self._required == 1):
            values = {named[0]: document}
        elif document is None and not self._required:
            values = {}
        else:
            raise InvalidInput(
                f"{what} can't be called with {type(document).__name__} {str(document)[:80]!r}",
                why=f"it takes {len(named)} parameters: {', '.join(named) or 'none'}",
                fix="pass a JSON object with a member for each parameter",
            )
        return self.from_outside((), values, what)

    def from_outside(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Arguments that are plain JSON values, by name, converted by their annotations.

        Raises:
            InvalidInput: They don't fit.
        """
        bound = self.bind(args, kwargs, what)
        return {name: self._convert(name, value, what) for name, value in bound.items()}

    def _convert(self, name: str, value: Any, what: str) -> Any:
        hint = self.parameters.get(name, Any)
        if hint is Any:
            return value
        try:
            return msgspec.convert(value, hint, strict=False, dec_hook=_convert_model)
        except (msgspec.ValidationError, ValueError, TypeError) as error:
            raise InvalidInput(
                f"argument {name!r} of {what} doesn't fit {hint!r}: {error}",
                why="a JSON value is converted by the parameter's annotation",
                fix=f"pass a value that fits, or change the annotation of {name!r}",
            ) from error


_WHOLE: Final = (Any, dict, dict[str, Any], Mapping, Mapping[str, Any])


def _convert_model(cls: type, value: Any) -> Any:
    if is_model(cls):
        return cls.model_validate(value)  # type: ignore[attr-defined]  # Pydantic may be absent.
    raise TypeError(f"nothing converts JSON to {cls!r}")


def _unwrapped(fn: Any) -> Any:
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    if not inspect.isroutine(fn) and not inspect.isclass(fn):
        return getattr(fn, "__call__", fn)  # noqa: B004  The method is what is async, not its owner.
    return fn


def _hints(fn: Any, localns: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations, resolved as far as their names are known by now."""
    fn = inspect.unwrap(_unwrapped(fn))
    annotations = getattr(fn, "__annotations__", None) or {}
    globalns = getattr(fn, "__globals__", {})
    resolved = {}
    for name, hint in annotations.items():
        resolved[name] = Any
        with suppress(NameError, TypeError, SyntaxError, AttributeError):
            # One by one, so that a name that isn't known leaves the others as they are.
            one = SimpleNamespace(__annotations__={name: hint})
            resolved |= get_type_hints(one, globalns, dict(localns), include_extras=True)
    return resolved
