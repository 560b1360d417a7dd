"""What every test gets: a registry of its own, and no journal but its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agnt5.sdk import methods
from agnt5.sdk.registry import REGISTRY

IS_CI = os.environ.get("CI") == "true"


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Components that a test defines are forgotten after it; the embedded journal is in its own folder."""
    monkeypatch.setenv("AGNT5_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AGNT5_URL", raising=False)
    with REGISTRY.isolated(), methods.isolated():
        yield
