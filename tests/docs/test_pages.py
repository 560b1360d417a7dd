"""What the pages say is so: their programs run, each error has its page, and the links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agnt5

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)\)")


def _programs() -> list[object]:
    return [
        pytest.param(program, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, program in enumerate(PROGRAM.findall(page.read_text()), 1)
    ]


@pytest.mark.parametrize("program", _programs())
def test_programs_on_pages_run(program: str, tmp_path: Path):
    """Whoever pastes a program from a page into a file can run it."""
    file = tmp_path / "app.py"
    file.write_text(program)

    ended = subprocess.run(
        [sys.executable, file.name],
        cwd=tmp_path,
        env={**os.environ, "AGNT5_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_error_has_a_page_and_every_page_an_error():
    """The code in a message leads to a page that names the error, and no page is of an error that is gone."""
    errors = {vars(agnt5)[name] for name in agnt5.__all__}
    codes = {cls.code: cls.__name__ for cls in errors if isinstance(cls, type) and issubclass(cls, agnt5.Agnt5Error)}
    pages = {page.stem: page.read_text() for page in (ROOT / "docs" / "errors").glob("AGNT5-*.md")}

    titles = {code: text.splitlines()[0] for code, text in pages.items()}

    assert titles == {code: f"# {code}: {name}" for code, name in codes.items()}


def test_links_between_pages_lead_somewhere():
    """A relative link names a file or folder that is there."""
    broken = [
        (page.name, target)
        for page in PAGES
        for target in LINK.findall(page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]

    assert broken == []


def test_the_readme_says_the_commands_of_the_package():
    """The command that passes the tests names the extra and the runner that the project declares."""
    readme = (ROOT / "README.md").read_text()
    declared = (ROOT / "pyproject.toml").read_text()

    assert ".venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest" in readme
    assert "\ntest = [" in declared
    assert 'agnt5 = "agnt5.cli.main:main"' in declared
