"""An import in a fresh process, and what it loads."""

from pathlib import Path
from statistics import median

from benchmarks.crash import python_seconds
from benchmarks.probe import Figures

CODE = """
import sys, time
before = set(sys.modules)
began = time.perf_counter()
import {modules}
print(time.perf_counter() - began)
files = [getattr(sys.modules[name], "__file__", None) or "" for name in set(sys.modules) - before]
print(*sorted({{file.split("site-packages/")[1].split("/")[0] for file in files if "site-packages/" in file}}))
"""


async def importing(folder: Path, repeats: int, modules: str, allowed: list[str] | None = None) -> Figures:
    """Import in some processes, and give the median.

    Args:
        modules: What to import.
        allowed: The only installed packages that may be loaded by it.
    """
    seconds, whole = [], []
    for _ in range(repeats):
        taken, said = python_seconds(CODE.format(modules=modules))
        imported, loaded = said.split("\n")[:2]
        assert allowed is None or set(loaded.split()) <= set(allowed), f"nothing else is loaded: {loaded}"
        seconds.append(float(imported))
        whole.append(taken)
    return {"import s": median(seconds), "process s": median(whole)}


async def nothing(folder: Path, repeats: int) -> Figures:
    """A Python that imports nothing."""
    return {"process s": median(python_seconds("pass")[0] for _ in range(repeats))}
