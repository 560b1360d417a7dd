"""The demo: a checkout survives SIGKILL between its two steps, and the proof of it can fail."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from commands import live_run

from agnt5.cli.demo import example
from agnt5.cli.exits import Exit
from agnt5.cli.main import cli
from agnt5.cli.proof import read_ledger, verdict
from agnt5.core.model.run import Status

END_SECONDS = 30.0  # For the demo to end; it takes about one.
KILLED, RESUMED = 101, 102


def demo(*args: str) -> Result:
    """The demo, told from this process."""
    return CliRunner().invoke(cli, ["demo", *args], env={"COLUMNS": "140"})


def document(*args: str) -> dict[str, Any]:
    """What the demo says to programs."""
    result = demo("--json", *args)
    assert result.exit_code == Exit.OK, result.stderr
    return json.loads(result.stdout)


def test_the_demo_proves_that_the_card_was_charged_once():
    """`agnt5 demo` kills and resumes real processes, and ends with 0 because its checks hold."""
    command = [sys.executable, "-m", "agnt5", "demo"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=END_SECONDS)

    assert done.returncode == Exit.OK, done.stderr
    assert done.stderr == ""
    assert "is killed with SIGKILL" in done.stdout
    assert done.stdout.count("\n✓ the ") == 4
    assert "✗" not in done.stdout


def test_the_demo_kills_between_the_steps_and_another_process_finishes():
    """The ledger has one charge by the killed process and one receipt by the next; both steps are in one journal."""
    found = document()

    killed, resumed = found["killed_pid"], found["resumed_pid"]
    steps = [entry["name"] for entry in found["run"]["journal"] if entry["type"] == "outcome"]
    effects = [(effect["what"], effect["pid"]) for effect in found["effects"]]
    assert effects == [("charge", killed), ("receipt", resumed)]
    assert killed != resumed
    assert steps == ["charge_card", "send_receipt"]
    assert (found["run"]["status"], found["run"]["attempt"], found["run"]["claims"]) == ("completed", 1, 2)
    assert found["holds"] is True


def test_the_demo_leaves_no_process_behind():
    """Neither the killed process nor the one that resumed is there when the demo has ended."""
    found = document()

    for pid in (found["killed_pid"], found["resumed_pid"]):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_process_that_resumes_is_not_told_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither its arguments nor its environment name the run or the order: it finds them in the journal."""
    told = "told=[*__import__('sys').argv, *os.environ.values()]"
    telling = tmp_path / "checkout.py"
    telling.write_text(example().read_text().replace('"receipt", order_id,', f'"receipt", order_id, {told},'))
    monkeypatch.setattr("agnt5.cli.demo.example", lambda: telling)

    found = document()

    [receipt] = [effect for effect in found["effects"] if effect["what"] == "receipt"]
    assert str(telling) in receipt["told"]
    assert not any(found["run"]["id"] in text or found["order_id"] in text for text in receipt["told"])


def test_the_demo_draws_the_timeline_with_the_kill_in_its_place():
    """Between the charge and the receipt stands that the process was killed."""
    result = demo()

    assert result.exit_code == Exit.OK, result.stderr
    places = [result.stdout.index(what) for what in ("step    charge_card(", "! process ", "step    send_receipt(")]
    assert places == sorted(places)
    assert "checkout.py:" in result.stdout


def test_a_home_keeps_the_journal_of_every_demo(tmp_path: Path):
    """With --home one can look around afterwards; a second demo there proves itself by its own order."""
    home = tmp_path / "home of demos"

    first, second = document("--home", str(home)), document("--home", str(home))

    store = f"sqlite:///{home / 'journal.db'}"
    listed = CliRunner().invoke(cli, ["runs", "list", "--json", "--store", store])
    assert {run["id"] for run in json.loads(listed.stdout)} == {first["run"]["id"], second["run"]["id"]}
    assert first["order_id"] != second["order_id"]
    assert first["home"] == str(home)


def test_without_a_home_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The demo's own journal goes with it, and that of AGNT5_HOME is never touched."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()

    found = document()

    assert found["home"] is None
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not Path(os.environ["AGNT5_HOME"]).exists()


# The proof can fail


def effect(what: str, pid: int) -> dict[str, Any]:
    """A line of the ledger."""
    return {"what": what, "order_id": "order-1", "pid": pid}


@pytest.mark.parametrize(
    ("effects", "status", "held"),
    [
        ([effect("charge", KILLED), effect("receipt", RESUMED)], Status.COMPLETED, [True, True, True]),
        (
            [effect("charge", KILLED), effect("charge", RESUMED), effect("receipt", RESUMED)],
            Status.COMPLETED,
            [False, True, True],
        ),
        ([effect("receipt", RESUMED)], Status.COMPLETED, [False, True, True]),
        ([effect("charge", KILLED)], Status.RUNNING, [True, False, False]),
        (
            [effect("charge", KILLED), effect("receipt", RESUMED), effect("receipt", RESUMED)],
            Status.COMPLETED,
            [True, False, True],
        ),
        ([effect("charge", RESUMED), effect("receipt", RESUMED)], Status.COMPLETED, [False, True, True]),
        ([effect("charge", KILLED), effect("receipt", KILLED)], Status.COMPLETED, [True, False, True]),
        ([], Status.FAILED, [False, False, False]),
    ],
)
def test_the_verdict_follows_the_ledger(effects: list[dict[str, Any]], status: Status, held: list[bool]):
    """A second charge, a missing receipt, the wrong process or an unfinished run each turn their check red."""
    checks = verdict(effects, status, killed=KILLED, exit_status=-signal.SIGKILL, resumed=RESUMED)

    assert [check.holds for check in checks] == [True, *held]


@pytest.mark.parametrize("exit_status", [0, 1, -signal.SIGTERM])
def test_a_process_that_ended_otherwise_proves_nothing(exit_status: int):
    """Only one that died of SIGKILL had no chance to tidy up."""
    effects = [effect("charge", KILLED), effect("receipt", RESUMED)]

    checks = verdict(effects, Status.COMPLETED, killed=KILLED, exit_status=exit_status, resumed=RESUMED)

    assert [check.holds for check in checks] == [False, True, True, True]


def test_a_card_that_was_charged_twice_turns_the_demo_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With a checkout that charges twice the same demo ends with 1, and says what it found."""
    source = example().read_text()
    charge = next(line for line in source.splitlines() if "write_to_ledger(" in line and '"charge"' in line)
    doctored = tmp_path / "checkout.py"
    doctored.write_text(source.replace(charge, f"{charge}\n{charge}"))
    monkeypatch.setattr("agnt5.cli.demo.example", lambda: doctored)

    told, found = demo(), demo("--json")

    assert told.exit_code == found.exit_code == Exit.FAILED
    assert "✗ the card was charged once, by the process that was killed (found: 2 times" in told.stdout
    assert [check["holds"] for check in json.loads(found.stdout)["checks"]] == [True, False, True, True]


def test_a_checkout_that_breaks_is_told_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A process that ends on its own ends the demo with an error at once."""
    broken = tmp_path / "checkout.py"
    broken.write_text("raise SystemExit(3)\n")
    monkeypatch.setattr("agnt5.cli.demo.example", lambda: broken)

    result = demo()

    assert result.exit_code == Exit.INTERNAL
    assert "ended before it had charged the card" in result.stderr


def test_a_home_that_another_process_uses_is_refused(tmp_path: Path):
    """The demo needs a journal of its own; that of a live process ends it with exit code 6, and why."""
    (tmp_path / "napping.py").write_text(
        "from agnt5 import workflow\n\n@workflow\nasync def nap(ctx):\n    await ctx.sleep(3600)\n"
    )
    command = [sys.executable, "-m", "agnt5", "demo", "--home", os.environ["AGNT5_HOME"]]
    with live_run(f"{tmp_path}/napping.py:nap") as (process, _):
        refused = subprocess.run(command, capture_output=True, text=True, timeout=END_SECONDS)

    assert refused.returncode == Exit.STORE
    assert f"in use by process {process.pid}" in refused.stderr
    assert "AGNT5-900" not in refused.stderr


# The example


def test_the_example_run_twice_charges_once(tmp_path: Path):
    """As a user starts it: the same order again is the same checkout."""
    ledger = tmp_path / "ledger.jsonl"
    command = [sys.executable, str(example()), "order-7"]
    env = {**os.environ, "CHECKOUT_LEDGER": str(ledger)}

    outputs = [subprocess.run(command, capture_output=True, text=True, timeout=END_SECONDS, env=env) for _ in "12"]

    assert [output.stdout for output in outputs] == ["txn-order-7\n", "txn-order-7\n"]
    assert [line["what"] for line in read_ledger(ledger, "order-7")] == ["charge", "receipt"]


def test_the_example_writes_its_ledger_where_it_stands(tmp_path: Path):
    """Without a setting, the effects are in a plain file in the working directory."""
    command = [sys.executable, str(example())]

    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=END_SECONDS)

    assert len(read_ledger(tmp_path / "checkout-ledger.jsonl", "order-42")) == 2
