"""Somebody moves, removes, cuts off or restores a journal under a running process, which stops before it does harm.

What SQLite alone would do: write on to a file without a name, which is lost with the process, or make one file of two.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.processes import Finished, finish, read_journal, wait_for_file

from . import preloading

STOPPED = ("OutcomeUnknown", "StoreError", "Unavailable")


def replace(journal: Path, backup: Path) -> None:
    shutil.copy(backup, journal.with_name("new"))
    os.replace(journal.with_name("new"), journal)


def restore_in_place(journal: Path, backup: Path) -> None:
    log_of(journal).unlink()
    shutil.copyfile(backup, journal)


def cut_off(journal: Path, backup: Path) -> None:
    os.truncate(journal, journal.stat().st_size // 2)


def delete(journal: Path, backup: Path) -> None:
    journal.unlink()


def delete_log(journal: Path, backup: Path) -> None:
    log_of(journal).unlink()


def cut_log_off(journal: Path, backup: Path) -> None:
    os.truncate(log_of(journal), 0)


def delete_lock(journal: Path, backup: Path) -> None:
    journal.with_name(f"{journal.name}.lock").unlink()


def delete_all(journal: Path, backup: Path) -> None:
    for path in journal.parent.glob(f"{journal.name}*"):
        path.unlink()


def log_of(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}-wal")


RESTORED = [replace, restore_in_place]
HARMS = [*RESTORED, cut_off, delete, delete_log, cut_log_off, delete_lock, delete_all]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A journal of an earlier day, with two runs."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    (folder / "go").touch()
    done = preloading.run(None, "touched.py", *map(str, (folder / "journal.db", folder / "ready", folder / "go")))
    assert done == (0, "1\n1\n", "")
    return folder / "journal.db"


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a journal, all but the index of its log."""
    return {path.name: path.read_bytes() for path in folder.glob("journal.db*") if not path.name.endswith("-shm")}


def touch(tmp_path: Path, harm: Callable[[Path, Path], None], backup: Path) -> tuple[Finished, dict[str, bytes], Path]:
    """Do something to the files of a running process; returns what it said, what they held by then, and the journal."""
    journal = tmp_path / "now" / "journal.db"
    journal.parent.mkdir()
    process = preloading.start(None, "touched.py", *map(str, (journal, tmp_path / "ready", tmp_path / "go")))
    wait_for_file(tmp_path / "ready", process)
    harm(journal, backup)
    left = contents(journal.parent)
    (tmp_path / "go").touch()
    finished = finish(process)
    assert finished.code == 0, finished
    return finished, left, journal


@pytest.mark.parametrize("harm", HARMS)
def test_a_journal_that_somebody_touches_is_written_no_more(
    tmp_path: Path, harm: Callable[[Path, Path], None], backup: Path
) -> None:
    """F49: the next commit notices it, nothing is acknowledged from then on, and no byte of the files changes."""
    finished, left, journal = touch(tmp_path, harm, backup)

    said = finished.out.splitlines()
    assert len(said) == 2
    assert all(line.startswith(STOPPED) for line in said), said
    # SQLite may meet a page of the other file before the watch looks; the runtime stops all the same.
    assert "while it was in use" in finished.err or "database disk image is malformed" in finished.err
    assert contents(journal.parent) == left


@pytest.mark.parametrize("harm", RESTORED)
def test_what_was_restored_is_what_the_next_process_finds(
    tmp_path: Path, harm: Callable[[Path, Path], None], backup: Path
) -> None:
    """F49: a backup that was put there under a running process is whole when that has ended."""
    earlier = read_journal(backup)

    _, _, journal = touch(tmp_path, harm, backup)
    for name in ("-wal", "-shm"):
        journal.with_name(f"{journal.name}{name}").unlink(missing_ok=True)
    found = read_journal(journal)
    (tmp_path / "go").touch()
    again = preloading.run(None, "touched.py", *map(str, (journal, tmp_path / "ready", tmp_path / "go")))

    assert found == earlier
    assert again == (0, "1\n1\n", "")
