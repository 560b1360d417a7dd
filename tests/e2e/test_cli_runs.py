"""`agnt5 runs`: which runs are listed, what is drawn of one, and what is said of journals that can't be read."""

import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import RUN_ID, agnt5_command, agnt5_in_process, exit_code, in_runtime, shown, until_suspended

import agnt5
from agnt5 import RetryPolicy, WorkflowContext, function, workflow
from agnt5.cli.exits import Exit

NOBODY = 65_534  # A user that no file belongs to.

# agnt5 runs list


@pytest.fixture
def three_runs() -> dict[str, str]:
    """Ids of a run that completed, one that failed and one that waits."""

    @function
    async def greet(name: str) -> str:
        return f"hello {name}"

    @function(retries=1)
    async def refuse(name: str) -> str:
        raise ValueError(f"no {name}")

    @workflow
    async def wait(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("never")

    async def begin() -> dict[str, str]:
        handles = {
            "greet": await greet.submit("ann", tags=["red", "blue"]),
            "refuse": await refuse.submit("bob", tags=["red"]),
            "wait": await wait.submit(),
        }
        await handles["greet"].result()
        with pytest.raises(ValueError, match="no bob"):
            await handles["refuse"].result()
        await until_suspended(handles["wait"])
        return {name: handle.id for name, handle in handles.items()}

    return in_runtime(begin)


def listed_names(*args: str) -> list[str]:
    """The components of the runs that are listed with these options."""
    result = agnt5_in_process("runs", "list", "--json", *args)
    assert exit_code(result) == Exit.OK, result.stderr
    return sorted(run["component"] for run in json.loads(result.stdout))


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ((), ["greet", "refuse", "wait"]),
        (("--status", "failed"), ["refuse"]),
        (("--status", "suspended"), ["wait"]),
        (("--status", "blocked"), []),
        (("--component", "greet"), ["greet"]),
        (("--tag", "red"), ["greet", "refuse"]),
        (("--tag", "red", "--status", "completed"), ["greet"]),
        (("--tag", "re"), []),
    ],
)
def test_list_filters_by_status_component_and_tag(three_runs: dict[str, str], args: tuple[str, ...], names: list[str]):
    """Filters add up; what doesn't fit isn't listed."""
    assert listed_names(*args) == names


def test_list_says_when_there_is_more_than_its_limit(three_runs: dict[str, str]):
    """A cut list isn't taken for a whole one."""
    cut, whole = agnt5_in_process("runs", "list", "--limit", "2"), agnt5_in_process("runs", "list", "--limit", "3")

    assert len(cut.stdout.splitlines()) == 1 + 2
    assert "--limit" in cut.stderr
    assert len(whole.stdout.splitlines()) == 1 + 3
    assert whole.stderr == ""


def test_list_tells_of_each_run_where_it_stands(three_runs: dict[str, str]):
    """One line a run, with its id, its status, and its error or what it waits for."""
    result = agnt5_in_process("runs", "list")

    by_id = {line.split()[0]: line for line in result.stdout.splitlines()[1:]}
    assert "completed" in by_id[three_runs["greet"]]
    assert "red, blue" in by_id[three_runs["greet"]]
    assert "ValueError: no bob" in by_id[three_runs["refuse"]]
    assert "waiting for event never" in by_id[three_runs["wait"]]


def test_list_of_nothing_says_so(three_runs: dict[str, str]):
    """Nothing on stdout, and a word on stderr."""
    result = agnt5_in_process("runs", "list", "--component", "absent")

    assert (exit_code(result), result.stdout) == (Exit.OK, "")
    assert "no runs that fit" in result.stderr


def test_short_ids_in_a_narrow_list_find_their_runs(three_runs: dict[str, str]):
    """What a narrow terminal shows of an id is enough to show the run."""
    result = agnt5_in_process("runs", "list", COLUMNS="80")

    for line in result.stdout.splitlines()[1:]:
        assert shown(line.split()[0])["id"] in three_runs.values()


# agnt5 runs show


@pytest.fixture
def rich_run() -> str:
    """The id of a run that did a bit of everything, and failed."""

    @function(retries=RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=0))
    async def reserve(ctx: agnt5.FunctionContext, item: str) -> str:
        if ctx.attempt < 3:
            raise ConnectionError(f"no answer to try {ctx.attempt}")
        return f"reserved {item}"

    @workflow
    async def shipping(ctx: WorkflowContext, order: str) -> str:
        return f"parcel for {order}"

    @function(retries=1)
    async def notify(who: str) -> None:
        raise ValueError(f"mailbox of {who} is full")

    @workflow
    async def order(ctx: WorkflowContext, order_id: str) -> None:
        await ctx.state.set("progress", "begun")
        await ctx.step(reserve, "table")
        await ctx.spawn([("price of a", len, "a"), ("price of b", len, "bb")])
        await ctx.sleep(0.01)
        await ctx.wait_for_event("paid")
        await shipping(order_id)
        await ctx.step(notify, "ann")

    async def begin() -> str:
        await agnt5.send_event("paid", {"amount": 1500})
        handle = await order.submit("o-1")
        with pytest.raises(ValueError, match="mailbox"):
            await handle.result()
        return handle.id

    return in_runtime(begin)


def test_show_draws_every_operation_with_its_source_line(rich_run: str):
    """Steps, sleeps, events, state and children are there, in order, each with file and line."""
    result = agnt5_in_process("runs", "show", rich_run)

    expected = [
        'start   order(order_id="o-1")',
        'state   progress = "begun"',
        'step    reserve(item="table")',
        "step    price of a(",
        "step    price of b(",
        "sleep   until ",
        'event   paid → {"amount": 1500}',
        'child   shipping(order="o-1") → "parcel for o-1"',
        'step    notify(who="ann")',
        "end     failed",
    ]
    places = [result.stdout.find(what) for what in expected]
    assert -1 not in places
    assert places == sorted(places)
    assert re.search(r"reserve\(.*test_cli_runs\.py:\d+", result.stdout)
    assert RUN_ID.findall(result.stdout)[0] == rich_run


def test_show_draws_each_attempt_with_its_error_and_delay(rich_run: str):
    """A step that was retried shows all its attempts, why each failed and when the next came."""
    result = agnt5_in_process("runs", "show", rich_run)

    attempts = [line.strip() for line in result.stdout.splitlines() if line.strip().startswith("attempt ")]
    pattern = r"attempt 1 ✗ .* again after 10 ms +ConnectionError: no answer to try 1 +test_cli_runs\.py:\d+"
    assert re.search(pattern, attempts[1])
    assert re.search(r"attempt 2 ✗ .* again after 20 ms +ConnectionError: no answer to try 2", attempts[2])
    assert attempts[3].startswith("attempt 3 ✓")


def test_show_draws_the_traceback_of_a_failed_run(rich_run: str):
    """The error is in the head, and the user's part of its traceback at the end."""
    result = agnt5_in_process("runs", "show", rich_run)

    head, _, trail = result.stdout.partition("Traceback")
    assert "error    ValueError: mailbox of ann is full" in head
    assert "in notify" in trail
    assert "in order" in trail
    assert str(Path(agnt5.__file__).parent) not in trail


def test_show_json_is_complete(rich_run: str):
    """Programs get every entry with every field, and times in ISO 8601."""
    document = shown(rich_run)

    entries = document["journal"]
    retried = [entry for entry in entries if entry["type"] == "retrying"]
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    assert document["status"] == "failed"
    assert document["input"] == {"order_id": "o-1"}
    assert document["error"]["type"] == "builtins:ValueError"
    assert "Traceback" in document["error"]["traceback"]
    assert [entry["attempt"] for entry in retried] == [1, 2]
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+\+00:00", entry["retry_at"]) for entry in retried)
    assert [child["component"] for child in document["children"]] == ["shipping"]


def test_show_says_what_a_run_waits_for(three_runs: dict[str, str]):
    """A run that waits shows for what, since when and at which line."""
    result = agnt5_in_process("runs", "show", three_runs["wait"])

    assert "wait suspended" in result.stdout
    assert re.search(r"now .*waiting for event never since [\d:]+ +.*test_cli_runs\.py:\d+", result.stdout)


def test_show_says_until_when_a_run_sleeps():
    """A sleeping run shows when it wakes, and one that is to be started later when that is."""

    @workflow
    async def nap(ctx: WorkflowContext) -> None:
        await ctx.sleep(3600)

    async def begin() -> tuple[str, str]:
        asleep, later = await nap.submit(), await nap.submit(delay=7200)
        await until_suspended(asleep)
        return asleep.id, later.id

    asleep, later = in_runtime(begin)

    sleeping, queued = (agnt5_in_process("runs", "show", run_id).stdout for run_id in (asleep, later))

    assert re.search(r"waiting for a sleep until .*, in (59 min|1 h)", sleeping)
    assert re.search(r"queued +starts .*, in (1 h 59 min|2 h)", queued)


def test_show_draws_the_attempts_of_a_run():
    """A run that was retried shows where each attempt ended, why, and that the work was undone."""

    @workflow(retries=RetryPolicy(max_attempts=2, initial_interval=0.01, jitter=0))
    async def trip(ctx: WorkflowContext) -> str:
        try:
            await ctx.step("book", str, ctx.attempt)
            if ctx.attempt == 1:
                raise RuntimeError("no seat left")
        except RuntimeError:
            await ctx.step("cancel booking", str)
            raise
        return "booked"

    async def begin() -> str:
        handle = await trip.submit()
        await handle.result()
        return handle.id

    drawn = agnt5_in_process("runs", "show", in_runtime(begin)).stdout

    parts = [
        r"step +book\(.*1\)",
        r"attempt 1 failed and undid its work, again after [\d.]+ ms",
        "RuntimeError: no seat left",
        "attempt 2 began",
        r"step +book\(.*2\)",
        "end +completed",
    ]
    assert "attempt  2 of generation 2" in drawn
    assert re.search(".*".join(parts), drawn, re.DOTALL)


def test_show_draws_steps_of_a_function_beneath_it():
    """What a step did itself is indented; it is in the journal before the outcome of the step."""

    @function
    async def outer(ctx: agnt5.FunctionContext) -> None:
        await ctx.step("inner", str, 1)

    @workflow
    async def whole(ctx: WorkflowContext) -> None:
        await ctx.step(outer)

    async def begin() -> str:
        handle = await whole.submit()
        await handle.result()
        return handle.id

    drawn = agnt5_in_process("runs", "show", in_runtime(begin)).stdout

    assert re.search(r"step {6}inner\(1\).*\n.*step {4}outer\(\)", drawn)


def test_a_long_payload_is_cut_in_the_drawing_and_whole_in_json():
    """The terminal gets what fits; programs get all of it."""

    @function
    async def echo(text: str) -> str:
        return text

    async def begin() -> str:
        handle = await echo.submit("x" * 10_000)
        await handle.result()
        return handle.id

    run_id = in_runtime(begin)

    drawn = agnt5_in_process("runs", "show", run_id).stdout

    assert len(drawn) < 2_000
    assert "x…" in drawn
    assert shown(run_id)["result"] == "x" * 10_000


@pytest.mark.parametrize("columns", [50, 80, 140])
def test_no_line_is_wider_than_the_terminal(rich_run: str, columns: int):
    """Drawings are cut to fit, at every width."""
    drawn = [
        agnt5_in_process("runs", *args, COLUMNS=str(columns)).stdout for args in (("list",), ("show", rich_run))
    ]

    assert max(len(line) for text in drawn for line in text.splitlines()) <= columns


# Ids


def test_a_prefix_that_fits_one_run_is_enough(three_runs: dict[str, str]):
    """The beginning of an id finds the run, in capitals too."""
    run_id = three_runs["greet"]

    assert shown(run_id[:20])["id"] == shown(run_id.upper()[:20])["id"] == run_id


def test_a_prefix_that_fits_several_runs_lists_them(three_runs: dict[str, str]):
    """Ambiguity is an error that names the candidates."""
    refused = agnt5_in_process("runs", "show", three_runs["greet"][:4])

    assert exit_code(refused) == Exit.USAGE
    assert set(RUN_ID.findall(refused.stderr)) == set(three_runs.values())
    assert "refuse" in refused.stderr


@pytest.mark.parametrize("run_id", ["ffff", "no-such-run", "%", "a" * 40])
def test_an_unknown_run_is_named_with_where_it_was_looked_for(three_runs: dict[str, str], run_id: str):
    """Exit code 5, with the journal's path."""
    refused = agnt5_in_process("runs", "show", run_id)

    assert exit_code(refused) == Exit.UNKNOWN
    assert run_id in refused.stderr
    assert str(Path(os.environ["AGNT5_HOME"]) / "journal.db") in refused.stderr


# Journals that can't be read


def _empty(journal: Path) -> None:
    journal.write_bytes(b"")


def _truncated(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:5000])


def _foreign(journal: Path) -> None:
    journal.write_text("dear diary")


def _newer(journal: Path) -> None:
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (Path.unlink, "AGNT5-400"),
        (_empty, "AGNT5-400"),
        (_truncated, "AGNT5-403"),
        (_foreign, "AGNT5-403"),
        (_newer, "AGNT5-404"),
    ],
)
def test_a_journal_that_cannot_be_read_is_named(three_runs: dict[str, str], harm: Callable[[Path], None], code: str):
    """Missing, empty, cut off, of another program or of a later version: exit code 6, and the path."""
    journal = Path(os.environ["AGNT5_HOME"]) / "journal.db"
    for beside in (journal.with_name("journal.db-wal"), journal.with_name("journal.db-shm")):
        beside.unlink(missing_ok=True)
    harm(journal)
    before = journal.read_bytes() if journal.exists() else None

    listed, drawn = agnt5_in_process("runs", "list"), agnt5_in_process("runs", "show", "ab")

    assert exit_code(listed) == exit_code(drawn) == Exit.STORE
    assert code in listed.stderr
    assert str(journal) in listed.stderr
    assert "Traceback" not in listed.stderr
    assert (journal.read_bytes() if journal.exists() else None) == before


def test_a_damaged_entry_is_told_with_its_place(three_runs: dict[str, str]):
    """One bad entry spoils its own run, not the list of the others."""
    with sqlite3.connect(Path(os.environ["AGNT5_HOME"]) / "journal.db") as connection:
        sql = "UPDATE journal SET body = replace(body, 'ann', 'eve') WHERE run_id = ?"
        connection.execute(sql, [three_runs["greet"]])
    connection.close()

    damaged, other = (agnt5_in_process("runs", "show", three_runs[name]) for name in ("greet", "refuse"))

    assert exit_code(damaged) == Exit.STORE
    assert "AGNT5-403" in damaged.stderr
    assert exit_code(other) == Exit.OK


@pytest.fixture
def as_a_stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that this process may read and not write; root, who may write anywhere, becomes somebody else."""
    agnt5_in_process("runs", "list", "--store", "sqlite:///absent.db")  # Somebody else may not load our modules.
    folder = Path(tempfile.mkdtemp())  # Of pytest's own folders nobody else sees anything.
    shutil.copy(Path(os.environ["AGNT5_HOME"]) / "journal.db", folder)
    monkeypatch.setenv("AGNT5_HOME", str(folder))
    (folder / "journal.db").chmod(0o444)
    folder.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(NOBODY)
        yield folder
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_journal_that_one_may_only_read_can_be_read(three_runs: dict[str, str], as_a_stranger: Path):
    """A journal that nobody is writing is readable from a read-only directory, and nothing is left there."""
    listed = agnt5_in_process("runs", "list")

    assert exit_code(listed) == Exit.OK, listed.stderr
    assert three_runs["wait"] in listed.stdout
    assert [file.name for file in as_a_stranger.iterdir()] == ["journal.db"]


# The terminal


def test_colour_is_for_terminals_that_want_it(rich_run: str):
    """A pipe gets plain text; a terminal gets colour, unless NO_COLOR is set."""
    piped = agnt5_command("runs", "show", rich_run)
    coloured = agnt5_command("runs", "show", rich_run, FORCE_COLOR="1", TERM="xterm")
    plain = agnt5_command("runs", "show", rich_run, FORCE_COLOR="1", TERM="xterm", NO_COLOR="1")

    assert "\x1b" not in piped.stdout
    assert "\x1b[31m" in coloured.stdout
    assert "\x1b[31m" not in plain.stdout


def test_a_terminal_without_unicode_gets_plain_marks(rich_run: str):
    """Where the encoding has no check mark, drawings are in ASCII, and nothing fails."""
    drawn = agnt5_command("runs", "show", rich_run, PYTHONIOENCODING="ascii")

    assert drawn.returncode == Exit.OK, drawn.stderr
    assert drawn.stdout.isascii()
    assert "x order failed" in drawn.stdout


