"""The logger of a run, and what a run says of itself."""

import logging
from collections.abc import MutableMapping
from typing import Any

from agnt5.sdk.host import Host

_LOGGER = logging.getLogger("agnt5.run")


class Span:
    """What a run says of itself beyond its journal; it stands in each of its log records."""

    __slots__ = ("attributes",)

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        """Say something, such as the tenant that the run works for."""
        self.attributes[key] = value


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs under `agnt5.run` with the run's id; silent while the body is replayed."""

    def __init__(self, host: Host, span: Span) -> None:
        super().__init__(_LOGGER, {"run_id": host.run_id})
        self._host = host
        self._span = span

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  The name that logging gave it.
        return not self._host.is_replaying and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        said = kwargs.get("extra") or {}
        kwargs["extra"] = {
            "run_id": self._host.run_id,
            "attempt": self._host.attempt,
            **self._span.attributes,
            **said,
        }
        return msg, kwargs
