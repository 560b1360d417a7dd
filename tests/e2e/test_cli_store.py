"""`agnt5 store`: checks that find what is damaged, sizes, and space given back."""

import json
import sqlite3
import stat
from pathlib import Path

import pytest
from commands import exit_code
from keeping import WRITER, damage, five_runs, opened, run_ids, store
from processes import finish, read_journal, start_script, wait_for_file

from agnt5.cli.exits import Exit


@pytest.fixture
def journal() -> Path:
    """The embedded journal, with five runs of two components."""
    return five_runs()


# Check


def test_a_whole_journal_passes(journal: Path):
    """Exit code 0, and how much was looked at."""
    said, document = store("check"), json.loads(store("check", "--json").stdout)

    assert exit_code(said) == Exit.OK
    assert "is whole: 5 runs" in said.stdout
    assert document["whole"] is True
    assert (document["runs"], document["findings"]) == (5, [])
    assert document["entries"] > 10


DAMAGE = {
    "an entry that was edited": (
        "UPDATE journal SET body = replace(body, 'ann', 'eve') WHERE run_id = ? AND position = 0", "entry", "checksum"
    ),
    "an entry that is no text": (
        "UPDATE journal SET body = CAST(x'fffe' AS TEXT) WHERE run_id = ? AND position = 1", "entry", "entry 1"
    ),
    "an entry that is missing": ("DELETE FROM journal WHERE run_id = ? AND position = 1", "journal", "missing"),
    "the end that is missing": (
        "DELETE FROM journal WHERE run_id = ? AND position = (SELECT max(position) FROM journal j "
        "WHERE j.run_id = journal.run_id)", "journal", "no end"
    ),
    "a journal that is missing": ("DELETE FROM journal WHERE run_id = ?", "journal", "no entries"),
    "a record that is missing": ("DELETE FROM runs WHERE id = ?", "journal", "no record"),
    "a record that was edited": ("UPDATE runs SET waiting = '[' WHERE id = ?", "record", "can't be read"),
    "a record that is no text": ("UPDATE runs SET tags = CAST(x'ff' AS TEXT) WHERE id = ?", "record", "can't be read"),
    "time that goes back": ("UPDATE journal SET at = 1 WHERE run_id = ? AND position = 1", "journal", "older"),
    "a status that isn't so": ("UPDATE runs SET status = 'suspended' WHERE id = ?", "journal", "an end"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_the_check_names_the_run_that_is_damaged(journal: Path, what: str):
    """And no other; scripts see the exit code."""
    sql, where, said = DAMAGE[what]
    [damaged, _] = run_ids(journal, "twice")
    damage(journal, sql, damaged)

    text, document = store("check"), json.loads(store("check", "--json").stdout)

    assert exit_code(text) == Exit.STORE
    assert damaged in text.stdout
    assert said in text.stdout
    assert document["whole"] is False
    assert document["damaged"] == [damaged]
    assert where in {finding["where"] for finding in document["findings"]}


def test_the_check_finds_what_is_about_no_run(journal: Path):
    """Keys of runs that aren't there, and events that can't be read."""
    [bob] = [run.id for run, _ in read_journal(journal) if run.idempotency_key == "bob"]
    damage(journal, "UPDATE idempotency_keys SET run_id = 'nobody' WHERE run_id = ?", bob)
    damage(journal, "INSERT INTO events (partition, id, at, payload) VALUES (0, 'paid', 1, '{')")

    document = json.loads(store("check", "--json").stdout)

    assert {finding["where"] for finding in document["findings"]} == {"key", "event"}


def test_the_check_goes_on_behind_a_damaged_page(journal: Path):
    """A page of the file that was overwritten is found, and what can be read beside it is counted."""
    content = bytearray(journal.read_bytes())
    pages = len(content) // 4096
    for page in range(2, pages):
        broken = bytearray(content)
        broken[page * 4096 : page * 4096 + 4096] = b"\x55" * 4096
        journal.write_bytes(broken)
        result = store("check", "--json")
        assert exit_code(result) == Exit.STORE, f"page {page} of {pages}: {result.stdout}"
    journal.write_bytes(content)

    assert exit_code(store("check")) == Exit.OK


def test_runs_that_are_being_removed_are_no_damage(journal: Path):
    """A process that ended in the middle of it leaves entries of which the next one knows."""
    [first, _] = run_ids(journal, "twice")
    damage(journal, "UPDATE runs SET partition = -1 WHERE id = ?", first)
    damage(journal, "DELETE FROM journal WHERE run_id = ? AND position = 0", first)

    document, size = json.loads(store("check", "--json").stdout), store("size")

    assert [finding["where"] for finding in document["findings"]] in ([], ["key"])
    assert document["runs"] == 4
    assert "being removed" in size.stdout


@pytest.mark.parametrize("command", [("check",), ("size",), ("vacuum",), ("backup", "copy.db")])
def test_a_journal_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str]):
    """With where it was looked for, and nothing is made."""
    monkeypatch.chdir(tmp_path)

    result = store(*command)

    assert exit_code(result) == Exit.STORE
    assert "there is no journal at" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("check",), ("size",), ("vacuum",), ("backup", "copy.db")])
def test_a_newer_journal_is_refused_and_not_changed(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str]
):
    """By every command."""
    monkeypatch.chdir(tmp_path)
    connection = sqlite3.connect(journal)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    before = journal.read_bytes()

    result = store(*command)

    assert exit_code(result) == Exit.STORE
    assert "9999" in result.stderr
    assert journal.read_bytes() == before


# Size and vacuum


def test_the_size_is_told_by_component_and_status(journal: Path):
    """Runs, entries and bytes of each; what is largest comes first."""
    document, text = json.loads(store("size", "--json").stdout), store("size")

    shares = {share["component"]: share for share in document["shares"]}
    assert {name: share["runs"] for name, share in shares.items()} == {"greet": 3, "twice": 2}
    assert {share["status"] for share in shares.values()} == {"completed"}
    assert sum(share["entries"] for share in shares.values()) == sum(len(made) for _, made in read_journal(journal))
    assert all(share["bytes"] > 100 for share in shares.values())
    assert document["keys"] == 1
    assert document["file_bytes"] == journal.stat().st_size
    assert [line.split()[:2] for line in text.stdout.splitlines()[1:3]] == [
        [share["component"], "completed"] for share in document["shares"]
    ]


def fill_and_empty(journal: Path) -> None:
    """Leave much free space in a journal."""
    connection = sqlite3.connect(journal)
    connection.execute("CREATE TABLE ballast (x)")
    connection.execute("INSERT INTO ballast VALUES (zeroblob(2000000))")
    connection.execute("DROP TABLE ballast")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("full", [False, True])
def test_vacuum_gives_free_space_back(journal: Path, full: bool):
    """The file is smaller, holds what it held, and is as private as before."""
    fill_and_empty(journal)
    runs = read_journal(journal)
    free = json.loads(store("size", "--json").stdout)["free_bytes"]

    result = store("vacuum", *(["--full"] if full else []))

    assert exit_code(result) == Exit.OK
    assert free > 1_900_000
    assert journal.stat().st_size < 500_000
    assert "MiB given back" in result.stdout
    assert read_journal(journal) == runs
    assert exit_code(store("check")) == Exit.OK
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600


def test_vacuum_writes_a_file_anew_that_cannot_be_cut_off(journal: Path, tmp_path: Path):
    """One that another tool has made lacks what it takes; from then on it has it."""
    other = tmp_path / "other.db"
    source, target = sqlite3.connect(journal), sqlite3.connect(other)
    target.executescript("\n".join(source.iterdump()))
    [[application]], [[version]] = (source.execute(f"PRAGMA {name}") for name in ("application_id", "user_version"))
    target.executescript(f"PRAGMA application_id = {application}; PRAGMA user_version = {version};")
    source.close()
    target.close()
    fill_and_empty(other)

    document = json.loads(store("vacuum", "--json", "--store", f"sqlite:///{other}").stdout)

    assert document["is_full"] is True
    assert document["after"] == other.stat().st_size < 500_000 < document["before"]


def test_vacuum_needs_the_journal_for_itself(tmp_path: Path):
    """While a process has it, that one is named, and nothing is done."""
    process = start_script(tmp_path, WRITER)
    wait_for_file(tmp_path / "ready", process)

    result = store("vacuum", "--store", f"sqlite:///{tmp_path / 'journal.db'}")
    (tmp_path / "stop").touch()
    finished = finish(process)

    assert exit_code(result) == Exit.STORE
    assert f"in use by process {process.pid}" in result.stderr
    assert finished.code == 0


def test_vacuum_leaves_the_marks_of_the_last_owner(journal: Path):
    """Whether it died is still known to the next one, and which store the lock is of."""
    lock = journal.with_name("journal.db.lock")
    before = json.loads(lock.read_text())
    damage(journal, "UPDATE meta SET value = 'open' WHERE name = 'owner'")

    store("vacuum")
    info = opened(journal)

    assert json.loads(lock.read_text())["store"] == before["store"] == info.id
    assert info.is_crash
