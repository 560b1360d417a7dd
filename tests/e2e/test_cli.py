"""The `agnt5` command, as a user types it: what it prints, where, and with which exit code."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from commands import END_SECONDS, RUN_ID, agnt5_command, agnt5_in_process, exit_code, in_runtime, live_run, shown

import agnt5
from agnt5 import WorkflowContext, workflow
from agnt5.cli.exits import MEANINGS, Exit
from agnt5.cli.main import COMMANDS, cli

APP = '''
import asyncio
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from agnt5 import WorkflowContext, function, get_run, workflow


@dataclass
class Order:
    id: str
    total: Decimal


@function
async def add(first: int, second: int = 1) -> int:
    print("this is no result")
    return first + second


@function
async def double(order: Order) -> Order:
    return Order(order.id, order.total * 2)


@function(retries=1)
async def decline(card: str) -> None:
    raise PermissionError(f"card {card} was declined")


@workflow
async def give_up(ctx: WorkflowContext) -> None:
    await get_run(ctx.run_id).cancel()
    await ctx.sleep(3600)


@workflow
async def stray(ctx: WorkflowContext) -> None:
    await asyncio.to_thread(print)


@workflow
async def gate(ctx: WorkflowContext, file: str) -> str:
    await ctx.state.set("waits for", file)
    await ctx.step(until_there, file)
    return "open"


@function
async def until_there(file: str) -> None:
    while not Path(file).exists():
        await asyncio.sleep(0.01)
'''


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of components, in the working directory."""
    monkeypatch.chdir(tmp_path)
    # What the command line adds for the file's sake is taken away with it.
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "app", raising=False)
    file = tmp_path / "app.py"
    file.write_text(APP)
    return file


# agnt5 run


def test_run_prints_the_result_on_stdout_and_everything_else_on_stderr(app: Path):
    """A script can take the result from stdout, whatever the user's code prints."""
    done = agnt5_command("run", "app.py:add", "--input", "[2, 3]")

    assert done.returncode == Exit.OK
    assert done.stdout == "5\n"
    assert "this is no result" in done.stderr
    assert RUN_ID.search(done.stderr)


@pytest.mark.parametrize(
    ("target", "given", "result"),
    [
        ("app.py:add", "[2, 3]", 5),
        ("app.py:add", "[2]", 3),
        ("app.py:add", '{"second": 5, "first": 2}', 7),
        ("app.py:add", "2", 3),
        ("./app.py:add", "2", 3),
        ("app.py:double", '[{"id": "o-1", "total": "2.50"}]', {"id": "o-1", "total": "5.00"}),
        ("app.py:double", '{"order": {"id": "o-1", "total": "2.50"}}', {"id": "o-1", "total": "5.00"}),
    ],
)
def test_run_takes_an_array_an_object_or_one_argument(app: Path, target: str, given: str, result: Any):
    """An array is positional, an object goes by name, anything else is the one argument; annotations convert."""
    done = agnt5_in_process("run", target, "--input", given)

    assert exit_code(done) == Exit.OK, done.stderr
    assert json.loads(done.stdout) == result


def test_run_finds_a_component_by_its_dotted_module(tmp_path: Path, app: Path):
    """`package.module:component` works from the working directory, as with `python -m`."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "flows.py").write_text(APP)

    done = agnt5_command("run", "shop.flows:add", "--input", "[2, 3]")

    assert (done.returncode, done.stdout) == (Exit.OK, "5\n")


def test_run_makes_at_most_one_run_under_an_idempotency_key(app: Path):
    """The same command again answers with the first run; other input under the key is refused."""
    command = ("run", "app.py:add", "--idempotency-key", "sum", "--input")

    first, again, other = (agnt5_in_process(*command, given) for given in ("[2, 3]", "[2, 3]", "[4, 5]"))

    assert exit_code(first) == exit_code(again) == Exit.OK
    assert RUN_ID.findall(first.stderr)[0] == RUN_ID.findall(again.stderr)[0]
    assert exit_code(other) == Exit.USAGE
    assert "AGNT5-107" in other.stderr


def test_run_uses_the_store_that_is_named(tmp_path: Path, app: Path):
    """`--store` says where the journal is, and the hint at a failed run repeats it."""
    store = f"sqlite:///{tmp_path}/orders.db"

    failed = agnt5_in_process("run", "app.py:decline", "-i", '"visa"', "--store", store)

    listed = agnt5_in_process("runs", "list", "--store", store, "--json")
    assert exit_code(failed) == Exit.FAILED
    assert f"--store {store}" in failed.stderr
    assert [run["component"] for run in json.loads(listed.stdout)] == ["decline"]


def test_a_failed_run_is_told_with_its_error_its_id_and_where_to_look(app: Path):
    """Type, message, place and the command to type next, without a traceback; stdout stays empty."""
    failed = agnt5_in_process("run", "app.py:decline", "--input", '"visa"')

    [run_id] = set(RUN_ID.findall(failed.stderr))
    assert exit_code(failed) == Exit.FAILED
    assert failed.stdout == ""
    assert "PermissionError: card visa was declined" in failed.stderr
    assert re.search(r"app\.py:\d+ in decline", failed.stderr)
    assert f"agnt5 runs show {run_id}" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_cancelled_run_has_an_exit_code_of_its_own(app: Path):
    """Exit code 4."""
    cancelled = agnt5_in_process("run", "app.py:give_up")

    assert exit_code(cancelled) == Exit.CANCELLED
    assert "was cancelled" in cancelled.stderr


def test_a_blocked_run_has_an_exit_code_of_its_own(app: Path):
    """Exit code 3, with what blocks the run and what to do about it."""

    @workflow
    async def gate(ctx: WorkflowContext, file: str) -> str:
        await ctx.step("another", lambda: None)
        await ctx.step("unfinished", hang)
        return "open"

    is_in_step = asyncio.Event()

    async def hang() -> None:
        is_in_step.set()
        await asyncio.Event().wait()

    async def begin() -> None:
        await gate.submit("f", idempotency_key="gate")
        await is_in_step.wait()

    in_runtime(begin)

    blocked = agnt5_command("run", "app.py:gate", "--input", '["f"]', "--idempotency-key", "gate")

    assert blocked.returncode == Exit.BLOCKED, blocked.stderr
    assert "AGNT5-201" in blocked.stderr
    assert "Fix:" in blocked.stderr


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("run", "app.py:nothing"), Exit.UNKNOWN, "it has add, double"),
        (("run", "app.py"), Exit.USAGE, "doesn't name a component"),
        (("run", "absent.py:add"), Exit.USAGE, "there is no file absent.py"),
        (("run", "absent_module:add"), Exit.USAGE, "ModuleNotFoundError"),
        (("run", "app.py:add", "--input", "[2,"), Exit.USAGE, "--input is no JSON"),
        (("run", "app.py:add"), Exit.USAGE, "missing a required argument: 'first'"),
        (("run", "app.py:add", "--input", '["many"]'), Exit.USAGE, "argument 'first'"),
        (("run", "app.py:add", "--input", '{"third": 1}'), Exit.USAGE, "add(first: int"),
        (("run", "app.py:add", "-i", "1", "--idempotency-key", ""), Exit.USAGE, "idempotency_key"),
        (("run", "app.py:add", "-i", "1", "--store", "redis://x"), Exit.USAGE, "redis://x"),
        (("run",), Exit.USAGE, "Missing argument"),
        (("walk",), Exit.USAGE, "No such command 'walk'"),
        (("runs", "list", "--limit", "0"), Exit.USAGE, "--limit"),
        (("runs", "list", "--status", "lost"), Exit.USAGE, "suspended"),
        (("runs", "list", "--store", "memory://"), Exit.USAGE, "memory://"),
        (("runs", "list", "--store", "sqlite:///absent.db"), Exit.STORE, "absent.db"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_do(app: Path, args: tuple[str, ...], code: Exit, said: str):
    """Bad input ends with its exit code and a message that names it, never with a traceback."""
    refused = agnt5_in_process(*args)

    assert exit_code(refused) == code
    assert refused.stdout == ""
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_file_that_raises_when_imported_is_named_with_the_line(app: Path):
    """The user's own error is told with its place, and with the command that shows all of it."""
    app.write_text("import json\n\njson.loads('no')\n")

    refused = agnt5_in_process("run", "app.py:add")

    assert exit_code(refused) == Exit.USAGE
    assert "JSONDecodeError" in refused.stderr
    assert "app.py:3" in refused.stderr


def test_a_server_that_the_environment_asks_for_is_refused(app: Path):
    """AGNT5_URL isn't silently ignored."""
    refused = agnt5_in_process("run", "app.py:add", "--input", "1", AGNT5_URL="http://localhost:8080")

    assert exit_code(refused) == Exit.USAGE
    assert "unset AGNT5_URL" in refused.stderr


def test_debug_shows_the_traceback(app: Path):
    """`--debug`, or AGNT5_DEBUG, adds the traceback to an error of ours and to that of a run."""
    ours = agnt5_in_process("--debug", "run", "app.py:nothing")
    theirs = agnt5_in_process("run", "app.py:decline", "--input", '"visa"', AGNT5_DEBUG="1")

    assert "Traceback" in ours.stderr
    assert "loading.py" in ours.stderr
    assert "Traceback" in theirs.stderr


@click.command()
def broken() -> None:
    raise ZeroDivisionError("nobody foresaw this")


def test_a_bug_is_told_as_one(monkeypatch: pytest.MonkeyPatch):
    """What nobody foresaw ends with exit code 70 and a message; its traceback is there for who asks."""
    monkeypatch.setitem(COMMANDS, "broken", (f"{__name__}:broken", ""))

    brief, full = agnt5_in_process("broken"), agnt5_in_process("--debug", "broken")

    assert exit_code(brief) == exit_code(full) == Exit.INTERNAL
    assert "AGNT5-900" in brief.stderr
    assert "Traceback" not in brief.stderr
    assert "in broken" in full.stderr


def test_ctrl_c_is_prompt_and_the_run_stays_resumable(tmp_path: Path, app: Path):
    """Interrupted, the command ends at once and says so; the same command again finishes the same run."""
    command = ("app.py:gate", "--input", json.dumps([str(tmp_path / "open")]), "--idempotency-key", "gate")
    with live_run(*command) as (process, run_id):
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=5)
    left = shown(run_id)
    (tmp_path / "open").touch()

    resumed = agnt5_command("run", *command)

    assert process.returncode == Exit.INTERRUPTED
    assert stdout == ""
    assert f"run {run_id} stays resumable" in stderr
    assert "Traceback" not in stderr
    assert left["status"] not in ("completed", "failed", "cancelled", "blocked")
    assert resumed.stdout == '"open"\n'
    assert run_id in resumed.stderr


# Beside a live process


def test_reading_works_beside_a_process_that_writes(tmp_path: Path, app: Path):
    """`runs list` and `runs show` see what is committed, while another process holds the journal."""
    with live_run("app.py:gate", "--input", json.dumps([str(tmp_path / "open")])) as (process, run_id):
        listed = agnt5_command("runs", "list")
        drawn = agnt5_command("runs", "show", run_id)
        (tmp_path / "open").touch()
        stdout, _ = process.communicate(timeout=END_SECONDS)
    ended = agnt5_command("runs", "show", run_id)

    assert listed.returncode == drawn.returncode == Exit.OK
    assert run_id in listed.stdout
    assert "gate running" in drawn.stdout
    assert stdout == '"open"\n'
    assert "gate completed" in ended.stdout


def test_a_second_writer_is_told_who_holds_the_journal(tmp_path: Path, app: Path):
    """Running beside a live process ends with exit code 6, and names that process."""
    with live_run("app.py:gate", "--input", json.dumps([str(tmp_path / "open")])) as (process, _):
        refused = agnt5_command("run", "app.py:add", "--input", "1")

    assert refused.returncode == Exit.STORE
    assert "AGNT5-401" in refused.stderr
    assert str(process.pid) in refused.stderr


# The terminal

NASTY = "\x1b[31mred\x07 \x1b]0;title\x07 \x9b2J \r\n\x7f \u202egnp"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def test_control_characters_of_users_never_reach_the_terminal(app: Path):
    """Names, values and messages are shown with their escapes: nothing in them is obeyed."""
    app.write_text(
        f"from agnt5 import WorkflowContext, function, workflow\n"
        f"NASTY = {NASTY!r}\n\n"
        f"@workflow\nasync def nasty(ctx: WorkflowContext, text: str) -> str:\n"
        f"    await ctx.state.set(NASTY, text)\n"
        f"    await ctx.step('named', lambda value: value, text)\n"
        f"    raise ValueError(text)\n"
    )
    failed = agnt5_in_process("run", "app.py:nasty", "--input", json.dumps([NASTY]), "--idempotency-key", NASTY)
    [run_id] = set(RUN_ID.findall(failed.stderr))

    outputs = [failed.stderr]
    for args in (("list",), ("list", "--json"), ("show", run_id), ("show", run_id, "--json")):
        outputs.append(agnt5_in_process("runs", *args).stdout)
    outputs.append(agnt5_in_process("runs", "show", NASTY).stderr)
    outputs.append(agnt5_in_process("run", f"app.py:{NASTY}").stderr)

    assert exit_code(failed) == Exit.FAILED
    assert [CONTROL.findall(output) for output in outputs] == [[] for _ in outputs]
    assert "\\x1b[31mred" in outputs[3]
    assert json.loads(outputs[4])["input"] == {"text": NASTY}


# Help


def test_help_names_every_command_and_exit_code():
    """Exit codes are stable, so they are documented where one looks first."""
    result = agnt5_in_process("--help")

    assert exit_code(result) == Exit.OK
    for code in Exit:
        assert re.search(rf"^ +{code.value}  {re.escape(MEANINGS[code])}$", result.stdout, re.MULTILINE)
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_table_of_commands_says_what_each_command_says_of_itself(name: str):
    """The overview is written without loading the commands, and so could differ from them."""
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name][1]


def test_help_loads_nothing_that_draws():
    """`agnt5 --help` is quick: rich is loaded only by what draws with it."""
    program = (
        "import sys\nfrom agnt5.cli.main import cli\n"
        "try:\n    cli(['--help'])\nexcept SystemExit:\n    print('rich' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=END_SECONDS)

    assert done.stdout.splitlines()[-1] == "False"


def test_version_is_that_of_the_package():
    """`agnt5 --version` works from a source tree too."""
    result = agnt5_in_process("--version")

    assert result.stdout == f"agnt5, version {agnt5.__version__}\n"
