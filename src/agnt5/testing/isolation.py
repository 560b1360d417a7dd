"""A harness that all calls of the process go to, with components that are forgotten after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agnt5.embedded import default_runtime
from agnt5.sdk import backend as sdk_backend
from agnt5.sdk import methods
from agnt5.sdk.registry import REGISTRY
from agnt5.testing.harness import Harness


@contextmanager
def isolated_harness(**options: Any) -> Iterator[Harness]:
    """Have a harness in place of the runtime that starts by itself.

    Args:
        options: As for `Harness`.
    """
    with REGISTRY.isolated(), methods.isolated():
        made = Harness(**options)
        # For whichever task, loop or thread the test uses: not all of them inherit from this one.
        sdk_backend.set_default(lambda: made.runtime)
        try:
            yield made
        finally:
            sdk_backend.set_default(default_runtime)
            made.close()
