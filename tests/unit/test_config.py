"""Settings come from arguments and the environment, and what can't be meant is refused."""

from pathlib import Path

import pytest

from agnt5 import InvalidInput
from agnt5.config import check_environment, home, journal_path, store_of
from agnt5.store.memory import MemoryStore
from agnt5.store.sqlite.store import SqliteStore


def test_the_journal_is_in_the_home():
    """`./.agnt5` unless AGNT5_HOME says otherwise; an empty one is none."""
    assert home({}) == Path(".agnt5")
    assert home({"AGNT5_HOME": ""}) == Path(".agnt5")
    assert journal_path(None, {"AGNT5_HOME": "/var/lib/shop"}) == Path("/var/lib/shop/journal.db")


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a.db", "a.db"), ("sqlite:////var/orders.db", "/var/orders.db"), ("sqlite:///a/b.db", "a/b.db")],
)
def test_a_url_names_a_file(url: str, path: str):
    """Three slashes for a relative path, four for an absolute one."""
    assert journal_path(url) == Path(path)
    assert isinstance(store_of(url), SqliteStore)


def test_a_journal_in_memory():
    """For tests and trials."""
    assert isinstance(store_of("memory://"), MemoryStore)


@pytest.mark.parametrize("url", ["orders.db", "sqlite:orders.db", "postgresql://db/agnt5", "", "memory", "sqlite:///"])
def test_a_store_that_isnt_known_is_refused(url: str):
    """With what is known."""
    with pytest.raises(InvalidInput) as caught:
        store_of(url)

    assert "sqlite:///" in caught.value.fix + caught.value.why


def test_a_server_is_refused_while_there_is_no_client_for_one():
    """Rather than running somewhere else than asked."""
    check_environment({})
    check_environment({"AGNT5_URL": ""})
    with pytest.raises(InvalidInput, match="AGNT5_URL"):
        check_environment({"AGNT5_URL": "http://localhost:8080"})
