"""A journal that can't be used is left as it is, and the error says what is wrong with it and what to do.

Nothing here is detected by luck: every error comes before a run is taken up, or names the one run it concerns.
"""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from processes import KILLED, Finished, finish, read_journal, run_script, small_disk, start_script, wait_for_file

from agnt5 import Runtime, StoreFull, config, send_event
from agnt5.store.sqlite.store import SqliteStore

HEAD = """
import asyncio, json, os, signal, sys
from pathlib import Path
import agnt5
from agnt5 import Agnt5Error, Runtime, get_run, workflow

def length(x: str) -> int:
    return len(x)

@workflow
async def measure(ctx, x: str) -> int:
    return await ctx.step(length, x)

async def fill(count: int) -> None:
    for number in range(count):
        assert await measure("x" * 5000) == 5000

async def attempt() -> None:
    try:
        async with Runtime(store="sqlite:///journal.db"):
            print("opened")
            print(await measure("yy"))
    except Agnt5Error as error:
        print(type(error).__name__, error.what, "|", error.fix)
"""
ATTEMPT = f"{HEAD}\nasyncio.run(attempt())\n"
FILL = f"""{HEAD}
async def main() -> None:
    async with Runtime(store="sqlite:///journal.db"):
        await fill(20)
        if "die" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def contents(directory: Path) -> dict[str, bytes]:
    """The journal and its log, byte for byte, as far as there is something in them."""
    files = {name: directory / name for name in ("journal.db", "journal.db-wal")}
    return {name: path.read_bytes() for name, path in files.items() if path.exists() and path.stat().st_size}


def said(finished: Finished) -> str:
    """The one line that a process that couldn't open the journal has said."""
    assert (finished.code, finished.err) == (0, ""), finished
    [line] = finished.out.splitlines()
    return line


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a journal that was used and closed."""
    directory = tmp_path_factory.mktemp("filled")
    assert run_script(directory, FILL).code == 0
    return directory


@pytest.fixture(scope="module")
def left(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the same journal, used once more by a process that died."""
    directory = tmp_path_factory.mktemp("left")
    copy(filled, directory)
    assert run_script(directory, FILL, "die").code == KILLED
    return directory


def copy(source: Path, target: Path) -> None:
    """Copy a journal, with its log and what its lock says."""
    for path in source.glob("journal.db*"):
        shutil.copy(path, target)


@pytest.mark.parametrize("kept", [0, 1, 50, 4096, 0.5, -1])
def test_a_journal_that_was_cut_off_is_refused(tmp_path: Path, filled: Path, kept: float) -> None:
    """A piece of a journal isn't taken for the whole, and not overwritten."""
    copy(filled, tmp_path)
    cut(tmp_path / "journal.db", kept)
    before = contents(tmp_path)

    line = said(run_script(tmp_path, ATTEMPT))

    assert line.startswith("StoreCorrupt the journal")
    assert "restore it from a backup" in line
    assert contents(tmp_path) == before, "it was changed"


@pytest.mark.parametrize("kept", [0, 50, 4096, 0.5])
def test_a_journal_that_was_cut_off_beside_its_log_is_refused(tmp_path: Path, left: Path, kept: float) -> None:
    """The log of a process that died makes up for the pages that it holds, and for no others."""
    copy(left, tmp_path)
    cut(tmp_path / "journal.db", kept)
    before = contents(tmp_path)

    line = said(run_script(tmp_path, ATTEMPT))

    assert line.startswith("StoreCorrupt the journal")
    assert "restore it from a backup" in line
    assert contents(tmp_path) == before, "it was changed"


@pytest.mark.parametrize("kept", [4096, 0.5, -1])
def test_a_journal_whose_log_was_half_copied_into_it_is_whole(tmp_path: Path, kept: float) -> None:
    """A crash while the write-ahead log is copied leaves a file that is too short; the log has the rest."""
    run_script(tmp_path, FILL, "die")
    journal, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    content = log.read_bytes()
    connection = sqlite3.connect(journal)
    connection.execute("PRAGMA wal_checkpoint(FULL)")
    connection.close()
    # All of it was copied, with the first page first; what follows is as if that had been cut short.
    log.write_bytes(content)
    cut(journal, kept)

    finished = run_script(tmp_path, ATTEMPT)

    assert finished == Finished(0, "opened\n2\n", "")
    runs = read_journal(journal)
    assert [run.status for run, _ in runs] == ["completed"] * 21


def cut(journal: Path, kept: float) -> None:
    """Cut a file off: at so many bytes, a share of it, or before so many."""
    size = journal.stat().st_size
    os.truncate(journal, int(kept * size) if isinstance(kept, float) else kept % size)


GARBAGE = {
    "noise": bytes(range(256)) * 64,
    "a text": b"this is not a journal\n" * 1000,
    "a header and noise": b"SQLite format 3\0" + bytes(range(255, -1, -1)) * 64,
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, what: str) -> None:
    """Nothing is written over somebody's file because it lay where a journal should."""
    (tmp_path / "journal.db").write_bytes(GARBAGE[what])

    line = said(run_script(tmp_path, ATTEMPT))

    assert line.startswith("StoreCorrupt the journal")
    assert (tmp_path / "journal.db").read_bytes() == GARBAGE[what]


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """An SQLite file that isn't ours is left alone."""
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = contents(tmp_path)

    line = said(run_script(tmp_path, ATTEMPT))

    assert line.startswith("StoreCorrupt")
    assert "another program" in line
    assert contents(tmp_path) == before


def test_a_journal_of_a_newer_version_is_refused_and_not_changed(tmp_path: Path, filled: Path) -> None:
    """The error says which versions there are, and to upgrade."""
    copy(filled, tmp_path)
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    before = contents(tmp_path)

    line = said(run_script(tmp_path, ATTEMPT))

    assert line.startswith("StoreTooNew")
    assert "9999" in line
    assert "pip install --upgrade" in line
    assert contents(tmp_path) == before


def test_an_entry_that_isnt_what_was_written_stops_its_run_alone(tmp_path: Path) -> None:
    """One damaged line in the journal blocks the run it belongs to, with its position; the others go on."""
    source = f"""{HEAD}
@workflow
async def waiting(ctx) -> str:
    first = await ctx.step(length, "abc")
    return await ctx.wait_for_event("go")

async def begin() -> None:
    async with Runtime(store="sqlite:///journal.db"):
        handles = [await waiting.submit() for _ in range(2)]
        while [await handle.status() for handle in handles] != ["suspended"] * 2:
            await asyncio.sleep(0.02)
        print(*[handle.id for handle in handles])

async def go_on(bad: str, good: str) -> None:
    async with Runtime(store="sqlite:///journal.db"):
        await agnt5.send_event("go", "gone")
        print(await get_run(good).result(timeout=10))
        try:
            await get_run(bad).result(timeout=10)
        except agnt5.RunBlockedError as error:
            print(type(error).__name__, error.what)
        except agnt5.StoreCorrupt as error:
            print(type(error).__name__, error.what)

asyncio.run(begin() if len(sys.argv) == 1 else go_on(*sys.argv[1:]))
"""
    bad, good = run_script(tmp_path, source).out.split()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        changed = connection.execute(
            "UPDATE journal SET body = replace(body, '\"result\":3', '\"result\":4') WHERE run_id = ? AND position = 1",
            (bad,),
        )
        assert changed.rowcount == 1
    connection.close()

    finished = run_script(tmp_path, source, bad, good)

    assert finished.code == 0, finished
    first, second = finished.out.splitlines()
    assert first == "gone"
    assert "entry 1" in second
    assert bad in second


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_belongs_to_somebody_else_is_named(tmp_path: Path) -> None:
    """The error says where it may not write, and which setting leads elsewhere."""
    source = ATTEMPT.replace("journal.db", "there/journal.db")
    (tmp_path / "there").mkdir(mode=0o555)

    line = said(run_script(tmp_path, source))

    assert line.startswith("StoreError")
    assert "there" in line
    assert "AGNT5_HOME" in line


@pytest.mark.parametrize("is_there", [False, True], ids=["no journal yet", "a journal"])
def test_a_file_system_that_is_read_only_is_named(tmp_path: Path, is_there: bool) -> None:
    """Where nobody may write, the error says so, and which setting leads elsewhere."""
    disk = small_disk(tmp_path)
    source = ATTEMPT.replace("journal.db", "disk/journal.db")
    fill = FILL.replace("journal.db", "disk/journal.db")

    finished = disk(fill if is_there else "", "mount -o remount,ro disk", source)

    line = said(finished)
    assert line.startswith("StoreError")
    assert "disk/journal.db" in line
    assert "AGNT5_HOME" in line


def test_a_second_process_is_told_who_has_the_journal(tmp_path: Path) -> None:
    """It gets the first one's pid; once that was killed, the journal is free."""
    holding = f"""{HEAD}
async def main() -> None:
    async with Runtime(store="sqlite:///journal.db"):
        await fill(1)
        Path("ready").touch()
        await asyncio.Event().wait()
asyncio.run(main())
"""
    first = start_script(tmp_path, holding)
    wait_for_file(tmp_path / "ready", first)

    refused = said(run_script(tmp_path, ATTEMPT))
    first.kill()
    killed = finish(first)
    accepted = run_script(tmp_path, ATTEMPT)

    assert refused.startswith("JournalLockedError")
    assert f"process {first.pid}" in refused
    assert killed.code == KILLED
    assert accepted == Finished(0, "opened\n2\n", "")


OPEN = """
async def main() -> None:
    try:
        async with Runtime(store="sqlite:///disk/journal.db"):
            print("opened")
    except agnt5.StoreFull:
        print("full")
asyncio.run(main())
"""
FULL = """
acknowledged = []

async def until_full() -> None:
    try:
        while True:
            acknowledged.append((await measure.submit("x" * 20_000)).id)
    except agnt5.StoreFull:
        print("full")

def leave_no_byte() -> None:
    with open("disk/rest", "ab", buffering=0) as rest:
        try:
            while True:
                rest.write(bytes(512))
        except OSError:
            pass

async def all_there() -> bool:
    # Work goes on by itself, as soon as it can.
    results = await asyncio.gather(*(get_run(run_id).result(timeout=10) for run_id in acknowledged))
    return len(results) > 5 and set(results) == {20_000}

Path("disk/ballast").write_bytes(bytes(1_000_000))
"""


def test_a_full_disk_stops_acknowledging_and_heals_by_itself(tmp_path: Path) -> None:
    """What can't be kept is refused, what can be read is told, and once there is room all goes on."""
    disk = small_disk(tmp_path)
    source = f"""{HEAD}{FULL}
async def main() -> None:
    async with Runtime(store="sqlite:///disk/journal.db"):
        for _ in range(3):
            await until_full()
        leave_no_byte()
        # Asked in one breath with what can't be written.
        run = get_run(acknowledged[0])
        asked = asyncio.gather(run.status(), measure.submit("x" * 20_000), run.result(), return_exceptions=True)
        status, submitted, result = await asyncio.wait_for(asked, 10)
        print(status, type(submitted).__name__, result)
        os.unlink("disk/ballast")
        print(await all_there(), await measure("abc"))
asyncio.run(main())
"""

    finished = disk(source)

    assert finished.code == 0, finished
    assert finished.out.splitlines() == ["full", "full", "full", "completed StoreFull 20000", "True 3"]
    assert "Traceback" not in finished.err


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_journal_that_was_left_on_a_full_disk_opens_when_there_is_room(tmp_path: Path, end: str) -> None:
    """Closing needs room too: where there is none, in the middle of it or not at all, nothing acknowledged is lost."""
    disk = small_disk(tmp_path)
    begin = f"""{HEAD}{FULL}
async def main() -> None:
    async with Runtime(store="sqlite:///disk/journal.db"):
        await until_full()
        Path("acknowledged").write_text(json.dumps(acknowledged))
        if {end!r} == "kill":
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    go_on = f"""{HEAD}{FULL}
async def main() -> None:
    os.unlink("disk/ballast")
    acknowledged[:] = json.loads(Path("acknowledged").read_text())
    async with Runtime(store="sqlite:///disk/journal.db"):
        print(await all_there(), await measure("abc"))
asyncio.run(main())
"""
    # The ballast is in place already when the second process comes.
    go_on = go_on.replace('Path("disk/ballast").write_bytes(bytes(1_000_000))\n', "")

    finished = disk(begin, HEAD + OPEN, go_on)

    assert finished.code == 0, finished
    first, second, third = finished.out.splitlines()
    assert first == "full"
    # Opening is a write. Where even that finds no room it says so; what it doesn't do is take it for damage.
    assert second in ("full", "opened")
    assert third == "True 3"


class NoRoomToClose(SqliteStore):
    """A journal on a disk that is full when its owner wants to note that it lets go."""

    async def mark_closed(self) -> None:
        raise StoreFull("there is no space left")


async def test_a_journal_that_found_no_room_for_its_closing_is_let_go_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same process may open it again, and the log has a warning and no traceback."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    with monkeypatch.context() as patch:
        patch.setattr(config, "SqliteStore", NoRoomToClose)
        async with Runtime(store=url):
            pass

    async with Runtime(store=url):
        await send_event("opened")

    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("WARNING", None)]


def test_a_limit_on_file_sizes_loses_nothing(tmp_path: Path) -> None:
    """The system's refusal to let a file grow is an error of the store, after which every call is answered."""
    source = f"""{HEAD}
import resource
async def main(acknowledged: list[str]) -> None:
    async with Runtime(store="sqlite:///journal.db"):
        try:
            while True:
                acknowledged.append((await measure.submit("x" * 20_000)).id)
        except Agnt5Error as error:
            print(type(error).__name__)
        for _ in range(3):
            try:
                await asyncio.wait_for(measure.submit("x"), 10)
            except Agnt5Error as error:
                print(type(error).__name__)

async def again(acknowledged: list[str]) -> None:
    async with Runtime(store="sqlite:///journal.db"):
        results = [await get_run(run_id).result(timeout=10) for run_id in acknowledged]
        print(len(results) > 5 and set(results) == {{20_000}})

ids: list[str] = []
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
asyncio.run(main(ids))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
asyncio.run(again(ids))
"""

    finished = run_script(tmp_path, source)

    assert finished.code == 0, finished
    *refused, last = finished.out.splitlines()
    # Whose commit it was that failed decides what the first one hears.
    assert len(refused) == 4
    assert set(refused) <= {"Unavailable", "StoreError", "StoreFull", "OutcomeUnknown"}
    assert last == "True"
