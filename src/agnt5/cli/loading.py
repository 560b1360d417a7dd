"""Finds the component that `FILE:COMPONENT` or `module:COMPONENT` names, and imports what defines it."""

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from agnt5.cli.problems import place_of
from agnt5.core.model.errors import Agnt5Error, InvalidInput, UnknownComponent
from agnt5.sdk import failures
from agnt5.sdk.component import Component, component_named


def load(target: str) -> Component[Any, Any]:
    """The component that the target names.

    Raises:
        InvalidInput: The target can't be meant, or what it names can't be imported.
        UnknownComponent: Nothing in it has that name.
    """
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise InvalidInput(
            f"{target!r} doesn't name a component",
            why="a component is named by its file and its own name, with a colon between them",
            fix="write it as in `agnt5 run app.py:checkout`, or `agnt5 run package.module:checkout`",
        )
    module = load_module(place)
    found = getattr(module, name, None)
    component = found if isinstance(found, Component) else component_named(name)
    if component is None:
        known = [key for key, value in vars(module).items() if isinstance(value, Component)]
        raise UnknownComponent(
            f"{place} has no component {name!r}",
            why=f"it has {', '.join(known)}" if known else "it defines no function or workflow of agnt5",
            fix=f"agnt5 run {place}:{known[0]}" if known else "decorate one with @function or @workflow",
            name=name,
        )
    return component


def load_module(place: str) -> ModuleType:
    """Import a file, or a module by its dotted name.

    Raises:
        InvalidInput: It isn't there, or raised when it was imported.
    """
    is_file = place.endswith(".py") or os.sep in place
    if is_file and not Path(place).is_file():
        raise InvalidInput(
            f"there is no file {place}", why=f"looked in {Path.cwd()}", fix="give its path, as in ./app.py:checkout"
        )
    try:
        return _import_file(Path(place).resolve()) if is_file else _import_named(place)
    except Agnt5Error:
        raise
    except (Exception, SystemExit) as error:  # Whatever the user's own module does as it is imported.
        raise _broken(place, error, is_file=is_file) from error


def _import_file(path: Path) -> ModuleType:
    # As `python FILE` has it: what stands beside the file can be imported.
    _search_first(str(path.parent))
    spec = spec_from_file_location(_name_for(path), path)
    assert spec is not None and spec.loader is not None, "a path to a file has a loader"
    module = module_from_spec(spec)
    # Exceptions and enums that the journal names are found among the loaded modules.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _name_for(path: Path) -> str:
    """The file's own name, unless another module has it."""
    known = sys.modules.get(path.stem)
    return path.stem if known is None or getattr(known, "__file__", None) == str(path) else f"{path.stem}_file"


def _import_named(name: str) -> ModuleType:
    # As `python -m` has it, which a script on the path hasn't.
    _search_first(os.getcwd())
    return import_module(name)


def _search_first(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _broken(place: str, error: BaseException, *, is_file: bool) -> InvalidInput:
    raised_at = place_of(failures.write(error).traceback)
    return InvalidInput(
        f"{place} can't be imported: {type(error).__name__}: {failures.message_of(error)}",
        why=f"it was raised at {raised_at}",
        fix=f"mend it; `python {place if is_file else f'-m {place}'}` shows all of the traceback",
    )
