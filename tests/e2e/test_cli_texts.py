"""What the command says of itself: shells complete it, and texts name only commands that there are."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from commands import agnt5_command, agnt5_in_process, exit_code, in_runtime

import agnt5
from agnt5 import function
from agnt5.cli.exits import Exit
from agnt5.cli.main import cli

SOURCES = Path(agnt5.__file__).parent

# Completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_what_a_shell_loads(shell: str):
    """The script calls the command back with the variable that it answers."""
    result = agnt5_in_process("completion", shell)

    assert exit_code(result) == Exit.OK
    assert f"_AGNT5_COMPLETE={shell}_complete" in result.stdout


def test_bash_takes_the_script():
    """It registers a completion for the command."""
    script = agnt5_in_process("completion", "bash").stdout

    shell = subprocess.run(["bash", "-c", f"{script}\ncomplete -p agnt5"], capture_output=True, text=True, timeout=20)

    assert "agnt5" in shell.stdout, shell.stderr


def completed(words: str, **env: str) -> list[str]:
    """What bash offers for the last of these words."""
    number = len(words.split(" ")) - 1
    variables = {"_AGNT5_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    answer = agnt5_command(**variables, **env)
    assert answer.stderr == ""  # It would get into the line that somebody is typing.
    return [line.partition(",")[2] for line in answer.stdout.splitlines() if line]


def test_commands_options_and_run_ids_complete():
    """Ids come from the journal, those that were made last first."""

    @function
    async def work() -> None: ...

    async def begin() -> list[str]:
        return [(await work.submit(delay=3600)).id for _ in range(2)]

    run_ids = in_runtime(begin)

    assert {"cancel", "why", "show"} <= set(completed("agnt5 runs "))
    assert completed("agnt5 runs retry --ta") == ["--take-key"]
    assert completed("agnt5 runs show ") == run_ids[::-1]
    assert completed(f"agnt5 signal {run_ids[0]}") == [run_ids[0]]
    assert set(completed(f"agnt5 runs why {run_ids[0][:3].upper()}")) == set(run_ids)


def test_without_a_journal_no_run_is_offered(tmp_path: Path):
    """And no error gets into the line that somebody is typing."""
    assert completed("agnt5 runs show ", AGNT5_HOME=str(tmp_path / "absent")) == []


# Commands that texts name


def _texts(tree: ast.Module) -> Iterator[str]:
    """What the code says to people: its strings without the docstrings, `X` standing for what is put in."""
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner.add(id(node.value))  # A docstring.
        elif isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def _commands_in(text: str) -> list[str]:
    quoted = re.findall(r"`(agnt5 [^`]*)`", text)
    names = "|".join(cli.list_commands(click.Context(cli)))
    bare = re.findall(rf"\bagnt5 (?:{names})\b[^`;\n]*", re.sub(r"`[^`]*`", "", text))
    return quoted + bare


def commands_named() -> list[tuple[str, str]]:
    """Every command that some text of the package names, with the file."""
    return [
        (str(path.relative_to(SOURCES)), command)
        for path in sorted(SOURCES.rglob("*.py"))
        for text in _texts(ast.parse(path.read_text()))
        for command in _commands_in(text)
    ]


def parse(command: str) -> None:
    """Parse a command as the shell would pass it on, without doing it; what can't be meant raises."""
    _, *words = shlex.split(command.replace("…", "runs list"))
    words = [word for word in words if word != "--debug"]
    current: click.Command = cli
    while isinstance(current, click.Group):
        name = words.pop(0) if words else ""
        found = current.get_command(click.Context(current), name)
        if found is None:
            raise click.UsageError(f"no command {name!r}")
        current = found
    current.make_context(current.name or "", words)


def test_every_command_that_a_text_names_is_one():
    """Whoever is told to type something can type it: name, arguments and options are known."""
    broken = []
    for file, command in commands_named():
        try:
            parse(command)
        except click.UsageError as error:
            broken.append(f"{file}: {command}: {error.format_message()}")

    assert broken == []


def test_texts_name_commands_at_all():
    """The search above finds what it is for."""
    named = {command for _, command in commands_named()}

    assert {"agnt5 runs resume X", "agnt5 runs cancel X", "agnt5 runs list", "agnt5 demo"} <= named


@pytest.mark.parametrize("command", ["agnt5 runs mend X", "agnt5 runs fork X", "agnt5 runs show X --colour"])
def test_a_command_that_is_none_does_not_parse(command: str):
    """Nor does one that lacks an argument or has another option."""
    with pytest.raises(click.UsageError):
        parse(command)


def test_every_command_of_the_page_is_one():
    """What `docs/cli.md` shows can be typed."""
    page = (SOURCES.parents[1] / "docs" / "cli.md").read_text()
    typed = re.findall(r"^\$ (agnt5 .*)$", page, re.MULTILINE)

    for command in typed:
        parse(command)

    runs = cli.get_command(click.Context(cli), "runs")
    assert isinstance(runs, click.Group)
    assert set(runs.commands) <= {command.split()[2] for command in typed if command.startswith("agnt5 runs ")}
    assert set(cli.list_commands(click.Context(cli))) <= {command.split()[1] for command in typed}
