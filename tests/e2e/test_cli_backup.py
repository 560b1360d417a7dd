"""`agnt5 store backup`: one whole moment of a journal, beside whoever writes to it, and as good as the journal."""

import asyncio
import json
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import agnt5_command, exit_code, in_runtime
from keeping import WRITER, components, damage, five_runs, opened, store
from processes import finish, read_journal, start_script, wait_for_file

from agnt5 import Runtime
from agnt5.cli.exits import Exit
from agnt5.core.model.run import Status
from agnt5.store.sqlite import backup as backing_up
from agnt5.store.sqlite.backup import back_up


@pytest.fixture
def journal() -> Path:
    """The embedded journal, with five runs of two components."""
    return five_runs()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Path]:
    """A journal that another process writes to, as fast as it can."""
    process = start_script(tmp_path, WRITER)
    wait_for_file(tmp_path / "ready", process)
    yield tmp_path / "journal.db"
    (tmp_path / "stop").touch()
    finished = finish(process)
    assert (finished.code, finished.err) == (0, "")
    assert int(finished.out) > 0, "it was not kept from writing"


def test_a_backup_beside_a_writer_is_one_whole_moment(writer: Path, tmp_path: Path):
    """Each run in it is complete, it passes the check, only its owner may read it, and the writer goes on."""
    url = f"sqlite:///{writer}"
    for number in (1, 2):
        made = agnt5_command("store", "backup", str(tmp_path / f"{number}.db"), "--store", url)
        assert (made.returncode, made.stderr) == (0, ""), made.stderr

    counts = []
    for number in (1, 2):
        copy = tmp_path / f"{number}.db"
        checked = store("check", "--json", "--store", f"sqlite:///{copy}")
        assert exit_code(checked) == Exit.OK, checked.stdout
        counts.append(json.loads(checked.stdout)["runs"])
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert counts[1] > counts[0] >= 1000
    assert [path.name for path in tmp_path.glob(".*")] == [], "no piece of it is left"


def test_a_backup_changes_nothing_of_the_journal(journal: Path, tmp_path: Path):
    """It only reads, as all the other commands that look at a store do."""
    before = journal.read_bytes()

    for args in (("backup", str(tmp_path / "copy.db")), ("check",), ("size",)):
        assert exit_code(store(*args)) == Exit.OK

    assert journal.read_bytes() == before


def test_a_backup_can_be_used_as_it_is_and_put_back(journal: Path, tmp_path: Path):
    """Its runs, keys and results are there; so they are when it takes the place of the journal under its old lock."""
    greet, twice = components()
    copy = tmp_path / "copy.db"
    assert exit_code(store("backup", str(copy))) == Exit.OK

    async def use() -> list[str]:
        return [await twice.run("bob", idempotency_key="bob"), await greet("zoe")]

    async def use_copy() -> list[str]:
        async with Runtime(store=f"sqlite:///{copy}"):
            return await use()

    later = in_runtime(lambda: greet("after the backup"))
    used = asyncio.run(use_copy())
    # Lost, and put back from the backup; the lock that it had is still there.
    assert exit_code(store("backup", str(tmp_path / "put back.db"), "--store", f"sqlite:///{copy}")) == Exit.OK
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        (journal.parent / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "put back.db", journal)
    restored = in_runtime(use)

    assert later == "hello after the backup"
    assert used == restored == ["hello bob", "hello zoe"]
    assert (journal.parent / "journal.db.lock").exists()
    assert len(read_journal(journal)) == 7, "five, and one each time it was used"


def test_an_older_journal_under_the_same_lock_opens(journal: Path, tmp_path: Path):
    """What was made after the backup is gone, keys included: whoever put it back wanted that."""
    greet, _ = components()
    copy = tmp_path / "copy.db"
    store("backup", str(copy))

    in_runtime(lambda: greet.run("ann", idempotency_key="later"))
    shutil.copy(copy, journal)
    result = in_runtime(lambda: greet.run("zoe", idempotency_key="later"))

    assert result == "hello zoe"
    assert exit_code(store("check")) == Exit.OK


def test_a_backup_replaces_no_file_unless_it_is_told_to(journal: Path, tmp_path: Path):
    """What is there stays; with --force the copy takes its place in one go."""
    copy = tmp_path / "copy.db"
    copy.write_text("precious")

    refused = store("backup", str(copy))
    kept = copy.read_text()
    forced = store("backup", str(copy), "--force")

    assert exit_code(refused) == Exit.USAGE
    assert "--force" in refused.stderr
    assert kept == "precious"
    assert exit_code(forced) == Exit.OK
    assert exit_code(store("check", "--store", f"sqlite:///{copy}")) == Exit.OK


def test_a_backup_does_not_replace_what_is_in_use(journal: Path, writer: Path):
    """Neither the journal itself, nor one that another process has, nor one whose process died."""
    itself = store("backup", str(journal), "--force")
    in_use = store("backup", str(writer), "--force")
    dead = Path(shutil.copy(journal, writer.parent / "dead.db"))
    Path(f"{dead}-wal").write_bytes(b"something")
    left = store("backup", str(dead), "--force")

    assert (exit_code(itself), "journal itself" in itself.stderr) == (Exit.USAGE, True)
    assert (exit_code(in_use), "in use by process" in in_use.stderr) == (Exit.STORE, True)
    assert (exit_code(left), "-wal" in left.stderr) == (Exit.USAGE, True)


@pytest.mark.parametrize("place", ["nowhere/copy.db", "."])
def test_a_backup_needs_a_place(journal: Path, tmp_path: Path, place: str):
    """A directory is none, and none is made."""
    refused = store("backup", str(tmp_path / place))

    assert exit_code(refused) == Exit.USAGE
    assert "can't be a backup" in refused.stderr


def test_a_backup_that_is_broken_off_leaves_nothing(journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Under the final name there is a whole backup or what was there before."""
    monkeypatch.setattr(backing_up, "PAGES", 1)
    copy = tmp_path / "folder" / "copy.db"
    copy.parent.mkdir()
    copy.write_text("the backup of yesterday")

    def break_off(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(journal, copy, replace=True, progress=break_off)

    assert [path.name for path in copy.parent.iterdir()] == ["copy.db"]
    assert copy.read_text() == "the backup of yesterday"


def test_a_backup_is_of_one_moment_however_long_it_takes(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A commit between two of its pages neither gets into it nor makes it begin anew."""
    monkeypatch.setattr(backing_up, "PAGES", 1)
    greet, _ = components()
    copy = tmp_path / "copy.db"
    calls: list[int] = []

    def write(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) in (2, 4):
            thread = threading.Thread(target=in_runtime, args=(lambda: greet("meanwhile"),))
            thread.start()
            thread.join()

    copied = back_up(journal, copy, replace=False, progress=write)

    assert copied.runs == 5
    assert calls == sorted(set(calls)), "it never began anew"
    assert len(read_journal(copy)) == 5
    assert len(read_journal(journal)) == 7


def test_a_damaged_journal_is_not_backed_up(journal: Path, tmp_path: Path):
    """It would take the place of a backup that is whole."""
    copy = tmp_path / "copy.db"
    copy.write_text("the backup of yesterday")
    content = bytearray(journal.read_bytes())
    content[4096 * 5 : 4096 * 5 + 2000] = bytes(2000)
    journal.write_bytes(content)

    refused = store("backup", str(copy), "--force")

    assert exit_code(refused) == Exit.STORE
    assert "AGNT5-403" in refused.stderr
    assert copy.read_text() == "the backup of yesterday"


def test_a_backup_is_no_crash(journal: Path, tmp_path: Path):
    """Its owner was alive when it was made: whoever opens it takes over from nobody who died."""
    damage(journal, "UPDATE meta SET value = 'open' WHERE name = 'owner'")
    copy = tmp_path / "copy.db"
    store("backup", str(copy))

    info = opened(copy)

    assert not info.is_crash
    assert [run.status for run, _ in read_journal(copy)] == [Status.COMPLETED] * 5
